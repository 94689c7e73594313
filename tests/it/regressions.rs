//! What was wrong once.

use crate::command::touchline_in;
use serde_json::{Value, json};

const START_MS: i64 = 1_772_442_000_000;
const HOUR_MS: i64 = 3_600_000;

/// Replays touchpoints of one customer in the order of the list; answers the alerts.
fn alerts(touchpoints: &[(&str, i64, Value)]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let config = "[[input]]\nname = \"all\"\nformat = \"touchpoint-json\"\narrival = \"/arrived\"\narrival_time = \"epoch_ms\"\n";
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let line = |(number, (kind, at_ms, more)): (usize, &(&str, i64, Value))| {
        let mut touchpoint = json!({
            "id": number.to_string(), "source": "test", "customer_id": "anna", "channel": "web", "kind": kind,
            "occurred_at": START_MS + at_ms, "arrived": START_MS + 30 * 24 * HOUR_MS + i64::try_from(number).unwrap(),
        });
        touchpoint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        touchpoint.to_string() + "\n"
    };
    let lines: String = touchpoints.iter().enumerate().map(line).collect();
    std::fs::write(folder.path().join("input.jsonl"), lines).unwrap();
    let answer = touchline_in(folder.path(), &["replay", "--config", "config.toml", "input.jsonl"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn opened<'a>(alerts: &'a [Value], kind: &str) -> Vec<&'a Value> {
    alerts.iter().filter(|alert| alert["kind"] == kind && alert["phase"] == "opened").collect()
}

#[test]
fn a_journey_that_stalled_once_can_stall_again() {
    let day_ms = 24 * HOUR_MS;
    let start = |day: i64| ("checkout_started", day * day_ms, json!({}));
    let view = |day: i64| ("page_viewed", day * day_ms, json!({}));
    let alerts = alerts(&[start(0), view(10), start(11), view(13)]);
    assert_eq!(opened(&alerts, "journey_stalled").len(), 2, "{alerts:#?}");
}

#[test]
fn refused_payments_count_together_only_within_their_window_in_any_order() {
    let refused = |at_ms: i64| ("payment_failed", at_ms, json!({}));
    let apart = alerts(&[refused(10 * HOUR_MS), refused(0)]);
    assert_eq!(opened(&apart, "service_failure").len(), 0, "{apart:#?}");
    let together = alerts(&[refused(HOUR_MS / 4), refused(0)]);
    assert_eq!(opened(&together, "service_failure").len(), 1, "{together:#?}");
}

#[test]
fn a_worse_second_answer_is_its_own_evidence() {
    let nps = |at_ms: i64, value: u8| {
        ("survey_answered", at_ms, json!({ "rating": { "instrument": "nps", "value": value, "min": 0, "max": 10 } }))
    };
    let alerts = alerts(&[nps(0, 5), nps(24 * HOUR_MS, 1)]);
    let updated = alerts.iter().find(|alert| alert["phase"] == "updated").expect("the severity rose");
    assert_eq!(updated["after"], 1);
    assert_eq!(updated["evidence"][0]["occurred_at"], START_MS + 24 * HOUR_MS);
    assert_eq!(updated["alert_id"], alerts[0]["alert_id"]);
}

#[test]
fn a_start_that_arrives_after_its_own_completion_does_not_stall() {
    let of = |order: &str| json!({ "order_id": order });
    let alerts = alerts(&[
        ("order_completed", 60_000, of("o-1")),
        ("checkout_started", 0, of("o-1")),
        ("checkout_started", 30_000, of("o-2")),
        ("page_viewed", 3 * HOUR_MS, json!({})),
    ]);
    let stalled = opened(&alerts, "journey_stalled");
    assert_eq!(stalled.len(), 1, "{alerts:#?}");
    assert_eq!(stalled[0]["item"]["id"], "o-2");
}

#[test]
fn a_failure_that_arrives_after_its_own_recovery_is_recovered() {
    let of = |order: &str| json!({ "order_id": order });
    let alerts = alerts(&[
        ("compensation_granted", HOUR_MS, of("o-1")),
        ("order_cancelled_by_merchant", 0, of("o-1")),
        ("page_viewed", 2 * HOUR_MS, json!({})),
    ]);
    let phases: Vec<&Value> =
        alerts.iter().filter(|alert| alert["kind"] == "service_failure").map(|alert| &alert["phase"]).collect();
    assert_eq!(phases, ["opened", "resolved"], "{alerts:#?}");
}

#[test]
fn sessions_on_two_devices_keep_their_own_counts() {
    let click = |at: i64| ("rage_clicked", at * 1_000, json!({ "session_id": format!("s-{}", at % 2) }));
    let mut touchpoints: Vec<_> = (0..8).map(click).collect();
    touchpoints.push(("dead_clicked", 9_000, json!({ "session_id": "s-0" })));
    let alerts = alerts(&touchpoints);
    let burst = opened(&alerts, "frustration_burst");
    assert_eq!((burst.len(), &burst[0]["after"]), (1, &json!(18)), "{alerts:#?}");
}
