//! An alert's story in plain words, from its records alone: every number in it is in them, as it stands there.

use crate::engine::Settings;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{AlertChange, Chance, Evidence, FeatureValue, ItemType, Micro, Phase, TermKind, Timestamp};
use crate::rules::{TABLE, own};

/// The story of one alert: its changes, in order. Empty without any.
#[must_use]
pub fn story(changes: &[AlertChange], settings: &Settings) -> String {
    let Some(first) = changes.first() else { return String::new() };
    let summary = TABLE.iter().find(|row| row.name == first.kind).unwrap_or(&own::ROW).summary;
    let item = first.item.as_ref().filter(|item| item.item_type != ItemType::Customer);
    let item = item.map(|item| format!(", {} {}", item.item_type.as_str(), item.id)).unwrap_or_default();
    let outcome = first.outcome.map(|outcome| format!(" ({})", settings.catalogue.text(outcome))).unwrap_or_default();
    let mut text = format!("{}{outcome} {:016x}: {summary}\n", first.kind, first.alert_id);
    text += &format!("customer {}{item}\n", first.customer_id);
    for change in changes {
        text += &format!("\n{}  {}\n", clock(change.event_time), happened(change));
        if change.detected_at > change.event_time {
            text += &format!("    a touchpoint came late: seen at {}\n", clock(change.detected_at));
        }
        if change.phase != Phase::Resolved {
            text += &change.message.as_ref().map(|message| format!("    \"{message}\"\n")).unwrap_or_default();
            text += &reasons(change, settings);
        }
    }
    if let Some(action) = &first.suggested_action {
        text += &format!("\nwhat to do: {action}\n");
    }
    text
}

/// What a change says.
fn happened(change: &AlertChange) -> String {
    let severity = change.severity.as_str();
    let figure = figure(change);
    match change.phase {
        Phase::Opened => format!("opened, {severity}: {figure}"),
        Phase::Updated => format!("updated, now {severity}: {figure}"),
        Phase::Resolved => format!("resolved: {}; {figure}", ended(change.reason.unwrap_or("closed"))),
    }
}

/// Why an alert ended.
fn ended(reason: &str) -> String {
    let words = match reason {
        "closed" => "nothing more is expected of it",
        "kept" => "the promise was kept",
        "broken" => "the promise was taken back",
        "answered" => "the customer has an answer",
        "risk_fell" => "the risk fell",
        "effort_fell" => "it became less effort",
        "purchase" => "the customer bought",
        "activity" => "the customer is back",
        "completed" => "it was completed",
        "reached" => "it went on",
        "recovered" => "it was made good",
        "perception_recovered" => "the customer feels better",
        "expectation_met" => "experience is as expected again",
        "no_further_contact" => "the customer did not have to ask again",
        "session_ended" => "the session ended",
        "condition_over" => "its condition holds no more",
        "expired" => "it stood for as long as it may",
        "rule_removed" => "its rule is gone from the configuration",
        "forgotten" => "the customer was silent for long and is forgotten",
        other => return other.replace('_', " "),
    };
    words.to_owned()
}

/// The figure, what it was and what it is compared with.
fn figure(change: &AlertChange) -> String {
    let AlertChange { after, threshold, .. } = change;
    if change.figure == "days_overdue" {
        return overdue(*after);
    }
    let before = change.before.map(|before| format!("before {before}, ")).unwrap_or_default();
    let words = match &*change.figure {
        "perception" => "how the customer feels, good above zero",
        "nps" => "answer to whether they would recommend us",
        "csat" => "answer in the satisfaction survey",
        "stars" => "stars given",
        "ces" => "answer on how easy it was",
        "days_late" => "days later than promised",
        "refused_payments" => "refused payments",
        "failures" => "failures",
        "score" => "how the touchpoint felt, good above zero",
        "hours_open" => "hours waited",
        "remembered" => "how the last episode is remembered, good above zero",
        "trend" => "trend of the conversation",
        "frustration" => "points of frustration in the session",
        "effort" => "points of effort",
        "transfers" => "times passed on",
        "channels" => "channels used for one thing",
        "contacts" => "contacts about the same thing",
        "wait_seconds" => "seconds waited",
        "risk" => "risk",
        "log_odds" => "log-odds of it",
        other => other,
    };
    let chance = change.chance.as_ref().map(|chance| format!("{}; ", likely(chance))).unwrap_or_default();
    format!("{chance}{words}: {after} ({before}alert at {threshold})")
}

/// How far something is past its time.
fn overdue(days: Micro) -> String {
    match days {
        Micro::ZERO => "its time is up".to_owned(),
        Micro::ONE => "1 day past its time".to_owned(),
        days => format!("{days} days past its time"),
    }
}

/// `chance 63.1 %; of such cases 58–67 % turned out so`.
#[must_use]
pub fn likely(chance: &Chance) -> String {
    let percent = |part: Micro| format!("{:.1}", part.to_f64() * 100.0);
    let told = format!("chance {} %", percent(chance.probability));
    let band = |(low, high)| format!("{told}; of such cases {} to {} % turned out so", percent(low), percent(high));
    chance.calibrated.map_or(told.clone(), band)
}

/// One line for each piece of evidence and one for the rest: they sum to the figure.
fn reasons(change: &AlertChange, settings: &Settings) -> String {
    let line = |contribution: String, text: &str| format!("    {contribution:>11}  {text}\n");
    let lines = change
        .evidence
        .iter()
        .map(|evidence| line(evidence.contribution.to_string(), &reason(&change.figure, evidence, settings)));
    let mut text: String = lines.collect();
    if change.remainder.0 != 0 {
        text += &line(change.remainder.to_string(), "everything else");
    }
    text
}

/// What a line measures, and the touchpoint it goes back to.
fn reason(figure: &str, evidence: &Evidence, settings: &Settings) -> String {
    let touchpoint = touchpoint(evidence, settings);
    let Some((term, label)) = evidence.term else { return touchpoint };
    let label = label.map_or("", |label| settings.catalogue.text(label));
    match term {
        TermKind::Due if figure == "days_overdue" => {
            format!("no {label}, {}; since {touchpoint}", until(evidence, settings))
        }
        TermKind::Due if figure == "wait_seconds" => format!("no {label} yet; since {touchpoint}"),
        TermKind::Due => format!("{label}: {}; since {touchpoint}", used(evidence, settings)),
        TermKind::LongWait => format!("{label}: an unusually long wait; since {touchpoint}"),
        TermKind::NoAnswer => format!("no {label} from the customer for unusually long; since {touchpoint}"),
        TermKind::Size => format!("the size of it: {label}"),
        TermKind::Perception => format!("how the customer felt lately; last: {touchpoint}"),
        TermKind::Average => "the average case".to_owned(),
        TermKind::Feature => feature(label, evidence.value, settings),
        TermKind::Rhythm => "the time since the last purchase".to_owned(),
        TermKind::Step => match label.split_once('.') {
            Some((journey, step)) => format!("{journey}: no {step} yet; since {touchpoint}"),
            None => format!("{label} is not finished; since {touchpoint}"),
        },
    }
}

/// What passed without the promise being kept.
fn until(evidence: &Evidence, settings: &Settings) -> &'static str {
    let promise = evidence.term.and_then(|(_, label)| settings.catalogue.promise(label?));
    if promise.is_some_and(|promise| promise.dated) {
        "the promised time is over"
    } else {
        "longer than such waits take"
    }
}

/// How the time that was promised is used.
fn used(evidence: &Evidence, settings: &Settings) -> &'static str {
    if evidence.contribution > settings.risk.used {
        "later than promised"
    } else if evidence.contribution < Micro::ZERO {
        "came in time"
    } else {
        "the promised time is being used up"
    }
}

/// A feature of a card and its value in words.
fn feature(name: &str, value: Option<FeatureValue>, settings: &Settings) -> String {
    let mut parts = name.splitn(3, '.');
    let (group, of, part) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let value = match value {
        None | Some(FeatureValue::Missing) => return missing(name, group, of, part),
        Some(FeatureValue::Count(value)) => value.to_string(),
        Some(FeatureValue::Ms(value)) => match (part, value) {
            (Some("overdue"), ..0) => return format!("{of} is due in {}", span(-value)),
            (Some("kept_late"), ..0) => return format!("{of} came {} before it was due", span(-value)),
            _ => span(value),
        },
        Some(FeatureValue::Number(value)) => value.to_string(),
        Some(FeatureValue::Category(value)) => settings.catalogue.text(value).to_owned(),
    };
    match (group, of, part) {
        ("p", _, Some("open")) => format!("{of} has been open for {value}"),
        ("p", _, Some("overdue")) => format!("{of} is overdue by {value}"),
        ("p", _, Some("kept")) => format!("{of} took {value}"),
        ("p", _, Some("kept_late")) => format!("{of} came {value} late"),
        ("p", _, Some("len")) => format!("{value} were promised for {of}"),
        ("p", _, Some("surprise")) => format!("how unusual the wait for {of} is: {value} bits"),
        ("m", _, _) => match of.strip_prefix("sum_") {
            Some(of) => format!("{of} in all: {value}"),
            None => format!("{of}: {value}"),
        },
        ("g", _, _) => format!("{of}: {value}"),
        _ => format!("{}: {value}", plain(name)),
    }
}

fn missing(name: &str, group: &str, of: &str, part: Option<&str>) -> String {
    match (group, part) {
        ("p", Some("open" | "overdue")) => format!("{of} is not open"),
        ("p", Some("kept" | "kept_late")) => format!("{of} has not come"),
        ("p", _) => format!("nothing to say of {of}"),
        ("m" | "g", _) => format!("{of}: not given"),
        _ => format!("{}: none", plain(name)),
    }
}

/// What a feature of the customer or the item counts.
fn plain(name: &str) -> &str {
    match name {
        "c.n7" => "touchpoints of the last 7 days",
        "c.in7" => "contacts by the customer in the last 7 days",
        "c.silence" => "time since the last touchpoint",
        "c.past" => "items closed before",
        "c.past_bad" => "items that went badly before",
        "c.open_items" => "other open items",
        "x.p" => "how the customer feels, good above zero",
        "x.W7" => "how much that rests on",
        "x.last_age" => "time since something told how they feel",
        "x.effort" => "contacts by the customer, halved each day",
        "r.n" => "purchases",
        "r.recency" => "time since the last purchase",
        "r.ratio" => "that time against the usual one",
        "i.age" => "age",
        "i.n" => "touchpoints about it",
        "i.stage" => "stage",
        "i.stage_age" => "time in this stage",
        "i.since_in" => "time since the customer's last contact about it",
        "i.dur" => "handling time in all",
        other => other,
    }
}

/// A length of time in its largest unit.
#[must_use]
pub fn span(span_ms: i64) -> String {
    let units = [(DAY_MS, "days"), (HOUR_MS, "hours"), (MINUTE_MS, "minutes")];
    let (unit_ms, name) = units.into_iter().find(|(unit_ms, _)| span_ms >= *unit_ms).unwrap_or((SECOND_MS, "seconds"));
    let tenths = span_ms * 10 / unit_ms;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// The touchpoint of a piece of evidence: what it was in the catalogue's words, its kind and channel, and when.
fn touchpoint(evidence: &Evidence, settings: &Settings) -> String {
    let kind = settings.catalogue.text(evidence.kind);
    let entry = settings.catalogue.kind(evidence.kind);
    let described = entry.and_then(|entry| entry.kind.description.as_deref());
    let description =
        described.and_then(|text| text.split(';').next()).map(|text| format!("{text} ")).unwrap_or_default();
    format!("{description}({kind}, {}), {}", evidence.channel.as_str(), clock(evidence.occurred_at))
}

/// `2026-03-02 09:00:00 UTC`, to the millisecond where that says more.
#[must_use]
pub fn clock(at: Timestamp) -> String {
    let format = if at.0 % 1_000 == 0 { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S%.3f UTC" };
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| at.0.to_string(), |moment| moment.strftime(format).to_string())
}
