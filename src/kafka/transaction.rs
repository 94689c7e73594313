//! The transactional producer of a worker.
//!
//! ```text
//! begin ─▶ send… ─▶ pump ─▶ offsets ─▶ commit ─▶ Committed
//!   │        │        │        │          │
//!   └────────┴────────┴────────┴──────────┴── Abort ─▶ purge, abort ─▶ Aborted      roll back, rewind
//!                                  error, silence ─▶ drop the producer ─▶ Doubt     a new one, decide by the offsets
//! ```
//! librdkafka sends EndTxn again by itself when the answer is lost, and that ghost may end a *later* transaction. So
//! whatever smells of a lost answer around a commit or abort (an error, a transport event, a long silence) is doubt:
//! this producer is never used again. A connection that is cut while EndTxn is on its way is told nowhere but in a debug
//! line of the client, so that line is asked for and read. The feature `unguarded` believes every answer instead: with it the
//! tests from outside show what is lost otherwise.
//!
//! Everything is delivered before commit is called: the flush inside of it waits in steps of 100 ms.

use super::client::{self, Clients};
use super::error::{Class, Error, class, is_transport};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one attempt of `init_transactions` or of sending offsets may take before others get their turn.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Pause between two looks at what is delivered.
const PUMP_REST: Duration = Duration::from_micros(500);
/// Debug lines that one transaction may leave unread at most.
const LINES_MAX: usize = 10_000;
/// How long clearing the producer before an abort may take.
const PURGE: Duration = Duration::from_secs(1);

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Committed, beyond doubt.
    Committed,
    /// Aborted, beyond doubt.
    Aborted(String),
    /// Only the committed offsets can tell; this producer must be dropped.
    Doubt(String),
}

/// One record to write.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Option<OwnedHeaders>,
    /// Whether [`Transactions::delivered`] shall tell its offset.
    pub(super) is_traced: bool,
}

/// Offsets of what the owner of a partition reads, with their metadata.
#[derive(Debug)]
pub(super) struct Positions<'a> {
    /// Topic, partition, next offset.
    pub(super) offsets: Vec<(&'a str, i32, i64)>,
    pub(super) metadata: &'a str,
}

#[derive(Debug, Default)]
struct Context {
    /// Which transaction of this producer is open: late reports of an aborted one do not count.
    number: AtomicUsize,
    /// Transport and timeout events so far.
    disturbances: AtomicU64,
    /// The last topic that may not be written; a delivery that fails by it only says that it was given up.
    denied: Mutex<Option<String>>,
    /// Commits and aborts whose last debug line was read.
    returns: AtomicU64,
    /// The first failed delivery of the transaction.
    failed: Mutex<Option<String>>,
    /// Lowest offset of a traced record by partition.
    traced: Mutex<BTreeMap<i32, i64>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let tells = |words: [&str; 2]| words.iter().any(|word| message.contains(word));
        if facility == "ADDPARTS" && message.ends_with("Topic authorization failed") {
            // The client tells the topic nowhere else.
            let denied = format!("{message}; grant this user Write on the topic");
            *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(denied);
        } else if facility == "ENDTXN" && tells(["returned _TRANSPORT", "returned _TIMED_OUT"]) {
            // It will be sent again.
            self.disturbances.fetch_add(1, Ordering::Relaxed);
        } else if facility == "TXNAPI" && tells(["API commit_transaction return", "API abort_transaction return"]) {
            self.returns.fetch_add(1, Ordering::Relaxed);
        }
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if is_transport(&error) {
            self.disturbances.fetch_add(1, Ordering::Relaxed);
        }
        client::log_error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    /// `opaque` is twice the number of the transaction, plus one for a traced record.
    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        if opaque / 2 != self.number.load(Ordering::Relaxed) {
            return;
        }
        match result {
            Ok(message) if opaque % 2 == 1 => {
                let mut traced = self.traced.lock().unwrap_or_else(PoisonError::into_inner);
                let lowest = traced.entry(message.partition()).or_insert(message.offset());
                *lowest = message.offset().min(*lowest);
            }
            Ok(_) => {}
            Err((error, message)) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed
                    .get_or_insert_with(|| format!("writing to {}-{}: {error}", message.topic(), message.partition()));
            }
        }
    }
}

/// The producer and the rules of its use.
pub(super) struct Transactions {
    producer: Arc<BaseProducer<Context>>,
    timeout: Duration,
    doubt_after: Duration,
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Transactions {
    /// A producer that fenced all earlier ones of its transactional id and aborted what they left open. `proceed` is
    /// asked between attempts.
    pub(super) fn init(
        clients: &Clients,
        instance: &str,
        worker: usize,
        (doubt_after, patience): (Duration, Duration),
        proceed: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let config = clients.producer(instance, worker);
        let producer: BaseProducer<Context> =
            config.create_with_context(Context::default()).map_err(Error::client("creating the producer"))?;
        let timeout = clients.transaction_timeout();
        let deadline = Instant::now() + patience;
        loop {
            proceed()?;
            match producer.init_transactions(ATTEMPT) {
                Ok(()) => return Ok(Self { producer: Arc::new(producer), timeout, doubt_after }),
                Err(error) if class(&error) == Class::Retriable && Instant::now() < deadline => {
                    tracing::info!(%error, "initialising transactions takes longer");
                }
                Err(error) => return Err(Error::client("initialising transactions")(error)),
            }
        }
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> Result<(), String> {
        self.context().number.fetch_add(1, Ordering::Relaxed);
        *self.context().failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.context().traced.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.producer.begin_transaction().map_err(|error| format!("beginning a transaction: {error}"))
    }

    /// Queues one record; serves the network while the queue is full.
    ///
    /// # Errors
    /// How the transaction ended by this.
    pub(super) fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Ended> {
        let opaque = 2 * self.context().number.load(Ordering::Relaxed) + usize::from(outgoing.is_traced);
        let mut record = BaseRecord::with_opaque_to(outgoing.topic, opaque);
        record.partition = Some(outgoing.partition);
        record.key = outgoing.key;
        record.payload = outgoing.value;
        record.headers = outgoing.headers;
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    self.producer.poll(Duration::from_millis(1));
                    record = back;
                }
                Err((error, _)) => {
                    let why = format!("writing to {}-{}: {error}", outgoing.topic, outgoing.partition);
                    return Err(self.abort(&why));
                }
            }
        }
    }

    /// Offsets of the records traced in this transaction: partition → lowest offset.
    pub(super) fn delivered(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut *self.context().traced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The topic that may not be written, if that is why transactions fail. Answered once.
    pub(super) fn denied(&self) -> Option<String> {
        self.context().denied.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Delivers everything, adds the offsets and commits; or aborts what can be aborted.
    pub(super) fn commit(&self, positions: &[Positions<'_>], group: Option<ConsumerGroupMetadata>) -> Ended {
        let Some(group) = group else { return self.abort("this member is not in the group") };
        if let Err(ended) = self.pump() {
            return ended;
        }
        let offsets = match offsets(positions) {
            Ok(offsets) => offsets,
            Err(error) => return self.abort(&format!("listing offsets: {error}")),
        };
        if let Err(ended) = self.add(offsets, group) {
            return ended;
        }
        self.end("committing", Ended::Committed, BaseProducer::commit_transaction)
    }

    /// Adds the offsets to the transaction, by a thread of its own: the client waits for an absent group coordinator beyond
    /// every time limit.
    fn add(&self, offsets: TopicPartitionList, group: ConsumerGroupMetadata) -> Result<(), Ended> {
        let (answer, answered) = sync_channel(1);
        let producer = Arc::clone(&self.producer);
        let deadline = Instant::now() + self.timeout;
        let add = move || {
            let result = loop {
                match producer.send_offsets_to_transaction(&offsets, &group, ATTEMPT) {
                    Err(error) if class(&error) == Class::Retriable && Instant::now() < deadline => {}
                    result => break result,
                }
            };
            drop(producer);
            // Nobody listens any more when it took too long.
            drop(answer.send(result));
        };
        if let Err(error) = std::thread::Builder::new().name("add-offsets".to_owned()).spawn(add) {
            return Err(self.abort(&format!("starting a thread to send offsets: {error}")));
        }
        match answered.recv_timeout(self.timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if class(&error) == Class::Recreate => {
                Err(Ended::Doubt(format!("sending offsets: {error}")))
            }
            Ok(Err(error)) => Err(self.abort(&format!("sending offsets: {error}"))),
            Err(_) => Err(Ended::Doubt(format!("sending offsets: no answer within {} ms", self.timeout.as_millis()))),
        }
    }

    /// Gives the transaction up. With records still on their way an abort would only wait for them, so they are thrown
    /// away first.
    pub(super) fn abort(&self, why: &str) -> Ended {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        if let Err(error) = self.producer.flush(PURGE) {
            tracing::debug!(%error, "clearing a producer before an abort");
        }
        self.end(why, Ended::Aborted(why.to_owned()), BaseProducer::abort_transaction)
    }

    /// The last step of a transaction, and whether its answer can be trusted. Without a time limit of its own the client
    /// would wait for an absent broker for ever.
    fn end(
        &self,
        what: &str,
        ended: Ended,
        step: fn(&BaseProducer<Context>, Duration) -> Result<(), KafkaError>,
    ) -> Ended {
        self.serve_events();
        let disturbances = self.context().disturbances.load(Ordering::Relaxed);
        let returns = self.context().returns.load(Ordering::Relaxed);
        let started = Instant::now();
        let deadline = started + self.timeout;
        while let Err(error) = step(&self.producer, self.timeout) {
            match class(&error) {
                Class::Retriable if Instant::now() < deadline => {}
                Class::Abort if ended == Ended::Committed => return self.abort(&format!("{what}: {error}")),
                Class::Retriable | Class::Abort | Class::Recreate => return Ended::Doubt(format!("{what}: {error}")),
            }
        }
        if cfg!(feature = "unguarded") {
            return ended;
        }
        let took = started.elapsed();
        // Its lines are read in order, one a call: what there is to know comes before the line of its return.
        let is_told = (0..LINES_MAX).any(|_| {
            self.producer.poll(Duration::ZERO);
            self.context().returns.load(Ordering::Relaxed) > returns
        });
        if !is_told {
            return Ended::Doubt(format!("{what}: the client does not tell how it went"));
        }
        if self.context().disturbances.load(Ordering::Relaxed) != disturbances {
            return Ended::Doubt(format!("{what}: the connection was disturbed"));
        }
        if took > self.doubt_after {
            return Ended::Doubt(format!("{what}: took {} ms", took.as_millis()));
        }
        ended
    }

    /// Waits until every record is delivered.
    ///
    /// # Errors
    /// How the transaction ended by this: aborted when the broker refused one, in doubt when some are still on their way.
    pub(super) fn pump(&self) -> Result<(), Ended> {
        let deadline = Instant::now() + self.timeout;
        // Not by the client's own flush: its timed waits spin through their last millisecond, and each call of it wakes
        // every broker thread to look through all queues.
        while self.producer.in_flight_count() > 0 {
            if Instant::now() >= deadline {
                let late = self.producer.in_flight_count();
                return Err(Ended::Doubt(format!("{late} records were not delivered in time")));
            }
            self.serve_events();
            std::thread::sleep(PUMP_REST);
        }
        let failed = self.context().failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), |why| Err(self.abort(&why)))
    }

    fn serve_events(&self) {
        for _ in 0..8 {
            self.producer.poll(Duration::ZERO);
        }
    }

    fn context(&self) -> &Context {
        self.producer.client().context()
    }
}

fn offsets(positions: &[Positions<'_>]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for position in positions {
        for (topic, partition, offset) in &position.offsets {
            let mut element = list.add_partition(topic, *partition);
            element.set_offset(Offset::Offset(*offset))?;
            element.set_metadata(position.metadata);
        }
    }
    Ok(list)
}
