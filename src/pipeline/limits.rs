//! The limits that stop a partition instead of draining a whole topic into the dead letters.

use super::Bounds;
use crate::journal::Limiter;
use crate::model::Micro;

/// Records over which the share of rejected ones is taken.
const WINDOW_RECORDS: u64 = 10_000;

/// Counts a record. Windows tumble, and the share is taken of a whole window: one bad record among the first ten is no
/// reason to stop.
pub(super) const fn count(limiter: &mut Limiter, rejected: bool) {
    if limiter.window_records >= WINDOW_RECORDS {
        (limiter.window_records, limiter.window_rejected) = (0, 0);
    }
    limiter.window_records += 1;
    limiter.window_rejected += rejected as u64;
    limiter.consecutive = if rejected { limiter.consecutive + 1 } else { 0 };
}

/// Why no further record may be taken, if so.
pub(super) fn stop_reason(limiter: &Limiter, bounds: &Bounds) -> Option<String> {
    if limiter.consecutive >= bounds.dlq_consecutive_max {
        return Some(format!(
            "{} records in a row were rejected (pipeline.dlq_consecutive_max); see the dead letters for the reasons",
            limiter.consecutive
        ));
    }
    let window = i64::try_from(WINDOW_RECORDS).unwrap_or(i64::MAX);
    let allowed = Micro::ratio(bounds.dlq_ratio_max.0, window, Micro::SCALE).0;
    let reached = bounds.dlq_ratio_max < Micro::ONE && limiter.window_rejected > u64::try_from(allowed).unwrap_or(0);
    reached.then(|| {
        format!(
            "{} of at most {WINDOW_RECORDS} records were rejected (pipeline.dlq_ratio_max); see the dead letters for the reasons",
            limiter.window_rejected
        )
    })
}
