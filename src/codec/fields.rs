//! From values to a checked touchpoint: the one place that says what a field may hold, for every format.

use super::mapping::{FIELDS, Field};
use super::node::Node;
use super::{Code, Input, Rejection, reject};
use crate::model::event::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, ID_BYTES_MAX};
use crate::model::{Attribute, Channel, Instrument, Micro, Rating, Timestamp, Touchpoint};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use std::borrow::Cow;

/// A rating in parts.
#[derive(Debug)]
pub(super) struct RatingParts<'a> {
    pub(super) instrument: Instrument,
    pub(super) value: Node<'a>,
    pub(super) min: Node<'a>,
    pub(super) max: Node<'a>,
}

/// The value of a scalar field: small and plain, since every record has an array of them, most of them empty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Scalar<'a> {
    /// Absent, or `null`.
    #[default]
    Null,
    Flag(bool),
    Int(i64),
    /// As [`Node::Float`].
    Float(f64),
    /// As it stands in the payload.
    Text(&'a str),
    /// Place in [`Fields::unescaped`].
    Unescaped(usize),
    /// An array or an object.
    Composite,
}

/// A touchpoint's values before they are checked.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    scalars: [Scalar<'a>; FIELDS],
    /// Texts that are not in the payload as they are.
    unescaped: Vec<String>,
    pub(super) rating: Option<RatingParts<'a>>,
    pub(super) attributes: Vec<(Cow<'a, str>, Node<'a>)>,
    /// Mapped inputs: numbers may be written as text and ids as numbers.
    lenient: bool,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(lenient: bool) -> Self {
        let scalars = [Scalar::Null; FIELDS];
        Self { scalars, unescaped: Vec::new(), rating: None, attributes: Vec::new(), lenient }
    }

    pub(super) fn set(&mut self, field: Field, value: Scalar<'a>) {
        if let Some(slot) = self.scalars.get_mut(field as usize) {
            *slot = value;
        }
    }

    pub(super) fn unescaped(&mut self, text: String) -> Scalar<'a> {
        self.unescaped.push(text);
        Scalar::Unescaped(self.unescaped.len() - 1)
    }

    pub(super) fn set_node(&mut self, field: Field, node: Node<'a>) {
        let value = match node {
            Node::Null => Scalar::Null,
            Node::Flag(flag) => Scalar::Flag(flag),
            Node::Int(number) => Scalar::Int(number),
            Node::Float(number) => Scalar::Float(number),
            Node::Text(Cow::Borrowed(text)) => Scalar::Text(text),
            Node::Text(Cow::Owned(text)) => self.unescaped(text),
            Node::List(_) | Node::Object(_) => Scalar::Composite,
        };
        self.set(field, value);
    }

    /// Whether nothing was set.
    #[inline]
    pub(super) fn is_missing(&self, field: Field) -> bool {
        matches!(self.get(field), Scalar::Null)
    }

    #[inline]
    fn get(&self, field: Field) -> Scalar<'a> {
        self.scalars.get(field as usize).copied().unwrap_or_default()
    }

    /// An unescaped text is handed out once.
    fn take_unescaped(&mut self, at: usize) -> String {
        self.unescaped.get_mut(at).map(std::mem::take).unwrap_or_default()
    }

    /// The touchpoint, if every field holds what it may.
    pub(super) fn touchpoint(&mut self, input: &'a Input) -> Result<Touchpoint<'a>, Rejection> {
        let (channel, channel_unknown) = self.channel(input)?;
        let source = match self.id(Field::Source)? {
            Some(source) => source,
            None => Cow::Borrowed(input.source.as_deref().ok_or_else(|| missing(Field::Source))?),
        };
        Ok(Touchpoint {
            id: self.required(Field::Id)?,
            source,
            customer_id: self.customer_id(&input.junk_ids)?,
            channel,
            channel_unknown,
            kind: self.required(Field::Kind)?,
            occurred_at: self.time(Field::OccurredAt)?.ok_or_else(|| missing(Field::OccurredAt))?,
            contact: self.named(Field::Contact)?,
            actor: self.named(Field::Actor)?,
            session_id: self.id(Field::SessionId)?,
            conversation_id: self.id(Field::ConversationId)?,
            order_id: self.id(Field::OrderId)?,
            product_id: self.id(Field::ProductId)?,
            location_id: self.id(Field::LocationId)?,
            topic: self.id(Field::Topic)?,
            rating: self.rating()?,
            text: self.text(Field::Text)?,
            language: self.id(Field::Language)?,
            wait_ms: self.positive(Field::WaitMs)?,
            duration_ms: self.positive(Field::DurationMs)?,
            outcome: self.named(Field::Outcome)?,
            amount_minor: self.positive(Field::AmountMinor)?,
            currency: self.currency()?,
            due_at: self.time(Field::DueAt)?,
            consent: self.flag(Field::Consent)?,
            attributes: self.attributes()?,
        })
    }

    fn channel(&mut self, input: &Input) -> Result<(Channel, bool), Rejection> {
        match self.text(Field::Channel)? {
            Some(name) => Ok(Channel::parse(&name).map_or((Channel::Other, true), |channel| (channel, false))),
            None => Ok((input.channel.ok_or_else(|| missing(Field::Channel))?, false)),
        }
    }

    fn customer_id(&mut self, junk_ids: &[String]) -> Result<Cow<'a, str>, Rejection> {
        let id = self.required(Field::CustomerId)?;
        let zeros = id.bytes().all(|byte| byte == b'0');
        if zeros || junk_ids.iter().any(|junk| junk.eq_ignore_ascii_case(&id)) {
            return Err(reject(Code::JunkId, Field::CustomerId.name()));
        }
        Ok(id)
    }

    /// An id that must be there and not be empty.
    fn required(&mut self, field: Field) -> Result<Cow<'a, str>, Rejection> {
        match self.id(field)? {
            Some(id) => Ok(id),
            None if self.get(field) == Scalar::Null => Err(missing(field)),
            None => Err(reject(Code::Id, field.name())),
        }
    }

    /// An id: at most 200 bytes, no control characters; empty text is the same as none.
    #[inline]
    fn id(&mut self, field: Field) -> Result<Option<Cow<'a, str>>, Rejection> {
        // Most fields are missing: that is said without a call.
        if self.is_missing(field) { Ok(None) } else { self.given_id(field) }
    }

    #[inline(never)]
    fn given_id(&mut self, field: Field) -> Result<Option<Cow<'a, str>>, Rejection> {
        let Some(id) = self.text(field)? else { return Ok(None) };
        if id.len() > ID_BYTES_MAX || has_control(&id) { Err(reject(Code::Id, field.name())) } else { Ok(Some(id)) }
    }

    /// What is usual without a call: most fields are missing, most texts are borrowed.
    #[inline]
    fn text(&mut self, field: Field) -> Result<Option<Cow<'a, str>>, Rejection> {
        let value = self.get(field);
        if matches!(value, Scalar::Null) {
            return Ok(None);
        }
        if let Scalar::Text(text) = value {
            return Ok((!text.is_empty()).then_some(Cow::Borrowed(text)));
        }
        self.unusual_text(field, value)
    }

    #[cold]
    fn unusual_text(&mut self, field: Field, value: Scalar<'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
        let text = match value {
            Scalar::Null => return Ok(None),
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Unescaped(at) => Cow::Owned(self.take_unescaped(at)),
            Scalar::Int(number) if self.lenient => Cow::Owned(number.to_string()),
            Scalar::Float(number) if self.lenient => Cow::Owned(number.to_string()),
            Scalar::Flag(flag) if self.lenient => Cow::Borrowed(if flag { "true" } else { "false" }),
            Scalar::Int(_) | Scalar::Flag(_) | Scalar::Float(_) | Scalar::Composite => {
                return Err(reject(Code::Type, field.name()));
            }
        };
        Ok((!text.is_empty()).then_some(text))
    }

    #[inline]
    fn whole(&mut self, field: Field) -> Result<Option<i64>, Rejection> {
        match self.get(field) {
            Scalar::Null => Ok(None),
            Scalar::Int(number) => Ok(Some(number)),
            Scalar::Float(number) if number.abs() >= 9.2e18 => Err(reject(Code::Number, field.name())),
            Scalar::Text(_) | Scalar::Unescaped(_) if self.lenient => match self.text(field)? {
                None => Ok(None),
                Some(text) => text.trim().parse().map(Some).map_err(|_| reject(Code::Type, field.name())),
            },
            Scalar::Float(_) | Scalar::Flag(_) | Scalar::Text(_) | Scalar::Unescaped(_) | Scalar::Composite => {
                Err(reject(Code::Type, field.name()))
            }
        }
    }

    #[inline]
    fn positive(&mut self, field: Field) -> Result<Option<i64>, Rejection> {
        if self.is_missing(field) {
            return Ok(None);
        }
        match self.whole(field)? {
            Some(number) if number < 0 => Err(reject(Code::Range, field.name())),
            number => Ok(number),
        }
    }

    #[inline]
    fn time(&mut self, field: Field) -> Result<Option<Timestamp>, Rejection> {
        if self.is_missing(field) {
            return Ok(None);
        }
        match self.whole(field)?.map(Timestamp) {
            Some(time) if !(Timestamp::EARLIEST..Timestamp::LATEST).contains(&time) => {
                Err(reject(Code::TsRange, field.name()))
            }
            time => Ok(time),
        }
    }

    /// A value of one of the model's lists.
    #[inline]
    fn named<T: Deserialize<'static>>(&mut self, field: Field) -> Result<Option<T>, Rejection> {
        if self.is_missing(field) {
            return Ok(None);
        }
        let Some(name) = self.text(field)? else { return Ok(None) };
        T::deserialize(StrDeserializer::<Error>::new(&name)).map(Some).map_err(|_| reject(Code::Type, field.name()))
    }

    fn currency(&mut self) -> Result<Option<Cow<'a, str>>, Rejection> {
        match self.text(Field::Currency)? {
            Some(code) if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Err(reject(Code::Type, Field::Currency.name()))
            }
            code => Ok(code),
        }
    }

    fn flag(&mut self, field: Field) -> Result<Option<bool>, Rejection> {
        match self.get(field) {
            Scalar::Null => Ok(None),
            Scalar::Flag(flag) => Ok(Some(flag)),
            Scalar::Text(_) | Scalar::Unescaped(_) if self.lenient => match self.text(field)?.as_deref() {
                None => Ok(None),
                Some("true") => Ok(Some(true)),
                Some("false") => Ok(Some(false)),
                Some(_) => Err(reject(Code::Type, field.name())),
            },
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Text(_) | Scalar::Unescaped(_) | Scalar::Composite => {
                Err(reject(Code::Type, field.name()))
            }
        }
    }

    #[inline]
    fn rating(&mut self) -> Result<Option<Rating>, Rejection> {
        let Some(parts) = self.rating.take() else { return Ok(None) };
        self.rating_of(&parts).map(Some)
    }

    fn rating_of(&self, parts: &RatingParts<'a>) -> Result<Rating, Rejection> {
        let value = self.decimal(&parts.value, "rating.value")?.ok_or_else(|| reject(Code::Missing, "rating.value"))?;
        let given = (self.decimal(&parts.min, "rating.min")?, self.decimal(&parts.max, "rating.max")?);
        let (min, max) = match (published(parts.instrument), given) {
            (Some(scale), (min, max)) if min.unwrap_or(scale.0) == scale.0 && max.unwrap_or(scale.1) == scale.1 => {
                scale
            }
            (Some(_), _) => return Err(reject(Code::Range, "rating.max")),
            (None, (Some(min), Some(max))) if min < max => (min, max),
            (None, (Some(_), Some(_))) => return Err(reject(Code::Range, "rating.max")),
            (None, _) => return Err(reject(Code::Missing, "rating.max")),
        };
        if !(min..=max).contains(&value) {
            return Err(reject(Code::Range, "rating.value"));
        }
        Ok(Rating { instrument: parts.instrument, value, min, max })
    }

    fn decimal(&self, node: &Node<'a>, name: &str) -> Result<Option<Micro>, Rejection> {
        let float = match node {
            Node::Null => return Ok(None),
            Node::Int(number) => return Ok(Some(Micro::whole(*number))),
            Node::Float(number) => *number,
            Node::Text(text) if self.lenient => text.trim().parse().map_err(|_| reject(Code::Type, name))?,
            Node::Flag(_) | Node::Text(_) | Node::List(_) | Node::Object(_) => return Err(reject(Code::Type, name)),
        };
        Micro::from_f64(float).map(Some).ok_or_else(|| reject(Code::Number, name))
    }

    /// Empty values are left out: they are the sources' way of writing none.
    fn attributes(&mut self) -> Result<Vec<(Cow<'a, str>, Attribute<'a>)>, Rejection> {
        let given = std::mem::take(&mut self.attributes);
        if given.len() > ATTRIBUTES_MAX {
            return Err(reject(Code::Attributes, "attributes"));
        }
        let mut attributes = Vec::with_capacity(given.len());
        let mut bytes = 0;
        for (name, node) in given {
            bytes += name.len();
            let value = match node {
                Node::Null => continue,
                Node::Text(text) => {
                    bytes += text.len();
                    Attribute::Text(text)
                }
                #[expect(clippy::cast_precision_loss, reason = "attributes are floats beyond 2^53")]
                Node::Int(number) => Attribute::Number(number as f64),
                Node::Float(number) => Attribute::Number(number),
                Node::Flag(flag) => Attribute::Flag(flag),
                Node::List(_) | Node::Object(_) => return Err(reject(Code::Type, "attributes")),
            };
            attributes.push((name, value));
        }
        if bytes > ATTRIBUTE_BYTES_MAX { Err(reject(Code::Attributes, "attributes")) } else { Ok(attributes) }
    }
}

fn missing(field: Field) -> Rejection {
    reject(Code::Missing, field.name())
}

fn has_control(text: &str) -> bool {
    // Without an early end the compiler looks at 32 bytes at a time.
    let plain = text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte));
    !plain && text.chars().any(char::is_control)
}

/// Ends of an instrument's published scale; none for custom ones.
const fn published(instrument: Instrument) -> Option<(Micro, Micro)> {
    let (min, max) = match instrument {
        Instrument::Nps => (0, 10),
        Instrument::Csat | Instrument::Stars => (1, 5),
        Instrument::Ces => (1, 7),
        Instrument::Custom => return None,
    };
    Some((Micro::whole(min), Micro::whole(max)))
}
