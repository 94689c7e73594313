//! The same touchpoints in every format give the same alerts, but for where they were read.

use crate::command::touchline;
use serde_json::{Value, json};
use std::path::Path;

/// A configuration whose one input reads Segment's messages with everything a touchpoint has.
pub(crate) const SEGMENT: &str = r#"
[[input]]
name = "messages"
format = "segment"
[input.mapping]
kind = "/properties/kind"
source = "/properties/source"
channel = "/properties/channel"
session_id = "/properties/session_id"
order_id = "/properties/order_id"
conversation_id = "/properties/conversation_id"
product_id = "/properties/product_id"
location_id = "/properties/location_id"
topic = "/properties/topic"
text = "/properties/text"
language = "/properties/language"
wait_ms = "/properties/wait_ms"
outcome = "/properties/outcome"
due_at = "/properties/due_at"
amount_minor = "/properties/amount_minor"
currency = "/properties/currency"
"#;

fn alerts(folder: &Path, name: &str, config: &str, lines: &[Value]) -> Vec<Value> {
    let (input, configuration) = (folder.join(format!("{name}.jsonl")), folder.join(format!("{name}.toml")));
    std::fs::write(&input, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    std::fs::write(&configuration, config).unwrap();
    let answer = touchline(&["replay".into(), "--config".into(), configuration, input]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let mut alerts: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for alert in &mut alerts {
        let alert = alert.as_object_mut().unwrap();
        alert.remove("position");
        alert.remove("config_hash");
    }
    alerts
}

fn moment(touchpoint: &Value) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(touchpoint["occurred_at"].as_i64().unwrap()).unwrap()
}

/// A touchpoint as a CloudEvent in the structured mode.
pub(crate) fn event(touchpoint: &Value) -> Value {
    let mut data = touchpoint.clone();
    let mut take = |name: &str| data.as_object_mut().unwrap().remove(name).unwrap();
    let (id, source, kind, _) = (take("id"), take("source"), take("kind"), take("occurred_at"));
    let time = moment(touchpoint).to_string();
    json!({"specversion": "1.0", "id": id, "source": source, "type": kind, "time": time, "data": data})
}

/// A touchpoint as a message of Segment, from a device whose clock is an hour fast.
pub(crate) fn message(touchpoint: &Value) -> Value {
    let at = moment(touchpoint);
    let device = (at + jiff::Span::new().hours(1)).to_string();
    json!({"type": "track", "event": "Something", "messageId": touchpoint["id"], "userId": touchpoint["customer_id"],
        "timestamp": device, "sentAt": device, "receivedAt": at.to_string(), "properties": touchpoint})
}

#[test]
fn json_cloudevents_and_segment_give_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let simulated = folder.path().join("simulated.jsonl");
    let to = simulated.display().to_string();
    let sent = touchline(&["simulate", "--to", &to, "--customers", "60", "--text", "--seed", "3"]);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let text = std::fs::read_to_string(&simulated).unwrap();
    let mut touchpoints: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Segment's messages have no place of their own for these.
    touchpoints.iter_mut().for_each(|touchpoint| drop(touchpoint.as_object_mut().unwrap().remove("rating")));
    let plain = alerts(folder.path(), "plain", "[[input]]\nname = \"x\"\n", &touchpoints);
    assert!(plain.len() > 20, "{}", plain.len());
    let events: Vec<Value> = touchpoints.iter().map(event).collect();
    let config = "[[input]]\nname = \"x\"\nformat = \"cloudevents\"\n";
    assert_eq!(alerts(folder.path(), "events", config, &events), plain);

    let messages: Vec<Value> = touchpoints.iter().map(message).collect();
    assert_eq!(alerts(folder.path(), "messages", SEGMENT, &messages), plain);
}

#[test]
fn experience_events_of_adobe_are_read_by_the_shipped_mapping() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (config, sample) = (root.join("config/examples/xdm.toml"), root.join("tests/samples/xdm.jsonl"));
    let tried = touchline(&[
        "check".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
        "--sample".as_ref(),
        sample.as_os_str(),
    ]);
    assert!(tried.stdout.ends_with("8 records tried: 8 touchpoints, 0 rejected\n"), "{}", tried.stdout);
    let replayed = touchline(&["replay".as_ref(), "--config".as_ref(), config.as_os_str(), sample.as_os_str()]);
    let alert: Value = serde_json::from_str(&replayed.stdout).unwrap();
    assert_eq!((&alert["kind"], &alert["customer_id"]), (&json!("journey_stalled"), &json!("crm-7")));
}
