//! The books of one partition: what the current transaction adds to the journal, which images are due, and [`Meta`].
//!
//! ```text
//!  entry* ──▶ stage ──▶ (the shell commits) ──▶ commit ──▶ delivered
//!                │              └─ aborted ──▶ rollback
//!                └ next seq, header, due images, checkpoint
//! ```
//! Nothing of a transaction outlives `rollback`; nothing takes effect before `commit`.

use super::dirty::{Dirty, Tail};
use super::image::{Checkpoint, ImageRecord};
use super::record::{Header, SourceRange, put_entry};
use super::{ENGINE_VERSION, Meta, RECORD_BYTES_MAX};
use crate::engine::{Engine, Input, Slot};
use crate::model::time::Span;
use crate::model::{Micro, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Room for the header in a record.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// A transaction with fewer touchpoints than this leaves time to catch up with images.
const LOW_LOAD_TOUCHPOINTS: u64 = 500;
/// Images one transaction writes to catch up at low load …
const CATCH_UP_IMAGES: u64 = 500;
/// … and when the tail is too long: bounds the transaction at some MiB.
const TAIL_IMAGES: u64 = 5_000;
/// Images one transaction of a clean stop writes: some MiB, delivered well within a transaction's timeout.
const STOP_IMAGES: u64 = 20_000;

/// Who writes: the part of every header that does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Partition.
    pub partition: i32,
    /// Sources in the run's order.
    pub sources: Vec<String>,
    /// Hash of the configuration in force.
    pub config_hash: u64,
    /// The configuration itself, as it is hashed.
    pub configuration: Arc<str>,
}

/// When images are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImagePolicy {
    /// Images per touchpoint, in millionths.
    pub per_touchpoint: Micro,
    /// Touchpoints in the tail beyond which images are written in bulk.
    pub tail_max: u64,
    /// A customer dirty for longer is written at low load.
    pub checkpoint_interval: Span,
}

/// Which images a transaction writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagesDue {
    /// Those that are due.
    Due,
    /// All that are out of date, at most 20,000 a transaction: a clean stop, repeated until none is left. The tail is
    /// empty then.
    All,
}

/// See the module.
#[derive(Debug)]
pub struct Book {
    identity: Identity,
    policy: ImagePolicy,
    committed: Meta,
    working: Meta,
    entries: Vec<u8>,
    /// Where `entries` is cut into records.
    cuts: Vec<usize>,
    touchpoints: u64,
    gone: BTreeSet<Arc<str>>,
    dirty: Dirty,
    tail: Tail,
    /// Fraction of an image saved up, in millionths: committed and working.
    carry: (i64, i64),
    /// The staged transaction's `from_seq`.
    from_seq: u64,
    /// The images topic holds the configuration in force.
    is_configuration_kept: bool,
}

impl Book {
    /// The books of a partition that knew `meta`.
    #[must_use]
    pub fn new(identity: Identity, policy: ImagePolicy, meta: Meta) -> Self {
        Self {
            identity,
            policy,
            from_seq: meta.seq + 1,
            working: meta.clone(),
            committed: meta,
            entries: Vec::new(),
            cuts: Vec::new(),
            touchpoints: 0,
            gone: BTreeSet::new(),
            dirty: Dirty::default(),
            tail: Tail::default(),
            carry: (0, 0),
            is_configuration_kept: false,
        }
    }

    /// Goes on under another configuration; between transactions.
    pub fn configure(&mut self, identity: Identity) {
        self.identity = identity;
        self.is_configuration_kept = false;
    }

    /// What is committed.
    #[must_use]
    pub const fn committed(&self) -> &Meta {
        &self.committed
    }

    /// What the current transaction makes of it.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        &self.working
    }

    /// For the current transaction to change.
    pub const fn meta_mut(&mut self) -> &mut Meta {
        &mut self.working
    }

    /// Sets where a source goes on. Its start is known before the first record, and no more than that; where records are
    /// gone, the current transaction passes over them: offsets without entries and without a fate.
    pub fn start_at(&mut self, source: usize, offset: i64) {
        let (committed, working) = (self.committed.positions.get_mut(source), self.working.positions.get_mut(source));
        let (Some(committed), Some(working)) = (committed, working) else { return };
        committed.get_or_insert(offset);
        *working = Some(offset);
    }

    /// Bytes of entries in the current transaction.
    #[must_use]
    pub const fn entry_bytes(&self) -> usize {
        self.entries.len()
    }

    /// Customers whose image is out of date, as of the last commit.
    #[must_use]
    pub const fn dirty_customers(&self) -> usize {
        self.dirty.count()
    }

    /// Touchpoints a restore would replay, as of the last commit.
    #[must_use]
    pub const fn tail_touchpoints(&self) -> u64 {
        self.tail.touchpoints()
    }

    /// The oldest transaction that a restore would replay, as of the last commit.
    #[must_use]
    pub const fn from_seq(&self) -> u64 {
        self.from_seq
    }

    /// Adds an input of the engine to the journal.
    pub fn entry(&mut self, input: &Input<'_>) {
        let start = self.entries.len();
        put_entry(&mut self.entries, input, self.identity.partition);
        self.touchpoints += u64::from(matches!(input, Input::Touchpoint(_)));
        let record_start = self.cuts.last().copied().unwrap_or(0);
        if self.entries.len() - record_start > RECORD_BYTES_MAX - HEADER_BYTES_MAX {
            self.cuts.push(start);
        }
    }

    /// The engine said that a customer is gone.
    pub fn gone(&mut self, customer_id: &Arc<str>) {
        self.gone.insert(Arc::clone(customer_id));
    }

    /// Closes the transaction: journal records, due images with the checkpoint last, and the next seq in [`Meta`].
    pub fn stage(
        &mut self,
        engine: &Engine,
        due: ImagesDue,
        journal: &mut Vec<Vec<u8>>,
        images: &mut Vec<ImageRecord>,
    ) {
        let seq = self.committed.seq + 1;
        self.working.seq = seq;
        if !self.is_configuration_kept {
            images.push(ImageRecord::configuration(self.identity.config_hash, &self.identity.configuration, seq));
        }
        let first = self.mark(engine, seq, images);
        self.lazy_images(engine, due, first, images);
        self.from_seq = self.dirty.oldest().map_or(seq + 1, |(oldest, _)| oldest);
        let header = self.header(&self.committed, &self.working);
        let from_offset = self.tail.offset(self.from_seq);
        let before = if self.from_seq == seq { Some(&self.committed) } else { self.tail.before(self.from_seq) };
        images.push(ImageRecord::checkpoint(&Checkpoint {
            from_seq: self.from_seq,
            from_offset,
            header: header.clone(),
            before: before.map(|before| self.header(before, before)),
        }));
        self.records(header, journal);
    }

    /// Marks what the transaction touched; writes at once whose alerts changed and who came back. Returns how many
    /// images that were.
    fn mark(&mut self, engine: &Engine, seq: u64, images: &mut Vec<ImageRecord>) -> u64 {
        let mut written = 0;
        let mut write = |dirty: &mut Dirty, slot: Slot| {
            images.push(ImageRecord::customer(engine.customer_id(slot), engine.image(slot), seq));
            dirty.clear(slot);
            written += 1;
        };
        for touched in engine.touched() {
            self.dirty.touch(engine, touched.slot, seq);
            if touched.alert_changed && self.dirty.is_dirty(touched.slot) {
                write(&mut self.dirty, touched.slot);
            }
        }
        // An older image of a customer who is gone must not survive: a tombstone, or, if there is one of the same id
        // again, the new state.
        let mut tombstones = Vec::new();
        for customer_id in &self.gone {
            match engine.find(customer_id) {
                Some(slot) if self.dirty.is_dirty(slot) => write(&mut self.dirty, slot),
                Some(_) => {}
                None => tombstones.push(ImageRecord::tombstone(customer_id, seq)),
            }
        }
        images.append(&mut tombstones);
        written
    }

    fn lazy_images(&mut self, engine: &Engine, due: ImagesDue, written: u64, images: &mut Vec<ImageRecord>) {
        let earned = self.carry.0.saturating_add(
            Micro::ratio(self.policy.per_touchpoint.0, i64::try_from(self.touchpoints).unwrap_or(i64::MAX), 1).0,
        );
        let whole = earned.div_euclid(Micro::SCALE);
        self.carry.1 = earned.rem_euclid(Micro::SCALE);
        let mut budget = u64::try_from(whole).unwrap_or(0).saturating_sub(written);
        budget = match due {
            ImagesDue::All => STOP_IMAGES,
            ImagesDue::Due if self.tail.touchpoints() > self.policy.tail_max => budget.max(TAIL_IMAGES),
            ImagesDue::Due => budget,
        };
        let catch_up = if self.touchpoints < LOW_LOAD_TOUCHPOINTS { CATCH_UP_IMAGES } else { 0 };
        let seq = self.working.seq;
        let mut count = 0;
        while let Some((first, slot)) = self.dirty.oldest() {
            if count >= budget && !(count < catch_up && self.overdue(first)) {
                break;
            }
            images.push(ImageRecord::customer(engine.customer_id(slot), engine.image(slot), seq));
            self.dirty.clear(slot);
            count += 1;
        }
    }

    /// Whether a customer dirty since `first` waits for longer than the checkpoint interval.
    fn overdue(&self, first: u64) -> bool {
        let since = self.tail.clock_ms(first);
        since.zip(self.working.clock).is_some_and(|(since_ms, Timestamp(now_ms))| {
            now_ms.saturating_sub(since_ms) >= self.policy.checkpoint_interval.0
        })
    }

    /// From what was known before to what is known after.
    fn header(&self, before: &Meta, after: &Meta) -> Header {
        let ranges = self.identity.sources.iter().zip(before.positions.iter().zip(&after.positions));
        Header {
            epoch: after.epoch,
            seq: after.seq,
            part: 0,
            last: true,
            partition: self.identity.partition,
            config_hash: self.identity.config_hash,
            engine_version: ENGINE_VERSION,
            watermark: after.watermark,
            clock: after.clock,
            counters: after.counters,
            limiter: after.limiter,
            sources: ranges
                .map(|(name, (from, to))| SourceRange { name: name.clone(), from: *from, to: *to })
                .collect(),
        }
    }

    fn records(&self, mut header: Header, journal: &mut Vec<Vec<u8>>) {
        let mut rest = self.entries.as_slice();
        let mut done = 0;
        for (part, end) in (0..).zip(self.cuts.iter().copied().chain([self.entries.len()])) {
            let (entries, after) = rest.split_at_checked(end - done).unwrap_or((rest, &[]));
            (rest, done) = (after, end);
            header.part = part;
            header.last = end == self.entries.len();
            let mut record = Vec::with_capacity(entries.len() + 256);
            header.encode(&mut record);
            record.extend_from_slice(entries);
            journal.push(record);
        }
    }

    /// The staged transaction is committed.
    pub fn commit(&mut self) {
        let before = std::mem::replace(&mut self.committed, self.working.clone());
        self.is_configuration_kept = true;
        self.carry.0 = self.carry.1;
        self.dirty.commit();
        self.tail.push(before, &self.committed, self.touchpoints, self.from_seq);
        self.forget_entries();
    }

    /// The transaction was aborted, staged or not.
    pub fn rollback(&mut self) {
        self.working.clone_from(&self.committed);
        self.dirty.rollback();
        self.from_seq = self.dirty.oldest().map_or(self.committed.seq + 1, |(oldest, _)| oldest);
        self.forget_entries();
    }

    fn forget_entries(&mut self) {
        self.entries.clear();
        self.cuts.clear();
        self.gone.clear();
        self.touchpoints = 0;
    }

    /// The first journal record of transaction `seq` lies at `offset`: later checkpoints start there instead of
    /// earlier.
    pub fn delivered(&mut self, seq: u64, offset: i64) {
        self.tail.delivered(seq, offset);
    }

    /// Takes a replayed transaction into the books: the engine has applied its entries and is not committed yet.
    pub(super) fn replayed(&mut self, engine: &Engine, meta: Meta, touchpoints: u64, offset: i64) {
        for touched in engine.touched() {
            self.dirty.touch(engine, touched.slot, meta.seq);
        }
        self.dirty.commit();
        self.from_seq = self.dirty.oldest().map_or(meta.seq + 1, |(oldest, _)| oldest);
        let before = std::mem::replace(&mut self.committed, meta);
        self.working.clone_from(&self.committed);
        self.tail.push(before, &self.committed, touchpoints, self.from_seq);
        self.tail.delivered(self.committed.seq, offset);
    }

    /// What is known before the first replayed transaction.
    pub(super) fn begin_at(&mut self, meta: Meta) {
        self.working.clone_from(&meta);
        self.committed = meta;
    }

    /// The journal is of no use before `offset` (none = wherever it begins): a checkpoint from now on begins there.
    pub(super) fn lose_journal_before(&mut self, offset: Option<i64>) {
        self.tail.skip_to(offset);
    }

    /// The end of a restore: what the partition knows is `meta`, and whether the images topic holds the configuration.
    pub(super) fn settle(&mut self, meta: Meta, is_configuration_kept: bool) {
        self.is_configuration_kept = is_configuration_kept;
        self.from_seq = self.dirty.oldest().map_or(meta.seq + 1, |(oldest, _)| oldest);
        self.begin_at(meta);
    }
}
