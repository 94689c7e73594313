//! The composition root of the service: checks the topics, starts the workers and the admin server, waits for the end.
//!
//! ```text
//!  Config ─▶ topics checked ─▶ Plan ─▶ worker threads ─┬─▶ all stopped on request ─▶ Ok
//!                                └──▶ admin thread     └─▶ one failed or panicked: the others stop cleanly ─▶ Err
//! ```

use crate::admin::{self, Server, Sources};
use crate::codec::Repartition;
use crate::codec::encode::{self, Format, Schemas};
use crate::config::{Config, OutputFormat};
use crate::kafka::topics::{self, Layout};
use crate::kafka::{self, Clients, Shell, Topics};
use crate::pipeline::{Plan, RepartitionTopic};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::status::{self, Status};
use crate::telemetry::Metrics;
use anyhow::{Context, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often a request to stop is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Pause before a registry that gives no answer is asked again.
const REGISTRY_PAUSE: Duration = Duration::from_secs(1);

/// Keys that a refused configuration is told of by name at most.
const KEYS_NAMED_MAX: usize = 20;

/// What kind of brokers the service runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brokers {
    /// Apache Kafka, or what behaves like it: settings of the topics are verified.
    Real,
    /// The client library's mock cluster: it has no topic settings to ask for.
    Mock,
}

/// When the service ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never: when it is asked to.
    Asked,
    /// Once every partition was taken over.
    Restored,
}

/// Runs the service until `shutdown` is requested, or `until` then. Blocks. `load` reads the configuration again, when that is asked for.
///
/// # Errors
/// When the topics are not what they must be, or a worker could not go on; everything committed stays committed.
pub fn run(
    config: &Config,
    brokers: Brokers,
    until: Until,
    shutdown: &Shutdown,
    load: &dyn Fn() -> Result<Config, String>,
) -> anyhow::Result<()> {
    if cfg!(feature = "unguarded") {
        tracing::warn!("built with the feature unguarded: commits in doubt are believed; for tests only");
    }
    let metrics = Arc::new(Metrics::new().context("building the metrics")?);
    metrics.expect(&config.settings);
    let status = Arc::new(Status::new(usize::from(config.kafka.workers)));
    // Before anything that needs a broker: `/livez` answers while the first connection is waited for.
    let _admin = serve_admin(config, &status, &metrics)?;
    let shell = match compose(config, brokers, shutdown, status, Arc::clone(&metrics)) {
        // Nothing had begun.
        Err(error) if shutdown.is_requested() => {
            tracing::info!(error = format!("{error:#}"), "stopped before the start was complete");
            return Ok(());
        }
        shell => Arc::new(shell?),
    };
    let (done, ended) = channel();
    for worker in 0..usize::from(config.kafka.workers) {
        spawn(worker, &shell, done.clone())?;
    }
    drop(done);
    let mut is_restored = false;
    wait(&ended, usize::from(config.kafka.workers), &shell, &mut || {
        if until == Until::Restored && !is_restored && shell.status.holds_all() {
            is_restored = true;
            tracing::info!("every partition was taken over: stops");
            shell.shutdown.request();
        }
        if !shell.shutdown.takes_reload() {
            return;
        }
        let outcome = reload(config, &shell, load);
        metrics.reloaded(outcome.is_ok());
        if let Err(reason) = outcome {
            tracing::error!(reason, "the configuration is not taken over; the one in force stays");
        }
    })
}

/// Puts the rules of the configuration as it is now in force. Everything else takes a restart.
fn reload(config: &Config, shell: &Shell, load: &dyn Fn() -> Result<Config, String>) -> Result<(), String> {
    let new = load()?;
    let others = config.differs_beyond_rules(&new);
    if !others.is_empty() {
        let count = others.len();
        let named = others.iter().take(KEYS_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "only rules can change while it runs; restart for the other changed keys ({count}): {named}"
        ));
    }
    let plan = shell.plan();
    let new = new.plan_writing(plan.output.clone(), new.input_topics(), plan.partitions);
    shell.reload(Arc::new(Plan { repartition: plan.repartition.clone(), ..Arc::unwrap_or_clone(new) }));
    Ok(())
}

/// The plan of a run over the input topics.
pub(crate) fn plan(config: &Config, topics: &Topics, layout: &Layout) -> Plan {
    let through = |name: &String| RepartitionTopic { name: name.clone(), outbound: layout.outbound.clone() };
    let plan = Arc::unwrap_or_clone(config.plan(config.input_topics(), layout.partitions));
    Plan { repartition: topics.repartition.as_ref().map(through), ..plan }
}

/// The names of all topics of a configuration.
#[must_use]
pub fn topics_of(config: &Config) -> Topics {
    let policy =
        |(_, input): &(String, usize)| config.inputs.get(*input).map_or(Repartition::Auto, |input| input.repartition);
    let policies: Vec<Repartition> = config.input_topics().iter().map(policy).collect();
    let forbidden = policies.iter().all(|policy| *policy == Repartition::Never);
    Topics {
        inputs: config.input_topics().into_iter().map(|(topic, _)| topic).collect(),
        policies,
        repartition: (!forbidden).then(|| config.topics.repartition.clone()),
        alerts: config.topics.alerts.clone(),
        experience: config.topics.experience.clone(),
        dlq: config.topics.dlq.clone(),
        images: config.topics.images.clone(),
        journal: config.topics.journal.clone(),
    }
}

/// The client of the registry, where one is named.
pub(crate) fn registry(config: &Config) -> anyhow::Result<Option<Registry>> {
    config.registry.as_ref().map(Registry::start).transpose().context("registry")
}

/// Starts the admin server, unless it is switched off.
fn serve_admin(config: &Config, status: &Arc<Status>, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Server>> {
    let Some(listen) = config.admin.listen else { return Ok(None) };
    let sources = Sources {
        status: Arc::clone(status),
        inputs: config.inputs.clone(),
        settings: Arc::clone(&config.settings),
        token: config.admin.token.clone(),
        metrics: Arc::clone(metrics),
    };
    let server = admin::start(listen, sources)?;
    tracing::info!(address = %server.address(), "admin server listens");
    Ok(Some(server))
}

fn compose(
    config: &Config,
    brokers: Brokers,
    shutdown: &Shutdown,
    status: Arc<Status>,
    signals: Arc<Metrics>,
) -> anyhow::Result<Shell> {
    let clients = Clients::new(config.kafka.clone());
    let topics = topics_of(config);
    let layout = check_topics(&clients, &topics, brokers)?;
    status.set_partitions(layout.partitions);
    let registry = registry(config)?;
    let output = output(config, registry.as_ref(), &topics, &|what| {
        status.start_waits(what, status::now());
        !shutdown.is_requested()
    })?;
    status.start_goes_on();
    let plan = plan(config, &topics, &layout);
    Ok(Shell {
        kafka: config.kafka.clone(),
        clients,
        topics,
        plan: Arc::new(Plan { output, ..plan }).into(),
        registry,
        scorer: Arc::clone(&config.scorer),
        status,
        signals,
        shutdown: shutdown.clone(),
    })
}

/// The form of what is written; for Avro our schemas are registered first. `goes_on` is told what is waited for, and says
/// whether to ask again.
fn output(
    config: &Config,
    registry: Option<&Registry>,
    topics: &Topics,
    goes_on: &dyn Fn(&str) -> bool,
) -> anyhow::Result<Format> {
    let is_structured = config.output == OutputFormat::CloudEventsStructured;
    match config.output {
        OutputFormat::Json => Ok(Format::Json),
        OutputFormat::CloudEvents | OutputFormat::CloudEventsStructured => {
            Ok(Format::CloudEvents { source: format!("/touchline/{}", config.kafka.group_id).into(), is_structured })
        }
        OutputFormat::Avro => {
            let registry = registry.context("output.format = \"avro\" needs registry.url")?;
            let ids = subjects(topics).map(|(subject, schema)| registered(registry, &subject, schema, goes_on));
            let [alert, experience] = ids;
            let (alert, experience) = (alert?, experience?);
            Ok(Format::Avro(Schemas::new(alert, experience).map_err(anyhow::Error::msg)?.into()))
        }
    }
}

/// The subjects under which our schemas of alerts and experience changes are registered, with them.
pub(crate) fn subjects(topics: &Topics) -> [(String, &'static str); 2] {
    [(&topics.alerts, encode::ALERT), (&topics.experience, encode::EXPERIENCE)]
        .map(|(topic, schema)| (format!("{topic}-value"), schema))
}

/// The id of our schema under a subject.
fn registered(registry: &Registry, subject: &str, schema: &str, goes_on: &dyn Fn(&str) -> bool) -> anyhow::Result<u32> {
    loop {
        match registry.register(subject, schema) {
            Ok(id) => return Ok(id),
            Err(error) if error.is_transient() => {
                tracing::warn!(subject, %error, "the schema registry gives no answer: the start waits for it");
                if !goes_on(&format!("the schema registry has not taken the schema of {subject} yet")) {
                    bail!("stopped while the schema registry did not answer for {subject}");
                }
                std::thread::sleep(REGISTRY_PAUSE);
            }
            Err(error) => {
                let context =
                    format!("the schema registry refuses our schema under {subject} (output.format = \"avro\")");
                return Err(anyhow::Error::new(error).context(context));
            }
        }
    }
}

/// How the topics lie: all exist, ours with one partition count, those that must be compacted are, and our records fit.
pub(crate) fn check_topics(clients: &Clients, topics: &Topics, brokers: Brokers) -> anyhow::Result<Layout> {
    let counts = topics::partition_counts(clients, topics)?;
    let layout = topics::layout(topics, &counts)
        .map_err(|problems| anyhow::anyhow!("the topics are not ready:\n  {}", problems.join("\n  ")))?;
    if brokers == Brokers::Mock {
        return Ok(layout);
    }
    for (index, partitions) in &layout.outbound {
        let topic = topics.inputs.get(*index);
        tracing::info!(topic, partitions, through = topics.repartition, "all records of this topic are repartitioned");
    }
    let differences = topics::differences(clients, topics, &counts)?;
    // These lose state; the rest is a matter of how long something is kept.
    let is_fatal = |line: &String| line.contains("cleanup.policy") || line.contains("max.message.bytes");
    let (fatal, others): (Vec<_>, Vec<_>) = differences.into_iter().partition(is_fatal);
    for difference in others {
        tracing::warn!(difference, "a topic is not set up as it should be; see `touchline topics`");
    }
    if !fatal.is_empty() {
        bail!("the topics are not ready:\n  {}", fatal.join("\n  "));
    }
    Ok(layout)
}

fn spawn(worker: usize, shell: &Arc<Shell>, done: Sender<anyhow::Result<()>>) -> anyhow::Result<()> {
    let shell = Arc::clone(shell);
    let instance = shell.clients.instance();
    let work = move || {
        let result = catch_unwind(AssertUnwindSafe(|| shell.work(worker, &instance)));
        let result = match result {
            Ok(Ok(())) => Ok(()),
            // A stop that came while something else was waited for is a clean one: nothing was uncommitted then.
            Ok(Err(kafka::Error::Interrupted(_))) if shell.shutdown.is_requested() => Ok(()),
            Ok(Err(error)) => Err(anyhow::Error::new(error).context(format!("worker {worker}"))),
            Err(_) => Err(anyhow::anyhow!("worker {worker} panicked; please report the message above")),
        };
        // Nobody listens any more only when the process is ending anyway.
        drop(done.send(result));
    };
    std::thread::Builder::new().name(format!("worker-{worker}")).spawn(work).context("starting a worker thread")?;
    Ok(())
}

/// Waits for every worker. The first failure stops the others; a stop that takes too long is a failure.
fn wait(
    ended: &Receiver<anyhow::Result<()>>,
    mut running: usize,
    shell: &Shell,
    look: &mut dyn FnMut(),
) -> anyhow::Result<()> {
    let drain = Duration::from_millis(u64::try_from(shell.kafka.drain_timeout.0).unwrap_or(0));
    let mut failure = None;
    let mut deadline = None;
    while running > 0 {
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(result) => {
                running -= 1;
                if let Err(error) = result {
                    tracing::error!(error = format!("{error:#}"), "a worker ended; the service stops");
                    shell.shutdown.request();
                    failure.get_or_insert(error);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        look();
        if shell.shutdown.is_requested() && Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + drain) {
            bail!("{running} workers did not stop within kafka.drain_timeout; what was not committed is read again");
        }
    }
    failure.map_or(Ok(()), Err)
}
