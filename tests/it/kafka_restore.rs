//! The restore of many customers on a real Kafka: what is read back equals an engine that was fed the whole journal, byte for
//! byte, also behind a transaction that somebody left open.

use crate::broker::{self, Record, unique};
use crate::command::touchline;
use crate::kafka_real::Scene;
use rdkafka::producer::{BaseProducer, Producer};
use std::time::Duration;

const CUSTOMERS: &str = "100000";

#[test]
fn many_customers_come_back_from_behind_an_open_transaction() {
    let scene = Scene::empty("many");
    let topics = scene.inputs.join(",");
    let arguments = ["simulate", "--brokers", scene.brokers, "--topics", &topics, "--customers", CUSTOMERS];
    let sent = touchline(&[&arguments[..], &["--count", "150000", "--poison", "0.001"]].concat());
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let service = scene.start("a");
    scene.wait_for_share(9, 10);
    service.kill();
    // Somebody's transaction, open until the brokers abort it.
    let producer: BaseProducer = broker::client(scene.brokers)
        .set("transactional.id", unique("open"))
        .set("transaction.timeout.ms", "5000")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer.begin_transaction().unwrap();
    for topic in ["journal", "images"] {
        broker::send(&producer, &scene.topic(topic), Some(0), &Record::new("never", "committed"));
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    assert!(scene.check_restore() > 5_000, "a tail to replay");
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    assert_eq!(scene.check_restore(), 0, "a clean stop leaves nothing to replay");
    scene.check();
}
