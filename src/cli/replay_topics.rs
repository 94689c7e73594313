//! `touchline replay --topics` and `--journal`: history from Kafka instead of files, partition after partition.

use super::exit;
use super::history::Witness;
use crate::app::{self, Brokers};
use crate::codec::encode;
use crate::config::Config;
use crate::engine::{Engine, Output};
use crate::journal::{Counters, Entries, Header};
use crate::kafka::history::{self, Range};
use crate::kafka::{Clients, Error, Topics};
use crate::model::{AlertChange, ExperienceChange, Timestamp};
use crate::pipeline::{Partition, Plan};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// The part of `touchline replay`'s arguments that is about Kafka.
#[derive(Debug, clap::Args)]
pub(super) struct KafkaArgs {
    /// Replay the input topics of the configuration instead of files: up to their ends as of now, idle clocks off. What goes
    /// through the repartition topic is read there, so only what `run` has sent on by now
    #[arg(long, conflicts_with_all = ["journal", "files"])]
    pub(super) topics: bool,
    /// Replay the journal: exactly what `run` applied, in its order
    #[arg(long, conflicts_with = "files")]
    pub(super) journal: bool,
    /// With --topics: from the first record not older than this moment, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", requires = "topics", value_parser = moment)]
    from: Option<Timestamp>,
    /// With --topics: up to before the first record not older than this moment
    #[arg(long, value_name = "TIME", requires = "topics", value_parser = moment)]
    to: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(|time| Timestamp(time.as_millisecond())).map_err(|error| error.to_string())
}

/// Runs the command: alerts of partition 0, then 1, … as JSON lines to `out`, with the journal also what was published
/// on the experience topic, a summary to standard error.
pub(super) fn run(
    config: &Config,
    args: &KafkaArgs,
    out: &mut dyn Write,
    experience: Option<BufWriter<File>>,
) -> anyhow::Result<ExitCode> {
    let clients = Clients::new(config.kafka.clone());
    let topics = app::topics_of(config);
    let layout = app::check_topics(&clients, &topics, Brokers::Mock)?;
    let (plan, partitions) = (Arc::new(app::plan(config, &topics, &layout)), layout.partitions);
    let mut totals = Totals::default();
    if args.journal {
        let mut lines = Lines { out, experience, changes: BTreeMap::new(), alerts: 0, line: Vec::new() };
        totals = read_journal(&clients, &topics, &plan, partitions, &mut lines)?;
        totals.alerts = lines.alerts;
        lines.experience.map_or(Ok(()), |mut out| out.flush()).context("cannot write experience changes")?;
    } else {
        let inputs = history::Inputs::connect(&clients, &plan, app::registry(config)?)?;
        let range = Range { from: args.from, to: args.to };
        for index in 0..partitions {
            let partition = Partition::new(Arc::clone(&plan), Arc::clone(&plan.scorer), index, 0, false);
            let mut counters = Counters::default();
            inputs.replay(index, partition, range, &mut |partition, staged| -> anyhow::Result<()> {
                for alert in staged.alerts.iter().filter_map(|alert| alert.value.as_deref()) {
                    write_line(out, alert)?;
                    totals.alerts += 1;
                }
                counters = *partition.counters();
                Ok(())
            })?;
            totals.add(&counters);
        }
    }
    out.flush().context("cannot write alerts")?;
    totals.print();
    Ok(ExitCode::from(exit::OK))
}

fn write_line(out: &mut dyn Write, line: &[u8]) -> anyhow::Result<()> {
    out.write_all(line).and_then(|()| out.write_all(b"\n")).context("cannot write what was replayed")
}

/// What came of all partitions.
#[derive(Debug, Default)]
struct Totals {
    fates: [(&'static str, u64); 6],
    alerts: u64,
}

impl Totals {
    fn add(&mut self, counters: &Counters) {
        for ((name, total), (fate, count)) in self.fates.iter_mut().zip(counters.fates()) {
            *name = fate;
            *total += count;
        }
    }

    #[expect(clippy::print_stderr, reason = "the summary is for the person at the terminal")]
    fn print(&self) {
        let records: u64 = self.fates.iter().map(|(_, count)| count).sum();
        eprintln!("{:<16}{records}", "records");
        for (fate, count) in &self.fates {
            eprintln!("  {fate:<14}{count}");
        }
        eprintln!("{:<16}{}", "alerts", self.alerts);
    }
}

/// Puts the whole journal of a configuration's group through fresh engines, partition after partition.
pub(super) fn journal(config: &Config, witness: &mut dyn Witness) -> anyhow::Result<()> {
    let clients = Clients::new(config.kafka.clone());
    let topics = app::topics_of(config);
    let layout = app::check_topics(&clients, &topics, Brokers::Mock)?;
    let (plan, partitions) = (Arc::new(app::plan(config, &topics, &layout)), layout.partitions);
    read_journal(&clients, &topics, &plan, partitions, witness).map(drop)
}

fn read_journal(
    clients: &Clients,
    topics: &Topics,
    plan: &Arc<Plan>,
    partitions: i32,
    witness: &mut dyn Witness,
) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    for partition in 0..partitions {
        let configurations = || history::configurations(clients, &topics.images, partition);
        let mut replay = JournalReplay::new(plan, &configurations, witness);
        history::journal(clients, &topics.journal, partition, &mut |offset, record| {
            replay
                .record(record)
                .map_err(|error| Error::Refused(format!("{}-{partition}-{offset}: {error:#}", topics.journal)))
        })?;
        replay.witness.end(&replay.engine);
        if let Some(last) = &replay.last {
            totals.add(&last.counters);
        }
    }
    Ok(totals)
}

/// Alerts as JSON lines, and experience changes, if somebody reads them.
struct Lines<'a> {
    out: &'a mut dyn Write,
    experience: Option<BufWriter<File>>,
    /// Of the transaction at hand, by customer; none = gone.
    changes: BTreeMap<Arc<str>, Option<Box<ExperienceChange>>>,
    alerts: u64,
    line: Vec<u8>,
}

impl Witness for Lines<'_> {
    fn changed(&mut self, customer_id: &Arc<str>, mut change: Option<Box<ExperienceChange>>) {
        if self.experience.is_none() {
            return;
        }
        // As `run` publishes them: several of a transaction become one.
        if let (Some(Some(earlier)), Some(change)) = (self.changes.get_mut(customer_id), &mut change) {
            change.before = earlier.before.take();
        }
        self.changes.insert(Arc::clone(customer_id), change);
    }

    fn committed(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let Some(out) = &mut self.experience else { return Ok(()) };
        for (customer_id, change) in std::mem::take(&mut self.changes) {
            self.line.clear();
            match change {
                Some(change) => encode::experience(&change, plan, &mut self.line)?,
                None => self.line.extend(gone(&customer_id)),
            }
            write_line(out, &self.line)?;
        }
        Ok(())
    }

    fn alerts(&mut self, alerts: &[AlertChange], plan: &Plan) -> anyhow::Result<()> {
        for alert in alerts {
            self.line.clear();
            encode::alert(alert, plan, &mut self.line)?;
            write_line(self.out, &self.line)?;
            self.alerts += 1;
        }
        Ok(())
    }
}

/// The line that stands for a tombstone on the experience topic.
pub(super) fn gone(customer_id: &str) -> Vec<u8> {
    serde_json::json!({"customer_id": customer_id, "gone": true}).to_string().into_bytes()
}

/// Finds the configurations a journal was written under, by hash.
type Configurations<'a> = dyn Fn() -> Result<BTreeMap<u64, String>, Error> + 'a;

/// One partition's journal through a fresh engine, each record under the configuration it was written under.
struct JournalReplay<'a> {
    given: &'a Plan,
    /// Of the record at hand.
    plan: Arc<Plan>,
    configurations: &'a Configurations<'a>,
    witness: &'a mut dyn Witness,
    engine: Engine,
    outputs: Vec<Output>,
    last: Option<Header>,
}

impl<'a> JournalReplay<'a> {
    fn new(plan: &'a Arc<Plan>, configurations: &'a Configurations<'a>, witness: &'a mut dyn Witness) -> Self {
        let engine = Engine::new(Arc::clone(&plan.settings));
        Self { given: plan, plan: Arc::clone(plan), configurations, witness, engine, outputs: Vec::new(), last: None }
    }

    fn record(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let (header, entries) = Entries::of(record)?;
        self.check(&header)?;
        if !entries.is_empty() {
            self.configure(&header)?;
        }
        for entry in entries {
            self.engine.apply(&entry?, &mut self.outputs);
            for output in self.outputs.drain(..) {
                #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is for the operators")]
                match output {
                    Output::Alert(alert) => self.witness.alerts(std::slice::from_ref(&alert), &self.plan)?,
                    Output::Changed(change) => self.witness.changed(&Arc::clone(&change.customer_id), Some(change)),
                    Output::Expired(customer_id) => self.witness.changed(&customer_id, None),
                    Output::Moved(of) => self.witness.moved(std::slice::from_ref(&of)),
                    _ => {}
                }
            }
        }
        if header.last {
            self.engine.commit();
            self.witness.committed(&self.plan)?;
        }
        self.last = Some(header);
        Ok(())
    }

    /// Goes on under the configuration and the sources of a record.
    fn configure(&mut self, header: &Header) -> anyhow::Result<()> {
        let hash = header.config_hash;
        let names = || header.sources.iter().map(|source| &source.name);
        if hash == self.plan.config_hash && names().eq(self.plan.sources.iter().map(|(name, _)| name)) {
            return Ok(());
        }
        let found;
        let canonical: &str = if hash == self.given.config_hash {
            &self.given.configuration
        } else {
            found = (self.configurations)()?;
            let lost = || format!("configuration {hash:016x}, which wrote this, is not in the images topic");
            found.get(&hash).with_context(lost)?
        };
        let plan = self.given.under(canonical, names().cloned());
        let unread = |reason| anyhow::anyhow!("configuration {hash:016x} cannot be read by this version: {reason}");
        self.plan = Arc::new(plan.map_err(unread)?);
        self.engine.configure(Arc::clone(&self.plan.settings));
        Ok(())
    }

    fn check(&self, header: &Header) -> anyhow::Result<()> {
        let expected = self.last.as_ref().map_or(1, |last| if last.last { last.seq + 1 } else { last.seq });
        if header.seq != expected {
            bail!(
                "transaction {} where {expected} was expected: the journal's beginning or a part of it is gone",
                header.seq
            );
        }
        Ok(())
    }
}
