//! Rules: given numbers and a time, is there an alert? They never see the engine's state, only [`facts`].

pub mod catalogue;
pub mod settings;

pub use settings::{Lifecycle, Settings};
