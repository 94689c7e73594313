//! `conversation_declining`: a conversation that began well enough is going wrong.
//!
//! At least 6 customer turns, the first third on average ≥ 0, the trend ≤ −0.25 and the last turn below 0. Trend = (mean
//! of the last third − mean of the first third) / 2, as contact-centre analytics define it (Genesys Cloud). Closed when
//! the conversation ends.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::Micro;
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::ConversationDeclining,
    name: "conversation_declining",
    version: 1,
    summary: "a conversation that began well enough is going wrong",
};

/// `[rules.conversation_declining]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationDeclining {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Judged from this many customer turns.
    pub turns_min: u32,
    /// The first third is on average at least this …
    pub start_min: Micro,
    /// … and the trend at most this.
    pub trend: Micro,
}

impl ConversationDeclining {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "from {} turns of the customer on, the first third of a conversation is on average at least {}, its trend at or below {}, \
                 and the last turn below 0",
                self.turns_min, self.start_min, self.trend
            ),
            closes: "the conversation ends".to_owned(),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Customer turns.
    pub turns: u32,
    /// Mean score of the first third of the turns.
    pub first: Micro,
    /// (mean of the last third − mean of the first) / 2.
    pub trend: Micro,
    /// Score of the last turn.
    pub last: Micro,
}

/// Reads the rule at a turn.
#[must_use]
pub fn read(settings: &ConversationDeclining, facts: &Facts) -> Reading {
    let declining = facts.turns >= settings.turns_min.max(3)
        && facts.first >= settings.start_min
        && facts.trend <= settings.trend
        && facts.last < Micro::ZERO;
    Reading {
        verdict: if declining { open(&settings.lifecycle) } else { Verdict::Hold },
        figure: "trend",
        before: None,
        after: facts.trend,
        threshold: settings.trend,
    }
}
