//! Touchline: touchpoints in, experience and alerts out.
//!
//! ```text
//! model → { codec, sentiment, rules } → engine → insight → journal → pipeline → config → status → { kafka, admin, telemetry } → app → cli → main
//! ```
//! Right may use left, never the other way; `tests/it/tidy.rs` enforces it. Everything up to `pipeline`, and `sim`,
//! is pure: bytes and times in, values out.

pub mod model;

pub mod codec;
pub mod rules;
pub mod sentiment;

pub mod engine;
pub mod insight;
pub mod journal;
pub mod pipeline;
pub mod registry;
pub mod sim;

pub mod config;

pub mod status;

pub mod admin;
pub mod kafka;
pub mod telemetry;

pub mod app;
pub mod cli;
pub mod shutdown;
