//! The customers of a partition: packed bytes, an index by id, timers, and what a rollback needs.
//!
//! ```text
//! index: hash(id) → slot        entries: [ entry | entry | free | … ]        entry: place of id and image, deadline
//! timers: (scheduled, slot)     scheduled ≤ deadline; corrected when it comes to the front
//! ```
//! An entry's bytes are rewritten in place as long as they fit their cell ([`super::slab`]). Its first change in a transaction copies the old bytes to the end of one reused
//! arena; a rollback copies them back. Memory, undo and images share one form: an image is the entry's bytes as they
//! stand.

use super::slab::{Place, Slab};
use super::{Gone, Slot, Touched, image};
use crate::model::{Timestamp, hash64};
use hashbrown::HashTable;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Not in the timers.
const UNSCHEDULED: Timestamp = Timestamp(i64::MAX);

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The id's bytes, then the image: one place and one cache miss for both. Empty = the slot is free; without an
    /// image, the customer is new and nothing was packed yet.
    place: Place,
    /// When its earliest timer is due.
    deadline: Timestamp,
    /// Where it stands in `timers`: at or before `deadline`, or `UNSCHEDULED`.
    scheduled: Timestamp,
    /// Its place in `touched` and `undo` plus 1; 0 = untouched in this transaction.
    touched_at: u32,
    /// Length of the id; ids are checked to be short (`ID_BYTES_MAX`).
    id_bytes: u16,
    /// Some bits of the id's hash: another customer is nearly never read to see that it is another.
    tag: u16,
}

impl Default for Entry {
    fn default() -> Self {
        let (deadline, scheduled) = (UNSCHEDULED, UNSCHEDULED);
        Self { place: Place::default(), deadline, scheduled, touched_at: 0, id_bytes: 0, tag: 0 }
    }
}

/// Bits that the index uses neither for the place nor for its own tags.
const fn tag(hash: u64) -> u16 {
    (hash >> 40 & 0xffff) as u16
}

/// Entries and their bytes.
#[derive(Debug, Default)]
struct Entries {
    entries: Vec<Entry>,
    slab: Slab,
}

impl Entries {
    fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)
    }

    /// Id and image.
    fn packed(&self, slot: u32) -> (&[u8], &[u8]) {
        let split = |entry: &Entry| self.slab.get(entry.place).split_at_checked(entry.id_bytes.into());
        self.get(slot).and_then(split).unwrap_or_default()
    }

    fn id(&self, slot: u32) -> &[u8] {
        self.packed(slot).0
    }

    fn is_tagged(&self, slot: u32, hash: u64) -> bool {
        self.get(slot).is_some_and(|entry| entry.tag == tag(hash))
    }

    fn hash(&self, slot: u32) -> u64 {
        hash64(self.id(slot))
    }

    /// Makes a slot that of `id`, in place of what was there.
    fn fill(&mut self, slot: u32, id: &[u8], image: &[u8], deadline: Timestamp) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            let place = self.slab.replace(entry.place, slot, id, image);
            let id_bytes = u16::try_from(id.len()).unwrap_or(u16::MAX);
            *entry = Entry { place, deadline, id_bytes, tag: tag(hash64(id)), ..Entry::default() };
        }
    }

    /// Rewrites the image behind the id; `scratch` is for the id when it has to move.
    fn set_image(&mut self, slot: u32, image: &[u8], scratch: &mut Vec<u8>) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        if self.slab.overwrite(&mut entry.place, entry.id_bytes.into(), image) {
            return;
        }
        scratch.clear();
        scratch.extend_from_slice(self.id(slot));
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.place = self.slab.replace(entry.place, slot, scratch, image);
        }
    }

    /// Nobody sits there any more.
    fn empty(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            self.slab.free(entry.place);
            *entry = Entry::default();
        }
    }

    fn tidy(&mut self) {
        let entries = &mut self.entries;
        self.slab.tidy(|slot, cell| {
            if let Some(entry) = entries.get_mut(slot as usize) {
                entry.place = entry.place.moved_to(cell);
            }
        });
    }

    fn silence_key(&self, slot: u32) -> Option<(Timestamp, u32)> {
        let header = image::header(self.packed(slot).1).ok()?;
        header.evictable.then_some((header.latest, slot))
    }
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
    entries: Entries,
    index: HashTable<u32>,
    free: Vec<u32>,
    timers: BTreeSet<(Timestamp, u32)>,
    undo: Vec<Undo>,
    arena: Vec<u8>,
    /// Scratch for an id.
    id: Vec<u8>,
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
        let hash = hash64(customer_id.as_bytes());
        let same = |slot: &u32| self.entries.is_tagged(*slot, hash) && self.entries.id(*slot) == customer_id.as_bytes();
        self.index.find(hash, same).copied()
    }

    /// Where a customer sits, if they are here at all; without a look at their bytes.
    pub(super) fn likely(&self, customer_id: &str) -> Option<u32> {
        let hash = hash64(customer_id.as_bytes());
        self.index.find(hash, |slot| self.entries.is_tagged(*slot, hash)).copied()
    }

    pub(super) fn id(&self, slot: u32) -> &str {
        // Written from a `str`.
        std::str::from_utf8(self.entries.id(slot)).unwrap_or_default()
    }

    pub(super) fn packed(&self, slot: u32) -> &[u8] {
        self.entries.packed(slot).1
    }

    /// When a customer's earliest timer is due.
    pub(super) fn deadline(&self, slot: u32) -> Option<Timestamp> {
        self.entries.get(slot).map(|entry| entry.deadline)
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn commit(&mut self) {
        for touched in self.touched.drain(..) {
            if let Some(entry) = self.entries.get_mut(touched.slot.0) {
                entry.touched_at = 0;
            }
        }
        self.entries.tidy();
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
            let packed = self.arena.get(start..).and_then(|packed| packed.split_at_checked(id_bytes.into()));
            match packed {
                Some((id, image)) if !image.is_empty() => {
                    self.entries.fill(slot, id, image, deadline);
                    self.link(slot);
                }
                _ => {
                    self.entries.empty(slot);
                    self.free.push(slot);
                }
            }
            self.arena.truncate(start);
        }
        self.settle_front();
    }

    /// Makes room for a new customer and indexes it.
    pub(super) fn insert(&mut self, customer_id: &str) -> u32 {
        let slot = self.allocate();
        self.entries.fill(slot, customer_id.as_bytes(), &[], UNSCHEDULED);
        self.gone.retain(|gone| *gone.customer_id != *customer_id);
        self.link(slot);
        slot
    }

    /// Puts a customer in as committed, in place of one of the same id.
    pub(super) fn restore(&mut self, customer_id: &str, image: &[u8], deadline: Timestamp) -> u32 {
        self.discard(customer_id);
        let slot = self.allocate();
        self.entries.fill(slot, customer_id.as_bytes(), image, deadline);
        self.link(slot);
        self.settle_front();
        slot
    }

    /// Takes a customer out as committed.
    pub(super) fn discard(&mut self, customer_id: &str) {
        if let Some(slot) = self.find(customer_id) {
            self.unlink(slot);
            self.entries.empty(slot);
            self.free.push(slot);
            self.settle_front();
        }
    }

    /// Replaces a customer's image and deadline.
    pub(super) fn replace(&mut self, slot: u32, image: &[u8], deadline: Timestamp, alert_changed: bool) {
        let place = self.touched.len();
        self.leave_silence(slot);
        let Some(entry) = self.entries.entries.get_mut(slot as usize) else { return };
        if entry.touched_at == 0 {
            entry.touched_at = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let (start, deadline, id_bytes) = (self.arena.len(), entry.deadline, entry.id_bytes);
            self.arena.extend_from_slice(self.entries.slab.get(entry.place));
            self.undo.push(Undo { slot, start, deadline, id_bytes });
            self.touched.push(Touched { slot: Slot(slot), alert_changed });
        } else if let Some(touched) = self.touched.get_mut(entry.touched_at as usize - 1) {
            touched.alert_changed |= alert_changed;
        }
        self.entries.set_image(slot, image, &mut self.id);
        self.enter_silence(slot);
        let Some(entry) = self.entries.get_mut(slot) else { return };
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
        0..u32::try_from(self.entries.entries.len()).unwrap_or(u32::MAX)
    }

    /// Gives a customer another deadline, as committed.
    pub(super) fn reschedule(&mut self, slot: u32, deadline: Timestamp) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
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
        let touched_at = self.entries.get(slot).map_or(0, |entry| entry.touched_at);
        self.entries.empty(slot);
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.touched_at = touched_at;
        }
    }

    /// Takes the customers whose deadline is the earliest one out of the timers, if it is ≤ `until`; in order of id.
    pub(super) fn take_due(&mut self, until: Timestamp) -> Option<(Timestamp, Vec<u32>)> {
        self.settle_front();
        let deadline = self.next_deadline().filter(|deadline| *deadline <= until)?;
        let mut due = Vec::new();
        while let Some(&(scheduled, slot)) = self.timers.first().filter(|(scheduled, _)| *scheduled == deadline) {
            self.timers.remove(&(scheduled, slot));
            let Some(entry) = self.entries.get_mut(slot) else { continue };
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
            let Some(entry) = self.entries.get_mut(slot) else { return };
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
            (0_u32..).zip(&entries.entries).filter_map(|(slot, _)| entries.silence_key(slot)).collect()
        });
        let longest = silence.first()?.0;
        let ties = silence.iter().take_while(|(since, _)| *since == longest);
        let first = ties.map(|(_, slot)| entries.id(*slot)).min()?;
        std::str::from_utf8(first).ok().map(Arc::from)
    }

    fn leave_silence(&mut self, slot: u32) {
        if let Some(silence) = &mut self.silence {
            self.entries.silence_key(slot).map(|key| silence.remove(&key));
        }
    }

    fn enter_silence(&mut self, slot: u32) {
        if let Some(silence) = &mut self.silence {
            silence.extend(self.entries.silence_key(slot));
        }
    }

    fn allocate(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let entries = &mut self.entries.entries;
            entries.push(Entry::default());
            u32::try_from(entries.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Enters a slot into index, timers and silence.
    fn link(&mut self, slot: u32) {
        if !self.packed(slot).is_empty() {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.scheduled = entry.deadline;
                self.timers.insert((entry.deadline, slot));
            }
            self.enter_silence(slot);
        }
        let (hash, entries) = (self.entries.hash(slot), &self.entries);
        self.index.insert_unique(hash, slot, |slot| entries.hash(*slot));
        self.customers += 1;
    }

    /// Takes a slot out of index, timers and silence; nothing happens when it is not in them.
    fn unlink(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if entry.scheduled != UNSCHEDULED {
            self.timers.remove(&(entry.scheduled, slot));
            entry.scheduled = UNSCHEDULED;
        }
        self.leave_silence(slot);
        if let Ok(found) = self.index.find_entry(self.entries.hash(slot), |known| *known == slot) {
            found.remove();
            self.customers -= 1;
        }
    }
}
