//! Records of the inputs: one consumer per topic, assigned with explicit offsets. A topic whose queues are full is not
//! polled; that costs nothing and loses nothing, while pausing would throw away what is already fetched.

use super::client::{self, Clients};
use super::error::{Error, is_denied};
use super::member::known;
use crate::pipeline::Place;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long moving to other offsets may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(15);

/// From one assignment to the next. Where the client is told to stop a partition that has not stopped yet, an assertion of its
/// own ends the process (its issue 5573; seen once in a thousand faults, as a process woke from a long pause), and nothing tells
/// when it has.
const SETTLE: Duration = Duration::from_millis(200);

/// What one poll of a topic brought.
pub(super) enum Fetched<'a> {
    /// A record.
    Record(BorrowedMessage<'a>),
    /// This partition has no more records for now.
    End(i32),
    /// Nothing at the moment.
    Nothing,
    /// The wanted offset of some partition of this topic is gone from the log.
    OutOfRange,
}

/// What the client's statistics last reported of one topic.
#[derive(Debug, Default)]
struct FetchContext {
    /// The end of each partition that is read.
    ends: Mutex<BTreeMap<i32, i64>>,
    /// How many there are.
    partitions: AtomicI32,
}

impl ClientContext for FetchContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => {
                let partitions = statistics.topics.into_values().flat_map(|topic| topic.partitions.into_values());
                let partitions: Vec<_> = partitions.filter(|p| p.partition >= 0).collect();
                self.partitions.store(i32::try_from(partitions.len()).unwrap_or(0), Ordering::Relaxed);
                let known = partitions.iter().filter(|p| p.ls_offset >= 0);
                let ends = known.map(|p| (p.partition, p.ls_offset)).collect();
                *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
            }
            Err(error) => tracing::warn!(%error, "statistics of the kafka client cannot be read: no lag is shown"),
        }
    }
}

impl ConsumerContext for FetchContext {}

/// The little that is read of librdkafka's statistics.
#[derive(serde::Deserialize)]
struct Statistics {
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(serde::Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(serde::Deserialize)]
struct PartitionStatistics {
    partition: i32,
    ls_offset: i64,
}

/// The consumers of all topics that records are read from, in the order of the plan.
pub(super) struct Fetch {
    topics: Vec<(String, BaseConsumer<FetchContext>)>,
    assigned: Cell<Option<Instant>>,
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.topics.iter().map(|(topic, _)| topic)).finish()
    }
}

impl Fetch {
    /// Consumers of these topics, assigned nothing yet.
    pub(super) fn new(clients: &Clients, topics: &[String]) -> Result<Self, Error> {
        let config = clients.fetch();
        let create = |topic: &String| {
            let consumer = config.create_with_context(FetchContext::default());
            Ok((topic.clone(), consumer.map_err(Error::client(format!("creating the consumer of {topic}")))?))
        };
        Ok(Self { topics: topics.iter().map(create).collect::<Result<_, _>>()?, assigned: Cell::new(None) })
    }

    /// Reads these places and no others from now on, each from its offset. What was fetched before is
    /// forgotten. Soon after the last time it waits a little.
    pub(super) fn assign(&self, positions: &BTreeMap<Place, i64>) -> Result<(), Error> {
        if let Some(assigned) = self.assigned.get() {
            std::thread::sleep(SETTLE.saturating_sub(assigned.elapsed()));
        }
        for (index, (topic, consumer)) in self.topics.iter().enumerate() {
            let mut list = TopicPartitionList::new();
            for ((_, partition), offset) in positions.range((index, 0)..(index + 1, 0)) {
                list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                    .map_err(Error::client(format!("assigning {topic}-{partition} at {offset}")))?;
            }
            consumer.assign(&list).map_err(Error::client(format!("assigning partitions of {topic}")))?;
        }
        self.assigned.set(Some(Instant::now()));
        Ok(())
    }

    /// One event of a topic.
    pub(super) fn poll(&self, topic: usize, wait: Duration) -> Result<Fetched<'_>, Error> {
        let Some((topic, consumer)) = self.topics.get(topic) else { return Ok(Fetched::Nothing) };
        match consumer.poll(wait) {
            None => Ok(Fetched::Nothing),
            Some(Ok(message)) => Ok(Fetched::Record(message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Fetched::End(partition)),
            Some(Err(error)) if is_out_of_range(&error) => Ok(Fetched::OutOfRange),
            Some(Err(error)) if matches!(error, KafkaError::MessageConsumptionFatal(_)) || is_denied(&error) => {
                Err(Error::client(format!("reading {topic}"))(error))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, topic, "reading an input");
                Ok(Fetched::Nothing)
            }
        }
    }

    /// The end of a partition as of a few seconds ago; none before the first statistics.
    pub(super) fn end(&self, (topic, partition): Place) -> Option<i64> {
        let (_, consumer) = self.topics.get(topic)?;
        consumer.context().ends.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied()
    }

    /// How many partitions a topic has, as of a minute ago; 0 when nothing is known of it.
    pub(super) fn partitions(&self, topic: usize) -> i32 {
        self.topics.get(topic).map_or(0, |(_, consumer)| consumer.context().partitions.load(Ordering::Relaxed))
    }

    /// First and next-to-be-written offset that readers of committed records may see.
    pub(super) fn watermarks(&self, (topic, partition): Place) -> Result<(i64, i64), Error> {
        let Some((topic, consumer)) = self.topics.get(topic) else { return Ok((0, 0)) };
        consumer
            .fetch_watermarks(topic, partition, METADATA_TIMEOUT)
            .map_err(Error::client(format!("reading the ends of {topic}-{partition}")))
    }

    /// The first offset whose record is not older than `timestamp_ms`; none when there is no such record.
    pub(super) fn offset_at(&self, (topic, partition): Place, timestamp_ms: i64) -> Result<Option<i64>, Error> {
        let Some((topic, consumer)) = self.topics.get(topic) else { return Ok(None) };
        let what = || Error::client(format!("finding the offset of a time in {topic}-{partition}"));
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, partition, Offset::Offset(timestamp_ms)).map_err(what())?;
        let answer = consumer.offsets_for_times(asked, METADATA_TIMEOUT).map_err(what())?;
        Ok(answer.find_partition(topic, partition).and_then(|element| known(element.offset())))
    }
}

/// `_AUTO_OFFSET_RESET` is what `auto.offset.reset=error` answers.
fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange))
}

/// The timestamp of a record, if it has one.
pub(super) fn recorded_at(message: &BorrowedMessage<'_>) -> Option<crate::model::Timestamp> {
    message.timestamp().to_millis().map(crate::model::Timestamp)
}
