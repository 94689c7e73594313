//! Quartiles, and shares with their intervals.

use super::auc::Z95;

/// First quartile, median and third quartile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quartiles {
    /// A quarter is at or below it.
    pub first: i64,
    /// Half is at or below it.
    pub median: i64,
    /// Three quarters are at or below it.
    pub third: i64,
}

/// Quartiles by nearest rank: values that occurred; none of nothing.
#[must_use]
pub fn quartiles(mut values: Vec<i64>) -> Option<Quartiles> {
    values.sort_unstable();
    let at = |quarters: usize| values.get((values.len() * quarters).div_ceil(4).max(1) - 1).copied();
    Some(Quartiles { first: at(1)?, median: at(2)?, third: at(3)? })
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// These …
    pub part: usize,
    /// … of these.
    pub whole: usize,
}

impl Share {
    /// The share, 0 to 1; none of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^53")]
    pub fn value(&self) -> Option<f64> {
        (self.whole > 0).then(|| self.part as f64 / self.whole as f64)
    }

    /// Ends of its 95 % interval (Wilson 1927), which is sound for small counts and shares near 0 and 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^53")]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let (share, whole) = (self.value()?, self.whole as f64);
        let square = Z95 * Z95 / whole;
        let middle = (share + square / 2.0) / (1.0 + square);
        let margin = Z95 * (share * (1.0 - share) / whole + square / (4.0 * whole)).sqrt() / (1.0 + square);
        Some(((middle - margin).max(0.0), (middle + margin).min(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_values_that_occurred() {
        assert_eq!(quartiles(Vec::new()), None);
        assert_eq!(quartiles(vec![7]), Some(Quartiles { first: 7, median: 7, third: 7 }));
        assert_eq!(quartiles(vec![4, 1, 3, 2]), Some(Quartiles { first: 1, median: 2, third: 3 }));
        assert_eq!(quartiles((1..=9).collect()), Some(Quartiles { first: 3, median: 5, third: 7 }));
    }

    /// Wilson's interval of 3 in 10, from Newcombe (1998): .1078 to .6032.
    #[test]
    fn the_interval_of_a_share_is_wilsons() {
        let (low, high) = Share { part: 3, whole: 10 }.interval().unwrap();
        assert!((low - 0.1078).abs() < 1e-4 && (high - 0.6032).abs() < 1e-4, "{low} {high}");
        assert_eq!(Share::default().interval(), None);
        assert!(Share { part: 0, whole: 5 }.interval().unwrap().0.abs() < 1e-12);
    }
}
