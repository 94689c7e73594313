//! `touchline schema`: the form of a configuration, for editors.

use super::exit;
use std::process::ExitCode;

/// Runs the command: prints the JSON Schema.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&crate::config::schema())?);
    Ok(ExitCode::from(exit::OK))
}
