//! `sentiment_drop`: perception fell, against a week ago, on enough evidence.
//!
//! Opens at p ≤ −0.20 when p a week ago was higher by ≥ 0.40, with ≥ 3 scored touchpoints in the week and decayed
//! weight ≥ 2, held for 10 minutes; closes at p ≥ 0 for 24 hours. A level *and* a drop *and* evidence, because a plain
//! CUSUM per customer at usual settings raises a thousand false alerts a day per million customers.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Micro, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::SentimentDrop,
    name: "sentiment_drop",
    version: 1,
    summary: "perception fell sharply against a week ago",
};

/// `[rules.sentiment_drop]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentimentDrop {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Opens at perception ≤ this …
    pub open: Micro,
    /// … and perception a `lookback` ago higher by at least this …
    pub drop: Micro,
    /// … with at least this many scored signals in the lookback …
    pub scored_min: u32,
    /// … and at least this decayed weight.
    pub weight_min: Micro,
    /// How far back perception is compared.
    pub lookback: Span,
    /// Closes at perception ≥ this.
    pub close: Micro,
}

impl SentimentDrop {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "perception is at or below {}, at least {} lower than {} ago, from at least {} scored touchpoints since then and a weight of \
                 at least {}",
                self.open, self.drop, self.lookback, self.scored_min, self.weight_min
            ),
            closes: format!("perception is at or above {}", self.close),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Perception now.
    pub perception: Micro,
    /// Perception a lookback ago.
    pub perception_before: Micro,
    /// Scored signals in the lookback.
    pub scored: u64,
    /// Decayed weight behind perception.
    pub weight: Micro,
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &SentimentDrop, facts: &Facts) -> Reading {
    let fell = facts.perception_before - facts.perception >= settings.drop;
    let enough = facts.scored >= u64::from(settings.scored_min) && facts.weight >= settings.weight_min;
    let verdict = if facts.perception <= settings.open && fell && enough {
        open(&settings.lifecycle)
    } else if facts.perception >= settings.close {
        Verdict::Close("perception_recovered")
    } else {
        Verdict::Hold
    };
    Reading {
        verdict,
        figure: "perception",
        before: Some(facts.perception_before),
        after: facts.perception,
        threshold: settings.open,
    }
}
