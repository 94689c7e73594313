//! The catalogue of metrics: the one place where a metric gets its name, type, meaning and labels.
//!
//! The `catalogue!` table below makes [`CATALOGUE`] (from which README's table is generated) and [`Metrics`] with one
//! method per metric, named like it and taking one argument per label: a wrong number of labels does not compile.
//!
//! Conventions: prefix `touchline_`, base units (seconds, bytes), `_total` for counters, timestamps and never ages.
//! Every label's values are bounded: by an enumeration of this program (then all series exist from the start, with
//! zero) or by the configuration and the partitions of the input topics. Nothing about a single customer can be a label.

use crate::codec::Code;
use crate::engine::Limit;
use crate::journal::Counters;
use crate::model::{Channel, Phase, Severity};
use crate::rules;
use crate::status::Outcome;
use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{HistogramOpts, Opts, Registry, TextEncoder};
use std::fmt::Write as _;

/// Prefix of every metric.
pub const PREFIX: &str = "touchline_";

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// A value of now.
    Gauge,
    /// Observations in buckets, given by their upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The name in the exposition format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// The values a label may take.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These; their series exist from the start.
    Fixed(fn() -> Vec<&'static str>),
    /// The names of own rules, at most 32; a series exists once there is a value. They are values of `kind`, too.
    OwnRules,
    /// One per input topic or partition owned here, per outcome and tenth, or per way of a journey; a series exists once
    /// there is a value.
    Assigned,
}

/// One line of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name without [`PREFIX`].
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Labels: name and values.
    pub labels: &'static [(&'static str, Values)],
    /// What it says, for README and `# HELP`.
    pub help: &'static str,
}

impl Metric {
    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|(name, _)| *name).collect()
    }

    /// Every combination of label values, when all are known beforehand: the series to export as zero at once.
    fn fixed_series(&self) -> Vec<Vec<&'static str>> {
        let mut series = vec![Vec::new()];
        for (_, values) in self.labels {
            let Values::Fixed(values) = values else { return Vec::new() };
            series = series
                .iter()
                .flat_map(|prefix| values().into_iter().map(|value| [prefix.as_slice(), &[value]].concat()))
                .collect();
        }
        series
    }
}

impl From<&Metric> for Opts {
    fn from(metric: &Metric) -> Self {
        Self::new(format!("{PREFIX}{}", metric.name), metric.help)
    }
}

impl From<&Metric> for HistogramOpts {
    fn from(metric: &Metric) -> Self {
        let buckets = if let Kind::Histogram(buckets) = metric.kind { buckets.to_vec() } else { Vec::new() };
        Self::from(Opts::from(metric)).buckets(buckets)
    }
}

/// The `prometheus` crate's types by [`Kind`]: all series of a metric, and one of them.
mod family {
    pub(super) use prometheus::{GaugeVec as Gauge, HistogramVec as Histogram, IntCounterVec as Counter};
}
mod series {
    pub(super) use prometheus::{Gauge, Histogram, IntCounter as Counter};
}

fn export_zeros<B: MetricVecBuilder>(family: &MetricVec<B>, metric: &Metric) -> Result<(), prometheus::Error> {
    metric.fixed_series().iter().try_for_each(|labels| family.get_metric_with_label_values(labels).map(drop))
}

macro_rules! catalogue {
    ($($kind:ident $(($buckets:expr))? $name:ident($($label:ident: $values:expr),*) $help:literal;)+) => {
        #[expect(non_upper_case_globals, reason = "named like the metrics")]
        mod line {
            use super::*;
            $(pub(super) const $name: Metric = Metric {
                name: stringify!($name),
                kind: Kind::$kind $(($buckets))?,
                labels: &[$((stringify!($label), $values)),*],
                help: $help,
            };)+
        }

        /// Every metric, in the order of README's table.
        pub const CATALOGUE: &[Metric] = &[$(line::$name),+];

        /// The live values of every metric: one method per metric gives the series of the label values.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $($name: family::$kind,)+
        }

        impl Metrics {
            /// All metrics, those with known label values at zero.
            ///
            /// # Errors
            /// Never with a catalogue that passes its tests: a bad name or a metric that is there twice.
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(let $name = {
                    let metric = line::$name;
                    let family = family::$kind::new((&metric).into(), &metric.label_names())?;
                    export_zeros(&family, &metric)?;
                    registry.register(Box::new(family.clone()))?;
                    family
                };)+
                Ok(Self { registry, $($name),+ })
            }

            /// Every gauge at zero; those about a topic or partition gone, since it may be owned elsewhere now.
            ///
            /// # Errors
            /// As [`Metrics::new`].
            pub(super) fn reset_gauges(&self) -> Result<(), prometheus::Error> {
                $(if line::$name.kind == Kind::Gauge {
                    self.$name.reset();
                    export_zeros(&self.$name, &line::$name)?;
                })+
                Ok(())
            }

            /// Everything in the text exposition format.
            ///
            /// # Errors
            /// When the encoder refuses a metric, which the catalogue's tests exclude.
            pub(super) fn exposition(&self) -> Result<String, prometheus::Error> {
                TextEncoder::new().encode_to_string(&self.registry.gather())
            }

            $(
                #[doc = $help]
                pub fn $name(&self, $($label: &str),*) -> series::$kind {
                    self.$name.with_label_values::<&str>(&[$($label),*])
                }
            )+
        }
    };
}

const SECONDS_SHORT: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
const SECONDS_LONG: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];
const SCORES: &[f64] = &[-0.8, -0.5, -0.2, 0.0, 0.2, 0.5, 0.8, 1.0];
const INDEXES: &[f64] = &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

const CHANNELS: Values = Values::Fixed(|| Channel::ALL.map(Channel::as_str).to_vec());
const SEVERITIES: Values = Values::Fixed(|| Severity::ALL.map(Severity::as_str).to_vec());
const PHASES: Values = Values::Fixed(|| Phase::ALL.map(Phase::as_str).to_vec());
const OUTCOMES: Values = Values::Fixed(|| Outcome::ALL.map(Outcome::as_str).to_vec());
const RELOADS: Values = Values::Fixed(|| vec!["applied", "refused"]);
const LIMITS: Values = Values::Fixed(|| [Limit::Customers, Limit::CustomerBytes].map(Limit::as_str).to_vec());
const VERSIONS: Values = Values::Fixed(|| vec![env!("CARGO_PKG_VERSION")]);
const STATES: Values = Values::Fixed(|| vec!["restoring", "running", "waiting", "stopped"]);
const KINDS: Values = Values::Fixed(|| rules::TABLE.iter().map(|row| row.name).collect());
const FATES: Values = Values::Fixed(|| Counters::default().fates().map(|(fate, _)| fate).to_vec());
const REASONS: Values = Values::Fixed(|| Code::ALL.map(Code::as_str).to_vec());
const ASSIGNED: Values = Values::Assigned;
const OWN_RULES: Values = Values::OwnRules;

catalogue! {
    Counter touchpoints_total(channel: CHANNELS) "Touchpoints accepted";
    Histogram(SCORES) sentiment_score(channel: CHANNELS) "Scores of touchpoints, -1 to 1";
    Histogram(INDEXES) experience_index() "Experience indexes published, 0 to 100";
    Gauge customers() "Customers held here";
    Counter alerts_total(kind: KINDS, severity: SEVERITIES, phase: PHASES) "Alert changes committed";
    Gauge open_alerts(kind: KINDS) "Alerts open now";
    Counter outcome_readings_total(outcome: ASSIGNED, bucket: ASSIGNED) "Scores that an outcome's card gave, by tenths of the scores it was trained on";
    Counter outcome_reference_readings_total(outcome: ASSIGNED, bucket: ASSIGNED) "The card's own count of such scores, for comparison; does not move";
    Counter journey_transitions_total(journey: ASSIGNED, from: ASSIGNED, to: ASSIGNED) "Moves of customers on journeys of the catalogue, from step to step; to=stalled: the next step did not come in time";
    Counter items_dropped_total() "Items, journeys, failures, conversations and the like that gave way to newer ones of the same customer (limits.open_items_max)";
    Counter unreadable_attributes_total() "Attributes that should hold a measure or a due moment and do not; they were left out";
    Counter alerts_capped_total() "Alerts not opened because the customer's daily cap was reached";
    Counter rules_skipped_total(rule: OWN_RULES) "Readings of an own rule that said nothing: a number in it was too large";
    Histogram(SECONDS_SHORT) touchpoint_to_alert_seconds() "From the timestamp of a record to the commit of the alert it caused";
    Counter records_total(result: FATES) "Input records by fate; the fates sum to the input";
    Counter rejected_total(reason: REASONS) "Records written to the dead-letter topic";
    Counter clamped_total(topic: ASSIGNED) "Event times too far ahead of their record, set back to it";
    Counter unknown_kinds_total() "Touchpoints of a kind the catalogue does not know";
    Counter limits_reached_total(limit: LIMITS) "Touchpoints refused because of a limit";
    Counter merge_forced_total() "Records taken without waiting longer for a slower topic";
    Counter transactions_total(outcome: OUTCOMES) "Transactions ended";
    Histogram(SECONDS_SHORT) transaction_duration_seconds() "From the first record of a transaction to its end";
    Counter config_reloads_total(outcome: RELOADS) "Configurations read again while it ran (SIGHUP)";
    Counter records_lost_total() "Input records that were gone before they were read, with run --accept-gap; those of an aborted transaction count again";
    Counter producer_recreated_total() "Producers thrown away and initialised anew";
    Counter member_fenced_total() "Members of the group that another one of the same name replaced";
    Counter images_total() "State images and tombstones written";
    Counter journal_bytes_total() "Bytes of journal written";
    Counter restore_records_total() "Images and journal records read back";
    Histogram(SECONDS_LONG) restore_duration_seconds() "Time to read one partition's state back";
    Gauge partitions(state: STATES) "Partitions owned here";
    Gauge lag_records(topic: ASSIGNED, partition: ASSIGNED) "Records not yet read";
    Gauge partition_last_progress_timestamp_seconds(partition: ASSIGNED) "Wall clock of the last commit that moved an offset";
    Gauge watermark_timestamp_seconds(partition: ASSIGNED) "Stream time of a partition";
    Gauge build_info(version: VERSIONS) "1; the version is the label";
}

/// README's table of metrics, in Markdown, with a line feed at the end.
#[must_use]
pub fn markdown() -> String {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in CATALOGUE {
        let labels: Vec<String> = metric.label_names().iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (metric.kind.as_str(), labels.join(", "));
        // Writing to a String cannot fail.
        let _infallible = writeln!(table, "| `{PREFIX}{}` | {kind} | {labels} | {} |", metric.name, metric.help);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for metric in CATALOGUE {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{}", metric.name);
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.is_sorted(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn bounded_series_exist_from_the_start_as_zero() {
        let metrics = Metrics::new().expect("the catalogue is valid");
        let series: usize = metrics.registry.gather().iter().map(|family| family.get_metric().len()).sum();
        let expected: usize = CATALOGUE.iter().map(|metric| metric.fixed_series().len()).sum();
        assert_eq!(series, expected);
        assert_eq!(metrics.alerts_total("detractor", "high", "opened").get(), 0);
    }

    #[test]
    fn the_number_of_series_stays_below_600() {
        let series: usize = CATALOGUE
            .iter()
            .map(|metric| match metric.kind {
                Kind::Histogram(buckets) => metric.fixed_series().len() * (buckets.len() + 3),
                Kind::Counter | Kind::Gauge => metric.fixed_series().len(),
            })
            .sum();
        assert!(series <= 500, "{series} series leave no room for 16 partitions of 4 topics");
    }

    #[test]
    fn readme_holds_the_table() {
        let readme = include_str!("../../README.md");
        let (_, rest) = readme.split_once("<!-- metrics -->\n").expect("the opening marker");
        let (table, _) = rest.split_once("<!-- /metrics -->").expect("the closing marker");
        assert_eq!(table, markdown(), "put this between the markers of README.md:\n{}", markdown());
    }
}
