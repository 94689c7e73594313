//! A worker: one thread, one group member, one transactional producer, and the partitions it owns.
//!
//! ```text
//!            ┌────────────────────────── every turn ──────────────────────────┐
//!  member ──▶ rebalance?  ──▶ fetch: topics → queues ──▶ feed: queues → engines ──▶ due? commit ──▶ answer queries
//!                 │                                                                  │
//!                 ▼                                                                  ├ aborted: roll back, rewind
//!  revoked: commit, park, acknowledge       assigned: acknowledge, restore           └ doubt: new producer, decide
//! ```
//! Records are produced only when a transaction closes: between commits nothing of it is on the wire, so a rebalance,
//! a stop or an error has one thing to undo, the memory.

use super::commit::Committing;
use super::error::Error;
use super::fetch::{Fetch, Fetched, recorded_at};
use super::member::{Member, Rebalance};
use super::transaction::Transactions;
use super::{Shell, assignment};
use crate::codec::RawRecord;
use crate::journal::ImagesDue;
use crate::model::Position;
use crate::pipeline::{Merge, Partition};
use crate::status::{self, Answer, Query, State};
use rdkafka::message::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Records taken from one topic before the others have their turn.
const FETCH_RUN: usize = 2_000;
/// Records in a queue from which its topic counts as behind, until its end is seen again.
const BEHIND_RECORDS: usize = 1_000;
/// Wait of a turn that found nothing to do: bounds the latency a wait adds, and the idle cost.
const REST: Duration = Duration::from_millis(3);
/// Customer queries that may wait for an answer.
const QUERIES_MAX: usize = 256;

/// An owned partition.
pub(super) struct Owned {
    pub(super) partition: Partition,
    /// Records read and not yet fed.
    pub(super) queue: Merge,
    /// By source: its end was seen and no backlog since.
    pub(super) is_at_end: Vec<bool>,
    /// Where reading began, by source.
    pub(super) start: Vec<i64>,
    /// Since when a record waits for a topic that is behind.
    starved_since: Option<Instant>,
    /// Since when there is nothing to read.
    idle_since: Option<Instant>,
    pub(super) is_stopped: bool,
}

impl Owned {
    pub(super) fn new(partition: Partition, start: Vec<i64>) -> Self {
        let sources = start.len();
        Self {
            partition,
            queue: Merge::new(sources),
            is_at_end: vec![false; sources],
            start,
            starved_since: None,
            idle_since: None,
            is_stopped: false,
        }
    }

    /// The next offset of every source.
    pub(super) fn positions(&self) -> Vec<i64> {
        let next = |(source, start): (u16, &i64)| self.partition.next_offset(source).unwrap_or(*start);
        (0..).zip(&self.start).map(next).collect()
    }

    /// Forgets what was read and not fed: the sources are read anew.
    pub(super) fn forget_queue(&mut self) {
        self.queue = Merge::new(self.start.len());
        self.is_at_end.fill(false);
        self.starved_since = None;
        self.idle_since = None;
    }

    /// Whether the lowest record may be taken, or why not.
    fn may_take(&mut self, wait_max: Duration) -> Take {
        if self.queue.is_empty() {
            return Take::Nothing;
        }
        if !self.queue.starved(&self.is_at_end) {
            self.starved_since = None;
            return Take::Lowest;
        }
        let since = *self.starved_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= wait_max { Take::Forced } else { Take::Nothing }
    }
}

enum Take {
    Nothing,
    Lowest,
    Forced,
}

/// See the module.
pub(super) struct Worker<'a> {
    pub(super) shell: &'a Shell,
    pub(super) index: usize,
    pub(super) instance: String,
    pub(super) member: Member,
    pub(super) fetch: Fetch,
    /// None only while it is replaced.
    pub(super) transactions: Option<Transactions>,
    pub(super) owned: BTreeMap<i32, Owned>,
    /// Revoked, kept until the next assignment: used again if nobody committed in between.
    pub(super) parked: BTreeMap<i32, Partition>,
    pub(super) committing: Committing,
    /// When the open transaction began.
    pub(super) begun: Option<Instant>,
    inputs: usize,
    is_held: Vec<bool>,
    queries: (SyncSender<Query>, Receiver<Query>),
}

impl<'a> Worker<'a> {
    /// Connects and joins the group.
    pub(super) fn start(shell: &'a Shell, index: usize, instance: &str) -> Result<Self, Error> {
        let doubt_after = shell.doubt_after();
        let transactions = Transactions::init(&shell.clients, instance, index, doubt_after, &mut || {
            shell.status.beat(index, status::now());
            if shell.shutdown.is_requested() { Err(Error::Interrupted("initialising transactions")) } else { Ok(()) }
        })?;
        Ok(Self {
            member: Member::join(&shell.clients, index, &shell.topics.inputs)?,
            fetch: Fetch::new(&shell.clients, &shell.topics.inputs)?,
            transactions: Some(transactions),
            owned: BTreeMap::new(),
            parked: BTreeMap::new(),
            committing: Committing::default(),
            begun: None,
            inputs: 0,
            is_held: vec![false; shell.topics.inputs.len()],
            queries: sync_channel(QUERIES_MAX),
            shell,
            index,
            instance: instance.to_owned(),
        })
    }

    /// Works until a stop is asked for, then commits what is in memory.
    pub(super) fn run(mut self) -> Result<(), Error> {
        while !self.shell.shutdown.is_requested() {
            match self.turn() {
                Err(Error::Interrupted(what)) => tracing::info!(worker = self.index, what, "interrupted"),
                other => other?,
            }
        }
        self.finish()
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.shell.status.beat(self.index, status::now());
        for event in self.member.poll(Duration::ZERO)? {
            self.rebalance(event)?;
        }
        let fetched = self.fetch_all()?;
        let fed = self.feed_all();
        self.tick_idle();
        if self.is_due() {
            self.commit(ImagesDue::Due)?;
        }
        if self.begun.is_none() {
            self.answer_queries();
        }
        if fetched + fed == 0 {
            std::thread::sleep(REST);
        }
        Ok(())
    }

    fn rebalance(&mut self, event: Rebalance) -> Result<(), Error> {
        match event {
            Rebalance::Revoked { lost } => {
                if !lost {
                    self.commit(ImagesDue::Due)?;
                }
                self.park(lost)?;
                self.member.acknowledge_revoked()
            }
            Rebalance::Assigned(assigned) => {
                let partitions =
                    assignment::co_owned(&self.shell.topics.inputs, &assigned).map_err(Error::Refused)?;
                self.member.acknowledge_assigned()?;
                self.take_over(&partitions)
            }
        }
    }

    /// A status entry for a partition assigned here.
    pub(super) fn announce(&self, partitions: &BTreeSet<i32>) {
        for partition in partitions {
            self.shell.status.own(*partition, self.queries.0.clone());
        }
        self.shell.status.set_joined();
    }

    /// Moves records from the topics into the queues. Answers how many.
    fn fetch_all(&mut self) -> Result<usize, Error> {
        if self.owned.is_empty() {
            return Ok(0);
        }
        let mut fetched = 0;
        for source in 0..self.shell.topics.inputs.len() {
            if self.wants(source) {
                fetched += self.fetch_source(source)?;
            }
        }
        Ok(fetched)
    }

    /// A topic is held while one of its queues is full, until all are low again; but never while a partition has to
    /// wait for just this topic.
    fn wants(&mut self, source: usize) -> bool {
        let kafka = &self.shell.kafka;
        let longest = self.owned.values().map(|owned| owned.queue.len(source)).max().unwrap_or(0);
        let Some(is_held) = self.is_held.get_mut(source) else { return false };
        *is_held = if *is_held { longest > kafka.queue_low } else { longest >= kafka.queue_high };
        !*is_held
            || self.owned.values().any(|owned| owned.starved_since.is_some() && owned.queue.len(source) == 0)
    }

    fn fetch_source(&mut self, source: usize) -> Result<usize, Error> {
        for fetched in 0..FETCH_RUN {
            match self.fetch.poll(source, Duration::ZERO)? {
                Fetched::Record(message) => {
                    let Some(owned) = self.owned.get_mut(&message.partition()) else { continue };
                    owned.queue.push(
                        source,
                        message.offset(),
                        recorded_at(&message),
                        message.key(),
                        message.payload(),
                    );
                    owned.idle_since = None;
                    if owned.queue.len(source) >= BEHIND_RECORDS && let Some(end) = owned.is_at_end.get_mut(source) {
                        *end = false;
                    }
                }
                Fetched::End(partition) => {
                    if let Some(end) = self.owned.get_mut(&partition).and_then(|o| o.is_at_end.get_mut(source)) {
                        *end = true;
                    }
                }
                Fetched::Nothing => return Ok(fetched),
                Fetched::OutOfRange => {
                    self.stop_truncated()?;
                    return Ok(fetched);
                }
            }
        }
        Ok(FETCH_RUN)
    }

    /// Feeds the engines, the lowest record of each partition first, until the transaction is full.
    fn feed_all(&mut self) -> usize {
        let wait_max = self.shell.merge_wait_max();
        let inputs_max = self.shell.kafka.transaction_inputs_max;
        let (mut fed, mut forced, mut stopped) = (0, 0, Vec::new());
        for (index, owned) in self.owned.iter_mut().filter(|(_, owned)| !owned.is_stopped) {
            while self.inputs + fed < inputs_max {
                match owned.may_take(wait_max) {
                    Take::Nothing => break,
                    Take::Lowest => {}
                    Take::Forced => forced += 1,
                }
                let Some(record) = owned.queue.pop() else { break };
                owned.partition.record(&RawRecord {
                    position: Position { source: record.source, partition: *index, offset: record.offset },
                    recorded_at: record.recorded_at,
                    key: record.key,
                    value: record.value,
                });
                fed += 1;
                if let Some(reason) = owned.partition.stop_reason() {
                    stopped.push((*index, reason.to_string()));
                    owned.is_stopped = true;
                    break;
                }
            }
        }
        if fed > 0 {
            self.begun.get_or_insert_with(Instant::now);
            self.inputs += fed;
        }
        if forced > 0 {
            self.shell.signals.merge_forced(forced);
        }
        for (partition, reason) in stopped {
            self.stop(partition, &reason);
        }
        fed
    }

    /// The partition takes no more records; the reason is shown until a person acted.
    pub(super) fn stop(&mut self, partition: i32, reason: &str) {
        tracing::error!(partition, reason, "partition is stopped; the others go on");
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.is_stopped = true;
            owned.forget_queue();
        }
        self.shell.status.update(partition, |status| status.state = State::Stopped(reason.to_owned()));
    }

    /// Lets the clock fire the timers of partitions that have had nothing to read for a while.
    fn tick_idle(&mut self) {
        if !self.shell.kafka.idle_ticks {
            return;
        }
        let idle_after = self.shell.idle_after();
        for owned in self.owned.values_mut().filter(|owned| !owned.is_stopped) {
            if !owned.queue.is_empty() || !owned.is_at_end.iter().all(|is_at_end| *is_at_end) {
                owned.idle_since = None;
                continue;
            }
            if owned.idle_since.get_or_insert_with(Instant::now).elapsed() >= idle_after {
                owned.partition.idle(status::now());
                if !owned.partition.pending().is_empty() {
                    self.begun.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        let kafka = &self.shell.kafka;
        let Some(begun) = self.begun else { return false };
        if begun.elapsed() >= self.shell.commit_interval() || self.inputs >= kafka.transaction_inputs_max {
            return true;
        }
        let (outputs, bytes) = self.owned.values().fold((0, 0), |(outputs, bytes), owned| {
            let pending = owned.partition.pending();
            (outputs + pending.outputs, bytes + pending.bytes)
        });
        outputs >= kafka.transaction_outputs_max || bytes >= kafka.transaction_bytes_max
    }

    /// The open transaction is over, one way or the other.
    pub(super) fn close(&mut self) {
        self.begun = None;
        self.inputs = 0;
    }

    /// Answers customer queries; only called when memory equals what is committed.
    pub(super) fn answer_queries(&self) {
        while let Ok(query) = self.queries.1.try_recv() {
            let answer = match self.owned.get(&query.partition) {
                None => Answer::NotOwned,
                Some(owned) => match owned.partition.engine().view(&query.customer_id) {
                    Some(view) => Answer::View(Box::new(view)),
                    None => Answer::Unknown,
                },
            };
            // Whoever asked may have given up waiting; nothing is lost by that.
            drop(query.reply.send(answer));
        }
    }

    /// Commits, writes every image that is due so that the next start replays nothing, and leaves the group.
    fn finish(mut self) -> Result<(), Error> {
        for event in self.member.poll(Duration::ZERO)? {
            if let Rebalance::Revoked { lost: true } = event {
                return Ok(());
            }
        }
        let started = Instant::now();
        self.commit(ImagesDue::All)?;
        let took_ms = started.elapsed().as_millis();
        tracing::info!(worker = self.index, took_ms, "stopped cleanly: everything is committed");
        Ok(())
    }
}
