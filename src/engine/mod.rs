//! All customers of one partition. Never blocks, fails, logs or reads a clock.
//!
//! One transaction of the shell: any number of [`Engine::apply`], then the touched customers' images are read,
//! then [`Engine::commit`] or [`Engine::rollback`].

mod apply;
mod cards;
mod contacts;
mod context;
mod conversations;
mod customer;
mod decay;
mod events;
mod failures;
mod features;
mod figures;
mod image;
mod image_items;
mod image_journeys;
mod image_read;
mod item_rules;
mod items;
mod journeys;
pub mod own_rules;
mod panes;
mod pressure;
mod sessions;
pub mod settings;
mod slab;
mod stages;
mod store;
mod touch;
mod turn;
mod view;
mod voice;
mod week;

use crate::model::{
    AlertChange, Chance, EventHash, ExperienceChange, Figures, Item, Micro, Name, Position, Scored, Severity, Timestamp,
};
use crate::rules::catalogue::Catalogue;
use crate::rules::journeys::{END, STALLED, START};
use std::borrow::Cow;
use std::sync::Arc;

pub use apply::Engine;
pub use cards::Served;
pub use features::{Column, Features, Unit};
pub use settings::Settings;

/// The largest customer, when it was largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Largest {
    /// Of its image; 0 without customers.
    pub bytes: usize,
    /// Touchpoints so far.
    pub touchpoints: u64,
    /// Open items.
    pub items: usize,
}

/// What the engine takes. The journal stores exactly these, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every input is a touchpoint; a box would cost an allocation each"
)]
pub enum Input<'a> {
    /// A decoded and scored touchpoint.
    Touchpoint(Scored<'a>),
    /// Fire every deadline ≤ this, in order (deadline, customer id), at most [`TICK_TIMERS_MAX`] of them.
    Tick(Timestamp),
    /// Forget a customer. A decision of the shell's: recorded, never recomputed.
    Removed(&'a str, Why),
    /// Tell a customer's open alerts again, as `updated`, `recomputed`: what led to them was computed anew by another
    /// version of the engine.
    Recomputed(&'a str),
}

/// Timers one tick fires at most (ties of the last deadline included on top); tick again while
/// [`Engine::next_deadline`] is still due.
pub const TICK_TIMERS_MAX: usize = 10_000;

/// Why a customer is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Why {
    /// Consent was withdrawn.
    Consent = 0,
    /// Erasure was asked for.
    Erased = 1,
    /// The partition was full.
    Evicted = 2,
}

impl Why {
    /// The reason given when the customer's open alerts end.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent_withdrawn",
            Self::Erased => "erased",
            Self::Evicted => "evicted",
        }
    }

    /// The reason of a stored code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Consent),
            1 => Some(Self::Erased),
            2 => Some(Self::Evicted),
            _ => None,
        }
    }
}

/// A touchpoint in an output: who and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// Its identity.
    pub event: EventHash,
    /// Where it was read.
    pub position: Position,
}

/// A limit that refused a touchpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `limits.customers_per_partition`, and no customer may be expired for the new one.
    Customers,
    /// `limits.customer_bytes_max`: the touchpoint would make the customer larger than that.
    CustomerBytes,
}

impl Limit {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customers => "customers_per_partition",
            Self::CustomerBytes => "customer_bytes_max",
        }
    }
}

/// What the engine answers. A touchpoint with neither `Late`, `Duplicate` nor `Refused` was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An alert opened, changed or ended.
    Alert(Box<AlertChange>),
    /// The experience moved enough to be published. Several in one transaction become one: the first's `before`,
    /// the last's everything else ([`ExperienceChange`]).
    Changed(Box<ExperienceChange>),
    /// The customer is gone: tombstones go to the images and experience topics.
    Expired(Arc<str>),
    /// Applied, but beyond the lateness: panes only.
    Late(EventRef),
    /// Seen before; nothing changed.
    Duplicate(EventRef),
    /// Not applied because of a limit; nothing changed.
    Refused(EventRef, Limit),
    /// A promise was kept, this many ms after it was opened. Told again when late data changes it.
    Kept(Name, i64),
    /// A card gave an item of this outcome a score, in millionths of log-odds.
    Scored(Name, Micro),
    /// The customer moved on a journey. Late data does not take a move back.
    Moved(Box<Move>),
    /// An item, journey, failure, conversation or the like gave way to a newer one: the customer has
    /// `limits.open_items_max` of them.
    ItemDropped,
    /// A reading of an own rule came to no number: one on the way was too large. The rule said nothing.
    RuleSkipped(Arc<str>),
    /// An alert of this kind was not opened: the customer's daily cap was reached.
    Capped(Cow<'static, str>),
}

/// Where a customer stands on a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// It was started.
    Start,
    /// The furthest step reached.
    Step(Name),
    /// Nothing came in time.
    Stalled,
    /// It was ended by a kind that says so.
    End,
}

impl Place {
    /// What it is called; a step by its name in the journey.
    #[must_use]
    pub fn name(self, catalogue: &Catalogue) -> &str {
        match self {
            Self::Start => START,
            Self::Step(step) => catalogue.text(step).split_once('.').map_or(END, |(_, step)| step),
            Self::Stalled => STALLED,
            Self::End => END,
        }
    }
}

/// A customer moved on a journey, or stalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Who.
    pub customer_id: Arc<str>,
    /// Which journey.
    pub journey: Name,
    /// What it is about.
    pub item: Option<Item>,
    /// The furthest place before.
    pub from: Place,
    /// The place now.
    pub to: Place,
    /// Event time, or the deadline.
    pub at: Timestamp,
    /// Since the place before was reached, in ms.
    pub waited_ms: i64,
}

/// A journey that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// Which.
    pub journey: Name,
    /// What it is about.
    pub item: Option<Item>,
    /// When it was started.
    pub started: Timestamp,
    /// Steps reached and when, in the journey's order.
    pub reached: Vec<(Name, Timestamp)>,
    /// The next step; none of a journey without steps.
    pub waits_for: Option<Name>,
    /// When that is overdue.
    pub deadline: Option<Timestamp>,
    /// It was overdue, and nothing came since.
    pub stalled: bool,
}

/// A customer's place in one engine; reused after the customer is gone and that is committed. Dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A customer touched since the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// Which.
    pub slot: Slot,
    /// An alert of theirs changed: the image is due at once.
    pub alert_changed: bool,
}

/// A customer removed since the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The slot they had.
    pub slot: Slot,
    /// Who.
    pub customer_id: Arc<str>,
}

/// Why an image cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Written by another version of the format.
    #[error("image format {0} is not known to this version")]
    Format(u8),
    /// Cut short or damaged.
    #[error("image is damaged: {0}")]
    Damaged(&'static str),
}

/// One line of a figure's breakdown for people: label and points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What adds it.
    pub label: String,
    /// How much, in the figure's unit.
    pub contribution: Micro,
}

/// How likely an outcome of an open item is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Which outcome.
    pub outcome: String,
    /// Of which item.
    pub item: Item,
    /// Its risk; of a card, the log-odds.
    pub score: Micro,
    /// Its chance, by the outcome's card.
    pub chance: Option<Chance>,
    /// They sum to the score exactly.
    pub lines: Vec<Line>,
}

/// A committed customer as queries see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Who.
    pub customer_id: Arc<str>,
    /// The customer's own time.
    pub time: Timestamp,
    /// First and last touchpoint.
    pub first_seen: Timestamp,
    /// Last touchpoint.
    pub last_seen: Timestamp,
    /// Touchpoints applied.
    pub touchpoints: u64,
    /// Derived figures.
    pub figures: Figures,
    /// Breakdown of the index; the lines sum to `figures.index` exactly (the last is rounding and clamping).
    pub index_lines: Vec<Line>,
    /// Breakdown of perception; the lines sum to it exactly.
    pub perception_lines: Vec<Line>,
    /// Configured outcomes of open items.
    pub outcomes: Vec<Foreseen>,
    /// Open alerts.
    pub open_alerts: Vec<OpenAlert>,
    /// Journeys that are not over.
    pub journeys: Vec<UnderWay>,
    /// Stays in stages: since when, and which. As many as `engine.stage_history` asks for.
    pub stages: Vec<(Timestamp, Name)>,
}

/// An alert that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAlert {
    /// The rule's kind, or the name of an own rule.
    pub kind: Cow<'static, str>,
    /// Which.
    pub alert_id: u64,
    /// How bad by now.
    pub severity: Severity,
    /// The customer's own time at the opening.
    pub opened_at: Timestamp,
}
