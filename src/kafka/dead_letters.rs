//! Dead letters read, and sent again into the topics they came from.
//!
//! ```text
//! dlq ─▶ from where the last retry ended, to the end as of now ─┬─▶ origin topic, same partition, retries + 1
//!                                                               └─▶ left: cut, or sent again too often
//! ```
//! What is sent and how far was read are one transaction, so a retry that is cut off sends nothing twice. Only the
//! retry's own position is moved (group `<group_id>-dlq-retry`); dead letters stay in their topic.

use super::client::Clients;
use super::error::Error;
use super::read::read_to_end;
use super::topics;
use crate::codec::RETRIES;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// One request, and one batch of records.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Records of one transaction.
const BATCH_RECORDS: u64 = 500;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where it lies in the dead-letter topic.
    pub partition: i32,
    /// Likewise.
    pub offset: i64,
    /// As it was read from its origin; customer data.
    pub key: Option<Vec<u8>>,
    /// As it was read, unless it was cut; customer data.
    pub value: Option<Vec<u8>>,
    /// Reason and origin, as in `schemas/dead-letter-headers.json`.
    pub headers: BTreeMap<String, String>,
}

/// What a retry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retried {
    /// Sent again.
    pub sent: u64,
    /// Not sent: the value was cut to fit.
    pub truncated: u64,
    /// Not sent: it was sent again as often as allowed.
    pub exhausted: u64,
    /// Not sent: its headers do not say where it came from.
    pub unknown: u64,
}

impl Letter {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| {
                    let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
                    (header.key.to_owned(), value)
                })
                .collect(),
        }
    }

    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn retries(&self) -> u32 {
        self.header(RETRIES).parse().unwrap_or(0)
    }

    /// Topic and partition it was read from.
    fn origin(&self) -> Option<(&str, i32)> {
        let topic = Some(self.header("touchline.topic")).filter(|topic| !topic.is_empty())?;
        Some((topic, self.header("touchline.partition").parse().ok()?))
    }
}

/// Hands every dead letter to `each`, partition by partition in order.
///
/// # Errors
/// When the topic cannot be read, or those of `each`.
pub fn read(
    clients: &Clients,
    topics: &topics::Topics,
    each: &mut dyn FnMut(Letter) -> Result<(), Error>,
) -> Result<(), Error> {
    let starts = partitions(clients, topics)?.map(|partition| (partition, Offset::Beginning)).collect();
    read_to_end(clients, &topics.dlq, &starts, &mut || Ok(()), &mut |message| each(Letter::of(message)))
}

fn partitions(clients: &Clients, topics: &topics::Topics) -> Result<std::ops::Range<i32>, Error> {
    let counts = topics::partition_counts(clients, topics)?;
    let count = counts.get(&topics.dlq).copied();
    let missing = || Error::Refused(format!("{}: does not exist, or this user lacks Read on it", topics.dlq));
    Ok(0..count.ok_or_else(missing)?)
}

/// Sends every dead letter since the last retry again, except those that were sent again `retries_max` times.
///
/// # Errors
/// When the brokers fail or a right is missing; what was sent by then stays sent and is not sent again.
pub fn retry(clients: &Clients, topics: &topics::Topics, retries_max: u32) -> Result<Retried, Error> {
    let (consumer, producer) = clients.retry()?;
    producer.init_transactions(TIMEOUT).map_err(Error::client("initialising transactions"))?;
    let starts = positions(&consumer, &topics.dlq, partitions(clients, topics)?)?;
    let mut retry = Retry { consumer, producer, topic: &topics.dlq, read: BTreeMap::new(), batch: 0 };
    let mut retried = Retried::default();
    read_to_end(clients, &topics.dlq, &starts, &mut || Ok(()), &mut |message| {
        let letter = Letter::of(message);
        retry.begin()?;
        match letter.origin() {
            None => retried.unknown += 1,
            _ if !letter.header("touchline.truncated").is_empty() => retried.truncated += 1,
            _ if letter.retries() >= retries_max => retried.exhausted += 1,
            Some((topic, partition)) => {
                retry.send(&letter, message, topic, partition)?;
                retried.sent += 1;
            }
        }
        retry.passed(letter.partition, letter.offset)
    })?;
    retry.commit()?;
    Ok(retried)
}

/// Where the last retry ended, or the beginning.
fn positions(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: std::ops::Range<i32>,
) -> Result<BTreeMap<i32, Offset>, Error> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, partition);
    }
    let what = "asking where the last retry ended (group <group_id>-dlq-retry)";
    let committed = consumer.committed_offsets(asked, TIMEOUT).map_err(Error::client(what))?;
    let start = |offset| if matches!(offset, Offset::Offset(_)) { offset } else { Offset::Beginning };
    Ok(committed.elements().iter().map(|element| (element.partition(), start(element.offset()))).collect())
}

struct Retry<'a> {
    consumer: BaseConsumer,
    producer: BaseProducer,
    topic: &'a str,
    /// Partition of the dead letters → next offset; since the last commit.
    read: BTreeMap<i32, i64>,
    batch: u64,
}

impl Retry<'_> {
    /// Begins a transaction, unless one is open.
    fn begin(&self) -> Result<(), Error> {
        if self.batch > 0 {
            return Ok(());
        }
        self.producer.begin_transaction().map_err(Error::client("beginning a transaction"))
    }

    fn send(&self, letter: &Letter, message: &BorrowedMessage<'_>, topic: &str, partition: i32) -> Result<(), Error> {
        let retries = (letter.retries() + 1).to_string();
        let own = message.headers().into_iter().flat_map(|headers| headers.iter());
        let own = own.filter(|header| !header.key.starts_with("touchline."));
        let headers = own.fold(OwnedHeaders::new(), OwnedHeaders::insert);
        let headers = headers.insert(Header { key: RETRIES, value: Some(&retries) });
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).headers(headers);
        record.key = letter.key.as_deref();
        record.payload = letter.value.as_deref();
        while let Err((error, back)) = self.producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(Error::client(format!("writing to {topic}-{partition}"))(error));
            }
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
        Ok(())
    }

    /// A dead letter is dealt with.
    fn passed(&mut self, partition: i32, offset: i64) -> Result<(), Error> {
        self.read.insert(partition, offset + 1);
        self.batch += 1;
        if self.batch < BATCH_RECORDS { Ok(()) } else { self.commit() }
    }

    fn commit(&mut self) -> Result<(), Error> {
        if self.batch == 0 {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &self.read {
            list.add_partition_offset(self.topic, *partition, Offset::Offset(*offset))
                .map_err(Error::client("listing offsets"))?;
        }
        let group = self.consumer.group_metadata();
        let group = group.ok_or_else(|| Error::Refused("the client knows no group".to_owned()))?;
        // Records that cannot be delivered make this and the commit fail: then nothing of the batch is sent.
        self.producer.flush(TIMEOUT).map_err(Error::client("sending dead letters again"))?;
        let hint = "sending dead letters again (it needs Write on their topics)";
        self.producer.send_offsets_to_transaction(&list, &group, TIMEOUT).map_err(Error::client(hint))?;
        self.producer.commit_transaction(TIMEOUT).map_err(Error::client(hint))?;
        self.read.clear();
        self.batch = 0;
        Ok(())
    }
}
