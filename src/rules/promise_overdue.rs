//! `promise_overdue`: an open promise of ours is past its due moment, or, without one, waits longer than 95 % of such
//! waits usually do.
//!
//! No touchpoint marks that a promised moment passed: a timer finds it. The severity rises with each of `rises` that the
//! promise is overdue by. Ends when it is kept or broken, or the item closes. A promise of weight 0, or with
//! `alert = false` in the catalogue, is left out.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words};
use crate::model::{Micro, Severity, time::DAY_MS, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::PromiseOverdue,
    name: "promise_overdue",
    version: 1,
    summary: "a promise of ours is past its due moment, or waits unusually long",
};

/// `[rules.promise_overdue]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromiseOverdue {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// One severity higher for each of these that it is overdue by.
    pub rises: Vec<Span>,
}

impl PromiseOverdue {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        let rises: Vec<String> = self.rises.iter().map(Span::to_string).collect();
        let opens = format!(
            "a promise of ours is past its due moment, or without one waits longer than 95 of 100 such waits do; worse at \
             each of {} over",
            rises.join(", ")
        );
        Words { opens, closes: "it is kept or broken, or the item is closed".to_owned() }
    }

    fn severity(&self, overdue_ms: i64) -> Severity {
        let passed = self.rises.iter().filter(|rise| overdue_ms >= rise.0);
        passed.fold(self.lifecycle.severity, |severity, _| severity.raised())
    }
}

/// Reads the rule for a promise that has been overdue for so long, or that is not any more, for a reason.
#[must_use]
pub fn read(settings: &PromiseOverdue, overdue: Result<i64, &'static str>) -> Reading {
    let (verdict, overdue_ms) = match overdue {
        Ok(overdue_ms) => (Verdict::Open(settings.severity(overdue_ms)), overdue_ms),
        Err(reason) => (Verdict::Close(reason), 0),
    };
    let days = Micro::ratio(overdue_ms, Micro::SCALE, DAY_MS);
    Reading { verdict, figure: "days_overdue", before: None, after: days, threshold: Micro::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_severity_rises_with_the_delay() {
        let defaults: toml::Table = toml::from_str(include_str!("../../config/touchline.toml")).unwrap();
        let settings: PromiseOverdue = defaults["rules"]["promise_overdue"].clone().try_into().unwrap();
        for (days, expected) in
            [(0, Severity::Info), (1, Severity::Warning), (2, Severity::High), (9, Severity::Critical)]
        {
            let reading = read(&settings, Ok(days * DAY_MS));
            assert_eq!((reading.verdict, reading.after), (Verdict::Open(expected), Micro::whole(days)));
        }
        assert_eq!(read(&settings, Err("kept")).verdict, Verdict::Close("kept"));
    }
}
