//! Structured logs on standard error: one line per event, text or JSON. Standard output belongs to results.

use tracing_subscriber::EnvFilter;

/// Overrides the configured level, in the syntax of `tracing`'s filters: `debug`, `touchline::kafka=trace,info`.
pub const LEVEL_VARIABLE: &str = "TOUCHLINE_LOG";

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is not one.
    #[error(
        "{origin}: \"{level}\" is not a log level; use error, warn, info, debug, trace or target=level,…: {source}"
    )]
    Level {
        /// Where it was set: a configuration key or an environment variable.
        origin: &'static str,
        /// What was set.
        level: String,
        /// The parser's words.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Called twice in one process.
    #[error("logging was already started: {0}")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process. `level` and `json` are `telemetry.log` and `telemetry.json`.
///
/// # Errors
/// When the level cannot be read, or logging was started before.
pub fn init(level: &str, json: bool) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let filter = filter(std::env::var(LEVEL_VARIABLE).ok(), level)?;
    // Where nobody can be told (a full disk), nobody is: by itself the writer would say so on standard error, and panic.
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    if json {
        lines.json().flatten_event(true).finish().try_init()?;
    } else {
        lines.finish().try_init()?;
    }
    Ok(())
}

fn filter(variable: Option<String>, configured: &str) -> Result<EnvFilter, LoggingError> {
    let (origin, level) = match variable {
        Some(level) if !level.is_empty() => (LEVEL_VARIABLE, level),
        _ => ("telemetry.log", configured.to_owned()),
    };
    EnvFilter::try_new(&level).map_err(|source| LoggingError::Level { origin, level, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_the_configuration() {
        for (variable, configured, expected) in [
            (None, "info", "info"),
            (Some(""), "warn", "warn"),
            (Some("debug"), "info", "debug"),
            (Some("touchline::kafka=trace,info"), "warn", "touchline::kafka=trace,info"),
        ] {
            let filter = filter(variable.map(str::to_owned), configured).expect(configured);
            assert_eq!(filter.to_string(), expected);
        }
    }

    #[test]
    fn a_bad_level_names_the_key_it_came_from() {
        let configured = filter(None, "touchline=loudest").expect_err("not a level").to_string();
        assert!(configured.starts_with("telemetry.log: \"touchline=loudest\" is not a log level"), "{configured}");
        let variable = filter(Some("a=b=c".into()), "info").expect_err("not a level").to_string();
        assert!(variable.starts_with("TOUCHLINE_LOG: "), "{variable}");
    }
}
