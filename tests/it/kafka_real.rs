//! `run` on a real Kafka: a backlog is drained exactly once, whatever happens on the way, and the same touchpoints give
//! the same alerts by every road: live, from the journal, from the topics.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::touchline;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use touchline::config::Config;
use touchline::engine::{Engine, Input};
use touchline::journal::{Entries, Header, Restored, Verdict};
use touchline::pipeline::{Partition, Plan};

pub(crate) const PARTITIONS: i32 = 4;
const DRAIN_DEADLINE: Duration = Duration::from_secs(120);
/// A stop asked for by SIGTERM takes at most this long.
const STOP_DEADLINE: Duration = Duration::from_secs(25);

/// Topics and a configuration of their own, and a backlog.
pub(crate) struct Scene {
    pub(crate) brokers: &'static str,
    name: String,
    pub(crate) inputs: Vec<String>,
    /// Partitions of each input.
    counts: [i32; 4],
    folder: tempfile::TempDir,
    text: String,
}

impl Scene {
    /// Creates the topics and puts `count` touchpoints, some of them bad, late or twice, into them.
    pub(crate) fn new(name: &str, count: u32) -> Self {
        let scene = Self::empty(name);
        scene.simulate(count, 1);
        scene
    }

    /// The same on a broker of one's own.
    pub(crate) fn on(brokers: &'static str, name: &str, count: u32) -> Self {
        let scene = Self::laid_out_on(brokers, name, [PARTITIONS; 4]);
        scene.simulate(count, 1);
        scene
    }

    /// Creates the topics.
    pub(crate) fn empty(name: &str) -> Self {
        Self::laid_out(name, [PARTITIONS; 4])
    }

    /// Creates the topics, the inputs with so many partitions, and those of ours with [`PARTITIONS`].
    pub(crate) fn laid_out(name: &str, counts: [i32; 4]) -> Self {
        Self::laid_out_on(broker::shared(), name, counts)
    }

    fn laid_out_on(brokers: &'static str, name: &str, counts: [i32; 4]) -> Self {
        let name = unique(name);
        let inputs: Vec<String> =
            ["web", "mobile", "store", "support"].iter().map(|channel| format!("{name}.{channel}")).collect();
        let text = format!(
            r#"
            [[input]]
            name = "touchpoints"
            topics = {inputs:?}
            format = "touchpoint-json"
            [kafka]
            bootstrap_servers = "{brokers}"
            group_id = "{name}"
            start_from = "earliest"
            workers = 2
            idle_ticks = false
            merge_wait_max = "60s"
            transaction_inputs_max = 250
            transaction_timeout = "3s"
            [kafka.consumer_properties]
            "session.timeout.ms" = "3000"
            "heartbeat.interval.ms" = "300"
            [topics]
            partitions = {PARTITIONS}
            alerts = "{name}-alerts"
            experience = "{name}-experience"
            dlq = "{name}-dlq"
            [admin]
            listen = ""
            "#
        );
        for (input, count) in inputs.iter().zip(counts) {
            // Records may be old by their own time.
            broker::create_topics(brokers, &[input], count, &[("retention.ms", "-1")]);
        }
        let scene = Self { brokers, name, inputs, counts, folder: tempfile::tempdir().unwrap(), text };
        scene.configure("a");
        let created = touchline(&["topics", "--create", "--config", &scene.config("a")]);
        assert_eq!(created.code, Some(0), "{}{}", created.stdout, created.stderr);
        scene
    }

    /// Gives an input more partitions.
    pub(crate) fn grow(&mut self, input: usize, partitions: i32) {
        broker::grow(self.brokers, &self.inputs[input], partitions);
        self.counts[input] = partitions;
    }

    /// Writes the configuration of one instance of the service.
    fn configure(&self, instance: &str) {
        let named = self.text.replace("[kafka]", &format!("[kafka]\ngroup_instance_id = \"{instance}\""));
        std::fs::write(self.config(instance), named).unwrap();
    }

    pub(crate) fn config(&self, instance: &str) -> String {
        self.folder.path().join(format!("{instance}.toml")).display().to_string()
    }

    /// Puts three weeks of the lives of some customers into one topic, so that they come in order.
    fn simulate_lives(&self) {
        let topics = [self.inputs[0].as_str(); 4].join(",");
        let arguments = ["simulate", "--brokers", self.brokers, "--topics", &topics, "--customers", "150"];
        let sent = touchline(&[&arguments[..], &["--poison", "0.01", "--duplicates", "0.01"]].concat());
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    }

    pub(crate) fn simulate(&self, count: u32, seed: u32) {
        let (count, seed) = (count.to_string(), seed.to_string());
        let arguments = ["simulate", "--brokers", self.brokers, "--topics", &self.inputs.join(","), "--count", &count];
        let faults =
            ["--poison", "0.01", "--duplicates", "0.01", "--late", "0.02", "--customers", "300", "--seed", &seed];
        let sent = touchline(&[&arguments[..], &faults[..]].concat());
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    }

    pub(crate) fn start(&self, instance: &str) -> Service {
        self.start_with(instance, &[])
    }

    pub(crate) fn start_with(&self, instance: &str, arguments: &[&str]) -> Service {
        self.configure(instance);
        let log = self.folder.path().join(unique("log"));
        let child = Command::new(env!("CARGO_BIN_EXE_touchline"))
            .args(["run", "--config", &self.config(instance)])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Service { child, log }
    }

    /// A client of the group that never joins it.
    pub(crate) fn observer(&self) -> BaseConsumer {
        broker::client(self.brokers).set("group.id", &self.name).create().unwrap()
    }

    /// Records committed by the group, and records there are.
    pub(crate) fn progress(&self, observer: &BaseConsumer) -> (i64, i64) {
        let mut list = TopicPartitionList::new();
        for (topic, count) in self.inputs.iter().zip(self.counts) {
            list.add_partition_range(topic, 0, count - 1);
        }
        // Fails for a moment while the coordinator is being found: no progress then.
        let Ok(committed) = observer.committed_offsets(list, Duration::from_secs(30)) else { return (0, 1) };
        let (mut done, mut all) = (0, 0);
        for element in committed.elements() {
            // Likewise while a topic is so new that not every answer knows its partitions.
            let marks = observer.fetch_watermarks(element.topic(), element.partition(), Duration::from_secs(30));
            let Ok((first, end)) = marks else { return (0, 1) };
            if let Offset::Offset(offset) = element.offset() {
                done += offset - first;
            }
            all += end - first;
        }
        (done, all)
    }

    pub(crate) fn wait_for_share(&self, numerator: i64, denominator: i64) {
        let observer = self.observer();
        wait_until(&format!("{numerator}/{denominator} of the backlog"), DRAIN_DEADLINE, || {
            let (done, all) = self.progress(&observer);
            done * denominator >= all * numerator
        });
    }

    /// The name of a topic of ours.
    pub(crate) fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name)
    }

    pub(crate) fn lines(&self, topic: &str) -> Vec<Record> {
        broker::read(self.brokers, &self.topic(topic), Isolation::Committed)
    }

    /// The records that went through the repartition topic.
    pub(crate) fn forwarded(&self) -> Vec<Record> {
        let is_record = |record: &Record| record.headers.iter().any(|(name, _)| name == "touchline.origin");
        self.lines("repartition").into_iter().filter(is_record).collect()
    }

    /// What was committed is what the journal gives, and every record has one fate.
    pub(crate) fn check(&self) {
        let alerts = self.lines("alerts");
        assert!(alerts.len() > 20, "too few alerts to show anything: {}", alerts.len());
        let (journal, fates) = self.replay("--journal");
        assert!(journal == lines_of(&alerts), "the journal gives other alerts than were committed");
        let (_, all) = self.progress(&self.observer());
        // Those that were sent on were read twice.
        let all = all + i64::try_from(self.forwarded().len()).unwrap();
        assert_eq!(fates.iter().map(|(_, count)| count).sum::<i64>(), all, "{fates:?}");
        let rejected = fates.iter().find(|(fate, _)| fate == "dlq").map(|(_, count)| *count).unwrap();
        assert!(rejected > 0, "no bad record was simulated");
        assert_eq!(self.lines("dlq").len(), usize::try_from(rejected).unwrap());
    }

    /// The backlog was complete before it was read: then the topics, too, give the same alerts.
    pub(crate) fn check_topics(&self) {
        let (topics, fates) = self.replay("--topics");
        let live = lines_of(&self.lines("alerts"));
        assert_eq!(by_customer(&topics), by_customer(&live));
        assert_eq!(fates, self.replay("--journal").1);
    }

    /// `explain` tells the same story from the journal and from a file of what was sent.
    fn check_story(&self) {
        let mut lines: BTreeMap<String, Vec<(usize, i64, String)>> = BTreeMap::new();
        for (topic, name) in self.inputs.iter().enumerate() {
            for record in broker::read(self.brokers, name, Isolation::Committed) {
                let Ok(line) = String::from_utf8(record.payload.unwrap_or_default()) else { continue };
                let Ok(touchpoint) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
                if let (Some(customer), Some(at)) =
                    (touchpoint["customer_id"].as_str(), touchpoint["occurred_at"].as_i64())
                {
                    lines.entry(customer.to_owned()).or_default().push((topic, at, line));
                }
            }
        }
        // A file is read in order of event time: it tells of those whose touchpoints came in that order.
        let in_order = |lines: &[(usize, i64, String)]| lines.is_sorted_by_key(|(topic, at, _)| (*topic, *at));
        let alerts = lines_of(&self.lines("alerts"));
        let changes: Vec<serde_json::Value> = alerts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_late = |change: &&serde_json::Value| change["detected_at"] != change["event_time"];
        let late: BTreeSet<&str> =
            changes.iter().filter(is_late).filter_map(|change| change["customer_id"].as_str()).collect();
        let is_fit = |change: &&serde_json::Value| {
            let customer = change["customer_id"].as_str().unwrap();
            change["phase"] == "resolved" && !late.contains(customer) && in_order(&lines[customer])
        };
        let alert = changes.iter().find(is_fit).unwrap();
        let (id, customer) = (alert["alert_id"].as_str().unwrap(), alert["customer_id"].as_str().unwrap());
        let file = self.folder.path().join("customer.jsonl");
        let own: Vec<&str> = lines[customer].iter().map(|(.., line)| line.as_str()).collect();
        std::fs::write(&file, own.join("\n")).unwrap();
        let explain = |rest: &[&str]| {
            let answer = touchline(&[&["explain", "--config", &self.config("a"), "--alert", id], rest].concat());
            assert_eq!(answer.code, Some(0), "{}", answer.stderr);
            answer.stdout
        };
        let story = explain(&["--brokers", self.brokers]);
        assert_eq!(story, explain(&[file.to_str().unwrap()]));
        assert!(story.contains("  opened, ") && story.contains("  resolved: "), "{story}");
    }

    /// The alerts that the journal gives.
    pub(crate) fn replay_journal(&self) -> String {
        self.replay("--journal").0
    }

    /// The alerts that the topics give.
    pub(crate) fn replay_topics(&self) -> String {
        self.replay("--topics").0
    }

    /// Replays and answers the alerts and the fates of the summary.
    fn replay(&self, road: &str) -> (String, Vec<(String, i64)>) {
        let answer = touchline(&["replay", road, "--config", &self.config("a")]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let fates = answer.stderr.lines().filter_map(|line| {
            let (name, count) = line.strip_prefix("  ")?.rsplit_once(' ')?;
            Some((name.trim().to_owned(), count.parse().ok()?))
        });
        (answer.stdout, fates.collect())
    }

    /// Lays `more` over the configuration of the next starts.
    pub(crate) fn reconfigure(&mut self, more: &str) {
        self.text += more;
        self.configure("a");
    }

    /// Replaces a part of the configuration of the next starts.
    pub(crate) fn reconfigure_from(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from));
        self.text = self.text.replace(from, to);
        self.configure("a");
    }

    /// Every alert has one life: opened, updated any number of times, perhaps resolved, revision by revision; and those that
    /// the topics say are open are open in the state.
    pub(crate) fn check_lives(&self) {
        let mut open: BTreeMap<String, (String, i64)> = BTreeMap::new();
        for line in lines_of(&self.lines("alerts")).lines() {
            let alert: serde_json::Value = serde_json::from_str(line).unwrap();
            let (id, phase) = (alert["alert_id"].as_str().unwrap().to_owned(), alert["phase"].as_str().unwrap());
            let revision = alert["revision"].as_i64().unwrap();
            if phase == "opened" {
                let kind = alert["kind"].as_str().unwrap().to_owned();
                assert!(open.insert(id, (kind, revision)).is_none(), "opened twice: {line}");
                assert_eq!(revision, 0, "{line}");
            } else {
                let (_, last) = open.get_mut(&id).unwrap_or_else(|| panic!("not open: {line}"));
                *last += 1;
                assert_eq!(revision, *last, "{line}");
                if phase == "resolved" {
                    open.remove(&id);
                }
            }
        }
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        open.into_values().for_each(|(kind, _)| *kinds.entry(kind).or_default() += 1);
        let mut kept: BTreeMap<String, u64> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for (kind, count) in self.restore(partition).engine.open_alerts() {
                *kept.entry(kind.into_owned()).or_default() += count;
            }
        }
        kept.retain(|_, count| *count > 0);
        assert_eq!(kinds, kept);
    }

    fn restore(&self, partition: i32) -> Restored {
        let mut restorer = Partition::restorer(&self.plan(), partition, 1);
        for image in self.lines("images").iter().filter(|record| record.partition == partition) {
            restorer.image(image.key.as_deref().unwrap(), image.payload.as_deref(), seq_header(image)).unwrap();
        }
        let from = restorer.from_offset().unwrap().unwrap_or(0);
        for record in self.lines("journal").iter().filter(|record| record.partition == partition) {
            if record.offset >= from {
                restorer.journal(record.offset, record.payload.as_deref().unwrap()).unwrap();
            }
        }
        match restorer.finish(None, &[]) {
            Verdict::Ready(restored) => *restored,
            verdict @ (Verdict::Retry(_) | Verdict::Refuse(_)) => panic!("partition {partition}: {verdict:?}"),
        }
    }

    fn plan(&self) -> Arc<Plan> {
        let config = Config::load(Some(&self.text), &|reference| Err(format!("{reference} is not there"))).unwrap();
        config.plan(config.input_topics(), PARTITIONS)
    }

    /// How many journal entries a restore would replay now.
    pub(crate) fn tail_entries(&self) -> u64 {
        (0..PARTITIONS).map(|partition| self.restore(partition).replayed).sum()
    }

    /// The state restored from images and journal equals that of an engine fed the whole journal. Answers how many
    /// journal entries the restore had to replay.
    pub(crate) fn check_restore(&self) -> u64 {
        let plan = self.plan();
        let journal = self.lines("journal");
        let mut replayed = 0;
        for partition in 0..PARTITIONS {
            let restored = self.restore(partition);
            let mut fed = Fed::new(&plan);
            for record in journal.iter().filter(|record| record.partition == partition) {
                fed.record(record.payload.as_deref().unwrap());
            }
            replayed += restored.replayed;
            assert_eq!(restored.engine.customers(), fed.engine.customers());
            assert_eq!(restored.engine.next_deadline(), fed.engine.next_deadline());
            for customer in &fed.customers {
                assert_eq!(
                    image_of(&restored.engine, customer),
                    image_of(&fed.engine, customer),
                    "partition {partition}"
                );
            }
            assert_eq!(restored.book.committed().counters, fed.last.unwrap().counters);
        }
        replayed
    }
}

/// An engine fed the whole journal of a partition.
struct Fed {
    engine: Engine,
    customers: BTreeSet<String>,
    last: Option<Header>,
}

impl Fed {
    fn new(plan: &Plan) -> Self {
        Self { engine: Engine::new(Arc::clone(&plan.settings)), customers: BTreeSet::new(), last: None }
    }

    fn record(&mut self, record: &[u8]) {
        let (header, entries) = Entries::of(record).unwrap();
        for entry in entries {
            let entry = entry.unwrap();
            if let Input::Touchpoint(scored) = &entry {
                self.customers.insert(scored.customer_id.to_owned());
            }
            self.engine.apply(&entry, &mut Vec::new());
        }
        if header.last {
            self.engine.commit();
        }
        self.last = Some(header);
    }
}

fn image_of(engine: &Engine, customer: &str) -> Option<Vec<u8>> {
    engine.find(customer).map(|slot| engine.image(slot).to_vec())
}

fn seq_header(record: &Record) -> Option<u64> {
    let (_, value) = record.headers.iter().find(|(key, _)| key == "seq")?;
    std::str::from_utf8(value).unwrap().parse().ok()
}

pub(crate) fn lines_of(records: &[Record]) -> String {
    records.iter().map(|record| String::from_utf8(record.payload.clone().unwrap()).unwrap() + "\n").collect()
}

/// Alerts of each customer, in order.
pub(crate) fn by_customer(lines: &str) -> BTreeMap<String, Vec<&str>> {
    let mut customers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in lines.lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        customers.entry(alert["customer_id"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    customers
}

/// A running `touchline run`; killed when dropped.
pub(crate) struct Service {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Service {
    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let arguments = ["-s", name, &self.child.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Waits until it ends by itself; answers its exit code.
    pub(crate) fn ended(&mut self, deadline: Duration) -> i32 {
        let mut code = None;
        wait_until("the service to end", deadline, || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        let status = code.unwrap();
        status.code().unwrap_or_else(|| panic!("it ended by a signal: {status}"))
    }

    /// Waits until both workers own their partitions.
    pub(crate) fn wait_until_restored(&self) {
        wait_until("restored partitions", DRAIN_DEADLINE, || self.log().matches("restored").count() >= 2);
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: it must end by itself, with code 0.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(STOP_DEADLINE), 0);
    }
}

impl Drop for Service {
    #[expect(clippy::print_stderr, reason = "what a failed test shows")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        // Already gone in most cases.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_drained_backlog_equals_its_journal_and_the_replay_of_its_topics() {
    let scene = Scene::new("drain", 20_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
    scene.check_topics();
    scene.check_story();
    assert_eq!(scene.check_restore(), 0, "a clean stop leaves nothing to replay");
}

#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    let scene = Scene::new("kill", 30_000);
    for kill in 1..=5 {
        let service = scene.start("a");
        scene.wait_for_share(kill, 6);
        service.kill();
    }
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.kill();
    assert!(scene.check_restore() > 0, "a kill leaves a tail to replay");
    let service = scene.start("a");
    service.wait_until_restored();
    service.stop();
    scene.check();
    scene.check_topics();
    scene.check_restore();
}

/// The rule is the one in README.md, which `tests/cases/own_rule` tests.
#[test]
fn a_rule_of_ones_own_fires_in_the_service_as_in_every_replay() {
    let mut scene = Scene::empty("own");
    scene.reconfigure(include_str!("../../config/examples/own_rule.toml"));
    scene.simulate_lives();
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
    scene.check_topics();
    let alerts = lines_of(&scene.lines("alerts"));
    for phase in ["opened", "resolved"] {
        let told = format!("\"phase\":\"{phase}\"");
        let is_told = |line: &str| line.contains("\"kind\":\"worn_out\"") && line.contains(&told);
        assert!(alerts.lines().any(is_told), "{phase} is not in:\n{alerts}");
    }
}

#[test]
fn an_instance_may_join_and_leave_while_records_flow() {
    let scene = Scene::new("join", 30_000);
    let first = scene.start("a");
    scene.wait_for_share(1, 5);
    let second = scene.start("b");
    scene.wait_for_share(2, 5);
    scene.simulate(10_000, 2);
    scene.wait_for_share(3, 5);
    second.stop();
    scene.wait_for_share(1, 1);
    first.stop();
    scene.check();
    scene.check_restore();
}

#[test]
fn a_kill_and_changed_thresholds_lose_and_double_no_alert_and_leave_none_open() {
    let mut scene = Scene::new("change", 30_000);
    let changes = [
        // A rule is taken away, levels move both ways, times change.
        "[rules.detractor]\nenabled = false\n[rules.sentiment_drop]\nopen = -0.15\nclose = 0.0\nfor = \"0ms\"\n\
         [rules.silent_after_bad]\nsilence = \"2d\"\n",
        // And back: another kind is gone.
        "[rules.service_failure]\nenabled = false\n[rules.journey_stalled]\nmax_open = \"6h\"\n",
    ];
    for (number, change) in (1..).zip(changes) {
        let service = scene.start("a");
        scene.wait_for_share(number, 3);
        service.kill();
        assert!(scene.tail_entries() > 0, "a kill leaves a tail to replay");
        scene.reconfigure(change);
    }
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
    scene.check_lives();
    let removed = lines_of(&scene.lines("alerts")).matches("rule_removed").count();
    assert!(removed > 0, "no alert of a rule that was taken away was resolved");
}
