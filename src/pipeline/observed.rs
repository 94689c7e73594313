//! What a partition saw since the last commit, for metrics: gathered beside the work, read by the shell after the
//! commit, forgotten on rollback.

use crate::codec::Code;
use crate::engine::{Limit, Move};
use crate::model::{AlertChange, Channel, Micro, Name, Phase, Severity, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One alert change. The customer is for answers to queries, never for labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAlert {
    /// Which.
    pub alert_id: u64,
    /// Whose.
    pub customer_id: Arc<str>,
    /// The rule's kind.
    pub kind: Cow<'static, str>,
    /// How bad.
    pub severity: Severity,
    /// What happened.
    pub phase: Phase,
    /// The customer's own time.
    pub detected_at: Timestamp,
    /// Timestamp of the record behind it; none for a timer.
    pub recorded_at: Option<Timestamp>,
}

impl ObservedAlert {
    pub(super) fn of(alert: &AlertChange, recorded_at: Option<Timestamp>) -> Self {
        Self {
            alert_id: alert.alert_id,
            customer_id: Arc::clone(&alert.customer_id),
            kind: alert.kind.clone(),
            severity: alert.severity,
            phase: alert.phase,
            detected_at: alert.detected_at,
            recorded_at,
        }
    }
}

impl Observed {
    pub(super) fn refuse(&mut self, limit: Limit) {
        match self.refused.iter_mut().find(|(known, _)| *known == limit) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((limit, 1)),
        }
    }
}

/// Counts and readings of one transaction of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Accepted touchpoints by channel, in the order of [`Channel::ALL`].
    pub channels: [u64; Channel::ALL.len()],
    /// Every signal's score.
    pub scores: Vec<(Channel, Micro)>,
    /// Published experience indexes.
    pub indexes: Vec<i64>,
    /// Alert changes.
    pub alerts: Vec<ObservedAlert>,
    /// Rejected records by reason.
    pub rejected: BTreeMap<Code, u64>,
    /// Refused touchpoints by limit.
    pub refused: Vec<(Limit, u64)>,
    /// Event times clamped to the record's timestamp, by source.
    pub clamped: BTreeMap<u16, u64>,
    /// Touchpoints of a kind the catalogue does not know.
    pub unknown_kinds: u64,
    /// Readings of own rules that came to no number, by rule.
    pub rules_skipped: BTreeMap<Arc<str>, u64>,
    /// Alerts not opened because of the daily cap.
    pub capped: u64,
    /// Attributes that should be a measure's number or a due moment, and are not.
    pub unreadable: u64,
    /// Items, journeys, failures and the like that gave way to newer ones of the same customer.
    pub items_dropped: u64,
    /// Scores that cards gave: outcome, and log-odds.
    pub card_scores: Vec<(Name, Micro)>,
    /// Moves of customers on journeys.
    pub moves: Vec<Move>,
    /// Promises kept: which, and after how many ms.
    pub kept: Vec<(Name, i64)>,
}
