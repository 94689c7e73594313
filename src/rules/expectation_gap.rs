//! `expectation_gap`: experience far below a confident, good expectation.
//!
//! Opens when e ≥ 0.30 on weight ≥ 10 and d = p − e ≤ −0.50; closes at d ≥ −0.20 for 24 hours. The alert shows it in
//! units of perception: expected e (`before`), perceived p (`after`), against e + `open` (`threshold`).

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::Micro;
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::ExpectationGap,
    name: "expectation_gap",
    version: 1,
    summary: "experience is far below what this customer is used to",
};

/// `[rules.expectation_gap]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationGap {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Needs expectation ≥ this …
    pub expectation_min: Micro,
    /// … on at least this decayed weight.
    pub weight_min: Micro,
    /// Opens at disconfirmation ≤ this.
    pub open: Micro,
    /// Closes at disconfirmation ≥ this.
    pub close: Micro,
}

impl ExpectationGap {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "the expectation is at least {} on a weight of at least {}, and perception is {} or more below it",
                self.expectation_min, self.weight_min, -self.open
            ),
            closes: format!("perception is less than {} below the expectation", -self.close),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Perception now.
    pub perception: Micro,
    /// Expectation now.
    pub expectation: Micro,
    /// Decayed weight behind the expectation.
    pub expectation_weight: Micro,
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &ExpectationGap, facts: &Facts) -> Reading {
    let disconfirmation = facts.perception - facts.expectation;
    let confident = facts.expectation >= settings.expectation_min && facts.expectation_weight >= settings.weight_min;
    let verdict = if confident && disconfirmation <= settings.open {
        open(&settings.lifecycle)
    } else if disconfirmation >= settings.close {
        Verdict::Close("expectation_met")
    } else {
        Verdict::Hold
    };
    Reading {
        verdict,
        figure: "perception",
        before: Some(facts.expectation),
        after: facts.perception,
        threshold: facts.expectation + settings.open,
    }
}
