//! `run` on a real Kafka when something else is wrong: records gone before they were read, a topic of bad records, two
//! instances of one name, an instance that was away.

use crate::broker::{self, Record, wait_until};
use crate::command::{get, touchline};
use crate::kafka_real::{PARTITIONS, Scene, lines_of};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// Deletes the records of a partition up to `offset`, as retention would.
pub(crate) fn truncate(scene: &Scene, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<_> = broker::client(scene.brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}

#[test]
fn a_partition_whose_next_records_are_gone_stops_by_name_and_the_others_go_on() {
    let scene = Scene::new("truncated", 8_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    let (read, _) = scene.progress(&scene.observer());
    let alerts = scene.lines("alerts");
    scene.simulate(8_000, 2);
    let (topic, partition) = (&scene.inputs[0], 2);
    let own = |records: &[Record]| records.iter().filter(|record| record.partition == partition).count();
    let end = broker::end_of(scene.brokers, topic, partition);
    truncate(&scene, topic, partition, end - 1);
    let service = scene.start("a");
    let named = format!("input_truncated: {topic}-{partition} begins at {}", end - 1);
    wait_until("the partition to stop", DEADLINE, || service.log().contains(&named));
    // Its own records of all topics stay, those of the three others are read.
    let left = || {
        let (done, all) = scene.progress(&scene.observer());
        all - done
    };
    let own_records: i64 = scene.inputs.iter().map(|topic| broker::end_of(scene.brokers, topic, partition)).sum();
    wait_until("the others to be read", DEADLINE, || left() <= own_records);
    assert!(left() > 0 && scene.progress(&scene.observer()).0 > read);
    service.stop();
    let after = scene.lines("alerts");
    assert!(after.len() > alerts.len(), "the other partitions gave alerts");
    assert_eq!(own(&after), own(&alerts), "the stopped one gave none");
    let journal = scene.replay_journal();
    assert!(journal == lines_of(&after), "the journal gives other alerts than were committed");
    // Told to, it goes on without them.
    let service = scene.start_with("a", &["--accept-gap"]);
    wait_until("the rest to be read", DEADLINE, || left() == 0);
    let log = service.log();
    assert!(log.contains("input is gone before it was read"), "{log}");
    service.stop();
    let all = scene.lines("alerts");
    assert!(own(&all) > own(&alerts), "the partition that stood gave alerts");
    let journal = scene.replay_journal();
    assert!(journal == lines_of(&all), "the journal gives other alerts than were committed");
}

#[test]
fn after_a_reset_the_next_start_begins_anew() {
    let scene = Scene::new("reset", 6_000);
    let config = scene.config("a");
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    let refused = touchline(&["reset", "--config", &config, "--yes"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("has members: stop every instance first"), "{}", refused.stderr);
    service.stop();
    let told = touchline(&["reset", "--config", &config]);
    assert!(told.code == Some(0) && told.stdout.contains("--yes does it"), "{}{}", told.stdout, told.stderr);
    scene.check();
    let before = scene.lines("alerts");
    let done = touchline(&["reset", "--config", &config, "--yes"]);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    assert!(scene.lines("journal").is_empty() && scene.lines("images").is_empty());
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    let after = scene.lines("alerts");
    for partition in 0..PARTITIONS {
        let own = |records: &[Record]| -> Vec<_> {
            let own = records.iter().filter(|record| record.partition == partition);
            own.map(|record| record.payload.clone()).collect()
        };
        let (before, after) = (own(&before), own(&after));
        assert_eq!(after.split_at(before.len()), (before.as_slice(), before.as_slice()), "the same alerts again");
    }
}

/// A topic turns bad in one partition: that one stops at this limit after so many, says so, and goes on once the limit is
/// relaxed.
fn bad_records_stop(limit: &str, rejected: usize, says: &str, relaxed: &str) {
    let mut scene = Scene::new("limit", 4_000);
    let [port] = broker::free_ports();
    scene.reconfigure_from("listen = \"\"", &format!("listen = \"127.0.0.1:{port}\""));
    scene.reconfigure(&format!("[pipeline]\n{limit}\n"));
    let bad: Vec<Record> = (0..400).map(|_| Record::new("one-key", "{")).collect();
    broker::produce(scene.brokers, &scene.inputs[1], &bad);
    scene.simulate(4_000, 2);
    let drained = || {
        let letters = scene.lines("dlq");
        let is_bad = |letter: &&Record| letter.payload.as_deref() == Some(b"{");
        let of = |partition| letters.iter().filter(is_bad).filter(|letter| letter.partition == partition).count();
        (0..PARTITIONS).map(of).max().unwrap()
    };
    let service = scene.start("a");
    wait_until("the partition to stop", DEADLINE, || service.log().contains(says));
    wait_until("it to be told", DEADLINE, || get(port, "/metrics").contains("partitions{state=\"stopped\"} 1"));
    // Once the others are restored, this alone is why it is not ready.
    let is_told = || Some(get(port, "/readyz")).is_some_and(|it| it.starts_with("HTTP/1.1 503") && it.contains(says));
    wait_until("/readyz to say why", DEADLINE, is_told);
    service.stop();
    // The others are those that the simulation sends.
    let first = drained();
    assert!((rejected - 20..=rejected).contains(&first), "{first} of the 400");
    // Again: the limit holds after a restart, and not one more record is drained.
    let service = scene.start("a");
    wait_until("the partition to stop again", DEADLINE, || service.log().contains(says));
    service.stop();
    let (done, all) = scene.progress(&scene.observer());
    assert!(done < all);
    assert_eq!(drained(), first, "of the 400");
    scene.reconfigure_from(limit, relaxed);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
}

#[test]
fn bad_records_in_a_row_stop_a_partition_which_resumes_with_nothing_lost() {
    let says = "50 records in a row were rejected";
    bad_records_stop("dlq_consecutive_max = 50", 50, says, "dlq_consecutive_max = 1000");
}

#[test]
fn a_share_of_bad_records_stops_a_partition_which_resumes_with_nothing_lost() {
    let says = "of at most 10000 records were rejected";
    // More than 300 of 10,000.
    bad_records_stop("dlq_ratio_max = 0.03", 301, says, "dlq_ratio_max = 0.9");
}

#[test]
fn of_two_instances_of_one_name_the_first_is_fenced_and_ends() {
    let scene = Scene::new("twins", 20_000);
    let mut first = scene.start("a");
    scene.wait_for_share(1, 6);
    let second = scene.start("a");
    assert_eq!(first.ended(DEADLINE), 1);
    assert!(first.log().contains("is group_instance_id used twice?"), "{}", first.log());
    scene.wait_for_share(1, 1);
    second.stop();
    scene.check();
    scene.check_topics();
}

#[test]
fn an_instance_that_was_away_for_longer_than_its_session_commits_nothing_of_the_past() {
    let scene = Scene::new("away", 30_000);
    let first = scene.start("a");
    scene.wait_for_share(1, 8);
    first.signal("STOP");
    // Session and transaction end after 3 s.
    let second = scene.start("b");
    scene.wait_for_share(1, 2);
    first.signal("CONT");
    scene.wait_for_share(1, 1);
    second.stop();
    first.stop();
    scene.check();
    scene.check_topics();
}
