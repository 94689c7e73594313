//! Reading back the state of assigned partitions, in the one order that is safe:
//!
//! ```text
//!  producer initialised (earlier owner fenced) ─▶ committed offsets, stable ─▶ ends, open transactions included
//!    ─▶ until committed readers see these ends ─▶ images to the end ─▶ journal to the end ─▶ verdict
//!         ▲                                                                                   │ not there yet
//!         └───────────────────────────────────────────────────────────────────────────────────┘ until the deadline
//! ```
//! Ends are found by "end of partition" events: the last offset of a transactional log is a marker nobody is given, so
//! counting would wait for ever. The group member is served all the time; a rebalance or a stop interrupts.

use super::client::{self, Plain};
use super::error::Error;
use super::member::{CommittedOffsets, Member};
use super::read::{Each, read_to_end};
use super::{PAUSE, Shell};
use crate::journal::{Restored, Restorer, Verdict};
use crate::pipeline::Plan;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long one request for the ends of a partition may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The broker's default of `transaction.abort.timed.out.transaction.cleanup.interval.ms`: how much later than its
/// timeout an abandoned transaction may be aborted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(10);

/// A partition's state and what the group had committed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) restored: Restored,
    pub(super) committed: CommittedOffsets,
    /// Records of images and journal.
    pub(super) records: u64,
}

/// Reads back these partitions. The caller's producer is initialised already.
pub(super) fn restore(
    shell: &Shell,
    plan: &Plan,
    worker: usize,
    member: &Member,
    partitions: &BTreeSet<i32>,
) -> Result<BTreeMap<i32, Found>, Error> {
    let restore = Restore { shell, plan, worker, member };
    let patience = shell.clients.transaction_timeout() + CLEANUP_INTERVAL;
    let deadline = Instant::now() + patience;
    let mut found = BTreeMap::new();
    let mut missing = partitions.clone();
    while !missing.is_empty() {
        let is_final = Instant::now() >= deadline;
        for (partition, verdict) in restore.attempt(&missing, deadline, is_final)? {
            match verdict {
                (Verdict::Ready(restored), committed, records) => {
                    missing.remove(&partition);
                    found.insert(partition, Found { restored: *restored, committed, records });
                }
                (Verdict::Retry(reason), _, _) if !is_final => {
                    tracing::info!(partition, reason, "restore: reading again");
                    restore.pause()?;
                }
                (Verdict::Retry(reason), _, _) => {
                    return Err(Error::Refused(format!(
                        "partition {partition}: after {} s still: {reason}; what is lost there `touchline recover --from-input` \
                         makes up for from the inputs",
                        patience.as_secs()
                    )));
                }
                (Verdict::Refuse(refusal), _, _) => {
                    return Err(Error::Refused(format!("partition {partition}: {refusal}")));
                }
            }
        }
    }
    Ok(found)
}

struct Restore<'a> {
    shell: &'a Shell,
    plan: &'a Plan,
    worker: usize,
    member: &'a Member,
}

type Attempt = BTreeMap<i32, (Verdict, CommittedOffsets, u64)>;

impl Restore<'_> {
    fn attempt(&self, partitions: &BTreeSet<i32>, deadline: Instant, is_final: bool) -> Result<Attempt, Error> {
        let mut committed = self.patiently(|| self.member.committed(self.plan, partitions))?;
        self.wait_for_ends(partitions, deadline)?;
        let restorer = |partition: &i32| (*partition, (self.shell.restorer(self.plan, *partition, is_final), 0));
        let mut restorers: BTreeMap<i32, (Restorer, u64)> = partitions.iter().map(restorer).collect();
        self.read_images(&mut restorers)?;
        self.read_journal(&mut restorers)?;
        let verdicts = restorers.into_iter().map(|(partition, (restorer, records))| {
            let committed = committed.remove(&partition).unwrap_or_default();
            let verdict = restorer.finish(committed.metadata.as_deref(), &committed.offsets);
            (partition, (verdict, committed, records))
        });
        Ok(verdicts.collect())
    }

    /// Waits until readers of committed records see everything that is in the logs now: no transaction of an earlier
    /// owner is open any more.
    fn wait_for_ends(&self, partitions: &BTreeSet<i32>, deadline: Instant) -> Result<(), Error> {
        let all = client::plain_consumer(&self.shell.clients.ends(), "creating a client")?;
        let stable = client::plain_consumer(&self.shell.clients.restore(), "creating a client")?;
        for topic in [&self.shell.topics.images, &self.shell.topics.journal] {
            for partition in partitions {
                let (_, end) = self.patiently(|| bounds(&all, topic, *partition))?;
                while self.patiently(|| bounds(&stable, topic, *partition))?.1 < end {
                    if Instant::now() >= deadline {
                        return Err(Error::Refused(format!(
                            "{topic}-{partition}: a transaction of an earlier owner is still open; \
                             `kafka-transactions.sh find-hanging` names it"
                        )));
                    }
                    self.pause()?;
                }
            }
        }
        Ok(())
    }

    fn read_images(&self, restorers: &mut BTreeMap<i32, (Restorer, u64)>) -> Result<(), Error> {
        let starts = restorers.keys().map(|partition| (*partition, Offset::Beginning)).collect();
        self.read(&self.shell.topics.images, &starts, &mut |message| {
            let Some((restorer, records)) = restorers.get_mut(&message.partition()) else { return Ok(()) };
            *records += 1;
            restorer
                .image(message.key().unwrap_or_default(), message.payload(), seq_header(message))
                .map_err(|refusal| refused(message, &refusal))
        })
    }

    fn read_journal(&self, restorers: &mut BTreeMap<i32, (Restorer, u64)>) -> Result<(), Error> {
        let log = client::plain_consumer(&self.shell.clients.ends(), "creating a client")?;
        let journal = &self.shell.topics.journal;
        let mut starts = BTreeMap::new();
        for (partition, (restorer, _)) in restorers.iter_mut() {
            let from = restorer
                .from_offset()
                .map_err(|refusal| Error::Refused(format!("partition {partition}: {refusal}")))?;
            // Retention may have taken records the checkpoint still points to but nobody needs: after a long quiet time
            // all of them. If one is missing that is needed, the chain of headers shows it.
            let (first, end) = self.patiently(|| bounds(&log, journal, *partition))?;
            restorer.journal_ends_at(end);
            // A log that ends before the checkpoint's offset lost its end.
            let from = from.map_or(first, |from| from.max(first)).min(end);
            starts.insert(*partition, Offset::Offset(from));
        }
        self.read(&self.shell.topics.journal, &starts, &mut |message| {
            let Some((restorer, records)) = restorers.get_mut(&message.partition()) else { return Ok(()) };
            *records += 1;
            restorer
                .journal(message.offset(), message.payload().unwrap_or_default())
                .map_err(|refusal| refused(message, &refusal))
        })
    }

    fn read(&self, topic: &str, starts: &BTreeMap<i32, Offset>, each: &mut Each<'_>) -> Result<(), Error> {
        read_to_end(&self.shell.clients, topic, starts, &mut || self.proceed(), each)
    }

    fn patiently<T>(&self, call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        self.shell.patiently(self.worker, self.member, "restoring", call)
    }

    fn pause(&self) -> Result<(), Error> {
        std::thread::sleep(PAUSE);
        self.proceed()
    }

    fn proceed(&self) -> Result<(), Error> {
        self.shell.go_on(self.worker, "restoring")?;
        if self.member.is_disturbed() { Err(Error::Interrupted("restoring")) } else { Ok(()) }
    }
}

/// First offset and end of a log, as this client's isolation level sees it.
fn bounds(consumer: &BaseConsumer<Plain>, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
    let bounds = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
    bounds.map_err(Error::client(format!("reading the bounds of {topic}-{partition}")))
}

fn refused(message: &BorrowedMessage<'_>, refusal: &dyn std::fmt::Display) -> Error {
    Error::Refused(format!("{}-{}-{}: {refusal}", message.topic(), message.partition(), message.offset()))
}

/// The decimal `seq` header of a tombstone.
fn seq_header(message: &BorrowedMessage<'_>) -> Option<u64> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == "seq")?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}
