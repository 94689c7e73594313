//! The profile: how long each promise usually takes, learned from history without any label (`touchline profile`).
//!
//! Per promise a histogram of kept durations in 256 buckets, eight per octave of minutes: fine enough that half as many
//! cost measurable skill, small enough to be read in a text editor. It is configuration, not state: it does not move
//! while the service runs, so customers stay independent and a replay gives the same bytes.
//! Cold start: a promise with fewer than 20 kept waits has no surprise and no percentiles.

use super::fixed::log2;
use crate::model::{Micro, Name, time::MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Buckets of a histogram.
pub const BUCKETS: usize = 256;
/// Fewer kept waits than this say nothing.
const WAITS_MIN: u64 = 20;
/// Where a wait is read again: these percentages of the kept waits are over.
const PERCENTILES: [u64; 5] = [50, 75, 90, 95, 99];

/// The file: `[promises.<name>]` with `counts = [[bucket, kept waits], …]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// Histograms by promise.
    #[serde(default)]
    pub promises: BTreeMap<String, Histogram>,
}

/// Kept waits of one promise: (bucket, count), in order of buckets, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// (bucket, count).
    pub counts: Vec<(u8, u32)>,
}

impl Histogram {
    /// Counts a kept wait.
    pub fn add(&mut self, wait_ms: i64) {
        let bucket = bucket(wait_ms);
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts.iter_mut().skip(at).take(1).for_each(|(_, count)| *count = count.saturating_add(1)),
            Err(at) => self.counts.insert(at, (bucket, 1)),
        }
    }
}

/// The bucket of a wait: with v = minutes + 1 and e = ⌊log2 v⌋, 8e + the three bits after the leading one.
#[must_use]
pub fn bucket(wait_ms: i64) -> u8 {
    let v = (wait_ms.max(0) / MINUTE_MS + 1).unsigned_abs();
    let e = u64::from(v.ilog2());
    let eighth = (v << 3 >> e) & 7;
    u8::try_from(8 * e + eighth).unwrap_or(u8::MAX)
}

/// The shortest wait beyond a bucket, in ms.
fn end_ms(bucket: u8) -> i64 {
    let next = i64::from(bucket) + 1;
    let (e, eighth) = (next / 8, next % 8);
    // Below e = 3 some buckets are empty: rounded up, they end where the next one that can be hit begins.
    let v = (((8 + eighth) << e) + 7) >> 3;
    (v - 1) * MINUTE_MS
}

/// How surprising waits for one promise are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// Bits of surprise by bucket.
    surprise: Vec<Micro>,
    /// Waits longer than 50, 75, 90, 95 and 99 % of the kept ones, in ms.
    percentiles_ms: [i64; 5],
}

impl Waits {
    fn of(histogram: &Histogram) -> Option<Self> {
        let mut counts = [0_u64; BUCKETS];
        for (bucket, count) in &histogram.counts {
            if let Some(place) = counts.get_mut(usize::from(*bucket)) {
                *place += u64::from(*count);
            }
        }
        let n: u64 = counts.iter().sum();
        if n < WAITS_MIN {
            return None;
        }
        // σ = −log2((Σ_{b ≥ bucket} n_b + ½) / (N + 1)) = log2(2N + 2) − log2(2 Σ + 1)
        let whole = |count: u64| Micro::whole(i64::try_from(count).unwrap_or(i64::MAX));
        let all = log2(whole(2 * n + 2));
        let (mut surprise, mut passed, mut percentiles_ms) = (Vec::with_capacity(BUCKETS), 0, [i64::MAX; 5]);
        for (bucket, count) in (0_u8..=u8::MAX).zip(counts) {
            surprise.push(all - log2(whole(2 * (n - passed) + 1)));
            passed += count;
            for (percent, end) in PERCENTILES.iter().zip(&mut percentiles_ms) {
                if *end == i64::MAX && passed * 100 >= n * percent {
                    *end = end_ms(bucket);
                }
            }
        }
        Some(Self { surprise, percentiles_ms })
    }

    /// Bits of surprise of a wait: 1 = the usual median, 3.3 = longer than nine of ten.
    #[must_use]
    pub fn surprise(&self, wait_ms: i64) -> Micro {
        self.surprise.get(usize::from(bucket(wait_ms))).copied().unwrap_or_default()
    }

    /// Waits longer than 50, 75, 90, 95 and 99 % of the kept ones, in ms.
    #[must_use]
    pub const fn percentiles_ms(&self) -> [i64; 5] {
        self.percentiles_ms
    }

    /// The wait that is longer than 95 % of the kept ones, in ms.
    #[must_use]
    pub const fn long_ms(&self) -> i64 {
        self.percentiles_ms[3]
    }
}

/// The waits of every promise that has enough of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    promises: BTreeMap<Name, Waits>,
}

impl Profile {
    /// Tabulates a profile.
    #[must_use]
    pub fn new(file: &ProfileFile) -> Self {
        let waits = |(name, histogram): (&String, &Histogram)| Some((Name::of(name), Waits::of(histogram)?));
        Self { promises: file.promises.iter().filter_map(waits).collect() }
    }

    /// The waits of a promise; none when too few are known.
    #[must_use]
    pub fn waits(&self, promise: Name) -> Option<&Waits> {
        self.promises.get(&promise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::{DAY_MS, HOUR_MS};

    fn profile(waits_ms: impl Iterator<Item = i64>) -> Option<Waits> {
        let mut histogram = Histogram::default();
        waits_ms.for_each(|wait_ms| histogram.add(wait_ms));
        Waits::of(&histogram)
    }

    #[test]
    fn buckets_are_eighths_of_octaves_of_minutes() {
        for (wait_ms, expected) in [(0, 0), (-5, 0), (MINUTE_MS, 8), (3 * MINUTE_MS, 16), (HOUR_MS, 47), (DAY_MS, 83)] {
            assert_eq!(bucket(wait_ms), expected, "{wait_ms} ms");
        }
        assert_eq!(bucket(i64::MAX), u8::MAX);
    }

    #[test]
    fn a_bucket_ends_where_another_begins() {
        for wait_ms in (0..400 * DAY_MS).step_by(7_654_321) {
            let bucket = bucket(wait_ms);
            let end_ms = end_ms(bucket);
            assert!(end_ms > wait_ms, "{wait_ms} ms is in bucket {bucket}, which ends at {end_ms}");
            assert_eq!((super::bucket(end_ms - 1), super::bucket(end_ms) > bucket), (bucket, true));
        }
    }

    #[test]
    fn the_median_wait_is_worth_one_bit_and_one_of_ten_three_and_a_third() {
        let waits = profile((1..=1_000).map(|hours| hours * HOUR_MS)).unwrap();
        let bits = |hours: i64| waits.surprise(hours * HOUR_MS).to_f64();
        assert!((bits(500) - 1.0).abs() < 0.15, "{}", bits(500));
        assert!((bits(900) - 3.3).abs() < 0.5, "{}", bits(900));
        assert!((bits(0)).abs() < 0.001 && bits(5_000) > 10.0);
        let [median, .., p95, p99] = waits.percentiles_ms();
        assert!((450..600).contains(&(median / HOUR_MS)) && (900..1_050).contains(&(p95 / HOUR_MS)) && p95 <= p99);
        assert_eq!(waits.long_ms(), p95);
    }

    #[test]
    fn few_waits_say_nothing() {
        assert!(profile((0..19).map(|_| HOUR_MS)).is_none());
        assert!(profile((0..20).map(|_| HOUR_MS)).is_some());
    }
}
