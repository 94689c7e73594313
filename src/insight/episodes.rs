//! Alerts of two configurations over the same history, matched by what they are about and when.
//!
//! An alert's life is an episode: from its opening to its end, or open to the end of the history. Two episodes of the same
//! customer, kind and item that overlap are the same alert, seen earlier or later; what overlaps nothing was added or
//! removed. Ids are not compared: they hash what began the episode, which the configuration may move.

use crate::model::{Name, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The rule's kind.
    pub kind: Cow<'static, str>,
    /// Whose.
    pub customer_id: Arc<str>,
    /// Id of the item.
    pub item: Option<Arc<str>>,
    /// The outcome it is about, of rules that foretell one.
    pub outcome: Option<Name>,
}

/// One alert from opening to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Episode {
    /// When it opened.
    pub opened: Timestamp,
    /// When it was resolved; none while open.
    pub resolved: Option<Timestamp>,
}

impl Episode {
    fn ends_before(&self, other: &Self) -> bool {
        self.resolved.is_some_and(|resolved| resolved < other.opened)
    }
}

/// All alerts of a history.
#[derive(Debug, Clone, Default)]
pub struct Episodes {
    by_subject: BTreeMap<About, Vec<Episode>>,
}

impl Episodes {
    /// An alert opened.
    pub fn open(&mut self, about: About, at: Timestamp) {
        self.by_subject.entry(about).or_default().push(Episode { opened: at, resolved: None });
    }

    /// It was resolved.
    pub fn resolve(&mut self, about: &About, at: Timestamp) {
        if let Some(last) = self.by_subject.get_mut(about).and_then(|episodes| episodes.last_mut()) {
            last.resolved = Some(at);
        }
    }

    /// Every alert with what it is about, in order of kind, customer and time.
    pub fn iter(&self) -> impl Iterator<Item = (&About, &Episode)> {
        self.by_subject.iter().flat_map(|(about, episodes)| episodes.iter().map(move |episode| (about, episode)))
    }
}

/// One difference, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Both have it; how much later the candidate opened it, in ms (negative: earlier).
    Both(Episode, i64),
    /// Only the candidate has it.
    Added(Episode),
    /// Only the base has it.
    Removed(Episode),
}

/// Matches the alerts of two configurations.
#[must_use]
pub fn matches(base: &Episodes, candidate: &Episodes) -> Vec<(About, Match)> {
    let none = Vec::new();
    let mut matches = Vec::new();
    for (about, olds) in &base.by_subject {
        let news = candidate.by_subject.get(about).unwrap_or(&none);
        matches.extend(pairs(olds, news).into_iter().map(|found| (about.clone(), found)));
    }
    for (about, news) in candidate.by_subject.iter().filter(|(about, _)| !base.by_subject.contains_key(about)) {
        matches.extend(news.iter().map(|episode| (about.clone(), Match::Added(*episode))));
    }
    matches
}

/// Both lists are in order of time and do not overlap themselves.
fn pairs(olds: &[Episode], news: &[Episode]) -> Vec<Match> {
    let (mut olds, mut news) = (olds.iter().peekable(), news.iter().peekable());
    let mut found = Vec::new();
    loop {
        match (olds.peek().copied(), news.peek().copied()) {
            (Some(old), Some(new)) if old.ends_before(new) => {
                found.push(Match::Removed(*old));
                olds.next();
            }
            (Some(old), Some(new)) if new.ends_before(old) => {
                found.push(Match::Added(*new));
                news.next();
            }
            (Some(old), Some(new)) => {
                found.push(Match::Both(*new, new.opened.since(old.opened)));
                olds.next();
                news.next();
            }
            (Some(old), None) => {
                found.push(Match::Removed(*old));
                olds.next();
            }
            (None, Some(new)) => {
                found.push(Match::Added(*new));
                news.next();
            }
            (None, None) => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episodes(list: &[(i64, Option<i64>)]) -> Vec<Episode> {
        list.iter().map(|(from, to)| Episode { opened: Timestamp(*from), resolved: to.map(Timestamp) }).collect()
    }

    #[test]
    fn what_overlaps_is_the_same_alert_and_the_rest_was_added_or_removed() {
        for (olds, news, wanted) in [
            (vec![(0, Some(10))], vec![(5, Some(20))], "later 5"),
            (vec![(5, None)], vec![(0, Some(6))], "later -5"),
            (vec![(0, Some(10))], vec![(11, None)], "removed, added"),
            (vec![(0, Some(2)), (20, None)], vec![(21, None)], "removed, later 1"),
            (vec![], vec![(1, None)], "added"),
            // One long alert against two short ones: the first is the same, the second is new.
            (vec![(0, Some(100))], vec![(1, Some(5)), (50, None)], "later 1, added"),
        ] {
            let told: Vec<String> = pairs(&episodes(&olds), &episodes(&news))
                .into_iter()
                .map(|found| match found {
                    Match::Both(_, later_ms) => format!("later {later_ms}"),
                    Match::Added(_) => "added".to_owned(),
                    Match::Removed(_) => "removed".to_owned(),
                })
                .collect();
            assert_eq!(told.join(", "), wanted);
        }
    }
}
