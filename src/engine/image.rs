//! The packed form of a customer: what memory holds between touchpoints, what an undo puts back, and what the images
//! topic stores. One codec for the three.
//!
//! ```text
//! format (1 byte) | flags (1 byte: 1 = evictable) | latest (signed) | … the fields of `Customer` in order
//! ```
//! Integers are LEB128, signed ones zigzag, hashes 8 bytes little-endian, lists and texts length-prefixed
//! (`model::wire`). Times after the first are differences from `latest`, so that they stay short. Numbers are millionths.

use super::ImageError;
use super::customer::{
    AlertState, Completion, ContactMark, ContextValue, Conversation, Customer, Dated, Detail, Episode, FailureMark,
    Friction, Journey, Mark, Recent, Recovery, Session,
};
use super::week::{QUARTER_MS, Quarter};
use crate::model::wire::{Damaged, Reader, put_bytes, put_hash, put_i64, put_u64};
use crate::model::{Channel, EventHash, Figures, Item, ItemType, Micro, Name, Severity, Timestamp};
use crate::rules::Kind;
use crate::rules::lifecycle::State;
use std::sync::Arc;

/// Version of the format.
const FORMAT: u8 = 3;

/// The first fields, read without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) evictable: bool,
    pub(super) latest: Timestamp,
}

/// Reads the first fields.
pub(super) fn header(image: &[u8]) -> Result<Header, ImageError> {
    let mut reader = Reader::new(image);
    let format = reader.u8()?;
    if format != FORMAT {
        return Err(ImageError::Format(format));
    }
    Ok(Header { evictable: reader.u8()? != 0, latest: Timestamp(reader.i64()?) })
}

impl From<Damaged> for ImageError {
    fn from(_: Damaged) -> Self {
        Self::Damaged("cut short, or a value out of range")
    }
}

/// Appends the image of a customer.
pub(super) fn write(customer: &Customer, out: &mut Vec<u8>) {
    out.push(FORMAT);
    out.push(u8::from(customer.is_evictable()));
    put_i64(out, customer.latest.0);
    let mut writer = Writer { out, base: customer.latest };
    writer.time(customer.first_seen);
    writer.time(customer.now);
    writer.u64(customer.touchpoints);
    customer.panes.write(writer.out);
    writer.list(&customer.recent, |writer, recent| {
        writer.mark(&recent.mark);
        writer.i64(recent.weight.0);
    });
    put_bytes(writer.out, customer.seen.as_flattened());
    writer.dated(customer.stage.as_ref(), |writer, stage| writer.u64(stage.0.into()));
    writer.dated(customer.segment.as_ref(), |writer, text| writer.text(text));
    writer.dated(customer.tier.as_ref(), |writer, text| writer.text(text));
    writer.list(&customer.sessions, Writer::session);
    writer.option(customer.episode.as_ref(), |writer, episode| {
        put_hash(writer.out, episode.key);
        writer.mark(&episode.peak);
        writer.mark(&episode.end);
    });
    writer.list(&customer.conversations, Writer::conversation);
    writer.list(&customer.contacts, Writer::contact);
    writer.list(&customer.failures, Writer::failure);
    writer.list(&customer.recoveries, |writer, recovery| {
        put_hash(writer.out, recovery.order);
        writer.time(recovery.time);
    });
    writer.list(&customer.answers, |writer, (key, time)| {
        put_hash(writer.out, *key);
        writer.time(*time);
    });
    writer.list(&customer.refused_payments, Writer::mark);
    writer.list(&customer.journeys, Writer::journey);
    writer.list(&customer.completions, Writer::completion);
    writer.option(customer.shared.as_ref(), |writer, time| writer.time(*time));
    writer.list(&customer.ratings, |writer, (instrument, time, value)| {
        writer.out.push(*instrument);
        writer.time(*time);
        writer.i64(value.0);
    });
    writer.list(&customer.context, |writer, value| {
        writer.out.push(value.index);
        writer.time(value.last);
        writer.u64(value.count.into());
        writer.text(&value.value);
    });
    writer.list(&customer.alerts, Writer::alert);
    writer.list(&customer.items, Writer::open_item);
    for count in [customer.past, customer.past_bad, customer.purchases.count] {
        writer.u64(count.into());
    }
    if customer.purchases.count > 0 {
        writer.time(customer.purchases.first);
        writer.time(customer.purchases.latest);
    }
    let mut previous = customer.latest.0.div_euclid(QUARTER_MS);
    writer.u64(customer.week.len() as u64);
    for quarter in &customer.week {
        writer.i64(quarter.index - previous);
        writer.u64(quarter.touchpoints.into());
        writer.u64(quarter.inbound.into());
        previous = quarter.index;
    }
    writer.i64(customer.opened.0);
    writer.u64(customer.opened.1.into());
    writer.option(customer.published.as_ref(), Writer::figures);
}

/// Reads an image into `customer`, in place of what was there.
pub(super) fn read(image: &[u8], customer: &mut Customer) -> Result<(), ImageError> {
    let Header { latest, .. } = header(image)?;
    customer.clear();
    let mut reader = Reader::new(image);
    // The header, read above.
    reader.u8()?;
    reader.u8()?;
    reader.i64()?;
    let mut parser = Parser { reader, base: latest };
    customer.latest = latest;
    customer.first_seen = parser.time()?;
    customer.now = parser.time()?;
    customer.touchpoints = parser.reader.u64()?;
    customer.panes.read(&mut parser.reader)?;
    parser.list(&mut customer.recent, |parser| {
        Ok(Recent { mark: parser.mark()?, weight: Micro(parser.reader.i64()?) })
    })?;
    let (seen, []) = parser.reader.bytes()?.as_chunks() else { return Err(Damaged.into()) };
    customer.seen.extend_from_slice(seen);
    customer.stage = parser.dated(Parser::name)?;
    customer.segment = parser.dated(Parser::text)?;
    customer.tier = parser.dated(Parser::text)?;
    parser.list(&mut customer.sessions, Parser::session)?;
    customer.episode = parser
        .option(|parser| Ok(Episode { key: parser.reader.hash()?, peak: parser.mark()?, end: parser.mark()? }))?;
    parser.list(&mut customer.conversations, Parser::conversation)?;
    parser.list(&mut customer.contacts, Parser::contact)?;
    parser.list(&mut customer.failures, Parser::failure)?;
    parser
        .list(&mut customer.recoveries, |parser| Ok(Recovery { order: parser.reader.hash()?, time: parser.time()? }))?;
    parser.list(&mut customer.answers, |parser| Ok((parser.reader.hash()?, parser.time()?)))?;
    parser.list(&mut customer.refused_payments, Parser::mark)?;
    parser.list(&mut customer.journeys, Parser::journey)?;
    parser.list(&mut customer.completions, Parser::completion)?;
    customer.shared = parser.option(Parser::time)?;
    parser
        .list(&mut customer.ratings, |parser| Ok((parser.reader.u8()?, parser.time()?, Micro(parser.reader.i64()?))))?;
    parser.list(&mut customer.context, |parser| {
        let (index, last) = (parser.reader.u8()?, parser.time()?);
        Ok(ContextValue { index, last, count: parser.u32()?, value: parser.text()? })
    })?;
    parser.list(&mut customer.alerts, Parser::alert)?;
    parser.list(&mut customer.items, Parser::open_item)?;
    (customer.past, customer.past_bad, customer.purchases.count) = (parser.u32()?, parser.u32()?, parser.u32()?);
    if customer.purchases.count > 0 {
        (customer.purchases.first, customer.purchases.latest) = (parser.time()?, parser.time()?);
    }
    let mut previous = customer.latest.0.div_euclid(QUARTER_MS);
    for _ in 0..parser.reader.count()? {
        let index = previous
            .checked_add(parser.reader.i64()?)
            .filter(|index| (0..=Timestamp::LATEST.0 / QUARTER_MS).contains(index));
        previous = index.ok_or(Damaged)?;
        customer.week.push(Quarter { index: previous, touchpoints: parser.u32()?, inbound: parser.u32()? });
    }
    customer.opened = (parser.reader.i64()?, parser.u32()?);
    customer.published = parser.option(Parser::figures)?;
    if parser.reader.is_empty() { Ok(()) } else { Err(ImageError::Damaged("longer than its content")) }
}

pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    base: Timestamp,
}

impl Writer<'_> {
    pub(super) fn u64(&mut self, value: u64) {
        put_u64(self.out, value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        put_i64(self.out, value);
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        put_i64(self.out, self.base.0.wrapping_sub(time.0));
    }

    fn text(&mut self, text: &str) {
        put_bytes(self.out, text.as_bytes());
    }

    pub(super) fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.u64(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    pub(super) fn option<T>(&mut self, value: Option<&T>, write: impl Fn(&mut Self, &T)) {
        self.out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn dated<T>(&mut self, value: Option<&(Timestamp, T)>, write: impl Fn(&mut Self, &T)) {
        self.option(value, |writer, (time, value)| {
            writer.time(*time);
            write(writer, value);
        });
    }

    fn mark(&mut self, mark: &Mark) {
        self.time(mark.time);
        put_hash(self.out, mark.event.0);
        self.out.extend_from_slice(&mark.kind.0.to_le_bytes());
        self.out.push(mark.channel as u8);
        self.i64(mark.value.0);
    }

    fn item(&mut self, item: Option<&Item>) {
        self.option(item, |writer, item| {
            writer.out.push(item.item_type as u8);
            writer.text(&item.id);
        });
    }

    fn conversation(&mut self, conversation: &Conversation) {
        put_hash(self.out, conversation.key);
        self.list(&conversation.turns, Self::mark);
    }

    fn session(&mut self, session: &Session) {
        put_hash(self.out, session.key);
        self.time(session.first);
        self.time(session.last);
        self.list(&session.frictions, |writer, friction| {
            writer.mark(&friction.latest);
            writer.u64(friction.count.into());
        });
    }

    fn contact(&mut self, contact: &ContactMark) {
        self.mark(&contact.mark);
        put_hash(self.out, contact.about);
        put_hash(self.out, contact.conversation);
        let ContactMark { contact, transferred, resolved, .. } = *contact;
        self.out.push(u8::from(contact) | u8::from(transferred) << 1 | u8::from(resolved) << 2);
    }

    fn completion(&mut self, completion: &Completion) {
        self.u64(completion.name.0.into());
        put_hash(self.out, completion.order);
        put_hash(self.out, completion.session);
        self.time(completion.time);
    }

    fn failure(&mut self, failure: &FailureMark) {
        self.mark(&failure.mark);
        self.item(failure.item.as_ref());
        self.option(failure.recovered.as_ref(), |writer, time| writer.time(*time));
        self.out.push(u8::from(failure.confirmed));
    }

    fn journey(&mut self, journey: &Journey) {
        self.u64(journey.name.0.into());
        self.mark(&journey.started);
        self.option(journey.restarted.as_ref(), Self::mark);
        self.time(journey.deadline);
        put_hash(self.out, journey.order);
        put_hash(self.out, journey.session);
        self.item(journey.item.as_ref());
        self.out.push(u8::from(journey.stalled));
    }

    fn alert(&mut self, alert: &AlertState) {
        self.out.push(alert.kind as u8);
        self.item(alert.item.as_ref());
        match alert.state {
            State::Pending { since } => {
                self.out.push(0);
                self.time(since);
            }
            State::Firing { since, closing, severity } => {
                self.out.push(1);
                self.time(since);
                self.option(closing.as_ref(), |writer, time| writer.time(*time));
                self.out.push(severity as u8);
            }
            State::Cooling { until, severity } => {
                self.out.push(2);
                self.time(until);
                self.out.push(severity as u8);
            }
        }
        match &alert.detail {
            Detail::Only => self.out.push(0),
            Detail::Outcome(outcome) => {
                self.out.push(1);
                self.u64(outcome.0.into());
            }
            Detail::Own(rule) => {
                self.out.push(2);
                self.text(rule);
            }
        }
        put_hash(self.out, alert.alert_id);
        self.u64(alert.revision.into());
        self.mark(&alert.origin);
        self.out.push(alert.figure);
        self.option(alert.before.as_ref(), |writer, before| writer.i64(before.0));
        self.i64(alert.threshold.0);
    }

    fn figures(&mut self, figures: &Figures) {
        self.i64(figures.index);
        self.i64(figures.perception.0);
        self.i64(figures.expectation.0);
        self.i64(figures.felt.0);
        self.i64(figures.pressure.0);
        self.option(figures.stage.as_ref(), |writer, stage| writer.u64(stage.0.into()));
    }
}

pub(super) struct Parser<'a> {
    pub(super) reader: Reader<'a>,
    base: Timestamp,
}

impl Parser<'_> {
    pub(super) fn time(&mut self) -> Result<Timestamp, Damaged> {
        Ok(Timestamp(self.base.0.wrapping_sub(self.reader.i64()?)))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.reader.u64()?).map_err(|_| Damaged)
    }

    pub(super) fn name(&mut self) -> Result<Name, Damaged> {
        Ok(Name(self.u32()?))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Damaged> {
        Ok(self.reader.u8()? != 0)
    }

    fn text(&mut self) -> Result<Arc<str>, Damaged> {
        Ok(Arc::from(self.reader.str()?))
    }

    pub(super) fn list<T>(
        &mut self,
        items: &mut Vec<T>,
        read: impl Fn(&mut Self) -> Result<T, Damaged>,
    ) -> Result<(), Damaged> {
        let count = self.reader.count()?;
        items.reserve(count.min(64));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(())
    }

    pub(super) fn option<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<Option<T>, Damaged> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub(super) fn dated<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<Dated<T>, Damaged> {
        self.option(|parser| Ok((parser.time()?, read(parser)?)))
    }

    fn mark(&mut self) -> Result<Mark, Damaged> {
        let (time, event) = (self.time()?, EventHash(self.reader.hash()?));
        let kind = Name(u32::from_le_bytes(self.reader.four()?));
        let channel = Channel::from_code(self.reader.u8()?).ok_or(Damaged)?;
        Ok(Mark { time, event, kind, channel, value: Micro(self.reader.i64()?) })
    }

    fn item(&mut self) -> Result<Option<Item>, Damaged> {
        self.option(|parser| {
            let item_type = ItemType::from_code(parser.reader.u8()?).ok_or(Damaged)?;
            Ok(Item { item_type, id: parser.text()? })
        })
    }

    fn severity(&mut self) -> Result<Severity, Damaged> {
        Severity::from_code(self.reader.u8()?).ok_or(Damaged)
    }

    fn conversation(&mut self) -> Result<Conversation, Damaged> {
        let (key, mut turns) = (self.reader.hash()?, Vec::new());
        self.list(&mut turns, Self::mark)?;
        Ok(Conversation { key, turns })
    }

    fn session(&mut self) -> Result<Session, Damaged> {
        let (key, first, last) = (self.reader.hash()?, self.time()?, self.time()?);
        let mut frictions = Vec::new();
        self.list(&mut frictions, |parser| Ok(Friction { latest: parser.mark()?, count: parser.u32()? }))?;
        Ok(Session { key, first, last, frictions })
    }

    fn contact(&mut self) -> Result<ContactMark, Damaged> {
        let (mark, about, conversation) = (self.mark()?, self.reader.hash()?, self.reader.hash()?);
        let flags = self.reader.u8()?;
        let [contact, transferred, resolved] = [1, 2, 4].map(|flag| flags & flag != 0);
        Ok(ContactMark { mark, about, conversation, contact, transferred, resolved })
    }

    fn completion(&mut self) -> Result<Completion, Damaged> {
        let (name, order, session) = (self.name()?, self.reader.hash()?, self.reader.hash()?);
        Ok(Completion { name, order, session, time: self.time()? })
    }

    fn failure(&mut self) -> Result<FailureMark, Damaged> {
        let (mark, item) = (self.mark()?, self.item()?);
        Ok(FailureMark { mark, item, recovered: self.option(Self::time)?, confirmed: self.flag()? })
    }

    fn journey(&mut self) -> Result<Journey, Damaged> {
        let (name, started) = (self.name()?, self.mark()?);
        let (restarted, deadline) = (self.option(Self::mark)?, self.time()?);
        let (order, session) = (self.reader.hash()?, self.reader.hash()?);
        let (item, stalled) = (self.item()?, self.flag()?);
        Ok(Journey { name, started, restarted, deadline, order, session, item, stalled })
    }

    fn alert(&mut self) -> Result<AlertState, Damaged> {
        let (kind, item) = (Kind::from_code(self.reader.u8()?).ok_or(Damaged)?, self.item()?);
        let state = match self.reader.u8()? {
            0 => State::Pending { since: self.time()? },
            1 => {
                let (since, closing) = (self.time()?, self.option(Self::time)?);
                State::Firing { since, closing, severity: self.severity()? }
            }
            2 => State::Cooling { until: self.time()?, severity: self.severity()? },
            _ => return Err(Damaged),
        };
        let detail = match self.reader.u8()? {
            0 => Detail::Only,
            1 => Detail::Outcome(self.name()?),
            2 => Detail::Own(self.text()?),
            _ => return Err(Damaged),
        };
        let (alert_id, revision) = (self.reader.hash()?, self.u32()?);
        let (origin, figure) = (self.mark()?, self.reader.u8()?);
        let before = self.option(|parser| parser.reader.i64().map(Micro))?;
        let threshold = Micro(self.reader.i64()?);
        Ok(AlertState { kind, item, detail, state, alert_id, revision, origin, figure, before, threshold })
    }

    fn figures(&mut self) -> Result<Figures, Damaged> {
        let (index, perception) = (self.reader.i64()?, Micro(self.reader.i64()?));
        let (expectation, felt) = (Micro(self.reader.i64()?), Micro(self.reader.i64()?));
        let pressure = Micro(self.reader.i64()?);
        let (disconfirmation, stage) = (perception - expectation, self.option(Self::name)?);
        Ok(Figures { index, perception, expectation, disconfirmation, felt, pressure, stage })
    }
}
