//! `touchline explain`: the story of an alert or a customer in plain words, from files or from the journal.

use super::feeds::sources;
use super::history::{self, Witness};
use super::{exit, journeys, load, replay, replay_topics};
use crate::config::Config;
use crate::engine::{Engine, Move, View};
use crate::insight::{clock, likely, story};
use crate::model::{AlertChange, Name, Timestamp};
use crate::pipeline::Plan;
use crate::rules::catalogue::Catalogue;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline explain`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true), after_help = HELP)]
pub(super) struct Args {
    /// Configuration; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The alert with this id
    #[arg(long, value_name = "ID", group = "subject", value_parser = alert_id)]
    alert: Option<u64>,
    /// Every alert of this customer, and how they stand at the end
    #[arg(long, value_name = "ID", group = "subject")]
    customer: Option<String>,
    /// From the journal of `run` on these brokers (host:port, comma separated) instead of files
    #[arg(long, value_name = "BROKERS", conflicts_with = "files")]
    brokers: Option<String>,
    /// Input (of the configuration) that the files belong to, where there are several
    #[arg(long, value_name = "NAME", conflicts_with = "brokers")]
    input: Option<String>,
    /// Recorded touchpoints: .jsonl or .csv, also .gz or .zst; NAME=FILE for a file of another input
    #[arg(required_unless_present = "brokers", value_name = "FILE")]
    files: Vec<String>,
}

const HELP: &str = "The story comes from the same engine over the same touchpoints, so it needs the configuration that gave the \
    alert: another one gives other alerts. Under each change stand the touchpoints and waits behind it with what each adds to \
    the figure.\n\n\
    Exit codes: 0 done, 1 there is no such alert or customer, or something cannot be read, 2 wrong usage or configuration.";

fn alert_id(text: &str) -> Result<u64, String> {
    let id = u64::from_str_radix(text, 16).map_err(|error| error.to_string());
    id.ok().filter(|_| text.len() == 16).ok_or_else(|| "expected the 16 hex digits of an alert_id".to_owned())
}

/// Runs the command.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let mut stories = Stories { alert: args.alert, customer: args.customer.clone(), ..Stories::default() };
    if let Some(brokers) = &args.brokers {
        config.kafka.bootstrap_servers.clone_from(brokers);
        replay_topics::journal(&config, &mut stories)?;
    } else {
        let sources = match sources(&config, args.input.as_deref(), &args.files) {
            Ok(sources) => sources,
            Err(problem) => return Ok(replay::usage(&problem)),
        };
        history::pass(&config.plan(sources, 0), &[], &mut stories)?;
    }
    let text = stories.text(&config);
    if text.is_empty() {
        eprintln!("touchline: nothing about it in these touchpoints, with this configuration");
        return Ok(ExitCode::from(exit::FAILED));
    }
    print!("{text}");
    Ok(ExitCode::from(exit::OK))
}

/// What is gathered about the subject.
#[derive(Debug, Default)]
struct Stories {
    alert: Option<u64>,
    customer: Option<String>,
    /// Changes by alert, and the alerts in the order in which they opened.
    changes: BTreeMap<u64, Vec<AlertChange>>,
    order: Vec<u64>,
    /// The customer's moves on journeys.
    moves: Vec<Move>,
    view: Option<View>,
}

impl Witness for Stories {
    fn alerts(&mut self, alerts: &[AlertChange], _plan: &Plan) -> anyhow::Result<()> {
        for change in alerts {
            let wanted = self.alert == Some(change.alert_id)
                || self.customer.as_deref().is_some_and(|customer| *change.customer_id == *customer);
            if wanted {
                if !self.changes.contains_key(&change.alert_id) {
                    self.order.push(change.alert_id);
                }
                self.changes.entry(change.alert_id).or_default().push(change.clone());
            }
        }
        Ok(())
    }

    fn moved(&mut self, moves: &[Move]) {
        let own = moves.iter().filter(|of| self.customer.as_deref() == Some(&*of.customer_id));
        self.moves.extend(own.cloned());
    }

    fn end(&mut self, engine: &Engine) {
        if let Some(view) = self.customer.as_deref().and_then(|customer| engine.view(customer)) {
            self.view = Some(view);
        }
    }
}

impl Stories {
    fn text(&self, config: &Config) -> String {
        let stories =
            self.order.iter().filter_map(|id| self.changes.get(id)).map(|changes| story(changes, &config.settings));
        let mut text = stories.collect::<Vec<_>>().join("\n\n");
        if let Some(view) = &self.view {
            if !text.is_empty() {
                text += "\n\n";
            }
            text += &standing(view);
        }
        // Who is forgotten by the end has moved all the same.
        let under_way = self.view.as_ref().map(|view| &*view.journeys).unwrap_or_default();
        text += &journeys::path(&self.moves, under_way, &config.settings.catalogue);
        text += &self.view.as_ref().map(|view| stages(view, &config.settings.catalogue)).unwrap_or_default();
        text
    }
}

/// Which stages the customer went through, as far as they are remembered.
fn stages(view: &View, catalogue: &Catalogue) -> String {
    let stay = |(since, stage): &(Timestamp, Name)| format!("    {}  {}\n", clock(*since), catalogue.text(*stage));
    let stays: String = view.stages.iter().map(stay).collect();
    if stays.is_empty() { stays } else { format!("\nstages\n{stays}") }
}

/// How a customer stands.
fn standing(view: &View) -> String {
    let mut text = format!("customer {} at {}\n", view.customer_id, clock(view.time));
    text += &format!(
        "{} touchpoints, from {} to {}; {} alerts open\n",
        view.touchpoints,
        clock(view.first_seen),
        clock(view.last_seen),
        view.open_alerts.len()
    );
    for (title, figure, lines) in [
        ("experience index", view.figures.index.to_string(), &view.index_lines),
        ("how they feel, good above zero", view.figures.perception.to_string(), &view.perception_lines),
    ] {
        text += &format!("\n{title}: {figure}\n");
        for line in lines.iter().filter(|line| line.contribution.0 != 0) {
            text += &format!("    {:>11}  {}\n", line.contribution.to_string(), line.label);
        }
    }
    for of in &view.outcomes {
        let chance = of.chance.map(|chance| format!(": {}", likely(&chance))).unwrap_or_default();
        text += &format!("\n{} of {} {}{chance}\n", of.outcome, of.item.item_type.as_str(), of.item.id);
        for line in of.lines.iter().filter(|line| line.contribution.0 != 0) {
            text += &format!("    {:>11}  {}\n", line.contribution.to_string(), line.label);
        }
        text += &format!("    {:>11}  in all\n", of.score.to_string());
    }
    text
}
