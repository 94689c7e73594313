//! Which customers' state is newer than their image, since which transaction, oldest first; and the tail of the journal
//! that these need. Changes take effect at `commit`, `rollback` takes them back.

use super::Meta;
use crate::engine::{Engine, Slot};
use std::collections::VecDeque;

/// Customers whose image is out of date.
///
/// `queue` holds (first dirty seq, slot) in ascending seq; an entry counts only while `first[slot]` still says the same,
/// so that clearing a slot in the middle costs nothing.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// By slot: seq of the first entry the image lacks; 0 = clean (seqs start at 1).
    first: Vec<u64>,
    queue: VecDeque<(u64, Slot)>,
    count: usize,
    undo_first: Vec<(Slot, u64)>,
    undo_popped: Vec<(u64, Slot)>,
    pushed: usize,
}

impl Dirty {
    /// Dirty customers.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether the image of `slot` is out of date.
    pub(super) fn is_dirty(&self, slot: Slot) -> bool {
        self.get(slot) != 0
    }

    /// The engine touched `slot` in `seq`, which is not before any seq so far; perhaps nobody sits there any more.
    pub(super) fn touch(&mut self, engine: &Engine, slot: Slot, seq: u64) {
        if engine.image(slot).is_empty() {
            self.clear(slot);
        } else {
            self.mark(slot, seq);
        }
    }

    fn mark(&mut self, slot: Slot, seq: u64) {
        if self.get(slot) == 0 {
            self.set(slot, seq);
            self.queue.push_back((seq, slot));
            self.pushed += 1;
        }
    }

    /// The image of `slot` is up to date, or needed no more.
    pub(super) fn clear(&mut self, slot: Slot) {
        if self.get(slot) != 0 {
            self.set(slot, 0);
        }
    }

    /// The customer dirty for longest.
    pub(super) fn oldest(&mut self) -> Option<(u64, Slot)> {
        while let Some(&(seq, slot)) = self.queue.front() {
            if self.get(slot) == seq {
                return Some((seq, slot));
            }
            self.queue.pop_front();
            self.undo_popped.push((seq, slot));
        }
        None
    }

    pub(super) fn commit(&mut self) {
        self.undo_first.clear();
        self.undo_popped.clear();
        self.pushed = 0;
    }

    /// Back to the last commit. What was pushed is at the queue's end once what was popped is at its front again.
    pub(super) fn rollback(&mut self) {
        while let Some(entry) = self.undo_popped.pop() {
            self.queue.push_front(entry);
        }
        self.queue.truncate(self.queue.len().saturating_sub(self.pushed));
        self.pushed = 0;
        while let Some((slot, seq)) = self.undo_first.pop() {
            self.write(slot, seq);
        }
    }

    fn get(&self, slot: Slot) -> u64 {
        self.first.get(slot.0 as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, slot: Slot, seq: u64) {
        self.undo_first.push((slot, self.get(slot)));
        self.write(slot, seq);
    }

    fn write(&mut self, slot: Slot, seq: u64) {
        let index = slot.0 as usize;
        if index >= self.first.len() {
            self.first.resize(index + 1, 0);
        }
        if let Some(first) = self.first.get_mut(index) {
            match (*first, seq) {
                (0, 1..) => self.count += 1,
                (1.., 0) => self.count -= 1,
                _ => {}
            }
            *first = seq;
        }
    }
}

/// One committed transaction of the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    seq: u64,
    touchpoints: u64,
    clock_ms: Option<i64>,
    offset: Option<i64>,
    /// What was known before it.
    before: Meta,
}

/// The committed transactions from `from_seq` on: how many touchpoints a restore would replay, and from which offset.
#[derive(Debug, Default)]
pub(super) struct Tail {
    links: VecDeque<Link>,
    touchpoints: u64,
    /// Newest known offset before the first link.
    base: Option<i64>,
}

impl Tail {
    /// Touchpoints a restore would replay.
    pub(super) const fn touchpoints(&self) -> u64 {
        self.touchpoints
    }

    /// Clock of the oldest transaction at or after `seq`.
    pub(super) fn clock_ms(&self, seq: u64) -> Option<i64> {
        let after = self.links.partition_point(|link| link.seq < seq);
        self.links.get(after).and_then(|link| link.clock_ms)
    }

    /// A transaction was committed, and nothing before `from_seq` is needed any more.
    pub(super) fn push(&mut self, before: Meta, after: &Meta, touchpoints: u64, from_seq: u64) {
        let clock_ms = after.clock.map(|clock| clock.0);
        self.links.push_back(Link { seq: after.seq, touchpoints, clock_ms, offset: None, before });
        self.touchpoints += touchpoints;
        self.forget(from_seq);
    }

    /// The first journal record of `seq` lies at `offset`.
    pub(super) fn delivered(&mut self, seq: u64, offset: i64) {
        match self.links.iter_mut().rev().find(|link| link.seq == seq) {
            Some(link) => link.offset = Some(offset),
            None => self.base = self.base.max(Some(offset)),
        }
    }

    /// The newest known offset at or before the record of `seq`.
    pub(super) fn offset(&self, seq: u64) -> Option<i64> {
        let known = self.links.iter().rev().filter(|link| link.seq <= seq).find_map(|link| link.offset);
        known.or(self.base)
    }

    /// What was known before the transaction `seq` of the tail.
    pub(super) fn before(&self, seq: u64) -> Option<&Meta> {
        let at = self.links.partition_point(|link| link.seq < seq);
        self.links.get(at).filter(|link| link.seq == seq).map(|link| &link.before)
    }

    /// Nothing before `offset` in the journal is to be read any more.
    pub(super) fn skip_to(&mut self, offset: Option<i64>) {
        self.links.iter_mut().for_each(|link| link.offset = None);
        self.base = offset;
    }

    fn forget(&mut self, from_seq: u64) {
        while let Some(link) = self.links.front().filter(|link| link.seq < from_seq) {
            self.touchpoints = self.touchpoints.saturating_sub(link.touchpoints);
            self.base = link.offset.or(self.base);
            self.links.pop_front();
        }
    }
}
