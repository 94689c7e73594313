//! Every error a broker can answer a transaction with, injected on the client library's mock cluster: each is retried,
//! aborted or doubted, as it must be, and the next transaction commits.

use super::client::Clients;
use super::error::Error;
use super::transaction::{Ended, Outgoing, Positions, Transactions};
use crate::config::Config;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use std::time::Duration;

/// Longer than any retry, so that only the error decides.
const DOUBT_AFTER: Duration = Duration::from_secs(20);

/// What an error comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The client asks again, and the transaction commits.
    Retried,
    /// Aborted; the same producer goes on.
    Aborted,
    /// Only the committed offsets can tell; a new producer goes on.
    Doubted,
}

/// The error, how often it is answered in a row, and what it comes to.
const CASES: [(Api, Code, usize, Way); 36] = [
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2, Way::Retried),
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, 1, Way::Retried),
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 2, Way::Retried),
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1, Way::Aborted),
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1, Way::Aborted),
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, 1, Way::Doubted),
    (Api::Produce, Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, 1, Way::Doubted),
    (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, 2, Way::Retried),
    (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 1, Way::Retried),
    (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 2, Way::Retried),
    (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, 1, Way::Doubted),
    (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1, Way::Aborted),
    (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, 1, Way::Doubted),
    (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 2, Way::Retried),
    (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, 2, Way::Retried),
    (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 1, Way::Retried),
    (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1, Way::Aborted),
    // The client asks to abort; a broker that fences answers that in the same way, and then it is in doubt.
    (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, 1, Way::Aborted),
    (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, 1, Way::Doubted),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 2, Way::Retried),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 1, Way::Retried),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1, Way::Aborted),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, 1, Way::Aborted),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1, Way::Aborted),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, 1, Way::Aborted),
    (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, 1, Way::Doubted),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 2, Way::Retried),
    // A coordinator that moves: EndTxn may have been on its way twice.
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 2, Way::Doubted),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, 2, Way::Retried),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 1, Way::Doubted),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, 1, Way::Doubted),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, 1, Way::Doubted),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, 1, Way::Doubted),
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 1, Way::Doubted),
    // The broker refused for good, so nothing of it can come later.
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, 1, Way::Aborted),
    // The connection is cut before the answer: the client asks again by itself, and what it says then is not to be trusted.
    (Api::EndTxn, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 1, Way::Doubted),
];

/// Errors of the start: how often they are answered, and whether it comes to a producer.
const STARTS: [(Api, Code, usize, bool); 8] = [
    (Api::InitProducerId, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 2, true),
    (Api::InitProducerId, Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, 2, true),
    (Api::InitProducerId, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 1, true),
    (Api::InitProducerId, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 1, true),
    (Api::InitProducerId, Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 1, false),
    (Api::InitProducerId, Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, 1, false),
    (Api::FindCoordinator, Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 2, true),
    (Api::FindCoordinator, Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 1, false),
];

fn init(clients: &Clients) -> Transactions {
    try_init(clients).expect("transactions begin")
}

fn try_init(clients: &Clients) -> Result<Transactions, Error> {
    Transactions::init(clients, "test", 0, (DOUBT_AFTER, DOUBT_AFTER), &mut || Ok(()))
}

/// A broker with two topics, and what its clients are built from.
fn cluster() -> (MockCluster<'static, DefaultProducerContext>, Clients) {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, 1).expect("a topic");
    }
    let text = format!("[kafka]\nbootstrap_servers = \"{}\"\ngroup_id = \"g\"", cluster.bootstrap_servers());
    let config = Config::load(Some(&text), &|_| Err(String::new())).expect("valid");
    let clients = Clients::new(config.kafka);
    (cluster, clients)
}

#[test]
fn every_error_of_a_start_is_retried_or_told_with_its_remedy() {
    let mut wrong = Vec::new();
    for (api, code, times, is_retried) in STARTS {
        let (cluster, clients) = cluster();
        cluster.request_errors(api, &vec![code; times]);
        let started = try_init(&clients);
        let is_right = match &started {
            Ok(_) => is_retried,
            Err(error) => {
                let is_right = code != Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
                !is_retried && (is_right || error.to_string().contains("grant this user Write on transactional ids"))
            }
        };
        if !is_right {
            wrong.push(format!("{api:?} {code:?}: {:?}", started.map(drop).map_err(|error| error.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One record and one offset.
fn transact(transactions: &Transactions, member: &BaseConsumer) -> Ended {
    transactions.begin().expect("a transaction begins");
    let value = Some(&b"value"[..]);
    let record = Outgoing { topic: "out", partition: 0, key: None, value, headers: None, is_traced: true };
    if let Err(ended) = transactions.send(record) {
        return ended;
    }
    let positions = Positions { offsets: vec![("in", 0, 1)], metadata: "m" };
    transactions.commit(&[positions], member.group_metadata())
}

fn way(ended: &Ended) -> Way {
    match ended {
        Ended::Committed => Way::Retried,
        Ended::Aborted(_) => Way::Aborted,
        Ended::Doubt(_) => Way::Doubted,
    }
}

/// Whether a transaction commits within the attempts that a worker makes. The first ones may be aborted, too: the client
/// remembers a topic's error for a while, and the mock counts a refused batch as sent.
fn goes_on(transactions: &Transactions, member: &BaseConsumer) -> bool {
    (0..10).any(|_| {
        let is_committed = transact(transactions, member) == Ended::Committed;
        if !is_committed {
            std::thread::sleep(Duration::from_millis(200));
        }
        is_committed
    })
}

#[test]
fn every_error_of_a_transaction_is_retried_aborted_or_doubted_and_the_next_one_commits() {
    let mut wrong = Vec::new();
    for (api, code, times, expected) in CASES {
        let (cluster, clients) = cluster();
        let member: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", "g")
            .create()
            .expect("a consumer");
        let transactions = init(&clients);
        assert_eq!(transact(&transactions, &member), Ended::Committed, "before {api:?} {code:?}");
        cluster.request_errors(api, &vec![code; times]);
        let ended = transact(&transactions, &member);
        cluster.clear_request_errors(api);
        if way(&ended) != expected {
            wrong.push(format!("{api:?} {code:?}: {ended:?}, not {expected:?}"));
        }
        let transactions = if way(&ended) == Way::Doubted {
            drop(transactions);
            init(&clients)
        } else {
            transactions
        };
        if !goes_on(&transactions, &member) {
            wrong.push(format!("after {api:?} {code:?}: no transaction commits any more"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
