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
