//! The Kafka shell: the only code that knows Kafka. It moves bytes between topics and [`crate::pipeline`]; what the
//! bytes mean is decided there.
//!
//! ```text
//!  input topics ─▶ fetch ─┐                                  ┌─▶ alerts, experience, dlq, repartition
//!                         ├─▶ worker ─▶ Partition ─▶ commit ─┼─▶ journal, images
//!  group ───────▶ member ─┘      ▲                           └─▶ offsets, in the same transaction
//!  images, journal ─▶ restore ───┘
//! ```
//! `assignment`: who owns what. `takeover`: becoming and ceasing to be the owner. `transaction`: the producer's rules.
//! `topics`: what the topics must be like.

mod assignment;
mod client;
mod commit;
mod contact;
pub mod dead_letters;
mod error;
pub mod feeder;
mod fetch;
pub mod history;
mod member;
mod owned;
pub mod preflight;
mod read;
mod restore;
mod schemas;
mod takeover;
pub mod topics;
mod transaction;
#[cfg(test)]
mod transaction_tests;
mod worker;

use crate::config;
use crate::journal::Restorer;
use crate::pipeline::{Partition, Plan};
use crate::registry::Registry;
use crate::sentiment::Scorer;
use crate::shutdown::Shutdown;
use crate::status::{self, Signals, Status};
use member::Member;
use std::hash::{BuildHasher, Hasher};
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_millis(100);

pub use client::Clients;
pub use error::Error;
pub use topics::Topics;

/// The version of the client library.
#[must_use]
pub fn client_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// What all workers of a run share.
#[derive(Debug)]
pub struct Shell {
    /// `[kafka]`.
    pub kafka: config::Kafka,
    /// Builds clients.
    pub clients: Clients,
    /// Names of the topics; the inputs are the plan's sources.
    pub topics: Topics,
    /// What is computed; workers take a new one over between transactions.
    pub plan: Mutex<Arc<Plan>>,
    /// Knows the schemas of Avro inputs.
    pub registry: Option<Registry>,
    /// Scores text.
    pub scorer: Arc<Scorer>,
    /// The board that admin reads.
    pub status: Arc<Status>,
    /// Where metrics go.
    pub signals: Arc<dyn Signals>,
    /// Asked every turn.
    pub shutdown: Shutdown,
}

impl Shell {
    /// Runs worker `index` of the process `instance` until a stop is asked for. Blocks; a thread of its own.
    ///
    /// # Errors
    /// When it cannot go on; everything committed stays committed, the rest is read again by the next owner.
    pub fn work(&self, index: usize, instance: &str) -> Result<(), Error> {
        // Clients are left as they are, for the process ends soon: closing one whose coordinator is away, or that slept for
        // longer than its session, can end the process by a signal.
        let fetch = ManuallyDrop::new(fetch::Fetch::new(&self.clients, &self.topics.read())?);
        let mut worker = ManuallyDrop::new(worker::Worker::start(self, &fetch, index, instance)?);
        let result = worker.run();
        worker.leave();
        result
    }

    /// What is computed.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another plan in force, of which only rules differ.
    pub fn reload(&self, plan: Arc<Plan>) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// The restore of one partition; `is_final` is of [`Restorer::allow`].
    fn restorer(&self, plan: &Plan, partition: i32, is_final: bool) -> Restorer {
        // Seeded at random by the standard library: an epoch only has to differ from every other one.
        let epoch = std::hash::RandomState::new().build_hasher().finish();
        let mut restorer = Partition::restorer(plan, partition, epoch);
        restorer.allow(self.kafka.ways_out, is_final);
        restorer
    }

    /// Makes a call until it works, as long as it fails only for now; serves the group between attempts.
    fn patiently<T>(
        &self,
        worker: usize,
        member: &Member,
        what: &'static str,
        mut call: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.patience();
        loop {
            match call() {
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    tracing::info!(worker, what, %error, "trying again");
                    std::thread::sleep(PAUSE);
                    self.go_on(worker, what)?;
                    member.is_disturbed();
                }
                answer => return answer,
            }
        }
    }

    fn patience(&self) -> Duration {
        client::span(self.kafka.restore_timeout)
    }

    /// Between the steps of something long.
    fn go_on(&self, worker: usize, what: &'static str) -> Result<(), Error> {
        self.status.beat(worker, status::now());
        if self.shutdown.is_requested() { Err(Error::Interrupted(what)) } else { Ok(()) }
    }

    /// How long a commit may take before it is doubtful, and how long to try to initialise transactions.
    fn waits(&self) -> (Duration, Duration) {
        (client::span(self.kafka.doubt_after), self.patience())
    }
}
