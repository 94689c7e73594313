//! Model → bytes: alerts and experience changes as JSON, Avro or CloudEvents, the headers of dead letters. Keys come in the
//! order of the schemas and numbers as exact decimals, so the same change is the same bytes everywhere.

mod avro;
mod event;
mod format;
mod record;

use super::{RETRIES, RawRecord, Rejection};
use crate::model::{AlertChange, ExperienceChange, Name};
use record::{AlertRecord, Decimal, ExperienceRecord};

pub use avro::{ALERT, EXPERIENCE};
pub use format::{Format, Message, Schemas};

/// What the numbers in outputs stand for. Implemented by whoever owns the catalogue and the list of sources.
pub trait Vocabulary {
    /// The text of a kind or stage.
    fn name(&self, name: Name) -> &str;
    /// The topic or file of [`crate::model::Position::source`].
    fn source(&self, source: u16) -> &str;
    /// True when sources are files: positions are then file and line.
    fn reads_files(&self) -> bool;
    /// The name of a context attribute.
    fn context(&self, index: u8) -> &str;
    /// Hash of the configuration.
    fn config_hash(&self) -> u64;
}

/// Appends an alert change, as in `schemas/alert.json`.
///
/// # Errors
/// Never for changes of the engine; the signature is the serializer's.
pub fn alert(change: &AlertChange, words: &dyn Vocabulary, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(out, &AlertRecord::<Decimal>::of(change, words))
}

/// Appends an experience change, as in `schemas/experience.json`.
///
/// # Errors
/// Never for changes of the engine; the signature is the serializer's.
pub fn experience(
    change: &ExperienceChange,
    words: &dyn Vocabulary,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    serde_json::to_writer(out, &ExperienceRecord::<Decimal>::of(change, words))
}

/// Headers of a dead letter: reason and origin, never anything of the payload. `source` is the topic or file.
#[must_use]
pub fn dead_letter_headers(record: &RawRecord<'_>, rejection: &Rejection, source: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("touchline.reason", rejection.code.as_str().to_owned()),
        ("touchline.detail", rejection.detail.clone()),
        ("touchline.stage", "decode".to_owned()),
        ("touchline.topic", source.to_owned()),
        ("touchline.partition", record.position.partition.to_string()),
        ("touchline.offset", record.position.offset.to_string()),
        ("touchline.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    headers.extend(record.recorded_at.map(|at| ("touchline.timestamp", at.0.to_string())));
    headers.extend((record.retries > 0).then(|| (RETRIES, record.retries.to_string())));
    headers
}

#[cfg(test)]
mod tests;
