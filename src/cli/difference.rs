//! What `touchline backtest` found, as a table for people and as JSON for machines.

use super::console::clock;
use crate::insight::{self, About, Hits, Items, Match, Opened, Share, quartiles};
use crate::model::{Timestamp, Touchpoint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) kinds: BTreeMap<&'static str, Counts>,
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
    kind: &'static str,
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
    let mut kinds: BTreeMap<&'static str, [Vec<Opened>; 4]> = BTreeMap::new();
    for (about, found) in found {
        let [base, candidate, added, removed] = kinds.entry(about.kind).or_default();
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
    let judge = |(kind, lists): (&'static str, [Vec<Opened>; 4])| {
        let [base, candidate, added, removed] = lists.map(|list| Foretold::from(items.judge(&list)));
        Judged { outcome: outcome.to_owned(), kind, base, candidate, added, removed }
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
        let (base, candidate) = (None, None);
        self.lines.push(Line { at_ms: touchpoint.occurred_at.0, touchpoint: Some(text), base, candidate });
    }

    /// Puts the lines in order of time; what happened before what was said of it.
    pub(super) fn sort(&mut self) {
        self.lines.sort_by_key(|line| (line.at_ms, line.touchpoint.is_none()));
    }

    fn text(&self) -> String {
        let mut text = format!("\ncustomer {}\n  {:<13} {:<34} {:<34} candidate\n", self.customer_id, "", "", "base");
        for line in &self.lines {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let (touchpoint, base) = (part(&line.touchpoint), part(&line.base));
            let told =
                format!("  {:<13} {touchpoint:<34} {base:<34} {}", clock(Timestamp(line.at_ms)), part(&line.candidate));
            text.push_str(told.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Difference {
    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{:<24}{:>7}{:>11}{:>7}{:>9}{:>7}{:>7}{:>9}{:>11}  {}\n",
            "kind",
            "base",
            "candidate",
            "same",
            "earlier",
            "later",
            "added",
            "removed",
            "customers",
            "moved by, median days"
        );
        for (kind, counts) in &self.kinds {
            let Counts { base, candidate, same, earlier, later, added, removed, customers, shifts_ms } = counts;
            let moved = quartiles(shifts_ms.clone())
                .map_or(String::new(), |quartiles| format!("{:+.1}", insight::days(quartiles.median)));
            let line = format!(
                "{kind:<24}{base:>7}{candidate:>11}{same:>7}{earlier:>9}{later:>7}{added:>7}{removed:>9}{customers:>11}  {moved}"
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if self.kinds.is_empty() {
            text.push_str("no alerts at all\n");
        }
        let mut outcome = "";
        for judged in self.labels.iter().filter(|judged| judged.base.judged + judged.candidate.judged > 0) {
            if judged.outcome != outcome {
                outcome = &judged.outcome;
                text.push_str(&format!(
                    "\nforetold {outcome}: precision and recall\n{:<24}{:>16}{:>16}{:>16}{:>16}\n",
                    "kind", "base", "candidate", "added", "removed"
                ));
            }
            text.push_str(&format!("{:<24}", judged.kind));
            for foretold in [&judged.base, &judged.candidate, &judged.added, &judged.removed] {
                text.push_str(&format!("{:>16}", foretold.text()));
            }
            text.push('\n');
        }
        self.stories.iter().for_each(|story| text.push_str(&story.text()));
        text
    }
}

impl Foretold {
    fn text(&self) -> String {
        let number = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{share:.3}"));
        format!("{} / {}", number(self.precision), number(self.recall))
    }
}
