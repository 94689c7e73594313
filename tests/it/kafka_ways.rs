//! The ways out on a real Kafka: first the failure that needs one, which is refused by name, then the way out, then what
//! came of it.

use crate::broker::{self, Record, wait_until};
use crate::command::touchline;
use crate::kafka_faults::truncate;
use crate::kafka_real::{PARTITIONS, Scene, by_customer, lines_of};
use rdkafka::producer::{BaseProducer, Producer};
use std::time::Duration;
use touchline::journal::{ENGINE_VERSION, Entries};

const DEADLINE: Duration = Duration::from_secs(60);

/// Starts the service, which must end by itself with code 1 and say this.
fn assert_refused(scene: &Scene, says: &str) {
    let mut service = scene.start("a");
    assert_eq!(service.ended(DEADLINE), 1, "{}", service.log());
    assert!(service.log().contains(says), "{says} is not in:\n{}", service.log());
}

#[test]
fn a_lost_journal_is_made_up_for_from_the_inputs() {
    let scene = Scene::new("lost_tail", 16_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 2);
    service.kill();
    assert!(scene.tail_entries() > 0, "a kill leaves a tail to replay");
    let journal = scene.topic("journal");
    for partition in 0..PARTITIONS {
        truncate(&scene, &journal, partition, broker::end_of(scene.brokers, &journal, partition));
    }
    assert_refused(&scene, "its end is lost");
    assert_refused(&scene, "`touchline recover --from-input` reads its inputs again");
    let done = touchline(&["recover", "--from-input", "--config", &scene.config("a")]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("their inputs are read again"), "{}", done.stderr);
    assert_eq!(scene.tail_entries(), 0, "what was recovered needs no journal");
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    let topics = scene.replay_topics();
    let live = lines_of(&scene.lines("alerts"));
    assert_eq!(by_customer(&live), by_customer(&topics));
    scene.check_lives();
}

#[test]
fn a_tail_of_another_version_is_recomputed_when_that_is_asked_for() {
    let scene = Scene::new("recompute", 16_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 2);
    service.kill();
    assert!(scene.tail_entries() > 0, "a kill leaves a tail to replay");
    // As another version would have written it.
    let (topic, records) = (scene.topic("journal"), scene.lines("journal"));
    for partition in 0..PARTITIONS {
        truncate(&scene, &topic, partition, broker::end_of(scene.brokers, &topic, partition));
    }
    let producer: BaseProducer = broker::client(scene.brokers).create().unwrap();
    for record in &records {
        let payload = Some(of_another_version(record.payload.as_deref().unwrap()));
        let record = Record { payload, ..record.clone() };
        broker::send(&producer, &topic, Some(record.partition), &record);
    }
    producer.flush(DEADLINE).unwrap();
    let before = scene.lines("alerts").len();
    assert_refused(&scene, "`run --recompute-tail` replays them");
    let service = scene.start_with("a", &["--recompute-tail"]);
    scene.wait_for_share(1, 1);
    wait_until("the log", DEADLINE, || service.log().contains("another engine's tail was recomputed"));
    service.stop();
    let alerts = scene.lines("alerts");
    let recomputed = lines_of(&alerts[before..]).matches("\"reason\":\"recomputed\"").count();
    assert!(recomputed > 0, "no open alert was told again");
    scene.check();
    scene.check_lives();
    assert_eq!(scene.tail_entries(), 0);
    // From now on it needs no permission.
    let service = scene.start("a");
    service.wait_until_restored();
    service.stop();
}

/// A journal record with another engine version in its header.
fn of_another_version(record: &[u8]) -> Vec<u8> {
    let (mut header, _) = Entries::of(record).unwrap();
    let (mut own, mut other) = (Vec::new(), Vec::new());
    header.encode(&mut own);
    header.engine_version = ENGINE_VERSION + 1;
    header.encode(&mut other);
    other.extend_from_slice(&record[own.len()..]);
    other
}
