//! What the customer says about the business, and whether it answers: `detractor`, `advocate`, `indirect_negative`, and
//! the waits of `sla_breach`.

use super::customer::{AlertState, Customer, Mark, give_way};
use super::figures::Derived;
use super::turn::{Basis, Subject, Turn, is_firing};
use crate::model::{Actor, Channel, Instrument, Item, ItemType, Scored, SignalSource, hash64};
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
    if turn.out_of_order {
        close_waiting(turn, customer);
    }
}

/// Name of a follow-up in `Customer::answers`; replies go by channel and by the hash of the conversation.
const FOLLOW_UP: u64 = 1;

/// What an alert waits for, as named in `Customer::answers`: a follow-up, a reply where the customer wrote.
fn waits_for(alert: &AlertState) -> [Option<u64>; 2] {
    let conversation = alert.item.as_ref().map(|item| hash64(item.id.as_bytes()));
    let reply = channel_key(alert.origin.channel);
    let follow_up = matches!(alert.kind, Kind::Detractor | Kind::IndirectNegative).then_some(FOLLOW_UP);
    let reply = match alert.kind == Kind::SlaBreach {
        true => conversation.or(Some(reply)),
        false => (alert.kind == Kind::IndirectNegative).then_some(reply),
    };
    [follow_up, reply]
}

fn channel_key(channel: Channel) -> u64 {
    FOLLOW_UP + 1 + channel as u64
}

/// An answer of the business closes what waits for one, and is remembered for what arrives late.
fn close_answered(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let kept_since = customer.latest.minus(turn.settings.timing.lateness_max_ms());
    customer.answers.retain(|(_, time)| *time >= kept_since);
    let followed_up = entry.is_some_and(|entry| entry.kind.follow_up).then_some(FOLLOW_UP);
    let answered = scored.actor == Actor::Agent || scored.outcome.is_some();
    let replied = (scored.actor == Actor::Agent).then(|| channel_key(scored.channel));
    let conversation = scored.conversation_id.filter(|_| answered).map(|id| hash64(id.as_bytes()));
    for key in [followed_up, replied, conversation].into_iter().flatten() {
        match customer.answers.iter_mut().find(|(known, _)| *known == key) {
            Some((_, time)) => *time = scored.occurred_at.max(*time),
            None => customer.answers.push((key, scored.occurred_at)),
        }
        give_way(&mut customer.answers, turn.settings, &mut customer.dropped);
    }
    close_waiting(turn, customer);
}

/// Closes the alerts that were answered after the touchpoint they are about.
fn close_waiting(turn: &mut Turn<'_>, customer: &mut Customer) {
    let is_answered = |alert: &&AlertState| {
        let after = |key: u64| customer.answers.iter().any(|(known, time)| *known == key && *time > alert.origin.time);
        waits_for(alert).into_iter().flatten().any(after)
    };
    let answered: Vec<_> =
        customer.alerts.iter().filter(|alert| is_firing(alert.state)).filter(is_answered).cloned().collect();
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
