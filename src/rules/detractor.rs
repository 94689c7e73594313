//! `detractor`: a bad survey or review answer.
//!
//! NPS ≤ 6 (≤ 2: high), CSAT ≤ 2 or stars ≤ 2. Closed by a follow-up of the business, or after 7 days. `before` is the
//! customer's previous answer on the same instrument.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Instrument, Micro, Rating, Severity};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row =
    Row { kind: Kind::Detractor, name: "detractor", version: 1, summary: "a bad survey or review answer" };

/// `[rules.detractor]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detractor {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Opens at NPS ≤ this …
    pub nps: Micro,
    /// … (high at NPS ≤ this) …
    pub nps_high: Micro,
    /// … at CSAT ≤ this …
    pub csat: Micro,
    /// … or stars ≤ this.
    pub stars: Micro,
}

impl Detractor {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "an answer is at or below NPS {} (high: {}), CSAT {} or {} stars",
                self.nps, self.nps_high, self.csat, self.stars
            ),
            closes: "somebody followed up".to_owned(),
        }
    }
}

/// Reads the rule at an answer; none when its instrument is not one the rule knows.
#[must_use]
pub fn read(settings: &Detractor, rating: Rating, before: Option<Micro>) -> Option<Reading> {
    let (figure, threshold) = match rating.instrument {
        Instrument::Nps => ("nps", settings.nps),
        Instrument::Csat => ("csat", settings.csat),
        Instrument::Stars => ("stars", settings.stars),
        Instrument::Ces | Instrument::Custom => return None,
    };
    let high = rating.instrument == Instrument::Nps && rating.value <= settings.nps_high;
    let verdict = match () {
        () if rating.value > threshold => Verdict::Hold,
        () if high => Verdict::Open(settings.lifecycle.severity.max(Severity::High)),
        () => open(&settings.lifecycle),
    };
    Some(Reading { verdict, figure, before, after: rating.value, threshold })
}
