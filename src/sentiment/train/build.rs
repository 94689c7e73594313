//! Fitted weights to a model: rounded to whole numbers, with what the file says of their origin.

use super::regression::{CLASSES, Weights};
use super::{Labels, Options};
use crate::sentiment::features::{DENSE, ROWS};
use crate::sentiment::fixed::ONE;
use crate::sentiment::lexicon::Lexicon;
use crate::sentiment::model::{Calibration, Description, Model, OverlayDescription, Source};
use crate::sentiment::overlay::rounded_count;
use crate::sentiment::table::{Numbers, Rows, Table};
use std::collections::BTreeMap;

pub(super) fn describe(options: &Options<'_>, sets: &[Labels], licences: &[String], own: usize) -> Description {
    let below = options.base.map(|base| &base.description);
    let mut sources = below.map(|below| below.sources.clone()).unwrap_or_default();
    for (set, licence) in sets.iter().zip(licences) {
        sources.push(Source { name: set.name.clone(), texts: set.rows.len(), licence: licence.clone() });
    }
    if own > 0 {
        sources.push(Source { name: "own sentences".into(), texts: own, licence: "Apache-2.0".into() });
    }
    Description {
        version: options.version.to_owned(),
        language: options.language.to_owned(),
        seed: options.seed,
        command: options.command.to_owned(),
        sources,
        calibrations: below.map(|below| below.calibrations.clone()).unwrap_or_default(),
        weights: below.map_or_else(|| Numbers { row_unit: 0, dense: Vec::new() }, |below| below.weights.clone()),
        overlay: None,
    }
}

/// The weights of a model as the fit has them.
pub(super) fn weights_of(table: &Table) -> Weights {
    let unit = table.row_unit as f64 / f64::from(1 << 24);
    let rows =
        table.rows.iter().map(|[negative, positive]| [f64::from(*negative) * unit, 0.0, f64::from(*positive) * unit]);
    let dense = table.dense.iter().map(|[negative, positive]| [*negative as f64, 0.0, *positive as f64]);
    let dense = dense.map(|row| row.map(|weight| weight / ONE as f64));
    Weights(rows.chain(dense).collect())
}

/// A base model: its weights, and how often its texts hold each row.
pub(super) fn base(
    mut description: Description,
    lexicon: Lexicon,
    calibration: Calibration,
    weights: &Weights,
    counts: Vec<u32>,
) -> Option<Model> {
    let (numbers, rows) = quantised(weights);
    description.weights = numbers;
    description.calibrations = BTreeMap::from([(String::new(), calibration)]);
    Model::of(description, lexicon, rows, counts.into_iter().map(rounded_count).collect(), None)
}

/// What own labels add to a base.
pub(super) struct Added<'a> {
    /// The calibration's.
    pub(super) channel: &'a str,
    pub(super) calibration: Calibration,
    /// Differences to the base's.
    pub(super) weights: Weights,
    pub(super) likeness: Box<[i8]>,
    pub(super) acts: [i64; 2],
}

/// The base with what own labels add.
pub(super) fn overlaid(base: &Model, mut description: Description, added: Added<'_>) -> Option<Model> {
    let (weights, rows) = quantised(&added.weights);
    let calibrations = BTreeMap::from([(added.channel.to_owned(), added.calibration)]);
    description.overlay = Some(OverlayDescription { weights, calibrations, acts: added.acts });
    let overlay = Some((rows, added.likeness));
    Model::of(description, base.lexicon.clone(), base.table.rows.clone(), base.counts.clone(), overlay)
}

/// Weights as whole numbers, relative to those of neutral.
fn quantised(weights: &Weights) -> (Numbers, Rows) {
    let relative = |[negative, neutral, positive]: [f64; CLASSES]| [negative - neutral, positive - neutral];
    let rows: Vec<[f64; 2]> = weights.0.iter().take(ROWS).map(|row| relative(*row)).collect();
    let largest = rows.iter().flatten().fold(1e-6_f64, |largest, weight| largest.max(weight.abs()));
    #[expect(clippy::cast_possible_truncation, reason = "checked by Model::of, or -127 to 127")]
    let whole = |value: f64| value.round() as i64;
    let row_unit = whole((largest / 127.0 * f64::from(1 << 24)).ceil());
    let unit = row_unit as f64 / f64::from(1 << 24);
    let byte = |weight: f64| i8::try_from(whole(weight / unit)).unwrap_or_default();
    let dense = DENSE.iter().zip(weights.0.iter().skip(ROWS));
    let dense = dense.map(|(name, row)| ((*name).to_owned(), relative(*row).map(|weight| whole(weight * ONE as f64))));
    (Numbers { row_unit, dense: dense.collect() }, rows.into_iter().map(|row| row.map(byte)).collect())
}
