//! The stages a customer went through, with their times, where `engine.stage_history` asks for them.
//!
//! Within the lateness every touchpoint that gives a stage is remembered, older ones as stays: so any order of arrival
//! within the lateness gives the same history.

use super::customer::Customer;
use super::settings::Settings;
use crate::model::{Name, Timestamp};

/// Touchpoints remembered besides one for each stay.
const AGAIN_MAX: usize = 64;

/// Stays remembered besides those told: what began the oldest one told is known as long as something else is known before it.
const BEFORE: usize = 1;

/// Remembers that a touchpoint of `time` gave a stage.
pub(super) fn remember(customer: &mut Customer, settings: &Settings, time: Timestamp, stage: Name) {
    let stays_max = settings.timing.stage_history as usize;
    if stays_max == 0 {
        return customer.stages.clear();
    }
    let stages = &mut customer.stages;
    stages.insert(stages.partition_point(|known| *known <= (time, stage)), (time, stage));
    // Nothing comes before the horizon any more: what repeats the one before it there says nothing new.
    let horizon = customer.latest.minus(settings.timing.lateness_max_ms());
    stages.dedup_by(|(at, stage), (_, before)| *at < horizon && stage == before);
    while stages.len() > stays_max + AGAIN_MAX || all(stages).count() > stays_max + BEFORE {
        stages.remove(0);
    }
}

fn all(stages: &[(Timestamp, Name)]) -> impl Iterator<Item = (Timestamp, Name)> {
    stages.chunk_by(|(_, before), (_, stage)| before == stage).filter_map(|stay| stay.first().copied())
}

/// The last stays in a stage, as many as the configuration asks for: since when, and which.
pub(super) fn stays(customer: &Customer, settings: &Settings) -> impl Iterator<Item = (Timestamp, Name)> {
    let extra = all(&customer.stages).count().saturating_sub(settings.timing.stage_history as usize);
    all(&customer.stages).skip(extra)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::time::MINUTE_MS;
    use proptest::prelude::*;

    proptest! {
        /// More stays than are told: those that gave way must not join what is told.
        #[test]
        fn any_order_of_arrival_gives_the_same_stays(
            stages in prop::collection::vec(0_u32..3, 1..12),
            keys in prop::collection::vec(any::<u64>(), 12),
        ) {
            let text = "[engine]\nstage_history = 3\n";
            let settings = Config::load(Some(text), &|_| Err(String::new())).unwrap().settings;
            let history = |order: &[usize]| {
                let mut customer = Customer::default();
                for &at in order {
                    let time = Timestamp((1 + i64::try_from(at).unwrap()) * MINUTE_MS);
                    customer.latest = customer.latest.max(time);
                    remember(&mut customer, &settings, time, Name(stages[at]));
                }
                stays(&customer, &settings).collect::<Vec<_>>()
            };
            let mut order: Vec<usize> = (0..stages.len()).collect();
            let in_time = history(&order);
            order.sort_by_key(|at| keys[*at]);
            prop_assert_eq!(in_time, history(&order));
        }
    }
}
