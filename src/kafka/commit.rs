//! Closing a transaction: what the partitions staged is written, and how it ended decides what memory becomes.
//!
//! | ended | memory |
//! |---|---|
//! | committed | committed |
//! | aborted | rolled back, sources read again from the committed offsets |
//! | in doubt | a new producer fences the old one; then the group's metadata says `epoch:seq`: ours → committed, the one before → rolled back, anything else → restored from the topics |

use super::error::Error;
use super::owned::{CAUGHT_UP, MARK};
use super::topics::Topics;
use super::transaction::{Ended, Outgoing, Positions, Transactions};
use super::worker::Worker;
use crate::journal::{ImagesDue, Meta};
use crate::pipeline::{Forwarded, Plan, Staged};
use crate::status::{self, Committed, Outcome};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Transactions in a row that did not commit before the worker gives up.
const FAILURES_MAX: u32 = 10;
/// Longer pause after each failure.
const BACKOFF: Duration = Duration::from_millis(100);

/// Bytes of one batch; the client's limit is 1,000,000.
const BATCH_BYTES_MAX: usize = 900_000;
/// What a record takes in a batch besides key, value and headers.
const RECORD_OVERHEAD: usize = 64;

/// What goes on while a transaction is in doubt.
const DECIDING: &str = "deciding a transaction in doubt";

/// Reused buffers, and failures in a row.
#[derive(Debug, Default)]
pub(super) struct Committing {
    staged: Vec<(i32, Staged)>,
    failures: u32,
}

impl Worker<'_> {
    /// Commits what every partition did since the last commit; with `ImagesDue::All` also every image that is out of
    /// date. Nothing to do is fine.
    pub(super) fn commit(&mut self, due: ImagesDue) -> Result<(), Error> {
        let partitions = self.owned.keys().copied().collect();
        self.commit_of(&partitions, due)
    }

    pub(super) fn commit_of(&mut self, partitions: &BTreeSet<i32>, due: ImagesDue) -> Result<(), Error> {
        let mut staged = std::mem::take(&mut self.committing.staged);
        let count = self.stage(partitions, due, &mut staged);
        let begun = self.begun.unwrap_or_else(Instant::now);
        let result = match staged.get(..count) {
            Some(part) if count > 0 => {
                let ended = self.write(part);
                self.ended(part, ended, begun)
            }
            _ => Ok(()),
        };
        self.committing.staged = staged;
        self.close();
        result
    }

    fn stage(&mut self, partitions: &BTreeSet<i32>, due: ImagesDue, staged: &mut Vec<(i32, Staged)>) -> usize {
        let mut count = 0;
        for (index, owned) in self.owned.iter_mut().filter(|(index, _)| partitions.contains(index)) {
            if due == ImagesDue::Due && !owned.has_work() {
                continue;
            }
            if staged.len() == count {
                staged.push((*index, Staged::default()));
            }
            if let Some((partition, staged)) = staged.get_mut(count) {
                *partition = *index;
                owned.partition.stage(due, staged);
                staged.caught_up = owned.untold_mark();
                count += 1;
            }
        }
        count
    }

    fn write(&self, staged: &[(i32, Staged)]) -> Ended {
        let Some(transactions) = &self.transactions else { return Ended::Doubt("there is no producer".to_owned()) };
        if let Err(why) = transactions.begin() {
            return Ended::Doubt(why);
        }
        let mut writer = Writer { transactions, partition: 0, topic: "", batch_bytes: 0 };
        for (partition, staged) in staged {
            writer.begin(*partition);
            if let Err(ended) = writer.write(&self.shell.topics, staged) {
                return ended;
            }
        }
        if let Err(ended) = writer.forward(&self.plan, staged) {
            return ended;
        }
        let positions: Vec<Positions<'_>> = staged
            .iter()
            .map(|(partition, staged)| Positions {
                offsets: self.offsets(*partition, staged),
                metadata: &staged.metadata,
            })
            .collect();
        transactions.commit(&positions, self.member.group_metadata())
    }

    /// The offsets to commit, by topic and partition.
    fn offsets(&self, partition: i32, staged: &Staged) -> Vec<(&str, i32, i64)> {
        let reads = self.plan.reads(partition);
        let place = |source: u16| reads.get(usize::from(source)).copied().flatten();
        let offsets = staged.offsets.iter().filter_map(|(source, offset)| Some((place(*source)?, *offset)));
        offsets.map(|((topic, partition), offset)| (self.plan.topic(topic), partition, offset)).collect()
    }

    fn ended(&mut self, staged: &[(i32, Staged)], ended: Ended, begun: Instant) -> Result<(), Error> {
        let outcome = match &ended {
            Ended::Committed => Outcome::Committed,
            Ended::Aborted(_) => Outcome::Aborted,
            Ended::Doubt(_) => Outcome::Doubtful,
        };
        self.shell.signals.transaction(outcome, begun.elapsed());
        match ended {
            Ended::Committed => {
                self.committing.failures = 0;
                self.committed(staged);
                Ok(())
            }
            Ended::Aborted(why) => {
                tracing::warn!(worker = self.index, why, "transaction aborted: rolled back, reading again");
                self.roll_back(staged.iter().map(|(partition, _)| *partition));
                self.failed(&why)?;
                self.refetch()
            }
            Ended::Doubt(why) => {
                tracing::warn!(worker = self.index, why, "transaction in doubt: asking what is committed");
                self.failed(&why)?;
                self.decide(staged)
            }
        }
    }

    fn committed(&mut self, staged: &[(i32, Staged)]) {
        let delivered = self.transactions.as_ref().map(Transactions::delivered).unwrap_or_default();
        for (index, staged) in staged {
            self.committed_one(*index, staged, delivered.get(index).copied());
        }
    }

    fn committed_one(&mut self, index: i32, staged: &Staged, journal_offset: Option<i64>) {
        let Some(owned) = self.owned.get_mut(&index) else { return };
        owned.partition.commit();
        self.shell.status.open_alerts().changed(index, &staged.observed.alerts);
        if let Some(offset) = journal_offset {
            owned.partition.journal_delivered(staged.seq, offset);
        }
        owned.is_checkpoint_due = false;
        owned.is_start_due = false;
        if let Some(is_caught_up) = staged.caught_up {
            owned.told_mark(is_caught_up);
        }
        owned.progressed_at = status::now();
        let fates = owned.new_fates();
        let bytes: usize = staged.journal.iter().map(Vec::len).sum();
        self.shell.signals.committed(&Committed {
            observed: &staged.observed,
            settings: &self.plan.settings,
            topics: &self.shell.topics.inputs,
            at: owned.progressed_at,
            images: u64::try_from(staged.images.len()).unwrap_or(u64::MAX),
            journal_bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            fates: &fates,
        });
    }

    fn roll_back(&mut self, partitions: impl Iterator<Item = i32>) {
        for partition in partitions {
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.partition.rollback();
            }
        }
    }

    fn failed(&mut self, why: &str) -> Result<(), Error> {
        self.committing.failures += 1;
        let denied = self.transactions.as_ref().and_then(Transactions::denied);
        let why = denied.as_deref().unwrap_or(why);
        if self.committing.failures > FAILURES_MAX {
            return Err(Error::Refused(format!("{FAILURES_MAX} transactions in a row failed, the last: {why}")));
        }
        std::thread::sleep(BACKOFF * self.committing.failures);
        Ok(())
    }

    /// One way out of every doubt: fence, then let the committed offsets decide, partition by partition. Until then
    /// the partitions are nobody's: whatever interrupts this, an undecided one can never be staged again.
    fn decide(&mut self, staged: &[(i32, Staged)]) -> Result<(), Error> {
        let undecided: Vec<_> =
            staged.iter().filter_map(|(index, staged)| Some((*index, staged, self.owned.remove(index)?))).collect();
        // Dropped first: two producers of one transactional id would fence each other.
        self.transactions = None;
        let (shell, index) = (self.shell, self.index);
        self.transactions = Some(self.fence()?);
        shell.signals.producer_recreated();
        let partitions: BTreeSet<i32> = undecided.iter().map(|(index, ..)| *index).collect();
        let truth =
            shell.patiently(index, &self.member, DECIDING, || self.member.committed(&self.plan, &partitions))?;
        let mut unknown = BTreeSet::new();
        for (index, staged, owned) in undecided {
            let metadata = truth.get(&index).and_then(|committed| committed.metadata.as_deref());
            match verdict(&staged.metadata, metadata) {
                Decision::Committed => {
                    self.owned.insert(index, owned);
                    self.committed_one(index, staged, None);
                }
                Decision::RolledBack => {
                    self.owned.insert(index, owned);
                    self.roll_back(std::iter::once(index));
                }
                Decision::Unknown => {
                    unknown.insert(index);
                }
            }
        }
        if unknown.is_empty() { self.refetch() } else { self.take_over(&unknown) }
    }

    /// A new producer of our transactional id: it ends what the old one left open.
    fn fence(&self) -> Result<Transactions, Error> {
        let (shell, index) = (self.shell, self.index);
        Transactions::init(&shell.clients, &self.instance, index, shell.waits(), &mut || {
            // A rebalance that waits meanwhile is served afterwards.
            self.member.is_disturbed();
            shell.go_on(index, DECIDING)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Committed,
    RolledBack,
    Unknown,
}

/// What the group's metadata says about a transaction whose own metadata is `ours`.
fn verdict(ours: &str, committed: Option<&str>) -> Decision {
    let Some((epoch, seq)) = Meta::parse_metadata(ours) else { return Decision::Unknown };
    match committed.map(Meta::parse_metadata) {
        Some(Some(found)) if found == (epoch, seq) => Decision::Committed,
        Some(Some(found)) if found == (epoch, seq - 1) => Decision::RolledBack,
        None if seq == 1 => Decision::RolledBack,
        _ => Decision::Unknown,
    }
}

/// Writes one partition's part of a transaction, batch by batch.
///
/// A batch of a topic and partition is delivered before the next one is begun: the client allows one at a time, and
/// its thread spins while a second one is ready.
struct Writer<'a> {
    transactions: &'a Transactions,
    partition: i32,
    topic: &'a str,
    batch_bytes: usize,
}

impl<'a> Writer<'a> {
    /// Goes on with another partition.
    const fn begin(&mut self, partition: i32) {
        (self.partition, self.topic, self.batch_bytes) = (partition, "", 0);
    }

    fn write(&mut self, topics: &'a Topics, staged: &Staged) -> Result<(), Ended> {
        let alerts = staged.alerts.iter().map(|alert| (&topics.alerts, alert));
        for (topic, keyed) in alerts.chain(staged.experience.iter().map(|change| (&topics.experience, change))) {
            let headers = (!keyed.headers.is_empty())
                .then(|| with_headers(keyed.headers.iter().map(|(name, value)| (*name, value.as_bytes()))));
            self.put(topic, Some(keyed.key.as_bytes()), keyed.value.as_deref(), headers)?;
        }
        for letter in &staged.dlq {
            let ours = letter.headers.iter().map(|(key, value)| (*key, value.as_bytes()));
            let headers = Some(with_headers(own(&letter.own_headers).chain(ours)));
            self.put(&topics.dlq, letter.key.as_deref(), letter.value.as_deref(), headers)?;
        }
        for record in &staged.journal {
            self.put(&topics.journal, None, Some(record), None)?;
        }
        for image in &staged.images {
            let seq = image.seq.to_string();
            let headers = image.value.is_none().then(|| with_headers([("seq", seq.as_bytes())].into_iter()));
            self.put(&topics.images, Some(&image.key), image.value.as_deref(), headers)?;
        }
        Ok(())
    }

    /// Writes what goes on through the repartition topic, partition by partition, and what is to be told there.
    fn forward(&mut self, plan: &'a Plan, staged: &[(i32, Staged)]) -> Result<(), Ended> {
        let Some(repartition) = &plan.repartition else { return Ok(()) };
        let mut by_partition: BTreeMap<i32, Vec<&Forwarded>> = BTreeMap::new();
        for forwarded in staged.iter().flat_map(|(_, staged)| &staged.forwarded) {
            by_partition.entry(forwarded.partition).or_default().push(forwarded);
        }
        for (partition, records) in by_partition {
            self.begin(partition);
            for forwarded in records {
                let headers = with_headers(own(&forwarded.headers));
                self.put(&repartition.name, forwarded.key.as_deref(), forwarded.value.as_deref(), Some(headers))?;
            }
        }
        let marks = staged.iter().filter_map(|(_, staged)| staged.caught_up);
        for (partition, is_caught_up) in marks.flat_map(|mark| (0..plan.partitions).map(move |number| (number, mark))) {
            self.begin(partition);
            let mark = (MARK, if is_caught_up { CAUGHT_UP } else { b"behind" });
            let headers = with_headers(std::iter::once(mark));
            self.put(&repartition.name, None, None, Some(headers))?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        topic: &'a str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<OwnedHeaders>,
    ) -> Result<(), Ended> {
        if self.topic != topic {
            (self.topic, self.batch_bytes) = (topic, 0);
        }
        let header_bytes = headers.as_ref().map_or(0, |headers| {
            headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len) + 2).sum()
        });
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + header_bytes + RECORD_OVERHEAD;
        if self.batch_bytes > 0 && self.batch_bytes + bytes > BATCH_BYTES_MAX {
            self.transactions.pump()?;
            self.batch_bytes = 0;
        }
        self.batch_bytes += bytes;
        // The journal has no keys.
        let is_traced = key.is_none() && headers.is_none();
        self.transactions.send(Outgoing { topic, partition: self.partition, key, value, headers, is_traced })
    }
}

fn own(headers: &[(String, Vec<u8>)]) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(key, value)| (key.as_str(), value.as_slice()))
}

fn with_headers<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> OwnedHeaders {
    headers.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_metadata_decides_a_transaction_in_doubt() {
        let (ours, first) = ("00000000000000aa:7:123", "00000000000000aa:1:-");
        for (ours, committed, decision) in [
            (ours, Some("00000000000000aa:7:123"), Decision::Committed),
            (ours, Some("00000000000000aa:6:99"), Decision::RolledBack),
            (ours, Some("00000000000000aa:8:124"), Decision::Unknown),
            (ours, Some("00000000000000bb:7:123"), Decision::Unknown),
            (ours, Some("something else"), Decision::Unknown),
            (ours, None, Decision::Unknown),
            (first, None, Decision::RolledBack),
        ] {
            assert_eq!(verdict(ours, committed), decision, "{ours} {committed:?}");
        }
    }
}
