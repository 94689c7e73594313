//! Avro on a real Kafka with a real schema registry: three versions of a schema, an outage, unknown ids.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::{get, touchline};
use crate::registry::Registry;
use crate::schemas::assert_is;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCHEMA: &str = include_str!("../../schemas/touchpoint.avsc");
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Address space of a service that meets hostile input.
const MEMORY_KIB: u32 = 3 * 1024 * 1024;
/// How often it meets each.
const TIMES: usize = 20;

/// One input of one topic, and a group of its own.
pub(crate) struct Case {
    pub(crate) brokers: &'static str,
    pub(crate) topic: String,
    pub(crate) config: PathBuf,
    pub(crate) admin: u16,
}

impl Case {
    /// An input of this format; outputs of that one.
    pub(crate) fn new(folder: &Path, (format, output): (&str, &str), registry: &str) -> Self {
        let input =
            |topic: &str| format!("[[input]]\nname = \"touchpoints\"\ntopics = [\"{topic}\"]\nformat = \"{format}\"\n");
        Self::with_inputs(folder, &input, output, registry)
    }

    /// What `inputs` makes of the name of the group.
    pub(crate) fn with_inputs(folder: &Path, inputs: &dyn Fn(&str) -> String, output: &str, registry: &str) -> Self {
        let (brokers, topic) = (broker::shared(), unique("touchpoints"));
        let inputs = inputs(&topic);
        let [admin] = broker::free_ports();
        let config = folder.join(format!("{topic}.toml"));
        let text = format!(
            r#"
            {inputs}
            [registry]
            url = "{registry}"
            [kafka]
            bootstrap_servers = "{brokers}"
            group_id = "{topic}"
            start_from = "earliest"
            idle_ticks = false
            [topics]
            partitions = 2
            alerts = "{topic}-alerts"
            experience = "{topic}-experience"
            dlq = "{topic}-dlq"
            [output]
            format = "{output}"
            [admin]
            listen = "127.0.0.1:{admin}"
            "#
        );
        std::fs::write(&config, text).unwrap();
        let case = Self { brokers, topic, config, admin };
        let created = touchline(&["topics", "--create", "--config", case.config()]);
        assert_eq!(created.code, Some(0), "{}{}", created.stdout, created.stderr);
        case
    }

    pub(crate) fn config(&self) -> &str {
        self.config.to_str().unwrap()
    }

    /// Alerts of `replay --topics`, as in [`comparable`].
    fn replayed(&self) -> BTreeSet<String> {
        let answer = touchline(&["replay", "--topics", "--config", self.config()]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        comparable(answer.stdout.lines().map(str::as_bytes))
    }

    /// What the admin server answers; nothing while there is none.
    pub(crate) fn get(&self, path: &str) -> String {
        get(self.admin, path)
    }

    /// The committed records of one of its output topics.
    pub(crate) fn records(&self, output: &str) -> Vec<Record> {
        broker::read(self.brokers, &format!("{}-{output}", self.topic), Isolation::Committed)
    }

    pub(crate) fn start(&self) -> Service {
        self.start_by(&mut Command::new(env!("CARGO_BIN_EXE_touchline")))
    }

    /// With so much address space and no more: who asks for more of it is aborted.
    fn start_within(&self, kib: u32) -> Service {
        let limited = format!("ulimit -v {kib} && exec \"$0\" \"$@\"");
        self.start_by(Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_touchline")]))
    }

    fn start_by(&self, command: &mut Command) -> Service {
        let log = std::fs::File::options().create(true).append(true).open(self.config.with_extension("log")).unwrap();
        command.args(["run", "--config", self.config()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Service(command.spawn().unwrap())
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_until("the service to be ready", DEADLINE, || self.get("/readyz").starts_with("HTTP/1.1 200"));
    }
}

/// A running service, killed when the test ends before it.
pub(crate) struct Service(Child);

impl Service {
    /// A clean stop.
    pub(crate) fn stop(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }

    /// A figure of its memory, in KiB.
    fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Its end by itself: what it answered.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Alerts without what differs between configurations and places.
fn comparable<'a>(lines: impl Iterator<Item = &'a [u8]>) -> BTreeSet<String> {
    let line = |line: &[u8]| {
        let mut alert: Value = serde_json::from_slice(line).unwrap();
        let fields = alert.as_object_mut().unwrap();
        fields.remove("position");
        fields.remove("config_hash");
        alert.to_string()
    };
    lines.map(line).collect()
}

/// Our schema, one with other names and more fields, one with fewer fields and more symbols.
pub(crate) fn versions() -> [Value; 3] {
    let ours: Value = serde_json::from_str(SCHEMA).unwrap();
    let (mut renamed, mut other) = (ours.clone(), ours.clone());
    for field in renamed["fields"].as_array_mut().unwrap() {
        let alias = field["aliases"].as_array().and_then(|aliases| aliases.last()).cloned();
        field["name"] = alias.unwrap_or_else(|| field["name"].clone());
        field.as_object_mut().unwrap().remove("aliases");
    }
    let more = json!({"name": "lines", "type": {"type": "array", "items": "long"}, "default": [1, 2, 3]});
    renamed["fields"].as_array_mut().unwrap().insert(1, more);
    let fields = other["fields"].as_array_mut().unwrap();
    fields.retain(|field| field["name"] != "consent" && field["name"] != "attributes");
    let channel = fields.iter_mut().find(|field| field["name"] == "channel").unwrap();
    channel["type"][1]["symbols"].as_array_mut().unwrap().insert(0, json!("kiosk"));
    [ours, renamed, other]
}

pub(crate) fn framed(id: u32, schema: &Value, touchpoint: &Value) -> Vec<u8> {
    let parsed = apache_avro::Schema::parse(schema).unwrap();
    let mut fields = serde_json::Map::new();
    for field in schema["fields"].as_array().unwrap() {
        let name = field["name"].as_str().unwrap();
        let ours: Value = serde_json::from_str(SCHEMA).unwrap();
        let known = |ours: &&Value| {
            ours["name"] == name || ours["aliases"].as_array().is_some_and(|aliases| aliases.contains(&json!(name)))
        };
        let of_ours =
            ours["fields"].as_array().unwrap().iter().find(known).map(|ours| ours["name"].as_str().unwrap().to_owned());
        let value = of_ours.and_then(|of_ours| touchpoint.get(of_ours)).cloned();
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    let value = Avro::try_from(Value::Object(fields)).unwrap().resolve(&parsed).unwrap();
    let datum = GenericDatumWriter::builder(&parsed).build().unwrap().write_value_to_vec(value).unwrap();
    [&[0], &id.to_be_bytes()[..], &datum].concat()
}

pub(crate) fn touchpoints(folder: &Path) -> Vec<Value> {
    let file = folder.join("simulated.jsonl").display().to_string();
    let sent = touchline(&["simulate", "--to", &file, "--customers", "80", "--text", "--seed", "5"]);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn record(touchpoint: &Value, payload: Vec<u8>) -> Record {
    let key = touchpoint["customer_id"].as_str().unwrap();
    let timestamp_ms = touchpoint["occurred_at"].as_i64().unwrap();
    Record { key: Some(key.into()), payload: Some(payload), timestamp_ms, ..Record::default() }
}

#[test]
fn avro_survives_a_registry_that_is_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::start();
    let schemas = versions();
    let subject = unique("subject");
    let register = |registry: &Registry| schemas.each_ref().map(|schema| registry.register(&subject, schema));
    let ids = register(&registry);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
    let touchpoints = touchpoints(folder.path());
    let case = Case::new(folder.path(), ("touchpoint-avro", "json"), &registry.url());
    let (before, after) = touchpoints.split_at(touchpoints.len() / 2);
    let first: Vec<Record> =
        before.iter().map(|touchpoint| record(touchpoint, framed(ids[0], &schemas[0], touchpoint))).collect();
    broker::produce(case.brokers, &case.topic, &first);
    let service = case.start();
    case.wait_until_ready();
    wait_until("the first alerts", DEADLINE, || !case.records("alerts").is_empty());

    registry.kill();
    let version = |at: usize| framed(ids[at % 3], &schemas[at % 3], &after[at]);
    let mut second: Vec<Record> =
        after.iter().enumerate().map(|(at, touchpoint)| record(touchpoint, version(at))).collect();
    let bad = |payload: &[u8]| Record { payload: Some(payload.into()), ..record(&after[0], Vec::new()) };
    second.insert(100, bad(b"{}"));
    second.insert(200, bad(b"\x00\x00\x0f\x42\x40\x02"));
    second.insert(300, bad(&[&[0], &ids[0].to_be_bytes()[..], b"\xff\xff\xff\xff\xff"].concat()));
    broker::produce(case.brokers, &case.topic, &second);
    wait_until("a partition to wait for the registry", DEADLINE, || {
        case.get("/readyz").contains("has not answered for schema")
    });
    let waiting =
        |line: &str| line.strip_prefix("touchline_partitions{state=\"waiting\"} ").is_some_and(|count| count != "0");
    assert!(case.get("/metrics").lines().any(waiting));
    std::thread::sleep(outage());
    // Only what is wrong without asking anybody is a dead letter.
    assert!(case.records("dlq").iter().all(|letter| reason(letter) == "magic" || reason(letter) == "decode"));
    registry.come_back(|registry| assert_eq!(register(registry), ids));
    let answers = Instant::now();
    case.wait_until_ready();
    wait_until("three dead letters", DEADLINE, || case.records("dlq").len() == 3);
    let resumed = answers.elapsed();
    assert!(resumed < Duration::from_secs(10), "{resumed:?}");

    let expected = case.replayed();
    assert!(expected.len() > 20, "{}", expected.len());
    wait_until("every alert", DEADLINE, || case.records("alerts").len() >= expected.len());
    service.stop();
    let alerts = case.records("alerts");
    assert_eq!(comparable(alerts.iter().map(|alert| alert.payload.as_deref().unwrap())), expected);
    let letters = case.records("dlq");
    let reasons: BTreeSet<String> = letters.iter().map(reason).collect();
    assert_eq!(reasons, ["decode", "magic", "unknown_schema"].map(str::to_owned).into());
    for letter in letters {
        let ours = letter.headers.iter().filter(|(name, _)| name.starts_with("touchline."));
        let text = |value: &[u8]| Value::from(std::str::from_utf8(value).unwrap());
        assert_is("dead-letter-headers.json", &ours.map(|(name, value)| (name.clone(), text(value))).collect());
    }
}

/// Schemas and data that are made to fall a decoder over, and what becomes of them.
fn hostile() -> Vec<(Value, Vec<u8>, &'static str)> {
    let ours: Value = serde_json::from_str(SCHEMA).unwrap();
    let with = |more: Value| {
        let mut schema = ours.clone();
        schema["fields"].as_array_mut().unwrap().insert(0, more);
        schema
    };
    let without_kind = {
        let mut schema = ours.clone();
        schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "kind");
        schema
    };
    let array = |items: Value| json!({"type": "array", "items": items});
    let nine_million = b"\x80\xd1\xca\x08\x00";
    let recursive = json!({"type": "record", "name": "Deep", "fields": [{"name": "inner", "type": ["null", "Deep"]}]});
    vec![
        (with(json!({"name": "a", "type": array(json!("null"))})), nine_million.to_vec(), "schema"),
        (
            with(json!({"name": "a", "type": array(array(json!("null")))})),
            b"\x02\x80\xd1\xca\x08\x00".repeat(1_334),
            "schema",
        ),
        (with(json!({"name": "a", "type": recursive})), b"\x02".repeat(10_000), "schema"),
        (with(json!({"name": "a", "type": array(json!("int"))})), nine_million.to_vec(), "decode"),
        (
            with(json!({"name": "a", "type": array(json!("int"))})),
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
            "decode",
        ),
        (with(json!({"name": "a", "type": "bytes"})), b"\xfe\xff\xff\xff\x0f".to_vec(), "decode"),
        (with(json!({"name": "a", "type": ["null", "long"]})), b"\x08".to_vec(), "decode"),
        (without_kind, b"\x02e\x00".to_vec(), "schema"),
    ]
}

#[test]
fn hostile_avro_makes_dead_letters_and_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let subject = unique("hostile");
    registry.register(&subject, &serde_json::from_str(SCHEMA).unwrap());
    let schemas = versions();
    let ids = schemas.each_ref().map(|schema| registry.register(&subject, schema));
    let case = Case::new(folder.path(), ("touchpoint-avro", "json"), &registry.url());
    let touchpoints = touchpoints(folder.path());
    let good =
        |(at, touchpoint): (usize, &Value)| record(touchpoint, framed(ids[at % 3], &schemas[at % 3], touchpoint));
    let (before, after) = touchpoints.split_at(touchpoints.len() / 2);
    broker::produce(case.brokers, &case.topic, &before.iter().enumerate().map(good).collect::<Vec<_>>());
    let service = case.start_within(MEMORY_KIB);
    case.wait_until_ready();
    let of_topic = format!("topic=\"{}\"", case.topic);
    let lag = || {
        case.get("/metrics")
            .lines()
            .filter(|line| line.starts_with("touchline_lag_records") && line.contains(&of_topic))
            .map(|line| line.ends_with(" 0"))
            .collect::<Vec<_>>()
    };
    wait_until("the good records to be read", DEADLINE, || lag() == [true, true]);
    let usual = service.memory_kib("VmHWM:");

    let mut records: Vec<Record> = after.iter().enumerate().map(good).collect();
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, (schema, datum, reason)) in hostile().into_iter().enumerate() {
        let id = registry.register(&format!("{subject}-{at}"), &schema);
        for time in 0..TIMES {
            let payload = [&[0], &id.to_be_bytes()[..], &datum].concat();
            records.insert(at + time * 100, record(&after[0], payload));
        }
        *expected.entry(reason).or_default() += TIMES;
    }
    broker::produce(case.brokers, &case.topic, &records);
    let replayed = case.replayed();
    wait_until("every dead letter", DEADLINE, || case.records("dlq").len() >= expected.values().sum());
    wait_until("every alert", DEADLINE, || case.records("alerts").len() >= replayed.len());
    let peak = service.memory_kib("VmHWM:");
    service.stop();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    case.records("dlq").iter().for_each(|letter| *reasons.entry(reason(letter)).or_default() += 1);
    assert_eq!(reasons, expected.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect());
    let alerts = case.records("alerts");
    assert_eq!(comparable(alerts.iter().map(|alert| alert.payload.as_deref().unwrap())), replayed);
    assert!(peak - usual <= 16 * 1024, "{usual} KiB, then {peak} KiB");
}

/// How long the registry is gone: `TOUCHLINE_TEST_OUTAGE_S`, or a second.
fn outage() -> Duration {
    let seconds = std::env::var("TOUCHLINE_TEST_OUTAGE_S").map_or(1, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

fn reason(letter: &Record) -> String {
    let (_, reason) = letter.headers.iter().find(|(name, _)| name == "touchline.reason").unwrap();
    String::from_utf8(reason.clone()).unwrap()
}
