//! The Kafka shell.

mod assignment;
mod client;
mod error;
mod fetch;
mod member;
pub mod topics;
mod transaction;

pub use client::Clients;
pub use error::Error;
pub use topics::Topics;
