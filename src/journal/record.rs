//! Journal records: bytes as the module above describes them.

use super::{Counters, FORMAT, FORMAT_READ_FROM, FormatError, Limiter, Meta};
use crate::engine::{Input, Why};
use crate::model::wire::{Damaged, Reader, put_bytes, put_hash, put_i64, put_u64};
use crate::model::{
    Actor, Channel, Contact, EventHash, Instrument, ItemType, Micro, Name, Outcome, Position, Rating, Scored, Signal,
    SignalSource, Timestamp,
};

const TOUCHPOINT: u8 = 0;
const TICK: u8 = 1;
const REMOVED: u8 = 2;
const RECOMPUTED: u8 = 3;

const RATING: u64 = 1 << 2;
const OUTCOME: u64 = 1 << 3;
const DUE_AT: u64 = 1 << 4;
const WAIT: u64 = 1 << 5;
const DURATION: u64 = 1 << 6;
const SESSION: u64 = 1 << 7;
const CONVERSATION: u64 = 1 << 8;
const ORDER: u64 = 1 << 9;
const TOPIC: u64 = 1 << 10;
const SEGMENT: u64 = 1 << 11;
const TIER: u64 = 1 << 12;
const CONTEXT: u64 = 1 << 13;
const ITEM: u64 = 1 << 14;
const MEASURES: u64 = 1 << 15;
const SEGMENTS: u64 = 1 << 16;
const DUES: u64 = 1 << 17;
const ORIGIN: u64 = 1 << 18;

/// How far a transaction read one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRange {
    /// Topic, as configured when it was written.
    pub name: String,
    /// Next offset before the transaction.
    pub from: Option<i64>,
    /// Next offset after it.
    pub to: Option<i64>,
}

/// The header of a journal record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Which history.
    pub epoch: u64,
    /// Which transaction.
    pub seq: u64,
    /// Which record of it, from 0.
    pub part: u64,
    /// Its last record.
    pub last: bool,
    /// Partition.
    pub partition: i32,
    /// Configuration of the writer.
    pub config_hash: u64,
    /// Engine of the writer.
    pub engine_version: u64,
    /// After the transaction.
    pub watermark: Option<Timestamp>,
    /// After the transaction.
    pub clock: Option<Timestamp>,
    /// After the transaction.
    pub counters: Counters,
    /// After the transaction.
    pub limiter: Limiter,
    /// What it read, in the writer's order of sources.
    pub sources: Vec<SourceRange>,
}

impl Header {
    /// Appends the header's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[FORMAT, u8::from(self.last)]);
        put_hash(out, self.epoch);
        put_u64(out, self.seq);
        put_u64(out, self.part);
        put_i64(out, i64::from(self.partition));
        put_hash(out, self.config_hash);
        put_u64(out, self.engine_version);
        write_option(out, self.watermark.map(|time| time.0));
        write_option(out, self.clock.map(|time| time.0));
        let counters = self.counters.values();
        put_u64(out, counters.len() as u64);
        counters.iter().for_each(|counter| put_u64(out, *counter));
        put_u64(out, self.limiter.consecutive);
        put_u64(out, self.limiter.window_records);
        put_u64(out, self.limiter.window_rejected);
        put_u64(out, self.sources.len() as u64);
        for source in &self.sources {
            put_bytes(out, source.name.as_bytes());
            write_option(out, source.from);
            write_option(out, source.to);
        }
    }

    /// Reads a header; `reader` then stands at the first entry.
    ///
    /// # Errors
    /// When the format is not between [`FORMAT_READ_FROM`] and [`FORMAT`], or the bytes are damaged.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let format = reader.u8()?;
        if !(FORMAT_READ_FROM..=FORMAT).contains(&format) {
            return Err(FormatError::Format(format));
        }
        let last = reader.u8()? & 1 == 1;
        let (epoch, seq, part) = (reader.hash()?, reader.u64()?, reader.u64()?);
        let partition = i32::try_from(reader.i64()?).map_err(|_| Damaged)?;
        let (config_hash, engine_version) = (reader.hash()?, reader.u64()?);
        let watermark = read_option(reader)?.map(Timestamp);
        let clock = read_option(reader)?.map(Timestamp);
        let counters = counters(reader)?;
        let limiter =
            Limiter { consecutive: reader.u64()?, window_records: reader.u64()?, window_rejected: reader.u64()? };
        let mut sources = Vec::new();
        for _ in 0..reader.count()? {
            let name = reader.str()?.to_owned();
            sources.push(SourceRange { name, from: read_option(reader)?, to: read_option(reader)? });
        }
        Ok(Self {
            epoch,
            seq,
            part,
            last,
            partition,
            config_hash,
            engine_version,
            watermark,
            clock,
            counters,
            limiter,
            sources,
        })
    }

    /// What the partition knew after this transaction, with positions in the order of `sources`; sources the header
    /// does not name have none.
    #[must_use]
    pub fn meta(&self, sources: &[String]) -> Meta {
        let position = |name: &String| self.sources.iter().find(|range| range.name == *name).and_then(|range| range.to);
        Meta {
            epoch: self.epoch,
            seq: self.seq,
            positions: sources.iter().map(position).collect(),
            watermark: self.watermark,
            clock: self.clock,
            counters: self.counters,
            limiter: self.limiter,
        }
    }
}

/// Counters a newer writer added are skipped, ones an older writer did not know are zero.
fn counters(reader: &mut Reader<'_>) -> Result<Counters, Damaged> {
    let mut values = Counters::default().values();
    for index in 0..reader.count()? {
        let value = reader.u64()?;
        if let Some(known) = values.get_mut(index) {
            *known = value;
        }
    }
    Ok(Counters::from_values(values))
}

pub(super) fn write_option(out: &mut Vec<u8>, value: Option<i64>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_i64(out, value);
    }
}

pub(super) fn read_option(reader: &mut Reader<'_>) -> Result<Option<i64>, Damaged> {
    match reader.u8()? {
        0 => Ok(None),
        1 => reader.i64().map(Some),
        _ => Err(Damaged),
    }
}

/// Appends one entry of the journal of a partition.
pub(super) fn put_entry(out: &mut Vec<u8>, input: &Input<'_>, partition: i32) {
    match input {
        Input::Touchpoint(scored) => put_touchpoint(out, scored, partition),
        Input::Tick(time) => {
            out.push(TICK);
            put_i64(out, time.0);
        }
        Input::Removed(customer_id, why) => {
            out.extend_from_slice(&[REMOVED, *why as u8]);
            put_bytes(out, customer_id.as_bytes());
        }
        Input::Recomputed(customer_id) => {
            out.push(RECOMPUTED);
            put_bytes(out, customer_id.as_bytes());
        }
    }
}

fn put_touchpoint(out: &mut Vec<u8>, scored: &Scored<'_>, partition: i32) {
    let is_elsewhere = scored.position.partition != partition;
    out.push(TOUCHPOINT);
    put_u64(out, flags(scored) | if is_elsewhere { ORIGIN } else { 0 });
    put_bytes(out, scored.customer_id.as_bytes());
    put_hash(out, scored.event.0);
    put_u64(out, u64::from(scored.position.source));
    put_i64(out, scored.position.offset);
    put_i64(out, scored.occurred_at.0);
    out.push(scored.channel as u8);
    put_u64(out, u64::from(scored.kind.0));
    out.extend_from_slice(&[scored.actor as u8, scored.contact as u8]);
    for signal in scored.signals.iter().flatten() {
        out.push(signal.source as u8);
        put_i64(out, signal.score.0);
        put_i64(out, signal.weight.0);
    }
    if let Some(rating) = &scored.rating {
        out.push(rating.instrument as u8);
        [rating.value, rating.min, rating.max].iter().for_each(|micro| put_i64(out, micro.0));
    }
    if let Some(outcome) = scored.outcome {
        out.push(outcome as u8);
    }
    for value in [scored.due_at.map(|due_at| due_at.0), scored.wait_ms, scored.duration_ms].into_iter().flatten() {
        put_i64(out, value);
    }
    for text in texts(scored).into_iter().flatten() {
        put_bytes(out, text.as_bytes());
    }
    out.extend(scored.item_type.map(|item_type| item_type as u8));
    put_indexed(out, &scored.measures, |out, measure| put_i64(out, measure.0));
    put_indexed(out, &scored.segments, |out, segment| put_u64(out, segment.0.into()));
    put_indexed(out, &scored.dues, |out, due| put_i64(out, due.0));
    put_indexed(out, &scored.context, |out, value| put_bytes(out, value.as_bytes()));
    if is_elsewhere {
        put_i64(out, i64::from(scored.position.partition));
    }
}

/// A list of values by index, unless it is empty.
fn put_indexed<T>(out: &mut Vec<u8>, list: &[(u8, T)], put: impl Fn(&mut Vec<u8>, &T)) {
    if !list.is_empty() {
        put_u64(out, list.len() as u64);
        for (index, value) in list {
            out.push(*index);
            put(out, value);
        }
    }
}

const fn texts<'a>(scored: &Scored<'a>) -> [Option<&'a str>; 6] {
    [scored.session_id, scored.conversation_id, scored.order_id, scored.topic, scored.segment, scored.tier]
}

fn flags(scored: &Scored<'_>) -> u64 {
    let signals = scored.signals.iter().flatten().count() as u64;
    [
        (scored.rating.is_some(), RATING),
        (scored.outcome.is_some(), OUTCOME),
        (scored.due_at.is_some(), DUE_AT),
        (scored.wait_ms.is_some(), WAIT),
        (scored.duration_ms.is_some(), DURATION),
        (scored.session_id.is_some(), SESSION),
        (scored.conversation_id.is_some(), CONVERSATION),
        (scored.order_id.is_some(), ORDER),
        (scored.topic.is_some(), TOPIC),
        (scored.segment.is_some(), SEGMENT),
        (scored.tier.is_some(), TIER),
        (!scored.context.is_empty(), CONTEXT),
        (scored.item_type.is_some(), ITEM),
        (!scored.measures.is_empty(), MEASURES),
        (!scored.segments.is_empty(), SEGMENTS),
        (!scored.dues.is_empty(), DUES),
    ]
    .iter()
    .fold(signals, |flags, (present, bit)| if *present { flags | bit } else { flags })
}

/// The entries of one record, borrowed from its bytes. After an error there is nothing more.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    partition: i32,
}

impl<'a> Entries<'a> {
    /// Header and entries of a record.
    ///
    /// # Errors
    /// When the header cannot be read.
    pub fn of(record: &'a [u8]) -> Result<(Header, Self), FormatError> {
        let mut reader = Reader::new(record);
        let header = Header::decode(&mut reader)?;
        let partition = header.partition;
        Ok((header, Self { reader, partition }))
    }

    /// True when the record holds no further entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Input<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let entry = entry(&mut self.reader, self.partition);
        if entry.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(entry.map_err(FormatError::from))
    }
}

fn entry<'a>(reader: &mut Reader<'a>, partition: i32) -> Result<Input<'a>, Damaged> {
    match reader.u8()? {
        TOUCHPOINT => touchpoint(reader, partition).map(Input::Touchpoint),
        TICK => reader.i64().map(|time| Input::Tick(Timestamp(time))),
        REMOVED => {
            let why = Why::from_code(reader.u8()?).ok_or(Damaged)?;
            Ok(Input::Removed(reader.str()?, why))
        }
        RECOMPUTED => Ok(Input::Recomputed(reader.str()?)),
        _ => Err(Damaged),
    }
}

fn touchpoint<'a>(reader: &mut Reader<'a>, partition: i32) -> Result<Scored<'a>, Damaged> {
    let flags = reader.u64()?;
    let given = |bit: u64| flags & bit != 0;
    let customer_id = reader.str()?;
    let event = EventHash(reader.hash()?);
    let source = u16::try_from(reader.u64()?).map_err(|_| Damaged)?;
    let position = Position { source, partition, offset: reader.i64()? };
    let occurred_at = Timestamp(reader.i64()?);
    let channel = Channel::from_code(reader.u8()?).ok_or(Damaged)?;
    let kind = Name(u32::try_from(reader.u64()?).map_err(|_| Damaged)?);
    let actor = actor(reader.u8()?).ok_or(Damaged)?;
    let contact = contact(reader.u8()?).ok_or(Damaged)?;
    let mut scored = Scored {
        customer_id,
        event,
        position,
        occurred_at,
        channel,
        kind,
        actor,
        contact,
        signals: signals(reader, flags & 3)?,
        rating: given(RATING).then(|| rating(reader)).transpose()?,
        outcome: given(OUTCOME).then(|| outcome(reader)).transpose()?,
        due_at: given(DUE_AT).then(|| reader.i64().map(Timestamp)).transpose()?,
        wait_ms: given(WAIT).then(|| reader.i64()).transpose()?,
        duration_ms: given(DURATION).then(|| reader.i64()).transpose()?,
        session_id: given(SESSION).then(|| reader.str()).transpose()?,
        conversation_id: given(CONVERSATION).then(|| reader.str()).transpose()?,
        order_id: given(ORDER).then(|| reader.str()).transpose()?,
        topic: given(TOPIC).then(|| reader.str()).transpose()?,
        segment: given(SEGMENT).then(|| reader.str()).transpose()?,
        tier: given(TIER).then(|| reader.str()).transpose()?,
        item_type: given(ITEM).then(|| ItemType::from_code(reader.u8()?).ok_or(Damaged)).transpose()?,
        measures: indexed(reader, given(MEASURES), |reader| reader.i64().map(Micro))?,
        segments: indexed(reader, given(SEGMENTS), |reader| {
            u32::try_from(reader.u64()?).map(Name).map_err(|_| Damaged)
        })?,
        dues: indexed(reader, given(DUES), |reader| reader.i64().map(Timestamp))?,
        context: indexed(reader, given(CONTEXT), Reader::str)?,
    };
    if given(ORIGIN) {
        scored.position.partition = i32::try_from(reader.i64()?).map_err(|_| Damaged)?;
    }
    Ok(scored)
}

fn signals(reader: &mut Reader<'_>, count: u64) -> Result<[Option<Signal>; 2], Damaged> {
    let mut signal = |wanted: bool| {
        wanted
            .then(|| {
                let source = SignalSource::from_code(reader.u8()?).ok_or(Damaged)?;
                Ok(Signal { source, score: Micro(reader.i64()?), weight: Micro(reader.i64()?) })
            })
            .transpose()
    };
    if count > 2 { Err(Damaged) } else { Ok([signal(count > 0)?, signal(count > 1)?]) }
}

fn rating(reader: &mut Reader<'_>) -> Result<Rating, Damaged> {
    let instrument = instrument(reader.u8()?).ok_or(Damaged)?;
    Ok(Rating { instrument, value: Micro(reader.i64()?), min: Micro(reader.i64()?), max: Micro(reader.i64()?) })
}

fn outcome(reader: &mut Reader<'_>) -> Result<Outcome, Damaged> {
    Outcome::ALL.get(usize::from(reader.u8()?)).copied().ok_or(Damaged)
}

/// What [`put_indexed`] wrote.
fn indexed<'a, T>(
    reader: &mut Reader<'a>,
    given: bool,
    read: impl Fn(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<Vec<(u8, T)>, Damaged> {
    if !given {
        return Ok(Vec::new());
    }
    (0..reader.count()?).map(|_| Ok((reader.u8()?, read(reader)?))).collect()
}

/// The actor of a stored code.
#[must_use]
pub const fn actor(code: u8) -> Option<Actor> {
    Some(match code {
        0 => Actor::Customer,
        1 => Actor::Agent,
        2 => Actor::System,
        _ => return None,
    })
}

/// Direct or indirect, from a stored code.
#[must_use]
pub const fn contact(code: u8) -> Option<Contact> {
    Some(match code {
        0 => Contact::Direct,
        1 => Contact::Indirect,
        _ => return None,
    })
}

/// The instrument of a stored code.
#[must_use]
pub const fn instrument(code: u8) -> Option<Instrument> {
    Some(match code {
        0 => Instrument::Nps,
        1 => Instrument::Csat,
        2 => Instrument::Ces,
        3 => Instrument::Stars,
        4 => Instrument::Custom,
        _ => return None,
    })
}
