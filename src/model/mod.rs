//! The words of the domain: time, identity, fixed-point numbers, touchpoints, alerts.
//!
//! Everything right of this layer speaks in these types; they know nothing about bytes, Kafka or rules.

pub mod alert;
pub mod event;
pub mod experience;
pub mod ids;
pub mod score;
pub mod scored;
pub mod time;
pub mod transcendental;
pub mod wire;

pub use alert::{AlertChange, Chance, Evidence, FeatureValue, Item, ItemType, Phase, Severity, TermKind};
pub use event::{Actor, Attribute, Channel, Contact, Instrument, Outcome, Rating, Touchpoint};
pub use experience::{Cause, ExperienceChange, Figures};
pub use ids::{EventHash, Name, Position, hash64};
pub use score::Micro;
pub use scored::{Scored, Signal, SignalSource, Signals};
pub use time::Timestamp;
