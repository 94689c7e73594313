//! The experience state of one customer, decoded. Between touchpoints it lives as packed bytes ([`super::image`]).
//!
//! Everything is an integer, a hash or a bounded list, and no text of the customer's is here. Where the definition
//! allows it, a field is a sum, a minimum or a maximum, so that late touchpoints change it as if they had come in time.

use super::items::OpenItem;
use super::journeys::{Journey, Passage};
use super::panes::Panes;
use super::settings::Settings;
use super::week::Quarter;
use super::{contacts, sessions};
use crate::model::time::DAY_MS;
use crate::model::{Channel, EventHash, Evidence, Figures, Item, Micro, Name, Scored, Timestamp};
use crate::rules::Kind;
use crate::rules::lifecycle::State;
use std::sync::Arc;

/// Scored touchpoints remembered one by one, for evidence; older ones are in the remainder.
pub(super) const RECENT_MAX: usize = 6;
/// Values remembered for the most frequent value of a context attribute.
pub(super) const CONTEXT_VALUES_MAX: usize = 32;

/// A touchpoint remembered by name, with a number whose meaning the holder gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) time: Timestamp,
    pub(super) event: EventHash,
    pub(super) kind: Name,
    pub(super) channel: Channel,
    pub(super) value: Micro,
}

impl Mark {
    pub(super) const fn of(scored: &Scored<'_>, value: Micro) -> Self {
        let Scored { occurred_at, event, kind, channel, .. } = *scored;
        Self { time: occurred_at, event, kind, channel, value }
    }

    pub(super) const fn evidence(&self, contribution: Micro) -> Evidence {
        let Self { time, event, kind, channel, .. } = *self;
        Evidence { event, kind, channel, occurred_at: time, contribution, term: None, value: None }
    }
}

/// A scored touchpoint of the recent past: `mark.value` is Σ weight · score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) mark: Mark,
    pub(super) weight: Micro,
    /// Hash of its conversation, session or order; 0 = none. `NO_EPISODE` = what the engine itself made of others.
    pub(super) episode: u16,
}

/// Of a signal that is no touchpoint of its own.
pub(super) const NO_EPISODE: u16 = u16::MAX;

impl Recent {
    /// Whether an episode may rest on it.
    fn counts(&self) -> bool {
        self.weight > Micro::ZERO && self.episode != NO_EPISODE
    }

    /// The touchpoint with its own score.
    pub(super) fn own(&self) -> Mark {
        Mark { value: self.mark.value.over(self.weight), ..self.mark }
    }
}

/// Scored touchpoints that belong together, remembered by their peak and their end (`value` = score).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Episode {
    /// Hash of conversation, session or order; 0 = only time holds it together.
    pub(super) key: u16,
    pub(super) peak: Mark,
    pub(super) end: Mark,
}

impl Episode {
    /// The last episode after one more touchpoint: it goes on, or a new one begins. What is older than the episode and
    /// not part of it changes nothing.
    pub(super) fn joined(last: Option<Self>, recent: &Recent, gap_ms: i64) -> Self {
        let (key, mark) = (recent.episode, recent.own());
        let anew = Self { key, peak: mark, end: mark };
        let Some(mut episode) = last else { return anew };
        let near = mark.time.since(episode.end.time).abs() <= gap_ms;
        let same = if key != 0 && episode.key != 0 { key == episode.key } else { near };
        if !same {
            return if mark.time >= episode.end.time { anew } else { episode };
        }
        let intensity = |mark: &Mark| (mark.value.0.unsigned_abs(), mark.time, mark.event);
        if intensity(&mark) > intensity(&episode.peak) {
            episode.peak = mark;
        }
        if (mark.time, mark.event) >= (episode.end.time, episode.end.event) {
            episode.end = mark;
        }
        episode.key = episode.key.max(key);
        episode
    }

    /// (peak + end) / 2.
    pub(super) const fn remembered(&self) -> Micro {
        Micro((self.peak.value.0 + self.end.value.0) / 2)
    }
}

/// A session with friction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Hash of the session id; 0 = without one, held together by time.
    pub(super) key: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) frictions: Vec<Friction>,
}

/// One kind of friction in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Friction {
    pub(super) latest: Mark,
    pub(super) count: u32,
}

/// The customer's turns of a conversation, in order of event time; `value` = score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) key: u64,
    pub(super) turns: Vec<Mark>,
}

/// A contact with service, or another touchpoint that cost the customer effort; `mark.value` = its own points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContactMark {
    pub(super) mark: Mark,
    /// Hash of order or topic; 0 = none.
    pub(super) about: u64,
    /// Hash of the conversation; 0 = none.
    pub(super) conversation: u64,
    pub(super) contact: bool,
    pub(super) transferred: bool,
    pub(super) resolved: bool,
}

/// The business made good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovery {
    /// Hash of the order; 0 = none.
    pub(super) order: u64,
    pub(super) time: Timestamp,
}

/// A failure of the business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureMark {
    pub(super) mark: Mark,
    pub(super) item: Option<Item>,
    pub(super) recovered: Option<Timestamp>,
    pub(super) confirmed: bool,
}

/// What tells alerts of one kind about one item apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Detail {
    /// There is one of the kind.
    #[default]
    Only,
    /// The outcome it warns of.
    Outcome(Name),
    /// The own rule, by name: it may be gone from the configuration, and the name must still be told.
    Own(Arc<str>),
    /// The journey that stalled.
    Journey(Name),
}

impl Detail {
    /// The outcome, and the journey.
    pub(super) const fn names(&self) -> (Option<Name>, Option<Name>) {
        match self {
            Self::Outcome(outcome) => (Some(*outcome), None),
            Self::Journey(journey) => (None, Some(*journey)),
            Self::Only | Self::Own(_) => (None, None),
        }
    }
}

/// An alert that is not OK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AlertState {
    pub(super) kind: Kind,
    pub(super) item: Option<Item>,
    pub(super) detail: Detail,
    pub(super) state: State,
    pub(super) alert_id: u64,
    pub(super) revision: u32,
    /// The touchpoint that started the episode; `value` = the figure as last told.
    pub(super) origin: Mark,
    /// Index into `rules::FIGURES`.
    pub(super) figure: u8,
    pub(super) before: Option<Micro>,
    pub(super) threshold: Micro,
}

/// A value of a context attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContextValue {
    /// Index into the configuration's list.
    pub(super) index: u8,
    /// The latest touchpoint that carried it.
    pub(super) last: Timestamp,
    pub(super) count: u32,
    pub(super) value: Arc<str>,
}

/// When the customer bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Purchases {
    pub(super) count: u32,
    pub(super) first: Timestamp,
    /// Means nothing while `count` is 0.
    pub(super) latest: Timestamp,
}

impl Purchases {
    pub(super) fn take(&mut self, time: Timestamp) {
        let known = self.count > 0;
        self.first = if known { self.first.min(time) } else { time };
        self.latest = if known { self.latest.max(time) } else { time };
        self.count = self.count.saturating_add(1);
    }

    /// The latest one.
    pub(super) fn last(&self) -> Option<Timestamp> {
        (self.count > 0).then_some(self.latest)
    }
}

/// A value that a later touchpoint replaces.
pub(super) type Dated<T> = Option<(Timestamp, T)>;

/// One customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Customer {
    pub(super) touchpoints: u64,
    pub(super) first_seen: Timestamp,
    /// Largest accepted event time: lateness is judged against it.
    pub(super) latest: Timestamp,
    /// The customer's own time: `latest`, or the last deadline fired after it.
    pub(super) now: Timestamp,
    pub(super) panes: Panes,
    pub(super) recent: Vec<Recent>,
    /// Event hashes, oldest first, as the image holds them: copied, never parsed.
    pub(super) seen: Vec<[u8; 8]>,
    pub(super) stage: Dated<Name>,
    pub(super) segment: Dated<Arc<str>>,
    pub(super) tier: Dated<Arc<str>>,
    pub(super) sessions: Vec<Session>,
    /// The last one of what is no longer in `recent`.
    pub(super) episode: Option<Episode>,
    pub(super) conversations: Vec<Conversation>,
    pub(super) contacts: Vec<ContactMark>,
    pub(super) failures: Vec<FailureMark>,
    pub(super) recoveries: Vec<Recovery>,
    /// Latest answers of the business: what kind of (see `voice`), when.
    pub(super) answers: Vec<(u64, Timestamp)>,
    pub(super) refused_payments: Vec<Mark>,
    pub(super) journeys: Vec<Journey>,
    pub(super) passages: Vec<Passage>,
    /// Touchpoints that gave a stage, in order of time; see [`super::stages`].
    pub(super) stages: Vec<(Timestamp, Name)>,
    /// Last share or referral.
    pub(super) shared: Option<Timestamp>,
    pub(super) ratings: Vec<(u8, Timestamp, Micro)>,
    pub(super) context: Vec<ContextValue>,
    pub(super) alerts: Vec<AlertState>,
    pub(super) items: Vec<OpenItem>,
    /// Items closed and dropped …
    pub(super) past: u32,
    /// … of which went badly.
    pub(super) past_bad: u32,
    pub(super) purchases: Purchases,
    pub(super) week: Vec<Quarter>,
    /// UTC day and number of alerts opened on it.
    pub(super) opened: (i64, u32),
    pub(super) published: Option<Figures>,
    /// What gave way at a limit since it was unpacked. Told, never stored.
    pub(super) dropped: usize,
}

/// Leaves the newest of a list, at most `limits.open_items_max`; counts what gives way.
pub(super) fn give_way<T>(list: &mut Vec<T>, settings: &Settings, dropped: &mut usize) {
    let excess = list.len().saturating_sub(settings.limits.open_items_max.max(1) as usize);
    list.drain(..excess);
    *dropped += excess;
}

impl Customer {
    /// Forgets everything, keeps the memory.
    pub(super) fn clear(&mut self) {
        // Every field by name: none can be forgotten here.
        let Self {
            touchpoints,
            first_seen,
            latest,
            now,
            panes,
            recent,
            seen,
            stage,
            segment,
            tier,
            sessions,
            episode,
            conversations,
            contacts,
            failures,
            recoveries,
            answers,
            refused_payments,
            journeys,
            passages,
            stages,
            shared,
            ratings,
            context,
            alerts,
            items,
            past,
            past_bad,
            purchases,
            week,
            opened,
            published,
            dropped,
        } = self;
        *dropped = 0;
        items.clear();
        week.clear();
        (*past, *past_bad, *purchases) = Default::default();
        (*touchpoints, *opened) = (0, (0, 0));
        (*first_seen, *latest, *now) = Default::default();
        (*stage, *segment, *tier, *episode, *published, *shared) = Default::default();
        panes.clear();
        recent.clear();
        seen.clear();
        sessions.clear();
        conversations.clear();
        contacts.clear();
        failures.clear();
        recoveries.clear();
        answers.clear();
        passages.clear();
        stages.clear();
        refused_payments.clear();
        journeys.clear();
        ratings.clear();
        context.clear();
        alerts.clear();
    }

    /// True when nobody would miss it: no open alert, no journey that waits and no open promise.
    pub(super) fn is_evictable(&self) -> bool {
        !self.alerts.iter().any(|alert| matches!(alert.state, State::Firing { .. }))
            && !self.journeys.iter().any(Journey::waits)
            && self.items.iter().all(|item| item.open_promises().next().is_none())
    }

    /// When something happens without a touchpoint: the earliest of all timers, always after `now`.
    pub(super) fn deadline(&self, settings: &Settings) -> Timestamp {
        let alerts = self.alerts.iter().filter_map(|alert| {
            let Some(lifecycle) = settings.lifecycle(alert.kind, &alert.detail).filter(|lifecycle| lifecycle.enabled)
            else {
                return Some(self.now);
            };
            // A level moves with time alone, so it is read once a day while it fires.
            let daily = matches!(alert.state, State::Firing { closing: None, .. }) && alert.kind.is_level();
            let daily = daily.then(|| self.now.plus(DAY_MS));
            let over = self.over_at(alert, settings);
            [alert.state.deadline(lifecycle), daily, over].into_iter().flatten().min()
        });
        let journeys = self.journeys.iter().filter(|journey| !journey.stalled).filter_map(|journey| journey.deadline);
        let turns_min = settings.timing.conversation_turns_min as usize;
        let gap_ms = settings.timing.episode_gap.0;
        let conversations = self
            .conversations
            .iter()
            .filter(|conversation| conversation.turns.len() >= turns_min)
            .filter_map(|conversation| conversation.turns.last())
            .map(|last| last.time.plus(gap_ms));
        let items = super::pressure::deadline(self, settings, self.now);
        let own = super::own_rules::deadline(self, settings);
        let others = [self.silence_deadline(settings), items, own];
        let first = alerts.chain(journeys).chain(conversations).chain(others.into_iter().flatten()).min();
        let forget = self.forget_at(settings);
        first.map_or(forget, |first| first.min(forget)).max(self.now.plus(1))
    }

    /// When what an alert is about is over by itself.
    fn over_at(&self, alert: &AlertState, settings: &Settings) -> Option<Timestamp> {
        let item = alert.item.as_ref();
        let firing = matches!(alert.state, State::Firing { .. });
        if firing && alert.kind == Kind::FrustrationBurst {
            Some(sessions::idle_at(self, settings, item))
        } else if firing && alert.kind == Kind::RepeatContact {
            Some(contacts::quiet_at(self, settings, item))
        } else {
            None
        }
    }

    fn silence_deadline(&self, settings: &Settings) -> Option<Timestamp> {
        let rule = &settings.rules.silent_after_bad;
        let remembered_badly =
            || self.last_episode(settings).is_some_and(|episode| episode.remembered() <= rule.remembered);
        let deadline = self.latest.plus(rule.silence.0);
        (rule.lifecycle.enabled && deadline > self.now && remembered_badly()).then_some(deadline)
    }

    /// The last episode. What is remembered one by one joins it in order of time, whatever the order of arrival.
    pub(super) fn last_episode(&self, settings: &Settings) -> Option<Episode> {
        let gap_ms = settings.timing.episode_gap.0;
        let recent = self.recent.iter().filter(|recent| recent.counts());
        recent.fold(self.episode, |last, recent| Some(Episode::joined(last, recent, gap_ms)))
    }

    /// Remembers a scored touchpoint; the oldest gives way, and joins the last episode of what came before.
    pub(super) fn remember_scored(&mut self, settings: &Settings, recent: Recent) {
        let key = |recent: &Recent| (recent.mark.time, recent.mark.event);
        let at = self.recent.partition_point(|known| key(known) <= key(&recent));
        self.recent.insert(at, recent);
        if self.recent.len() > RECENT_MAX {
            let oldest = self.recent.remove(0);
            if oldest.counts() {
                self.episode = Some(Episode::joined(self.episode, &oldest, settings.timing.episode_gap.0));
            }
        }
    }

    /// When it is forgotten.
    pub(super) const fn forget_at(&self, settings: &Settings) -> Timestamp {
        self.latest.plus(settings.timing.forget_after.0)
    }

    /// The last scored touchpoint that is remembered.
    pub(super) fn last_scored(&self) -> Option<&Recent> {
        self.recent.iter().rev().find(|recent| recent.weight > Micro::ZERO)
    }

    /// Mean time between touchpoints; none with fewer than two.
    pub(super) fn usual_gap_ms(&self) -> Option<i64> {
        let gaps = i64::try_from(self.touchpoints).ok()? - 1;
        (gaps >= 1).then(|| self.latest.since(self.first_seen) / gaps)
    }

    /// Remembers an event's identity; false when it was remembered already.
    pub(super) fn remember(&mut self, event: EventHash, entries_max: u32) -> bool {
        if self.has_seen(event) {
            return false;
        }
        if self.seen.len() >= entries_max.max(1) as usize {
            self.seen.remove(0);
        }
        self.seen.push(event.0.to_le_bytes());
        true
    }

    /// Whether an event's identity is remembered.
    pub(super) fn has_seen(&self, event: EventHash) -> bool {
        self.seen.contains(&event.0.to_le_bytes())
    }
}
