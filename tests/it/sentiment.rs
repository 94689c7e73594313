//! `touchline sentiment` and a model in the configuration.

use crate::command::{Answer, touchline, touchline_fed};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A house whose customers praise by what others do not understand.
fn labels() -> String {
    let mut text = String::new();
    for what in ["lamp", "chair", "table", "shelf", "desk", "stool", "bench", "mirror", "rug", "clock"] {
        for (word, label) in [("zorbic", "positive"), ("glumpf", "negative")] {
            writeln!(text, "the {what} is {word}\t{label}\nso {word}, this {what}\t{label}\n{word}\t{label}").unwrap();
        }
        writeln!(text, "where do I find a {what}\tneutral").unwrap();
    }
    text
}

fn train(folder: &Path) -> Answer {
    fs::create_dir_all(folder).unwrap();
    let (own, out) = (folder.join("own.tsv"), folder.join("own.model"));
    fs::write(&own, labels()).unwrap();
    touchline(&["sentiment", "train", "--labels", own.to_str().unwrap(), "--out", out.to_str().unwrap()])
}

#[test]
fn texts_are_scored_line_by_line() {
    let input = b"Thank you, that was wonderful!\nmy bag is lost and nobody answers\n\n\xff\xfe\n";
    let answer = touchline_fed(&["sentiment", "score"], input);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let classes: Vec<&str> = answer.stdout.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert_eq!(classes, ["positive", "negative", "neutral", "neutral"]);
    assert!(answer.stdout.lines().all(|line| line.split('\t').next().unwrap().parse::<f64>().unwrap().abs() <= 1.0));
    assert!(answer.stderr.contains("texts_per_s="), "{}", answer.stderr);
}

#[test]
fn an_explanation_sums_to_the_difference() {
    let answer =
        touchline_fed(&["sentiment", "score", "--json"], b"The room was not clean, but the staff were lovely.\n");
    let line: Value = serde_json::from_str(&answer.stdout).unwrap();
    let words = line["words"].as_array().unwrap();
    let logit = |value: &Value| value.as_f64().unwrap();
    let sum: f64 = words.iter().map(|word| logit(&word["logit"])).sum();
    assert!((sum + logit(&line["rest"]) - logit(&line["difference"])).abs() < 5e-7, "{line}");
    assert!(words.iter().any(|word| word["word"] == "lovely"), "{line}");
    assert_eq!((&line["language"], &line["basis"]), (&Value::from("en"), &Value::from("words")));
    assert!(line["model"].is_string() && line["confidence"].is_number());
}

#[test]
fn training_twice_gives_the_same_bytes_and_a_model_that_knows_the_labels() {
    let folder = tempfile::tempdir().unwrap();
    let folders = ["a", "b"].map(|name| folder.path().join(name));
    for folder in &folders {
        let answer = train(folder);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let report = &answer.stdout;
        assert!(
            report.contains("cross-validated") && report.contains("zorbic") && report.contains("glumpf"),
            "{report}"
        );
    }
    let models = folders.map(|folder| folder.join("own.model"));
    assert!(fs::read(&models[0]).unwrap() == fs::read(&models[1]).unwrap());
    let model = models[0].to_str().unwrap();
    let input = b"the sofa is zorbic\nthe sofa is glumpf\n";
    let answer = touchline_fed(&["sentiment", "score", "--model", model], input);
    let classes: Vec<&str> = answer.stdout.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert_eq!(classes, ["positive", "negative"]);
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("bad.tsv"), "fine\tpositive\nthe label is missing\n").unwrap();
    fs::write(path("bad.model"), "not a model").unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["train", "--labels", &path("bad.tsv"), "--out", &path("x")], 1, "bad.tsv:2: expected"),
        (&["train", "--labels", &path("none.tsv"), "--out", &path("x")], 1, "none.tsv"),
        (&["score", "--model", &path("bad.model")], 1, "bad.model"),
        (&["train"], 2, "--labels"),
    ];
    for (arguments, code, problem) in cases {
        let answer = touchline(&[&["sentiment"], *arguments].concat());
        assert_eq!(answer.code, Some(*code), "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(problem), "{arguments:?}: {}", answer.stderr);
        assert!(!Path::new(&path("x")).exists());
    }
}

#[test]
fn a_model_in_the_configuration_scores_and_is_part_of_its_hash() {
    const MESSAGE: &str = r#"{"id":"1","source":"s","customer_id":"c","channel":"social","kind":"mention_posted","occurred_at":1772442000000,"text":"so glumpf, all glumpf","language":"en"}"#;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train(folder.path()).code, Some(0));
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("x.jsonl"), format!("{MESSAGE}\n")).unwrap();
    fs::write(path("with.toml"), "[scoring]\nmodel = [\"own.model\"]\n").unwrap();
    let with = touchline(&["replay", "--config", &path("with.toml"), &path("x.jsonl")]);
    let without = touchline(&["replay", &path("x.jsonl")]);
    assert_eq!((with.code, without.code), (Some(0), Some(0)), "{}", with.stderr);
    assert!(
        with.stdout.contains("indirect_negative") && without.stdout.is_empty(),
        "{}{}",
        with.stdout,
        without.stdout
    );
    fs::write(path("none.toml"), "[scoring]\nmodel = [\"none.model\"]\n").unwrap();
    let answer = touchline(&["check", "--config", &path("none.toml")]);
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.contains("scoring.model") && answer.stderr.contains("none.model"), "{}", answer.stderr);
}
