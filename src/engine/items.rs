//! Open items of a customer (orders, conversations, topics, the customer as a whole) and what is promised about each.
//!
//! ```text
//!   promises ──(actions older than the lateness are folded in)── settled
//!   settled + actions within the lateness, in order of time ───▶ promises as they stand
//! ```
//! Touchpoints open, keep and break promises in the order they happened, not in that of their arrival: the actions of
//! the last `lateness` stay in a short list on top of what is settled, and the promises are evaluated anew from both.
//! All else is a sum, a minimum or a maximum. So any order of arrival within the lateness gives the same items.
//!
//! An item closes once, at the earliest touchpoint that closes it. What comes within the lateness after that still belongs
//! to it; it is kept for twice the lateness, then counted in `past` and dropped. Later touchpoints of the same id begin
//! a new item. Limits: `limits.open_items_max` items (the one silent for longest when another arrives gives way and is
//! reported: this alone depends on the order of arrival), 64 actions each.

use super::customer::{Customer, Dated, Mark};
use super::settings::{Measure, Settings};
use crate::model::{Channel, EventHash, Item, ItemType, Micro, Name, Scored, Signal, Timestamp};
use crate::rules::catalogue::{Catalogue, KindEntry};
use crate::rules::promises::{Direction, Due, PromiseEntry};
use std::sync::Arc;

/// Actions of one item kept one by one; the oldest is settled beyond that, whatever its age.
const ACTIONS_MAX: usize = 64;

/// The touchpoint that began something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opener {
    pub(super) event: EventHash,
    pub(super) kind: Name,
    pub(super) channel: Channel,
}

impl Opener {
    const fn of(scored: &Scored<'_>) -> Self {
        Self { event: scored.event, kind: scored.kind, channel: scored.channel }
    }

    /// As a touchpoint of a time.
    pub(super) const fn at(self, time: Timestamp) -> Mark {
        Mark { time, event: self.event, kind: self.kind, channel: self.channel, value: Micro::ZERO }
    }
}

/// Something expected to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) name: Name,
    pub(super) opened_at: Timestamp,
    pub(super) opener: Opener,
    pub(super) due: Option<Timestamp>,
    /// When it was kept or broken; none while it is open.
    pub(super) closed_at: Option<Timestamp>,
    pub(super) broken: bool,
}

impl Promise {
    pub(super) const fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// Kept after its due moment, broken, or open at `at` beyond it.
    fn is_bad(&self, at: Timestamp) -> bool {
        self.broken || self.due.is_some_and(|due| self.closed_at.unwrap_or(at) > due)
    }
}

/// What a touchpoint did to a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Open(Option<Timestamp>),
    /// `scored`: how late it is makes a signal (the touchpoint does not say so itself).
    Keep {
        scored: bool,
    },
    Break,
}

/// One thing a touchpoint did to one promise. Their order is that of time; what happened at the same moment is told
/// apart by promise and event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Action {
    pub(super) time: Timestamp,
    pub(super) promise: Name,
    pub(super) by: Opener,
    pub(super) what: What,
}

/// A measure of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    /// Index into `items.measures`.
    pub(super) index: u8,
    /// When the last value was given.
    pub(super) time: Timestamp,
    pub(super) last: Micro,
    pub(super) sum: Micro,
}

/// A thing touchpoints are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenItem {
    pub(super) item: Item,
    /// Its earliest touchpoint.
    pub(super) opened: Timestamp,
    pub(super) opener: Opener,
    pub(super) last: Timestamp,
    pub(super) touchpoints: u32,
    pub(super) inbound: u32,
    pub(super) last_in: Option<Timestamp>,
    pub(super) last_out: Option<Timestamp>,
    /// Stage, since the latest touchpoint that gave it.
    pub(super) stage: Dated<Name>,
    /// Sum of handling times.
    pub(super) handled_ms: i64,
    pub(super) measures: Vec<Measured>,
    /// (index into `items.segments`, when given, hash of the value).
    pub(super) segments: Vec<(u8, Timestamp, Name)>,
    /// As they stand, in the order of their names.
    pub(super) promises: Vec<Promise>,
    /// Without `actions`; empty when there are none, for then it is `promises`.
    pub(super) settled: Vec<Promise>,
    /// Of the last `lateness`, in their order.
    pub(super) actions: Vec<Action>,
    pub(super) closed: Option<Timestamp>,
    /// Closed by a failure of the business.
    pub(super) failed: bool,
}

impl OpenItem {
    fn new(item_type: ItemType, id: &str, scored: &Scored<'_>) -> Self {
        let time = scored.occurred_at;
        Self {
            item: Item { item_type, id: Arc::from(id) },
            opened: time,
            opener: Opener::of(scored),
            last: time,
            touchpoints: 0,
            inbound: 0,
            last_in: None,
            last_out: None,
            stage: None,
            handled_ms: 0,
            measures: Vec::new(),
            segments: Vec::new(),
            promises: Vec::new(),
            settled: Vec::new(),
            actions: Vec::new(),
            closed: None,
            failed: false,
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Open promises; a closed item has none.
    pub(super) fn open_promises(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(|promise| self.is_open() && promise.is_open())
    }

    /// The value of a measure, as its `aggregate` says.
    pub(super) fn measured(&self, index: u8, measure: &Measure) -> Option<Micro> {
        use super::settings::Aggregate;
        let measured = self.measures.iter().find(|measured| measured.index == index)?;
        let sum = measure.counts.is_some() || measure.aggregate == Aggregate::Sum;
        Some(if sum { measured.sum } else { measured.last })
    }

    /// Whether it went badly: a promise of ours broken, late, or overdue at the end, or closed by a failure.
    pub(super) fn is_bad(&self, catalogue: &Catalogue) -> bool {
        let ours = |promise: &&Promise| catalogue.promise(promise.name).is_some_and(PromiseEntry::is_scored);
        let at = self.closed.unwrap_or(self.last);
        self.failed || self.promises.iter().filter(ours).any(|promise| promise.is_bad(at))
    }

    /// Evaluates the promises from what is settled and the actions on top.
    pub(super) fn evaluate(&mut self, kept: &mut Vec<Kept>) {
        if !self.actions.is_empty() {
            self.promises.clone_from(&self.settled);
            fold(&mut self.promises, &self.actions, self.closed, kept);
        }
    }

    /// Settles the first `count` actions.
    fn settle(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        if let Some(actions) = self.actions.get(..count) {
            fold(&mut self.settled, actions, self.closed, &mut Vec::new());
        }
        self.actions.drain(..count);
        if self.actions.is_empty() {
            std::mem::swap(&mut self.promises, &mut self.settled);
            self.settled.clear();
        }
    }

    fn add(&mut self, action: Action) {
        if self.actions.is_empty() {
            self.settled.clone_from(&self.promises);
        }
        let at = self.actions.partition_point(|known| *known < action);
        self.actions.insert(at, action);
        if self.actions.len() > ACTIONS_MAX {
            self.settle(1);
        }
    }
}

/// A promise that was kept among the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) promise: Name,
    /// From opening to keeping, in ms.
    pub(super) wait_ms: i64,
    /// How late, and by which touchpoint; none without a due moment, or when the touchpoint says so itself.
    pub(super) late_ms: Option<i64>,
    pub(super) by: Mark,
}

/// Takes the promises through actions, which are in their order.
fn fold(promises: &mut Vec<Promise>, actions: &[Action], closed: Option<Timestamp>, kept: &mut Vec<Kept>) {
    let until = closed.unwrap_or(Timestamp(i64::MAX));
    for moment in actions.chunk_by(|a, b| a.time == b.time && a.promise == b.promise) {
        if moment.first().is_some_and(|first| first.time <= until) {
            fold_moment(promises, moment, kept);
        }
    }
}

/// What happened to one promise at one moment. A promise open before is kept or broken before it is opened anew; one that
/// was not is opened before another touchpoint keeps or breaks it.
fn fold_moment(promises: &mut Vec<Promise>, moment: &[Action], kept: &mut Vec<Kept>) {
    let Some(first) = moment.first() else { return };
    let (time, name) = (first.time, first.promise);
    let opening = moment.iter().find_map(|action| match action.what {
        What::Open(due) => Some((action.by, due)),
        What::Keep { .. } | What::Break => None,
    });
    let ending = |except: Option<EventHash>| {
        let ends = moment.iter().filter(move |action| !matches!(action.what, What::Open(_)));
        let mut ends = ends.filter(move |action| except != Some(action.by.event));
        let first = ends.next()?;
        // Kept counts for more than broken.
        Some(ends.fold(first, |best, action| if action.what < best.what { action } else { best }))
    };
    let at = promises.partition_point(|promise| promise.name < name);
    let known = promises.get(at).filter(|promise| promise.name == name).copied();
    let anew = |(opener, due)| Promise { name, opened_at: time, opener, due, closed_at: None, broken: false };
    let next = match (known.filter(Promise::is_open), opening) {
        (Some(open), None) => ending(None).map(|end| finish(open, end, kept)),
        (Some(open), Some(opening)) => ending(None).map(|end| {
            finish(open, end, kept);
            anew(opening)
        }),
        (None, Some(opening)) => {
            let open = anew(opening);
            Some(ending(Some(opening.0.event)).map_or(open, |end| finish(open, end, kept)))
        }
        (None, None) => None,
    };
    match (next, known) {
        (Some(next), Some(_)) => promises.iter_mut().skip(at).take(1).for_each(|promise| *promise = next),
        (Some(next), None) => promises.insert(at, next),
        (None, _) => {}
    }
}

fn finish(open: Promise, end: &Action, kept: &mut Vec<Kept>) -> Promise {
    if let What::Keep { scored } = end.what {
        kept.push(Kept {
            promise: open.name,
            wait_ms: end.time.since(open.opened_at),
            late_ms: open.due.filter(|_| scored).map(|due| end.time.since(due)),
            by: end.by.at(end.time),
        });
    }
    Promise { closed_at: Some(end.time), broken: end.what == What::Break, ..open }
}

/// What a touchpoint did to the items, for the rest of the engine.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Signals of the promises this touchpoint kept.
    pub(super) signals: Vec<Signal>,
    /// Signals that earlier touchpoints now have, or have no more (−1): late data changed what they kept.
    pub(super) corrections: Vec<(Mark, Signal, i64)>,
    /// Whether it may ever get such a signal: then it is remembered even without one.
    pub(super) may_keep: bool,
    /// Promises now kept, and how long they took, in ms.
    pub(super) kept: Vec<(Name, i64)>,
}

/// Takes a touchpoint into the items.
pub(super) fn take(
    customer: &mut Customer,
    settings: &Settings,
    entry: Option<&KindEntry>,
    scored: &Scored<'_>,
) -> Taken {
    settle(customer, settings);
    let mut taken = Taken::default();
    if entry.is_some_and(|entry| entry.kind.purchase) {
        customer.purchases.take(scored.occurred_at);
    }
    let Some((item_type, id)) = scored.item() else { return taken };
    let at = place_of(customer, settings, item_type, id, scored);
    let Some(item) = customer.items.get_mut(at) else { return taken };
    count(item, settings, entry, scored);
    if let Some(entry) = entry {
        act(item, settings, entry, scored, &mut taken);
    }
    while customer.items.len() > settings.limits.open_items_max.max(1) as usize {
        let oldest = customer.items.iter().enumerate().min_by_key(|(_, item)| (item.is_open(), item.last, item.opened));
        let Some((at, _)) = oldest else { break };
        retire(customer, settings, at);
        customer.dropped += 1;
    }
    taken
}

/// Folds what lies beyond the lateness: actions into their promises, closed items into the counters.
fn settle(customer: &mut Customer, settings: &Settings) {
    let lateness_ms = settings.timing.lateness_max_ms();
    let (horizon, dropped) = (customer.latest.minus(lateness_ms), customer.latest.minus(2 * lateness_ms));
    let mut at = 0;
    while let Some(item) = customer.items.get_mut(at) {
        item.settle(item.actions.partition_point(|action| action.time < horizon));
        if item.closed.is_some_and(|closed| closed < dropped) {
            retire(customer, settings, at);
        } else {
            at += 1;
        }
    }
}

fn retire(customer: &mut Customer, settings: &Settings, at: usize) {
    let item = customer.items.remove(at);
    customer.past = customer.past.saturating_add(1);
    customer.past_bad = customer.past_bad.saturating_add(u32::from(item.is_bad(&settings.catalogue)));
}

/// The place of the item a touchpoint is about, made if need be. Items are in the order of type, id and age.
fn place_of(customer: &mut Customer, settings: &Settings, item_type: ItemType, id: &str, scored: &Scored<'_>) -> usize {
    let time = scored.occurred_at;
    let takes =
        |item: &OpenItem| item.closed.is_none_or(|closed| time <= closed.plus(settings.timing.lateness_max_ms()));
    let is_same = |item: &OpenItem| item.item.item_type == item_type && *item.item.id == *id;
    if let Some(at) = customer.items.iter().position(|item| is_same(item) && takes(item)) {
        return at;
    }
    let before = |item: &OpenItem| (item.item.item_type, &*item.item.id, item.opened) <= (item_type, id, time);
    let at = customer.items.partition_point(before);
    customer.items.insert(at, OpenItem::new(item_type, id, scored));
    at
}

/// Sums, minima and maxima.
fn count(item: &mut OpenItem, settings: &Settings, entry: Option<&KindEntry>, scored: &Scored<'_>) {
    let time = scored.occurred_at;
    let by = Opener::of(scored);
    if (time, by) < (item.opened, item.opener) {
        (item.opened, item.opener) = (time, by);
    }
    item.last = item.last.max(time);
    item.touchpoints = item.touchpoints.saturating_add(1);
    item.handled_ms = item.handled_ms.saturating_add(scored.duration_ms.unwrap_or(0));
    match entry.and_then(|entry| entry.kind.direction) {
        Some(Direction::Inbound) => {
            item.inbound = item.inbound.saturating_add(1);
            item.last_in = item.last_in.max(Some(time));
        }
        Some(Direction::Outbound) => item.last_out = item.last_out.max(Some(time)),
        None => {}
    }
    item.stage = item.stage.max(entry.and_then(|entry| entry.stage).map(|stage| (time, stage)));
    for (index, value) in &scored.measures {
        measure(item, *index, time, *value);
    }
    for (index, known) in (0_u8..).zip(&settings.counted) {
        if *known == Some(scored.kind) {
            measure(item, index, time, Micro::ONE);
        }
    }
    for (index, value) in &scored.segments {
        match item.segments.iter_mut().find(|(known, ..)| known == index) {
            Some(known) => *known = (*known).max((*index, time, *value)),
            None => {
                let at = item.segments.partition_point(|(known, ..)| known < index);
                item.segments.insert(at, (*index, time, *value));
            }
        }
    }
}

fn measure(item: &mut OpenItem, index: u8, time: Timestamp, value: Micro) {
    match item.measures.iter_mut().find(|measured| measured.index == index) {
        Some(measured) => {
            measured.sum += value;
            (measured.time, measured.last) = (measured.time, measured.last).max((time, value));
        }
        None => {
            let at = item.measures.partition_point(|measured| measured.index < index);
            item.measures.insert(at, Measured { index, time, last: value, sum: value });
        }
    }
}

/// What the touchpoint does to promises, and whether it closes the item.
fn act(item: &mut OpenItem, settings: &Settings, entry: &KindEntry, scored: &Scored<'_>, taken: &mut Taken) {
    let closes = entry.kind.closes;
    if entry.opens.is_empty() && entry.keeps.is_empty() && entry.breaks.is_empty() && !closes {
        return;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    item.evaluate(&mut before);
    let (time, by) = (scored.occurred_at, Opener::of(scored));
    if closes && item.closed.is_none_or(|closed| time <= closed) {
        item.closed = Some(time);
        item.failed |= entry.kind.failure.is_some();
    }
    for (index, opening) in (0_u8..).zip(&entry.opens) {
        let due = opening.due.as_ref().and_then(|due| match due {
            Due::DueAt => scored.due_at,
            Due::Attribute(_) => scored.dues.iter().find(|(known, _)| *known == index).map(|(_, due)| *due),
            Due::After(span) => Some(time.plus(span.0)),
        });
        item.add(Action { time, promise: opening.promise, by, what: What::Open(due) });
    }
    for promise in &entry.keeps {
        let of = settings.catalogue.promise(*promise);
        let is_scored = !scored.has_lateness() && of.is_some_and(|of| of.dated && of.is_scored());
        taken.may_keep |= is_scored;
        item.add(Action { time, promise: *promise, by, what: What::Keep { scored: is_scored } });
    }
    for promise in &entry.breaks {
        item.add(Action { time, promise: *promise, by, what: What::Break });
    }
    item.evaluate(&mut after);
    let signal = |kept: &Kept| kept.late_ms.map(|late_ms| (kept.by, Signal::of_lateness(late_ms)));
    for kept in before.iter().filter(|kept| !after.contains(kept)) {
        taken.corrections.extend(signal(kept).map(|(by, signal)| (by, signal, -1)));
    }
    for kept in after.iter().filter(|kept| !before.contains(kept)) {
        taken.kept.push((kept.promise, kept.wait_ms));
        if kept.by.event == scored.event {
            taken.signals.extend(signal(kept).map(|(_, signal)| signal));
        } else {
            taken.corrections.extend(signal(kept).map(|(by, signal)| (by, signal, 1)));
        }
    }
}
