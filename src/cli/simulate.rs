//! `touchline simulate`: synthetic touchpoints into topics or files.
//!
//! Two sources: lives of customers (the default), or load for benchmarks (with `--count`, or with `--for` and
//! `--rate`). What was sent is told as one line of JSON on standard error, by what was done to the records.

use crate::kafka::feeder::Feeder;
use crate::model::{Micro, Timestamp, time::DAY_MS, time::Span};
use crate::sim::{self, Fate, Faults, Load, Record, Stories, TOPICS};
use crate::status;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Where simulated time ends in files when nothing is said, so that the same command writes the same bytes:
/// 2026-01-01T00:00:00Z.
const FILE_END: Timestamp = Timestamp(1_767_225_600_000);
/// How long delivery of the last records may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Arguments of `touchline simulate`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("sink").required(true).args(["to", "split", "brokers"]))]
pub(super) struct Args {
    /// Write JSON lines to this file; "-" = standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Write one file of JSON lines per topic into this folder
    #[arg(long, value_name = "DIR")]
    split: Option<PathBuf>,
    /// Send to these brokers (host:port, comma separated), key = customer id
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,
    /// Topics for web, mobile, in_store and support, comma separated; other channels go to the nearest of them
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "TOPICS",
        num_args = 1,
        default_value = "cx.touchpoints.web,cx.touchpoints.mobile,cx.touchpoints.in_store,cx.touchpoints.support"
    )]
    topics: Vec<String>,
    /// A librdkafka property of the producer, key=value; may be given more than once
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// Customers
    #[arg(long, default_value_t = 500)]
    customers: u32,
    /// Simulated days, up to --end
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Load instead of lives: this many touchpoints, evenly over the simulated days
    #[arg(long)]
    count: Option<u64>,
    /// Load instead of lives, for this long ("30s") at --rate
    #[arg(long = "for", value_name = "TIME", value_parser = Span::parse, requires = "rate", conflicts_with = "count")]
    duration: Option<Span>,
    /// Records per second of real time; as fast as possible without it
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// End of simulated time (RFC 3339); now for brokers, 2026-01-01T00:00:00Z for files
    #[arg(long, value_parser = moment)]
    end: Option<Timestamp>,
    /// "now" = each touchpoint happens at the moment it is sent (to measure delays)
    #[arg(long, value_parser = ["now"])]
    stamp: Option<String>,
    /// The same seed (and --end) gives the same records
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of hostile records to add
    #[arg(long, default_value = "0", value_parser = share)]
    poison: Micro,
    /// Share of records sent twice
    #[arg(long, default_value = "0", value_parser = share)]
    duplicates: Micro,
    /// Share of records 1 to 36 simulated hours late
    #[arg(long, default_value = "0", value_parser = share)]
    late: Micro,
    /// Share of records up to 50 simulated seconds late
    #[arg(long, default_value = "0", value_parser = share)]
    reordered: Micro,
    /// Messages, reviews and survey answers carry texts
    #[arg(long)]
    text: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut sink = Sink::open(args)?;
    let counts = send(args, &mut sink)?;
    sink.finish()?;
    report(args, &counts);
    Ok(ExitCode::SUCCESS)
}

/// Sends everything, at the rate asked for.
fn send(args: &Args, sink: &mut Sink) -> anyhow::Result<BTreeMap<Fate, u64>> {
    let started = Instant::now();
    let mut counts = BTreeMap::new();
    // A record without payload is no line of a file.
    let takes_empty = matches!(sink, Sink::Topics(..));
    let is_empty = |record: &Record| record.payload.as_ref().is_none_or(Vec::is_empty);
    for (sent, mut record) in (0_u64..).zip(records(args).filter(|record| takes_empty || !is_empty(record))) {
        if let Some(rate) = args.rate {
            let due = Duration::from_nanos(sent.saturating_mul(1_000_000_000) / rate);
            sink.idle_until(started + due)?;
        }
        if args.stamp.is_some() {
            record.stamp(status::now());
        }
        sink.send(&record)?;
        *counts.entry(record.fate).or_default() += 1;
    }
    Ok(counts)
}

fn records(args: &Args) -> Box<dyn Iterator<Item = Record>> {
    let faults = Faults { late: args.late, duplicate: args.duplicates, reordered: args.reordered, poison: args.poison };
    let span_ms = i64::from(args.days) * DAY_MS;
    let end = args.end.unwrap_or_else(|| if args.brokers.is_some() { status::now() } else { FILE_END });
    let (customers, text, seed, start) = (args.customers, args.text, args.seed, end.minus(span_ms));
    let by_rate = args.duration.zip(args.rate);
    let count = args.count.or(by_rate.map(|(duration, rate)| duration.0.unsigned_abs().saturating_mul(rate) / 1_000));
    match count {
        Some(count) => Box::new(sim::load(Load { customers, count, start, span_ms, text, seed }, faults)),
        None => Box::new(sim::stories(&Stories { customers, start, span_ms, text, seed }, faults)),
    }
}

/// Where records go.
enum Sink {
    File(Box<dyn Write>),
    Split(Vec<BufWriter<File>>),
    Topics(Box<Feeder>, Vec<String>),
}

impl Sink {
    fn open(args: &Args) -> anyhow::Result<Self> {
        if let Some(brokers) = &args.brokers {
            if args.topics.len() != TOPICS.len() {
                bail!("--topics needs {} names, for {}", TOPICS.len(), TOPICS.join(", "));
            }
            let feeder = Feeder::new(brokers, &args.properties.iter().cloned().collect())?;
            return Ok(Self::Topics(Box::new(feeder), args.topics.clone()));
        }
        if let Some(folder) = &args.split {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            let create = |topic: &&str| create(&folder.join(format!("{topic}.jsonl")));
            return Ok(Self::Split(TOPICS.iter().map(create).collect::<anyhow::Result<_>>()?));
        }
        Ok(Self::File(match &args.to {
            Some(path) if path.as_os_str() != "-" => Box::new(create(path)?),
            _ => Box::new(BufWriter::new(std::io::stdout())),
        }))
    }

    fn send(&mut self, record: &Record) -> anyhow::Result<()> {
        let payload = record.payload.as_deref();
        let line = |file: &mut dyn Write| {
            file.write_all(payload.unwrap_or_default())?;
            file.write_all(b"\n")
        };
        match self {
            Self::File(file) => line(file).context("cannot write touchpoints"),
            Self::Split(files) => {
                let file = files.get_mut(record.topic()).context("no file for this channel")?;
                line(file).context("cannot write touchpoints")
            }
            Self::Topics(feeder, topics) => {
                let topic = topics.get(record.topic()).context("no topic for this channel")?;
                Ok(feeder.send(topic, &record.customer_id, payload)?)
            }
        }
    }

    /// Waits, and keeps the producer going meanwhile.
    fn idle_until(&self, due: Instant) -> anyhow::Result<()> {
        let wait = due.saturating_duration_since(Instant::now());
        if wait > Duration::from_millis(1) {
            std::thread::sleep(wait);
            if let Self::Topics(feeder, _) = self {
                feeder.poll()?;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::File(mut file) => file.flush().context("cannot write touchpoints"),
            Self::Split(files) => {
                files.into_iter().try_for_each(|mut file| file.flush()).context("cannot write touchpoints")
            }
            Self::Topics(feeder, _) => Ok(feeder.flush(FLUSH_TIMEOUT)?),
        }
    }
}

fn create(path: &std::path::Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// One line of JSON: how many records, by what was done to them.
#[expect(clippy::print_stderr, reason = "the counts are the command's report; standard output may carry the records")]
fn report(args: &Args, counts: &BTreeMap<Fate, u64>) {
    let count = |fate| counts.get(&fate).copied().unwrap_or(0);
    let report = serde_json::json!({
        "records": counts.values().sum::<u64>(),
        "sent": count(Fate::Sent),
        "late": count(Fate::Late),
        "duplicates": count(Fate::Duplicate),
        "reordered": count(Fate::Reordered),
        "poison": count(Fate::Poison),
        "customers": args.customers,
        "seed": args.seed,
    });
    eprintln!("{report}");
}

/// A share from 0 to 1.
fn share(text: &str) -> Result<Micro, String> {
    let share = text.parse().ok().and_then(Micro::from_f64);
    share.filter(|share| (0..=Micro::SCALE).contains(&share.0)).ok_or_else(|| "expected a share from 0 to 1".into())
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let moment: jiff::Timestamp = text.parse().map_err(|error| format!("expected RFC 3339: {error}"))?;
    Ok(Timestamp(moment.as_millisecond()))
}

fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}
