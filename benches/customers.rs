//! What a typical customer takes: bytes of the image and of resident memory, and processor time per touchpoint.
//!
//! Ten touchpoints on three channels within three days, one open promise. `cargo bench --bench customers` or, with another
//! number of customers, `cargo bench --bench customers -- 1000000`. Linux only.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

#[expect(dead_code, reason = "the other benchmarks use the rest")]
mod common;

use anyhow::{Context as _, bail, ensure};
use common::{measured, row};
use std::sync::Arc;
use std::time::Duration;
use touchline::codec::RawRecord;
use touchline::config::Config;
use touchline::engine::Slot;
use touchline::model::time::{DAY_MS, HOUR_MS};
use touchline::model::{Position, Timestamp};
use touchline::pipeline::{ImagesDue, Partition, Plan, Staged};
use touchline::sentiment::Scorer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CUSTOMERS: u32 = 200_000;
const START: Timestamp = Timestamp(1_765_411_200_000);
/// As in `touchline replay`.
const TRANSACTION_RECORDS: usize = 10_000;
const RUN: usize = 25;

const CONFIG: &str = r#"
[catalogue.promises.delivery]
party = "us"
[catalogue.kinds.order_completed]
opens = [{ promise = "delivery", due = "due_at" }]
"#;
/// The shipped catalogue opens promises, too.
const WITHOUT_PROMISES: &str = r"
[catalogue.kinds]
order_completed.opens = []
";

/// Channel, kind and what else the touchpoint says; `#` stands for the customer's number, `@` for the promised moment.
const TOUCHPOINTS: [(&str, &str, &str); 10] = [
    ("web", "page_viewed", r#","session_id":"s-#""#),
    ("web", "product_viewed", r#","session_id":"s-#""#),
    ("mobile", "application_opened", ""),
    ("web", "product_added", r#","session_id":"s-#""#),
    ("web", "checkout_started", r#","session_id":"s-#","order_id":"o-#""#),
    ("web", "order_completed", r#","session_id":"s-#","order_id":"o-#","due_at":@"#),
    ("support", "contact_started", r#","conversation_id":"t-#""#),
    ("support", "support_rated", r#","conversation_id":"t-#","rating":{"instrument":"csat","value":4}"#),
    ("mobile", "feature_used", ""),
    ("mobile", "application_opened", ""),
];

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let customers =
        numbers.next().map_or(Ok(CUSTOMERS), |number| number.parse()).context("expected a number of customers")?;
    common::machine();
    println!("{customers} customers with 10 touchpoints each on 3 channels within 3 days\n");
    for (what, config, wanted) in
        [("with one open promise", CONFIG, "goal 700 bytes"), ("without promises", WITHOUT_PROMISES, "")]
    {
        measure(what, config, customers, wanted)?;
    }
    Ok(())
}

fn measure(what: &str, config: &str, customers: u32, wanted: &str) -> anyhow::Result<()> {
    let plan = match Config::load(Some(config), &|reference| Err(format!("{reference}: there are no files"))) {
        Ok(config) => config.plan(vec![("memory".to_owned(), 0)], 0),
        Err(problems) => bail!("the configuration: {problems:?}"),
    };
    let before = resident_bytes()?;
    let (partition, cpu) = drive(&plan, customers)?;
    let resident = resident_bytes()? - before;
    let engine = partition.engine();
    ensure!(engine.customers() == customers as usize, "some touchpoints were refused");
    let images: usize = (0..customers).map(|slot| engine.image(Slot(slot)).len()).sum();
    let each = |bytes: f64| format!("{:.0} bytes", bytes / f64::from(customers));
    row(&format!("image, {what}"), &each(images as f64), "");
    row("    resident memory, index and timers included", &each(resident), wanted);
    let touchpoints = u128::from(customers) * TOUCHPOINTS.len() as u128;
    row("    CPU per touchpoint, decoding included", &format!("{} ns", cpu.as_nanos() / touchpoints), "");
    Ok(())
}

/// Every customer's first touchpoint, then every customer's second …, as customers come in service.
fn drive(plan: &Arc<Plan>, customers: u32) -> anyhow::Result<(Partition, Duration)> {
    let mut partition = Partition::new(Arc::clone(plan), Arc::new(Scorer::new()), 0, 1, false);
    partition.mute_experience();
    let numbers: Vec<u32> = (0..customers).collect();
    let (mut staged, mut cpu, mut offset) = (Staged::default(), Duration::ZERO, 0);
    for (step, touchpoint) in (0..).zip(TOUCHPOINTS) {
        for numbers in numbers.chunks(TRANSACTION_RECORDS) {
            let lines: Vec<String> = numbers.iter().map(|number| line(step, touchpoint, *number)).collect();
            let ((), cost) = measured(|| {
                for lines in lines.chunks(RUN) {
                    let raws: Vec<_> = (offset..).zip(lines).map(|(offset, line)| raw(offset, line)).collect();
                    partition.records(&raws);
                    offset += 1_000;
                }
                partition.stage(ImagesDue::Due, &mut staged);
                partition.commit();
            })?;
            cpu += cost.cpu;
        }
    }
    Ok((partition, cpu))
}

fn line(step: i64, (channel, kind, rest): (&str, &str, &str), number: u32) -> String {
    let time = START.0 + step * 7 * HOUR_MS + i64::from(number % 3_600) * 1_000;
    let rest = rest.replace('#', &number.to_string()).replace('@', &(time + 5 * DAY_MS).to_string());
    format!(
        r#"{{"id":"e-{number}-{step}","source":"shop","customer_id":"c-{number:07}","channel":"{channel}","kind":"{kind}","occurred_at":{time}{rest}}}"#
    )
}

fn raw(offset: i64, line: &str) -> RawRecord<'_> {
    let position = Position { source: 0, partition: 0, offset };
    RawRecord { position, value: Some(line.as_bytes()), ..RawRecord::default() }
}

fn resident_bytes() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
