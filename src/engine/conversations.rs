//! Conversations under way: the customer's turns in order of event time, whatever order they arrive in.

use super::customer::{Conversation, Customer, Mark, give_way};
use super::events::has_alert;
use super::settings::Settings;
use super::touch;
use super::turn::{Basis, Subject, Turn};
use crate::model::{Actor, Evidence, Item, ItemType, Micro, Outcome, Scored, Signal, SignalSource, Timestamp, hash64};
use crate::rules::{Kind, Verdict, conversation_declining};
use std::sync::Arc;

/// Turns of a conversation remembered; further ones push out the oldest.
const TURNS_MAX: usize = 64;

/// A customer's text in a conversation is a turn.
pub(super) fn take_turn(customer: &mut Customer, settings: &Settings, scored: &Scored<'_>) {
    let text = scored.signals.iter().flatten().find(|signal| signal.source == SignalSource::Text);
    let (Some(id), Some(signal), Actor::Customer) = (scored.conversation_id, text, scored.actor) else { return };
    let key = hash64(id.as_bytes());
    let mark = Mark::of(scored, signal.score);
    match customer.conversations.iter_mut().find(|conversation| conversation.key == key) {
        Some(conversation) => {
            touch::insert_in_order(&mut conversation.turns, mark, |mark| (mark.time, mark.event));
            if conversation.turns.len() > TURNS_MAX {
                conversation.turns.remove(0);
            }
        }
        None => customer.conversations.push(Conversation { key, turns: vec![mark] }),
    }
    give_way(&mut customer.conversations, settings, &mut customer.dropped);
}

/// Whether this outcome is the end of a conversation.
pub(super) const fn ends(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Success | Outcome::Failure | Outcome::Abandoned | Outcome::Resolved)
}

/// Ends conversations: the one of `key`, or those idle since `idle_since`. From enough turns on, the conversation as a
/// whole is scored: Σ uᵢ·sᵢ / Σ uᵢ with uᵢ = 0.5 + i/n, so that its end weighs three times its beginning.
pub(super) fn end(customer: &mut Customer, settings: &Settings, key: Option<u64>, idle_since: Timestamp) {
    let mut at = 0;
    while let Some(conversation) = customer.conversations.get(at) {
        let last = conversation.turns.last().copied();
        if key != Some(conversation.key) && last.is_some_and(|last| last.time > idle_since) {
            at += 1;
            continue;
        }
        let conversation = customer.conversations.remove(at);
        let enough = conversation.turns.len() >= settings.timing.conversation_turns_min as usize;
        if let (Some(last), true) = (last, enough) {
            let weight = settings.timing.conversation_weight;
            let signal = Signal { score: whole(&conversation.turns), weight, source: SignalSource::Conversation };
            touch::add_signal(customer, settings, last, signal);
        }
    }
}

fn whole(turns: &[Mark]) -> Micro {
    let count = i64::try_from(turns.len()).unwrap_or(i64::MAX);
    let (mut sum, mut weights) = (0_i64, 0_i64);
    // Both sums are multiplied by 2n to stay whole: u = n + 2i.
    for (turn, mark) in (1_i64..).zip(turns) {
        let weight = count + 2 * turn;
        sum += weight * mark.value.0;
        weights += weight;
    }
    Micro(sum.checked_div(weights).unwrap_or(0))
}

/// Reads `conversation_declining` at a turn, or at the end of the conversation.
pub(super) fn read(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>) {
    let Some(id) = scored.conversation_id else { return };
    let rule = &turn.settings.rules.conversation_declining;
    let key = hash64(id.as_bytes());
    let Some(conversation) = customer.conversations.iter().find(|conversation| conversation.key == key) else {
        return;
    };
    if conversation.turns.len() < rule.turns_min.max(3) as usize {
        return;
    }
    let Some((facts, lines)) = trend(&conversation.turns) else { return };
    let reading = conversation_declining::read(rule, &facts);
    let origin = conversation.turns.first().copied().unwrap_or_else(|| Mark::of(scored, Micro::ZERO));
    if matches!(reading.verdict, Verdict::Open(_)) || has_alert(customer, Kind::ConversationDeclining) {
        let item = Some(Item { item_type: ItemType::Conversation, id: Arc::from(id) });
        let subject = Subject { kind: Kind::ConversationDeclining, item, origin };
        turn.judge(customer, &subject, reading, Basis::Lines(&lines));
    }
}

/// The trend of a conversation, and what each turn of the first and the last third adds to it.
fn trend(turns: &[Mark]) -> Option<(conversation_declining::Facts, Vec<Evidence>)> {
    let third = turns.len() / 3;
    let (first, last) = (turns.get(..third)?, turns.get(turns.len() - third..)?);
    let parts = i64::try_from(2 * third).ok().filter(|parts| *parts > 0)?;
    let sum = |marks: &[Mark]| marks.iter().map(|mark| mark.value.0).sum::<i64>();
    let line = |mark: &Mark, sign: i64| mark.evidence(Micro(sign * mark.value.0 / parts));
    let lines: Vec<Evidence> =
        first.iter().map(|mark| line(mark, -1)).chain(last.iter().map(|mark| line(mark, 1))).collect();
    let facts = conversation_declining::Facts {
        turns: u32::try_from(turns.len()).unwrap_or(u32::MAX),
        first: Micro(sum(first) * 2 / parts),
        trend: Micro((sum(last) - sum(first)) / parts),
        last: turns.last()?.value,
    };
    Some((facts, lines))
}

/// Closes the alerts about conversations that are over.
pub(super) fn close_ended(turn: &mut Turn<'_>, customer: &mut Customer) {
    let is_over = |item: Option<&Item>| {
        let key = item.map_or(0, |item| hash64(item.id.as_bytes()));
        !customer.conversations.iter().any(|conversation| conversation.key == key)
    };
    let ended: Vec<_> = customer
        .alerts
        .iter()
        .filter(|alert| alert.kind == Kind::ConversationDeclining && super::turn::is_firing(alert.state))
        .filter(|alert| is_over(alert.item.as_ref()))
        .cloned()
        .collect();
    for alert in ended {
        turn.close(customer, &alert, "conversation_ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Channel, EventHash, Name};

    fn turns(scores: &[i64]) -> Vec<Mark> {
        let mark = |(at, score): (i64, &i64)| Mark {
            time: Timestamp(at),
            event: EventHash(1),
            kind: Name(0),
            channel: Channel::Support,
            value: Micro(*score),
        };
        (0..).zip(scores).map(mark).collect()
    }

    #[test]
    fn the_end_of_a_conversation_weighs_more_than_its_beginning() {
        // n = 4: weights 0.75, 1, 1.25, 1.5 of 4.5; only the last is -1.
        assert_eq!(whole(&turns(&[0, 0, 0, -1_000_000])), Micro(-333_333));
        assert_eq!(whole(&turns(&[500_000; 6])), Micro(500_000));
    }

    #[test]
    fn the_trend_is_half_the_difference_of_the_outer_thirds() {
        let (facts, lines) = trend(&turns(&[200_000, 400_000, 0, 0, -600_000, -800_000])).unwrap();
        assert_eq!((facts.first, facts.trend, facts.last), (Micro(300_000), Micro(-500_000), Micro(-800_000)));
        let sum: i64 = lines.iter().map(|line| line.contribution.0).sum();
        assert_eq!((lines.len(), sum), (4, -500_000));
    }
}
