//! Avro on a real Kafka with a real schema registry: three versions of a schema, an outage, unknown ids; and the same
//! touchpoints in every format of a topic give the same alerts.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::touchline;
use crate::registry::Registry;
use crate::schemas::assert_is;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCHEMA: &str = include_str!("../../schemas/touchpoint.avsc");
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

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
        let (brokers, topic) = (broker::shared(), unique(format));
        let [admin] = broker::free_ports();
        let config = folder.join(format!("{topic}.toml"));
        let text = format!(
            r#"
            [[input]]
            name = "touchpoints"
            topics = ["{topic}"]
            format = "{format}"
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
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.admin)) else { return String::new() };
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_or(String::new(), |_| answer)
    }

    /// The committed records of one of its output topics.
    pub(crate) fn records(&self, output: &str) -> Vec<Record> {
        broker::read(self.brokers, &format!("{}-{output}", self.topic), Isolation::Committed)
    }

    pub(crate) fn start(&self) -> Service {
        let log = std::fs::File::options().create(true).append(true).open(self.config.with_extension("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
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
fn versions() -> [Value; 3] {
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

fn framed(id: u32, schema: &Value, touchpoint: &Value) -> Vec<u8> {
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

/// The touchpoint as an event: structured and binary in turn.
fn event((at, touchpoint): (usize, &Value)) -> Record {
    let mut data = touchpoint.clone();
    let mut take = |name: &str| data.as_object_mut().unwrap().remove(name).unwrap();
    let (id, source, kind, time) = (take("id"), take("source"), take("kind"), take("occurred_at"));
    let time = jiff::Timestamp::from_millisecond(time.as_i64().unwrap()).unwrap().to_string();
    if at % 2 == 0 {
        let event = json!({"specversion": "1.0", "id": id, "source": source, "type": kind, "time": time, "data": data});
        return record(touchpoint, event.to_string().into_bytes());
    }
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = [
        ("specversion", "1.0".to_owned()),
        ("id", text(&id)),
        ("source", text(&source)),
        ("type", text(&kind)),
        ("time", time),
    ];
    let headers = headers.map(|(name, value)| (format!("ce_{name}"), value.into_bytes())).into();
    Record { headers, ..record(touchpoint, data.to_string().into_bytes()) }
}

#[test]
fn avro_survives_an_outage_of_the_registry_and_every_format_gives_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let schemas = versions();
    let subject = unique("subject");
    let ids = schemas.each_ref().map(|schema| registry.register(&subject, schema));
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
    let touchpoints = touchpoints(folder.path());

    let avro = Case::new(folder.path(), ("touchpoint-avro", "json"), &registry.url());
    let mut records: Vec<Record> = Vec::new();
    for (at, touchpoint) in touchpoints.iter().enumerate() {
        records.push(record(touchpoint, framed(ids[at % 3], &schemas[at % 3], touchpoint)));
    }
    let bad = |payload: &[u8]| Record { payload: Some(payload.into()), ..record(&touchpoints[0], Vec::new()) };
    records.insert(100, bad(b"{}"));
    records.insert(200, bad(b"\x00\x00\x0f\x42\x40\x02"));
    records.insert(300, bad(&[&[0], &ids[0].to_be_bytes()[..], b"\xff\xff\xff\xff\xff"].concat()));
    broker::produce(avro.brokers, &avro.topic, &records);

    registry.freeze();
    let service = avro.start();
    wait_until("a partition to wait for the registry", DEADLINE, || {
        avro.get("/readyz").contains("has not answered for schema")
    });
    assert_eq!(avro.records("dlq"), []);
    registry.thaw();
    avro.wait_until_ready();
    let lines = |topic: &str| avro.records(topic);
    wait_until("three dead letters", DEADLINE, || lines("dlq").len() == 3);
    let expected = avro.replayed();
    assert!(expected.len() > 20, "{}", expected.len());
    let alerts = || {
        comparable(
            lines("alerts").iter().map(|alert| alert.payload.as_deref().unwrap()).collect::<Vec<_>>().into_iter(),
        )
    };
    wait_until("every alert", DEADLINE, || lines("alerts").len() >= expected.len());
    service.stop();
    assert_eq!(alerts(), expected);
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    for letter in lines("dlq") {
        let ours = letter.headers.iter().filter(|(name, _)| name.starts_with("touchline."));
        let text = |value: &[u8]| Value::from(std::str::from_utf8(value).unwrap());
        assert_is("dead-letter-headers.json", &ours.map(|(name, value)| (name.clone(), text(value))).collect());
        let reason = letter.headers.into_iter().find(|(name, _)| name == "touchline.reason").unwrap().1;
        *reasons.entry(String::from_utf8(reason).unwrap()).or_default() += 1;
    }
    let once = ["decode", "magic", "unknown_schema"].map(|reason| (reason.to_owned(), 1));
    assert_eq!(reasons, BTreeMap::from(once));

    let plain = Case::new(folder.path(), ("touchpoint-json", "json"), "");
    let json = |touchpoint: &Value| record(touchpoint, touchpoint.to_string().into_bytes());
    broker::produce(plain.brokers, &plain.topic, &touchpoints.iter().map(json).collect::<Vec<_>>());
    assert_eq!(plain.replayed(), expected);

    let events = Case::new(folder.path(), ("cloudevents", "json"), "");
    broker::produce(events.brokers, &events.topic, &touchpoints.iter().enumerate().map(event).collect::<Vec<_>>());
    assert_eq!(events.replayed(), expected);
}
