//! `touchline check`: every problem of a configuration at once, and what its mapping makes of sample lines.

use super::files::{Feed, Rows};
use super::{exit, load};
use crate::app;
use crate::codec::{self, Code, Format, Input, RawRecord, Rejection};
use crate::config::{Config, OutputFormat};
use crate::kafka::preflight::{self, Finding};
use crate::kafka::{Clients, Topics};
use crate::model::{Attribute, Name, Timestamp, Touchpoint};
use crate::registry;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Names of kinds and channels listed at most.
const LISTED_MAX: usize = 20;

/// Arguments of `touchline check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 valid, 1 the sample cannot be read or nothing comes out of it, or the brokers are not fit, 2 problems."
)]
pub(super) struct Args {
    /// Configuration; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Also try what `run` needs of the brokers and the schema registry: connection, rights, topics and their settings,
    /// compatible schemas; writes nothing
    #[arg(long)]
    brokers: bool,
    /// Try the mapping on a file: .jsonl or .csv, also .gz or .zst
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// Input that the sample belongs to, where there are several
    #[arg(long, value_name = "NAME", requires = "sample")]
    input: Option<String>,
    /// Lines of the sample that are tried
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "sample")]
    lines: u64,
    /// Touchpoints that are shown
    #[arg(long, value_name = "N", default_value_t = 5, requires = "sample")]
    show: u64,
}

/// Runs the command: exit 0 when the configuration is valid, 2 with every problem when not.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer of the command")]
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let inputs: Vec<&str> = config.inputs.iter().map(|input| input.name.as_str()).collect();
    println!("valid: inputs {}; configuration {:016x}", inputs.join(", "), config.config_hash);
    if args.brokers && !are_fit(&config) {
        return Ok(ExitCode::from(exit::FAILED));
    }
    let Some(path) = &args.sample else { return Ok(ExitCode::from(exit::OK)) };
    let only = (config.inputs.len() == 1).then_some(0);
    let named = args.input.as_deref().map_or(only, |name| config.input_named(name));
    let Some(input) = named.and_then(|at| config.inputs.get(at)) else {
        eprintln!("touchline: say which input the sample belongs to, by --input: {}", inputs.join(", "));
        return Ok(ExitCode::from(exit::USAGE));
    };
    let tried = try_out(&config, input, path, args.lines, args.show)?;
    print!("{}", tried.report());
    Ok(ExitCode::from(if tried.touchpoints == 0 { exit::FAILED } else { exit::OK }))
}

/// Prints what was tried with the brokers; whether all of it went well.
#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn are_fit(config: &Config) -> bool {
    let topics = app::topics_of(config);
    let mut findings = preflight::findings(&Clients::new(config.kafka.clone()), &topics);
    findings.extend(of_the_registry(config, &topics));
    for (what, problems) in &findings {
        println!("{} {what}", if problems.is_empty() { "ok " } else { "NO " });
        problems.iter().for_each(|problem| println!("      {problem}"));
    }
    findings.iter().all(|(_, problems)| problems.is_empty())
}

/// What was tried with the schema registry, where there is one.
fn of_the_registry(config: &Config, topics: &Topics) -> Vec<Finding> {
    let registry = match app::registry(config) {
        Ok(Some(registry)) => registry,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![("the schema registry".to_owned(), vec![format!("{error:#}")])],
    };
    let told = |error: registry::Error| error.to_string();
    let mut findings = vec![("the schema registry answers".to_owned(), registry.answers().map_err(told).err())];
    if config.output == OutputFormat::Avro {
        for (subject, schema) in app::subjects(topics) {
            let problem = registry.objection(&subject, schema).unwrap_or_else(|error| Some(told(error)));
            findings.push((format!("our schema may be registered under {subject}"), problem));
        }
    }
    findings.into_iter().map(|(what, problem)| (what, Vec::from_iter(problem))).collect()
}

/// What came out of a sample.
#[derive(Default)]
struct Tried {
    shown: String,
    lines: u64,
    touchpoints: u64,
    /// Reason → how often, and the first line and place.
    rejected: BTreeMap<Code, (u64, i64, String)>,
    unknown_kinds: BTreeMap<String, u64>,
    unknown_channels: u64,
}

fn try_out(config: &Config, input: &Input, path: &Path, lines: u64, show: u64) -> anyhow::Result<Tried> {
    if input.is_avro() {
        anyhow::bail!("records of the Avro input {} are read from topics: there is no sample to try", input.name);
    }
    let mut tried = Tried::default();
    let is_csv = matches!(input.format, Format::Csv(_));
    let rows = Rows::open(path, is_csv, config.bounds.record_bytes_max, |file| Box::new(file))?;
    // A sample is read as it stands in the file.
    let mut feed = Feed::new(0, input, rows, 1);
    while tried.lines < lines && feed.take(|raw| tried.record(config, input, raw, show))? {}
    Ok(tried)
}

impl Tried {
    fn record(&mut self, config: &Config, input: &Input, raw: &RawRecord<'_>, show: u64) {
        self.lines += 1;
        let too_large = raw.value.is_some_and(|value| value.len() > config.bounds.record_bytes_max);
        let decoded = if too_large {
            Err(Rejection { code: Code::TooLarge, detail: "pipeline.record_bytes_max".into() })
        } else {
            codec::decode(input, raw)
        };
        match decoded {
            Ok(touchpoint) => self.touchpoint(config, &touchpoint, raw.position.offset, show),
            Err(rejection) => {
                let first = (0, raw.position.offset, rejection.detail);
                self.rejected.entry(rejection.code).or_insert(first).0 += 1;
            }
        }
    }

    fn touchpoint(&mut self, config: &Config, touchpoint: &Touchpoint<'_>, line: i64, show: u64) {
        self.touchpoints += 1;
        self.unknown_channels += u64::from(touchpoint.channel_unknown);
        if config.settings.catalogue.kind(Name::of(&touchpoint.kind)).is_none() {
            *self.unknown_kinds.entry(touchpoint.kind.clone().into_owned()).or_default() += 1;
        }
        if self.touchpoints <= show {
            self.shown.push_str(&shown(touchpoint, line));
        }
    }

    fn report(&self) -> String {
        let rejected: u64 = self.rejected.values().map(|(count, ..)| count).sum();
        let mut text = format!(
            "{}{} records tried: {} touchpoints, {rejected} rejected\n",
            self.shown, self.lines, self.touchpoints
        );
        for (code, (count, line, detail)) in &self.rejected {
            text.push_str(&format!("  rejected {}: {count}, first in line {line} ({detail})\n", code.as_str()));
        }
        if !self.unknown_kinds.is_empty() {
            let kinds = self.unknown_kinds.iter().take(LISTED_MAX).map(|(kind, count)| format!("{kind} ({count})"));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            text.push_str(&format!(
                "  {} kinds are not in the catalogue, only their ratings and texts are scored: {kinds}\n",
                self.unknown_kinds.len()
            ));
        }
        if self.unknown_channels > 0 {
            text.push_str(&format!("  {} touchpoints have an unknown channel: read as other\n", self.unknown_channels));
        }
        text
    }
}

/// A touchpoint for people: what it is, then every field it has.
fn shown(touchpoint: &Touchpoint<'_>, line: i64) -> String {
    let mut text = format!(
        "line {line}: {} on {} at {}\n  id={} source={} customer_id={}",
        touchpoint.kind,
        touchpoint.channel.as_str(),
        moment(touchpoint.occurred_at),
        touchpoint.id,
        touchpoint.source,
        touchpoint.customer_id
    );
    let mut field = |name: &str, value: Option<String>| {
        value.into_iter().for_each(|value| text.push_str(&format!(" {name}={value}")));
    };
    for (name, value) in [
        ("session_id", &touchpoint.session_id),
        ("conversation_id", &touchpoint.conversation_id),
        ("order_id", &touchpoint.order_id),
        ("product_id", &touchpoint.product_id),
        ("location_id", &touchpoint.location_id),
        ("topic", &touchpoint.topic),
        ("language", &touchpoint.language),
        ("currency", &touchpoint.currency),
    ] {
        field(name, value.as_ref().map(ToString::to_string));
    }
    for (name, value) in [
        ("wait_ms", touchpoint.wait_ms),
        ("duration_ms", touchpoint.duration_ms),
        ("amount_minor", touchpoint.amount_minor),
    ] {
        field(name, value.map(|number| number.to_string()));
    }
    field("due_at", touchpoint.due_at.map(moment));
    field("contact", touchpoint.contact.map(|contact| format!("{contact:?}").to_lowercase()));
    field("actor", touchpoint.actor.map(|actor| format!("{actor:?}").to_lowercase()));
    field("outcome", touchpoint.outcome.map(|outcome| format!("{outcome:?}").to_lowercase()));
    field("consent", touchpoint.consent.map(|consent| consent.to_string()));
    let rating = touchpoint.rating.as_ref();
    field("rating", rating.map(|rating| format!("{} ({}–{})", rating.value, rating.min, rating.max)));
    field("text", touchpoint.text.as_ref().map(|text| format!("{text:?}")));
    text.push_str(&attributes(&touchpoint.attributes));
    text.push('\n');
    text
}

fn attributes(attributes: &[(std::borrow::Cow<'_, str>, Attribute<'_>)]) -> String {
    let mut text = String::new();
    for (name, value) in attributes {
        text.push_str(if text.is_empty() { "\n  attributes:" } else { "" });
        let value = match value {
            Attribute::Text(value) => format!("{value:?}"),
            Attribute::Number(value) => value.to_string(),
            Attribute::Flag(value) => value.to_string(),
        };
        text.push_str(&format!(" {name}={value}"));
    }
    text
}

fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |moment| moment.to_string())
}
