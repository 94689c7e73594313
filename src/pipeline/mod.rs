//! decode → score → apply → encode, for one partition. Pure: `run`, `replay`, `demo`, tests and benchmarks drive the
//! same [`Partition`]; they differ only in where records come from and where [`Staged`] goes.
//!
//! Life of a transaction: `record`* / `idle` → `stage` → (the shell writes `Staged` and commits) → `commit`, or
//! `rollback` when it aborted.

mod about;
mod changes;
mod forward;
mod limits;
pub mod merge;
mod murmur;
mod observed;
mod partition;
mod reads;
mod score;
mod staged;

use crate::codec::encode::{Format, Vocabulary};
use crate::codec::{self, Code, RawRecord, Rejection};
use crate::engine;
use crate::journal::{Identity, ImagePolicy, SettingsOf};
use crate::model::time::Span;
use crate::model::{Name, Touchpoint, hash64};
use crate::sentiment::Scorer;
use std::sync::Arc;

pub use crate::journal::ImagesDue;
pub use about::{due_moments, item_id, segment_texts};
pub use forward::{Forwarded, Origin};
pub use murmur::partition_of;
pub use observed::{Observed, ObservedAlert};
pub use partition::{Fate, Partition};
pub use reads::{Place, RepartitionTopic};
pub use staged::{DeadLetter, Keyed, Pending, Staged};

/// What every partition of a run shares. Built by `config`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The inputs.
    pub inputs: Vec<codec::Input>,
    /// Source index (topic or file) → (its name, index into `inputs`).
    pub sources: Vec<(String, usize)>,
    /// Settings of the engine.
    pub settings: Arc<engine::Settings>,
    /// How touchpoints are scored.
    pub scoring: Scoring,
    /// Scores text.
    pub scorer: Arc<Scorer>,
    /// The canonical configuration (what decides outputs; no addresses, no secrets).
    pub configuration: Arc<str>,
    /// Its XXH3-64.
    pub config_hash: u64,
    /// Reads the settings back out of a canonical configuration.
    pub settings_of: SettingsOf,
    /// Bounds of this stage.
    pub bounds: Bounds,
    /// How alerts and experience changes are written; decides nothing of what they say.
    pub output: Format,
    /// Number of partitions of every topic of ours: for the key check; 0 = not checked (files).
    pub partitions: i32,
    /// Where records go on to the partition of their customer; none where all inputs forbid it, and for files.
    pub repartition: Option<RepartitionTopic>,
}

impl Plan {
    /// Decodes a record by the input of its source.
    ///
    /// # Errors
    /// A rejection: too large, or what the codec says.
    pub fn decode<'a>(&'a self, raw: &RawRecord<'a>) -> Result<Touchpoint<'a>, Rejection> {
        let source = self.sources.get(usize::from(raw.position.source));
        let Some(input) = source.and_then(|(_, input)| self.inputs.get(*input)) else {
            let detail = "a source that the configuration does not name".to_owned();
            return Err(Rejection { code: Code::Unmapped, detail });
        };
        if raw.value.is_some_and(|value| value.len() > self.bounds.record_bytes_max) {
            let detail = format!("more than {} bytes", self.bounds.record_bytes_max);
            return Err(Rejection { code: Code::TooLarge, detail });
        }
        codec::decode(input, raw)
    }

    /// The schema that a record of a source was written with, where its decoding needs that.
    #[must_use]
    pub fn schema_id(&self, source: usize, value: Option<&[u8]>) -> Option<u32> {
        let (_, input) = self.sources.get(source)?;
        self.inputs.get(*input)?.schema_id(value)
    }

    /// What replays journal records of these sources that were written under another canonical configuration. It decodes
    /// nothing.
    ///
    /// # Errors
    /// When this version does not read that configuration.
    pub fn under(&self, canonical: &str, sources: impl Iterator<Item = String>) -> Result<Self, String> {
        Ok(Self {
            inputs: Vec::new(),
            sources: sources.map(|source| (source, 0)).collect(),
            settings: Arc::new((self.settings_of)(canonical)?),
            scoring: self.scoring.clone(),
            scorer: Arc::clone(&self.scorer),
            configuration: canonical.into(),
            config_hash: hash64(canonical.as_bytes()),
            repartition: None,
            output: self.output.clone(),
            ..*self
        })
    }

    fn identity(&self, partition: i32) -> Identity {
        let sources = self.source_names(partition);
        let configuration = Arc::clone(&self.configuration);
        Identity { partition, sources, config_hash: self.config_hash, configuration }
    }

    const fn image_policy(&self) -> ImagePolicy {
        let Bounds { images_per_commit: per_touchpoint, tail_max, checkpoint_interval, .. } = self.bounds;
        ImagePolicy { per_touchpoint, tail_max, checkpoint_interval }
    }

    /// The partition, of so many, where a record's customer lives. The key decides only where the mapping takes the id from
    /// it: a topic keyed by anything else would spread a customer over engines.
    #[must_use]
    pub fn home(&self, raw: &RawRecord<'_>, touchpoint: &Touchpoint<'_>, partitions: i32) -> i32 {
        let source = self.sources.get(usize::from(raw.position.source));
        let input = source.and_then(|(_, input)| self.inputs.get(*input));
        let key = raw.key.filter(|_| input.is_some_and(codec::Input::takes_id_from_key));
        partition_of(key.unwrap_or(touchpoint.customer_id.as_bytes()), partitions)
    }
}

/// What the numbers in outputs stand for.
impl Vocabulary for Plan {
    fn name(&self, name: Name) -> &str {
        self.settings.catalogue.text(name)
    }

    fn source(&self, source: u16) -> &str {
        self.topic(usize::from(source))
    }

    fn reads_files(&self) -> bool {
        self.partitions == 0
    }

    fn context(&self, index: u8) -> &str {
        self.settings.context.get(usize::from(index)).map_or("", |context| context.name.as_str())
    }

    fn config_hash(&self) -> u64 {
        self.config_hash
    }
}

/// Limits and spans of the pipeline, from `[pipeline]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Largest payload in bytes; larger ones go to the DLQ as `too_large`.
    pub record_bytes_max: usize,
    /// Event times further ahead of the record's append time than this are clamped and counted.
    pub future_skew: Span,
    /// Rejected records in a row that stop the partition.
    pub dlq_consecutive_max: u64,
    /// Share of rejected records (in millionths, over the last 10,000) that stops the partition.
    pub dlq_ratio_max: crate::model::Micro,
    /// Share of a transaction's touchpoints for which a due image is written (millionths).
    pub images_per_commit: crate::model::Micro,
    /// Journalled touchpoints without an image beyond which all due images are written.
    pub tail_max: u64,
    /// Stream or clock time after which all dirty images are written at low load.
    pub checkpoint_interval: Span,
}

/// `[scoring]` and `[customer]`: everything the scoring stage reads besides the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Scoring {
    /// Attribute (or top-level field) that names the segment, and its allowed values.
    pub segment: Option<(String, Vec<String>)>,
    /// The same for the tier.
    pub tier: Option<(String, Vec<String>)>,
    /// Masked in text before scoring (brand handles, product names), lower case.
    pub brand_words: Vec<String>,
    /// Paths of the model files that text is to be scored by; the caller of `config` reads them.
    pub models: Vec<String>,
}

#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod tests;
