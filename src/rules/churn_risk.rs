//! `churn_risk`: the risk of an outcome of kind `churn_risk` (a lapse) crosses its threshold.
//!
//! Number and recency of purchases foretell a lapse far better than a rule about gaps: "longer than three usual gaps" was
//! right about 41 % of those it named, the same number of highest risks about 62 % (an online shop, one year). High when
//! the last scored touchpoint was bad or a failure is open. Ends with a purchase, or below the closing threshold.

use super::outcome_risk::{self, Level, Outcome};
use super::{Kind, Lifecycle, Reading, Row, Verdict, Words};
use crate::model::Severity;
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row =
    Row { kind: Kind::ChurnRisk, name: "churn_risk", version: 1, summary: "a customer is likely to buy no more" };

/// `[rules.churn_risk]`. Thresholds are those of the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChurnRisk {
    /// Times; the severity is the outcome's, where it names one.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

impl ChurnRisk {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: "the risk of an outcome of this kind reaches its `open`, for a customer who has bought (high: the last scored touchpoint was bad, or a failure is open)".to_owned(),
            closes: "the customer buys, or the risk falls below the outcome's `close`".to_owned(),
        }
    }
}

/// What the rule reads besides the risk.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// How likely the outcome is held.
    pub level: Level,
    /// The last scored touchpoint was bad, or a failure is open.
    pub unhappy: bool,
    /// This touchpoint is a purchase.
    pub purchased: bool,
    /// There was a purchase, ever. Who never bought has no habit to lose.
    pub ever_purchased: bool,
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &Lifecycle, outcome: &Outcome, facts: &Facts) -> Reading {
    let reading = outcome_risk::read(settings, outcome, &facts.level);
    let verdict = match reading.verdict {
        _ if facts.purchased => Verdict::Close("purchase"),
        Verdict::Open(_) if !facts.ever_purchased => Verdict::Hold,
        Verdict::Open(severity) if facts.unhappy => Verdict::Open(severity.max(Severity::High)),
        verdict @ (Verdict::Open(_) | Verdict::Hold | Verdict::Close(_)) => verdict,
    };
    Reading { verdict, ..reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Micro;
    use crate::model::time::Span;

    #[test]
    fn who_never_bought_has_no_habit_to_lose() {
        let outcome: Outcome =
            toml::from_str("name = 'lapse'\nkind = 'churn_risk'\nterms = ['rhythm']\nopen = 0.5\nclose = 0.4").unwrap();
        let mut facts =
            Facts { level: outcome.level(Micro::ONE), unhappy: false, purchased: false, ever_purchased: true };
        let settings = Lifecycle {
            enabled: true,
            severity: Severity::Warning,
            hold: Span(0),
            keep_firing_for: Span(0),
            cooldown: Span(0),
            max_open: Span(0),
            suggested_action: None,
        };
        assert_eq!(read(&settings, &outcome, &facts).verdict, Verdict::Open(settings.severity));
        facts.unhappy = true;
        assert_eq!(read(&settings, &outcome, &facts).verdict, Verdict::Open(Severity::High));
        facts.ever_purchased = false;
        assert_eq!(read(&settings, &outcome, &facts).verdict, Verdict::Hold);
        facts.purchased = true;
        assert_eq!(read(&settings, &outcome, &facts).verdict, Verdict::Close("purchase"));
    }
}
