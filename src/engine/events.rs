//! What a touchpoint, or the passing of time, means for the rules: gathers each rule's facts and judges them.

use super::customer::{AlertState, Customer, Mark};
use super::figures::{self, Derived};
use super::turn::{Basis, Subject, Told, Turn};
use super::{contacts, conversations, failures, journeys, sessions, voice};
use super::{item_rules, own_rules};
use crate::model::{Item, ItemType, Micro, Scored, Timestamp};
use crate::rules::catalogue::KindEntry;
use crate::rules::{Kind, Reading, Verdict, expectation_gap, sentiment_drop, silent_after_bad};
use std::sync::Arc;

/// Reads every rule at a touchpoint that was just taken in; `own` is its score.
pub(super) fn read_touchpoint(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    derived: &Derived,
    scored: &Scored<'_>,
    entry: Option<&KindEntry>,
    own: Option<Mark>,
) {
    let failure = failures::failure_of(customer, turn, scored, entry);
    read_silence(turn, customer);
    journeys::pass(turn, customer, scored, entry);
    failures::recover(turn, customer, scored, entry);
    if let Some((facts, evidence)) = failure {
        failures::fail(turn, customer, derived, scored, facts, &evidence);
    }
    read_levels(turn, customer, derived);
    failures::confirm_recovery(turn, customer, own);
    voice::read(turn, customer, derived, scored, entry);
    contacts::read(turn, customer, scored, entry);
    conversations::read(turn, customer, scored);
    sessions::read(turn, customer, scored, entry);
    journeys::start(turn, customer, scored, entry);
    item_rules::read(turn, customer, derived, entry.is_some_and(|entry| entry.kind.purchase));
    own_rules::read(turn, customer, derived);
    close_over(turn, customer);
}

/// Reads every rule that time alone can move, at the customer's time.
pub(super) fn read_timers(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived) {
    journeys::stall_due(turn, customer);
    read_silence(turn, customer);
    read_levels(turn, customer, derived);
    contacts::read_timer(turn, customer);
    close_over(turn, customer);
    read_waiting(turn, customer);
    item_rules::read(turn, customer, derived, false);
    own_rules::read(turn, customer, derived);
    journeys::forget_told(customer, turn.settings);
}

/// Closes the alerts about what is over: conversations, sessions, matters nobody asks about any more.
fn close_over(turn: &mut Turn<'_>, customer: &mut Customer) {
    if !customer.alerts.is_empty() {
        conversations::close_ended(turn, customer);
        sessions::close_idle(turn, customer);
        contacts::close_quiet(turn, customer);
    }
}

/// The rules that read a level: perception, expectation, failures.
fn read_levels(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived) {
    let rules = &turn.settings.rules;
    let latest = origin(turn, customer);
    let rule = &rules.sentiment_drop;
    // Looking back costs another pass over the panes: only where it can matter.
    if derived.figures.perception <= rule.open || has_alert(customer, Kind::SentimentDrop) {
        let lookback_ms = rule.lookback.0;
        let facts = sentiment_drop::Facts {
            perception: derived.figures.perception,
            perception_before: figures::perception_before(customer, &turn.settings.model, derived.at, lookback_ms),
            scored: customer.panes.count_since(derived.at.minus(lookback_ms)),
            weight: Micro(derived.perception_sum.w),
        };
        let reading = sentiment_drop::read(rule, &facts);
        judge_level(turn, customer, derived, Kind::SentimentDrop, latest, reading);
    }
    let facts = expectation_gap::Facts {
        perception: derived.figures.perception,
        expectation: derived.figures.expectation,
        expectation_weight: Micro(derived.expectation_sum.w),
    };
    let reading = expectation_gap::read(&rules.expectation_gap, &facts);
    judge_level(turn, customer, derived, Kind::ExpectationGap, latest, reading);
    if has_alert(customer, Kind::DoubleDeviation) {
        failures::read_double_deviation(turn, customer, derived, false);
    }
}

fn judge_level(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    derived: &Derived,
    kind: Kind,
    origin: Mark,
    reading: Reading,
) {
    let idle = !matches!(reading.verdict, Verdict::Open(_)) && !has_alert(customer, kind);
    if !idle {
        turn.judge(customer, &Subject { kind, item: None, origin }, reading, Basis::Perception(derived));
    }
}

/// The touchpoint behind this reading: the one at hand, else the last scored one, else the last one, of which no more is
/// remembered than which it was.
pub(super) fn origin(turn: &Turn<'_>, customer: &Customer) -> Mark {
    let unknown = Mark {
        time: customer.latest,
        event: crate::model::EventHash(customer.seen.last().map_or(0, |event| u64::from_le_bytes(*event))),
        kind: crate::model::Name(0),
        channel: crate::model::Channel::Other,
        value: Micro::ZERO,
    };
    let last = customer.recent.last().map_or(unknown, |recent| recent.mark);
    turn.cause.map_or(last, |scored| Mark::of(scored, Micro::ZERO))
}

/// The item a touchpoint is about.
pub(super) fn item_of(scored: &Scored<'_>) -> Option<Item> {
    let order = scored.order_id.map(|id| (ItemType::Order, id));
    let conversation = scored.conversation_id.map(|id| (ItemType::Conversation, id));
    let (item_type, id) = order.or(conversation)?;
    Some(Item { item_type, id: Arc::from(id) })
}

/// Whether an alert of this kind is not OK.
pub(super) fn has_alert(customer: &Customer, kind: Kind) -> bool {
    customer.alerts.iter().any(|alert| alert.kind == kind)
}

fn read_silence(turn: &mut Turn<'_>, customer: &mut Customer) {
    let rule = &turn.settings.rules.silent_after_bad;
    let Some(episode) = customer.last_episode(turn.settings) else { return };
    let facts = silent_after_bad::Facts {
        remembered: episode.remembered(),
        silent_ms: customer.now.since(customer.latest),
        known_ms: customer.latest.since(customer.first_seen),
        usual_gap_ms: customer.usual_gap_ms(),
    };
    let reading = silent_after_bad::read(rule, &facts);
    let known = has_alert(customer, Kind::SilentAfterBad);
    if known || matches!(reading.verdict, Verdict::Open(_)) {
        let half = |mark: &Mark| mark.evidence(Micro(mark.value.0 / 2));
        let lines = if episode.peak == episode.end {
            vec![episode.end.evidence(episode.end.value)]
        } else {
            vec![half(&episode.peak), half(&episode.end)]
        };
        let subject = Subject { kind: Kind::SilentAfterBad, item: None, origin: episode.end };
        turn.judge(customer, &subject, reading, Basis::Lines(&lines));
    }
}

/// Alerts of rules that read touchpoints, not levels: time can only end them or their cool-down.
fn read_waiting(turn: &mut Turn<'_>, customer: &mut Customer) {
    let now = customer.now;
    let settings = turn.settings;
    let in_force =
        |alert: &AlertState| settings.lifecycle(alert.kind, &alert.detail).filter(|lifecycle| lifecycle.enabled);
    let due: Vec<_> = customer
        .alerts
        .iter()
        .filter(|alert| match in_force(alert) {
            Some(lifecycle) => {
                !alert.kind.reads_levels() && alert.state.deadline(lifecycle).is_some_and(|deadline| deadline <= now)
            }
            None => true,
        })
        .cloned()
        .collect();
    for alert in due {
        if in_force(&alert).is_none() {
            turn.end(customer, &alert, "rule_removed");
            customer.alerts.retain(|known| known.alert_id != alert.alert_id);
            continue;
        }
        let reading = Reading {
            verdict: Verdict::Hold,
            figure: "perception",
            before: alert.before,
            after: alert.origin.value,
            threshold: alert.threshold,
        };
        let subject = Subject { kind: alert.kind, item: alert.item.clone(), origin: alert.origin };
        turn.judge_detail(customer, &subject, &alert.detail, reading, Told::new(Basis::Origin));
    }
}

/// Ends every open alert of a customer who is about to be forgotten or removed.
pub(super) fn end_all(turn: &mut Turn<'_>, customer: &Customer, reason: &'static str) {
    for alert in &customer.alerts {
        turn.end(customer, alert, reason);
    }
}

/// Latest moment up to which conversations count as idle.
pub(super) fn idle_since(turn: &Turn<'_>, now: Timestamp) -> Timestamp {
    now.minus(turn.settings.timing.episode_gap.0)
}
