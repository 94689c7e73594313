//! What a replay came to, as a table for people.

use super::journeys::Map;
use crate::codec::Code;
use crate::engine::Largest;
use crate::journal::Counters;
use crate::model::{Phase, Position};
use crate::pipeline::{Observed, Partition, Plan};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Places shown per reason of rejection.
const PLACES_MAX: usize = 5;

/// Gathered during a replay.
#[derive(Debug, Default)]
pub(super) struct Summary {
    alerts: BTreeMap<Cow<'static, str>, [u64; Phase::ALL.len()]>,
    rejected: BTreeMap<Code, (u64, Vec<Position>)>,
    capped: u64,
    dropped: u64,
    journeys: Map,
    /// Clamped times by source.
    clamped: BTreeMap<u16, u64>,
    /// Customers forgotten for their silence, evicted, or without consent.
    pub(super) forgotten: u64,
    /// Records taken after a later one because the window was too short.
    pub(super) out_of_window: u64,
}

impl Summary {
    /// A record was rejected.
    pub(super) fn rejected(&mut self, code: Code, position: Position) {
        let (count, places) = self.rejected.entry(code).or_default();
        *count += 1;
        if places.len() < PLACES_MAX {
            places.push(position);
        }
    }

    /// A transaction is done.
    pub(super) fn observe(&mut self, observed: &Observed) {
        self.capped += observed.capped;
        self.dropped += observed.items_dropped;
        for (source, count) in &observed.clamped {
            *self.clamped.entry(*source).or_default() += count;
        }
        observed.moves.iter().for_each(|of| self.journeys.take(of));
        for alert in &observed.alerts {
            if let Some(count) = self.alerts.entry(alert.kind.clone()).or_default().get_mut(alert.phase as usize) {
                *count += 1;
            }
        }
    }

    /// Prints the table to standard error.
    #[expect(
        clippy::print_stderr,
        reason = "the summary is for the person at the terminal; alerts go to standard output"
    )]
    pub(super) fn print(&self, plan: &Plan, partitions: &[Partition], took: Duration) {
        let mut counters = [0; Counters::VALUES];
        for partition in partitions {
            for (sum, value) in counters.iter_mut().zip(partition.counters().values()) {
                *sum += value;
            }
        }
        let customers: usize = partitions.iter().map(|partition| partition.engine().customers()).sum();
        let largest = partitions.iter().map(|partition| partition.engine().largest()).max().unwrap_or_default();
        eprint!("{}", self.table(plan, &Counters::from_values(counters), (customers, largest), took));
    }

    fn table(
        &self,
        plan: &Plan,
        counters: &Counters,
        (customers, largest): (usize, Largest),
        took: Duration,
    ) -> String {
        let touchpoints: u64 = counters.fates().iter().map(|(_, count)| count).sum();
        let mut text = String::new();
        let mut line = |name: &str, count: u64| {
            text += &format!("{name:<22}{count:>12}\n");
        };
        line("touchpoints", touchpoints);
        for (fate, count) in counters.fates().into_iter().filter(|(fate, _)| *fate != "repartitioned") {
            line(&format!("  {fate}"), count);
        }
        line("customers", customers as u64);
        line("customers forgotten", self.forgotten);
        line("largest customer bytes", largest.bytes as u64);
        line("  touchpoints then", largest.touchpoints);
        line("  open items then", largest.items as u64);
        line("clamped times", counters.clamped);
        for (source, count) in self.clamped.iter().filter(|_| plan.sources.len() > 1) {
            let name = plan.sources.get(usize::from(*source)).map_or("", |(name, _)| name.as_str());
            line(&format!("  {name}"), *count);
        }
        line("unknown kinds", counters.unknown_kinds);
        line("unknown channels", counters.unknown_channels);
        line("consent withdrawn", counters.consent_withdrawn);
        line("out of window", self.out_of_window);
        line("alerts over daily cap", self.capped);
        line("gave way at a limit", self.dropped);
        self.alert_lines(&mut text);
        text += &self.journeys.table(&plan.settings);
        self.rejected_lines(plan, &mut text);
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "shown to people only")]
        let rate = touchpoints as f64 / seconds.max(1e-9);
        text += &format!("{seconds:.2} s, {rate:.0} touchpoints/s\n");
        text
    }

    fn alert_lines(&self, text: &mut String) {
        *text += &format!("{:<22}{:>12}{:>12}{:>12}\n", "alerts", "opened", "updated", "resolved");
        for (kind, [opened, updated, resolved]) in &self.alerts {
            *text += &format!("  {kind:<20}{opened:>12}{updated:>12}{resolved:>12}\n");
        }
    }

    fn rejected_lines(&self, plan: &Plan, text: &mut String) {
        for (code, (count, places)) in &self.rejected {
            let place = |position: &Position| {
                let file = plan.sources.get(usize::from(position.source)).map_or("", |(name, _)| name.as_str());
                format!("{file}:{}", position.offset)
            };
            let places: Vec<String> = places.iter().map(place).collect();
            *text += &format!("rejected {:<13}{count:>12}  {}\n", code.as_str(), places.join(" "));
        }
    }
}
