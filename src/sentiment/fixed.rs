//! Fixed-point arithmetic of the scorer, so that a text scores the same on every machine. Where a root is drawn, floats
//! are used, of whole numbers below 2^53 and with + × ÷ √ alone: IEEE 754 fixes every bit of those.
//!
//! Logits and dense numbers are in 1/65,536 ("Q16"), weights of tokens in 1/256 ("Q8").

use crate::model::Micro;

/// One, in Q16.
pub(super) const ONE: i64 = 1 << 16;
/// ln 2 in 2^-32.
const LN_2: u64 = 2_977_044_472;
/// Logits further apart than this (in Q16) give a probability of 0: e^-24 is below a millionth.
const RANGE: i64 = 24 * ONE;

/// x / √(x² + c): sums of valence without a bound become numbers in ]-1, 1[ (the normalisation of VADER). `x` in
/// hundredths of a valence, `c` in squares of a valence; Q16.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "below one")]
pub(super) fn squash(x: i64, c: i64) -> i64 {
    if x == 0 {
        return 0;
    }
    let x = x as f64;
    (x * ONE as f64 / (x * x + (c * 10_000) as f64).sqrt()) as i64
}

/// 1/√n in 2^-20, for n of 1 or more.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "below 2^20")]
pub(super) fn inverse_root(n: i64) -> i64 {
    (f64::from(1 << 20) / (n.max(1) as f64).sqrt()) as i64
}

/// e^-x in 2^-32, of x ≥ 0 in Q16. By e^-x = 2^-k · e^-r with r in [0, ln 2[, and eight terms of the series of e^-r:
/// the error is below 2^-28.
fn exp_negative(x: i64) -> i64 {
    if x >= RANGE {
        return 0;
    }
    if x == 0 {
        return 1 << 32;
    }
    let x = x.unsigned_abs() << 16;
    let (halvings, rest) = (x / LN_2, x % LN_2);
    let mut sum = 1_u64 << 32;
    // Horner's scheme: 1 - r(1 - r/2(1 - r/3(…))). A product is at most 2^32 · ln 2 · 2^32: below 2^64.
    for divisor in (1..=8).rev() {
        sum = (1 << 32) - ((sum * rest) >> 32) / divisor;
    }
    (sum >> halvings).cast_signed()
}

/// Probabilities of logits in Q16, in millionths; they sum to one exactly.
pub(super) fn softmax(logits: [i64; 3]) -> [Micro; 3] {
    let highest = logits.into_iter().max().unwrap_or_default();
    let [a, b, c] = logits.map(|logit| exp_negative(highest.saturating_sub(logit)));
    let total = (a + b + c).max(1);
    let share = |part: i64| (part * Micro::SCALE + total / 2) / total;
    let (first, last) = (share(a), share(c));
    [Micro(first), Micro((Micro::SCALE - first - last).max(0)), Micro(last)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exponentials_are_those_of_the_float_unit() {
        for x in (0..RANGE).step_by(97) {
            let expected = (-(x as f64) / ONE as f64).exp();
            let found = exp_negative(x) as f64 / (1_u64 << 32) as f64;
            assert!((expected - found).abs() < 1e-7, "{x}: {expected} {found}");
        }
    }

    #[test]
    fn squashed_sums_keep_their_sign_and_stay_below_one() {
        assert_eq!(squash(0, 15), 0);
        for (x, c) in [(100, 15), (-250, 15), (40_000, 15), (400, 2)] {
            let v = x as f64 / 100.0;
            let expected = v / (v * v + c as f64).sqrt();
            let found = squash(x, c) as f64 / ONE as f64;
            assert!((expected - found).abs() < 1e-3, "{x}: {expected} {found}");
        }
        assert!((inverse_root(9) - (1 << 20) / 3).abs() <= 1);
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one_and_follow_the_logits(
            logits in prop::array::uniform3(-40 * ONE..40 * ONE),
        ) {
            let found = softmax(logits);
            prop_assert_eq!(found.iter().map(|p| p.0).sum::<i64>(), Micro::SCALE);
            prop_assert!(found.iter().all(|p| (0..=Micro::SCALE).contains(&p.0)));
            let highest = (0..3).max_by_key(|at| logits[*at]).unwrap();
            prop_assert!(found.iter().all(|p| p.0 <= found[highest].0 + 2));
        }
    }
}
