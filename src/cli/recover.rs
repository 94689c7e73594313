//! `touchline recover`.

use super::run::{self, Args as Run};
use crate::app::Until;
use crate::journal::WaysOut;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline recover`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For when `run` says that transactions are missing or that the journal's end is lost, and no backup has \
                  them. Stop every instance first: this one takes all partitions over, commits that they go on from the last \
                  whole transaction, and stops; then start the service as always, which reads the inputs again from there. \
                  Whoever's image is newer knows what was seen, so nothing counts twice and no alert \
                  comes twice, but: records that were rejected are among the dead letters again; who was forgotten in what \
                  is lost is told of once more; of a customer with more touchpoints in it than limits.dedup_entries the \
                  oldest count twice. Input that is gone by now stops its partition (see `run --accept-gap`).\n\n\
                  Exit codes: 0 recovered, 1 it could not (the reason is printed), 2 the configuration is wrong."
)]
pub(super) struct Args {
    /// The configuration; without it the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Make up from the inputs for what journal and images lost
    #[arg(long, required = true)]
    from_input: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let ways_out = WaysOut { from_input: args.from_input, ..WaysOut::default() };
    run::serve(Run { config: args.config, ..Run::default() }, ways_out, Until::Restored)
}
