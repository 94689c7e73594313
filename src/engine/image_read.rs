//! Reads what [`super::image`] writes.

use super::ImageError;
use super::customer::{
    AlertState, ContactMark, ContextValue, Conversation, Customer, Detail, Episode, FailureMark, Friction, Mark,
    Purchases, Recent, Recovery, Session,
};
use super::image::{Header, header};
use super::week::{QUARTER_MS, Quarter};
use crate::model::wire::{Damaged, Reader};
use crate::model::{Channel, EventHash, Figures, Item, ItemType, Micro, Name, Severity, Timestamp};
use crate::rules::Kind;
use crate::rules::lifecycle::State;
use std::sync::Arc;

/// Reads an image into `customer`, in place of what was there.
pub(super) fn read(image: &[u8], customer: &mut Customer) -> Result<(), ImageError> {
    let Header { latest, .. } = header(image)?;
    customer.clear();
    let mut reader = Reader::new(image);
    // The header, read above.
    reader.u8()?;
    reader.u8()?;
    reader.i64()?;
    let sections = u32::from_le_bytes(reader.fixed()?);
    let mut parser = Parser { reader, base: latest, sections, bit: 1 };
    customer.latest = latest;
    customer.first_seen = parser.time()?;
    customer.now = parser.time()?;
    customer.touchpoints = parser.reader.sized()?;
    parser.evidence(customer)?;
    parser.matters(customer)?;
    parser.counts(customer)?;
    if parser.reader.is_empty() { Ok(()) } else { Err(ImageError::Damaged("longer than its content")) }
}

pub(super) struct Parser<'a> {
    pub(super) reader: Reader<'a>,
    base: Timestamp,
    sections: u32,
    bit: u32,
}

impl Parser<'_> {
    fn evidence(&mut self, customer: &mut Customer) -> Result<(), Damaged> {
        if self.section() {
            customer.panes.read(&mut self.reader)?;
        }
        self.lists(&mut customer.recent, |parser| {
            let (mark, weight) = (parser.mark()?, Micro(parser.reader.sized_signed()?));
            Ok(Recent { mark, weight, episode: parser.reader.u16()? })
        })?;
        if self.section() {
            let (seen, []) = self.reader.bytes()?.as_chunks() else { return Err(Damaged) };
            customer.seen.extend_from_slice(seen);
        }
        customer.stage = self.options(|parser| Ok((parser.time()?, parser.name()?)))?;
        for text in [&mut customer.segment, &mut customer.tier] {
            *text = self.options(|parser| Ok((parser.time()?, parser.text()?)))?;
        }
        self.lists(&mut customer.sessions, Self::session)?;
        customer.episode = self
            .options(|parser| Ok(Episode { key: parser.reader.u16()?, peak: parser.mark()?, end: parser.mark()? }))?;
        self.lists(&mut customer.conversations, Self::conversation)?;
        self.lists(&mut customer.contacts, Self::contact)
    }

    fn matters(&mut self, customer: &mut Customer) -> Result<(), Damaged> {
        self.lists(&mut customer.failures, Self::failure)?;
        self.lists(&mut customer.recoveries, |parser| {
            Ok(Recovery { order: parser.reader.hash()?, time: parser.time()? })
        })?;
        self.lists(&mut customer.answers, |parser| Ok((parser.reader.hash()?, parser.time()?)))?;
        self.lists(&mut customer.refused_payments, Self::mark)?;
        customer.shared = self.options(Self::time)?;
        self.lists(&mut customer.ratings, |parser| {
            Ok((parser.reader.u8()?, parser.time()?, Micro(parser.reader.sized_signed()?)))
        })?;
        self.lists(&mut customer.context, |parser| {
            let (index, last) = (parser.reader.u8()?, parser.time()?);
            Ok(ContextValue { index, last, count: parser.u32()?, value: parser.text()? })
        })?;
        self.lists(&mut customer.alerts, Self::alert)?;
        self.lists(&mut customer.items, Self::open_item)
    }

    fn counts(&mut self, customer: &mut Customer) -> Result<(), Damaged> {
        if self.section() {
            (customer.past, customer.past_bad) = (self.u32()?, self.u32()?);
        }
        if self.section() {
            customer.purchases = Purchases { count: self.u32()?, first: self.time()?, latest: self.time()? };
        }
        if self.section() {
            let mut previous = customer.latest.0.div_euclid(QUARTER_MS);
            for _ in 0..self.reader.count()? {
                let index = previous
                    .checked_add(self.reader.sized_signed()?)
                    .filter(|index| (0..=Timestamp::LATEST.0 / QUARTER_MS).contains(index));
                previous = index.ok_or(Damaged)?;
                let counted = self.reader.sized()?;
                let touchpoints = u32::try_from(counted >> 1).map_err(|_| Damaged)?;
                let inbound = if counted & 1 == 1 { self.u32()? } else { 0 };
                customer.week.push(Quarter { index: previous, touchpoints, inbound });
            }
        }
        if self.section() {
            customer.opened = (self.reader.sized_signed()?, self.u32()?);
        }
        customer.published = self.options(Self::figures)?;
        if self.section() {
            self.journeys(customer)?;
        }
        Ok(())
    }

    /// Whether the next part that may be missing is there.
    #[inline]
    const fn section(&mut self) -> bool {
        let is_there = self.sections & self.bit != 0;
        self.bit <<= 1;
        is_there
    }

    #[inline]
    fn lists<T>(&mut self, items: &mut Vec<T>, read: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<(), Damaged> {
        if self.section() { self.list(items, read) } else { Ok(()) }
    }

    #[inline]
    fn options<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<Option<T>, Damaged> {
        if self.section() { read(self).map(Some) } else { Ok(None) }
    }

    #[inline]
    pub(super) fn time(&mut self) -> Result<Timestamp, Damaged> {
        Ok(Timestamp(self.base.0.wrapping_sub(self.reader.sized_signed()?)))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.reader.sized()?).map_err(|_| Damaged)
    }

    #[inline]
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

    #[inline]
    pub(super) fn mark(&mut self) -> Result<Mark, Damaged> {
        let (time, (event, kind, channel)) = (self.time()?, self.event()?);
        Ok(Mark { time, event, kind, channel, value: Micro(self.reader.sized_signed()?) })
    }

    /// What [`super::image::Writer::event`] wrote.
    #[inline]
    pub(super) fn event(&mut self) -> Result<(EventHash, Name, Channel), Damaged> {
        let (event, [kind @ .., channel]) = (EventHash(self.reader.hash()?), self.reader.fixed::<5>()?);
        Ok((event, Name(u32::from_le_bytes(kind)), Channel::from_code(channel).ok_or(Damaged)?))
    }

    pub(super) fn item(&mut self) -> Result<Option<Item>, Damaged> {
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

    fn failure(&mut self) -> Result<FailureMark, Damaged> {
        let (mark, item) = (self.mark()?, self.item()?);
        Ok(FailureMark { mark, item, recovered: self.option(Self::time)?, confirmed: self.flag()? })
    }

    fn alert(&mut self) -> Result<AlertState, Damaged> {
        let (kind, item) = (Kind::from_code(self.reader.u8()?).ok_or(Damaged)?, self.item()?);
        let state = match self.reader.u8()? {
            0 => State::Pending { since: self.time()? },
            1 => {
                let (since, closing) = (self.time()?, self.option(Self::time)?);
                State::Firing { since, closing, severity: self.severity()? }
            }
            code @ (2 | 5) => State::Cooling { until: self.time()?, severity: self.severity()?, expired: code == 5 },
            code @ (3 | 4) => State::Ended { expired: code == 4 },
            _ => return Err(Damaged),
        };
        let detail = match self.reader.u8()? {
            0 => Detail::Only,
            1 => Detail::Outcome(self.name()?),
            2 => Detail::Own(self.text()?),
            3 => Detail::Journey(self.hashed()?),
            _ => return Err(Damaged),
        };
        let (alert_id, revision) = (self.reader.hash()?, self.u32()?);
        let (origin, figure) = (self.mark()?, self.reader.u8()?);
        let before = self.option(|parser| parser.reader.sized_signed().map(Micro))?;
        let threshold = Micro(self.reader.sized_signed()?);
        Ok(AlertState { kind, item, detail, state, alert_id, revision, origin, figure, before, threshold })
    }

    fn figures(&mut self) -> Result<Figures, Damaged> {
        let (index, perception) = (self.reader.sized_signed()?, Micro(self.reader.sized_signed()?));
        let (expectation, felt) = (Micro(self.reader.sized_signed()?), Micro(self.reader.sized_signed()?));
        let pressure = Micro(self.reader.sized_signed()?);
        let (disconfirmation, stage) = (perception - expectation, self.option(Self::name)?);
        Ok(Figures { index, perception, expectation, disconfirmation, felt, pressure, stage })
    }
}
