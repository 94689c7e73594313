//! A touchpoint after scoring: what the engine reads and the journal stores. It holds no text of the customer's.

use super::{Actor, Channel, Contact, EventHash, Micro, Name, Outcome, Position, Rating, Timestamp};

/// Where a signal's score came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SignalSource {
    /// A survey or review answer.
    Rating = 0,
    /// The text scorer.
    Text = 1,
    /// Time waited.
    Wait = 2,
    /// How the interaction ended.
    Outcome = 3,
    /// The catalogue's valence of the kind.
    Kind = 4,
    /// Delivered on time, or late by days.
    Lateness = 5,
    /// The aggregate of a whole conversation (made by the engine).
    Conversation = 6,
}

impl SignalSource {
    /// The source of a stored code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Rating,
            1 => Self::Text,
            2 => Self::Wait,
            3 => Self::Outcome,
            4 => Self::Kind,
            5 => Self::Lateness,
            6 => Self::Conversation,
            _ => return None,
        })
    }
}

/// One scored piece of evidence: `score` in [-1, 1], `weight` ≥ 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Valence, −1 to 1.
    pub score: Micro,
    /// Weight, 0 to 100.
    pub weight: Micro,
    /// What it rests on.
    pub source: SignalSource,
}

/// At most two signals of one touchpoint (a rating and a text; otherwise one). Inline: no allocation per touchpoint.
pub type Signals = [Option<Signal>; 2];

/// A decoded and scored touchpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored<'a> {
    /// Opaque customer id.
    pub customer_id: &'a str,
    /// Hash of (source, id).
    pub event: EventHash,
    /// Where it was read.
    pub position: Position,
    /// Event time, already clamped against the record's append time.
    pub occurred_at: Timestamp,
    /// Channel.
    pub channel: Channel,
    /// Kind, as in the catalogue (which may not know it).
    pub kind: Name,
    /// Who acted.
    pub actor: Actor,
    /// Direct or indirect.
    pub contact: Contact,
    /// Its scored evidence.
    pub signals: Signals,
    /// The answer behind a rating signal.
    pub rating: Option<Rating>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The moment by which something was promised.
    pub due_at: Option<Timestamp>,
    /// Queue time in ms.
    pub wait_ms: Option<i64>,
    /// Handling time in ms.
    pub duration_ms: Option<i64>,
    /// Web or app session.
    pub session_id: Option<&'a str>,
    /// Support conversation.
    pub conversation_id: Option<&'a str>,
    /// Order.
    pub order_id: Option<&'a str>,
    /// Topic of a contact.
    pub topic: Option<&'a str>,
    /// Value of the configured segment attribute, when the touchpoint carries it and it is allow-listed.
    pub segment: Option<&'a str>,
    /// Value of the configured tier attribute, likewise.
    pub tier: Option<&'a str>,
    /// Values of configured context attributes: (index in the configuration's list, value of ≤ 64 bytes).
    pub context: Vec<(u8, &'a str)>,
}
