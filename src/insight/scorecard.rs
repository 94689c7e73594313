//! Learning a scorecard: bins, weights, points in whole numbers, centred on the average case.
//!
//! Edges stand at sixteenths of the rows and, finer, in the tails: what is rare (ten days late) tells most. Up to sixteen
//! distinct values have edges between them. An edge needs [`SIDE_MIN`] rows on either side.

use super::logistic::{Coded, solve};
use crate::model::Micro;
use crate::rules::card::{BINS_MAX, Feature};
use std::collections::BTreeMap;

/// Rows an edge needs on either side.
const SIDE_MIN: usize = 30;
/// Up to so many distinct values have edges between them.
const DISTINCT_MAX: usize = 16;
/// Shares of the rows, in thousandths, at which edges stand besides the sixteenths.
const TAILS: [usize; 6] = [5, 10, 20, 980, 990, 995];
/// A category needs so many rows, and one in a hundred, to have points of its own.
const CATEGORY_MIN: usize = 20;

/// Values of a row by column, and how it turned out.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// One for each column; none = missing.
    pub values: &'a [Option<i64>],
    /// It turned out bad.
    pub bad: bool,
}

/// A learned score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scorecard {
    /// Of the average case, in millionths of log-odds.
    pub intercept: i64,
    /// Those that tell anything.
    pub features: Vec<Learned>,
}

/// A learned feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Place of its column.
    pub column: usize,
    /// Of a number: ascending.
    pub edges: Vec<i64>,
    /// Of a category: values with points of their own, the most frequent first.
    pub categories: Vec<i64>,
    /// By bin; of a category the last are those of all other values.
    pub points: Vec<i64>,
    /// Points when it is missing.
    pub missing: i64,
    /// Training rows by bin, those where it is missing last.
    pub rows: Vec<usize>,
}

impl Learned {
    /// The bin of a value; that of missing ones is the last.
    #[must_use]
    pub fn bin(&self, value: Option<i64>) -> usize {
        match value {
            None => self.points.len(),
            Some(value) if self.categories.is_empty() => self.edges.partition_point(|edge| *edge <= value),
            Some(value) => {
                let known = self.categories.iter().position(|category| *category == value);
                known.unwrap_or(self.categories.len())
            }
        }
    }

    /// Its points for a value.
    #[must_use]
    pub fn points(&self, value: Option<i64>) -> i64 {
        self.points.get(self.bin(value)).copied().unwrap_or(self.missing)
    }

    /// How much it tells: the mean of its points without their signs, in millionths of log-odds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub fn strength(&self) -> f64 {
        let all = self.points.iter().chain([&self.missing]).zip(&self.rows);
        let (sum, rows) = all.fold((0.0, 0.0), |(sum, rows), (points, count)| {
            (sum + points.abs() as f64 * *count as f64, rows + *count as f64)
        });
        if rows > 0.0 { sum / rows } else { 0.0 }
    }

    /// As the file has it; `text` gives the text of a category's value.
    #[must_use]
    pub fn file(&self, name: &str, text: impl Fn(i64) -> String) -> Feature {
        Feature {
            name: name.to_owned(),
            edges: self.edges.clone(),
            categories: self.categories.iter().map(|value| text(*value)).collect(),
            points: self.points.clone(),
            missing: self.missing,
        }
    }
}

impl Scorecard {
    /// Learns from rows whose columns `is_category` tells apart; those of `columns` count. None without a bad and another
    /// row. The rows' order matters: give them sorted.
    #[must_use]
    pub fn learn(cases: &[Case<'_>], is_category: &[bool], columns: &[usize]) -> Option<Self> {
        let bad: Vec<bool> = cases.iter().map(|case| case.bad).collect();
        if !(bad.contains(&true) && bad.contains(&false)) {
            return None;
        }
        let mut features = Vec::new();
        let mut coded = Vec::new();
        for column in columns {
            let values: Vec<Option<i64>> =
                cases.iter().map(|case| case.values.get(*column).copied().flatten()).collect();
            let named = is_category.get(*column).copied().unwrap_or_default();
            let feature = binned(*column, &values, named);
            if feature.rows.iter().filter(|rows| **rows > 0).count() > 1 {
                let bins = values.iter().map(|value| u8::try_from(feature.bin(*value)).unwrap_or(u8::MAX)).collect();
                coded.push(Coded { bins, count: feature.points.len() + 1, is_ordered: !named });
                features.push(feature);
            }
        }
        let solution = solve(&coded, &bad);
        let mut intercept = solution.intercept;
        for (feature, points) in features.iter_mut().zip(&solution.points) {
            intercept += centre(feature, points);
        }
        features.retain(|feature| feature.points.iter().chain([&feature.missing]).any(|points| *points != 0));
        Some(Self { intercept: micro(intercept), features })
    }

    /// The score of a row, in millionths of log-odds.
    #[must_use]
    pub fn score(&self, values: &[Option<i64>]) -> i64 {
        let points = |feature: &Learned| feature.points(values.get(feature.column).copied().flatten());
        self.features.iter().map(points).fold(self.intercept, i64::saturating_add)
    }
}

fn micro(log_odds: f64) -> i64 {
    Micro::from_f64(log_odds).unwrap_or_default().0
}

/// Takes points over as whole numbers, less their mean over the training rows, which is the answer. What was never missing
/// is average when it is.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn centre(feature: &mut Learned, points: &[f64]) -> f64 {
    let all: usize = feature.rows.iter().sum();
    let sum: f64 = feature.rows.iter().zip(points).map(|(rows, points)| *rows as f64 * points).sum();
    let mean = sum / all.max(1) as f64;
    let mut centred = points.iter().map(|points| micro(points - mean));
    let own: Vec<i64> = centred.by_ref().take(feature.points.len()).collect();
    feature.points = own;
    let was_missing = feature.rows.last().is_some_and(|rows| *rows > 0);
    feature.missing = centred.next().filter(|_| was_missing).unwrap_or_default();
    mean
}

/// A feature with its bins and how many rows are in each; without points yet.
fn binned(column: usize, values: &[Option<i64>], is_category: bool) -> Learned {
    let mut known: Vec<i64> = values.iter().flatten().copied().collect();
    known.sort_unstable();
    let (edges, categories) =
        if is_category { (Vec::new(), categories(&known, values.len())) } else { (edges(&known), Vec::new()) };
    let bins = edges.len() + categories.len() + 1;
    let mut feature = Learned { column, edges, categories, points: vec![0; bins], missing: 0, rows: vec![0; bins + 1] };
    for value in values {
        let bin = feature.bin(*value);
        if let Some(rows) = feature.rows.get_mut(bin) {
            *rows += 1;
        }
    }
    feature
}

/// Values that are frequent enough, the most frequent first.
fn categories(sorted: &[i64], rows: usize) -> Vec<i64> {
    let counted = sorted.chunk_by(|a, b| a == b).filter_map(|same| Some((*same.first()?, same.len())));
    let mut frequent: Vec<(i64, usize)> = counted.filter(|(_, count)| *count >= CATEGORY_MIN.max(rows / 100)).collect();
    frequent.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
    frequent.truncate(BINS_MAX - 1);
    frequent.into_iter().map(|(value, _)| value).collect()
}

/// Edges between sorted values.
fn edges(sorted: &[i64]) -> Vec<i64> {
    let distinct: Vec<i64> = sorted.chunk_by(|a, b| a == b).filter_map(|same| same.first().copied()).collect();
    let mut edges: Vec<i64> = if distinct.len() <= DISTINCT_MAX {
        let between = |pair: &[i64]| Some(between(*pair.first()?, *pair.last()?));
        distinct.windows(2).filter_map(between).collect()
    } else {
        let quantile = |share: usize, whole: usize| sorted.get(sorted.len() * share / whole).copied().map(rounded);
        let sixteenths = (1..16).filter_map(|share| quantile(share, 16));
        sixteenths.chain(TAILS.iter().filter_map(|share| quantile(*share, 1_000))).collect()
    };
    edges.sort_unstable();
    edges.dedup();
    edges.retain(|edge| {
        let below = sorted.partition_point(|value| value < edge);
        below.min(sorted.len() - below) >= SIDE_MIN
    });
    edges
}

/// The middle of two values, above the lower one.
const fn between(low: i64, high: i64) -> i64 {
    low + (high - low + 1) / 2
}

/// To three digits, for people.
fn rounded(value: i64) -> i64 {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0);
    let unit = 10_i64.pow(digits.saturating_sub(2));
    (value + value.signum() * (unit / 2)) / unit * unit
}

/// How well each column tells bad rows from others by its bins alone: the area under the ROC curve of the shares of bad rows
/// in its bins, for those of `columns`. One that does nearly all alone was probably made from the outcome.
#[must_use]
pub(super) fn single_areas(cases: &[Case<'_>], is_category: &[bool], columns: &[usize]) -> BTreeMap<usize, f64> {
    let mut areas = BTreeMap::new();
    for column in columns {
        let values: Vec<Option<i64>> = cases.iter().map(|case| case.values.get(*column).copied().flatten()).collect();
        let feature = binned(*column, &values, is_category.get(*column).copied().unwrap_or_default());
        let mut counts = vec![(0_usize, 0_usize); feature.rows.len()];
        for (value, case) in values.iter().zip(cases) {
            if let Some((bad, all)) = counts.get_mut(feature.bin(*value)) {
                *bad += usize::from(case.bad);
                *all += 1;
            }
        }
        areas.insert(*column, area(counts));
    }
    areas
}

/// The area of bins with so many bad rows of so many, by their shares.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn area(mut counts: Vec<(usize, usize)>) -> f64 {
    counts.retain(|(_, all)| *all > 0);
    counts.sort_by(|(a_bad, a_all), (b_bad, b_all)| (a_bad * b_all).cmp(&(b_bad * a_all)));
    let (mut good_below, mut pairs) = (0, 0.0);
    for (bad, all) in &counts {
        let good = all - bad;
        pairs += *bad as f64 * (good_below as f64 + good as f64 / 2.0);
        good_below += good;
    }
    let bad: usize = counts.iter().map(|(bad, _)| bad).sum();
    if bad * good_below == 0 { 0.5 } else { pairs / (bad as f64 * good_below as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_stand_between_few_values_and_at_quantiles_of_many() {
        let few: Vec<i64> = [vec![1; 40], vec![2; 40], vec![9; 40], vec![11; 5]].concat();
        assert_eq!(edges(&few), [2, 6], "an edge below five rows has too few beyond it");
        let many: Vec<i64> = (0..16_000).collect();
        let edges = edges(&many);
        assert_eq!((edges.len(), edges.first(), edges.last()), (21, Some(&80), Some(&15_900)));
        assert!(edges.contains(&1_000) && edges.contains(&160) && edges.is_sorted());
    }

    #[test]
    fn numbers_are_rounded_to_three_digits() {
        for (value, expected) in
            [(0, 0), (7, 7), (999, 999), (1_234, 1_230), (-86_450_000, -86_500_000), (1_005, 1_010)]
        {
            assert_eq!(rounded(value), expected, "{value}");
        }
    }

    /// Late parcels are bad, one shop's are, and nothing else matters.
    fn rows() -> Vec<(Vec<Option<i64>>, bool)> {
        let row = |at: i64| {
            let late = (at % 50 > 40).then_some(at % 50 - 40);
            let shop = at % 3;
            let bad = (late.is_some() && at % 5 != 0) || (shop == 2 && at % 7 < 3);
            (vec![late, Some(shop), Some(at % 13)], bad)
        };
        (0..3_000).map(row).collect()
    }

    #[test]
    fn a_score_finds_what_matters_and_is_centred() {
        let rows = rows();
        let cases: Vec<Case<'_>> = rows.iter().map(|(values, bad)| Case { values, bad: *bad }).collect();
        let card = Scorecard::learn(&cases, &[false, true, false], &[0, 1, 2]).unwrap();
        let late = &card.features[0];
        assert!(late.points.iter().all(|points| *points > 500_000) && late.missing < 0, "{late:?}");
        let shop = &card.features[1];
        assert!(shop.points(Some(2)) > 300_000 && shop.points(Some(0)) < 0, "{shop:?}");
        let sum = |points: &Learned| -> i64 {
            points
                .points
                .iter()
                .chain([&points.missing])
                .zip(&points.rows)
                .map(|(points, rows)| points * *rows as i64)
                .sum()
        };
        for feature in &card.features {
            assert!(sum(feature).abs() < 3_000 * 2, "{feature:?}: against the average case");
        }
        assert!(card.features.iter().all(|feature| feature.column != 2 || feature.strength() < 100_000.0));
        let one_class: Vec<Case<'_>> = cases.iter().filter(|case| case.bad).copied().collect();
        assert_eq!(Scorecard::learn(&one_class, &[false, true, false], &[0, 1, 2]), None);
    }

    #[test]
    fn a_column_made_from_the_label_is_found_out() {
        let rows: Vec<(Vec<Option<i64>>, bool)> = rows()
            .into_iter()
            .map(|(mut values, bad)| {
                values.push(bad.then_some(1));
                (values, bad)
            })
            .collect();
        let cases: Vec<Case<'_>> = rows.iter().map(|(values, bad)| Case { values, bad: *bad }).collect();
        let areas = single_areas(&cases, &[false, true, false, false], &[0, 1, 2, 3]);
        assert!((areas[&3] - 1.0).abs() < 1e-12 && areas[&0] < 0.9 && areas[&2] < 0.6, "{areas:?}");
    }
}
