//! `journey_stalled`: a journey was started and not completed in its time.
//!
//! Checkout 60 minutes, cart 24 hours (`[journeys]` of the catalogue). Found by a timer, with no touchpoint at all;
//! closed when the journey is completed.

use super::{Kind, Lifecycle, Reading, Row, Words, open};
use crate::model::{Micro, time::HOUR_MS};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::JourneyStalled,
    name: "journey_stalled",
    version: 1,
    summary: "a journey was started and not completed in its time",
};

/// `[rules.journey_stalled]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyStalled {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

impl JourneyStalled {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: "a journey of the catalogue is not completed by its deadline".to_owned(),
            closes: "the journey is completed".to_owned(),
        }
    }
}

/// Reads the rule at the deadline of a journey that has been open for `open_ms`.
#[must_use]
pub fn read(settings: &JourneyStalled, open_ms: i64, deadline_ms: i64) -> Reading {
    let hours = |span_ms| Micro::ratio(span_ms, Micro::SCALE, HOUR_MS);
    Reading {
        verdict: open(&settings.lifecycle),
        figure: "hours_open",
        before: None,
        after: hours(open_ms),
        threshold: hours(deadline_ms),
    }
}
