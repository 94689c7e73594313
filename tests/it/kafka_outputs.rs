//! Alerts and experience changes in each form, on a real Kafka with a real schema registry: what is read back says what
//! `replay` says.

use crate::avro_json::json_of;
use crate::broker::{self, Record, wait_until};
use crate::command::touchline;
use crate::kafka_avro::{Case, DEADLINE, record, touchpoints};
use crate::registry::Registry;
use crate::schemas::{assert_is, form_of_event, released};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Runs until there are as many alerts as `replay` finds in the topic. Answers alerts and experience changes as the journal
/// gives them.
fn run(case: &Case, touchpoints: &[Value]) -> [BTreeSet<String>; 2] {
    let service = case.start();
    case.wait_until_ready();
    let replay = |arguments: &[&str]| {
        let answer = touchline(&[&["replay", "--config", case.config()], arguments].concat());
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        parsed(&answer.stdout)
    };
    let expected = replay(&["--topics"]);
    assert!(expected.len() > 20, "{}", expected.len());
    wait_until("every alert", DEADLINE, || case.records("alerts").len() >= expected.len());
    let customer = touchpoints[0]["customer_id"].as_str().unwrap();
    wait_until("a customer to be known", DEADLINE, || {
        case.get(&format!("/customers/{customer}")).starts_with("HTTP/1.1 200")
    });
    service.stop();
    let experience = case.config.with_extension("experience");
    let alerts = replay(&["--journal", "--experience", experience.to_str().unwrap()]);
    assert_eq!(alerts, expected);
    let alert: Value = serde_json::from_str(alerts.first().unwrap()).unwrap();
    let told = touchline(&[
        "explain",
        "--brokers",
        case.brokers,
        "--config",
        case.config(),
        "--alert",
        alert["alert_id"].as_str().unwrap(),
    ]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    [alerts, parsed(&std::fs::read_to_string(experience).unwrap())]
}

/// Lines of JSON, their keys sorted.
fn parsed(lines: &str) -> BTreeSet<String> {
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap().to_string()).collect()
}

fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    values.into_iter().map(Value::to_string).collect()
}

fn json_case(folder: &Path, output: &str, registry: &str) -> (Case, Vec<Value>) {
    let touchpoints = touchpoints(folder);
    let case = Case::new(folder, ("touchpoint-json", output), registry);
    let records: Vec<Record> =
        touchpoints.iter().map(|touchpoint| record(touchpoint, touchpoint.to_string().into_bytes())).collect();
    broker::produce(case.brokers, &case.topic, &records);
    (case, touchpoints)
}

/// The records of a topic, each by the schema that the registry has under its id.
fn read(registry: &Registry, records: &[Record]) -> Vec<Value> {
    let mut schemas: BTreeMap<u32, apache_avro::Schema> = BTreeMap::new();
    let datum = |payload: &[u8]| {
        assert_eq!(payload[0], 0);
        let id = u32::from_be_bytes(payload[1..5].try_into().unwrap());
        let schema = schemas.entry(id).or_insert_with(|| apache_avro::Schema::parse_str(&registry.schema(id)).unwrap());
        let reader = apache_avro::reader::datum::GenericDatumReader::builder(schema).build().unwrap();
        json_of(&reader.read_value(&mut &payload[5..]).unwrap())
    };
    records.iter().filter_map(|record| record.payload.as_deref()).map(datum).collect()
}

#[test]
fn alerts_in_avro_say_what_replay_says_and_a_registry_that_is_away_or_refuses_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let (case, touchpoints) = json_case(folder.path(), "avro", &registry.url());
    registry.freeze();
    let service = case.start();
    wait_until("the start to wait for the registry", DEADLINE, || {
        case.get("/readyz").contains(&format!("has not taken the schema of {}-alerts-value yet", case.topic))
    });
    assert_eq!(case.records("alerts"), []);
    registry.thaw();
    case.wait_until_ready();
    service.stop();
    let replayed = run(&case, &touchpoints);
    let decoded = ["alerts", "experience"].map(|topic| texts(&read(&registry, &case.records(topic))));
    assert_eq!(decoded, replayed);
    let valid = |schema: &str, documents: &BTreeSet<String>| {
        documents.iter().for_each(|document| assert_is(schema, &serde_json::from_str(document).unwrap()));
    };
    valid("alert.json", &decoded[0]);
    valid("experience.json", &decoded[1]);

    // Each release of our schemas follows the ones before it, and today's all of them.
    for (file, version, schema) in released() {
        let subject = format!("{}-released-{file}", case.topic);
        registry.register(&subject, &serde_json::from_str(&schema).unwrap());
        registry.set_compatibility(&subject, "BACKWARD_TRANSITIVE");
        let today = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(&file)).unwrap();
        assert!(registry.register(&subject, &serde_json::from_str(&today).unwrap()) > 0, "{file} {version}");
    }

    // Its subject holds a schema that ours cannot follow.
    let (other, _) = json_case(folder.path(), "avro", &registry.url());
    let subject = format!("{}-alerts-value", other.topic);
    registry.register(
        &subject,
        &json!({"type": "record", "name": "AlertChange", "namespace": "touchline",
        "fields": [{"name": "kind", "type": "long"}]}),
    );
    registry.set_compatibility(&subject, "BACKWARD_TRANSITIVE");
    let checked = |case: &Case| touchline(&["check", "--brokers", "--config", case.config()]);
    let [fit, unfit] = [checked(&case), checked(&other)];
    assert_eq!(fit.code, Some(0), "{}", fit.stdout);
    assert!(fit.stdout.contains(&format!("ok  our schema may be registered under {}-alerts-value\n", case.topic)));
    assert_eq!(unfit.code, Some(1), "{}", unfit.stdout);
    assert!(unfit.stdout.contains("ok  the schema registry answers\n"), "{}", unfit.stdout);
    assert!(unfit.stdout.contains(&format!("NO  our schema may be registered under {subject}\n")), "{}", unfit.stdout);
    assert_eq!(other.start().ended(), Some(1));
    let log = std::fs::read_to_string(other.config.with_extension("log")).unwrap();
    assert!(log.contains(&format!("refuses our schema under {subject}")) && log.contains("409"), "{log}");
}

#[test]
fn alerts_as_events_say_what_replay_says() {
    let folder = tempfile::tempdir().unwrap();
    for (output, content_type) in
        [("cloudevents", "application/json"), ("cloudevents-structured", "application/cloudevents+json; charset=UTF-8")]
    {
        let (case, touchpoints) = json_case(folder.path(), output, "");
        let replayed = run(&case, &touchpoints);
        let mut ids = BTreeSet::new();
        let event = |record: &Record| -> Option<Value> {
            let header = |name: &str| {
                let (_, value) = record.headers.iter().find(|(known, _)| known == name)?;
                Some(Value::from(std::str::from_utf8(value).unwrap()))
            };
            let value: Value = serde_json::from_slice(record.payload.as_deref()?).unwrap();
            assert_eq!(header("content-type"), Some(content_type.into()));
            let of = |name: &str| header(&format!("ce_{name}")).unwrap_or_else(|| value[name].clone());
            assert_eq!((of("specversion"), of("source")), ("1.0".into(), format!("/touchline/{}", case.topic).into()));
            let is_new = ids.insert(of("id").to_string());
            let data = if header("ce_id").is_some() { value.clone() } else { value["data"].clone() };
            assert_eq!(of("subject"), data["customer_id"]);
            let event_type = data["phase"]
                .as_str()
                .map_or_else(|| "touchline.experience.changed".to_owned(), |phase| format!("touchline.alert.{phase}"));
            assert!(is_new && of("type") == event_type, "{value}");
            if header("ce_id").is_none() {
                let message = if event_type.starts_with("touchline.alert") { "alertEvent" } else { "experienceEvent" };
                assert!(form_of_event(message).is_valid(&value), "{value}");
            }
            Some(data)
        };
        let (alerts, experience) = (case.records("alerts"), case.records("experience"));
        let changes: Vec<Value> = alerts.iter().chain(&experience).filter_map(event).collect();
        let (alerts, experience) = changes.split_at(alerts.len());
        assert_eq!([texts(alerts), texts(experience)], replayed);
    }
}
