//! `touchline demo`: the whole service on an embedded broker, fed by simulated customers.
//!
//! ```text
//!  simulator ─▶ feed thread ─▶ mock broker ─▶ the service, as in `run` ─▶ mock broker ─▶ console
//!                  (simulated clock: 21 days ago … now)                    (alerts, dead letters)
//! ```
//! The broker is librdkafka's mock cluster: in this process, on a loopback port, gone afterwards. It has transactions
//! in name only, so nothing about exactly-once can be seen here. Alerts come only from the engine reading its topics.

use super::console::{Alert, Tally, clock};
use crate::app::{self, Brokers, Until};
use crate::config::Config;
use crate::kafka::feeder::Feeder;
use crate::model::{Micro, Timestamp, time::DAY_MS, time::Span};
use crate::rules::catalogue::Catalogue;
use crate::shutdown::Shutdown;
use crate::sim::{self, Faults, Stories};
use crate::status;
use anyhow::{Context, anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Simulated days before now at which the customers' lives begin.
const DAYS: i64 = 21;
const PARTITIONS: i32 = 4;
/// The mock broker lets a consumer group form for 3 s; feeding begins then.
const GROUP_FORMS: Duration = Duration::from_millis(3_300);
/// At the end: the last transactions, then a clean stop.
const TAIL: Duration = Duration::from_millis(3_500);
const SUMMARY_EVERY: Duration = Duration::from_secs(5);
/// An alert of one kind and channel is shown at most this often, any alert at most every `LINE_EVERY`.
const SAME_EVERY: Duration = Duration::from_secs(4);
const LINE_EVERY: Duration = Duration::from_millis(150);

/// What happens to the records on their way.
const FAULTS: Faults =
    Faults { late: Micro(5_000), duplicate: Micro(10_000), reordered: Micro(10_000), poison: Micro(5_000) };

/// Arguments of `touchline demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long, at least 10s; 21 days are fitted into it
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = Span::parse)]
    duration: Span,
    /// The same seed gives the same customers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Customers
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(25..=20_000))]
    customers: u32,
    /// Simulated seconds per second, instead of what fits
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    speed: Option<u32>,
    /// Show every alert
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let length = Duration::from_millis(args.duration.0.unsigned_abs());
    if length < Duration::from_secs(10) {
        bail!("--for must be at least 10s: the embedded broker takes 3 s to start");
    }
    let cluster = MockCluster::new(1).context("starting the embedded broker")?;
    let config = configure(&cluster)?;
    let mut console = Console::new(&config, &cluster.bootstrap_servers(), args.all)?;
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("listening for signals")?;

    let end = status::now();
    let stories = Stories {
        customers: args.customers,
        start: end.minus(DAYS * DAY_MS),
        span_ms: DAYS * DAY_MS,
        text: true,
        seed: args.seed,
    };
    let feeding = length.saturating_sub(GROUP_FORMS + TAIL);
    let feeding_ms = i64::try_from(feeding.as_millis())?.max(1);
    let speed = args.speed.map_or(DAYS * DAY_MS / feeding_ms, i64::from);
    console.introduce(&stories, speed, length)?;

    let service = {
        let (config, shutdown) = (config.clone(), shutdown.clone());
        spawn("service", move || app::run(&config, Brokers::Mock, Until::Asked, &shutdown, &|| Ok(config.clone())))?
    };
    let clock = Arc::new(SimulatedClock::default());
    let feed = {
        let (clock, stop) = (Arc::clone(&clock), shutdown.clone());
        let feeder = Feeder::new(&cluster.bootstrap_servers(), &BTreeMap::new())?;
        let topics: Vec<String> = config.input_topics().into_iter().map(|(topic, _)| topic).collect();
        spawn("feed", move || clock.feed(feeder, &topics, &stories, speed, started + GROUP_FORMS, &stop))?
    };
    let quiet_end = started + length.saturating_sub(Duration::from_millis(1_500));
    while Instant::now() < quiet_end && !shutdown.is_requested() && !service.is_finished() {
        console.turn(&clock)?;
    }
    shutdown.request();
    join(feed, "feeding the embedded broker")?;
    join(service, "the service")?;
    console.finish(&clock, started.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

/// The shipped configuration, but for the brokers, the admin server (off: its port may be taken) and the wait for
/// new records: the mock broker keeps a fetch that finds nothing for all of it, and 50 ms are a simulated hour.
fn configure(cluster: &MockCluster<'_, impl rdkafka::ClientContext>) -> anyhow::Result<Config> {
    let text = format!(
        "[kafka]\nbootstrap_servers = \"{}\"\nstart_from = \"earliest\"\ngroup_id = \"demo\"\n\
         [kafka.consumer_properties]\n\"fetch.wait.max.ms\" = \"5\"\n[admin]\nlisten = \"\"\n",
        cluster.bootstrap_servers()
    );
    let config = Config::load(Some(&text), &|reference| Err(format!("the demo reads no files, not {reference}")))
        .map_err(|problems| anyhow!("{}", problems.first().map(ToString::to_string).unwrap_or_default()))?;
    let topics = app::topics_of(&config);
    for topic in topics.inputs.iter().chain(topics.ours()) {
        cluster.create_topic(topic, PARTITIONS, 1).with_context(|| format!("creating topic {topic}"))?;
    }
    Ok(config)
}

fn spawn(
    name: &str,
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    std::thread::Builder::new().name(name.into()).spawn(work).with_context(|| format!("starting the {name} thread"))
}

fn join(thread: JoinHandle<anyhow::Result<()>>, what: &'static str) -> anyhow::Result<()> {
    thread.join().map_err(|_| anyhow!("{what} panicked"))?.context(what)
}

/// How far the simulated clock is. Written by the feed, read by the console.
#[derive(Debug, Default)]
struct SimulatedClock {
    now_ms: AtomicI64,
    sent: AtomicU64,
}

impl SimulatedClock {
    /// Sends every record when the simulated clock reaches it; returns at the end or when asked to stop.
    fn feed(
        &self,
        mut feeder: Feeder,
        topics: &[String],
        stories: &Stories,
        speed: i64,
        begin: Instant,
        stop: &Shutdown,
    ) -> anyhow::Result<()> {
        let end = stories.start.plus(stories.span_ms);
        for record in sim::stories(stories, FAULTS).take_while(|record| record.at < end) {
            let elapsed_us = record.at.since(stories.start).saturating_mul(1_000) / speed;
            let due = begin + Duration::from_micros(elapsed_us.unsigned_abs());
            while Instant::now() < due {
                if stop.is_requested() {
                    return Ok(feeder.flush(Duration::from_secs(2))?);
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
                feeder.poll()?;
            }
            let topic = topics.get(record.topic()).context("no topic for a simulated channel")?;
            feeder.send(topic, &record.customer_id, record.payload.as_deref())?;
            self.now_ms.store(record.at.0, Ordering::Relaxed);
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(feeder.flush(Duration::from_secs(5))?)
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp(self.now_ms.load(Ordering::Relaxed))).filter(|now| now.0 > 0)
    }
}

/// What the person at the terminal sees.
struct Console {
    consumer: BaseConsumer,
    alerts: String,
    catalogue: Catalogue,
    out: std::io::Stdout,
    colours: bool,
    all: bool,
    tally: Tally,
    dead_letters: u64,
    read: u64,
    incidents: Vec<sim::Incident>,
    customers: u32,
    last_line: Option<Instant>,
    shown: BTreeMap<(String, Option<crate::model::Channel>), Instant>,
    shown_total: u64,
    last_summary: (Instant, u64),
}

impl Console {
    fn new(config: &Config, bootstrap_servers: &str, all: bool) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("group.id", "demo-console")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "50")
            .create()
            .context("starting the console's consumer")?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            for topic in [&config.topics.alerts, &config.topics.dlq] {
                assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&assignment).context("reading the alerts topic")?;
        let out = std::io::stdout();
        Ok(Self {
            consumer,
            alerts: config.topics.alerts.clone(),
            catalogue: config.settings.catalogue.clone(),
            colours: out.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            out,
            all,
            tally: Tally::default(),
            dead_letters: 0,
            read: 0,
            incidents: Vec::new(),
            customers: 0,
            last_line: None,
            shown: BTreeMap::new(),
            shown_total: 0,
            last_summary: (Instant::now(), 0),
        })
    }

    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{text}").context("cannot write to standard output")
    }

    fn introduce(&mut self, stories: &Stories, speed: i64, length: Duration) -> anyhow::Result<()> {
        let mix: Vec<String> = stories.personas().into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        self.incidents = stories.incidents();
        self.customers = stories.customers;
        let from = clock(stories.start);
        self.line(&format!(
            "touchline demo · embedded Kafka broker · 4 topics of touchpoints (web, mobile, in store, support) · seed {}",
            stories.seed
        ))?;
        self.line(&format!("{} simulated customers: {}", stories.customers, mix.join(", ")))?;
        self.line(&format!(
            "the simulated clock runs from {from} (21 days ago) up to now, {speed} times as fast as real time; this takes {} s, the first 3 s the broker needs to start. Times are UTC.",
            length.as_secs()
        ))?;
        self.line("")
    }

    /// Reads for a moment and shows what is worth showing.
    fn turn(&mut self, clock: &SimulatedClock) -> anyhow::Result<()> {
        self.tell_incidents(clock)?;
        match self.consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let payload = (message.topic() == self.alerts).then(|| message.payload().map(<[u8]>::to_vec));
                drop(message);
                self.read += 1;
                match payload {
                    Some(Some(payload)) => self.alert(&payload)?,
                    Some(None) => {}
                    None => self.dead_letters += 1,
                }
            }
            // Transport errors heal or end in the service's own error; a console has nothing to add to them.
            Some(Err(error)) => tracing::debug!(%error, "console consumer"),
            None => {}
        }
        if self.last_summary.0.elapsed() >= SUMMARY_EVERY && clock.sent() > 0 {
            self.summary(clock)?;
        }
        Ok(())
    }

    fn alert(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let alert: Alert = serde_json::from_slice(payload).context("an alert that is not as documented")?;
        self.tally.count(&alert);
        if alert.phase != "opened" || !self.worth_showing(&alert) {
            return Ok(());
        }
        self.shown_total += 1;
        let line = alert.line(&self.catalogue, self.colours);
        self.line(&line)
    }

    /// Not too often the same, so that a person can read along; the summary counts them all.
    fn worth_showing(&mut self, alert: &Alert) -> bool {
        let key = (alert.kind.clone(), alert.channel());
        let recent = |last: Option<&Instant>, gap| last.is_some_and(|last: &Instant| last.elapsed() < gap);
        if !self.all && (recent(self.last_line.as_ref(), LINE_EVERY) || recent(self.shown.get(&key), SAME_EVERY)) {
            return false;
        }
        self.last_line = Some(Instant::now());
        self.shown.insert(key, Instant::now());
        true
    }

    /// What goes wrong in the simulated world, when it begins.
    fn tell_incidents(&mut self, simulated: &SimulatedClock) -> anyhow::Result<()> {
        let Some(now) = simulated.now() else { return Ok(()) };
        let (begun, ahead) =
            std::mem::take(&mut self.incidents).into_iter().partition(|incident| now.0 >= incident.during.start);
        self.incidents = ahead;
        let begun: Vec<sim::Incident> = begun;
        for incident in begun {
            let (from, to) = (clock(Timestamp(incident.during.start)), clock(Timestamp(incident.during.end)));
            self.line(&format!("   >>> in the simulated world, {from} to {to}: {}", incident.description))?;
        }
        Ok(())
    }

    fn summary(&mut self, simulated: &SimulatedClock) -> anyhow::Result<()> {
        let (sent, since) = (simulated.sent(), self.last_summary.0.elapsed());
        let rate = u128::from(sent - self.last_summary.1) * 1_000 / since.as_millis().max(1);
        self.last_summary = (Instant::now(), sent);
        let at = simulated.now().map(clock).unwrap_or_default();
        self.line(&format!(
            "   --- {at} · {sent} records of {} customers, {rate}/s · {} · {} bad records set aside",
            self.customers,
            self.tally.text(),
            self.dead_letters
        ))
    }

    /// Reads what the clean stop still wrote, then the last word.
    fn finish(&mut self, simulated: &SimulatedClock, took: Duration) -> anyhow::Result<()> {
        let (mut read, mut quiet_since) = (self.read, Instant::now());
        while quiet_since.elapsed() < Duration::from_millis(300) {
            self.turn(simulated)?;
            if self.read != read {
                (read, quiet_since) = (self.read, Instant::now());
            }
        }
        let rate = u128::from(simulated.sent()) * 1_000 / took.as_millis().max(1);
        self.line(&format!(
            "\ndone in {:.1} s: {} records of {} customers ({rate}/s), {}; {} of the alerts shown; channels: {}; {} bad records set aside with their reason (dead letters)",
            took.as_secs_f64(),
            simulated.sent(),
            self.customers,
            self.tally.text(),
            self.shown_total,
            self.tally.channels(),
            self.dead_letters
        ))
    }
}
