//! How many touchpoints, and contacts by the customer among them, there were in the last week: in quarters of UTC days, a
//! few bytes each. Counts only add up and what goes depends on the latest touchpoint alone, so any order of arrival gives
//! the same week.

use super::decay::Factor;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Micro, Timestamp};

/// Length of a quarter.
pub(super) const QUARTER_MS: i64 = 6 * HOUR_MS;
/// What is counted: a week.
const WEEK_MS: i64 = 7 * DAY_MS;

/// What happened in a quarter of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quarter {
    /// Quarters since the epoch.
    pub(super) index: i64,
    pub(super) touchpoints: u32,
    /// Touchpoints of a kind whose direction is inbound.
    pub(super) inbound: u32,
}

impl Quarter {
    const fn middle(&self) -> Timestamp {
        Timestamp(self.index * QUARTER_MS + QUARTER_MS / 2)
    }
}

/// Counts a touchpoint of `time`; `latest` is the customer's latest, this one included.
pub(super) fn count(week: &mut Vec<Quarter>, latest: Timestamp, time: Timestamp, inbound: bool) {
    let first = latest.minus(WEEK_MS).0.div_euclid(QUARTER_MS);
    week.retain(|quarter| quarter.index >= first);
    let index = time.0.div_euclid(QUARTER_MS);
    let at = week.partition_point(|quarter| quarter.index < index);
    match week.get_mut(at) {
        Some(quarter) if quarter.index == index => {
            quarter.touchpoints = quarter.touchpoints.saturating_add(1);
            quarter.inbound = quarter.inbound.saturating_add(u32::from(inbound));
        }
        _ if index >= first => week.insert(at, Quarter { index, touchpoints: 1, inbound: u32::from(inbound) }),
        _ => {}
    }
}

/// Touchpoints, and contacts by the customer, of the week before `at`, to a quarter of a day.
pub(super) fn counts(week: &[Quarter], at: Timestamp) -> (i64, i64) {
    let recent = week.iter().filter(|quarter| quarter.middle() > at.minus(WEEK_MS));
    recent.fold((0, 0), |(all, inbound), quarter| {
        (all + i64::from(quarter.touchpoints), inbound + i64::from(quarter.inbound))
    })
}

/// Contacts by the customer, halved each day, as of `at`.
pub(super) fn effort(week: &[Quarter], at: Timestamp) -> Micro {
    let decayed = |quarter: &Quarter| {
        let factor = Factor::of(at.since(quarter.middle()), DAY_MS);
        Micro(factor.times(Micro::whole(quarter.inbound.into()).0))
    };
    week.iter().map(decayed).fold(Micro::ZERO, |sum, effort| sum + effort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_order_of_arrival_gives_the_same_week(
            events in prop::collection::vec((0_i64..20 * 24, any::<bool>()), 1..40),
            keys in prop::collection::vec(any::<u64>(), 40),
        ) {
            let week_of = |order: &[usize]| {
                let (mut week, mut latest) = (Vec::new(), Timestamp(0));
                for &event in order {
                    let (hour, inbound) = events[event];
                    let time = Timestamp(hour * HOUR_MS);
                    latest = latest.max(time);
                    count(&mut week, latest, time, inbound);
                }
                (week, latest)
            };
            let mut order: Vec<usize> = (0..events.len()).collect();
            let (week, latest) = week_of(&order);
            order.sort_by_key(|&event| keys[event]);
            prop_assert_eq!(&week_of(&order).0, &week);
            let counted = |hour: i64| latest.minus(WEEK_MS).0.div_euclid(QUARTER_MS) * QUARTER_MS <= hour * HOUR_MS;
            let kept: u32 = week.iter().map(|quarter| quarter.touchpoints).sum();
            prop_assert_eq!(kept as usize, events.iter().filter(|(hour, _)| counted(*hour)).count());
        }
    }

    #[test]
    fn a_week_later_nothing_counts_and_effort_halves_each_day() {
        let (mut week, noon) = (Vec::new(), Timestamp(100 * DAY_MS + 15 * HOUR_MS));
        count(&mut week, noon, noon, true);
        count(&mut week, noon, noon, false);
        assert_eq!(counts(&week, noon), (2, 1));
        assert_eq!(counts(&week, noon.plus(WEEK_MS)), (0, 0));
        assert_eq!(effort(&week, noon.plus(2 * DAY_MS)), Micro(250_000));
    }
}
