//! `touchline dlq`: what could not be read, and another try once the cause is mended.

use super::{exit, load};
use crate::app;
use crate::kafka::{Clients, dead_letters};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline dlq`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 a broker failed or a right is missing, 2 the configuration is wrong.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// How many there are, by topic and reason
    List(Common),
    /// Reason and origin of each, the newest last; with --payload also the record itself
    Show(Show),
    /// Send those since the last retry into their topics again, at the partition they came from
    Retry(Retry),
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The configuration; without it the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    common: Common,
    /// Only this reason, such as malformed
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only of this input topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// At most this many of each partition, the newest
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Show keys and values: customer data
    #[arg(long)]
    payload: bool,
}

#[derive(Debug, clap::Args)]
struct Retry {
    #[command(flatten)]
    common: Common,
    /// Leave those that were sent again this often
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries_max: u32,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let common = match &args.command {
        Command::List(common) => common,
        Command::Show(show) => &show.common,
        Command::Retry(retry) => &retry.common,
    };
    let config = match load::config(common.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let (clients, topics) = (Clients::new(config.kafka.clone()), app::topics_of(&config));
    let answer = match &args.command {
        Command::List(_) => {
            let mut counts = Counts::default();
            dead_letters::read(&clients, &topics, &mut |letter| {
                counts.add(&letter);
                Ok(())
            })?;
            counts.table()
        }
        Command::Show(show) => {
            let mut newest: BTreeMap<i32, Vec<dead_letters::Letter>> = BTreeMap::new();
            dead_letters::read(&clients, &topics, &mut |letter| {
                let is_wanted = |name: &str, wanted: &Option<String>| {
                    wanted.as_deref().is_none_or(|wanted| wanted == letter.header(name))
                };
                if is_wanted("touchline.reason", &show.reason) && is_wanted("touchline.topic", &show.topic) {
                    let of_partition = newest.entry(letter.partition).or_default();
                    of_partition.push(letter);
                    let excess = of_partition.len().saturating_sub(show.limit);
                    of_partition.drain(..excess);
                }
                Ok(())
            })?;
            newest.values().flatten().map(|letter| shown(letter, show.payload)).collect()
        }
        Command::Retry(retry) => {
            let done = dead_letters::retry(&clients, &topics, retry.retries_max)?;
            format!(
                "{} sent again; left: {} cut to fit, {} sent again {} times, {} of unknown origin\n",
                done.sent, done.truncated, done.exhausted, retry.retries_max, done.unknown
            )
        }
    };
    std::io::stdout().write_all(answer.as_bytes())?;
    Ok(ExitCode::from(exit::OK))
}

/// Topic and reason → how many, and the newest one's place.
#[derive(Default)]
struct Counts(BTreeMap<(String, String), (u64, String)>);

impl Counts {
    fn add(&mut self, letter: &dead_letters::Letter) {
        let of = (letter.header("touchline.topic").to_owned(), letter.header("touchline.reason").to_owned());
        let (count, newest) = self.0.entry(of).or_default();
        *count += 1;
        *newest = format!("{}@{}", letter.partition, letter.offset);
    }

    fn table(&self) -> String {
        if self.0.is_empty() {
            return "no dead letters\n".to_owned();
        }
        let mut text = format!("{:>9}  {:17}  {:12}  topic\n", "count", "reason", "newest");
        for ((topic, reason), (count, newest)) in &self.0 {
            text.push_str(&format!("{count:>9}  {reason:17}  {newest:12}  {topic}\n"));
        }
        text
    }
}

fn shown(letter: &dead_letters::Letter, payload: bool) -> String {
    let header = |name: &str| letter.header(&format!("touchline.{name}")).to_owned();
    let mut text = format!(
        "{}@{}  {} ({})  from {}-{}@{}  {} bytes",
        letter.partition,
        letter.offset,
        header("reason"),
        header("detail"),
        header("topic"),
        header("partition"),
        header("offset"),
        letter.value.as_ref().map_or(0, Vec::len)
    );
    for name in ["retries", "truncated"] {
        let value = header(name);
        if !value.is_empty() {
            text.push_str(&format!("  {name}: {value}"));
        }
    }
    text.push('\n');
    if payload {
        let lossy = |bytes: &Option<Vec<u8>>| {
            bytes.as_deref().map_or("none".to_owned(), |bytes| format!("{:?}", String::from_utf8_lossy(bytes)))
        };
        text.push_str(&format!("    key {}\n    value {}\n", lossy(&letter.key), lossy(&letter.value)));
    }
    text
}
