//! JSON as a borrowed tree: text points into the payload, whole numbers stay whole. Typed on purpose: duplicate keys
//! are refused at every level, integers never pass through a float, and nesting stays within serde_json's 127 levels,
//! also in parts nobody reads.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// One JSON value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Node<'a> {
    /// Absent, or `null`.
    #[default]
    Null,
    /// A flag.
    Flag(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; finite, or so large that it stands for a whole number beyond 64 bits.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Self>),
    /// An object, in the order of the payload, without duplicate keys.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Node<'a> {
    /// The value of a key of an object, or the element of an array; none for anything else.
    #[must_use]
    pub fn get(&self, segment: &Segment) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(key, _)| *key == segment.key).map(|(_, value)| value),
            Self::List(items) => items.get(segment.index?),
            Self::Null | Self::Flag(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) => None,
        }
    }

    /// The value of a key of an object.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        let Self::Object(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Takes the value of a key out of an object.
    pub fn take(&mut self, key: &str) -> Self {
        match self {
            Self::Object(entries) => {
                entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| std::mem::take(value))
            }
            Self::Null | Self::Flag(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::List(_) => None,
        }
        .unwrap_or_default()
    }

    /// True for nothing: absent, `null`, empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Null) || matches!(self, Self::Text(text) if text.is_empty())
    }

    /// True for text, numbers and flags.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Int(_) | Self::Float(_) | Self::Flag(_))
    }

    /// A scalar as text: `12`, `true`, `"x"`; none for absent values, arrays and objects.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(Cow::Owned(number.to_string())),
            Self::Float(number) => Some(Cow::Owned(number.to_string())),
            Self::Flag(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// One step of a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    key: String,
    index: Option<usize>,
}

/// A JSON pointer (RFC 6901), such as `/attributes/order`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<Segment>);

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// When it is not empty and does not begin with `/`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("expected a JSON pointer, such as \"/attributes/order\"");
        };
        let segment = |part: &str| {
            let key = part.replace("~1", "/").replace("~0", "~");
            Segment { index: key.parse().ok(), key }
        };
        Ok(Self(rest.split('/').map(segment).collect()))
    }

    /// The value it points to.
    #[must_use]
    pub fn find<'n, 'a>(&self, root: &'n Node<'a>) -> Option<&'n Node<'a>> {
        self.0.iter().try_fold(root, |node, segment| node.get(segment))
    }
}

/// The pointer as it is written.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(f, "/{}", segment.key.replace('~', "~0").replace('/', "~1")))
    }
}

/// Text that borrows from the payload unless it had to be unescaped (serde's own `Cow` always copies inside containers).
pub(super) struct Borrowed<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Borrowed<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

pub(super) struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
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

    #[expect(clippy::cast_precision_loss, reason = "beyond i64 it is only known to be too large")]
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Node::Float(number as f64), Node::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Node::Float(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Borrowed(key)) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        if has_duplicate(&entries) { Err(de::Error::custom("duplicate key")) } else { Ok(Node::Object(entries)) }
    }
}

/// Pairwise for small objects; sorted for large ones, so that a hostile object costs n·log n.
pub(super) fn has_duplicate(entries: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    if entries.len() <= 16 {
        return entries.iter().enumerate().any(|(at, (key, _))| entries.iter().take(at).any(|(other, _)| other == key));
    }
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    keys.iter().zip(keys.iter().skip(1)).any(|(a, b)| a == b)
}
