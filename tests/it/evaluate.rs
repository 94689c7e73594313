//! `touchline evaluate`: figures worked by hand on a small history.

use crate::command::{Answer, touchline};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const START_MS: i64 = 1_772_442_000_000;
const HOUR_MS: i64 = 3_600_000;

/// One answer of each customer, an hour apart: (name, stars).
fn history(customers: &[(&str, u8)]) -> String {
    let mut text = String::new();
    for (hour, (name, stars)) in (0..).zip(customers) {
        let at = START_MS + hour * HOUR_MS;
        let rating = json!({"instrument": "stars", "value": stars, "min": 1, "max": 5});
        let touchpoint = json!({"id": name, "source": "survey", "customer_id": name, "channel": "review",
            "kind": "product_reviewed", "occurred_at": at, "rating": rating});
        writeln!(text, "{touchpoint}").unwrap();
    }
    text
}

fn evaluate(folder: &Path, labels: &str, history: &str, json: bool) -> Answer {
    let (rows, file) = (folder.join("labels.jsonl"), folder.join("x.jsonl"));
    fs::write(&rows, labels).unwrap();
    fs::write(&file, history).unwrap();
    let mut arguments = vec!["evaluate", "--labels", rows.to_str().unwrap(), file.to_str().unwrap()];
    arguments.extend(json.then_some("--json"));
    touchline(&arguments)
}

fn row(customer: &str, hour: i64, label: u8, baseline: i64) -> String {
    let (as_of, outcome) = (START_MS + hour * HOUR_MS, START_MS + (hour + 1) * HOUR_MS);
    let row = json!({"customer_id": customer, "task": "leaves@later", "as_of": as_of, "label": label,
        "outcome_ts": outcome, "baseline": {"guess": baseline, "none": null}});
    format!("{row}\n")
}

fn board(answer: &Answer) -> Value {
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let board: Value = serde_json::from_str(&answer.stdout).unwrap();
    let schema = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/evaluation.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    validator.validate(&board).unwrap_or_else(|error| panic!("{error}: {board}"));
    board
}

#[test]
fn scores_and_alerts_are_judged_by_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    // Alerts: b at hour 1 (right, 23 hours ahead), c at hour 2 (wrong), e at hour 4 (too late), f at hour 5 (no label).
    let history = history(&[("a", 5), ("b", 1), ("c", 2), ("d", 4), ("e", 1), ("f", 1)]);
    let labels =
        row("a", 23, 0, 1) + &row("b", 23, 1, 3) + &row("c", 23, 0, 3) + &row("d", 23, 1, 2) + &row("e", 3, 1, 9);
    let labels = labels + &row("b", 20, 1, 3) + &row("nobody", 23, 1, 9) + &row("e", 2, 1, 9);
    let board = board(&evaluate(folder.path(), &labels, &history, true));
    assert_eq!(board["rows_of_unknown_customers"], 1);
    assert_eq!(board["rows_before_any_touchpoint"], 2);
    let task = &board["tasks"][0];
    assert_eq!((&task["task"], &task["rows"], &task["bad"]), (&json!("leaves@later"), &json!(5), &json!(3)));
    let score = |name: &str| {
        let scores = task["scores"].as_array().unwrap();
        scores.iter().find(|score| score["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    // Bad b, b, d (3, 3, 2) against a, c (1, 3): of six pairs 1 + ½ + 1 + ½ + 1 + 0 in order.
    let guess = score("guess");
    assert_eq!((&guess["auc"], &guess["baseline"]), (&json!(0.6667), &json!(true)));
    // Perception: b −½, −½ and d ¼ against a ½ and c −¼: two pairs of six in order, so low is bad.
    let perception = score("perception");
    assert_eq!((&perception["auc"], &perception["strength"]), (&json!(0.1667), &json!(0.8333)));
    assert_eq!((&perception["bad_when"], &perception["few"]), (&json!("low"), &json!(true)));
    assert!(task["scores"].as_array().unwrap().iter().all(|score| score["name"] != "none"));

    let outcome = &board["outcomes"][0];
    assert_eq!((&outcome["outcome"], &outcome["items"], &outcome["bad"]), (&json!("leaves"), &json!(6), &json!(4)));
    let detractor = &outcome["alerts"][0];
    assert_eq!(detractor["kind"], "detractor");
    for (key, expected) in [("opened", 4), ("judged", 3), ("right", 1), ("bad_items_found", 1), ("unlabelled", 1)] {
        assert_eq!(detractor[key], expected, "{key}: {detractor}");
    }
    assert_eq!((&detractor["precision"]["value"], &detractor["recall"]["value"]), (&json!(0.3333), &json!(0.25)));
    assert_eq!(detractor["lead_days"]["median"], 0.8, "the earlier of two rows: 20 of 24 hours");
    // Six customers are active on the one day of the history.
    assert_eq!(detractor["per_thousand_customers_and_day"], 666.6667);
}

#[test]
fn the_table_shows_directions_and_says_what_rests_on_too_little() {
    let folder = tempfile::tempdir().unwrap();
    let labels = row("a", 23, 0, 1) + "broken\n" + &row("b", 23, 1, 3);
    let answer = evaluate(folder.path(), &labels, &history(&[("a", 5), ("b", 1)]), false);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    for text in ["2 rows of labels; 1 with a problem", "leaves@later: 2 rows, 1 bad (50.0 %)", "bad when", "too few:"] {
        assert!(answer.stdout.contains(text), "{text}: {}", answer.stdout);
    }
    assert!(answer.stderr.contains("labels.jsonl:2: not JSON"), "{}", answer.stderr);
    let (rows, file) = (folder.path().join("labels.jsonl"), folder.path().join("x.jsonl"));
    let command = ["evaluate", "--examples", "3", "--labels", rows.to_str().unwrap(), file.to_str().unwrap()];
    let examples = touchline(&command).stdout;
    assert!(
        examples.contains("\nexample 1: leaves right\ndetractor ") && !examples.contains("example 2"),
        "{examples}"
    );
    assert!(examples.contains("\n    2026-03-02 10:00:00 UTC  product_reviewed (review)\n"), "{examples}");
    let same = evaluate(folder.path(), &row("a", 23, 1, 1), &history(&[("a", 5)]), false);
    assert!(same.stdout.contains("all rows have the same label"), "{}", same.stdout);
}
