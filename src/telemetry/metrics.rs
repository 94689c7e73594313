//! From signals to metrics. Counters and histograms are fed by the workers after each commit; gauges are read off the
//! status board when somebody scrapes.

use super::Metrics;
use crate::engine::{Move, Place, Settings};
use crate::model::{Channel, Micro, Name};
use crate::rules::catalogue::Catalogue;
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
        State::Waiting(_) => "waiting",
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

impl Metrics {
    /// A configuration was read again: taken over, or refused.
    pub fn reloaded(&self, is_applied: bool) {
        self.config_reloads_total(if is_applied { "applied" } else { "refused" }).inc();
    }

    /// Puts the cards' own tables of scores beside what will be counted.
    pub fn expect(&self, settings: &Settings) {
        for card in settings.cards.values() {
            for (bucket, readings) in card.reference.readings.iter().enumerate() {
                self.outcome_readings_total(&card.outcome, &bucket.to_string());
                self.outcome_reference_readings_total(&card.outcome, &bucket.to_string()).inc_by(*readings);
            }
        }
    }

    /// Moves are few kinds of ways, and many customers: each way is counted once a commit.
    fn observe_moves(&self, moves: &[Move], catalogue: &Catalogue) {
        let mut counts: BTreeMap<(Name, Place, Place), u64> = BTreeMap::new();
        for of in moves {
            *counts.entry((of.journey, of.from, of.to)).or_default() += 1;
        }
        for ((journey, from, to), count) in counts {
            let (from, to) = (from.name(catalogue), to.name(catalogue));
            self.journey_transitions_total(catalogue.text(journey), from, to).inc_by(count);
        }
    }

    fn observe_cards(&self, scores: &[(Name, Micro)], settings: &Settings) {
        let mut counts: BTreeMap<(&str, usize), u64> = BTreeMap::new();
        for (outcome, score) in scores {
            if let Some(card) = settings.cards.get(outcome) {
                *counts.entry((&card.outcome, card.reference.bucket(score.0))).or_default() += 1;
            }
        }
        for ((outcome, bucket), count) in counts {
            self.outcome_readings_total(outcome, &bucket.to_string()).inc_by(count);
        }
    }
}

impl Signals for Metrics {
    fn committed(&self, committed: &Committed<'_>) {
        let observed = committed.observed;
        for (channel, touchpoints) in Channel::ALL.iter().zip(observed.channels) {
            self.touchpoints_total(channel.as_str()).inc_by(touchpoints);
        }
        self.observe_scores(&observed.scores);
        self.observe_cards(&observed.card_scores, committed.settings);
        self.observe_moves(&observed.moves, &committed.settings.catalogue);
        let indexes = self.experience_index();
        observed.indexes.iter().for_each(|index| indexes.observe(*index as f64));
        let latencies = self.touchpoint_to_alert_seconds();
        for alert in &observed.alerts {
            self.alerts_total(&alert.kind, alert.severity.as_str(), alert.phase.as_str()).inc();
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
        for (source, touchpoints) in &observed.clamped {
            let topic = committed.topics.get(usize::from(*source)).map_or("", String::as_str);
            self.clamped_total(topic).inc_by(*touchpoints);
        }
        self.unknown_kinds_total().inc_by(observed.unknown_kinds);
        self.alerts_capped_total().inc_by(observed.capped);
        self.items_dropped_total().inc_by(observed.items_dropped);
        self.unreadable_attributes_total().inc_by(observed.unreadable);
        for (rule, readings) in &observed.rules_skipped {
            let skipped = self.rules_skipped_total(rule);
            if skipped.get() == 0 {
                // Once, by name; the metric counts on.
                tracing::warn!(rule = &**rule, "a number in the rule is too large: it says nothing where that is so");
            }
            skipped.inc_by(*readings);
        }
        self.images_total().inc_by(committed.images);
        self.journal_bytes_total().inc_by(committed.journal_bytes);
    }

    fn transaction(&self, outcome: Outcome, took: Duration) {
        self.transactions_total(outcome.as_str()).inc();
        self.transaction_duration_seconds().observe(took.as_secs_f64());
    }

    fn lost(&self, records: u64) {
        self.records_lost_total().inc_by(records);
    }

    fn producer_recreated(&self) {
        self.producer_recreated_total().inc();
    }

    fn member_fenced(&self) {
        self.member_fenced_total().inc();
    }

    fn restored(&self, records: u64, took: Duration) {
        self.restore_records_total().inc_by(records);
        self.restore_duration_seconds().observe(took.as_secs_f64());
    }

    fn merge_forced(&self, count: u64) {
        self.merge_forced_total().inc_by(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Code;
    use crate::config::Config;
    use crate::engine::Limit;
    use crate::model::{Phase, Severity, Timestamp};
    use crate::pipeline::{Observed, ObservedAlert};
    use std::sync::mpsc::sync_channel;

    fn observed() -> Observed {
        let mut channels = [0; Channel::ALL.len()];
        channels[Channel::Web as usize] = 3;
        let alert = ObservedAlert {
            alert_id: 1,
            customer_id: "c".into(),
            detected_at: Timestamp(1),
            kind: "detractor".into(),
            severity: Severity::High,
            phase: Phase::Opened,
            recorded_at: Some(Timestamp(1_000)),
        };
        Observed {
            channels,
            scores: vec![(Channel::Web, Micro(-600_000)), (Channel::Web, Micro(300_000))],
            indexes: vec![55],
            alerts: vec![alert.clone(), ObservedAlert { recorded_at: None, phase: Phase::Resolved, ..alert }],
            rejected: BTreeMap::from([(Code::JunkId, 2)]),
            refused: vec![(Limit::Customers, 4)],
            clamped: BTreeMap::from([(1, 5)]),
            unknown_kinds: 6,
            capped: 7,
            rules_skipped: [("worn_out".into(), 4)].into(),
            items_dropped: 8,
            unreadable: 9,
            card_scores: vec![
                (Name::of("bad_review"), Micro(-7)),
                (Name::of("bad_review"), Micro(7)),
                (Name(1), Micro(7)),
            ],
            moves: vec![Move {
                customer_id: "c".into(),
                journey: Name::of("checkout"),
                item: None,
                from: Place::Start,
                to: Place::Stalled,
                at: Timestamp(1),
                waited_ms: 1,
            }],
            kept: Vec::new(),
        }
    }

    fn settings_with_a_card() -> Settings {
        let mut config = Config::load(None, &|_| Err("no file".to_owned())).expect("the defaults are valid");
        let (config_hash, profile_hash) = config.card_hashes;
        let card = format!(
            "version = 1\noutcome = \"bad_review\"\nconfig_hash = \"{config_hash:016x}\"\nprofile_hash = \"{profile_hash:016x}\"\n\
             rows = 9\nbad = 3\ncustomers = 9\nintercept = 0\n[reference]\nedges = [0]\nreadings = [5, 4]\n\
             [[features]]\nname = \"c.n7\"\nedges = [3]\npoints = [-1, 1]\nmissing = 0\n"
        );
        config.add_card(&card, &[]).expect("the card is valid");
        config.settings.as_ref().clone()
    }

    #[test]
    fn a_commit_is_counted_once_and_in_full() {
        let metrics = Metrics::new().expect("the catalogue is valid");
        let settings = settings_with_a_card();
        metrics.expect(&settings);
        metrics.committed(&Committed {
            observed: &observed(),
            settings: &settings,
            topics: &["a".to_owned(), "b".to_owned()],
            at: Timestamp(1_200),
            images: 8,
            journal_bytes: 900,
            fates: &[("applied", 3), ("dlq", 2), ("refused", 4)],
        });
        metrics.transaction(Outcome::Aborted, Duration::from_millis(30));
        metrics.restored(1_000, Duration::from_secs(2));
        metrics.producer_recreated();
        metrics.member_fenced();
        metrics.lost(3);
        metrics.merge_forced(9);
        let text = metrics.render(&Status::new(0)).expect("valid");
        for line in [
            "touchpoints_total{channel=\"web\"} 3",
            "touchpoints_total{channel=\"email\"} 0",
            "sentiment_score_bucket{channel=\"web\",le=\"-0.5\"} 1",
            "sentiment_score_count{channel=\"web\"} 2",
            "sentiment_score_count{channel=\"email\"} 0",
            "experience_index_bucket{le=\"60\"} 1",
            "alerts_total{kind=\"detractor\",phase=\"opened\",severity=\"high\"} 1",
            "alerts_total{kind=\"detractor\",phase=\"resolved\",severity=\"high\"} 1",
            "touchpoint_to_alert_seconds_sum 0.2",
            "touchpoint_to_alert_seconds_count 1",
            "rejected_total{reason=\"junk_id\"} 2",
            "limits_reached_total{limit=\"customers_per_partition\"} 4",
            "records_total{result=\"applied\"} 3",
            "records_total{result=\"late\"} 0",
            "clamped_total{topic=\"b\"} 5",
            "unknown_kinds_total 6",
            "alerts_capped_total 7",
            "outcome_readings_total{bucket=\"0\",outcome=\"bad_review\"} 1",
            "outcome_readings_total{bucket=\"1\",outcome=\"bad_review\"} 1",
            "outcome_reference_readings_total{bucket=\"1\",outcome=\"bad_review\"} 4",
            "journey_transitions_total{from=\"start\",journey=\"checkout\",to=\"stalled\"} 1",
            "rules_skipped_total{rule=\"worn_out\"} 4",
            "items_dropped_total 8",
            "unreadable_attributes_total 9",
            "images_total 8",
            "journal_bytes_total 900",
            "transactions_total{outcome=\"aborted\"} 1",
            "restore_records_total 1000",
            "restore_duration_seconds_sum 2",
            "producer_recreated_total 1",
            "member_fenced_total 1",
            "records_lost_total 3",
            "merge_forced_total 9",
        ] {
            let line = format!("touchline_{line}");
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn gauges_follow_the_board_and_forget_what_is_owned_elsewhere() {
        let (metrics, status) = (Metrics::new().expect("the catalogue is valid"), Status::new(0));
        let (queries, _keep) = sync_channel(1);
        for (partition, customers) in [(0, 10), (1, 20)] {
            status.own(partition, queries.clone());
            status.update(partition, |status| {
                status.state = State::Running;
                status.lag = vec![("web".to_owned(), 7)];
                status.last_progress = Timestamp(1_500);
                status.watermark = (partition == 0).then_some(Timestamp(2_000));
                status.customers = customers;
                status.open_alerts = vec![("detractor".into(), 2)];
            });
        }
        let both = metrics.render(&status).expect("valid");
        for line in [
            "customers 30",
            "open_alerts{kind=\"detractor\"} 4",
            "open_alerts{kind=\"expectation_gap\"} 0",
            "partitions{state=\"running\"} 2",
            "lag_records{partition=\"1\",topic=\"web\"} 7",
            "partition_last_progress_timestamp_seconds{partition=\"0\"} 1.5",
            "watermark_timestamp_seconds{partition=\"0\"} 2",
            concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(both.lines().any(|found| found == format!("touchline_{line}")), "{line} is not in:\n{both}");
        }
        assert!(!both.contains("watermark_timestamp_seconds{partition=\"1\"}"), "{both}");
        status.disown(1);
        let one = metrics.render(&status).expect("valid");
        assert!(one.contains("touchline_customers 10\n") && !one.contains("partition=\"1\""), "{one}");
    }
}
