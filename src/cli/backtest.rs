//! `touchline backtest`: two configurations over the same history, and what would have been alerted otherwise.

use super::difference::{self, Counts, Difference, Story};
use super::feeds::{Feeds, sources};
use super::history::AHEAD_RECORDS;
use super::rows::{self, Moment};
use super::{exit, load, replay};
use crate::codec::{RawRecord, Rejection};
use crate::config::Config;
use crate::insight::{About, Episodes, Items, Match, matches};
use crate::model::{AlertChange, Phase, Position, Timestamp, Touchpoint, hash64};
use crate::pipeline::{ImagesDue, Partition, Plan, Staged};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Records per transaction.
const TRANSACTION_RECORDS: usize = 10_000;

/// Arguments of `touchline backtest`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The configuration as it is; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// The configuration as it might be
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// Rows of what happened, as for `evaluate`: precision and recall of both, and of what differs
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Stories of so many customers whose alerts differ, side by side
    #[arg(long, value_name = "N", default_value_t = 0)]
    examples: usize,
    /// Which customers are told of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    /// Input (of both configurations) that the files belong to, where there are several
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Recorded touchpoints: .jsonl or .csv, also .gz or .zst; NAME=FILE for a file of another input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

const HELP: &str = "Alerts of the two are the same when they are about the same customer, kind and item and overlap in time; \
    the others were added or removed. Both configurations see the same touchpoints in the same order, that of the base's \
    inputs; a record is decoded once where their inputs agree.\n\n\
    Exit codes: 0 done, 1 a file cannot be read, 2 wrong usage or configuration.";

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let configs = load::config(args.base.as_deref()).and_then(|base| Ok((base, load::config(Some(&args.candidate))?)));
    let (base, candidate) = match configs {
        Ok(configs) => configs,
        Err(code) => return Ok(code),
    };
    let plan_of = |config: &Config| Ok(config.plan(sources(config, args.input.as_deref(), &args.files)?, 0));
    let (base, candidate) = match plan_of(&base).and_then(|base| Ok((base, plan_of(&candidate)?))) {
        Ok(plans) => plans,
        Err::<_, String>(problem) => return Ok(replay::usage(&problem)),
    };
    let labels = args.labels.as_deref().map(labels).transpose()?;
    let sides = pass(&base, &candidate)?;
    let [old, new] = &sides;
    let found = matches(&old.episodes, &new.episodes);
    let mut difference = Difference {
        records: old.records(),
        rejected: sides.each_ref().map(Side::rejected),
        kinds: kinds(&found),
        labels: Vec::new(),
        stories: Vec::new(),
    };
    difference.labels.extend(labels.iter().flatten().flat_map(|(name, items)| difference::judged(name, items, &found)));
    if args.examples > 0 {
        difference.stories = stories(&base, &found, labels.as_ref(), args)?;
    }
    if args.json {
        println!("{}", serde_json::to_string(&difference)?);
    } else {
        print!("{}", difference.table());
    }
    Ok(ExitCode::from(exit::OK))
}

/// One configuration at work.
struct Side {
    partition: Partition,
    episodes: Episodes,
    staged: Staged,
}

impl Side {
    fn new(plan: &Arc<Plan>) -> Self {
        let mut partition = Partition::new(Arc::clone(plan), Arc::clone(&plan.scorer), 0, 0, false);
        partition.mute_experience();
        Self { partition, episodes: Episodes::default(), staged: Staged::default() }
    }

    /// Takes the records of one transaction.
    fn take<'a>(&mut self, raws: &[RawRecord<'a>], decoded: impl Iterator<Item = Decoded<'a>>) {
        for (raw, mut decoded) in raws.iter().zip(decoded) {
            self.partition.accept(raw, &mut decoded);
        }
        self.close();
    }

    /// Ends a transaction.
    fn close(&mut self) {
        for alert in self.partition.alerts() {
            let about = about(alert);
            match alert.phase {
                Phase::Opened => self.episodes.open(about, alert.event_time),
                Phase::Resolved => self.episodes.resolve(&about, alert.event_time),
                Phase::Updated => {}
            }
        }
        self.partition.stage(ImagesDue::Due, &mut self.staged);
        self.partition.commit();
    }
}

impl Side {
    fn records(&self) -> u64 {
        self.partition.counters().fates().iter().map(|(_, count)| count).sum()
    }

    fn rejected(&self) -> u64 {
        self.partition.counters().dlq
    }
}

fn about(alert: &AlertChange) -> About {
    let item = alert.item.as_ref().map(|item| Arc::clone(&item.id));
    About { kind: alert.kind.clone(), customer_id: Arc::clone(&alert.customer_id), item, outcome: alert.outcome }
}

/// Both configurations over the files, in one pass: records are read and decoded once, then both take them, each on a
/// thread of its own.
fn pass(base: &Arc<Plan>, candidate: &Arc<Plan>) -> anyhow::Result<[Side; 2]> {
    let (mut old, mut new) = (Side::new(base), Side::new(candidate));
    let same_inputs = base.inputs == candidate.inputs && base.bounds == candidate.bounds;
    let mut feeds = Feeds::open(base, AHEAD_RECORDS)?;
    let mut batch = Batch::default();
    while batch.fill(&mut feeds)? {
        let raws = batch.records();
        let decoded: Vec<Decoded<'_>> = raws.iter().map(|raw| base.decode(raw)).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if same_inputs {
                    new.take(&raws, decoded.iter().cloned());
                } else {
                    new.take(&raws, raws.iter().map(|raw| candidate.decode(raw)));
                }
            });
            old.take(&raws, decoded.iter().cloned());
        });
    }
    for side in [&mut old, &mut new] {
        side.partition.finish();
        side.close();
    }
    feeds.finish();
    Ok([old, new])
}

type Decoded<'a> = Result<Touchpoint<'a>, Rejection>;

/// A transaction's records, on one heap of bytes.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Place, time of arrival, and where the payload ends in `bytes`.
    records: Vec<(Position, Option<Timestamp>, usize)>,
}

impl Batch {
    /// Takes the next records in place of those before; false at the end.
    fn fill(&mut self, feeds: &mut Feeds<'_>) -> anyhow::Result<bool> {
        self.bytes.clear();
        self.records.clear();
        while self.records.len() < TRANSACTION_RECORDS
            && feeds.take(|raw| {
                self.bytes.extend_from_slice(raw.value.unwrap_or_default());
                self.records.push((raw.position, raw.recorded_at, self.bytes.len()));
            })?
        {}
        Ok(!self.records.is_empty())
    }

    fn records(&self) -> Vec<RawRecord<'_>> {
        let mut begin = 0;
        let record = |(position, recorded_at, end): &(Position, Option<Timestamp>, usize)| {
            let value = self.bytes.get(begin..*end);
            begin = *end;
            RawRecord { position: *position, recorded_at: *recorded_at, value, ..RawRecord::default() }
        };
        self.records.iter().map(record).collect()
    }
}

/// Labelled items by outcome.
fn labels(path: &std::path::Path) -> anyhow::Result<BTreeMap<String, Items>> {
    let mut outcomes: BTreeMap<String, Items> = BTreeMap::new();
    rows::read(path, &mut |_, row| {
        let moment = Moment::take(row)?;
        let task = rows::text(row, "task")?.unwrap_or_else(|| "outcome".to_owned());
        let bad = rows::label(row)?;
        let outcome_at = rows::time(row, "outcome_ts")?;
        let name = task.split('@').next().unwrap_or_default().to_owned();
        let (customer_id, entity) = (Arc::from(moment.customer_id.as_str()), moment.entity.as_deref().map(Arc::from));
        outcomes.entry(name).or_default().add(&customer_id, entity.as_ref(), bad, moment.as_of, outcome_at);
        Ok(())
    })?;
    Ok(outcomes)
}

fn kinds(found: &[(About, Match)]) -> BTreeMap<Cow<'static, str>, Counts> {
    let mut kinds: BTreeMap<Cow<'static, str>, Counts> = BTreeMap::new();
    let mut customers: BTreeMap<Cow<'static, str>, BTreeSet<&Arc<str>>> = BTreeMap::new();
    for (about, found) in found {
        kinds.entry(about.kind.clone()).or_default().take(*found);
        if !matches!(found, Match::Both(_, 0)) {
            customers.entry(about.kind.clone()).or_default().insert(&about.customer_id);
        }
    }
    for (kind, customers) in customers {
        kinds.entry(kind).or_default().customers = customers.len();
    }
    kinds
}

/// The stories of a few customers whose alerts differ, drawn by the hash of seed and id.
fn stories(
    base: &Plan,
    found: &[(About, Match)],
    labels: Option<&BTreeMap<String, Items>>,
    args: &Args,
) -> anyhow::Result<Vec<Story>> {
    let differs = found.iter().filter(|(_, found)| !matches!(found, Match::Both(_, 0)));
    let mut customers: Vec<Arc<str>> = differs.map(|(about, _)| Arc::clone(&about.customer_id)).collect();
    customers.sort();
    customers.dedup();
    customers.sort_by_cached_key(|id| hash64(format!("{}:{id}", args.seed).as_bytes()));
    customers.truncate(args.examples);
    let stories = customers.into_iter().map(|customer| {
        let mut story = Story::of(&customer, found);
        for (outcome, items) in labels.into_iter().flatten() {
            items.bad_of(&customer).for_each(|(item, at)| story.turned_out_bad(outcome, item, at));
        }
        (customer, story)
    });
    let mut stories: BTreeMap<Arc<str>, Story> = stories.collect();
    let mut feeds = Feeds::open(base, AHEAD_RECORDS)?;
    while feeds.take(|raw| {
        if let Ok(touchpoint) = base.decode(raw)
            && let Some(story) = stories.get_mut(&*touchpoint.customer_id)
        {
            story.touchpoint(&touchpoint);
        }
    })? {}
    feeds.finish();
    let mut stories: Vec<Story> = stories.into_values().collect();
    stories.iter_mut().for_each(Story::sort);
    Ok(stories)
}
