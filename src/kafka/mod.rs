//! The Kafka shell.

mod assignment;
mod client;
mod error;
mod fetch;
mod member;
mod transaction;

pub use client::Clients;
pub use error::Error;
