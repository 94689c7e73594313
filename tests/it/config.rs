//! `touchline check --sample`: what a mapping makes of a file.

use crate::command::{Answer, touchline};
use std::path::Path;

const CONFIG: &str = r#"
[[input]]
name = "shop"
format = "FORMAT"
source = "shop"
channel = "web"
[input.mapping]
id = "/id"
customer_id = "/who"
kind = { from = "/what", table = { bought = "order_completed", rated = "store_visit_liked" } }
occurred_at = { from = "/when", time = "rfc3339" }
rating = { instrument = "stars", value = "/stars" }
"#;

fn sample(format: &str, name: &str, content: &[u8], more: &[&str]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = write("touchline.toml", CONFIG.replace("FORMAT", format).as_bytes());
    let file = write(name, content);
    let arguments = ["check", "--config", &config, "--sample", &file];
    touchline(&arguments.iter().chain(more).copied().collect::<Vec<_>>())
}

const LINES: &str = r#"{"id":1,"who":"c1","what":"bought","when":"2026-01-31T10:00:00Z"}
{"id":2,"who":"c1","what":"rated","when":"2026-01-31T11:00:00Z","stars":4}
{"id":3,"who":"c1","what":"danced","when":"2026-01-31T12:00:00Z"}
{"id":4,"who":"undefined","what":"bought","when":"2026-01-31T13:00:00Z"}
{"id":5,"who":"c2","what":"bought","when":"yesterday"}
{"id":6,"who":"c2","what":"bou
"#;

#[test]
fn touchpoints_and_rejections_by_reason_are_shown() {
    let answer = sample("json", "history.jsonl", LINES.as_bytes(), &[]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    for expected in [
        "line 1: order_completed on web at 2026-01-31T10:00:00Z\n  id=1 source=shop customer_id=c1\n",
        "rating=4 (1–5)",
        "6 records tried: 2 touchpoints, 4 rejected\n",
        "  rejected unmapped: 1, first in line 3 (kind)\n",
        "  rejected junk_id: 1, first in line 4 (customer_id)\n",
        "  rejected type: 1, first in line 5 (occurred_at)\n",
        "  rejected malformed: 1, first in line 6 (byte 30)\n",
        "  1 kinds are not in the catalogue, only their ratings and texts are scored: store_visit_liked (1)\n",
    ] {
        assert!(answer.stdout.contains(expected), "{expected}\n{}", answer.stdout);
    }
}

#[test]
fn rows_and_packed_files_are_read_too() {
    let rows = b"id,who,what,when,stars\n7,c3,bought,2026-01-31T10:00:00+01:00,\n8,c3,rated,2026-01-31T10:00:00Z,2\n";
    let answer = sample("csv", "history.csv", rows, &["--show", "1"]);
    assert!(answer.stdout.contains("line 2: order_completed on web at 2026-01-31T09:00:00Z\n"), "{}", answer.stdout);
    assert!(answer.stdout.contains("2 records tried: 2 touchpoints, 0 rejected\n"), "{}", answer.stdout);
    let packed = zstd::encode_all(LINES.as_bytes(), 0).unwrap();
    let answer = sample("json", "history.jsonl.zst", &packed, &["--lines", "2"]);
    assert!(answer.stdout.contains("2 records tried: 2 touchpoints, 0 rejected\n"), "{}", answer.stdout);
}

#[test]
fn a_sample_that_gives_nothing_or_is_not_there_fails() {
    assert_eq!(sample("json", "history.jsonl", b"{}\n", &[]).code, Some(1));
    assert_eq!(sample("json", "history.jsonl", b"{}\n", &["--input", "elsewhere"]).code, Some(2));
    assert!(!Path::new("no/such/file").exists());
    assert_eq!(touchline(&["check", "--sample", "no/such/file"]).code, Some(1));
}
