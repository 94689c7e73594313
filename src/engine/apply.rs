//! [`Engine`]: one input in, answers out.
//!
//! A touchpoint unpacks one customer into a scratch, changes it and packs it again ([`super::store`]).

use super::customer::Customer;
use super::figures::derive;
use super::store::Store;
use super::turn::{Turn, is_firing};
use super::{EventRef, Gone, ImageError, Input, Largest, Limit, Output, Settings, Slot, TICK_TIMERS_MAX, Touched, Why};
use super::{conversations, events, image, items, touch};
use crate::model::{Scored, Timestamp, hash64};
use std::borrow::Cow;
use std::sync::Arc;

/// For [`Engine::warm`]; larger on few machines, and then it only reads some bytes for nothing.
const CACHE_LINE_BYTES: usize = 64;

/// Openings (1) and ends (−1) of alerts, by the rule's place ([`Settings::place_of`]).
pub(super) type Opened = Vec<(usize, i64)>;

/// All customers of one partition. See the module documentation of `engine` for the life of a transaction.
#[derive(Debug)]
pub struct Engine {
    pub(super) settings: Arc<Settings>,
    pub(super) store: Store,
    scratch: Customer,
    buffer: Vec<u8>,
    /// Open alerts by the rule's place.
    open: Vec<i64>,
    open_committed: Vec<i64>,
    largest: Largest,
}

impl Engine {
    /// An engine without customers.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        let (store, scratch) = (Store::default(), Customer::default());
        let open = vec![0; settings.kinds().count()];
        let largest = Largest::default();
        Self { settings, store, scratch, buffer: Vec::new(), open_committed: open.clone(), open, largest }
    }

    /// Applies one input; answers are appended to `out`, which the caller owns and reuses.
    pub fn apply(&mut self, input: &Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Touchpoint(scored) => self.touchpoint(scored, out),
            Input::Tick(until) => self.tick(*until, out),
            Input::Removed(customer_id, why) => self.remove(customer_id, *why, out),
            Input::Recomputed(customer_id) => self.recomputed(customer_id, out),
        }
        self.store.settle_front();
    }

    /// Makes everything since the last commit final.
    pub fn commit(&mut self) {
        self.store.commit();
        self.open_committed.copy_from_slice(&self.open);
    }

    /// Takes everything since the last commit back.
    pub fn rollback(&mut self) {
        self.store.rollback();
        self.open.copy_from_slice(&self.open_committed);
    }

    /// When the next timer is due; a tick at or after it fires something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.store.next_deadline()
    }

    /// Customers touched since the last commit, each once, in order of first touch, removed ones included.
    #[must_use]
    pub fn touched(&self) -> &[Touched] {
        self.store.touched()
    }

    /// Customers removed or expired since the last commit, and not created anew.
    #[must_use]
    pub fn gone(&self) -> &[Gone] {
        self.store.gone()
    }

    /// The slot of a customer.
    #[must_use]
    pub fn find(&self, customer_id: &str) -> Option<Slot> {
        self.store.find(customer_id).map(Slot)
    }

    /// Who sits in a slot; empty when nobody does.
    #[must_use]
    pub fn customer_id(&self, slot: Slot) -> &str {
        self.store.id(slot.0)
    }

    /// The image of a customer as of the last `apply`, committed or not; empty when nobody sits there.
    #[must_use]
    pub fn image(&self, slot: Slot) -> &[u8] {
        self.store.packed(slot.0)
    }

    /// Puts a customer back from an image, in place of one of the same id. Counts as committed; call it between
    /// transactions only.
    ///
    /// # Errors
    /// When the image is damaged or of an unknown format; then nothing changed.
    pub fn restore(&mut self, customer_id: &str, bytes: &[u8]) -> Result<Slot, ImageError> {
        image::read(bytes, &mut self.scratch)?;
        let deadline = self.scratch.deadline(&self.settings);
        let opened = open_alerts(&self.scratch, &self.settings);
        self.discard(customer_id);
        let slot = self.store.restore(customer_id, bytes, deadline);
        add(&mut self.open, &opened, 1);
        self.open_committed.copy_from_slice(&self.open);
        Ok(Slot(slot))
    }

    /// Forgets a customer without a word: for restores. Counts as committed; call it between transactions only.
    pub fn discard(&mut self, customer_id: &str) {
        let Some(slot) = self.store.find(customer_id) else { return };
        if image::read(self.store.packed(slot), &mut self.scratch).is_ok() {
            add(&mut self.open, &open_alerts(&self.scratch, &self.settings), -1);
        }
        self.store.discard(customer_id);
        self.open_committed.copy_from_slice(&self.open);
    }

    /// Reads customers' memory and forgets it: whoever does so before applying several touchpoints waits for memory once
    /// instead of one after the other. In two steps, each of which has nothing to wait for between two customers.
    pub fn warm<'i>(&self, customer_ids: impl Iterator<Item = &'i str>) {
        let slots: Vec<u32> = customer_ids.filter_map(|customer_id| self.store.likely(customer_id)).collect();
        for slot in slots {
            let lines = self.store.packed(slot).iter().step_by(CACHE_LINE_BYTES);
            std::hint::black_box(lines.fold(0, |all, byte| all ^ *byte));
        }
    }

    /// How many customers there are.
    #[must_use]
    pub const fn customers(&self) -> usize {
        self.store.customers()
    }

    /// The largest customer there was, kept or rolled back: for reports.
    #[must_use]
    pub const fn largest(&self) -> Largest {
        self.largest
    }

    /// Open alerts by kind, in the order of `rules::TABLE`, own rules after it, as committed.
    #[must_use]
    pub fn open_alerts(&self) -> Vec<(Cow<'static, str>, u64)> {
        let open = self.open_committed.iter().map(|open| u64::try_from(*open).unwrap_or(0));
        self.settings.kinds().zip(open).collect()
    }

    /// Goes on under other settings: the timers follow them, nothing else changes until a customer is read again. Call it
    /// between transactions only.
    pub fn configure(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.open = vec![0; self.settings.kinds().count()];
        for slot in self.store.slots() {
            if unpack(self.store.packed(slot), &mut self.scratch) {
                add(&mut self.open, &open_alerts(&self.scratch, &self.settings), 1);
                self.store.reschedule(slot, self.scratch.deadline(&self.settings));
            }
        }
        self.open_committed = self.open.clone();
        self.store.settle_front();
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The customer who must be removed ([`Why::Evicted`]) before a touchpoint of `customer_id` fits; none when it fits,
    /// and none when nobody may go (then the touchpoint will be refused).
    #[must_use]
    pub fn victim(&mut self, customer_id: &str) -> Option<Arc<str>> {
        if self.is_full() && self.store.find(customer_id).is_none() { self.store.longest_silent() } else { None }
    }

    fn is_full(&self) -> bool {
        self.store.customers() >= self.settings.limits.customers_per_partition as usize
    }

    fn touchpoint(&mut self, scored: &Scored<'_>, out: &mut Vec<Output>) {
        let event = EventRef { event: scored.event, position: scored.position };
        let found = self.store.find(scored.customer_id);
        if found.is_none() && self.is_full() {
            out.push(Output::Refused(event, Limit::Customers));
            return;
        }
        let packed = found.map_or(&[][..], |slot| self.store.packed(slot));
        if !unpack(packed, &mut self.scratch) {
            self.scratch.clear();
        }
        if self.scratch.has_seen(scored.event) {
            out.push(Output::Duplicate(event));
            return;
        }
        let (bytes, told, mut opened) = (packed.len(), out.len(), Opened::default());
        // The deadline is known: most touchpoints come before it.
        let is_due = found.and_then(|slot| self.store.deadline(slot)).is_some_and(|due| due <= scored.occurred_at);
        let fired = is_due && {
            let (id, until) = (scored.customer_id, scored.occurred_at);
            fire_until(&self.settings, &mut self.scratch, id, until, &mut opened, out)
        };
        let alert_changed = accept(&self.settings, &mut self.scratch, scored, &mut opened, out) | fired;
        self.pack();
        if self.buffer.len() > bytes.max(self.settings.limits.customer_bytes_max as usize) {
            out.truncate(told);
            out.push(Output::Refused(event, Limit::CustomerBytes));
        } else {
            let slot = found.unwrap_or_else(|| self.store.insert(scored.customer_id));
            self.keep(slot, alert_changed, &opened);
        }
    }

    /// Fires deadlines ≤ `until` in order (deadline, customer id).
    fn tick(&mut self, until: Timestamp, out: &mut Vec<Output>) {
        let mut fired = 0;
        while fired < TICK_TIMERS_MAX {
            let Some((deadline, due)) = self.store.take_due(until) else { return };
            fired += due.len();
            for slot in due {
                self.fire(slot, deadline, out);
            }
        }
    }

    fn fire(&mut self, slot: u32, deadline: Timestamp, out: &mut Vec<Output>) {
        if !unpack(self.store.packed(slot), &mut self.scratch) {
            return;
        }
        let id: Arc<str> = Arc::from(self.store.id(slot));
        let mut opened = Opened::default();
        let forgotten = deadline >= self.scratch.forget_at(&self.settings);
        let alert_changed = fire(&self.settings, &mut self.scratch, &id, deadline, &mut opened, out);
        if forgotten {
            self.store.vacate(slot);
            add(&mut self.open, &opened, 1);
            out.push(Output::Expired(id));
        } else {
            self.pack();
            self.keep(slot, alert_changed, &opened);
        }
    }

    fn remove(&mut self, customer_id: &str, why: Why, out: &mut Vec<Output>) {
        let Some(slot) = self.store.find(customer_id) else { return };
        if unpack(self.store.packed(slot), &mut self.scratch) {
            let mut opened = Opened::default();
            let now = self.scratch.now;
            let mut turn = Turn::new(&self.settings, customer_id, None, now, &mut opened, out);
            events::end_all(&mut turn, &self.scratch, why.as_str());
            add(&mut self.open, &opened, 1);
        }
        self.store.vacate(slot);
        out.push(Output::Expired(Arc::from(customer_id)));
    }

    /// Counts as a change of the customer's alerts, open or not: their image is due at once.
    fn recomputed(&mut self, customer_id: &str, out: &mut Vec<Output>) {
        let Some(slot) = self.store.find(customer_id) else { return };
        if unpack(self.store.packed(slot), &mut self.scratch) {
            let mut opened = Opened::default();
            let mut turn = Turn::new(&self.settings, customer_id, None, self.scratch.now, &mut opened, out);
            turn.tell_again(&mut self.scratch, "recomputed");
            self.pack();
            self.keep(slot, true, &opened);
        }
    }

    /// Packs the customer at hand.
    fn pack(&mut self) {
        self.buffer.clear();
        image::write(&self.scratch, &mut self.buffer);
    }

    /// Puts what was packed in the customer's place.
    fn keep(&mut self, slot: u32, alert_changed: bool, opened: &Opened) {
        self.store.replace(slot, &self.buffer, self.scratch.deadline(&self.settings), alert_changed);
        if self.buffer.len() > self.largest.bytes {
            self.largest = Largest {
                bytes: self.buffer.len(),
                touchpoints: self.scratch.touchpoints,
                items: self.scratch.items.iter().filter(|item| item.is_open()).count(),
            };
        }
        if alert_changed {
            add(&mut self.open, opened, 1);
        }
    }
}

/// Unpacks a customer; false when nothing was packed yet. The bytes were written by `pack` or checked by `restore`.
pub(super) fn unpack(packed: &[u8], customer: &mut Customer) -> bool {
    !packed.is_empty() && image::read(packed, customer).is_ok()
}

fn open_alerts(customer: &Customer, settings: &Settings) -> Opened {
    let firing = customer.alerts.iter().filter(|alert| is_firing(alert.state));
    firing.filter_map(|alert| Some((settings.place_of(alert.kind, &alert.detail)?, 1))).collect()
}

fn add(open: &mut [i64], opened: &Opened, sign: i64) {
    for (place, net) in opened {
        if let Some(open) = open.get_mut(*place) {
            *open += sign * net;
        }
    }
}

/// Takes an accepted touchpoint into a customer. Answers whether an alert changed.
fn accept(
    settings: &Settings,
    customer: &mut Customer,
    scored: &Scored<'_>,
    opened: &mut Opened,
    out: &mut Vec<Output>,
) -> bool {
    let time = scored.occurred_at;
    let known = customer.touchpoints > 0;
    let late = known && customer.latest.since(time) > settings.timing.lateness_ms(scored.channel);
    customer.remember(scored.event, settings.limits.dedup_entries);
    let out_of_order = known && time < customer.latest;
    if !known || time > customer.latest {
        customer.latest = time;
    }
    if !known || time > customer.now {
        customer.now = time;
    }
    customer.panes.advance(customer.now);
    let mut turn = Turn::new(settings, scored.customer_id, Some(scored), time, opened, out);
    if late {
        touch::touch_panes(customer, scored);
        let derived = derive(customer, settings);
        turn.publish(customer, &derived);
        out.push(Output::Late(EventRef { event: scored.event, position: scored.position }));
        return false;
    }
    turn.out_of_order = out_of_order;
    let entry = settings.catalogue.kind(scored.kind);
    let taken = items::take(customer, settings, entry, scored);
    turn.out.extend(taken.kept.iter().map(|(promise, wait_ms)| Output::Kept(*promise, *wait_ms)));
    let own = touch::touch(customer, settings, entry, scored, &taken);
    let ends = scored.outcome.is_some_and(conversations::ends);
    let ended = scored.conversation_id.filter(|_| ends).map(|id| hash64(id.as_bytes()));
    conversations::end(customer, settings, ended, events::idle_since(&turn, customer.now));
    let derived = derive(customer, settings);
    events::read_touchpoint(&mut turn, customer, &derived, scored, entry, own);
    turn.publish(customer, &derived);
    turn.out.extend(std::iter::repeat_n(Output::ItemDropped, std::mem::take(&mut customer.dropped)));
    turn.alert_changed
}

/// Fires a customer's deadlines ≤ `until`, in order; one who is forgotten on the way is empty after it. Answers whether an
/// alert changed.
pub(super) fn fire_until(
    settings: &Settings,
    customer: &mut Customer,
    id: &str,
    until: Timestamp,
    opened: &mut Opened,
    out: &mut Vec<Output>,
) -> bool {
    let mut alert_changed = false;
    while customer.touchpoints > 0 {
        let deadline = customer.deadline(settings);
        if deadline > until {
            break;
        }
        alert_changed |= fire(settings, customer, id, deadline, opened, out);
        if deadline >= customer.forget_at(settings) {
            customer.clear();
        }
    }
    alert_changed
}

/// Fires a deadline of a customer. Answers whether an alert changed.
fn fire(
    settings: &Settings,
    customer: &mut Customer,
    id: &str,
    deadline: Timestamp,
    opened: &mut Opened,
    out: &mut Vec<Output>,
) -> bool {
    let mut turn = Turn::new(settings, id, None, deadline, opened, out);
    let forgotten = deadline >= customer.forget_at(settings);
    customer.now = customer.now.max(deadline);
    if forgotten {
        events::end_all(&mut turn, customer, "forgotten");
        return turn.alert_changed;
    }
    customer.panes.advance(customer.now);
    conversations::end(customer, settings, None, events::idle_since(&turn, customer.now));
    let derived = derive(customer, settings);
    events::read_timers(&mut turn, customer, &derived);
    turn.publish(customer, &derived);
    turn.alert_changed
}
