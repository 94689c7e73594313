//! Promises: what is expected to happen about an item, by the business or by the customer, and by when.
//!
//! Declared once in the catalogue (`[catalogue.promises.<name>]`); kinds of touchpoints open, keep and break them.
//! Opening an open promise again is ignored, opening a kept or broken one replaces it; keeping or breaking without an
//! open promise is ignored.

use crate::model::{Micro, Name, time::Span};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The business.
    #[default]
    Us,
    /// The customer.
    Customer,
}

/// Which way a touchpoint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The customer acts towards the business: a contact.
    Inbound,
    /// The business acts towards the customer.
    Outbound,
}

/// `[catalogue.promises.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Promise {
    /// Who has to keep it.
    pub party: Party,
    /// Factor of its terms in pressure and risk, 0 to 10; 0 = watched, but without effect.
    pub weight: Micro,
    /// Whether `promise_overdue` watches it.
    pub alert: bool,
    /// A first answer: past its due moment it is `sla_breach`, not `promise_overdue`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sla: bool,
    /// One line for people.
    pub description: Option<String>,
}

impl Default for Promise {
    fn default() -> Self {
        Self { party: Party::Us, weight: Micro::ONE, alert: true, sla: false, description: None }
    }
}

/// By when a promise is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// `"due_at"`: the touchpoint says so itself.
    DueAt,
    /// `"/attributes/x"`: an attribute says so, as RFC 3339 or milliseconds since 1970.
    Attribute(String),
    /// `"+48h"`: so long after the touchpoint.
    After(Span),
}

impl Due {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "due_at" {
            return Ok(Self::DueAt);
        }
        if let Some(name) = text.strip_prefix("/attributes/").filter(|name| !name.is_empty()) {
            return Ok(Self::Attribute(name.to_owned()));
        }
        let span = text.strip_prefix('+').ok_or("expected \"due_at\", \"/attributes/<name>\" or \"+48h\"")?;
        Span::parse(span).map(Self::After)
    }
}

impl Serialize for Due {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::DueAt => serializer.serialize_str("due_at"),
            Self::Attribute(name) => serializer.collect_str(&format_args!("/attributes/{name}")),
            Self::After(span) => serializer.collect_str(&format_args!("+{span}")),
        }
    }
}

impl<'de> Deserialize<'de> for Due {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A kind's `opens = [{ promise = "delivery", due = "due_at" }]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Which promise.
    pub promise: String,
    /// By when, if anybody said.
    #[serde(default)]
    pub due: Option<Due>,
}

/// What is expected, as the core uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromiseEntry {
    /// Who has to keep it.
    pub party: Party,
    /// Factor of its terms.
    pub weight: Micro,
    /// Whether `promise_overdue` watches it.
    pub alert: bool,
    /// Whether `sla_breach` watches its due moment.
    pub sla: bool,
    /// Whether a kind opens it with a due moment.
    pub dated: bool,
}

impl PromiseEntry {
    /// Whether the customer is told good or bad news by how late it is kept: a promise of ours, with weight.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        self.party == Party::Us && self.weight > Micro::ZERO
    }
}

/// A kind's promise with its name resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningEntry {
    /// Which promise.
    pub promise: Name,
    /// By when.
    pub due: Option<Due>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::HOUR_MS;

    #[test]
    fn a_due_moment_reads_back_what_it_prints() {
        for (text, due) in [
            ("due_at", Due::DueAt),
            ("/attributes/promised_by", Due::Attribute("promised_by".into())),
            ("+2d", Due::After(Span(48 * HOUR_MS))),
        ] {
            assert_eq!(Due::parse(text), Ok(due.clone()));
            assert_eq!(serde_json::to_value(&due).unwrap(), text);
        }
        for text in ["", "tomorrow", "48h", "+soon", "/attributes/", "/topic"] {
            assert!(Due::parse(text).is_err(), "{text} must not parse");
        }
    }
}
