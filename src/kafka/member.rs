//! Membership in the consumer group, and what the group has committed.
//!
//! The member subscribes to what is shared out by partitions and is assigned nothing: records come through `fetch`. A rebalance callback
//! only notes what happened; the worker acts after `poll` and then acknowledges. No list of the client's own is kept
//! alive (that blocks its drop for ever): offsets are copied out at once.
//!
//! Whoever joins under the name of a static member (`group_instance_id`) fences the one that was there. That can be the member
//! itself: its coordinator moved or died, and the answer with its new member id was lost; or the join of a killed process
//! is handled after that of its successor. It is final for the client, so the worker joins with a new one after a pause
//! ([`Fences`]). Two living instances of one name fence each other in turn until the one that was fenced first ends. Limits:
//! with a `heartbeat.interval.ms` far above its 3 s they notice too late, and go on for ever; of two that were started in the
//! same second both may end; and each client that was given up keeps its threads until the process ends, for closing it may
//! end that by a signal.

use super::client::{self, Clients};
use super::error::{Error, is_denied, is_transport};
use crate::pipeline::Plan;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one request for committed offsets may take; unstable ones are waited for by the client.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a member that leaves serves the group.
const LEAVE: Duration = Duration::from_millis(300);
/// For so long a member that had trouble with a broker does not ask to leave.
const DISTURBED: Duration = Duration::from_secs(30);

/// Waits before a fenced member joins again, one after the other; fenced once more it gives up.
const FENCED_PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Earlier ones are forgotten. Longer than two twins take that notice within a heartbeat (3 s): 25 s.
const FENCED_WITHIN: Duration = Duration::from_secs(30);

/// What the group told this member, to be acted upon and acknowledged in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// These (topic, partition) are ours now.
    Assigned(Vec<(String, i32)>),
    /// Everything is taken; `lost` = the group went on without us, nothing can be committed.
    Revoked {
        /// Whether it is too late to commit.
        lost: bool,
    },
}

/// What the group committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CommittedOffsets {
    /// By source; none is not 0.
    pub(super) offsets: Vec<Option<i64>>,
    /// As staged with the offsets.
    pub(super) metadata: Option<String>,
}

/// When a member was fenced lately.
#[derive(Debug, Default)]
pub(super) struct Fences(Vec<Instant>);

impl Fences {
    /// Fenced now. Answers how long to wait before joining again; none = another instance of this name lives.
    pub(super) fn fenced(&mut self, now: Instant) -> Option<Duration> {
        self.0.retain(|at| now.duration_since(*at) < FENCED_WITHIN);
        self.0.push(now);
        FENCED_PAUSES.get(self.0.len() - 1).copied()
    }
}

#[derive(Debug, Default)]
struct MemberContext {
    pending: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
    /// When a broker was last away.
    disturbed: Mutex<Option<Instant>>,
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if is_transport(&error) {
            *self.disturbed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        client::log_error(&error, reason);
    }
}

impl MemberContext {
    /// Whether a broker was away that lately.
    fn was_disturbed_within(&self, span: Duration) -> bool {
        self.disturbed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < span)
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Relaxed) {
            // Nobody polls any more: acknowledged here, or the drop would wait for ever.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "leaving the group: unassign");
            }
            return;
        }
        let event = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assigned(tpl.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect())
        } else {
            Rebalance::Revoked { lost: consumer.assignment_lost() }
        };
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}

/// One member of the group.
pub(super) struct Member {
    consumer: BaseConsumer<MemberContext>,
    /// Those of places.
    topics: Vec<String>,
    /// Of these, those that are shared out.
    direct: Vec<String>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl Member {
    /// Joins the group for the topics whose partitions are shared out among its members.
    pub(super) fn join(clients: &Clients, worker: usize, plan: &Plan) -> Result<Self, Error> {
        let consumer: BaseConsumer<MemberContext> = clients
            .member(worker)
            .create_with_context(MemberContext::default())
            .map_err(Error::client("creating the group member"))?;
        let topics: Vec<String> = plan.topics().map(str::to_owned).collect();
        let direct: Vec<String> =
            (0..).zip(&topics).filter(|(topic, _)| plan.is_direct(*topic)).map(|(_, name)| name.clone()).collect();
        let names: Vec<&str> = direct.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(Error::client("subscribing to the input topics"))?;
        Ok(Self { consumer, topics, direct })
    }

    /// Serves the group and answers the oldest thing it wants.
    pub(super) fn poll(&self) -> Result<Option<Rebalance>, Error> {
        let polled = self.consumer.poll(Duration::ZERO);
        if let Some((code, _)) = self.consumer.client().fatal_error() {
            let fatal = KafkaError::MessageConsumptionFatal(code);
            return Err(Error::client("membership in the group (is group_instance_id used twice?)")(fatal));
        }
        if let Some(Err(error)) = polled {
            if is_denied(&error) {
                return Err(Error::client("joining the group")(error));
            }
            tracing::debug!(%error, "group member");
        }
        let mut pending = self.consumer.context().pending.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(pending.pop_front())
    }

    /// Whether a rebalance waits: what is going on must be given up soon. Serves the group on the way.
    pub(super) fn is_disturbed(&self) -> bool {
        if let Some(Err(error)) = self.consumer.poll(Duration::ZERO) {
            tracing::debug!(%error, "group member");
        }
        !self.consumer.context().pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            || self.consumer.client().fatal_error().is_some()
    }

    /// Whether another member joined under this one's name: nothing can be committed by this one any more.
    pub(super) fn is_fenced(&self) -> bool {
        let fatal = self.consumer.client().fatal_error();
        fatal.is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId)
    }

    /// Tells the group that an assignment was taken up.
    pub(super) fn acknowledge_assigned(&self) -> Result<(), Error> {
        self.consumer.assign(&TopicPartitionList::new()).map_err(Error::client("acknowledging an assignment"))
    }

    /// Tells the group that everything was given up.
    pub(super) fn acknowledge_revoked(&self) -> Result<(), Error> {
        self.consumer.unassign().map_err(Error::client("acknowledging a revocation"))
    }

    /// The generation that fences offsets; fresh for every transaction, none before joining.
    pub(super) fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// The topics that are shared out among the members.
    pub(super) fn direct(&self) -> &[String] {
        &self.direct
    }

    /// Asks to leave the group. The client is not closed; while brokers are away nothing is asked, and the session ends by
    /// itself.
    pub(super) fn leave(&self) {
        let context = self.consumer.context();
        context.closing.store(true, Ordering::Relaxed);
        if context.was_disturbed_within(DISTURBED) {
            return;
        }
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE;
        while Instant::now() < deadline {
            if let Some(Err(error)) = self.consumer.poll(LEAVE / 10) {
                tracing::debug!(%error, "leaving the group");
            }
        }
    }

    /// What the group committed for these partitions of a plan. Waits out a predecessor's pending transaction.
    pub(super) fn committed(
        &self,
        plan: &Plan,
        partitions: &BTreeSet<i32>,
    ) -> Result<BTreeMap<i32, CommittedOffsets>, Error> {
        let reads: Vec<_> = partitions.iter().map(|partition| (*partition, plan.reads(*partition))).collect();
        let name = |topic: usize| self.topics.get(topic).map_or("", String::as_str);
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in reads.iter().flat_map(|(_, places)| places).flatten() {
            asked.add_partition(name(*topic), *partition);
        }
        let answer = self
            .consumer
            .committed_offsets(asked, COMMITTED_TIMEOUT)
            .map_err(Error::client("reading the group's committed offsets"))?;
        let mut committed = BTreeMap::new();
        for (partition, places) in reads {
            let mut of_partition = CommittedOffsets::default();
            for place in places {
                let element = place.and_then(|(topic, partition)| answer.find_partition(name(topic), partition));
                let offset = element.as_ref().and_then(|element| known(element.offset()));
                let metadata = element.map(|element| element.metadata().to_owned()).filter(|text| !text.is_empty());
                // The first: what partition 0 reads of others may be from a time when another partition read it.
                if offset.is_some() && of_partition.metadata.is_none() {
                    of_partition.metadata = metadata;
                }
                of_partition.offsets.push(offset);
            }
            committed.insert(partition, of_partition);
        }
        Ok(committed)
    }
}

/// An offset proper: not "beginning", "end" or "none".
pub(super) fn known(offset: Offset) -> Option<i64> {
    offset.to_raw().filter(|raw| *raw >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_is_fenced_now_and_then_joins_again_and_who_is_fenced_again_and_again_gives_up() {
        let (start, mut fences) = (Instant::now(), Fences::default());
        for (at_s, pause) in
            [(0, Some(0.5)), (1, Some(1.0)), (3, Some(2.0)), (29, None), (100, Some(0.5)), (131, Some(0.5))]
        {
            assert_eq!(fences.fenced(start + at_s * SECOND), pause.map(Duration::from_secs_f64), "{at_s}");
        }
    }

    proptest! {
        /// Each fences the other by joining, who notices within a heartbeat.
        #[test]
        fn of_two_twins_the_one_that_was_fenced_first_ends_within_half_a_minute(notices_ms in prop::collection::vec(0..=3_000_u64, 7)) {
            let start = Instant::now();
            let (mut now, mut twins) = (start, [Fences::default(), Fences::default()]);
            for (turn, notice_ms) in notices_ms.into_iter().enumerate() {
                let ended = match twins[turn % 2].fenced(now) {
                    Some(pause) => {
                        now += pause + Duration::from_millis(notice_ms);
                        false
                    }
                    None => true,
                };
                prop_assert_eq!(ended, turn == 6, "in turn {}", turn);
            }
            prop_assert!(now.duration_since(start) <= 30 * SECOND);
        }
    }
}
