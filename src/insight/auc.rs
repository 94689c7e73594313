//! Area under the ROC curve: the chance that a bad case has the higher score, ties counting half.
//!
//! The interval is DeLong, DeLong & Clarke-Pearson's (1988) by mid-ranks (Sun & Xu 2014), with the cases of one cluster (the
//! rows of one customer) added up first as in Obuchowski (1997): rows of one customer are not independent. With one row per
//! customer the two are the same.

use std::collections::BTreeMap;

/// Two-sided 95 % of the normal distribution.
pub(super) const Z95: f64 = 1.959_963_985;

/// One case: whose it is, its score, whether it turned out bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Number of the customer: cases of one number are not independent.
    pub cluster: usize,
    /// Any finite number.
    pub score: f64,
    /// Label 1.
    pub bad: bool,
}

/// An area with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auc {
    /// The area: above ½ when high scores are bad, below when low ones are.
    pub area: f64,
    /// Half the width of the interval.
    pub margin: f64,
    /// Bad cases.
    pub bad: usize,
    /// Other cases.
    pub good: usize,
}

impl Auc {
    /// The area, read in the direction in which it is above ½.
    #[must_use]
    pub const fn strength(&self) -> f64 {
        self.area.max(1.0 - self.area)
    }

    /// Ends of the interval around [`Self::strength`], within 0 to 1.
    #[must_use]
    pub const fn interval(&self) -> (f64, f64) {
        let strength = self.strength();
        ((strength - self.margin).max(0.0), (strength + self.margin).min(1.0))
    }
}

/// The area under the ROC curve; none without a bad or without a good case.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^53")]
pub fn auc(cases: &[Case]) -> Option<Auc> {
    let (bad, good): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.bad);
    if bad.is_empty() || good.is_empty() {
        return None;
    }
    let (bad_count, good_count) = (bad.len() as f64, good.len() as f64);
    let all = mid_ranks(&cases.iter().collect::<Vec<_>>());
    let (of_bad, of_good) = (mid_ranks(&bad), mid_ranks(&good));
    // Share of the other class that each case is on the right side of.
    let mut clusters: BTreeMap<usize, [Part; 2]> = BTreeMap::new();
    let (mut bad_ranks, mut good_ranks) = (of_bad.iter(), of_good.iter());
    let mut sum = 0.0;
    for (case, rank) in cases.iter().zip(&all) {
        let own = if case.bad { bad_ranks.next() } else { good_ranks.next() };
        let others = rank - own.copied().unwrap_or_default();
        let placement = if case.bad { others / good_count } else { 1.0 - others / bad_count };
        sum += if case.bad { placement } else { 0.0 };
        let [good_part, bad_part] = clusters.entry(case.cluster).or_default();
        let part = if case.bad { bad_part } else { good_part };
        *part = Part { count: part.count + 1.0, sum: part.sum + placement };
    }
    let area = sum / bad_count;
    let (mut of_bad, mut of_good, mut both) = (Spread::default(), Spread::default(), Spread::default());
    for [good, bad] in clusters.values() {
        let (from_bad, from_good) = (bad.sum - bad.count * area, good.sum - good.count * area);
        of_bad.add(bad.count > 0.0, from_bad * from_bad);
        of_good.add(good.count > 0.0, from_good * from_good);
        both.add(true, from_bad * from_good);
    }
    let variance = of_bad.scaled() / (bad_count * bad_count)
        + of_good.scaled() / (good_count * good_count)
        + 2.0 * both.scaled() / (bad_count * good_count);
    Some(Auc { area, margin: Z95 * variance.max(0.0).sqrt(), bad: bad.len(), good: good.len() })
}

/// A cluster's cases of one class.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    count: f64,
    sum: f64,
}

/// A sum of squares over clusters.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    clusters: f64,
    sum: f64,
}

impl Spread {
    fn add(&mut self, counts: bool, square: f64) {
        if counts {
            self.clusters += 1.0;
            self.sum += square;
        }
    }

    /// n/(n − 1) · Σ: unbiased.
    fn scaled(self) -> f64 {
        if self.clusters > 1.0 { self.sum * self.clusters / (self.clusters - 1.0) } else { 0.0 }
    }
}

/// Ranks from 1, in the order of the cases; equal scores share the mean of theirs.
#[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^53")]
fn mid_ranks(cases: &[&Case]) -> Vec<f64> {
    let mut order: Vec<(f64, usize)> = cases.iter().enumerate().map(|(place, case)| (case.score, place)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; cases.len()];
    let mut before = 0;
    for ties in order.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let rank = before as f64 + (ties.len() as f64 + 1.0) / 2.0;
        for (_, place) in ties {
            if let Some(place) = ranks.get_mut(*place) {
                *place = rank;
            }
        }
        before += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cases(scores: &[(f64, bool)]) -> Vec<Case> {
        scores.iter().enumerate().map(|(cluster, &(score, bad))| Case { cluster, score, bad }).collect()
    }

    #[test]
    fn areas_by_hand() {
        let area = |scores: &[(f64, bool)]| auc(&cases(scores)).map(|auc| auc.area);
        assert_eq!(area(&[(1.0, false), (2.0, true)]), Some(1.0));
        assert_eq!(area(&[(1.0, true), (2.0, false)]), Some(0.0));
        assert_eq!(area(&[(1.0, true), (1.0, false), (1.0, false)]), Some(0.5));
        assert_eq!(area(&[(0.0, false), (1.0, true), (1.0, false), (2.0, true)]), Some(0.875));
        assert_eq!(area(&[(1.0, true)]), None);
    }

    /// The example of DeLong's variance worked by hand: V10 = (1, ¾, 1), V01 = (1, 1, 1, ⅔).
    #[test]
    fn the_interval_is_delongs() {
        let scores = [(5.0, true), (3.0, true), (6.0, true), (1.0, false), (2.0, false), (0.0, false), (4.0, false)];
        let auc = auc(&cases(&scores)).unwrap();
        assert!((auc.area - 11.0 / 12.0).abs() < 1e-12);
        let of_bad = (2.0 * (1.0_f64 / 12.0).powi(2) + (1.0_f64 / 6.0).powi(2)) / 2.0;
        let of_good = (3.0 * (1.0_f64 / 12.0).powi(2) + 0.25_f64.powi(2)) / 3.0;
        let variance = of_bad / 3.0 + of_good / 4.0;
        // The sum over both classes of one cluster is zero here: no customer has two cases.
        assert!((auc.margin - Z95 * variance.sqrt()).abs() < 1e-12, "{} {}", auc.margin, Z95 * variance.sqrt());
    }

    #[test]
    fn repeating_every_customers_case_does_not_narrow_the_interval() {
        let once = cases(&[(5.0, true), (3.0, true), (6.0, true), (1.0, false), (2.0, false), (4.0, false)]);
        let twice: Vec<Case> = once.iter().chain(&once).copied().collect();
        let (once, twice) = (auc(&once).unwrap(), auc(&twice).unwrap());
        assert!((once.area - twice.area).abs() < 1e-12 && (once.margin - twice.margin).abs() < 1e-12);
    }

    proptest! {
        /// Against the definition: every pair of a bad and a good case.
        #[test]
        fn the_area_is_the_share_of_pairs_in_order(scores in prop::collection::vec((0_u8..12, any::<bool>()), 2..60)) {
            let scores: Vec<(f64, bool)> = scores.iter().map(|(score, bad)| (f64::from(*score), *bad)).collect();
            let (mut pairs, mut right) = (0.0, 0.0);
            for (bad, _) in scores.iter().filter(|case| case.1) {
                for (good, _) in scores.iter().filter(|case| !case.1) {
                    pairs += 1.0;
                    right += if bad > good { 1.0 } else if bad < good { 0.0 } else { 0.5 };
                }
            }
            match auc(&cases(&scores)) {
                Some(auc) => prop_assert!((auc.area - right / pairs).abs() < 1e-9),
                None => prop_assert!(pairs < 0.5),
            }
        }
    }
}
