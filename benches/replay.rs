//! How fast one core turns touchpoints without text into alerts: the pipeline in memory, and `touchline replay` on a file.
//!
//! `cargo bench --bench replay` or, with another number of touchpoints, `cargo bench --bench replay -- 5000000`. Linux only.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

mod common;

use anyhow::{Context as _, bail};
use common::{Cost, measured, per_second, row};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use touchline::codec::RawRecord;
use touchline::config::Config;
use touchline::model::{Position, Timestamp, time::DAY_MS};
use touchline::pipeline::{ImagesDue, Partition, Plan, Staged};
use touchline::sentiment::Scorer;
use touchline::sim::{self, Faults, Load};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNT: u64 = 1_000_000;
const CUSTOMERS: u32 = 50_000;
/// As in `touchline replay`.
const TRANSACTION_RECORDS: usize = 10_000;
/// As in `touchline run` and `replay`.
const RUN: usize = 32;
/// Of the comparison of two configurations.
const ROUNDS: usize = 5;
const FLOOR: &str = "floor 400000 /s of CPU time";

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let count =
        numbers.next().map_or(Ok(COUNT), |number| number.parse()).context("expected a number of touchpoints")?;
    let data = touchpoints(count);
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    common::machine();
    println!(
        "{count} touchpoints of {CUSTOMERS} customers over 21 days, JSON, no text, {} bytes each\n",
        data.len() / lines.len()
    );
    let plan = plan(None, None)?;
    let (_, cost) =
        measured(|| lines.iter().enumerate().filter(|(at, line)| plan.decode(&raw(*at, line)).is_ok()).count())?;
    show("decode only", count, cost, "");
    for (what, journalled, wanted) in
        [("pipeline", false, FLOOR), ("pipeline, with journal, images, experience", true, "")]
    {
        let (alerts, cost) = measured(|| drive(&plan, &lines, journalled))?;
        show(&format!("{what} ({} alert changes)", alerts?), count, cost, wanted);
    }
    own_rule(&plan, &lines)?;
    card(&lines)?;
    let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile()?;
    file.write_all(&data)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.arg("replay").arg(file.path()).args(["--out", "/dev/null"]).stderr(Stdio::null());
    show("touchline replay FILE", count, common::run(&mut command)?, FLOOR);
    Ok(())
}

fn show(what: &str, count: u64, cost: Cost, wanted: &str) {
    row(&format!("{what}, by CPU time"), &per_second(count, cost.cpu), wanted);
    let each = cost.cpu.as_nanos() / u128::from(count.max(1));
    row("    by wall clock", &per_second(count, cost.wall), &format!("{each} ns of CPU time each"));
}

/// JSON lines.
fn touchpoints(count: u64) -> Vec<u8> {
    let start = Timestamp(1_765_411_200_000);
    let load = Load { customers: CUSTOMERS, count, start, span_ms: 21 * DAY_MS, text: false, seed: 1 };
    let mut data = Vec::new();
    for record in sim::load(load, Faults::default()) {
        data.extend(record.payload.unwrap_or_default());
        data.push(b'\n');
    }
    data
}

/// What a rule of the user's adds to each touchpoint: the pipeline with it and without it in turn, the fastest of each.
fn own_rule(plain: &Arc<Plan>, lines: &[&[u8]]) -> anyhow::Result<()> {
    let with = plan(Some(include_str!("../config/examples/own_rule.toml")), None)?;
    let [without, with] = compare([plain, &with], lines)?.map(|cpu| cpu.as_nanos() / lines.len().max(1) as u128);
    let each = format!("{without} ns each without it, {with} ns with it");
    row("a rule of one's own, by CPU time", &format!("{} ns", with.saturating_sub(without)), &each);
    Ok(())
}

/// What 23 of a card's 24 features cost each time it is read: the pipeline with it, and with a card of the first one, in turn.
/// So what brings a reading about, the item's touchpoints and timers, is on both sides.
fn card(lines: &[&[u8]]) -> anyhow::Result<()> {
    let plans =
        [&CARD_FEATURES[..1], &CARD_FEATURES].map(|features| plan(Some(CARD_CONFIG), Some(card_text(features))));
    let [one, all] = plans;
    let (one, all) = (one?, all?);
    let [without, with] = compare([&one, &all], lines)?;
    let mut readings = 0;
    drive_watching(&all, lines, false, |staged| readings += staged.observed.card_scores.len() as u64)?;
    let each = with.saturating_sub(without).as_nanos() / u128::from(readings.max(1));
    let what = format!("{readings} readings; wanted 300 ns");
    row("a card of 24 features, each reading, by CPU time", &format!("{each} ns"), &what);
    Ok(())
}

const CARD_CONFIG: &str = r#"
[[outcome]]
name = "bad_review"
card = "card.toml"
allow = ["config_hash", "profile_hash"]
items = ["order"]
open = 0.9
close = 0.8
"#;

/// The columns that any configuration has.
const CARD_FEATURES: [&str; 24] = [
    "c.n7",
    "c.in7",
    "c.silence",
    "c.past",
    "c.past_bad",
    "c.open_items",
    "x.p",
    "x.W7",
    "x.last_age",
    "x.effort",
    "r.n",
    "r.recency",
    "r.ratio",
    "i.age",
    "i.n",
    "i.stage_age",
    "i.since_in",
    "i.dur",
    "p.delivery.open",
    "p.delivery.overdue",
    "p.delivery.kept",
    "p.delivery.kept_late",
    "p.delivery.len",
    "p.refund.open",
];

fn card_text(features: &[&str]) -> String {
    let mut text =
        "version = 1\noutcome = \"bad_review\"\nconfig_hash = \"\"\nprofile_hash = \"\"\nrows = 1\nbad = 1\n\
                    customers = 1\nintercept = -2000000\n"
            .to_owned();
    for name in features {
        // Ten bins of a day each; of counts and millionths, so many of them.
        let edges: Vec<i64> = (0..9).map(|bin| bin * DAY_MS).collect();
        let points: Vec<i64> = (0..10).map(|bin| bin * 1_000).collect();
        text += &format!("[[features]]\nname = \"{name}\"\nedges = {edges:?}\npoints = {points:?}\nmissing = 0\n");
    }
    text
}

/// The processor time of each, the fastest of some rounds, in turn.
fn compare(plans: [&Arc<Plan>; 2], lines: &[&[u8]]) -> anyhow::Result<[Duration; 2]> {
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (plan, fastest) in plans.into_iter().zip(&mut fastest) {
            *fastest = measured(|| drive(plan, lines, false))?.1.cpu.min(*fastest);
        }
    }
    Ok(fastest)
}

fn plan(text: Option<&str>, file: Option<String>) -> anyhow::Result<Arc<Plan>> {
    let config =
        Config::load(text, &|reference| file.clone().ok_or_else(|| format!("{reference}: there are no files")));
    match config {
        Ok(config) => Ok(config.plan(vec![("memory".to_owned(), 0)], 0)),
        Err(problems) => bail!("the configuration: {problems:?}"),
    }
}

fn raw<'a>(at: usize, line: &'a [u8]) -> RawRecord<'a> {
    let offset = i64::try_from(at).unwrap_or(i64::MAX);
    RawRecord { position: Position { source: 0, partition: 0, offset }, value: Some(line), ..RawRecord::default() }
}

/// Everything but reading and writing. Answers the number of alert changes.
fn drive(plan: &Arc<Plan>, lines: &[&[u8]], journalled: bool) -> anyhow::Result<u64> {
    drive_watching(plan, lines, journalled, |_| ())
}

fn drive_watching(
    plan: &Arc<Plan>,
    lines: &[&[u8]],
    journalled: bool,
    mut watch: impl FnMut(&Staged),
) -> anyhow::Result<u64> {
    let mut partition = Partition::new(Arc::clone(plan), Arc::new(Scorer::new()), 0, 1, journalled);
    if !journalled {
        partition.mute_experience();
    }
    let (mut staged, mut alerts, mut offset) = (Staged::default(), 0, 0);
    for (number, transaction) in lines.chunks(TRANSACTION_RECORDS).enumerate() {
        for (run, lines) in transaction.chunks(RUN).enumerate() {
            let first = number * TRANSACTION_RECORDS + run * RUN;
            let raws: Vec<_> = lines.iter().enumerate().map(|(at, line)| raw(first + at, line)).collect();
            partition.records(&raws);
        }
        partition.stage(ImagesDue::Due, &mut staged);
        partition.commit();
        watch(&staged);
        if journalled {
            partition.journal_delivered(staged.seq, offset);
            offset += i64::try_from(staged.journal.len())?;
        }
        alerts += staged.alerts.len() as u64;
    }
    Ok(alerts)
}
