//! `touchline explain`: the story is the record in words.

use crate::command::touchline;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Input and configuration of a golden case, as arguments.
fn arguments(case: &Path) -> Vec<String> {
    let config = case.join("config.toml");
    let mut arguments = Vec::new();
    if config.exists() {
        arguments.extend(["--config".to_owned(), config.display().to_string()]);
    }
    arguments.push(case.join("input.jsonl").display().to_string());
    arguments
}

/// All changes of each alert of a case.
fn alerts(case: &Path) -> BTreeMap<String, Vec<Value>> {
    let command: Vec<String> = std::iter::once("replay".to_owned()).chain(arguments(case)).collect();
    let mut alerts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in touchline(&command).stdout.lines() {
        let change: Value = serde_json::from_str(line).unwrap();
        alerts.entry(change["alert_id"].as_str().unwrap().to_owned()).or_default().push(change);
    }
    alerts
}

fn explain(case: &Path, subject: &[&str]) -> String {
    let command = ["explain"].into_iter().chain(subject.iter().copied()).map(str::to_owned);
    let answer = touchline(&command.chain(arguments(case)).collect::<Vec<_>>());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    answer.stdout
}

/// Every number of a record, as written.
fn numbers(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Number(number) => into.extend(number.as_f64()),
        Value::Array(items) => items.iter().for_each(|item| numbers(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| numbers(field, into)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A moment of a record as stories show it.
fn clock(ms: f64) -> String {
    let moment = jiff::Timestamp::from_millisecond(format!("{ms:.0}").parse().unwrap()).unwrap();
    moment.strftime(if ms % 1000.0 == 0.0 { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S%.3f UTC" }).to_string()
}

#[test]
fn every_number_of_a_story_is_in_the_record_and_every_line_of_evidence_in_the_story() {
    let mut told = 0;
    for case in std::fs::read_dir(golden()).unwrap() {
        let case = case.unwrap().path();
        for (id, changes) in alerts(&case) {
            let story = explain(&case, &["--alert", &id]);
            let mut known = Vec::new();
            changes.iter().for_each(|change| numbers(change, &mut known));
            let mut rest = story.replace(&id, "").replace(changes[0]["customer_id"].as_str().unwrap(), "");
            if let Some(item) = changes[0]["item"]["id"].as_str() {
                rest = rest.replace(item, "");
            }
            for text in changes.iter().flat_map(|change| [&change["suggested_action"], &change["message"]]) {
                rest = rest.replace(text.as_str().unwrap_or_default(), "");
            }
            rest = known.iter().fold(
                rest,
                |rest, number| {
                    if number.abs() > 1e11 { rest.replace(&clock(*number), "") } else { rest }
                },
            );
            for word in rest.split(|c: char| c.is_whitespace() || "():,;".contains(c)) {
                if let Ok(number) = word.parse::<f64>() {
                    assert!(known.contains(&number), "{number} is in no record of {}:\n{story}", case.display());
                }
            }
            for change in changes.iter().filter(|change| change["phase"] != "resolved") {
                for line in change["evidence"].as_array().unwrap() {
                    let wanted = (clock(line["occurred_at"].as_f64().unwrap()), line["contribution"].to_string());
                    // How large an item is, and how long ago the last purchase, is no single touchpoint's doing.
                    let of_none = matches!(line["term"].as_str(), Some("size" | "rhythm"));
                    let is_told =
                        |text: &str| (of_none || text.contains(&wanted.0)) && text.trim_start().starts_with(&wanted.1);
                    assert!(story.lines().any(is_told), "{wanted:?} is not in\n{story}");
                }
            }
            told += 1;
        }
    }
    assert!(told > 15, "{told} alerts only");
}

#[test]
fn a_customers_stories_come_with_how_they_stand() {
    let case = golden().join("sentiment_drop");
    let alerts = alerts(&case);
    let (id, changes) = alerts.iter().next().unwrap();
    let customer = changes[0]["customer_id"].as_str().unwrap();
    let text = explain(&case, &["--customer", customer]);
    assert!(text.contains(&explain(&case, &["--alert", id])), "{text}");
    assert!(text.contains(&format!("\ncustomer {customer} at ")) && text.contains("\nexperience index: "), "{text}");
}

#[test]
fn what_is_not_there_is_said() {
    let case = golden().join("detractor");
    let command = |subject: &[&str]| {
        let command = ["explain"].into_iter().chain(subject.iter().copied()).map(str::to_owned);
        touchline(&command.chain(arguments(&case)).collect::<Vec<_>>()).code
    };
    assert_eq!(command(&["--alert", "0123456789abcdef"]), Some(1));
    assert_eq!(command(&["--customer", "nobody"]), Some(1));
    assert_eq!(command(&["--alert", "12"]), Some(2), "not an id");
    assert_eq!(command(&[]), Some(2), "neither alert nor customer");
}

/// From an order to its delivery, stalled before both steps.
#[test]
fn a_customers_path_is_told_step_by_step() {
    let case = golden().join("journey_steps");
    let text = explain(&case, &["--customer", "twice"]);
    let path = "journey order, order o-twice
    2026-03-02 09:00:00 UTC  start
    2026-03-04 09:00:00 UTC  stalled, after 2.0 days
    2026-03-05 09:00:00 UTC  shipping, after 3.0 days
    2026-03-10 09:00:00 UTC  stalled, after 5.0 days
    2026-03-11 09:00:00 UTC  delivery, after 6.0 days
    waits for review
";
    assert!(text.contains(path), "{text}");
    assert!(text.ends_with("stages\n    2026-03-02 09:00:00 UTC  post_purchase\n"), "{text}");
    let over = explain(&case, &["--customer", "smooth"]);
    assert!(over.contains("review, after 1.0 days\n\nstages"), "{over}");
}

#[test]
fn every_move_on_a_journey_is_written_and_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("moves.jsonl").to_str().unwrap().to_owned();
    let command = ["replay".to_owned(), "--journeys".to_owned(), file.clone()];
    let answer = touchline(&command.into_iter().chain(arguments(&golden().join("journey_steps"))).collect::<Vec<_>>());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let text = std::fs::read_to_string(file).unwrap();
    let moves: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |customer: &str| -> Vec<(&str, &str)> {
        let own = moves.iter().filter(|of| of["customer_id"] == customer && of["journey"] == "order");
        own.map(|of| (of["from"].as_str().unwrap(), of["to"].as_str().unwrap())).collect()
    };
    assert_eq!(of("smooth"), [("start", "shipping"), ("shipping", "delivery"), ("delivery", "review")]);
    assert_eq!(of("late"), [("start", "stalled"), ("start", "shipping"), ("shipping", "delivery")]);
    assert_eq!((of("skips"), of("cancelled")), (vec![("start", "delivery")], vec![("start", "end")]));
    assert!(
        answer.stderr.contains("order: start to stalled                 3  2.0 days, 2.0 days, 2.0 days"),
        "{}",
        answer.stderr
    );
}
