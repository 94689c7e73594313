//! From signals to metrics. Counters and histograms are fed by the workers after each commit; gauges are read off the
//! status board when somebody scrapes.

use super::Metrics;
use crate::model::{Channel, Micro};
use crate::status::{Committed, Outcome, PartitionStatus, Signals, State, Status};
use prometheus::local::LocalHistogram;
use std::collections::BTreeMap;
use std::time::Duration;

impl Metrics {
    /// The text exposition of everything, gauges as of now. To be called by one thread at a time: a second one would
    /// see the gauges half written.
    ///
    /// # Errors
    /// When the encoder refuses a metric, which the catalogue's tests exclude.
    pub fn render(&self, status: &Status) -> Result<String, prometheus::Error> {
        self.reset_gauges()?;
        self.build_info(env!("CARGO_PKG_VERSION")).set(1.0);
        for (partition, status) in status.all() {
            self.add_partition(&partition.to_string(), &status);
        }
        self.exposition()
    }

    fn add_partition(&self, partition: &str, status: &PartitionStatus) {
        self.partitions(state_name(&status.state)).inc();
        self.customers().add(status.customers as f64);
        for (kind, open) in &status.open_alerts {
            self.open_alerts(kind).add(*open as f64);
        }
        for (topic, lag) in &status.lag {
            self.lag_records(topic, partition).set(*lag as f64);
        }
        self.partition_last_progress_timestamp_seconds(partition).set(seconds(status.last_progress.0));
        if let Some(watermark) = status.watermark {
            self.watermark_timestamp_seconds(partition).set(seconds(watermark.0));
        }
    }
}

const fn state_name(state: &State) -> &'static str {
    match state {
        State::Restoring => "restoring",
        State::Running => "running",
        State::Stopped(_) => "stopped",
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

impl Metrics {
    /// Scores come with nearly every touchpoint: they are summed up outside the shared histograms first.
    fn observe_scores(&self, scores: &[(Channel, Micro)]) {
        let mut histograms: BTreeMap<Channel, LocalHistogram> = BTreeMap::new();
        for (channel, score) in scores {
            histograms
                .entry(*channel)
                .or_insert_with(|| self.sentiment_score(channel.as_str()).local())
                .observe(score.to_f64());
        }
        histograms.values().for_each(LocalHistogram::flush);
    }
}

impl Signals for Metrics {
    fn committed(&self, committed: &Committed<'_>) {
        let observed = committed.observed;
        for (channel, touchpoints) in Channel::ALL.iter().zip(observed.channels) {
            self.touchpoints_total(channel.as_str()).inc_by(touchpoints);
        }
        self.observe_scores(&observed.scores);
        let indexes = self.experience_index();
        observed.indexes.iter().for_each(|index| indexes.observe(*index as f64));
        let latencies = self.touchpoint_to_alert_seconds();
        for alert in &observed.alerts {
            self.alerts_total(alert.kind, alert.severity.as_str(), alert.phase.as_str()).inc();
            if let Some(recorded_at) = alert.recorded_at {
                latencies.observe(seconds(committed.at.since(recorded_at)));
            }
        }
        for (reason, records) in &observed.rejected {
            self.rejected_total(reason.as_str()).inc_by(*records);
        }
        for (limit, touchpoints) in &observed.refused {
            self.limits_reached_total(limit.as_str()).inc_by(*touchpoints);
        }
        for (fate, records) in committed.fates {
            self.records_total(fate).inc_by(*records);
        }
        self.clamped_total().inc_by(observed.clamped);
        self.unknown_kinds_total().inc_by(observed.unknown_kinds);
        self.alerts_capped_total().inc_by(observed.capped);
        self.images_total().inc_by(committed.images);
        self.journal_bytes_total().inc_by(committed.journal_bytes);
    }

    fn transaction(&self, outcome: Outcome, took: Duration) {
        self.transactions_total(outcome.as_str()).inc();
        self.transaction_duration_seconds().observe(took.as_secs_f64());
    }

    fn producer_recreated(&self) {
        self.producer_recreated_total().inc();
    }

    fn restored(&self, records: u64, took: Duration) {
        self.restore_records_total().inc_by(records);
        self.restore_duration_seconds().observe(took.as_secs_f64());
    }

    fn merge_forced(&self, count: u64) {
        self.merge_forced_total().inc_by(count);
    }
}
