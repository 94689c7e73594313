//! The command line: one file per command, each with its arguments and a `run`.

mod as_of;
mod backtest;
mod cases;
mod check;
mod completions;
mod console;
mod demo;
mod difference;
mod dlq;
mod evaluate;
mod examples;
mod explain;
mod feeds;
mod files;
mod history;
mod journeys;
mod labels;
mod load;
mod profile;
mod recalibrate;
mod recover;
mod replay;
mod replay_topics;
mod reset;
mod rows;
mod rules;
mod run;
mod schema;
mod scoreboard;
mod sentiment;
mod simulate;
mod summary;
mod test;
mod topics;
mod train;
mod train_moments;
mod train_report;

use crate::kafka;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Exit codes, the same for every command.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// It failed while working: a broker, a file, a limit.
    pub const FAILED: u8 = 1;
    /// The command line or the configuration is wrong; nothing was started.
    pub const USAGE: u8 = 2;
}

#[derive(Debug, Parser)]
#[command(name = "touchline", version = version(), about = "Live customer experience and alerts from touchpoints in Kafka")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the whole pipeline at work: embedded broker, simulated customers, alerts with reasons
    Demo(demo::Args),
    /// The service: touchpoints from Kafka in, experience and alerts out, exactly once
    Run(run::Args),
    /// The same engine over recorded touchpoints: files, topics or the journal
    Replay(replay::Args),
    /// How well scores and alerts foretold what happened, by a file of labels
    Evaluate(evaluate::Args),
    /// Two configurations over the same history, and the difference in alerts
    Backtest(backtest::Args),
    /// Your own cases against your configuration: touchpoints in, expected alerts out
    Test(test::Args),
    /// The story of an alert or a customer in plain words
    Explain(explain::Args),
    /// Every rule in force, in words, with its settings
    Rules(rules::Args),
    /// How long promises usually take, counted from recorded touchpoints
    Profile(profile::Args),
    /// Learn from your labels what foretells an outcome: a card of points
    Train(train::Args),
    /// The JSON Schema of a configuration, for editors; or the form of topics and records
    Schema(schema::Args),
    /// Every problem of a configuration at once
    Check(check::Args),
    /// Create the topics it needs, or verify them
    Topics(topics::Args),
    /// Records that could not be read: list, show, send again
    Dlq(dlq::Args),
    /// A script that completes this command line in your shell
    Completions(completions::Args),
    /// Make up from the inputs for a lost end of the journal, on Kafka
    Recover(recover::Args),
    /// Begin anew: forget every customer, on Kafka
    Reset(reset::Args),
    /// Synthetic touchpoints into topics or a file
    Simulate(Box<simulate::Args>),
    /// The text scorer alone: score lines of text, or learn from labelled ones
    #[command(subcommand)]
    Sentiment(sentiment::Command),
}

/// Version, commit (when the build was told it by `TOUCHLINE_COMMIT`) and the version of the Kafka client.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let commit = option_env!("TOUCHLINE_COMMIT").filter(|commit| !commit.is_empty());
        let commit = commit.map(|commit| format!("commit {commit}, ")).unwrap_or_default();
        format!("{} ({commit}librdkafka {})", env!("CARGO_PKG_VERSION"), kafka::client_version())
    })
}

/// Parses the command line and runs the command. Errors are printed to standard error with their causes.
#[must_use]
#[expect(clippy::print_stderr, reason = "the one place where a command's error is shown")]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Check(args) => check::run(args),
        Command::Topics(args) => topics::run(args),
        Command::Recover(args) => recover::run(args),
        Command::Reset(args) => reset::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Dlq(args) => dlq::run(args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Sentiment(command) => sentiment::run(&command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("touchline: {error:#}");
        ExitCode::from(exit::FAILED)
    })
}
