//! Logarithms and chances without floats: the same on every machine.

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

/// Fraction bits of an exponent; the error of a chance is below two millionths.
const EXPONENT_BITS: u32 = 24;

/// ln(p / (1 − p)) of a chance, which is held between one millionth and all but one.
#[must_use]
pub fn logit(chance: Micro) -> Micro {
    let chance = chance.0.clamp(1, Micro::SCALE - 1);
    let bits = log2(Micro::whole(chance)) - log2(Micro::whole(Micro::SCALE - chance));
    // times ln 2
    Micro::ratio(bits.0, 693_147_180_560, 1_000_000_000_000)
}

/// The chance 1 / (1 + e^−z), to the nearest millionth.
#[must_use]
pub fn logistic(z: Micro) -> Micro {
    // e^−|z| = 2^−y with y = |z| · log2 e, 24 bits after the point.
    let y = ((u128::from(z.0.unsigned_abs()) * 1_442_695_040_889) << EXPONENT_BITS) / 1_000_000_000_000_000_000;
    let (whole, fraction) = (y >> EXPONENT_BITS, y & ((1 << EXPONENT_BITS) - 1));
    let (mut power, mut root) = (1_u128 << 62, 1_u128 << 61);
    for bit in (0..EXPONENT_BITS).rev() {
        // 2^−½, 2^−¼, …
        root = (root << 62).isqrt();
        if fraction >> bit & 1 == 1 {
            power = (power * root) >> 62;
        }
    }
    let power = u32::try_from(whole).ok().and_then(|whole| power.checked_shr(whole)).unwrap_or(0);
    let all = (1_u128 << 62) + power;
    let rare = (power * Micro::SCALE.unsigned_abs() as u128 + all / 2) / all;
    let rare = i64::try_from(rare).unwrap_or(0);
    Micro(if z < Micro::ZERO { rare } else { Micro::SCALE - rare })
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

    #[test]
    fn even_odds_are_one_half_and_the_ends_are_reached() {
        assert_eq!((logistic(Micro::ZERO), logit(Micro(500_000))), (Micro(500_000), Micro::ZERO));
        assert_eq!((logistic(Micro(i64::MIN)), logistic(Micro(i64::MAX))), (Micro::ZERO, Micro::ONE));
        assert_eq!((logit(Micro::ZERO), logit(Micro::ONE)), (Micro(-13_815_509), Micro(13_815_509)));
    }

    proptest! {
        #[test]
        fn chances_are_within_two_millionths_of_the_real_ones(z in -20_000_000_i64..20_000_000) {
            let real = 1.0 / (1.0 + (-Micro(z).to_f64()).exp());
            prop_assert!((logistic(Micro(z)).to_f64() - real).abs() < 2e-6, "{} against {real}", logistic(Micro(z)));
        }

        #[test]
        fn a_chance_comes_back_from_its_log_odds(chance in 1_000_i64..999_000) {
            prop_assert!((logistic(logit(Micro(chance))).0 - chance).abs() <= 2);
        }

        #[test]
        fn is_within_two_millionths_of_the_real_logarithm(value in 1_000_000_i64..i64::MAX) {
            let real = Micro(value).to_f64().log2();
            prop_assert!((log2(Micro(value)).to_f64() - real).abs() < 2e-6, "{} against {real}", log2(Micro(value)));
        }
    }
}
