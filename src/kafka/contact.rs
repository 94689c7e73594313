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

/// What is told of a reason at most.
const REASON_CHARS_MAX: usize = 500;

/// Where tokens come from.
const OAUTH: &str = "see sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and \
    sasl.oauthbearer.scope in kafka.properties";

/// Events looked at after each request.
const EVENTS_MAX: usize = 100;

/// What is known of why there is no answer.
#[derive(Debug)]
struct Contact {
    why: Mutex<Option<Why>>,
    /// Whether tokens are the credentials.
    by_token: bool,
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
        *why = Some(Why { refused_at, reason: in_one_line(reason), remedy: remedy(code, self.by_token) });
    }
}

impl ConsumerContext for Contact {}

/// What a server said, shortened to what fits a line of a log.
fn in_one_line(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS_MAX).collect()
}

fn remedy(code: Option<Code>, by_token: bool) -> &'static str {
    match code {
        Some(Code::Authentication) if by_token => OAUTH,
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
    let config = clients.common();
    let mechanism = config.get("sasl.mechanism").or_else(|| config.get("sasl.mechanisms"));
    let by_token = mechanism.is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("OAUTHBEARER"));
    let consumer: BaseConsumer<Contact> = config
        .create_with_context(Contact { why: Mutex::default(), by_token })
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
            let (reason, remedy) = match why {
                Some(why) => (why.reason, why.remedy),
                // The client asks again for most of a minute before it tells anything; without a token it connects nowhere.
                None if by_token => ("no token in time".to_owned(), OAUTH),
                None => (failure.to_string(), remedy(None, by_token)),
            };
            return Err(Error::Refused(format!("no answer from {}: {reason}; {remedy}", clients.brokers())));
        }
    }
}
