//! Another interleaving of customers gives the same alerts per customer, byte for byte.

use crate::command::touchline_in;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// `engine.timer_grace` of the defaults: neighbours closer than this may swap.
const TIMER_GRACE_MS: i64 = 60_000;

/// Files without an arrival of their own are put in order of event time, which would undo the swaps.
const CONFIG: &str = r#"
    [[input]]
    name = "recorded"
    topics = ["recorded"]
    format = "touchpoint-json"
    arrival = "/arrived_at"
"#;

type Touchpoint = Map<String, Value>;

fn time(touchpoint: &Touchpoint) -> i64 {
    touchpoint["occurred_at"].as_i64().unwrap()
}

/// A month of a few hundred simulated customers, in order of event time.
fn recorded(folder: &Path) -> Vec<Touchpoint> {
    let answer = touchline_in(folder, &["simulate", "--to", "life.jsonl", "--customers", "400", "--days", "21"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let text = std::fs::read_to_string(folder.join("life.jsonl")).unwrap();
    let mut touchpoints: Vec<Touchpoint> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    touchpoints.sort_by_key(time);
    touchpoints
}

/// Swaps about half of the neighbours that may swap; answers how many.
fn swap_neighbours(touchpoints: &mut [Touchpoint]) -> usize {
    let (mut random, mut swaps, mut at) = (88_172_645_463_325_252_u64, 0, 0);
    while at + 1 < touchpoints.len() {
        // Marsaglia's xorshift: a fixed sequence of coin flips.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (one, other) = (&touchpoints[at], &touchpoints[at + 1]);
        let free = one["customer_id"] != other["customer_id"] && time(other) - time(one) < TIMER_GRACE_MS;
        if free && random % 2 == 0 {
            touchpoints.swap(at, at + 1);
            (swaps, at) = (swaps + 1, at + 1);
        }
        at += 1;
    }
    swaps
}

/// Writes the touchpoints with arrivals in the order they stand in, and replays them. Alerts by customer, without the
/// position, which is the line.
fn alerts(folder: &Path, touchpoints: &[Touchpoint]) -> BTreeMap<String, Vec<String>> {
    let (mut text, mut arrival) = (String::new(), i64::MIN);
    for touchpoint in touchpoints {
        arrival = arrival.max(time(touchpoint));
        let mut line = touchpoint.clone();
        line.insert("arrived_at".into(), arrival.into());
        writeln!(text, "{}", Value::Object(line)).unwrap();
    }
    std::fs::write(folder.join("recorded.jsonl"), text).unwrap();
    std::fs::write(folder.join("recorded.toml"), CONFIG).unwrap();
    let answer = touchline_in(folder, &["replay", "recorded.jsonl", "--config", "recorded.toml"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let mut by_customer = BTreeMap::<String, Vec<String>>::new();
    for line in answer.stdout.lines() {
        let mut alert: Map<String, Value> = serde_json::from_str(line).unwrap();
        alert.remove("position");
        let customer = alert["customer_id"].as_str().unwrap().to_owned();
        by_customer.entry(customer).or_default().push(Value::Object(alert).to_string());
    }
    by_customer
}

#[test]
fn swapped_neighbours_of_different_customers_change_no_alert_of_any_customer() {
    let folder = tempfile::tempdir().unwrap();
    let mut touchpoints = recorded(folder.path());
    let as_recorded = alerts(folder.path(), &touchpoints);
    let changes: usize = as_recorded.values().map(Vec::len).sum();
    assert!(changes > 1_000, "only {changes} alert changes: too little to tell");
    let swaps = swap_neighbours(&mut touchpoints);
    assert!(swaps > 3_000, "only {swaps} swaps: too little to tell");
    assert_eq!(alerts(folder.path(), &touchpoints), as_recorded);
}
