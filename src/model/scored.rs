//! A touchpoint after scoring: what the engine reads and the journal stores. It holds no text of the customer's.

use super::time::DAY_MS;
use super::{Actor, Channel, Contact, EventHash, ItemType, Micro, Name, Outcome, Position, Rating, Timestamp};

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

impl Signal {
    /// Of a promise kept this many ms after its due moment: 0.3 on time, else −min(1, 0.3 + 0.2 · days), weight 2.
    #[must_use]
    pub fn of_lateness(late_ms: i64) -> Self {
        let late = Micro(300_000) + Micro::ratio(200_000, late_ms, DAY_MS);
        let score = if late_ms <= 0 { Micro(300_000) } else { -late.min(Micro::ONE) };
        Self { score, weight: Micro::whole(2), source: SignalSource::Lateness }
    }
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
    /// Which of its ids names the item it is about, by the input's `item`; none = it is about no item.
    pub item_type: Option<ItemType>,
    /// Values of configured measures: (index in `items.measures`, value).
    pub measures: Vec<(u8, Micro)>,
    /// Values of configured segments: (index in `items.segments`, hash of the value).
    pub segments: Vec<(u8, Name)>,
    /// Moments by which it promises something, where an attribute says so: (index in the kind's `opens`, moment).
    pub dues: Vec<(u8, Timestamp)>,
    /// Value of the configured segment attribute, when the touchpoint carries it and it is allow-listed.
    pub segment: Option<&'a str>,
    /// Value of the configured tier attribute, likewise.
    pub tier: Option<&'a str>,
    /// Values of configured context attributes: (index in the configuration's list, value of ≤ 64 bytes).
    pub context: Vec<(u8, &'a str)>,
}

impl<'a> Scored<'a> {
    /// The item it is about: type and id.
    #[must_use]
    pub fn item(&self) -> Option<(ItemType, &'a str)> {
        let item_type = self.item_type?;
        let id = match item_type {
            ItemType::Order => self.order_id,
            ItemType::Conversation => self.conversation_id,
            ItemType::Session => self.session_id,
            ItemType::Topic => self.topic,
            ItemType::Customer => Some(self.customer_id),
        };
        id.map(|id| (item_type, id))
    }

    /// Whether a signal is the lateness of the promise it fulfils.
    #[must_use]
    pub fn has_lateness(&self) -> bool {
        self.signals.iter().flatten().any(|signal| signal.source == SignalSource::Lateness)
    }
}
