//! Reading a configuration from a file: the one place that gives `config` its files and environment.

use super::exit;
use crate::config::{Config, Problem, Resolve};
use crate::rules::outcome_risk::Mismatch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Reads a configuration; `None` = the defaults. Paths in it are relative to its folder.
///
/// # Errors
/// Every problem; the file itself not being readable is one.
pub(super) fn load(path: Option<&Path>) -> Result<Config, Vec<Problem>> {
    load_by(path, Config::load)
}

fn load_by(
    path: Option<&Path>,
    load: impl Fn(Option<&str>, Resolve<'_>) -> Result<Config, Vec<Problem>>,
) -> Result<Config, Vec<Problem>> {
    let Some(path) = path else {
        return load(None, &|reference| read(Path::new(""), reference));
    };
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot be read: {error}");
        vec![Problem { path: path.display().to_string(), message, hint: "give the path of a TOML file".into() }]
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut config = load(Some(&text), &|reference| read(folder, reference))?;
    models(&mut config, folder).map_err(|message| {
        let hint = "give files written by `touchline sentiment train`".into();
        vec![Problem { path: "scoring.model".into(), message, hint }]
    })?;
    Ok(config)
}

fn models(config: &mut Config, folder: &Path) -> Result<(), String> {
    if config.scoring.models.is_empty() {
        return Ok(());
    }
    let mut files = Vec::new();
    for path in &config.scoring.models {
        let bytes = fs::read(folder.join(path)).map_err(|error| format!("{path} cannot be read: {error}"))?;
        files.push((path.clone(), bytes));
    }
    config.use_models(&files).map_err(|(path, error)| format!("{path} cannot be used: {error}"))
}

/// As [`load`], with the problems printed to standard error.
///
/// # Errors
/// The exit code of a wrong configuration.
pub(super) fn config(path: Option<&Path>) -> Result<Config, ExitCode> {
    load(path).map_err(|problems| tell(&problems))
}

/// As [`config`], without the profile it names.
///
/// # Errors
/// The exit code of a wrong configuration.
pub(super) fn config_without_profile(path: Option<&Path>) -> Result<Config, ExitCode> {
    load_by(path, Config::load_without_profile).map_err(|problems| tell(&problems))
}

#[expect(clippy::print_stderr, reason = "problems are for the person at the terminal")]
fn tell(problems: &[Problem]) -> ExitCode {
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    ExitCode::from(exit::USAGE)
}

/// Cards beside the configuration's own.
#[derive(Debug, Default, clap::Args)]
pub(super) struct CardArgs {
    /// A card (of `train`) whose chance stands among the figures, as card.OUTCOME
    #[arg(long = "card", id = "card", value_name = "CARD")]
    cards: Vec<PathBuf>,
    /// Use the card although this hash of it is another: config_hash, profile_hash
    #[arg(long, value_name = "HASH", value_delimiter = ',', value_parser = mismatch)]
    pub(super) allow: Vec<Mismatch>,
}

/// The name of a hash of a card.
///
/// # Errors
/// When it is none.
pub(super) fn mismatch(text: &str) -> Result<Mismatch, String> {
    match text {
        "config_hash" => Ok(Mismatch::ConfigHash),
        "profile_hash" => Ok(Mismatch::ProfileHash),
        _ => Err("expected config_hash or profile_hash".to_owned()),
    }
}

/// As [`config`], with more cards.
///
/// # Errors
/// The exit code of a wrong configuration or card.
pub(super) fn config_with_cards(path: Option<&Path>, args: &CardArgs) -> Result<Config, ExitCode> {
    let mut config = config(path)?;
    args.cards.iter().try_for_each(|card| add_card(&mut config, card, &args.allow))?;
    Ok(config)
}

/// Adds a card to a configuration.
///
/// # Errors
/// The exit code of a wrong card.
#[expect(clippy::print_stderr, reason = "problems are for the person at the terminal")]
pub(super) fn add_card(config: &mut Config, path: &Path, allow: &[Mismatch]) -> Result<(), ExitCode> {
    let text = fs::read_to_string(path).map_err(|error| vec![error.to_string()]);
    text.and_then(|text| config.add_card(&text, allow)).map_err(|problems| {
        problems.iter().for_each(|problem| eprintln!("{}: {problem}", path.display()));
        ExitCode::from(exit::USAGE)
    })
}

/// As [`config`], without the outcome of this name.
///
/// # Errors
/// The exit code of a wrong configuration.
pub(super) fn config_without(path: Option<&Path>, outcome: &str) -> Result<Config, ExitCode> {
    load_by(path, |text, resolve| Config::load_without_outcome(text, resolve, outcome))
        .map_err(|problems| tell(&problems))
}

fn read(folder: &Path, reference: &str) -> Result<String, String> {
    if let Some(name) = reference.strip_prefix("env:") {
        return std::env::var(name).map_err(|error| error.to_string());
    }
    let text = |path: &str| fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    match reference.strip_prefix("file:") {
        Some(path) => text(path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()),
        None => text(reference),
    }
}
