//! Reading a topic from known offsets to its end as of now: restore, and replay of the journal.

use super::client::{self, Clients};
use super::error::{Error, is_denied};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Longest time between two calls of `proceed`.
const PROCEED_EVERY: Duration = Duration::from_millis(100);

/// Takes one record.
pub(super) type Each<'a> = dyn FnMut(&BorrowedMessage<'_>) -> Result<(), Error> + 'a;

/// Hands every committed record of these partitions to `each`, in order, up to the end as of now. `proceed` is asked
/// every now and then.
pub(super) fn read_to_end(
    clients: &Clients,
    topic: &str,
    starts: &BTreeMap<i32, Offset>,
    proceed: &mut dyn FnMut() -> Result<(), Error>,
    each: &mut Each<'_>,
) -> Result<(), Error> {
    let consumer = client::plain_consumer(&clients.restore(), "creating a client")?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in starts {
        let what = || Error::client(format!("reading {topic}-{partition}"));
        list.add_partition_offset(topic, *partition, *offset).map_err(what())?;
    }
    consumer.assign(&list).map_err(Error::client(format!("reading {topic}")))?;
    let mut open: BTreeSet<i32> = starts.keys().copied().collect();
    let mut asked = Instant::now();
    while !open.is_empty() {
        if asked.elapsed() > PROCEED_EVERY {
            proceed()?;
            asked = Instant::now();
        }
        match consumer.poll(PROCEED_EVERY) {
            Some(Ok(message)) => each(&message)?,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) if is_lasting(&error) => {
                let hint = if is_denied(&error) { "" } else { " (is its log shorter than the checkpoint?)" };
                return Err(Error::client(format!("reading {topic}{hint}"))(error));
            }
            Some(Err(error)) => tracing::debug!(%error, topic, "reading to the end"),
            None => {}
        }
    }
    Ok(())
}

/// Errors that will not go away by polling on.
fn is_lasting(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            code,
            Some(
                Code::AutoOffsetReset
                    | Code::OffsetOutOfRange
                    | Code::UnknownTopicOrPartition
                    | Code::TopicAuthorizationFailed
            )
        )
}
