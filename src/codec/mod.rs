//! Bytes ↔ model. Sans-IO: answers a [`Touchpoint`] or a [`Rejection`], never panics, never reads a clock.

pub mod mapping;
pub mod node;

use crate::model::{Channel, Position, Timestamp, Touchpoint};
use mapping::{Mapping, TimeFormat};
use node::Pointer;

/// A record as it was read: from a topic, or a line of a file.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// Where it was read.
    pub position: Position,
    /// The record's timestamp (append time, or the producer's); none for files.
    pub recorded_at: Option<Timestamp>,
    /// Kafka key.
    pub key: Option<&'a [u8]>,
    /// Payload; none for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Why a record was rejected. The names are stable: they are metric labels and DLQ headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Code {
    /// No payload, or an empty one.
    Empty,
    /// The mapping takes the customer id from the key, and there is none.
    NoKey,
    /// Not JSON (invalid UTF-8, byte order mark, trailing bytes, cut short, duplicate key, lone surrogate).
    Malformed,
    /// Nested deeper than 127.
    Depth,
    /// A number that cannot be represented (NaN, 1e400, 30 digits).
    Number,
    /// A field has the wrong type.
    Type,
    /// A required field is missing.
    Missing,
    /// A number is outside its range (negative wait, rating outside its scale).
    Range,
    /// Event time before 2000 or after 2200.
    TsRange,
    /// An id is empty, longer than 200 bytes or holds control characters.
    Id,
    /// A junk customer id (`null`, `undefined`, `anonymous`, only zeros …).
    JunkId,
    /// Too many or too large attributes.
    Attributes,
    /// The record is larger than `pipeline.record_bytes_max`.
    TooLarge,
    /// A value has no entry in the mapping's table and the mapping gives no default.
    Unmapped,
    /// The key hashes to another partition than the record is on.
    ForeignPartition,
}

/// A rejected record: the code, and which field or byte, without any of the payload's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Stable reason.
    pub code: Code,
    /// Field path or byte offset; never payload text.
    pub detail: String,
}

/// How an input's records are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// The form of `schemas/touchpoint.json`.
    Touchpoint,
    /// The user's own JSON objects.
    Json(Mapping),
    /// Rows of a file with a header line; the reader hands each row over as an object of texts ([`csv_row`]).
    Csv(Mapping),
}

/// One `[[input]]`, validated: how its records are read. Built by `config`.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name in messages and metrics.
    pub name: String,
    /// Topics it is read from.
    pub topics: Vec<String>,
    /// How its records are written.
    pub format: Format,
    /// Where and how a file's records say when they arrived; none = event time.
    pub arrival: Option<(Pointer, TimeFormat)>,
    /// Source of touchpoints that name none.
    pub source: Option<String>,
    /// Channel of touchpoints that name none.
    pub channel: Option<Channel>,
    /// Customer ids that mean "no customer", lower case.
    pub junk_ids: Vec<String>,
}

impl Default for Input {
    /// Touchpoints as we document them, with nothing assumed.
    fn default() -> Self {
        Self {
            name: "touchpoints".into(),
            topics: Vec::new(),
            format: Format::Touchpoint,
            arrival: None,
            source: None,
            channel: None,
            junk_ids: Vec::new(),
        }
    }
}

fn reject(code: Code, detail: &str) -> Rejection {
    Rejection { code, detail: detail.to_owned() }
}

/// Decodes one record.
///
/// # Errors
/// A [`Rejection`] with a stable code.
pub fn decode<'a>(_input: &'a Input, _record: &RawRecord<'a>) -> Result<Touchpoint<'a>, Rejection> {
    Err(reject(Code::Empty, "value"))
}
