//! A card: an additive score of one outcome, learned from labels, in whole numbers that people can read.
//!
//! ```text
//! z = intercept + Σ points(feature)      in millionths of log-odds, exactly; the chance is 1 / (1 + e^−z)
//! ```
//! A feature's bins have points against the average case of the training rows. Made by `touchline train`, served by the
//! engine. Additive on purpose: it foretells as well as boosted trees on the same features, and every point of an alert
//! can be shown. Missing is a bin of its own. Everything that a card rests on is in it: the hashes of configuration and
//! profile, how its chances came true, how its scores were distributed.

use super::fixed::logistic;
use crate::model::{Micro, Name};
use serde::{Deserialize, Serialize};

/// Version of the file's form.
pub const VERSION: u32 = 1;
/// Points beyond this (log-odds of 20: one in 500 million) are no weight of evidence.
const POINTS_MAX: i64 = 20_000_000;
/// Bins of a feature, at most.
pub const BINS_MAX: usize = 250;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardFile {
    /// [`VERSION`].
    pub version: u32,
    /// What it foretells.
    pub outcome: String,
    /// Hash of what its features rest on in the configuration, 16 hex digits.
    pub config_hash: String,
    /// Hash of the profile of usual waits, 16 hex digits.
    pub profile_hash: String,
    /// Rows it was trained on …
    pub rows: u64,
    /// … of them bad …
    pub bad: u64,
    /// … and of so many customers.
    pub customers: u64,
    /// z of the average case, in millionths of log-odds.
    pub intercept: i64,
    /// How its chances came true for customers it was not trained on, lowest first.
    #[serde(default)]
    pub calibration: Vec<Band>,
    /// Where to open for so many alerts, in the history it was trained on.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// How its scores were distributed when it was served on that history.
    #[serde(default)]
    pub reference: Reference,
    /// What it adds up.
    pub features: Vec<Feature>,
}

/// Rows with neighbouring scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// From this z on, to the next band's.
    pub from: i64,
    /// Mean chance that was told, in millionths.
    pub predicted: i64,
    /// Rows …
    pub rows: u64,
    /// … that turned out bad.
    pub bad: u64,
    /// 95 % interval of that share, in millionths …
    pub low: i64,
    /// … its upper end.
    pub high: i64,
}

/// A number of alerts, and what to set `open` to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Alerts wanted on the labelled items.
    pub alerts: u64,
    /// Chance to open at, in millionths.
    pub open: i64,
    /// Of them right.
    pub right: u64,
}

/// Scores as served: counts between edges. Drift is measured against it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// z; bucket 0 lies below the first, the last bucket from the last one on.
    pub edges: Vec<i64>,
    /// Readings in each bucket: one more than edges.
    pub readings: Vec<u64>,
}

impl Reference {
    /// The bucket of a score.
    #[must_use]
    pub fn bucket(&self, z: i64) -> usize {
        self.edges.partition_point(|edge| *edge <= z)
    }
}

/// A feature and its points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Name of the column, such as `p.delivery.overdue`.
    pub name: String,
    /// Of a number: ascending, in the column's unit; bin 0 lies below the first, the last from the last one on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<i64>,
    /// Of a category: the values that have points of their own; the last points are those of all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Points by bin: one more than edges or categories.
    pub points: Vec<i64>,
    /// Points when it is missing; 0, the average, when it never was in training.
    pub missing: i64,
}

/// What is wrong with a card: key and reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct CardProblem {
    /// Where in the file.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl CardProblem {
    /// A problem.
    #[must_use]
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

impl CardFile {
    /// Everything that is wrong with it by itself; empty = it can be served.
    #[must_use]
    pub fn problems(&self) -> Vec<CardProblem> {
        let mut problems = Vec::new();
        let mut problem = |key: String, what: &str| problems.push(CardProblem::new(key, what));
        if self.version != VERSION {
            problem("version".into(), &format!("{} is not known to this program, which reads {VERSION}", self.version));
        }
        if self.outcome.is_empty() {
            problem("outcome".into(), "is empty");
        }
        if self.intercept.abs() > POINTS_MAX {
            problem("intercept".into(), "is absurd: beyond 20,000,000 millionths");
        }
        if self.features.is_empty() {
            problem("features".into(), "is empty: nothing would be added up");
        }
        for (at, feature) in self.features.iter().enumerate() {
            let Feature { name, edges, categories, points, missing } = feature;
            let key = |part: &str| format!("features.{name}.{part}");
            if self.features.iter().take(at).any(|other| other.name == *name) {
                problem(key("name"), "is there twice");
            }
            if !edges.is_empty() && !categories.is_empty() {
                problem(key("edges"), "stand beside categories: a feature is a number or a category");
            }
            if !edges.is_sorted_by(|a, b| a < b) {
                problem(key("edges"), "are not ascending");
            }
            if points.len() != edges.len() + categories.len() + 1 || points.len() > BINS_MAX {
                problem(key("points"), "must be one more than edges or categories, and at most 250");
            }
            if points.iter().chain([missing]).any(|points| !(-POINTS_MAX..=POINTS_MAX).contains(points)) {
                problem(key("points"), "are absurd: beyond 20,000,000 millionths");
            }
        }
        if !self.calibration.is_sorted_by(|a, b| a.from < b.from) {
            problem("calibration".into(), "bands are not ascending");
        }
        let Reference { edges, readings } = &self.reference;
        let has_buckets = edges.is_empty() && readings.is_empty() || readings.len() == edges.len() + 1;
        if !edges.is_sorted_by(|a, b| a < b) || !has_buckets || readings.len() > BINS_MAX {
            problem("reference".into(), "needs ascending edges, and one bucket more than edges");
        }
        problems
    }

    /// How a chance of this height came true; none in a card without calibration.
    #[must_use]
    pub fn band(&self, z: i64) -> Option<&Band> {
        self.calibration.iter().rev().find(|band| band.from <= z).or(self.calibration.first())
    }

    /// The chance to open at that gives at most so many alerts; the nearest there is.
    #[must_use]
    pub fn threshold(&self) -> Option<Micro> {
        self.thresholds.first().map(|threshold| Micro(threshold.open))
    }
}

impl Feature {
    /// The number of bins besides that of what is missing.
    #[must_use]
    pub const fn bins(&self) -> usize {
        self.edges.len() + self.categories.len() + 1
    }

    /// The feature ready to be asked.
    #[must_use]
    pub fn scale(&self) -> Scale {
        let last = self.points.last().copied().unwrap_or_default();
        if self.categories.is_empty() {
            return Scale {
                edges: self.edges.clone(),
                points: self.points.clone(),
                missing: self.missing,
                others: None,
            };
        }
        let of = |(value, points): (&String, &i64)| (i64::from(Name::of(value).0), *points);
        let mut pairs: Vec<(i64, i64)> = self.categories.iter().zip(&self.points).map(of).collect();
        pairs.sort_unstable();
        let (edges, points) = pairs.into_iter().unzip();
        Scale { edges, points, missing: self.missing, others: Some(last) }
    }
}

/// A feature's points, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Edges; or the values of a category, sorted.
    edges: Vec<i64>,
    points: Vec<i64>,
    missing: i64,
    /// Of a category: the points of values that have none of their own.
    others: Option<i64>,
}

impl Scale {
    /// The points of a value.
    #[must_use]
    pub fn points(&self, value: Option<i64>) -> i64 {
        let Some(value) = value else { return self.missing };
        match self.others {
            None => self.points.get(self.edges.partition_point(|edge| *edge <= value)).copied().unwrap_or_default(),
            Some(others) => {
                let known = self.edges.binary_search(&value).ok();
                known.and_then(|at| self.points.get(at)).copied().unwrap_or(others)
            }
        }
    }

    /// Bytes it takes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<Self>() + (self.edges.len() + self.points.len()) * size_of::<i64>()
    }
}

/// The chance of a score.
#[must_use]
pub fn chance(z: i64) -> Micro {
    logistic(Micro(z))
}
