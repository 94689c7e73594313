//! `[output]`: how alerts and experience changes are written to their topics.

use super::{Problem, raw};

/// A form of alerts and experience changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// JSON.
    #[default]
    Json,
    /// Avro of a schema registry.
    Avro,
    /// CloudEvents around the JSON, binary mode.
    CloudEvents,
    /// The same in structured mode.
    CloudEventsStructured,
}

impl OutputFormat {
    /// All of them, by their names in the configuration.
    pub const NAMED: [(&str, Self); 4] = [
        ("json", Self::Json),
        ("avro", Self::Avro),
        ("cloudevents", Self::CloudEvents),
        ("cloudevents-structured", Self::CloudEventsStructured),
    ];
}

/// Checks `[output]`.
pub(super) fn format(raw: &raw::Output, problems: &mut Vec<Problem>) -> OutputFormat {
    let found = OutputFormat::NAMED.into_iter().find(|(name, _)| *name == raw.format);
    let (_, format) = found.unwrap_or_else(|| {
        let names = OutputFormat::NAMED.map(|(name, _)| name).join(", ");
        problems.push(Problem::new("output.format", "not a format", &format!("one of {names}")));
        Default::default()
    });
    format
}
