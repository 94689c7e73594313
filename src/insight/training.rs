//! Training a scorecard on moments of labelled items, and saying honestly how good it is.
//!
//! Every figure is out of fold: customers are dealt into five folds by the hash of their id, and a row is scored by the
//! card that was learned without its customer. Beside it a split by time: learned on the earlier items, judged on the later.

use super::alerts::days;
use super::auc::Case as Scored;
use super::quantiles::{Share, quartiles};
use super::scorecard::{self, Case, Scorecard};
use crate::model::{Micro, Timestamp, hash64};
use crate::rules::card::{Band, chance};
use std::collections::BTreeMap;

/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// Share of the items, in percent, that are the earlier ones of the split by time.
const EARLIER_PERCENT: usize = 70;
/// Bins of the calibration error.
const BINS: usize = 10;
/// Where bands of calibration end, in thousandths of the rows: the highest chances, which alert, are told apart more finely.
const BAND_ENDS: [usize; 12] = [100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 980, 1_000];
/// Rows of such a finer band at least.
const BAND_ROWS_MIN: usize = 100;

/// One moment of a labelled item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number of the customer.
    pub customer: usize,
    /// Their fold.
    pub fold: usize,
    /// Number of the item.
    pub item: usize,
    /// When.
    pub at: Timestamp,
    /// It turned out bad.
    pub bad: bool,
    /// Number of the task whose label row this is; none = sampled besides.
    pub task: Option<usize>,
    /// It is the moment of the outcome itself: judged, but not learned from, as no alert would help any more.
    pub is_last: bool,
    /// Values by column.
    pub values: Vec<Option<i64>>,
}

/// The fold of a customer.
#[must_use]
pub fn fold_of(customer_id: &str) -> usize {
    usize::try_from(hash64(customer_id.as_bytes()) % FOLDS as u64).unwrap_or(0)
}

/// At most `most` of the moments of an item, at random but the same every time and in any order.
#[must_use]
pub fn choose(customer_id: &str, item: Option<&str>, moments: &[Timestamp], most: usize) -> Vec<Timestamp> {
    let rank = |moment: &Timestamp| {
        let parts = [customer_id.as_bytes(), &[0], item.unwrap_or_default().as_bytes(), &moment.0.to_le_bytes()];
        (hash64(&parts.concat()), moment.0)
    };
    let mut drawn = moments.to_vec();
    drawn.sort_by_key(rank);
    drawn.truncate(most);
    drawn.sort_unstable();
    drawn
}

/// What columns are.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Whether a column is a category.
    pub is_category: Vec<bool>,
    /// Those that may be used.
    pub used: Vec<usize>,
}

impl Columns {
    fn learn<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Option<Scorecard> {
        let early: Vec<&Row> = rows.filter(|row| !row.is_last).collect();
        let cases: Vec<Case<'_>> = early.iter().map(|row| Case { values: &row.values, bad: row.bad }).collect();
        let mut card = Scorecard::learn(&cases, &self.is_category, &self.used)?;
        // Chances are to come true at the moments the labels ask about; the others are there to learn from.
        let own = early.iter().filter(|row| row.task.is_some());
        let own: Vec<(i64, bool)> = own.map(|row| (card.score(&row.values), row.bad)).collect();
        card.intercept = recalibrated(card.intercept, &own).unwrap_or(card.intercept);
        Some(card)
    }
}

/// How well each column alone tells bad rows from others (see [`scorecard::single_areas`]).
#[must_use]
pub fn single_areas(rows: &[Row], columns: &Columns) -> BTreeMap<usize, f64> {
    let cases: Vec<Case<'_>> = rows.iter().map(|row| Case { values: &row.values, bad: row.bad }).collect();
    scorecard::single_areas(&cases, &columns.is_category, &columns.used)
}

/// A card, and what the rows look like to cards that never saw their customers.
#[derive(Debug)]
pub struct Trained {
    /// Learned from all rows.
    pub card: Scorecard,
    /// Learned without one fold each; none = a fold's rest is all of one class.
    pub folds: Vec<Option<Scorecard>>,
    /// The score of each row by the card of its fold, in millionths of log-odds.
    pub scores: Vec<Option<i64>>,
    /// Likewise by a card of the earlier items; of the later items' rows only.
    pub later: Vec<Option<i64>>,
}

/// Learns; none when all rows are of one class. Rows must be in an order that does not depend on that of the files.
#[must_use]
pub fn train(rows: &[Row], columns: &Columns) -> Option<Trained> {
    let card = columns.learn(rows.iter())?;
    let folds: Vec<Option<Scorecard>> =
        (0..FOLDS).map(|fold| columns.learn(rows.iter().filter(|row| row.fold != fold))).collect();
    let score = |row: &Row| Some(folds.get(row.fold)?.as_ref()?.score(&row.values));
    let scores = rows.iter().map(score).collect();
    let is_later = later(rows);
    let earlier =
        columns.learn(rows.iter().zip(&is_later).filter(|(_, later)| **later == Some(false)).map(|(row, _)| row));
    let score = |(row, later): (&Row, &Option<bool>)| {
        earlier.as_ref().filter(|_| *later == Some(true)).map(|card| card.score(&row.values))
    };
    let later = rows.iter().zip(&is_later).map(score).collect();
    Some(Trained { card, folds, scores, later })
}

/// Whether a row is of the later items (true) or of the earlier ones and before the later begin (false); none = neither.
fn later(rows: &[Row]) -> Vec<Option<bool>> {
    let mut first = vec![Timestamp(i64::MAX); rows.iter().map(|row| row.item + 1).max().unwrap_or(0)];
    for row in rows {
        if let Some(first) = first.get_mut(row.item) {
            *first = row.at.min(*first);
        }
    }
    let mut sorted: Vec<Timestamp> = first.iter().copied().filter(|at| at.0 < i64::MAX).collect();
    sorted.sort_unstable();
    let Some(cut) = sorted.get(sorted.len() * EARLIER_PERCENT / 100).copied() else { return vec![None; rows.len()] };
    let side = |row: &Row| match first.get(row.item) {
        Some(first) if *first >= cut => Some(true),
        Some(_) if row.at < cut => Some(false),
        _ => None,
    };
    rows.iter().map(side).collect()
}

/// Scored rows as [`super::auc()`] and the calibration take them: chances, as a score.
#[must_use]
pub fn cases(rows: &[Row], scores: &[Option<i64>], is_wanted: impl Fn(&Row) -> bool) -> Vec<Scored> {
    let wanted = rows.iter().zip(scores).filter(|(row, _)| is_wanted(row));
    wanted
        .filter_map(|(row, score)| {
            Some(Scored { cluster: row.customer, score: chance((*score)?).to_f64(), bad: row.bad })
        })
        .collect()
}

/// Scores as chances, one cluster each.
#[must_use]
pub fn chances(scores: &[(i64, bool)]) -> Vec<Scored> {
    let case =
        |(cluster, (score, bad)): (usize, &(i64, bool))| Scored { cluster, score: chance(*score).to_f64(), bad: *bad };
    scores.iter().enumerate().map(case).collect()
}

/// How chances came true, in bands of a tenth of the rows each; of the last tenth in up to three.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "shares and counts are small")]
pub fn bands(scores: &[(i64, bool)]) -> Vec<Band> {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable();
    let mut bands: Vec<Band> = Vec::new();
    let mut from = 0;
    for end in BAND_ENDS {
        let mut to = sorted.len() * end / 1_000;
        if end > 900 && end < 1_000 && to.saturating_sub(from).min(sorted.len() - to) < BAND_ROWS_MIN {
            continue;
        }
        // Equal scores share a band.
        while to > 0 && sorted.get(to).map(|(z, _)| z) == sorted.get(to - 1).map(|(z, _)| z) {
            to += 1;
        }
        let Some(rows) = sorted.get(from..to).filter(|rows| !rows.is_empty()) else { continue };
        let bad = Share { part: rows.iter().filter(|(_, bad)| *bad).count(), whole: rows.len() };
        let predicted: i64 = rows.iter().map(|(z, _)| chance(*z).0).sum();
        let (low, high) = bad.interval().unwrap_or_default();
        bands.push(Band {
            from: rows.first().map(|(z, _)| *z).unwrap_or_default(),
            predicted: (predicted as f64 / rows.len() as f64).round() as i64,
            rows: rows.len() as u64,
            bad: bad.part as u64,
            low: (low * Micro::ONE.0 as f64).round() as i64,
            high: (high * Micro::ONE.0 as f64).round() as i64,
        });
        from = to;
    }
    bands
}

/// Expected calibration error: mean distance between the told chance and the share that came true, over ten bins of equal
/// width (Naeini, Cooper & Hauskrecht 2015). `cases` have chances as scores.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^53, chances lie within 0 and 1"
)]
pub fn calibration_error(cases: &[Scored]) -> f64 {
    let mut bins = [0.0_f64; BINS];
    for case in cases {
        let bin = (case.score.clamp(0.0, 1.0) * BINS as f64) as usize;
        if let Some(bin) = bins.get_mut(bin.min(BINS - 1)) {
            *bin += case.score - f64::from(u8::from(case.bad));
        }
    }
    let sum: f64 = bins.iter().map(|bin| bin.abs()).sum();
    if cases.is_empty() { 0.0 } else { sum / cases.len() as f64 }
}

/// What alerts are counted on: an item over its moments, as it would have been served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// It turned out bad.
    pub bad: bool,
    /// When, if that is known.
    pub outcome_at: Option<Timestamp>,
    /// Declared segments: (number, value).
    pub segments: Vec<(usize, i64)>,
    /// Where the score was higher than ever before: when, and how high.
    peaks: Vec<(Timestamp, i64)>,
}

impl Course {
    /// One without scores.
    #[must_use]
    pub const fn new(bad: bool, outcome_at: Option<Timestamp>, segments: Vec<(usize, i64)>) -> Self {
        Self { bad, outcome_at, segments, peaks: Vec::new() }
    }

    /// Takes a score; they come in order of time.
    pub fn take(&mut self, at: Timestamp, score: i64) {
        if self.peaks.last().is_none_or(|(_, highest)| score > *highest) {
            self.peaks.push((at, score));
        }
    }

    fn highest(&self) -> Option<i64> {
        self.peaks.last().map(|(_, score)| *score)
    }

    /// When the score first reached `open`.
    #[must_use]
    pub fn reached(&self, open: i64) -> Option<Timestamp> {
        self.peaks.iter().find(|(_, score)| *score >= open).map(|(at, _)| *at)
    }
}

/// What a threshold gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alerted {
    /// The score to open at, in millionths of log-odds.
    pub open: i64,
    /// Right ones of all alerts.
    pub right: Share,
    /// Bad items found of all bad items.
    pub found: Share,
    /// Median days from a right alert to the outcome; none when outcomes have no moments.
    pub lead_days: Option<f64>,
}

/// The threshold for so many alerts, one an item at most, and what it gives; none without items.
#[must_use]
pub fn alerted(courses: &[Course], wanted: usize) -> Option<Alerted> {
    let mut highest: Vec<i64> = courses.iter().filter_map(Course::highest).collect();
    highest.sort_unstable_by(|a, b| b.cmp(a));
    let open = *highest.get(wanted.clamp(1, highest.len().max(1)) - 1)?;
    Some(alerted_from(courses, open))
}

fn alerted_from(courses: &[Course], open: i64) -> Alerted {
    let (mut right, mut leads) = (Share::default(), Vec::new());
    for course in courses {
        if let Some(at) = course.reached(open) {
            right.whole += 1;
            right.part += usize::from(course.bad);
            leads.extend(course.outcome_at.filter(|_| course.bad).map(|outcome| outcome.since(at)));
        }
    }
    let found = Share { part: right.part, whole: courses.iter().filter(|course| course.bad).count() };
    Alerted { open, right, found, lead_days: quartiles(leads).map(|leads| days(leads.median)) }
}

/// The intercept that makes the mean chance of rows the share that turned out bad, the rest of the score left as it is; none
/// when all are of one class.
#[must_use]
pub fn recalibrated(intercept: i64, scores: &[(i64, bool)]) -> Option<i64> {
    let bad: i64 = scores.iter().map(|(_, bad)| i64::from(*bad) * Micro::SCALE).sum();
    let all = i64::try_from(scores.len()).ok()?.checked_mul(Micro::SCALE)?;
    if bad == 0 || bad == all {
        return None;
    }
    // The sum of chances rises with the shift: by halves.
    let (mut low, mut high) = (-40_000_000_i64, 40_000_000_i64);
    while high - low > 1 {
        let middle = low.midpoint(high);
        let sum: i64 = scores.iter().map(|(score, _)| chance(score.saturating_add(middle)).0).sum();
        if sum < bad { low = middle } else { high = middle }
    }
    Some(intercept.saturating_add(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::DAY_MS;
    use proptest::prelude::*;

    fn row(number: usize, customer: usize, day: i64, bad: bool, value: i64) -> Row {
        let at = Timestamp(day * DAY_MS);
        Row {
            customer,
            fold: customer % FOLDS,
            item: number,
            at,
            bad,
            task: Some(0),
            is_last: false,
            values: vec![Some(value)],
        }
    }

    #[test]
    fn rows_are_scored_by_cards_that_never_saw_their_customer() {
        // The value is the customer's number: it tells nothing about customers not seen.
        let rows: Vec<Row> = (0..4_000)
            .map(|at| row(at, at / 4, at as i64, hash64(&(at / 4).to_le_bytes()).is_multiple_of(2), (at / 4) as i64))
            .collect();
        let columns = Columns { is_category: vec![false], used: vec![0] };
        let trained = train(&rows, &columns).unwrap();
        let area = super::super::auc(&cases(&rows, &trained.scores, |_| true)).unwrap();
        assert!((0.4..0.6).contains(&area.area), "{area:?}");
        let later: Vec<bool> = trained.later.iter().map(Option::is_some).collect();
        assert_eq!(later, (0..4_000).map(|at| at >= 2_800).collect::<Vec<_>>());
    }

    #[test]
    fn thresholds_give_the_wanted_number_of_alerts_and_the_first_crossing_counts() {
        let course = |bad, scores: &[i64]| {
            let mut course = Course { bad, outcome_at: Some(Timestamp(10 * DAY_MS)), ..Course::default() };
            (0..).zip(scores).for_each(|(day, score)| course.take(Timestamp(day * DAY_MS), *score));
            course
        };
        let courses = [course(true, &[1, 5, 3, 9]), course(false, &[4, 4]), course(true, &[2]), course(false, &[6, 1])];
        let two = alerted(&courses, 2).unwrap();
        assert_eq!((two.open, two.right, two.found), (6, Share { part: 1, whole: 2 }, Share { part: 1, whole: 2 }));
        assert_eq!(two.lead_days, Some(7.0));
        assert_eq!(alerted(&courses, 3).unwrap().lead_days, Some(9.0));
        assert_eq!(alerted(&courses, 99).unwrap().right.whole, 4);
        assert_eq!(alerted(&[], 1), None);
    }

    #[test]
    fn a_new_base_rate_moves_the_intercept_only_as_far_as_needed() {
        let scores: Vec<(i64, bool)> = (0..1_000).map(|at| (-2_000_000 + at * 1_000, at % 10 == 0)).collect();
        let moved = recalibrated(500, &scores).unwrap() - 500;
        let mean = scores.iter().map(|(score, _)| chance(score + moved).0).sum::<i64>() / 1_000;
        assert!((mean - 100_000).abs() <= 2, "{mean}");
        assert_eq!(recalibrated(0, &[(1, true)]), None);
        assert_eq!(recalibrated(0, &[]), None);
    }

    #[test]
    fn equal_scores_share_a_band_and_perfect_chances_have_no_error() {
        let scores: Vec<(i64, bool)> = (0..1_000).map(|at| (if at < 600 { 0 } else { at }, at % 2 == 0)).collect();
        let bands = bands(&scores);
        assert_eq!((bands.len(), bands[0].rows, bands.iter().map(|band| band.rows).sum::<u64>()), (5, 600, 1_000));
        let case = |(score, bad)| Scored { cluster: 0, score, bad };
        let told = |chance: f64| [(chance, true), (chance, false)].map(case);
        assert!(calibration_error(&told(0.5)).abs() < 1e-12 && calibration_error(&[]).abs() < 1e-12);
        assert!((calibration_error(&[told(0.9), told(0.2)].concat()) - 0.35).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn moments_are_chosen_alike_in_any_order(mut moments in prop::collection::vec(0_i64..1_000, 0..20)) {
            let times = |moments: &[i64]| moments.iter().map(|at| Timestamp(*at)).collect::<Vec<_>>();
            let chosen = choose("ann", Some("1"), &times(&moments), 4);
            moments.reverse();
            prop_assert_eq!(&choose("ann", Some("1"), &times(&moments), 4), &chosen);
            prop_assert_eq!(chosen.len(), moments.len().min(4));
        }
    }
}
