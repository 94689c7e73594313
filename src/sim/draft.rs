//! One simulated touchpoint before it becomes bytes, and its encoding as `touchpoint-json`.

use crate::model::{Channel, Instrument, Outcome};
use serde::Serialize;

/// A touchpoint of a story. Correlation ids are numbers, unique within the customer.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) at: i64,
    pub(super) channel: Channel,
    pub(super) kind: &'static str,
    pub(super) session: Option<u32>,
    pub(super) conversation: Option<u32>,
    pub(super) order: Option<u32>,
    pub(super) product: Option<&'static str>,
    pub(super) location: Option<&'static str>,
    pub(super) topic: Option<&'static str>,
    pub(super) rating: Option<(Instrument, i64)>,
    pub(super) text: Option<String>,
    pub(super) wait_ms: Option<i64>,
    pub(super) outcome: Option<Outcome>,
    pub(super) amount_minor: Option<i64>,
    pub(super) due_at: Option<i64>,
}

/// As on the wire. `occurred_at` comes first, with 13 digits, so that [`super::Record::stamp`] can replace it in place.
#[derive(Serialize)]
struct Wire<'a> {
    occurred_at: i64,
    id: &'a str,
    source: &'static str,
    customer_id: &'a str,
    channel: Channel,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<WireRating>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_minor: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
}

#[derive(Serialize)]
struct WireRating {
    instrument: Instrument,
    value: i64,
    min: i64,
    max: i64,
}

impl Draft {
    /// A touchpoint with nothing but time, channel and kind.
    pub(super) fn new(at: i64, channel: Channel, kind: &'static str) -> Self {
        Self {
            at,
            channel,
            kind,
            session: None,
            conversation: None,
            order: None,
            product: None,
            location: None,
            topic: None,
            rating: None,
            text: None,
            wait_ms: None,
            outcome: None,
            amount_minor: None,
            due_at: None,
        }
    }

    /// The bytes of the touchpoint with this id of this customer.
    #[expect(clippy::expect_used, reason = "strings and integers always serialise into memory")]
    pub(super) fn encode(&self, customer_id: &str, id: &str) -> Vec<u8> {
        let of_customer = |prefix: &str, number: Option<u32>| {
            number.map(|number| format!("{prefix}-{}-{number}", customer_id.trim_start_matches("c-")))
        };
        let wire = Wire {
            occurred_at: self.at,
            id,
            source: source(self.channel),
            customer_id,
            channel: self.channel,
            kind: self.kind,
            session_id: of_customer("s", self.session),
            conversation_id: of_customer("t", self.conversation),
            order_id: of_customer("o", self.order),
            product_id: self.product,
            location_id: self.location,
            topic: self.topic,
            rating: self.rating.map(wire_rating),
            text: self.text.as_deref(),
            language: self.text.as_ref().map(|_| "en"),
            wait_ms: self.wait_ms,
            outcome: self.outcome,
            amount_minor: self.amount_minor,
            currency: self.amount_minor.map(|_| "EUR"),
            due_at: self.due_at,
        };
        let mut bytes = Vec::with_capacity(320);
        serde_json::to_writer(&mut bytes, &wire).expect("serialises into memory");
        bytes
    }
}

fn wire_rating((instrument, value): (Instrument, i64)) -> WireRating {
    let (min, max) = match instrument {
        Instrument::Nps => (0, 10),
        Instrument::Ces => (1, 7),
        Instrument::Csat | Instrument::Stars | Instrument::Custom => (1, 5),
    };
    WireRating { instrument, value, min, max }
}

/// The system that would produce touchpoints of a channel.
const fn source(channel: Channel) -> &'static str {
    match channel {
        Channel::Web => "shop",
        Channel::Mobile => "app",
        Channel::InStore => "pos",
        Channel::Support => "helpdesk",
        Channel::Email | Channel::Messaging => "mailer",
        Channel::Social => "listening",
        Channel::Review => "reviews",
        Channel::Ads => "ads",
        Channel::Fulfilment => "carrier",
        Channel::Other => "other",
    }
}
