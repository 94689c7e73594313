//! The first contact with the brokers: the one place where a wrong password, certificate or address becomes an answer.
//! Afterwards the clients go on by themselves through whatever the brokers do.
//!
//! The call that asks for metadata only knows that it got none; why is told to the client's context, so that is kept.

use super::client::Clients;
use super::error::Error;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for brokers that do not answer.
const PATIENCE: Duration = Duration::from_secs(25);
/// Longest wait while they refuse us: one that just started may not know its users yet.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// One request.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Events looked at after each request.
const EVENTS_MAX: usize = 100;

/// What is known of why there is no answer.
#[derive(Debug, Default)]
struct Contact {
    why: Mutex<Option<Why>>,
}

#[derive(Debug, Clone)]
struct Why {
    /// Of the first refusal; none while the brokers are only silent.
    refused_at: Option<Instant>,
    reason: String,
    remedy: &'static str,
}

impl ClientContext for Contact {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "kafka client");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        let refused_at = why.as_ref().and_then(|why| why.refused_at);
        let is_refusal = matches!(code, Some(Code::Authentication | Code::SSL));
        // "All brokers are down" is only what follows from the rest.
        let is_consequence = code == Some(Code::AllBrokersDown);
        if (is_consequence && why.is_some()) || (refused_at.is_some() && !is_refusal) {
            return;
        }
        let refused_at = refused_at.or_else(|| is_refusal.then(Instant::now));
        *why = Some(Why { refused_at, reason: reason.to_owned(), remedy: remedy(code) });
    }
}

impl ConsumerContext for Contact {}

fn remedy(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::Authentication) => "see sasl.username, sasl.password and sasl.mechanism in kafka.properties",
        Some(Code::SSL) => {
            "see ssl.ca.location and security.protocol in kafka.properties, and how long the brokers' certificate is valid"
        }
        _ => "see kafka.bootstrap_servers, and security.protocol in kafka.properties",
    }
}

/// What the brokers know of all topics. Of all: asking for one that is missing could create it on brokers with
/// automatic creation.
///
/// # Errors
/// After at most 25 s, 5 s when they refuse us, with what to look at.
pub(super) fn metadata(clients: &Clients) -> Result<Metadata, Error> {
    let consumer: BaseConsumer<Contact> = clients
        .common()
        .create_with_context(Contact::default())
        .map_err(Error::client("creating a client by kafka.properties"))?;
    let started = Instant::now();
    loop {
        let failure = match consumer.fetch_metadata(None, ATTEMPT) {
            Ok(metadata) => return Ok(metadata),
            Err(failure) => failure,
        };
        // What was told meanwhile, one event a call; there are no records to get.
        for _ in 0..EVENTS_MAX {
            drop(consumer.poll(Duration::ZERO));
        }
        let why = consumer.context().why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused_at = why.as_ref().and_then(|why| why.refused_at);
        if refused_at.is_some_and(|at| at.elapsed() >= REFUSED_FOR) || started.elapsed() >= PATIENCE {
            let (reason, remedy) =
                why.map_or_else(|| (failure.to_string(), remedy(None)), |why| (why.reason, why.remedy));
            return Err(Error::Refused(format!("no answer from {}: {reason}; {remedy}", clients.brokers())));
        }
    }
}
