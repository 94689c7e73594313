//! Golden replays: recorded touchpoints and the alerts they must give.
//!
//! `tests/golden/<case>/` holds `input.jsonl`, `expected.jsonl` and, where the defaults do not do, `config.toml`.
//! [`JUDGED`] was derived by hand from the rules' definitions, before anything was run; `expected.jsonl` pins the rest,
//! byte for byte. After a change that is meant to change alerts: read the difference, then
//! `TOUCHLINE_BLESS=1 cargo test --test it golden`.

use crate::command::touchline_in;
use serde_json::Value;
use std::path::{Path, PathBuf};

const MINUTE_MS: i64 = 60_000;
const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
/// 2026-03-02T09:00:00Z, where every case begins.
const START_MS: i64 = 1_772_442_000_000;

/// A change of an alert: customer, kind, phase, severity, minutes after [`START_MS`].
type Judged = (&'static str, &'static str, &'static str, &'static str, i64);

const JUDGED: &[(&str, &[Judged])] = &[
    (
        "detractor",
        &[
            ("high", "detractor", "opened", "high", 0),
            ("warned", "detractor", "opened", "warning", 1),
            ("unhappy", "detractor", "opened", "warning", 3),
            ("reviewer", "detractor", "opened", "warning", 5),
            ("high", "detractor", "resolved", "high", DAY),
            ("reviewer", "detractor", "resolved", "warning", 2 * DAY),
            ("warned", "detractor", "resolved", "warning", 7 * DAY + 1),
            ("unhappy", "detractor", "resolved", "warning", 7 * DAY + 3),
        ],
    ),
    (
        "service_failure",
        &[
            ("late", "service_failure", "opened", "high", 0),
            ("payer", "service_failure", "opened", "high", 22),
            ("cancelled", "service_failure", "opened", "high", HOUR),
            ("refunded", "service_failure", "opened", "high", 3 * HOUR),
            ("crashed", "service_failure", "opened", "high", 4 * HOUR),
            ("late", "service_failure", "resolved", "high", 2 * DAY),
            ("refunded", "service_failure", "resolved", "high", 3 * DAY),
            ("payer", "service_failure", "resolved", "high", 30 * DAY + 22),
            ("cancelled", "service_failure", "resolved", "high", 30 * DAY + HOUR),
            ("crashed", "service_failure", "resolved", "high", 30 * DAY + 4 * HOUR),
        ],
    ),
    (
        "double_deviation",
        &[
            ("twice", "service_failure", "opened", "high", 0),
            ("reopened", "service_failure", "opened", "high", HOUR),
            ("far_apart", "service_failure", "opened", "high", 2 * HOUR),
            ("reopened", "service_failure", "resolved", "high", DAY),
            ("reopened", "double_deviation", "opened", "critical", 3 * DAY),
            ("twice", "double_deviation", "opened", "critical", 10 * DAY),
            ("twice", "service_failure", "resolved", "high", 11 * DAY),
            // The compensation for the second order is a good touchpoint after the recovery of the first.
            ("twice", "recovery_confirmed", "opened", "info", 11 * DAY + HOUR),
            ("twice", "recovery_confirmed", "opened", "info", 12 * DAY),
            ("twice", "double_deviation", "resolved", "critical", 12 * DAY),
            ("twice", "recovery_confirmed", "resolved", "info", 18 * DAY + HOUR),
            ("twice", "recovery_confirmed", "resolved", "info", 19 * DAY),
            ("far_apart", "service_failure", "resolved", "high", 30 * DAY + 2 * HOUR),
            ("far_apart", "service_failure", "opened", "high", 32 * DAY),
            ("reopened", "double_deviation", "resolved", "critical", 33 * DAY),
        ],
    ),
    (
        "recovery_confirmed",
        &[
            ("won_back", "service_failure", "opened", "high", 0),
            ("still_cross", "service_failure", "opened", "high", HOUR),
            ("too_late", "service_failure", "opened", "high", 2 * HOUR),
            ("won_back", "service_failure", "resolved", "high", DAY),
            ("still_cross", "service_failure", "resolved", "high", DAY + HOUR),
            ("too_late", "service_failure", "resolved", "high", DAY + 2 * HOUR),
            ("won_back", "recovery_confirmed", "opened", "info", 3 * DAY),
            ("won_back", "recovery_confirmed", "resolved", "info", 10 * DAY),
        ],
    ),
    (
        "journey_stalled",
        &[
            ("stalled", "journey_stalled", "opened", "warning", HOUR),
            ("stalled", "journey_stalled", "resolved", "warning", 3 * HOUR),
            ("cart", "journey_stalled", "opened", "warning", DAY + 2),
            ("cart", "journey_stalled", "resolved", "warning", 26 * HOUR),
        ],
    ),
    (
        "silent_after_bad",
        &[
            ("gone", "silent_after_bad", "opened", "warning", 22 * DAY),
            ("gone", "silent_after_bad", "resolved", "warning", 25 * DAY),
        ],
    ),
    (
        "sentiment_drop",
        &[
            // CSAT 2 is a bad answer, but with nothing to drop from.
            ("always_low", "detractor", "opened", "warning", HOUR),
            ("always_low", "detractor", "resolved", "warning", 7 * DAY + HOUR),
            ("fell", "sentiment_drop", "opened", "warning", 14 * DAY + 4 * HOUR + 10),
            ("fell", "sentiment_drop", "resolved", "warning", 18 * DAY + 6 * HOUR),
        ],
    ),
    (
        "expectation_gap",
        &[
            ("let_down", "expectation_gap", "opened", "warning", 30 * DAY + HOUR),
            ("let_down", "expectation_gap", "resolved", "warning", 33 * DAY + 8 * HOUR),
        ],
    ),
    (
        "conversation_declining",
        &[
            ("declining", "conversation_declining", "opened", "warning", 10),
            // Its fourth turn stands last in the file.
            ("arrives_late", "conversation_declining", "opened", "warning", 10),
            // No decline from a bad beginning; but five bad texts of six are a drop.
            ("began_badly", "sentiment_drop", "opened", "warning", 16),
            ("declining", "conversation_declining", "resolved", "warning", 20),
            ("arrives_late", "conversation_declining", "resolved", "warning", 40),
        ],
    ),
    (
        "frustration_burst",
        &[
            // 5 + 4 points at the second kind, 17 at the fourth touchpoint; idle half an hour later.
            ("raging", "frustration_burst", "opened", "info", 1),
            ("raging", "frustration_burst", "updated", "warning", 3),
            ("raging", "frustration_burst", "resolved", "warning", 33),
            // 8 points of one kind in one session; 2 + 2 + 4 in the other.
            ("two_devices", "frustration_burst", "opened", "info", 8),
            ("two_devices", "frustration_burst", "resolved", "info", 38),
            // Twelve rage clicks count as five.
            ("robot", "frustration_burst", "opened", "warning", 23),
            ("robot", "frustration_burst", "resolved", "warning", 53),
        ],
    ),
    (
        "high_effort",
        &[
            ("passed_on", "high_effort", "opened", "warning", 20),
            ("found_it_hard", "high_effort", "opened", "warning", 30),
            ("chased", "repeat_contact", "opened", "warning", 60),
            ("chased", "high_effort", "opened", "high", 60),
            // Below 2 points at the daily reading, for a day.
            ("passed_on", "high_effort", "resolved", "warning", 2 * DAY + 20),
            ("found_it_hard", "high_effort", "resolved", "warning", 2 * DAY + 30),
            ("chased", "high_effort", "resolved", "high", 4 * DAY + 60),
            ("chased", "repeat_contact", "resolved", "warning", 7 * DAY + 60),
        ],
    ),
    (
        "repeat_contact",
        &[
            ("again", "repeat_contact", "opened", "high", 2 * DAY),
            ("unsolved", "repeat_contact", "opened", "warning", 3 * DAY),
            ("again", "repeat_contact", "resolved", "high", 9 * DAY),
            ("unsolved", "repeat_contact", "resolved", "warning", 12 * DAY),
        ],
    ),
    (
        "sla_breach",
        &[
            ("waited", "sla_breach", "opened", "warning", 0),
            ("waited", "sla_breach", "resolved", "warning", 3),
            ("in_a_shop", "sla_breach", "opened", "warning", 10),
            ("in_a_shop", "sla_breach", "resolved", "warning", DAY + 10),
        ],
    ),
    (
        "advocate",
        &[
            ("promoter", "advocate", "opened", "info", 0),
            ("sharer", "advocate", "opened", "info", 2 * DAY),
            ("promoter", "advocate", "resolved", "info", 90 * DAY),
            ("sharer", "advocate", "resolved", "info", 92 * DAY),
        ],
    ),
    (
        "indirect_negative",
        &[
            ("poster", "indirect_negative", "opened", "warning", 0),
            ("ignored", "indirect_negative", "opened", "warning", 2),
            ("rated", "detractor", "opened", "warning", 4),
            ("poster", "indirect_negative", "resolved", "warning", 60),
            ("ignored", "indirect_negative", "resolved", "warning", 7 * DAY + 2),
            ("rated", "detractor", "resolved", "warning", 7 * DAY + 4),
        ],
    ),
    (
        "promises",
        &[
            // Due after two days: half a point of the time used, 0.6 overdue, 0.4 for four pieces. The severity of one alert
            // rises while another fires.
            ("late", "promise_overdue", "opened", "info", 2 * DAY),
            ("late", "outcome_risk", "opened", "high", 2 * DAY),
            ("late", "promise_overdue", "updated", "high", 3 * DAY),
            ("late", "promise_overdue", "updated", "critical", 4 * DAY),
            ("late", "promise_overdue", "resolved", "critical", 5 * DAY),
            ("late", "outcome_risk", "resolved", "high", 6 * DAY),
            // One piece, half a day late: 1.1 at most.
            ("calm", "promise_overdue", "opened", "info", 2 * DAY),
            ("calm", "promise_overdue", "resolved", "info", 2 * DAY + 12 * HOUR),
            // 0.1 · log2(1 + days) passes 0.5 after 31 days; it is read every week.
            ("lapsed", "churn_risk", "opened", "warning", 35 * DAY),
            ("lapsed", "churn_risk", "resolved", "warning", 40 * DAY),
        ],
    ),
    (
        "own_rules",
        &[
            // Three contacts in 20 minutes: effort 2.99; of a gold customer two, 1.995. Halved each day, read each day.
            ("gold", "worn_out", "opened", "warning", 10),
            ("asks", "worn_out", "opened", "warning", 20),
            ("gold", "worn_out", "resolved", "warning", DAY + 10),
            ("asks", "worn_out", "resolved", "warning", 2 * DAY + 20),
            // From the third day on, for a day; the quick one arrived in between.
            ("waiting", "parcel_waits", "opened", "high", 4 * DAY),
            ("gave_up", "parcel_waits", "opened", "high", 4 * DAY),
            ("waiting", "parcel_waits", "resolved", "high", 5 * DAY),
            ("asks", "gone_quiet", "opened", "info", 5 * DAY + 20),
            ("quiet", "gone_quiet", "opened", "info", 5 * DAY + HOUR),
            ("gave_up", "parcel_waits", "resolved", "high", 6 * DAY),
            ("quiet", "gone_quiet", "resolved", "info", 10 * DAY),
        ],
    ),
    (
        "journey_steps",
        &[
            ("waits", "journey_stalled", "opened", "warning", 2 * DAY),
            ("twice", "journey_stalled", "opened", "warning", 2 * DAY),
            ("late", "journey_stalled", "opened", "warning", 2 * DAY),
            ("late", "journey_stalled", "resolved", "warning", 2 * DAY + 12 * HOUR),
            ("waits", "journey_stalled", "resolved", "warning", 3 * DAY),
            ("twice", "journey_stalled", "resolved", "warning", 3 * DAY),
            ("twice", "journey_stalled", "opened", "warning", 8 * DAY),
            ("twice", "journey_stalled", "resolved", "warning", 9 * DAY),
        ],
    ),
    ("own_topic", &[("c-17", "detractor", "opened", "warning", 2 * HOUR)]),
];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case)
}

/// The alerts of a case, as the command prints them.
fn replay(case: &str) -> String {
    let folder = folder(case);
    let mut arguments = vec!["replay", "input.jsonl"];
    if folder.join("config.toml").exists() {
        arguments.extend(["--config", "config.toml"]);
    }
    let answer = touchline_in(&folder, &arguments);
    assert_eq!(answer.code, Some(0), "{case}: {}", answer.stderr);
    answer.stdout
}

fn alerts(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn judged(alert: &Value) -> (String, String, String, String, i64) {
    let text = |key: &str| alert[key].as_str().unwrap().to_owned();
    let minutes = (alert["event_time"].as_i64().unwrap() - START_MS) / MINUTE_MS;
    (text("customer_id"), text("kind"), text("phase"), text("severity"), minutes)
}

fn cases() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_case_gives_the_alerts_that_were_judged_by_hand() {
    let known: Vec<&str> = JUDGED.iter().map(|(case, _)| *case).collect();
    assert!(cases().iter().all(|case| known.contains(&case.as_str())), "every case is judged");
    for (case, wanted) in JUDGED {
        let found: Vec<_> = alerts(&replay(case)).iter().map(judged).collect();
        let found: Vec<_> =
            found.iter().map(|(c, k, p, s, m)| (c.as_str(), k.as_str(), p.as_str(), s.as_str(), *m)).collect();
        let (mut found, mut wanted) = (found, wanted.to_vec());
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{case}");
    }
}

#[test]
fn every_case_gives_the_same_bytes_every_time() {
    for case in cases() {
        let expected = folder(&case).join("expected.jsonl");
        let found = replay(&case);
        assert_eq!(found, replay(&case), "{case}: two replays differ");
        if std::env::var_os("TOUCHLINE_BLESS").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&expected).unwrap(), "{case}");
    }
}

#[test]
fn the_evidence_of_every_alert_sums_to_its_figure() {
    let mut seen = 0;
    for alert in cases().iter().flat_map(|case| alerts(&replay(case))) {
        let micros = |value: &Value| (value.as_f64().unwrap() * 1e6).round();
        let lines = alert["evidence"].as_array().unwrap();
        let sum: f64 = lines.iter().map(|line| micros(&line["contribution"])).sum();
        assert!((sum + micros(&alert["remainder"]) - micros(&alert["after"])).abs() < 0.5, "{alert}");
        assert!(!lines.is_empty() && lines.len() <= 5, "{alert}");
        seen += 1;
    }
    assert!(seen > 30, "only {seen} alerts");
}
