//! `touchline run`.

use super::{exit, load};
use crate::app::{self, Brokers, Until};
use crate::journal::WaysOut;
use crate::shutdown::Shutdown;
use crate::telemetry::logging;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline run`.
///
/// Exit codes: 0 stopped on request, 1 it could not go on (the reason is printed), 2 the configuration is wrong.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// The configuration; without it the defaults
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where input is gone before it was read (retention, truncation), go on after it and count it lost, instead of
    /// stopping that partition
    #[arg(long)]
    pub(super) accept_gap: bool,
    /// After an upgrade without a clean stop: replay what the old version left unfinished with this one, tell what that
    /// changes, and tell the open alerts of these customers again (updated, recomputed)
    #[arg(long)]
    pub(super) recompute_tail: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let ways_out = WaysOut { recompute_tail: args.recompute_tail, ..WaysOut::default() };
    serve(args, ways_out, Until::Asked)
}

/// The service, with what may be done where a restore would be refused.
pub(super) fn serve(args: Args, ways_out: WaysOut, until: Until) -> anyhow::Result<ExitCode> {
    // First: a stop may be asked for at any moment.
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("listening for signals")?;
    let mut config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    config.kafka.accept_gap = args.accept_gap;
    config.kafka.ways_out = ways_out;
    logging::init(&config.telemetry.log, config.telemetry.json)?;
    app::run(&config, Brokers::Real, until, &shutdown, &|| {
        load::load(args.config.as_deref()).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            told.join("; ")
        })
    })?;
    Ok(ExitCode::from(exit::OK))
}
