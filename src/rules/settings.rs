//! `[rules.<kind>]`: thresholds of every rule. Read from TOML as they stand; defaults in `config/touchline.toml`.

use crate::model::{Micro, Severity, time::Span};
use serde::{Deserialize, Serialize};

/// What every rule has: severity and the times of its life. Flattened into each rule's table.
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

/// Perception fell, against a week ago, on enough evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentimentDrop {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Opens at perception ≤ this …
    pub open: Micro,
    /// … and perception a `lookback` ago higher by at least this …
    pub drop: Micro,
    /// … with at least this many scored touchpoints in the lookback …
    pub scored_min: u32,
    /// … and at least this decayed weight.
    pub weight_min: Micro,
    /// How far back perception is compared.
    pub lookback: Span,
    /// Closes at perception ≥ this.
    pub close: Micro,
}

/// Experience far below a confident, good expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationGap {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Needs expectation ≥ this …
    pub expectation_min: Micro,
    /// … on at least this decayed weight.
    pub weight_min: Micro,
    /// Opens at disconfirmation ≤ this.
    pub open: Micro,
    /// Closes at disconfirmation ≥ this.
    pub close: Micro,
}

/// A bad survey or review answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detractor {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Opens at NPS ≤ this …
    pub nps: Micro,
    /// … (high at NPS ≤ this) …
    pub nps_high: Micro,
    /// … at CSAT ≤ this …
    pub csat: Micro,
    /// … or stars ≤ this.
    pub stars: Micro,
}

/// The business failed the customer on an order or conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFailure {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Kept later than promised by at least this is a failure.
    pub late_by: Span,
    /// This many refused payments …
    pub payments: u32,
    /// … within this are a failure.
    pub payment_window: Span,
}

/// A second failure, or a failure's case reopened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoubleDeviation {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Failures at most this far apart belong together.
    pub window: Span,
    /// Closes after a recovery, at perception ≥ this.
    pub close: Micro,
}

/// An open failure was made good and the customer said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryConfirmed {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// A touchpoint scored at least this …
    pub score_min: Micro,
    /// … within this after the recovery confirms it.
    pub window: Span,
}

/// A journey was started and not completed in its time (`[journeys]` of the catalogue).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyStalled {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// A customer who was active went quiet after a bad episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentAfterBad {
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// The last episode is remembered at ≤ this …
    pub remembered: Micro,
    /// … nothing for this long …
    pub silence: Span,
    /// … although the usual gap is at most this.
    pub usual_gap_max: Span,
}

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub sentiment_drop: SentimentDrop,
    pub expectation_gap: ExpectationGap,
    pub detractor: Detractor,
    pub service_failure: ServiceFailure,
    pub double_deviation: DoubleDeviation,
    pub recovery_confirmed: RecoveryConfirmed,
    pub journey_stalled: JourneyStalled,
    pub silent_after_bad: SilentAfterBad,
}
