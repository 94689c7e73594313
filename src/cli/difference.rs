//! What `touchline backtest` found, as a table for people and as JSON for machines.

use crate::insight::{self, About, Hits, Items, Match, Opened, Quartiles, Share, quartiles};
use crate::model::{Timestamp, Touchpoint};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    /// Records read.
    pub(super) records: u64,
    /// … and rejected: by the base, by the candidate.
    pub(super) rejected: [u64; 2],
    pub(super) kinds: BTreeMap<Cow<'static, str>, Counts>,
    pub(super) labels: Vec<Judged>,
    pub(super) stories: Vec<Story>,
}

/// Alerts of one kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    base: usize,
    candidate: usize,
    same: usize,
    earlier: usize,
    later: usize,
    added: usize,
    removed: usize,
    /// Customers for whom something differs.
    pub(super) customers: usize,
    /// How much later (negative: earlier) those opened that both have at different times, in ms.
    #[serde(skip)]
    shifts_ms: Vec<i64>,
}

impl Counts {
    /// Counts a match.
    pub(super) fn take(&mut self, found: Match) {
        let (base, candidate, place) = match found {
            Match::Both(_, 0) => (1, 1, &mut self.same),
            Match::Both(_, later_ms) => {
                self.shifts_ms.push(later_ms);
                (1, 1, if later_ms < 0 { &mut self.earlier } else { &mut self.later })
            }
            Match::Added(_) => (0, 1, &mut self.added),
            Match::Removed(_) => (1, 0, &mut self.removed),
        };
        *place += 1;
        self.base += base;
        self.candidate += candidate;
    }
}

/// How well the alerts of one kind foretold one outcome.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    outcome: String,
    /// Labelled items, and how many of them turned out bad.
    items: usize,
    bad: usize,
    kind: String,
    base: Foretold,
    candidate: Foretold,
    added: Foretold,
    removed: Foretold,
}

#[derive(Debug, Serialize)]
struct Foretold {
    judged: usize,
    right: usize,
    precision: Option<f64>,
    recall: Option<f64>,
}

impl From<Hits> for Foretold {
    fn from(hits: Hits) -> Self {
        let Share { part, whole } = hits.right;
        Self { judged: whole, right: part, precision: hits.right.value(), recall: hits.found.value() }
    }
}

/// Judges the alerts of every kind that differs by the labels of one outcome.
pub(super) fn judged(outcome: &str, items: &Items, found: &[(About, Match)]) -> Vec<Judged> {
    let mut kinds: BTreeMap<&str, [Vec<Opened>; 4]> = BTreeMap::new();
    for (about, found) in found {
        let [base, candidate, added, removed] = kinds.entry(&*about.kind).or_default();
        let opened = |at| Opened { customer_id: Arc::clone(&about.customer_id), item: about.item.clone(), at };
        match found {
            Match::Both(new, later_ms) => {
                base.push(opened(new.opened.minus(*later_ms)));
                candidate.push(opened(new.opened));
            }
            Match::Added(new) => [candidate, added].into_iter().for_each(|list| list.push(opened(new.opened))),
            Match::Removed(old) => [base, removed].into_iter().for_each(|list| list.push(opened(old.opened))),
        }
    }
    let Share { part, whole } = items.bad();
    let judge = |(kind, lists): (&str, [Vec<Opened>; 4])| {
        let [base, candidate, added, removed] = lists.map(|list| Foretold::from(items.judge(&list)));
        Judged {
            outcome: outcome.to_owned(),
            items: whole,
            bad: part,
            kind: kind.to_owned(),
            base,
            candidate,
            added,
            removed,
        }
    };
    kinds.into_iter().map(judge).collect()
}

/// One customer's touchpoints, and the alerts of both.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    customer_id: String,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    at_ms: i64,
    touchpoint: Option<String>,
    base: Option<String>,
    candidate: Option<String>,
}

impl Story {
    /// The alerts of a customer.
    pub(super) fn of(customer_id: &str, found: &[(About, Match)]) -> Self {
        let mut lines = Vec::new();
        let mut line = |at: Timestamp, base, candidate| {
            lines.push(Line { at_ms: at.0, touchpoint: None, base, candidate });
        };
        for (about, found) in found.iter().filter(|(about, _)| *about.customer_id == *customer_id) {
            let item = about.item.as_ref().map(|item| format!(" ({item})")).unwrap_or_default();
            let text = format!("{}{item}", about.kind);
            match found {
                Match::Both(new, 0) => line(new.opened, Some(text.clone()), Some(text)),
                Match::Both(new, later_ms) => {
                    line(new.opened.minus(*later_ms), Some(text.clone()), None);
                    line(new.opened, None, Some(text));
                }
                Match::Added(new) => line(new.opened, None, Some(text)),
                Match::Removed(old) => line(old.opened, Some(text), None),
            }
        }
        Self { customer_id: customer_id.to_owned(), lines }
    }

    /// Adds a touchpoint.
    pub(super) fn touchpoint(&mut self, touchpoint: &Touchpoint<'_>) {
        let mut text = format!("{} ({})", touchpoint.kind, touchpoint.channel.as_str());
        if let Some(rating) = touchpoint.rating {
            text.push_str(&format!(" {} of {}", rating.value, rating.max));
        }
        self.happened(touchpoint.occurred_at, text);
    }

    /// Adds what the labels say.
    pub(super) fn turned_out_bad(&mut self, outcome: &str, item: Option<&str>, at: Timestamp) {
        let item = item.map(|item| format!(" ({item})")).unwrap_or_default();
        self.happened(at, format!("= turned out bad: {outcome}{item}"));
    }

    fn happened(&mut self, at: Timestamp, what: String) {
        self.lines.push(Line { at_ms: at.0, touchpoint: Some(what), base: None, candidate: None });
    }

    /// Puts the lines in order of time; what happened before what was said of it.
    pub(super) fn sort(&mut self) {
        self.lines.sort_by_key(|line| (line.at_ms, line.touchpoint.is_none()));
    }

    fn text(&self) -> String {
        let mut text = format!("\ncustomer {}\n  {:<18}{:<44}{:<36}candidate\n", self.customer_id, "", "", "base");
        for line in &self.lines {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let (touchpoint, base) = (part(&line.touchpoint), part(&line.base));
            let told = format!("  {:<18}{touchpoint:<44}{base:<36}{}", moment(line.at_ms), part(&line.candidate));
            text.push_str(told.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Histories span years.
fn moment(at_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(at_ms);
    moment.map_or_else(|_| at_ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

impl Difference {
    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for (name, rejected) in ["base", "candidate"].into_iter().zip(self.rejected).filter(|(_, count)| *count > 0) {
            text += &format!(
                "{name}: {rejected} of {} records rejected; `touchline check` with this configuration and the file says why\n\n",
                self.records
            );
        }
        text += &format!(
            "{:<24}{:>7}{:>11}{:>7}{:>9}{:>7}{:>7}{:>9}{:>11}  {}\n",
            "alerts opened",
            "base",
            "candidate",
            "same",
            "earlier",
            "later",
            "added",
            "removed",
            "customers",
            "moved by (median)"
        );
        for (kind, counts) in &self.kinds {
            let Counts { base, candidate, same, earlier, later, added, removed, customers, shifts_ms } = counts;
            let moved = quartiles(shifts_ms.clone()).map_or(String::new(), |Quartiles { median, .. }| {
                format!("{:.1} days {}", insight::days(median.abs()), if median < 0 { "earlier" } else { "later" })
            });
            let line = format!(
                "{kind:<24}{base:>7}{candidate:>11}{same:>7}{earlier:>9}{later:>7}{added:>7}{removed:>9}{customers:>11}  {moved}"
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if self.kinds.is_empty() {
            text.push_str("no alerts at all\n");
        }
        self.labels_text(&mut text);
        self.stories.iter().for_each(|story| text.push_str(&story.text()));
        text
    }
}

impl Difference {
    /// Were the warnings right? Of the kinds that differ; the others foretell what they foretold.
    fn labels_text(&self, text: &mut String) {
        let differs = |judged: &&Judged| {
            let count = self.kinds.get(judged.kind.as_str());
            let moved = count.is_some_and(|counts| counts.earlier + counts.later > 0);
            moved || judged.added.judged + judged.removed.judged > 0
        };
        let mut outcome = "";
        for judged in self.labels.iter().filter(differs) {
            if judged.outcome != outcome {
                outcome = &judged.outcome;
                text.push_str(&format!(
                    "\n{outcome}: {} of {} labelled turned out bad. Warnings before that, how many were right, and what \
                     share of the bad they found:\n{:<24}{:<36}{:<36}{:<20}{}\n",
                    judged.bad, judged.items, "kind", "base", "candidate", "added", "removed"
                ));
            }
            let Judged { kind, base, candidate, added, removed, .. } = judged;
            let (base, candidate) = (base.found(), candidate.found());
            let line = format!("{kind:<24}{base:<36}{candidate:<36}{:<20}{}", added.right(), removed.right());
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

impl Foretold {
    /// `1046 of 1612 (65 %)`.
    fn right(&self) -> String {
        let Self { judged, right, precision, .. } = self;
        precision
            .map_or_else(|| "–".to_owned(), |precision| format!("{right} of {judged} ({:.0} %)", precision * 100.0))
    }

    fn found(&self) -> String {
        let recall = self.recall.map_or(String::new(), |recall| format!(", found {:.1} %", recall * 100.0));
        format!("{}{recall}", self.right())
    }
}
