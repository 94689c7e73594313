//! Derived figures of a customer at a moment: perception, expectation, felt disconfirmation, index; and what they
//! rest on. Formulas: domain of customer experience research as cited in ARCHITECTURE.md; constants in `[model]`.

use super::customer::Customer;
use super::panes::{Sum, shrunk_mean};
use super::pressure::most_pressing;
use super::settings::{Model, Settings};
use crate::model::{Evidence, Figures, Micro, Timestamp};

/// Evidence lines in an alert.
pub(super) const EVIDENCE_MAX: usize = 5;

/// The figures, and the sums behind them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Derived {
    pub(super) at: Timestamp,
    pub(super) figures: Figures,
    pub(super) perception_sum: Sum,
    pub(super) expectation_sum: Sum,
}

/// Derives the figures at the customer's own time.
pub(super) fn derive(customer: &Customer, settings: &Settings) -> Derived {
    let (model, at) = (&settings.model, customer.now);
    let perception_sum = customer.panes.sum(at, None, model.perception_half_life.0);
    let until = at.minus(model.expectation_excludes.0);
    let expectation_sum = customer.panes.sum(at, Some(until), model.expectation_half_life.0);
    let perception = shrunk_mean(perception_sum, Micro::ZERO, model.perception_prior_weight);
    let prior = customer.segment.as_ref().and_then(|(_, segment)| model.segment_priors.get(&**segment));
    let prior = prior.copied().unwrap_or(model.prior);
    let expectation = shrunk_mean(expectation_sum, prior, model.expectation_prior_weight);
    let disconfirmation = perception - expectation;
    let felt = felt(model, disconfirmation, Micro(expectation_sum.w));
    let pressure = most_pressing(customer, settings, at).map_or(Micro::ZERO, |(_, pressure)| pressure);
    let index = index_terms(model, perception, felt, pressure).iter().fold(Micro::ZERO, |sum, term| sum + *term);
    let figures = Figures {
        index: (index.0 + Micro::SCALE / 2).div_euclid(Micro::SCALE).clamp(0, 100),
        perception,
        expectation,
        disconfirmation,
        felt,
        pressure,
        stage: customer.stage.map(|(_, stage)| stage),
    };
    Derived { at, figures, perception_sum, expectation_sum }
}

/// d if d ≥ 0, else λd with λ = 1 + aversion · min(1, W / full confidence): losses weigh more, the more the
/// expectation is worth.
fn felt(model: &Model, disconfirmation: Micro, weight: Micro) -> Micro {
    if disconfirmation >= Micro::ZERO {
        return disconfirmation;
    }
    let confidence = weight.over(model.loss_confidence_weight).min(Micro::ONE);
    disconfirmation.times(Micro::ONE + model.loss_aversion.times(confidence))
}

/// The index before rounding and clamping: base, perception, felt, pressure.
pub(super) fn index_terms(model: &Model, perception: Micro, felt: Micro, pressure: Micro) -> [Micro; 4] {
    let felt = felt.clamp(-Micro::ONE, Micro::ONE);
    [
        model.index_base,
        model.index_perception.times(perception),
        model.index_felt.times(felt),
        -model.index_pressure.times(pressure),
    ]
}

/// Perception as it was `lookback_ms` ago, from what happened until then.
pub(super) fn perception_before(customer: &Customer, model: &Model, at: Timestamp, lookback_ms: i64) -> Micro {
    let then = at.minus(lookback_ms);
    let sum = customer.panes.sum(then, Some(then), model.perception_half_life.0);
    shrunk_mean(sum, Micro::ZERO, model.perception_prior_weight)
}

/// What the recent touchpoints add to perception, greatest magnitude first, at most `lines`.
pub(super) fn perception_evidence(
    customer: &Customer,
    model: &Model,
    derived: &Derived,
    lines: usize,
) -> Vec<Evidence> {
    let divisor = Micro(derived.perception_sum.w.saturating_add(model.perception_prior_weight.0));
    let evidence = customer.recent.iter().map(|recent| {
        let factor = customer.panes.factor(derived.at, recent.mark.time, model.perception_half_life.0);
        recent.mark.evidence(Micro(factor.times(recent.mark.value.0)).over(divisor))
    });
    strongest(evidence.collect(), lines)
}

/// The lines of greatest magnitude; ties: the later touchpoint, then the smaller hash.
pub(super) fn strongest(mut evidence: Vec<Evidence>, lines: usize) -> Vec<Evidence> {
    evidence.sort_by_key(|line| {
        let magnitude = line.contribution.0.unsigned_abs();
        (std::cmp::Reverse(magnitude), std::cmp::Reverse(line.occurred_at), line.event)
    });
    evidence.truncate(lines);
    evidence
}
