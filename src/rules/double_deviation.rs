//! `double_deviation`: a second failure within 30 days, or a failure's case reopened.
//!
//! A second failure hurts far more than twice one (Maxham & Netemeyer 2002). Closed when every failure is recovered and
//! perception is ≥ 0. While it fires, `service_failure` is not told again.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Micro, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::DoubleDeviation,
    name: "double_deviation",
    version: 1,
    summary: "the business failed the same customer again",
};

/// `[rules.double_deviation]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoubleDeviation {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Failures at most this far apart belong together.
    pub window: Span,
    /// Closes after a recovery, at perception ≥ this.
    pub close: Micro,
}

impl DoubleDeviation {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!("a second failure comes within {}, or a failure's case is reopened", self.window),
            closes: format!("every failure is made good and perception is at or above {}", self.close),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Failures in the window, a reopened case among them.
    pub failures: u32,
    /// True when this touchpoint is one of them.
    pub failed_now: bool,
    /// True when every failure was recovered.
    pub recovered: bool,
    /// Perception now.
    pub perception: Micro,
}

/// Failures that make a double deviation.
const FAILURES: u32 = 2;

/// Reads the rule.
#[must_use]
pub fn read(settings: &DoubleDeviation, facts: &Facts) -> Reading {
    let verdict = if facts.failed_now && facts.failures >= FAILURES {
        open(&settings.lifecycle)
    } else if facts.recovered && facts.perception >= settings.close {
        Verdict::Close("recovered")
    } else {
        Verdict::Hold
    };
    let failures = i64::from(facts.failures);
    Reading {
        verdict,
        figure: "failures",
        before: Some(Micro::whole((failures - 1).max(0))),
        after: Micro::whole(failures),
        threshold: Micro::whole(FAILURES.into()),
    }
}
