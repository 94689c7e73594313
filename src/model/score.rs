//! Fixed-point numbers. Every figure a decision rests on is an integer count of millionths, so that the same
//! input gives the same bytes on every machine.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// A number in millionths: `Micro(250_000)` is 0.25.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micro(pub i64);

impl Micro {
    /// Millionths in one.
    pub const SCALE: i64 = 1_000_000;
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 1.
    pub const ONE: Self = Self(Self::SCALE);

    /// A whole number; saturates beyond ±9.2 × 10¹².
    #[must_use]
    pub const fn whole(value: i64) -> Self {
        Self(value.saturating_mul(Self::SCALE))
    }

    /// The nearest millionth to a float read from configuration or input; `None` unless finite and within ±10¹².
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    pub fn from_f64(value: f64) -> Option<Self> {
        (value.is_finite() && value.abs() <= 1e12).then(|| Self((value * 1e6).round() as i64))
    }

    /// Product, rounded towards zero; saturates.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self::ratio(self.0, other.0, Self::SCALE)
    }

    /// Quotient, rounded towards zero; zero when `other` is zero.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self::ratio(self.0, Self::SCALE, other.0)
    }

    /// `a·b/c` without intermediate overflow, rounded towards zero; zero when `c` is zero; saturates.
    #[must_use]
    pub fn ratio(a: i64, b: i64, c: i64) -> Self {
        if c == 0 {
            return Self::ZERO;
        }
        if let Some(product) = a.checked_mul(b) {
            // Nearly always; a division of 128 bits costs ten times as much.
            return Self(product.checked_div(c).unwrap_or(i64::MAX));
        }
        let wide = i128::from(a) * i128::from(b) / i128::from(c);
        Self(i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The value as a float, for output and metrics only, never for a decision.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown to people and histograms only")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for Micro {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Micro {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Micro {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Micro {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Micro {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// Exact decimal without trailing zeros: `-0.25`, `3`, `0.000001`. It is also valid JSON.
impl fmt::Display for Micro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let scale = Self::SCALE.unsigned_abs();
        let (whole, mut fraction) = (magnitude / scale, magnitude % scale);
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let mut width = 6;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        write!(f, "{sign}{whole}.{fraction:0width$}")
    }
}

/// As a float: configuration and JSON only; the decimal is exact to the millionth.
impl serde::Serialize for Micro {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> serde::Deserialize<'de> for Micro {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Self::from_f64(value).ok_or_else(|| serde::de::Error::custom("expected a finite number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_exact_decimals() {
        for (micro, text) in [
            (0, "0"),
            (250_000, "0.25"),
            (-250_000, "-0.25"),
            (1, "0.000001"),
            (-3_000_000, "-3"),
            (12_000_500, "12.0005"),
        ] {
            assert_eq!(Micro(micro).to_string(), text);
        }
    }

    #[test]
    fn products_and_quotients_do_not_overflow() {
        assert_eq!(Micro::whole(9_000_000).times(Micro::whole(9_000)), Micro::whole(81_000_000_000));
        assert_eq!(Micro(i64::MAX).times(Micro(i64::MAX)), Micro(i64::MAX));
        assert_eq!(Micro::ONE.over(Micro::ZERO), Micro::ZERO);
        assert_eq!(Micro::from_f64(f64::NAN), None);
        assert_eq!(Micro::from_f64(-0.3), Some(Micro(-300_000)));
    }
}
