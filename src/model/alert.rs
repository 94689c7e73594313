//! What `cx.alerts` carries: one change of one alert, with its arithmetic.

use super::{Channel, EventHash, Micro, Name, Position, Timestamp};
use std::borrow::Cow;
use std::sync::Arc;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Severity {
    /// Worth knowing.
    Info = 0,
    /// Look at it.
    Warning = 1,
    /// Act.
    High = 2,
    /// Act now.
    Critical = 3,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::High, Self::Critical];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// One step worse, at most critical.
    #[must_use]
    pub const fn raised(self) -> Self {
        match self {
            Self::Info => Self::Warning,
            Self::Warning => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }
}

/// What happened to the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// It began to fire.
    Opened = 0,
    /// Its severity rose, or late data changed it.
    Updated = 1,
    /// It is over.
    Resolved = 2,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 3] = [Self::Opened, Self::Updated, Self::Resolved];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
        }
    }
}

/// What kind of thing an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ItemType {
    /// An order.
    Order = 0,
    /// A conversation, call or ticket.
    Conversation = 1,
    /// A web or app session (a cart that has no order id yet).
    Session = 2,
    /// A topic of contact.
    Topic = 3,
    /// The customer as a whole, whose id it then has.
    Customer = 4,
}

impl ItemType {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Conversation => "conversation",
            Self::Session => "session",
            Self::Topic => "topic",
            Self::Customer => "customer",
        }
    }

    /// The type of a stored code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Order,
            1 => Self::Conversation,
            2 => Self::Session,
            3 => Self::Topic,
            4 => Self::Customer,
            _ => return None,
        })
    }
}

/// The thing an alert is about. An alert without one is about the customer as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// What it is.
    pub item_type: ItemType,
    /// Its id as the source wrote it.
    pub id: Arc<str>,
}

/// What a line of pressure or risk measures; the formulas are in `engine::pressure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermKind {
    /// How much of the promised time is used, and how far it is exceeded.
    Due,
    /// How unusual a wait for the business is.
    LongWait,
    /// How unusual a wait for the customer is.
    NoAnswer,
    /// How large the item is, by a declared measure.
    Size,
    /// The customer's perception.
    Perception,
    /// Time since the last purchase.
    Rhythm,
    /// A feature of a card.
    Feature,
    /// Of a card: the case that is average in everything.
    Average,
    /// The step that a journey waits for.
    Step,
}

impl TermKind {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::LongWait => "long_wait",
            Self::NoAnswer => "no_answer",
            Self::Size => "size",
            Self::Perception => "perception",
            Self::Rhythm => "rhythm",
            Self::Feature => "feature",
            Self::Average => "average",
            Self::Step => "step",
        }
    }
}

/// One line of an alert's arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The touchpoint, as [`EventHash`].
    pub event: EventHash,
    /// Its kind.
    pub kind: Name,
    /// Its channel.
    pub channel: Channel,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What it adds to the figure `after`, in the figure's unit.
    pub contribution: Micro,
    /// Of a risk: what the line measures, and the promise or measure it is about. Of a journey: the step it waits for
    /// (`<journey>.<step>`; of a journey without steps its name).
    pub term: Option<(TermKind, Option<Name>)>,
    /// Of a feature: its value.
    pub value: Option<FeatureValue>,
}

/// The value of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureValue {
    /// There is none.
    Missing,
    /// Pieces.
    Count(i64),
    /// Milliseconds.
    Ms(i64),
    /// A number.
    Number(Micro),
    /// One of several values.
    Category(Name),
}

/// A chance, and how such chances came true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// The chance, 0 to 1.
    pub probability: Micro,
    /// 95 % interval of the share of such cases that turned out so, where it is known.
    pub calibrated: Option<(Micro, Micro)>,
}

/// One change of one alert. `Σ evidence.contribution + remainder == after`, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertChange {
    /// Hash of rule, rule version and the event that started the episode: the same on every replay.
    pub alert_id: u64,
    /// What happened.
    pub phase: Phase,
    /// 0 when opened, then one more with each change.
    pub revision: u32,
    /// Whose.
    pub customer_id: Arc<str>,
    /// The rule's kind, as in `rules::TABLE`, or the name of an own rule.
    pub kind: Cow<'static, str>,
    /// How bad.
    pub severity: Severity,
    /// Time of the touchpoint behind this change, or the deadline of the timer.
    pub event_time: Timestamp,
    /// The customer's own time at the reading: later than `event_time` only for late touchpoints.
    pub detected_at: Timestamp,
    /// What the figure is, such as `perception` or `days_late`.
    pub figure: Cow<'static, str>,
    /// The figure before, where there is one (its meaning is the rule's: 7 days ago, the last answer …).
    pub before: Option<Micro>,
    /// The figure now.
    pub after: Micro,
    /// The threshold it crossed.
    pub threshold: Micro,
    /// At most five contributions, greatest magnitude first.
    pub evidence: Vec<Evidence>,
    /// What the evidence does not list.
    pub remainder: Micro,
    /// Stage of the customer, if known.
    pub stage: Option<Name>,
    /// Channel of the touchpoint behind this change; none for a timer.
    pub channel: Option<Channel>,
    /// What it is about.
    pub item: Option<Item>,
    /// The configured outcome it warns of.
    pub outcome: Option<Name>,
    /// The journey that stalled.
    pub journey: Option<Name>,
    /// Its chance, by the outcome's card.
    pub chance: Option<Chance>,
    /// Why it ended, when it did.
    pub reason: Option<&'static str>,
    /// Version of the rule's arithmetic.
    pub rule_version: u16,
    /// What an own rule says, with its figures as they are now.
    pub message: Option<Arc<str>>,
    /// The text or code given with the rule.
    pub suggested_action: Option<Arc<str>>,
    /// Where the touchpoint was read; none for a timer.
    pub position: Option<Position>,
}
