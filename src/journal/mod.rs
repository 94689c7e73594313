//! Redo log and checkpoints of one partition: pure bookkeeping, the shell only moves the bytes.
//!
//! * The *journal* holds, per transaction, what the engine was given, in order: replayed, it gives the same state and
//!   the same alerts. It is the audit trail, so its format is written down here.
//! * An *image* is the state of one customer after a transaction. Images are written lazily, oldest change first; the
//!   *checkpoint* says from where the journal has to be replayed over them.
//!
//! ```text
//!  journal   … │ seq 7 │ seq 8 │ seq 9 │ seq 10 │            images   A@8  B@10  C@4(tombstone)  checkpoint
//!                ▲ from_seq: the oldest entry that no image holds          └ seq 10, from_seq 7, from_offset
//! ```
//!
//! # Encoding
//! `uint`: LEB128. `int`: zigzag, then LEB128. `hash`: 8 bytes, little-endian. `text`: uint length, UTF-8 bytes.
//! `opt x`: byte 0, or byte 1 and x. Numbers called micro are ints in millionths, times are ints in ms since 1970 UTC.
//!
//! ## Journal record
//! A transaction is one record, or several (`part` 0, 1, …) when it is larger than [`RECORD_BYTES_MAX`]; each has the
//! whole header, the same but for `part` and `last`:
//!
//! | field | type | |
//! |---|---|---|
//! | format | byte | [`FORMAT`] |
//! | flags | byte | bit 0: last part |
//! | epoch | hash | random, drawn when the partition's state was created |
//! | seq | uint | transaction, counted from 1, no gaps |
//! | part | uint | |
//! | partition | int | |
//! | config | hash | XXH3-64 of the configuration that decided the outputs |
//! | engine | uint | [`ENGINE_VERSION`] of the writer |
//! | watermark | opt time | after this transaction |
//! | clock | opt time | greatest record timestamp or idle clock seen |
//! | counters | uint count, uints | as [`Counters::values`] |
//! | limiter | 3 uints | rejected in a row; records and rejected records of the current window |
//! | sources | uint count, then per source: text name (`topic[partition]` for what only goes on through the repartition topic), opt int from, opt int to | next offset before and after |
//!
//! then entries up to the end of the record, each a tag byte and:
//!
//! | tag | entry |
//! |---|---|
//! | 0 | touchpoint: uint flags, text customer, hash event, uint source, int offset, time occurred_at, byte channel, uint kind (32-bit hash of its name), byte actor, byte contact, then what the flags announce, in this order: bits 0–1 number of signals (byte source, micro score, micro weight), bit 2 rating (byte instrument, micros value, min, max), bit 3 byte outcome, bit 4 time due_at, bit 5 int wait_ms, bit 6 int duration_ms, bits 7–10 texts session, conversation, order, topic, bit 11 text segment, bit 12 text tier, bit 14 byte item type, then lists of uint count and so many pairs of byte index and value: bit 15 measures (micro), bit 16 segments (uint hash), bit 17 due moments (time), bit 13 context (text), then bit 18 int partition, where source and offset are of another partition than the record: the touchpoint came through the repartition topic |
//! | 1 | tick: time |
//! | 2 | removal: byte why (0 consent, 1 erased, 2 evicted), text customer |
//! | 3 | recomputed: text customer, whose open alerts are told again (`run --recompute-tail`) |
//!
//! ## Image record
//! Key: a type byte, then 1: the customer id's bytes; 2: the partition as 4 bytes big-endian (checkpoint);
//! 3: a configuration's hash as 8 bytes big-endian. A customer's value is uint seq (the last transaction in it) and the engine's
//! image; a tombstone carries its seq in the record header `seq` (decimal) and stands for a customer who is gone.
//! The checkpoint's value is uint from_seq, opt int from_offset, the transaction's journal header, and, where from_seq is
//! not after it, a header that says what was known before the transaction from_seq (in `to`; its seq is from_seq − 1): from
//! there on the inputs hold what a lost journal held. A configuration's value is its canonical text (UTF-8), whose XXH3-64 is the key; the first transaction under it writes it, and it is never
//! deleted: whoever replays the journal needs the configuration that each record was written under.

mod book;
mod dirty;
mod image;
mod record;
mod refusal;
mod restore;

pub use book::{Book, Identity, ImagePolicy, ImagesDue};
pub use image::{Checkpoint, ImageKey, ImageRecord};
pub use record::{Entries, Header, SourceRange, actor, contact, instrument};
pub use refusal::Refusal;
pub use restore::{Recomputed, Restored, Restorer, SettingsOf, Verdict, WaysOut};

use crate::model::{Timestamp, wire::Damaged};

/// Version of the record format.
pub const FORMAT: u8 = 4;
/// The oldest that is still read: 3 added bit 18, 4 the entry `recomputed` and the second header of a checkpoint. A reader
/// refuses others.
pub const FORMAT_READ_FROM: u8 = 2;

/// Version of the engine's arithmetic: raised when the same entries would give another state or other alerts.
pub const ENGINE_VERSION: u64 = 2;

/// Largest journal record in bytes; well below every broker's default of 1 MiB.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

/// Why a record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Written by another version.
    #[error("record format {0} is not known to this version; use the version that wrote it")]
    Format(u8),
    /// Cut short or damaged.
    #[error("record is cut short or damaged")]
    Damaged,
}

impl From<Damaged> for FormatError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

/// What became of the input records of a partition since its creation. The six fates sum to the records read; the
/// rest are properties of some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Applied in full.
    pub applied: u64,
    /// Applied beyond the lateness: panes only.
    pub late: u64,
    /// Seen before.
    pub duplicate: u64,
    /// Refused by a limit.
    pub refused: u64,
    /// Rejected: sent to the dead letters.
    pub dlq: u64,
    /// Sent on to the partition of its key.
    pub repartitioned: u64,
    /// Event time clamped to the record's timestamp.
    pub clamped: u64,
    /// Of a kind the catalogue does not know.
    pub unknown_kinds: u64,
    /// Of a channel that is not known.
    pub unknown_channels: u64,
    /// Withdrawn consent: no state is kept.
    pub consent_withdrawn: u64,
}

impl Counters {
    /// How many there are.
    pub const VALUES: usize = 10;

    /// The six fates with their names in metrics, in a fixed order.
    #[must_use]
    pub const fn fates(&self) -> [(&'static str, u64); 6] {
        [
            ("applied", self.applied),
            ("late", self.late),
            ("duplicate", self.duplicate),
            ("refused", self.refused),
            ("dlq", self.dlq),
            ("repartitioned", self.repartitioned),
        ]
    }

    /// Every counter in the order of the journal.
    #[must_use]
    pub const fn values(&self) -> [u64; Self::VALUES] {
        [
            self.applied,
            self.late,
            self.duplicate,
            self.refused,
            self.dlq,
            self.repartitioned,
            self.clamped,
            self.unknown_kinds,
            self.unknown_channels,
            self.consent_withdrawn,
        ]
    }

    /// Reads back [`Self::values`].
    #[must_use]
    pub const fn from_values(values: [u64; Self::VALUES]) -> Self {
        let [
            applied,
            late,
            duplicate,
            refused,
            dlq,
            repartitioned,
            clamped,
            unknown_kinds,
            unknown_channels,
            consent_withdrawn,
        ] = values;
        Self {
            applied,
            late,
            duplicate,
            refused,
            dlq,
            repartitioned,
            clamped,
            unknown_kinds,
            unknown_channels,
            consent_withdrawn,
        }
    }
}

/// How many records were rejected lately: the base of the limits that stop a partition instead of draining a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limiter {
    /// Rejected in a row.
    pub consecutive: u64,
    /// Records of the current window.
    pub window_records: u64,
    /// Rejected ones among them.
    pub window_rejected: u64,
}

/// Everything of a partition that is not a customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Drawn at random when the partition's state was created; another one is another history.
    pub epoch: u64,
    /// Last transaction; 0 before the first.
    pub seq: u64,
    /// Next offset per source; none = nothing read and no start set.
    pub positions: Vec<Option<i64>>,
    /// Greatest event time accepted.
    pub watermark: Option<Timestamp>,
    /// Greatest record timestamp or idle clock seen.
    pub clock: Option<Timestamp>,
    /// What became of the records.
    pub counters: Counters,
    /// Rejected lately.
    pub limiter: Limiter,
}

impl Meta {
    /// The metadata committed with the offsets: `epoch:seq:watermark` (epoch in 16 hex digits, watermark `-` if none).
    #[must_use]
    pub fn metadata(&self) -> String {
        let watermark = self.watermark.map_or_else(|| "-".to_owned(), |time| time.0.to_string());
        format!("{:016x}:{}:{watermark}", self.epoch, self.seq)
    }

    /// Epoch and seq of committed metadata; none when it is not ours.
    #[must_use]
    pub fn parse_metadata(text: &str) -> Option<(u64, u64)> {
        let mut parts = text.split(':');
        let epoch = u64::from_str_radix(parts.next()?, 16).ok()?;
        let seq = parts.next()?.parse().ok()?;
        Some((epoch, seq))
    }
}

#[cfg(test)]
mod tests;
