//! Who the simulated customers are. A persona is a way of living (`fn`), so a new one is one function and one line
//! of [`PERSONAS`].

use super::life::{Ending, Life, Order};
use super::words::Mood;
use crate::model::{Channel, Instrument, time::DAY_MS, time::HOUR_MS};

/// A persona: its name, how many of 25 customers are like it, and how they live.
pub(super) struct Persona {
    pub(super) name: &'static str,
    pub(super) share: u32,
    pub(super) live: fn(&mut Life<'_>),
}

/// All personas; the shares add up to 25, so that any 25 customers in a row hold each of them.
pub(super) const PERSONAS: [Persona; 9] = [
    Persona { name: "loyal customers", share: 8, live: loyal },
    Persona { name: "bargain hunters", share: 3, live: bargain_hunter },
    Persona { name: "struggling app users", share: 3, live: struggling_app_user },
    Persona { name: "late-delivery victims", share: 3, live: late_delivery_victim },
    Persona { name: "store detractors", share: 2, live: store_detractor },
    Persona { name: "quiet leavers", share: 2, live: quiet_leaver },
    Persona { name: "recovered complainers", share: 2, live: recovered_complainer },
    Persona { name: "let-down regulars", share: 1, live: let_down_regular },
    Persona { name: "chasers", share: 1, live: chaser },
];

/// The persona of a customer: dealt in turn, so that the mix does not depend on the seed.
pub(super) fn persona_of(customer: u32) -> &'static Persona {
    // 7 has no factor in common with 25: neighbours differ, and all of 25 turn up.
    let mut place = customer.wrapping_mul(7) % 25;
    for persona in &PERSONAS {
        if place < persona.share {
            return persona;
        }
        place -= persona.share;
    }
    let [first, ..] = &PERSONAS;
    first
}

/// How many customers there are of each persona.
pub(super) fn mix(customers: u32) -> Vec<(&'static str, usize)> {
    let count = |name| (0..customers).filter(|customer| persona_of(*customer).name == name).count();
    PERSONAS.iter().map(|persona| (persona.name, count(persona.name))).collect()
}

/// Either screen.
fn screen(life: &mut Life<'_>) -> Channel {
    if life.random.percent(50) { Channel::Web } else { Channel::Mobile }
}

/// An order that ends as the world lets it, with an answer to the survey.
fn order_and_rate(life: &mut Life<'_>, channel: Channel, answers: u64) {
    let Some(order) = life.shop(channel) else { return };
    let (delivered_at, days_late) = life.deliver(order, 20);
    if life.random.percent(answers) {
        let back = life.now;
        let after = life.random.between(HOUR_MS, 6 * HOUR_MS);
        life.at(delivered_at + after);
        if days_late > 0 {
            life.survey(Channel::Email, Instrument::Csat, 2, Mood::Late, order.product);
        } else {
            let value = life.random.between(4, 5);
            life.survey(Channel::Email, Instrument::Csat, value, Mood::Praise, order.product);
        }
        life.now = back;
    }
}

/// Buys every few days, is mostly pleased, says so.
fn loyal(life: &mut Life<'_>) {
    while life.goes_on() {
        let channel = screen(life);
        order_and_rate(life, channel, 40);
        life.rest(20, 60);
        match life.random.below(4) {
            0 => {
                let crowded = life.visit_store();
                if crowded && life.random.percent(30) {
                    life.survey(Channel::InStore, Instrument::Csat, 2, Mood::Queue, "kettle");
                }
            }
            1 => life.newsletter(),
            2 => {
                life.browse(channel);
                if life.random.percent(15) {
                    let answer = life.random.between(9, 10);
                    life.survey(Channel::Email, Instrument::Nps, answer, Mood::Praise, "headphones");
                    life.note(Channel::Mobile, "referral_sent");
                }
            }
            _ => life.note(Channel::Mobile, "feature_used"),
        }
        life.rest(24, 72);
    }
}

/// Looks a lot, tries coupons, often leaves the checkout.
fn bargain_hunter(life: &mut Life<'_>) {
    while life.goes_on() {
        let channel = screen(life);
        let session = life.browse(channel);
        match life.random.below(12) {
            0 => life.in_session(channel, session, &["product_added", "checkout_started", "coupon_denied"]),
            1 => life.in_session(channel, session, &["coupon_entered", "coupon_applied"]),
            2..=4 => order_and_rate(life, channel, 20),
            5..=7 => life.note(Channel::Ads, "ad_clicked"),
            _ => life.newsletter(),
        }
        life.rest(14, 60);
    }
}

/// Lives in the app; a bad release hits them hard, then support makes it good.
fn struggling_app_user(life: &mut Life<'_>) {
    while life.goes_on() && life.now < life.incidents.checkout.during.start {
        life.session(Channel::Mobile, &["application_opened", "feature_used", "feature_used"]);
        if life.random.percent(40) {
            life.survey(Channel::Mobile, Instrument::Csat, 5, Mood::Praise, "backpack");
        }
        life.rest(16, 40);
    }
    for _ in 0..3 {
        let session = life.browse(Channel::Mobile);
        life.in_session(
            Channel::Mobile,
            session,
            &["script_error", "error_clicked", "rage_clicked", "application_crashed"],
        );
        life.rest(10, 20);
    }
    let session = life.browse(Channel::Mobile);
    life.in_session(Channel::Mobile, session, &["product_added", "checkout_started"]);
    life.checkout_breaks(Channel::Mobile, session);
    life.rest(6, 12);
    let answer = life.random.between(0, 4);
    life.survey(Channel::Mobile, Instrument::Nps, answer, Mood::Broken, "tent");
    life.rest(4, 12);
    life.support("app", Mood::Broken, None, Ending::Passed);
    life.rest(20, 40);
    life.survey(Channel::Support, Instrument::Csat, 5, Mood::Thanks, "tent");
    life.rest(3, 10);
    life.note(Channel::Support, "compensation_granted");
    life.rest(30, 50);
    loyal(life);
}

/// Orders into the carrier's bad days, complains, sometimes twice.
fn late_delivery_victim(life: &mut Life<'_>) {
    while life.goes_on() {
        if let Some(order) = life.shop(Channel::Web) {
            let (delivered_at, days_late) = life.deliver(order, 80);
            if days_late > 0 {
                life.at(delivered_at - 30 * HOUR_MS);
                let ending = match life.random.below(3) {
                    0 => Ending::GaveUp,
                    1 => Ending::Passed,
                    _ => Ending::Reopened,
                };
                life.support("delivery", Mood::Late, Some(order), ending);
                life.at(delivered_at + 5 * HOUR_MS);
                let stars = life.random.between(1, 2);
                life.survey(Channel::Review, Instrument::Stars, stars, Mood::Late, order.product);
            }
        }
        life.rest(50, 90);
    }
}

/// Shops in the store and tells everybody when it is bad.
fn store_detractor(life: &mut Life<'_>) {
    while life.goes_on() {
        if life.visit_store() {
            let answer = life.random.between(1, 2);
            life.survey(Channel::InStore, Instrument::Csat, answer, Mood::Queue, "raincoat");
            life.rest(1, 5);
            if life.random.percent(40) {
                life.mention(Mood::Queue);
            }
        } else if life.random.percent(30) {
            life.survey(Channel::InStore, Instrument::Csat, 4, Mood::Praise, "raincoat");
        }
        life.rest(40, 80);
        life.browse(Channel::Web);
        life.rest(10, 30);
    }
}

/// Comes daily for a few days, has one bad evening, never comes back.
fn quiet_leaver(life: &mut Life<'_>) {
    let leaves_at = life.now + 4 * DAY_MS;
    while life.now < leaves_at {
        life.session(Channel::Web, &["page_viewed", "product_viewed", "product_added_to_wishlist"]);
        life.rest(14, 26);
    }
    let session = life.browse(Channel::Web);
    life.in_session(Channel::Web, session, &["product_added", "checkout_started", "payment_failed"]);
    life.in_session(Channel::Web, session, &["rage_clicked", "error_clicked", "payment_failed"]);
}

/// An order that the merchant cancels, so many hours later.
fn cancelled_order(life: &mut Life<'_>, hours_min: i64, hours_max: i64) -> Order {
    let session = life.browse(Channel::Web);
    let order = life.order(Channel::Web, session);
    life.rest(hours_min, hours_max);
    life.about_order(Channel::Fulfilment, "order_cancelled_by_merchant", order);
    order
}

/// Is failed, complains, is made whole, and says thank you.
fn recovered_complainer(life: &mut Life<'_>) {
    for _ in 0..life.random.between(1, 3) {
        let channel = screen(life);
        order_and_rate(life, channel, 60);
        life.rest(30, 70);
    }
    let order = cancelled_order(life, 8, 20);
    life.rest(1, 4);
    life.support("order", Mood::Failed, Some(order), Ending::Solved);
    life.rest(12, 24);
    life.survey(Channel::Support, Instrument::Csat, 5, Mood::Thanks, order.product);
    life.rest(4, 20);
    life.about_order(Channel::Support, "compensation_granted", order);
    life.rest(40, 80);
    loyal(life);
}

/// A delighted regular who is let down badly, twice, within a day.
fn let_down_regular(life: &mut Life<'_>) {
    for _ in 0..3 {
        let session = life.browse(Channel::Web);
        let order = life.order(Channel::Web, session);
        let (delivered_at, _) = life.deliver(order, 0);
        life.at(delivered_at);
        life.rest(1, 6);
        life.survey(Channel::Email, Instrument::Csat, 5, Mood::Praise, order.product);
        life.survey(Channel::Review, Instrument::Stars, 5, Mood::Praise, order.product);
        life.rest(4, 12);
    }
    life.rest(5 * 24, 6 * 24);
    let order = cancelled_order(life, 10, 20);
    life.rest(1, 3);
    life.support("order", Mood::Failed, Some(order), Ending::GaveUp);
    life.note(Channel::Support, "complaint_filed");
    life.rest(8, 14);
    let session = life.browse(Channel::Mobile);
    let second = life.order(Channel::Mobile, session);
    life.rest(20, 30);
    life.about_order(Channel::Fulfilment, "order_damaged", second);
    life.about_order(Channel::Web, "order_refunded_defect", second);
    life.rest(2, 6);
    let answer = life.random.between(0, 2);
    life.survey(Channel::Email, Instrument::Nps, answer, Mood::Failed, second.product);
    life.rest(20, 40);
    life.mention(Mood::Failed);
}

/// Has to ask again and again, on one channel after the other, until the patience ends.
fn chaser(life: &mut Life<'_>) {
    while life.goes_on() {
        let channel = screen(life);
        order_and_rate(life, channel, 50);
        life.rest(60, 90);
        let session = life.browse(Channel::Web);
        let order = life.order(Channel::Web, session);
        life.rest(40, 50);
        let cooling = [Mood::Thanks, Mood::Thanks, Mood::Question, Mood::Question, Mood::Late, Mood::Failed];
        life.chat(Channel::Messaging, "delivery", &cooling, order);
        life.rest(1, 2);
        life.support("delivery", Mood::Late, Some(order), Ending::Passed);
        life.rest(1, 2);
        life.chat(Channel::Messaging, "delivery", &[Mood::Failed, Mood::Late], order);
        life.rest(1, 3);
        life.survey(Channel::Support, Instrument::Ces, 2, Mood::Failed, order.product);
        life.rest(30, 60);
        life.arrives(order);
        life.rest(80, 120);
    }
}
