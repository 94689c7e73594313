//! The canonical configuration: what decides outputs, as JSON with sorted keys. Its XXH3-64 is the `config_hash` of
//! alerts and journal; its text can be read back, so that a journal's tail can be replayed with the configuration it was
//! written under. No addresses and no secrets.

use super::raw;
use crate::engine::own_rules::OwnRules;
use crate::engine::settings::{Context, Items, Limits, Model, Risk, Timing};
use crate::engine::{Served, Settings};
use crate::model::{Name, hash64};
use crate::rules;
use crate::rules::card::{CardFile, CardProblem};
use crate::rules::catalogue::{Catalogue, CatalogueFile};
use crate::rules::outcome_risk::Outcome;
use crate::rules::own::OwnRule;
use crate::rules::profile::{Profile, ProfileFile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything outputs depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Canonical {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cards: BTreeMap<String, CardFile>,
    pub catalogue: CatalogueFile,
    pub context: Vec<Context>,
    pub customer: raw::Customer,
    pub engine: Timing,
    pub inputs: Vec<toml::Table>,
    pub items: Items,
    pub limits: Limits,
    pub model: Model,
    pub outcomes: Vec<Outcome>,
    pub pipeline: raw::Pipeline,
    pub profile: ProfileFile,
    pub risk: Risk,
    /// `[[rule]]`; left out where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<OwnRule>,
    pub rules: rules::Settings,
    pub scoring: raw::Scoring,
}

impl Canonical {
    /// The text; equal configurations give equal text.
    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Hashes of what the features of a card rest on, profile apart: `(configuration, profile)`. Rules, limits and outcomes
    /// may change without a card becoming another.
    pub(super) fn card_hashes(&self) -> Result<(u64, u64), serde_json::Error> {
        let Self { catalogue, customer, engine, inputs, items, model, scoring, .. } = self;
        let items = (&items.measures, &items.segments);
        let configuration = serde_json::to_vec(&(catalogue, customer, engine, inputs, items, model, scoring))?;
        Ok((hash64(&configuration), hash64(&serde_json::to_vec(&self.profile)?)))
    }

    /// The engine's settings; the problems are those of the catalogue, and of names that share a hash.
    pub(super) fn settings(&self) -> Result<Settings, Vec<(String, String)>> {
        let under = |problems: Vec<(String, String)>| {
            problems.into_iter().map(|(path, what)| (format!("catalogue.{path}"), what)).collect::<Vec<_>>()
        };
        let mut catalogue = Catalogue::new(&self.catalogue).map_err(under)?;
        let mut learn = |name: &String, path: &str| catalogue.learn(name, path).map_err(|problem| vec![problem]);
        let measures = &self.items.measures;
        let names = measures.iter().map(|measure| learn(&measure.name, "items.measures")).collect::<Result<_, _>>()?;
        let mut outcomes = Vec::with_capacity(self.outcomes.len());
        for outcome in &self.outcomes {
            outcomes.push((learn(&outcome.name, "outcome")?, outcome.clone()));
        }
        for card in self.cards.values() {
            for feature in &card.features {
                learn(&feature.name, "outcome.card")?;
                feature.categories.iter().try_for_each(|value| learn(value, "outcome.card").map(drop))?;
            }
        }
        let mut settings = Settings {
            catalogue,
            profile: Profile::new(&self.profile),
            risk: self.risk.clone(),
            items: self.items.clone(),
            measures: names,
            counted: measures.iter().map(|measure| measure.counts.as_deref().map(Name::of)).collect(),
            outcomes,
            cards: BTreeMap::new(),
            model: self.model.clone(),
            timing: self.engine.clone(),
            limits: self.limits.clone(),
            rules: self.rules.clone(),
            context: self.context.clone(),
            high_value_tiers: self.customer.high_value_tiers.iter().cloned().collect(),
            own_rules: OwnRules::default(),
        };
        for (outcome, card) in &self.cards {
            let wrong =
                |problem: &CardProblem| (format!("outcome.{outcome}.card.{}", problem.key), problem.what.clone());
            let served =
                Served::new(card, &settings).map_err(|problems| problems.iter().map(wrong).collect::<Vec<_>>())?;
            settings.cards.insert(Name::of(outcome), served);
        }
        settings.own_rules = OwnRules::new(&self.rule, &settings)?;
        Ok(settings)
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
