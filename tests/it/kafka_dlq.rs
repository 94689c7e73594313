//! `touchline dlq` on a real Kafka: bad records are listed, shown, and sent again until the loop guard holds them back.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::touchline;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);
/// In the payload of a bad record: must be in no header and no answer without `--payload`.
const CANARY: &str = "canary-4711";

struct Scene {
    brokers: &'static str,
    name: String,
    _folder: tempfile::TempDir,
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
        let scene = Self { brokers, name, _folder: folder, config };
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
    let answer = touchline(&["check", "--brokers", "--config", &scene.config]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stdout.contains("has 3 partitions, the inputs have 2"), "{}", answer.stdout);
}
