//! What goes wrong for a while, for everybody: a carrier that is late, a release that breaks the checkout, a store
//! with too few people at the tills.

use super::random::Random;
use crate::model::{Timestamp, time::DAY_MS};
use std::ops::Range;

/// One thing that goes wrong for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// From when to when, event time in ms.
    pub during: Range<i64>,
    /// One line for people.
    pub description: &'static str,
}

impl Incident {
    /// True while it lasts.
    #[must_use]
    pub fn at(&self, at: i64) -> bool {
        self.during.contains(&at)
    }
}

/// All that goes wrong in one simulation.
#[derive(Debug, Clone)]
pub(super) struct Incidents {
    pub(super) carrier: Incident,
    pub(super) checkout: Incident,
    pub(super) queue: Incident,
}

impl Incidents {
    /// Placed at fixed parts of the span, up to half a day either way.
    pub(super) fn new(start: Timestamp, span_ms: i64, random: &mut Random) -> Self {
        let mut place = |from_percent: i64, to_percent: i64, description| {
            let shift = random.between(-DAY_MS / 2, DAY_MS / 2).clamp(-span_ms / 40, span_ms / 40);
            let from = start.0 + span_ms * from_percent / 100 + shift;
            Incident { during: from..from + span_ms * (to_percent - from_percent) / 100, description }
        };
        Self {
            carrier: place(24, 55, "the carrier runs days late"),
            checkout: place(40, 58, "a release of the app breaks the checkout"),
            queue: place(55, 78, "the store has too few tills open"),
        }
    }

    /// In order of their start.
    pub(super) fn all(&self) -> [&Incident; 3] {
        [&self.carrier, &self.checkout, &self.queue]
    }
}
