//! `high_effort`: the customer has to work too hard for what they want.
//!
//! Opens at any of: effort ≥ 6; a customer effort score ≤ 3 (1–7, 7 = easy); ≥ 2 transfers in one conversation; ≥ 3
//! channels in 24 hours about one order or topic. Closes at effort < 2. Effort is the sum, halved each day, of: a contact
//! with service 1, a transfer 2, a repeat contact 3, a change of channel 2, and what a catalogue kind adds itself. Effort
//! drives disloyalty more than delight drives loyalty (Dixon, Freeman & Toman 2010).

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Micro, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::HighEffort,
    name: "high_effort",
    version: 1,
    summary: "the customer has to work too hard for what they want",
};

/// `[rules.high_effort]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighEffort {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Points of a contact with service.
    pub contact: Micro,
    /// Points of being passed on.
    pub transfer: Micro,
    /// Points of a contact about something there was a contact about already.
    pub repeat: Micro,
    /// Points of having to use another channel for the same thing.
    pub switch: Micro,
    /// Half-life of the points.
    pub half_life: Span,
    /// Opens at effort ≥ this …
    pub open: Micro,
    /// … at a customer effort score ≤ this …
    pub ces: Micro,
    /// … at this many transfers in one conversation …
    pub transfers: u32,
    /// … or at this many channels for one order or topic within `channels_within`.
    pub channels: u32,
    /// See `channels`.
    pub channels_within: Span,
    /// Closes at effort below this.
    pub close: Micro,
}

impl HighEffort {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "effort is {} or more (contact {}, transfer {}, repeat contact {}, change of channel {}; halved every {}), a customer \
                 effort score is {} or less, a conversation is transferred {} times, or {} channels are used for one thing within {}",
                self.open,
                self.contact,
                self.transfer,
                self.repeat,
                self.switch,
                self.half_life,
                self.ces,
                self.transfers,
                self.channels,
                self.channels_within
            ),
            closes: format!("effort is below {}", self.close),
        }
    }
}

/// What the rule reads.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Effort now.
    pub effort: Micro,
    /// The customer effort score of this touchpoint.
    pub ces: Option<Micro>,
    /// Transfers in the conversation of this touchpoint.
    pub transfers: u32,
    /// Channels used about the order or topic of this touchpoint.
    pub channels: u32,
}

/// Reads the rule. The figure is what opened it; effort otherwise.
#[must_use]
pub fn read(settings: &HighEffort, facts: &Facts) -> Reading {
    let reading = |verdict, figure, after, threshold| Reading { verdict, figure, before: None, after, threshold };
    let opened = open(&settings.lifecycle);
    let count = |count: u32| Micro::whole(count.into());
    match facts.ces {
        _ if facts.effort >= settings.open => reading(opened, "effort", facts.effort, settings.open),
        Some(ces) if ces <= settings.ces => reading(opened, "ces", ces, settings.ces),
        _ if facts.transfers >= settings.transfers => {
            reading(opened, "transfers", count(facts.transfers), count(settings.transfers))
        }
        _ if facts.channels >= settings.channels => {
            reading(opened, "channels", count(facts.channels), count(settings.channels))
        }
        _ if facts.effort < settings.close => {
            reading(Verdict::Close("effort_fell"), "effort", facts.effort, settings.close)
        }
        _ => reading(Verdict::Hold, "effort", facts.effort, settings.open),
    }
}
