//! `[kafka]` and `[topics]`: what is checked, and which librdkafka properties are refused and why.

use super::merge::join;
use super::{Problem, Resolve, Secret, raw};
use crate::journal::WaysOut;
use crate::model::{Timestamp, time::Span};
use crate::pipeline::merge::Marks;
use std::collections::BTreeMap;

/// Where the first start begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record at or after this moment.
    At(Timestamp),
}

/// `[kafka]`, valid.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`, comma separated.
    pub bootstrap_servers: String,
    /// Consumer group.
    pub group_id: String,
    /// Static membership; none = dynamic.
    pub group_instance_id: Option<String>,
    /// Where the first start begins; none = not chosen, and a first start is refused.
    pub start_from: Option<StartFrom>,
    /// Worker threads, 1 to 256.
    pub workers: u16,
    /// A transaction is closed after this long …
    pub commit_interval: Span,
    /// … or this many touchpoints …
    pub transaction_inputs_max: usize,
    /// … or this many output records …
    pub transaction_outputs_max: usize,
    /// … or this many bytes.
    pub transaction_bytes_max: usize,
    /// The broker's limit on an open transaction.
    pub transaction_timeout: Span,
    /// A commit or abort longer than this is doubtful.
    pub doubt_after: Span,
    /// Longest wait for a topic that is behind.
    pub merge_wait_max: Span,
    /// A partition with no lag this long is idle.
    pub idle_after: Span,
    /// Idle partitions' timers follow the clock.
    pub idle_ticks: bool,
    /// Records of a queue from which on its topic is not fetched, and down to which.
    pub queue_marks: Marks,
    /// Input that is gone before it was read is passed over instead of stopping its partition (`run --accept-gap`).
    pub accept_gap: bool,
    /// What may be done where a restore would be refused (`recover`, `run --recompute-tail`).
    pub ways_out: WaysOut,
    /// Longest graceful stop.
    pub drain_timeout: Span,
    /// Longest restore of a partition.
    pub restore_timeout: Span,
    /// librdkafka properties of every client, in order of their names. Values may be secret.
    pub properties: BTreeMap<String, Secret>,
    /// Of consumers.
    pub consumer_properties: BTreeMap<String, Secret>,
    /// Of producers.
    pub producer_properties: BTreeMap<String, Secret>,
}

/// `[topics]`, valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Alert changes.
    pub alerts: String,
    /// Experience changes, compacted.
    pub experience: String,
    /// Rejected records.
    pub dlq: String,
    /// State images, compacted.
    pub images: String,
    /// Journal of applied inputs.
    pub journal: String,
    /// Records on their way to the partition of their customer.
    pub repartition: String,
    /// How many partitions `touchline topics` gives them; 0 = as many as the first input has.
    pub partitions: i32,
    /// Copies of each.
    pub replication_factor: i32,
}

/// Properties that are Touchline's own to set, with the reason.
const REFUSED: [(&str, &str); 24] = [
    ("bootstrap.servers", "set kafka.bootstrap_servers"),
    ("metadata.broker.list", "set kafka.bootstrap_servers"),
    ("group.id", "set kafka.group_id"),
    ("group.instance.id", "set kafka.group_instance_id"),
    ("group.protocol", "hand-over of state relies on the classic protocol"),
    (
        "partition.assignment.strategy",
        "the same partition of every input topic must go to one worker: only range does that",
    ),
    ("group.remote.assignor", "the same partition of every input topic must go to one worker"),
    ("enable.auto.commit", "offsets are committed in the transaction with the outputs"),
    ("auto.commit.interval.ms", "offsets are committed in the transaction with the outputs"),
    ("auto.commit.enable", "offsets are committed in the transaction with the outputs"),
    ("enable.auto.offset.store", "offsets are committed in the transaction with the outputs"),
    ("auto.offset.reset", "a missing offset must stop the partition, not skip records; see kafka.start_from"),
    ("isolation.level", "records of aborted transactions must not be read"),
    ("enable.partition.eof", "the restore relies on it"),
    ("transactional.id", "it is derived from the group and the worker, so that a zombie is fenced"),
    ("transaction.timeout.ms", "set kafka.transaction_timeout"),
    ("enable.idempotence", "exactly once needs it"),
    ("enable.gapless.guarantee", "the transaction decides what is complete"),
    ("acks", "exactly once needs all"),
    ("request.required.acks", "exactly once needs all"),
    ("partitioner", "outputs go to the partition of their input"),
    ("plugin.library.paths", "it would load code from a configuration"),
    ("debug", "librdkafka's debug output may hold payloads and secrets"),
    ("allow.auto.create.topics", "topics are made by `touchline topics`"),
];

/// Checks `[kafka]`.
pub(super) fn kafka(raw: raw::Kafka, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Kafka {
    numbers(&raw, problems);
    if raw.bootstrap_servers.trim().is_empty() {
        problems.push(Problem::new("kafka.bootstrap_servers", "must not be empty", "such as \"broker:9092\""));
    }
    if !is_topic(&raw.group_id) {
        problems.push(Problem::new("kafka.group_id", "not a name Kafka takes", NAME_HINT));
    }
    let mut properties = |key: &str, given: &BTreeMap<String, raw::Property>| {
        read_properties(&join("kafka", key), given, raw.insecure_tls, resolve, problems)
    };
    let (common, consumer, producer) = (
        properties("properties", &raw.properties),
        properties("consumer_properties", &raw.consumer_properties),
        properties("producer_properties", &raw.producer_properties),
    );
    Kafka {
        start_from: start_from(&raw.start_from, problems),
        group_instance_id: instance_id(raw.group_instance_id, resolve, problems),
        bootstrap_servers: raw.bootstrap_servers,
        group_id: raw.group_id,
        workers: raw.workers,
        commit_interval: raw.commit_interval,
        transaction_inputs_max: raw.transaction_inputs_max,
        transaction_outputs_max: raw.transaction_outputs_max,
        transaction_bytes_max: raw.transaction_bytes_max,
        transaction_timeout: raw.transaction_timeout,
        doubt_after: raw.doubt_after,
        accept_gap: false,
        ways_out: WaysOut::default(),
        merge_wait_max: raw.merge_wait_max,
        idle_after: raw.idle_after,
        idle_ticks: raw.idle_ticks,
        queue_marks: Marks { high: raw.queue_high, low: raw.queue_low },
        drain_timeout: raw.drain_timeout,
        restore_timeout: raw.restore_timeout,
        properties: common,
        consumer_properties: consumer,
        producer_properties: producer,
    }
}

/// The one name that differs between instances with the same configuration: it may come from the environment.
fn instance_id(given: String, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    if given.is_empty() {
        return None;
    }
    let is_reference = given.starts_with("env:") || given.starts_with("file:");
    match if is_reference { resolve(&given) } else { Ok(given.clone()) } {
        Ok(name) if is_topic(&name) => Some(name),
        Ok(_) => {
            problems.push(Problem::new("kafka.group_instance_id", "not a name Kafka takes", NAME_HINT));
            None
        }
        Err(error) => {
            problems.push(Problem::new("kafka.group_instance_id", &format!("cannot read {given}: {error}"), ""));
            None
        }
    }
}

fn numbers(raw: &raw::Kafka, problems: &mut Vec<Problem>) {
    let mut require = |holds: bool, key: &str, message: &str, hint: &str| {
        if !holds {
            problems.push(Problem::new(&join("kafka", key), message, hint));
        }
    };
    require((1..=256).contains(&raw.workers), "workers", "must lie between 1 and 256", "one per core at most");
    require(raw.commit_interval.0 >= 1, "commit_interval", "must be above 0", "such as \"100ms\"");
    require(raw.transaction_inputs_max >= 1, "transaction_inputs_max", "must be at least 1", "");
    require(raw.transaction_outputs_max >= 1, "transaction_outputs_max", "must be at least 1", "");
    require(raw.transaction_bytes_max >= 65_536, "transaction_bytes_max", "must be at least 65536", "");
    require(
        raw.transaction_timeout.0 >= raw.commit_interval.0.saturating_mul(2).max(1_000),
        "transaction_timeout",
        "must be at least 1s and twice the commit interval",
        "such as \"10s\"",
    );
    require(raw.doubt_after.0 >= 100, "doubt_after", "must be at least 100ms", "such as \"1s\"");
    require(raw.queue_low < raw.queue_high, "queue_low", "must be below queue_high", "");
    require(raw.drain_timeout.0 >= 1_000, "drain_timeout", "must be at least 1s", "such as \"25s\"");
    require(raw.restore_timeout.0 >= 1_000, "restore_timeout", "must be at least 1s", "such as \"10m\"");
}

fn start_from(text: &str, problems: &mut Vec<Problem>) -> Option<StartFrom> {
    match text {
        "" => None,
        "earliest" => Some(StartFrom::Earliest),
        "latest" => Some(StartFrom::Latest),
        moment => {
            let parsed = moment.parse::<jiff::Timestamp>().ok().map(|at| StartFrom::At(Timestamp(at.as_millisecond())));
            if parsed.is_none() {
                let hint = "earliest, latest or a moment such as \"2026-01-31T00:00:00Z\"";
                problems.push(Problem::new("kafka.start_from", "not a place to start from", hint));
            }
            parsed
        }
    }
}

fn read_properties(
    path: &str,
    given: &BTreeMap<String, raw::Property>,
    insecure_tls: bool,
    resolve: Resolve<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Secret> {
    let mut read = BTreeMap::new();
    for (name, value) in given {
        let at = format!("{path}.\"{name}\"");
        let text = value.text();
        let unsafe_tls = matches!(
            (name.as_str(), text.as_str()),
            ("enable.ssl.certificate.verification", "false") | ("ssl.endpoint.identification.algorithm", "none")
        );
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            problems.push(Problem::new(&at, "may not be set", reason));
        } else if unsafe_tls && !insecure_tls {
            problems.push(Problem::new(
                &at,
                "switches off the verification of TLS",
                "set kafka.insecure_tls = true if you mean it",
            ));
        } else if text.starts_with("env:") || text.starts_with("file:") {
            match resolve(&text) {
                Ok(secret) => drop(read.insert(name.clone(), Secret::new(secret))),
                Err(error) => problems.push(Problem::new(&at, &format!("cannot read {text}: {error}"), "")),
            }
        } else {
            read.insert(name.clone(), Secret::new(text));
        }
    }
    read
}

const NAME_HINT: &str = "letters, digits, dot, dash and underscore, at most 200";

/// A name Kafka takes for a topic, with room for our suffixes.
pub(super) fn is_topic(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Checks `[topics]` and fills the names that follow from the group.
pub(super) fn topics(raw: raw::Topics, group_id: &str, problems: &mut Vec<Problem>) -> Topics {
    let named = |given: String, suffix: &str| if given.is_empty() { format!("{group_id}-{suffix}") } else { given };
    let topics = Topics {
        alerts: raw.alerts,
        experience: raw.experience,
        dlq: raw.dlq,
        images: named(raw.images, "images"),
        journal: named(raw.journal, "journal"),
        repartition: named(raw.repartition, "repartition"),
        partitions: raw.partitions,
        replication_factor: raw.replication_factor,
    };
    for (key, name) in topics.outputs() {
        if !is_topic(name) {
            problems.push(Problem::new(&join("topics", key), "not a name Kafka takes", NAME_HINT));
        }
    }
    if !(0..=100_000).contains(&topics.partitions) {
        problems.push(Problem::new(
            "topics.partitions",
            "must lie between 0 and 100000",
            "0 = as many as the first input has",
        ));
    }
    if !(1..=32).contains(&topics.replication_factor) {
        problems.push(Problem::new("topics.replication_factor", "must lie between 1 and 32", "3 in production"));
    }
    topics
}

impl Topics {
    /// Key and name of every topic that is written.
    #[must_use]
    pub fn outputs(&self) -> [(&'static str, &str); 6] {
        [
            ("alerts", &self.alerts),
            ("experience", &self.experience),
            ("dlq", &self.dlq),
            ("images", &self.images),
            ("journal", &self.journal),
            ("repartition", &self.repartition),
        ]
    }
}
