use super::*;
use crate::codec;
use crate::model::{
    Micro, Position,
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
};
use crate::rules::catalogue::CatalogueFile;
use std::collections::{BTreeMap, BTreeSet};

const START: Timestamp = Timestamp(1_760_000_000_000);
const STORIES: Stories = Stories { customers: 500, start: START, span_ms: 21 * DAY_MS, text: true, seed: 7 };
const LOAD: Load = Load { customers: 1_000, count: 20_000, start: START, span_ms: 3 * DAY_MS, text: false, seed: 7 };

fn some_faults() -> Faults {
    Faults { late: Micro(20_000), duplicate: Micro(10_000), reordered: Micro(10_000), poison: Micro(10_000) }
}

fn parse(record: &Record) -> serde_json::Value {
    serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap()
}

fn by_fate(records: &[Record]) -> BTreeMap<Fate, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(record.fate).or_default() += 1;
    }
    counts
}

#[test]
fn same_seed_same_records_and_other_seed_others() {
    let first: Vec<Record> = stories(&STORIES, some_faults()).collect();
    assert_eq!(first, stories(&STORIES, some_faults()).collect::<Vec<_>>());
    assert_ne!(first, stories(&Stories { seed: 8, ..STORIES }, some_faults()).collect::<Vec<_>>());
    let first: Vec<Record> = load(LOAD, some_faults()).collect();
    assert_eq!(first, load(LOAD, some_faults()).collect::<Vec<_>>());
}

#[test]
fn records_arrive_in_order_of_time_and_within_the_span() {
    for records in [
        stories(&STORIES, Faults::default()).collect::<Vec<_>>(),
        stories(&STORIES, some_faults()).collect(),
        load(LOAD, some_faults()).collect(),
    ] {
        assert!(records.is_sorted_by_key(|record| record.at));
        assert!(records.iter().all(|record| record.at >= START));
    }
    let clean: Vec<Record> = stories(&STORIES, Faults::default()).collect();
    assert!(clean.iter().all(|record| record.at < START.plus(21 * DAY_MS)));
    assert!(clean.len() > 10_000, "{} touchpoints of 500 customers in 21 days", clean.len());
    assert!(clean.iter().all(|record| parse(record)["occurred_at"] == record.at.0));
}

#[test]
fn every_kind_is_in_the_catalogue_and_every_main_channel_is_used() {
    let catalogue: CatalogueFile = toml::from_str(include_str!("../../config/catalogue.toml")).unwrap();
    let mut topics = [0_usize; TOPICS.len()];
    let mut kinds = BTreeSet::new();
    let records = stories(&STORIES, Faults::default()).chain(load(LOAD, Faults::default()));
    for record in records {
        topics[record.topic()] += 1;
        let kind = parse(&record)["kind"].as_str().unwrap().to_owned();
        assert!(catalogue.kinds.contains_key(&kind), "{kind} is not in the catalogue");
        kinds.insert(kind);
    }
    assert!(topics.iter().all(|count| *count > 300), "{topics:?}");
    assert!(kinds.len() > 40, "{kinds:?}");
}

#[test]
fn faults_come_at_their_rates_and_leave_the_rest_alone() {
    let clean: Vec<Record> = load(LOAD, Faults::default()).collect();
    let faulty: Vec<Record> = load(LOAD, some_faults()).collect();
    let counts = by_fate(&faulty);
    for (fate, expected) in [(Fate::Late, 400), (Fate::Duplicate, 200), (Fate::Reordered, 200), (Fate::Poison, 200)] {
        let count = counts[&fate];
        assert!(count.abs_diff(expected) < expected / 3, "{fate:?}: {count}, expected about {expected}");
    }
    let payloads = |records: &[Record], kept: &[Fate]| -> BTreeSet<Vec<u8>> {
        records
            .iter()
            .filter(|record| kept.contains(&record.fate))
            .filter_map(|record| record.payload.clone())
            .collect()
    };
    let once = [Fate::Sent, Fate::Late, Fate::Reordered];
    assert_eq!(payloads(&clean, &once), payloads(&faulty, &once));
    assert!(payloads(&faulty, &[Fate::Duplicate]).is_subset(&payloads(&clean, &once)));
    for record in faulty.iter().filter(|record| matches!(record.fate, Fate::Late | Fate::Reordered)) {
        let delay_ms = record.at.0 - parse(record)["occurred_at"].as_i64().unwrap();
        let most = if record.fate == Fate::Late { faults::HELD_MS_MAX } else { MINUTE_MS };
        assert!((1..=most).contains(&delay_ms) && (record.fate != Fate::Late || delay_ms >= HOUR_MS));
    }
}

#[test]
fn hostile_records_take_turns_and_stay_small() {
    let poison = Faults { poison: Micro::ONE, ..Faults::default() };
    let records: Vec<Record> = load(Load { count: 100, ..LOAD }, poison).collect();
    let payloads: BTreeSet<Option<Vec<u8>>> =
        records.iter().filter(|record| record.fate == Fate::Poison).map(|record| record.payload.clone()).collect();
    assert!(payloads.len() as u64 >= HOSTILE);
    assert!(payloads.iter().flatten().all(|payload| payload.len() < 30_000));
    assert!(payloads.contains(&None) && payloads.contains(&Some(Vec::new())));
}

#[test]
fn stamping_changes_the_event_time_and_nothing_else() {
    let clean = load(LOAD, Faults::default()).next().unwrap();
    let mut stamped = clean.clone();
    stamped.stamp(Timestamp(1_799_999_999_999));
    assert_eq!(parse(&stamped)["occurred_at"], 1_799_999_999_999_i64);
    stamped.stamp(START);
    assert_eq!(stamped, clean);
}

#[test]
fn every_persona_is_among_any_25_customers() {
    for first in [0, 13, 475] {
        let names: BTreeSet<&str> = (first..first + 25).map(|customer| personas::persona_of(customer).name).collect();
        assert_eq!(names.len(), personas::PERSONAS.len());
    }
    let mix = STORIES.personas();
    assert_eq!(mix.iter().map(|(_, count)| count).sum::<usize>(), 500);
    assert_eq!(mix[0], ("loyal customers", 160));
}

#[test]
fn every_hostile_record_is_rejected_and_every_other_is_decoded() {
    let junk_ids = vec!["null".to_owned(), "undefined".to_owned()];
    let input = codec::Input { junk_ids, ..codec::Input::default() };
    let poison = Faults { poison: Micro(500_000), ..Faults::default() };
    let records = load(Load { count: 400, text: true, ..LOAD }, poison).chain(stories(&STORIES, poison));
    let mut codes = BTreeSet::new();
    for record in records {
        let raw = codec::RawRecord {
            position: Position::default(),
            recorded_at: None,
            key: Some(record.customer_id.as_bytes()),
            value: record.payload.as_deref(),
            ..codec::RawRecord::default()
        };
        let decoded = codec::decode(&input, &raw);
        let payload = String::from_utf8_lossy(record.payload.as_deref().unwrap_or_default()).into_owned();
        match record.fate {
            Fate::Poison => codes.insert(decoded.expect_err(&payload).code),
            Fate::Sent | Fate::Late | Fate::Duplicate | Fate::Reordered => decoded.map(|_| false).expect(&payload),
        };
    }
    assert!(codes.len() >= 9, "{codes:?}");
}
