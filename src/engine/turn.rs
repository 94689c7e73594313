//! One reading of one customer: takes verdicts through the lifecycle and tells what changed.

use super::apply::Opened;
use super::customer::{AlertState, Customer, Detail, Mark};
use super::figures::{self, Derived, EVIDENCE_MAX};
use super::{Output, Settings};
use crate::model::{
    AlertChange, Cause, Chance, Evidence, ExperienceChange, Item, Micro, Phase, Scored, Severity, Timestamp, hash64,
};
use crate::rules::lifecycle::{self, Change, State};
use crate::rules::{FIGURES, Kind, Reading, Verdict, raised};
use std::borrow::Cow;
use std::sync::Arc;

/// What an alert is about, and which touchpoint started it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) kind: Kind,
    pub(super) item: Option<Item>,
    pub(super) origin: Mark,
}

/// Where the lines of an alert's arithmetic come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Basis<'a> {
    /// The recent touchpoints' contributions to perception.
    Perception(&'a Derived),
    /// Given lines.
    Lines(&'a [Evidence]),
    /// The touchpoint that started the episode is the whole figure.
    Origin,
}

/// How an alert is told, if it is.
pub(super) struct Told<'a> {
    pub(super) basis: Basis<'a>,
    /// What an own rule says.
    pub(super) message: Option<Arc<str>>,
}

impl<'a> Told<'a> {
    pub(super) const fn new(basis: Basis<'a>) -> Self {
        Self { basis, message: None }
    }
}

/// A reading in progress.
pub(super) struct Turn<'a> {
    pub(super) settings: &'a Settings,
    pub(super) id: &'a str,
    /// The touchpoint, or none for a timer.
    pub(super) cause: Option<&'a Scored<'a>>,
    /// Its time, or the deadline.
    pub(super) event_time: Timestamp,
    /// The touchpoint came after a later one.
    pub(super) out_of_order: bool,
    pub(super) out: &'a mut Vec<Output>,
    /// An alert opened, changed or ended.
    pub(super) alert_changed: bool,
    /// An alert opened or ended.
    pub(super) alerts_moved: bool,
    /// Openings (1) and ends (−1), by rule.
    pub(super) opened: &'a mut Opened,
    pub(super) customer_id: Option<Arc<str>>,
}

impl<'a> Turn<'a> {
    pub(super) const fn new(
        settings: &'a Settings,
        id: &'a str,
        cause: Option<&'a Scored<'a>>,
        event_time: Timestamp,
        opened: &'a mut Opened,
        out: &'a mut Vec<Output>,
    ) -> Self {
        Self {
            settings,
            id,
            cause,
            event_time,
            out_of_order: false,
            out,
            alert_changed: false,
            alerts_moved: false,
            opened,
            customer_id: None,
        }
    }

    pub(super) fn customer_id(&mut self) -> Arc<str> {
        Arc::clone(self.customer_id.get_or_insert_with(|| Arc::from(self.id)))
    }

    /// Takes a reading through the lifecycle of its alert, and tells the world what changed.
    pub(super) fn judge(&mut self, customer: &mut Customer, subject: &Subject, reading: Reading, basis: Basis<'_>) {
        self.judge_detail(customer, subject, &Detail::Only, reading, Told::new(basis));
    }

    /// As [`Self::judge`], for one of several of the kind: each has an alert of its own.
    pub(super) fn judge_detail(
        &mut self,
        customer: &mut Customer,
        subject: &Subject,
        detail: &Detail,
        reading: Reading,
        told_by: Told<'_>,
    ) {
        let lifecycle = self.settings.lifecycle(subject.kind, detail).filter(|lifecycle| lifecycle.enabled);
        let Some(lifecycle) = lifecycle else { return };
        let same =
            |alert: &AlertState| alert.kind == subject.kind && alert.item == subject.item && alert.detail == *detail;
        let found = customer.alerts.iter().position(same);
        let known = found.and_then(|at| customer.alerts.get(at)).cloned();
        let same_origin = known.as_ref().is_some_and(|alert| alert.origin.event == subject.origin.event);
        let before = known.as_ref().map(|alert| alert.state);
        let before = match before {
            // What expired was about something else.
            Some(State::Ended { .. }) if !same_origin => Some(State::Ended { expired: false }),
            Some(State::Cooling { until, severity, .. }) if !same_origin => {
                Some(State::Cooling { until, severity, expired: false })
            }
            before => before,
        };
        let verdict = self.raise(customer, subject.kind, detail, reading.verdict);
        let (mut state, change) = lifecycle::step(before, verdict, customer.now, lifecycle);
        let begins = is_under_way(state) && !is_under_way(before);
        let mut alert = match known {
            Some(alert) if !begins => alert,
            ended => self.fresh(subject, detail, &reading, ended.as_ref()),
        };
        if subject.kind.can_recur() && (same_origin || subject.kind.is_about_promises()) {
            state = remembered(before, state, change, verdict);
        }
        let revised = self.out_of_order && subject.kind.is_level() && alert.origin.value != reading.after;
        let told = match change {
            Change::Opened(severity) if !self.may_open(customer) => {
                state = lifecycle::cooling(customer.now, severity, lifecycle);
                self.out.push(Output::Capped(Settings::kind_name(subject.kind, detail)));
                None
            }
            Change::Opened(severity) => Some((Phase::Opened, severity, None)),
            Change::Updated(severity) => Some((Phase::Updated, severity, None)),
            Change::Resolved(reason) => Some((Phase::Resolved, firing_severity(before), Some(reason))),
            Change::None if revised && matches!(state, Some(State::Firing { .. })) => {
                Some((Phase::Updated, firing_severity(state), None))
            }
            Change::None => None,
        };
        if let Some((phase, severity, reason)) = told {
            alert.revision = if phase == Phase::Opened { 0 } else { alert.revision.saturating_add(1) };
            // A rule that has nothing new to measure ends with the figure it was told with.
            if phase != Phase::Resolved || subject.kind.is_level() {
                alert.take(&reading);
            }
            self.tell(customer, &alert, (phase, severity, reason), told_by);
        }
        keep(customer, found, state, alert);
    }

    /// Closes an alert because what it waits for has come.
    pub(super) fn close(&mut self, customer: &mut Customer, alert: &AlertState, reason: &'static str) {
        let reading = Reading {
            verdict: Verdict::Close(reason),
            figure: alert.figure_name().unwrap_or_default(),
            before: alert.before,
            after: alert.origin.value,
            threshold: alert.threshold,
        };
        let subject = Subject { kind: alert.kind, item: alert.item.clone(), origin: alert.origin };
        self.judge_detail(customer, &subject, &alert.detail, reading, Told::new(Basis::Origin));
    }

    /// Ends an alert because nothing reads it any more.
    pub(super) fn end(&mut self, customer: &Customer, alert: &AlertState, reason: &'static str) {
        if let State::Firing { severity, .. } = alert.state {
            let mut alert = alert.clone();
            alert.revision = alert.revision.saturating_add(1);
            self.tell(customer, &alert, (Phase::Resolved, severity, Some(reason)), Told::new(Basis::Origin));
        }
    }

    /// Tells every open alert again, with the figure it has, for this reason.
    pub(super) fn tell_again(&mut self, customer: &mut Customer, reason: &'static str) {
        for at in 0..customer.alerts.len() {
            let Some(alert) = customer.alerts.get_mut(at) else { return };
            let State::Firing { severity, .. } = alert.state else { continue };
            alert.revision = alert.revision.saturating_add(1);
            let alert = alert.clone();
            self.tell(customer, &alert, (Phase::Updated, severity, Some(reason)), Told::new(Basis::Origin));
        }
    }

    /// The chance behind an alert's figure, where a card gave it.
    fn chance(&self, alert: &AlertState) -> Option<Chance> {
        let Detail::Outcome(outcome) = alert.detail else { return None };
        let card = self.settings.cards.get(&outcome)?;
        (alert.figure_name() == Some("log_odds")).then(|| card.chance(alert.origin.value))
    }

    /// A new alert, after one about the same thing that ended.
    fn fresh(&self, subject: &Subject, detail: &Detail, reading: &Reading, ended: Option<&AlertState>) -> AlertState {
        let name = Settings::kind_name(subject.kind, detail);
        let mut identity = Vec::with_capacity(128);
        for part in [name.as_bytes(), &subject.kind.row().version.to_le_bytes(), self.id.as_bytes()] {
            identity.extend_from_slice(part);
            identity.push(0);
        }
        identity.extend_from_slice(&subject.origin.event.0.to_le_bytes());
        if let Some(item) = &subject.item {
            identity.push(item.item_type as u8);
            identity.extend_from_slice(item.id.as_bytes());
        }
        match detail {
            Detail::Only => {}
            Detail::Outcome(name) | Detail::Journey(name) => {
                identity.push(0);
                identity.extend_from_slice(&name.0.to_le_bytes());
            }
            // Time alone may open it again after the same touchpoint.
            Detail::Own(_) => identity.extend_from_slice(&self.event_time.0.to_le_bytes()),
        }
        // What began it may begin another: each has an id of its own.
        if let Some(ended) =
            ended.filter(|ended| subject.kind.can_recur() || ended.origin.event == subject.origin.event)
        {
            identity.push(0);
            identity.extend_from_slice(&ended.alert_id.to_le_bytes());
        }
        let mut alert = AlertState {
            kind: subject.kind,
            item: subject.item.clone(),
            detail: detail.clone(),
            state: State::Pending { since: self.event_time },
            alert_id: hash64(&identity),
            revision: 0,
            origin: subject.origin,
            figure: 0,
            before: None,
            threshold: Micro::ZERO,
        };
        alert.take(reading);
        alert
    }

    /// One step worse for a customer of a high-value tier, and one while another kind is firing.
    fn raise(&self, customer: &Customer, kind: Kind, detail: &Detail, verdict: Verdict) -> Verdict {
        // Good news does not get worse.
        let (Verdict::Open(severity), true) = (verdict, kind != Kind::RecoveryConfirmed) else { return verdict };
        let tier = customer.tier.as_ref().is_some_and(|(_, tier)| self.settings.high_value_tiers.contains(&**tier));
        let is_other = |alert: &AlertState| alert.kind != kind || kind == Kind::Own && alert.detail != *detail;
        let second = customer
            .alerts
            .iter()
            .any(|alert| is_other(alert) && is_firing(alert.state) && alert.kind != Kind::RecoveryConfirmed);
        Verdict::Open(raised(severity, [tier, second]))
    }

    /// Counts an opening against the customer's daily cap; false when it is reached.
    fn may_open(&self, customer: &mut Customer) -> bool {
        let day = customer.now.day();
        if customer.opened.0 != day {
            customer.opened = (day, 0);
        }
        if customer.opened.1 >= self.settings.timing.alerts_per_day_max {
            return false;
        }
        customer.opened.1 += 1;
        true
    }

    fn tell(
        &mut self,
        customer: &Customer,
        alert: &AlertState,
        (phase, severity, reason): (Phase, Severity, Option<&'static str>),
        Told { basis, message }: Told<'_>,
    ) {
        self.alert_changed = true;
        let net = match phase {
            Phase::Opened => 1,
            Phase::Updated => 0,
            Phase::Resolved => -1,
        };
        if let Some(place) = self.settings.place_of(alert.kind, &alert.detail).filter(|_| net != 0) {
            self.opened.push((place, net));
        }
        self.alerts_moved |= net != 0;
        let lifecycle = self.settings.lifecycle(alert.kind, &alert.detail);
        let after = alert.origin.value;
        let mut evidence = match basis {
            Basis::Perception(derived)
                if alert.kind == Kind::Own || FIGURES.first() == alert.figure_name().as_ref() =>
            {
                figures::perception_evidence(customer, &self.settings.model, derived, EVIDENCE_MAX)
            }
            Basis::Lines(lines) if phase != Phase::Resolved => figures::strongest(lines.to_vec(), EVIDENCE_MAX),
            Basis::Perception(_) | Basis::Lines(_) | Basis::Origin => vec![alert.origin.evidence(after)],
        };
        if evidence.is_empty() {
            // Everything behind it came late, and is remembered as sums only.
            evidence.push(alert.origin.evidence(Micro::ZERO));
        }
        let (outcome, journey) = alert.detail.names();
        let explained = evidence.iter().fold(Micro::ZERO, |sum, line| sum + line.contribution);
        let change = AlertChange {
            alert_id: alert.alert_id,
            phase,
            revision: alert.revision,
            customer_id: self.customer_id(),
            kind: Settings::kind_name(alert.kind, &alert.detail),
            severity,
            event_time: self.event_time,
            detected_at: customer.now,
            figure: match &alert.detail {
                Detail::Own(name) => Cow::Owned(self.settings.own_rules.figure_of(name).to_owned()),
                Detail::Only | Detail::Outcome(_) | Detail::Journey(_) => {
                    Cow::Borrowed(alert.figure_name().unwrap_or_default())
                }
            },
            before: alert.before,
            after,
            threshold: alert.threshold,
            evidence,
            remainder: after - explained,
            stage: customer.stage.map(|(_, stage)| stage),
            channel: self.cause.map(|cause| cause.channel),
            item: alert.item.clone(),
            outcome,
            journey,
            chance: self.chance(alert),
            reason,
            rule_version: alert.kind.row().version,
            message: message.filter(|_| phase != Phase::Resolved),
            suggested_action: lifecycle.and_then(|lifecycle| lifecycle.suggested_action.as_deref()).map(Arc::from),
            position: self.cause.map(|cause| cause.position),
        };
        self.out.push(Output::Alert(Box::new(change)));
    }

    /// Publishes the experience if it moved enough, the stage changed, an alert opened or ended, or the customer is new.
    pub(super) fn publish(&mut self, customer: &mut Customer, derived: &Derived) {
        let after = derived.figures;
        let due = customer.published.is_none_or(|published| {
            published.index.abs_diff(after.index) >= u64::from(self.settings.timing.experience_step)
                || published.stage != after.stage
        });
        if !due && !self.alerts_moved {
            return;
        }
        let before = customer.published.replace(after);
        let open = customer.alerts.iter().filter(|alert| is_firing(alert.state));
        let change = ExperienceChange {
            customer_id: self.customer_id(),
            time: customer.now,
            before,
            after,
            open_alerts: open.map(|alert| (Settings::kind_name(alert.kind, &alert.detail), alert.alert_id)).collect(),
            cause: self.cause.map_or(Cause::Timer, |cause| Cause::Touchpoint(cause.event)),
            evidence: figures::perception_evidence(customer, &self.settings.model, derived, 3),
            context: super::context::current(customer, self.settings),
        };
        self.out.push(Output::Changed(Box::new(change)));
    }
}

impl AlertState {
    /// Takes over what a reading measured.
    fn take(&mut self, reading: &Reading) {
        let figure = FIGURES.iter().position(|figure| *figure == reading.figure);
        self.figure = figure.and_then(|figure| u8::try_from(figure).ok()).unwrap_or(0);
        self.before = reading.before;
        self.origin.value = reading.after;
        self.threshold = reading.threshold;
    }

    pub(super) fn figure_name(&self) -> Option<&'static str> {
        FIGURES.get(usize::from(self.figure)).copied()
    }
}

pub(super) const fn is_firing(state: State) -> bool {
    matches!(state, State::Firing { .. })
}

const fn is_under_way(state: Option<State>) -> bool {
    matches!(state, Some(State::Pending { .. } | State::Firing { .. }))
}

/// The state to keep of an alert that ended, if what it is about may give another.
const fn remembered(before: Option<State>, after: Option<State>, change: Change, verdict: Verdict) -> Option<State> {
    match (after, change, verdict) {
        // Only `max_open` ends an alert whose condition holds.
        (Some(State::Cooling { until, severity, .. }), Change::Resolved(_), Verdict::Open(_)) => {
            Some(State::Cooling { until, severity, expired: true })
        }
        (None, Change::Resolved(_), Verdict::Open(_)) => Some(State::Ended { expired: true }),
        (None, ..) if before.is_some() => Some(State::Ended { expired: false }),
        _ => after,
    }
}

fn firing_severity(state: Option<State>) -> Severity {
    match state {
        Some(State::Firing { severity, .. }) => severity,
        Some(State::Pending { .. } | State::Cooling { .. } | State::Ended { .. }) | None => Severity::Info,
    }
}

fn keep(customer: &mut Customer, found: Option<usize>, state: Option<State>, alert: AlertState) {
    match (found, state) {
        (Some(at), Some(state)) => {
            if let Some(place) = customer.alerts.get_mut(at) {
                *place = AlertState { state, ..alert };
            }
        }
        (None, Some(state)) => customer.alerts.push(AlertState { state, ..alert }),
        (Some(at), None) => {
            customer.alerts.remove(at);
        }
        (None, None) => {}
    }
}
