//! The stages a customer went through, with their times, where `engine.stage_history` asks for them.
//!
//! Within the lateness every touchpoint that gives a stage is remembered, older ones as stays: so any order of arrival
//! within the lateness gives the same history.

use super::customer::Customer;
use super::settings::Settings;
use crate::model::{Name, Timestamp};

/// Touchpoints remembered besides one for each stay.
const AGAIN_MAX: usize = 64;

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
    while stages.len() > stays_max + AGAIN_MAX || stays(stages).count() > stays_max {
        stages.remove(0);
    }
}

/// Each stay in a stage: since when, and which.
pub(super) fn stays(stages: &[(Timestamp, Name)]) -> impl Iterator<Item = (Timestamp, Name)> {
    stages.chunk_by(|(_, before), (_, stage)| before == stage).filter_map(|stay| stay.first().copied())
}
