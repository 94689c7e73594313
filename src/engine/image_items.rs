//! Open items in the packed form of a customer; see [`super::image`].

use super::image::{Parser, Writer};
use super::items::{Action, Measured, OpenItem, Opener, Promise, What};
use crate::model::wire::{Damaged, put_bytes, put_hash};
use crate::model::{Channel, EventHash, Item, ItemType, Micro, Name};
use std::sync::Arc;

impl Writer<'_> {
    pub(super) fn open_item(&mut self, item: &OpenItem) {
        self.out.push(item.item.item_type as u8);
        put_bytes(self.out, item.item.id.as_bytes());
        self.time(item.opened);
        self.opener(item.opener);
        self.time(item.last);
        self.u64(item.touchpoints.into());
        self.u64(item.inbound.into());
        for time in [&item.last_in, &item.last_out, &item.closed] {
            self.option(time.as_ref(), |writer, time| writer.time(*time));
        }
        self.out.push(u8::from(item.failed));
        self.dated(item.stage.as_ref(), |writer, stage| writer.hashed(*stage));
        self.i64(item.handled_ms);
        self.list(&item.measures, |writer, measured| {
            writer.out.push(measured.index);
            writer.time(measured.time);
            writer.i64(measured.last.0);
            writer.i64(measured.sum.0);
        });
        self.list(&item.segments, |writer, (index, time, value)| {
            writer.out.push(*index);
            writer.time(*time);
            writer.hashed(*value);
        });
        let settled = if item.actions.is_empty() { &item.promises } else { &item.settled };
        self.list(settled, Writer::promise);
        self.list(&item.actions, Writer::action);
    }

    fn hashed(&mut self, name: Name) {
        self.out.extend_from_slice(&name.0.to_le_bytes());
    }

    fn opener(&mut self, opener: Opener) {
        put_hash(self.out, opener.event.0);
        self.hashed(opener.kind);
        self.out.push(opener.channel as u8);
    }

    fn promise(&mut self, promise: &Promise) {
        self.hashed(promise.name);
        self.time(promise.opened_at);
        self.opener(promise.opener);
        // 1 = has a due moment, 2 = closed, 4 = broken.
        let flags = u8::from(promise.due.is_some())
            | u8::from(promise.closed_at.is_some()) << 1
            | u8::from(promise.broken) << 2;
        self.out.push(flags);
        for time in [promise.due, promise.closed_at].into_iter().flatten() {
            self.time(time);
        }
    }

    fn action(&mut self, action: &Action) {
        self.time(action.time);
        self.hashed(action.promise);
        self.opener(action.by);
        match action.what {
            What::Open(due) => {
                self.out.push(u8::from(due.is_some()));
                due.into_iter().for_each(|due| self.time(due));
            }
            What::Keep { scored } => self.out.push(2 + u8::from(scored)),
            What::Break => self.out.push(4),
        }
    }
}

impl Parser<'_> {
    pub(super) fn open_item(&mut self) -> Result<OpenItem, Damaged> {
        let item_type = ItemType::from_code(self.reader.u8()?).ok_or(Damaged)?;
        let id: Arc<str> = Arc::from(self.reader.str()?);
        let (opened, opener, last) = (self.time()?, self.opener()?, self.time()?);
        let (touchpoints, inbound) = (self.u32()?, self.u32()?);
        let (last_in, last_out) = (self.option(Self::time)?, self.option(Self::time)?);
        let (closed, failed) = (self.option(Self::time)?, self.flag()?);
        let (stage, handled_ms) = (self.dated(Self::hashed)?, self.reader.i64()?);
        let (mut measures, mut segments) = (Vec::new(), Vec::new());
        self.list(&mut measures, |parser| {
            let (index, time) = (parser.reader.u8()?, parser.time()?);
            Ok(Measured { index, time, last: Micro(parser.reader.i64()?), sum: Micro(parser.reader.i64()?) })
        })?;
        self.list(&mut segments, |parser| Ok((parser.reader.u8()?, parser.time()?, parser.hashed()?)))?;
        let (mut promises, mut actions) = (Vec::new(), Vec::new());
        self.list(&mut promises, Self::promise)?;
        self.list(&mut actions, Self::action)?;
        let settled = if actions.is_empty() { Vec::new() } else { promises.clone() };
        let mut item = OpenItem {
            item: Item { item_type, id },
            opened,
            opener,
            last,
            touchpoints,
            inbound,
            last_in,
            last_out,
            stage,
            handled_ms,
            measures,
            segments,
            promises,
            settled,
            actions,
            closed,
            failed,
        };
        item.evaluate(&mut Vec::new());
        Ok(item)
    }

    fn hashed(&mut self) -> Result<Name, Damaged> {
        Ok(Name(u32::from_le_bytes(self.reader.four()?)))
    }

    fn opener(&mut self) -> Result<Opener, Damaged> {
        let (event, kind) = (EventHash(self.reader.hash()?), self.hashed()?);
        Ok(Opener { event, kind, channel: Channel::from_code(self.reader.u8()?).ok_or(Damaged)? })
    }

    fn promise(&mut self) -> Result<Promise, Damaged> {
        let (name, opened_at, opener) = (self.hashed()?, self.time()?, self.opener()?);
        let flags = self.reader.u8()?;
        let due = (flags & 1 != 0).then(|| self.time()).transpose()?;
        let closed_at = (flags & 2 != 0).then(|| self.time()).transpose()?;
        Ok(Promise { name, opened_at, opener, due, closed_at, broken: flags & 4 != 0 })
    }

    fn action(&mut self) -> Result<Action, Damaged> {
        let (time, promise, by) = (self.time()?, self.hashed()?, self.opener()?);
        let what = match self.reader.u8()? {
            0 => What::Open(None),
            1 => What::Open(Some(self.time()?)),
            kept @ 2..=3 => What::Keep { scored: kept == 3 },
            4 => What::Break,
            _ => return Err(Damaged),
        };
        Ok(Action { time, promise, by, what })
    }
}
