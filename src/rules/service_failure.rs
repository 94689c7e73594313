//! `service_failure`: the business failed the customer, on an order or conversation.
//!
//! Kept later than promised by ≥ 24 hours, cancelled by the merchant, refunded for a defect, ≥ 2 refused payments within
//! 30 minutes, or a crash in checkout. Closed by a recovery. The engine finds the failure; this file says what it
//! measures against what.

use super::{Kind, Lifecycle, Reading, Row, Words, open};
use crate::model::{Micro, time::DAY_MS, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::ServiceFailure,
    name: "service_failure",
    version: 1,
    summary: "the business failed the customer on an order or conversation",
};

/// `[rules.service_failure]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFailure {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Kept later than promised by at least this is a failure.
    pub late_by: Span,
    /// This many refused payments …
    pub payments: u32,
    /// … within this are a failure.
    pub payment_window: Span,
}

impl ServiceFailure {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "a promise is kept {} late or later, {} payments are refused within {}, or a touchpoint is a failure by itself (cancelled \
                 by the merchant, refunded for a defect, a crash in a journey)",
                self.late_by, self.payments, self.payment_window
            ),
            closes: "a touchpoint makes the failure good".to_owned(),
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facts {
    /// Kept this many ms after the promised moment.
    LateMs(i64),
    /// This many refused payments in the window.
    Payments(u32),
    /// Something that is a failure by itself.
    Once,
}

/// True when it amounts to a failure.
#[must_use]
pub fn is_failure(settings: &ServiceFailure, facts: Facts) -> bool {
    match facts {
        Facts::LateMs(late_ms) => late_ms >= settings.late_by.0,
        Facts::Payments(count) => count >= settings.payments,
        Facts::Once => true,
    }
}

/// The reading of a failure.
#[must_use]
pub fn read(settings: &ServiceFailure, facts: Facts) -> Reading {
    let (figure, after, threshold) = match facts {
        Facts::LateMs(late_ms) => ("days_late", days(late_ms), days(settings.late_by.0)),
        Facts::Payments(count) => {
            ("refused_payments", Micro::whole(count.into()), Micro::whole(settings.payments.into()))
        }
        Facts::Once => ("failures", Micro::ONE, Micro::ONE),
    };
    Reading { verdict: open(&settings.lifecycle), figure, before: None, after, threshold }
}

/// A span in days.
#[must_use]
pub fn days(span_ms: i64) -> Micro {
    Micro::ratio(span_ms, Micro::SCALE, DAY_MS)
}
