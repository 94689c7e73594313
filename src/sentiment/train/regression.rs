//! Multinomial logistic regression over sparse rows, with a prior for each weight.
//!
//! The prior is a normal distribution around zero, or around the weights of another model: own labels then move only
//! what they speak about. Exponentials and logarithms are [`crate::model::transcendental`]'s, so training gives the same bits
//! on every machine.

use super::lbfgs;
use crate::model::transcendental::{exp, ln};

/// Classes: negative, neutral, positive.
pub(super) const CLASSES: usize = 3;

/// One text with its label.
#[derive(Debug, Clone, Default)]
pub(super) struct Example {
    /// Feature and value.
    pub(super) features: Vec<(u32, f32)>,
    /// Probability of each class; they sum to one.
    pub(super) target: [f64; CLASSES],
    /// How much it counts.
    pub(super) weight: f64,
}

/// Probabilities of logits.
pub(super) fn softmax(logits: [f64; CLASSES]) -> [f64; CLASSES] {
    let highest = logits.iter().fold(f64::NEG_INFINITY, |highest, logit| highest.max(*logit));
    let powers = logits.map(|logit| exp(logit - highest));
    let total: f64 = powers.iter().sum();
    powers.map(|power| power / total)
}

/// The weights, three a feature.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights(pub(super) Vec<[f64; CLASSES]>);

impl Weights {
    /// Logits of the classes.
    pub(super) fn logits(&self, features: &[(u32, f32)]) -> [f64; CLASSES] {
        let mut logits = [0.0; CLASSES];
        for (feature, value) in features {
            let row = self.0.get(*feature as usize).copied().unwrap_or_default();
            for (logit, weight) in logits.iter_mut().zip(row) {
                *logit += weight * f64::from(*value);
            }
        }
        logits
    }
}

impl Weights {
    /// The difference to others.
    pub(super) fn minus(&self, others: &Self) -> Self {
        let rows = self.0.iter().zip(&others.0);
        Self(rows.map(|(a, b)| [a[0] - b[0], a[1] - b[1], a[2] - b[2]]).collect())
    }
}

/// Fits the weights of `size` features. `strictness` is what a squared distance from the prior costs, by feature.
pub(super) fn fit(
    examples: &[&Example],
    size: usize,
    prior: Option<&Weights>,
    strictness: impl Fn(u32) -> f64,
) -> Weights {
    // Only features that occur take part.
    let mut number = vec![u32::MAX; size];
    let mut occurring = Vec::new();
    for (feature, _) in examples.iter().flat_map(|example| &example.features) {
        if let Some(number) = number.get_mut(*feature as usize).filter(|number| **number == u32::MAX) {
            *number = u32::try_from(occurring.len()).unwrap_or(u32::MAX);
            occurring.push(*feature);
        }
    }
    let compact: Vec<Vec<(usize, f64)>> = examples
        .iter()
        .map(|example| {
            let place = |feature: u32| number.get(feature as usize).map_or(0, |number| *number as usize * CLASSES);
            example.features.iter().map(|(feature, value)| (place(*feature), f64::from(*value))).collect()
        })
        .collect();
    let centre = |feature: u32| prior.and_then(|prior| prior.0.get(feature as usize).copied()).unwrap_or_default();
    let centres: Vec<f64> = occurring.iter().flat_map(|feature| centre(*feature)).collect();
    let costs: Vec<f64> = occurring.iter().flat_map(|feature| [strictness(*feature); CLASSES]).collect();
    let mut x = centres.clone();
    lbfgs::minimise(&mut x, 120, 2e-5, |x, gradient| {
        let mut value = 0.0;
        for ((at, gradient), (centre, cost)) in x.iter().zip(gradient.iter_mut()).zip(centres.iter().zip(&costs)) {
            value += 0.5 * cost * (at - centre) * (at - centre);
            *gradient = cost * (at - centre);
        }
        for (example, features) in examples.iter().zip(&compact) {
            value += loss(example, features, x, gradient);
        }
        value
    });
    let mut weights = prior.cloned().unwrap_or_else(|| Weights(vec![[0.0; CLASSES]; size]));
    for (feature, fitted) in occurring.iter().zip(x.chunks_exact(CLASSES)) {
        if let Some(row) = weights.0.get_mut(*feature as usize) {
            row.iter_mut().zip(fitted).for_each(|(to, from)| *to = *from);
        }
    }
    weights
}

/// Cross-entropy of one example, its gradient added.
fn loss(example: &Example, features: &[(usize, f64)], x: &[f64], gradient: &mut [f64]) -> f64 {
    let mut logits = [0.0; CLASSES];
    for (place, value) in features {
        let row = x.get(*place..place + CLASSES).unwrap_or_default();
        logits.iter_mut().zip(row).for_each(|(logit, weight)| *logit += weight * value);
    }
    let highest = logits.iter().fold(f64::NEG_INFINITY, |highest, logit| highest.max(*logit));
    let powers = logits.map(|logit| exp(logit - highest));
    let total: f64 = powers.iter().sum();
    let mut slopes = [0.0; CLASSES];
    let mut value = ln(total);
    for (((slope, target), power), logit) in slopes.iter_mut().zip(example.target).zip(powers).zip(logits) {
        *slope = example.weight * (power / total - target);
        value -= target * (logit - highest);
    }
    value *= example.weight;
    for (place, value) in features {
        let row = gradient.get_mut(*place..place + CLASSES).unwrap_or_default();
        row.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient += slope * value);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separable_examples_are_learned_and_an_unseen_feature_keeps_its_prior() {
        let example = |feature, class: usize| {
            let mut target = [0.0; 3];
            target[class] = 1.0;
            Example { features: vec![(feature, 1.0), (9, 1.0)], target, weight: 1.0 }
        };
        let examples: Vec<Example> = (0..30).map(|at| example(at % 3, at as usize % 3)).collect();
        let prior = Weights(vec![[0.25, 0.0, -0.25]; 10]);
        let fitted = fit(&examples.iter().collect::<Vec<_>>(), 10, Some(&prior), |_| 0.01);
        for class in 0..3 {
            let found = softmax(fitted.logits(&examples[class].features));
            assert!(found[class] > 0.9, "{found:?}");
        }
        assert!(fitted.0[5].iter().zip([0.25, 0.0, -0.25]).all(|(found, prior)| (found - prior).abs() < 1e-12));
    }
}
