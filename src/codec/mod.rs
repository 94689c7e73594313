//! Bytes ↔ model. Sans-IO: answers a [`Touchpoint`] or a [`Rejection`], never panics, never reads a clock.

pub mod avro;
mod cloudevents;
pub mod encode;
mod fields;
mod flat;
mod json;
pub mod mapping;
pub mod node;
mod segment;

use crate::model::{Channel, ItemType, Position, Timestamp, Touchpoint};
use fields::Fields;
use mapping::{Mapping, TimeFormat};
use node::Pointer;
use serde::Serializer;

/// Header of a record that was sent again from the dead letters: how often. It keeps a record that is never read from
/// going round for ever.
pub const RETRIES: &str = "touchline.retries";

/// Header of a record on its way through the repartition topic: where it comes from, as
/// `<topic>:<partition>:<offset>:<timestamp in ms, or nothing>`. A record that has it goes no further.
pub const ORIGIN: &str = "touchline.origin";

/// What the schema registry's serializers put before a payload: a zero byte and the id of its schema.
const FRAMING_BYTES: usize = 5;

/// The headers of a record, in their order.
pub trait Headers: Sync {
    /// Name and value of the header at this place; none behind the last. A header without a value has an empty one.
    fn at(&self, index: usize) -> Option<(&str, &[u8])>;
}

/// How many, and nothing of what they say.
impl std::fmt::Debug for dyn Headers + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} headers", (0..).map_while(|index| self.at(index)).count())
    }
}

/// A record as it was read: from a topic, or a line of a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawRecord<'a> {
    /// Where it was read.
    pub position: Position,
    /// The record's timestamp (append time, or the producer's); none for files.
    pub recorded_at: Option<Timestamp>,
    /// Kafka key.
    pub key: Option<&'a [u8]>,
    /// Payload; none for a tombstone.
    pub value: Option<&'a [u8]>,
    /// How often it was sent again from the dead letters (header [`RETRIES`]); 0 for files.
    pub retries: u8,
    /// Its headers; none for files.
    pub headers: Option<&'a dyn Headers>,
    /// What is known of the schema it was written with, for inputs of Avro ([`Input::schema_id`]).
    pub schema: Option<&'a avro::Lookup>,
    /// By which road it came.
    pub via: Via,
}

/// By which road a record came to the partition that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// Read where its customer should be.
    #[default]
    Direct,
    /// Read, as this source, from a topic whose records all go on through the repartition topic.
    Outbound(u16),
    /// Read from the repartition topic, as this source and at this offset; its position is that of its origin.
    Inbound(u16, i64),
}

impl<'a> RawRecord<'a> {
    /// The source and offset it was read at, which are not those of its position if it came through the repartition topic.
    #[must_use]
    pub const fn read_at(&self) -> (u16, i64) {
        match self.via {
            Via::Direct => (self.position.source, self.position.offset),
            Via::Outbound(source) => (source, self.position.offset),
            Via::Inbound(source, offset) => (source, offset),
        }
    }

    /// The first header of a name.
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        let headers = self.headers?;
        (0..).map_while(|index| headers.at(index)).find(|(known, _)| *known == name).map(|(_, value)| value)
    }
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
    /// The customer belongs on another partition than the record is on, and it may not go there.
    ForeignPartition,
    /// A version of the format (CloudEvents, Segment) that is not read.
    Version,
    /// A media type that is not read: data of an event that is not JSON, a batch of events.
    ContentType,
    /// Framed by a schema registry's serializer, and not JSON behind that: Protobuf or Avro in an input of JSON.
    Framing,
    /// Not framed by a schema registry's serializer, in an input of Avro.
    Magic,
    /// The registry has no schema of the record's id.
    UnknownSchema,
    /// The schema cannot be read as ours, or is refused; or a symbol of it has no meaning here.
    Schema,
    /// The bytes are not what the schema says.
    Decode,
    /// Written with a schema of Protobuf, which is not read.
    Protobuf,
}

impl Code {
    /// All codes, in their order.
    pub const ALL: [Self; 23] = [
        Self::Empty,
        Self::NoKey,
        Self::Malformed,
        Self::Depth,
        Self::Number,
        Self::Type,
        Self::Missing,
        Self::Range,
        Self::TsRange,
        Self::Id,
        Self::JunkId,
        Self::Attributes,
        Self::TooLarge,
        Self::Unmapped,
        Self::ForeignPartition,
        Self::Version,
        Self::ContentType,
        Self::Framing,
        Self::Magic,
        Self::UnknownSchema,
        Self::Schema,
        Self::Decode,
        Self::Protobuf,
    ];

    /// The name in metrics, headers and summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoKey => "no_key",
            Self::Malformed => "malformed",
            Self::Depth => "depth",
            Self::Number => "number",
            Self::Type => "type",
            Self::Missing => "missing",
            Self::Range => "range",
            Self::TsRange => "ts_range",
            Self::Id => "id",
            Self::JunkId => "junk_id",
            Self::Attributes => "attributes",
            Self::TooLarge => "too_large",
            Self::Unmapped => "unmapped",
            Self::ForeignPartition => "foreign_partition",
            Self::Version => "version",
            Self::ContentType => "content_type",
            Self::Framing => "framing",
            Self::Magic => "magic",
            Self::UnknownSchema => "unknown_schema",
            Self::Schema => "schema",
            Self::Decode => "decode",
            Self::Protobuf => "protobuf",
        }
    }
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
    /// CloudEvents 1.0 whose data is a touchpoint, or which a mapping reads as one object.
    CloudEvents(Option<Mapping>),
    /// Messages of Segment's tracking API.
    Segment(Mapping),
    /// Avro of a schema registry: touchpoints as in `schemas/touchpoint.avsc`, or anything a mapping reads.
    Avro(Option<Mapping>),
}

impl Format {
    fn mapping(&self) -> Option<&Mapping> {
        match self {
            Self::Touchpoint => None,
            Self::CloudEvents(mapping) | Self::Avro(mapping) => mapping.as_ref(),
            Self::Json(mapping) | Self::Csv(mapping) | Self::Segment(mapping) => Some(mapping),
        }
    }
}

/// Which records of an input go through the repartition topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repartition {
    /// All of a topic that has another number of partitions; of the others those on another partition than their customer.
    #[default]
    Auto,
    /// All.
    Always,
    /// None: such topics are refused, such records are rejected.
    Never,
}

/// One `[[input]]`, validated: how its records are read. Built by `config`.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name in messages and metrics.
    pub name: String,
    /// Topics it is read from.
    pub topics: Vec<String>,
    /// How its records are written.
    pub format: Format,
    /// Where and how a file's records say when they arrived: the first that is there and can be read, else event time.
    pub arrival: Vec<(Pointer, TimeFormat)>,
    /// Source of touchpoints that name none.
    pub source: Option<String>,
    /// Channel of touchpoints that name none.
    pub channel: Option<Channel>,
    /// Which id names the item a touchpoint is about: the first it has.
    pub item: Vec<ItemType>,
    /// Customer ids that mean "no customer", lower case.
    pub junk_ids: Vec<String>,
    /// What becomes of records on another partition than their customer.
    pub repartition: Repartition,
}

impl Input {
    /// Whether the customer id comes from the record's key.
    #[must_use]
    pub fn takes_id_from_key(&self) -> bool {
        self.format.mapping().is_some_and(Mapping::takes_id_from_key)
    }

    /// The schema a record was written with, where its decoding needs that ([`RawRecord::schema`]); none when it does not,
    /// or the record does not say.
    #[must_use]
    pub fn schema_id(&self, value: Option<&[u8]>) -> Option<u32> {
        if self.is_avro() { avro::schema_id(value?).ok() } else { None }
    }

    /// Whether its records are Avro.
    #[must_use]
    pub const fn is_avro(&self) -> bool {
        matches!(self.format, Format::Avro(_))
    }

    /// The keys by which records of this customer may be placed on a partition: the id itself, or the record keys that the
    /// mapping makes this id of (those a table leaves to its default are not known).
    #[must_use]
    pub fn placing_keys<'a>(&'a self, customer_id: &'a str) -> Vec<&'a str> {
        match self.format.mapping() {
            Some(mapping) if mapping.takes_id_from_key() => mapping.keys_of(customer_id),
            Some(_) | None => vec![customer_id],
        }
    }
}

impl Default for Input {
    /// Touchpoints as we document them, with nothing assumed.
    fn default() -> Self {
        Self {
            name: "touchpoints".into(),
            topics: Vec::new(),
            format: Format::Touchpoint,
            arrival: Vec::new(),
            source: None,
            channel: None,
            item: vec![ItemType::Order, ItemType::Conversation],
            junk_ids: Vec::new(),
            repartition: Repartition::Auto,
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
pub fn decode<'a>(input: &'a Input, record: &RawRecord<'a>) -> Result<Touchpoint<'a>, Rejection> {
    let value = record.value.filter(|value| !value.is_empty()).ok_or_else(|| reject(Code::Empty, "value"))?;
    if let Format::Avro(mapping) = &input.format {
        return avro::decode(input, mapping.as_ref(), record, value);
    }
    let value = unframed(value)?;
    match &input.format {
        // Read above.
        Format::Avro(_) => Err(reject(Code::Magic, "value")),
        Format::Touchpoint => {
            let mut fields = Fields::new(false);
            json::touchpoint(value, &mut fields)?;
            fields.touchpoint(input)
        }
        Format::CloudEvents(None) => {
            let mut fields = Fields::new(false);
            cloudevents::Event::read(record, value)?.touchpoint(&mut fields)?;
            fields.touchpoint(input)
        }
        Format::Json(mapping) | Format::Csv(mapping) => {
            mapping.apply(&json::tree(value)?, key_text(record.key)?)?.touchpoint(input)
        }
        Format::CloudEvents(Some(mapping)) => {
            let event = cloudevents::Event::read(record, value)?.tree()?;
            mapping.apply(&event, key_text(record.key)?)?.touchpoint(input)
        }
        Format::Segment(mapping) => mapping.apply(&segment::message(value)?, key_text(record.key)?)?.touchpoint(input),
    }
}

/// The payload without what the registry's serializer of JSON Schema puts before it. JSON itself never begins so.
fn unframed(value: &[u8]) -> Result<&[u8], Rejection> {
    if value.first() != Some(&0) {
        return Ok(value);
    }
    let payload = value.get(FRAMING_BYTES..).unwrap_or_default();
    let is_json = matches!(payload.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_json { Ok(payload) } else { Err(reject(Code::Framing, "protobuf or avro in an input of json")) }
}

/// The record's key as text; none when there is none. A key that is no text is refused only by mappings that read it.
fn key_text(key: Option<&[u8]>) -> Result<Option<&str>, Rejection> {
    let key = key.filter(|key| !key.is_empty());
    key.map(std::str::from_utf8).transpose().map_err(|_| reject(Code::Id, "key"))
}

/// When a record of a file arrived: by the input's `arrival`, else by its event time; none when it says neither (the
/// record will then be rejected, or is).
#[must_use]
pub fn arrival(input: &Input, record: &RawRecord<'_>) -> Option<Timestamp> {
    let payload = unframed(record.value?).ok()?;
    if input.arrival.is_empty() {
        match &input.format {
            Format::Touchpoint => return json::occurred_at(payload),
            Format::CloudEvents(None) => return cloudevents::Event::read(record, payload).ok()?.occurred_at(),
            Format::Json(_) | Format::Csv(_) | Format::CloudEvents(Some(_)) | Format::Segment(_) | Format::Avro(_) => {}
        }
    }
    let root = match &input.format {
        Format::Touchpoint | Format::Json(_) | Format::Csv(_) => json::tree(payload).ok()?,
        Format::CloudEvents(_) => cloudevents::Event::read(record, payload).ok()?.tree().ok()?,
        Format::Segment(_) => segment::message(payload).ok()?,
        // Has no files.
        Format::Avro(_) => return None,
    };
    let arrived = input.arrival.iter().find_map(|(pointer, format)| format.read(pointer.find(&root)?));
    arrived.or_else(|| match input.format.mapping() {
        Some(mapping) => mapping.occurred_at(&root),
        None => root.entry("occurred_at").and_then(|node| TimeFormat::EpochMs.read(node)),
    })
}

/// Writes a row of a CSV file as the JSON object that [`decode`] reads: a text per column, named by the header.
///
/// # Errors
/// Never for text; the signature is the serializer's.
pub fn csv_row<'r>(
    header: impl IntoIterator<Item = &'r str>,
    row: impl IntoIterator<Item = &'r str>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    out.clear();
    serde_json::Serializer::new(out).collect_map(header.into_iter().zip(row))
}

#[cfg(test)]
mod tests;
