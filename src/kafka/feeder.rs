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
