//! What an error of the Kafka client asks for. A transaction's errors carry three flags; with none of them set
//! librdkafka's own advice is to treat it as fatal.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// What ends a worker or a start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the client failed for good.
    #[error("{what}: {failure}{}", remedy(failure))]
    Client {
        /// What was being done, with topic and partition.
        what: String,
        /// The client's error. No `source`: its own chain says the same words again.
        failure: KafkaError,
    },
    /// The topics, offsets or stored state do not allow to go on; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// Stop was asked for, or the group took the partitions away, while something waited.
    #[error("interrupted while {0}")]
    Interrupted(&'static str),
}

impl Error {
    /// Wraps a client error with what was being done.
    pub(super) fn client(what: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let what = what.into();
        move |failure| Self::Client { what, failure }
    }
}

impl Error {
    /// Whether the same call may work in a moment: brokers away, a coordinator that moves, an answer that is late.
    pub(super) fn is_transient(&self) -> bool {
        use RDKafkaErrorCode as Code;
        let Self::Client { failure, .. } = self else { return false };
        is_transport(failure)
            || matches!(
                failure.rdkafka_error_code(),
                Some(
                    Code::NotCoordinator
                        | Code::CoordinatorNotAvailable
                        | Code::CoordinatorLoadInProgress
                        | Code::WaitingForCoordinator
                        | Code::UnstableOffsetCommit
                        | Code::LeaderNotAvailable
                        | Code::NotLeaderForPartition
                        | Code::BrokerNotAvailable
                        | Code::NetworkException
                        | Code::RebalanceInProgress
                )
            )
    }
}

/// What to do about a right that is missing, to be put behind the error; empty for other errors.
pub(super) fn remedy(failure: &KafkaError) -> &'static str {
    match failure.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            "; grant this user Read on topics that are read, Write on those that are written"
        }
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => "; grant this user Read on the group",
        Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => {
            "; grant this user Write on transactional ids beginning with the group id and a dash"
        }
        _ => "",
    }
}

/// Whether the brokers refuse this for lack of a right.
pub(super) fn is_denied(failure: &KafkaError) -> bool {
    !remedy(failure).is_empty()
}

/// What to do about a failed step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The same call again.
    Retriable,
    /// Abort, roll back, rewind.
    Abort,
    /// This producer is useless or its answer cannot be trusted: a new one, then decide by what is committed.
    Recreate,
}

/// Classifies a failed step of a transaction.
pub(super) fn class(error: &KafkaError) -> Class {
    let KafkaError::Transaction(error) = error else { return Class::Recreate };
    if error.is_fatal() {
        Class::Recreate
    } else if error.txn_requires_abort() {
        Class::Abort
    } else if error.is_retriable() {
        Class::Retriable
    } else {
        Class::Recreate
    }
}

/// Whether the client says by this that it lost a broker or an answer: doubt, when it comes during a commit.
pub(super) fn is_transport(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::MessageTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                // The one asked is no member of the cluster at the moment.
                | RDKafkaErrorCode::DestroyBroker
        )
    )
}
