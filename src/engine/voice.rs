//! What the customer says about the business, and whether it answers: `detractor`, `advocate`, `indirect_negative`, and
//! the waits of `sla_breach`.

use super::customer::{AlertState, Customer, Mark};
use super::figures::Derived;
use super::turn::{Basis, Subject, Turn, is_firing};
use crate::model::{Actor, Instrument, Item, ItemType, Scored, SignalSource};
use crate::rules::catalogue::KindEntry;
use crate::rules::{Kind, Verdict, advocate, detractor, indirect_negative, sla_breach};
use std::sync::Arc;

/// Reads the rules at a touchpoint.
pub(super) fn read(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    derived: &Derived,
    scored: &Scored<'_>,
    entry: Option<&KindEntry>,
) {
    close_answered(turn, customer, scored, entry);
    read_rating(turn, customer, scored);
    read_advocate(turn, customer, derived, scored, entry);
    read_public(turn, customer, scored, entry);
    read_wait(turn, customer, scored);
}

/// An answer of the business closes what waits for one.
fn close_answered(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let followed_up = entry.is_some_and(|entry| entry.kind.follow_up);
    let replied = scored.actor == Actor::Agent;
    if !followed_up && !replied && scored.outcome.is_none() {
        return;
    }
    let about = |alert: &AlertState| match &alert.item {
        Some(item) => scored.conversation_id == Some(&*item.id),
        None => alert.origin.channel == scored.channel,
    };
    let answers = |alert: &&AlertState| {
        let same_channel = alert.origin.channel == scored.channel;
        (alert.kind == Kind::Detractor && followed_up)
            || (alert.kind == Kind::IndirectNegative && (followed_up || (replied && same_channel)))
            || (alert.kind == Kind::SlaBreach && about(alert) && alert.origin.time < scored.occurred_at)
    };
    let answered: Vec<_> =
        customer.alerts.iter().filter(|alert| is_firing(alert.state)).filter(answers).cloned().collect();
    for alert in answered {
        let reason = if alert.kind == Kind::Detractor { "follow_up" } else { "answered" };
        turn.close(customer, &alert, reason);
    }
}

fn read_rating(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>) {
    let Some(rating) = scored.rating else { return };
    let code = rating.instrument as u8;
    let known = customer.ratings.iter().position(|(instrument, _, _)| *instrument == code);
    let before = known.and_then(|at| customer.ratings.get(at)).map(|(_, _, value)| *value);
    if let Some(reading) = detractor::read(&turn.settings.rules.detractor, rating, before) {
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

/// A high answer, or a share after (or before) one.
fn read_advocate(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    derived: &Derived,
    scored: &Scored<'_>,
    entry: Option<&KindEntry>,
) {
    let rule = &turn.settings.rules.advocate;
    let shares = entry.is_some_and(|entry| entry.kind.shares);
    if shares {
        customer.shared = customer.shared.max(Some(scored.occurred_at));
    }
    if !shares && scored.rating.is_none() {
        return;
    }
    let near = |time| scored.occurred_at.since(time).abs() <= rule.window.0;
    let shared = customer.shared.is_some_and(near);
    let answers = [Instrument::Nps, Instrument::Stars];
    let readings = customer.ratings.iter().filter(|(_, time, _)| near(*time)).filter_map(|(code, _, value)| {
        let instrument = answers.into_iter().find(|instrument| *instrument as u8 == *code)?;
        let facts = advocate::Facts { instrument, value: *value, shared, perception: derived.figures.perception };
        advocate::read(rule, &facts)
    });
    let opening = readings.into_iter().find(|reading| matches!(reading.verdict, Verdict::Open(_)));
    if let Some(reading) = opening {
        let subject = Subject { kind: Kind::Advocate, item: None, origin: Mark::of(scored, reading.after) };
        turn.judge(customer, &subject, reading, Basis::Origin);
    }
}

fn read_public(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let public = entry.is_some_and(|entry| entry.kind.public) && scored.actor == Actor::Customer;
    let text = scored.signals.iter().flatten().find(|signal| signal.source != SignalSource::Rating);
    let (true, None, Some(signal)) = (public, scored.rating, text) else { return };
    let reading = indirect_negative::read(&turn.settings.rules.indirect_negative, signal.score);
    if matches!(reading.verdict, Verdict::Open(_)) {
        let origin = Mark::of(scored, signal.score);
        let subject = Subject { kind: Kind::IndirectNegative, item: None, origin };
        turn.judge(customer, &subject, reading, Basis::Origin);
    }
}

fn read_wait(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>) {
    let rule = &turn.settings.rules.sla_breach;
    let Some(wait_ms) = scored.wait_ms else { return };
    let Some(target) = rule.target(scored.channel, scored.topic) else { return };
    let reading = sla_breach::read(rule, wait_ms, target);
    if matches!(reading.verdict, Verdict::Open(_)) {
        let conversation = scored.conversation_id;
        let item = conversation.map(|id| Item { item_type: ItemType::Conversation, id: Arc::from(id) });
        let subject = Subject { kind: Kind::SlaBreach, item, origin: Mark::of(scored, reading.after) };
        turn.judge(customer, &subject, reading, Basis::Origin);
    }
}
