//! The simulated customers give every kind of alert, with any seed, by the shipped rules: the demo depends on it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use touchline::codec::RawRecord;
use touchline::config::Config;
use touchline::model::{Micro, Position, Timestamp, time::DAY_MS};
use touchline::pipeline::{Fate, ImagesDue, Partition, Staged};
use touchline::rules::{Kind, Row, TABLE};
use touchline::sentiment::Scorer;
use touchline::sim::{self, Faults, Stories};

const CUSTOMERS: u32 = 200;
const START: Timestamp = Timestamp(1_765_411_200_000);

/// The alerts opened in 21 days, and how many records were rejected.
fn alerts(seed: u64, faults: Faults) -> (Vec<Value>, usize) {
    let config = Config::load(None, &|path| Err(path.to_owned())).unwrap();
    let plan = config.plan(vec![("touchpoints.jsonl".to_owned(), 0)], 0);
    let mut partition = Partition::new(plan, Arc::new(Scorer::new()), 0, 0, false);
    let stories = Stories { customers: CUSTOMERS, start: START, span_ms: 21 * DAY_MS, text: true, seed };
    let (mut staged, mut opened, mut rejected) = (Staged::default(), Vec::new(), 0);
    for (offset, record) in (1..).zip(sim::stories(&stories, faults)) {
        let raw = RawRecord {
            position: Position { source: 0, partition: 0, offset },
            recorded_at: Some(record.at),
            key: None,
            value: record.payload.as_deref(),
            ..RawRecord::default()
        };
        let fate = partition.record(&raw);
        let dead = matches!(fate, Fate::Dlq(_));
        assert_eq!(dead, record.fate == sim::Fate::Poison);
        rejected += usize::from(dead);
    }
    partition.finish();
    partition.stage(ImagesDue::Due, &mut staged);
    let changes = staged.alerts.iter().map(|alert| serde_json::from_slice(alert.value.as_deref().unwrap()).unwrap());
    opened.extend(changes.filter(|change: &Value| change["phase"] == "opened"));
    partition.commit();
    (opened, rejected)
}

fn count(alerts: &[Value], key: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for alert in alerts {
        *counts.entry(alert[key].as_str().unwrap_or("none").to_owned()).or_default() += 1;
    }
    counts
}

/// No outcome is shipped: those are the user's.
fn arises(row: &Row) -> bool {
    !matches!(row.kind, Kind::OutcomeRisk | Kind::ChurnRisk)
}

#[test]
fn every_kind_of_alert_arises_on_many_channels_whatever_the_seed() {
    for seed in [1, 20_260_101, u64::MAX] {
        let (alerts, rejected) = alerts(seed, Faults::default());
        assert_eq!(rejected, 0);
        let kinds = count(&alerts, "kind");
        for row in TABLE.iter().filter(|row| arises(row)) {
            assert!(kinds.get(row.name).is_some_and(|count| *count >= 3), "seed {seed}: {}: {kinds:?}", row.name);
        }
        let channels = count(&alerts, "channel");
        for channel in ["web", "mobile", "in_store", "support", "fulfilment", "review"] {
            assert!(channels.contains_key(channel), "seed {seed}: {channel}: {channels:?}");
        }
        let opened = count(&alerts, "phase").get("opened").copied().unwrap_or(0);
        let most = CUSTOMERS as usize * TABLE.len() / 4;
        assert!(opened < most, "seed {seed}: {opened} alerts of {CUSTOMERS} customers in 21 days cry wolf");
    }
}

#[test]
fn faults_cost_no_kind_of_alert_and_poison_is_all_that_is_rejected() {
    let shares =
        Faults { late: Micro(20_000), duplicate: Micro(10_000), reordered: Micro(10_000), poison: Micro(10_000) };
    let (alerts, rejected) = alerts(3, shares);
    assert!(rejected > 50);
    let kinds: BTreeSet<String> = count(&alerts, "kind").into_keys().collect();
    assert_eq!(kinds.len(), TABLE.iter().filter(|row| arises(row)).count(), "{kinds:?}");
}
