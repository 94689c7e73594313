//! All integration tests, in one binary: one link, and one broker shared by every test that needs one.

// `cfg(test)` is always set here; it tells clippy that helpers may unwrap, too.
#[cfg(test)]
mod as_of;
#[cfg(test)]
mod avro_json;
#[cfg(test)]
mod backtest;
#[cfg(test)]
mod broker;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod check;
#[cfg(test)]
mod command;
#[cfg(test)]
mod config;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod evaluate;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod interleaving;
#[cfg(test)]
mod kafka_avro;
#[cfg(test)]
mod kafka_card;
#[cfg(test)]
mod kafka_dlq;
#[cfg(test)]
mod kafka_faults;
#[cfg(test)]
mod kafka_formats;
#[cfg(test)]
#[cfg(feature = "oauth")]
mod kafka_oauth;
#[cfg(test)]
mod kafka_outputs;
#[cfg(test)]
mod kafka_real;
#[cfg(test)]
mod kafka_reload;
#[cfg(test)]
mod kafka_repartition;
#[cfg(test)]
mod kafka_restore;
#[cfg(test)]
#[cfg(feature = "tls")]
mod kafka_secured;
#[cfg(test)]
mod kafka_stops;
#[cfg(test)]
mod kafka_ways;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod laws_on_data;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod sentiment;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod train;
#[cfg(test)]
mod tutorial;
