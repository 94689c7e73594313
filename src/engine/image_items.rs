//! Open items in the packed form of a customer; see [`super::image`].

use super::image::Writer;
use super::image_read::Parser;
use super::items::{Action, Measured, OpenItem, Opener, Promise, What};
use crate::model::wire::{Damaged, put_bytes};
use crate::model::{Item, ItemType, Micro, Name};
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
        let settled = if item.actions.is_empty() { &item.promises } else { &item.settled };
        let given = [
            item.last_in.is_some(),
            item.last_out.is_some(),
            item.stage.is_some(),
            item.handled_ms != 0,
            !settled.is_empty(),
            !item.actions.is_empty(),
            item.closed.is_some(),
            item.failed,
            !item.measures.is_empty(),
            !item.segments.is_empty(),
        ];
        self.u64(given.iter().rev().fold(0, |flags, given| flags << 1 | u64::from(*given)));
        for time in [item.last_in, item.last_out, item.closed].into_iter().flatten() {
            self.time(time);
        }
        if let Some((time, stage)) = item.stage {
            self.time(time);
            self.hashed(stage);
        }
        if item.handled_ms != 0 {
            self.i64(item.handled_ms);
        }
        self.given(settled, Writer::promise);
        self.given(&item.actions, Writer::action);
        self.given(&item.measures, |writer, measured| {
            writer.out.push(measured.index);
            writer.time(measured.time);
            writer.i64(measured.last.0);
            writer.i64(measured.sum.0);
        });
        self.given(&item.segments, |writer, (index, time, value)| {
            writer.out.push(*index);
            writer.time(*time);
            writer.hashed(*value);
        });
    }

    /// A list, unless it is empty: the flags say so.
    fn given<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        if !items.is_empty() {
            self.list(items, write);
        }
    }

    pub(super) fn hashed(&mut self, name: Name) {
        self.out.extend_from_slice(&name.0.to_le_bytes());
    }

    fn opener(&mut self, opener: Opener) {
        self.event(opener.event, opener.kind, opener.channel);
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
        let flags = self.reader.sized()?;
        let given = |bit: u32| flags >> bit & 1 == 1;
        let [last_in, last_out, closed] = [0, 1, 6].map(|bit| given(bit).then(|| self.time()).transpose());
        let (last_in, last_out, closed, failed) = (last_in?, last_out?, closed?, given(7));
        let stage = given(2).then(|| Ok((self.time()?, self.hashed()?))).transpose()?;
        let handled_ms = if given(3) { self.reader.sized_signed()? } else { 0 };
        let (mut promises, mut actions, mut measures, mut segments) = (vec![], vec![], vec![], vec![]);
        if given(4) {
            self.list(&mut promises, Self::promise)?;
        }
        if given(5) {
            self.list(&mut actions, Self::action)?;
        }
        if given(8) {
            self.list(&mut measures, |parser| {
                let (index, time) = (parser.reader.u8()?, parser.time()?);
                Ok(Measured {
                    index,
                    time,
                    last: Micro(parser.reader.sized_signed()?),
                    sum: Micro(parser.reader.sized_signed()?),
                })
            })?;
        }
        if given(9) {
            self.list(&mut segments, |parser| Ok((parser.reader.u8()?, parser.time()?, parser.hashed()?)))?;
        }
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

    pub(super) fn hashed(&mut self) -> Result<Name, Damaged> {
        Ok(Name(u32::from_le_bytes(self.reader.fixed()?)))
    }

    fn opener(&mut self) -> Result<Opener, Damaged> {
        self.event().map(|(event, kind, channel)| Opener { event, kind, channel })
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
