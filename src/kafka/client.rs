//! The settings of every client a worker owns. What the guarantees rest on is set last, so that no property of the
//! user's can undo it (`config` also refuses those by name).
//!
//! | client | isolation | job |
//! |---|---|---|
//! | member | read_committed | group membership, committed offsets; it is assigned nothing and fetches nothing |
//! | fetch, one per input topic | read_committed | records; back-pressure is not polling it |
//! | restore, one per internal topic | read_committed | images, journal to their ends |
//! | ends | read_uncommitted | ends including open transactions |
//! | producer | – | transactions |

use super::error::Error;
use crate::config::{Kafka, Secret};
use crate::model::time::Span;
use crate::pipeline::merge::Marks;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Builds the settings of every client from `[kafka]`.
#[derive(Debug, Clone)]
pub struct Clients {
    kafka: Kafka,
}

impl Clients {
    /// Clients of these brokers and this group.
    #[must_use]
    pub const fn new(kafka: Kafka) -> Self {
        Self { kafka }
    }

    /// How long queues of fetched records may get.
    pub(super) const fn queue_marks(&self) -> Marks {
        self.kafka.queue_marks
    }

    /// Settings that every client shares: metadata and administration need no more.
    #[must_use]
    pub fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // The client's own 10 s make every outage that much longer.
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("client.id", "touchline");
        set_all(&mut config, &self.kafka.properties);
        config.set("bootstrap.servers", &self.kafka.bootstrap_servers);
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// The user's properties for consumers, then those the guarantees rest on: they have the last word.
    fn guard_reading(&self, config: &mut ClientConfig) {
        set_all(config, &self.kafka.consumer_properties);
        config.set("group.id", &self.kafka.group_id);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
    }

    fn consumer(&self) -> ClientConfig {
        self.consumer_of(&[("queued.max.messages.kbytes", "4096")])
    }

    /// `sizes` are defaults: the user's properties for consumers win.
    fn consumer_of(&self, sizes: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.common();
        config.set("check.crcs", "true");
        config.set("queued.min.messages", "20000");
        for (name, value) in sizes {
            config.set(*name, *value);
        }
        config.set("fetch.queue.backoff.ms", "20");
        config.set("fetch.wait.max.ms", "100");
        self.guard_reading(&mut config);
        config
    }

    /// The group member of worker `worker`.
    pub(super) fn member(&self, worker: usize) -> ClientConfig {
        let mut config = self.common();
        config.set("session.timeout.ms", "45000");
        config.set("max.poll.interval.ms", "60000");
        self.guard_reading(&mut config);
        config.set("partition.assignment.strategy", "range");
        if let Some(instance) = &self.kafka.group_instance_id {
            config.set("group.instance.id", format!("{instance}-{worker}"));
        }
        config
    }

    /// A consumer of one input topic: ends are reported, statistics give the lag.
    pub(super) fn fetch(&self) -> ClientConfig {
        // A topic's answer is unpacked at once, to ten times its size: larger ones cost memory and the processor's
        // caches.
        // The metadata tells of partitions that were added.
        let mut config = self.consumer_of(&[
            ("queued.max.messages.kbytes", "1024"),
            ("fetch.message.max.bytes", "65536"),
            ("topic.metadata.refresh.interval.ms", "60000"),
        ]);
        config.set("enable.partition.eof", "true");
        config.set("statistics.interval.ms", "5000");
        config
    }

    /// A consumer of one internal topic, from a known offset to the end.
    pub(super) fn restore(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("enable.partition.eof", "true");
        config.set("fetch.wait.max.ms", "10");
        config
    }

    /// A consumer that sees open transactions too.
    pub(super) fn ends(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// The transactional producer of worker `worker`; `instance` is [`Clients::instance`].
    pub(super) fn producer(&self, instance: &str, worker: usize) -> ClientConfig {
        let mut config = self.common();
        // Long enough for a transaction's records of one partition to become one batch: see `commit`.
        config.set("linger.ms", "5");
        config.set("compression.type", "lz4");
        config.set("queue.buffering.max.kbytes", "131072");
        set_all(&mut config, &self.kafka.producer_properties);
        config.set("transaction.timeout.ms", self.kafka.transaction_timeout.0.to_string());
        // What `transaction` has to know of EndTxn is told nowhere else; a few lines a transaction, which `log` drops.
        config.set("debug", "eos");
        config.set_log_level(RDKafkaLogLevel::Debug);
        config.set("transactional.id", format!("{}-{instance}-{worker}", self.kafka.group_id));
        config.set("partitioner", "murmur2_random");
        config
    }

    /// A consumer and a producer for sending dead letters again, in a group and with a transactional id of their own.
    pub(super) fn retry(&self) -> Result<(BaseConsumer, BaseProducer), Error> {
        let name = format!("{}-dlq-retry", self.kafka.group_id);
        let mut consumer = self.consumer();
        consumer.set("group.id", &name);
        let mut producer = self.common();
        set_all(&mut producer, &self.kafka.producer_properties);
        producer.set("transactional.id", &name);
        producer.set("transaction.timeout.ms", "60000");
        let what = || Error::client("creating a client by kafka.properties");
        Ok((consumer.create().map_err(what())?, producer.create().map_err(what())?))
    }

    /// The name of this process in transactional ids: stable when the user gave one. Otherwise unique, and the
    /// successor of a killed process waits for its open transaction to time out.
    #[must_use]
    pub fn instance(&self) -> String {
        self.kafka
            .group_instance_id
            .clone()
            .unwrap_or_else(|| format!("{}-{}", std::process::id(), crate::status::now().0))
    }

    /// How long the broker lets a transaction of ours stay open.
    pub(super) fn transaction_timeout(&self) -> Duration {
        span(self.kafka.transaction_timeout)
    }

    /// The consumer group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.kafka.group_id
    }

    /// Consumer and producer of `touchline check`: the service's group, which it never joins, and a transactional id of
    /// its own, so that it fences nobody.
    pub(super) fn check(&self) -> Result<(BaseConsumer<Plain>, BaseProducer), Error> {
        let what = "creating a client by kafka.properties";
        let mut producer = self.common();
        set_all(&mut producer, &self.kafka.producer_properties);
        producer.set("transactional.id", format!("{}-check", self.kafka.group_id));
        Ok((plain_consumer(&self.consumer(), what)?, producer.create().map_err(Error::client(what))?))
    }

    /// Brokers as configured, for messages.
    pub(super) fn brokers(&self) -> &str {
        &self.kafka.bootstrap_servers
    }
}

/// A configured span as the standard library's.
pub(super) fn span(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

fn set_all(config: &mut ClientConfig, properties: &BTreeMap<String, Secret>) {
    for (name, value) in properties {
        config.set(name, value.reveal());
    }
}

/// Callbacks of consumers without a duty of their own.
#[derive(Debug)]
pub(super) struct Plain;

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Plain {}

/// Creates a consumer without a duty of its own.
pub(super) fn plain_consumer(config: &ClientConfig, what: &str) -> Result<BaseConsumer<Plain>, Error> {
    config.create_with_context(Plain).map_err(Error::client(what))
}

/// librdkafka's log lines: they name brokers and topics, never payloads.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, message, "kafka client");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(facility, message, "kafka client"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "kafka client"),
    }
}

/// Errors that the client works on by itself (brokers away, timeouts): nothing is lost by them.
pub(super) fn log_error(error: &KafkaError, reason: &str) {
    // Asked for, and also answered by `poll`.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        return;
    }
    // While brokers are away, every client says so several times a second.
    static TOLD: Mutex<BTreeMap<Option<i32>, (Instant, u64)>> = Mutex::new(BTreeMap::new());
    let now = Instant::now();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let (at, unsaid) = told.entry(error.rdkafka_error_code().map(|code| code as i32)).or_insert((now, 0));
    if *at > now {
        *unsaid += 1;
        return;
    }
    tracing::warn!(%error, reason, unsaid = *unsaid, "kafka client reports an error and goes on");
    (*at, *unsaid) = (now + TOLD_EVERY, 0);
}

/// How often the same error is told, at most.
const TOLD_EVERY: Duration = Duration::from_secs(5);
