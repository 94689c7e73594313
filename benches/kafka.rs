//! What `touchline run` costs on a real Kafka: CPU time of a drained backlog, restore after SIGKILL, the delay from
//! touchpoint to committed alert, memory per customer, and the same backlog as JSON and as Avro.
//!
//! ```text
//! cargo bench --bench kafka                                    # backlog, then delay
//! cargo bench --bench kafka -- --count 1000000 --part backlog
//! cargo bench --bench kafka -- --part memory                   # takes long
//! cargo bench --bench kafka -- --count 1000000 --part avro
//! ```
//! Needs what the tests need: Java 17 or later, and Maven once, to fetch Kafka. Linux only.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared with the tests, where all of it is used and may fail loudly"
)]
#[path = "../tests/it/broker.rs"]
mod broker;
#[expect(dead_code, reason = "the other benchmark uses the rest")]
mod common;

use anyhow::{Context as _, ensure};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use broker::{Broker, wait_until};
use clap::Parser as _;
use common::{ended, per_second, process_cpu, row};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(1_800);
const METADATA: Duration = Duration::from_secs(30);
/// How long the last alerts may be on their way.
const LAST_ALERTS: Duration = Duration::from_secs(3);
const SCHEMA: &str = include_str!("../schemas/touchpoint.avsc");
const RATE: &str = "5000";
/// A broker that has just started is slow until its code is compiled: what is sent so early in the delay part does not count.
const WARM_UP: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Backlog,
    Delay,
    Memory,
    Avro,
}

/// Measures `touchline run` on a real Kafka
#[derive(Debug, clap::Parser)]
struct Args {
    /// Touchpoints of the backlog
    #[arg(long, default_value_t = 5_000_000)]
    count: u64,
    /// What to measure; may be given more than once
    #[arg(long = "part", value_enum, default_values = ["backlog", "delay"])]
    parts: Vec<Part>,
    /// Customers of the memory part; ten touchpoints each
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let broker = Broker::start();
    common::machine();
    println!("one Kafka broker on the same machine; 4 topics of {PARTITIONS} partitions\n");
    for part in &args.parts {
        match part {
            Part::Backlog => backlog(&broker.address, args.count)?,
            Part::Delay => delay(&broker.address)?,
            Part::Memory => memory(&broker.address, args.customers)?,
            Part::Avro => avro(&broker.address, args.count)?,
        }
    }
    Ok(())
}

fn touchline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Input topics, and outputs of a group of its own.
struct Scene {
    brokers: String,
    group: String,
    inputs: Vec<String>,
    folder: tempfile::TempDir,
}

impl Scene {
    /// Creates the topics that are missing. Groups that share `inputs` read the same touchpoints.
    fn new(brokers: &str, inputs: &str, group: &str, workers: u16) -> anyhow::Result<Self> {
        Self::reading("touchpoint-json", "", (brokers, inputs, group, workers))
    }

    /// The same with a format of the inputs and the address of a schema registry.
    fn reading(
        format: &str,
        registry: &str,
        (brokers, inputs, group, workers): (&str, &str, &str, u16),
    ) -> anyhow::Result<Self> {
        let inputs: Vec<_> = ["web", "mobile", "store", "support"].map(|name| format!("{inputs}.{name}")).into();
        let scene = Self { brokers: brokers.to_owned(), group: group.to_owned(), inputs, folder: tempfile::tempdir()? };
        let text = format!(
            r#"
            [[input]]
            name = "touchpoints"
            topics = {:?}
            format = "{format}"
            [registry]
            url = "{registry}"
            [kafka]
            bootstrap_servers = "{brokers}"
            group_id = "{group}"
            group_instance_id = "bench"
            start_from = "earliest"
            workers = {workers}
            idle_ticks = false
            [topics]
            partitions = {PARTITIONS}
            alerts = "{group}-alerts"
            experience = "{group}-experience"
            dlq = "{group}-dlq"
            [admin]
            listen = ""
            [telemetry]
            json = true
            "#,
            scene.inputs
        );
        std::fs::write(scene.config(), text)?;
        common::run(touchline().args(["topics", "--create", "--config"]).arg(scene.config()))?;
        Ok(scene)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("touchline.toml")
    }

    fn simulate(&self, arguments: &[&str]) -> Command {
        let mut command = touchline();
        command.args(["simulate", "--brokers", &self.brokers, "--topics", &self.inputs.join(",")]);
        command.args(arguments).stderr(Stdio::null());
        command
    }

    fn start(&self) -> anyhow::Result<Service> {
        let log = self.folder.path().join(broker::unique("log"));
        let (started, mut command) = (Instant::now(), touchline());
        let child = command.args(["run", "--config"]).arg(self.config()).stderr(File::create(&log)?).spawn()?;
        Ok(Service { child, log, started })
    }

    /// Waits until the group has committed all there is.
    fn wait_until_drained(&self) -> anyhow::Result<()> {
        let observer: BaseConsumer = broker::client(&self.brokers).set("group.id", &self.group).create()?;
        let mut list = TopicPartitionList::new();
        let mut ends = 0;
        for topic in &self.inputs {
            list.add_partition_range(topic, 0, PARTITIONS - 1);
            for partition in 0..PARTITIONS {
                ends += observer.fetch_watermarks(topic, partition, METADATA)?.1;
            }
        }
        wait_until("the backlog to be drained", PATIENCE, || {
            // Fails for a moment while the coordinator is being found.
            let Ok(committed) = observer.committed_offsets(list.clone(), METADATA) else { return false };
            // Nothing committed yet has no offset.
            let offsets = committed.elements().into_iter().map(|element| element.offset().to_raw().unwrap_or(0).max(0));
            offsets.sum::<i64>() >= ends
        });
        Ok(())
    }
}

/// A running `touchline run`; killed when dropped.
struct Service {
    child: Child,
    log: PathBuf,
    started: Instant,
}

impl Service {
    /// Waits until every partition has its state; answers how long that took from the start.
    fn wait_until_restored(&self) -> Duration {
        wait_until("restored partitions", PATIENCE, || {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let restored = lines.filter(|line| line.get("message").is_some_and(|said| said == "restored"));
            let partitions = restored.filter_map(|line| line.get("partitions")?.as_i64());
            partitions.sum::<i64>() >= i64::from(PARTITIONS)
        });
        self.started.elapsed()
    }

    /// SIGTERM and a clean end; answers user and system time.
    fn stop(mut self) -> anyhow::Result<(Duration, Duration)> {
        ensure!(Command::new("kill").arg(self.child.id().to_string()).status()?.success(), "cannot send SIGTERM");
        let (status, cpu) = ended(&mut self.child, Duration::from_secs(30))?;
        ensure!(status.success(), "the service ended with {status}:\n{}", std::fs::read_to_string(&self.log)?);
        Ok(cpu)
    }

    fn resident_bytes(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone in most cases.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn backlog(brokers: &str, count: u64) -> anyhow::Result<()> {
    let first = Scene::new(brokers, "backlog", "one-worker", 1)?;
    common::run(&mut first.simulate(&["--count", &count.to_string(), "--customers", "100000"]))?;
    println!("a backlog of {count} touchpoints of 100000 customers over 21 days, clean stop included");
    for (scene, workers) in [(first, 1), (Scene::new(brokers, "backlog", "two-workers", 2)?, 2)] {
        drain(&scene, &format!("CPU per million, {workers} worker(s)"), count)?;
    }
    let scene = Scene::new(brokers, "backlog", "killed", 2)?;
    let mut service = scene.start()?;
    scene.wait_until_drained()?;
    service.child.kill()?;
    service.child.wait()?;
    let took = scene.start()?.wait_until_restored();
    row("restore of 100000 customers after SIGKILL, from start", &format!("{:.2} s", took.as_secs_f64()), "");
    Ok(())
}

fn drain(scene: &Scene, what: &str, count: u64) -> anyhow::Result<()> {
    let service = scene.start()?;
    scene.wait_until_drained()?;
    let (wall, draining) = (service.started.elapsed(), process_cpu(service.child.id())?);
    let (user, system) = service.stop()?;
    let each = |time: Duration| time.as_secs_f64() / (count as f64 / 1e6);
    row(what, &format!("{:.2} s", each(user + system)), "floor 3.5 s, goal 1.4 s");
    row("    user + system", &format!("{:.2} + {:.2} s", each(user), each(system)), "");
    let stop = (user + system).saturating_sub(draining.0 + draining.1);
    row("    of it the stop", &format!("{:.2} s", each(stop)), "");
    row("    by wall clock", &per_second(count, wall), "");
    Ok(())
}

/// Twice each, in turn: what comes second finds the broker warm.
fn avro(brokers: &str, count: u64) -> anyhow::Result<()> {
    let registry = serve_schema()?;
    let scene =
        |format: &str, inputs: &str, group: &str| Scene::reading(format, &registry, (brokers, inputs, group, 1));
    let plain = scene("touchpoint-json", "plain", "plain")?;
    let encoded = scene("touchpoint-avro", "encoded", "encoded")?;
    common::run(&mut plain.simulate(&["--count", &count.to_string(), "--customers", "100000"]))?;
    let mut bytes = (0, 0);
    for (from, to) in plain.inputs.iter().zip(&encoded.inputs) {
        encode(brokers, from, to, &mut bytes)?;
    }
    let each = |bytes: usize| bytes as u64 / count.max(1);
    println!("\n{count} touchpoints as JSON ({} bytes each) and as Avro ({} bytes each)", each(bytes.0), each(bytes.1));
    drain(&plain, "CPU per million, JSON", count)?;
    drain(&encoded, "CPU per million, Avro", count)?;
    drain(&scene("touchpoint-avro", "encoded", "encoded-again")?, "CPU per million, Avro", count)?;
    drain(&scene("touchpoint-json", "plain", "plain-again")?, "CPU per million, JSON", count)
}

/// Answers every question with the schema of touchpoints, as a registry does.
fn serve_schema() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let body = serde_json::json!({"schema": SCHEMA}).to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    std::thread::spawn(move || -> std::io::Result<()> {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let mut head = BufReader::new(stream.try_clone()?).lines();
            while head.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    });
    Ok(url)
}

/// Writes the touchpoints of a topic to another as Avro: same partitions, keys and timestamps. Adds up the bytes of both.
fn encode(brokers: &str, from: &str, to: &str, bytes: &mut (usize, usize)) -> anyhow::Result<()> {
    let schema = apache_avro::Schema::parse_str(SCHEMA)?;
    let writer = GenericDatumWriter::builder(&schema).build()?;
    let reader: BaseConsumer = broker::client(brokers).set("group.id", "encode").create()?;
    let producer: BaseProducer = broker::client(brokers).set("linger.ms", "5").create()?;
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for partition in 0..PARTITIONS {
        list.add_partition_offset(from, partition, Offset::Beginning)?;
        left += reader.fetch_watermarks(from, partition, METADATA)?.1;
    }
    reader.assign(&list)?;
    while left > 0 {
        let Some(message) = reader.poll(METADATA) else { continue };
        let message = message?;
        let json = message.payload().unwrap_or_default();
        let value = Value::try_from(serde_json::from_slice::<serde_json::Value>(json)?)?.resolve(&schema)?;
        let payload = [&[0, 0, 0, 0, 1], writer.write_value_to_vec(value)?.as_slice()].concat();
        *bytes = (bytes.0 + json.len(), bytes.1 + payload.len());
        let mut record = BaseRecord::to(to).payload(&payload).partition(message.partition());
        (record.key, record.timestamp) = (message.key(), message.timestamp().to_millis());
        while let Err((error, same)) = producer.send(record) {
            ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), "{error}");
            producer.poll(Duration::from_millis(5));
            record = same;
        }
        left -= 1;
    }
    producer.flush(METADATA)?;
    Ok(())
}

/// The time of a touchpoint is the moment it was sent; an alert has arrived when a reader of committed records has it.
/// Alerts of timers have no touchpoint and do not count.
fn delay(brokers: &str) -> anyhow::Result<()> {
    let scene = Scene::new(brokers, "delay", "delay", 1)?;
    let service = scene.start()?;
    service.wait_until_restored();
    let reader: BaseConsumer =
        broker::client(brokers).set("group.id", "reader").set("isolation.level", "read_committed").create()?;
    let mut alerts = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        alerts.add_partition_offset("delay-alerts", partition, Offset::Beginning)?;
    }
    reader.assign(&alerts)?;
    let load = ["--stamp", "now", "--rate", RATE, "--for", "50s", "--customers", "100000"];
    let mut simulator = scene.simulate(&load).spawn()?;
    let warm_at_ms = i64::try_from((SystemTime::now() + WARM_UP).duration_since(UNIX_EPOCH)?.as_millis())?;
    let (mut delays_ms, mut ended_at) = (Vec::new(), None);
    while ended_at.is_none_or(|ended_at: Instant| ended_at.elapsed() < LAST_ALERTS) {
        if let Some(message) = reader.poll(Duration::from_millis(100)) {
            let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
            let alert: serde_json::Value = serde_json::from_slice(message?.payload().unwrap_or_default())?;
            let sent_at_ms = alert.get("event_time").and_then(|time| time.as_i64()).context("no event_time")?;
            if sent_at_ms >= warm_at_ms && alert.get("position").is_some_and(|position| !position.is_null()) {
                delays_ms.push(now_ms - sent_at_ms);
            }
        }
        if ended_at.is_none() && simulator.try_wait()?.is_some() {
            ended_at = Some(Instant::now());
        }
    }
    ensure!(simulator.wait()?.success(), "the simulator failed");
    let (user, system) = service.stop()?;
    delays_ms.sort_unstable();
    let quantile =
        |percent: usize| delays_ms.get((delays_ms.len() * percent / 100).min(delays_ms.len().saturating_sub(1)));
    println!(
        "\n{RATE} touchpoints a second for 50 s, from sending to the committed alert ({} alerts after the first {} s)",
        delays_ms.len(),
        WARM_UP.as_secs()
    );
    for (percent, wanted) in [(50, ""), (99, "floor 250 ms"), (100, "")] {
        let delay = quantile(percent).context("no alert came")?;
        row(&format!("delay, {percent}th percentile"), &format!("{delay} ms"), wanted);
    }
    row("    CPU, start and stop included", &format!("{:.2} s", (user + system).as_secs_f64()), "");
    Ok(())
}

fn memory(brokers: &str, customers: u64) -> anyhow::Result<()> {
    let scene = Scene::new(brokers, "memory", "memory", 2)?;
    let service = scene.start()?;
    service.wait_until_restored();
    let before = service.resident_bytes()?;
    let (count, named) = ((customers * 10).to_string(), customers.to_string());
    common::run(&mut scene.simulate(&["--count", &count, "--customers", &named, "--days", "3"]))?;
    scene.wait_until_drained()?;
    let after = service.resident_bytes()?;
    println!("\n{customers} customers with 10 touchpoints each over 3 days");
    row("resident memory before", &format!("{:.0} MB", before / 1e6), "");
    row("resident memory after", &format!("{:.0} MB", after / 1e6), "");
    row("memory per customer", &format!("{:.0} bytes", (after - before) / customers as f64), "floor 900 bytes");
    Ok(())
}
