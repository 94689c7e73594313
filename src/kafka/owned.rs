//! An owned partition: its engine, the records on their way to it, and what is known about the ends of its topics.
//!
//! The owner of partition 0 has a second queue: of records that only go on through the repartition topic. It never waits
//! for the first, so that the engines may wait for it: while it is behind, a repartition topic without records is
//! no reason to let the other topics' records go first. Its state is told in the repartition topic itself ([`MARK`]).

use super::fetch::recorded_at;
use super::schemas::Schemas;
use crate::codec::avro::Lookup;
use crate::codec::{self, ORIGIN, RETRIES, RawRecord, Via};
use crate::model::{Position, Timestamp};
use crate::pipeline::merge::{Marks, Merge};
use crate::pipeline::{Origin, Partition, Pending, Place, Plan};
use crate::status;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use std::time::{Duration, Instant};

/// Records in a queue from which its topic counts as behind, until its end is seen again.
const BEHIND_RECORDS: usize = 1_000;

/// Header of a record, without key and value, in every partition of the repartition topic: all there is to go through it
/// is in front of this record ([`CAUGHT_UP`]), or not any more.
pub(super) const MARK: &str = "touchline.repartition";
/// See [`MARK`].
pub(super) const CAUGHT_UP: &[u8] = b"caught up";

/// The six fates and their counts.
type Fates = [(&'static str, u64); 6];

/// A record on its way to the engine, or on through the repartition topic.
pub(super) struct Taken<'f> {
    pub(super) source: usize,
    /// Index of the topic it was read from.
    topic: usize,
    pub(super) message: BorrowedMessage<'f>,
    origin: Option<Box<Origin>>,
    /// Taken although an earlier one of another topic might still come.
    pub(super) is_forced: bool,
    /// The schema it was written with, where its decoding needs that.
    pub(super) schema: Option<Lookup>,
}

/// A record that was read; it still lies in the client's buffers. If it came through the repartition topic, also where
/// from.
type Read<'f> = (BorrowedMessage<'f>, Option<Box<Origin>>);

/// Records in order of time.
struct Queue<'f> {
    merge: Merge<Read<'f>>,
    /// Since when the first one waits for a topic that is behind.
    starved_since: Option<Instant>,
}

impl<'f> Queue<'f> {
    fn new(sources: usize, marks: Marks) -> Self {
        Self { merge: Merge::new(sources, marks), starved_since: None }
    }

    /// The next record with its source, and whether an earlier one might still come.
    fn pop(&mut self, wait_max: Duration) -> Option<(usize, Read<'f>, bool)> {
        if self.merge.is_empty() {
            return None;
        }
        let mut is_forced = false;
        if self.merge.starved().next().is_some() {
            is_forced = self.starved_since.get_or_insert_with(Instant::now).elapsed() >= wait_max;
        } else {
            self.starved_since = None;
        }
        let (source, read) = self.merge.pop(is_forced)?;
        Some((source, read, is_forced))
    }

    fn waits_for(&self, source: usize) -> bool {
        !self.merge.is_empty() && self.merge.starved().any(|starved| starved == source)
    }

    fn clear(&mut self) {
        self.merge.clear();
        self.starved_since = None;
    }
}

/// An owned partition.
pub(super) struct Owned<'f> {
    pub(super) partition: Partition,
    /// What it reads, by source.
    pub(super) reads: Vec<Option<Place>>,
    /// For the engine.
    queue: Queue<'f>,
    /// To go on; no records but in partition 0.
    outbound: Queue<'f>,
    /// The first source of `outbound`.
    outbound_from: usize,
    /// The source that is the repartition topic.
    inbound: Option<usize>,
    /// Whose turn it is.
    is_outbound_turn: bool,
    /// Of partition 0: what was told of `outbound` in the repartition topic.
    told_caught_up: Option<bool>,
    /// Whether the repartition topic may lack records although its end was seen; none where nothing goes through it in
    /// whole topics.
    lacks_inbound: Option<bool>,
    /// The next record, and the id of the schema it waits for.
    held: Option<(u32, Taken<'f>)>,
    /// What it waited for when that was last told.
    told_wait: Option<u32>,
    /// Records of each source in the queues.
    queued: Vec<usize>,
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
    /// The owned partition of this number, under a plan.
    pub(super) fn new(partition: Partition, number: i32, plan: &Plan, marks: Marks) -> Self {
        let reads = plan.reads(number);
        let sources = reads.len();
        let mut owned = Self {
            told: partition.counters().fates(),
            partition,
            queue: Queue::new(sources, marks),
            outbound: Queue::new(sources, marks),
            outbound_from: plan.topics().count(),
            inbound: plan.repartition_source(),
            is_outbound_turn: false,
            told_caught_up: None,
            lacks_inbound: (!plan.outbound().is_empty()).then_some(true),
            held: None,
            told_wait: None,
            queued: vec![0; sources],
            is_at_end: vec![false; sources],
            reads,
            idle_since: None,
            is_stopped: false,
            is_checkpoint_due: false,
            is_start_due: false,
            progressed_at: status::now(),
        };
        owned.forget_queue();
        owned
    }

    /// For a replay: reads nothing that only goes on, and does not wait for it.
    pub(super) fn read_inbound_only(&mut self) {
        self.lacks_inbound = None;
        for source in self.outbound_from..self.reads.len() {
            self.reached_end(source, true);
        }
    }

    /// Every place it reads, with its source and next offset.
    pub(super) fn positions(&self) -> impl Iterator<Item = (usize, Place, i64)> {
        let places = (0_u16..).zip(&self.reads).filter_map(|(source, place)| Some((source, (*place)?)));
        let next = |source| self.partition.next_offset(source).unwrap_or(0);
        places.map(move |(source, place)| (usize::from(source), place, next(source)))
    }

    /// Forgets what was read and not fed: the sources are read anew.
    pub(super) fn forget_queue(&mut self) {
        self.queue.clear();
        self.outbound.clear();
        self.held = None;
        self.queued.fill(0);
        self.idle_since = None;
        for source in 0..self.reads.len() {
            self.reached_end(source, false);
        }
    }

    const fn queue_of(&mut self, source: usize) -> &mut Queue<'f> {
        if source < self.outbound_from { &mut self.queue } else { &mut self.outbound }
    }

    /// Whether the source's end was seen. A source that is not at its end is waited for; what is not read here always is.
    pub(super) fn reached_end(&mut self, source: usize, is_at_end: bool) {
        let is_at_end = is_at_end || self.reads.get(source).is_none_or(Option::is_none);
        if let Some(known) = self.is_at_end.get_mut(source) {
            *known = is_at_end;
        }
        let lacks = self.is_inbound(source) && self.lacks_inbound == Some(true);
        self.queue_of(source).merge.lag(source, !is_at_end || lacks);
    }

    /// Whether the source is the repartition topic.
    pub(super) fn is_inbound(&self, source: usize) -> bool {
        self.inbound == Some(source)
    }

    /// Takes a record that was read.
    pub(super) fn push(&mut self, plan: &Plan, source: usize, message: BorrowedMessage<'f>) {
        if self.is_stopped {
            return;
        }
        let origin = if self.is_inbound(source) {
            if let Some(mark) = header(&message, MARK) {
                self.lacks_inbound = self.lacks_inbound.map(|_| mark != CAUGHT_UP);
                self.reached_end(source, false);
                return;
            }
            header(&message, ORIGIN).and_then(|origin| plan.origin(origin)).map(Box::new)
        } else {
            None
        };
        let recorded_at = origin.as_ref().map_or_else(|| recorded_at(&message), |origin| origin.recorded_at);
        let offset = message.offset();
        self.queue_of(source).merge.push(source, recorded_at.unwrap_or_default(), offset, (message, origin));
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
            None => self.next(wait_max)?,
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

    /// The next of one queue or the other.
    fn next(&mut self, wait_max: Duration) -> Option<Taken<'f>> {
        self.is_outbound_turn = !self.is_outbound_turn;
        let (first, second) = if self.is_outbound_turn {
            (&mut self.outbound, &mut self.queue)
        } else {
            (&mut self.queue, &mut self.outbound)
        };
        let (source, (message, origin), is_forced) = first.pop(wait_max).or_else(|| second.pop(wait_max))?;
        if is_forced && source < self.outbound_from && self.lacks_inbound == Some(true) {
            // It was waited for long enough. What is not told by the next mark is not known better later.
            self.lacks_inbound = Some(false);
        }
        if let Some(queued) = self.queued.get_mut(source) {
            *queued = queued.saturating_sub(1);
        }
        let topic = self.reads.get(source).copied().flatten().map_or(source, |(topic, _)| topic);
        Some(Taken { source, topic, message, origin, is_forced, schema: None })
    }

    /// Whether a record waits for just this source.
    pub(super) fn waits_for(&self, source: usize) -> bool {
        self.queue.waits_for(source) || self.outbound.waits_for(source)
    }

    /// Whether enough of a source is read ahead.
    pub(super) fn is_full(&self, source: usize) -> bool {
        self.queue.merge.is_full(source) || self.outbound.merge.is_full(source)
    }

    /// Whether every source was read to its end and fed.
    pub(super) fn is_read(&self) -> bool {
        self.held.is_none()
            && self.queue.merge.is_empty()
            && self.outbound.merge.is_empty()
            && self.lacks_inbound != Some(true)
            && self.is_at_end.iter().all(|is_at_end| *is_at_end)
    }

    /// Whether nothing of a source is left to read, as far as is known.
    pub(super) fn has_read(&self, source: usize) -> bool {
        self.is_at_end.get(source) == Some(&true) && self.queued.get(source) == Some(&0)
    }

    /// Of partition 0, where topics go through the repartition topic as a whole: whether all there is has done so with what
    /// was fed by now; none when that was told.
    pub(super) fn untold_mark(&self) -> Option<bool> {
        let mut sources = self.outbound_from..self.reads.len();
        let is_caught_up = !sources.is_empty() && sources.all(|source| self.has_read(source)) && self.held.is_none();
        (self.outbound_from < self.reads.len() && self.told_caught_up != Some(is_caught_up)).then_some(is_caught_up)
    }

    /// The mark was committed.
    pub(super) fn told_mark(&mut self, is_caught_up: bool) {
        self.told_caught_up = Some(is_caught_up);
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
        self.is_checkpoint_due
            || self.is_start_due
            || self.untold_mark().is_some()
            || self.partition.pending() != Pending::default()
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
    /// Index of the input topic it comes from.
    pub(super) fn input(&self) -> usize {
        self.origin.as_ref().map_or(self.topic, |origin| usize::from(origin.position.source))
    }

    /// The record as the pipeline takes it.
    pub(super) fn raw(&self) -> RawRecord<'_> {
        let message = &self.message;
        // Once: the client reads the end of the record for it, even when there are none.
        let headers = message.headers();
        let source = u16::try_from(self.source).unwrap_or(u16::MAX);
        let topic = u16::try_from(self.topic).unwrap_or(u16::MAX);
        let read = Position { source: topic, partition: message.partition(), offset: message.offset() };
        let (position, recorded_at, via) = match &self.origin {
            Some(origin) => (origin.position, origin.recorded_at, Via::Inbound(source, read.offset)),
            None if topic == source => (read, recorded_at(message), Via::Direct),
            None => (read, recorded_at(message), Via::Outbound(source)),
        };
        RawRecord {
            position,
            recorded_at,
            key: message.key(),
            value: message.payload(),
            retries: headers.map_or(0, retries),
            headers: headers.map(|headers| headers as &dyn codec::Headers),
            schema: self.schema.as_ref(),
            via,
        }
    }
}

/// The first header of a name.
fn header<'m>(message: &'m BorrowedMessage<'_>, name: &str) -> Option<&'m [u8]> {
    message.headers()?.iter().find(|header| header.key == name)?.value
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
