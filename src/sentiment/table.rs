//! A table of weights: hashed rows and dense numbers to the logits of negative and positive.
//!
//! There are two weights in place of three: the logit of neutral is always 0, those of negative and positive are relative
//! to it. That is the same model in two thirds of the memory.

use super::features::{DENSE, DENSE_COUNT, ROWS, Scratch};
use super::fixed::inverse_root;
use super::model::LARGEST;
use serde::{Deserialize, Serialize};

/// A table's numbers but for its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Numbers {
    /// One unit of a row's weights, in logits of 2^-24.
    pub(super) row_unit: i64,
    /// Names, and weights in 1/65,536, of the dense numbers, for negative and positive.
    pub(super) dense: Vec<(String, [i64; 2])>,
}

/// Negative and positive, a row each.
pub(super) type Rows = Box<[[i8; 2]]>;

/// Weights for negative and positive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) rows: Rows,
    pub(super) row_unit: i64,
    pub(super) dense: [[i64; 2]; DENSE_COUNT],
}

impl Table {
    /// None when the numbers do not fit this version or are out of range.
    pub(super) fn of(rows: Rows, scale: &Numbers) -> Option<Self> {
        let names = scale.dense.iter().map(|(name, _)| name.as_str());
        let in_range = |number: &i64| number.abs() <= LARGEST;
        let numbers = || scale.dense.iter().flat_map(|(_, weights)| weights);
        if rows.len() != ROWS || !names.eq(DENSE.iter().copied()) || !numbers().all(in_range) {
            return None;
        }
        let mut dense = [[0; 2]; DENSE_COUNT];
        dense.iter_mut().zip(&scale.dense).for_each(|(to, (_, from))| *to = *from);
        in_range(&scale.row_unit).then_some(Self { rows, row_unit: scale.row_unit, dense })
    }

    /// The rows as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.rows.iter().flatten().map(|weight| weight.cast_unsigned()).collect()
    }

    /// Logits in Q16 of a sum of rows' weights, each times its token's weight, of so many rows in all.
    #[inline]
    pub(super) const fn row_logit(&self, sum: i64, inverse_root: i64) -> i64 {
        (((sum * self.row_unit) >> 12) * inverse_root) >> 24
    }

    /// Logits in Q16 of the text in `scratch`, before calibration.
    #[inline]
    pub(super) fn logits(&self, scratch: &Scratch) -> [i64; 2] {
        let mut sums = [0_i32; 2];
        let count = scratch.rows(|_, row, weight| {
            if let Some([negative, positive]) = self.rows.get(row) {
                // Some thousand rows of 127 times 384: far from the limits, and the hottest line of all.
                sums[0] = sums[0].wrapping_add(i32::from(*negative).wrapping_mul(weight));
                sums[1] = sums[1].wrapping_add(i32::from(*positive).wrapping_mul(weight));
            }
        });
        let inverse_root = inverse_root(count);
        let mut logits = sums.map(|sum| self.row_logit(i64::from(sum), inverse_root));
        for (value, weights) in scratch.dense().into_iter().zip(&self.dense) {
            for (logit, weight) in logits.iter_mut().zip(weights) {
                *logit += (value * weight) >> 16;
            }
        }
        logits
    }
}
