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
use super::fetch::{Fetch, Fetched};
use super::member::{Fences, Member, Rebalance};
use super::owned::{Owned, Taken};
use super::schemas::Schemas;
use super::transaction::Transactions;
use super::{PAUSE, Shell, assignment, client};
use crate::journal::ImagesDue;
use crate::pipeline::{Partition, Plan};
use crate::status::{self, Answer, Query, State};
use rdkafka::message::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Records taken from one topic before the others have their turn.
const FETCH_RUN: usize = 2_000;
/// Records of one partition that are decoded together.
const FEED_RUN: usize = 32;
/// Wait of a turn that found nothing to do: bounds the latency a wait adds, and the idle cost.
const REST: Duration = Duration::from_millis(3);
/// The share of `drain_timeout` in which images are begun to be written on a stop.
const DRAIN_IMAGES: f32 = 0.4;
/// How often lag and the like are shown anew.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// Customer queries that may wait for an answer.
const QUERIES_MAX: usize = 256;

/// See the module.
pub(super) struct Worker<'a> {
    pub(super) shell: &'a Shell,
    pub(super) index: usize,
    pub(super) instance: String,
    pub(super) member: Member,
    fences: Fences,
    pub(super) fetch: &'a Fetch,
    /// None only while it is replaced.
    pub(super) transactions: Option<Transactions>,
    pub(super) owned: BTreeMap<i32, Owned<'a>>,
    /// Revoked, kept until the next assignment: used again if nobody committed in between.
    pub(super) parked: BTreeMap<i32, Partition>,
    pub(super) committing: Committing,
    /// When the open transaction began.
    pub(super) begun: Option<Instant>,
    inputs: usize,
    /// Partitions whose status entry is ours.
    pub(super) announced: BTreeSet<i32>,
    /// What is read has to change: a partition was stopped.
    pub(super) must_refetch: bool,
    shown: Instant,
    queries: (SyncSender<Query>, Receiver<Query>),
    /// In force here.
    pub(super) plan: Arc<Plan>,
}

impl<'a> Worker<'a> {
    /// Connects and joins the group.
    pub(super) fn start(shell: &'a Shell, fetch: &'a Fetch, index: usize, instance: &str) -> Result<Self, Error> {
        let transactions = Transactions::init(&shell.clients, instance, index, shell.waits(), &mut || {
            shell.go_on(index, "initialising transactions")
        })?;
        let plan = shell.plan();
        Ok(Self {
            member: Member::join(&shell.clients, index, &plan)?,
            fences: Fences::default(),
            fetch,
            transactions: Some(transactions),
            owned: BTreeMap::new(),
            parked: BTreeMap::new(),
            committing: Committing::default(),
            begun: None,
            inputs: 0,
            announced: BTreeSet::new(),
            must_refetch: false,
            shown: Instant::now(),
            queries: sync_channel(QUERIES_MAX),
            shell,
            plan,
            index,
            instance: instance.to_owned(),
        })
    }

    /// Works until a stop is asked for, then commits what is in memory.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        let mut is_cut_short = false;
        while !self.shell.shutdown.is_requested() {
            match self.turn() {
                Err(Error::Interrupted(what)) => {
                    tracing::info!(worker = self.index, what, "interrupted");
                    is_cut_short = self.shell.shutdown.is_requested();
                }
                other => other?,
            }
        }
        self.finish(is_cut_short)
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.shell.status.beat(self.index, status::now());
        match self.member.poll() {
            Ok(Some(event)) => self.rebalance(event)?,
            Ok(None) => {}
            Err(error) if self.member.is_fenced() => self.rejoin(error)?,
            Err(error) => return Err(error),
        }
        let fetched = self.fetch_all()?;
        let fed = self.feed_all();
        self.tick_idle();
        if self.is_due() {
            self.commit(ImagesDue::Due)?;
        }
        if self.begun.is_none() {
            self.reconfigure();
            self.answer_queries();
            self.show()?;
        }
        if self.must_refetch {
            self.refetch()?;
        }
        if fetched + fed == 0 {
            std::thread::sleep(REST);
        }
        Ok(())
    }

    /// Gives up what is not committed and joins the group anew after a pause; fails when that was of no use before.
    fn rejoin(&mut self, error: Error) -> Result<(), Error> {
        self.park(true)?;
        self.shell.signals.member_fenced();
        let now = Instant::now();
        let Some(pause) = self.fences.fenced(now) else { return Err(error) };
        tracing::warn!(worker = self.index, %error, pause_ms = pause.as_millis(), "fenced: joins again after a pause");
        while now.elapsed() < pause {
            std::thread::sleep(PAUSE);
            self.shell.go_on(self.index, "waiting to join again")?;
        }
        let member = Member::join(&self.shell.clients, self.index, &self.plan)?;
        self.fences.keep(std::mem::replace(&mut self.member, member));
        Ok(())
    }

    /// Takes a new plan over; only called when memory equals what is committed.
    fn reconfigure(&mut self) {
        let plan = self.shell.plan();
        if Arc::ptr_eq(&plan, &self.plan) {
            return;
        }
        self.plan = plan;
        self.owned.values_mut().for_each(|owned| owned.partition.configure(&self.plan));
        tracing::info!(worker = self.index, config_hash = format!("{:016x}", self.plan.config_hash), "reconfigured");
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
                let partitions = self.co_owned(&assigned)?;
                self.member.acknowledge_assigned()?;
                self.take_over(&partitions)
            }
        }
    }

    /// Status entries for partitions assigned here.
    pub(super) fn announce(&mut self, partitions: &BTreeSet<i32>) {
        for partition in partitions {
            self.shell.status.own(*partition, self.queries.0.clone());
            self.announced.insert(*partition);
        }
        self.shell.status.set_joined();
    }

    /// Moves records from the topics into the queues. Answers how many.
    fn fetch_all(&mut self) -> Result<usize, Error> {
        if self.owned.is_empty() {
            return Ok(0);
        }
        let mut fetched = 0;
        for topic in 0..self.plan.topics().count() {
            if self.wants(topic) {
                fetched += self.fetch_topic(topic)?;
            }
        }
        Ok(fetched)
    }

    /// A topic is not polled while one of its queues is full, unless a partition has to wait for just this topic.
    fn wants(&self, topic: usize) -> bool {
        let reads =
            || self.owned.values().flat_map(|owned| self.plan.sources_of(topic).map(move |source| (owned, source)));
        !reads().any(|(owned, source)| owned.is_full(source)) || reads().any(|(owned, source)| owned.waits_for(source))
    }

    fn fetch_topic(&mut self, topic: usize) -> Result<usize, Error> {
        for fetched in 0..FETCH_RUN {
            match self.fetch.poll(topic, Duration::ZERO)? {
                Fetched::Record(message) => {
                    let (owner, source) = self.plan.reader_of((topic, message.partition()));
                    if let Some(owned) = self.owned.get_mut(&owner) {
                        owned.push(&self.plan, source, message);
                    }
                }
                Fetched::End(partition) => {
                    let (owner, source) = self.plan.reader_of((topic, partition));
                    if let Some(owned) = self.owned.get_mut(&owner) {
                        owned.reached_end(source, true);
                    }
                }
                Fetched::Nothing => return Ok(fetched),
                Fetched::OutOfRange => {
                    self.truncated(topic)?;
                    return Ok(fetched);
                }
            }
        }
        Ok(FETCH_RUN)
    }

    /// Feeds the engines, the lowest record of each partition first, until the transaction is full.
    fn feed_all(&mut self) -> usize {
        let wait_max = client::span(self.shell.kafka.merge_wait_max);
        let room = self.shell.kafka.transaction_inputs_max.saturating_sub(self.inputs);
        let schemas = Schemas { plan: &self.plan, registry: self.shell.registry.as_ref() };
        let (mut fed, mut forced, mut stopped, mut waiting) = (0, 0, Vec::new(), Vec::new());
        for (index, owned) in self.owned.iter_mut().filter(|(_, owned)| !owned.is_stopped) {
            while fed < room {
                let run = FEED_RUN.min(room - fed);
                let taken: Vec<Taken<'_>> = std::iter::from_fn(|| owned.take(wait_max, schemas)).take(run).collect();
                let records: Vec<_> = taken.iter().map(Taken::raw).collect();
                let accepted = owned.partition.records(&records);
                fed += accepted;
                forced += taken.iter().take(accepted).filter(|taken| taken.is_forced).count();
                if let Some(reason) = owned.partition.stop_reason() {
                    stopped.push((*index, reason));
                    break;
                }
                if taken.len() < FEED_RUN {
                    break;
                }
            }
            waiting.extend(owned.changed_wait().map(|id| (*index, id)));
        }
        if fed > 0 || self.owned.values().any(|owned| owned.untold_mark().is_some()) {
            self.begun.get_or_insert_with(Instant::now);
            self.inputs += fed;
        }
        if forced > 0 {
            self.shell.signals.merge_forced(forced as u64);
        }
        for (partition, reason) in stopped {
            self.stop(partition, &reason);
        }
        for (partition, id) in waiting {
            self.shell.status.update(partition, |status| {
                status.state = match id {
                    Some(id) => State::Waiting(format!("the schema registry has not answered for schema {id}")),
                    None => State::Running,
                };
            });
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
        self.must_refetch = true;
        self.shell.status.update(partition, |status| status.state = State::Stopped(reason.to_owned()));
    }

    /// Lets the clock fire the timers of partitions that have had nothing to read for a while, and brings their images
    /// up to date.
    fn tick_idle(&mut self) {
        let (kafka, now) = (&self.shell.kafka, status::now());
        let (idle_after, checkpoint_interval) = (client::span(kafka.idle_after), self.plan.bounds.checkpoint_interval);
        for owned in self.owned.values_mut() {
            if !owned.is_idle(idle_after) {
                continue;
            }
            if kafka.idle_ticks {
                owned.partition.idle(now);
            }
            let is_dirty = owned.partition.book().dirty_customers() > 0;
            owned.is_checkpoint_due = is_dirty && now.since(owned.progressed_at) >= checkpoint_interval.0;
            if owned.has_work() {
                self.begun.get_or_insert_with(Instant::now);
            }
        }
    }

    fn is_due(&self) -> bool {
        let kafka = &self.shell.kafka;
        let Some(begun) = self.begun else { return false };
        if begun.elapsed() >= client::span(kafka.commit_interval) || self.inputs >= kafka.transaction_inputs_max {
            return true;
        }
        let (outputs, bytes): (u64, usize) = self.owned.values().fold((0, 0), |(outputs, bytes), owned| {
            let pending = owned.partition.pending();
            (outputs + pending.outputs, bytes + pending.bytes)
        });
        usize::try_from(outputs).unwrap_or(usize::MAX) >= kafka.transaction_outputs_max
            || bytes >= kafka.transaction_bytes_max
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

    /// Shows where each partition stands, every second, and looks whether the topics are as they were.
    fn show(&mut self) -> Result<(), Error> {
        if self.shown.elapsed() < SHOW_EVERY {
            return Ok(());
        }
        self.shown = Instant::now();
        self.fences.close(&self.member);
        assignment::unchanged(&self.plan, |topic| self.fetch.partitions(topic)).map_err(Error::Refused)?;
        for (index, owned) in &self.owned {
            let partition = &owned.partition;
            let mut lag: BTreeMap<&str, i64> = BTreeMap::new();
            for (source, place, next) in owned.positions() {
                // Not shown before the end of a topic is known: no lag and unknown lag are different things.
                let Some(end) = self.fetch.end(place) else { continue };
                // What is not for the engine takes offsets, too: marks, and those of transactions.
                let ends_with_marks = owned.is_inbound(source) && owned.has_read(source);
                let records = if ends_with_marks { 0 } else { end.saturating_sub(next).max(0) };
                *lag.entry(self.plan.topic(place.0)).or_default() += records;
            }
            let lag = lag.into_iter().map(|(topic, lag)| (topic.to_owned(), lag));
            let (lag, open_alerts) = (lag.collect(), partition.engine().open_alerts());
            self.shell.status.update(*index, |status| {
                status.lag = lag;
                status.last_progress = owned.progressed_at;
                status.watermark = partition.watermark();
                status.customers = u64::try_from(partition.engine().customers()).unwrap_or(u64::MAX);
                status.open_alerts = open_alerts;
                status.fates = partition.counters().fates().to_vec();
            });
        }
        Ok(())
    }

    /// Leaves the group, so that others take over at once. A static member stays until its session ends.
    pub(super) fn leave(&self) {
        if self.shell.kafka.group_instance_id.is_none() {
            self.member.leave();
        }
    }

    /// Commits, and writes the images that are out of date so that the next start replays nothing.
    fn finish(&mut self, is_cut_short: bool) -> Result<(), Error> {
        let started = Instant::now();
        let budget = client::span(self.shell.kafka.drain_timeout).mul_f32(DRAIN_IMAGES);
        match self.member.poll() {
            Ok(Some(Rebalance::Revoked { lost: true })) => return Ok(()),
            // What is not committed is read again.
            Err(_) if self.member.is_fenced() => return Ok(()),
            polled => polled.map(drop)?,
        }
        self.commit(ImagesDue::Due)?;
        let partitions: Vec<i32> = self.owned.keys().copied().collect();
        for partition in partitions {
            self.write_images(partition, Some(started + budget))?;
        }
        let state = if is_cut_short { "what is not committed is read again" } else { "everything is committed" };
        tracing::info!(worker = self.index, took_ms = started.elapsed().as_millis(), "stopped: {state}");
        Ok(())
    }

    /// Writes every image of a partition that is out of date, transaction by transaction; begins none after `deadline`.
    pub(super) fn write_images(&mut self, partition: i32, deadline: Option<Instant>) -> Result<(), Error> {
        let is_dirty = |worker: &Self| {
            worker.owned.get(&partition).is_some_and(|owned| owned.partition.book().dirty_customers() > 0)
        };
        let is_time = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        while is_dirty(self) && is_time() && !self.member.is_fenced() {
            self.shell.status.beat(self.index, status::now());
            self.commit_of(&BTreeSet::from([partition]), ImagesDue::All)?;
        }
        Ok(())
    }
}
