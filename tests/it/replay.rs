//! `touchline replay` over files.

use crate::command::{Answer, touchline};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const START_MS: i64 = 1_772_442_000_000;

/// Survey answers in the documented form; customer, minute and stars.
fn survey(answers: &[(&str, i64, u8)]) -> String {
    let line = |(number, (customer, minute, stars)): (usize, &(&str, i64, u8))| {
        let at = START_MS + minute * 60_000;
        format!(
            "{{\"id\":\"{number}\",\"source\":\"survey\",\"customer_id\":\"{customer}\",\"channel\":\"review\",\
             \"kind\":\"product_reviewed\",\"occurred_at\":{at},\
             \"rating\":{{\"instrument\":\"stars\",\"value\":{stars},\"min\":1,\"max\":5}}}}\n"
        )
    };
    answers.iter().enumerate().map(line).collect()
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn replay<S: AsRef<OsStr>>(arguments: &[S]) -> Answer {
    let mut all = vec![OsStr::new("replay")];
    all.extend(arguments.iter().map(AsRef::as_ref));
    touchline(&all)
}

/// The count of a line of the summary.
fn count(answer: &Answer, name: &str) -> u64 {
    let line = answer.stderr.lines().find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {}", answer.stderr));
    line.trim_start().trim_start_matches(name).split_whitespace().next().unwrap().parse().unwrap()
}

/// Customer and time of each opened alert, in order.
fn opened(answer: &Answer) -> Vec<(String, i64)> {
    let alerts = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let opened = alerts.filter(|alert| alert["phase"] == "opened");
    opened
        .map(|alert| (alert["customer_id"].as_str().unwrap().to_owned(), alert["event_time"].as_i64().unwrap()))
        .collect()
}

#[test]
fn alerts_go_to_standard_output_and_the_summary_counts_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = survey(&[("happy", 0, 5), ("unhappy", 1, 1), ("unhappy", 2, 5)]);
    text += "not json\n\n{\"id\":1}\n";
    text += text.lines().next().map(str::to_owned).unwrap().as_str();
    let answer = replay(&[write(folder.path(), "answers.jsonl", text)]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert_eq!(opened(&answer), [("unhappy".to_owned(), START_MS + 60_000)]);
    for (name, expected) in
        [("touchpoints", 6), ("applied", 3), ("duplicate", 1), ("dlq", 2), ("customers", 2), ("detractor", 1)]
    {
        assert_eq!(count(&answer, name), expected, "{name} in {}", answer.stderr);
    }
    assert!(answer.stderr.contains("rejected malformed"), "{}", answer.stderr);
    assert!(answer.stderr.contains("answers.jsonl:4\n"), "{}", answer.stderr);
    assert!(answer.stderr.contains("answers.jsonl:6\n"), "a blank line is counted, not read: {}", answer.stderr);
}

#[test]
fn plain_and_packed_files_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let text = survey(&[("a", 0, 1), ("b", 1, 2), ("c", 2, 4)]);
    let plain = replay(&[write(folder.path(), "x.jsonl", &text)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = replay(&[write(folder.path(), "x.jsonl.gz", gzip.finish().unwrap())]);
    let zstd = replay(&[write(folder.path(), "x.jsonl.zst", zstd::encode_all(text.as_bytes(), 3).unwrap())]);
    assert_eq!(opened(&plain).len(), 2);
    // Positions name the file.
    let same = |answer: &Answer, name: &str| answer.stdout.replace(name, "x.jsonl\"") == plain.stdout;
    assert!(same(&gzip, "x.jsonl.gz\""), "{}", gzip.stdout);
    assert!(same(&zstd, "x.jsonl.zst\""), "{}", zstd.stdout);
}

#[test]
fn files_are_merged_and_lines_put_in_order_of_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path(), "first.jsonl", survey(&[("a", 30, 1), ("b", 10, 1), ("c", 50, 1)]));
    let second = write(folder.path(), "second.jsonl", survey(&[("d", 20, 1), ("e", 40, 1)]).replace("survey", "other"));
    let answer = replay(&[first, second]);
    let customers: Vec<String> = opened(&answer).into_iter().map(|(customer, _)| customer).collect();
    assert_eq!(customers, ["b", "d", "a", "e", "c"], "{}", answer.stderr);
    assert_eq!(count(&answer, "out of window"), 0);
}

#[test]
fn partitions_change_the_order_between_customers_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("customer-{n}")).collect();
    let answers: Vec<(&str, i64, u8)> =
        (0..).zip(&names).map(|(minute, name)| (name.as_str(), minute, u8::from(minute % 2 == 0) * 4 + 1)).collect();
    let file = write(folder.path(), "x.jsonl", survey(&answers));
    let by_customer = |answer: &Answer| {
        let mut alerts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in answer.stdout.lines() {
            let alert: Value = serde_json::from_str(line).unwrap();
            alerts.entry(alert["customer_id"].to_string()).or_default().push(line.to_owned());
        }
        alerts
    };
    let one = replay(&[file.as_os_str()]);
    let four = replay(&[OsStr::new("--partitions"), OsStr::new("4"), file.as_os_str()]);
    assert_eq!(by_customer(&one).len(), 20);
    assert_eq!(by_customer(&one), by_customer(&four));
    assert_ne!(one.stdout, four.stdout, "customers are spread");
}

#[test]
fn rows_of_csv_files_go_through_the_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(
        folder.path(),
        "config.toml",
        "[[input]]\nname = \"surveys\"\nformat = \"csv\"\nsource = \"crm\"\nchannel = \"review\"\n\
         [input.mapping]\nid = \"/no\"\ncustomer_id = \"/client\"\nkind = { const = \"product_reviewed\" }\n\
         occurred_at = { from = \"/when\", time = \"rfc3339\" }\n\
         rating = { instrument = \"stars\", value = \"/stars\", min = 1, max = 5 }\n",
    );
    let rows = "no,client,when,stars\n1,ann,2026-03-02T09:00:00Z,1\n2,bob,2026-03-02T09:01:00Z,nine\n3,cleo,2026-03-02T09:02:00Z,5\n";
    let file = write(folder.path(), "x.csv", rows);
    let answer = replay(&[OsStr::new("--config"), config.as_os_str(), file.as_os_str()]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert_eq!(opened(&answer), [("ann".to_owned(), START_MS)]);
    assert_eq!((count(&answer, "applied"), count(&answer, "dlq")), (2, 1));
    assert!(answer.stderr.contains("x.csv:3\n"), "{}", answer.stderr);
}

#[test]
fn output_files_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "x.jsonl", survey(&[("a", 0, 1)]));
    let (out, experience) = (folder.path().join("alerts"), folder.path().join("experience"));
    let answer = replay(&[
        OsStr::new("--out"),
        out.as_os_str(),
        OsStr::new("--experience"),
        experience.as_os_str(),
        file.as_os_str(),
    ]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(out).unwrap().lines().count(), 1);
    assert!(fs::read_to_string(experience).unwrap().contains("\"customer_id\":\"a\""));

    assert_eq!(replay(&[folder.path().join("missing.jsonl")]).code, Some(1));
    assert_eq!(replay::<&str>(&[]).code, Some(2));
    assert_eq!(replay(&[OsStr::new("--input"), OsStr::new("nobody"), file.as_os_str()]).code, Some(2));
    let broken = write(folder.path(), "broken.toml", "[engine]\nlateness = 3");
    assert_eq!(replay(&[OsStr::new("--config"), broken.as_os_str(), file.as_os_str()]).code, Some(2));
}
