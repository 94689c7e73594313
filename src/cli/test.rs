//! `touchline test`: a user's own cases against their configuration.

use super::cases::{self, Case, Verdict};
use super::{exit, load};
use crate::config::Config;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `touchline test`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Cases: .toml files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Configuration of cases that name none; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const HELP: &str = "A case is one TOML file: what the customer met, and the alerts that must come of it, no more and no fewer:\n\n\
    about = \"A parcel that comes two days late is a failure\"\n\
    only = [\"service_failure\"]          # other kinds are not looked at\n\
    until = \"+3d\"                       # time goes on to here after the last touchpoint\n\n\
    [[touchpoint]]                      # fields as in schemas/touchpoint.json\n\
    at = \"2026-03-02T09:00:00Z\"\n\
    kind = \"order_completed\"\n\
    order_id = \"o-1\"\n\n\
    [[touchpoint]]\n\
    at = \"+4d\"                          # after the first touchpoint\n\
    kind = \"order_delivered\"\n\
    order_id = \"o-1\"\n\
    due_at = \"+2d\"\n\n\
    [[expect]]                          # also phase, severity, customer_id, item, reason\n\
    at = \"+4d\"\n\
    kind = \"service_failure\"\n\n\
    A record of your own goes in as `record = { … }`, with `input = \"NAME\"` where there are several inputs.\n\n\
    Exit codes: 0 all passed, 1 a case failed or cannot be read, 2 wrong usage or configuration.";

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let files = files(&args.paths)?;
    anyhow::ensure!(!files.is_empty(), "no case: give .toml files, or folders of them");
    let mut configs: BTreeMap<Option<PathBuf>, Config> = BTreeMap::new();
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        let verdict = match cases::parse(&text) {
            Err(problem) => Err(problem),
            Ok(case) => {
                let path = config_of(&case, file, args);
                let config = match configs.entry(path.clone()) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(place) => match load::config(path.as_deref()) {
                        Ok(config) => place.insert(config),
                        Err(code) => return Ok(code),
                    },
                };
                cases::run(&text, &case, config).map(|verdict| (verdict, case.about))
            }
        };
        match verdict {
            Ok((Verdict::Pass, about)) => {
                passed += 1;
                println!("pass  {name}: {about}");
            }
            Ok((Verdict::Fail(diff), about)) => {
                failed += 1;
                print!("FAIL  {name}: {about}\n{diff}");
            }
            Err(problem) => {
                failed += 1;
                println!("FAIL  {name}: {problem}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(ExitCode::from(if failed == 0 { exit::OK } else { exit::FAILED }))
}

fn config_of(case: &Case, file: &Path, args: &Args) -> Option<PathBuf> {
    let own = case.config.as_ref().map(|config| file.parent().unwrap_or(Path::new("")).join(config));
    own.or_else(|| args.config.clone())
}

/// The cases of files and folders, in order of their names.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let read = || format!("cannot read the folder {}", path.display());
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).with_context(read)? {
            let path = entry.with_context(read)?.path();
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "toml") {
                inside.push(path);
            }
        }
        inside.sort();
        files.extend(self::files(&inside)?);
    }
    Ok(files)
}
