//! Logarithms without floats: the same on every machine.

use crate::model::Micro;

/// Fraction bits computed; the error is below one millionth.
const FRACTION_BITS: u32 = 24;

/// log2 of a number ≥ 1, rounded towards zero; 0 below 1.
#[must_use]
pub fn log2(value: Micro) -> Micro {
    let Some(value) = u64::try_from(value.0).ok().filter(|value| *value > Micro::SCALE.unsigned_abs()) else {
        return Micro::ZERO;
    };
    // value / 10⁶ = 2^whole · m with m in [1, 2), m with 62 bits after the point.
    let mut m = (u128::from(value) << 62) / u128::from(Micro::SCALE.unsigned_abs());
    let whole = m.ilog2() - 62;
    m >>= whole;
    let mut fraction = 0_i64;
    // Squaring m doubles its logarithm: each bit is whether the square passes 2.
    for _ in 0..FRACTION_BITS {
        m = (m * m) >> 62;
        fraction <<= 1;
        if m >> 63 != 0 {
            m >>= 1;
            fraction |= 1;
        }
    }
    Micro::whole(whole.into()) + Micro((fraction * Micro::SCALE) >> FRACTION_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_are_exact() {
        for power in 0..40 {
            assert_eq!(log2(Micro::whole(1 << power)), Micro::whole(power));
        }
        assert_eq!((log2(Micro::ZERO), log2(Micro(999_999)), log2(Micro(-5))), (Micro::ZERO, Micro::ZERO, Micro::ZERO));
    }

    proptest! {
        #[test]
        fn is_within_two_millionths_of_the_real_logarithm(value in 1_000_000_i64..i64::MAX) {
            let real = Micro(value).to_f64().log2();
            prop_assert!((log2(Micro(value)).to_f64() - real).abs() < 2e-6, "{} against {real}", log2(Micro(value)));
        }
    }
}
