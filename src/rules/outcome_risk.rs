//! `outcome_risk`: the risk of a configured outcome of an item crosses its threshold.
//!
//! The risk is a sum of terms (`engine::pressure`), chosen per `[[outcome]]`: how far a promise is used up or overdue,
//! how unusual a wait is, how large the item, how the customer feels, how long since the last purchase. Nothing is
//! trained. Ends below the closing threshold, or when the item closes. An outcome may raise `churn_risk` instead.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words};
use crate::model::{ItemType, Micro, Severity, TermKind};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::OutcomeRisk,
    name: "outcome_risk",
    version: 1,
    summary: "the risk of a configured outcome crossed its threshold",
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Name in alerts.
    pub name: String,
    /// The alert it raises.
    #[serde(default)]
    pub kind: OutcomeKind,
    /// Terms of the risk, each at most once.
    pub terms: Vec<TermKind>,
    /// Types of items it is about; empty = all.
    #[serde(default)]
    pub items: Vec<ItemType>,
    /// Opens at a risk of at least this.
    pub open: Micro,
    /// Ends at a risk below this.
    pub close: Micro,
    /// Severity; that of the rule when absent.
    #[serde(default)]
    pub severity: Option<Severity>,
}

impl Outcome {
    /// Whether it is about items of this type.
    #[must_use]
    pub fn is_about(&self, item_type: ItemType) -> bool {
        self.items.is_empty() || self.items.contains(&item_type)
    }
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &Lifecycle, outcome: &Outcome, risk: Micro) -> Reading {
    let verdict = match () {
        () if risk >= outcome.open => Verdict::Open(outcome.severity.unwrap_or(settings.severity)),
        () if risk < outcome.close => Verdict::Close("risk_fell"),
        () => Verdict::Hold,
    };
    Reading { verdict, figure: "risk", before: None, after: risk, threshold: outcome.open }
}
