//! `touchline backtest`: what another configuration would have alerted.

use crate::command::touchline_in;
use serde_json::Value;
use std::path::Path;

fn backtest(candidate: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/detractor/input.jsonl");
    std::fs::write(folder.path().join("candidate.toml"), candidate).unwrap();
    let labels = [
        r#"{"customer_id":"warned","as_of":1772442060001,"label":1,"outcome_ts":1772900000000}"#,
        r#"{"customer_id":"high","as_of":1772442060001,"label":0}"#,
    ];
    std::fs::write(folder.path().join("labels.jsonl"), labels.join("\n")).unwrap();
    let mut arguments = vec!["backtest", "--candidate", "candidate.toml"];
    arguments.extend(more);
    arguments.push(input.to_str().unwrap());
    let answer = touchline_in(folder.path(), &arguments);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    answer.stdout
}

#[test]
fn the_same_configuration_differs_in_nothing() {
    let json: Value = serde_json::from_str(&backtest("", &["--json"])).unwrap();
    let detractor = &json["kinds"]["detractor"];
    assert_eq!((&detractor["base"], &detractor["same"], &detractor["customers"]), (&4.into(), &4.into(), &0.into()));
}

#[test]
fn alerts_are_added_removed_and_judged_by_labels() {
    // Of NPS 6, 2 and two other answers only NPS 2 is left.
    let candidate = "[rules.detractor]\nnps = 5\ncsat = 1\nstars = 1\n";
    let json: Value =
        serde_json::from_str(&backtest(candidate, &["--json", "--labels", "labels.jsonl", "--examples", "9"])).unwrap();
    let detractor = &json["kinds"]["detractor"];
    for (key, count) in [("base", 4), ("candidate", 1), ("same", 1), ("removed", 3), ("added", 0), ("customers", 3)] {
        assert_eq!(detractor[key], count, "{key}: {json}");
    }
    let judged = &json["labels"][0];
    assert_eq!((&judged["base"]["precision"], &judged["base"]["recall"]), (&0.5.into(), &1.0.into()), "{json}");
    assert_eq!((&judged["candidate"]["precision"], &judged["removed"]["right"]), (&0.0.into(), &1.into()), "{json}");
    let told = json["stories"].as_array().unwrap();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|story| story["lines"][0]["touchpoint"].is_string()), "{json}");
}

#[test]
fn the_table_is_for_people() {
    let text = backtest("[rules.detractor]\nnps = 5\n", &["--labels", "labels.jsonl", "--examples", "1"]);
    assert!(text.starts_with("alerts opened              base  candidate   same"), "{text}");
    assert!(text.contains("customer warned\n"), "{text}");
    assert!(text.contains("outcome: 1 of 2 labelled turned out bad."), "{text}");
    assert!(text.contains("= turned out bad: outcome"), "{text}");
}
