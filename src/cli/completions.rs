//! `touchline completions`: what a shell needs to complete the command line.

use super::Cli;
use clap::CommandFactory;
use std::process::ExitCode;

/// Arguments of `touchline completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs the command: the script goes to standard output.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "touchline", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(ExitCode::SUCCESS)
}
