//! `outcome_risk`: the risk of a configured outcome of an item crosses its threshold.
//!
//! The risk is a sum of terms (`engine::pressure`), chosen per `[[outcome]]`: how far a promise is used up or overdue,
//! how unusual a wait is, how large the item, how the customer feels, how long since the last purchase. Nothing is
//! trained. Or it is the log-odds of a card ([`super::card`]), learned from labels; its thresholds are chances. Ends below the
//! closing threshold, or when the item closes. An outcome may raise `churn_risk` instead.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words};
use crate::model::{ItemType, Micro, Severity, TermKind};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::OutcomeRisk,
    name: "outcome_risk",
    version: 1,
    summary: "an outcome to foresee has become likely",
};

/// `[rules.outcome_risk]`. Severity and thresholds are those of the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRisk {
    /// Times; the severity is the outcome's, where it names one.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

impl OutcomeRisk {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: "the risk of an outcome of this kind reaches its `open`".to_owned(),
            closes: "the risk falls below the outcome's `close`, or the item is closed".to_owned(),
        }
    }
}

/// The alert an outcome raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// `outcome_risk`.
    #[default]
    OutcomeRisk,
    /// `churn_risk`.
    ChurnRisk,
}

/// `[[outcome]]`: what the business wants to foresee, and which terms foretell it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Name in alerts.
    pub name: String,
    /// The alert it raises.
    #[serde(default)]
    pub kind: OutcomeKind,
    /// Terms of the risk, each at most once.
    #[serde(default)]
    pub terms: Vec<TermKind>,
    /// Instead of terms: the file of a card (`touchline train`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Hashes of the card that need not be those of the configuration and profile it is served with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Mismatch>,
    /// Types of items it is about; empty = all.
    #[serde(default)]
    pub items: Vec<ItemType>,
    /// Opens at a risk of at least this; of a card, at a chance.
    pub open: Micro,
    /// Ends at a risk (of a card, a chance) below this.
    pub close: Micro,
    /// Severity; that of the rule when absent.
    #[serde(default)]
    pub severity: Option<Severity>,
}

/// A hash of a card that may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// `config_hash`.
    ConfigHash,
    /// `profile_hash`.
    ProfileHash,
}

/// How likely the outcome is held, and what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// `risk`, or `log_odds` of a card.
    pub figure: &'static str,
    /// The figure.
    pub value: Micro,
    /// Opens at.
    pub open: Micro,
    /// Ends below.
    pub close: Micro,
}

impl Outcome {
    /// A declared risk, against the outcome's own thresholds.
    #[must_use]
    pub const fn level(&self, risk: Micro) -> Level {
        Level { figure: "risk", value: risk, open: self.open, close: self.close }
    }

    /// Whether it is about items of this type.
    #[must_use]
    pub fn is_about(&self, item_type: ItemType) -> bool {
        self.items.is_empty() || self.items.contains(&item_type)
    }
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &Lifecycle, outcome: &Outcome, level: &Level) -> Reading {
    let Level { figure, value, open, close } = *level;
    let verdict = match () {
        () if value >= open => Verdict::Open(outcome.severity.unwrap_or(settings.severity)),
        () if value < close => Verdict::Close("risk_fell"),
        () => Verdict::Hold,
    };
    Reading { verdict, figure, before: None, after: value, threshold: open }
}
