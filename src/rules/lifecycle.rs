//! The life of one alert of one customer (and item):
//!
//! ```text
//!             open                    held for `for`
//!   OK ───────────────▶ Pending ───────────────────────▶ Firing ◀─┐ still open: severity may rise (updated)
//!   ▲                      │ not open any more             │ │     │
//!   │◀─────────────────────┘                               │ └─────┘
//!   │                                   closed for `keep_firing_for`, or `max_open` passed (resolved)
//!   │      `cooldown` passed                               ▼
//!   └──────────────────────────────────────────────────  Cooling   (opens again only at a higher severity)
//! ```
//! What can be wrong about the same thing again and again (an open item, a silence) is remembered after it cooled, as
//! Ended: its next alert gets an id of its own, and one that expired while its condition held stays quiet until the
//! closing condition has been met. Whoever holds the states decides which those are.
//!
//! Pure: the caller brings the time and the verdict, and re-reads the rule at [`State::deadline`].
//! Open and close thresholds differ (hysteresis), so a figure that trembles at one of them does not flap.

use super::settings::Lifecycle;
use crate::model::{Severity, Timestamp};

/// What a rule says at one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The opening condition holds, at this severity.
    Open(Severity),
    /// Between the thresholds, or nothing to say.
    Hold,
    /// The closing condition holds; the reason is given in the alert.
    Close(&'static str),
}

/// Where an alert is in its life. OK is the absence of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Open since, not yet long enough.
    Pending {
        /// When the condition began to hold.
        since: Timestamp,
    },
    /// Told to the world.
    Firing {
        /// When it opened.
        since: Timestamp,
        /// Since when the closing condition has held.
        closing: Option<Timestamp>,
        /// As last told.
        severity: Severity,
    },
    /// Ended; quiet until.
    Cooling {
        /// When a new one may open.
        until: Timestamp,
        /// Severity of the one that ended.
        severity: Severity,
        /// As of [`State::Ended`]: nothing opens before the condition was over.
        expired: bool,
    },
    /// Cooled; remembered because what it was about may give an alert again.
    Ended {
        /// It was told for as long as it may be and the condition still holds: there is nothing new to tell.
        expired: bool,
    },
}

/// What the world must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It opened.
    Opened(Severity),
    /// Its severity rose.
    Updated(Severity),
    /// It ended, for this reason.
    Resolved(&'static str),
}

impl State {
    /// When the rule must be read again although nothing happens.
    #[must_use]
    pub fn deadline(self, settings: &Lifecycle) -> Option<Timestamp> {
        match self {
            Self::Pending { since } => Some(since.plus(settings.hold.0)),
            Self::Firing { since, closing, .. } => {
                let expires = (settings.max_open.0 > 0).then(|| since.plus(settings.max_open.0));
                let closes = closing.map(|closing| closing.plus(settings.keep_firing_for.0));
                [expires, closes].into_iter().flatten().min()
            }
            Self::Cooling { until, .. } => Some(until),
            Self::Ended { .. } => None,
        }
    }
}

/// One step: the state before, the verdict at `now` → the state after, and what changed.
#[must_use]
pub fn step(state: Option<State>, verdict: Verdict, now: Timestamp, settings: &Lifecycle) -> (Option<State>, Change) {
    match state {
        None | Some(State::Ended { expired: false }) => begin(now, verdict, settings),
        Some(State::Ended { expired: true }) => {
            let expired = !matches!(verdict, Verdict::Close(_));
            (Some(State::Ended { expired }), Change::None)
        }
        Some(State::Pending { since }) => match verdict {
            Verdict::Open(severity) if now.since(since) >= settings.hold.0 => open(now, severity),
            Verdict::Open(_) => (state, Change::None),
            Verdict::Hold | Verdict::Close(_) => (None, Change::None),
        },
        Some(State::Firing { since, closing, severity }) => {
            if settings.max_open.0 > 0 && now.since(since) >= settings.max_open.0 {
                return resolve(now, "expired", severity, settings);
            }
            match verdict {
                Verdict::Close(reason) => {
                    let closing = closing.unwrap_or(now);
                    if now.since(closing) >= settings.keep_firing_for.0 {
                        return resolve(now, reason, severity, settings);
                    }
                    (Some(State::Firing { since, closing: Some(closing), severity }), Change::None)
                }
                Verdict::Open(risen) if risen > severity => {
                    (Some(State::Firing { since, closing: None, severity: risen }), Change::Updated(risen))
                }
                Verdict::Open(_) | Verdict::Hold => {
                    (Some(State::Firing { since, closing: None, severity }), Change::None)
                }
            }
        }
        Some(State::Cooling { until, severity, expired }) => {
            let expired = expired && !matches!(verdict, Verdict::Close(_));
            match verdict {
                _ if now >= until && expired => (Some(State::Ended { expired }), Change::None),
                _ if now >= until => begin(now, verdict, settings),
                Verdict::Open(risen) if risen > severity && !expired => begin(now, verdict, settings),
                Verdict::Open(_) | Verdict::Hold | Verdict::Close(_) => {
                    (Some(State::Cooling { until, severity, expired }), Change::None)
                }
            }
        }
    }
}

fn begin(now: Timestamp, verdict: Verdict, settings: &Lifecycle) -> (Option<State>, Change) {
    match verdict {
        Verdict::Open(severity) if settings.hold.0 == 0 => open(now, severity),
        Verdict::Open(_) => (Some(State::Pending { since: now }), Change::None),
        Verdict::Hold | Verdict::Close(_) => (None, Change::None),
    }
}

fn open(now: Timestamp, severity: Severity) -> (Option<State>, Change) {
    (Some(State::Firing { since: now, closing: None, severity }), Change::Opened(severity))
}

/// The quiet state after an alert ended (or was not opened because of the daily cap).
#[must_use]
pub fn cooling(now: Timestamp, severity: Severity, settings: &Lifecycle) -> Option<State> {
    let until = now.plus(settings.cooldown.0);
    (settings.cooldown.0 > 0).then_some(State::Cooling { until, severity, expired: false })
}

fn resolve(now: Timestamp, reason: &'static str, severity: Severity, settings: &Lifecycle) -> (Option<State>, Change) {
    (cooling(now, severity, settings), Change::Resolved(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;
    use proptest::prelude::*;

    fn settings() -> Lifecycle {
        Lifecycle {
            enabled: true,
            severity: Severity::Warning,
            hold: Span(10),
            keep_firing_for: Span(20),
            cooldown: Span(30),
            max_open: Span(100),
            suggested_action: None,
        }
    }

    /// Runs readings through the machine; answers the changes with their times.
    fn run(readings: &[(i64, Verdict)]) -> Vec<(i64, Change)> {
        let (mut state, mut changes) = (None, Vec::new());
        for &(at, verdict) in readings {
            let (next, change) = step(state, verdict, Timestamp(at), &settings());
            state = next;
            if change != Change::None {
                changes.push((at, change));
            }
        }
        changes
    }

    const OPEN: Verdict = Verdict::Open(Severity::Warning);
    const HIGH: Verdict = Verdict::Open(Severity::High);
    const CLOSE: Verdict = Verdict::Close("recovered");

    #[test]
    fn opens_after_the_condition_held_long_enough() {
        assert_eq!(run(&[(0, OPEN), (9, OPEN)]), []);
        assert_eq!(run(&[(0, OPEN), (10, OPEN)]), [(10, Change::Opened(Severity::Warning))]);
        assert_eq!(run(&[(0, OPEN), (5, Verdict::Hold), (10, OPEN)]), []);
    }

    #[test]
    fn closes_only_after_the_closing_condition_held_long_enough() {
        let opened = (10, Change::Opened(Severity::Warning));
        assert_eq!(run(&[(0, OPEN), (10, OPEN), (15, CLOSE), (34, CLOSE)]), [opened]);
        assert_eq!(
            run(&[(0, OPEN), (10, OPEN), (15, CLOSE), (35, CLOSE)]),
            [opened, (35, Change::Resolved("recovered"))]
        );
        assert_eq!(run(&[(0, OPEN), (10, OPEN), (15, CLOSE), (20, OPEN), (35, CLOSE)]), [opened]);
        assert_eq!(run(&[(0, OPEN), (10, OPEN), (110, OPEN)]), [opened, (110, Change::Resolved("expired"))]);
    }

    #[test]
    fn what_expired_is_quiet_until_it_was_over() {
        let expired = Some(State::Ended { expired: true });
        for (verdict, state) in
            [(HIGH, expired), (Verdict::Hold, expired), (CLOSE, Some(State::Ended { expired: false }))]
        {
            assert_eq!(step(expired, verdict, Timestamp(500), &settings()), (state, Change::None));
        }
        let cooling = |expired| Some(State::Cooling { until: Timestamp(500), severity: Severity::Info, expired });
        for (at, verdict, state) in [
            (400, HIGH, cooling(true)),
            (400, CLOSE, cooling(false)),
            (500, HIGH, expired),
            (500, Verdict::Hold, expired),
        ] {
            assert_eq!(step(cooling(true), verdict, Timestamp(at), &settings()), (state, Change::None), "{at}");
        }
        let over = Some(State::Ended { expired: false });
        let pending = Some(State::Pending { since: Timestamp(600) });
        assert_eq!(step(over, OPEN, Timestamp(600), &settings()), (pending, Change::None));
        assert_eq!(expired.and_then(|state| state.deadline(&settings())), None);
    }

    #[test]
    fn cools_down_unless_the_severity_rises() {
        let ended = [(0, OPEN), (10, OPEN), (15, CLOSE), (35, CLOSE)];
        let after = |more: &[(i64, Verdict)]| run(&[&ended[..], more].concat()).split_off(2);
        assert_eq!(after(&[(40, OPEN), (64, OPEN)]), []);
        assert_eq!(after(&[(65, OPEN), (75, OPEN)]), [(75, Change::Opened(Severity::Warning))]);
        assert_eq!(after(&[(40, HIGH), (50, HIGH)]), [(50, Change::Opened(Severity::High))]);
    }

    #[test]
    fn a_rising_severity_is_an_update_and_a_falling_one_is_not() {
        assert_eq!(
            run(&[(0, OPEN), (10, OPEN), (12, HIGH), (14, OPEN)]),
            [(10, Change::Opened(Severity::Warning)), (12, Change::Updated(Severity::High))]
        );
    }

    proptest! {
        #[test]
        fn never_opens_twice_without_a_resolve_between(steps in prop::collection::vec((1_i64..15, 0_u8..4), 0..200)) {
            let (mut state, mut now, mut firing) = (None, 0, false);
            for (gap, choice) in steps {
                now += gap;
                let verdict = [OPEN, HIGH, Verdict::Hold, CLOSE][usize::from(choice)];
                let (next, change) = step(state, verdict, Timestamp(now), &settings());
                state = next;
                match change {
                    Change::Opened(_) => { prop_assert!(!firing); firing = true; }
                    Change::Updated(_) => prop_assert!(firing),
                    Change::Resolved(_) => { prop_assert!(firing); firing = false; }
                    Change::None => {}
                }
                prop_assert_eq!(firing, matches!(state, Some(State::Firing { .. })));
            }
        }
    }
}
