//! Cards as the engine serves them: [`CardFile`]s whose features were found among its columns.
//!
//! A card is read when its item changed or time alone moved something; a touchpoint of another item is not its business. It
//! reads the same columns it was trained on ([`super::features`]), so there is no second way to compute a feature.

use super::features::{Clock, Column, Features, Moment, Source, Unit};
use super::settings::Settings;
use crate::model::{Chance, FeatureValue, Micro, Name};
use crate::rules::card::{Band, CardFile, CardProblem, Reference, Scale, chance};
use crate::rules::fixed::logit;
use crate::rules::outcome_risk::Level;

/// A card, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// What it foretells.
    pub outcome: String,
    /// How its scores were distributed in training.
    pub reference: Reference,
    intercept: i64,
    parts: Vec<Part>,
    bands: Vec<Band>,
    /// The outcome's thresholds as log-odds; 0 where no outcome has this card.
    open: Micro,
    close: Micro,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    source: Source,
    unit: Unit,
    label: Name,
    scale: Scale,
}

/// What a feature adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contribution {
    /// Name of the column; none = the average case.
    pub(super) feature: Option<Name>,
    pub(super) value: Option<FeatureValue>,
    pub(super) points: Micro,
}

impl Served {
    /// Finds the card's features among the columns of these settings.
    ///
    /// # Errors
    /// Everything wrong with the card, by key.
    pub fn new(card: &CardFile, settings: &Settings) -> Result<Self, Vec<CardProblem>> {
        let features = Features::new(settings);
        let (mut problems, mut parts) = (card.problems(), Vec::new());
        for feature in &card.features {
            let key = format!("features.{}", feature.name);
            let is_same = |column: &&Column| column.name == feature.name && !column.is_figure;
            match features.columns().iter().find(is_same) {
                None => problems.push(CardProblem::new(key, "this configuration has no such feature")),
                Some(column) if column.is_protected => {
                    problems.push(CardProblem::new(key, "reads an attribute that is listed in items.protected"));
                }
                Some(column) if (column.unit == Unit::Category) != feature.edges.is_empty() && feature.bins() > 1 => {
                    problems.push(CardProblem::new(key, "is a number in one and a category in the other"));
                }
                Some(column) => parts.push(Part {
                    source: column.source,
                    unit: column.unit,
                    label: Name::of(&feature.name),
                    scale: feature.scale(),
                }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (outcome, reference) = (card.outcome.clone(), card.reference.clone());
        let thresholds = settings.outcomes.iter().find(|(_, of)| of.name == outcome);
        let (open, close) = thresholds.map(|(_, of)| (logit(of.open), logit(of.close))).unwrap_or_default();
        let (intercept, bands) = (card.intercept, card.calibration.clone());
        Ok(Self { outcome, reference, intercept, parts, bands, open, close })
    }

    /// Whether the score moves with the time since a purchase.
    pub(super) fn moves_after_purchases(&self) -> bool {
        let moves = |part: &Part| matches!(part.source, Source::Since(Clock::Purchase) | Source::RecencyRatio);
        self.parts.iter().any(moves)
    }

    /// A score against the outcome's thresholds.
    pub(super) const fn level(&self, score: Micro) -> Level {
        Level { figure: "log_odds", value: score, open: self.open, close: self.close }
    }

    /// The score of an item, in millionths of log-odds.
    pub(super) fn score(&self, moment: &Moment<'_>) -> Micro {
        let points = self.parts.iter().map(|part| part.scale.points(moment.value(part.source)));
        Micro(points.fold(self.intercept, i64::saturating_add))
    }

    /// What the score is the sum of, the average case first; parts that add nothing are left out.
    pub(super) fn contributions(&self, moment: &Moment<'_>) -> Vec<Contribution> {
        let average = Contribution { feature: None, value: None, points: Micro(self.intercept) };
        let parts = self.parts.iter().map(|part| {
            let value = moment.value(part.source);
            let points = Micro(part.scale.points(value));
            Contribution { feature: Some(part.label), value: Some(told(part.unit, value)), points }
        });
        std::iter::once(average).chain(parts.filter(|part| part.points != Micro::ZERO)).collect()
    }

    /// The chance of a score, and what share of such cases turned out bad.
    #[must_use]
    pub fn chance(&self, score: Micro) -> Chance {
        let band = self.bands.iter().rev().find(|band| band.from <= score.0).or(self.bands.first());
        Chance { probability: chance(score.0), calibrated: band.map(|band| (Micro(band.low), Micro(band.high))) }
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let parts: usize =
            self.parts.iter().map(|part| size_of::<Part>() - size_of::<Scale>() + part.scale.bytes()).sum();
        let reference = &self.reference;
        size_of::<Self>()
            + parts
            + size_of_val(&*self.bands)
            + size_of_val(&*reference.edges)
            + size_of_val(&*reference.readings)
    }
}

fn told(unit: Unit, value: Option<i64>) -> FeatureValue {
    let Some(value) = value else { return FeatureValue::Missing };
    match unit {
        Unit::Count => FeatureValue::Count(value),
        Unit::Ms => FeatureValue::Ms(value),
        Unit::Micro => FeatureValue::Number(Micro(value)),
        Unit::Category => FeatureValue::Category(Name(u32::try_from(value).unwrap_or_default())),
    }
}
