//! `touchline evaluate --examples`: alerts drawn at random with what the customer went through, to be judged by people.

use crate::engine::Settings;
use crate::insight::{clock, story};
use crate::model::{AlertChange, Channel, Name, Phase, Timestamp, Touchpoint, hash64};
use std::collections::BTreeMap;

/// What is gathered for the examples; nothing when none are wanted.
#[derive(Debug, Default)]
pub(super) struct Examples {
    count: usize,
    seed: u64,
    alerts: BTreeMap<u64, Vec<AlertChange>>,
    touchpoints: BTreeMap<Box<str>, Vec<(Timestamp, Name, Channel)>>,
}

impl Examples {
    /// So many, the same for the same seed.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        Self { count, seed, ..Self::default() }
    }

    /// Takes a touchpoint.
    pub(super) fn touchpoint(&mut self, touchpoint: &Touchpoint<'_>) {
        if self.count == 0 {
            return;
        }
        let seen = (touchpoint.occurred_at, Name::of(&touchpoint.kind), touchpoint.channel);
        match self.touchpoints.get_mut(&*touchpoint.customer_id) {
            Some(known) => known.push(seen),
            None => drop(self.touchpoints.insert(touchpoint.customer_id.as_ref().into(), vec![seen])),
        }
    }

    /// Takes changes of alerts.
    pub(super) fn alerts(&mut self, alerts: &[AlertChange]) {
        for change in alerts.iter().filter(|_| self.count > 0) {
            self.alerts.entry(change.alert_id).or_default().push(change.clone());
        }
    }

    /// The examples: what `verdict` says of the opening, the alert's story, the customer's touchpoints.
    pub(super) fn text(&self, settings: &Settings, verdict: impl Fn(&AlertChange) -> String) -> String {
        // The smallest of hashes made of seed and id are a random draw that anybody can repeat.
        let draw = |id: &u64| hash64([self.seed.to_le_bytes(), id.to_le_bytes()].as_flattened());
        let mut drawn: Vec<(u64, &Vec<AlertChange>)> =
            self.alerts.iter().map(|(id, changes)| (draw(id), changes)).collect();
        drawn.sort_by_key(|(rank, _)| *rank);
        let mut text = String::new();
        for (number, (_, changes)) in (1..).zip(drawn.into_iter().take(self.count)) {
            let Some(opened) = changes.iter().find(|change| change.phase == Phase::Opened) else { continue };
            text += &format!("\nexample {number}: {}\n{}", verdict(opened), story(changes, settings));
            text += "the customer's touchpoints:\n";
            for (at, kind, channel) in self.touchpoints.get(&*opened.customer_id).into_iter().flatten() {
                let mark = if *at <= opened.event_time { ' ' } else { '+' };
                text +=
                    &format!("  {mark} {}  {} ({})\n", clock(*at), settings.catalogue.text(*kind), channel.as_str());
            }
        }
        text
    }
}
