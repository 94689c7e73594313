//! `touchline replay`: the engine over recorded touchpoints. Alerts as JSON lines, a summary on standard error.

use super::feeds::{Feeds, sources};
use super::files::Held;
use super::summary::Summary;
use super::{as_of, exit, journeys, load, replay_topics};
use crate::pipeline::{Fate, ImagesDue, Partition, Plan, Staged};
use anyhow::Context as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Records per transaction: what several experience changes of one customer become one in.
const TRANSACTION_RECORDS: u64 = 10_000;
/// Records decoded together.
const RUN: usize = 25;
/// Records of each file held back to put them in order of arrival.
const AHEAD_RECORDS: usize = 4_096;

/// Arguments of `touchline replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// Configuration; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Alerts, or rows, go here instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Experience changes go here as JSON lines; with --journal as they were published, per transaction by customer
    #[arg(long, value_name = "FILE", conflicts_with = "topics")]
    experience: Option<PathBuf>,
    /// Every move of a customer on a journey goes here as JSON lines: from which step to which, when, after how long
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topics", "journal", "as_of"])]
    journeys: Option<PathBuf>,
    /// Split customers over so many partitions, as Kafka would
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["topics", "journal"], value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Input (of the configuration) that the files belong to, where there are several
    #[arg(long, value_name = "NAME", conflicts_with_all = ["topics", "journal"])]
    input: Option<String>,
    #[command(flatten)]
    moments: as_of::AsOfArgs,
    #[command(flatten)]
    kafka: replay_topics::KafkaArgs,
    /// Recorded touchpoints: .jsonl or .csv, also .gz or .zst; NAME=FILE for a file of another input
    #[arg(required_unless_present_any = ["topics", "journal"], value_name = "FILE")]
    files: Vec<String>,
}

fn help() -> String {
    format!(
        "Touchpoints are taken in order of arrival: by the input's `arrival` field, else by event time; ties by file, \
         then line. Of each file {AHEAD_RECORDS} records are held back to mend the order; a record later than that is \
         processed all the same and counted as out of window. Timers fire up to the last touchpoint's time, no further.\n\n\
         Exit codes: 0 done, 1 a file cannot be read or written, 2 wrong usage or configuration."
    )
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = match load::config_with_cards(args.config.as_deref(), &args.moments.cards) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    if args.kafka.topics || args.kafka.journal {
        let mut out = BufWriter::new(alerts_to(args.out.as_deref())?);
        let experience = args.experience.as_deref().map(create).transpose()?.map(BufWriter::new);
        return replay_topics::run(&config, &args.kafka, &mut out, experience);
    }
    let sources = match sources(&config, args.input.as_deref(), &args.files) {
        Ok(sources) => sources,
        Err(problem) => return Ok(usage(&problem)),
    };
    if let Some(rows) = &args.moments.as_of {
        return as_of::run(&config, sources, &args.moments, rows, alerts_to(args.out.as_deref())?);
    }
    let mut replay = Replay::new(config.plan(sources, 0), &args)?;
    replay.run()?;
    replay.finish()?;
    Ok(ExitCode::from(exit::OK))
}

#[expect(clippy::print_stderr, reason = "for the person at the terminal")]
pub(super) fn usage(problem: &str) -> ExitCode {
    eprintln!("touchline: {problem}");
    ExitCode::from(exit::USAGE)
}

struct Replay {
    plan: Arc<Plan>,
    partitions: Vec<Partition>,
    staged: Staged,
    alerts: BufWriter<Box<dyn Write>>,
    experience: Option<BufWriter<File>>,
    journeys: Option<BufWriter<File>>,
    summary: Summary,
    since_commit: u64,
    started: Instant,
}

impl Replay {
    fn new(plan: Arc<Plan>, args: &Args) -> anyhow::Result<Self> {
        let partition = |number| {
            let mut partition = Partition::new(Arc::clone(&plan), Arc::clone(&plan.scorer), number, 0, false);
            if args.experience.is_none() {
                partition.mute_experience();
            }
            partition
        };
        Ok(Self {
            partitions: (0..args.partitions).map(partition).collect(),
            plan,
            staged: Staged::default(),
            alerts: BufWriter::new(alerts_to(args.out.as_deref())?),
            experience: args.experience.as_deref().map(create).transpose()?.map(BufWriter::new),
            journeys: args.journeys.as_deref().map(create).transpose()?.map(BufWriter::new),
            summary: Summary::default(),
            since_commit: 0,
            started: Instant::now(),
        })
    }

    /// Takes every record of every file, the earliest arrival first.
    fn run(&mut self) -> anyhow::Result<()> {
        let plan = Arc::clone(&self.plan);
        let mut feeds = Feeds::open(&plan, AHEAD_RECORDS)?;
        let mut run: Vec<Held> = std::iter::repeat_with(Held::default).take(RUN).collect();
        loop {
            let mut filled = 0;
            for held in &mut run {
                if !feeds.swap(held)? {
                    break;
                }
                filled += 1;
            }
            self.records(&plan, run.get(..filled).unwrap_or_default());
            if self.since_commit >= TRANSACTION_RECORDS {
                self.commit()?;
            }
            if filled < RUN {
                break;
            }
        }
        self.partitions.iter_mut().for_each(Partition::finish);
        self.commit()?;
        self.summary.out_of_window = feeds.finish();
        Ok(())
    }

    /// Takes some records; see [`Partition::records`] for why together.
    fn records(&mut self, plan: &Plan, run: &[Held]) {
        let count = i32::try_from(self.partitions.len()).unwrap_or(i32::MAX);
        let mut decoded: Vec<_> = run.iter().map(|held| plan.decode(&held.raw())).collect();
        let home = |(held, decoded): (&Held, &Result<_, _>)| match decoded {
            Ok(touchpoint) if count > 1 => plan.home(&held.raw(), touchpoint, count),
            _ => 0,
        };
        let homes = run.iter().zip(&decoded).map(|record| usize::try_from(home(record)).unwrap_or(0));
        let homes: Vec<_> = homes.collect();
        for (number, partition) in self.partitions.iter().enumerate() {
            let here = decoded.iter().zip(&homes).filter(|(_, home)| **home == number);
            let touchpoints = here.filter_map(|(decoded, _)| decoded.as_ref().ok());
            partition.engine().warm(touchpoints.map(|touchpoint| touchpoint.customer_id.as_ref()));
        }
        self.since_commit += run.len() as u64;
        for ((held, decoded), home) in run.iter().zip(&mut decoded).zip(homes) {
            let raw = held.raw();
            if let Some(partition) = self.partitions.get_mut(home)
                && let Fate::Dlq(code) = partition.accept(&raw, decoded)
            {
                self.summary.rejected(code, raw.position);
            }
        }
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        for partition in &mut self.partitions {
            partition.stage(ImagesDue::Due, &mut self.staged);
            for alert in self.staged.alerts.iter().filter_map(|alert| alert.value.as_deref()) {
                write_line(&mut self.alerts, alert).context("cannot write alerts")?;
            }
            if let Some(out) = &mut self.experience {
                for change in &self.staged.experience {
                    let line = change.value.clone().unwrap_or_else(|| replay_topics::gone(&change.key));
                    write_line(out, &line).context("cannot write experience changes")?;
                }
            }
            if let Some(out) = &mut self.journeys {
                for of in &self.staged.observed.moves {
                    let line = serde_json::to_vec(&journeys::Line::of(of, &self.plan.settings.catalogue))?;
                    write_line(out, &line).context("cannot write moves on journeys")?;
                }
            }
            self.summary.observe(&self.staged.observed);
            self.summary.forgotten +=
                self.staged.experience.iter().filter(|change| change.value.is_none()).count() as u64;
            partition.commit();
        }
        self.since_commit = 0;
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.alerts.flush().context("cannot write alerts")?;
        if let Some(out) = &mut self.experience {
            out.flush().context("cannot write experience changes")?;
        }
        if let Some(out) = &mut self.journeys {
            out.flush().context("cannot write moves on journeys")?;
        }
        self.summary.print(&self.plan, &self.partitions, self.started.elapsed());
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

fn alerts_to(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        Some(path) => Box::new(create(path)?),
        None => Box::new(std::io::stdout().lock()),
    })
}

fn write_line(out: &mut impl Write, line: &[u8]) -> std::io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}
