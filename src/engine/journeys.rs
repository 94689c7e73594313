//! Journeys under way ([`crate::rules::journeys`]), and `journey_stalled`.
//!
//! What reaches a step or an end is remembered for as long as a late touchpoint may come, so that a start that arrives
//! after its own steps takes them up, and one that arrives after its own end is over at once. A step counts from the
//! earliest touchpoint that reaches it. So any order of arrival within the lateness gives the same journeys; moves are
//! told as they are found, and only forward ones.
//!
//! While an alert about one journey is open, another journey about the same item stalls without a word: a checkout that was
//! given up is a cart that was left.
//!
//! A journey that waits for nothing with a deadline, or stalled and was told, stays as far as there is room
//! (`limits.open_items_max`): its next step may still come.

use super::customer::{AlertState, Customer, Detail, Mark, give_way};
use super::events::item_of;
use super::settings::Settings;
use super::turn::{Basis, Subject, Told, Turn, is_firing};
use super::{Move, Output, Place, UnderWay};
use crate::model::{Evidence, Item, ItemType, Micro, Name, Scored, TermKind, Timestamp, hash64};
use crate::rules::Kind;
use crate::rules::catalogue::KindEntry;
use crate::rules::journey_stalled;
use crate::rules::journeys::JourneyEntry;
use std::sync::Arc;

/// Ids by which journeys are told apart: hashes of order, conversation and session; 0 = none.
pub(super) type Keys = [u64; 3];

/// A journey under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journey {
    pub(super) name: Name,
    pub(super) started: Mark,
    /// The last time it was started again while under way.
    pub(super) restarted: Option<Mark>,
    pub(super) keys: Keys,
    pub(super) item: Option<Item>,
    /// The earliest touchpoint of each step reached, in the order of the steps.
    pub(super) reached: Vec<(Name, Mark)>,
    /// When what it waits for is overdue.
    pub(super) deadline: Option<Timestamp>,
    /// The deadline has passed and was read.
    pub(super) stalled: bool,
}

/// A touchpoint reached a step of a journey, or its end (no step).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) journey: Name,
    pub(super) step: Option<Name>,
    pub(super) keys: Keys,
    pub(super) mark: Mark,
}

impl Passage {
    /// Whether it belongs to a journey: the first id known to both decides.
    fn is_of(&self, journey: &Journey) -> bool {
        let mut known = self.keys.iter().zip(&journey.keys).filter(|(own, other)| **own != 0 && **other != 0);
        self.journey == journey.name
            && known.next().is_none_or(|(own, other)| own == other)
            && journey.started.time <= self.mark.time
            && journey.started.event != self.mark.event
    }

    fn is_end(&self, entry: &JourneyEntry) -> bool {
        self.step.is_none_or(|step| entry.is_last(step))
    }

    fn place(&self) -> Place {
        self.step.map_or(Place::End, Place::Step)
    }
}

/// What a journey waits for.
struct Wait {
    /// None of a journey without steps: its end.
    step: Option<Name>,
    since: Mark,
    due: Timestamp,
}

impl Journey {
    /// Whether time alone will move it.
    pub(super) const fn waits(&self) -> bool {
        !self.stalled && self.deadline.is_some()
    }

    /// The furthest step, and the touchpoint that reached it.
    fn furthest(&self) -> (Place, Mark) {
        self.reached.last().map_or((Place::Start, self.started), |(step, mark)| (Place::Step(*step), *mark))
    }

    /// The next step from the furthest one on, or the end of the whole, whichever is due first.
    fn wait(&self, entry: &JourneyEntry) -> Option<Wait> {
        let next = entry.after(self.reached.last().map(|(step, _)| *step));
        let (_, since) = self.furthest();
        let wait =
            |since: Mark, span_ms| Wait { step: next.map(|next| next.name), since, due: since.time.plus(span_ms) };
        let of_step = next.and_then(|next| Some(wait(since, next.deadline_ms?)));
        // A step beyond the time of the whole is waited for anew, by its own time.
        let of_whole = entry.deadline_ms.map(|span_ms| wait(self.started, span_ms)).filter(|of| of.due > since.time);
        of_step.into_iter().chain(of_whole).min_by_key(|wait| wait.due)
    }

    /// Takes a step up.
    fn reach(&mut self, entry: &JourneyEntry, step: Name, mark: Mark) {
        self.reached.retain(|(known, _)| entry.place(*known).is_some());
        let place = entry.place(step);
        let at = self.reached.partition_point(|(known, _)| entry.place(*known) < place);
        match self.reached.get_mut(at) {
            Some((known, earliest)) if *known == step => *earliest = mark.min(*earliest),
            _ => self.reached.insert(at, (step, mark)),
        }
    }

    /// Takes up what was reached before it was known.
    fn take_up(&mut self, entry: &JourneyEntry, passages: &[Passage]) {
        for passage in passages.iter().filter(|passage| passage.is_of(self)).copied().collect::<Vec<_>>() {
            if let Some(step) = passage.step.filter(|_| !passage.is_end(entry)) {
                self.reach(entry, step, passage.mark);
            }
        }
    }
}

/// Starts the journey of a touchpoint.
pub(super) fn start(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    let Some(name) = entry.and_then(|entry| entry.starts) else { return };
    let Some(entry) = turn.settings.catalogue.journey(name) else { return };
    let (started, keys) = (Mark::of(scored, Micro::ZERO), keys(scored));
    let item = item_of(scored)
        .or_else(|| scored.session_id.map(|id| Item { item_type: ItemType::Session, id: Arc::from(id) }));
    let mut journey =
        Journey { name, started, restarted: None, keys, item, reached: Vec::new(), deadline: None, stalled: false };
    let of_this = customer.passages.iter().filter(|passage| passage.is_of(&journey));
    let first = of_this.clone().min_by_key(|passage| passage.mark.time).copied();
    let ended = of_this.filter(|passage| passage.is_end(entry)).min_by_key(|passage| passage.mark.time).copied();
    let known = customer.journeys.iter().position(|known| known.name == name && known.keys == keys);
    if let Some(at) = known {
        let mut known = customer.journeys.remove(at);
        if ended.is_none_or(|ended| ended.mark.time > known.started.time) {
            start_again(turn, customer, &mut known, entry, started);
        }
        return customer.journeys.insert(at, known);
    }
    // It came late: what it waited for first may have been overdue when it came.
    let wait = journey.wait(entry);
    if wait.is_some_and(|wait| first.is_some_and(|first| wait.due <= first.mark.time)) {
        stall(turn, customer, &mut journey);
        close_alert(turn, customer, &journey, if ended == first { "completed" } else { "reached" });
        journey.stalled = false;
    }
    if let Some(ended) = ended {
        // Its end is known already, and what began after that is another journey.
        return told(turn, &journey, (Place::Start, started), ended.place(), ended.mark.time);
    }
    journey.take_up(entry, &customer.passages);
    go_on(turn, customer, &mut journey, entry, (Place::Start, started));
    customer.journeys.push(journey);
    make_room(customer, turn.settings);
}

/// The first start counts, whichever arrives first; the last one, should an end come between them.
fn start_again(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    journey: &mut Journey,
    entry: &JourneyEntry,
    started: Mark,
) {
    let (from, last) = (journey.furthest(), journey.started.max(started));
    journey.started = journey.started.min(started);
    journey.restarted = journey.restarted.max((last > journey.started).then_some(last));
    journey.take_up(entry, &customer.passages);
    go_on(turn, customer, journey, entry, from);
}

/// Takes journeys on to the steps and ends that a touchpoint reaches, and closes the alerts about them.
pub(super) fn pass(turn: &mut Turn<'_>, customer: &mut Customer, scored: &Scored<'_>, entry: Option<&KindEntry>) {
    if !customer.passages.is_empty() {
        let kept_since = customer.latest.minus(turn.settings.timing.lateness_max_ms());
        customer.passages.retain(|passage| passage.mark.time >= kept_since);
    }
    for (journey, step) in entry.map_or(&[][..], |entry| &entry.passes) {
        let (mark, keys) = (Mark::of(scored, Micro::ZERO), keys(scored));
        let passage = Passage { journey: *journey, step: *step, keys, mark };
        let Some(entry) = turn.settings.catalogue.journey(*journey) else { continue };
        for journey in std::mem::take(&mut customer.journeys) {
            let journey =
                if passage.is_of(&journey) { take_on(turn, customer, journey, entry, &passage) } else { Some(journey) };
            customer.journeys.extend(journey);
        }
        customer.passages.push(passage);
        give_way(&mut customer.passages, turn.settings, &mut customer.dropped);
    }
}

/// A journey after a touchpoint of its own; none when that ended it.
fn take_on(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    mut journey: Journey,
    entry: &JourneyEntry,
    passage: &Passage,
) -> Option<Journey> {
    let (from, at) = (journey.furthest(), passage.mark.time);
    if passage.is_end(entry) {
        told(turn, &journey, from, passage.place(), at);
        close_alert(turn, customer, &journey, "completed");
        journey.started = journey.restarted.take().filter(|restarted| restarted.time > at)?;
        journey.reached.clear();
        journey.stalled = false;
        let from = journey.furthest();
        journey.take_up(entry, &customer.passages);
        go_on(turn, customer, &mut journey, entry, from);
        return Some(journey);
    }
    journey.reach(entry, passage.step?, passage.mark);
    go_on(turn, customer, &mut journey, entry, from);
    Some(journey)
}

/// A journey whose steps may have changed: tells how far it came, and sets the time of what it waits for now.
fn go_on(
    turn: &mut Turn<'_>,
    customer: &mut Customer,
    journey: &mut Journey,
    entry: &JourneyEntry,
    from: (Place, Mark),
) {
    let (to, mark) = journey.furthest();
    if to != from.0 {
        told(turn, journey, from, to, mark.time);
        close_alert(turn, customer, journey, "reached");
        journey.stalled = false;
    }
    journey.deadline = journey.wait(entry).map(|wait| wait.due);
}

fn keys(scored: &Scored<'_>) -> Keys {
    [scored.order_id, scored.conversation_id, scored.session_id].map(|id| id.map_or(0, |id| hash64(id.as_bytes())))
}

/// Tells a move from where the journey stood to another place.
fn told(turn: &mut Turn<'_>, journey: &Journey, (from, since): (Place, Mark), to: Place, at: Timestamp) {
    let of = Move {
        customer_id: turn.customer_id(),
        journey: journey.name,
        item: journey.item.clone(),
        from,
        to,
        at,
        waited_ms: at.since(since.time),
    };
    turn.out.push(Output::Moved(Box::new(of)));
}

fn close_alert(turn: &mut Turn<'_>, customer: &mut Customer, journey: &Journey, reason: &'static str) {
    let alert = customer.alerts.iter().find(|alert| is_about(alert, journey) && is_firing(alert.state)).cloned();
    if let Some(alert) = alert {
        turn.close(customer, &alert, reason);
    }
}

fn is_about(alert: &AlertState, journey: &Journey) -> bool {
    alert.kind == Kind::JourneyStalled && alert.item == journey.item && alert.detail == Detail::Journey(journey.name)
}

fn stall(turn: &mut Turn<'_>, customer: &mut Customer, journey: &mut Journey) {
    journey.stalled = true;
    // A journey that is gone from the configuration has nothing to say.
    let Some(wait) = turn.settings.catalogue.journey(journey.name).and_then(|entry| journey.wait(entry)) else {
        return;
    };
    // Of the whole's time too: each place it stalls at is an alert of its own.
    let (place, origin) = journey.furthest();
    told(turn, journey, (place, wait.since), Place::Stalled, wait.due);
    let is_known =
        |alert: &AlertState| alert.kind == Kind::JourneyStalled && alert.item == journey.item && is_firing(alert.state);
    if customer.alerts.iter().any(|alert| is_known(alert) && !is_about(alert, journey)) {
        return;
    }
    let since = wait.since;
    let rule = &turn.settings.rules.journey_stalled;
    let reading = journey_stalled::read(rule, customer.now.since(since.time), wait.due.since(since.time));
    let subject = Subject { kind: Kind::JourneyStalled, item: journey.item.clone(), origin };
    let awaited = Some((TermKind::Step, Some(wait.step.unwrap_or(journey.name))));
    let lines = [Evidence { term: awaited, ..since.evidence(reading.after) }];
    let told_by = Told::new(Basis::Lines(&lines));
    turn.judge_detail(customer, &subject, &Detail::Journey(journey.name), reading, told_by);
}

/// Journeys whose deadline has come.
pub(super) fn stall_due(turn: &mut Turn<'_>, customer: &mut Customer) {
    let now = customer.now;
    let mut journeys = std::mem::take(&mut customer.journeys);
    for journey in &mut journeys {
        if !journey.stalled && journey.deadline.is_some_and(|deadline| deadline <= now) {
            stall(turn, customer, journey);
        }
    }
    customer.journeys = journeys;
}

/// A stalled journey without steps is remembered as long as its alert lives, so that its end can close the alert. One
/// that has steps may still go on.
pub(super) fn forget_told(customer: &mut Customer, settings: &Settings) {
    let alerts = &customer.alerts;
    customer.journeys.retain(|journey| {
        let has_steps = || settings.catalogue.journey(journey.name).is_some_and(|entry| !entry.steps.is_empty());
        !journey.stalled || alerts.iter().any(|alert| is_about(alert, journey)) || has_steps()
    });
}

/// Leaves `limits.open_items_max` journeys. Those that wait for nothing go first, and are not counted; then the oldest.
fn make_room(customer: &mut Customer, settings: &Settings) {
    while customer.journeys.len() > settings.limits.open_items_max.max(1) as usize {
        let resting = customer.journeys.iter().position(|journey| !journey.waits());
        customer.dropped += usize::from(resting.is_none());
        customer.journeys.remove(resting.unwrap_or(0));
    }
}

/// The journeys of a customer, as queries see them: one without steps that stalled is not under way any more, it is
/// remembered for its alert alone.
pub(super) fn under_way(customer: &Customer, settings: &Settings) -> Vec<UnderWay> {
    let view = |journey: &Journey| {
        let entry = settings.catalogue.journey(journey.name)?;
        if journey.stalled && entry.steps.is_empty() {
            return None;
        }
        let next = entry.after(journey.reached.last().map(|(step, _)| *step));
        Some(UnderWay {
            journey: journey.name,
            item: journey.item.clone(),
            started: journey.started.time,
            reached: journey.reached.iter().map(|(step, mark)| (*step, mark.time)).collect(),
            waits_for: next.map(|next| next.name),
            deadline: journey.deadline,
            stalled: journey.stalled,
        })
    };
    customer.journeys.iter().filter_map(view).collect()
}
