//! The sections as they are read, before they are checked. Their keys are those of `config/touchline.toml`.

use crate::model::{Micro, time::Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kafka {
    pub bootstrap_servers: String,
    pub group_id: String,
    pub group_instance_id: String,
    pub start_from: String,
    pub workers: u16,
    pub commit_interval: Span,
    pub transaction_inputs_max: usize,
    pub transaction_outputs_max: usize,
    pub transaction_bytes_max: usize,
    pub transaction_timeout: Span,
    pub doubt_after: Span,
    pub merge_wait_max: Span,
    pub idle_after: Span,
    pub idle_ticks: bool,
    pub queue_high: usize,
    pub queue_low: usize,
    pub drain_timeout: Span,
    pub restore_timeout: Span,
    pub insecure_tls: bool,
    pub properties: BTreeMap<String, Property>,
    pub consumer_properties: BTreeMap<String, Property>,
    pub producer_properties: BTreeMap<String, Property>,
}

/// A librdkafka property: TOML's numbers and flags are taken as their text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Property {
    Text(String),
    Int(i64),
    Flag(bool),
    Float(f64),
}

impl Property {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Float(number) => number.to_string(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Topics {
    pub alerts: String,
    pub experience: String,
    pub dlq: String,
    pub images: String,
    pub journal: String,
    pub repartition: String,
    pub partitions: i32,
    pub replication_factor: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipeline {
    pub record_bytes_max: usize,
    pub future_skew: Span,
    // What follows decides when a partition stops and when images are written, never an output: the canonical
    // configuration leaves it out.
    #[serde(skip_serializing, default)]
    pub dlq_consecutive_max: u64,
    #[serde(skip_serializing, default)]
    pub dlq_ratio_max: Micro,
    #[serde(skip_serializing, default)]
    pub images_per_commit: Micro,
    #[serde(skip_serializing, default)]
    pub tail_max: u64,
    #[serde(skip_serializing, default)]
    pub checkpoint_interval: Span,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scoring {
    pub brand_words: Vec<String>,
    /// Where the files are does not decide outputs.
    #[serde(default, skip_serializing)]
    pub model: Vec<String>,
    /// XXH3-64 of the model files: another model may score otherwise. Not for the user to write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_hashes: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Customer {
    pub segment_attribute: String,
    pub segments: Vec<String>,
    pub tier_attribute: String,
    pub tiers: Vec<String>,
    pub high_value_tiers: Vec<String>,
    pub junk_ids: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub listen: String,
    pub token: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registry {
    pub url: String,
    pub username: String,
    pub password: String,
    pub token: String,
    pub ca: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    pub format: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub log: String,
    pub json: bool,
}
