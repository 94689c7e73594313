//! Settings of the engine. They are read from TOML as they stand; `config/touchline.toml` has every default.

use super::customer::Detail;
use super::own_rules::OwnRules;
use crate::model::{Channel, Micro, Name, time::Span};
use crate::rules::{self, Kind, Lifecycle, TABLE, catalogue::Catalogue, outcome_risk::Outcome, profile::Profile};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// `[model]`: constants of the experience model (domain: perception, expectation, felt, index).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Half-life of perception.
    pub perception_half_life: Span,
    /// Weight of the neutral prior in perception.
    pub perception_prior_weight: Micro,
    /// Half-life of expectation.
    pub expectation_half_life: Span,
    /// Weight of the prior μ in expectation.
    pub expectation_prior_weight: Micro,
    /// The newest span that expectation leaves out.
    pub expectation_excludes: Span,
    /// Prior μ of a customer without a segment of its own.
    pub prior: Micro,
    /// Prior μ by segment.
    pub segment_priors: BTreeMap<String, Micro>,
    /// What a loss weighs more than a gain at full confidence, less 1 (Tversky & Kahneman 1992: 2.25).
    pub loss_aversion: Micro,
    /// Expectation weight at which confidence is full.
    pub loss_confidence_weight: Micro,
    /// Index at rest.
    pub index_base: Micro,
    /// Index points per unit of perception.
    pub index_perception: Micro,
    /// Index points per unit of felt disconfirmation.
    pub index_felt: Micro,
    /// Index points that a unit of pressure takes.
    pub index_pressure: Micro,
}

/// `[risk]`: constants of the terms of pressure and risk ([`super::pressure`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// Due: the whole of the promised time, used.
    pub used: Micro,
    /// Due, open: overdue at all …
    pub overdue: Micro,
    /// Due, kept: late at all …
    pub late: Micro,
    /// … and each day of it …
    pub per_day: Micro,
    /// … at most this.
    pub overdue_max: Micro,
    /// Due, kept in time.
    pub on_time: Micro,
    /// Long wait and no answer: a bit of surprise …
    pub surprise: Micro,
    /// … of which at most so many count.
    pub surprise_max: Micro,
    /// A unit of perception.
    pub perception: Micro,
    /// A doubling of the days since the last purchase.
    pub rhythm: Micro,
}

/// Which value of a measure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The latest.
    #[default]
    Last,
    /// The sum.
    Sum,
}

/// `items.measures`: how large an item is, in one respect: `weight · log2(max(1, m))`, or of `1 + m`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Name in alerts.
    pub name: String,
    /// Where the number stands: `/attributes/<name>`, `/amount_minor`, `/wait_ms` or `/duration_ms`.
    #[serde(default)]
    pub field: Option<String>,
    /// Instead of a field: touchpoints of this kind in the item are counted.
    #[serde(default)]
    pub counts: Option<String>,
    /// Which value counts, of a field.
    #[serde(default)]
    pub aggregate: Aggregate,
    /// Factor of its term, −10 to 10.
    #[serde(default)]
    pub weight: Micro,
    /// The least possible value: 1, or 0 where none is possible.
    #[serde(default = "one")]
    pub from: u8,
}

const fn one() -> u8 {
    1
}

/// `[items]`: what is kept of open items besides their promises.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// Measures, at most 8.
    pub measures: Vec<Measure>,
    /// Names of attributes whose value is kept (as a hash), at most 4.
    pub segments: Vec<String>,
    /// Names of attributes that no score may use: neither as a feature of a card nor as a size. As segments they may
    /// still be kept, to see whether alerts fall on some more than on others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
}

impl Items {
    /// The attribute that no score may use, if a measure reads one.
    #[must_use]
    pub fn protected_by(&self, measure: &Measure) -> Option<&str> {
        let attribute = measure.field.as_deref()?.strip_prefix("/attributes/")?;
        self.protected.iter().map(String::as_str).find(|protected| *protected == attribute)
    }
}

/// `[engine]`: time, sessions, conversations, publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// A deadline fires when stream time passes it by this much.
    pub timer_grace: Span,
    /// Events later than this (against the customer's own time) only enter the panes.
    pub lateness: Span,
    /// Lateness of channels that are not like the others.
    pub channel_lateness: BTreeMap<Channel, Span>,
    /// A customer silent for this long, without an open alert, is forgotten.
    pub forget_after: Span,
    /// Touchpoints further apart than this belong to different episodes unless a session, conversation or order joins them.
    pub episode_gap: Span,
    /// Scored touchpoints of one frustration kind in one session.
    pub session_events_max: u32,
    /// A conversation counts as a whole from this many customer turns.
    pub conversation_turns_min: u32,
    /// Weight of a whole conversation's score.
    pub conversation_weight: Micro,
    /// A change of the index by this much is published.
    pub experience_step: u32,
    /// Alerts opened per customer and UTC day over all kinds.
    pub alerts_per_day_max: u32,
    /// Stays in a stage remembered per customer, with their times; 0 = none.
    pub stage_history: u32,
}

impl Timing {
    /// How late a touchpoint of a channel may be and still count in full, in ms.
    #[must_use]
    pub fn lateness_ms(&self, channel: Channel) -> i64 {
        // Most configurations name no channel.
        if self.channel_lateness.is_empty() {
            return self.lateness.0;
        }
        self.channel_lateness.get(&channel).unwrap_or(&self.lateness).0
    }

    /// The longest lateness of any channel, in ms: what a late touchpoint may need is remembered for so long.
    #[must_use]
    pub fn lateness_max_ms(&self) -> i64 {
        self.channel_lateness.values().map(|lateness| lateness.0).fold(self.lateness.0, i64::max)
    }
}

/// `[limits]` of one partition's engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Customers per partition; then the longest-silent one without open alert or item is expired.
    pub customers_per_partition: u32,
    /// Encoded bytes of one customer; a touchpoint that would take them beyond is refused. A timer may still add an alert.
    pub customer_bytes_max: u32,
    /// Event identities remembered per customer to find duplicates.
    pub dedup_entries: u32,
    /// Items, failures, journeys, conversations, contacts and the like remembered per customer, each; the oldest gives way
    /// and is counted.
    pub open_items_max: u32,
}

/// How a context attribute is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextMode {
    /// The latest value.
    Last,
    /// The most frequent value of the window; ties go to the later, then the smaller.
    MostFrequent,
}

/// `[[context]]`: an attribute published with each experience change, at most 8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Name in the output.
    pub name: String,
    /// `product_id`, `location_id`, `channel`, or an attribute's name.
    pub field: String,
    /// Which value is kept.
    pub mode: ContextMode,
    /// Window; older values are dropped.
    pub within: Span,
}

/// Everything the engine needs to know, validated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What each kind means.
    pub catalogue: Catalogue,
    /// How long promises usually take.
    pub profile: Profile,
    /// Constants of pressure and risk.
    pub risk: Risk,
    /// Measures and segments of items.
    pub items: Items,
    /// Hashes of the measures' names.
    pub measures: Vec<Name>,
    /// Hashes of the kinds that measures count; none = it reads a field.
    pub counted: Vec<Option<Name>>,
    /// Outcomes to warn of, each with the hash of its name.
    pub outcomes: Vec<(Name, Outcome)>,
    /// Cards by the hash of their outcome's name.
    pub cards: BTreeMap<Name, super::Served>,
    /// Constants of the model.
    pub model: Model,
    /// Time, sessions, publication.
    pub timing: Timing,
    /// Limits.
    pub limits: Limits,
    /// Rules and their thresholds.
    pub rules: rules::Settings,
    /// The user's own rules.
    pub own_rules: OwnRules,
    /// Context attributes, at most 8.
    pub context: Vec<Context>,
    /// Tiers whose customers' alerts are one severity higher.
    pub high_value_tiers: BTreeSet<String>,
}

impl Settings {
    /// Severity and times of a rule; none of an own rule that is gone.
    pub(super) fn lifecycle(&self, kind: Kind, detail: &Detail) -> Option<&Lifecycle> {
        match detail {
            Detail::Own(name) => self.own_rules.named(name).map(|rule| &rule.lifecycle),
            Detail::Only | Detail::Outcome(_) | Detail::Journey(_) => self.rules.lifecycle(kind),
        }
    }

    /// The names of all rules: `rules::TABLE`, then the user's own.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Cow<'static, str>> {
        let own = self.own_rules.iter().map(|rule| Cow::Owned(rule.name.to_string()));
        TABLE.iter().map(|row| Cow::Borrowed(row.name)).chain(own)
    }

    /// A rule's place among [`Self::kinds`]; none of an own rule that is gone.
    pub(super) fn place_of(&self, kind: Kind, detail: &Detail) -> Option<usize> {
        match detail {
            Detail::Own(name) => Some(TABLE.len() + self.own_rules.iter().position(|rule| rule.name == *name)?),
            Detail::Only | Detail::Outcome(_) | Detail::Journey(_) => Some(usize::from(kind as u8)),
        }
    }

    /// What alerts of a rule are called.
    pub(super) fn kind_name(kind: Kind, detail: &Detail) -> Cow<'static, str> {
        match detail {
            Detail::Own(name) => Cow::Owned(name.to_string()),
            Detail::Only | Detail::Outcome(_) | Detail::Journey(_) => Cow::Borrowed(kind.name()),
        }
    }

    /// Which list of `earlier` these settings do not begin with: the state of customers names measures, segments and
    /// context attributes by their places, so new ones may only be added at the end.
    #[must_use]
    pub fn misplaced(&self, earlier: &Self) -> Option<&'static str> {
        let (items, before) = (&self.items, &earlier.items);
        let measures = before.measures.iter().zip(&items.measures);
        let context = earlier.context.iter().zip(&self.context);
        [
            (
                "items.measures",
                items.measures.len() >= before.measures.len()
                    && measures.into_iter().all(|(before, now)| before.name == now.name),
            ),
            ("items.segments", items.segments.starts_with(&before.segments)),
            (
                "context",
                self.context.len() >= earlier.context.len()
                    && context.into_iter().all(|(before, now)| before.name == now.name),
            ),
        ]
        .into_iter()
        .find_map(|(key, fits)| (!fits).then_some(key))
    }
}
