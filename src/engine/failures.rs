//! Failures of the business and what became of them: `service_failure`, `double_deviation`, `recovery_confirmed`.
//!
//! A recovery is remembered for as long as a late touchpoint may come, so that a failure that arrives after it is
//! recovered as well.

use super::customer::{AlertState, Customer, FailureMark, Mark, Recent, Recovery, give_way};
use super::events::item_of;
use super::figures::Derived;
use super::journeys::Journey;
use super::touch;
use super::turn::{Basis, Subject, Turn, is_firing};
use crate::model::{Evidence, Item, ItemType, Micro, Outcome, Scored, hash64};
use crate::rules::catalogue::{Failure, KindEntry};
use crate::rules::service_failure::Facts;
use crate::rules::{Kind, Verdict, double_deviation, recovery_confirmed, service_failure};

/// Whether the touchpoint is a failure of the business, by what measure, and which touchpoints make it one.
pub(super) fn failure_of(
    customer: &mut Customer,
    turn: &Turn<'_>,
    scored: &Scored<'_>,
    entry: Option<&KindEntry>,
) -> Option<(Facts, Vec<Evidence>)> {
    let rule = &turn.settings.rules.service_failure;
    let kind = &entry?.kind;
    let late_ms = scored.due_at.filter(|_| kind.fulfils).map(|due| scored.occurred_at.since(due));
    let this = |value| vec![Mark::of(scored, value).evidence(value)];
    if let Some(late_ms) = late_ms {
        let facts = Facts::LateMs(late_ms);
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
            let facts = Facts::Payments(count);
            if !service_failure::is_failure(rule, facts) {
                return None;
            }
            let marks = std::mem::take(&mut customer.refused_payments);
            Some((facts, marks.iter().filter(is_near).map(|mark| mark.evidence(Micro::ONE)).collect()))
        }
        Failure::Crash if !customer.journeys.iter().any(Journey::waits) => None,
        // A reopened case is a second failure, never the first.
        Failure::Reopened if customer.failures.is_empty() => None,
        Failure::Crash | Failure::MerchantCancel | Failure::DefectRefund | Failure::Reopened => {
            Some((Facts::Once, this(Micro::ONE)))
        }
    }
}

/// Takes a failure in, and reads the rules about it.
pub(super) fn fail(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    derived: &Derived,
    scored: &Scored<'_>,
    facts: Facts,
    evidence: &[Evidence],
) {
    let mark = Mark::of(scored, Micro::ONE);
    let item = item_of(scored);
    let window_ms = turn.settings.rules.double_deviation.window.0;
    customer.failures.retain(|failure| failure.mark.time > customer.now.minus(window_ms));
    let mut failure = FailureMark { mark, item, recovered: None, confirmed: false };
    failure.recovered = customer.recoveries.iter().filter(|recovery| recovery.ends(&failure)).map(|it| it.time).min();
    let (item, recovered) = (failure.item.clone(), failure.recovered);
    touch::insert_in_order(&mut customer.failures, failure, |failure| (failure.mark.time, failure.mark.event));
    give_way(&mut customer.failures, turn.settings, &mut customer.dropped);
    read_double_deviation(turn, customer, derived, true);
    // A second failure is told once, as what it is.
    if !customer.alerts.iter().any(|alert| alert.kind == Kind::DoubleDeviation && is_firing(alert.state)) {
        let reading = service_failure::read(&turn.settings.rules.service_failure, facts);
        let subject = Subject { kind: Kind::ServiceFailure, item: item.clone(), origin: mark };
        turn.judge(customer, &subject, reading, Basis::Lines(evidence));
        if recovered.is_some() {
            close_alert(turn, customer, item.as_ref());
        }
    }
}

/// Reads `double_deviation`: at a failure, and while it fires.
pub(super) fn read_double_deviation(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived, failed_now: bool) {
    let rule = &turn.settings.rules.double_deviation;
    let since = customer.now.minus(rule.window.0);
    let recent: Vec<Mark> =
        customer.failures.iter().map(|failure| failure.mark).filter(|mark| mark.time > since).collect();
    let Some(first) = recent.first().copied().or_else(|| known_origin(customer)) else { return };
    let facts = double_deviation::Facts {
        failures: u32::try_from(recent.len()).unwrap_or(u32::MAX),
        failed_now,
        recovered: customer.failures.iter().all(|failure| failure.recovered.is_some()),
        perception: derived.figures.perception,
    };
    let lines: Vec<Evidence> = recent.iter().map(|mark| mark.evidence(Micro::ONE)).collect();
    let mut reading = double_deviation::read(rule, &facts);
    let subject = Subject { kind: Kind::DoubleDeviation, item: None, origin: recent.last().copied().unwrap_or(first) };
    // The failures are older than the window by now: the alert stands by what it was told with.
    let basis = if lines.is_empty() { Basis::Origin } else { Basis::Lines(&lines) };
    if lines.is_empty() {
        reading.after = first.value;
    }
    turn.judge(customer, &subject, reading, basis);
}

fn known_origin(customer: &Customer) -> Option<Mark> {
    customer.alerts.iter().find(|alert| alert.kind == Kind::DoubleDeviation).map(|alert| alert.origin)
}

/// A touchpoint that makes good closes the failures it is about.
pub(super) fn recover(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let kept_since = customer.latest.minus(turn.settings.timing.lateness_max_ms());
    customer.recoveries.retain(|recovery| recovery.time >= kept_since);
    let recovers = entry.is_some_and(|entry| entry.kind.recovers) || scored.outcome == Some(Outcome::Resolved);
    if !recovers {
        return;
    }
    let order = scored.order_id.map_or(0, |id| hash64(id.as_bytes()));
    let recovery = Recovery { order, time: scored.occurred_at };
    let mut recovered = Vec::new();
    for failure in customer.failures.iter_mut().filter(|failure| recovery.ends(failure)) {
        // The first recovery counts, whichever arrives first.
        if failure.recovered.is_none_or(|known| recovery.time < known) {
            failure.recovered = Some(recovery.time);
            recovered.push(failure.item.clone());
        }
    }
    for item in recovered {
        close_alert(turn, customer, item.as_ref());
    }
    customer.recoveries.push(recovery);
    give_way(&mut customer.recoveries, turn.settings, &mut customer.dropped);
}

impl Recovery {
    /// Whether it makes up for a failure: one that came before it and is not about another order.
    fn ends(&self, failure: &FailureMark) -> bool {
        let order = failure.item.as_ref().filter(|item| item.item_type == ItemType::Order);
        let other = order.is_some_and(|item| self.order != 0 && hash64(item.id.as_bytes()) != self.order);
        !other && failure.mark.time <= self.time
    }
}

/// Closes the alert about a thing, unless the business failed the customer on it again since.
fn close_alert(turn: &mut Turn<'_>, customer: &mut Customer, item: Option<&Item>) {
    let waits = |failure: &FailureMark| failure.item.as_ref() == item && failure.recovered.is_none();
    if customer.failures.iter().any(waits) {
        return;
    }
    let about = |alert: &&AlertState| alert.kind == Kind::ServiceFailure && alert.item.as_ref() == item;
    if let Some(alert) = customer.alerts.iter().find(about).filter(|alert| is_firing(alert.state)).cloned() {
        turn.close(customer, &alert, "recovered");
    }
}

/// A well-scored touchpoint after a recovery confirms it: the one at hand (`own`), or, when this one came late, one that
/// came before it.
pub(super) fn confirm_recovery(turn: &mut Turn<'_>, customer: &mut Customer, own: Option<Mark>) {
    let rule = &turn.settings.rules.recovery_confirmed;
    let earlier = customer.recent.iter().filter(|_| turn.out_of_order).map(Recent::own);
    let mut confirmed = Vec::new();
    for own in earlier.chain(own) {
        for failure in customer.failures.iter_mut().filter(|failure| !failure.confirmed) {
            let Some(recovered) = failure.recovered else { continue };
            let reading = recovery_confirmed::read(rule, own.value, own.time.since(recovered));
            if matches!(reading.verdict, Verdict::Open(_)) {
                failure.confirmed = true;
                confirmed.push((failure.item.clone(), own, reading));
            }
        }
    }
    for (item, origin, reading) in confirmed {
        turn.judge(customer, &Subject { kind: Kind::RecoveryConfirmed, item, origin }, reading, Basis::Origin);
    }
}
