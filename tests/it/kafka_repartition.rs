//! Topics that are not partitioned as ours are: their records reach the partition of their customer once, in order, and give
//! the same alerts as if they had been.

use crate::broker::{self, Record, wait_until};
use crate::kafka_real::{PARTITIONS, Scene, lines_of};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;
use touchline::model::{Micro, Timestamp};
use touchline::sim::{self, Faults, Load};

const DEADLINE: Duration = Duration::from_secs(120);
const START: i64 = 1_760_000_000_000;

/// How a producer places records.
#[derive(Debug, Clone, Copy)]
enum Keys {
    /// As the Java clients do.
    Murmur2,
    /// As librdkafka does.
    Crc32,
    None,
}

/// Touchpoints of four topics, in order of time, a millisecond apart: how fast they come is not what matters here.
fn backlog(count: u64) -> [Vec<Record>; 4] {
    let load = Load { customers: 200, count, start: Timestamp(START), span_ms: 14 * 86_400_000, text: false, seed: 3 };
    let faults =
        Faults { late: Micro(20_000), duplicate: Micro(10_000), reordered: Micro::ZERO, poison: Micro(10_000) };
    let mut topics = [const { Vec::new() }; 4];
    for (at, record) in (START..).zip(sim::load(load, faults)) {
        let key = Some(record.customer_id.clone().into_bytes());
        topics[record.topic()].push(Record { key, payload: record.payload, timestamp_ms: at, ..Record::default() });
    }
    topics
}

fn send(scene: &Scene, backlog: &[Vec<Record>; 4], keys: [Keys; 4]) {
    for ((topic, records), keys) in scene.inputs.iter().zip(backlog).zip(keys) {
        let partitioner = if matches!(keys, Keys::Crc32) { "consistent" } else { "murmur2_random" };
        let mut client = broker::client(scene.brokers);
        let producer: BaseProducer = client.set("partitioner", partitioner).set("linger.ms", "5").create().unwrap();
        let keyless = |record: &Record| Record { key: None, ..record.clone() };
        match keys {
            Keys::None => broker::send_all(&producer, topic, &records.iter().map(keyless).collect::<Vec<_>>()),
            Keys::Murmur2 | Keys::Crc32 => broker::send_all(&producer, topic, records),
        }
        producer.flush(DEADLINE).unwrap();
    }
}

/// Waits until all that went through the repartition topic was read there.
fn wait_for_inbound(scene: &Scene) {
    scene.wait_for_share(1, 1);
    let topic = scene.topic("repartition");
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for record in scene.forwarded() {
        next.insert(record.partition, record.offset + 1);
    }
    let observer = scene.observer();
    wait_until("the repartition topic to be read", DEADLINE, || {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&topic, 0, PARTITIONS - 1);
        let committed = observer.committed_offsets(list, DEADLINE).unwrap();
        let is_read = |(partition, next): (&i32, &i64)| {
            let offset = committed.find_partition(&topic, *partition).unwrap().offset();
            matches!(offset, Offset::Offset(offset) if offset >= *next)
        };
        next.iter().all(is_read)
    });
}

/// Alerts of each customer, in order, without the place of the record behind them.
fn alerts(scene: &Scene) -> BTreeMap<String, Vec<serde_json::Value>> {
    let mut customers: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for line in lines_of(&scene.lines("alerts")).lines() {
        let mut alert: serde_json::Value = serde_json::from_str(line).unwrap();
        alert.as_object_mut().unwrap().remove("position");
        customers.entry(alert["customer_id"].as_str().unwrap().to_owned()).or_default().push(alert);
    }
    customers
}

/// What the topics give when each customer is where they belong.
fn expected(backlog: &[Vec<Record>; 4]) -> BTreeMap<String, Vec<serde_json::Value>> {
    let scene = Scene::empty("even");
    send(&scene, backlog, [Keys::Murmur2; 4]);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
    assert_eq!(scene.forwarded(), [], "nothing has to move");
    alerts(&scene)
}

#[test]
fn topics_without_keys_or_with_other_partitions_give_the_same_alerts() {
    let backlog = backlog(20_000);
    let expected = expected(&backlog);
    let scene = Scene::laid_out("uneven", [3, PARTITIONS, 6, 12]);
    send(&scene, &backlog, [Keys::None, Keys::Murmur2, Keys::Crc32, Keys::Murmur2]);
    for kill in 1..=3 {
        let service = scene.start("a");
        scene.wait_for_share(kill, 5);
        service.kill();
    }
    let service = scene.start("a");
    wait_for_inbound(&scene);
    service.stop();
    scene.check();
    let found = alerts(&scene);
    let differ: Vec<_> = expected.iter().filter(|(customer, alerts)| found.get(*customer) != Some(alerts)).collect();
    assert!(
        differ.is_empty() && found.len() == expected.len(),
        "{} customers differ, such as {:?}",
        differ.len(),
        differ.first()
    );
    assert_eq!(scene.check_restore(), 0);
}

/// Of topics that are read directly, too, with the right number of partitions.
#[test]
fn what_lies_elsewhere_goes_through_once_and_what_others_put_there_is_a_dead_letter() {
    let backlog = backlog(4_000);
    let scene = Scene::empty("astray");
    let service = scene.start("a");
    service.wait_until_restored();
    send(&scene, &backlog, [Keys::None, Keys::Murmur2, Keys::Crc32, Keys::Murmur2]);
    scene.wait_for_share(1, 1);
    // A record of a right origin on every partition: three are on a wrong one. One without.
    let stray =
        backlog[1].iter().find(|record| record.payload.as_ref().is_some_and(|p| p.starts_with(b"{\"occ"))).unwrap();
    let origin = ("touchline.origin".to_owned(), format!("{}:0:0:{START}", scene.inputs[1]).into_bytes());
    let producer = broker::client(scene.brokers).create::<BaseProducer>().unwrap();
    for partition in 0..PARTITIONS {
        broker::send(
            &producer,
            &scene.topic("repartition"),
            Some(partition),
            &Record { headers: vec![origin.clone()], ..stray.clone() },
        );
    }
    broker::send(&producer, &scene.topic("repartition"), Some(0), &Record { headers: Vec::new(), ..stray.clone() });
    producer.flush(DEADLINE).unwrap();
    let reasons = || {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for letter in scene.lines("dlq") {
            let (_, reason) = letter.headers.iter().find(|(name, _)| name == "touchline.reason").unwrap();
            *reasons.entry(String::from_utf8(reason.clone()).unwrap()).or_default() += 1;
        }
        reasons
    };
    wait_until("what others put there", DEADLINE, || {
        let reasons = reasons();
        reasons.get("foreign_partition") == Some(&3) && reasons.get("unmapped") == Some(&1)
    });
    wait_for_inbound(&scene);
    service.stop();
    let sent: usize = backlog.iter().map(Vec::len).sum();
    assert!(scene.forwarded().len() > sent / 4, "{}", scene.forwarded().len());
    assert_eq!(reasons().get("foreign_partition"), Some(&3), "nothing else was refused");
    scene.check_restore();
}

#[test]
fn more_partitions_of_an_input_end_the_service_which_goes_on_through_the_repartition_topic() {
    let backlog = backlog(6_000);
    let (first, second) = halves(&backlog);
    let mut scene = Scene::empty("grown");
    scene.reconfigure_from(
        "[kafka.consumer_properties]",
        "[kafka.consumer_properties]\n\"topic.metadata.refresh.interval.ms\" = \"500\"",
    );
    send(&scene, &first, [Keys::Murmur2; 4]);
    let mut service = scene.start("a");
    scene.wait_for_share(1, 1);
    scene.grow(0, 6);
    assert_eq!(service.ended(DEADLINE), 1);
    let said = service.log();
    assert!(said.contains(&format!("{}: has 6 partitions and had 4 at the start", scene.inputs[0])), "{said}");
    assert!(said.contains("start again: from then on all its records go through"), "{said}");
    send(&scene, &second, [Keys::Murmur2; 4]);
    let service = scene.start("a");
    wait_for_inbound(&scene);
    service.stop();
    scene.check();
    assert!(alerts(&scene) == expected(&backlog), "other alerts than without the change");
}

fn halves(backlog: &[Vec<Record>; 4]) -> ([Vec<Record>; 4], [Vec<Record>; 4]) {
    let middle = START + backlog.iter().map(|records| i64::try_from(records.len()).unwrap()).sum::<i64>() / 2;
    let part = |is_first: bool| {
        backlog.each_ref().map(|records| {
            records.iter().filter(|record| (record.timestamp_ms < middle) == is_first).cloned().collect::<Vec<_>>()
        })
    };
    (part(true), part(false))
}
