//! A plain producer for `simulate` and `demo`: what a shop's own systems would be. Not part of the service.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Records between two looks at the delivery reports.
const POLL_EVERY: u64 = 500;
/// How long a full queue may stay full: longer than the producer tries to deliver a record.
const FULL_TRIES_MAX: u32 = 15_000;

/// Why records could not be produced.
#[derive(Debug, thiserror::Error)]
pub enum FeederError {
    /// The client could not be made: a property is wrong.
    #[error("producer cannot be started: {0}")]
    Client(#[source] KafkaError),
    /// A record was refused at once.
    #[error("topic {topic}: record not accepted: {source}")]
    Send {
        /// Where it should have gone.
        topic: String,
        /// What the client says.
        source: KafkaError,
    },
    /// Records were accepted and not delivered.
    #[error("{count} records were not delivered, the first because: {first}; check the brokers and the topic's name")]
    Delivery {
        /// How many.
        count: u64,
        /// The first one's error.
        first: KafkaError,
    },
    /// The rest could not be delivered in time.
    #[error("records could not be flushed: {0}; check that the brokers can be reached")]
    Flush(#[source] KafkaError),
}

/// Undelivered records: how many, and the first one's error.
#[derive(Debug, Default)]
struct Reports(Mutex<Option<(u64, KafkaError)>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, _) = failed.get_or_insert((0, error.clone()));
            *count += 1;
        }
    }
}

/// The producer: all replicas acknowledge, lz4, keys partitioned as the Java clients do.
pub struct Feeder {
    producer: BaseProducer<Reports>,
    sent: u64,
}

impl std::fmt::Debug for Feeder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feeder").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Feeder {
    /// A producer for these brokers; `properties` are librdkafka's and win over ours.
    ///
    /// # Errors
    /// When the client refuses a property.
    pub fn new(bootstrap_servers: &str, properties: &BTreeMap<String, String>) -> Result<Self, FeederError> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", bootstrap_servers)
            .set("client.id", "touchline-simulate")
            .set("partitioner", "murmur2_random")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "5");
        for (key, value) in properties {
            client.set(key, value);
        }
        let producer = client.create_with_context(Reports::default()).map_err(FeederError::Client)?;
        Ok(Self { producer, sent: 0 })
    }

    /// Hands one record over; waits while the queue is full.
    ///
    /// # Errors
    /// When the client refuses it, or an earlier one was not delivered.
    pub fn send(&mut self, topic: &str, key: &str, payload: Option<&[u8]>) -> Result<(), FeederError> {
        let mut record = BaseRecord::<str, [u8]>::to(topic).key(key);
        record.payload = payload;
        let mut tries = 0;
        while let Err((error, refused)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) || tries == FULL_TRIES_MAX {
                return Err(FeederError::Send { topic: topic.to_owned(), source: error });
            }
            tries += 1;
            self.producer.poll(Duration::from_millis(20));
            record = refused;
        }
        self.sent += 1;
        if self.sent.is_multiple_of(POLL_EVERY) { self.poll() } else { Ok(()) }
    }

    /// Looks at delivery reports; call it now and then when nothing is sent.
    ///
    /// # Errors
    /// When a record was not delivered.
    pub fn poll(&self) -> Result<(), FeederError> {
        self.producer.poll(Duration::ZERO);
        match self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((count, first)) => Err(FeederError::Delivery { count, first }),
            None => Ok(()),
        }
    }

    /// Waits until everything is delivered.
    ///
    /// # Errors
    /// When something is not delivered within `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), FeederError> {
        self.producer.flush(timeout).map_err(FeederError::Flush)?;
        self.poll()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::partition_of;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;
    use rdkafka::{Message, Offset, TopicPartitionList};
    use std::time::Instant;

    #[test]
    fn records_arrive_on_the_partition_of_their_key() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 4, 1).unwrap();
        let mut feeder = Feeder::new(&cluster.bootstrap_servers(), &BTreeMap::new()).unwrap();
        for number in 0..200 {
            let payload = (number % 2 == 0).then_some(b"x".as_slice());
            feeder.send("t", &format!("c-{number}"), payload).unwrap();
        }
        feeder.flush(Duration::from_secs(30)).unwrap();

        let servers = cluster.bootstrap_servers();
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "g").create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..4 {
            partitions.add_partition_offset("t", partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let (mut read, mut tombstones, deadline) = (0, 0, Instant::now() + Duration::from_secs(30));
        while read < 200 && Instant::now() < deadline {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            assert_eq!(message.partition(), partition_of(message.key().unwrap(), 4));
            tombstones += usize::from(message.payload().is_none());
            read += 1;
        }
        assert_eq!((read, tombstones), (200, 100));
    }

    #[test]
    fn what_is_not_delivered_is_an_error() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let small = BTreeMap::from([("message.max.bytes".to_owned(), "1000".to_owned())]);
        let mut feeder = Feeder::new(&cluster.bootstrap_servers(), &small).unwrap();
        assert!(matches!(feeder.send("t", "c", Some(&[b'x'; 5_000])), Err(FeederError::Send { .. })));
        let quick = BTreeMap::from([("message.timeout.ms".to_owned(), "200".to_owned())]);
        let mut feeder = Feeder::new("127.0.0.1:1", &quick).unwrap();
        feeder.send("t", "c", Some(b"x")).unwrap();
        assert!(matches!(feeder.flush(Duration::from_secs(30)), Err(FeederError::Delivery { count: 1, .. })));
        let wrong = BTreeMap::from([("no.such.property".to_owned(), String::new())]);
        assert!(matches!(Feeder::new("127.0.0.1:1", &wrong), Err(FeederError::Client(_))));
    }
}
