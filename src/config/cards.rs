//! Cards of outcomes: read, checked, and held against the configuration they were trained with.

use super::Problem;
use super::Resolve;
use crate::rules::card::CardFile;
use crate::rules::card::VERSION;
use crate::rules::outcome_risk::{Mismatch, Outcome};
use std::collections::BTreeMap;
use toml::Table;

/// Reads a card.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<CardFile, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| format!("not TOML: {}", error.message()))?;
    let version = table.get("version").and_then(toml::Value::as_integer);
    if version != Some(VERSION.into()) {
        let version = version.map_or_else(|| "missing".to_owned(), |version| version.to_string());
        return Err(format!("version: {version}; this program reads version {VERSION}"));
    }
    table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Reads the cards that outcomes name, by outcome. The outcome then names its place among them, not the file.
pub(super) fn read(
    outcomes: &mut [Outcome],
    resolve: Resolve<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, CardFile> {
    let mut cards = BTreeMap::new();
    for (at, outcome) in outcomes.iter_mut().enumerate() {
        let Some(path) = outcome.card.replace(outcome.name.clone()) else {
            outcome.card = None;
            continue;
        };
        match resolve(&path).and_then(|text| parse(&text)) {
            Ok(card) => drop(cards.insert(outcome.name.clone(), card)),
            Err(error) => {
                let message = format!("cannot use {path}: {error}");
                problems.push(Problem::new(&format!("outcome[{at}].card"), &message, "make it with `touchline train`"));
            }
        }
    }
    cards
}

/// What differs between the configuration a card was trained with and this one, unless it is allowed to.
pub(super) fn mismatches(card: &CardFile, hashes: (u64, u64), allow: &[Mismatch]) -> Vec<(&'static str, String)> {
    let (config_hash, profile_hash) = hashes;
    let sides = [
        (Mismatch::ConfigHash, "config_hash", &card.config_hash, config_hash, "catalogue, items, inputs or model"),
        (Mismatch::ProfileHash, "profile_hash", &card.profile_hash, profile_hash, "profile of usual waits"),
    ];
    let differs = sides
        .into_iter()
        .filter(|(mismatch, _, own, here, _)| **own != format!("{here:016x}") && !allow.contains(mismatch));
    differs
        .map(|(_, key, own, here, what)| {
            (key, format!("the card was trained with another {what} ({own}, here {here:016x}): its features may mean something else"))
        })
        .collect()
}
