//! The customers of a partition: packed bytes, an index by id, timers, and what a rollback needs.
//!
//! ```text
//! index: hash(id) → slot        entries: [ entry | entry | free | … ]        entry: id and image in one box, deadline
//! timers: (scheduled, slot)     scheduled ≤ deadline; corrected when it comes to the front
//! ```
//! An entry is rewritten in place. Its first change in a transaction copies the old bytes to the end of one reused
//! arena; a rollback copies them back. Memory, undo and images share one form: an image is the entry's bytes as they
//! stand.

use super::{Gone, Slot, Touched, image};
use crate::model::{Timestamp, hash64};
use hashbrown::HashTable;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Not in the timers.
const UNSCHEDULED: Timestamp = Timestamp(i64::MAX);

#[derive(Debug)]
struct Entry {
    /// The id's bytes, then the image: one allocation and one cache miss for both. Empty = the slot is free; without an
    /// image, the customer is new and nothing was packed yet.
    packed: Vec<u8>,
    /// When its earliest timer is due.
    deadline: Timestamp,
    /// Where it stands in `timers`: at or before `deadline`, or `UNSCHEDULED`.
    scheduled: Timestamp,
    /// Its place in `touched` and `undo` plus 1; 0 = untouched in this transaction.
    touched_at: u32,
    /// Length of the id; ids are checked to be short (`ID_BYTES_MAX`).
    id_bytes: u16,
}

impl Default for Entry {
    fn default() -> Self {
        let (deadline, scheduled) = (UNSCHEDULED, UNSCHEDULED);
        Self { packed: Vec::new(), deadline, scheduled, touched_at: 0, id_bytes: 0 }
    }
}

impl Entry {
    fn new(customer_id: &str, image: &[u8], deadline: Timestamp) -> Self {
        let id_bytes = u16::try_from(customer_id.len()).unwrap_or(u16::MAX);
        let mut packed = Vec::with_capacity(room(customer_id.len() + image.len()));
        packed.extend_from_slice(customer_id.as_bytes());
        packed.extend_from_slice(image);
        Self { packed, deadline, id_bytes, ..Self::default() }
    }

    fn id(&self) -> &[u8] {
        self.packed.get(..self.id_bytes.into()).unwrap_or_default()
    }

    fn image(&self) -> &[u8] {
        self.packed.get(self.id_bytes.into()..).unwrap_or_default()
    }

    /// Rewrites the image, in place unless it does not fit or would leave half of the room unused.
    fn set_image(&mut self, image: &[u8]) {
        let bytes = usize::from(self.id_bytes) + image.len();
        self.packed.truncate(self.id_bytes.into());
        if bytes > self.packed.capacity() || bytes < self.packed.capacity() / 2 {
            let mut packed = Vec::with_capacity(room(bytes));
            packed.append(&mut self.packed);
            self.packed = packed;
        }
        self.packed.extend_from_slice(image);
    }

    fn hash(&self) -> u64 {
        hash64(self.id())
    }
}

/// The bytes an allocator with four size classes per doubling gives for `bytes` anyway.
const fn room(bytes: usize) -> usize {
    let step = bytes.next_power_of_two() / 8;
    if step < 8 { bytes } else { bytes.next_multiple_of(step) }
}

/// An entry as it was before the transaction.
#[derive(Debug)]
struct Undo {
    slot: u32,
    /// Where its bytes begin in the arena; they end where the next one's begin.
    start: usize,
    deadline: Timestamp,
    id_bytes: u16,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    free: Vec<u32>,
    timers: BTreeSet<(Timestamp, u32)>,
    undo: Vec<Undo>,
    arena: Vec<u8>,
    touched: Vec<Touched>,
    gone: Vec<Gone>,
    /// Slots to free at the commit.
    vacated: Vec<u32>,
    /// Evictable customers by last activity; kept only once the partition has been full.
    silence: Option<BTreeSet<(Timestamp, u32)>>,
    customers: usize,
}

impl Store {
    pub(super) const fn customers(&self) -> usize {
        self.customers
    }

    pub(super) fn touched(&self) -> &[Touched] {
        &self.touched
    }

    pub(super) fn gone(&self) -> &[Gone] {
        &self.gone
    }

    pub(super) fn find(&self, customer_id: &str) -> Option<u32> {
        let same =
            |slot: &u32| self.entries.get(*slot as usize).is_some_and(|entry| entry.id() == customer_id.as_bytes());
        self.index.find(hash64(customer_id.as_bytes()), same).copied()
    }

    pub(super) fn id(&self, slot: u32) -> &str {
        // Written from a `str` by `Entry::new`.
        self.entries.get(slot as usize).and_then(|entry| std::str::from_utf8(entry.id()).ok()).unwrap_or_default()
    }

    pub(super) fn packed(&self, slot: u32) -> &[u8] {
        self.entries.get(slot as usize).map_or(&[], Entry::image)
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn commit(&mut self) {
        for touched in self.touched.drain(..) {
            if let Some(entry) = self.entries.get_mut(touched.slot.0 as usize) {
                entry.touched_at = 0;
            }
        }
        self.undo.clear();
        self.arena.clear();
        self.gone.clear();
        self.free.append(&mut self.vacated);
    }

    pub(super) fn rollback(&mut self) {
        self.touched.clear();
        self.gone.clear();
        self.vacated.clear();
        for Undo { slot, start, deadline, id_bytes } in std::mem::take(&mut self.undo).into_iter().rev() {
            self.unlink(slot);
            let Some(entry) = self.entries.get_mut(slot as usize) else { continue };
            let packed = self.arena.get(start..).unwrap_or_default().to_vec();
            self.arena.truncate(start);
            if packed.len() == usize::from(id_bytes) {
                *entry = Entry::default();
                self.free.push(slot);
            } else {
                *entry = Entry { packed, deadline, id_bytes, ..Entry::default() };
                self.link(slot);
            }
        }
        self.settle_front();
    }

    /// Makes room for a new customer and indexes it.
    pub(super) fn insert(&mut self, customer_id: &str) -> u32 {
        let slot = self.allocate();
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            *entry = Entry::new(customer_id, &[], UNSCHEDULED);
        }
        self.gone.retain(|gone| *gone.customer_id != *customer_id);
        self.link(slot);
        slot
    }

    /// Puts a customer in as committed, in place of one of the same id.
    pub(super) fn restore(&mut self, customer_id: &str, image: &[u8], deadline: Timestamp) -> u32 {
        self.discard(customer_id);
        let slot = self.allocate();
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            *entry = Entry::new(customer_id, image, deadline);
        }
        self.link(slot);
        self.settle_front();
        slot
    }

    /// Takes a customer out as committed.
    pub(super) fn discard(&mut self, customer_id: &str) {
        if let Some(slot) = self.find(customer_id) {
            self.unlink(slot);
            if let Some(entry) = self.entries.get_mut(slot as usize) {
                *entry = Entry::default();
            }
            self.free.push(slot);
            self.settle_front();
        }
    }

    /// Replaces a customer's image and deadline.
    pub(super) fn replace(&mut self, slot: u32, image: &[u8], deadline: Timestamp, alert_changed: bool) {
        let place = self.touched.len();
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        if let Some(silence) = &mut self.silence {
            silence_key(entry, slot).map(|key| silence.remove(&key));
        }
        if entry.touched_at == 0 {
            entry.touched_at = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let (start, deadline, id_bytes) = (self.arena.len(), entry.deadline, entry.id_bytes);
            self.arena.extend_from_slice(&entry.packed);
            self.undo.push(Undo { slot, start, deadline, id_bytes });
            self.touched.push(Touched { slot: Slot(slot), alert_changed });
        } else if let Some(touched) = self.touched.get_mut(entry.touched_at as usize - 1) {
            touched.alert_changed |= alert_changed;
        }
        entry.set_image(image);
        if let Some(silence) = &mut self.silence {
            silence.extend(silence_key(entry, slot));
        }
        entry.deadline = deadline;
        // A later deadline waits until the old one comes to the front: most touchpoints leave the timers alone.
        if deadline < entry.scheduled {
            if entry.scheduled != UNSCHEDULED {
                self.timers.remove(&(entry.scheduled, slot));
            }
            entry.scheduled = deadline;
            self.timers.insert((deadline, slot));
        }
    }

    /// Every slot there is, free ones too.
    pub(super) fn slots(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Gives a customer another deadline, as committed.
    pub(super) fn reschedule(&mut self, slot: u32, deadline: Timestamp) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        self.timers.remove(&(entry.scheduled, slot));
        (entry.deadline, entry.scheduled) = (deadline, deadline);
        self.timers.insert((deadline, slot));
    }

    /// Removes a customer; the slot is free after the commit.
    pub(super) fn vacate(&mut self, slot: u32) {
        self.replace(slot, &[], UNSCHEDULED, true);
        self.unlink(slot);
        self.gone.push(Gone { slot: Slot(slot), customer_id: Arc::from(self.id(slot)) });
        self.vacated.push(slot);
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            (entry.packed, entry.id_bytes) = (Vec::new(), 0);
        }
    }

    /// Takes the customers whose deadline is the earliest one out of the timers, if it is ≤ `until`; in order of id.
    pub(super) fn take_due(&mut self, until: Timestamp) -> Option<(Timestamp, Vec<u32>)> {
        self.settle_front();
        let deadline = self.next_deadline().filter(|deadline| *deadline <= until)?;
        let mut due = Vec::new();
        while let Some(&(scheduled, slot)) = self.timers.first().filter(|(scheduled, _)| *scheduled == deadline) {
            self.timers.remove(&(scheduled, slot));
            let Some(entry) = self.entries.get_mut(slot as usize) else { continue };
            entry.scheduled = UNSCHEDULED;
            if entry.deadline == deadline {
                due.push(slot);
            } else {
                entry.scheduled = entry.deadline;
                self.timers.insert((entry.deadline, slot));
            }
        }
        due.sort_by(|a, b| self.id(*a).cmp(self.id(*b)));
        Some((deadline, due))
    }

    /// Corrects the front of the timers until it is exact.
    pub(super) fn settle_front(&mut self) {
        while let Some(&(scheduled, slot)) = self.timers.first() {
            let Some(entry) = self.entries.get_mut(slot as usize) else { return };
            if entry.deadline == scheduled {
                return;
            }
            self.timers.remove(&(scheduled, slot));
            entry.scheduled = entry.deadline;
            self.timers.insert((entry.deadline, slot));
        }
    }

    /// The longest-silent customer whom nobody would miss; ties: the smallest id.
    pub(super) fn longest_silent(&mut self) -> Option<Arc<str>> {
        let entries = &self.entries;
        let silence = self.silence.get_or_insert_with(|| {
            (0_u32..).zip(entries).filter_map(|(slot, entry)| silence_key(entry, slot)).collect()
        });
        let longest = silence.first()?.0;
        let ties = silence.iter().take_while(|(since, _)| *since == longest);
        let ids = ties.filter_map(|(_, slot)| entries.get(*slot as usize)).map(Entry::id);
        ids.min().and_then(|id| std::str::from_utf8(id).ok()).map(Arc::from)
    }

    fn allocate(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Enters a slot into index, timers and silence.
    fn link(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        if !entry.image().is_empty() {
            entry.scheduled = entry.deadline;
            self.timers.insert((entry.deadline, slot));
            if let Some(silence) = &mut self.silence {
                silence.extend(silence_key(entry, slot));
            }
        }
        let hash = entry.hash();
        let entries = &self.entries;
        let rehash = |slot: &u32| entries.get(*slot as usize).map_or(0, Entry::hash);
        self.index.insert_unique(hash, slot, rehash);
        self.customers += 1;
    }

    /// Takes a slot out of index, timers and silence; nothing happens when it is not in them.
    fn unlink(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        if entry.scheduled != UNSCHEDULED {
            self.timers.remove(&(entry.scheduled, slot));
            entry.scheduled = UNSCHEDULED;
        }
        if let Some(silence) = &mut self.silence {
            silence_key(entry, slot).map(|key| silence.remove(&key));
        }
        if let Ok(found) = self.index.find_entry(entry.hash(), |known| *known == slot) {
            found.remove();
            self.customers -= 1;
        }
    }
}

fn silence_key(entry: &Entry, slot: u32) -> Option<(Timestamp, u32)> {
    let header = image::header(entry.image()).ok()?;
    header.evictable.then_some((header.latest, slot))
}
