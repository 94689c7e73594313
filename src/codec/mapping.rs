//! From the user's own fields to the touchpoint's, declared in `[input.mapping]`; pure data, evaluated per record.

use super::fields::{Fields, RatingParts};
use super::node::{Node, Pointer};
use super::{Code, Rejection, reject};
use crate::model::{Instrument, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;

macro_rules! fields {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The scalar fields of a touchpoint (rating and attributes have shapes of their own).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the fields of `model::Touchpoint`")]
        pub enum Field { $($variant),+ }

        impl Field {
            /// All fields in the order of their codes.
            pub const ALL: [Self; FIELDS] = [$(Self::$variant),+];

            /// Its name in JSON and in mappings.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The field of a name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Some(match name { $($name => Self::$variant,)+ _ => return None })
            }
        }
    };
}

/// How many [`Field`]s there are.
pub(super) const FIELDS: usize = 23;

fields! {
    Id = "id",
    Source = "source",
    CustomerId = "customer_id",
    Channel = "channel",
    Kind = "kind",
    OccurredAt = "occurred_at",
    Contact = "contact",
    Actor = "actor",
    SessionId = "session_id",
    ConversationId = "conversation_id",
    OrderId = "order_id",
    ProductId = "product_id",
    LocationId = "location_id",
    Topic = "topic",
    Text = "text",
    Language = "language",
    WaitMs = "wait_ms",
    DurationMs = "duration_ms",
    Outcome = "outcome",
    AmountMinor = "amount_minor",
    Currency = "currency",
    DueAt = "due_at",
    Consent = "consent",
}

/// How a moment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-01-31T12:00:00Z`, with an offset.
    Rfc3339,
    /// Milliseconds since 1970.
    EpochMs,
    /// Seconds since 1970.
    EpochS,
}

impl TimeFormat {
    /// The format of a name in the configuration.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rfc3339" => Self::Rfc3339,
            "epoch_ms" => Self::EpochMs,
            "epoch_s" => Self::EpochS,
            _ => return None,
        })
    }

    /// Reads a moment; none when it is not written so.
    #[must_use]
    pub fn read(self, node: &Node<'_>) -> Option<Timestamp> {
        let number = || match node {
            Node::Int(number) => Some(*number),
            Node::Text(text) => text.parse().ok(),
            Node::Null | Node::Flag(_) | Node::Float(_) | Node::List(_) | Node::Object(_) => None,
        };
        match (self, node) {
            (Self::Rfc3339, Node::Text(text)) => {
                text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_millisecond()))
            }
            (Self::Rfc3339, _) => None,
            (Self::EpochMs, _) => number().map(Timestamp),
            (Self::EpochS, _) => number().map(|seconds| Timestamp(seconds.saturating_mul(1_000))),
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// Always this.
    Const(Node<'static>),
    /// The record's key, as text.
    Key,
    /// The first of these that is there and not empty.
    First(Vec<Pointer>),
}

/// What is done with it: in this order, table, prefix, time.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Where it comes from.
    pub from: From,
    /// Replaces the value by its entry …
    pub table: Option<BTreeMap<String, String>>,
    /// … or by this when there is none (without it the record is rejected as `unmapped`).
    pub default: Option<String>,
    /// Put before the value.
    pub prefix: Option<String>,
    /// How a moment is written.
    pub time: Option<TimeFormat>,
}

impl Expr {
    /// Just this source.
    #[must_use]
    pub const fn plain(from: From) -> Self {
        Self { from, table: None, default: None, prefix: None, time: None }
    }

    /// The value of a record; `Node::Null` when it is not there.
    pub(super) fn value<'a>(
        &'a self,
        root: &Node<'a>,
        key: Option<&'a str>,
        name: &str,
    ) -> Result<Node<'a>, Rejection> {
        let found = match &self.from {
            From::Const(value) => value.clone(),
            From::Key => Node::Text(Cow::Borrowed(key.ok_or_else(|| reject(Code::NoKey, name))?)),
            From::First(pointers) => pointers
                .iter()
                .filter_map(|pointer| pointer.find(root))
                .find(|node| !node.is_empty())
                .cloned()
                .unwrap_or_default(),
        };
        let looked_up = self.looked_up(found, name)?;
        if looked_up.is_empty() {
            return Ok(Node::Null);
        }
        if let Some(format) = self.time {
            let moment = format.read(&looked_up).ok_or_else(|| reject(Code::Type, name))?;
            return Ok(Node::Int(moment.0));
        }
        match &self.prefix {
            Some(prefix) => {
                let text = looked_up.to_text().ok_or_else(|| reject(Code::Type, name))?;
                Ok(Node::Text(Cow::Owned(format!("{prefix}{text}"))))
            }
            None => Ok(looked_up),
        }
    }

    fn looked_up<'a>(&'a self, found: Node<'a>, name: &str) -> Result<Node<'a>, Rejection> {
        let default = self.default.as_deref().map(|text| Node::Text(Cow::Borrowed(text)));
        let Some(table) = &self.table else {
            return Ok(if found.is_empty() { default.unwrap_or_default() } else { found });
        };
        if found.is_empty() {
            return Ok(default.unwrap_or_default());
        }
        let entry = found.to_text().and_then(|text| table.get(text.as_ref()));
        let entry = entry.map(|text| Node::Text(Cow::Borrowed(text.as_str())));
        entry.or(default).ok_or_else(|| reject(Code::Unmapped, name))
    }
}

/// A rating built from parts.
#[derive(Debug, Clone, PartialEq)]
pub struct RatingMapping {
    /// The instrument.
    pub instrument: Instrument,
    /// The answer.
    pub value: Expr,
    /// Ends of a custom scale.
    pub scale: Option<(Node<'static>, Node<'static>)>,
}

/// Where attributes come from.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributesMapping {
    /// All scalars of an object.
    All(Pointer),
    /// These.
    Named(Vec<(String, Expr)>),
}

/// A whole `[input.mapping]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping {
    /// Scalar fields.
    pub fields: Vec<(Field, Expr)>,
    /// The rating.
    pub rating: Option<RatingMapping>,
    /// The attributes.
    pub attributes: Option<AttributesMapping>,
}

impl Mapping {
    /// Whether the customer id comes from the record's key.
    pub(super) fn takes_id_from_key(&self) -> bool {
        self.fields.iter().any(|(field, expr)| *field == Field::CustomerId && expr.from == From::Key)
    }

    /// The record keys that become this customer id.
    pub(super) fn keys_of<'a>(&'a self, customer_id: &'a str) -> Vec<&'a str> {
        let exprs = self.fields.iter().filter(|(field, _)| *field == Field::CustomerId).map(|(_, expr)| expr);
        exprs
            .filter_map(|expr| Some((expr, customer_id.strip_prefix(expr.prefix.as_deref().unwrap_or_default())?)))
            .flat_map(|(expr, value)| match &expr.table {
                None => vec![value],
                Some(table) => table.iter().filter(|(_, to)| *to == value).map(|(key, _)| key.as_str()).collect(),
            })
            .collect()
    }

    /// The fields of a record.
    pub(super) fn apply<'a>(&'a self, root: &Node<'a>, key: Option<&'a str>) -> Result<Fields<'a>, Rejection> {
        let mut fields = Fields::new(true);
        for (field, expr) in &self.fields {
            fields.set_node(*field, expr.value(root, key, field.name())?);
        }
        if let Some(rating) = &self.rating {
            let value = rating.value.value(root, key, "rating")?;
            let (min, max) = rating.scale.clone().unwrap_or_default();
            fields.rating =
                (!value.is_empty()).then_some(RatingParts { instrument: rating.instrument, value, min, max });
        }
        match &self.attributes {
            None => {}
            Some(AttributesMapping::All(pointer)) => {
                if let Some(Node::Object(entries)) = pointer.find(root) {
                    let scalars = entries.iter().filter(|(_, node)| node.is_scalar());
                    fields.attributes = scalars.cloned().collect();
                }
            }
            Some(AttributesMapping::Named(named)) => {
                for (name, expr) in named {
                    let value = expr.value(root, key, "attributes")?;
                    fields.attributes.push((Cow::Borrowed(name.as_str()), value));
                }
            }
        }
        Ok(fields)
    }

    /// The event time of a record, if it has one.
    pub(super) fn occurred_at(&self, root: &Node<'_>) -> Option<Timestamp> {
        let (_, expr) = self.fields.iter().find(|(field, _)| *field == Field::OccurredAt)?;
        let From::First(pointers) = &expr.from else { return None };
        let node = pointers.iter().filter_map(|pointer| pointer.find(root)).find(|node| !node.is_empty())?;
        expr.time.unwrap_or(TimeFormat::EpochMs).read(node)
    }
}
