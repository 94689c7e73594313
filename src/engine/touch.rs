//! What a touchpoint does to a customer's state: evidence, sessions, episodes, conversations, stage.
//! What it means for rules is in [`super::events`].

use super::customer::{Customer, Episode, Mark, RECENT_MAX, Recent};
use super::items::Taken;
use super::settings::Settings;
use super::{contacts, context, conversations, sessions, week};
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
        remember(customer, Recent { mark: Mark::of(scored, sum), weight });
    }
    if weight == Micro::ZERO {
        return None;
    }
    let mark = Mark::of(scored, sum.over(weight));
    let key = [scored.conversation_id, scored.session_id, scored.order_id].into_iter().flatten().next();
    join_episode(customer, settings, key.map_or(0, |id| hash64(id.as_bytes())), mark);
    Some(mark)
}

fn remember(customer: &mut Customer, recent: Recent) {
    insert_in_order(&mut customer.recent, recent, |recent| (recent.mark.time, recent.mark.event));
    if customer.recent.len() > RECENT_MAX {
        customer.recent.remove(0);
    }
}

fn join_episode(customer: &mut Customer, settings: &Settings, key: u64, mark: Mark) {
    let Some(episode) = &mut customer.episode else {
        customer.episode = Some(Episode { key, peak: mark, end: mark });
        return;
    };
    let near = mark.time.since(episode.end.time).abs() <= settings.timing.episode_gap.0;
    let same = if key != 0 && episode.key != 0 { key == episode.key } else { near };
    if !same {
        if mark.time >= episode.end.time {
            *episode = Episode { key, peak: mark, end: mark };
        }
        return;
    }
    let intensity = |mark: &Mark| (mark.value.0.unsigned_abs(), mark.time, mark.event);
    if intensity(&mark) > intensity(&episode.peak) {
        episode.peak = mark;
    }
    if (mark.time, mark.event) >= (episode.end.time, episode.end.event) {
        episode.end = mark;
    }
    episode.key = episode.key.max(key);
}

/// Puts a value where its key belongs: in order of event time, whatever the order of arrival.
pub(super) fn insert_in_order<T, K: Ord>(values: &mut Vec<T>, value: T, key: impl Fn(&T) -> K) {
    let at = values.partition_point(|known| key(known) <= key(&value));
    values.insert(at, value);
}

/// Adds a signal the engine made itself, at the touchpoint it rests on.
pub(super) fn add_signal(customer: &mut Customer, mark: Mark, signal: Signal) {
    customer.panes.add(customer.now, mark.time, signal);
    let mark = Mark { value: signal.score.times(signal.weight), ..mark };
    remember(customer, Recent { mark, weight: signal.weight });
}
