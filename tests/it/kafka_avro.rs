//! Avro on a real Kafka with a real schema registry: three versions of a schema, an outage, unknown ids; and the same
//! touchpoints in every format of a topic give the same alerts.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::touchline;
use crate::registry::Registry;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SCHEMA: &str = include_str!("../../schemas/touchpoint.avsc");
const DEADLINE: Duration = Duration::from_secs(120);

/// One input of one topic, and a group of its own.
struct Case {
    brokers: &'static str,
    topic: String,
    config: PathBuf,
    admin: u16,
}

impl Case {
    fn new(folder: &Path, format: &str, registry: &str) -> Self {
        let (brokers, topic) = (broker::shared(), unique(format));
        let [admin] = broker::free_ports();
        let config = folder.join(format!("{format}.toml"));
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

    fn config(&self) -> &str {
        self.config.to_str().unwrap()
    }

    /// Alerts of `replay --topics`, as in [`comparable`].
    fn replayed(&self) -> BTreeSet<String> {
        let answer = touchline(&["replay", "--topics", "--config", self.config()]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        comparable(answer.stdout.lines().map(str::as_bytes))
    }

    fn readyz(&self) -> String {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.admin)) else { return String::new() };
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_or(String::new(), |_| answer)
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

fn touchpoints(folder: &Path) -> Vec<Value> {
    let file = folder.join("simulated.jsonl").display().to_string();
    let sent = touchline(&["simulate", "--to", &file, "--customers", "80", "--text", "--seed", "5"]);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn record(touchpoint: &Value, payload: Vec<u8>) -> Record {
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

    let avro = Case::new(folder.path(), "touchpoint-avro", &registry.url());
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
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_touchline"))
        .args(["run", "--config", avro.config()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_until("a partition to wait for the registry", DEADLINE, || {
        avro.readyz().contains("has not answered for schema")
    });
    assert_eq!(broker::read(avro.brokers, &format!("{}-dlq", avro.topic), Isolation::Committed), []);
    registry.thaw();
    wait_until("the service to be ready again", DEADLINE, || avro.readyz().starts_with("HTTP/1.1 200"));
    let lines = |topic: &str| broker::read(avro.brokers, &format!("{}-{topic}", avro.topic), Isolation::Committed);
    wait_until("three dead letters", DEADLINE, || lines("dlq").len() == 3);
    let expected = avro.replayed();
    assert!(expected.len() > 20, "{}", expected.len());
    let alerts = || {
        comparable(
            lines("alerts").iter().map(|alert| alert.payload.as_deref().unwrap()).collect::<Vec<_>>().into_iter(),
        )
    };
    wait_until("every alert", DEADLINE, || lines("alerts").len() >= expected.len());
    let stopped = Command::new("kill").arg(service.id().to_string()).status().unwrap();
    assert!(stopped.success() && service.wait().unwrap().success());
    assert_eq!(alerts(), expected);
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    for letter in lines("dlq") {
        let reason = letter.headers.into_iter().find(|(name, _)| name == "touchline.reason").unwrap().1;
        *reasons.entry(String::from_utf8(reason).unwrap()).or_default() += 1;
    }
    let once = ["decode", "magic", "unknown_schema"].map(|reason| (reason.to_owned(), 1));
    assert_eq!(reasons, BTreeMap::from(once));

    let plain = Case::new(folder.path(), "touchpoint-json", "");
    let json = |touchpoint: &Value| record(touchpoint, touchpoint.to_string().into_bytes());
    broker::produce(plain.brokers, &plain.topic, &touchpoints.iter().map(json).collect::<Vec<_>>());
    assert_eq!(plain.replayed(), expected);

    let events = Case::new(folder.path(), "cloudevents", "");
    broker::produce(events.brokers, &events.topic, &touchpoints.iter().enumerate().map(event).collect::<Vec<_>>());
    assert_eq!(events.replayed(), expected);
}
