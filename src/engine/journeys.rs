//! Journeys under way and `journey_stalled`.
//!
//! A completion is remembered for as long as a late touchpoint may come, so that a start that arrives after its own
//! completion ends at once.

use super::customer::{AlertState, Completion, Customer, Journey, Mark, give_way};
use super::events::item_of;
use super::turn::{Basis, Subject, Turn, is_firing};
use crate::model::{Item, ItemType, Micro, Scored, hash64};
use crate::rules::Kind;
use crate::rules::catalogue::KindEntry;
use crate::rules::journey_stalled;
use std::sync::Arc;

/// Starts the journey of a touchpoint.
pub(super) fn start(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let Some((name, deadline_ms)) = entry.and_then(|entry| entry.starts) else { return };
    let (order, session) = keys(scored);
    let started = Mark::of(scored, Micro::ZERO);
    let deadline = started.time.plus(deadline_ms);
    let item = item_of(scored)
        .or_else(|| scored.session_id.map(|id| Item { item_type: ItemType::Session, id: Arc::from(id) }));
    let mut journey = Journey { name, started, restarted: None, deadline, order, session, item, stalled: false };
    let completions = customer.completions.iter().filter(|completion| completion.ends(&journey));
    let completed = completions.map(|completion| completion.time).min();
    let same = |known: &&mut Journey| known.name == name && known.order == order && known.session == session;
    let known = customer.journeys.iter_mut().find(same);
    match (completed, known) {
        // It came late: its end is known already, and what began after that is another journey.
        (Some(completed), None) => {
            if deadline <= completed {
                stall(turn, customer, &mut journey);
            }
            close_alert(turn, customer, &journey);
            return;
        }
        (Some(completed), Some(known)) if completed <= known.started.time => return,
        (_, Some(known)) => {
            // The first start counts, whichever arrives first; the last one, should a completion come between them.
            let [first, last] = [known.started.min(started), known.started.max(started)];
            known.restarted = known.restarted.max((last > first).then_some(last));
            if !known.stalled && first == started {
                (known.started, known.deadline) = (started, deadline);
            }
            return;
        }
        (None, None) => {}
    }
    customer.journeys.push(journey);
    give_way(&mut customer.journeys, turn.settings, &mut customer.dropped);
}

/// Ends the journeys a touchpoint completes, and the alerts about them.
pub(super) fn complete(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let kept_since = customer.latest.minus(turn.settings.timing.lateness_max_ms());
    customer.completions.retain(|completion| completion.time >= kept_since);
    let names = entry.map_or(&[][..], |entry| &entry.completes);
    let (order, session) = keys(scored);
    for name in names {
        let completion = Completion { name: *name, order, session, time: scored.occurred_at };
        let completed: Vec<Journey> = customer.journeys.extract_if(.., |journey| completion.ends(journey)).collect();
        for mut journey in completed {
            close_alert(turn, customer, &journey);
            if let Some(restarted) = journey.restarted.filter(|restarted| restarted.time > completion.time) {
                journey.deadline = restarted.time.plus(journey.deadline.since(journey.started.time));
                (journey.started, journey.restarted, journey.stalled) = (restarted, None, false);
                customer.journeys.push(journey);
            }
        }
        customer.completions.push(completion);
        give_way(&mut customer.completions, turn.settings, &mut customer.dropped);
    }
}

impl Completion {
    /// Whether it is the end of a journey: the same order, or the same session where an order is not known to both.
    fn ends(&self, journey: &Journey) -> bool {
        let differs = |a: u64, b: u64| a != 0 && b != 0 && a != b;
        let other = differs(journey.order, self.order)
            || ((journey.order == 0 || self.order == 0) && differs(journey.session, self.session));
        self.name == journey.name && !other && journey.started.time <= self.time
    }
}

/// Hashes of order and session id, by which journeys are told apart; 0 = none.
fn keys(scored: &Scored<'_>) -> (u64, u64) {
    let hash = |id: Option<&str>| id.map_or(0, |id| hash64(id.as_bytes()));
    (hash(scored.order_id), hash(scored.session_id))
}

fn close_alert(turn: &mut Turn<'_>, customer: &mut Customer, journey: &Journey) {
    let about = |alert: &&AlertState| alert.kind == Kind::JourneyStalled && alert.item == journey.item;
    if let Some(alert) = customer.alerts.iter().find(about).filter(|alert| is_firing(alert.state)).cloned() {
        turn.close(customer, &alert, "completed");
    }
}

fn stall(turn: &mut Turn<'_>, customer: &mut Customer, journey: &mut Journey) {
    journey.stalled = true;
    let (started, rule) = (journey.started, &turn.settings.rules.journey_stalled);
    let open_ms = customer.now.since(started.time);
    let reading = journey_stalled::read(rule, open_ms, journey.deadline.since(started.time));
    let subject = Subject { kind: Kind::JourneyStalled, item: journey.item.clone(), origin: started };
    turn.judge(customer, &subject, reading, Basis::Origin);
}

/// Journeys whose deadline has come.
pub(super) fn stall_due(turn: &mut Turn<'_>, customer: &mut Customer) {
    let now = customer.now;
    let mut journeys = std::mem::take(&mut customer.journeys);
    for journey in journeys.iter_mut().filter(|journey| !journey.stalled && journey.deadline <= now) {
        stall(turn, customer, journey);
    }
    customer.journeys = journeys;
}

/// A stalled journey is remembered as long as its alert lives, so that completing it can close the alert.
pub(super) fn forget_told(customer: &mut Customer) {
    let alerts = &customer.alerts;
    customer.journeys.retain(|journey| {
        let told = |alert: &AlertState| alert.kind == Kind::JourneyStalled && alert.item == journey.item;
        !journey.stalled || alerts.iter().any(told)
    });
}
