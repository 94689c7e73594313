//! Event time. Milliseconds since the Unix epoch, UTC; nothing in the core ever asks a clock.

/// Milliseconds in one second.
pub const SECOND_MS: i64 = 1_000;
/// Milliseconds in one minute.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// Milliseconds in one hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds in one day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 2000-01-01T00:00:00Z: touchpoints before it are rejected as `ts_range`.
    pub const EARLIEST: Self = Self(946_684_800_000);
    /// 2200-01-01T00:00:00Z: touchpoints at or after it are rejected as `ts_range`.
    pub const LATEST: Self = Self(7_258_118_400_000);

    /// This moment plus `span_ms`, saturating at the ends of `i64`.
    #[must_use]
    pub const fn plus(self, span_ms: i64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }

    /// This moment minus `span_ms`, saturating.
    #[must_use]
    pub const fn minus(self, span_ms: i64) -> Self {
        Self(self.0.saturating_sub(span_ms))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole hours since the epoch; `div_euclid` so that times before 1970 fall into the hour that holds them.
    #[must_use]
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(HOUR_MS)
    }

    /// Whole UTC days since the epoch.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }
}

/// A length of time from the configuration, in milliseconds, ≥ 0. Written as a whole number and a unit:
/// `"100ms"`, `"30s"`, `"10m"`, `"24h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

impl Span {
    /// Reads `"10m"` and the like; the error says what is expected.
    ///
    /// # Errors
    /// When there is no whole number, no known unit, or the product is above 10,000 days.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const HINT: &str = "expected a whole number and a unit, such as \"100ms\", \"30s\", \"10m\", \"24h\" or \"7d\"";
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit_ms = match text.strip_prefix(digits) {
            Some("ms") => 1,
            Some("s") => SECOND_MS,
            Some("m") => MINUTE_MS,
            Some("h") => HOUR_MS,
            Some("d") => DAY_MS,
            _ => return Err(HINT),
        };
        let count: i64 = digits.trim().parse().map_err(|_| HINT)?;
        match count.checked_mul(unit_ms) {
            Some(span_ms) if (0..=10_000 * DAY_MS).contains(&span_ms) => Ok(Self(span_ms)),
            _ => Err("a length of time must lie between 0 and 10000d"),
        }
    }
}

/// The largest unit that divides it: `"24h"` is shown as `1d`.
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit_ms, unit) in [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s")] {
            if self.0 != 0 && self.0 % unit_ms == 0 {
                return write!(f, "{}{unit}", self.0 / unit_ms);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

impl serde::Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_what_they_print() {
        for (text, span_ms) in [("100ms", 100), ("10m", 600_000), ("1d", DAY_MS), ("0ms", 0), ("90s", 90_000)] {
            assert_eq!(Span::parse(text), Ok(Span(span_ms)));
            assert_eq!(Span(span_ms).to_string(), text);
        }
        for text in ["", "10", "m", "-1s", "1.5h", "1 week", "99999d"] {
            assert!(Span::parse(text).is_err(), "{text} must not parse");
        }
    }

    #[test]
    fn hours_and_days_before_the_epoch_round_down() {
        assert_eq!(Timestamp(-1).hour(), -1);
        assert_eq!(Timestamp(-1).day(), -1);
        assert_eq!(Timestamp(0).day(), 0);
    }
}
