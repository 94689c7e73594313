//! What a touchpoint does to a customer's state: evidence, sessions, episodes, conversations, stage.
//! What it means for rules is in [`super::events`].

use super::context;
use super::customer::{Conversation, Customer, Episode, Mark, RECENT_MAX, Recent, TURNS_MAX};
use super::items::Taken;
use super::settings::Settings;
use crate::model::{Actor, Micro, Name, Scored, Signal, SignalSource, Timestamp, hash64};
use crate::rules::catalogue::KindEntry;
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
    if capped && session_is_full(customer, settings, scored) {
        return add_signals(customer, settings, scored, &[], taken);
    }
    let mark = add_signals(customer, settings, scored, &scored.signals, taken);
    turn_of_conversation(customer, settings, scored);
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
    let key = |recent: &Recent| (recent.mark.time, recent.mark.event);
    let at = customer.recent.partition_point(|known| key(known) <= key(&recent));
    customer.recent.insert(at, recent);
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

/// Counts a frustration touchpoint of the session; true when enough of its kind were scored already.
fn session_is_full(customer: &mut Customer, settings: &Settings, scored: &Scored<'_>) -> bool {
    let key = scored.session_id.map_or(0, |id| hash64(id.as_bytes()));
    let session = &mut customer.session;
    let idle = scored.occurred_at.since(session.last) > settings.timing.episode_gap.0;
    if key != session.key || (key == 0 && idle) {
        session.key = key;
        session.counts.clear();
    }
    session.last = session.last.max(scored.occurred_at);
    let count = count_of(&mut session.counts, scored.kind);
    *count = count.saturating_add(1);
    *count > settings.timing.session_events_max
}

fn count_of(counts: &mut Vec<(Name, u32)>, kind: Name) -> &mut u32 {
    let at = counts.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
        counts.push((kind, 0));
        counts.len() - 1
    });
    // `at` is a place found or made above.
    #[expect(clippy::indexing_slicing, reason = "the place was found or pushed just above")]
    &mut counts[at].1
}

/// A customer's text in a conversation is a turn.
fn turn_of_conversation(customer: &mut Customer, settings: &Settings, scored: &Scored<'_>) {
    let text = scored.signals.iter().flatten().find(|signal| signal.source == SignalSource::Text);
    let (Some(id), Some(signal), Actor::Customer) = (scored.conversation_id, text, scored.actor) else { return };
    let key = hash64(id.as_bytes());
    let mark = Mark::of(scored, signal.score);
    match customer.conversations.iter_mut().find(|conversation| conversation.key == key) {
        Some(conversation) => {
            if conversation.scores.len() >= TURNS_MAX {
                conversation.scores.remove(0);
            }
            conversation.scores.push(signal.score);
            if mark.time >= conversation.last.time {
                conversation.last = mark;
            }
        }
        None => customer.conversations.push(Conversation { key, last: mark, scores: vec![signal.score] }),
    }
    let open_max = settings.limits.open_items_max.max(1) as usize;
    if customer.conversations.len() > open_max {
        customer.conversations.remove(0);
    }
}

/// Ends conversations: the one of `key`, or those idle since `idle_since`. From enough turns on, the conversation as a
/// whole is scored: Σ uᵢ·sᵢ / Σ uᵢ with uᵢ = 0.5 + i/n, so that its end weighs three times its beginning.
pub(super) fn end_conversations(customer: &mut Customer, settings: &Settings, key: Option<u64>, idle_since: Timestamp) {
    let mut at = 0;
    while let Some(conversation) = customer.conversations.get(at) {
        let ended = key == Some(conversation.key) || conversation.last.time <= idle_since;
        if !ended {
            at += 1;
            continue;
        }
        let conversation = customer.conversations.remove(at);
        if conversation.scores.len() >= settings.timing.conversation_turns_min as usize {
            let score = conversation_score(&conversation.scores);
            let weight = settings.timing.conversation_weight;
            let signal = Signal { score, weight, source: SignalSource::Conversation };
            let last = conversation.last;
            customer.panes.add(customer.now, last.time, signal);
            remember(customer, Recent { mark: Mark { value: score.times(weight), ..last }, weight });
        }
    }
}

fn conversation_score(scores: &[Micro]) -> Micro {
    let turns = i64::try_from(scores.len()).unwrap_or(i64::MAX);
    let (mut sum, mut weights) = (0_i64, 0_i64);
    // Both sums are multiplied by 2n to stay whole: u = n + 2i.
    for (turn, score) in (1_i64..).zip(scores) {
        let weight = turns + 2 * turn;
        sum += weight * score.0;
        weights += weight;
    }
    Micro(sum.checked_div(weights).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_conversation_weighs_more_than_its_beginning() {
        // n = 4: weights 0.75, 1, 1.25, 1.5 of 4.5; only the last is -1.
        assert_eq!(conversation_score(&[0, 0, 0, -1_000_000].map(Micro)), Micro(-333_333));
        assert_eq!(conversation_score(&[500_000; 6].map(Micro)), Micro(500_000));
    }
}
