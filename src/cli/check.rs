//! `touchline check`.

use super::{exit, load};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; without it the defaults are checked
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command: exit 0 when the configuration is valid, 2 with every problem when not.
#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match load::config(args.config.as_deref()) {
        Ok(config) => {
            println!("valid: {} inputs, configuration {:016x}", config.inputs.len(), config.config_hash);
            Ok(ExitCode::from(exit::OK))
        }
        Err(code) => Ok(code),
    }
}
