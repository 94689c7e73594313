//! The rules that read open items: `promise_overdue`, `outcome_risk`, `churn_risk`, and `sla_breach` for a first answer.

use super::Output;
use super::customer::{AlertState, Customer, Detail};
use super::features::Moment;
use super::figures::Derived;
use super::items::{OpenItem, Promise};
use super::pressure::{risk, terms};
use super::settings::Settings;
use super::turn::{self, Basis, Subject, Told, Turn};
use crate::model::time::Span;
use crate::model::{Evidence, Item, Micro, Name, Scored, TermKind, Timestamp};
use crate::rules::lifecycle::State;
use crate::rules::outcome_risk::{Level, Outcome, OutcomeKind};
use crate::rules::promises::PromiseEntry;
use crate::rules::{Kind, Reading, Verdict, churn_risk, outcome_risk, promise_overdue, sla_breach};

/// A reading of one rule about one item.
struct Read {
    subject: Subject,
    detail: Detail,
    reading: Reading,
    evidence: Vec<Evidence>,
}

/// Reads every item, and ends the alerts of items that are no more. `purchased` = this touchpoint is a purchase.
pub(super) fn read(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived, purchased: bool) {
    let settings = turn.settings;
    let known_before = customer.alerts.iter().any(|alert| alert.kind.is_about_promises());
    if customer.items.is_empty() && !known_before {
        return;
    }
    let mut reads = Vec::new();
    let touched = turn.cause.map(Scored::item);
    for item in customer.items.iter().filter(|item| item.is_open()) {
        read_overdue(customer, item, settings, &mut reads);
        let is_about = |outcome: &Outcome| outcome.card.is_none() && outcome.is_about(item.item.item_type);
        if settings.outcomes.iter().any(|(_, outcome)| is_about(outcome)) {
            read_outcomes(customer, item, settings, (derived, purchased), &mut reads);
        }
        // What happens to another item is not a card's business: only its own touchpoints, and time.
        let is_touched = touched.is_none_or(|of| of == Some((item.item.item_type, &*item.item.id)));
        if is_touched && !settings.cards.is_empty() {
            read_cards(turn, customer, item, (derived, purchased), &mut reads);
        }
    }
    customer.items.iter().for_each(|item| read_answer(customer, item, settings, &mut reads));
    if known_before {
        read_stranded(customer, settings, &mut reads);
    }
    for Read { subject, detail, reading, evidence } in reads {
        turn.judge_detail(customer, &subject, &detail, reading, Told::new(Basis::Lines(&evidence)));
    }
    if known_before {
        let Customer { alerts, items, .. } = customer;
        let is_there = |item: &Item| items.iter().any(|open| open.is_open() && open.item == *item);
        alerts.retain(|alert| {
            !matches!(alert.state, State::Ended { .. })
                || !alert.kind.is_about_promises()
                || alert.item.as_ref().is_some_and(is_there)
        });
    }
}

fn is_known(customer: &Customer, kind: Kind, item: &OpenItem, detail: &Detail) -> bool {
    let same = |alert: &AlertState| alert.kind == kind && alert.detail == *detail;
    customer.alerts.iter().any(|alert| same(alert) && alert.item.as_ref() == Some(&item.item))
}

/// The promise that is overdue by most, and by how much.
fn most_overdue<'i>(item: &'i OpenItem, settings: &Settings, now: Timestamp) -> Option<(&'i Promise, i64)> {
    let overdue = item.open_promises().filter_map(|promise| {
        let sla = promise.due.is_some();
        let watched = |entry: &&PromiseEntry| entry.alert && entry.is_scored() && !(sla && entry.sla);
        settings.catalogue.promise(promise.name).filter(watched)?;
        let usual = || Some(promise.opened_at.plus(settings.profile.waits(promise.name)?.long_ms()));
        let overdue_ms = now.since(promise.due.or_else(usual)?);
        (overdue_ms >= 0).then_some((promise, overdue_ms))
    });
    overdue.reduce(|most, next| if next.1 > most.1 { next } else { most })
}

fn read_overdue(customer: &Customer, item: &OpenItem, settings: &Settings, reads: &mut Vec<Read>) {
    let overdue = most_overdue(item, settings, customer.now);
    if overdue.is_none() && !is_known(customer, Kind::PromiseOverdue, item, &Detail::Only) {
        return;
    }
    let mut origin = item.opener.at(item.opened);
    let mut label = None;
    let verdict = match overdue {
        Some((promise, overdue_ms)) => {
            origin = promise.opener.at(promise.opened_at);
            label = Some(promise.name);
            Ok(overdue_ms)
        }
        None => {
            let ended = item.promises.iter().filter(|promise| !promise.is_open());
            let broken = ended.max_by_key(|promise| promise.closed_at).is_some_and(|promise| promise.broken);
            Err(if broken { "broken" } else { "kept" })
        }
    };
    let reading = promise_overdue::read(&settings.rules.promise_overdue, verdict);
    let line = Evidence { term: Some((TermKind::Due, label)), ..origin.evidence(reading.after) };
    let subject = Subject { kind: Kind::PromiseOverdue, item: Some(item.item.clone()), origin };
    reads.push(Read { subject, detail: Detail::Only, reading, evidence: vec![line] });
}

/// The first answer an item waits for, or no longer waits for.
fn read_answer(customer: &Customer, item: &OpenItem, settings: &Settings, reads: &mut Vec<Read>) {
    let is_sla = |promise: &&Promise| {
        settings.catalogue.promise(promise.name).is_some_and(|entry| entry.sla && entry.is_scored())
    };
    let rule = &settings.rules.sla_breach;
    let Some(promise) = item.promises.iter().filter(is_sla).max_by_key(|promise| promise.is_open()) else { return };
    let Some(due) = promise.due else { return };
    let origin = promise.opener.at(promise.opened_at);
    let (wait_ms, target) = (customer.now.since(promise.opened_at), Span(due.since(promise.opened_at)));
    let reading = sla_breach::unanswered(rule, wait_ms, target);
    let overdue_ms = customer.now.since(due);
    let is_firing = customer.alerts.iter().any(|alert| {
        alert.kind == Kind::SlaBreach && alert.item.as_ref() == Some(&item.item) && turn::is_firing(alert.state)
    });
    let verdict = if promise.is_open() && item.is_open() {
        // What was told for as long as it may be is not told again.
        let told = rule.lifecycle.max_open.0 > 0 && overdue_ms >= rule.lifecycle.max_open.0;
        (overdue_ms >= 0 && !is_firing && !told).then_some(reading.verdict)
    } else {
        is_firing.then_some(Verdict::Close(if promise.is_open() { "closed" } else { "answered" }))
    };
    let Some(verdict) = verdict else { return };
    let line = Evidence { term: Some((TermKind::Due, Some(promise.name))), ..origin.evidence(reading.after) };
    let subject = Subject { kind: Kind::SlaBreach, item: Some(item.item.clone()), origin };
    reads.push(Read { subject, detail: Detail::Only, reading: Reading { verdict, ..reading }, evidence: vec![line] });
}

fn read_outcomes(
    customer: &Customer,
    item: &OpenItem,
    settings: &Settings,
    (derived, purchased): (&Derived, bool),
    reads: &mut Vec<Read>,
) {
    let terms = terms(customer, item, settings, customer.now, derived.figures.perception);
    let declared = settings.outcomes.iter().filter(|(_, outcome)| outcome.card.is_none());
    for (name, outcome) in declared.filter(|(_, outcome)| outcome.is_about(item.item.item_type)) {
        let level = outcome.level(risk(outcome, &terms));
        let (kind, reading) = read_outcome(customer, settings, outcome, level, purchased);
        if matches!(reading.verdict, Verdict::Open(_)) || is_known(customer, kind, item, &Detail::Outcome(*name)) {
            let own = terms.iter().filter(|term| outcome.terms.contains(&term.kind));
            let mut evidence: Vec<Evidence> = own.map(super::pressure::Term::evidence).collect();
            let origin = item.opener.at(item.opened);
            if evidence.is_empty() {
                evidence.push(origin.evidence(Micro::ZERO));
            }
            let subject = Subject { kind, item: Some(item.item.clone()), origin };
            reads.push(Read { subject, detail: Detail::Outcome(*name), reading, evidence });
        }
    }
}

/// Reads the cards of an item.
fn read_cards(
    turn: &mut Turn<'_>,
    customer: &Customer,
    item: &OpenItem,
    (derived, purchased): (&Derived, bool),
    reads: &mut Vec<Read>,
) {
    let settings = turn.settings;
    // Terms are for declared risks only.
    let moment = Moment::new(customer, settings, derived, Some(item), Vec::new());
    for (name, outcome) in settings.outcomes.iter().filter(|(_, outcome)| outcome.is_about(item.item.item_type)) {
        let Some(card) = outcome.card.as_ref().and_then(|_| settings.cards.get(name)) else { continue };
        let score = card.score(&moment);
        turn.out.push(Output::Scored(*name, score));
        let (kind, reading) = read_outcome(customer, settings, outcome, card.level(score), purchased);
        if matches!(reading.verdict, Verdict::Open(_)) || is_known(customer, kind, item, &Detail::Outcome(*name)) {
            let origin = item.opener.at(item.opened);
            let evidence = card.contributions(&moment).into_iter().map(|part| {
                let kind = if part.feature.is_some() { TermKind::Feature } else { TermKind::Average };
                Evidence { term: Some((kind, part.feature)), value: part.value, ..origin.evidence(part.points) }
            });
            let subject = Subject { kind, item: Some(item.item.clone()), origin };
            reads.push(Read { subject, detail: Detail::Outcome(*name), reading, evidence: evidence.collect() });
        }
    }
}

fn read_outcome(
    customer: &Customer,
    settings: &Settings,
    outcome: &Outcome,
    level: Level,
    purchased: bool,
) -> (Kind, Reading) {
    match outcome.kind {
        OutcomeKind::OutcomeRisk => {
            let lifecycle = &settings.rules.outcome_risk.lifecycle;
            (Kind::OutcomeRisk, outcome_risk::read(lifecycle, outcome, &level))
        }
        OutcomeKind::ChurnRisk => {
            let last = customer.last_scored();
            let bad = last.is_some_and(|recent| recent.mark.value < Micro::ZERO);
            let failed = customer.failures.iter().any(|failure| failure.recovered.is_none());
            let ever_purchased = customer.purchases.last().is_some();
            let facts = churn_risk::Facts { level, unhappy: bad || failed, purchased, ever_purchased };
            (Kind::ChurnRisk, churn_risk::read(&settings.rules.churn_risk.lifecycle, outcome, &facts))
        }
    }
}

/// Whether an alert is of a card that was not read because its item was not touched.
fn waits_for_card(customer: &Customer, settings: &Settings, alert: &AlertState) -> bool {
    let serves = |(name, outcome): &&(Name, Outcome)| alert.detail == Detail::Outcome(*name) && outcome.card.is_some();
    let Some((_, outcome)) = settings.outcomes.iter().find(serves) else { return false };
    let is_of = |item: &OpenItem| item.is_open() && alert.item.as_ref() == Some(&item.item);
    customer.items.iter().any(|item| is_of(item) && outcome.is_about(item.item.item_type))
}

/// Alerts whose item closed or gave way, or whose outcome is not configured any more.
fn read_stranded(customer: &Customer, settings: &Settings, reads: &mut Vec<Read>) {
    for alert in customer.alerts.iter().filter(|alert| alert.kind.is_about_promises()) {
        let same = |read: &Read| {
            (read.subject.kind, &read.subject.item, &read.detail) == (alert.kind, &alert.item, &alert.detail)
        };
        if reads.iter().any(same) || waits_for_card(customer, settings, alert) {
            continue;
        }
        let reading = Reading {
            verdict: Verdict::Close("closed"),
            figure: alert.figure_name().unwrap_or_default(),
            before: alert.before,
            after: alert.origin.value,
            threshold: alert.threshold,
        };
        let subject = Subject { kind: alert.kind, item: alert.item.clone(), origin: alert.origin };
        reads.push(Read { subject, detail: alert.detail.clone(), reading, evidence: Vec::new() });
    }
}
