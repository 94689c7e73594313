//! Web and app sessions with friction: how often each kind of it, and `frustration_burst`.
//!
//! Only sessions with friction are remembered, each until it has been idle for longer than the lateness, so that
//! interleaved sessions (two devices) and late touchpoints find their own.

use super::customer::{Customer, Friction, Mark, Session, give_way};
use super::settings::Settings;
use super::turn::{Basis, Subject, Turn, is_firing};
use crate::model::{Evidence, Item, ItemType, Micro, Scored, Timestamp, hash64};
use crate::rules::catalogue::KindEntry;
use crate::rules::{Kind, Verdict, frustration_burst};
use std::sync::Arc;

/// Counts a friction touchpoint in its session; true when enough of its kind were scored there already.
pub(super) fn is_full(customer: &mut Customer, settings: &Settings, scored: &Scored<'_>) -> bool {
    let (time, gap_ms) = (scored.occurred_at, settings.timing.episode_gap.0);
    let key = scored.session_id.map_or(0, |id| hash64(id.as_bytes()));
    let kept_since = customer.now.minus(settings.timing.lateness_max_ms().max(gap_ms));
    customer.sessions.retain(|session| session.last > kept_since);
    // Without an id, time holds a session together.
    let joins = |session: &Session| {
        session.key == key && (key != 0 || (time <= session.last.plus(gap_ms) && time >= session.first.minus(gap_ms)))
    };
    let at = customer.sessions.iter().position(joins).unwrap_or_else(|| {
        customer.sessions.push(Session { key, first: time, last: time, frictions: Vec::new() });
        give_way(&mut customer.sessions, settings, &mut customer.dropped);
        customer.sessions.len() - 1
    });
    let Some(session) = customer.sessions.get_mut(at) else { return false };
    (session.first, session.last) = (session.first.min(time), session.last.max(time));
    let mark = Mark::of(scored, Micro::ZERO);
    match session.frictions.iter_mut().find(|friction| friction.latest.kind == scored.kind) {
        Some(friction) => {
            friction.count = friction.count.saturating_add(1);
            friction.latest = friction.latest.max(mark);
            friction.count > settings.timing.session_events_max
        }
        None => {
            session.frictions.push(Friction { latest: mark, count: 1 });
            settings.timing.session_events_max == 0
        }
    }
}

/// Reads `frustration_burst` at a friction touchpoint.
pub(super) fn read(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    if entry.is_none_or(|entry| entry.kind.frustration.is_none()) {
        return;
    }
    let key = scored.session_id.map_or(0, |id| hash64(id.as_bytes()));
    let of_time = |session: &Session| (session.first..=session.last).contains(&scored.occurred_at);
    let found = customer.sessions.iter().find(|session| session.key == key && of_time(session));
    let Some((facts, lines)) = found.map(|session| points(session, turn.settings)) else { return };
    let reading = frustration_burst::read(&turn.settings.rules.frustration_burst, &facts);
    if matches!(reading.verdict, Verdict::Open(_)) {
        let item = scored.session_id.map(|id| Item { item_type: ItemType::Session, id: Arc::from(id) });
        let origin = Mark::of(scored, Micro::ZERO);
        let subject = Subject { kind: Kind::FrustrationBurst, item, origin };
        turn.judge(customer, &subject, reading, Basis::Lines(&lines));
    }
}

/// Points of a session, and what each kind of friction adds; kinds in order of their hash.
fn points(session: &Session, settings: &Settings) -> (frustration_burst::Facts, Vec<Evidence>) {
    let line = |friction: &Friction| {
        let points = settings.catalogue.kind(friction.latest.kind)?.kind.frustration?;
        let counted = friction.count.min(settings.timing.session_events_max);
        Some(friction.latest.evidence(Micro(points.0.saturating_mul(counted.into()))))
    };
    let lines: Vec<Evidence> = session.frictions.iter().filter_map(line).collect();
    let points = lines.iter().fold(Micro::ZERO, |sum, line| sum + line.contribution);
    let kinds = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    (frustration_burst::Facts { points, kinds, idle: false }, lines)
}

/// Closes the alerts of sessions that have been idle for long enough.
pub(super) fn close_idle(turn: &mut Turn<'_>, customer: &mut Customer) {
    let now = customer.now;
    let idle: Vec<_> = customer
        .alerts
        .iter()
        .filter(|alert| alert.kind == Kind::FrustrationBurst && is_firing(alert.state))
        .filter(|alert| idle_at(customer, turn.settings, alert.item.as_ref()) <= now)
        .cloned()
        .collect();
    for alert in idle {
        turn.close(customer, &alert, "session_ended");
    }
}

/// When the session of an alert has been idle for long enough.
pub(super) fn idle_at(customer: &Customer, settings: &Settings, item: Option<&Item>) -> Timestamp {
    let key = item.map_or(0, |item| hash64(item.id.as_bytes()));
    let last = customer.sessions.iter().filter(|session| session.key == key).map(|session| session.last).max();
    last.map_or(customer.now, |last| last.plus(settings.timing.episode_gap.0))
}
