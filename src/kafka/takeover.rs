//! Taking partitions over and giving them up.
//!
//! ```text
//!            assigned                    state read back, positions known
//!  (nothing) ────────▶ announced: Restoring ────────▶ owned: Running ──▶ Stopped (dlq limit, input_truncated)
//!      ▲                      │ rebalance, stop            │ revoked          │
//!      └──────────────────────┴──────── parked ◀───────────┴──────────────────┘
//! ```
//! A parked partition is used again only if the group's committed epoch and seq are still its own.

use super::error::Error;
use super::member::CommittedOffsets;
use super::owned::Owned;
use super::restore::{Found, restore};
use super::worker::Worker;
use super::{assignment, topics};
use crate::config::StartFrom;
use crate::journal::{ImagesDue, Restored};
use crate::pipeline::{Partition, Place};
use crate::status::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// How a partition came back that would have been refused.
#[derive(Debug, Clone, Copy)]
enum WayOut {
    FromInput,
    RecomputeTail,
}

impl WayOut {
    const fn of(restored: &Restored) -> Option<Self> {
        match restored {
            Restored { is_rewound: true, .. } => Some(Self::FromInput),
            Restored { recomputed: Some(_), .. } => Some(Self::RecomputeTail),
            Restored { .. } => None,
        }
    }
}

impl Worker<'_> {
    /// Gives everything up. What was not committed is rolled back: `lost` says that nothing could be.
    pub(super) fn park(&mut self, lost: bool) -> Result<(), Error> {
        for (index, mut owned) in std::mem::take(&mut self.owned) {
            if lost {
                owned.partition.rollback();
            }
            self.parked.insert(index, owned.partition);
        }
        for partition in std::mem::take(&mut self.announced) {
            self.shell.status.disown(partition);
        }
        self.close();
        self.fetch.assign(&BTreeMap::new())
    }

    /// The partitions that an assignment makes ours.
    pub(super) fn co_owned(&self, assigned: &[(String, i32)]) -> Result<BTreeSet<i32>, Error> {
        let torn = match assignment::co_owned(self.member.direct(), assigned) {
            Ok(partitions) => return Ok(partitions),
            Err(torn) => torn,
        };
        let counts = topics::partition_counts(&self.shell.clients, &self.shell.topics)?;
        let count = |topic| counts.get(self.plan.topic(topic)).copied().unwrap_or(0);
        assignment::unchanged(&self.plan, count).and(Err(torn)).map_err(Error::Refused)
    }

    /// Makes these partitions ours, beside those we own.
    pub(super) fn take_over(&mut self, partitions: &BTreeSet<i32>) -> Result<(), Error> {
        self.announce(partitions);
        if partitions.is_empty() {
            // More members than partitions: ready, with nothing to do.
            return self.refetch();
        }
        let started = Instant::now();
        let mut missing = partitions.clone();
        let committed = self.patiently(|worker| worker.member.committed(&worker.plan, partitions))?;
        for (index, committed) in committed {
            let Some(partition) = self.parked.remove(&index) else { continue };
            if committed.metadata.as_deref() == Some(partition.meta().metadata().as_str()) {
                missing.remove(&index);
                self.own(index, partition, &committed)?;
            }
        }
        self.parked.clear();
        let mut records = 0;
        for (index, found) in restore(self.shell, &self.plan, self.index, &self.member, &missing)? {
            let Found { restored, committed, records: read } = found;
            records += read;
            let way_out = WayOut::of(&restored);
            let partition =
                Partition::restored(Arc::clone(&self.plan), Arc::clone(&self.shell.scorer), index, restored);
            match way_out {
                None => self.own(index, partition, &committed)?,
                Some(way_out) => self.own_after(way_out, index, partition, &committed)?,
            }
        }
        if !missing.is_empty() {
            let took = started.elapsed();
            tracing::info!(
                worker = self.index,
                partitions = missing.len(),
                records,
                took_ms = took.as_millis(),
                "restored"
            );
            self.shell.signals.restored(records, took);
        }
        self.refetch()
    }

    /// Adds a partition that a way out brought back, and makes that final: from now on nothing but its images is needed.
    fn own_after(
        &mut self,
        way_out: WayOut,
        index: i32,
        partition: Partition,
        committed: &CommittedOffsets,
    ) -> Result<(), Error> {
        match way_out {
            WayOut::FromInput => {
                tracing::warn!(partition = index, "transactions are lost: their inputs are read again");
                // The group's offsets are those of what was lost.
                self.own(index, partition, &CommittedOffsets::default())?;
            }
            WayOut::RecomputeTail => {
                tracing::warn!(
                    partition = index,
                    "another engine's tail was recomputed: its open alerts are told again"
                );
                self.own(index, partition, committed)?;
            }
        }
        if let Some(owned) = self.owned.get_mut(&index) {
            owned.is_start_due = true;
        }
        self.commit_of(&BTreeSet::from([index]), ImagesDue::Due)?;
        self.write_images(index, None)
    }

    /// Adds a partition whose state is complete; a source nobody has read yet begins at `start_from`.
    fn own(&mut self, index: i32, mut partition: Partition, committed: &CommittedOffsets) -> Result<(), Error> {
        partition.configure(&self.plan);
        let (mut stop, mut is_start_due) = (partition.stop_reason(), false);
        for (at, place) in self.plan.reads(index).into_iter().enumerate() {
            let Some(place) = place else { continue };
            let source = u16::try_from(at).unwrap_or(u16::MAX);
            let (first, next) = self.patiently(|worker| worker.fetch.watermarks(place))?;
            let known = partition.next_offset(source).or_else(|| committed.offsets.get(at).copied().flatten());
            match known {
                Some(offset) if offset < first && self.shell.kafka.accept_gap => {
                    self.pass_over(&mut partition, source, place, (offset, first));
                    is_start_due = true;
                }
                Some(offset) if offset < first => {
                    stop = Some(format!(
                        "input_truncated: {}-{} begins at {first}, the next record is {offset}: {} records are gone; \
                         `run --accept-gap` goes on without them",
                        self.plan.topic(place.0),
                        place.1,
                        first - offset
                    ));
                }
                // Only given here when it came from the group.
                Some(offset) => partition.start_at(source, offset),
                None => {
                    let is_new = self.is_new_in_its_topic(index, at, committed);
                    let start = if is_new { first } else { self.first_offset(place, first, next)? };
                    partition.start_at(source, start);
                    is_start_due = true;
                }
            }
        }
        self.shell.status.open_alerts().begin(index, partition.engine().open_alerts_by_customer());
        let mut owned = Owned::new(partition, index, &self.plan, self.shell.kafka.queue_marks);
        if is_start_due {
            // Committed at once: the next owner must begin here too, not where "latest" is by then.
            owned.is_start_due = true;
            self.begun.get_or_insert_with(Instant::now);
        }
        self.owned.insert(index, owned);
        self.shell.status.update(index, |status| status.state = State::Running);
        if let Some(reason) = stop {
            self.stop(index, &reason);
        }
        Ok(())
    }

    /// Whether a place nobody has read has to be read from its beginning, wherever the service is told to start: the
    /// repartition topic, where only we write, and a partition that was added to a topic read by now.
    fn is_new_in_its_topic(&self, partition: i32, source: usize, committed: &CommittedOffsets) -> bool {
        let reads = self.plan.reads(partition);
        let topic = |source: usize| reads.get(source).copied().flatten().map(|(topic, _)| topic);
        let mut read = committed.offsets.iter().enumerate().filter(|(_, offset)| offset.is_some());
        self.plan.repartition_source() == Some(source) || read.any(|(other, _)| topic(other) == topic(source))
    }

    /// Goes on after what is gone.
    fn pass_over(&self, partition: &mut Partition, source: u16, place: Place, (from, to): (i64, i64)) {
        partition.start_at(source, to);
        let topic = self.plan.topic(place.0);
        tracing::warn!(topic, from, to, "input is gone before it was read: goes on after it");
        self.shell.signals.lost(u64::try_from(to - from).unwrap_or(0));
    }

    fn patiently<T>(&self, call: impl Fn(&Self) -> Result<T, Error>) -> Result<T, Error> {
        self.shell.patiently(self.index, &self.member, "taking partitions over", || call(self))
    }

    fn first_offset(&self, place: Place, first: i64, next: i64) -> Result<i64, Error> {
        match self.shell.kafka.start_from {
            Some(StartFrom::Earliest) => Ok(first),
            Some(StartFrom::Latest) => Ok(next),
            Some(StartFrom::At(time)) => {
                let offset = self.patiently(|worker| worker.fetch.offset_at(place, time.0))?;
                Ok(offset.unwrap_or(next))
            }
            None => Err(Error::Refused(
                "kafka.start_from: a first start must say where to begin: earliest, latest or a moment".to_owned(),
            )),
        }
    }

    /// Reads every source of every running partition from its next offset on; what was read and not fed is forgotten.
    pub(super) fn refetch(&mut self) -> Result<(), Error> {
        let mut positions = BTreeMap::new();
        for owned in self.owned.values_mut() {
            owned.forget_queue();
            if !owned.is_stopped {
                positions.extend(owned.positions().map(|(_, place, next)| (place, next)));
            }
        }
        self.must_refetch = false;
        self.fetch.assign(&positions)
    }

    /// The broker has no record at a wanted offset: finds whose, and stops them or passes over what is gone.
    pub(super) fn truncated(&mut self, topic: usize) -> Result<(), Error> {
        let mut gone = Vec::new();
        for (index, owned) in &self.owned {
            for (_, place, wanted) in owned.positions().filter(|(_, place, _)| place.0 == topic) {
                let (first, next) = self.patiently(|worker| worker.fetch.watermarks(place))?;
                if wanted < first || wanted > next {
                    gone.push((*index, place, wanted, (first, next)));
                }
            }
        }
        for (index, place, wanted, (first, next)) in gone {
            if wanted < first && self.shell.kafka.accept_gap {
                let Some(mut owned) = self.owned.remove(&index) else { continue };
                let source = u16::try_from(self.plan.reader_of(place).1).unwrap_or(u16::MAX);
                self.pass_over(&mut owned.partition, source, place, (wanted, first));
                owned.is_start_due = true;
                self.begun.get_or_insert_with(Instant::now);
                self.owned.insert(index, owned);
            } else {
                let (topic, partition) = (self.plan.topic(topic), place.1);
                let reason = format!("input_truncated: {topic}-{partition} holds {first} to {next}, not {wanted}");
                self.stop(index, &reason);
            }
        }
        self.refetch()
    }
}
