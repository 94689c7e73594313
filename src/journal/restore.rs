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

use super::image::stamped;
use super::{Book, Checkpoint, ENGINE_VERSION, Entries, FormatError, Header, Identity, ImageKey, ImagePolicy, Meta};
use crate::engine::{self, Engine, ImageError, Input};
use crate::model::hash64;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a partition cannot be restored from what the topics hold. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A record of the journal or images topic cannot be read.
    #[error("{0} topic: {1}")]
    Format(&'static str, FormatError),
    /// A tombstone without its seq.
    #[error("images topic: a tombstone has no `seq` header; something else writes to this topic")]
    TombstoneSeq,
    /// An image the engine cannot read.
    #[error("images topic: {0}; start with the version that wrote it")]
    Image(#[from] ImageError),
    /// A record of another partition.
    #[error(
        "journal or images topic: a record of partition {0} lies on this one; something else writes to these topics"
    )]
    Partition(i32),
    /// Two histories.
    #[error(
        "journal: epoch {found:016x} at seq {seq} where {expected:016x} was expected; the topics belong to two histories: restore them from one backup, or `touchline reset`"
    )]
    Epoch {
        /// Of the record.
        found: u64,
        /// Of the checkpoint or the record before.
        expected: u64,
        /// Of the record.
        seq: u64,
    },
    /// Transactions are missing.
    #[error(
        "journal: seq {found} where {expected} was expected; transactions are missing (retention below the age of the checkpoint?): restore the topic from a backup, or begin anew with `touchline reset`"
    )]
    Gap {
        /// Of the record.
        found: u64,
        /// The next of the chain.
        expected: u64,
    },
    /// A transaction does not begin where the previous one ended.
    #[error(
        "journal: seq {seq} does not begin at the offset of \"{source_name}\" where the one before ended; `touchline reset`"
    )]
    Chain {
        /// Of the record.
        seq: u64,
        /// Topic.
        source_name: String,
    },
    /// The tail was written under a configuration that is not there.
    #[error(
        "journal: seq {seq} is not yet in the images and was made under configuration {hash:016x}, which is not in the images topic; start and stop once with that configuration"
    )]
    ConfigurationLost {
        /// Of the record.
        seq: u64,
        /// Of the configuration.
        hash: u64,
    },
    /// A stored configuration that this version does not read.
    #[error("images topic: configuration {hash:016x} cannot be read: {reason}; start with the version that wrote it")]
    Configuration {
        /// Its hash.
        hash: u64,
        /// What is wrong.
        reason: String,
    },
    /// The configuration does not fit the state of the customers.
    #[error(
        "{0}: customers are kept by the places of this list; add new entries at its end and take none away, or begin anew with another group_id"
    )]
    Misplaced(&'static str),
    /// The tail was written by another engine.
    #[error(
        "journal: transactions not yet in the images were made by engine version {0}, this is {ENGINE_VERSION}; start and stop once with the old version, then upgrade"
    )]
    Engine(u64),
    /// The end of the journal is missing.
    #[error(
        "journal: it ends at seq {journal}, an image or checkpoint already holds seq {image}; its end is lost: restore the topic from a backup, or begin anew with `touchline reset`"
    )]
    TailLost {
        /// Last of the journal.
        journal: u64,
        /// Of the image or checkpoint.
        image: u64,
    },
    /// The group has committed offsets and there is no state.
    #[error(
        "the group has committed offsets, and journal and images are empty; use another group_id, or `touchline reset`"
    )]
    StateLost,
    /// The group's offsets are not ours.
    #[error(
        "committed offset of \"{source_name}\" is {committed}, the journal says {journal}; something else commits in this group: `touchline reset`"
    )]
    Offset {
        /// Topic.
        source_name: String,
        /// Of the group.
        committed: i64,
        /// Of the journal.
        journal: i64,
    },
}

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

/// A restored partition.
#[derive(Debug)]
pub struct Restored {
    /// Customers.
    pub engine: Engine,
    /// Books.
    pub book: Book,
    /// Journal entries replayed.
    pub replayed: u64,
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
    outputs: Vec<engine::Output>,
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
        }
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
        self.chain(&header)?;
        let (first_offset, mut touchpoints) = self.open.take().unwrap_or((offset, 0));
        if header.seq >= self.first_seq() {
            if !entries.is_empty() {
                self.same_rules(&header)?;
            }
            for entry in entries {
                let entry = entry.map_err(format)?;
                touchpoints += u64::from(matches!(entry, Input::Touchpoint(_)));
                self.replay(&entry);
            }
            if header.last {
                let meta = header.meta(&self.identity.sources);
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
            Input::Removed(customer_id, _) => Some(*customer_id),
            Input::Tick(_) => None,
        };
        self.replayed += 1;
        if customer_id.is_none_or(|customer_id| !self.images.contains_key(customer_id)) {
            self.engine.apply(entry, &mut self.outputs);
            self.outputs.clear();
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
            return Err(Refusal::Engine(header.engine_version));
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
            return self.ready(fresh);
        };
        match metadata.filter(|text| !text.is_empty()).map(Meta::parse_metadata) {
            None => {}
            Some(Some((epoch, seq))) if epoch == truth.epoch && seq == truth.seq => {}
            Some(Some((epoch, seq))) if epoch == truth.epoch => {
                return Verdict::Retry(format!("the group committed seq {seq}, the journal shows seq {}", truth.seq));
            }
            Some(Some((found, seq))) => {
                return Verdict::Refuse(Refusal::Epoch { found, expected: truth.epoch, seq });
            }
            Some(None) => return Verdict::Refuse(Refusal::StateLost),
        }
        if self.last.as_ref().is_some_and(|last| !last.last) {
            return Verdict::Retry("the journal ends within a transaction".to_owned());
        }
        if let Some(refusal) = self.tail_lost(&truth).or_else(|| self.foreign_offset(&truth, offsets)) {
            return Verdict::Refuse(refusal);
        }
        self.ready(truth)
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

    fn ready(mut self, truth: Meta) -> Verdict {
        if let Err(refusal) = self.enter(truth.seq).and_then(|()| self.take_force()) {
            return Verdict::Refuse(refusal);
        }
        let is_configuration_kept = self.configurations.contains_key(&self.identity.config_hash);
        self.book.settle(truth, is_configuration_kept);
        Verdict::Ready(Box::new(Restored { engine: self.engine, book: self.book, replayed: self.replayed }))
    }
}
