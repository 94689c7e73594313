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
    /// Print the commands of Kafka's own tools that create the topics and grant the rights, for an administrator to run
    #[arg(long, conflicts_with = "create")]
    print: bool,
    /// With --print: the principal that the rights are for
    #[arg(long, value_name = "NAME", default_value = "touchline", requires = "print")]
    user: String,
}

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let (clients, names) = (Clients::new(config.kafka.clone()), app::topics_of(&config));
    if args.print {
        let (partitions, replication) = (config.topics.partitions, config.topics.replication_factor);
        anyhow::ensure!(partitions > 0, "topics.partitions: set it to the number of partitions most input topics have");
        let lines = topics::commands(&clients, &names, partitions, replication, &args.user);
        lines.iter().for_each(|line| println!("{line}"));
        return Ok(ExitCode::from(exit::OK));
    }
    let mut counts = topics::partition_counts(&clients, &names)?;
    if args.create {
        let Some(partitions) = names.partitions(&counts, config.topics.partitions) else {
            anyhow::bail!("no input topic exists: set topics.partitions to create them");
        };
        let replication = config.topics.replication_factor;
        for topic in topics::create(&clients, &names, &counts, partitions, replication)? {
            println!("created {topic}");
            counts.insert(topic, partitions);
        }
    }
    let mut problems = match topics::layout(&names, &counts) {
        Ok(layout) => {
            topics::repartitioned(&names, &layout).iter().for_each(|line| println!("{line}"));
            Vec::new()
        }
        Err(problems) => problems,
    };
    problems.extend(topics::differences(&clients, &names, &counts)?);
    if problems.is_empty() {
        println!("{} topics are as they must be", counts.len());
        return Ok(ExitCode::from(exit::OK));
    }
    problems.iter().for_each(|problem| println!("{problem}"));
    Ok(ExitCode::from(exit::FAILED))
}
