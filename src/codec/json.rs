//! `touchpoint-json`: the fields of `schemas/touchpoint.json`, straight from the payload, without a tree for what is
//! flat. Unknown fields are read and dropped, so that what is wrong in them is found too.

use super::fields::{Fields, RatingParts, Scalar};
use super::mapping::Field;
use super::node::{Borrowed, Node, NodeVisitor};
use super::{Code, Rejection, flat, reject};
use crate::model::{Instrument, Timestamp};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

/// Bits of the two fields that are objects, among those of [`Field`]s.
pub(super) const RATING: u32 = 30;
pub(super) const ATTRIBUTES: u32 = 31;

/// Reads the fields of a touchpoint into empty ones: in place, they are a kilobyte.
pub(super) fn touchpoint<'a>(payload: &'a [u8], fields: &mut Fields<'a>) -> Result<(), Rejection> {
    let text = utf8(payload)?;
    let rating = match flat::touchpoint(text, fields) {
        Some(rating) => rating,
        None => {
            *fields = Fields::new(false);
            parsed(text, fields)?
        }
    };
    fields.rating = rating_parts(rating)?;
    Ok(())
}

/// The same for any JSON; answers the rating as it stands.
pub(super) fn parsed<'a>(text: &'a str, fields: &mut Fields<'a>) -> Result<Node<'a>, Rejection> {
    whole(text, Raw(fields))
}

/// Reads the fields of a touchpoint that is part of a larger object.
pub(super) fn touchpoint_of<'a>(node: Node<'a>, fields: &mut Fields<'a>) -> Result<(), Rejection> {
    let entries = match node {
        Node::Object(entries) => entries,
        Node::Null => return Err(reject(Code::Missing, "data")),
        Node::Flag(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => {
            return Err(reject(Code::Type, "data"));
        }
    };
    for (name, value) in entries {
        match (Field::parse(&name), name.as_ref()) {
            (Some(field), _) => fields.set_node(field, value),
            (None, "rating") => fields.rating = rating_parts(value)?,
            (None, "attributes") => {
                fields.attributes = self::entries(value).map_err(|_| reject(Code::Type, "attributes"))?;
            }
            (None, _) => {}
        }
    }
    Ok(())
}

/// Reads any JSON.
pub(super) fn tree(payload: &[u8]) -> Result<Node<'_>, Rejection> {
    whole(utf8(payload)?, PhantomData::<Node<'_>>)
}

/// The event time of a touchpoint, past everything else.
pub(super) fn occurred_at(payload: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Only {
        occurred_at: i64,
    }
    if let Some(time) = only_occurred_at(payload) {
        return Some(time);
    }
    serde_json::from_slice(payload).ok().map(|only: Only| Timestamp(only.occurred_at))
}

/// The usual case without parsing: the key stands there once (inside a text its quotes would be escaped), with a plain
/// integer behind it. Whether the record is sound is for the decoder to say.
fn only_occurred_at(payload: &[u8]) -> Option<Timestamp> {
    static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"occurred_at\":"));
    let (_, after) = payload.split_at_checked(KEY.find(payload)? + KEY.needle().len())?;
    if KEY.find(after).is_some() {
        return None;
    }
    let after = after.trim_ascii_start();
    let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = after.split_at_checked(digits)?;
    let ends = matches!(rest.trim_ascii_start().first(), Some(b',' | b'}'));
    let time = std::str::from_utf8(digits).ok()?.parse().ok()?;
    ends.then_some(Timestamp(time))
}

/// Checked once for the whole record: cheaper than string by string.
fn utf8(payload: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(payload)
        .map_err(|error| Rejection { code: Code::Malformed, detail: format!("byte {}", error.valid_up_to()) })
}

fn whole<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Result<S::Value, Rejection> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| classify(&error, text.as_bytes()))
}

/// The code of a parser's error. serde_json names these two only in its text; `tests` holds it to them.
fn classify(error: &serde_json::Error, payload: &[u8]) -> Rejection {
    let text = error.to_string();
    let code = if text.starts_with("recursion limit exceeded") {
        Code::Depth
    } else if text.starts_with("number out of range") || is_not_a_number(error, payload) {
        Code::Number
    } else if error.is_data() && !text.starts_with("duplicate key") {
        Code::Type
    } else {
        Code::Malformed
    };
    Rejection { code, detail: format!("byte {}", stopped_at(error, payload)) }
}

/// How many bytes the parser read.
fn stopped_at(error: &serde_json::Error, payload: &[u8]) -> usize {
    let lines = payload.split(|&byte| byte == b'\n').take(error.line().saturating_sub(1));
    lines.map(|line| line.len() + 1).sum::<usize>() + error.column()
}

/// `NaN` or `Infinity` where the parser stopped.
fn is_not_a_number(error: &serde_json::Error, payload: &[u8]) -> bool {
    let near = payload.get(stopped_at(error, payload).saturating_sub(2)..).unwrap_or_default();
    error.is_syntax() && near.windows(3).take(2).any(|word| word == b"NaN" || word == b"Inf")
}

/// Fills the fields from an object; answers the rating, which is taken apart afterwards.
struct Raw<'f, 'a>(&'f mut Fields<'a>);

impl<'de> DeserializeSeed<'de> for Raw<'_, 'de> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Raw<'_, 'de> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut rating = Node::Null;
        let mut seen = 0_u32;
        while let Some(Borrowed(key)) = map.next_key()? {
            let slot = match (Field::parse(&key), key.as_ref()) {
                (Some(field), _) => {
                    let value = map.next_value_seed(RawScalar(self.0))?;
                    self.0.set(field, value);
                    field as u32
                }
                (None, "rating") => {
                    rating = map.next_value()?;
                    RATING
                }
                (None, "attributes") => {
                    self.0.attributes = entries(map.next_value()?).map_err(de::Error::custom)?;
                    ATTRIBUTES
                }
                (None, _) => {
                    map.next_value::<Node<'de>>()?;
                    continue;
                }
            };
            if seen & (1 << slot) != 0 {
                return Err(de::Error::custom("duplicate key"));
            }
            seen |= 1 << slot;
        }
        Ok(rating)
    }

    /// Not an object; read to its end, because what is wrong in it says more.
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<Node<'de>>()?.is_some() {}
        Err(de::Error::custom("not an object"))
    }
}

/// Reads the value of a scalar field. What is none is read to its end too: what is wrong in it says more.
struct RawScalar<'f, 'a>(&'f mut Fields<'a>);

impl<'de> DeserializeSeed<'de> for RawScalar<'_, 'de> {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RawScalar<'_, 'de> {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "beyond i64 it is only known to be too large")]
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::Float(number as f64), Scalar::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.unescaped(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        NodeVisitor.visit_seq(items).map(|_| Scalar::Composite)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        NodeVisitor.visit_map(map).map(|_| Scalar::Composite)
    }
}

pub(super) fn entries(attributes: Node<'_>) -> Result<Vec<(std::borrow::Cow<'_, str>, Node<'_>)>, &'static str> {
    match attributes {
        Node::Object(entries) => Ok(entries),
        Node::Null => Ok(Vec::new()),
        Node::Flag(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => Err("attributes is no object"),
    }
}

pub(super) fn rating_parts(mut rating: Node<'_>) -> Result<Option<RatingParts<'_>>, Rejection> {
    match rating {
        Node::Null => return Ok(None),
        Node::Object(_) => {}
        Node::Flag(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => {
            return Err(reject(Code::Type, "rating"));
        }
    }
    let instrument = match rating.take("instrument") {
        Node::Text(name) => Instrument::deserialize(BorrowedStrDeserializer::<de::value::Error>::new(&name))
            .map_err(|_| reject(Code::Type, "rating.instrument"))?,
        Node::Null => return Err(reject(Code::Missing, "rating.instrument")),
        Node::Flag(_) | Node::Int(_) | Node::Float(_) | Node::List(_) | Node::Object(_) => {
            return Err(reject(Code::Type, "rating.instrument"));
        }
    };
    let value = rating.take("value");
    if value.is_empty() {
        return Err(reject(Code::Missing, "rating.value"));
    }
    Ok(Some(RatingParts { instrument, value, min: rating.take("min"), max: rating.take("max") }))
}
