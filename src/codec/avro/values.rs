//! Values of a datum as serde hands them over: into the fields of a touchpoint, or into a tree for a mapping.

use super::super::Code;
use super::super::fields::{Fields, Scalar};
use super::super::json::entries;
use super::super::node::{Borrowed, Node, has_duplicate};
use super::resolve::{Slot, Symbols};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Values of one tree at most: they take far more room than their bytes.
pub(super) const NODES_MAX: usize = 50_000;

/// An error that `whole` takes for this code.
fn error<E: de::Error>(code: Code) -> E {
    E::custom(code.as_str())
}

/// A datum into the fields of a touchpoint. Answers its rating, to be taken apart.
pub(super) struct Record<'f, 'a> {
    pub(super) slots: &'a [Slot],
    pub(super) fields: &'f mut Fields<'a>,
}

impl<'a> DeserializeSeed<'a> for Record<'_, 'a> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Record<'_, 'a> {
    type Value = Node<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut rating, mut left) = (Node::Null, NODES_MAX);
        for slot in self.slots {
            map.next_key::<IgnoredAny>()?;
            match slot {
                Slot::Skip => {
                    map.next_value::<IgnoredAny>()?;
                }
                Slot::Scalar(field, divisor) => {
                    let value = map.next_value_seed(Value { fields: self.fields, symbols: None })?;
                    self.fields.set(*field, in_ms(value, *divisor));
                }
                Slot::Enum(field, symbols) => {
                    let value = map.next_value_seed(Value { fields: self.fields, symbols: Some(symbols) })?;
                    self.fields.set(*field, value);
                }
                Slot::Rating => rating = map.next_value_seed(Tree { left: &mut left })?,
                Slot::Attributes => {
                    let attributes = map.next_value_seed(Tree { left: &mut left })?;
                    self.fields.attributes = entries(attributes).map_err(|_| error(Code::Type))?;
                }
            }
        }
        // There is none; the decoder has to be told that we are through.
        map.next_key::<IgnoredAny>()?;
        Ok(rating)
    }
}

/// Microseconds and the like as ms.
fn in_ms(value: Scalar<'_>, divisor: i64) -> Scalar<'_> {
    if let Scalar::Int(number) = value { Scalar::Int(number.div_euclid(divisor)) } else { value }
}

/// The value of a scalar field.
struct Value<'f, 'a> {
    fields: &'f mut Fields<'a>,
    symbols: Option<&'a Symbols>,
}

impl<'a> DeserializeSeed<'a> for Value<'_, 'a> {
    type Value = Scalar<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // Asked for as an option and then as a number, an enumeration gives its place, which costs no look-up of text.
        if self.symbols.is_some() { deserializer.deserialize_option(self) } else { deserializer.deserialize_any(self) }
    }
}

impl<'a> Visitor<'a> for Value<'_, 'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number or a flag")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_u64(self)
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

    /// The place of a symbol: whole numbers of Avro have a sign.
    fn visit_u64<E: de::Error>(self, place: u64) -> Result<Self::Value, E> {
        let symbols = self.symbols.and_then(|symbols| symbols.get(usize::try_from(place).ok()?));
        match symbols {
            None => Err(error(Code::Decode)),
            Some(None) => Err(error(Code::Schema)),
            Some(Some(symbol)) => Ok(Scalar::Text(symbol)),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        if number.is_finite() { Ok(Scalar::Float(number)) } else { Err(error(Code::Range)) }
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.fields.unescaped(text.to_owned()))
    }
}

/// Any value as a tree of at most `left` values. Bytes have no place in it and are left out.
pub(super) struct Tree<'l> {
    pub(super) left: &'l mut usize,
}

impl<'a> DeserializeSeed<'a> for Tree<'_> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| error(Code::TooLarge))?;
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Tree<'_> {
    type Value = Node<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Node::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Node::Int(number))
    }

    /// A part of a duration.
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Node::Null, Node::Int))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        if number.is_finite() { Ok(Node::Float(number)) } else { Err(error(Code::Range)) }
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Tree { left: &mut *self.left })? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Borrowed(key)) = map.next_key()? {
            entries.push((key, map.next_value_seed(Tree { left: &mut *self.left })?));
        }
        if has_duplicate(&entries) { Err(error(Code::Decode)) } else { Ok(Node::Object(entries)) }
    }
}
