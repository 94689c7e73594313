//! How well alerts foretold labelled outcomes, and how many there were for those who must read them.

use super::quantiles::{Quartiles, Share, quartiles};
use crate::model::Timestamp;
use crate::model::time::DAY_MS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A customer is active for so many days from a touchpoint on.
pub const ACTIVE_DAYS: i64 = 30;

/// An alert that opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// About whom.
    pub customer_id: Arc<str>,
    /// About which item; none = about the customer.
    pub item: Option<Arc<str>>,
    /// Its event time.
    pub at: Timestamp,
}

/// A labelled item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    /// None = the customer.
    entity: Option<Arc<str>>,
    /// When it turned out bad, and whether that moment is known, or just a moment before it. Empty = it did not.
    bad: Vec<(Timestamp, bool)>,
}

/// The labelled items of one outcome. Rows of one item are one item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Items {
    customers: BTreeMap<Arc<str>, Vec<Item>>,
}

/// What alerts of one kind came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Right ones of those on labelled items: precision.
    pub right: Share,
    /// Bad items with a right alert, of all bad items: recall.
    pub found: Share,
    /// Alerts on items without a label.
    pub unlabelled: usize,
    /// From a right alert to the outcome, in ms.
    pub lead_ms: Option<Quartiles>,
    /// The outcomes' moments are not known, only moments before them: leads are at least these.
    pub lead_at_least: bool,
}

impl Items {
    /// Adds a row. `outcome_at` is when it turned out so, if that is known; `as_of` is a moment before.
    pub fn add(
        &mut self,
        customer_id: &Arc<str>,
        entity: Option<&Arc<str>>,
        bad: bool,
        as_of: Timestamp,
        outcome_at: Option<Timestamp>,
    ) {
        let items = self.customers.entry(Arc::clone(customer_id)).or_default();
        let found = items.iter().position(|item| item.entity.as_ref() == entity);
        let at = found.unwrap_or_else(|| {
            items.push(Item { entity: entity.cloned(), bad: Vec::new() });
            items.len() - 1
        });
        if let Some(item) = items.get_mut(at).filter(|_| bad) {
            item.bad.push((outcome_at.unwrap_or(as_of), outcome_at.is_some()));
        }
    }

    /// Bad items of all items.
    #[must_use]
    pub fn bad(&self) -> Share {
        let items = || self.customers.values().flatten();
        Share { part: items().filter(|item| !item.bad.is_empty()).count(), whole: items().count() }
    }

    /// When which of a customer's items first turned out bad, as far as that is known.
    pub fn bad_of(&self, customer_id: &str) -> impl Iterator<Item = (Option<&str>, Timestamp)> {
        let items = self.customers.get(customer_id).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(|item| Some((item.entity.as_deref(), item.bad.iter().min()?.0)))
    }

    /// Judges alerts. One is right when an item it is about turned out bad after it opened; an alert about a customer is
    /// about all their items.
    #[must_use]
    pub fn judge(&self, alerts: &[Opened]) -> Hits {
        let mut found: BTreeMap<(&str, usize), ()> = BTreeMap::new();
        let (mut right, mut unlabelled, mut leads, mut lead_at_least) = (Share::default(), 0, Vec::new(), false);
        for alert in alerts {
            let items = self.customers.get(&alert.customer_id).map_or(&[][..], Vec::as_slice);
            let about = |item: &Item| match (&alert.item, &item.entity) {
                (Some(item), Some(entity)) => item == entity,
                (None, _) | (_, None) => true,
            };
            let mut items = items.iter().enumerate().filter(|(_, item)| about(item)).peekable();
            if items.peek().is_none() {
                unlabelled += 1;
                continue;
            }
            let mut next = None;
            for (place, item) in items {
                let after = item.bad.iter().filter(|(at, _)| *at > alert.at).min();
                if let Some(after) = after {
                    found.insert((&alert.customer_id, place), ());
                    next = next.map_or(Some(after), |next| Some(after.min(next)));
                }
            }
            right.whole += 1;
            if let Some((at, known)) = next {
                right.part += 1;
                leads.push(at.since(alert.at));
                lead_at_least |= !known;
            }
        }
        let found = Share { part: found.len(), whole: self.bad().part };
        Hits { right, found, unlabelled, lead_ms: quartiles(leads), lead_at_least }
    }
}

/// Who was active when: for how many customers a day's alerts are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    /// The day after the last one they are active on, by customer.
    until: BTreeMap<Box<str>, i64>,
    customer_days: i64,
    last_day: i64,
}

impl Activity {
    /// Takes a touchpoint; they come in order of time.
    pub fn touchpoint(&mut self, customer_id: &str, at: Timestamp) {
        let day = at.day();
        self.last_day = self.last_day.max(day);
        let until = match self.until.get_mut(customer_id) {
            Some(until) => until,
            None => self.until.entry(customer_id.into()).or_insert(day),
        };
        let next = (day + ACTIVE_DAYS).max(*until);
        self.customer_days += next - day.max(*until);
        *until = next;
    }

    /// Whether a customer had a touchpoint.
    #[must_use]
    pub fn has_seen(&self, customer_id: &str) -> bool {
        self.until.contains_key(customer_id)
    }

    /// Customers with a touchpoint.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.until.len()
    }

    /// So many alerts per 1,000 active customers and day, up to the day of the last touchpoint; none without touchpoints.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn per_thousand_and_day(&self, alerts: usize) -> Option<f64> {
        let beyond: i64 = self.until.values().map(|until| (until - self.last_day - 1).max(0)).sum();
        let days = self.customer_days - beyond;
        (days > 0).then(|| alerts as f64 * 1_000.0 / days as f64)
    }
}

/// A lead in days, to a tenth.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
pub fn days(span_ms: i64) -> f64 {
    (span_ms as f64 / DAY_MS as f64 * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::HOUR_MS;

    /// Customer, item, bad, as of, outcome at.
    type Row = (&'static str, Option<&'static str>, bool, i64, Option<i64>);

    fn items(rows: &[Row]) -> Items {
        let mut items = Items::default();
        for (customer, entity, bad, as_of, outcome) in rows {
            let entity = entity.map(Arc::from);
            items.add(&Arc::from(*customer), entity.as_ref(), *bad, Timestamp(*as_of), outcome.map(Timestamp));
        }
        items
    }

    fn opened(customer: &str, item: Option<&str>, at: i64) -> Opened {
        Opened { customer_id: Arc::from(customer), item: item.map(Arc::from), at: Timestamp(at) }
    }

    #[test]
    fn an_alert_is_right_when_its_item_turns_out_bad_after_it() {
        let items = items(&[
            ("ann", Some("1"), true, 10, Some(20)),
            ("ann", Some("1"), true, 15, Some(20)),
            ("ann", Some("2"), false, 10, Some(20)),
            ("bob", Some("3"), true, 10, Some(30)),
        ]);
        assert_eq!(items.bad(), Share { part: 2, whole: 3 }, "rows of one item count once");
        let hits = items.judge(&[
            opened("ann", Some("1"), 19),
            opened("ann", Some("1"), 20),
            opened("ann", Some("2"), 5),
            opened("ann", None, 12),
            opened("ann", Some("9"), 5),
            opened("cleo", None, 5),
        ]);
        assert_eq!((hits.right, hits.unlabelled), (Share { part: 2, whole: 4 }, 2));
        assert_eq!(hits.found, Share { part: 1, whole: 2 }, "the same item found twice is one");
        assert_eq!(hits.lead_ms, Some(Quartiles { first: 1, median: 1, third: 8 }));
        assert!(!hits.lead_at_least);
    }

    #[test]
    fn without_a_known_outcome_the_row_bounds_it() {
        let items = items(&[("ann", None, true, 10, None)]);
        let hits = items.judge(&[opened("ann", Some("x"), 4), opened("ann", None, 10)]);
        assert_eq!((hits.right, hits.lead_at_least), (Share { part: 1, whole: 2 }, true));
        assert_eq!(hits.lead_ms.map(|lead| lead.median), Some(6));
    }

    #[test]
    fn a_customer_is_active_for_thirty_days_and_not_beyond_the_end() {
        let mut activity = Activity::default();
        for (customer, day) in [("ann", 0), ("ann", 1), ("bob", 50), ("ann", 100)] {
            activity.touchpoint(customer, Timestamp(day * DAY_MS + HOUR_MS));
        }
        // ann: days 0 to 30 and day 100; bob: days 50 to 79.
        assert_eq!(activity.per_thousand_and_day(31), Some(31_000.0 / 62.0));
        assert_eq!((activity.customers(), activity.has_seen("bob"), activity.has_seen("cleo")), (2, true, false));
        assert_eq!(Activity::default().per_thousand_and_day(1), None);
    }
}
