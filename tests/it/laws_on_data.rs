//! The laws on recorded data instead of random histories, run by hand with a folder of `<set>_dev.jsonl.gz` in the forms of
//! `config/examples/<set>.toml`:
//! `TOUCHLINE_EVENTS=FOLDER cargo test --release --test it -- --ignored laws_on_data`

use crate::command::touchline;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use touchline::codec::RawRecord;
use touchline::config::Config;
use touchline::engine::Input;
use touchline::journal::{Entries, ImageRecord, ImagesDue, Verdict};
use touchline::model::{Position, Timestamp};
use touchline::pipeline::{Partition, Plan, Staged};

const SETS: [&str; 6] = ["olist", "loans", "tickets", "retail", "care", "airline"];
const HOUR_MS: i64 = 3_600_000;

type Line = Map<String, Value>;

fn config(set: &str) -> String {
    format!("{}/config/examples/{set}.toml", env!("CARGO_MANIFEST_DIR"))
}

fn file(set: &str) -> PathBuf {
    let folder = std::env::var_os("TOUCHLINE_EVENTS").expect("TOUCHLINE_EVENTS names a folder");
    Path::new(&folder).join(format!("{set}_dev.jsonl.gz"))
}

fn lines(set: &str) -> Vec<Line> {
    let file = std::fs::File::open(file(set)).unwrap();
    let lines = BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn millis(line: &Line, field: &str) -> i64 {
    line[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// A decimal in millionths, exactly.
fn micro(number: &Value) -> i64 {
    let text = format!("{:.6}", number.as_f64().unwrap());
    let (sign, digits) = text.strip_prefix('-').map_or((1, &*text), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    sign * (whole.parse::<i64>().unwrap() * 1_000_000 + format!("{part:0<6}").parse::<i64>().unwrap())
}

#[test]
#[ignore = "needs recorded data"]
fn alerts_keep_the_laws() {
    for set in SETS {
        let answer = touchline(&["replay", "--config", &config(set), file(set).to_str().unwrap()]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let (mut open, mut ended) = (BTreeMap::new(), BTreeMap::new());
        let (mut ids, mut days) = (BTreeSet::new(), BTreeMap::<_, u32>::new());
        for line in answer.stdout.lines() {
            let alert: Line = serde_json::from_str(line).unwrap();
            let contributions = alert["evidence"].as_array().unwrap().iter().map(|line| micro(&line["contribution"]));
            assert_eq!(
                contributions.sum::<i64>() + micro(&alert["remainder"]),
                micro(&alert["after"]),
                "{set}: {line}"
            );
            let part = |name: &str| alert.get(name).map(Value::to_string).unwrap_or_default();
            let key = ["customer_id", "kind", "item", "outcome", "journey"].map(part);
            let (id, at) = (part("alert_id"), alert["detected_at"].as_i64().unwrap());
            assert!(at >= alert["event_time"].as_i64().unwrap(), "{set}: {line}");
            match alert["phase"].as_str().unwrap() {
                "opened" => {
                    assert_eq!(open.insert(key.clone(), id.clone()), None, "{set}: opened twice: {line}");
                    assert!(ids.insert(id), "{set}: an id used twice: {line}");
                    let today = days.entry((part("customer_id"), at.div_euclid(24 * HOUR_MS))).or_default();
                    *today += 1;
                    assert!(*today <= 3, "{set}: over the daily cap: {line}");
                    if let Some((last, severity)) = ended.get(&key) {
                        let cooled = at - last >= 24 * HOUR_MS || *severity != part("severity");
                        assert!(cooled, "{set}: within the cool-down: {line}");
                    }
                }
                "updated" => assert_eq!(open.get(&key), Some(&id), "{set}: {line}"),
                _ => {
                    assert_eq!(open.remove(&key), Some(id), "{set}: {line}");
                    ended.insert(key, (at, part("severity")));
                }
            }
        }
        assert!(ids.len() > 30, "{set}: only {} alerts: too little to tell", ids.len());
    }
}

/// The set's configuration with so much room that no item has to give way: of those open at once beyond
/// `limits.open_items_max`, the one that goes is chosen when they arrive.
fn roomy(set: &str, folder: &Path) -> PathBuf {
    let path = folder.join("roomy.toml");
    let text = format!("extends = {:?}\n[limits]\nopen_items_max = 1024\ncustomer_bytes_max = 900000\n", config(set));
    std::fs::write(&path, text).unwrap();
    path
}

/// Features of all customers at the end of a file.
fn end_state(set: &str, folder: &Path, lines: &[Line], rows: &Path) -> Vec<String> {
    let config = roomy(set, folder);
    let file = folder.join("shuffled.jsonl");
    let text: String = lines.iter().map(|line| format!("{}\n", Value::Object(line.clone()))).collect();
    std::fs::write(&file, text).unwrap();
    let arguments = ["replay", "--config", config.to_str().unwrap(), "--arrival-field", "arrived_at", "--as-of"];
    let answer = touchline(&[&arguments[..], &[rows.to_str().unwrap(), file.to_str().unwrap()]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    for fate in ["late", "duplicate", "refused", "dlq", "out of window", "gave way at a limit"] {
        let row = answer.stderr.lines().find_map(|line| line.trim().strip_prefix(fate)).unwrap();
        assert_eq!(row.trim(), "0", "{set}: {fate}");
    }
    answer.stdout.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs recorded data"]
fn touchpoints_that_come_late_leave_the_same_state() {
    for set in SETS {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = lines(set);
        let customers: BTreeSet<_> =
            lines.iter().map(|line| line["customer_id"].as_str().unwrap().to_owned()).collect();
        let last = lines.iter().map(|line| millis(line, "ts")).max().unwrap();
        let rows = folder.path().join("rows.jsonl");
        let row = |customer: &String| format!("{}\n", json!({"customer_id": customer, "as_of": last + 48 * HOUR_MS}));
        std::fs::write(&rows, customers.iter().map(row).collect::<String>()).unwrap();
        lines.sort_by_key(|line| millis(line, "ts"));
        for line in &mut lines {
            let at = millis(line, "ts");
            line.insert("arrived_at".into(), at.into());
        }
        let in_time = end_state(set, folder.path(), &lines, &rows);
        // What happened in a span of twelve hours arrives at its end, the latest first.
        for line in &mut lines {
            let at = millis(line, "ts");
            let end = (at.div_euclid(12 * HOUR_MS) + 1) * 12 * HOUR_MS;
            line.insert("arrived_at".into(), (end + (end - at) / 1_000).into());
        }
        lines.sort_by_key(|line| line["arrived_at"].as_i64().unwrap());
        let late = end_state(set, folder.path(), &lines, &rows);
        let differing: Vec<_> = in_time.iter().zip(&late).filter(|(one, other)| one != other).collect();
        assert!(differing.is_empty(), "{set}: {} of {}: {:?}", differing.len(), late.len(), differing.first());
        assert_eq!(late.len(), customers.len());
    }
}

/// What a partition said and wrote, in order.
#[derive(Default)]
struct Told {
    said: Vec<String>,
    images: Vec<ImageRecord>,
    staged: Staged,
}

impl Told {
    /// Ends a transaction.
    fn commit(&mut self, partition: &mut Partition, due: ImagesDue) {
        partition.stage(due, &mut self.staged);
        let keyed = self.staged.alerts.iter().chain(&self.staged.experience);
        self.said.extend(keyed.map(|keyed| format!("{} {:?}", keyed.key, keyed.value)));
        self.images.append(&mut self.staged.images);
        partition.commit();
    }

    /// Part of a file, a transaction every 1,000 records.
    fn feed(&mut self, partition: &mut Partition, lines: &[(usize, String)]) {
        for run in lines.chunks(1_000) {
            for (number, line) in run {
                let position = Position { offset: i64::try_from(*number).unwrap(), ..Position::default() };
                let value = Some(line.as_bytes());
                partition.record(&RawRecord {
                    position,
                    recorded_at: None,
                    key: None,
                    value,
                    retries: 0,
                    ..RawRecord::default()
                });
            }
            self.commit(partition, ImagesDue::Due);
        }
    }
}

fn plan(set: &str) -> Arc<Plan> {
    plan_of(&PathBuf::from(config(set)))
}

fn plan_of(path: &Path) -> Arc<Plan> {
    let folder = path.parent().unwrap();
    let read = |reference: &str| std::fs::read_to_string(folder.join(reference)).map_err(|error| error.to_string());
    Config::load(Some(&std::fs::read_to_string(path).unwrap()), &read).unwrap().plan(vec![("recorded".into(), 0)], 0)
}

/// The images of all customers.
fn images(partition: &Partition, customers: &BTreeSet<String>) -> Vec<Option<Vec<u8>>> {
    let engine = partition.engine();
    customers.iter().map(|id| engine.find(id).map(|slot| engine.image(slot).to_vec())).collect()
}

#[test]
#[ignore = "needs recorded data"]
fn a_restored_partition_goes_on_as_the_old_one() {
    for set in SETS {
        let lines: Vec<_> = lines(set).into_iter().map(|line| Value::Object(line).to_string()).enumerate().collect();
        let id = |(_, line): &(usize, String)| {
            serde_json::from_str::<Line>(line).unwrap()["customer_id"].as_str().unwrap().to_owned()
        };
        let customers: BTreeSet<_> = lines.iter().map(id).collect();
        let plan = plan(set);
        let (before, after) = lines.split_at(lines.len() / 2);
        let (mut running, mut told) =
            (Partition::new(Arc::clone(&plan), Arc::clone(&plan.scorer), 0, 1, true), Told::default());
        told.feed(&mut running, before);
        // A clean stop: all images, some thousands a transaction.
        while running.book().dirty_customers() > 0 {
            told.commit(&mut running, ImagesDue::All);
        }
        let mut restorer = Partition::restorer(&plan, 0, 1);
        for image in &told.images {
            let tombstone_seq = image.value.is_none().then_some(image.seq);
            restorer.image(&image.key, image.value.as_deref(), tombstone_seq).unwrap();
        }
        // After a clean stop no journal is needed.
        restorer.from_offset().unwrap();
        let offsets = [told.staged.offsets.first().map(|(_, offset)| *offset)];
        let Verdict::Ready(restored) = restorer.finish(Some(&told.staged.metadata), &offsets) else {
            panic!("{set}: not restored")
        };
        let mut restored = Partition::restored(Arc::clone(&plan), Arc::clone(&plan.scorer), 0, *restored);
        // Images are long: that they differ is enough to know.
        let same = |one: &Partition, other: &Partition| images(one, &customers) == images(other, &customers);
        assert!(same(&running, &restored), "{set}: restored another state");
        let (mut one, mut other) = (Told::default(), Told::default());
        one.feed(&mut running, after);
        other.feed(&mut restored, after);
        assert!(one.said.len() > 50, "{set}: only {} lines to compare", one.said.len());
        assert_eq!(one.said, other.said, "{set}");
        assert!(same(&running, &restored), "{set}: went on to another state");
    }
}

/// A scored signal: when, weight, score.
type Exact = (Timestamp, f64, f64);

/// A decayed, shrunk mean of signals, exactly; and by how much one of panes may differ.
///
/// A signal counts as of the middle of its pane: half an hour off, or half a day once it is older than yesterday. A day older
/// than 119 is dropped. What lies within an hour of `until` may be on its other side.
fn mean(signals: &[Exact], at: Timestamp, until: Timestamp, half_life_days: f64, prior: (f64, f64)) -> (f64, f64) {
    let (mut sum, mut weights, mut off, mut off_weights) = (prior.0 * prior.1, prior.1, 0.0, 0.0);
    for (time, weight, score) in signals {
        let age_days = f64::from(i32::try_from(at.since(*time) / 1_000).unwrap()) / 86_400.0;
        let left = weight * (-age_days / half_life_days).exp2();
        let near = until.since(*time).abs() <= HOUR_MS;
        if *time < until {
            sum += left * score;
            weights += left;
        }
        let days = at.day() - time.day();
        let middle_off: f64 = if days >= 2 { 0.5 } else { 0.5 / 24.0 };
        // And what the table of decays is above the real factor.
        let moved = (middle_off / half_life_days).exp2() - 1.0 + 0.000_2;
        let share = if near || days >= 119 { 1.0 } else { moved };
        off += left * share * score.abs();
        off_weights += left * share;
    }
    let told = sum / weights;
    (told, (off + told.abs() * off_weights) / (weights - off_weights).max(prior.1) + 2e-5)
}

/// Of the sets in which the engine scores nothing but touchpoints themselves.
#[test]
#[ignore = "needs recorded data"]
fn expiry_changes_no_figure_beyond_its_rounding() {
    for set in ["olist", "loans", "tickets", "retail"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("patient.toml");
        std::fs::write(&path, format!("extends = {:?}\n[engine]\nforget_after = \"3650d\"\n", config(set))).unwrap();
        let plan = plan_of(&path);
        let model = &plan.settings.model;
        let days = |span_ms: i64| f64::from(i32::try_from(span_ms / HOUR_MS).unwrap()) / 24.0;
        let mut partition = Partition::new(Arc::clone(&plan), Arc::clone(&plan.scorer), 0, 1, true);
        let lines: Vec<_> = lines(set).into_iter().map(|line| Value::Object(line).to_string()).enumerate().collect();
        let (mut told, mut signals) = (Told::default(), BTreeMap::<String, Vec<Exact>>::new());
        let (mut compared, mut worst) = (0, 0.0_f64);
        for part in lines.chunks(lines.len().div_ceil(20)) {
            for run in part.chunks(1_000) {
                told.feed(&mut partition, run);
                for record in &told.staged.journal {
                    let (_, entries) = Entries::of(record).unwrap();
                    for entry in entries {
                        let Input::Touchpoint(scored) = entry.unwrap() else { continue };
                        let own = signals.entry(scored.customer_id.to_owned()).or_default();
                        let signal = scored.signals.iter().flatten();
                        own.extend(signal.map(|s| (scored.occurred_at, s.weight.to_f64(), s.score.to_f64())));
                    }
                }
            }
            for (customer, signals) in &signals {
                let view = partition.engine().view(customer).expect("nobody is forgotten");
                let prior = (0.0, model.perception_prior_weight.to_f64());
                let half_life = days(model.perception_half_life.0);
                let (exact, allowed) = mean(signals, view.time, view.time.plus(HOUR_MS * 2), half_life, prior);
                let perception = view.figures.perception.to_f64();
                assert!(
                    (perception - exact).abs() <= allowed,
                    "{set} {customer}: {perception} for {exact} ± {allowed}"
                );
                worst = worst.max((perception - exact).abs());
                let prior = (model.prior.to_f64(), model.expectation_prior_weight.to_f64());
                let half_life = days(model.expectation_half_life.0);
                let until = view.time.minus(model.expectation_excludes.0);
                let (exact, allowed) = mean(signals, view.time, until, half_life, prior);
                let expectation = view.figures.expectation.to_f64();
                assert!(
                    (expectation - exact).abs() <= allowed,
                    "{set} {customer}: {expectation} for {exact} ± {allowed}"
                );
                compared += 2;
            }
        }
        assert!(compared > 10_000 && worst > 0.0, "{set}: {compared} figures, off by at most {worst}");
    }
}
