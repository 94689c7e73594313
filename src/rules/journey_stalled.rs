//! `journey_stalled`: a journey did not go on in its time.
//!
//! Checkout 60 minutes, cart 24 hours; from one step of an order to the next, what the catalogue says
//! ([`super::journeys`]). Found by a timer, with no touchpoint at all; closed when the next step is reached, or the end.

use super::{Kind, Lifecycle, Reading, Row, Words, open};
use crate::model::{Micro, time::HOUR_MS};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::JourneyStalled,
    name: "journey_stalled",
    version: 2,
    summary: "a journey did not go on in its time",
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
            opens: "the next step of a journey of the catalogue, or its end, has not come by its deadline".to_owned(),
            closes: "a further step is reached, or the end".to_owned(),
        }
    }
}

/// Reads the rule when a journey has waited for `waited_ms`, and `deadline_ms` were allowed.
#[must_use]
pub fn read(settings: &JourneyStalled, waited_ms: i64, deadline_ms: i64) -> Reading {
    let hours = |span_ms| Micro::ratio(span_ms, Micro::SCALE, HOUR_MS);
    Reading {
        verdict: open(&settings.lifecycle),
        figure: "hours_open",
        before: None,
        after: hours(waited_ms),
        threshold: hours(deadline_ms),
    }
}
