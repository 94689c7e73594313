//! `touchline profile`: how long promises usually take, counted from recorded touchpoints without any label.

use super::history::{self, Witness};
use super::{exit, load};
use crate::model::{Name, Timestamp};
use crate::pipeline::Observed;
use crate::rules::profile::{Histogram, ProfileFile};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `touchline profile`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Configuration whose catalogue says what opens and keeps promises; its own `profile` is not read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The profile goes here instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Input (of the configuration) that the files belong to, where there are several
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Recorded touchpoints: .jsonl or .csv, also .gz or .zst; NAME=FILE for a file of another input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

const HELP: &str = "Only promises that were kept are counted; take a history long enough to hold the slow ones too. Name the \
    file in the configuration as `profile`; the configuration is another one then, and so is its hash.\n\n\
    Exit codes: 0 done, 1 a file cannot be read or written, 2 wrong usage or configuration.";

const HEADER: &str =
    "# How long promises took until they were kept, made by `touchline profile`: counts = [[bucket, kept], …].
# Bucket b begins at (8 + b mod 8) · 2^(b div 8) / 8 − 1 minutes.

";

/// Counts what was kept.
#[derive(Debug, Default)]
struct Counting(BTreeMap<Name, Histogram>);

impl Witness for Counting {
    fn observed(&mut self, observed: &Observed) {
        for (promise, wait_ms) in &observed.kept {
            self.0.entry(*promise).or_default().add(*wait_ms);
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match load::config_without_profile(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let plan = match history::plan_of_files(&config, args.input.as_deref(), &args.files, None) {
        Ok(plan) => plan,
        Err(code) => return Ok(code),
    };
    let mut counting = Counting::default();
    history::pass(&plan, &[] as &[Timestamp], &mut counting)?;
    let catalogue = &plan.settings.catalogue;
    let named = counting.0.into_iter().map(|(promise, histogram)| (catalogue.text(promise).to_owned(), histogram));
    let text = toml::to_string(&ProfileFile { promises: named.collect() }).context("cannot write the profile")?;
    write(args.out.as_deref(), &format!("{HEADER}{text}"))?;
    Ok(ExitCode::from(exit::OK))
}

fn write(path: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match path {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write the profile"),
    }
}
