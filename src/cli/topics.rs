//! `touchline topics`.

use super::{exit, load};
use crate::app;
use crate::kafka::{Clients, topics};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline topics`.
///
/// Exit codes: 0 all topics are as they must be, 1 they are not (each difference is printed) or a broker failed, 2 the
/// configuration is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; without it the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Create the topics that are missing, the inputs too when `topics.partitions` says with how many partitions
    #[arg(long)]
    create: bool,
}

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let (clients, names) = (Clients::new(config.kafka.clone()), app::topics_of(&config));
    let mut counts = topics::partition_counts(&clients, &names)?;
    if args.create {
        let existing = names.inputs.iter().find_map(|topic| counts.get(topic)).copied();
        let Some(partitions) = existing.or(Some(config.topics.partitions).filter(|count| *count > 0)) else {
            anyhow::bail!("no input topic exists: set topics.partitions to create them");
        };
        let replication = config.topics.replication_factor;
        for topic in topics::create(&clients, &names, &counts, partitions, replication)? {
            println!("created {topic}");
            counts.insert(topic, partitions);
        }
    }
    let mut problems = topics::common_count(&names, &counts).err().unwrap_or_default();
    problems.extend(topics::differences(&clients, &names, &counts)?);
    if problems.is_empty() {
        println!("{} topics are as they must be", counts.len());
        return Ok(ExitCode::from(exit::OK));
    }
    problems.iter().for_each(|problem| println!("{problem}"));
    Ok(ExitCode::from(exit::FAILED))
}
