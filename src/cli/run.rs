//! `touchline run`.

use super::{exit, load};
use crate::app::{self, Brokers};
use crate::shutdown::Shutdown;
use crate::telemetry::logging;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline run`.
///
/// Exit codes: 0 stopped on request, 1 it could not go on (the reason is printed), 2 the configuration is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; without it the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where input is gone before it was read (retention, truncation), go on after it and count it lost, instead of
    /// stopping that partition
    #[arg(long)]
    accept_gap: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    config.kafka.accept_gap = args.accept_gap;
    logging::init(&config.telemetry.log, config.telemetry.json)?;
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("listening for signals")?;
    app::run(&config, Brokers::Real, &shutdown, &|| {
        load::load(args.config.as_deref()).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            told.join("; ")
        })
    })?;
    Ok(ExitCode::from(exit::OK))
}
