//! Contacts with service: `repeat_contact`, and the effort behind `high_effort`.
//!
//! The contacts of the last days are remembered in order of event time; what is repeated, and what changed the channel, is
//! read off that list each time, so it does not matter in which order they arrived.

use super::customer::{ContactMark, Customer, Mark, give_way};
use super::decay::Factor;
use super::events::has_alert;
use super::settings::Settings;
use super::touch;
use super::turn::{Basis, Subject, Turn, is_firing};
use crate::model::{Evidence, Instrument, Item, ItemType, Micro, Outcome, Scored, Timestamp, hash64};
use crate::rules::catalogue::KindEntry;
use crate::rules::{Kind, Verdict, high_effort, repeat_contact};
use std::sync::Arc;

/// Remembers a contact with service, a transfer, a resolution, or whatever else costs the customer effort.
pub(super) fn take(customer: &mut Customer, settings: &Settings, entry: Option<&KindEntry>, scored: &Scored<'_>) {
    let rule = &settings.rules.high_effort;
    let keep_ms = settings.rules.repeat_contact.window.0.max(settings.timing.lateness_max_ms());
    customer.contacts.retain(|contact| contact.mark.time > customer.now.minus(keep_ms));
    let resolved = scored.outcome == Some(Outcome::Resolved) || entry.is_some_and(|entry| entry.kind.resolves);
    let transferred = scored.outcome == Some(Outcome::Transferred) || entry.is_some_and(|entry| entry.kind.transfers);
    let contact = entry.is_some_and(|entry| entry.kind.service_contact);
    let own = entry.and_then(|entry| entry.kind.effort).unwrap_or(Micro::ZERO);
    let effort = own + if transferred { rule.transfer } else { Micro::ZERO };
    let costs = contact || effort > Micro::ZERO;
    let (about, conversation) = (about(scored), scored.conversation_id.map_or(0, |id| hash64(id.as_bytes())));
    let matters = costs || (resolved && (about != 0 || conversation != 0));
    if !matters || customer.now.since(scored.occurred_at) >= keep_ms {
        return;
    }
    let mark = Mark::of(scored, effort);
    let mark = ContactMark { mark, about, conversation, contact, transferred, resolved };
    touch::insert_in_order(&mut customer.contacts, mark, |contact| (contact.mark.time, contact.mark.event));
    give_way(&mut customer.contacts, settings, &mut customer.dropped);
}

/// Hash of the order or topic a touchpoint is about; 0 = none.
fn about(scored: &Scored<'_>) -> u64 {
    scored.order_id.or(scored.topic).map_or(0, |id| hash64(id.as_bytes()))
}

/// Whether the contact at `at` begins a conversation about its matter: further turns are no further contacts.
fn begins(contacts: &[ContactMark], at: usize) -> bool {
    let (Some(contact), Some(earlier)) = (contacts.get(at), contacts.get(..at)) else { return false };
    let same = |other: &ContactMark| {
        other.contact && other.conversation == contact.conversation && other.about == contact.about
    };
    contact.contact && (contact.conversation == 0 || !earlier.iter().any(same))
}

/// Points of effort of each contact: its own, and what it adds as a contact, a repeated one or a change of channel.
fn efforts(customer: &Customer, settings: &Settings) -> Vec<(Mark, Micro)> {
    let rule = &settings.rules.high_effort;
    let contacts = &customer.contacts;
    let points = |(at, contact): (usize, &ContactMark)| {
        let mut points = contact.mark.value;
        if begins(contacts, at) {
            points += rule.contact;
            let earlier = contacts.get(..at).unwrap_or_default();
            let same = |other: &&ContactMark| other.contact && contact.about != 0 && other.about == contact.about;
            if let Some(previous) = earlier.iter().rev().find(same) {
                points += rule.repeat;
                if previous.mark.channel != contact.mark.channel {
                    points += rule.switch;
                }
            }
        }
        (contact.mark, points)
    };
    contacts.iter().enumerate().map(points).filter(|(_, points)| *points > Micro::ZERO).collect()
}

/// Effort at the customer's time, and what each contact adds.
pub(super) fn effort(customer: &Customer, settings: &Settings) -> (Micro, Vec<Evidence>) {
    let half_life_ms = settings.rules.high_effort.half_life.0;
    let decayed = |(mark, points): (Mark, Micro)| {
        let factor = Factor::of(customer.now.since(mark.time), half_life_ms);
        mark.evidence(Micro(factor.times(points.0)))
    };
    let lines: Vec<Evidence> = efforts(customer, settings).into_iter().map(decayed).collect();
    (lines.iter().fold(Micro::ZERO, |sum, line| sum + line.contribution), lines)
}

/// Reads both rules at a touchpoint.
pub(super) fn read(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    if entry.is_some_and(|entry| entry.kind.service_contact) {
        read_repeat(turn, customer, scored);
    }
    let ces = scored.rating.filter(|rating| rating.instrument == Instrument::Ces).map(|rating| rating.value);
    if customer.contacts.is_empty() && ces.is_none() && !has_alert(customer, Kind::HighEffort) {
        return;
    }
    let rule = &turn.settings.rules.high_effort;
    let conversation = scored.conversation_id.map_or(0, |id| hash64(id.as_bytes()));
    let of_conversation = |contact: &&ContactMark| contact.transferred && contact.conversation == conversation;
    let transfers = customer.contacts.iter().filter(of_conversation).count();
    let about = about(scored);
    let recent = scored.occurred_at.minus(rule.channels_within.0);
    let mut channels: Vec<_> = customer
        .contacts
        .iter()
        .filter(|contact| contact.contact && about != 0 && contact.about == about && contact.mark.time > recent)
        .map(|contact| contact.mark.channel)
        .collect();
    channels.sort_unstable();
    channels.dedup();
    let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
    let transfers = if conversation == 0 { 0 } else { count(transfers) };
    read_effort(turn, customer, ces, transfers, count(channels.len()), Mark::of(scored, Micro::ZERO));
}

/// Reads `high_effort` by time alone.
pub(super) fn read_timer(turn: &mut Turn<'_>, customer: &mut Customer) {
    let known = customer.alerts.iter().find(|alert| alert.kind == Kind::HighEffort);
    if let Some(origin) = known.map(|alert| alert.origin) {
        read_effort(turn, customer, None, 0, 0, origin);
    }
}

fn read_effort(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    ces: Option<Micro>,
    transfers: u32,
    channels: u32,
    origin: Mark,
) {
    let (effort, lines) = effort(customer, turn.settings);
    let facts = high_effort::Facts { effort, ces, transfers, channels };
    let reading = high_effort::read(&turn.settings.rules.high_effort, &facts);
    if matches!(reading.verdict, Verdict::Open(_)) || has_alert(customer, Kind::HighEffort) {
        let subject = Subject { kind: Kind::HighEffort, item: None, origin };
        let basis = if reading.figure == "effort" { Basis::Lines(&lines) } else { Basis::Origin };
        turn.judge(customer, &subject, reading, basis);
    }
}

fn read_repeat(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>) {
    let order = scored.order_id.map(|id| (ItemType::Order, id));
    let Some((item_type, id)) = order.or(scored.topic.map(|id| (ItemType::Topic, id))) else { return };
    let (facts, lines) = repeats(customer, turn.settings, hash64(id.as_bytes()));
    let reading = repeat_contact::read(&turn.settings.rules.repeat_contact, &facts);
    if matches!(reading.verdict, Verdict::Open(_)) {
        let item = Some(Item { item_type, id: Arc::from(id) });
        let subject = Subject { kind: Kind::RepeatContact, item, origin: Mark::of(scored, Micro::ZERO) };
        turn.judge(customer, &subject, reading, Basis::Lines(&lines));
    }
}

/// The contacts about one thing within the window.
fn repeats(customer: &Customer, settings: &Settings, about: u64) -> (repeat_contact::Facts, Vec<Evidence>) {
    let since = customer.now.minus(settings.rules.repeat_contact.window.0);
    let mut lines = Vec::new();
    let mut was_resolved = false;
    let (mut resolved, contacts) = (false, &customer.contacts);
    for (at, contact) in contacts.iter().enumerate() {
        if contact.about != about || contact.mark.time <= since {
            continue;
        }
        if begins(contacts, at) {
            was_resolved |= resolved;
            lines.push(contact.mark.evidence(Micro::ONE));
        }
        resolved |= contact.resolved;
    }
    let contacts = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    (repeat_contact::Facts { contacts, was_resolved }, lines)
}

/// When the alert about an order or topic has had no contact for long enough.
pub(super) fn quiet_at(customer: &Customer, settings: &Settings, item: Option<&Item>) -> Timestamp {
    let about = item.map_or(0, |item| hash64(item.id.as_bytes()));
    let about_it = customer.contacts.iter().filter(|contact| contact.contact && contact.about == about);
    let last = about_it.map(|contact| contact.mark.time).max();
    last.map_or(customer.now, |last| last.plus(settings.rules.repeat_contact.window.0))
}

/// Closes the alerts about what nobody has asked about for long enough.
pub(super) fn close_quiet(turn: &mut Turn<'_>, customer: &mut Customer) {
    let now = customer.now;
    let quiet: Vec<_> = customer
        .alerts
        .iter()
        .filter(|alert| alert.kind == Kind::RepeatContact && is_firing(alert.state))
        .filter(|alert| quiet_at(customer, turn.settings, alert.item.as_ref()) <= now)
        .cloned()
        .collect();
    for alert in quiet {
        turn.close(customer, &alert, "no_further_contact");
    }
}
