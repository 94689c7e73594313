//! The same touchpoints in every format of a topic, on a real Kafka: the alerts are the same to the byte, but for where a
//! touchpoint was read and the configuration that says how; once more with all formats side by side, and once with these
//! without keys, through the repartition topic.

use crate::broker::{self, Isolation, Record, unique, wait_until};
use crate::command::touchline;
use crate::formats::{SEGMENT, event, message};
use crate::kafka_avro::{Case, DEADLINE, framed, record, touchpoints, versions};
use crate::registry::Registry;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const FORMATS: [&str; 5] = ["touchpoint-json", "cloudevents", "cloudevents-binary", "segment", "touchpoint-avro"];

/// The `[[input]]` of a format.
fn input(format: &str, topic: &str, repartition: &str) -> String {
    let name = format!("name = \"{format}\"\ntopics = [\"{topic}\"]\nrepartition = \"{repartition}\"");
    let head = "name = \"messages\"";
    match format {
        "segment" => SEGMENT.replace(head, &name),
        "cloudevents-binary" => format!("[[input]]\n{name}\nformat = \"cloudevents\"\n"),
        _ => format!("[[input]]\n{name}\nformat = \"{format}\"\n"),
    }
}

/// An event in binary mode: what `event` makes, with the attributes in headers.
fn binary(touchpoint: &Value) -> Record {
    let mut event = event(touchpoint);
    let data = event.as_object_mut().unwrap().remove("data").unwrap();
    let attributes = event.as_object().unwrap().iter();
    let header = |(name, value): (&String, &Value)| (format!("ce_{name}"), value.as_str().unwrap().as_bytes().to_vec());
    let headers = attributes.map(header).chain([("content-type".to_owned(), b"application/json".to_vec())]).collect();
    Record { headers, ..record(touchpoint, data.to_string().into_bytes()) }
}

/// Alert changes by partition, in order, as their bytes up to where the configuration is named.
fn alerts(case: &Case) -> BTreeMap<i32, Vec<String>> {
    let mut alerts: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for record in broker::read(case.brokers, &format!("{}-alerts", case.topic), Isolation::Committed) {
        let text = String::from_utf8(record.payload.unwrap()).unwrap();
        let (change, _) = text.split_once(",\"config_hash\"").unwrap();
        alerts.entry(record.partition).or_default().push(change.to_owned());
    }
    alerts
}

#[test]
fn every_format_and_all_of_them_together_give_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let schemas = versions();
    let subject = unique("subject");
    let ids = schemas.each_ref().map(|schema| registry.register(&subject, schema));
    let mut touchpoints = touchpoints(folder.path());
    // Segment's messages have no place of their own for these.
    touchpoints.iter_mut().for_each(|touchpoint| drop(touchpoint.as_object_mut().unwrap().remove("rating")));
    // A symbol that one version of the schema has and we do not know.
    touchpoints.iter_mut().skip(2).step_by(30).for_each(|touchpoint| touchpoint["channel"] = "kiosk".into());
    let mut at_ms = 0;
    let mut written = Vec::new();
    for (at, touchpoint) in touchpoints.iter().enumerate() {
        // One after the other, so that topics are merged in this order.
        at_ms = touchpoint["occurred_at"].as_i64().unwrap().max(at_ms + 1);
        let json = |value: &Value| record(touchpoint, value.to_string().into_bytes());
        let avro = record(touchpoint, framed(ids[at % 3], &schemas[at % 3], touchpoint));
        let forms = [json(touchpoint), json(&event(touchpoint)), binary(touchpoint), json(&message(touchpoint)), avro];
        written.push(forms.map(|record| Record { timestamp_ms: at_ms, ..record }));
    }

    let scene = |formats: &[&str], repartition| case(folder.path(), &registry, formats, repartition);
    let mut cases: Vec<Case> = FORMATS.iter().map(|format| scene(&[format], "auto")).collect();
    cases.extend([scene(&FORMATS, "auto"), scene(&FORMATS, "always")]);
    for (at, format) in FORMATS.iter().enumerate() {
        let all: Vec<Record> = written.iter().map(|forms| forms[at].clone()).collect();
        broker::produce(cases[at].brokers, &format!("{}-{format}", cases[at].topic), &all);
        let fifth: Vec<Record> = all.into_iter().skip(at).step_by(5).collect();
        broker::produce(cases[at].brokers, &format!("{}-{format}", cases[5].topic), &fifth);
        let keyless: Vec<Record> = fifth.into_iter().map(|record| Record { key: None, ..record }).collect();
        broker::produce(cases[at].brokers, &format!("{}-{format}", cases[6].topic), &keyless);
    }
    let replayed = touchline(&["replay", "--topics", "--config", cases[0].config()]);
    let expected = replayed.stdout.lines().count();
    assert!(expected > 20, "{}", replayed.stderr);
    let services: Vec<_> = cases.iter().map(Case::start).collect();
    for case in &cases {
        let count = || alerts(case).values().map(Vec::len).sum::<usize>();
        wait_until("every alert", DEADLINE, || count() >= expected);
    }
    services.into_iter().for_each(crate::kafka_avro::Service::stop);
    let first = alerts(&cases[0]);
    assert_eq!(first.len(), 2);
    for (case, format) in cases.iter().zip(FORMATS.iter().chain(&["all together", "all without keys"])).skip(1) {
        assert!(alerts(case) == first, "{format} gives other alerts");
        assert_eq!(case.records("dlq"), [], "{format}");
    }
}

/// One topic for each of these formats, and a group of its own.
fn case(folder: &Path, registry: &Registry, formats: &[&str], repartition: &str) -> Case {
    let one = |topic: &str, format: &&str| input(format, &format!("{topic}-{format}"), repartition);
    let inputs = |topic: &str| formats.iter().map(|format| one(topic, format)).collect();
    Case::with_inputs(folder, &inputs, "json", &registry.url())
}
