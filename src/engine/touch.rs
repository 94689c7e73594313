//! What a touchpoint does to a customer's state: evidence, sessions, episodes, conversations, stage.
//! What it means for rules is in [`super::events`].

use super::customer::{Customer, Mark, NO_EPISODE, Recent};
use super::items::Taken;
use super::settings::Settings;
use super::{contacts, context, conversations, sessions, stages, week};
use crate::model::{Micro, Scored, Signal, hash64};
use crate::rules::catalogue::KindEntry;
use crate::rules::promises::Direction;
use std::sync::Arc;

/// Takes a touchpoint into the panes only: too late for anything else.
pub(super) fn touch_panes(customer: &mut Customer, scored: &Scored<'_>) {
    for signal in scored.signals.iter().flatten() {
        customer.panes.add(customer.now, scored.occurred_at, *signal);
    }
}

/// Takes a touchpoint into everything but the rules. Answers its own score, when it has one.
pub(super) fn touch(
    customer: &mut Customer,
    settings: &Settings,
    entry: Option<&KindEntry>,
    scored: &Scored<'_>,
    taken: &Taken,
) -> Option<Mark> {
    let time = scored.occurred_at;
    if customer.touchpoints == 0 {
        customer.first_seen = time;
    }
    customer.first_seen = customer.first_seen.min(time);
    customer.touchpoints = customer.touchpoints.saturating_add(1);
    let inbound = entry.is_some_and(|entry| entry.kind.direction == Some(Direction::Inbound));
    week::count(&mut customer.week, customer.latest, time, inbound);
    for (place, value) in [(&mut customer.segment, scored.segment), (&mut customer.tier, scored.tier)] {
        if let Some(value) = value
            && place.as_ref().is_none_or(|(since, _)| time >= *since)
        {
            *place = Some((time, Arc::from(value)));
        }
    }
    if let Some(stage) = entry.and_then(|entry| entry.stage)
        && customer.stage.is_none_or(|(since, _)| time >= since)
    {
        customer.stage = Some((time, stage));
    }
    if let Some(stage) = entry.and_then(|entry| entry.stage) {
        stages::remember(customer, settings, time, stage);
    }
    context::take(customer, settings, time, &scored.context);
    for (by, signal, sign) in &taken.corrections {
        correct(customer, *by, *signal, *sign);
    }
    let capped = entry.is_some_and(|entry| entry.kind.capped);
    contacts::take(customer, settings, entry, scored);
    if capped && sessions::is_full(customer, settings, scored) {
        return add_signals(customer, settings, scored, &[], taken);
    }
    let mark = add_signals(customer, settings, scored, &scored.signals, taken);
    conversations::take_turn(customer, settings, scored);
    mark
}

/// Gives an earlier touchpoint a signal, or takes it away: late data changed which promise it kept.
fn correct(customer: &mut Customer, by: Mark, signal: Signal, sign: i64) {
    if sign > 0 {
        customer.panes.add(customer.now, by.time, signal);
    } else {
        customer.panes.remove(customer.now, by.time, signal);
    }
    if let Some(recent) = customer.recent.iter_mut().find(|recent| recent.mark.event == by.event) {
        recent.mark.value += Micro(sign * signal.score.times(signal.weight).0);
        recent.weight += Micro(sign * signal.weight.0);
    }
}

/// Adds signals to panes, recent evidence and the episode. Answers the touchpoint's own score.
fn add_signals(
    customer: &mut Customer,
    settings: &Settings,
    scored: &Scored<'_>,
    signals: &[Option<Signal>],
    taken: &Taken,
) -> Option<Mark> {
    let (mut sum, mut weight) = (Micro::ZERO, Micro::ZERO);
    let signals = signals.iter().flatten().chain(&taken.signals);
    for signal in signals.filter(|signal| signal.weight > Micro::ZERO) {
        customer.panes.add(customer.now, scored.occurred_at, *signal);
        sum += signal.score.times(signal.weight);
        weight += signal.weight;
    }
    if weight > Micro::ZERO || taken.may_keep {
        let episode = [scored.conversation_id, scored.session_id, scored.order_id].into_iter().flatten().next();
        let episode = episode.map_or(0, |id| hash16(id.as_bytes()));
        customer.remember_scored(settings, Recent { mark: Mark::of(scored, sum), weight, episode });
    }
    (weight > Micro::ZERO).then(|| Mark::of(scored, sum.over(weight)))
}

/// Tells the conversations, sessions and orders of a handful of touchpoints apart; never 0 or `NO_EPISODE`.
fn hash16(bytes: &[u8]) -> u16 {
    let [low, high, ..] = hash64(bytes).to_le_bytes();
    u16::from_le_bytes([low, high]).clamp(1, NO_EPISODE - 1)
}

/// Puts a value where its key belongs: in order of event time, whatever the order of arrival.
pub(super) fn insert_in_order<T, K: Ord>(values: &mut Vec<T>, value: T, key: impl Fn(&T) -> K) {
    let at = values.partition_point(|known| key(known) <= key(&value));
    values.insert(at, value);
}

/// Adds a signal the engine made itself, at the touchpoint it rests on.
pub(super) fn add_signal(customer: &mut Customer, settings: &Settings, mark: Mark, signal: Signal) {
    customer.panes.add(customer.now, mark.time, signal);
    let mark = Mark { value: signal.score.times(signal.weight), ..mark };
    customer.remember_scored(settings, Recent { mark, weight: signal.weight, episode: NO_EPISODE });
}
