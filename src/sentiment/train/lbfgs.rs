//! Limited-memory BFGS (Nocedal & Wright, algorithm 7.5) with a backtracking line search, for smooth convex functions.
//!
//! Only + − × ÷ and √, in a fixed order: the same input gives the same bits on every machine.

use std::collections::VecDeque;

/// Pairs of steps and changes of the gradient that are kept.
const MEMORY: usize = 10;
/// A step that lowers the function by this part of what the slope promises is taken.
const SUFFICIENT: f64 = 1e-4;
const HALVINGS_MAX: usize = 40;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `to += factor * from`.
fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}

/// Goes from `x` towards the minimum of `function`, which answers its value and writes its gradient. Stops after
/// `steps`, or when a step gains less than `tolerance` of the value.
pub(super) fn minimise(
    x: &mut Vec<f64>,
    steps: usize,
    tolerance: f64,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) {
    let mut gradient = vec![0.0; x.len()];
    let mut value = function(x, &mut gradient);
    let mut history: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::with_capacity(MEMORY);
    for step in 0..steps {
        let direction = direction(&gradient, &history);
        let slope = dot(&direction, &gradient);
        let mut length = if step == 0 { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut next = x.clone();
        let mut next_gradient = vec![0.0; x.len()];
        let mut next_value = f64::INFINITY;
        for _ in 0..HALVINGS_MAX {
            next.clone_from(x);
            add(&mut next, length, &direction);
            next_value = function(&next, &mut next_gradient);
            if next_value <= value + SUFFICIENT * length * slope {
                break;
            }
            length *= 0.5;
        }
        if next_value >= value {
            break;
        }
        let moved: Vec<f64> = next.iter().zip(x.iter()).map(|(next, x)| next - x).collect();
        let changed: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, now)| next - now).collect();
        let curvature = dot(&moved, &changed);
        if curvature > 1e-12 {
            if history.len() == MEMORY {
                history.pop_front();
            }
            history.push_back((moved, changed, 1.0 / curvature));
        }
        let gained = value - next_value;
        (*x, gradient, value) = (next, next_gradient, next_value);
        if gained < tolerance * value.abs() {
            break;
        }
    }
}

/// Minus the gradient, stretched by what the last steps tell of the curvature.
fn direction(gradient: &[f64], history: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(history.len());
    for (moved, changed, inverse) in history.iter().rev() {
        let factor = inverse * dot(moved, &direction);
        add(&mut direction, -factor, changed);
        factors.push(factor);
    }
    if let Some((moved, changed, _)) = history.back() {
        let scale = dot(moved, changed) / dot(changed, changed);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, changed, inverse), factor) in history.iter().zip(factors.iter().rev()) {
        let correction = factor - inverse * dot(changed, &direction);
        add(&mut direction, correction, moved);
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_stretched_bowl() {
        let (weights, target) = ([1.0, 100.0, 0.01, 7.0], [3.0, -2.0, 50.0, 0.5]);
        let mut x = vec![0.0; 4];
        minimise(&mut x, 200, 0.0, |x, gradient| {
            let mut value = 0.0;
            for at in 0..4 {
                let distance = x[at] - target[at];
                value += weights[at] * distance * distance;
                gradient[at] = 2.0 * weights[at] * distance;
            }
            value
        });
        for at in 0..4 {
            assert!((x[at] - target[at]).abs() < 1e-3, "{x:?}");
        }
    }
}
