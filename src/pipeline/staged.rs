//! What one partition adds to a transaction, ready to be written.

use super::{Forwarded, Observed, Plan};
use crate::codec::encode::{self, Vocabulary as _};
use crate::codec::{Code, RawRecord, Rejection};
use crate::journal::ImageRecord;
use crate::model::hash64;
use std::sync::Arc;

/// A dead letter's key and payload are cut to this: with its headers it must fit the broker's default record limit.
const DEAD_LETTER_BYTES_MAX: usize = 900 * 1024;
/// Own headers of a record that its dead letter keeps, at most …
const HEADERS_MAX: usize = 64;
/// … and their bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// A record for the alerts or experience topic, keyed by customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Customer id.
    pub key: Arc<str>,
    /// In the form of [`Plan::output`]; none = tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers of that form.
    pub headers: Vec<(&'static str, String)>,
}

/// A rejected record as it was read, with the reason in its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// As read.
    pub key: Option<Vec<u8>>,
    /// As read, cut when it is too large for the broker (header `truncated`).
    pub value: Option<Vec<u8>>,
    /// Reason and origin; no payload text.
    pub headers: Vec<(&'static str, String)>,
    /// The record's own headers, without those of ours: with them it can be read when it is sent again.
    pub own_headers: Vec<(String, Vec<u8>)>,
    /// The reason.
    pub code: Code,
}

impl DeadLetter {
    /// The dead letter of a rejected record.
    pub(super) fn of(plan: &Plan, raw: &RawRecord<'_>, rejection: &Rejection) -> Self {
        let mut headers = encode::dead_letter_headers(raw, rejection, plan.source(raw.position.source));
        let key = raw.key.map(|key| key.get(..DEAD_LETTER_BYTES_MAX).unwrap_or(key).to_vec());
        let room = DEAD_LETTER_BYTES_MAX - key.as_ref().map_or(0, Vec::len);
        let value = raw.value.map(|value| {
            let kept = value.get(..room).unwrap_or(value);
            if kept.len() < value.len() {
                headers.push(("touchline.truncated", format!("{} bytes, xxh3 {:016x}", value.len(), hash64(value))));
            }
            kept.to_vec()
        });
        let own_headers = own_headers(raw, &mut headers);
        Self { key, value, headers, own_headers, code: rejection.code }
    }

    /// Bytes of key and value.
    pub(super) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// As many of the record's own headers as fit.
fn own_headers(raw: &RawRecord<'_>, headers: &mut Vec<(&'static str, String)>) -> Vec<(String, Vec<u8>)> {
    let (mut own, mut bytes) = (Vec::new(), 0);
    let Some(given) = raw.headers else { return own };
    for (name, value) in (0..).map_while(|index| given.at(index)).filter(|(name, _)| !name.starts_with("touchline.")) {
        bytes += name.len() + value.len();
        if own.len() == HEADERS_MAX || bytes > HEADER_BYTES_MAX {
            headers.push(("touchline.truncated", format!("headers after the first {}", own.len())));
            break;
        }
        own.push((name.to_owned(), value.to_vec()));
    }
    own
}

/// All of one partition's part of a transaction. Reused: `stage` clears it first.
#[derive(Debug, Default)]
pub struct Staged {
    /// For the alerts topic, in order.
    pub alerts: Vec<Keyed>,
    /// For the experience topic: one per customer.
    pub experience: Vec<Keyed>,
    /// For the dead letters, in order.
    pub dlq: Vec<DeadLetter>,
    /// For the repartition topic, in order.
    pub forwarded: Vec<Forwarded>,
    /// To tell every partition of the repartition topic: whether all there is to go through it has done so by now. None
    /// when it is known. The shell's to set.
    pub caught_up: Option<bool>,
    /// For the journal, in order; each ≤ 512 KiB.
    pub journal: Vec<Vec<u8>>,
    /// For the images topic; the checkpoint is last.
    pub images: Vec<ImageRecord>,
    /// (source, next offset) of every source whose start is known.
    pub offsets: Vec<(u16, i64)>,
    /// To commit with each of `offsets`.
    pub metadata: String,
    /// Its number: for `Partition::journal_delivered`.
    pub seq: u64,
    /// For metrics, after the commit.
    pub observed: Observed,
}

impl Staged {
    /// Empties it, keeping the room.
    pub fn clear(&mut self) {
        self.alerts.clear();
        self.experience.clear();
        self.dlq.clear();
        self.forwarded.clear();
        self.caught_up = None;
        self.journal.clear();
        self.images.clear();
        self.offsets.clear();
        self.metadata.clear();
        self.observed = Observed::default();
    }
}

/// How much the current transaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// Records read.
    pub inputs: u64,
    /// Alerts, experience changes, dead letters and records that go on, to write.
    pub outputs: u64,
    /// Bytes of journal entries, dead letters and records that go on.
    pub bytes: usize,
}
