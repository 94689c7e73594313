//! The packed form of a customer: what memory holds between touchpoints, what an undo puts back, and what the images
//! topic stores. One codec for the three.
//!
//! ```text
//! format (1 byte) | flags (1 byte: 1 = evictable) | latest (signed) | sections (4 bytes) | the fields of `Customer` in order
//! ```
//! What may be empty is a section: it is there when its bit in `sections` is set, in the order of the bits.
//! Integers have their size in front, signed ones zigzag (`latest` and the lengths of lists and texts are LEB128), hashes
//! 8 bytes little-endian, lists and texts length-prefixed (`model::wire`). Times after the first are differences from
//! `latest`, so that they stay short. Numbers are millionths.

use super::ImageError;
use super::customer::{AlertState, ContactMark, Conversation, Customer, Detail, FailureMark, Mark, Session};
use super::week::QUARTER_MS;
use crate::model::wire::{Damaged, Reader, put_bytes, put_hash, put_i64, put_sized, put_sized_signed, put_u64};
use crate::model::{Channel, EventHash, Figures, Item, Name, Timestamp};
use crate::rules::lifecycle::State;

pub(super) use super::image_read::read;

/// Version of the format.
const FORMAT: u8 = 7;

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
    let sections_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut writer = Writer { out, base: customer.latest, sections: 0, bit: 1 };
    writer.time(customer.first_seen);
    writer.time(customer.now);
    writer.u64(customer.touchpoints);
    writer.evidence(customer);
    writer.matters(customer);
    writer.counts(customer);
    let sections = writer.sections;
    if let Some(place) = out.get_mut(sections_at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = sections.to_le_bytes();
    }
}

pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    base: Timestamp,
    /// Bits of the sections that are there, and the next section's.
    sections: u32,
    bit: u32,
}

impl Writer<'_> {
    /// What touchpoints were like.
    fn evidence(&mut self, customer: &Customer) {
        self.section(customer.panes.is_some(), |writer| customer.panes.write(writer.out));
        self.lists(&customer.recent, |writer, recent| {
            writer.mark(&recent.mark);
            writer.i64(recent.weight.0);
            writer.out.extend_from_slice(&recent.episode.to_le_bytes());
        });
        self.section(!customer.seen.is_empty(), |writer| put_bytes(writer.out, customer.seen.as_flattened()));
        self.options(customer.stage.as_ref(), |writer, (time, stage)| {
            writer.time(*time);
            writer.u64(stage.0.into());
        });
        for text in [&customer.segment, &customer.tier] {
            self.options(text.as_ref(), |writer, (time, text)| {
                writer.time(*time);
                writer.text(text);
            });
        }
        self.lists(&customer.sessions, Self::session);
        self.options(customer.episode.as_ref(), |writer, episode| {
            writer.out.extend_from_slice(&episode.key.to_le_bytes());
            writer.mark(&episode.peak);
            writer.mark(&episode.end);
        });
        self.lists(&customer.conversations, Self::conversation);
        self.lists(&customer.contacts, Self::contact);
    }

    /// What is open, or was and matters still.
    fn matters(&mut self, customer: &Customer) {
        self.lists(&customer.failures, Self::failure);
        self.lists(&customer.recoveries, |writer, recovery| {
            put_hash(writer.out, recovery.order);
            writer.time(recovery.time);
        });
        self.lists(&customer.answers, |writer, (key, time)| {
            put_hash(writer.out, *key);
            writer.time(*time);
        });
        self.lists(&customer.refused_payments, Self::mark);
        self.options(customer.shared.as_ref(), |writer, time| writer.time(*time));
        self.lists(&customer.ratings, |writer, (instrument, time, value)| {
            writer.out.push(*instrument);
            writer.time(*time);
            writer.i64(value.0);
        });
        self.lists(&customer.context, |writer, value| {
            writer.out.push(value.index);
            writer.time(value.last);
            writer.u64(value.count.into());
            writer.text(&value.value);
        });
        self.lists(&customer.alerts, Self::alert);
        self.lists(&customer.items, Self::open_item);
    }

    /// Counts, and what was told.
    fn counts(&mut self, customer: &Customer) {
        self.section(customer.past > 0, |writer| {
            writer.u64(customer.past.into());
            writer.u64(customer.past_bad.into());
        });
        self.section(customer.purchases.count > 0, |writer| {
            writer.u64(customer.purchases.count.into());
            writer.time(customer.purchases.first);
            writer.time(customer.purchases.latest);
        });
        let mut previous = customer.latest.0.div_euclid(QUARTER_MS);
        self.section(!customer.week.is_empty(), |writer| {
            put_u64(writer.out, customer.week.len() as u64);
            for quarter in &customer.week {
                writer.i64(quarter.index - previous);
                // Most quarters have no contact: the lowest bit says whether their number follows.
                writer.u64(u64::from(quarter.touchpoints) << 1 | u64::from(quarter.inbound > 0));
                if quarter.inbound > 0 {
                    writer.u64(quarter.inbound.into());
                }
                previous = quarter.index;
            }
        });
        self.section(customer.opened != (0, 0), |writer| {
            writer.i64(customer.opened.0);
            writer.u64(customer.opened.1.into());
        });
        self.options(customer.published.as_ref(), Self::figures);
        let Customer { journeys, passages, stages, .. } = customer;
        let moved = !(journeys.is_empty() && passages.is_empty() && stages.is_empty());
        self.section(moved, |writer| writer.journeys(customer));
    }

    /// A part that may be missing.
    fn section(&mut self, is_there: bool, write: impl FnOnce(&mut Self)) {
        if is_there {
            self.sections |= self.bit;
            write(self);
        }
        self.bit <<= 1;
    }

    fn lists<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.section(!items.is_empty(), |writer| writer.list(items, write));
    }

    fn options<T>(&mut self, value: Option<&T>, write: impl Fn(&mut Self, &T)) {
        self.section(value.is_some(), |writer| value.into_iter().for_each(|value| write(writer, value)));
    }

    #[inline]
    pub(super) fn u64(&mut self, value: u64) {
        put_sized(self.out, value);
    }

    #[inline]
    pub(super) fn i64(&mut self, value: i64) {
        put_sized_signed(self.out, value);
    }

    #[inline]
    pub(super) fn time(&mut self, time: Timestamp) {
        put_sized_signed(self.out, self.base.0.wrapping_sub(time.0));
    }

    fn text(&mut self, text: &str) {
        put_bytes(self.out, text.as_bytes());
    }

    pub(super) fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        put_u64(self.out, items.len() as u64);
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

    #[inline]
    pub(super) fn mark(&mut self, mark: &Mark) {
        self.time(mark.time);
        self.event(mark.event, mark.kind, mark.channel);
        self.i64(mark.value.0);
    }

    /// What touchpoint it was.
    #[inline]
    pub(super) fn event(&mut self, event: EventHash, kind: Name, channel: Channel) {
        let all = u128::from(event.0) | u128::from(kind.0) << 64 | u128::from(channel as u8) << 96;
        let [known @ .., _, _, _] = all.to_le_bytes();
        self.out.extend_from_slice(&known);
    }

    pub(super) fn item(&mut self, item: Option<&Item>) {
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

    fn failure(&mut self, failure: &FailureMark) {
        self.mark(&failure.mark);
        self.item(failure.item.as_ref());
        self.option(failure.recovered.as_ref(), |writer, time| writer.time(*time));
        self.out.push(u8::from(failure.confirmed));
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
            State::Cooling { until, severity, expired } => {
                self.out.push(if expired { 5 } else { 2 });
                self.time(until);
                self.out.push(severity as u8);
            }
            State::Ended { expired } => self.out.push(3 + u8::from(expired)),
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
            Detail::Journey(journey) => {
                self.out.push(3);
                self.hashed(*journey);
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
