//! `repeat_contact`: the customer had to turn to service again about the same order or topic.
//!
//! At least 2 contacts in 7 days (turns of one conversation are one contact); high when an earlier one had been closed as
//! resolved. Closed when there was none for 7 days.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words};
use crate::model::{Micro, Severity, time::Span};
use serde::{Deserialize, Serialize};

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::RepeatContact,
    name: "repeat_contact",
    version: 1,
    summary: "the customer had to turn to service again about the same thing",
};

/// `[rules.repeat_contact]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatContact {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Contacts about the same order or topic …
    pub contacts: u32,
    /// … within this.
    pub window: Span,
}

impl RepeatContact {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "there are {} contacts with service about the same order or topic within {} (high: an earlier one was closed as resolved)",
                self.contacts, self.window
            ),
            closes: format!("there is no further contact for {}", self.window),
        }
    }
}

/// What the rule reads of one order or topic.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Contacts in the window.
    pub contacts: u32,
    /// One of the earlier ones was closed as resolved.
    pub was_resolved: bool,
}

/// Reads the rule.
#[must_use]
pub fn read(settings: &RepeatContact, facts: &Facts) -> Reading {
    let severity = settings.lifecycle.severity;
    let verdict = match facts.contacts {
        0 => Verdict::Close("no_further_contact"),
        contacts if contacts < settings.contacts => Verdict::Hold,
        _ if facts.was_resolved => Verdict::Open(severity.max(Severity::High)),
        _ => Verdict::Open(severity),
    };
    let whole = |count: u32| Micro::whole(count.into());
    let (after, threshold) = (whole(facts.contacts), whole(settings.contacts));
    Reading { verdict, figure: "contacts", before: None, after, threshold }
}
