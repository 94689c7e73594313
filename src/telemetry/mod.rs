//! What an operator sees: logs and metrics. No customer's id, text or payload ever enters either.

pub mod catalogue;
pub mod logging;
mod metrics;

pub use catalogue::{CATALOGUE, Kind, Metric, Metrics, PREFIX};
