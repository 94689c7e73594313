//! `touchline reset`.

use super::{exit, load};
use crate::app;
use crate::kafka::{Clients, topics};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline reset`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All customers' state is forgotten: the next `run` begins at kafka.start_from. The alerts, experience \
                        and DLQ topics stay as they are; alerts that are open in them are never closed. Needs the rights \
                        Delete on the group, and Delete and Create on the images and journal topics.\n\n\
                        Exit codes: 0 done, or nothing done without --yes, 1 somebody is in the group or a broker \
                        refused, 2 the configuration is wrong."
)]
pub(super) struct Args {
    /// The configuration; without it the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do it; without this it is only told
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let (clients, names) = (Clients::new(config.kafka.clone()), app::topics_of(&config));
    let counts = topics::partition_counts(&clients, &names)?;
    let Some(partitions) = names.partitions(&counts, config.topics.partitions) else {
        anyhow::bail!("no topic of the configuration exists: is kafka.bootstrap_servers the right cluster?");
    };
    let state: Vec<&str> = names.state().map(String::as_str).collect();
    let state = state.join(", ");
    let group = clients.group();
    if !args.yes {
        println!("would delete the offsets of group {group} and all records of {state}; --yes does it");
        return Ok(ExitCode::from(exit::OK));
    }
    topics::reset(&clients, &names, partitions, config.topics.replication_factor)?;
    println!("group {group} begins anew: {state} are empty");
    Ok(ExitCode::from(exit::OK))
}
