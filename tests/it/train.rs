//! `touchline train`: a shop whose late parcels and whose second carrier make bad reviews, and labels of all sorts.

use crate::command::{Answer, touchline};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use touchline::model::Micro;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const START_MS: i64 = 1_772_442_000_000;

/// The configuration of the shop.
pub(crate) const SHOP: &str = r#"
[items]
measures = [{ name = "parts", field = "/attributes/parts" }]
segments = ["carrier"]
protected = []

[catalogue.promises.delivery]
description = "The parcel arrives in time"

[catalogue.kinds.order_placed]
valence = 0.1
direction = "inbound"
purchase = true
opens = [{ promise = "delivery", due = "+3d" }]

[catalogue.kinds.delivered]
keeps = ["delivery"]
"#;

/// A number that looks random.
fn dice(order: i64, salt: i64) -> i64 {
    let mixed = (order * 1_000_003 + salt).wrapping_mul(6_364_136_223_846_793_005).rotate_left(29);
    mixed.wrapping_mul(2_862_933_555_777_941_757).rotate_left(31).rem_euclid(1_000)
}

/// An order: when it was placed, how many hours to delivery, carrier, whether the review was bad.
struct Order {
    number: i64,
    placed: i64,
    hours: i64,
    carrier: &'static str,
    bad: bool,
}

impl Order {
    fn new(number: i64) -> Self {
        let hours = 20 + dice(number, 1) / 8;
        let carrier = if dice(number, 2) < 300 { "snail" } else { "swift" };
        let chance = 60 + if hours > 72 { 450 } else { 0 } + if carrier == "snail" { 250 } else { 0 };
        let placed = START_MS + number * 20 * 60_000;
        Self { number, placed, hours, carrier, bad: dice(number, 3) < chance }
    }

    fn customer(&self) -> String {
        format!("c{}", self.number / 2)
    }

    fn touchpoint(&self, kind: &str, at: i64, leak: bool) -> String {
        let parts = if leak { i64::from(self.bad) } else { dice(self.number, 4) % 5 };
        json!({"id": format!("{kind}{}", self.number), "source": "shop", "customer_id": self.customer(), "channel": "web",
            "kind": kind, "occurred_at": at, "order_id": format!("o{}", self.number),
            "attributes": {"parts": parts, "carrier": self.carrier}})
        .to_string()
    }

    fn label(&self, with_outcome: bool) -> String {
        let mut label = json!({"customer_id": self.customer(), "entity": format!("o{}", self.number),
            "task": "bad_review@day4", "as_of": self.placed + 4 * DAY_MS, "label": i64::from(self.bad),
            "baseline": {"hours": self.hours}});
        if with_outcome {
            label["outcome_ts"] = json!(self.placed + 9 * DAY_MS);
        }
        label.to_string()
    }
}

/// Writes configuration, touchpoints and labels of so many orders.
pub(crate) struct Shop {
    pub(crate) folder: tempfile::TempDir,
    orders: Vec<Order>,
}

impl Shop {
    pub(crate) fn new(orders: i64, leak: bool) -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap(), orders: (0..orders).map(Order::new).collect() };
        let mut touchpoints: Vec<(i64, String)> = Vec::new();
        for order in &shop.orders {
            touchpoints.push((order.placed, order.touchpoint("order_placed", order.placed, leak)));
            let delivered = order.placed + order.hours * HOUR_MS;
            touchpoints.push((delivered, order.touchpoint("delivered", delivered, leak)));
        }
        touchpoints.sort();
        let lines: Vec<String> = touchpoints.into_iter().map(|(_, line)| line).collect();
        fs::write(shop.path("x.jsonl"), lines.join("\n")).unwrap();
        fs::write(shop.path("shop.toml"), SHOP).unwrap();
        shop.write_labels(&shop.labels(true));
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn labels(&self, with_outcome: bool) -> Vec<String> {
        self.orders.iter().map(|order| order.label(with_outcome)).collect()
    }

    fn write_labels(&self, labels: &[String]) {
        fs::write(self.path("labels.jsonl"), labels.join("\n")).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        let paths =
            |argument: &&str| if argument.contains('.') { self.path(argument) } else { PathBuf::from(argument) };
        touchline(&arguments.iter().map(paths).collect::<Vec<_>>())
    }

    pub(crate) fn train(&self, card: &str) -> Answer {
        let shop = ["train", "--config", "shop.toml", "--outcome", "bad_review", "--labels", "labels.jsonl"];
        self.run(&[&shop[..], &["--alerts", "300,100", "--out", card, "x.jsonl"]].concat())
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_card_finds_what_matters_and_says_how_good_it_is() {
    let shop = Shop::new(1_500, false);
    let answer = shop.train("card.toml");
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let report = &answer.stdout;
    for text in [
        "1500 label rows of 1500 items, and ",
        " more moments of the same items",
        "\nserved, the card takes ",
        "bad_review@day4",
        "hours 0.",
        "carrier",
    ] {
        assert!(report.contains(text), "{text}: {report}");
    }
    assert!(!report.contains("warning"), "{report}");
    let area: f64 = report.split("bad_review@day4").nth(1).unwrap().split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!((0.70..0.85).contains(&area), "{area}: {report}");
    let card: toml::Table = read(&shop.path("card.toml")).parse().unwrap();
    let schema = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/card.json"));
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let value = serde_json::to_value(&card).unwrap();
    validator.validate(&value).unwrap_or_else(|error| panic!("{error}: {value}"));
    let feature = |name: &str| {
        let features = value["features"].as_array().unwrap();
        features.iter().find(|feature| feature["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let carrier = feature("g.carrier");
    let of = |name: &str| {
        let at = carrier["categories"].as_array().unwrap().iter().position(|value| value == name).unwrap();
        carrier["points"][at].as_i64().unwrap()
    };
    assert!(of("snail") > 300_000 && of("swift") < -50_000, "{carrier}");
    assert!(value["thresholds"][0]["alerts"].as_i64().unwrap().abs_diff(300) < 30, "{value}");
}

#[test]
fn a_second_run_and_another_order_of_rows_give_the_same_bytes() {
    let shop = Shop::new(600, false);
    for card in ["one.toml", "two.toml"] {
        assert_eq!(shop.train(card).code, Some(0));
    }
    let mut labels = shop.labels(true);
    labels.reverse();
    labels.rotate_left(123);
    shop.write_labels(&labels);
    assert_eq!(shop.train("three.toml").code, Some(0));
    let one = read(&shop.path("one.toml"));
    assert!(one == read(&shop.path("two.toml")) && one == read(&shop.path("three.toml")));
}

#[test]
fn a_feature_made_from_the_label_is_found_out_and_a_protected_one_not_used() {
    let shop = Shop::new(600, true);
    let answer = shop.train("card.toml");
    assert!(
        answer.stdout.contains("warning: m.parts alone tells bad rows from others (AUC 1.000)"),
        "{}",
        answer.stdout
    );
    let config = SHOP.replace("protected = []", "protected = [\"parts\", \"carrier\"]");
    fs::write(shop.path("shop.toml"), config).unwrap();
    let answer = shop.train("card.toml");
    assert!(!answer.stdout.contains("warning: m.parts alone"), "{}", answer.stdout);
    assert!(answer.stdout.contains("m.parts was not used: items.protected"), "{}", answer.stdout);
    assert!(answer.stdout.contains("\ncarrier  "), "alerts by carrier are told all the same: {}", answer.stdout);
    let card = read(&shop.path("card.toml"));
    assert!(!card.contains("m.parts") && !card.contains("g.carrier"), "{card}");
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_told() {
    let shop = Shop::new(400, false);
    let mut labels = shop.labels(false);
    let order = &shop.orders[8];
    let changed = |key: &str, value: serde_json::Value| {
        let mut row: serde_json::Value = serde_json::from_str(&order.label(false)).unwrap();
        row[key] = value;
        row.to_string()
    };
    labels.extend([
        order.label(false),
        changed("customer_id", json!("nobody")),
        changed("as_of", json!(order.placed)),
        changed("task", json!("other@day4")),
        changed("outcome_ts", json!(order.placed)),
        "broken".to_owned(),
        changed("entity", json!("o-unlike")),
        changed("entity", json!("o-unlike"))
            .replace("\"label\":0", "\"label\":2")
            .replace("\"label\":1", "\"label\":0")
            .replace("\"label\":2", "\"label\":1"),
    ]);
    shop.write_labels(&labels);
    let answer = shop.train("card.toml");
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    for text in [
        "and no other moments, for not every row has an outcome_ts",
        "1 cannot be read",
        "1 are of other outcomes",
        "1 have an outcome before their moment",
        "1 are there twice",
        "2 contradict one another",
        "1 are of customers without any touchpoint",
        "1 lie before the customer's first touchpoint",
        "warning: 400 rows",
    ] {
        assert!(answer.stdout.contains(text), "{text}: {}", answer.stdout);
    }
    let good: Vec<String> = shop.labels(true).into_iter().filter(|label| label.contains("\"label\":0")).collect();
    shop.write_labels(&good);
    let answer = shop.train("none.toml");
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("rows that turned out bad and rows that did not are needed"), "{}", answer.stderr);
    assert!(!shop.path("none.toml").exists());
}

impl Shop {
    /// Serves the card: configuration and its path.
    fn serve(&self, name: &str, outcome: &str) -> String {
        fs::write(self.path(name), format!("{SHOP}\n[[outcome]]\n{outcome}")).unwrap();
        name.to_owned()
    }

    fn alerts(&self, config: &str) -> Vec<serde_json::Value> {
        let answer = self.run(&["replay", "--config", config, "x.jsonl"]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let alerts = answer.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        alerts.filter(|alert| alert["kind"] == "outcome_risk").collect()
    }
}

const SERVED: &str = "name = \"bad_review\"\ncard = \"card.toml\"\nitems = [\"order\"]\nopen = 0.5\nclose = 0.3\n";

#[test]
fn a_served_card_opens_alerts_whose_points_add_up_and_that_explain_themselves() {
    let shop = Shop::new(600, false);
    assert_eq!(shop.train("card.toml").code, Some(0));
    let config = shop.serve("served.toml", SERVED);
    let alerts = shop.alerts(&config);
    let opened: Vec<&serde_json::Value> = alerts.iter().filter(|alert| alert["phase"] == "opened").collect();
    assert!(opened.len() > 20, "{}", opened.len());
    let schema = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/alert.json"));
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let micro = |value: &serde_json::Value| Micro::from_f64(value.as_f64().unwrap()).unwrap().0;
    for alert in &alerts {
        validator.validate(alert).unwrap_or_else(|error| panic!("{error}: {alert}"));
        let lines: i64 = alert["evidence"].as_array().unwrap().iter().map(|line| micro(&line["contribution"])).sum();
        assert_eq!(lines + micro(&alert["remainder"]), micro(&alert["after"]), "{alert}");
        let odds = alert["after"].as_f64().unwrap();
        let chance = alert["probability"].as_f64().unwrap();
        assert!((chance - 1.0 / (1.0 + (-odds).exp())).abs() < 5e-6, "{alert}");
        assert!(alert["calibrated"]["low"].as_f64().unwrap() < alert["calibrated"]["high"].as_f64().unwrap());
        let is_over = if alert["phase"] == "opened" { chance >= 0.499_99 } else { true };
        assert!(is_over, "{alert}");
    }
    // Late parcels and the slow carrier are what it is about.
    let story =
        shop.run(&["explain", "--config", &config, "--alert", opened[0]["alert_id"].as_str().unwrap(), "x.jsonl"]);
    for text in ["outcome_risk (bad_review)", "chance ", " turned out so", "the average case", "carrier: snail"] {
        assert!(story.stdout.contains(text), "{text}: {}", story.stdout);
    }
    let customer = opened[0]["customer_id"].as_str().unwrap();
    let standing = shop.run(&["explain", "--config", &config, "--customer", customer, "x.jsonl"]).stdout;
    assert!(standing.contains("\nbad_review of order o") && standing.contains("  in all\n"), "{standing}");
    // Partitions and the order between customers do not matter.
    let split = shop.run(&["replay", "--config", &config, "--partitions", "3", "x.jsonl"]);
    let mut lines: Vec<&str> = split.stdout.lines().filter(|line| line.contains("\"outcome_risk\"")).collect();
    lines.sort_unstable();
    let whole = shop.run(&["replay", "--config", &config, "x.jsonl"]);
    let mut expected: Vec<&str> = whole.stdout.lines().filter(|line| line.contains("\"outcome_risk\"")).collect();
    expected.sort_unstable();
    assert!(lines == expected);
}

#[test]
fn evaluate_and_rows_of_moments_show_a_cards_chance_and_a_new_base_rate_moves_it() {
    let shop = Shop::new(600, false);
    assert_eq!(shop.train("card.toml").code, Some(0));
    let evaluate = ["evaluate", "--config", "shop.toml", "--labels", "labels.jsonl", "--card", "card.toml"];
    let answer = shop.run(&[&evaluate[..], &["x.jsonl"]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let line = answer.stdout.lines().find(|line| line.contains("card.bad_review")).unwrap();
    assert!(line.contains("ECE 0."), "{line}");
    let rows = ["replay", "--config", "shop.toml", "--as-of", "labels.jsonl", "--card", "card.toml", "x.jsonl"];
    let mean = |rows: &[&str]| {
        let answer = shop.run(rows);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let rows = answer.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let chances: Vec<f64> = rows.map(|row| row["features"]["card.bad_review"].as_f64().unwrap()).collect();
        chances.iter().sum::<f64>() / chances.len() as f64
    };
    let share = shop.orders.iter().filter(|order| order.bad).count() as f64 / 600.0;
    assert!((mean(&rows) - share).abs() < 0.01, "{} against {share}", mean(&rows));
    // Every third good order is left out: bad ones are more frequent.
    let fewer = |(at, label): (usize, String)| (at % 3 > 0 || label.contains("\"label\":1")).then_some(label);
    let labels: Vec<String> = shop.labels(true).into_iter().enumerate().filter_map(fewer).collect();
    shop.write_labels(&labels);
    let train = ["train", "--config", "shop.toml", "--labels", "labels.jsonl", "--recalibrate", "card.toml"];
    let answer = shop.run(&[&train[..], &["--out", "moved.toml", "x.jsonl"]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let bad = labels.iter().filter(|label| label.contains("\"label\":1")).count() as f64;
    let moved = rows.map(|argument| if argument == "card.toml" { "moved.toml" } else { argument });
    assert!((mean(&moved) - bad / labels.len() as f64).abs() < 0.002, "{}: {}", mean(&moved), answer.stdout);
    let without = |card: &str| {
        let card: toml::Table = read(&shop.path(card)).parse().unwrap();
        card["features"].to_string()
    };
    assert!(without("card.toml") == without("moved.toml"), "only the intercept moves");
}

#[test]
fn a_card_that_does_not_fit_is_refused_with_key_and_reason() {
    let shop = Shop::new(400, false);
    assert_eq!(shop.train("card.toml").code, Some(0));
    let good = read(&shop.path("card.toml"));
    let config = shop.serve("served.toml", SERVED);
    assert_eq!(shop.run(&["check", "--config", &config]).code, Some(0));
    let refused = |what: &str, card: &str, expected: &str| {
        fs::write(shop.path("card.toml"), card).unwrap();
        let answer = shop.run(&["check", "--config", "served.toml"]);
        assert_eq!(answer.code, Some(2), "{what}");
        assert!(answer.stderr.contains(expected), "{what}: {}", answer.stderr);
        let rows = ["evaluate", "--config", "shop.toml", "--labels", "labels.jsonl", "--card", "card.toml", "x.jsonl"];
        assert_eq!(shop.run(&rows).code, Some(2), "{what}");
    };
    refused("version", &good.replace("version = 1", "version = 2"), "version: 2; this program reads version 1");
    refused(
        "feature",
        &good.replace("g.carrier", "g.courier"),
        "features.g.courier: this configuration has no such feature",
    );
    let intercept = good.lines().find(|line| line.starts_with("intercept")).unwrap();
    refused("absurd", &good.replace(intercept, "intercept = 99000000"), "intercept: is absurd");
    let edges = good.lines().rfind(|line| line.starts_with("edges = [") && line.contains(',')).unwrap();
    let unsorted = edges.replacen("edges = [", "edges = [9000000000000, ", 1);
    refused("edges", &good.replace(edges, &unsorted), ".edges: are not ascending");
    refused("unknown key", &good.replace("customers =", "clients ="), "clients");
    refused("nothing", "", "version: missing");
    fs::write(shop.path("card.toml"), &good).unwrap();
    let changed = SHOP.replace("valence = 0.1", "valence = 0.2");
    fs::write(shop.path("changed.toml"), format!("{changed}\n[[outcome]]\n{SERVED}")).unwrap();
    let answer = shop.run(&["check", "--config", "changed.toml"]);
    assert!(
        answer.stderr.contains("card.config_hash") && answer.stderr.contains("allow = [\"config_hash\"]"),
        "{}",
        answer.stderr
    );
    fs::write(shop.path("changed.toml"), format!("{changed}\n[[outcome]]\n{SERVED}allow = [\"config_hash\"]\n"))
        .unwrap();
    assert_eq!(shop.run(&["check", "--config", "changed.toml"]).code, Some(0));
    let protected = SHOP.replace("protected = []", "protected = [\"carrier\"]");
    fs::write(shop.path("served.toml"), format!("{protected}\n[[outcome]]\n{SERVED}")).unwrap();
    let answer = shop.run(&["check", "--config", "served.toml"]);
    assert!(answer.stderr.contains("features.g.carrier: reads an attribute that is listed"), "{}", answer.stderr);
}
