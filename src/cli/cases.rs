//! Cases: touchpoints and the alerts they must give, in one readable file each.
//!
//! ```toml
//! about = "A parcel two days late is a failure; a voucher makes it good"
//! only = ["service_failure"]          # other kinds are not looked at; all without it
//! until = "+40d"                      # time goes on to here after the last touchpoint
//!
//! [[touchpoint]]                      # the fields of touchpoint-json; id, source and customer_id may be left out
//! at = "2026-03-02T09:00:00Z"
//! kind = "order_completed"
//! order_id = "o-1"
//! due_at = "+2d"                      # times: RFC 3339, or after the first touchpoint
//!
//! [[expect]]
//! at = "+4d 2h"
//! kind = "service_failure"
//! ```
//! A touchpoint with `record = { … }` is a record of the user's own, read by the input it names (`input = "orders"`, or the
//! only one).

use crate::codec::{Input, RawRecord};
use crate::config::Config;
use crate::engine::Settings;
use crate::model::time::Span;
use crate::model::{AlertChange, Phase, Position, Severity, Timestamp};
use crate::pipeline::{Fate, Partition};
use crate::rules::TABLE;
use serde::Deserialize;
use std::sync::Arc;
use toml::{Spanned, Table, Value};

/// Times without a touchpoint before them count from here: 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp(1_767_225_600_000);

/// A case as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// One line for people.
    pub(super) about: String,
    /// Configuration, relative to the case; that of the command without it.
    pub(super) config: Option<String>,
    #[serde(default)]
    only: Vec<Spanned<String>>,
    until: Option<Spanned<String>>,
    #[serde(default)]
    touchpoint: Vec<Spanned<Table>>,
    #[serde(default)]
    expect: Vec<Expect>,
}

/// An alert that must come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    at: Spanned<String>,
    kind: Spanned<String>,
    #[serde(default)]
    phase: Option<Spanned<String>>,
    #[serde(default)]
    severity: Option<Severity>,
    #[serde(default)]
    customer_id: Option<String>,
    /// Id of the item.
    #[serde(default)]
    item: Option<String>,
    /// Why it ended.
    #[serde(default)]
    reason: Option<String>,
}

/// What became of a case.
#[derive(Debug)]
pub(super) enum Verdict {
    /// All as expected.
    Pass,
    /// What differs, line by line.
    Fail(String),
}

/// Runs the case of a file's text.
///
/// # Errors
/// What is wrong with the case: line, what, hint.
pub(super) fn run(text: &str, case: &Case, config: &Config) -> Result<Verdict, String> {
    let mut config = config.clone();
    // What a touchpoint is about is for the first input to say.
    let item = config.inputs.first().map_or_else(Vec::new, |input| input.item.clone());
    config.inputs.push(Input { name: "touchpoint".into(), source: Some("case".into()), item, ..Input::default() });
    let sources = config.inputs.iter().enumerate().map(|(at, input)| (input.name.clone(), at)).collect();
    let plan = config.plan(sources, 0);
    let mut partition = Partition::new(Arc::clone(&plan), Arc::clone(&plan.scorer), 0, 0, false);
    partition.mute_experience();
    let mut first = None;
    for (number, touchpoint) in (1..).zip(&case.touchpoint) {
        let line = line_of(text, touchpoint.span().start);
        let wrong = |message: String| format!("line {line}: {message}");
        let (source, payload) = payload(touchpoint.get_ref(), number, first, &config).map_err(wrong)?;
        let position = Position { source, partition: 0, offset: number };
        let raw = RawRecord { position, value: Some(&payload), ..RawRecord::default() };
        let mut decoded = plan.decode(&raw);
        if let Ok(touchpoint) = &decoded {
            first = first.or(Some(touchpoint.occurred_at));
        }
        if let Err(rejection) = &decoded {
            return Err(wrong(format!("rejected as {}: {}", rejection.code.as_str(), rejection.detail)));
        }
        if let Fate::Refused(limit) = partition.accept(&raw, &mut decoded) {
            return Err(wrong(format!("refused by the limit {}", limit.as_str())));
        }
    }
    partition.finish();
    let start = first.unwrap_or(START);
    if let Some(until) = &case.until {
        let until = moment(until.get_ref(), Some(start))
            .map_err(|hint| format!("line {}: until: {hint}", line_of(text, until.span().start)))?;
        let grace_ms = plan.settings.timing.timer_grace.0;
        while partition.engine().next_deadline().is_some_and(|deadline| deadline <= until) {
            partition.idle(until.plus(grace_ms));
        }
    }
    compare(text, case, &plan.settings, partition.alerts(), start)
}

/// The source and the bytes of a touchpoint.
fn payload(table: &Table, number: i64, first: Option<Timestamp>, config: &Config) -> Result<(u16, Vec<u8>), String> {
    let own = table.get("record");
    let input = match table.get("input").and_then(Value::as_str) {
        Some(name) => config.input_named(name).ok_or_else(|| format!("no input \"{name}\" in the configuration"))?,
        None if own.is_none() || config.inputs.len() == 2 => {
            if own.is_some() {
                0
            } else {
                config.inputs.len() - 1
            }
        }
        None => return Err("say which input the record belongs to: input = \"…\"".into()),
    };
    let source = u16::try_from(input).map_err(|_| "too many inputs".to_owned())?;
    let value = match own {
        Some(record) => serde_json::to_value(record),
        None => serde_json::to_value(touchpoint(table, number, first)?),
    };
    let payload = value.and_then(|value| serde_json::to_vec(&value)).map_err(|error| error.to_string())?;
    Ok((source, payload))
}

/// A touchpoint in the documented form, with what the case left out.
fn touchpoint(table: &Table, number: i64, first: Option<Timestamp>) -> Result<Table, String> {
    const FIELDS: [&str; 28] = [
        "at",
        "input",
        "id",
        "source",
        "customer_id",
        "channel",
        "kind",
        "contact",
        "actor",
        "session_id",
        "conversation_id",
        "order_id",
        "product_id",
        "location_id",
        "topic",
        "rating",
        "text",
        "language",
        "wait_ms",
        "duration_ms",
        "outcome",
        "amount_minor",
        "currency",
        "due_at",
        "consent",
        "attributes",
        "identifiers",
        "record",
    ];
    let mut touchpoint = table.clone();
    if let Some(unknown) = table.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        let near = FIELDS.into_iter().max_by(|a, b| strsim::jaro(unknown, a).total_cmp(&strsim::jaro(unknown, b)));
        return Err(format!("no field \"{unknown}\" in a touchpoint; did you mean \"{}\"?", near.unwrap_or_default()));
    }
    let at = touchpoint.remove("at").ok_or("at is missing: when did it happen?")?;
    let time = |key: &str, value: &Value, first: Option<Timestamp>| -> Result<Timestamp, String> {
        let text = value.as_str().map(str::to_owned).or_else(|| value.as_datetime().map(ToString::to_string));
        let text = text.ok_or_else(|| format!("{key}: expected a time as text"))?;
        moment(&text, first).map_err(|hint| format!("{key}: {hint}"))
    };
    let occurred_at = time("at", &at, first)?;
    if let Some(due_at) = table.get("due_at") {
        let due_at = time("due_at", due_at, first.or(Some(occurred_at)))?;
        touchpoint.insert("due_at".into(), Value::Integer(due_at.0));
    }
    touchpoint.remove("input");
    touchpoint.insert("occurred_at".into(), Value::Integer(occurred_at.0));
    for (key, value) in
        [("id", format!("case-{number}")), ("customer_id", "customer".into()), ("channel", "web".into())]
    {
        touchpoint.entry(key).or_insert(Value::String(value));
    }
    Ok(touchpoint)
}

/// `"2026-03-02T09:00:00Z"`, or `"+2d 3h"` after the first touchpoint.
fn moment(text: &str, first: Option<Timestamp>) -> Result<Timestamp, String> {
    const HINT: &str = "expected a moment such as \"2026-03-02T09:00:00Z\", or \"+2d 3h\" after the first touchpoint";
    if let Some(spans) = text.strip_prefix('+') {
        let sum = spans.split_whitespace().try_fold(0_i64, |sum, span| Span::parse(span).map(|span| sum + span.0));
        return sum.map(|span_ms| first.unwrap_or(START).plus(span_ms)).map_err(|_| HINT.to_owned());
    }
    let moment: jiff::Timestamp = text.parse().map_err(|_| HINT.to_owned())?;
    Ok(Timestamp(moment.as_millisecond()))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// What must come against what came, told line by line.
fn compare(
    text: &str,
    case: &Case,
    settings: &Settings,
    alerts: &[AlertChange],
    start: Timestamp,
) -> Result<Verdict, String> {
    for kind in case.only.iter().chain(case.expect.iter().map(|expect| &expect.kind)) {
        known_kind(kind, settings).map_err(|what| format!("line {}: {what}", line_of(text, kind.span().start)))?;
    }
    let looked_at =
        |alert: &&AlertChange| case.only.is_empty() || case.only.iter().any(|kind| *kind.get_ref() == alert.kind);
    let mut found: Vec<&AlertChange> = alerts.iter().filter(looked_at).collect();
    let (mut as_expected, mut amiss) = (0, Vec::new());
    for expect in &case.expect {
        let wrong = |what: String, offset: usize| format!("line {}: {what}", line_of(text, offset));
        let at = moment(expect.at.get_ref(), Some(start))
            .map_err(|hint| wrong(format!("at: {hint}"), expect.at.span().start))?;
        if let Some(phase) = expect.phase.as_ref().filter(|phase| phase_of(phase.get_ref()).is_none()) {
            let what = format!("no phase \"{}\": opened, updated or resolved", phase.get_ref());
            return Err(wrong(what, phase.span().start));
        }
        match found
            .iter()
            .position(|alert| expect.is_same_kind(alert) && expect.differences(alert, at, start).is_empty())
        {
            Some(place) => {
                found.remove(place);
                as_expected += 1;
            }
            None => amiss.push((expect, at)),
        }
    }
    if amiss.is_empty() && found.is_empty() {
        return Ok(Verdict::Pass);
    }
    let mut told = String::new();
    for (expect, at) in amiss {
        let line = line_of(text, expect.kind.span().start);
        told += &format!("      line {line}: expected {}\n", expect.described(at, start));
        // The one that differs least, then the nearest, is the one that was meant.
        let distance = |alert: &&&AlertChange| {
            (expect.differences(alert, at, start).len(), alert.event_time.since(at).unsigned_abs())
        };
        let nearest = found.iter().filter(|alert| expect.is_same_kind(alert)).min_by_key(distance).copied();
        told += &match nearest {
            Some(alert) => {
                found.retain(|other| !std::ptr::eq(*other, alert));
                format!("              it came, but {}\n", expect.differences(alert, at, start).join(", and "))
            }
            None => "              it did not come\n".to_owned(),
        };
    }
    for alert in found {
        told += &format!("      not in the case: {}\n", described(alert, start));
    }
    if as_expected > 0 {
        told += &format!("      {as_expected} came as expected\n");
    }
    Ok(Verdict::Fail(told))
}

fn known_kind(kind: &Spanned<String>, settings: &Settings) -> Result<(), String> {
    let kind = kind.get_ref();
    let built_in = TABLE.iter().map(|row| row.name);
    let known: Vec<&str> = built_in.chain(settings.own_rules.iter().map(|rule| &*rule.name)).collect();
    let near = known.iter().min_by_key(|known| strsim::damerau_levenshtein(kind, known)).copied().unwrap_or_default();
    if known.contains(&kind.as_str()) {
        Ok(())
    } else {
        Err(format!("no kind of alert \"{kind}\"; did you mean \"{near}\"? `touchline rules` lists them"))
    }
}

fn phase_of(name: &str) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| phase.as_str() == name)
}

/// What happens, in a sentence: `detractor opens`.
const fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Opened => "opens",
        Phase::Updated => "changes",
        Phase::Resolved => "ends",
    }
}

impl Expect {
    fn phase(&self) -> Phase {
        self.phase.as_ref().and_then(|phase| phase_of(phase.get_ref())).unwrap_or(Phase::Opened)
    }

    fn is_same_kind(&self, alert: &AlertChange) -> bool {
        *self.kind.get_ref() == alert.kind && self.phase() == alert.phase
    }

    /// What is otherwise than expected, as ends of sentences.
    fn differences(&self, alert: &AlertChange, at: Timestamp, start: Timestamp) -> Vec<String> {
        let mut differences = Vec::new();
        if at != alert.event_time {
            let late_ms = alert.event_time.since(at);
            let (by, side) = (span(late_ms.abs()), if late_ms < 0 { "earlier" } else { "later" });
            differences.push(format!("at {}, {by} {side}", after(alert.event_time, start)));
        }
        if let Some(severity) = self.severity.filter(|severity| *severity != alert.severity) {
            differences.push(format!("with severity {}, not {}", alert.severity.as_str(), severity.as_str()));
        }
        let item = alert.item.as_ref().map(|item| &*item.id);
        for (what, wanted, is) in [
            ("about the item", &self.item, item),
            ("for the customer", &self.customer_id, Some(&*alert.customer_id)),
            ("for the reason", &self.reason, alert.reason),
        ] {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| Some(*wanted) != is) {
                differences.push(format!("{what} {}, not {wanted}", is.unwrap_or("(none)")));
            }
        }
        differences
    }

    fn described(&self, at: Timestamp, start: Timestamp) -> String {
        let mut text = format!("that {} {} at {}", self.kind.get_ref(), verb(self.phase()), after(at, start));
        text += &self.severity.map(|severity| format!(", severity {}", severity.as_str())).unwrap_or_default();
        for (what, part) in [("item", &self.item), ("customer", &self.customer_id), ("reason", &self.reason)] {
            text += &part.as_ref().map(|part| format!(", {what} {part}")).unwrap_or_default();
        }
        text
    }
}

fn described(alert: &AlertChange, start: Timestamp) -> String {
    let at = after(alert.event_time, start);
    let mut text = format!("{} {} at {at}, severity {}", alert.kind, verb(alert.phase), alert.severity.as_str());
    text += &alert.item.as_ref().map(|item| format!(", item {}", item.id)).unwrap_or_default();
    text += &format!(", customer {}", alert.customer_id);
    text += &alert.reason.map(|reason| format!(", reason {reason}")).unwrap_or_default();
    let figure = alert.figure.replace('_', " ");
    text += &format!(" ({figure} is {}, the threshold {})", alert.after, alert.threshold);
    text
}

/// `+2d 3h 5m` after the start.
fn after(at: Timestamp, start: Timestamp) -> String {
    format!("+{}", span(at.since(start)))
}

fn span(span_ms: i64) -> String {
    let (mut rest, mut parts) = (span_ms, Vec::new());
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if rest / unit_ms != 0 {
            parts.push(format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

/// Reads a case.
///
/// # Errors
/// Where it is no case: line, what, hint.
pub(super) fn parse(text: &str) -> Result<Case, String> {
    let case: Case = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        format!("line {line}: {}", error.message())
    })?;
    if case.touchpoint.is_empty() {
        return Err("line 1: a case needs at least one [[touchpoint]]".into());
    }
    Ok(case)
}
