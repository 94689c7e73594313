//! Why a restore is refused, and what to do.

use super::{ENGINE_VERSION, FormatError};
use crate::engine::ImageError;

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
        "journal: seq {found} where {expected} was expected; transactions are missing (retention below the age of the checkpoint?): restore the topic from a backup, or `touchline recover --from-input` reads their inputs again"
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
        "journal: transactions not yet in the images were made by engine version {0}, this is {ENGINE_VERSION}; start and stop once with the old version, then upgrade; or `run --recompute-tail` replays them with this version's arithmetic and tells the open alerts again"
    )]
    Engine(u64),
    /// The end of the journal is missing.
    #[error(
        "journal: it ends at seq {journal}, an image or checkpoint already holds seq {image}; its end is lost: restore the topic from a backup, or `touchline recover --from-input` reads its inputs again"
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
    /// What was to be read again does not say from where.
    #[error(
        "{0}; no checkpoint says from where the inputs would have to be read again: begin anew with `touchline reset`"
    )]
    NoBase(Box<Self>),
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
