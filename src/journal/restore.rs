//! Restore of one partition from its images and journal: pure verdicts, the shell only reads the topics.
//!
//! ```text
//!  image* (to the end of the topic) ──▶ from_offset ──▶ journal* (to the end) ──▶ finish
//! ```
//! A customer whose image holds transaction s enters when the replay has reached s: until then their entries are
//! dropped and ticks do not see them. A tombstone stands for a customer who is absent after s. Where an image is older
//! than the first replayed transaction, or missing, the customer is there from the start.
//!
//! Every transaction is replayed under the configuration it was written under, which the images topic holds; the
//! configuration in force takes over after the last one.
//!
//! Two ways out where that ends in a refusal, each only when it is asked for ([`WaysOut`]):
//! * The journal lacks transactions: the state is taken as far as journal and images go, and the inputs are read again from
//!   where the last whole transaction ended. Customers whose image is newer know what they have seen. Their alerts are as
//!   they were told, for an image is written with every change of an alert. Limits: who had more touchpoints since than
//!   `limits.dedup_entries` counts the oldest of them twice; what is recognised does not move the watermark, so a touchpoint
//!   that is later than `timer_grace` may meet a deadline before or after its tick, as in another order of arrival.
//! * Another engine wrote the tail: it is replayed with this one. What that changes of alerts is told, and every open alert
//!   of the customers in the tail is told again ([`Recomputed`]).

use super::image::stamped;
use super::{
    Book, Checkpoint, ENGINE_VERSION, Entries, FormatError, Header, Identity, ImageKey, ImagePolicy, Meta, Refusal,
};
use crate::engine::{self, Engine, Input, Output};
use crate::model::hash64;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a restore comes to.
#[derive(Debug)]
pub enum Verdict {
    /// All of it is there.
    Ready(Box<Restored>),
    /// The topics do not show the committed transaction yet: read again, until the transaction timeout has passed.
    Retry(String),
    /// It cannot be restored.
    Refuse(Refusal),
}

/// What may be done where a restore would be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaysOut {
    /// Lost transactions are made up for from the inputs (`recover --from-input`).
    pub from_input: bool,
    /// A tail of another engine version is replayed with this one (`run --recompute-tail`).
    pub recompute_tail: bool,
}

/// What the world has to be told after another engine's tail was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recomputed {
    /// What this engine said to it.
    pub outputs: Vec<Output>,
    /// Whose alerts it changed, or are open.
    pub customers: BTreeSet<Arc<str>>,
}

impl Recomputed {
    /// Of the customers in the tail, keeps those with alerts to tell of.
    fn keep_alerted(&mut self, engine: &Engine) {
        let open = engine.open_alerts_by_customer().into_iter().map(|(customer_id, _)| customer_id);
        let changed = self.outputs.iter().filter_map(|output| {
            if let Output::Alert(change) = output { Some(Arc::clone(&change.customer_id)) } else { None }
        });
        let alerted: BTreeSet<Arc<str>> = open.chain(changed).collect();
        self.customers.retain(|customer_id| alerted.contains(customer_id));
    }
}

/// A restored partition.
#[derive(Debug)]
pub struct Restored {
    /// Customers.
    pub engine: Engine,
    /// Books.
    pub book: Book,
    /// Journal entries replayed.
    pub replayed: u64,
    /// Transactions were lost: the inputs have to be read again from the books' positions, which the group does not have.
    pub is_rewound: bool,
    /// The tail was another engine's.
    pub recomputed: Option<Recomputed>,
}

/// An image that enters later: after the replay of its seq.
#[derive(Debug)]
struct Waiting {
    seq: u64,
    image: Option<Vec<u8>>,
}

/// Reads the engine's settings out of a canonical configuration.
pub type SettingsOf = fn(&str) -> Result<engine::Settings, String>;

/// See the module.
#[derive(Debug)]
pub struct Restorer {
    identity: Identity,
    /// In force from now on.
    settings: Arc<engine::Settings>,
    settings_of: SettingsOf,
    /// By hash.
    configurations: BTreeMap<u64, Box<str>>,
    /// Whose settings the engine has.
    engine_hash: u64,
    engine: Engine,
    book: Book,
    images: BTreeMap<Box<str>, Waiting>,
    /// Of `images`: (seq, customer), after `from_offset`.
    order: Vec<(u64, Box<str>)>,
    entered: usize,
    checkpoint: Option<Checkpoint>,
    /// Header of the newest journal record.
    last: Option<Header>,
    /// First offset and touchpoints of the transaction being read.
    open: Option<(i64, u64)>,
    replayed: u64,
    outputs: Vec<Output>,
    ways_out: WaysOut,
    /// Transactions are missing: what comes after them is not replayed.
    torn: Option<Refusal>,
    /// Nothing that is not there yet will come.
    is_final: bool,
    /// Of records by us, after which nothing may be read.
    journal_end: Option<i64>,
    /// The greatest transaction that left a trace.
    newest_seq: u64,
    recomputed: Option<Recomputed>,
}

impl Restorer {
    /// Begins a restore. `fresh_epoch` is drawn at random by the shell and used if the partition has no state yet.
    #[must_use]
    pub fn new(
        settings: Arc<engine::Settings>,
        settings_of: SettingsOf,
        identity: Identity,
        policy: ImagePolicy,
        fresh_epoch: u64,
    ) -> Self {
        let meta = Meta { epoch: fresh_epoch, positions: vec![None; identity.sources.len()], ..Meta::default() };
        Self {
            engine: Engine::new(Arc::clone(&settings)),
            settings,
            settings_of,
            configurations: BTreeMap::new(),
            engine_hash: identity.config_hash,
            book: Book::new(identity.clone(), policy, meta),
            identity,
            images: BTreeMap::new(),
            order: Vec::new(),
            entered: 0,
            checkpoint: None,
            last: None,
            open: None,
            replayed: 0,
            outputs: Vec::new(),
            ways_out: WaysOut::default(),
            torn: None,
            is_final: false,
            journal_end: None,
            newest_seq: 0,
            recomputed: None,
        }
    }

    /// What may be done instead of a refusal. `is_final`: what the topics do not show yet will not come any more.
    pub const fn allow(&mut self, ways_out: WaysOut, is_final: bool) {
        (self.ways_out, self.is_final) = (ways_out, is_final);
    }

    /// The journal topic's end as of now: nothing after it is anybody's but ours.
    pub const fn journal_ends_at(&mut self, offset: i64) {
        self.journal_end = Some(offset);
    }

    /// One record of the images topic, in order. `tombstone_seq` is its `seq` header.
    ///
    /// # Errors
    /// When it cannot be ours; the restore is over.
    pub fn image(&mut self, key: &[u8], value: Option<&[u8]>, tombstone_seq: Option<u64>) -> Result<(), Refusal> {
        let format = |error| Refusal::Format("images", error);
        match (ImageKey::parse(key).map_err(format)?, value) {
            (ImageKey::Customer(customer_id), Some(value)) => {
                let (seq, image) = stamped(value).map_err(format)?;
                self.images.insert(customer_id.into(), Waiting { seq, image: Some(image.to_vec()) });
            }
            (ImageKey::Customer(customer_id), None) => {
                let seq = tombstone_seq.ok_or(Refusal::TombstoneSeq)?;
                self.images.insert(customer_id.into(), Waiting { seq, image: None });
            }
            (ImageKey::Checkpoint(partition), Some(value)) => {
                self.here(partition)?;
                self.checkpoint = Some(Checkpoint::decode(value).map_err(format)?);
            }
            (ImageKey::Configuration(hash), Some(value)) => {
                let text = std::str::from_utf8(value).ok().filter(|_| hash64(value) == hash);
                let text = text.ok_or(Refusal::Format("images", FormatError::Damaged))?;
                self.configurations.insert(hash, text.into());
            }
            (ImageKey::Checkpoint(_) | ImageKey::Configuration(_), None) => {}
        }
        Ok(())
    }

    /// All images were read. Answers from which journal offset to read; none = from the log's start.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn from_offset(&mut self) -> Result<Option<i64>, Refusal> {
        self.order = self.images.iter().map(|(customer_id, image)| (image.seq, customer_id.clone())).collect();
        self.order.sort_unstable();
        let from_offset = self.checkpoint.as_ref().and_then(|checkpoint| checkpoint.from_offset);
        if let Some(offset) = from_offset {
            self.book.delivered(0, offset);
        }
        if let Some(base) = self.checkpoint.as_ref().and_then(Checkpoint::base) {
            self.book.begin_at(base.meta(&self.identity.sources));
        }
        self.enter(self.first_seq().saturating_sub(1))?;
        Ok(from_offset)
    }

    fn first_seq(&self) -> u64 {
        self.checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.from_seq)
    }

    /// Lets the customers in whose images hold transactions up to `seq`.
    fn enter(&mut self, seq: u64) -> Result<(), Refusal> {
        while let Some((_, customer_id)) = self.order.get(self.entered).filter(|(image_seq, _)| *image_seq <= seq) {
            if let Some(image) = self.images.remove(customer_id).and_then(|waiting| waiting.image) {
                self.engine.restore(customer_id, &image)?;
            }
            self.entered += 1;
        }
        Ok(())
    }

    /// One record of the journal topic, in order, with its offset.
    ///
    /// # Errors
    /// When the chain is broken or the record cannot be replayed here; the restore is over.
    pub fn journal(&mut self, offset: i64, value: &[u8]) -> Result<(), Refusal> {
        let format = |error| Refusal::Format("journal", error);
        let (header, entries) = Entries::of(value).map_err(format)?;
        self.here(header.partition)?;
        self.newest_seq = self.newest_seq.max(header.seq);
        match self.chain(&header) {
            // Judged at the end.
            Err(gap @ Refusal::Gap { .. }) if self.ways_out.from_input => drop(self.torn.get_or_insert(gap)),
            other => other?,
        }
        if self.torn.is_some() {
            return Ok(());
        }
        let (first_offset, mut touchpoints) = self.open.take().unwrap_or((offset, 0));
        if header.seq >= self.first_seq() {
            if !entries.is_empty() {
                self.same_rules(&header)?;
            }
            for entry in entries {
                let entry = entry.map_err(format)?;
                touchpoints += u64::from(matches!(entry, Input::Touchpoint(_)));
                self.replay(&entry);
                match self.recomputed.as_mut().filter(|_| header.engine_version != ENGINE_VERSION) {
                    Some(recomputed) => recomputed.outputs.append(&mut self.outputs),
                    None => self.outputs.clear(),
                }
            }
            if header.last {
                let meta = header.meta(&self.identity.sources);
                if let Some(recomputed) = self.recomputed.as_mut().filter(|_| header.engine_version != ENGINE_VERSION) {
                    let touched = self.engine.touched().iter().map(|touched| self.engine.customer_id(touched.slot));
                    recomputed.customers.extend(touched.map(Arc::from));
                }
                self.book.replayed(&self.engine, meta, touchpoints, first_offset);
                self.engine.commit();
                self.enter(header.seq)?;
            }
        } else if header.last {
            self.book.delivered(header.seq, first_offset);
        }
        if !header.last {
            self.open = Some((first_offset, touchpoints));
        }
        self.last = Some(header);
        Ok(())
    }

    fn here(&self, partition: i32) -> Result<(), Refusal> {
        if partition == self.identity.partition { Ok(()) } else { Err(Refusal::Partition(partition)) }
    }

    fn replay(&mut self, entry: &Input<'_>) {
        let customer_id = match entry {
            Input::Touchpoint(scored) => Some(scored.customer_id),
            Input::Removed(customer_id, _) | Input::Recomputed(customer_id) => Some(*customer_id),
            Input::Tick(_) => None,
        };
        self.replayed += 1;
        if customer_id.is_none_or(|customer_id| !self.images.contains_key(customer_id)) {
            self.engine.apply(entry, &mut self.outputs);
        }
    }

    /// Whether the record continues the one before it.
    fn chain(&self, header: &Header) -> Result<(), Refusal> {
        let (found, seq) = (header.epoch, header.seq);
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.header);
        let Some(last) = &self.last else {
            if let Some(expected) = checkpoint.map(|header| header.epoch).filter(|expected| *expected != found) {
                return Err(Refusal::Epoch { found, expected, seq });
            }
            let begins = header.part == 0 && seq <= self.first_seq();
            return if begins { Ok(()) } else { Err(Refusal::Gap { found: seq, expected: self.first_seq() }) };
        };
        if last.epoch != found {
            return Err(Refusal::Epoch { found, expected: last.epoch, seq });
        }
        if !last.last {
            let next = seq == last.seq && header.part == last.part + 1;
            return if next { Ok(()) } else { Err(Refusal::Gap { found: seq, expected: last.seq }) };
        }
        if seq != last.seq + 1 || header.part != 0 {
            return Err(Refusal::Gap { found: seq, expected: last.seq + 1 });
        }
        for range in &header.sources {
            let before = last.sources.iter().find(|before| before.name == range.name).and_then(|before| before.to);
            if before.is_some() && before != range.from {
                return Err(Refusal::Chain { seq, source_name: range.name.clone() });
            }
        }
        Ok(())
    }

    /// Replays under what the record was written under.
    fn same_rules(&mut self, header: &Header) -> Result<(), Refusal> {
        if header.engine_version != ENGINE_VERSION {
            if !self.ways_out.recompute_tail {
                return Err(Refusal::Engine(header.engine_version));
            }
            self.recomputed.get_or_insert_default();
        }
        let hash = header.config_hash;
        if hash != self.engine_hash {
            let settings = self.settings_under(hash)?;
            self.engine.configure(settings.ok_or(Refusal::ConfigurationLost { seq: header.seq, hash })?);
            self.engine_hash = hash;
        }
        Ok(())
    }

    /// The settings of a configuration; none when it is not kept.
    fn settings_under(&self, hash: u64) -> Result<Option<Arc<engine::Settings>>, Refusal> {
        if hash == self.identity.config_hash {
            return Ok(Some(Arc::clone(&self.settings)));
        }
        let Some(text) = self.configurations.get(&hash) else { return Ok(None) };
        let settings = (self.settings_of)(text).map_err(|reason| Refusal::Configuration { hash, reason })?;
        Ok(Some(Arc::new(settings)))
    }

    /// Both topics were read to their ends. `metadata` is what the group committed for this partition, `offsets` the
    /// group's offsets by source.
    #[must_use]
    pub fn finish(self, metadata: Option<&str>, offsets: &[Option<i64>]) -> Verdict {
        let Some(truth) = self.truth() else {
            let touched = offsets.iter().any(Option::is_some) || metadata.is_some_and(|text| !text.is_empty());
            if touched {
                return Verdict::Refuse(Refusal::StateLost);
            }
            let fresh = self.book.committed().clone();
            return self.ready(fresh, false);
        };
        let committed = match metadata.filter(|text| !text.is_empty()).map(Meta::parse_metadata) {
            None => truth.seq,
            Some(Some((epoch, seq))) if epoch == truth.epoch => seq,
            Some(Some((found, seq))) => {
                return Verdict::Refuse(Refusal::Epoch { found, expected: truth.epoch, seq });
            }
            Some(None) => return Verdict::Refuse(Refusal::StateLost),
        };
        match self.loss(&truth, committed) {
            None => match self.foreign_offset(&truth, offsets) {
                Some(refusal) => Verdict::Refuse(refusal),
                None => self.ready(truth, false),
            },
            Some(Verdict::Retry(reason)) if !(self.is_final && self.ways_out.from_input) => Verdict::Retry(reason),
            Some(Verdict::Refuse(refusal)) if !self.ways_out.from_input => Verdict::Refuse(refusal),
            Some(_) => self.rewind(&truth, committed),
        }
    }

    /// What the topics lack of the transaction that is `truth` here, and of the one that the group has committed.
    fn loss(&self, truth: &Meta, committed: u64) -> Option<Verdict> {
        if let Some(refusal) = &self.torn {
            return Some(Verdict::Refuse(refusal.clone()));
        }
        if committed != truth.seq {
            let reason = format!("the group committed seq {committed}, the journal shows seq {}", truth.seq);
            return Some(Verdict::Retry(reason));
        }
        if self.last.as_ref().is_some_and(|last| !last.last) {
            return Some(Verdict::Retry("the journal ends within a transaction".to_owned()));
        }
        self.tail_lost(truth).map(Verdict::Refuse)
    }

    /// Goes on from the last whole transaction that is there, under a seq that nobody has had.
    fn rewind(mut self, truth: &Meta, committed: u64) -> Verdict {
        let resumed = self.book.committed().clone();
        if resumed.positions.iter().all(Option::is_none) {
            let (journal, image) = (self.last.as_ref().map_or(0, |last| last.seq), committed.max(truth.seq));
            return Verdict::Refuse(Refusal::NoBase(Box::new(Refusal::TailLost { journal, image })));
        }
        // Of a transaction that is not whole.
        self.engine.rollback();
        let imaged = self.order.last().map_or(0, |(seq, _)| *seq);
        let seq = truth.seq.max(committed).max(self.newest_seq).max(imaged);
        self.book.lose_journal_before(self.journal_end);
        let meta = Meta { epoch: truth.epoch, seq, limiter: truth.limiter, ..resumed };
        self.ready(meta, true)
    }

    /// The newer of checkpoint and last header.
    fn newest(&self) -> Option<&Header> {
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.header);
        self.last.iter().chain(checkpoint).max_by_key(|header| header.seq)
    }

    fn truth(&self) -> Option<Meta> {
        let newest = self.newest()?;
        let mut meta = newest.meta(&self.identity.sources);
        if newest.config_hash != self.identity.config_hash {
            // A partition that stopped at a limit gets another try with another configuration.
            (meta.limiter.consecutive, meta.limiter.window_rejected) = (0, 0);
        }
        Some(meta)
    }

    fn tail_lost(&self, truth: &Meta) -> Option<Refusal> {
        let journal = self.last.as_ref().map_or(0, |last| last.seq);
        let image = self.order.last().map_or(0, |(seq, _)| *seq);
        // Without a journal record the checkpoint is enough if no image lacks anything.
        let needed = if self.first_seq() > truth.seq { image } else { truth.seq };
        let reached = journal.max(self.first_seq() - 1);
        (needed > reached).then_some(Refusal::TailLost { journal, image: needed })
    }

    fn foreign_offset(&self, truth: &Meta, offsets: &[Option<i64>]) -> Option<Refusal> {
        let sources = self.identity.sources.iter().zip(truth.positions.iter().zip(offsets));
        let mut different = sources.filter_map(|(name, (journal, committed))| {
            let (journal, committed) = journal.zip(*committed)?;
            (journal != committed).then(|| Refusal::Offset { source_name: name.clone(), committed, journal })
        });
        different.next()
    }

    /// The configuration in force takes over.
    fn take_force(&mut self) -> Result<(), Refusal> {
        if let Some(hash) = self.newest().map(|header| header.config_hash)
            && let Some(earlier) = self.settings_under(hash)?
            && let Some(key) = self.settings.misplaced(&earlier)
        {
            return Err(Refusal::Misplaced(key));
        }
        if self.engine_hash != self.identity.config_hash {
            self.engine.configure(Arc::clone(&self.settings));
            self.engine_hash = self.identity.config_hash;
        }
        Ok(())
    }

    fn ready(mut self, truth: Meta, is_rewound: bool) -> Verdict {
        if let Err(refusal) = self.enter(truth.seq).and_then(|()| self.take_force()) {
            return Verdict::Refuse(refusal);
        }
        let is_configuration_kept = self.configurations.contains_key(&self.identity.config_hash);
        self.book.settle(truth, is_configuration_kept);
        let mut recomputed = self.recomputed;
        if let Some(recomputed) = &mut recomputed {
            recomputed.keep_alerted(&self.engine);
        }
        let (engine, book, replayed) = (self.engine, self.book, self.replayed);
        Verdict::Ready(Box::new(Restored { engine, book, replayed, is_rewound, recomputed }))
    }
}
