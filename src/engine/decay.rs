//! Exponential decay without floats: 2^(−age / half-life) from a table of 4,096 steps per half-life.
//!
//! `exp2` of the standard library may differ in the last bit between hosts; integers do not. The table is made once
//! by integer square roots, so it is the same everywhere. Its step is the definition: a factor is at most 0.018 %
//! above the real one.

use std::sync::LazyLock;

/// Steps per half-life.
const STEPS: i64 = 4_096;
/// Bits after the point of a table entry.
const FRACTION_BITS: u32 = 30;

/// `TABLE[i] = 2^(−i / 4096)`, 30 bits after the point.
static TABLE: LazyLock<Vec<u32>> = LazyLock::new(|| {
    const WIDE_BITS: u32 = 62;
    // Twelve square roots of one half give the factor of a single step.
    let mut step: u128 = 1 << (WIDE_BITS - 1);
    for _ in 0..STEPS.trailing_zeros() {
        step = (step << WIDE_BITS).isqrt();
    }
    let mut factor: u128 = 1 << WIDE_BITS;
    (0..STEPS)
        .map(|_| {
            let entry = u32::try_from(factor >> (WIDE_BITS - FRACTION_BITS)).unwrap_or(u32::MAX);
            factor = (factor * step) >> WIDE_BITS;
            entry
        })
        .collect()
});

/// A decay factor, ready to multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor {
    mantissa: u32,
    halvings: u32,
}

impl Factor {
    /// 2^(−`age_ms` / `half_life_ms`); an age below 0 counts as 0, a half-life below 1 ms as 1 ms.
    #[must_use]
    pub(super) fn of(age_ms: i64, half_life_ms: i64) -> Self {
        // Ages stay below 2^43 ms (278 years), so the product fits.
        let steps = age_ms.clamp(0, 1 << 43) * STEPS / half_life_ms.max(1);
        let index = usize::try_from(steps % STEPS).unwrap_or(0);
        let mantissa = TABLE.get(index).copied().unwrap_or(0);
        Self { mantissa, halvings: u32::try_from(steps / STEPS).unwrap_or(u32::MAX) }
    }

    /// `value` times the factor, rounded towards zero.
    #[must_use]
    pub(super) fn times(self, value: i64) -> i64 {
        let shift = FRACTION_BITS.saturating_add(self.halvings);
        let magnitude = match value.unsigned_abs().checked_mul(self.mantissa.into()) {
            // The usual case in 64 bits: all of them shifted out leave nothing.
            Some(product) => u128::from(product.checked_shr(shift).unwrap_or(0)),
            None => (u128::from(value.unsigned_abs()) * u128::from(self.mantissa)).checked_shr(shift).unwrap_or(0),
        };
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        if value < 0 { -magnitude } else { magnitude }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::DAY_MS;

    #[test]
    fn halves_every_half_life() {
        for (age_days, expected) in [(0, 1_000_000), (7, 500_000), (14, 250_000), (70, 976)] {
            assert_eq!(Factor::of(age_days * DAY_MS, 7 * DAY_MS).times(1_000_000), expected);
            assert_eq!(Factor::of(age_days * DAY_MS, 7 * DAY_MS).times(-1_000_000), -expected);
        }
        assert_eq!(Factor::of(i64::MAX, 1).times(i64::MAX), 0);
        assert_eq!(Factor::of(-5, DAY_MS).times(7), 7);
        assert_eq!(Factor::of(0, 1).times(i64::MAX), i64::MAX);
        for halvings in [0_u32, 1, 33, 34, 62, 63, 64, 95, 96, 97, 98, 1_000] {
            assert_eq!(Factor::of(halvings.into(), 1).times(i64::MAX), i64::MAX.checked_shr(halvings).unwrap_or(0));
            assert_eq!(
                Factor::of(halvings.into(), 1).times(-1_000_000),
                -(1_000_000_i64.checked_shr(halvings).unwrap_or(0))
            );
        }
    }

    #[test]
    fn is_within_its_stated_error_of_the_real_factor() {
        for age_ms in (0..60 * DAY_MS).step_by(3_777_777) {
            let table = Factor::of(age_ms, 7 * DAY_MS).times(1_000_000_000) as f64 / 1e9;
            let real = (-(age_ms as f64) / (7 * DAY_MS) as f64).exp2();
            assert!(table >= real * 0.999_999 && table <= real * 1.000_18 + 2e-9, "{age_ms}: {table} against {real}");
        }
    }
}
