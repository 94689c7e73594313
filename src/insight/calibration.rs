//! Calibration: what share of cases turned out bad, by the height of a score.

use super::Share;
use super::auc::Case;

/// Cases with scores next to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Lowest score in it.
    pub from: f64,
    /// Highest score in it.
    pub to: f64,
    /// Bad cases of all cases.
    pub bad: Share,
}

/// At most `count` bins of about the same number of cases, lowest scores first. Equal scores share a bin.
#[must_use]
pub fn bins(cases: &[Case], count: usize) -> Vec<Bin> {
    let mut sorted: Vec<&Case> = cases.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let size = sorted.len().div_ceil(count.max(1));
    let mut bins: Vec<Bin> = Vec::new();
    for ties in sorted.chunk_by(|a, b| a.score.total_cmp(&b.score).is_eq()) {
        let Some(score) = ties.first().map(|case| case.score) else { continue };
        let here = Share { part: ties.iter().filter(|case| case.bad).count(), whole: ties.len() };
        match bins.last_mut() {
            // Half of the newcomers at least must fit, so that bins are full on average.
            Some(bin) if bin.bad.whole + here.whole / 2 < size => {
                bin.to = score;
                bin.bad = Share { part: bin.bad.part + here.part, whole: bin.bad.whole + here.whole };
            }
            _ => bins.push(Bin { from: score, to: score, bad: here }),
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bins_hold_every_case_once_in_order(
            scores in prop::collection::vec((0_u8..30, any::<bool>()), 0..200),
            count in 1_usize..12,
        ) {
            let cases: Vec<Case> =
                scores.iter().map(|(score, bad)| Case { cluster: 0, score: f64::from(*score), bad: *bad }).collect();
            let bins = bins(&cases, count);
            prop_assert!(bins.len() <= 2 * count, "{}", bins.len());
            prop_assert!(bins.windows(2).all(|pair| pair[0].to < pair[1].from));
            for bin in &bins {
                let inside = || cases.iter().filter(|case| case.score >= bin.from && case.score <= bin.to);
                let bad = inside().filter(|case| case.bad).count();
                prop_assert_eq!(bin.bad, Share { part: bad, whole: inside().count() });
            }
            prop_assert_eq!(bins.iter().map(|bin| bin.bad.whole).sum::<usize>(), cases.len());
        }
    }

    #[test]
    fn ten_cases_make_five_bins_of_two() {
        let case = |score: u8| Case { cluster: 0, score: f64::from(score), bad: score > 5 };
        let cases: Vec<Case> = (0..10).map(case).collect();
        let bins = bins(&cases, 5);
        assert_eq!(bins.iter().map(|bin| bin.bad.part).collect::<Vec<_>>(), [0, 0, 0, 2, 2]);
    }
}
