//! Exponential and logarithm by + − × ÷ alone: the standard library's may differ between machines, and what is trained
//! with these gives the same bits on all. For training; no decision rests on them.

/// e^x; 0 below −700.
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let halvings = (x / std::f64::consts::LN_2).round();
    let rest = x - halvings * std::f64::consts::LN_2;
    let mut sum = 1.0;
    for divisor in (1..=14).rev() {
        sum = 1.0 + sum * rest / f64::from(divisor);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within ±1,011 after the check above; the sum then is infinite"
    )]
    let power = halvings.min(1_023.0) as i32;
    let two_to = |power: i32| f64::from_bits(u64::from((power + 1_023).clamp(0, 2_046).unsigned_abs()) << 52);
    sum * two_to(power)
}

/// Natural logarithm of a positive number, by Newton's method on [`exp`].
#[must_use]
pub fn ln(x: f64) -> f64 {
    let exponent = i32::try_from((x.to_bits() >> 52) & 0x7ff).unwrap_or_default() - 1_023;
    let mut y = f64::from(exponent) * std::f64::consts::LN_2;
    for _ in 0..5 {
        let e = exp(y);
        y += 2.0 * (x - e) / (x + e);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exponential_and_logarithm_are_those_of_the_library() {
        for x in [-650.0, -30.5, -1.0, -1e-9, 0.0, 0.5, 1.0, 12.25, 300.0] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "{x}");
            assert!((ln(exp(x)) - x).abs() < 1e-9, "{x}");
        }
    }

    proptest! {
        #[test]
        fn the_exponential_is_that_of_the_library(x in -50.0_f64..0.0) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "{x}: {} against {}", exp(x), x.exp());
        }
    }
}
