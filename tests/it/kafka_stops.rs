//! Stops at any moment, and brokers that are away: the service ends by itself, in time, with code 0, and leaves no
//! transaction open.

use crate::broker::{self, Broker, wait_until};
use crate::kafka_real::{PARTITIONS, Scene};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;

/// Waits until readers of committed records see all of these topics: no transaction is open.
fn assert_nothing_is_open(scene: &Scene) {
    let end = |isolation: &str, topic: &str, partition: i32| {
        let client: BaseConsumer =
            broker::client(scene.brokers).set("isolation.level", isolation).set("group.id", "unused").create().unwrap();
        client.fetch_watermarks(topic, partition, Duration::from_secs(30)).unwrap().1
    };
    for topic in ["alerts", "experience", "dlq", "journal", "images"] {
        for partition in 0..PARTITIONS {
            let topic = scene.topic(topic);
            // At once: it may not take a transaction's timeout.
            let ends = ["read_committed", "read_uncommitted"].map(|isolation| end(isolation, &topic, partition));
            assert_eq!(ends[0], ends[1], "{topic}-{partition}: a transaction is open");
        }
    }
}

/// `TOUCHLINE_STOPS` says how many; a dozen by default.
#[test]
fn a_stop_at_any_moment_is_clean() {
    let stops = std::env::var("TOUCHLINE_STOPS").map_or(12, |stops| stops.parse().unwrap());
    let mut scene = Scene::new("stops", 30_000);
    scene.reconfigure_from("transaction_inputs_max = 250", "transaction_inputs_max = 100");
    for stop in 0..stops {
        let service = scene.start("a");
        // From before the first connection to long after the last restore.
        std::thread::sleep(Duration::from_millis(50 + stop * 367 % 4_000));
        service.stop();
        assert_nothing_is_open(&scene);
    }
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
    scene.check_topics();
}

#[test]
fn a_stop_while_the_broker_is_away_ends_in_time() {
    let mut broker = Broker::start();
    let scene = Scene::on(Box::leak(broker.address.clone().into_boxed_str()), "away_broker", 20_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 5);
    broker.kill();
    // What comes after is not looked at: a lone broker may leave a transaction open for ever that timed out while it was away
    // (see the runbook).
    service.stop();
}

#[test]
fn a_member_outlives_a_broker_that_restarts_while_it_joins() {
    let mut broker = Broker::start();
    let scene = Scene::on(Box::leak(broker.address.clone().into_boxed_str()), "joining", 10_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    // Nothing is read meanwhile: a lone broker that is killed may leave a transaction open for ever (see the runbook).
    for wait_ms in [200, 700, 1_500] {
        let service = scene.start("a");
        wait_until("the first line", Duration::from_secs(20), || !service.log().is_empty());
        std::thread::sleep(Duration::from_millis(wait_ms));
        broker.kill();
        broker.restart();
        service.wait_until_restored();
        service.stop();
    }
    scene.simulate(10_000, 2);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
}
