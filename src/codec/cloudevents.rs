//! CloudEvents 1.0: the binary mode of the Kafka binding (attributes in headers `ce_*`, data in the value) and the
//! structured mode (one JSON object with everything, also as a line of a file).
//!
//! `cloudevents-sdk` would copy every attribute and the data of every record and brings dates, addresses and random
//! numbers of its own, so these few rules are read here, borrowed. Neither the batched mode, which the Kafka binding does
//! not have, nor data that is not JSON is read; both are refused by name.

use super::fields::{Fields, Scalar};
use super::mapping::{Field, TimeFormat};
use super::node::Node;
use super::{Code, RawRecord, Rejection, json, reject};
use crate::model::Timestamp;
use std::borrow::Cow;

/// The version that is read; the attribute is required.
const VERSION: &str = "1.0";
/// What attribute names begin with in Kafka headers.
const PREFIX: &str = "ce_";
/// Media type of the structured mode.
const STRUCTURED: &str = "application/cloudevents+json";
/// What a touchpoint in the data takes from the envelope when it does not say it itself.
const FROM_ENVELOPE: [(Field, &str); 3] = [(Field::Id, "id"), (Field::Source, "source"), (Field::Kind, "type")];

/// An event: its attributes as an object, and its data.
#[derive(Debug)]
pub(super) struct Event<'a> {
    attributes: Vec<(Cow<'a, str>, Node<'a>)>,
    data: Data<'a>,
}

#[derive(Debug)]
enum Data<'a> {
    Json(&'a [u8]),
    Parsed(Node<'a>),
}

impl<'a> Event<'a> {
    /// Reads an event in whichever mode it is in, and checks the required attributes.
    pub(super) fn read(record: &RawRecord<'a>, value: &'a [u8]) -> Result<Self, Rejection> {
        let media_type = record.header("content-type").map(media_type).transpose()?.unwrap_or_default();
        let is_structured = media_type.starts_with("application/cloudevents");
        let is_read = if is_structured { media_type == STRUCTURED } else { is_json(&media_type) };
        if !is_read {
            return Err(reject(Code::ContentType, "content-type"));
        }
        let attributes = if is_structured { Vec::new() } else { in_headers(record)? };
        let event =
            if attributes.is_empty() { structured(value)? } else { Self { attributes, data: Data::Json(value) } };
        event.check()?;
        Ok(event)
    }

    fn attribute(&self, name: &str) -> Option<&Node<'a>> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn check(&self) -> Result<(), Rejection> {
        for name in ["specversion", "id", "source", "type"] {
            match self.attribute(name) {
                None | Some(Node::Null) => return Err(reject(Code::Missing, name)),
                Some(Node::Text(text)) if text.is_empty() => return Err(reject(Code::Missing, name)),
                Some(Node::Text(text)) if name == "specversion" && text != VERSION => {
                    return Err(reject(Code::Version, name));
                }
                Some(Node::Text(_)) => {}
                Some(Node::Flag(_) | Node::Int(_) | Node::Float(_) | Node::List(_) | Node::Object(_)) => {
                    return Err(reject(Code::Type, name));
                }
            }
        }
        Ok(())
    }

    /// The event as one object, as the structured mode writes it: what a mapping points into.
    pub(super) fn tree(self) -> Result<Node<'a>, Rejection> {
        let data = match self.data {
            Data::Json(bytes) => json::tree(bytes)?,
            Data::Parsed(node) => node,
        };
        let mut entries = self.attributes;
        entries.push((Cow::Borrowed("data"), data));
        Ok(Node::Object(entries))
    }

    /// Reads data that is a touchpoint; id, source, kind and event time are the event's where the data has none.
    pub(super) fn touchpoint(mut self, fields: &mut Fields<'a>) -> Result<(), Rejection> {
        match std::mem::replace(&mut self.data, Data::Parsed(Node::Null)) {
            Data::Json(bytes) => json::touchpoint(bytes, fields)?,
            Data::Parsed(node) => json::touchpoint_of(node, fields)?,
        }
        for (field, name) in FROM_ENVELOPE {
            if fields.is_missing(field) {
                fields.set_node(field, self.attribute(name).cloned().unwrap_or_default());
            }
        }
        if fields.is_missing(Field::OccurredAt)
            && let Some(time) = self.attribute("time")
        {
            let time = TimeFormat::Rfc3339.read(time).ok_or_else(|| reject(Code::Type, "time"))?;
            fields.set(Field::OccurredAt, Scalar::Int(time.0));
        }
        Ok(())
    }

    /// The event time of a touchpoint in the data.
    pub(super) fn occurred_at(&self) -> Option<Timestamp> {
        let in_data = match &self.data {
            Data::Json(bytes) => json::occurred_at(bytes),
            Data::Parsed(node) => node.entry("occurred_at").and_then(|node| TimeFormat::EpochMs.read(node)),
        };
        in_data.or_else(|| TimeFormat::Rfc3339.read(self.attribute("time")?))
    }
}

/// `application/json; charset=utf-8` → `application/json`.
fn media_type(value: &[u8]) -> Result<String, Rejection> {
    let text = std::str::from_utf8(value).map_err(|_| reject(Code::ContentType, "content-type"))?;
    Ok(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// What is not said is taken for JSON.
fn is_json(media_type: &str) -> bool {
    matches!(media_type, "" | "application/json" | "text/json") || media_type.ends_with("+json")
}

/// The attributes of the binary mode: none in a record without such headers.
fn in_headers<'a>(record: &RawRecord<'a>) -> Result<Vec<(Cow<'a, str>, Node<'a>)>, Rejection> {
    let mut attributes: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
    let Some(headers) = record.headers else { return Ok(attributes) };
    for (name, value) in (0..).map_while(|index| headers.at(index)) {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let text = std::str::from_utf8(value).map_err(|_| reject(Code::Malformed, "header"))?;
        if attributes.iter().any(|(known, _)| known == name) {
            return Err(reject(Code::Malformed, "header"));
        }
        attributes.push((Cow::Borrowed(name), Node::Text(Cow::Borrowed(text))));
    }
    Ok(attributes)
}

fn structured(value: &[u8]) -> Result<Event<'_>, Rejection> {
    let Node::Object(mut attributes) = json::tree(value)? else { return Err(reject(Code::Type, "value")) };
    let mut take = |name: &str| {
        let at = attributes.iter().position(|(known, _)| known == name)?;
        Some(attributes.remove(at).1)
    };
    if take("data_base64").is_some() {
        return Err(reject(Code::ContentType, "data_base64"));
    }
    let data = Data::Parsed(take("data").unwrap_or_default());
    let event = Event { attributes, data };
    match event.attribute("datacontenttype") {
        Some(Node::Text(given)) if !is_json(&media_type(given.as_bytes())?) => {
            Err(reject(Code::ContentType, "datacontenttype"))
        }
        _ => Ok(event),
    }
}
