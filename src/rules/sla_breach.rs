//! `sla_breach`: the customer waited longer than the target.
//!
//! A queue of support or messaging longer than 20 seconds, a queue in a shop longer than 240 seconds (one shopper in ten
//! leaves above 4 minutes), or the target of the touchpoint's own topic. Closed by an answer: an agent's touchpoint, or
//! one with an outcome, in the same conversation (in a shop: any).
//!
//! A first answer: a promise with `sla = true` in the catalogue that is still open at its due moment. No touchpoint marks
//! that moment: a timer finds it. Closed when the promise is kept or broken, or its item closes.

use super::{Kind, Lifecycle, Reading, Row, Verdict, Words, open};
use crate::model::{Channel, Micro, time::Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The row in the table of rules.
pub const ROW: Row = Row {
    kind: Kind::SlaBreach,
    name: "sla_breach",
    version: 1,
    summary: "the customer waited longer than the target",
};

/// `[rules.sla_breach]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaBreach {
    /// Severity and times.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Target of a queue in support and messaging.
    pub support_wait: Span,
    /// Target of a queue in a shop.
    pub store_wait: Span,
    /// Targets by topic of the touchpoint, in place of `support_wait`.
    pub topics: BTreeMap<String, Span>,
}

impl SlaBreach {
    /// When it opens and closes, with these settings.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            opens: format!(
                "a wait is longer than {} in support{}, or than {} in a shop, or a first answer (a promise with sla = true) is \
                 past its due moment",
                self.support_wait,
                self.topics.iter().map(|(topic, span)| format!(" ({topic}: {span})")).collect::<String>(),
                self.store_wait
            ),
            closes: "the customer is answered".to_owned(),
        }
    }

    /// The target of a queue; none where waiting is not judged.
    #[must_use]
    pub fn target(&self, channel: Channel, topic: Option<&str>) -> Option<Span> {
        match channel {
            Channel::Support | Channel::Messaging => {
                Some(topic.and_then(|topic| self.topics.get(topic)).copied().unwrap_or(self.support_wait))
            }
            Channel::InStore => Some(self.store_wait),
            Channel::Web
            | Channel::Mobile
            | Channel::Email
            | Channel::Social
            | Channel::Review
            | Channel::Ads
            | Channel::Fulfilment
            | Channel::Other => None,
        }
    }
}

/// Reads the rule at a wait.
#[must_use]
pub fn read(settings: &SlaBreach, wait_ms: i64, target: Span) -> Reading {
    let seconds = |span_ms: i64| Micro(span_ms.saturating_mul(Micro::SCALE / 1_000));
    Reading {
        verdict: if wait_ms > target.0 { open(&settings.lifecycle) } else { Verdict::Hold },
        figure: "wait_seconds",
        before: None,
        after: seconds(wait_ms),
        threshold: seconds(target.0),
    }
}

/// Reads the rule for a first answer that has been waited for beyond its target.
#[must_use]
pub fn unanswered(settings: &SlaBreach, wait_ms: i64, target: Span) -> Reading {
    Reading { verdict: open(&settings.lifecycle), ..read(settings, wait_ms, target) }
}
