//! What the service knows about itself: written by the workers (`kafka`), read by `admin` and `telemetry`, which are
//! siblings and never name each other. A lock is taken per transaction, never per record.
//!
//! ```text
//! partition: (not owned) ── assigned ──▶ Restoring ──▶ Running ⇄ Waiting, or Stopped(reason)
//!                 ▲                          │            │             │
//!                 └──────────── revoked ─────┴────────────┴─────────────┘
//! ```

mod open_alerts;

use crate::engine::{Settings, View};
use crate::model::Timestamp;
use crate::pipeline::Observed;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

pub use open_alerts::{Listed, OpenAlerts, Wanted};

/// A worker that has not turned its loop for this long is stuck: `/livez` fails.
const STUCK_MS: i64 = 90_000;

/// The wall clock: the one place of the service that reads it.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// What a partition is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Its state is being read back from images and journal; no query is answered.
    #[default]
    Restoring,
    /// It takes touchpoints.
    Running,
    /// Its next record needs something that does not answer; it goes on by itself. What it is.
    Waiting(String),
    /// It takes none until a person acts; the reason says what to do. The others go on.
    Stopped(String),
}

/// One owned partition, as of its last commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionStatus {
    /// What it is doing.
    pub state: State,
    /// Records not yet read, per input topic.
    pub lag: Vec<(String, i64)>,
    /// Wall clock of the last commit that moved an offset.
    pub last_progress: Timestamp,
    /// Watermark of its touchpoints; none before the first.
    pub watermark: Option<Timestamp>,
    /// Customers held.
    pub customers: u64,
    /// Open alerts by kind.
    pub open_alerts: Vec<(Cow<'static, str>, u64)>,
    /// Fates of all input records since the partition's creation: applied, late, duplicate, refused, dlq …
    pub fates: Vec<(&'static str, u64)>,
}

/// The answer to a customer query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The committed state.
    View(Box<View>),
    /// The partition is here and does not know the customer.
    Unknown,
    /// The customer's partition belongs to another instance.
    NotOwned,
    /// The partition is being restored.
    Restoring,
    /// Too many queries are waiting.
    Busy,
}

/// A query on its way to the partition's owner, who answers after its next commit.
#[derive(Debug)]
pub struct Query {
    /// Partition of the customer.
    pub partition: i32,
    /// Who.
    pub customer_id: String,
    /// Where the answer goes; dropped without one when the worker ends.
    pub reply: oneshot::Sender<Answer>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Committed.
    Committed,
    /// Aborted and rolled back.
    Aborted,
    /// In doubt; decided by the committed offsets.
    Doubtful,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Committed, Self::Aborted, Self::Doubtful];

    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Doubtful => "doubtful",
        }
    }
}

/// What one committed transaction did for one partition.
#[derive(Debug)]
pub struct Committed<'a> {
    /// What was seen: touchpoints by channel, scores, alerts …
    pub observed: &'a Observed,
    /// What it ran on: names of outcomes, and their cards.
    pub settings: &'a Settings,
    /// The input topics, in the order of the sources.
    pub topics: &'a [String],
    /// When the commit returned: alert latency is this minus the alert's `recorded_at`.
    pub at: Timestamp,
    /// Images and tombstones written.
    pub images: u64,
    /// Bytes of journal records written.
    pub journal_bytes: u64,
    /// What was added to each fate by this transaction.
    pub fates: &'a [(&'static str, u64)],
}

/// What the workers tell `telemetry`, per batch and never per record.
pub trait Signals: Send + Sync + std::fmt::Debug {
    /// A partition's part of a committed transaction.
    fn committed(&self, committed: &Committed<'_>);
    /// A transaction ended; `took` from its first record to its end.
    fn transaction(&self, outcome: Outcome, took: Duration);
    /// A producer was thrown away and initialised anew.
    fn producer_recreated(&self);
    /// Another member joined the group under this one's name.
    fn member_fenced(&self);
    /// A partition's state was read back: `records` from images and journal.
    fn restored(&self, records: u64, took: Duration);
    /// Records of an input were gone before they were read, and it goes on after them.
    fn lost(&self, records: u64);
    /// A record was taken although an earlier one of another topic might still come.
    fn merge_forced(&self, count: u64);
}

#[derive(Debug)]
struct Owned {
    status: PartitionStatus,
    queries: SyncSender<Query>,
}

/// The shared board. Cheap to read; every method takes `&self`.
#[derive(Debug)]
pub struct Status {
    owned: Mutex<BTreeMap<i32, Owned>>,
    beats: Vec<AtomicI64>,
    partitions: AtomicI32,
    joined: AtomicBool,
    /// What the start waits for.
    start_waits: Mutex<Option<String>>,
    open_alerts: OpenAlerts,
}

impl Status {
    /// A board for `workers` workers, none of which has joined the group yet.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let started = now().0;
        Self {
            owned: Mutex::default(),
            beats: (0..workers).map(|_| AtomicI64::new(started)).collect(),
            partitions: AtomicI32::new(0),
            joined: AtomicBool::new(false),
            start_waits: Mutex::default(),
            open_alerts: OpenAlerts::default(),
        }
    }

    /// Partitions of every topic; 0 until the topics were looked at.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions.load(Ordering::Relaxed)
    }

    /// The committed open alerts of all owned partitions.
    #[must_use]
    pub const fn open_alerts(&self) -> &OpenAlerts {
        &self.open_alerts
    }

    /// A copy of one owned partition's status.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<PartitionStatus> {
        self.lock().get(&partition).map(|owned| owned.status.clone())
    }

    /// A copy of every owned partition's status, by partition.
    #[must_use]
    pub fn all(&self) -> Vec<(i32, PartitionStatus)> {
        self.lock().iter().map(|(partition, owned)| (*partition, owned.status.clone())).collect()
    }

    /// Whether every owned partition runs and the group was joined.
    ///
    /// # Errors
    /// The first reason why not, for the body of `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        if !self.joined.load(Ordering::Relaxed) {
            let waits = self.start_waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(waits.unwrap_or_else(|| "has not joined the consumer group yet".to_owned()));
        }
        for (partition, owned) in self.lock().iter() {
            match &owned.status.state {
                State::Running => {}
                State::Waiting(what) => return Err(format!("partition {partition} waits: {what}")),
                State::Restoring => return Err(format!("partition {partition} is being restored")),
                State::Stopped(reason) => return Err(format!("partition {partition} is stopped: {reason}")),
            }
        }
        Ok(())
    }

    /// Whether every partition of the topics was taken over here and its state is complete.
    #[must_use]
    pub fn holds_all(&self) -> bool {
        let owned = self.lock();
        let is_whole = |owned: &Owned| owned.status.state != State::Restoring;
        usize::try_from(self.partitions.load(Ordering::Relaxed)) == Ok(owned.len()) && owned.values().all(is_whole)
    }

    /// Whether every worker turned its loop lately. Never depends on the broker.
    ///
    /// # Errors
    /// Which worker is stuck, for the body of `/livez`.
    pub fn live(&self, now: Timestamp) -> Result<(), String> {
        for (worker, beat) in self.beats.iter().enumerate() {
            let silent_ms = now.0.saturating_sub(beat.load(Ordering::Relaxed));
            if silent_ms > STUCK_MS {
                return Err(format!("worker {worker} has not moved for {} s", silent_ms / 1_000));
            }
        }
        Ok(())
    }

    /// Asks the owner of `partition` for a customer; the answer comes after the owner's next commit.
    ///
    /// # Errors
    /// The answer itself when no owner here can be asked.
    pub fn query(&self, partition: i32, customer_id: String) -> Result<oneshot::Receiver<Answer>, Answer> {
        let queries = match self.lock().get(&partition) {
            None => return Err(Answer::NotOwned),
            Some(owned) if owned.status.state == State::Restoring => return Err(Answer::Restoring),
            Some(owned) => owned.queries.clone(),
        };
        let (reply, answer) = oneshot::channel();
        match queries.try_send(Query { partition, customer_id, reply }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(Answer::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Answer::NotOwned),
        }
    }

    /// The topics were looked at: each has so many partitions.
    pub fn set_partitions(&self, partitions: i32) {
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// The start needs something that does not answer; it goes on by itself. No worker moves until then, and none is stuck.
    pub fn start_waits(&self, what: &str, now: Timestamp) {
        *self.start_waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
        (0..self.beats.len()).for_each(|worker| self.beat(worker, now));
    }

    /// The start goes on.
    pub fn start_goes_on(&self) {
        *self.start_waits.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A worker was given its first assignment.
    pub fn set_joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Worker `worker` turned its loop.
    pub fn beat(&self, worker: usize, now: Timestamp) {
        if let Some(beat) = self.beats.get(worker) {
            beat.store(now.0, Ordering::Relaxed);
        }
    }

    /// A partition was assigned here; it starts as `Restoring`.
    pub fn own(&self, partition: i32, queries: SyncSender<Query>) {
        self.lock().insert(partition, Owned { status: PartitionStatus::default(), queries });
    }

    /// A partition was given up.
    pub fn disown(&self, partition: i32) {
        self.lock().remove(&partition);
        self.open_alerts.end(partition);
    }

    /// Changes the status of an owned partition.
    pub fn update(&self, partition: i32, change: impl FnOnce(&mut PartitionStatus)) {
        if let Some(owned) = self.lock().get_mut(&partition) {
            change(&mut owned.status);
        }
    }

    /// A worker that panicked ends the process; what the board holds stays readable until then.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn is_ready_only_when_joined_and_every_partition_runs() {
        let status = Status::new(1);
        assert_eq!(status.ready(), Err("has not joined the consumer group yet".to_owned()));
        status.set_joined();
        assert_eq!(status.ready(), Ok(()));
        let (queries, _keep) = sync_channel(1);
        status.own(3, queries);
        assert_eq!(status.ready(), Err("partition 3 is being restored".to_owned()));
        status.update(3, |partition| partition.state = State::Running);
        assert_eq!(status.ready(), Ok(()));
        status.update(3, |partition| partition.state = State::Waiting("schema 7".to_owned()));
        assert_eq!(status.ready(), Err("partition 3 waits: schema 7".to_owned()));
        status.update(3, |partition| partition.state = State::Stopped("dlq limit".to_owned()));
        assert_eq!(status.ready(), Err("partition 3 is stopped: dlq limit".to_owned()));
        status.disown(3);
        assert_eq!(status.ready(), Ok(()));
    }

    #[test]
    fn queries_reach_the_owner_or_say_why_not() {
        let status = Status::new(1);
        assert_eq!(status.query(0, "c".to_owned()).err(), Some(Answer::NotOwned));
        let (queries, asked) = sync_channel(1);
        status.own(0, queries);
        assert_eq!(status.query(0, "c".to_owned()).err(), Some(Answer::Restoring));
        status.update(0, |partition| partition.state = State::Running);
        let mut answer = status.query(0, "c".to_owned()).expect("the partition runs");
        assert_eq!(status.query(0, "d".to_owned()).err(), Some(Answer::Busy));
        let query = asked.recv().expect("one query");
        assert_eq!((query.partition, query.customer_id.as_str()), (0, "c"));
        query.reply.send(Answer::Unknown).expect("the asker waits");
        assert_eq!(answer.try_recv(), Ok(Answer::Unknown));
    }

    #[test]
    fn a_silent_worker_is_stuck() {
        let status = Status::new(2);
        let start = now();
        assert_eq!(status.live(start), Ok(()));
        status.beat(0, start.plus(STUCK_MS));
        assert!(status.live(start.plus(STUCK_MS + 60_000)).is_err_and(|reason| reason.starts_with("worker 1")));
    }
}
