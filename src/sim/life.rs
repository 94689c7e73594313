//! One customer's life: a cursor in event time and the journeys a customer can make. Journeys may reach beyond the
//! cursor (a delivery days later); touchpoints are sorted by time at the end.

use super::draft::Draft;
use super::incidents::Incidents;
use super::random::Random;
use super::words::{self, Mood, PRODUCTS};
use crate::model::{
    Channel, Instrument, Outcome,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
};

/// How many checkouts in a hundred the broken release spoils.
const BREAKS_PERCENT: u64 = 12;

/// A placed order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) number: u32,
    pub(super) product: &'static str,
    pub(super) placed_at: i64,
}

impl Order {
    /// The promised day: the evening of the second day.
    const fn due_at(&self) -> i64 {
        (self.placed_at.div_euclid(DAY_MS) + 2) * DAY_MS + 18 * HOUR_MS
    }
}

/// How a support contact goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Solved at once.
    Solved,
    /// Passed on, then solved.
    Passed,
    /// Gave up in the queue.
    GaveUp,
    /// Solved, and it came back a day later.
    Reopened,
}

/// A customer who is living it.
#[derive(Debug)]
pub(super) struct Life<'a> {
    /// The cursor, event time in ms.
    pub(super) now: i64,
    /// Nothing is kept from here on.
    pub(super) end: i64,
    pub(super) random: Random,
    pub(super) incidents: &'a Incidents,
    pub(super) drafts: Vec<Draft>,
    text: bool,
    numbers: u32,
}

impl<'a> Life<'a> {
    /// A life from `now` to `end`; it writes texts only if `text`.
    pub(super) fn new(now: i64, end: i64, text: bool, random: Random, incidents: &'a Incidents) -> Self {
        Self { now, end, random, incidents, drafts: Vec::new(), text, numbers: 0 }
    }

    /// True while there is time left.
    pub(super) const fn goes_on(&self) -> bool {
        self.now < self.end
    }

    /// Some hours pass; people sleep from 22 to 7.
    pub(super) fn rest(&mut self, hours_min: i64, hours_max: i64) {
        self.now += self.random.between(hours_min * HOUR_MS, hours_max * HOUR_MS);
        let hour = self.now.rem_euclid(DAY_MS) / HOUR_MS;
        if !(7..22).contains(&hour) {
            self.now += 9 * HOUR_MS;
        }
    }

    /// Goes on from another moment.
    pub(super) fn at(&mut self, at: i64) -> &mut Self {
        self.now = at;
        self
    }

    /// A number no other session, order or conversation of this customer has.
    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// A touchpoint now; then some seconds pass.
    fn push(&mut self, channel: Channel, kind: &'static str, fill: impl FnOnce(&mut Draft)) {
        let mut draft = Draft::new(self.now, channel, kind);
        fill(&mut draft);
        self.drafts.push(draft);
        self.now += self.random.between(5 * SECOND_MS, 90 * SECOND_MS);
    }

    fn words(&mut self, mood: Mood, product: &str) -> Option<String> {
        self.text.then(|| words::write(mood, product, &mut self.random))
    }

    /// A session with these kinds, one after the other.
    pub(super) fn session(&mut self, channel: Channel, kinds: &[&'static str]) -> u32 {
        let session = self.number();
        self.in_session(channel, session, kinds);
        session
    }

    /// More of the same session.
    pub(super) fn in_session(&mut self, channel: Channel, session: u32, kinds: &[&'static str]) {
        for kind in kinds {
            let product = self.random.pick(&PRODUCTS);
            self.push(channel, kind, |draft| {
                draft.session = Some(session);
                draft.product = kind.starts_with("product_").then_some(product);
            });
        }
    }

    /// Looks around for a while.
    pub(super) fn browse(&mut self, channel: Channel) -> u32 {
        let first = if channel == Channel::Mobile { "application_opened" } else { "page_viewed" };
        let session = self.session(channel, &[first, "products_searched"]);
        for _ in 0..self.random.between(1, 3) {
            self.in_session(channel, session, &["product_viewed"]);
        }
        session
    }

    /// Browses and starts to check out; none when it does not end in an order.
    pub(super) fn shop(&mut self, channel: Channel) -> Option<Order> {
        let session = self.browse(channel);
        self.in_session(channel, session, &["product_added", "checkout_started"]);
        if self.incidents.checkout.at(self.now) && self.random.percent(BREAKS_PERCENT) {
            self.checkout_breaks(channel, session);
            return None;
        }
        Some(self.order(channel, session))
    }

    /// The order at the end of a session.
    pub(super) fn order(&mut self, channel: Channel, session: u32) -> Order {
        let order = Order { number: self.number(), product: self.random.pick(&PRODUCTS), placed_at: self.now };
        let amount_minor = self.random.between(900, 19_900);
        self.push(channel, "order_completed", |draft| {
            draft.session = Some(session);
            draft.order = Some(order.number);
            draft.product = Some(order.product);
            draft.amount_minor = Some(amount_minor);
            draft.due_at = Some(order.due_at());
        });
        order
    }

    /// What the broken checkout looks like: the app crashes, the web shop refuses payments.
    pub(super) fn checkout_breaks(&mut self, channel: Channel, session: u32) {
        if channel == Channel::Mobile {
            self.in_session(channel, session, &["script_error", "rage_clicked", "checkout_crashed"]);
        } else {
            self.in_session(channel, session, &["payment_failed", "rage_clicked", "payment_failed"]);
        }
    }

    /// Something about an order.
    pub(super) fn about_order(&mut self, channel: Channel, kind: &'static str, order: Order) {
        self.push(channel, kind, |draft| {
            draft.order = Some(order.number);
            draft.product = Some(order.product);
        });
    }

    /// Ships and delivers an order: (delivered at, whole days late).
    /// `late_percent`: how likely the carrier's incident hits it.
    pub(super) fn deliver(&mut self, order: Order, late_percent: u64) -> (i64, i64) {
        let due_at = order.due_at();
        let days_late = if self.incidents.carrier.at(due_at) && self.random.percent(late_percent) {
            self.random.between(2, 4)
        } else {
            0
        };
        let delivered_at =
            due_at - self.random.between(HOUR_MS, 8 * HOUR_MS) + days_late * DAY_MS + days_late.min(1) * 9 * HOUR_MS;
        let back = self.now;
        self.at(order.placed_at + 20 * HOUR_MS).about_order(Channel::Fulfilment, "order_shipped", order);
        self.at(delivered_at).arrives(order);
        self.now = back;
        (delivered_at, days_late)
    }

    /// The order arrives, in time or not.
    pub(super) fn arrives(&mut self, order: Order) {
        self.push(Channel::Fulfilment, "order_delivered", |draft| {
            draft.order = Some(order.number);
            draft.due_at = Some(order.due_at());
        });
    }

    /// Answers a survey.
    pub(super) fn survey(&mut self, channel: Channel, instrument: Instrument, value: i64, mood: Mood, about: &str) {
        let kind = match (channel, instrument) {
            (Channel::InStore, _) => "store_visit_rated",
            (Channel::Support, _) => "support_rated",
            (Channel::Review, _) => "review_posted",
            _ => "survey_answered",
        };
        let text = self.random.percent(70).then(|| self.words(mood, about)).flatten();
        self.push(channel, kind, |draft| {
            draft.rating = Some((instrument, value));
            draft.text = text;
        });
    }

    /// Comes to a store: (waited too long, time of leaving).
    pub(super) fn visit_store(&mut self) -> bool {
        let crowded = self.incidents.queue.at(self.now) && self.random.percent(70);
        let wait_ms = if crowded {
            self.random.between(5 * MINUTE_MS, 15 * MINUTE_MS)
        } else {
            self.random.between(10 * SECOND_MS, 100 * SECOND_MS)
        };
        let location = self.random.pick(&["store-riverside", "store-old-town", "store-station"]);
        let visit = self.number();
        for (kind, wait) in
            [("store_entered", None), ("store_product_tried", None), ("store_queue_waited", Some(wait_ms))]
        {
            self.push(Channel::InStore, kind, |draft| {
                draft.session = Some(visit);
                draft.location = Some(location);
                draft.wait_ms = wait;
            });
        }
        self.now += wait_ms;
        let last =
            if crowded && self.random.percent(40) { "store_queue_abandoned" } else { "store_purchase_completed" };
        self.in_session(Channel::InStore, visit, &[last]);
        crowded
    }

    /// Contacts support about a topic.
    pub(super) fn support(&mut self, topic: &'static str, mood: Mood, order: Option<Order>, ending: Ending) {
        let conversation = self.number();
        let about = order.map_or("order", |order| order.product);
        let say = |life: &mut Self, kind: &'static str, text: Option<String>, outcome: Option<Outcome>| {
            life.push(Channel::Support, kind, |draft| {
                draft.conversation = Some(conversation);
                draft.topic = Some(topic);
                draft.order = order.map(|order| order.number);
                draft.text = text;
                draft.outcome = outcome;
            });
        };
        say(self, "contact_started", None, None);
        if ending == Ending::GaveUp {
            self.now += self.random.between(6 * MINUTE_MS, 20 * MINUTE_MS);
            return say(self, "contact_abandoned", None, Some(Outcome::Abandoned));
        }
        let text = self.words(mood, about);
        say(self, "message_received", text, None);
        if ending == Ending::Passed {
            say(self, "contact_transferred", None, Some(Outcome::Transferred));
        }
        say(self, "agent_replied", None, None);
        let solved = if ending == Ending::Passed { "contact_resolved" } else { "contact_resolved_first" };
        say(self, solved, None, Some(Outcome::Resolved));
        if ending == Ending::Reopened {
            self.rest(18, 26);
            say(self, "contact_reopened", None, Some(Outcome::Reopened));
        }
    }

    /// Writes in a chat, message by message; an agent answers each.
    pub(super) fn chat(&mut self, channel: Channel, topic: &'static str, moods: &[Mood], order: Order) {
        let conversation = self.number();
        for mood in moods {
            let text = self.words(*mood, order.product);
            for (kind, text) in [("chat_message_received", text), ("agent_replied", None)] {
                self.push(channel, kind, |draft| {
                    draft.conversation = Some(conversation);
                    draft.topic = Some(topic);
                    draft.order = Some(order.number);
                    draft.text = text;
                });
            }
        }
    }

    /// An e-mail and whether it is read.
    pub(super) fn newsletter(&mut self) {
        self.push(Channel::Email, "email_delivered", |_| ());
        if self.random.percent(50) {
            self.push(Channel::Email, "email_opened", |_| ());
        }
    }

    /// A touchpoint that is about nothing in particular.
    pub(super) fn note(&mut self, channel: Channel, kind: &'static str) {
        self.push(channel, kind, |_| ());
    }

    /// Writes something in public.
    pub(super) fn mention(&mut self, mood: Mood) {
        let text = self.words(mood, "order");
        self.push(Channel::Social, "mention_posted", |draft| draft.text = text);
    }
}
