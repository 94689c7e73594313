//! What a touchpoint, or the passing of time, means for the rules: gathers each rule's facts and judges them.

use super::customer::{AlertState, Customer, FailureMark, Journey, Mark};
use super::figures::{self, Derived};
use super::item_rules;
use super::turn::{Basis, Subject, Turn};
use crate::model::{Evidence, Item, ItemType, Micro, Outcome, Scored, Timestamp, hash64};
use crate::rules::catalogue::{Failure, KindEntry};
use crate::rules::service_failure::Facts as FailureFacts;
use crate::rules::{Kind, Reading, Verdict};
use crate::rules::{
    detractor, double_deviation, expectation_gap, journey_stalled, recovery_confirmed, sentiment_drop, service_failure,
    silent_after_bad,
};
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
    let failure = failure_of(customer, turn, scored, entry);
    read_silence(turn, customer);
    complete_journeys(turn, customer, scored, entry);
    recover(turn, customer, scored, entry);
    if let Some((facts, evidence)) = failure {
        fail(turn, customer, derived, scored, facts, &evidence);
    }
    read_levels(turn, customer, derived);
    if let Some(own) = own {
        confirm_recovery(turn, customer, scored, own);
    }
    read_rating(turn, customer, scored, entry);
    start_journey(turn, customer, scored, entry);
    item_rules::read(turn, customer, derived, entry.is_some_and(|entry| entry.kind.purchase));
}

/// Reads every rule that time alone can move, at the customer's time.
pub(super) fn read_timers(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived) {
    stall_journeys(turn, customer);
    read_silence(turn, customer);
    read_levels(turn, customer, derived);
    read_waiting(turn, customer);
    item_rules::read(turn, customer, derived, false);
    forget_journeys(customer);
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
        read_double_deviation(turn, customer, derived, false);
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

/// The touchpoint behind this reading: the one at hand, else the last scored one.
fn origin(turn: &Turn<'_>, customer: &Customer) -> Mark {
    let unknown = Mark {
        time: customer.latest,
        event: crate::model::EventHash(0),
        kind: crate::model::Name(0),
        channel: crate::model::Channel::Other,
        value: Micro::ZERO,
    };
    let last = customer.recent.last().map_or(unknown, |recent| recent.mark);
    turn.cause.map_or(last, |scored| Mark::of(scored, Micro::ZERO))
}

/// The item a touchpoint is about.
fn item_of(scored: &Scored<'_>) -> Option<Item> {
    let order = scored.order_id.map(|id| (ItemType::Order, id));
    let conversation = scored.conversation_id.map(|id| (ItemType::Conversation, id));
    let (item_type, id) = order.or(conversation)?;
    Some(Item { item_type, id: Arc::from(id) })
}

/// Whether the touchpoint is a failure of the business, by what measure, and which touchpoints make it one.
fn failure_of(
    customer: &mut Customer,
    turn: &Turn<'_>,
    scored: &Scored<'_>,
    entry: Option<&KindEntry>,
) -> Option<(FailureFacts, Vec<Evidence>)> {
    let rule = &turn.settings.rules.service_failure;
    let kind = &entry?.kind;
    let late_ms = scored.due_at.filter(|_| kind.fulfils).map(|due| scored.occurred_at.since(due));
    let late_ms = late_ms.or(turn.late_ms.filter(|late_ms| *late_ms >= rule.late_by.0));
    let this = |value| vec![Mark::of(scored, value).evidence(value)];
    if let Some(late_ms) = late_ms {
        let facts = FailureFacts::LateMs(late_ms);
        return service_failure::is_failure(rule, facts).then(|| (facts, this(service_failure::days(late_ms))));
    }
    let reopened = scored.outcome == Some(Outcome::Reopened);
    match kind.failure.or(reopened.then_some(Failure::Reopened))? {
        Failure::Payment => {
            let since = scored.occurred_at.minus(rule.payment_window.0);
            let kept_since = customer.now.minus(rule.payment_window.0).min(since);
            customer.refused_payments.retain(|mark| mark.time > kept_since);
            customer.refused_payments.push(Mark::of(scored, Micro::ONE));
            let until = scored.occurred_at.plus(rule.payment_window.0);
            let is_near = |mark: &&Mark| mark.time > since && mark.time < until;
            let count = u32::try_from(customer.refused_payments.iter().filter(is_near).count()).unwrap_or(u32::MAX);
            let facts = FailureFacts::Payments(count);
            if !service_failure::is_failure(rule, facts) {
                return None;
            }
            let marks = std::mem::take(&mut customer.refused_payments);
            Some((facts, marks.iter().filter(is_near).map(|mark| mark.evidence(Micro::ONE)).collect()))
        }
        Failure::Crash if customer.journeys.is_empty() => None,
        // A reopened case is a second failure, never the first.
        Failure::Reopened if customer.failures.is_empty() => None,
        Failure::Crash | Failure::MerchantCancel | Failure::DefectRefund | Failure::Reopened => {
            Some((FailureFacts::Once, this(Micro::ONE)))
        }
    }
}

fn fail(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    derived: &Derived,
    scored: &Scored<'_>,
    facts: FailureFacts,
    evidence: &[Evidence],
) {
    let mark = Mark::of(scored, Micro::ONE);
    let item = item_of(scored);
    let window_ms = turn.settings.rules.double_deviation.window.0;
    customer.failures.retain(|failure| failure.mark.time > customer.now.minus(window_ms));
    customer.failures.push(FailureMark { mark, item: item.clone(), recovered: None, confirmed: false });
    if customer.failures.len() > turn.settings.limits.open_items_max.max(1) as usize {
        customer.failures.remove(0);
    }
    read_double_deviation(turn, customer, derived, true);
    // A second failure is told once, as what it is.
    let muted =
        customer.alerts.iter().any(|alert| alert.kind == Kind::DoubleDeviation && super::turn::is_firing(alert.state));
    if !muted {
        let reading = service_failure::read(&turn.settings.rules.service_failure, facts);
        let subject = Subject { kind: Kind::ServiceFailure, item, origin: mark };
        turn.judge(customer, &subject, reading, Basis::Lines(evidence));
    }
}

fn read_double_deviation(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived, failed_now: bool) {
    let rule = &turn.settings.rules.double_deviation;
    let since = customer.now.minus(rule.window.0);
    let recent: Vec<Mark> =
        customer.failures.iter().map(|failure| failure.mark).filter(|mark| mark.time > since).collect();
    let Some(first) = recent.first().copied().or_else(|| known_origin(customer, Kind::DoubleDeviation)) else { return };
    let facts = double_deviation::Facts {
        failures: u32::try_from(recent.len()).unwrap_or(u32::MAX),
        failed_now,
        recovered: customer.failures.iter().all(|failure| failure.recovered.is_some()),
        perception: derived.figures.perception,
    };
    let lines: Vec<Evidence> = recent.iter().map(|mark| mark.evidence(Micro::ONE)).collect();
    let subject = Subject { kind: Kind::DoubleDeviation, item: None, origin: recent.last().copied().unwrap_or(first) };
    turn.judge(customer, &subject, double_deviation::read(rule, &facts), Basis::Lines(&lines));
}

fn has_alert(customer: &Customer, kind: Kind) -> bool {
    customer.alerts.iter().any(|alert| alert.kind == kind)
}

fn known_origin(customer: &Customer, kind: Kind) -> Option<Mark> {
    customer.alerts.iter().find(|alert| alert.kind == kind).map(|alert| alert.origin)
}

/// A touchpoint that makes good closes the failures it is about.
fn recover(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let recovers = entry.is_some_and(|entry| entry.kind.recovers) || scored.outcome == Some(Outcome::Resolved);
    if !recovers {
        return;
    }
    let order = scored.order_id;
    let mut recovered = Vec::new();
    for failure in customer.failures.iter_mut().filter(|failure| failure.recovered.is_none()) {
        let other_order = failure
            .item
            .as_ref()
            .is_some_and(|item| item.item_type == ItemType::Order && order.is_some_and(|order| *item.id != *order));
        if !other_order && failure.mark.time <= scored.occurred_at {
            failure.recovered = Some(scored.occurred_at);
            recovered.push((failure.mark, failure.item.clone()));
        }
    }
    for (mark, item) in recovered {
        let reading =
            close(&service_failure::read(&turn.settings.rules.service_failure, FailureFacts::Once), "recovered");
        turn.judge(customer, &Subject { kind: Kind::ServiceFailure, item, origin: mark }, reading, Basis::Origin);
    }
}

const fn close(reading: &Reading, reason: &'static str) -> Reading {
    Reading { verdict: Verdict::Close(reason), ..*reading }
}

/// A well-scored touchpoint after a recovery confirms it.
fn confirm_recovery(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, own: Mark) {
    let rule = &turn.settings.rules.recovery_confirmed;
    let mut confirmed = None;
    for failure in customer.failures.iter_mut().filter(|failure| !failure.confirmed) {
        let Some(recovered) = failure.recovered else { continue };
        let reading = recovery_confirmed::read(rule, own.value, scored.occurred_at.since(recovered));
        if matches!(reading.verdict, Verdict::Open(_)) {
            failure.confirmed = true;
            confirmed = Some((failure.item.clone(), reading));
        }
    }
    if let Some((item, reading)) = confirmed {
        let subject = Subject { kind: Kind::RecoveryConfirmed, item, origin: own };
        turn.judge(customer, &subject, reading, Basis::Origin);
    }
}

fn read_rating(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let rules = &turn.settings.rules;
    let followed_up = entry.is_some_and(|entry| entry.kind.follow_up);
    if followed_up && let Some(origin) = known_origin(customer, Kind::Detractor) {
        let reading = Reading {
            verdict: Verdict::Close("follow_up"),
            figure: "stars",
            before: None,
            after: origin.value,
            threshold: Micro::ZERO,
        };
        turn.judge(customer, &Subject { kind: Kind::Detractor, item: None, origin }, reading, Basis::Origin);
    }
    let Some(rating) = scored.rating else { return };
    let code = rating.instrument as u8;
    let known = customer.ratings.iter().position(|(instrument, _, _)| *instrument == code);
    let before = known.and_then(|at| customer.ratings.get(at)).map(|(_, _, value)| *value);
    if let Some(reading) = detractor::read(&rules.detractor, rating, before) {
        let subject = Subject { kind: Kind::Detractor, item: None, origin: Mark::of(scored, rating.value) };
        if matches!(reading.verdict, Verdict::Open(_)) {
            let answer = [subject.origin.evidence(rating.value)];
            turn.judge(customer, &subject, reading, Basis::Lines(&answer));
        }
    }
    match known.and_then(|at| customer.ratings.get_mut(at)) {
        Some(last) if scored.occurred_at >= last.1 => *last = (code, scored.occurred_at, rating.value),
        Some(_) => {}
        None => customer.ratings.push((code, scored.occurred_at, rating.value)),
    }
}

fn start_journey(turn: &Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let Some((name, deadline_ms)) = entry.and_then(|entry| entry.starts) else { return };
    let (order, session) = journey_keys(scored);
    let same = |journey: &Journey| journey.name == name && journey.order == order && journey.session == session;
    if customer.journeys.iter().any(same) {
        return;
    }
    let item = item_of(scored)
        .or_else(|| scored.session_id.map(|id| Item { item_type: ItemType::Session, id: Arc::from(id) }));
    let deadline = scored.occurred_at.plus(deadline_ms);
    let started = Mark::of(scored, Micro::ZERO);
    customer.journeys.push(Journey { name, started, deadline, order, session, item, stalled: false });
    if customer.journeys.len() > turn.settings.limits.open_items_max.max(1) as usize {
        customer.journeys.remove(0);
    }
}

/// Ends the journeys a touchpoint completes, and the alerts about them.
fn complete_journeys(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let completes = entry.map_or(&[][..], |entry| &entry.completes);
    if completes.is_empty() {
        return;
    }
    let (order, session) = journey_keys(scored);
    let differs = |a: u64, b: u64| a != 0 && b != 0 && a != b;
    let is_completed = |journey: &Journey| {
        let other =
            differs(journey.order, order) || ((journey.order == 0 || order == 0) && differs(journey.session, session));
        completes.contains(&journey.name) && !other && journey.started.time <= scored.occurred_at
    };
    let completed: Vec<Journey> = customer.journeys.extract_if(.., |journey| is_completed(journey)).collect();
    for journey in completed {
        end_stalled(turn, customer, &journey);
    }
}

/// Ends the alert about a journey, if there is one.
fn end_stalled(turn: &mut Turn<'_>, customer: &mut Customer, journey: &Journey) {
    let open_ms = customer.now.since(journey.started.time);
    let rule = &turn.settings.rules.journey_stalled;
    let reading =
        close(&journey_stalled::read(rule, open_ms, journey.deadline.since(journey.started.time)), "completed");
    turn.judge(customer, &subject_of(journey), reading, Basis::Origin);
}

/// Hashes of order and session id, by which journeys are told apart; 0 = none.
fn journey_keys(scored: &Scored<'_>) -> (u64, u64) {
    let hash = |id: Option<&str>| id.map_or(0, |id| hash64(id.as_bytes()));
    (hash(scored.order_id), hash(scored.session_id))
}

fn subject_of(journey: &Journey) -> Subject {
    Subject { kind: Kind::JourneyStalled, item: journey.item.clone(), origin: journey.started }
}

/// Journeys whose deadline has come.
fn stall_journeys(turn: &mut Turn<'_>, customer: &mut Customer) {
    let now = customer.now;
    let mut due = Vec::new();
    for journey in customer.journeys.iter_mut().filter(|journey| !journey.stalled && journey.deadline <= now) {
        journey.stalled = true;
        due.push(journey.clone());
    }
    for journey in due {
        let started = journey.started.time;
        let rule = &turn.settings.rules.journey_stalled;
        let reading = journey_stalled::read(rule, now.since(started), journey.deadline.since(started));
        turn.judge(customer, &subject_of(&journey), reading, Basis::Origin);
    }
}

/// A stalled journey is remembered as long as its alert lives, so that completing it can close the alert.
fn forget_journeys(customer: &mut Customer) {
    let alerts = &customer.alerts;
    customer.journeys.retain(|journey| {
        let told = |alert: &AlertState| alert.kind == Kind::JourneyStalled && alert.item == journey.item;
        !journey.stalled || alerts.iter().any(told)
    });
}

fn read_silence(turn: &mut Turn<'_>, customer: &mut Customer) {
    let rule = &turn.settings.rules.silent_after_bad;
    let Some(episode) = customer.episode else { return };
    let facts = silent_after_bad::Facts {
        remembered: episode.remembered(),
        silent_ms: customer.now.since(customer.latest),
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
    let rules = &turn.settings.rules;
    let waiting = [Kind::Detractor, Kind::ServiceFailure, Kind::RecoveryConfirmed, Kind::JourneyStalled];
    let due: Vec<_> = customer
        .alerts
        .iter()
        .filter(|alert| waiting.contains(&alert.kind) || !rules.lifecycle(alert.kind).enabled)
        .filter(|alert| {
            let lifecycle = rules.lifecycle(alert.kind);
            !lifecycle.enabled || alert.state.deadline(lifecycle).is_some_and(|deadline| deadline <= now)
        })
        .cloned()
        .collect();
    for alert in due {
        if !rules.lifecycle(alert.kind).enabled {
            turn.end(customer, &alert, "rule_removed");
            customer.alerts.retain(|known| known.kind != alert.kind || known.item != alert.item);
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
        turn.judge(customer, &subject, reading, Basis::Origin);
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
