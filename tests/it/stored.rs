//! What a version wrote must be read by every later one: `tests/stored/N.jsonl` holds images and journal in record format
//! N with a tail that no image holds yet, `N.expected` what they say. A new format gets files of its own by
//! `TOUCHLINE_BLESS=1 cargo test --test it -- stored`; those that are there are never written again.

use crate::command::touchline;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use touchline::codec::RawRecord;
use touchline::config::Config;
use touchline::engine::Input;
use touchline::journal::{Checkpoint, Entries, FORMAT, ImageKey, Restored, Verdict};
use touchline::model::{Position, Timestamp};
use touchline::pipeline::{ImagesDue, Partition, Plan, Staged};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored")
}

fn plan() -> Arc<Plan> {
    let config = Config::load(None, &|reference| Err(format!("{reference} is not there"))).unwrap();
    config.plan(vec![("touchpoints".to_owned(), 0)], 1)
}

/// What a read_committed reader of the topics would find after a crash: images of some customers, a tail of journal.
fn write(file: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let simulated = folder.path().join("simulated.jsonl");
    let to = simulated.display().to_string();
    let sent = touchline(&["simulate", "--to", &to, "--customers", "25", "--text", "--seed", "7"]);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let text = std::fs::read_to_string(&simulated).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let plan = plan();
    let mut partition = Partition::new(Arc::clone(&plan), Arc::clone(&plan.scorer), 0, 0x5eed, true);
    let (mut staged, mut journal_offset) = (Staged::default(), 0_i64);
    // Compacted, and cut by retention as far as no restore needs it.
    let (mut images, mut journal) = (BTreeMap::new(), BTreeMap::new());
    let chunks: Vec<_> = lines.chunks(lines.len() / 8 + 1).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        for line in *chunk {
            let offset = partition.next_offset(0).unwrap_or(0);
            let occurred_at = serde_json::from_str::<Value>(line).ok().and_then(|line| line["occurred_at"].as_i64());
            partition.record(&RawRecord {
                position: Position { source: 0, partition: 0, offset },
                recorded_at: occurred_at.map(Timestamp),
                value: Some(line.as_bytes()),
                ..RawRecord::default()
            });
        }
        partition.stage(if number == 3 { ImagesDue::All } else { ImagesDue::Due }, &mut staged);
        for image in &staged.images {
            let value = image.value.as_ref().map(|value| BASE64_STANDARD.encode(value));
            let key = BASE64_STANDARD.encode(&image.key);
            images.insert(image.key.clone(), json!({"image": {"key": key, "value": value, "seq": image.seq}}));
        }
        for record in &staged.journal {
            journal.insert(
                journal_offset,
                json!({"journal": {"offset": journal_offset, "value": BASE64_STANDARD.encode(record)}}),
            );
        }
        partition.commit();
        partition.journal_delivered(staged.seq, journal_offset);
        journal_offset += 2;
    }
    let newest = staged.images.last().and_then(|checkpoint| checkpoint.value.as_deref()).unwrap();
    let from = Checkpoint::decode(newest).unwrap().from_offset.unwrap();
    let offsets: Vec<i64> = staged.offsets.iter().map(|(_, offset)| *offset).collect();
    let committed = json!({"committed": {"metadata": staged.metadata, "offsets": offsets}});
    let lines = images.into_values().chain(journal.split_off(&from).into_values()).chain([committed]);
    std::fs::write(file, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| BASE64_STANDARD.decode(text).unwrap())
}

/// Restores from a file under the configuration it was written under.
fn restore(file: &Path) -> (Arc<Plan>, Restored, BTreeSet<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let images: Vec<_> = lines.iter().map(|line| &line["image"]).filter(|image| !image.is_null()).collect();
    let is_configuration = |key: &[u8]| matches!(ImageKey::parse(key).unwrap(), ImageKey::Configuration(_));
    let canonical = images.iter().find(|image| is_configuration(&bytes(&image["key"]).unwrap())).unwrap();
    let canonical = String::from_utf8(bytes(&canonical["value"]).unwrap()).unwrap();
    let plan = plan().under(&canonical, std::iter::once("touchpoints".to_owned())).unwrap();
    let (mut restorer, mut customers) = (Partition::restorer(&plan, 0, 1), BTreeSet::new());
    for image in images {
        let (key, value) = (bytes(&image["key"]).unwrap(), bytes(&image["value"]));
        if let ImageKey::Customer(customer) = ImageKey::parse(&key).unwrap() {
            customers.insert(customer.to_owned());
        }
        restorer.image(&key, value.as_deref(), image["seq"].as_u64().filter(|_| value.is_none())).unwrap();
    }
    let from = restorer.from_offset().unwrap().unwrap_or(0);
    for record in lines.iter().map(|line| &line["journal"]).filter(|record| !record.is_null()) {
        let (offset, value) = (record["offset"].as_i64().unwrap(), bytes(&record["value"]).unwrap());
        for entry in Entries::of(&value).unwrap().1 {
            if let Input::Touchpoint(scored) = entry.unwrap() {
                customers.insert(scored.customer_id.to_owned());
            }
        }
        if offset >= from {
            restorer.journal(offset, &value).unwrap();
        }
    }
    let committed = &lines.last().unwrap()["committed"];
    let offsets: Vec<_> = committed["offsets"].as_array().unwrap().iter().map(Value::as_i64).collect();
    match restorer.finish(committed["metadata"].as_str(), &offsets) {
        Verdict::Ready(restored) => (Arc::new(plan), *restored, customers),
        verdict @ (Verdict::Retry(_) | Verdict::Refuse(_)) => panic!("{}: {verdict:?}", file.display()),
    }
}

/// The state in words.
fn told(restored: &Restored, customers: &BTreeSet<String>) -> String {
    let meta = restored.book.committed();
    let mut told = format!(
        "{} positions {:?} counters {:?} replayed {} customers {} next {:?}\n",
        meta.metadata(),
        meta.positions,
        meta.counters.values(),
        restored.replayed,
        restored.engine.customers(),
        restored.engine.next_deadline(),
    );
    for customer in customers {
        let Some(view) = restored.engine.view(customer) else {
            writeln!(told, "{customer} is gone").unwrap();
            continue;
        };
        let figures = &view.figures;
        let (first, last, count) = (view.first_seen.0, view.last_seen.0, view.touchpoints);
        let perception = [figures.perception, figures.expectation, figures.felt, figures.pressure].map(|micro| micro.0);
        writeln!(told, "{customer} {first} {last} {count} index {} {perception:?}", figures.index).unwrap();
        for alert in &view.open_alerts {
            let (kind, id, opened_at) = (&alert.kind, alert.alert_id, alert.opened_at.0);
            writeln!(told, "  {kind} {id:016x} {} {opened_at}", alert.severity.as_str()).unwrap();
        }
    }
    told
}

#[test]
fn what_every_version_stored_is_read() {
    let folder = folder();
    let own = folder.join(format!("{FORMAT}.jsonl"));
    let may_write = std::env::var_os("TOUCHLINE_BLESS").is_some();
    if !own.exists() && may_write {
        std::fs::create_dir_all(&folder).unwrap();
        write(&own);
    }
    assert!(own.exists(), "{} is missing: see the head of this file", own.display());
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        files += 1;
        let (_, restored, customers) = restore(&file);
        assert!(restored.replayed > 50 && restored.book.dirty_customers() > 5, "{}: no tail", file.display());
        let (told, expected) = (told(&restored, &customers), file.with_extension("expected"));
        if !expected.exists() && may_write {
            std::fs::write(&expected, &told).unwrap();
        }
        assert!(told.contains("\n  "), "{}: no open alert", file.display());
        assert_eq!(told, std::fs::read_to_string(&expected).unwrap(), "{}", file.display());
    }
    assert!(files > 0);
}
