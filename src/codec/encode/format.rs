//! How alerts and experience changes are written to their topics. `replay` and `explain` always write JSON: what a topic
//! holds is the same fields in another form, and nothing of ours reads it back.

use super::avro::{self, Registered};
use super::event::Event;
use super::record::{AlertRecord, ExperienceRecord};
use super::{Vocabulary, alert, experience};
use crate::model::{AlertChange, ExperienceChange};
use std::sync::Arc;

/// A value and its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The value.
    pub value: Vec<u8>,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
}

/// A form of alerts and experience changes.
#[derive(Debug, Clone, Default)]
pub enum Format {
    /// As in `schemas/alert.json` and `schemas/experience.json`.
    #[default]
    Json,
    /// As in `schemas/alert.avsc` and `schemas/experience.avsc`.
    Avro(Arc<Schemas>),
    /// CloudEvents around the JSON.
    CloudEvents {
        /// The attribute `source` of every event.
        source: Arc<str>,
        /// One JSON object with the attributes in it, instead of headers.
        is_structured: bool,
    },
}

/// Our schemas with their ids.
#[derive(Debug)]
pub struct Schemas {
    alert: Registered,
    experience: Registered,
}

impl Schemas {
    /// The schemas of alerts and experience changes under the ids that the registry gave them.
    ///
    /// # Errors
    /// Never for the shipped schemas.
    pub fn new(alert: u32, experience: u32) -> Result<Self, String> {
        Ok(Self {
            alert: Registered::new(alert, avro::ALERT)?,
            experience: Registered::new(experience, avro::EXPERIENCE)?,
        })
    }
}

impl Format {
    /// An alert change in this form. `scratch` is made use of, so that the value is allocated once and to size.
    #[must_use]
    pub fn alert(&self, change: &AlertChange, words: &dyn Vocabulary, scratch: &mut Vec<u8>) -> Message {
        scratch.clear();
        match self {
            Self::Avro(schemas) => {
                written(schemas.alert.write(&AlertRecord::<avro::Decimal>::of(change, words), scratch))
            }
            Self::Json | Self::CloudEvents { .. } => written(alert(change, words, scratch)),
        }
        self.message(scratch, |source| Event::of_alert(source, change))
    }

    /// An experience change in this form.
    #[must_use]
    pub fn experience(&self, change: &ExperienceChange, words: &dyn Vocabulary, scratch: &mut Vec<u8>) -> Message {
        scratch.clear();
        match self {
            Self::Avro(schemas) => {
                written(schemas.experience.write(&ExperienceRecord::<avro::Decimal>::of(change, words), scratch));
            }
            Self::Json | Self::CloudEvents { .. } => written(experience(change, words, scratch)),
        }
        self.message(scratch, |source| Event::of_experience(source, change, scratch))
    }

    fn message<'a>(&'a self, value: &[u8], event: impl FnOnce(&'a str) -> Event<'a>) -> Message {
        match self {
            Self::Json | Self::Avro(_) => Message { value: value.to_vec(), headers: Vec::new() },
            Self::CloudEvents { source, is_structured: false } => event(source).binary(value),
            Self::CloudEvents { source, is_structured: true } => written(event(source).structured(value)),
        }
    }
}

#[expect(clippy::expect_used, reason = "plain structs into memory: there is nothing that can fail")]
fn written<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("a change has every form")
}
