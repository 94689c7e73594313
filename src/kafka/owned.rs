//! An owned partition: its engine, the records on their way to it, and what is known about the ends of its topics.

use super::fetch::recorded_at;
use super::schemas::Schemas;
use crate::codec::avro::Lookup;
use crate::codec::{self, RETRIES, RawRecord};
use crate::model::{Position, Timestamp};
use crate::pipeline::merge::{Marks, Merge};
use crate::pipeline::{Partition, Pending};
use crate::status;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use std::time::{Duration, Instant};

/// Records in a queue from which its topic counts as behind, until its end is seen again.
const BEHIND_RECORDS: usize = 1_000;

/// The six fates and their counts.
type Fates = [(&'static str, u64); 6];

/// A record on its way to the engine.
pub(super) struct Taken<'f> {
    pub(super) source: usize,
    pub(super) message: BorrowedMessage<'f>,
    /// Taken although an earlier one of another topic might still come.
    pub(super) is_forced: bool,
    /// The schema it was written with, where its decoding needs that.
    pub(super) schema: Option<Lookup>,
}

/// An owned partition.
pub(super) struct Owned<'f> {
    pub(super) partition: Partition,
    /// Records read and not yet fed; they still lie in the client's buffers.
    pub(super) queue: Merge<BorrowedMessage<'f>>,
    /// The next record, and the id of the schema it waits for.
    held: Option<(u32, Taken<'f>)>,
    /// What it waited for when that was last told.
    told_wait: Option<u32>,
    /// Records of each source in `queue`.
    queued: Vec<usize>,
    /// Since when a record waits for a topic that is behind.
    starved_since: Option<Instant>,
    /// By source: its end was seen, and no backlog since.
    is_at_end: Vec<bool>,
    /// Since when there is nothing to read.
    idle_since: Option<Instant>,
    pub(super) is_stopped: bool,
    /// Nothing is read, and images are out of date for longer than the checkpoint interval.
    pub(super) is_checkpoint_due: bool,
    /// Where its sources start was chosen here and is not committed yet.
    pub(super) is_start_due: bool,
    /// When a transaction last committed.
    pub(super) progressed_at: Timestamp,
    /// Fates as last told to the signals.
    told: Fates,
}

impl<'f> Owned<'f> {
    pub(super) fn new(partition: Partition, sources: usize, marks: Marks) -> Self {
        let mut owned = Self {
            told: partition.counters().fates(),
            partition,
            queue: Merge::new(sources, marks),
            held: None,
            told_wait: None,
            queued: vec![0; sources],
            starved_since: None,
            is_at_end: vec![false; sources],
            idle_since: None,
            is_stopped: false,
            is_checkpoint_due: false,
            is_start_due: false,
            progressed_at: status::now(),
        };
        owned.forget_queue();
        owned
    }

    /// The next offset of every source.
    pub(super) fn positions(&self) -> Vec<i64> {
        (0_u16..).zip(&self.queued).map(|(source, _)| self.partition.next_offset(source).unwrap_or(0)).collect()
    }

    /// Forgets what was read and not fed: the sources are read anew.
    pub(super) fn forget_queue(&mut self) {
        self.queue.clear();
        self.held = None;
        self.queued.fill(0);
        self.starved_since = None;
        self.idle_since = None;
        for source in 0..self.queued.len() {
            self.reached_end(source, false);
        }
    }

    /// Whether the source's end was seen. A source that is not at its end is waited for.
    pub(super) fn reached_end(&mut self, source: usize, is_at_end: bool) {
        if let Some(known) = self.is_at_end.get_mut(source) {
            *known = is_at_end;
        }
        self.queue.lag(source, !is_at_end);
    }

    pub(super) fn push(&mut self, source: usize, message: BorrowedMessage<'f>) {
        if self.is_stopped {
            return;
        }
        let timestamp = recorded_at(&message).unwrap_or_default();
        self.queue.push(source, timestamp, message.offset(), message);
        self.idle_since = None;
        let Some(queued) = self.queued.get_mut(source) else { return };
        *queued += 1;
        if *queued >= BEHIND_RECORDS {
            self.reached_end(source, false);
        }
    }

    /// The lowest record, unless another topic's may still come before it; after `wait_max` that one is not waited
    /// for any longer. A record whose schema is not known yet stays the next one.
    pub(super) fn take(&mut self, wait_max: Duration, schemas: Schemas<'_>) -> Option<Taken<'f>> {
        let mut taken = match self.held.take() {
            Some((_, taken)) => taken,
            None => self.pop(wait_max)?,
        };
        match schemas.complete(&mut taken) {
            Ok(()) => Some(taken),
            Err(id) => {
                self.held = Some((id, taken));
                None
            }
        }
    }

    /// The schema its next record waits for by now, if that is not what it was at the last call.
    pub(super) fn changed_wait(&mut self) -> Option<Option<u32>> {
        let id = self.held.as_ref().map(|(id, _)| *id);
        (std::mem::replace(&mut self.told_wait, id) != id).then_some(id)
    }

    fn pop(&mut self, wait_max: Duration) -> Option<Taken<'f>> {
        if self.queue.is_empty() {
            return None;
        }
        let mut is_forced = false;
        if self.queue.starved().next().is_some() {
            is_forced = self.starved_since.get_or_insert_with(Instant::now).elapsed() >= wait_max;
        } else {
            self.starved_since = None;
        }
        let (source, message) = self.queue.pop(is_forced)?;
        if let Some(queued) = self.queued.get_mut(source) {
            *queued = queued.saturating_sub(1);
        }
        Some(Taken { source, message, is_forced, schema: None })
    }

    /// Whether a record waits for just this source.
    pub(super) fn waits_for(&self, source: usize) -> bool {
        !self.queue.is_empty() && self.queue.starved().any(|starved| starved == source)
    }

    /// Whether every source was read to its end and fed.
    pub(super) fn is_read(&self) -> bool {
        self.held.is_none() && self.queue.is_empty() && self.is_at_end.iter().all(|is_at_end| *is_at_end)
    }

    pub(super) fn is_idle(&mut self, idle_after: Duration) -> bool {
        if self.is_stopped || !self.is_read() {
            self.idle_since = None;
            return false;
        }
        self.idle_since.get_or_insert_with(Instant::now).elapsed() >= idle_after
    }

    /// Whether a transaction would hold anything.
    pub(super) fn has_work(&self) -> bool {
        self.is_checkpoint_due || self.is_start_due || self.partition.pending() != Pending::default()
    }

    /// What was added to each fate since the last call.
    pub(super) fn new_fates(&mut self) -> Fates {
        let before = std::mem::replace(&mut self.told, self.partition.counters().fates());
        let mut added = self.told;
        for ((_, now), (_, before)) in added.iter_mut().zip(before) {
            *now = now.saturating_sub(before);
        }
        added
    }
}

impl Taken<'_> {
    /// The record as the pipeline takes it.
    pub(super) fn raw(&self, partition: i32) -> RawRecord<'_> {
        let message = &self.message;
        // Once: the client reads the end of the record for it, even when there are none.
        let headers = message.headers();
        let source = u16::try_from(self.source).unwrap_or(u16::MAX);
        RawRecord {
            position: Position { source, partition, offset: message.offset() },
            recorded_at: recorded_at(message),
            key: message.key(),
            value: message.payload(),
            retries: headers.map_or(0, retries),
            headers: headers.map(|headers| headers as &dyn codec::Headers),
            schema: self.schema.as_ref(),
        }
    }
}

impl codec::Headers for BorrowedHeaders {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.try_get(index).map(|header| (header.key, header.value.unwrap_or_default()))
    }
}

/// What the header of a record sent again says; foreign nonsense in it is no retry of ours.
fn retries(headers: &BorrowedHeaders) -> u8 {
    let value = headers.iter().find(|header| header.key == RETRIES).and_then(|header| header.value);
    value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}
