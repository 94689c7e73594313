//! `frustration_burst`: a web or app session full of rage clicks, dead clicks and errors.
//!
//! Each kind of the catalogue with `frustration` points adds them per touchpoint (script error 5, rage click 4, error
//! click 4, dead click 2), at most `engine.session_events_max` times a session. From two kinds on: ≥ 6 points are worth
//! knowing (info), ≥ 15 are worth a look. Closed when the session has been idle for `engine.episode_gap`.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Micro, Severity};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::FrustrationBurst,
    name: "frustration_burst",
    version: 1,
    summary: "a session full of rage clicks, dead clicks and errors",
};

/// `[rules.frustration_burst]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrustrationBurst {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Points from which it is worth knowing (info) …
    pub points_info: Micro,
    /// … and from which it has the rule's severity.
    pub points: Micro,
    /// Different kinds of frustration it takes.
    pub kinds_min: u32,
}

impl FrustrationBurst {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "a session has {} points of frustration (info: {}) from at least {} kinds",
                self.points, self.points_info, self.kinds_min
            ),
            closes: "the session is over".to_owned(),
        }
    }
}

/// What the rule reads of one session.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Σ points.
    pub points: Micro,
    /// Different kinds.
    pub kinds: u32,
    /// Nothing for so long that the session is over.
    pub idle: bool,
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &FrustrationBurst, facts: &Facts) -> Reading {
    let (severe, enough) = (facts.points >= settings.points, facts.kinds >= settings.kinds_min);
    let verdict = match () {
        () if facts.idle => Verdict::Close("session_ended"),
        () if severe && enough => open(&settings.lifecycle),
        () if facts.points >= settings.points_info && enough => {
            Verdict::Open(settings.lifecycle.severity.min(Severity::Info))
        }
        () => Verdict::Hold,
    };
    let threshold = if severe { settings.points } else { settings.points_info };
    Reading { verdict, figure: "frustration", before: None, after: facts.points, threshold }
}
