//! `silent_after_bad`: a customer who was active went quiet after a bad episode.
//!
//! The last episode is remembered at ≤ −0.4 (mean of its peak and its end, Kahneman's rule), nothing came for 14 days,
//! and the usual gap between touchpoints is ≤ 7 days. What is usual does not show within hours: three messages about one
//! matter make nobody a regular, so the customer must have been seen for 3 days. Found by a timer; closed by any activity.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Micro, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::SilentAfterBad,
    name: "silent_after_bad",
    version: 1,
    summary: "an active customer went quiet after a bad episode",
};

/// `[rules.silent_after_bad]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentAfterBad {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// The last episode is remembered at ≤ this …
    pub remembered: Micro,
    /// … nothing for this long …
    pub silence: Span,
    /// … although the usual gap is at most this …
    pub usual_gap_max: Span,
    /// … of a customer seen for at least this long.
    pub known_min: Span,
}

impl SilentAfterBad {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "the last episode is remembered at or below {} and nothing comes for {}, although touchpoints usually, over {} or more, are at most {} apart",
                self.remembered, self.silence, self.known_min, self.usual_gap_max
            ),
            closes: "the customer is back".to_owned(),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// How the last episode is remembered.
    pub remembered: Micro,
    /// Time since the last touchpoint.
    pub silent_ms: i64,
    /// Time from the first to the last touchpoint.
    pub known_ms: i64,
    /// Mean time between touchpoints; none with fewer than two.
    pub usual_gap_ms: Option<i64>,
}

/// Reads the rule. It opens at the moment the silence is long enough and at no other: an alert that expired is not told
/// again for the same silence.
#[must_use]
pub fn read(settings: &SilentAfterBad, facts: &Facts) -> Reading {
    let opens_ms = settings.silence.0..=settings.silence.0.saturating_add(settings.lifecycle.hold.0);
    let is_known = facts.known_ms >= settings.known_min.0;
    let active = is_known && facts.usual_gap_ms.is_some_and(|gap_ms| gap_ms <= settings.usual_gap_max.0);
    let verdict = if facts.silent_ms < settings.silence.0 {
        Verdict::Close("activity")
    } else if active && facts.remembered <= settings.remembered && opens_ms.contains(&facts.silent_ms) {
        open(&settings.lifecycle)
    } else {
        Verdict::Hold
    };
    Reading { verdict, figure: "remembered", before: None, after: facts.remembered, threshold: settings.remembered }
}
