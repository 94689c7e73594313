//! Rules: given numbers and a time, is there an alert? They never see the engine's state.
//!
//! A rule is one file (its settings, the facts it needs, its arithmetic) and one row of [`TABLE`]. The engine gathers
//! the facts, calls `read`, and takes the verdict through [`lifecycle::step`].

pub mod advocate;
pub mod card;
pub mod catalogue;
pub mod churn_risk;
pub mod conversation_declining;
pub mod detractor;
pub mod double_deviation;
pub mod expectation_gap;
pub mod expression;
pub mod fixed;
pub mod frustration_burst;
pub mod high_effort;
pub mod indirect_negative;
pub mod journey_stalled;
pub mod journeys;
pub mod lifecycle;
pub mod outcome_risk;
pub mod own;
pub mod profile;
pub mod promise_overdue;
pub mod promises;
pub mod recovery_confirmed;
pub mod repeat_contact;
pub mod sentiment_drop;
pub mod service_failure;
pub mod settings;
pub mod silent_after_bad;
pub mod sla_breach;

use crate::model::{Micro, Severity};
pub use lifecycle::Verdict;
pub use settings::{Lifecycle, Settings};

/// A rule's place in [`TABLE`]. The codes are stored in images: new rules are appended, none is renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Perception fell.
    SentimentDrop = 0,
    /// Experience far below expectation.
    ExpectationGap = 1,
    /// A bad answer.
    Detractor = 2,
    /// The business failed the customer.
    ServiceFailure = 3,
    /// It failed again.
    DoubleDeviation = 4,
    /// It made good, and the customer said so.
    RecoveryConfirmed = 5,
    /// A journey was not completed in time.
    JourneyStalled = 6,
    /// Quiet after a bad episode.
    SilentAfterBad = 7,
    /// A conversation is going wrong.
    ConversationDeclining = 8,
    /// A session full of friction.
    FrustrationBurst = 9,
    /// Too much work for the customer.
    HighEffort = 10,
    /// Had to turn to service again.
    RepeatContact = 11,
    /// Waited longer than the target.
    SlaBreach = 12,
    /// Recommends the business.
    Advocate = 13,
    /// Speaks badly of the business in public.
    IndirectNegative = 14,
    /// A promise of ours was not kept in time.
    PromiseOverdue = 15,
    /// A configured outcome is likely.
    OutcomeRisk = 16,
    /// The customer is likely to buy no more.
    ChurnRisk = 17,
    /// A rule of the user's ([`own`]), known by its name; not in [`TABLE`].
    Own = 255,
}

/// One row: what a rule is called and what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub kind: Kind,
    /// The name in alerts, metrics and `[rules.<name>]`.
    pub name: &'static str,
    /// Version of its arithmetic; part of every `alert_id`.
    pub version: u16,
    /// What it tells, in one line.
    pub summary: &'static str,
}

/// A rule in words, with its settings: each completes "opens when …", "closes when …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What must be so for the alert to open.
    pub opens: String,
    /// What must be so for it to close.
    pub closes: String,
}

/// All rules, in the order of their codes.
pub const TABLE: [Row; 18] = [
    sentiment_drop::ROW,
    expectation_gap::ROW,
    detractor::ROW,
    service_failure::ROW,
    double_deviation::ROW,
    recovery_confirmed::ROW,
    journey_stalled::ROW,
    silent_after_bad::ROW,
    conversation_declining::ROW,
    frustration_burst::ROW,
    high_effort::ROW,
    repeat_contact::ROW,
    sla_breach::ROW,
    advocate::ROW,
    indirect_negative::ROW,
    promise_overdue::ROW,
    outcome_risk::ROW,
    churn_risk::ROW,
];

impl Kind {
    /// The row of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        if code == Self::Own as u8 { Some(Self::Own) } else { TABLE.get(usize::from(code)).map(|row| row.kind) }
    }

    /// Its row; that of own rules says what they have in common.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // `TABLE` is in the order of the codes (tested).
        TABLE.get(usize::from(self as u8)).unwrap_or(&own::ROW)
    }

    /// Whether its condition can hold for a while. The others judge a single touchpoint or deadline: `for` would keep
    /// them from ever opening.
    #[must_use]
    pub const fn can_hold(self) -> bool {
        matches!(self, Self::SentimentDrop | Self::ExpectationGap | Self::SilentAfterBad | Self::HighEffort | Self::Own)
            || self.is_about_promises()
    }

    /// Whether it reads a level, which moves with time alone and is read again every day while it fires.
    #[must_use]
    pub const fn is_level(self) -> bool {
        matches!(
            self,
            Self::SentimentDrop | Self::ExpectationGap | Self::DoubleDeviation | Self::HighEffort | Self::Own
        ) || self.is_about_promises()
    }

    /// Whether it reads the promises of open items.
    #[must_use]
    pub const fn is_about_promises(self) -> bool {
        matches!(self, Self::PromiseOverdue | Self::OutcomeRisk | Self::ChurnRisk)
    }

    /// Whether it may open again from the same beginning: the item is still there, the customer still silent.
    #[must_use]
    pub const fn can_recur(self) -> bool {
        matches!(self, Self::SilentAfterBad) || self.is_about_promises()
    }

    /// Whether a reading of its own looks at it whenever time passes; the others only wait for the end of their times.
    #[must_use]
    pub const fn reads_levels(self) -> bool {
        self.is_level() || matches!(self, Self::SilentAfterBad)
    }

    /// The name in alerts, metrics and configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

/// What a rule read: the verdict and the arithmetic behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Open, hold or close.
    pub verdict: Verdict,
    /// What the figure is, with its unit where it has one.
    pub figure: &'static str,
    /// The figure before, where there is one.
    pub before: Option<Micro>,
    /// The figure now.
    pub after: Micro,
    /// What it is compared with.
    pub threshold: Micro,
}

/// Names of all figures a reading can have; their places are stored in images: append only.
pub const FIGURES: [&str; 21] = [
    "perception",
    "nps",
    "csat",
    "stars",
    "days_late",
    "refused_payments",
    "failures",
    "score",
    "hours_open",
    "remembered",
    "trend",
    "frustration",
    "effort",
    "ces",
    "transfers",
    "channels",
    "contacts",
    "wait_seconds",
    "days_overdue",
    "risk",
    "log_odds",
];

/// `Open` at the rule's own severity.
#[must_use]
pub const fn open(lifecycle: &Lifecycle) -> Verdict {
    Verdict::Open(lifecycle.severity)
}

/// A severity raised once for each reason that holds.
#[must_use]
pub const fn raised(severity: Severity, reasons: [bool; 2]) -> Severity {
    let severity = if reasons[0] { severity.raised() } else { severity };
    if reasons[1] { severity.raised() } else { severity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_stored_codes() {
        for (code, row) in TABLE.iter().enumerate() {
            assert_eq!(usize::from(row.kind as u8), code);
            assert_eq!(Kind::from_code(row.kind as u8), Some(row.kind));
        }
    }
}
