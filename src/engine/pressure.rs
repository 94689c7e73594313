//! Pressure of an item and risk of an outcome: sums of terms, each one line of evidence.
//!
//! With u = weight of the promise, constants of `[risk]` as shipped, days with six decimals:
//!
//! | term | formula | promises |
//! |---|---|---|
//! | due, open | u · (0.5 · clamp(elapsed / (due − opened), 0, 1) + (from the due moment on: min(1, 0.6 + 0.2 · days))) | ours |
//! | due, kept | u · (0.5 · clamp(duration / (due − opened), 0, 1) + (late: min(1, 0.3 + 0.2 · days), else −0.3)) | ours |
//! | long wait | u · 0.1 · min(6, σ) of the elapsed time or the duration; the greatest of the item's | ours |
//! | no answer | u · 0.1 · min(6, σ) while open | the customer's |
//! | size | weight · log2(max(1, m)), or log2(1 + m) | |
//! | perception | −0.3 · p | |
//! | rhythm | 0.1 · log2(1 + days since the last purchase) | |
//!
//! `pressure` = due + long wait + no answer; a customer's is that of the open item that has most. A broken promise has no
//! term any more. Long waits are not summed: the promises of one item wait for one another.

use super::customer::{Customer, Mark};
use super::items::{OpenItem, Promise};
use super::settings::{Risk, Settings};
use crate::model::time::DAY_MS;
use crate::model::{Evidence, Micro, Name, TermKind, Timestamp};
use crate::rules::fixed::log2;
use crate::rules::outcome_risk::Outcome;
use crate::rules::promises::{Party, PromiseEntry};

/// One line of a pressure or risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) kind: TermKind,
    /// The promise or measure.
    pub(super) label: Option<Name>,
    pub(super) value: Micro,
    /// The touchpoint that opened the promise, or the item.
    pub(super) mark: Mark,
}

impl Term {
    pub(super) fn evidence(&self) -> Evidence {
        Evidence { term: Some((self.kind, self.label)), ..self.mark.evidence(self.value) }
    }
}

/// The terms of pressure of an item at a moment, those that are not 0.
pub(super) fn each_pressure(item: &OpenItem, settings: &Settings, at: Timestamp, mut take: impl FnMut(Term)) {
    let at = item.closed.map_or(at, |closed| at.min(closed));
    let mut longest: Option<Term> = None;
    for promise in item.promises.iter().filter(|promise| !promise.broken) {
        let Some(entry) = settings.catalogue.promise(promise.name).filter(|entry| entry.weight > Micro::ZERO) else {
            continue;
        };
        let term = |kind, value: Micro| Term {
            kind,
            label: Some(promise.name),
            value: value.times(entry.weight),
            mark: promise.opener.at(promise.opened_at),
        };
        match entry.party {
            Party::Us => {
                let value = due(&settings.risk, promise, at);
                if value != Micro::ZERO {
                    take(term(TermKind::Due, value));
                }
                let wait = term(TermKind::LongWait, surprise(settings, promise, at));
                if wait.value > longest.map_or(Micro::ZERO, |longest| longest.value) {
                    longest = Some(wait);
                }
            }
            Party::Customer if promise.is_open() => {
                let value = surprise(settings, promise, at);
                if value != Micro::ZERO {
                    take(term(TermKind::NoAnswer, value));
                }
            }
            Party::Customer => {}
        }
    }
    longest.into_iter().for_each(take);
}

fn due(risk: &Risk, promise: &Promise, at: Timestamp) -> Micro {
    let Some(due) = promise.due else { return Micro::ZERO };
    let end = promise.closed_at.unwrap_or(at);
    let (passed_ms, promised_ms) = (end.since(promise.opened_at).max(0), due.since(promise.opened_at));
    let share = if promised_ms <= passed_ms { Micro::ONE } else { Micro::ratio(passed_ms, Micro::SCALE, promised_ms) };
    let late_ms = end.since(due);
    let late = |least: Micro| {
        let days = Micro::ratio(late_ms, Micro::SCALE, DAY_MS);
        risk.overdue_max.min(least + risk.per_day.times(days))
    };
    let rest = match () {
        () if promise.is_open() && late_ms >= 0 => late(risk.overdue),
        () if promise.is_open() => Micro::ZERO,
        () if late_ms > 0 => late(risk.late),
        () => risk.on_time,
    };
    risk.used.times(share) + rest
}

fn surprise(settings: &Settings, promise: &Promise, at: Timestamp) -> Micro {
    let wait_ms = promise.closed_at.unwrap_or(at).since(promise.opened_at);
    let bits = settings.profile.waits(promise.name).map_or(Micro::ZERO, |waits| waits.surprise(wait_ms));
    settings.risk.surprise.times(bits.min(settings.risk.surprise_max))
}

/// The pressure of an item.
pub(super) fn pressure(item: &OpenItem, settings: &Settings, at: Timestamp) -> Micro {
    let mut sum = Micro::ZERO;
    each_pressure(item, settings, at, |term| sum += term.value);
    sum
}

/// The open item with the highest pressure, and how much that is; ties: the first in the order of type and id.
pub(super) fn most_pressing<'c>(
    customer: &'c Customer,
    settings: &Settings,
    at: Timestamp,
) -> Option<(&'c OpenItem, Micro)> {
    let pressures =
        customer.items.iter().filter(|item| item.is_open()).map(|item| (item, pressure(item, settings, at)));
    pressures.reduce(|most, next| if next.1 > most.1 { next } else { most })
}

/// All terms of an item's risks, those that are not 0; `perception` is the customer's at that moment.
pub(super) fn terms(
    customer: &Customer,
    item: &OpenItem,
    settings: &Settings,
    at: Timestamp,
    perception: Micro,
) -> Vec<Term> {
    let mut terms = Vec::new();
    each_pressure(item, settings, at, |term| terms.push(term));
    let own = item.opener.at(item.opened);
    let mut add = |kind, label, value, mark| {
        if value != Micro::ZERO {
            terms.push(Term { kind, label, value, mark });
        }
    };
    for ((index, measure), label) in (0_u8..).zip(&settings.items.measures).zip(&settings.measures) {
        if let Some(measured) = item.measured(index, measure) {
            let base = if measure.from == 0 { Micro::ONE } else { Micro::ZERO };
            add(TermKind::Size, Some(*label), measure.weight.times(log2(base + measured)), own);
        }
    }
    let scored = customer.last_scored();
    add(TermKind::Perception, None, settings.risk.perception.times(perception), scored.map_or(own, |last| last.mark));
    if let Some(last) = customer.purchases.last() {
        let days = Micro::ratio(at.since(last).max(0), Micro::SCALE, DAY_MS);
        add(TermKind::Rhythm, None, settings.risk.rhythm.times(log2(Micro::ONE + days)), own);
    }
    terms
}

/// The risk of an outcome: the sum of its terms.
pub(super) fn risk(outcome: &Outcome, terms: &[Term]) -> Micro {
    let own = terms.iter().filter(|term| outcome.terms.contains(&term.kind));
    own.fold(Micro::ZERO, |sum, term| sum + term.value)
}

/// When time alone next changes what is said of the customer's items, after `now`: at the due moment of a promise and
/// 1, 2, 4 and 7 days after it, at the percentiles of its usual waits; weekly after a purchase where the time since counts.
pub(super) fn deadline(customer: &Customer, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
    let promises = customer.items.iter().flat_map(OpenItem::open_promises);
    let next = promises.filter_map(|promise| next_reading(promise, settings, now)).min();
    let moves = |(name, outcome): &&(Name, Outcome)| match settings.cards.get(name) {
        Some(card) => card.moves_after_purchases(),
        None => outcome.terms.contains(&TermKind::Rhythm),
    };
    let is_watched =
        |outcome: &Outcome| customer.items.iter().any(|item| item.is_open() && outcome.is_about(item.item.item_type));
    let counts = || settings.outcomes.iter().filter(moves).any(|(_, outcome)| is_watched(outcome));
    let purchased = customer.purchases.last().filter(|_| counts());
    let weekly = purchased.map(|last| last.plus((now.since(last).max(0) / WEEK_MS + 1) * WEEK_MS));
    [next, weekly].into_iter().flatten().min()
}

const WEEK_MS: i64 = 7 * DAY_MS;
/// Days after the due moment at which an open promise is read again.
const READ_AFTER_DAYS: [i64; 5] = [0, 1, 2, 4, 7];

fn next_reading(promise: &Promise, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
    // A card may have points for waits that no declared term counts.
    let counts = |entry: &&PromiseEntry| entry.weight > Micro::ZERO || !settings.cards.is_empty();
    let entry = settings.catalogue.promise(promise.name).filter(counts)?;
    let due = promise.due.filter(|_| entry.party == Party::Us);
    let after_due = due.into_iter().flat_map(|due| READ_AFTER_DAYS.map(|days| due.plus(days * DAY_MS)));
    let waits = settings.profile.waits(promise.name).into_iter();
    let usual = waits.flat_map(|waits| waits.percentiles_ms().map(|wait_ms| promise.opened_at.plus(wait_ms)));
    after_due.chain(usual).filter(|time| *time > now).min()
}
