//! Load for benchmarks: any number of touchpoints over any number of customers, evenly in time, without memory of
//! what came before, so that it costs a microsecond a touchpoint and no state.

use super::draft::Draft;
use super::random::Random;
use super::words::{self, Mood};
use super::{Fate, Record};
use crate::model::{Channel, Instrument, Outcome, Timestamp, time::DAY_MS, time::HOUR_MS, time::SECOND_MS};

/// What load to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Customers, each as likely as any other; at least 1.
    pub customers: u32,
    /// Touchpoints.
    pub count: u64,
    /// Event time of the first.
    pub start: Timestamp,
    /// Event time from the first to the last, in ms.
    pub span_ms: i64,
    /// Messages and answers carry texts.
    pub text: bool,
    /// The same seed gives the same bytes.
    pub seed: u64,
}

/// How often of a thousand, where, what. About one in a hundred gives an alert.
const MIX: [(u64, Channel, &str); 26] = [
    (190, Channel::Web, "page_viewed"),
    (150, Channel::Web, "product_viewed"),
    (110, Channel::Mobile, "application_opened"),
    (120, Channel::Mobile, "product_viewed"),
    (60, Channel::Mobile, "feature_used"),
    (50, Channel::Web, "products_searched"),
    (40, Channel::Web, "product_list_viewed"),
    (30, Channel::Mobile, "push_notification_tapped"),
    (40, Channel::Email, "email_opened"),
    (30, Channel::Web, "order_completed"),
    (20, Channel::Mobile, "order_completed"),
    (20, Channel::InStore, "store_entered"),
    (20, Channel::InStore, "store_queue_waited"),
    (18, Channel::InStore, "store_purchase_completed"),
    (30, Channel::Fulfilment, "order_delivered"),
    (15, Channel::Support, "contact_started"),
    (15, Channel::Support, "message_received"),
    (10, Channel::Support, "contact_resolved"),
    (2, Channel::Support, "contact_transferred"),
    (5, Channel::Web, "rage_clicked"),
    (4, Channel::Mobile, "script_error"),
    (4, Channel::Web, "coupon_denied"),
    (3, Channel::Web, "payment_failed"),
    (2, Channel::Web, "checkout_started"),
    (1, Channel::Fulfilment, "order_cancelled_by_merchant"),
    (11, Channel::Review, "review_posted"),
];

/// The load, one record after the other.
#[derive(Debug)]
pub(super) struct Steady {
    load: Load,
    random: Random,
    made: u64,
}

impl Steady {
    pub(super) fn new(load: Load) -> Self {
        Self { load, random: Random::new(load.seed, 0), made: 0 }
    }

    fn choose(&mut self) -> (Channel, &'static str) {
        let mut place = self.random.below(1_000);
        for (share, channel, kind) in MIX {
            if place < share {
                return (channel, kind);
            }
            place -= share;
        }
        (Channel::Web, "page_viewed")
    }

    fn draft(&mut self, at: i64) -> Draft {
        let (channel, kind) = self.choose();
        let mut draft = Draft::new(at, channel, kind);
        // One session, order and conversation a day: enough for correlation without keeping state.
        let day = u32::try_from(at.div_euclid(DAY_MS)).unwrap_or(0);
        draft.session = matches!(channel, Channel::Web | Channel::Mobile).then_some(day);
        draft.conversation = (channel == Channel::Support).then_some(day);
        match kind {
            "product_viewed" => draft.product = Some(self.random.pick(&words::PRODUCTS)),
            "order_completed" | "order_cancelled_by_merchant" => draft.order = Some(day),
            "order_delivered" => {
                draft.order = Some(day);
                let late_ms = if self.random.percent(5) { 2 * DAY_MS } else { -2 * HOUR_MS };
                draft.due_at = Some(at - late_ms);
            }
            "store_queue_waited" => draft.wait_ms = Some(self.random.between(0, 240) * SECOND_MS),
            "contact_resolved" => draft.outcome = Some(Outcome::Resolved),
            "review_posted" => {
                let stars = if self.random.percent(15) { 2 } else { self.random.between(3, 5) };
                draft.rating = Some((Instrument::Stars, stars));
                draft.text = self.text(if stars < 3 { Mood::Failed } else { Mood::Praise });
            }
            "message_received" => draft.text = self.text(Mood::Question),
            _ => {}
        }
        draft
    }

    fn text(&mut self, mood: Mood) -> Option<String> {
        self.load.text.then(|| words::write(mood, "order", &mut self.random))
    }
}

impl Iterator for Steady {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.made >= self.load.count {
            return None;
        }
        let part = i128::from(self.load.span_ms) * i128::from(self.made) / i128::from(self.load.count);
        let at = self.load.start.plus(i64::try_from(part).unwrap_or(self.load.span_ms));
        let customer_id = format!("c-{:07}", self.random.below(u64::from(self.load.customers.max(1))));
        let draft = self.draft(at.0);
        let payload = Some(draft.encode(&customer_id, &format!("e-{}", self.made)));
        self.made += 1;
        Some(Record { at, channel: draft.channel, customer_id, payload, fate: Fate::Sent })
    }
}
