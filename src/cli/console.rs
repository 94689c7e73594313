//! Alerts as lines for people: what happened to whom, why it is an alert, and what it rests on. Reads the records of
//! the alerts topic, so it shows what any consumer of it would see.

use crate::model::{Channel, Name, Timestamp, time::DAY_MS};
use crate::rules::catalogue::Catalogue;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the console reads of an alert change (`schemas/alert.json`).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Alert {
    pub(super) phase: String,
    pub(super) customer_id: String,
    pub(super) kind: String,
    pub(super) severity: String,
    pub(super) event_time: i64,
    figure: String,
    before: Option<f64>,
    after: f64,
    threshold: f64,
    #[serde(default)]
    evidence: Vec<Evidence>,
    channel: Option<Channel>,
    item: Option<Item>,
    outcome: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Evidence {
    kind: String,
    channel: Channel,
    occurred_at: i64,
    contribution: f64,
    /// Of a stalled journey: the step it waits for.
    of: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Item {
    #[serde(rename = "type")]
    item_type: String,
    id: String,
}

impl Alert {
    /// Where it happened: the touchpoint's channel, for a timer's alert that of the strongest evidence.
    pub(super) fn channel(&self) -> Option<Channel> {
        self.channel.or_else(|| self.evidence.first().map(|evidence| evidence.channel))
    }

    /// One line: when, how bad, who, what happened, and because of which touchpoints.
    pub(super) fn line(&self, catalogue: &Catalogue, colours: bool) -> String {
        let severity = paint(&self.severity, &self.severity.to_uppercase(), colours);
        let channel = self.channel().map(|channel| format!(" ({})", words(channel.as_str()))).unwrap_or_default();
        let mut line = format!(
            "{} · {severity} {}: customer {}{channel} {}",
            clock(Timestamp(self.event_time)),
            words(&self.kind),
            self.customer_id,
            self.sentence(catalogue),
        );
        let because = self.because(catalogue);
        if !because.is_empty() {
            line.push_str(" · because: ");
            line.push_str(&because);
        }
        line
    }

    /// What happened, after "customer c-1".
    fn sentence(&self, catalogue: &Catalogue) -> String {
        let (after, threshold) = (self.after, self.threshold);
        let before = self.before.unwrap_or(0.0);
        match self.kind.as_str() {
            "sentiment_drop" => format!(
                "has turned unhappy within a week: perception fell from {before:+.2} to {after:+.2} on a scale of -1 to +1 (alert at {threshold:+.2} or below)"
            ),
            "expectation_gap" => format!(
                "is used to good experiences ({before:+.2}) and now gets far worse ({after:+.2}; alert at {threshold:+.2} or below)"
            ),
            "detractor" => self.answer(),
            "service_failure" => self.failure(catalogue),
            "double_deviation" => format!(
                "was failed {} times within 30 days; the latest: {}",
                self.after.round(),
                self.newest(catalogue)
            ),
            "recovery_confirmed" => {
                format!("was failed, helped, and is pleased again: scored {after:+.2} after the recovery")
            }
            "journey_stalled" => {
                let step = self.evidence.first().and_then(|line| line.of.as_deref()?.split_once('.'));
                let step = step.map_or("did not finish".to_owned(), |(_, step)| format!("has not come to {step}"));
                format!("{} and {step} within {}", self.newest(catalogue), hours(threshold))
            }
            "silent_after_bad" => format!(
                "used to come often and has been silent for {} days, since a bad experience (remembered as {after:+.2})",
                self.days_silent()
            ),
            "conversation_declining" => format!(
                "is losing patience{}: the mood fell by {:.2} from the first to the last third (alert at {:.2})",
                self.about(),
                -2.0 * after,
                -2.0 * threshold
            ),
            "frustration_burst" => format!(
                "has {after:.0} points of frustration in one session: clicks in vain and errors (alert at {threshold:.0})"
            ),
            "high_effort" => self.effort(),
            "repeat_contact" => {
                format!("had to turn to service {} times within 7 days{}", after.round(), self.about())
            }
            "sla_breach" => {
                format!("waited {} in the queue (target {})", seconds(after), seconds(threshold))
            }
            "advocate" => {
                format!("recommends us: {after} {}", if self.figure == "nps" { "of 10 (NPS)" } else { "stars" })
            }
            "indirect_negative" => {
                format!("speaks badly of us in public: scored {after:+.2} (alert at {threshold:+.2} or below)")
            }
            "promise_overdue" if after < 0.05 => {
                format!("waits{} for what was promised, and its time is up", self.about())
            }
            "promise_overdue" => format!("waits{} for what was promised, {after:.1} days past its time", self.about()),
            "outcome_risk" | "churn_risk" => format!(
                "is likely to end in {}{} (risk {after:.2}, alert at {threshold:.2})",
                words(self.outcome.as_deref().unwrap_or("a bad outcome")),
                self.about()
            ),
            // A rule this console has no sentence for: its figures speak.
            _ => format!("{} {before:+.2} → {after:+.2} (threshold {threshold:+.2})", words(&self.figure)),
        }
    }

    fn answer(&self) -> String {
        let (after, threshold) = (self.after.round(), self.threshold.round());
        match self.figure.as_str() {
            "nps" => format!("would not recommend us: {after} of 10 (NPS, alert at {threshold} or below)"),
            "stars" => format!("gave {after} of 5 stars (alert at {threshold} or below)"),
            _ => format!("is not satisfied: {after} of 5 in a survey (alert at {threshold} or below)"),
        }
    }

    fn failure(&self, catalogue: &Catalogue) -> String {
        let item = self.about();
        match self.figure.as_str() {
            "days_late" => {
                format!(
                    "waited{item}: it came {:.1} days after the promised date (alert at {:.0} day)",
                    self.after, self.threshold
                )
            }
            "refused_payments" => format!("had {} payments refused in a row{item}", self.after.round()),
            _ => format!("was failed{item}: {}", self.newest(catalogue)),
        }
    }

    fn effort(&self) -> String {
        let (after, threshold) = (self.after, self.threshold.round());
        match self.figure.as_str() {
            "ces" => format!("found it hard to get help: {after} of 7 for ease (alert at {threshold} or below)"),
            "transfers" => format!("was passed on {} times in one conversation", after.round()),
            "channels" => format!("had to use {} channels for the same thing within a day", after.round()),
            _ => format!("has to work too hard: {after:.1} points of effort (alert at {threshold})"),
        }
    }

    /// " on order o-7", or nothing.
    fn about(&self) -> String {
        self.item.as_ref().map(|item| format!(" on {} {}", item.item_type, item.id)).unwrap_or_default()
    }

    fn days_silent(&self) -> i64 {
        let last = self.evidence.iter().map(|evidence| evidence.occurred_at).max();
        (self.event_time - last.unwrap_or(self.event_time)) / DAY_MS
    }

    /// The newest piece of evidence in words.
    fn newest(&self, catalogue: &Catalogue) -> String {
        let failed = self.kind.ends_with("failure") || self.kind == "double_deviation";
        let newest = self.evidence.iter().max_by_key(|evidence| evidence.occurred_at);
        newest.map_or_else(|| "see the evidence".into(), |evidence| evidence.describe(catalogue, failed))
    }

    /// At most three touchpoints behind it, those that pull the way the alert says; with their shares where the figure
    /// is a score. Empty when the sentence has said it all.
    fn because(&self, catalogue: &Catalogue) -> String {
        let scored = matches!(self.figure.as_str(), "perception" | "score" | "remembered");
        let bad = !matches!(self.kind.as_str(), "recovery_confirmed" | "advocate");
        let mut told: Vec<(String, usize, f64)> = Vec::new();
        for evidence in self.evidence.iter().filter(|evidence| !scored || (evidence.contribution < 0.0) == bad) {
            let text = format!("{} ({})", evidence.describe(catalogue, bad), words(evidence.channel.as_str()));
            match told.iter_mut().find(|(known, ..)| *known == text) {
                Some((_, count, sum)) => (*count, *sum) = (*count + 1, *sum + evidence.contribution),
                None => told.push((text, 1, evidence.contribution)),
            }
        }
        if !scored && told.len() < 2 {
            return String::new();
        }
        let line = |(text, count, sum): &(String, usize, f64)| {
            let times = if *count > 1 { format!(" ×{count}") } else { String::new() };
            let share = if scored { format!(" {sum:+.2}") } else { String::new() };
            format!("{text}{times}{share}")
        };
        told.iter().take(3).map(line).collect::<Vec<_>>().join(", ")
    }
}

impl Evidence {
    /// The catalogue's words for the kind, without what only matters to the scorer. `bad`: told as a reason for
    /// something bad, where a kept promise can only mean that it was kept late.
    fn describe(&self, catalogue: &Catalogue, bad: bool) -> String {
        let kind = catalogue.kind(Name::of(&self.kind)).map(|entry| &entry.kind);
        if bad && kind.is_some_and(|kind| kind.fulfils) {
            return "a delivery came too late".into();
        }
        let described = kind.and_then(|kind| kind.description.as_deref());
        let text = described.and_then(|text| text.split(';').next()).map_or_else(|| words(&self.kind), str::to_owned);
        let mut letters = text.chars();
        letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
    }
}

/// Alerts so far, by kind and channel.
#[derive(Debug, Default)]
pub(super) struct Tally {
    opened: BTreeMap<String, u64>,
    resolved: u64,
    channels: BTreeSet<Channel>,
}

impl Tally {
    /// Counts one change.
    pub(super) fn count(&mut self, alert: &Alert) {
        match alert.phase.as_str() {
            "opened" => {
                *self.opened.entry(alert.kind.clone()).or_default() += 1;
                self.channels.extend(alert.channel());
            }
            "resolved" => self.resolved += 1,
            _ => {}
        }
    }

    /// Alerts opened.
    pub(super) fn total(&self) -> u64 {
        self.opened.values().sum()
    }

    /// `31 alerts (detractor 12, service failure 19), 7 resolved`.
    pub(super) fn text(&self) -> String {
        let kinds: Vec<String> = self.opened.iter().map(|(kind, count)| format!("{} {count}", words(kind))).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        format!("{} alerts{kinds}, {} resolved", self.total(), self.resolved)
    }

    /// Channels on which alerts arose.
    pub(super) fn channels(&self) -> String {
        let names: Vec<String> = self.channels.iter().map(|channel| words(channel.as_str())).collect();
        names.join(", ")
    }
}

/// `14 Nov 09:05`, UTC.
pub(super) fn clock(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| "?".into(), |at| at.strftime("%d %b %H:%M").to_string())
}

/// A name of ours as words.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn hours(hours: f64) -> String {
    if hours <= 1.0 { format!("{:.0} minutes", hours * 60.0) } else { format!("{hours:.0} hours") }
}

fn seconds(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} seconds") } else { format!("{:.0} minutes", seconds / 60.0) }
}

fn paint(severity: &str, text: &str, colours: bool) -> String {
    let code = match severity {
        "critical" => "1;31",
        "high" => "31",
        "warning" => "33",
        _ => "32",
    };
    if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::catalogue::CatalogueFile;
    use serde_json::json;

    fn line(alert: serde_json::Value) -> String {
        let mut whole = json!({
            "phase": "opened", "customer_id": "c-1", "severity": "high", "event_time": 1_767_225_600_000_i64,
            "evidence": [], "channel": "web",
        });
        whole.as_object_mut().unwrap().extend(alert.as_object().unwrap().clone());
        let alert: Alert = serde_json::from_value(whole).unwrap();
        let file: CatalogueFile = toml::from_str(include_str!("../../config/catalogue.toml")).unwrap();
        alert.line(&Catalogue::new(&file).unwrap(), false)
    }

    #[test]
    fn every_kind_has_a_sentence_of_its_own() {
        for row in crate::rules::TABLE {
            let text =
                line(json!({ "kind": row.name, "figure": "x", "before": 0.5, "after": -0.25, "threshold": 1.0 }));
            assert!(!text.contains("→"), "{}: {text}", row.name);
        }
    }

    #[test]
    fn lines_say_what_happened_and_because_of_what() {
        let evidence = |kind: &str, channel: &str, contribution: f64| json!({ "kind": kind, "channel": channel, "occurred_at": 1_767_225_600_000_i64 - 15 * DAY_MS, "contribution": contribution });
        let item = json!({ "type": "order", "id": "o-7" });
        for (alert, expected) in [
            (
                json!({ "kind": "service_failure", "figure": "days_late", "after": 3.04, "threshold": 1.0, "item": item,
                        "channel": "fulfilment", "evidence": [evidence("order_delivered", "fulfilment", 3.04)] }),
                "01 Jan 00:00 · HIGH service failure: customer c-1 (fulfilment) waited on order o-7: it came 3.0 days after \
                 the promised date (alert at 1 day)",
            ),
            (
                json!({ "kind": "sentiment_drop", "figure": "perception", "before": 0.4, "after": -0.3, "threshold": -0.2,
                        "evidence": [evidence("payment_failed", "web", -0.2), evidence("payment_failed", "web", -0.1)] }),
                "01 Jan 00:00 · HIGH sentiment drop: customer c-1 (web) has turned unhappy within a week: perception fell \
                 from +0.40 to -0.30 on a scale of -1 to +1 (alert at -0.20 or below) · because: the payment was refused \
                 (web) ×2 -0.30",
            ),
            (
                json!({ "kind": "double_deviation", "figure": "failures", "before": 1, "after": 2, "threshold": 2,
                        "evidence": [evidence("order_delivered", "fulfilment", 1.0), evidence("payment_failed", "web", 1.0)] }),
                "01 Jan 00:00 · HIGH double deviation: customer c-1 (web) was failed 2 times within 30 days; the latest: \
                 the payment was refused · because: a delivery came too late (fulfilment), the payment was refused (web)",
            ),
            (
                json!({ "kind": "silent_after_bad", "figure": "remembered", "after": -0.7, "threshold": -0.4, "channel": null,
                        "evidence": [evidence("payment_failed", "web", -0.7)] }),
                "01 Jan 00:00 · HIGH silent after bad: customer c-1 (web) used to come often and has been silent for 15 days, \
                 since a bad experience (remembered as -0.70) · because: the payment was refused (web) -0.70",
            ),
        ] {
            assert_eq!(line(alert), expected);
        }
    }

    #[test]
    fn tally_counts_openings_by_kind_and_resolutions() {
        let mut tally = Tally::default();
        for (kind, phase) in
            [("detractor", "opened"), ("detractor", "opened"), ("detractor", "resolved"), ("detractor", "updated")]
        {
            let alert = json!({ "phase": phase, "customer_id": "c", "kind": kind, "severity": "info", "event_time": 0,
                                "figure": "nps", "after": 1, "threshold": 6, "channel": "support" });
            tally.count(&serde_json::from_value(alert).unwrap());
        }
        assert_eq!(tally.text(), "2 alerts (detractor 2), 1 resolved");
        assert_eq!(tally.channels(), "support");
    }
}
