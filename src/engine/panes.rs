//! Sparse panes of scored evidence: one per hour for the current and the previous UTC day of the customer's time,
//! one per day before that.
//!
//! ```text
//!   day panes (≤ 120)            hour panes (≤ 48)
//!   ├─ day ─┼─ day ─┼─ … ─┼─ day ─┤├─ h ─┼─ h ─┼─ … ─┤ now
//! ```
//! All fields are integers that only add up, so the order of arrival does not matter:
//! a late touchpoint is exact, a replay is bit-identical, and half-lives can change without reading events again.
//! When the customer's time enters a new day, hours older than yesterday fold into their day.
//!
//! Rounding: evidence counts as of the middle of its pane, half an hour off at most while it is in an hour and half a day
//! once it is in a day: with a half-life of 7 days by at most 5.1 % of what it adds, with 90 days 0.4 %. A day that is
//! dropped had 2^(−119.5 d / half-life) of its weight left: 0.0007 % with 7 days, 40 % with 90.

use super::decay::Factor;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::wire::{Damaged, Reader, put_sized, put_sized_signed, put_u64};
use crate::model::{Micro, Signal, Timestamp};

/// Days kept.
pub(super) const DAYS_MAX: i64 = 120;

/// What one hour or day adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pane {
    /// Hours or days since the epoch.
    pub(super) index: i64,
    /// Σ weight · score, in millionths.
    pub(super) sum_ws: i64,
    /// Σ weight, in millionths.
    pub(super) sum_w: i64,
    /// Scored signals.
    pub(super) n: u32,
}

impl Pane {
    fn of(index: i64, signal: Signal) -> Self {
        Self { index, sum_ws: signal.score.times(signal.weight).0, sum_w: signal.weight.0, n: 1 }
    }

    /// Adds another pane's content; commutes and associates.
    fn merge(&mut self, other: &Self) {
        self.sum_ws = self.sum_ws.saturating_add(other.sum_ws);
        self.sum_w = self.sum_w.saturating_add(other.sum_w);
        self.n = self.n.saturating_add(other.n);
    }

    fn write(&self, out: &mut Vec<u8>, previous_index: i64) {
        put_sized_signed(out, self.index - previous_index);
        put_sized(out, u64::from(self.n));
        put_sized_signed(out, self.sum_w);
        put_sized_signed(out, self.sum_ws);
    }

    fn read(reader: &mut Reader<'_>, previous_index: i64, index_max: i64) -> Result<Self, Damaged> {
        let index = previous_index.checked_add(reader.sized_signed()?).filter(|index| (0..=index_max).contains(index));
        let n = u32::try_from(reader.sized()?).map_err(|_| Damaged)?;
        Ok(Self { index: index.ok_or(Damaged)?, n, sum_w: reader.sized_signed()?, sum_ws: reader.sized_signed()? })
    }
}

/// A decayed sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    /// Σ weight · score · decay.
    pub(super) ws: i64,
    /// Σ weight · decay.
    pub(super) w: i64,
    /// Signals counted (not decayed).
    pub(super) n: u64,
}

/// A customer's panes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Panes {
    days: Vec<Pane>,
    hours: Vec<Pane>,
}

impl Panes {
    /// Forgets everything, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.days.clear();
        self.hours.clear();
    }

    /// Adds a scored signal that happened at `time`, seen by a customer whose own time is `now`.
    /// Returns false when it is older than the oldest day kept: then nothing changed.
    pub(super) fn add(&mut self, now: Timestamp, time: Timestamp, signal: Signal) -> bool {
        if time.day() <= now.day() - DAYS_MAX {
            return false;
        }
        if time.day() >= now.day() - 1 {
            insert(&mut self.hours, Pane::of(time.hour(), signal));
        } else {
            insert(&mut self.days, Pane::of(time.day(), signal));
        }
        true
    }

    /// Takes back what [`Self::add`] added, of the same time and signal.
    pub(super) fn remove(&mut self, now: Timestamp, time: Timestamp, signal: Signal) {
        let hourly = time.day() >= now.day() - 1;
        let (panes, index) = if hourly { (&mut self.hours, time.hour()) } else { (&mut self.days, time.day()) };
        let at = panes.partition_point(|known| known.index < index);
        let Some(pane) = panes.get_mut(at).filter(|pane| pane.index == index) else { return };
        let added = Pane::of(index, signal);
        pane.sum_ws = pane.sum_ws.saturating_sub(added.sum_ws);
        pane.sum_w = pane.sum_w.saturating_sub(added.sum_w);
        pane.n = pane.n.saturating_sub(1);
        if pane.n == 0 {
            panes.remove(at);
        }
    }

    /// Moves to the customer's time `now`: folds hours older than yesterday into days, drops days beyond the last 120.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let first_hour = (now.day() - 1) * (DAY_MS / HOUR_MS);
        let folded = self.hours.partition_point(|pane| pane.index < first_hour);
        for mut pane in self.hours.drain(..folded) {
            pane.index = pane.index.div_euclid(DAY_MS / HOUR_MS);
            insert(&mut self.days, pane);
        }
        let first_day = now.day() - DAYS_MAX;
        let dropped = self.days.partition_point(|pane| pane.index <= first_day);
        self.days.drain(..dropped);
    }

    /// Decayed sums as seen at `at`: over all panes, or over those whose middle is at or before `until`.
    #[must_use]
    pub(super) fn sum(&self, at: Timestamp, until: Option<Timestamp>, half_life_ms: i64) -> Sum {
        let mut sum = Sum::default();
        for (panes, unit_ms) in [(&self.days, DAY_MS), (&self.hours, HOUR_MS)] {
            for pane in panes {
                let middle = middle(pane.index, unit_ms);
                if until.is_some_and(|until| middle > until) {
                    continue;
                }
                let factor = Factor::of(at.since(middle), half_life_ms);
                sum.ws = sum.ws.saturating_add(factor.times(pane.sum_ws));
                sum.w = sum.w.saturating_add(factor.times(pane.sum_w));
                sum.n += u64::from(pane.n);
            }
        }
        sum
    }

    /// Signals in panes whose middle is after `since`.
    #[must_use]
    pub(super) fn count_since(&self, since: Timestamp) -> u64 {
        let in_panes = |panes: &[Pane], unit_ms| {
            panes.iter().filter(|pane| middle(pane.index, unit_ms) > since).map(|pane| u64::from(pane.n)).sum::<u64>()
        };
        in_panes(&self.days, DAY_MS) + in_panes(&self.hours, HOUR_MS)
    }

    /// The decay factor that applies at `at` to a signal of `time`: that of the pane it is in.
    #[must_use]
    pub(super) fn factor(&self, at: Timestamp, time: Timestamp, half_life_ms: i64) -> Factor {
        let hourly = time.day() >= at.day() - 1;
        let middle = if hourly { middle(time.hour(), HOUR_MS) } else { middle(time.day(), DAY_MS) };
        Factor::of(at.since(middle), half_life_ms)
    }

    /// Whether there are any.
    pub(super) const fn is_some(&self) -> bool {
        !self.days.is_empty() || !self.hours.is_empty()
    }

    /// Appends both lists.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for panes in [&self.days, &self.hours] {
            put_u64(out, panes.len() as u64);
            let mut previous = 0;
            for pane in panes {
                pane.write(out, previous);
                previous = pane.index;
            }
        }
    }

    /// Reads what [`Self::write`] wrote, in place of what was there.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for (panes, unit_ms) in [(&mut self.days, DAY_MS), (&mut self.hours, HOUR_MS)] {
            panes.clear();
            let mut previous = 0;
            for _ in 0..reader.count()? {
                let pane = Pane::read(reader, previous, Timestamp::LATEST.0 / unit_ms)?;
                previous = pane.index;
                panes.push(pane);
            }
        }
        Ok(())
    }
}

fn middle(index: i64, unit_ms: i64) -> Timestamp {
    Timestamp(index * unit_ms + unit_ms / 2)
}

fn insert(panes: &mut Vec<Pane>, pane: Pane) {
    // The newest pane is the usual one.
    let at = match panes.last() {
        Some(last) if last.index < pane.index => panes.len(),
        _ => panes.partition_point(|known| known.index < pane.index),
    };
    match panes.get_mut(at) {
        Some(known) if known.index == pane.index => known.merge(&pane),
        _ => panes.insert(at, pane),
    }
}

/// `Σ ws / (Σ w + prior)`: a mean shrunk to `prior_mean` with the strength of `prior_weight`.
#[must_use]
pub(super) fn shrunk_mean(sum: Sum, prior_mean: Micro, prior_weight: Micro) -> Micro {
    let numerator = prior_mean.times(prior_weight).0.saturating_add(sum.ws);
    Micro(numerator).over(Micro(sum.w.saturating_add(prior_weight.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SignalSource;
    use proptest::prelude::*;

    fn signal(score: i64, weight: i64) -> Signal {
        Signal { score: Micro(score), weight: Micro(weight), source: SignalSource::Kind }
    }

    proptest! {
        /// The law that late data rests on: any order, and folding at any moments, gives the same panes.
        #[test]
        fn order_of_arrival_does_not_matter(
            mut events in prop::collection::vec((0_i64..400 * 24, -1_000_000_i64..=1_000_000, 1_i64..=3_000_000), 1..60),
            keys in prop::collection::vec(any::<u64>(), 60),
        ) {
            let now = Timestamp(events.iter().map(|event| event.0).max().unwrap() * HOUR_MS);
            let panes_of = |events: &[(i64, i64, i64)]| {
                let mut panes = Panes::default();
                let mut latest = Timestamp(0);
                for (hour, score, weight) in events {
                    let time = Timestamp(hour * HOUR_MS);
                    latest = latest.max(time);
                    panes.advance(latest);
                    panes.add(latest, time, signal(*score, *weight));
                }
                panes.advance(now);
                panes
            };
            let sorted = panes_of(&events);
            let mut order: Vec<usize> = (0..events.len()).collect();
            order.sort_by_key(|&i| keys[i]);
            events = order.into_iter().map(|i| events[i]).collect();
            let shuffled = panes_of(&events);
            prop_assert_eq!(&sorted, &shuffled);
            let mut bytes = Vec::new();
            sorted.write(&mut bytes);
            let mut read = Panes::default();
            read.read(&mut Reader::new(&bytes)).unwrap();
            prop_assert_eq!(sorted, read);
        }
    }

    /// 2^(−age / half-life).
    fn decayed(age_hours: f64, half_life_hours: f64) -> f64 {
        (-age_hours / half_life_hours).exp2()
    }

    proptest! {
        /// Folding and dropping change a decayed sum by no more than the module says.
        #[test]
        fn expiry_rounds_no_more_than_it_says(
            events in prop::collection::vec((0_u32..200 * 24, 1_u32..=3_000_000), 1..40),
            half_life_days in prop::sample::select(vec![7_u32, 90]),
        ) {
            let half_life_hours = f64::from(half_life_days * 24);
            let latest = events.iter().map(|event| event.0).max().unwrap();
            let mut sorted = events.clone();
            sorted.sort_unstable();
            let mut panes = Panes::default();
            for (hour, weight) in &sorted {
                let time = Timestamp(i64::from(*hour) * HOUR_MS);
                panes.advance(time);
                panes.add(time, time, signal(1_000_000, i64::from(*weight)));
            }
            let told = panes.sum(Timestamp(i64::from(latest) * HOUR_MS), None, i64::from(half_life_days) * DAY_MS);
            let (mut exact, mut allowed) = (0.0, 0.0);
            for (hour, weight) in &sorted {
                let (age, weight) = (f64::from(latest - hour), f64::from(*weight));
                let left = weight * decayed(age, half_life_hours);
                let dropped = latest / 24 - hour / 24 >= u32::try_from(DAYS_MAX).unwrap();
                let middle_off: f64 = if latest / 24 - hour / 24 >= 2 { 12.0 } else { 0.5 };
                exact += left;
                let off = if dropped { 1.0 } else { decayed(-middle_off, half_life_hours) - 1.0 };
                // And what the table of decays is above the real factor.
                allowed += 1.0 + weight * 2e-6 + left * (off + 0.000_18 * (1.0 + off));
                prop_assert!(!dropped || left <= weight * decayed(119.5 * 24.0 - 12.0, half_life_hours));
            }
            let told = f64::from(i32::try_from(told.w).unwrap());
            prop_assert!((told - exact).abs() <= allowed, "{told} instead of {exact}, {allowed} allowed");
        }
    }

    #[test]
    fn hours_fold_into_days_and_days_are_dropped() {
        let mut panes = Panes::default();
        for hour in 0..72 {
            let time = Timestamp(hour * HOUR_MS);
            panes.advance(time);
            assert!(panes.add(time, time, signal(500_000, 1_000_000)));
        }
        assert_eq!((panes.days.len(), panes.hours.len()), (1, 48));
        assert_eq!(panes.days[0].n, 24);
        panes.advance(Timestamp(DAYS_MAX * DAY_MS));
        assert_eq!((panes.days.len(), panes.hours.len()), (2, 0));
        assert!(!panes.add(Timestamp(DAYS_MAX * DAY_MS), Timestamp(0), signal(0, 0)));
    }
}
