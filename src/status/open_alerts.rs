//! The committed open alerts of every partition owned here, for whoever asks which customers need somebody now.
//!
//! Many workers write after each commit and readers come at any time, so it is a sharded map: nobody waits for a reader
//! that lists. About 150 bytes an open alert.

use crate::engine::OpenAlert;
use crate::model::{Phase, Severity};
use crate::pipeline::ObservedAlert;
use dashmap::DashMap;
use std::sync::Arc;

/// An open alert and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Of the owner.
    pub partition: i32,
    /// Whose.
    pub customer_id: Arc<str>,
    /// What and since when.
    pub alert: OpenAlert,
}

/// What to list; none = any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this kind.
    pub kind: Option<String>,
    /// At least so bad.
    pub severity: Option<Severity>,
}

/// See the module. Keys are alert ids.
#[derive(Debug, Default)]
pub struct OpenAlerts(DashMap<u64, Listed>);

impl OpenAlerts {
    /// A partition's state is known: these are its open alerts.
    pub fn begin(&self, partition: i32, open: impl IntoIterator<Item = (Arc<str>, OpenAlert)>) {
        self.end(partition);
        for (customer_id, alert) in open {
            self.0.insert(alert.alert_id, Listed { partition, customer_id, alert });
        }
    }

    /// A partition is no longer ours.
    pub fn end(&self, partition: i32) {
        self.0.retain(|_, listed| listed.partition != partition);
    }

    /// Changes of a committed transaction, in order.
    pub fn changed(&self, partition: i32, changes: &[ObservedAlert]) {
        for change in changes {
            if change.phase == Phase::Resolved {
                self.0.remove(&change.alert_id);
                continue;
            }
            let opened = || {
                let ObservedAlert { alert_id, severity, detected_at: opened_at, .. } = *change;
                let alert = OpenAlert { kind: change.kind.clone(), alert_id, severity, opened_at };
                Listed { partition, customer_id: Arc::clone(&change.customer_id), alert }
            };
            self.0.entry(change.alert_id).or_insert_with(opened).alert.severity = change.severity;
        }
    }

    /// The worst first, of these the oldest; at most `limit`, and how many there are.
    #[must_use]
    pub fn list(&self, wanted: &Wanted, limit: usize) -> (Vec<Listed>, usize) {
        let fits = |alert: &OpenAlert| {
            wanted.kind.as_deref().is_none_or(|kind| kind == alert.kind)
                && wanted.severity.is_none_or(|severity| severity <= alert.severity)
        };
        let mut listed: Vec<Listed> =
            self.0.iter().filter(|entry| fits(&entry.alert)).map(|entry| entry.value().clone()).collect();
        listed.sort_unstable_by(|a, b| {
            let by = |listed: &Listed| (std::cmp::Reverse(listed.alert.severity), listed.alert.opened_at);
            by(a).cmp(&by(b)).then(a.alert.alert_id.cmp(&b.alert.alert_id))
        });
        let count = listed.len();
        listed.truncate(limit);
        (listed, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn change(alert_id: u64, phase: Phase, severity: Severity, at: i64) -> ObservedAlert {
        let (kind, customer_id) = ("detractor".into(), "c".into());
        ObservedAlert { alert_id, customer_id, kind, severity, phase, detected_at: Timestamp(at), recorded_at: None }
    }

    #[test]
    fn what_is_open_is_listed_the_worst_and_oldest_first() {
        let open = OpenAlerts::default();
        let restored =
            OpenAlert { kind: "sla_breach".into(), alert_id: 1, severity: Severity::Warning, opened_at: Timestamp(5) };
        open.begin(0, [("a".into(), restored)]);
        open.changed(0, &[change(2, Phase::Opened, Severity::Warning, 7), change(3, Phase::Opened, Severity::Info, 1)]);
        open.changed(0, &[change(2, Phase::Updated, Severity::High, 9)]);
        open.changed(4, &[change(4, Phase::Opened, Severity::Warning, 4)]);
        let ids = |wanted: &Wanted, limit| {
            let (listed, count) = open.list(wanted, limit);
            (listed.iter().map(|listed| listed.alert.alert_id).collect::<Vec<_>>(), count)
        };
        assert_eq!(ids(&Wanted::default(), 3), (vec![2, 4, 1], 4));
        assert_eq!(open.list(&Wanted::default(), 1).0[0].alert.opened_at, Timestamp(7));
        let wanted = Wanted { kind: Some("detractor".to_owned()), severity: Some(Severity::Warning) };
        assert_eq!(ids(&wanted, 9), (vec![2, 4], 2));
        open.changed(0, &[change(2, Phase::Resolved, Severity::High, 12)]);
        open.end(4);
        assert_eq!(ids(&Wanted::default(), 9), (vec![1, 3], 2));
    }
}
