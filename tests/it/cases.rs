//! `touchline test`: the shipped cases pass, and what fails is told so that anybody can read it.

use crate::command::touchline_in;
use std::path::Path;

const LATE: &str = r#"
about = "A parcel two days late is a failure"
only = ["service_failure"]
until = "+40d"

[[touchpoint]]
at = "2026-03-02T09:00:00Z"
kind = "order_completed"
order_id = "o-1"

[[touchpoint]]
at = "+4d 2h"
kind = "order_delivered"
channel = "fulfilment"
order_id = "o-1"
due_at = "+2d"

[[expect]]
at = "+4d 2h"
kind = "service_failure"
severity = "high"
item = "o-1"

[[expect]]
at = "+34d 2h"
kind = "service_failure"
phase = "resolved"
reason = "expired"
"#;

/// Runs a case; answers the exit code and what was printed.
fn run(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("case.toml"), text).unwrap();
    let answer = touchline_in(folder.path(), &["test", "case.toml"]);
    (answer.code, answer.stdout)
}

#[test]
fn a_case_that_holds_passes() {
    let (code, text) = run(LATE);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("pass  case.toml: A parcel two days late is a failure"), "{text}");
}

#[test]
fn a_case_that_fails_shows_what_is_missing_and_what_came_instead() {
    let (code, text) = run(&LATE.replace("\"high\"", "\"critical\""));
    assert_eq!(code, Some(1));
    let told = "FAIL  case.toml: A parcel two days late is a failure\n      line 20: expected that service_failure opens at +4d \
        2h, severity critical, item o-1\n              it came, but with severity high, not critical\n      1 came as \
        expected\n0 passed, 1 failed\n";
    assert_eq!(text, told);
    // At the wrong time, of the wrong item; not at all, since it never ends so; and one that nobody expected.
    let broken =
        LATE.replace("\"+4d 2h\"\nkind = \"serv", "\"+4d\"\nkind = \"serv").replace("item = \"o-1\"", "item = \"o-2\"");
    let broken = broken.replace("[\"service_failure\"]", "[]").replace("phase = \"resolved\"", "phase = \"updated\"");
    let (_, text) = run(&broken);
    for told in [
        "it came, but at +4d 2h, 2h later, and about the item o-1, not o-2\n",
        "line 26: expected that service_failure changes at +34d 2h, reason expired\n              it did not come\n",
        "not in the case: service_failure ends at +34d 2h, severity high, item o-1, customer customer, reason expired (days \
         late is 2.083333, the threshold 1)\n",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
}

#[test]
fn a_case_that_is_none_is_told_by_line() {
    for (from, to, told) in [
        (
            "order_id = \"o-1\"",
            "ordr_id = \"o-1\"",
            "line 6: no field \"ordr_id\" in a touchpoint; did you mean \"order_id\"?",
        ),
        ("\"+4d 2h\"\nkind = \"order", "\"soon\"\nkind = \"order", "line 11: at: expected a moment"),
        (
            "kind = \"service_failure\"\nseverity",
            "kind = \"server_failure\"\nseverity",
            "line 20: no kind of alert \"server_failure\"; did you mean \"service_failure\"?",
        ),
        ("phase = \"resolved\"", "phase = \"closed\"", "line 27: no phase \"closed\": opened, updated or resolved"),
        ("\"high\"", "\"hgih\"", "line 21: unknown variant `hgih`"),
        ("only = [\"service_failure\"]", "only = [\"service_fail\"]", "line 3: no kind of alert"),
        ("until", "untill", "line 4: unknown field `untill`"),
        ("due_at = \"+2d\"", "wait_ms = -5", "line 11: rejected as "),
    ] {
        let broken = LATE.replacen(from, to, 1);
        assert_ne!(broken, LATE);
        let (code, text) = run(&broken);
        assert_eq!(code, Some(1));
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn the_shipped_cases_pass() {
    let answer = touchline_in(Path::new(env!("CARGO_MANIFEST_DIR")), &["test", "tests/cases"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stdout);
    assert!(answer.stdout.lines().count() > 25, "{}", answer.stdout);
}
