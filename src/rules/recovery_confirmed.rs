//! `recovery_confirmed` (info): a failure was made good and the customer said so.
//!
//! Failure → recovery → a touchpoint scored ≥ 0.2 within 7 days. It is a message, not a state: it resolves by itself
//! after `max_open`.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Micro, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::RecoveryConfirmed,
    name: "recovery_confirmed",
    version: 1,
    summary: "a failure was made good, and the customer said so",
};

/// `[rules.recovery_confirmed]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryConfirmed {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// A touchpoint scored at least this …
    pub score_min: Micro,
    /// … within this after the recovery confirms it.
    pub window: Span,
}

impl RecoveryConfirmed {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "a touchpoint scored {} or better comes within {} after a failure was made good",
                self.score_min, self.window
            ),
            closes: "its time is over".to_owned(),
        }
    }
}

/// Reads the rule at a touchpoint of this score, so long after the recovery.
#[must_use]
pub fn read(settings: &RecoveryConfirmed, score: Micro, since_recovery_ms: i64) -> Reading {
    let confirmed = score >= settings.score_min && (1..=settings.window.0).contains(&since_recovery_ms);
    Reading {
        verdict: if confirmed { open(&settings.lifecycle) } else { Verdict::Hold },
        figure: "score",
        before: None,
        after: score,
        threshold: settings.score_min,
    }
}
