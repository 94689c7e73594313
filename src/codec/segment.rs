//! Messages of Segment's tracking API (`track`, `page`, `screen`, `identify`, `group`, `alias`), as Segment, RudderStack and
//! others write them to a topic. A mapping reads them like any other JSON, after two keys were put in front:
//!
//! - `kind`: of `track` its event in snake case (`Order Completed` is `order_completed`), of `page` and `screen`
//!   `page_viewed`, of `identify` `identified`, else the type.
//! - `occurred_at`: the moment, by the clock of the receiver. A device's clock may be wrong, but it wrote `sentAt` when it
//!   sent and the receiver `receivedAt` at nearly the same moment, so `timestamp + (receivedAt - sentAt)`. Where there is an
//!   `originalTimestamp`, `timestamp` was already corrected so.

use super::mapping::TimeFormat;
use super::node::Node;
use super::{Code, Rejection, json, reject};
use crate::model::Timestamp;
use std::borrow::Cow;

/// Reads a message.
pub(super) fn message(value: &[u8]) -> Result<Node<'_>, Rejection> {
    let mut root = json::tree(value)?;
    check_version(&root)?;
    let kind = Node::Text(kind(&mut root)?);
    let occurred_at = Node::Int(occurred_at(&root)?.0);
    let Node::Object(entries) = &mut root else { return Err(reject(Code::Type, "value")) };
    entries.splice(0..0, [(Cow::Borrowed("kind"), kind), (Cow::Borrowed("occurred_at"), occurred_at)]);
    Ok(root)
}

/// The tracking API had the versions 1, 1.1 and 2; messages need not name one.
fn check_version(root: &Node<'_>) -> Result<(), Rejection> {
    let is_known = match root.entry("version") {
        None | Some(Node::Null) => true,
        Some(Node::Text(text)) => matches!(text.as_ref(), "1" | "1.0" | "1.1" | "2" | "2.0"),
        Some(Node::Int(number)) => matches!(number, 1 | 2),
        Some(Node::Float(number)) => (number - 1.1).abs() < 1e-9,
        Some(Node::Flag(_) | Node::List(_) | Node::Object(_)) => false,
    };
    if is_known { Ok(()) } else { Err(reject(Code::Version, "version")) }
}

fn kind<'a>(root: &mut Node<'a>) -> Result<Cow<'a, str>, Rejection> {
    let Some(Node::Text(message_type)) = root.entry("type") else { return Err(reject(Code::Missing, "type")) };
    match message_type.as_ref() {
        "track" => match root.entry("event") {
            Some(Node::Text(event)) if !event.is_empty() => Ok(Cow::Owned(snake_case(event))),
            _ => Err(reject(Code::Missing, "event")),
        },
        "page" | "screen" => Ok(Cow::Borrowed("page_viewed")),
        "identify" => Ok(Cow::Borrowed("identified")),
        "group" | "alias" => Ok(message_type.clone()),
        _ => Err(reject(Code::Unmapped, "type")),
    }
}

/// `Order Completed`, `orderCompleted` and `Order-Completed` are `order_completed`.
fn snake_case(event: &str) -> String {
    let mut name = String::with_capacity(event.len() + 4);
    let mut is_after_lower = false;
    for letter in event.chars() {
        if !letter.is_alphanumeric() {
            is_after_lower = false;
            if !name.is_empty() && !name.ends_with('_') {
                name.push('_');
            }
            continue;
        }
        if letter.is_uppercase() && is_after_lower {
            name.push('_');
        }
        is_after_lower = !letter.is_uppercase();
        name.extend(letter.to_lowercase());
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

/// See the module.
fn occurred_at(root: &Node<'_>) -> Result<Timestamp, Rejection> {
    let time = |name: &str| match root.entry(name) {
        None | Some(Node::Null) => Ok(None),
        Some(node) => TimeFormat::Rfc3339.read(node).map(Some).ok_or_else(|| reject(Code::Type, name)),
    };
    let (original, timestamp) = (time("originalTimestamp")?, time("timestamp")?);
    let (sent, received) = (time("sentAt")?, time("receivedAt")?);
    if let (Some(_), Some(corrected)) = (original, timestamp) {
        return Ok(corrected);
    }
    match (original.or(timestamp), sent, received) {
        (Some(device), Some(sent), Some(received)) => Ok(device.plus(received.since(sent))),
        (Some(device), _, _) => Ok(device),
        (None, sent, received) => received.or(sent).ok_or_else(|| reject(Code::Missing, "timestamp")),
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
