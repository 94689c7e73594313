//! `touchline dlq` on a real Kafka: bad records are listed, shown, and sent again until the loop guard holds them back.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::touchline;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);
/// In the payload of a bad record: must be in no header and no answer without `--payload`.
const CANARY: &str = "canary-4711";

struct Scene {
    brokers: &'static str,
    name: String,
    folder: tempfile::TempDir,
    config: String,
}

impl Scene {
    fn new() -> Self {
        let (brokers, name, folder) = (broker::shared(), unique("dlq"), tempfile::tempdir().unwrap());
        let text = format!(
            r#"
            [[input]]
            name = "touchpoints"
            topics = ["{name}.web"]
            format = "touchpoint-json"
            [kafka]
            bootstrap_servers = "{brokers}"
            group_id = "{name}"
            group_instance_id = "a"
            start_from = "earliest"
            [topics]
            partitions = 2
            alerts = "{name}-alerts"
            experience = "{name}-experience"
            dlq = "{name}-dlq"
            [admin]
            listen = ""
            "#
        );
        let config = folder.path().join("touchline.toml").display().to_string();
        std::fs::write(&config, text).unwrap();
        let scene = Self { brokers, name, folder, config };
        scene.run(&["topics", "--create"]);
        scene
    }

    /// A command that must succeed; answers what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        let answer = touchline(&[arguments, &["--config", &self.config]].concat());
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}{}", answer.stdout, answer.stderr);
        answer.stdout
    }

    fn letters(&self) -> Vec<Record> {
        broker::read(self.brokers, &format!("{}-dlq", self.name), Isolation::Committed)
    }

    fn start(&self) -> Service {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
        command.args(["run", "--config", &self.config]).stdin(Stdio::null()).stderr(Stdio::null());
        Service(command.spawn().unwrap())
    }

    fn wait_for_letters(&self, count: usize) {
        wait_until("dead letters", DEADLINE, || self.letters().len() >= count);
    }
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; the assertions tell.
        drop(self.0.kill());
        self.0.wait().unwrap();
    }
}

#[test]
fn dead_letters_are_listed_shown_and_sent_again_until_the_guard_holds_them() {
    let scene = Scene::new();
    let bad = format!("{{\"id\":\"{CANARY}");
    let topic = format!("{}.web", scene.name);
    broker::produce(scene.brokers, &topic, &[Record::new("c-1", &bad), Record::new("c-2", "{}")]);
    let _service = scene.start();
    scene.wait_for_letters(2);

    let listed = scene.run(&["dlq", "list"]);
    for reason in ["malformed", "missing"] {
        let line = listed.lines().find(|line| line.contains(reason)).unwrap();
        assert!(line.trim_start().starts_with("1 ") && line.ends_with(&topic), "{listed}");
    }
    let shown = scene.run(&["dlq", "show", "--reason", "malformed"]);
    assert!(shown.contains("malformed (") && shown.lines().count() == 1, "{shown}");
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(scene.run(&["dlq", "show", "--payload"]).contains(CANARY));

    for (round, expected) in
        [(1, "2 sent again; left: 0 cut to fit, 0 sent"), (2, "0 sent again; left: 0 cut to fit, 2 sent")]
    {
        let retried = scene.run(&["dlq", "retry", "--retries-max", "1"]);
        assert!(retried.starts_with(expected), "round {round}: {retried}");
        scene.wait_for_letters(4);
    }
    let nothing = scene.run(&["dlq", "retry", "--retries-max", "1"]);
    assert!(nothing.starts_with("0 sent again; left: 0 cut to fit, 0 sent"), "what was passed is passed: {nothing}");

    let letters = scene.letters();
    assert_eq!(letters.len(), 4);
    let retries =
        |letter: &Record| letter.headers.iter().any(|(name, value)| name == "touchline.retries" && value == b"1");
    assert_eq!(letters.iter().filter(|letter| retries(letter)).count(), 2);
    for (name, value) in letters.iter().flat_map(|letter| &letter.headers) {
        assert!(!String::from_utf8_lossy(value).contains(CANARY), "{name}");
    }
    let origins: Vec<i32> =
        broker::read(scene.brokers, &topic, Isolation::Committed).iter().map(|r| r.partition).collect();
    assert_eq!(origins.len(), 4, "each was sent twice, to where it was: {origins:?}");
    assert_eq!(origins.iter().filter(|partition| **partition == origins[0]).count() % 2, 0);
}

#[test]
fn what_run_needs_of_the_brokers_is_tried_beforehand() {
    let scene = Scene::new();
    let fit = scene.run(&["check", "--brokers"]);
    assert!(fit.contains("ok  transactional ids") && !fit.contains("NO "), "{fit}");
    let printed = scene.run(&["topics", "--print", "--user", "reader"]);
    for command in [
        format!("--create --topic {}-journal --partitions 2", scene.name),
        format!("--add --allow-principal User:reader --operation Read --topic {}.web", scene.name),
        format!("--operation Write --transactional-id {}- --resource-pattern-type prefixed", scene.name),
    ] {
        assert!(printed.contains(&command), "{command} is not in:\n{printed}");
    }
    broker::create_topics(scene.brokers, &[&format!("{}.more", scene.name)], 3, &[]);
    let text = std::fs::read_to_string(&scene.config).unwrap();
    let both = format!("topics = [\"{0}.web\", \"{0}.more\"]", scene.name);
    std::fs::write(&scene.config, text.replace(&format!("topics = [\"{}.web\"]", scene.name), &both)).unwrap();
    let through = format!("ok  {0}.more: 3 partitions; all its records go through {0}-repartition", scene.name);
    let fit = scene.run(&["check", "--brokers"]);
    assert!(fit.contains(&through), "{fit}");
    let text = std::fs::read_to_string(&scene.config).unwrap();
    std::fs::write(&scene.config, text.replace("[kafka]", "repartition = \"never\"\n[kafka]")).unwrap();
    for command in [&["check", "--brokers"][..], &["topics"], &["run"]] {
        let answer = touchline(&[command, &["--config", &scene.config]].concat());
        assert_eq!(answer.code, Some(1), "{command:?}");
        let said = answer.stdout + &answer.stderr;
        assert!(
            said.contains(".more: has 3 partitions, topics.alerts and the others of ours have 2; its input"),
            "{said}"
        );
    }
}

#[test]
fn planted_strings_are_in_no_log_metric_alert_or_header() {
    let scene = Scene::new();
    let [port] = broker::free_ports();
    let text = std::fs::read_to_string(&scene.config).unwrap();
    std::fs::write(&scene.config, text.replace("listen = \"\"", &format!("listen = \"127.0.0.1:{port}\""))).unwrap();
    let touchpoint = |id: u32| {
        let payload = serde_json::json!({
            "id": format!("{id}"), "source": "test", "customer_id": format!("{CANARY}-customer"), "channel": "web",
            "kind": "review_posted", "occurred_at": 1_700_000_000_000_i64 + i64::from(id),
            "rating": {"instrument": "stars", "value": 1}, "text": format!("{CANARY}-text: awful, the worst ever"),
            "attributes": {"note": format!("{CANARY}-attribute")},
        });
        Record::new(&format!("{CANARY}-customer"), &payload.to_string())
    };
    let mut records: Vec<Record> = (0..3).map(touchpoint).collect();
    let bad = format!("{{\"id\": 7, \"customer_id\": \"{CANARY}\", \"{CANARY}\": ");
    records.push(Record::new(&format!("{CANARY}-key"), &bad));
    broker::produce(scene.brokers, &format!("{}.web", scene.name), &records);
    let log = scene.folder.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.args(["run", "--config", &scene.config]).env("TOUCHLINE_LOG", "debug").stdin(Stdio::null());
    let service = Service(command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap());
    scene.wait_for_letters(1);
    let alerts = || broker::read(scene.brokers, &format!("{}-alerts", scene.name), Isolation::Committed);
    wait_until("an alert", DEADLINE, || !alerts().is_empty());

    let mut metrics = String::new();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    stream.read_to_string(&mut metrics).unwrap();
    drop(service);
    assert!(metrics.contains("touchline_rejected_total{reason=\"malformed\"} 1"), "{metrics}");
    assert!(!metrics.contains("canary"));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("restored") && !log.contains("canary"), "{log}");
    for alert in alerts() {
        let alert = String::from_utf8(alert.payload.unwrap()).unwrap();
        // An alert is about a customer; nothing else of the touchpoint is in it.
        let rest = alert.replace(&format!("{CANARY}-customer"), "");
        assert!(alert.contains(CANARY) && !rest.contains("canary"), "{alert}");
    }
    for (name, value) in scene.letters().iter().flat_map(|letter| &letter.headers) {
        assert!(!String::from_utf8_lossy(value).contains("canary"), "{name}");
    }
}
