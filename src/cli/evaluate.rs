//! `touchline evaluate`: how well scores and alerts foretold the outcomes in a file of labels.

use super::examples::Examples;
use super::history::{self, Witness};
use super::labels::Label;
use super::rows;
use super::scoreboard::{Outcome, Scoreboard, Task};
use super::{exit, load};
use crate::engine::{Column, Engine, Features, Settings, Unit};
use crate::insight::{Activity, Case, Items, Opened};
use crate::model::{AlertChange, Micro, Phase, Timestamp, Touchpoint};
use crate::pipeline::Plan;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `touchline evaluate`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Rows of what happened: JSON lines or CSV, also .gz or .zst
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Configuration; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A row sees what had arrived before it, by this field of the touchpoints (a JSON pointer, or a name)
    #[arg(long, value_name = "FIELD")]
    arrival_field: Option<String>,
    /// Every feature, not the derived figures only
    #[arg(long)]
    features: bool,
    #[command(flatten)]
    cards: load::CardArgs,
    /// Show so many alerts drawn at random, with their stories and the customer's touchpoints (those after it marked +)
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "json")]
    examples: usize,
    /// With --examples: another number draws others
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    /// Input (of the configuration) that the files belong to, where there are several
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Recorded touchpoints: .jsonl or .csv, also .gz or .zst; NAME=FILE for a file of another input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

const HELP: &str = "A label row has customer_id, as_of, label (1 = it turned out bad) and optionally entity (the item), task, \
    outcome_ts and baseline (an object of numbers to compare with; in CSV columns named baseline.NAME). Figures are those of \
    the moment as_of, from touchpoints strictly before it. The part of a task's name before \"@\" names its outcome: tasks of \
    one outcome ask about the same items at different moments.\n\n\
    An alert is right when a row of the same customer (and item, where it names one) has label 1 and it opened before \
    outcome_ts, else before as_of. Customers are active for 30 days from a touchpoint on.\n\n\
    Exit codes: 0 done, 1 a file cannot be read, 2 wrong usage or configuration.";

/// A row of labels.
struct Row {
    label: Label,
    /// The figures at the moment; none = the customer had no touchpoint before it.
    values: Option<Vec<Option<i64>>>,
}

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match load::config_with_cards(args.config.as_deref(), &args.cards) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let plan = match history::plan_of_files(&config, args.input.as_deref(), &args.files, args.arrival_field.as_deref())
    {
        Ok(plan) => plan,
        Err(code) => return Ok(code),
    };
    let mut rows = Vec::new();
    let problems = rows::read(&args.labels, &mut |_, row| {
        rows.push(Row { label: Label::take(row)?, values: None });
        Ok(())
    })?;
    let moments: Vec<Timestamp> = rows.iter().map(|row| row.label.as_of).collect();
    let mut evaluation = Evaluation {
        rows,
        features: Features::new(&config.settings),
        settings: Arc::clone(&config.settings),
        activity: Activity::default(),
        opened: BTreeMap::new(),
        examples: Examples::new(args.examples, args.seed),
    };
    history::pass(&plan, &moments, &mut evaluation)?;
    let board = evaluation.scoreboard(problems, args.features);
    if args.json {
        println!("{}", serde_json::to_string(&board)?);
    } else {
        print!("{}{}", board.table(), evaluation.examples());
    }
    Ok(ExitCode::from(exit::OK))
}

/// What is gathered in the pass.
struct Evaluation {
    rows: Vec<Row>,
    features: Features,
    settings: Arc<Settings>,
    activity: Activity,
    /// Alerts by kind and outcome, as shown.
    opened: BTreeMap<String, Vec<Opened>>,
    examples: Examples,
}

impl Witness for Evaluation {
    fn touchpoint(&mut self, touchpoint: &Touchpoint<'_>) {
        self.activity.touchpoint(&touchpoint.customer_id, touchpoint.occurred_at);
        self.examples.touchpoint(touchpoint);
    }

    fn moment(&mut self, place: usize, engine: &Engine) -> anyhow::Result<()> {
        if let Some(row) = self.rows.get_mut(place)
            && self.activity.has_seen(&row.label.customer_id)
        {
            let values =
                self.features.read(engine, &row.label.customer_id, row.label.entity.as_deref(), row.label.as_of);
            row.values = Some(values.to_vec());
        }
        Ok(())
    }

    fn alerts(&mut self, alerts: &[AlertChange], _plan: &Plan) -> anyhow::Result<()> {
        self.examples.alerts(alerts);
        for alert in alerts.iter().filter(|alert| alert.phase == Phase::Opened) {
            let outcome = alert.outcome.map(|outcome| format!(" {}", self.settings.catalogue.text(outcome)));
            let kind = format!("{}{}", alert.kind, outcome.unwrap_or_default());
            self.opened.entry(kind).or_default().push(opened(alert));
        }
        Ok(())
    }
}

impl Evaluation {
    fn scoreboard(&self, problems: u64, all_features: bool) -> Scoreboard {
        let unseen = self.rows.iter().filter(|row| row.values.is_none());
        let (early, unknown): (Vec<_>, Vec<_>) = unseen.partition(|row| self.activity.has_seen(&row.label.customer_id));
        let mut clusters = BTreeMap::new();
        for row in &self.rows {
            let next = clusters.len();
            clusters.entry(&row.label.customer_id).or_insert(next);
        }
        let mut tasks: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.values.is_some()) {
            tasks.entry(&row.label.task).or_default().push(row);
        }
        let tasks = tasks.into_iter().map(|(name, rows)| self.task(name, &rows, &clusters, all_features));
        Scoreboard {
            rows: self.rows.len(),
            rows_with_a_problem: problems,
            rows_of_unknown_customers: unknown.len(),
            rows_before_any_touchpoint: early.len(),
            customers: self.activity.customers(),
            tasks: tasks.collect(),
            outcomes: self.outcomes(),
        }
    }

    fn task(&self, name: &str, rows: &[&Row], clusters: &BTreeMap<&Arc<str>, usize>, all_features: bool) -> Task {
        let case = |row: &Row, score| {
            let cluster = clusters.get(&row.label.customer_id).copied().unwrap_or_default();
            Case { cluster, score, bad: row.label.bad }
        };
        let mut task = Task::new(name, rows.iter().filter(|row| row.label.bad).count(), rows.len());
        for (place, column) in self.features.columns().iter().enumerate() {
            // A category is no height.
            if column.unit == Unit::Category || !(column.is_figure || all_features) {
                continue;
            }
            let value = |row: &&&Row| Some(case(row, height(column, (*row.values.as_ref()?.get(place)?)?)));
            let cases: Vec<Case> = rows.iter().filter_map(|row| value(&row)).collect();
            if column.name.starts_with("card.") {
                task.chance(&column.name, &cases);
                continue;
            }
            task.score(&column.name, false, &cases);
            if column.name == "index" {
                task.calibrate_index(&cases);
            }
        }
        let mut baselines: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
        for row in rows {
            for (name, value) in &row.label.baseline {
                baselines.entry(name).or_default().push(case(row, *value));
            }
        }
        baselines.into_iter().for_each(|(name, cases)| task.score(name, true, &cases));
        task.sort();
        task
    }

    /// The labelled items of each outcome.
    fn items(&self) -> BTreeMap<&str, Items> {
        let mut outcomes: BTreeMap<&str, Items> = BTreeMap::new();
        for row in &self.rows {
            let name = row.label.outcome();
            let items = outcomes.entry(name).or_default();
            items.add(
                &row.label.customer_id,
                row.label.entity.as_ref(),
                row.label.bad,
                row.label.as_of,
                row.label.outcome_at,
            );
        }
        outcomes
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |(name, items): (&str, Items)| {
            let mut outcome = Outcome::new(name, items.bad());
            for (kind, opened) in &self.opened {
                outcome.alerts(
                    kind,
                    opened.len(),
                    &items.judge(opened),
                    self.activity.per_thousand_and_day(opened.len()),
                );
            }
            outcome
        };
        self.items().into_iter().map(outcome).collect()
    }

    /// Random alerts, each with what the labels say of it.
    fn examples(&self) -> String {
        let items = self.items();
        self.examples.text(&self.settings, |alert| {
            let judge = |(name, items): (&&str, &Items)| {
                let right = items.judge(&[opened(alert)]).right;
                let verdict = ["no label", "wrong", "right"].get(right.whole + right.part).copied().unwrap_or_default();
                format!("{name} {verdict}")
            };
            items.iter().map(judge).collect::<Vec<_>>().join(", ")
        })
    }
}

fn opened(alert: &AlertChange) -> Opened {
    Opened {
        customer_id: Arc::clone(&alert.customer_id),
        item: alert.item.as_ref().map(|item| Arc::clone(&item.id)),
        at: alert.event_time,
    }
}

/// A value as a height to compare by.
#[expect(clippy::cast_precision_loss, reason = "compared with each other only")]
fn height(column: &Column, value: i64) -> f64 {
    match column.unit {
        Unit::Micro => Micro(value).to_f64(),
        Unit::Count | Unit::Ms | Unit::Category => value as f64,
    }
}
