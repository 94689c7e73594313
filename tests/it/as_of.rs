//! `touchline replay --as-of`: features of a moment know nothing of what came later.

use crate::command::{Answer, touchline};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const START_MS: i64 = 1_772_442_000_000;
const MINUTE_MS: i64 = 60_000;

/// One survey answer in the documented form.
fn survey(number: usize, customer: &str, at: i64, stars: u8) -> String {
    format!(
        "{{\"id\":\"{number}\",\"source\":\"survey\",\"customer_id\":\"{customer}\",\"channel\":\"review\",\
         \"kind\":\"product_reviewed\",\"occurred_at\":{at},\"attributes\":{{\"seen\":{}}},\
         \"rating\":{{\"instrument\":\"stars\",\"value\":{stars},\"min\":1,\"max\":5}}}}\n",
        at + 10 * MINUTE_MS
    )
}

fn row(customer: &str, at: i64) -> String {
    format!("{{ \"note\" :[1, 2.50],\"customer_id\":\"{customer}\",\"as_of\":{at} }} \n")
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn as_of<S: AsRef<OsStr>>(rows: &Path, rest: &[S]) -> Answer {
    let mut arguments = vec![OsStr::new("replay"), OsStr::new("--as-of"), rows.as_os_str()];
    arguments.extend(rest.iter().map(AsRef::as_ref));
    touchline(&arguments)
}

fn features(answer: &Answer) -> Vec<Value> {
    let rows = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| row["features"].clone()).collect()
}

#[test]
fn a_row_sees_touchpoints_strictly_before_it_and_the_time_that_passed_since() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "x.jsonl", survey(1, "ann", START_MS, 1) + &survey(2, "ann", START_MS + 5, 5));
    let asked = [START_MS, START_MS + 1, START_MS + 6, START_MS + 40 * 24 * 60 * MINUTE_MS];
    let rows = write(folder.path(), "rows.jsonl", asked.map(|at| row("ann", at)).concat() + &row("nobody", START_MS));
    let answer = as_of(&rows, &[&file]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let seen = features(&answer);
    assert_eq!((&seen[0]["x.last_age"], &seen[4]["x.last_age"]), (&Value::Null, &Value::Null));
    assert_eq!((&seen[0]["perception"], &seen[1]["perception"]), (&0.into(), &(-0.5).into()), "one of weight 2 and 2");
    assert_eq!(seen[2]["c.silence"], 1);
    let later = seen[3]["perception"].as_f64().unwrap().abs();
    assert!(later < 0.05 && seen[2]["perception"] == 0, "the figures are those of the moment: {seen:?}");
    assert!(seen[3]["c.silence"].as_i64().unwrap() > 39 * 24 * 60 * MINUTE_MS);
}

#[test]
fn rows_come_back_in_their_order_as_they_were_and_wrong_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let touchpoints =
        survey(3, "bob", START_MS + 3, 1) + &survey(1, "ann", START_MS, 1) + &survey(2, "ann", START_MS + 2, 5);
    let file = write(folder.path(), "x.jsonl", touchpoints);
    let rows = row("ann", START_MS + 9)
        + "\n{\"customer_id\":\"ann\"}\nno json\n{\"customer_id\":\"ann\",\"as_of\":\"yesterday\"}\n"
        + "{\"as_of\":\"2026-03-02T10:00:00+01:00\",\"customer_id\":\"bob\"}\n"
        + &row("ann", START_MS + 1)
        + "{\"customer_id\":\"ann\",\"as_of\":1,\"features\":{}}\n";
    let answer = as_of(&write(folder.path(), "rows.jsonl", rows), &[&file]);
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", answer.stderr);
    let begins = |line: &str, own: &str| assert!(line.starts_with(&format!("{own},\"features\":{{")), "{line}");
    begins(lines[0], &format!("{{ \"note\" :[1, 2.50],\"customer_id\":\"ann\",\"as_of\":{} ", START_MS + 9));
    begins(lines[1], "{\"as_of\":\"2026-03-02T10:00:00+01:00\",\"customer_id\":\"bob\"");
    for line in [3, 4, 5, 8] {
        assert!(answer.stderr.contains(&format!("rows.jsonl:{line}: ")), "{line}: {}", answer.stderr);
    }
    let seen = features(&answer);
    assert_eq!(seen[2]["perception"], -0.5, "the file is not in order, the touchpoints are");
    assert!(!answer.stderr.contains("yesterday"), "a row's content is the customer's");
}

#[test]
fn with_an_arrival_field_a_row_sees_what_had_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "x.jsonl", survey(1, "ann", START_MS, 1));
    let rows = write(folder.path(), "rows.jsonl", [5, 10, 11].map(|at| row("ann", START_MS + at * MINUTE_MS)).concat());
    for field in ["/attributes/seen", "seen"] {
        let answer = as_of(&rows, &[OsStr::new("--arrival-field"), OsStr::new(field), file.as_os_str()]);
        let seen: Vec<bool> = features(&answer).iter().map(|features| !features["x.last_age"].is_null()).collect();
        assert_eq!(seen, [false, false, true], "{field}: {}", answer.stderr);
    }
    assert_eq!(as_of(&rows, &["--arrival-field", "/~2"]).code, Some(2), "no files");
}

#[test]
fn rows_and_answers_may_be_csv() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "x.jsonl", survey(1, "a,\"b\"", START_MS, 1).replace("\"a,\"b\"\"", "\"a,b\""));
    let text = format!("when,customer_id,as_of,entity\n\"1,5\",\"a,b\",{},\n,nobody,{START_MS},x\n", START_MS + 9);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let rows = write(folder.path(), "rows.csv.gz", packed.finish().unwrap());
    let answer = as_of(&rows, &[OsStr::new("--csv"), file.as_os_str()]);
    let mut lines = answer.stdout.lines();
    assert!(lines.next().unwrap().starts_with("when,customer_id,as_of,entity,features.index,features.perception,"));
    assert!(lines.next().unwrap().starts_with(&format!("\"1,5\",\"a,b\",{},,", START_MS + 9)), "{}", answer.stdout);
    assert!(lines.next().unwrap().starts_with(&format!(",nobody,{START_MS},x,")));
    let json = as_of(&rows, &[&file]);
    assert!(json.stdout.starts_with("{\"when\":\"1,5\",\"customer_id\":\"a,b\","), "{}", json.stdout);
}

/// The law behind the command: what is answered about a moment in the middle of a history is what the history up to there
/// would have answered.
#[test]
fn a_history_cut_off_at_the_moment_gives_the_same_features() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    let simulate = ["simulate", "--customers", "40", "--days", "20", "--seed", "11", "--to", file.to_str().unwrap()];
    assert_eq!(touchline(&simulate).code, Some(0));
    let lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let time = |line: &str| serde_json::from_str::<Value>(line).ok()?["occurred_at"].as_i64();
    let customer = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["customer_id"].as_str()?.to_owned());
    let step = lines.len() / 12;
    let asked: Vec<(String, i64)> = lines
        .iter()
        .step_by(step)
        .filter_map(|line| Some((customer(line)?, time(line)? + 3 * 60 * MINUTE_MS)))
        .collect();
    assert!(asked.len() > 8, "{}", lines.len());
    let rows: String = asked.iter().rev().map(|(customer, at)| row(customer, *at)).collect();
    let whole = features(&as_of(&write(folder.path(), "rows.jsonl", rows), &[&file]));
    for (features_whole, (customer, at)) in whole.iter().zip(asked.iter().rev()) {
        let before: Vec<&str> = lines.iter().map(String::as_str).filter(|line| time(line) < Some(*at)).collect();
        let cut = write(folder.path(), "cut.jsonl", before.join("\n"));
        let alone = features(&as_of(&write(folder.path(), "row.jsonl", row(customer, *at)), &[&cut]));
        assert_eq!(features_whole, &alone[0], "{customer} at {at}");
    }
}
