//! `advocate` (info): the customer recommends the business.
//!
//! NPS ≥ 9, or stars ≥ 4 together with a share or referral within 30 days, at perception ≥ 0.3. It is a message, not a
//! state: it resolves by itself after `max_open`.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Instrument, Micro, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row =
    Row { kind: Kind::Advocate, name: "advocate", version: 1, summary: "the customer recommends the business" };

/// `[rules.advocate]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advocate {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Opens at NPS ≥ this …
    pub nps: Micro,
    /// … or stars ≥ this, with a share or referral …
    pub stars: Micro,
    /// … at most this far away.
    pub window: Span,
    /// Perception it takes.
    pub perception_min: Micro,
}

impl Advocate {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "an answer is NPS {} or better, or {} stars or better with a share or referral within {}, at a perception of at least {}",
                self.nps, self.stars, self.window, self.perception_min
            ),
            closes: "its time is over".to_owned(),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The instrument of the customer's answer …
    pub instrument: Instrument,
    /// … and the answer.
    pub value: Micro,
    /// There was a share or referral within the window.
    pub shared: bool,
    /// Perception now.
    pub perception: Micro,
}

/// Reads the rule; none when the instrument is not one the rule knows.
#[must_use]
pub fn read(settings: &Advocate, facts: &Facts) -> Option<Reading> {
    let (figure, threshold, recommends) = match facts.instrument {
        Instrument::Nps => ("nps", settings.nps, facts.value >= settings.nps),
        Instrument::Stars => ("stars", settings.stars, facts.value >= settings.stars && facts.shared),
        Instrument::Csat | Instrument::Ces | Instrument::Custom => return None,
    };
    let opens = recommends && facts.perception >= settings.perception_min;
    let verdict = if opens { open(&settings.lifecycle) } else { Verdict::Hold };
    Some(Reading { verdict, figure, before: None, after: facts.value, threshold })
}
