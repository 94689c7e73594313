//! What `deploy/` says of the program is true of it: metrics exist, alert rules do what they are for and have an entry
//! in the runbook, configurations are valid.

use crate::command::touchline;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use touchline::status::Status;
use touchline::telemetry::{CATALOGUE, Kind, Metric, Metrics, PREFIX};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap()
}

/// Names of series the program exports.
fn exported() -> BTreeSet<String> {
    let suffixes = |kind| match kind {
        Kind::Histogram(_) => &["_bucket", "_sum", "_count"][..],
        Kind::Counter | Kind::Gauge => &[""][..],
    };
    let names = |metric: &Metric| {
        suffixes(metric.kind).iter().map(|suffix| format!("{PREFIX}{}{suffix}", metric.name)).collect::<Vec<_>>()
    };
    CATALOGUE.iter().flat_map(names).collect()
}

/// Words of a text that begin like our metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with(PREFIX) && !word.contains(':')).map(str::to_owned).collect()
}

/// The queries of a dashboard.
fn queries(dashboard: &str) -> Vec<String> {
    let board: serde_json::Value = serde_json::from_str(&text(dashboard)).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder())
        .output()
        .expect("the rules are tried by promtool: install prometheus (or let `bash .ci/run test` do it)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn rules_and_dashboards_ask_for_metrics_there_are() {
    let exported = exported();
    let dashboards = ["grafana/dashboards/pipeline.json", "grafana/dashboards/experience.json"];
    let asked = dashboards.iter().flat_map(|board| queries(board)).chain([text("prometheus/rules.yaml")]);
    let asked: BTreeSet<String> = asked.flat_map(|query| named(&query)).collect();
    assert!(asked.len() > 25, "{asked:?}");
    assert_eq!(asked.difference(&exported).collect::<Vec<_>>(), Vec::<&String>::new());
    let rules = text("prometheus/rules.yaml");
    let recorded: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    for query in dashboards.iter().flat_map(|board| queries(board)).filter(|query| query.starts_with("touchline:")) {
        assert!(recorded.contains(query.as_str()), "{query}");
    }
}

#[test]
fn every_alert_rule_is_tested_and_has_its_entry_in_the_runbook() {
    promtool(&["check", "rules", "prometheus/rules.yaml"]);
    promtool(&["test", "rules", "prometheus/rules_test.yaml"]);
    let (rules, tests, runbook) =
        (text("prometheus/rules.yaml"), text("prometheus/rules_test.yaml"), text("README.md"));
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let entries: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(alerts, entries);
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname: {alert}\n        exp_alerts:")),
            "{alert} never fires in the tests"
        );
        assert!(rules.contains(&format!("runbook: deploy/README.md#{}", alert.to_lowercase())), "{alert}");
    }
}

#[test]
fn the_configurations_are_valid() {
    let secrets = tempfile::tempdir().unwrap();
    for name in ["kafka-password", "kafka-ca.crt", "admin-token"] {
        std::fs::write(secrets.path().join(name), "0123456789abcdef").unwrap();
    }
    for path in ["compose/touchline.toml", "kubernetes/touchline.toml"] {
        let here = text(path)
            .replace("/etc/touchline/secret", &secrets.path().display().to_string())
            .replace("env:TOUCHLINE_ADMIN_TOKEN", &format!("file:{}/admin-token", secrets.path().display()))
            .replace("env:POD_NAME", "env:CARGO_PKG_NAME");
        let file = secrets.path().join("touchline.toml");
        std::fs::write(&file, here).unwrap();
        let answer = touchline(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(answer.code, Some(0), "{path}: {}", answer.stderr);
    }
}

#[test]
fn what_prometheus_scrapes_is_as_it_should_be() {
    let text = Metrics::new().unwrap().render(&Status::new(1)).unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the metrics are checked by promtool: install prometheus (or let `bash .ci/run test` do it)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
