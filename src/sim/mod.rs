//! Simulated customers: pure and deterministic from a seed. `simulate` and `demo` send what it makes.
//!
//! ```text
//! personas → lives (journeys, incidents) ─┐
//!                                          ├→ records in order of time → faults → records as they arrive
//! load for benchmarks ────────────────────┘
//! ```
//! The records are `touchpoint-json`; the simulator knows nothing of rules and thresholds, so alerts about its
//! customers come from the engine alone.

mod draft;
mod faults;
mod incidents;
mod life;
mod personas;
mod random;
mod steady;
mod stories;
mod words;

pub use faults::{Faults, HOSTILE};
pub use incidents::Incident;
pub use steady::Load;
pub use stories::Stories;

use crate::model::{Channel, Timestamp};
use random::Random;

/// What became of a record on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Nothing: it arrives in order.
    Sent,
    /// It arrives hours later.
    Late,
    /// It arrives again.
    Duplicate,
    /// It arrives some seconds later.
    Reordered,
    /// It is hostile and must be rejected.
    Poison,
}

/// A record on its way to a topic or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Simulated time at which it arrives; its event time is in the payload.
    pub at: Timestamp,
    /// Channel of the touchpoint.
    pub channel: Channel,
    /// Whose: the key.
    pub customer_id: String,
    /// `touchpoint-json`, or something hostile; none for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// What became of it.
    pub fate: Fate,
}

/// Topics of the simulated business; every channel is sent to one of them.
pub const TOPICS: [&str; 4] = ["web", "mobile", "in_store", "support"];

/// What every simulated touchpoint but the hostile ones begins with; 13 digits of milliseconds follow.
const STAMP_PREFIX: &[u8] = b"{\"occurred_at\":";
const STAMP_DIGITS: usize = 13;

impl Record {
    /// Index into [`TOPICS`] of the topic that carries this channel.
    #[must_use]
    pub const fn topic(&self) -> usize {
        match self.channel {
            Channel::Web | Channel::Email | Channel::Social | Channel::Review | Channel::Ads | Channel::Other => 0,
            Channel::Mobile | Channel::Messaging => 1,
            Channel::InStore => 2,
            Channel::Support | Channel::Fulfilment => 3,
        }
    }

    /// Makes the touchpoint happen at another time: for measuring delays against a real clock. Hostile records stay
    /// as they are.
    pub fn stamp(&mut self, occurred_at: Timestamp) {
        let digits = occurred_at.0.to_string();
        if self.fate == Fate::Poison || digits.len() != STAMP_DIGITS {
            return;
        }
        if let Some(payload) = &mut self.payload
            && payload.starts_with(STAMP_PREFIX)
            && let Some(stamp) = payload.get_mut(STAMP_PREFIX.len()..STAMP_PREFIX.len() + STAMP_DIGITS)
        {
            stamp.copy_from_slice(digits.as_bytes());
        }
    }
}

/// Number of the random stream that decides faults: apart from every customer's.
const FAULT_STREAM: u64 = u64::MAX;

/// Customers with lives, and what reality does to their touchpoints.
pub fn stories(stories: &Stories, faults: Faults) -> impl Iterator<Item = Record> + use<> {
    faults::Faulty::new(stories.records(), faults, Random::new(stories.seed, FAULT_STREAM))
}

/// Load for benchmarks.
pub fn load(load: Load, faults: Faults) -> impl Iterator<Item = Record> + use<> {
    faults::Faulty::new(steady::Steady::new(load), faults, Random::new(load.seed, FAULT_STREAM))
}

#[cfg(test)]
mod tests;
