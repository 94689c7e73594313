//! Penalised logistic regression over binned features, by Newton's method.
//!
//! ```text
//! minimise ½ ‖w‖² + C · Σ log(1 + e^−±z)        z = intercept + Σ weights of the bin's edges; the intercept is free
//! ```
//! A number's bins are coded by the edges they have passed (thermometer coding), so that the penalty pulls neighbouring bins
//! together; a category's by one weight each; what is missing has a weight of its own. Convex: one minimum, and it is found
//! with a fixed order of summation and with additions and products alone (the exponential included), so the same rows give
//! the same bits on every machine. Exact second derivatives are cheap here: they are sums over pairs of bins.

use crate::model::transcendental::exp;

/// Strength of the data against the penalty.
const C: f64 = 0.01;
/// Newton's steps; a handful is enough for a convex problem with a penalty.
const STEPS_MAX: usize = 50;
/// Half the squared length of a step, in the problem's own measure, at which it is done.
const DECREMENT_MIN: f64 = 1e-9;
const HALVINGS_MAX: usize = 20;

/// One binned feature over all rows.
#[derive(Debug, Clone)]
pub(super) struct Coded {
    /// The bin of each row; the last one is that of missing values.
    pub(super) bins: Vec<u8>,
    /// Number of bins, that of missing values included.
    pub(super) count: usize,
    /// Neighbouring bins are alike.
    pub(super) is_ordered: bool,
}

/// Weights as they add up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Solution {
    pub(super) intercept: f64,
    /// By feature and bin, in log-odds.
    pub(super) points: Vec<Vec<f64>>,
    /// False when the last step was not small: not seen with a penalty.
    pub(super) converged: bool,
}

/// Finds the minimum.
pub(super) fn solve(features: &[Coded], bad: &[bool]) -> Solution {
    let places = Places::of(features);
    let mut weights = vec![0.0; places.len];
    let mut at = Point::new(features, bad, &places, &weights);
    let mut converged = false;
    for _ in 0..STEPS_MAX {
        let gradient = at.gradient(features, &places, &weights);
        let Some(step) = solve_linear(curvature(features, &at.spread, &places), &gradient) else { break };
        let decrement = dot(&gradient, &step) / 2.0;
        if decrement < DECREMENT_MIN {
            converged = true;
            break;
        }
        let mut share = 1.0;
        for _ in 0..HALVINGS_MAX {
            let next: Vec<f64> = weights.iter().zip(&step).map(|(weight, step)| weight - share * step).collect();
            let there = Point::new(features, bad, &places, &next);
            let is_lower = there.loss < at.loss;
            if is_lower || share < 1e-5 {
                (weights, at) = (next, there);
                break;
            }
            share /= 2.0;
        }
    }
    let intercept = weights.first().copied().unwrap_or_default();
    let points = features.iter().zip(&places.first).map(|(feature, first)| points(feature, *first, &weights)).collect();
    Solution { intercept, points, converged }
}

/// Where each feature's weights begin; the intercept is the first of all.
struct Places {
    first: Vec<usize>,
    len: usize,
}

impl Places {
    fn of(features: &[Coded]) -> Self {
        let mut len = 1;
        let mut first = Vec::with_capacity(features.len());
        for feature in features {
            first.push(len);
            len += feature.count - 1;
        }
        Self { first, len }
    }
}

/// Points by bin. Weights of a number: one for each edge, then that of missing values. Of a category: one for each value
/// but the last (the others, which have none), then that of missing values.
fn points(feature: &Coded, first: usize, weights: &[f64]) -> Vec<f64> {
    let own = weights.get(first..first + feature.count - 1).unwrap_or_default();
    let Some((missing, own)) = own.split_last() else { return vec![0.0] };
    let mut points = Vec::with_capacity(feature.count);
    if feature.is_ordered {
        let mut sum = 0.0;
        points.push(sum);
        points.extend(own.iter().map(|weight| {
            sum += weight;
            sum
        }));
    } else {
        points.extend_from_slice(own);
        points.push(0.0);
    }
    points.push(*missing);
    points
}

/// Sums by bin → sums by weight: an edge collects the bins beyond it.
fn collect(sums: &[f64], is_ordered: bool) -> Vec<f64> {
    let Some((missing, own)) = sums.split_last() else { return Vec::new() };
    let mut collected = Vec::with_capacity(sums.len());
    if is_ordered {
        let mut sum = 0.0;
        collected.extend(own.iter().skip(1).rev().map(|own| {
            sum += own;
            sum
        }));
        collected.reverse();
    } else if let Some((_, own)) = own.split_last() {
        collected.extend_from_slice(own);
    }
    collected.push(*missing);
    collected
}

/// The rows seen with some weights.
struct Point {
    loss: f64,
    /// Chance − label.
    residual: Vec<f64>,
    /// Chance · (1 − chance).
    spread: Vec<f64>,
}

impl Point {
    fn new(features: &[Coded], bad: &[bool], places: &Places, weights: &[f64]) -> Self {
        let mut scores = vec![weights.first().copied().unwrap_or_default(); bad.len()];
        for (feature, first) in features.iter().zip(&places.first) {
            let points = points(feature, *first, weights);
            for (score, bin) in scores.iter_mut().zip(&feature.bins) {
                *score += points.get(usize::from(*bin)).copied().unwrap_or_default();
            }
        }
        let mut loss = 0.0;
        let (mut residual, mut spread) = (Vec::with_capacity(bad.len()), Vec::with_capacity(bad.len()));
        for (score, bad) in scores.iter().zip(bad) {
            let rare = exp(-score.abs());
            let chance = if *score < 0.0 { rare / (1.0 + rare) } else { 1.0 / (1.0 + rare) };
            residual.push(chance - f64::from(u8::from(*bad)));
            spread.push(rare / ((1.0 + rare) * (1.0 + rare)));
            let wrong_way = if *bad { -score } else { *score };
            loss += wrong_way.max(0.0) + rare.ln_1p();
        }
        let penalty: f64 = weights.iter().skip(1).map(|weight| weight * weight).sum();
        Self { loss: penalty / 2.0 + C * loss, residual, spread }
    }

    fn gradient(&self, features: &[Coded], places: &Places, weights: &[f64]) -> Vec<f64> {
        let mut gradient = Vec::with_capacity(places.len);
        gradient.push(C * self.residual.iter().sum::<f64>());
        for feature in features {
            let mut sums = vec![0.0; feature.count];
            for (bin, residual) in feature.bins.iter().zip(&self.residual) {
                if let Some(sum) = sums.get_mut(usize::from(*bin)) {
                    *sum += residual;
                }
            }
            gradient.extend(collect(&sums, feature.is_ordered).iter().map(|sum| C * sum));
        }
        gradient.iter_mut().zip(weights).skip(1).for_each(|(gradient, weight)| *gradient += weight);
        gradient
    }
}

/// Second derivatives, rows of the lower triangle.
fn curvature(features: &[Coded], spread: &[f64], places: &Places) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = (0..places.len).map(|row| Vec::with_capacity(row + 1)).collect();
    if let Some(intercept) = rows.first_mut() {
        intercept.push(C * spread.iter().sum::<f64>());
    }
    // Without an intercept's own feature: one bin that every row is in.
    let all = Coded { bins: vec![0; spread.len()], count: 1, is_ordered: true };
    for (at, feature) in features.iter().enumerate() {
        let first = places.first.get(at).copied().unwrap_or_default();
        let others = std::iter::once(&all).chain(features.iter().take(at + 1));
        for other in others {
            let block = pair(feature, other, spread);
            for (row, sums) in rows.iter_mut().skip(first).zip(block) {
                row.extend(sums.iter().map(|sum| C * sum));
            }
        }
        for (own, row) in rows.iter_mut().enumerate().skip(first).take(feature.count - 1) {
            row.truncate(own + 1);
            row.iter_mut().skip(own).for_each(|diagonal| *diagonal += 1.0);
        }
    }
    rows
}

/// Sums of spread over the rows that two weights have in common, by weight of one and of the other.
fn pair(one: &Coded, other: &Coded, spread: &[f64]) -> Vec<Vec<f64>> {
    let mut table = vec![0.0; one.count * other.count];
    for ((a, b), spread) in one.bins.iter().zip(&other.bins).zip(spread) {
        if let Some(sum) = table.get_mut(usize::from(*a) * other.count + usize::from(*b)) {
            *sum += spread;
        }
    }
    let by_bin: Vec<Vec<f64>> = table
        .chunks_exact(other.count)
        .map(|sums| if other.count == 1 { sums.to_vec() } else { collect(sums, other.is_ordered) })
        .collect();
    let width = by_bin.first().map_or(0, Vec::len);
    let mut by_weight = vec![Vec::with_capacity(width); one.count - 1];
    for at in 0..width {
        let column: Vec<f64> = by_bin.iter().filter_map(|sums| sums.get(at).copied()).collect();
        for (row, sum) in by_weight.iter_mut().zip(collect(&column, one.is_ordered)) {
            row.push(sum);
        }
    }
    by_weight
}

/// Solves A x = b by Cholesky's decomposition of the lower triangle A; none when A is not positive definite.
fn solve_linear(mut a: Vec<Vec<f64>>, b: &[f64]) -> Option<Vec<f64>> {
    let mut diagonal: Vec<f64> = Vec::with_capacity(a.len());
    for at in 0..a.len() {
        let (done, rest) = a.split_at_mut(at);
        let row = rest.first_mut()?;
        for (column, (above, pivot)) in done.iter().zip(&diagonal).enumerate() {
            let (left, right) = row.split_at_mut(column);
            let value = right.first_mut()?;
            *value = (*value - dot(left, above.get(..column)?)) / pivot;
        }
        let (left, right) = row.split_at_mut(at);
        let pivot = right.first_mut()?;
        let square = *pivot - dot(left, left);
        if square.is_nan() || square <= 0.0 {
            return None;
        }
        *pivot = square.sqrt();
        diagonal.push(*pivot);
    }
    let mut x: Vec<f64> = Vec::with_capacity(b.len());
    for ((row, pivot), b) in a.iter().zip(&diagonal).zip(b) {
        x.push((b - dot(row.get(..x.len())?, &x)) / pivot);
    }
    for at in (0..x.len()).rev() {
        let (rest, value) = x.split_at_mut(at);
        let value = value.first_mut()?;
        *value /= diagonal.get(at)?;
        for (x, l) in rest.iter_mut().zip(a.get(at)?) {
            *x -= *value * l;
        }
    }
    Some(x)
}

/// Σ a·b in eight sums, which the processor adds side by side; always in the same order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_eights.iter().zip(b_eights) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_linear_system_is_solved(rows in prop::collection::vec(prop::collection::vec(-3.0_f64..3.0, 12), 12), b in prop::collection::vec(-5.0_f64..5.0, 12)) {
            // A = R Rᵀ + I is positive definite.
            let full = |i: usize, j: usize| dot(&rows[i], &rows[j]) + f64::from(u8::from(i == j));
            let x = solve_linear((0..12).map(|i| (0..=i).map(|j| full(i, j)).collect()).collect(), &b).unwrap();
            for (i, b) in b.iter().enumerate() {
                let left: f64 = (0..12).map(|j| full(i, j) * x[j]).sum();
                prop_assert!((left - b).abs() < 1e-9, "{left} against {b}");
            }
        }
    }

    #[test]
    fn at_the_minimum_the_slope_is_nought_in_every_direction() {
        let numbers =
            Coded { bins: (0..600).map(|row| [0, 1, 2, 3, 3][row % 5]).collect(), count: 4, is_ordered: true };
        let names = Coded { bins: (0..600).map(|row| [0, 1, 2][row / 7 % 3]).collect(), count: 4, is_ordered: false };
        let bad: Vec<bool> = (0..600).map(|row| row % 5 == 2 || row % 11 == 0).collect();
        let features = [numbers, names];
        let solution = solve(&features, &bad);
        assert!(solution.converged);
        let loss = |solution: &Solution| {
            let mut sum = 0.0;
            for (row, bad) in bad.iter().enumerate() {
                let of = |(points, feature): (&Vec<f64>, &Coded)| points[usize::from(feature.bins[row])];
                let score = solution.intercept + solution.points.iter().zip(&features).map(of).sum::<f64>();
                sum += C * (1.0 + (if *bad { -score } else { score }).exp()).ln();
            }
            let points = &solution.points;
            let steps = points[0].windows(2).take(2).map(|pair| pair[1] - pair[0]);
            let weights = steps.chain([points[0][3], points[1][0], points[1][1], points[1][3]]);
            sum + weights.map(|weight| weight * weight / 2.0).sum::<f64>()
        };
        let least = loss(&solution);
        // Bins 2 and 3 of the numbers are the last edge's and that of what is missing; the last of the names' own is free of weight.
        for (feature, bins) in [(0, vec![1, 2]), (0, vec![2]), (0, vec![3]), (1, vec![0]), (1, vec![1])] {
            for shift in [-1e-3, 1e-3] {
                let mut other = solution.clone();
                bins.iter().for_each(|bin| other.points[feature][*bin] += shift);
                assert!(loss(&other) > least, "feature {feature}, bins {bins:?}, {shift}");
            }
        }
        let bad_in_two = solution.points[0][2] - solution.points[0][1];
        assert!(bad_in_two > 0.5, "{solution:?}");
    }
}
