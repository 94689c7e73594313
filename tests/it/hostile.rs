//! Hostile lines between good ones: the good ones are processed as if they were alone.

use crate::command::touchline;
use serde_json::Value;
use std::path::Path;

/// A hostile line and the reason it must be rejected for.
fn hostile() -> Vec<(Vec<u8>, &'static str)> {
    let touchpoint = |field: &str| {
        let good =
            r#"{"id":"x","source":"s","customer_id":"warned","channel":"web","kind":"k","occurred_at":1772442000000}"#;
        good.replacen('{', &format!("{{{field},"), 1).into_bytes()
    };
    vec![
        (b"{\"id\":\"\xff\"}".to_vec(), "malformed"),
        (b"\xef\xbb\xbf{}".to_vec(), "malformed"),
        (touchpoint(r#""id":"again""#), "malformed"),
        (touchpoint(r#""x":"\ud800""#), "malformed"),
        ("[".repeat(100_000).into_bytes(), "depth"),
        (touchpoint(r#""wait_ms":NaN"#), "number"),
        (touchpoint(r#""wait_ms":1e400"#), "number"),
        (touchpoint(r#""wait_ms":"soon""#), "type"),
        (touchpoint(r#""wait_ms":-5"#), "range"),
        (touchpoint(r#""topic":"\u001b[2J""#), "id"),
        (touchpoint(&format!(r#""text":"{}""#, "x".repeat(1_100_000))), "too_large"),
        (b"{\"id\":\"x\",\"source\":\"s\",\"customer_id\":\"undefined\",\"channel\":\"web\",\"kind\":\"k\",\"occurred_at\":1}".to_vec(), "junk_id"),
        (b"{\"id\":\"x\",\"source\":\"s\",\"customer_id\":\"c\",\"channel\":\"web\",\"kind\":\"k\",\"occurred_at\":1}".to_vec(), "ts_range"),
    ]
}

/// Alerts of a file, without the lines they came from, and the summary.
fn replay(file: &Path) -> (Vec<Value>, String) {
    let answer = touchline(&["replay".as_ref(), file.as_os_str()]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let mut alerts: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    alerts.iter_mut().for_each(|alert| drop(alert.as_object_mut().unwrap().remove("position")));
    (alerts, answer.stderr)
}

#[test]
fn good_records_are_processed_as_if_hostile_ones_were_not_there() {
    let clean = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/detractor/input.jsonl");
    let folder = tempfile::tempdir().unwrap();
    let mixed = folder.path().join("mixed.jsonl");
    let hostile = hostile();
    let text = std::fs::read(&clean).unwrap();
    let mut content = Vec::new();
    let mut good = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    for (line, _) in &hostile {
        content.extend([line.as_slice(), b"\n"].concat());
        content.extend(good.next().map(|line| [line, b"\n"].concat()).unwrap_or_default());
    }
    good.for_each(|line| content.extend([line, b"\n"].concat()));
    std::fs::write(&mixed, content).unwrap();

    let (expected, _) = replay(&clean);
    let (alerts, summary) = replay(&mixed);
    assert!(!expected.is_empty());
    assert_eq!(alerts, expected);
    for (_, reason) in &hostile {
        let count = hostile.iter().filter(|(_, other)| other == reason).count().to_string();
        let counted = summary.lines().any(|line| line.split_whitespace().take(3).eq(["rejected", *reason, &count]));
        assert!(counted, "{reason} {count}\n{summary}");
    }
}
