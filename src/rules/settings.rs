//! `[rules.<kind>]`: what every rule has, and all rules' settings together. Read from TOML as they stand; the defaults
//! are in `config/touchline.toml`.

use super::{Kind, Words};
use super::{advocate, churn_risk, conversation_declining, detractor, double_deviation, expectation_gap};
use super::{frustration_burst, high_effort, indirect_negative, journey_stalled, outcome_risk, promise_overdue};
use super::{recovery_confirmed, repeat_contact, sentiment_drop, service_failure, silent_after_bad, sla_breach};
use crate::model::{Severity, time::Span};
use serde::{Deserialize, Serialize};

/// Severity and times of a rule. Flattened into each rule's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// Off = the rule is not read.
    pub enabled: bool,
    /// Severity when it opens, before it is raised.
    pub severity: Severity,
    /// The condition must hold this long before the alert opens.
    #[serde(rename = "for")]
    pub hold: Span,
    /// The closing condition must hold this long before the alert is resolved.
    pub keep_firing_for: Span,
    /// After it ended, the same alert stays quiet for this long.
    pub cooldown: Span,
    /// Resolved as `expired` after this long; `0ms` = never.
    pub max_open: Span,
    /// Text or code for whoever gets the alert.
    #[serde(default)]
    pub suggested_action: Option<String>,
}

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `[rules.sentiment_drop]`.
    pub sentiment_drop: sentiment_drop::SentimentDrop,
    /// `[rules.expectation_gap]`.
    pub expectation_gap: expectation_gap::ExpectationGap,
    /// `[rules.detractor]`.
    pub detractor: detractor::Detractor,
    /// `[rules.service_failure]`.
    pub service_failure: service_failure::ServiceFailure,
    /// `[rules.double_deviation]`.
    pub double_deviation: double_deviation::DoubleDeviation,
    /// `[rules.recovery_confirmed]`.
    pub recovery_confirmed: recovery_confirmed::RecoveryConfirmed,
    /// `[rules.journey_stalled]`.
    pub journey_stalled: journey_stalled::JourneyStalled,
    /// `[rules.silent_after_bad]`.
    pub silent_after_bad: silent_after_bad::SilentAfterBad,
    /// `[rules.conversation_declining]`.
    pub conversation_declining: conversation_declining::ConversationDeclining,
    /// `[rules.frustration_burst]`.
    pub frustration_burst: frustration_burst::FrustrationBurst,
    /// `[rules.high_effort]`.
    pub high_effort: high_effort::HighEffort,
    /// `[rules.repeat_contact]`.
    pub repeat_contact: repeat_contact::RepeatContact,
    /// `[rules.sla_breach]`.
    pub sla_breach: sla_breach::SlaBreach,
    /// `[rules.advocate]`.
    pub advocate: advocate::Advocate,
    /// `[rules.indirect_negative]`.
    pub indirect_negative: indirect_negative::IndirectNegative,
    /// `[rules.promise_overdue]`.
    pub promise_overdue: promise_overdue::PromiseOverdue,
    /// `[rules.outcome_risk]`.
    pub outcome_risk: outcome_risk::OutcomeRisk,
    /// `[rules.churn_risk]`.
    pub churn_risk: churn_risk::ChurnRisk,
}

impl Settings {
    /// Severity and times of a built-in rule.
    #[must_use]
    pub const fn lifecycle(&self, kind: Kind) -> Option<&Lifecycle> {
        Some(match kind {
            Kind::SentimentDrop => &self.sentiment_drop.lifecycle,
            Kind::ExpectationGap => &self.expectation_gap.lifecycle,
            Kind::Detractor => &self.detractor.lifecycle,
            Kind::ServiceFailure => &self.service_failure.lifecycle,
            Kind::DoubleDeviation => &self.double_deviation.lifecycle,
            Kind::RecoveryConfirmed => &self.recovery_confirmed.lifecycle,
            Kind::JourneyStalled => &self.journey_stalled.lifecycle,
            Kind::SilentAfterBad => &self.silent_after_bad.lifecycle,
            Kind::ConversationDeclining => &self.conversation_declining.lifecycle,
            Kind::FrustrationBurst => &self.frustration_burst.lifecycle,
            Kind::HighEffort => &self.high_effort.lifecycle,
            Kind::RepeatContact => &self.repeat_contact.lifecycle,
            Kind::SlaBreach => &self.sla_breach.lifecycle,
            Kind::Advocate => &self.advocate.lifecycle,
            Kind::IndirectNegative => &self.indirect_negative.lifecycle,
            Kind::PromiseOverdue => &self.promise_overdue.lifecycle,
            Kind::OutcomeRisk => &self.outcome_risk.lifecycle,
            Kind::ChurnRisk => &self.churn_risk.lifecycle,
            Kind::Own => return None,
        })
    }

    /// When a built-in rule opens and closes, in words.
    #[must_use]
    pub fn words(&self, kind: Kind) -> Option<Words> {
        Some(match kind {
            Kind::SentimentDrop => self.sentiment_drop.words(),
            Kind::ExpectationGap => self.expectation_gap.words(),
            Kind::Detractor => self.detractor.words(),
            Kind::ServiceFailure => self.service_failure.words(),
            Kind::DoubleDeviation => self.double_deviation.words(),
            Kind::RecoveryConfirmed => self.recovery_confirmed.words(),
            Kind::JourneyStalled => self.journey_stalled.words(),
            Kind::SilentAfterBad => self.silent_after_bad.words(),
            Kind::ConversationDeclining => self.conversation_declining.words(),
            Kind::FrustrationBurst => self.frustration_burst.words(),
            Kind::HighEffort => self.high_effort.words(),
            Kind::RepeatContact => self.repeat_contact.words(),
            Kind::SlaBreach => self.sla_breach.words(),
            Kind::Advocate => self.advocate.words(),
            Kind::IndirectNegative => self.indirect_negative.words(),
            Kind::PromiseOverdue => self.promise_overdue.words(),
            Kind::OutcomeRisk => self.outcome_risk.words(),
            Kind::ChurnRisk => self.churn_risk.words(),
            Kind::Own => return None,
        })
    }
}
