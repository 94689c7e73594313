//! What `cx.experience` carries: the customer's experience, before and after a material change.

use super::{EventHash, Evidence, Micro, Name, Timestamp};
use std::borrow::Cow;
use std::sync::Arc;

/// The derived figures of a customer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Experience index, 0..=100, whole.
    pub index: i64,
    /// Perception p in [-1, 1].
    pub perception: Micro,
    /// Expectation e in [-1, 1].
    pub expectation: Micro,
    /// Disconfirmation d = p − e.
    pub disconfirmation: Micro,
    /// d with losses weighted by λ.
    pub felt: Micro,
    /// Pressure of the open item that has most of it; 0 without one.
    pub pressure: Micro,
    /// The customer's stage, if known.
    pub stage: Option<Name>,
}

/// What brought a change about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A touchpoint.
    Touchpoint(EventHash),
    /// A timer of the customer's; the deadline is the change's time.
    Timer,
}

/// A published change of a customer's experience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperienceChange {
    /// Whose.
    pub customer_id: Arc<str>,
    /// The customer's own time.
    pub time: Timestamp,
    /// As last published; none for a new customer.
    pub before: Option<Figures>,
    /// Now.
    pub after: Figures,
    /// Open alerts: (kind, alert id).
    pub open_alerts: Vec<(Cow<'static, str>, u64)>,
    /// Why it is published now.
    pub cause: Cause,
    /// The three largest contributions to perception.
    pub evidence: Vec<Evidence>,
    /// Context attributes: (index in the configuration's list, value).
    pub context: Vec<(u8, Arc<str>)>,
}
