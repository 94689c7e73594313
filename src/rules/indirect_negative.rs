//! `indirect_negative`: the customer speaks badly of the business where others read it.
//!
//! A touchpoint of a `public` kind (a post, a review) scored ≤ −0.5. A public answer on a scale is `detractor`'s. Closed
//! by a reply: an agent's touchpoint on the same channel, or a follow-up.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::Micro;
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::IndirectNegative,
    name: "indirect_negative",
    version: 1,
    summary: "the customer speaks badly of the business in public",
};

/// `[rules.indirect_negative]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndirectNegative {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Opens at a score ≤ this.
    pub score: Micro,
}

impl IndirectNegative {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!("a public touchpoint is scored {} or worse", self.score),
            closes: "somebody replied or followed up".to_owned(),
        }
    }
}

/// Reads the rule at a public touchpoint.
#[must_use]
pub fn read(settings: &IndirectNegative, score: Micro) -> Reading {
    let verdict = if score <= settings.score { open(&settings.lifecycle) } else { Verdict::Hold };
    Reading { verdict, figure: "score", before: None, after: score, threshold: settings.score }
}
