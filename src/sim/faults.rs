//! What reality does to a stream: late, duplicate, reordered and poison records.
//!
//! Poison records are added, never put in another's place: the good records around them are those of a clean run.

use super::random::Random;
use super::{Fate, Record};
use crate::model::{
    Micro, Timestamp,
    time::{HOUR_MS, MINUTE_MS, SECOND_MS},
};
use std::collections::BTreeMap;

/// Shares of the records, 0 to 1 each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Held back for 1 to 36 hours of simulated time.
    pub late: Micro,
    /// Sent again, the same bytes, up to ten minutes later.
    pub duplicate: Micro,
    /// Held back for up to 50 s: neighbours change places.
    pub reordered: Micro,
    /// Hostile records, in turn from [`hostile`].
    pub poison: Micro,
}

/// Longest a record is held back.
pub(super) const HELD_MS_MAX: i64 = 36 * HOUR_MS;

/// A stream of records with faults. In order of the time they arrive.
#[derive(Debug)]
pub(super) struct Faulty<I: Iterator<Item = Record>> {
    inner: std::iter::Peekable<I>,
    faults: Faults,
    random: Random,
    /// Records on their way, by (time they arrive, order of entry).
    held: BTreeMap<(i64, u64), Record>,
    entered: u64,
    poisoned: u64,
}

impl<I: Iterator<Item = Record>> Faulty<I> {
    pub(super) fn new(inner: I, faults: Faults, random: Random) -> Self {
        Self { inner: inner.peekable(), faults, random, held: BTreeMap::new(), entered: 0, poisoned: 0 }
    }

    fn hold(&mut self, mut record: Record, delay_ms: i64, fate: Fate) {
        record.at = record.at.plus(delay_ms);
        record.fate = fate;
        self.entered += 1;
        self.held.insert((record.at.0, self.entered), record);
    }

    /// Lets a clean record in: it is held for as long as its fault says, 0 for most.
    fn enter(&mut self, record: Record) {
        if self.random.chance(self.faults.poison) {
            self.poisoned += 1;
            let poison = hostile(self.poisoned, &record);
            self.hold(poison, 0, Fate::Poison);
        }
        if self.random.chance(self.faults.duplicate) {
            let delay_ms = self.random.between(SECOND_MS, 10 * MINUTE_MS);
            // A copy arrives after the original, or the original would be called the duplicate.
            self.hold(record.clone(), delay_ms, Fate::Duplicate);
            self.hold(record, 0, Fate::Sent);
        } else if self.random.chance(self.faults.late) {
            let delay_ms = self.random.between(HOUR_MS, HELD_MS_MAX);
            self.hold(record, delay_ms, Fate::Late);
        } else if self.random.chance(self.faults.reordered) {
            let delay_ms = self.random.between(SECOND_MS, 50 * SECOND_MS);
            self.hold(record, delay_ms, Fate::Reordered);
        } else {
            self.hold(record, 0, Fate::Sent);
        }
    }
}

impl<I: Iterator<Item = Record>> Iterator for Faulty<I> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let due = self.held.first_key_value().map(|((at, _), _)| *at);
            match (due, self.inner.peek()) {
                (None, None) => return None,
                (Some(due), Some(next)) if due > next.at.0 => {}
                (Some(_), _) => return self.held.pop_first().map(|(_, record)| record),
                (None, Some(_)) => {}
            }
            if let Some(record) = self.inner.next() {
                self.enter(record);
            }
        }
    }
}

/// How many hostile payloads there are.
pub const HOSTILE: u64 = 28;

/// Hostile payload number `turn` (they take turns), on the topic and under the key of a good record nearby. Every
/// one of them must be rejected.
fn hostile(turn: u64, near: &Record) -> Record {
    let payload = hostile_payload(turn % HOSTILE, &near.customer_id, near.at);
    Record { payload, ..near.clone() }
}

/// A touchpoint in which one field is replaced or added.
fn with(id: &str, customer_json: &str, at_json: &str, extra: &str) -> Option<Vec<u8>> {
    Some(
        format!(
            r#"{{"occurred_at":{at_json},"id":"{id}","source":"hostile","customer_id":{customer_json},"channel":"web","kind":"page_viewed"{extra}}}"#
        )
        .into_bytes(),
    )
}

fn hostile_payload(turn: u64, customer: &str, at: Timestamp) -> Option<Vec<u8>> {
    let id = format!("x-{}-{turn}", at.0);
    let key = format!("\"{customer}\"");
    let time = at.0.to_string();
    let good = |extra: &str| with(&id, &key, &time, extra);
    let at_json = |at_json: &str| with(&id, &key, at_json, "");
    let customer_json = |customer_json: &str| with(&id, customer_json, &time, "");
    let nested = |depth: usize| format!(",\"attributes\":{}1{}", "[".repeat(depth), "]".repeat(depth));
    match turn {
        0 => Some(Vec::new()),
        1 => None,
        2 => Some(b"{\"id\":\"\xff\xfe\"}".to_vec()),
        3 => good("").map(|bytes| [b"\xef\xbb\xbf".as_slice(), &bytes].concat()),
        4 => good("").map(|bytes| [&bytes, b" {}".as_slice()].concat()),
        5 => good("").map(|mut bytes| {
            bytes.pop();
            bytes
        }),
        6 => good(&nested(128)),
        7 => good(&nested(10_000)),
        8 => good(",\"wait_ms\":NaN"),
        9 => good(",\"rating\":{\"instrument\":\"nps\",\"value\":1e400,\"min\":0,\"max\":10}"),
        10 => good(",\"wait_ms\":123456789012345678901234567890"),
        11 => good(",\"wait_ms\":-1"),
        12 => good(",\"duration_ms\":-9223372036854775808"),
        13 => good(",\"kind\":\"page_viewed\""),
        14 => good(",\"text\":\"\\ud800\""),
        15 => customer_json("\"c-\\u0000\""),
        16 => customer_json("\"c-\\u001b[31mred\""),
        17 => customer_json("\"c-1\\r\\nSet-Cookie: x\""),
        18 => customer_json(&format!("\"{}\"", "c".repeat(5_000))),
        19 => customer_json("\"null\""),
        20 => customer_json("\"undefined\""),
        21 => customer_json("\"00000000\""),
        22 => at_json("9223372036854775807"),
        23 => at_json("9214646400000"),
        24 => at_json("-1"),
        25 => at_json("\"yesterday\""),
        26 => at_json(&format!("{}", at.0 / 1_000)),
        _ => good(",\"rating\":{\"instrument\":\"csat\",\"value\":11,\"min\":1,\"max\":5}"),
    }
}
