//! `touchline schema`: the forms of what is read and written, for editors, generators and catalogues.

use super::exit;
use crate::codec::encode;
use clap::builder::PossibleValuesParser;
use std::process::ExitCode;

/// Every form but that of configurations, which follows from the defaults.
const FORMS: [(&str, &str); 8] = [
    ("asyncapi", include_str!("../../schemas/asyncapi.json")),
    ("touchpoint", include_str!("../../schemas/touchpoint.json")),
    ("touchpoint-avro", include_str!("../../schemas/touchpoint.avsc")),
    ("alert", include_str!("../../schemas/alert.json")),
    ("alert-avro", encode::ALERT),
    ("experience", include_str!("../../schemas/experience.json")),
    ("experience-avro", encode::EXPERIENCE),
    ("dead-letter-headers", include_str!("../../schemas/dead-letter-headers.json")),
];

/// Arguments of `touchline schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose: of a configuration, of all topics (AsyncAPI 3), or of one sort of record
    #[arg(value_name = "NAME", default_value = "config", value_parser = names())]
    name: String,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(["config"].into_iter().chain(FORMS.map(|(name, _)| name)))
}

/// Runs the command: prints the schema.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match FORMS.iter().find(|(name, _)| *name == args.name) {
        Some((_, form)) => print!("{form}"),
        None => println!("{}", serde_json::to_string_pretty(&crate::config::schema())?),
    }
    Ok(ExitCode::from(exit::OK))
}
