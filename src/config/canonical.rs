//! The canonical configuration: what decides outputs, as JSON with sorted keys. Its XXH3-64 is the `config_hash` of
//! alerts and journal; its text can be read back, so that a journal's tail can be replayed with the configuration it was
//! written under (nothing stores it yet: see the departures in ARCHITECTURE.md). No addresses and no secrets.

use super::raw;
use crate::engine::Settings;
use crate::engine::settings::{Context, Limits, Model, Timing};
use crate::rules;
use crate::rules::catalogue::{Catalogue, CatalogueFile};
use serde::{Deserialize, Serialize};

/// Everything outputs depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Canonical {
    pub catalogue: CatalogueFile,
    pub context: Vec<Context>,
    pub customer: raw::Customer,
    pub engine: Timing,
    pub inputs: Vec<toml::Table>,
    pub limits: Limits,
    pub model: Model,
    pub pipeline: raw::Pipeline,
    pub rules: rules::Settings,
    pub scoring: raw::Scoring,
}

impl Canonical {
    /// The text; equal configurations give equal text.
    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The engine's settings; the problems are those of the catalogue.
    pub(super) fn settings(&self) -> Result<Settings, Vec<(String, String)>> {
        Ok(Settings {
            catalogue: Catalogue::new(&self.catalogue)?,
            model: self.model.clone(),
            timing: self.engine.clone(),
            limits: self.limits.clone(),
            rules: self.rules.clone(),
            context: self.context.clone(),
            high_value_tiers: self.customer.high_value_tiers.iter().cloned().collect(),
        })
    }
}

/// The engine's settings of a canonical configuration, as it was stored.
///
/// # Errors
/// When the text is not one of this version's.
pub fn settings_of(canonical: &str) -> Result<Settings, String> {
    let parsed: Canonical = serde_json::from_str(canonical).map_err(|error| error.to_string())?;
    parsed.settings().map_err(|problems| problems.into_iter().map(|(path, what)| format!("{path}: {what}")).collect())
}
