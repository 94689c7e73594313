//! What is read and written is as `schemas/` says: golden inputs, and what `replay` makes of them.

use crate::command::touchline;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails unless the file has lines and each is valid.
fn assert_valid(schema: &str, file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("schemas").join(schema)).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let lines = std::fs::read_to_string(file).unwrap();
    let documents: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (at, document) in documents.iter().enumerate() {
        if let Err(error) = validator.validate(document) {
            panic!("{}:{}: {error}", file.display(), at + 1);
        }
    }
    assert!(!documents.is_empty(), "{} is empty", file.display());
    documents
}

#[test]
fn golden_inputs_and_what_comes_out_of_them_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (alerts, experience) = (folder.path().join("alerts.jsonl"), folder.path().join("experience.jsonl"));
    let mut phases = std::collections::BTreeSet::new();
    for case in std::fs::read_dir(root().join("tests/golden")).unwrap() {
        let case = case.unwrap().path();
        let (input, config) = (case.join("input.jsonl"), case.join("config.toml"));
        let mut arguments: Vec<PathBuf> = vec!["replay".into(), "--out".into(), alerts.clone()];
        arguments.extend(["--experience".into(), experience.clone(), input.clone()]);
        if config.exists() {
            arguments.extend(["--config".into(), config]);
        } else {
            assert_valid("touchpoint.json", &input);
        }
        let answer = touchline(&arguments);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        assert_valid("experience.json", &experience);
        let changes = assert_valid("alert.json", &alerts);
        phases.extend(changes.iter().map(|change| change["phase"].as_str().unwrap().to_owned()));
    }
    assert!(phases.contains("opened") && phases.contains("resolved"), "{phases:?}");
}

#[test]
fn rows_as_of_a_moment_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, out) = (folder.path().join("rows.jsonl"), folder.path().join("features.jsonl"));
    let case = root().join("tests/golden/promises");
    let touchpoints = std::fs::read_to_string(case.join("input.jsonl")).unwrap();
    let moment = |line: &str| {
        let touchpoint: Value = serde_json::from_str(line).unwrap();
        let (customer, at) = (&touchpoint["customer_id"], touchpoint["occurred_at"].as_i64().unwrap() + 86_400_000);
        format!("{{\"customer_id\":{customer},\"as_of\":{at},\"label\":1}}\n")
    };
    let nobody = "{\"customer_id\":\"nobody\",\"as_of\":\"2026-03-02T09:00:00Z\",\"entity\":\"o-1\"}\n";
    std::fs::write(&rows, touchpoints.lines().map(moment).chain([nobody.to_owned()]).collect::<String>()).unwrap();
    let arguments = ["replay".into(), "--as-of".into(), rows, "--out".into(), out.clone(), "--config".into()];
    let answer = touchline(&[&arguments[..], &[case.join("config.toml"), case.join("input.jsonl")]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let answers = assert_valid("features.json", &out);
    assert!(answers.iter().any(|row| row["features"]["pressure"].as_f64().is_some_and(|pressure| pressure > 0.0)));
    assert_eq!(answers.last().unwrap()["features"]["pressure"], Value::Null);
}

#[test]
fn every_kind_of_alert_is_in_the_schema() {
    let text = std::fs::read_to_string(root().join("schemas/alert.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let listed: Vec<&str> = schema["properties"]["kind"]["anyOf"][0]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind.as_str().unwrap())
        .collect();
    let known: Vec<&str> = touchline::rules::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(listed, known);
}
