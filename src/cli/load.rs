//! Reading a configuration from a file: the one place that gives `config` its files and environment.

use super::exit;
use crate::config::{Config, Problem, Resolve};
use std::fs;
use std::path::Path;
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
