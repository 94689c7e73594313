//! kafka

pub mod feeder;
