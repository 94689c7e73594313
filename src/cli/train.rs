//! `touchline train`: a card of points that foretells an outcome, from rows of labels.
//!
//! The touchpoints are read three times: to find the labelled items' moments, to read features at those to train on from the
//! engine that will serve them, and to follow each item with a card that never saw its customer.

use super::feeds::sources;
use super::history::{self, Witness};
use super::labels::Label;
use super::train_moments::{Labelled, Unseen};
use super::train_report::{Report, Sides};
use super::{exit, load, recalibrate, rows};
use crate::config::Config;
use crate::engine::{Column, Engine, Features, Served, Unit};
use crate::insight::{Alerted, Columns, Course, Row, Trained, alerted, bands, fold_of, train};
use crate::model::{Micro, Name, Timestamp};
use crate::pipeline::{Observed, Plan};
use crate::rules::card::{CardFile, Reference, Threshold, VERSION, chance};
use crate::rules::outcome_risk::{Mismatch, Outcome};
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `touchline train`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Rows of what happened: JSON lines or CSV, also .gz or .zst
    #[arg(long, value_name = "FILE")]
    pub(super) labels: PathBuf,
    /// What to foretell: rows whose task is this, or begins with it and \"@\"
    #[arg(long, value_name = "NAME", required_unless_present = "recalibrate", conflicts_with = "recalibrate")]
    outcome: Option<String>,
    /// Learn nothing new but the base rate: this card, with an intercept that fits the labels
    #[arg(long, value_name = "CARD")]
    recalibrate: Option<PathBuf>,
    /// With --recalibrate: take the card although this hash of it is another: config_hash, profile_hash
    #[arg(long, value_name = "HASH", value_delimiter = ',', value_parser = load::mismatch, requires = "recalibrate")]
    pub(super) allow: Vec<Mismatch>,
    /// The card goes here
    #[arg(long, value_name = "CARD")]
    pub(super) out: PathBuf,
    /// Configuration; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Numbers of alerts to find thresholds for; the number of bad items and half of it by default
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    alerts: Vec<usize>,
    /// A row sees what had arrived before it, by this field of the touchpoints (a JSON pointer, or a name)
    #[arg(long, value_name = "FIELD")]
    pub(super) arrival_field: Option<String>,
    /// Input (of the configuration) that the files belong to, where there are several
    #[arg(long, value_name = "NAME")]
    pub(super) input: Option<String>,
    /// Recorded touchpoints: .jsonl or .csv, also .gz or .zst; NAME=FILE for a file of another input
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<String>,
}

const HELP: &str = "Label rows are those of `evaluate`: customer_id, as_of, label (1 = it turned out bad), and optionally entity \
    (the item), task, outcome_ts and baseline. Where every row has outcome_ts and the rows of an item agree, up to four more \
    moments of each item before it are trained on.\n\n\
    Areas and calibration are of customers the judging card never saw (five folds); a split by time stands beside them.\n\n\
    Exit codes: 0 done, 1 a file cannot be read or the labels are no good, 2 wrong usage or configuration.";

/// Runs the command.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(card) = &args.recalibrate {
        return recalibrate::run(args, card);
    }
    let outcome = args.outcome.as_deref().unwrap_or_default();
    let config = match load::config_without(args.config.as_deref(), outcome) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let plan = match history::plan_of_files(&config, args.input.as_deref(), &args.files, args.arrival_field.as_deref())
    {
        Ok(plan) => plan,
        Err(code) => return Ok(code),
    };
    let (labels, told) = read_labels(&args.labels, outcome)?;
    let labelled = Labelled::read(labels, &plan)?;
    let mut features = Features::new(&config.settings);
    let samples = Samples::read(&labelled, &plan, &mut features)?;
    let columns = columns_of(features.columns());
    let Some(trained) = train(&samples.rows, &columns) else {
        eprintln!("touchline: no card: rows that turned out bad and rows that did not are needed\n{}", told.line());
        return Ok(ExitCode::from(exit::FAILED));
    };
    let (courses, features) = follow(&labelled, &plan, features, &trained)?;
    let wanted = if args.alerts.is_empty() { default_wanted(&courses) } else { args.alerts.clone() };
    let alerts: Vec<(usize, Alerted)> =
        wanted.iter().filter_map(|wanted| Some((*wanted, alerted(&courses, *wanted)?))).collect();
    let mut card = card(outcome, &config, &labelled, features.columns(), (&samples.rows, &trained), &alerts);
    let bytes;
    (card.reference, bytes) = reference(&card, &config, args)?;
    std::fs::write(&args.out, card_text(&card)?).with_context(|| format!("cannot write {}", args.out.display()))?;
    let report = Report {
        sides: told.with(&samples),
        labelled: &labelled,
        rows: &samples.rows,
        columns: &columns,
        names: features.columns(),
        settings: &config.settings,
        trained: &trained,
        courses: &courses,
        alerts: &alerts,
    };
    print!("{}\nserved, the card takes {bytes} bytes of memory\n", report.text());
    Ok(ExitCode::from(exit::OK))
}

/// The rows of an outcome in order of customer, item and moment, and what was left out.
pub(super) fn read_labels(path: &std::path::Path, outcome: &str) -> anyhow::Result<(Vec<Label>, Sides)> {
    let mut sides = Sides::default();
    let mut labels = Vec::new();
    sides.problems = rows::read(path, &mut |_, row| {
        let label = Label::take(row)?;
        if label.task != outcome && label.outcome() != outcome {
            sides.others += 1;
        } else if label.outcome_at.is_some_and(|outcome_at| outcome_at < label.as_of) {
            sides.too_late += 1;
        } else {
            labels.push(label);
        }
        Ok(())
    })?;
    let key = |label: &Label| (label.customer_id.clone(), label.entity.clone(), label.as_of, label.task.clone());
    labels.sort_by_cached_key(|label| (key(label), label.bad, label.outcome_at));
    let mut kept: Vec<Label> = Vec::with_capacity(labels.len());
    for same in labels.chunk_by(|a, b| key(a) == key(b)) {
        let Some((first, more)) = same.split_first() else { continue };
        if more.iter().all(|other| (other.bad, other.outcome_at) == (first.bad, first.outcome_at)) {
            sides.duplicates += more.len();
            kept.push(first.clone());
        } else {
            sides.contradictions += same.len();
        }
    }
    Ok((kept, sides))
}

/// Columns as training takes them: every feature that may be used.
fn columns_of(columns: &[Column]) -> Columns {
    let used = columns.iter().enumerate().filter(|(_, column)| !column.is_figure && !column.is_protected);
    Columns {
        is_category: columns.iter().map(|column| column.unit == Unit::Category).collect(),
        used: used.map(|(place, _)| place).collect(),
    }
}

/// Rows to train on.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) rows: Vec<Row>,
    pub(super) unknown: usize,
    pub(super) early: usize,
}

impl Samples {
    /// Reads the features of each item's rows and sampled moments.
    fn read(labelled: &Labelled, plan: &Arc<Plan>, features: &mut Features) -> anyhow::Result<Self> {
        let mut samples = Self::default();
        let mut tasks: Vec<&str> = labelled.labels.iter().map(|label| label.task.as_str()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        let (mut customer, mut known) = (0, None);
        for (number, item) in labelled.items.iter().enumerate() {
            if known.replace(&item.customer_id) != Some(&item.customer_id) {
                customer += 1;
            }
            let own = item.rows.clone().zip(labelled.rows_of(item));
            let usable = own.filter(|(row, _)| match labelled.is_seen(*row) {
                Ok(()) => true,
                Err(Unseen::Customer) => {
                    samples.unknown += 1;
                    false
                }
                Err(Unseen::Before) => {
                    samples.early += 1;
                    false
                }
            });
            let mut moments: Vec<(Timestamp, bool, Option<usize>)> =
                usable.map(|(_, row)| (row.as_of, row.bad, tasks.binary_search(&row.task.as_str()).ok())).collect();
            if let Some(bad) = labelled.rows_of(item).first().map(|row| row.bad) {
                moments.extend(labelled.sampled(item).into_iter().map(|at| (at, bad, None)));
            }
            let fold = fold_of(&item.customer_id);
            let outcome_at =
                labelled.rows_of(item).first().and_then(|row| row.outcome_at).filter(|_| labelled.is_sampled);
            let row = |(at, bad, task)| {
                let is_last = outcome_at == Some(at);
                Row { customer, fold, item: number, at, bad, task, is_last, values: Vec::new() }
            };
            samples.rows.extend(moments.into_iter().map(row));
        }
        let moments: Vec<Timestamp> = samples.rows.iter().map(|row| row.at).collect();
        history::pass(plan, &moments, &mut Reading { labelled, features, rows: &mut samples.rows })?;
        Ok(samples)
    }
}

/// Fills rows with features.
struct Reading<'a> {
    labelled: &'a Labelled,
    features: &'a mut Features,
    rows: &'a mut [Row],
}

impl Witness for Reading<'_> {
    fn moment(&mut self, place: usize, engine: &Engine) -> anyhow::Result<()> {
        if let Some(row) = self.rows.get_mut(place)
            && let Some(item) = self.labelled.items.get(row.item)
        {
            row.values = self.features.read(engine, &item.customer_id, item.entity.as_deref(), row.at).to_vec();
        }
        Ok(())
    }
}

/// Follows every item over its moments with the card that did not see its customer.
fn follow(
    labelled: &Labelled,
    plan: &Arc<Plan>,
    features: Features,
    trained: &Trained,
) -> anyhow::Result<(Vec<Course>, Features)> {
    let mut places: Vec<(usize, usize, Timestamp)> = Vec::new();
    let mut courses = Vec::new();
    for (number, item) in labelled.items.iter().enumerate() {
        let rows = labelled.rows_of(item);
        // Rows that need not agree are each a case of their own.
        let moments = labelled.moments(item);
        let segments: Vec<(usize, i64)> = item.segments.iter().map(|(segment, value)| (*segment, *value)).collect();
        let course = |bad, outcome_at| Course::new(bad, outcome_at, segments.clone());
        if labelled.is_sampled {
            places.extend(moments.iter().map(|at| (courses.len(), number, *at)));
            courses.extend(rows.first().map(|row| course(row.bad, row.outcome_at)));
        } else {
            for row in rows.iter().filter(|row| moments.contains(&row.as_of)) {
                places.push((courses.len(), number, row.as_of));
                courses.push(course(row.bad, None));
            }
        }
    }
    let moments: Vec<Timestamp> = places.iter().map(|(.., at)| *at).collect();
    let mut following = Following { labelled, features, trained, places, courses };
    history::pass(plan, &moments, &mut following)?;
    Ok((following.courses, following.features))
}

struct Following<'a> {
    labelled: &'a Labelled,
    features: Features,
    trained: &'a Trained,
    /// Course, item and moment of each place.
    places: Vec<(usize, usize, Timestamp)>,
    courses: Vec<Course>,
}

impl Witness for Following<'_> {
    fn moment(&mut self, place: usize, engine: &Engine) -> anyhow::Result<()> {
        let Some((course, item, at)) = self.places.get(place).copied() else { return Ok(()) };
        if let Some(item) = self.labelled.items.get(item)
            && let Some(Some(card)) = self.trained.folds.get(fold_of(&item.customer_id))
            && let Some(course) = self.courses.get_mut(course)
        {
            let values = self.features.read(engine, &item.customer_id, item.entity.as_deref(), at);
            course.take(at, card.score(values));
        }
        Ok(())
    }
}

/// How the card's scores are distributed when it is served on the same touchpoints, and the bytes it takes then.
fn reference(card: &CardFile, config: &Config, args: &Args) -> anyhow::Result<(Reference, usize)> {
    let mut config = config.clone();
    let settings = Arc::make_mut(&mut config.settings);
    let name = Name::of(&card.outcome);
    // An alert would have its item read daily: none opens.
    let never = Micro::ONE;
    let text = card.outcome.clone();
    let outcome = Outcome { name: text.clone(), card: Some(text), open: never, close: never, ..Outcome::default() };
    settings.outcomes.push((name, outcome));
    let served =
        Served::new(card, settings).map_err(|problems| anyhow::anyhow!("the card cannot be served: {problems:?}"))?;
    let bytes = served.bytes();
    settings.cards.insert(name, served);
    let sources = sources(&config, args.input.as_deref(), &args.files).map_err(anyhow::Error::msg)?;
    let plan = history::plan(&config, sources, args.arrival_field.as_deref()).map_err(anyhow::Error::msg)?;
    let mut scores = Scores { outcome: name, scores: Vec::new() };
    history::pass(&plan, &[], &mut scores)?;
    Ok((deciles(scores.scores), bytes))
}

struct Scores {
    outcome: Name,
    scores: Vec<i64>,
}

impl Witness for Scores {
    fn observed(&mut self, observed: &Observed) {
        let own = observed.card_scores.iter().filter(|(outcome, _)| *outcome == self.outcome);
        self.scores.extend(own.map(|(_, score)| score.0));
    }
}

/// Edges at tenths of the scores, and how many lie between them.
fn deciles(mut scores: Vec<i64>) -> Reference {
    scores.sort_unstable();
    let mut edges: Vec<i64> = (1..10).filter_map(|tenth| scores.get(scores.len() * tenth / 10).copied()).collect();
    edges.dedup();
    let mut reference = Reference { readings: vec![0; edges.len() + 1], edges };
    for score in scores {
        let bucket = reference.bucket(score);
        if let Some(readings) = reference.readings.get_mut(bucket) {
            *readings += 1;
        }
    }
    reference
}

/// As many alerts as bad cases, and half as many.
fn default_wanted(courses: &[Course]) -> Vec<usize> {
    let bad = courses.iter().filter(|course| course.bad).count();
    vec![bad.max(1), (bad / 2).max(1)]
}

/// The card as a file.
fn card(
    outcome: &str,
    config: &Config,
    labelled: &Labelled,
    columns: &[Column],
    (rows, trained): (&[Row], &Trained),
    alerts: &[(usize, Alerted)],
) -> CardFile {
    let text = |value: i64| {
        let stage = || u32::try_from(value).ok().map(|value| config.settings.catalogue.text(Name(value)));
        labelled.texts.get(&value).cloned().or_else(|| stage().map(str::to_owned)).unwrap_or_default()
    };
    let named = trained.card.features.iter().filter_map(|feature| {
        let name = &columns.get(feature.column)?.name;
        Some(feature.file(name, text))
    });
    let scored: Vec<(i64, bool)> =
        rows.iter().zip(&trained.scores).filter_map(|(row, score)| Some(((*score)?, row.bad))).collect();
    // A little below, so that the last item wanted is not lost to rounding.
    let threshold = |(_, of): &(usize, Alerted)| Threshold {
        alerts: of.right.whole as u64,
        open: chance(of.open).0.saturating_sub(2),
        right: of.right.part as u64,
    };
    let mut customers: Vec<usize> = rows.iter().map(|row| row.customer).collect();
    customers.dedup();
    let (config_hash, profile_hash) = config.card_hashes;
    CardFile {
        version: VERSION,
        outcome: outcome.to_owned(),
        config_hash: format!("{config_hash:016x}"),
        profile_hash: format!("{profile_hash:016x}"),
        rows: rows.len() as u64,
        bad: rows.iter().filter(|row| row.bad).count() as u64,
        customers: customers.len() as u64,
        intercept: trained.card.intercept,
        calibration: bands(&scored),
        thresholds: alerts.iter().map(threshold).collect(),
        reference: Reference::default(),
        features: named.collect(),
    }
}

const HEADER: &str = "\
# A card made by `touchline train`. z = intercept + the points of each feature\u{2019}s bin, in millionths of log-odds;
# the chance is 1 / (1 + e^-z). Points are against the average case it was trained on.

";

/// The card as TOML.
pub(super) fn card_text(card: &CardFile) -> anyhow::Result<String> {
    let text = toml::to_string(card).context("cannot write the card")?;
    Ok(format!("{HEADER}{text}"))
}
