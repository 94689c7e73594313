//! A touchpoint as decoded: borrowed from the payload, not yet scored.

use super::{Micro, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Longest `id`, `source`, `customer_id` or correlation id, in bytes.
pub const ID_BYTES_MAX: usize = 200;
/// Most attributes of one touchpoint.
pub const ATTRIBUTES_MAX: usize = 64;
/// Most bytes of all attribute names and values of one touchpoint.
pub const ATTRIBUTE_BYTES_MAX: usize = 4 * 1024;

/// Where a touchpoint happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Channel {
    /// Website.
    Web = 0,
    /// Mobile application.
    Mobile = 1,
    /// Shop, branch, counter.
    InStore = 2,
    /// Contact centre, tickets, phone.
    Support = 3,
    /// E-mail.
    Email = 4,
    /// SMS, push, chat applications.
    Messaging = 5,
    /// Public social media.
    Social = 6,
    /// Reviews and survey answers.
    Review = 7,
    /// Advertising.
    Ads = 8,
    /// Delivery, returns, back office.
    Fulfilment = 9,
    /// Anything else; unknown names are mapped here and counted.
    Other = 10,
}

impl Channel {
    /// All channels in wire order.
    pub const ALL: [Self; 11] = [
        Self::Web,
        Self::Mobile,
        Self::InStore,
        Self::Support,
        Self::Email,
        Self::Messaging,
        Self::Social,
        Self::Review,
        Self::Ads,
        Self::Fulfilment,
        Self::Other,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Mobile => "mobile",
            Self::InStore => "in_store",
            Self::Support => "support",
            Self::Email => "email",
            Self::Messaging => "messaging",
            Self::Social => "social",
            Self::Review => "review",
            Self::Ads => "ads",
            Self::Fulfilment => "fulfilment",
            Self::Other => "other",
        }
    }

    /// The channel of a wire name; `None` when unknown.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }

    /// The channel of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Who acted. Only a customer's text is scored; `system` touchpoints weigh nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Actor {
    /// The customer.
    #[default]
    Customer = 0,
    /// A person of the business.
    Agent = 1,
    /// Software.
    System = 2,
}

/// Direct touchpoints are started by the customer, indirect ones reach them (ads, news, word of mouth).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Contact {
    /// Started by the customer.
    #[default]
    Direct = 0,
    /// Not started by the customer.
    Indirect = 1,
}

/// How an interaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// It worked.
    Success = 0,
    /// It did not work.
    Failure = 1,
    /// The customer gave up (queue, form, cart).
    Abandoned = 2,
    /// Handed to someone else.
    Transferred = 3,
    /// Raised to a higher level.
    Escalated = 4,
    /// The customer's problem was solved.
    Resolved = 5,
    /// A solved problem came back.
    Reopened = 6,
}

impl Outcome {
    /// All outcomes in wire order.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Failure,
        Self::Abandoned,
        Self::Transferred,
        Self::Escalated,
        Self::Resolved,
        Self::Reopened,
    ];
}

/// A survey instrument; the ranges are the instruments' published ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Instrument {
    /// Net Promoter Score, 0–10.
    Nps = 0,
    /// Customer satisfaction, 1–5.
    Csat = 1,
    /// Customer effort score, 1–7, 7 = easy.
    Ces = 2,
    /// Star rating, 1–5.
    Stars = 3,
    /// Any other scale; `min` and `max` say which.
    Custom = 4,
}

/// One answer on a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rating {
    /// The instrument.
    pub instrument: Instrument,
    /// The answer, within `min..=max`.
    pub value: Micro,
    /// Lowest possible answer.
    pub min: Micro,
    /// Highest possible answer; greater than `min`.
    pub max: Micro,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A number; finite.
    Number(f64),
    /// A flag.
    Flag(bool),
}

/// One touchpoint as the codec hands it over. Text borrows from the payload where it needs no unescaping.
#[derive(Debug, Clone, PartialEq)]
pub struct Touchpoint<'a> {
    /// Identity within `source`, 1–200 bytes.
    pub id: Cow<'a, str>,
    /// Producer of the event, 1–200 bytes.
    pub source: Cow<'a, str>,
    /// Opaque customer id, 1–200 bytes, compared byte by byte.
    pub customer_id: Cow<'a, str>,
    /// Channel.
    pub channel: Channel,
    /// True when the channel's name was not known and became `other`.
    pub channel_unknown: bool,
    /// What happened; looked up in the catalogue.
    pub kind: Cow<'a, str>,
    /// Event time as given by the source.
    pub occurred_at: Timestamp,
    /// Overrides the catalogue's direct / indirect.
    pub contact: Option<Contact>,
    /// Who acted; overrides the catalogue's.
    pub actor: Option<Actor>,
    /// Web or app session.
    pub session_id: Option<Cow<'a, str>>,
    /// Support conversation, call, ticket.
    pub conversation_id: Option<Cow<'a, str>>,
    /// Order.
    pub order_id: Option<Cow<'a, str>>,
    /// Product.
    pub product_id: Option<Cow<'a, str>>,
    /// Shop, page, region.
    pub location_id: Option<Cow<'a, str>>,
    /// Topic of a contact.
    pub topic: Option<Cow<'a, str>>,
    /// A survey or review answer.
    pub rating: Option<Rating>,
    /// What the customer wrote; scored, then dropped.
    pub text: Option<Cow<'a, str>>,
    /// BCP 47 language of `text`.
    pub language: Option<Cow<'a, str>>,
    /// Queue time in ms, ≥ 0.
    pub wait_ms: Option<i64>,
    /// Handling time in ms, ≥ 0.
    pub duration_ms: Option<i64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Amount in minor units of `currency`.
    pub amount_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<Cow<'a, str>>,
    /// The moment by which something was promised (a delivery date, a first reply).
    pub due_at: Option<Timestamp>,
    /// `Some(false)` withdraws consent: no per-customer state is kept.
    pub consent: Option<bool>,
    /// Further fields, at most 64 and 4 KiB.
    pub attributes: Vec<(Cow<'a, str>, Attribute<'a>)>,
}
