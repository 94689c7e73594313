//! One partition of every input: records in, [`Staged`] out. See the module for the life of a transaction.

use super::changes::{Changes, Published};
use super::score::{Texts, score};
use super::staged::{DeadLetter, Keyed, Pending, Staged};
use super::{Forwarded, Observed, ObservedAlert, Plan, about, limits};
use crate::codec::encode::Message;
use crate::codec::{Code, RawRecord, Rejection};
use crate::engine::{Engine, Input, Limit, Output, Why};
use crate::journal::{Book, Counters, ImagesDue, Meta, Recomputed, Restored, Restorer};
use crate::model::{AlertChange, Channel, Scored, Timestamp, Touchpoint};
use crate::sentiment::Scorer;
use std::sync::Arc;

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Applied in full (withdrawn consent too).
    Applied,
    /// Applied beyond the lateness: panes only.
    Late,
    /// Seen before.
    Duplicate,
    /// Refused by a limit.
    Refused(Limit),
    /// Rejected; it is among the staged dead letters. Look at [`Partition::stop_reason`] after it.
    Dlq(Code),
    /// Sent on to the partition of its customer.
    Repartitioned,
}

/// All customers of one partition, its books and the transaction in progress.
#[derive(Debug)]
pub struct Partition {
    plan: Arc<Plan>,
    scorer: Arc<Scorer>,
    number: i32,
    journalled: bool,
    engine: Engine,
    book: Book,
    outputs: Vec<Output>,
    alerts: Vec<AlertChange>,
    experience: Changes,
    dlq: Vec<DeadLetter>,
    forwarded: Vec<Forwarded>,
    /// Of dead letters and records that go on.
    raw_bytes: usize,
    inputs: u64,
    observed: Observed,
    experience_muted: bool,
    /// What a restore found and the first transaction tells.
    untold: Option<Recomputed>,
    /// Scratch for text scoring.
    texts: Texts,
    /// Scratch for outputs.
    scratch: Vec<u8>,
}

impl Partition {
    /// A partition without history. `epoch` is drawn at random by the shell; without `journalled` (replay of files)
    /// neither journal nor images are made.
    #[must_use]
    pub fn new(plan: Arc<Plan>, scorer: Arc<Scorer>, partition: i32, epoch: u64, journalled: bool) -> Self {
        let identity = plan.identity(partition);
        let meta = Meta { epoch, positions: vec![None; identity.sources.len()], ..Meta::default() };
        let engine = Engine::new(Arc::clone(&plan.settings));
        let book = Book::new(identity, plan.image_policy(), meta);
        Self::of(plan, scorer, partition, journalled, engine, book)
    }

    /// The restore of a partition: feed it the topics, then give its [`Restored`] to [`Self::restored`].
    #[must_use]
    pub fn restorer(plan: &Plan, partition: i32, fresh_epoch: u64) -> Restorer {
        let (identity, policy) = (plan.identity(partition), plan.image_policy());
        Restorer::new(Arc::clone(&plan.settings), plan.settings_of, identity, policy, fresh_epoch)
    }

    /// A partition as restored.
    #[must_use]
    pub fn restored(plan: Arc<Plan>, scorer: Arc<Scorer>, partition: i32, restored: Restored) -> Self {
        let mut partition = Self::of(plan, scorer, partition, true, restored.engine, restored.book);
        partition.untold = restored.recomputed;
        partition.tell_recomputed();
        partition
    }

    fn of(plan: Arc<Plan>, scorer: Arc<Scorer>, number: i32, journalled: bool, engine: Engine, book: Book) -> Self {
        Self {
            plan,
            scorer,
            number,
            journalled,
            engine,
            book,
            outputs: Vec::new(),
            alerts: Vec::new(),
            experience: Changes::default(),
            dlq: Vec::new(),
            forwarded: Vec::new(),
            raw_bytes: 0,
            inputs: 0,
            observed: Observed::default(),
            experience_muted: false,
            untold: None,
            texts: Texts::default(),
            scratch: Vec::new(),
        }
    }

    /// Goes on under another plan, of which only rules may differ; between transactions.
    pub fn configure(&mut self, plan: &Arc<Plan>) {
        if Arc::ptr_eq(&self.plan, plan) {
            return;
        }
        self.engine.configure(Arc::clone(&plan.settings));
        self.book.configure(plan.identity(self.number));
        self.plan = Arc::clone(plan);
    }

    /// Leaves experience changes out of what is staged (not the tombstones): for a replay that nobody reads them of.
    pub const fn mute_experience(&mut self) {
        self.experience_muted = true;
    }

    /// Sets where a source starts, before its first record, or where it goes on when what lies before is gone.
    pub fn start_at(&mut self, source: u16, next_offset: i64) {
        self.book.start_at(usize::from(source), next_offset);
    }

    /// Takes one record: decodes, judges, scores and applies it, then fires the timers that stream time has passed.
    pub fn record(&mut self, raw: &RawRecord<'_>) -> Fate {
        let plan = Arc::clone(&self.plan);
        self.accept(raw, &mut plan.decode(raw))
    }

    /// As [`Self::record`] for several; ends early when [`Self::stop_reason`] says so. Answers how many were taken.
    ///
    /// All are decoded before the first is applied, and their customers' memory is asked for in between: two tight
    /// loops and overlapping waits are faster than one long path a record.
    pub fn records(&mut self, raws: &[RawRecord<'_>]) -> usize {
        let plan = Arc::clone(&self.plan);
        let mut decoded: Vec<_> = raws.iter().map(|raw| plan.decode(raw)).collect();
        self.engine.warm(decoded.iter().flatten().map(|touchpoint| touchpoint.customer_id.as_ref()));
        let mut taken = 0;
        for (raw, decoded) in raws.iter().zip(&mut decoded) {
            let fate = self.accept(raw, decoded);
            taken += 1;
            if matches!(fate, Fate::Dlq(_)) && self.stop_reason().is_some() {
                break;
            }
        }
        taken
    }

    /// As [`Self::record`], for a record that the caller decoded with [`Plan::decode`]; by reference, for a touchpoint is
    /// half a kilobyte.
    pub fn accept(&mut self, raw: &RawRecord<'_>, decoded: &mut Result<Touchpoint<'_>, Rejection>) -> Fate {
        self.inputs += 1;
        let (source, offset) = raw.read_at();
        let meta = self.book.meta_mut();
        if let Some(position) = meta.positions.get_mut(usize::from(source)) {
            *position = Some(offset.saturating_add(1));
        }
        meta.clock = meta.clock.max(raw.recorded_at);
        let fate = match decoded {
            Ok(touchpoint) => match self.plan.destination(raw, touchpoint, self.number) {
                Ok(None) => self.touchpoint(raw, touchpoint),
                Ok(Some(partition)) => self.forward(raw, partition),
                Err(rejection) => self.reject(raw, &rejection),
            },
            Err(rejection) => self.reject(raw, rejection),
        };
        self.count(fate);
        fate
    }

    fn forward(&mut self, raw: &RawRecord<'_>, partition: i32) -> Fate {
        match Forwarded::of(&self.plan, raw, partition) {
            Ok(forwarded) => {
                self.raw_bytes += forwarded.bytes();
                self.forwarded.push(forwarded);
                Fate::Repartitioned
            }
            Err(rejection) => self.reject(raw, &rejection),
        }
    }

    fn touchpoint(&mut self, raw: &RawRecord<'_>, touchpoint: &mut Touchpoint<'_>) -> Fate {
        let skew_ms = self.plan.bounds.future_skew.0;
        let clamp = raw.recorded_at.filter(|recorded_at| touchpoint.occurred_at > recorded_at.plus(skew_ms));
        if let Some(recorded_at) = clamp {
            touchpoint.occurred_at = recorded_at;
            self.book.meta_mut().counters.clamped += 1;
            *self.observed.clamped.entry(raw.position.source).or_default() += 1;
        }
        self.book.meta_mut().counters.unknown_channels += u64::from(touchpoint.channel_unknown);
        if touchpoint.consent == Some(false) {
            self.forget_customer(&touchpoint.customer_id, Why::Consent);
            self.book.meta_mut().counters.consent_withdrawn += 1;
            self.see_channel(touchpoint.channel);
            return Fate::Applied;
        }
        self.observed.unreadable += about::unreadable(&self.plan, touchpoint);
        let (scored, known) = score(&self.plan, &self.scorer, touchpoint, raw.position, &mut self.texts);
        self.see(&scored, known);
        let fate = self.apply(&touchpoint.customer_id, &Input::Touchpoint(scored), raw.recorded_at);
        if matches!(fate, Fate::Applied | Fate::Late) {
            if clamp.is_none() {
                let meta = self.book.meta_mut();
                meta.watermark = meta.watermark.max(Some(touchpoint.occurred_at));
            }
            self.tick_due();
        }
        fate
    }

    fn apply(&mut self, customer_id: &str, input: &Input<'_>, recorded_at: Option<Timestamp>) -> Fate {
        while let Some(victim) = self.engine.victim(customer_id) {
            self.forget_customer(&victim, Why::Evicted);
        }
        self.engine.apply(input, &mut self.outputs);
        let fate = self.drain(recorded_at);
        // A touchpoint of a customer who may not enter leaves no trace: a replay that holds fewer customers for a
        // while must not let them in.
        if self.journalled && fate != Fate::Refused(Limit::Customers) {
            self.book.entry(input);
        }
        fate
    }

    fn forget_customer(&mut self, customer_id: &str, why: Why) {
        if self.engine.find(customer_id).is_some() {
            self.feed(&Input::Removed(customer_id, why));
        }
    }

    /// Applies and journals what is not a touchpoint.
    fn feed(&mut self, input: &Input<'_>) {
        if self.journalled {
            self.book.entry(input);
        }
        self.engine.apply(input, &mut self.outputs);
        self.drain(None);
    }

    /// Fires what stream time has passed by the grace: one tick, so that a jump in time does not make one transaction
    /// of all timers; the next record, or the idle clock, goes on.
    fn tick_due(&mut self) {
        if let Some(watermark) = self.book.meta().watermark {
            self.tick(watermark.minus(self.plan.settings.timing.timer_grace.0));
        }
    }

    /// Answers whether something was due.
    fn tick(&mut self, time: Timestamp) -> bool {
        let is_due = self.engine.next_deadline().is_some_and(|deadline| deadline <= time);
        if is_due {
            self.feed(&Input::Tick(time));
        }
        is_due
    }

    /// An idle partition: nothing to read, and the clock says `now`. Fires what it has passed by the grace, one tick a
    /// call.
    pub fn idle(&mut self, now: Timestamp) {
        let meta = self.book.meta_mut();
        meta.clock = meta.clock.max(Some(now));
        self.tick(now.minus(self.plan.settings.timing.timer_grace.0));
    }

    /// The end of a finished history: fires what lies at or before the watermark, and nothing later.
    pub fn finish(&mut self) {
        if let Some(watermark) = self.book.meta().watermark {
            while self.tick(watermark) {}
        }
    }

    /// Takes the engine's answers to one input.
    fn drain(&mut self, recorded_at: Option<Timestamp>) -> Fate {
        let mut fate = Fate::Applied;
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Alert(alert) => {
                    let recorded_at = alert.position.and(recorded_at);
                    self.observed.alerts.push(ObservedAlert::of(&alert, recorded_at));
                    self.alerts.push(*alert);
                }
                Output::Changed(_) if self.experience_muted => {}
                Output::Changed(change) => {
                    self.experience.publish(Arc::clone(&change.customer_id), Published::Change(change));
                }
                Output::Expired(customer_id) => {
                    self.book.gone(&customer_id);
                    self.experience.publish(customer_id, Published::Gone);
                }
                Output::Late(_) => fate = Fate::Late,
                Output::Duplicate(_) => fate = Fate::Duplicate,
                Output::Refused(_, limit) => fate = Fate::Refused(limit),
                Output::Capped(_) => self.observed.capped += 1,
                Output::Scored(outcome, score) => self.observed.card_scores.push((outcome, score)),
                Output::RuleSkipped(rule) => *self.observed.rules_skipped.entry(rule).or_default() += 1,
                Output::ItemDropped => self.observed.items_dropped += 1,
                Output::Moved(of) => self.observed.moves.push(*of),
                Output::Kept(promise, wait_ms) => self.observed.kept.push((promise, wait_ms)),
            }
        }
        self.outputs = outputs;
        fate
    }

    fn see(&mut self, scored: &Scored<'_>, known: bool) {
        self.see_channel(scored.channel);
        self.observed.scores.extend(scored.signals.iter().flatten().map(|signal| (scored.channel, signal.score)));
        self.book.meta_mut().counters.unknown_kinds += u64::from(!known);
        self.observed.unknown_kinds += u64::from(!known);
    }

    fn see_channel(&mut self, channel: Channel) {
        if let Some(count) = self.observed.channels.get_mut(channel as usize) {
            *count += 1;
        }
    }

    fn reject(&mut self, raw: &RawRecord<'_>, rejection: &Rejection) -> Fate {
        *self.observed.rejected.entry(rejection.code).or_default() += 1;
        let letter = DeadLetter::of(&self.plan, raw, rejection);
        self.raw_bytes += letter.bytes();
        self.dlq.push(letter);
        Fate::Dlq(rejection.code)
    }

    fn count(&mut self, fate: Fate) {
        let Meta { counters, limiter, .. } = self.book.meta_mut();
        match fate {
            Fate::Applied => counters.applied += 1,
            Fate::Late => counters.late += 1,
            Fate::Duplicate => counters.duplicate += 1,
            Fate::Refused(_) => counters.refused += 1,
            Fate::Dlq(_) => counters.dlq += 1,
            Fate::Repartitioned => counters.repartitioned += 1,
        }
        limits::count(limiter, matches!(fate, Fate::Dlq(_)));
        if let Fate::Refused(limit) = fate {
            self.observed.refuse(limit);
        }
    }

    /// Why no further record may be taken until somebody acts: too many were rejected. It holds after a restart, until
    /// the limits or the configuration of the inputs are changed.
    #[must_use]
    pub fn stop_reason(&self) -> Option<String> {
        limits::stop_reason(&self.book.meta().limiter, &self.plan.bounds)
    }

    /// The alerts that changed since the last commit, in order, until they are staged.
    #[must_use]
    pub fn alerts(&self) -> &[AlertChange] {
        &self.alerts
    }

    /// How much the current transaction holds.
    #[must_use]
    pub fn pending(&self) -> Pending {
        Pending {
            inputs: self.inputs,
            outputs: (self.alerts.len() + self.experience.len() + self.dlq.len() + self.forwarded.len()) as u64,
            bytes: self.book.entry_bytes() + self.raw_bytes,
        }
    }

    /// Closes the transaction: everything it adds to the topics goes to `staged`, which is cleared first. Then
    /// [`Self::commit`] or [`Self::rollback`].
    pub fn stage(&mut self, due: ImagesDue, staged: &mut Staged) {
        staged.clear();
        self.observed.indexes.extend(self.experience.iter().filter_map(|published| match published {
            Published::Change(change) => Some(change.after.index),
            Published::Gone => None,
        }));
        let plan = self.plan.as_ref();
        for alert in self.alerts.drain(..) {
            let Message { value, headers } = plan.output.alert(&alert, plan, &mut self.scratch);
            staged.alerts.push(Keyed { key: alert.customer_id, value: Some(value), headers });
        }
        for (key, published) in self.experience.drain() {
            let (value, headers) = match published {
                Published::Change(change) => {
                    let Message { value, headers } = plan.output.experience(&change, plan, &mut self.scratch);
                    (Some(value), headers)
                }
                Published::Gone => (None, Vec::new()),
            };
            staged.experience.push(Keyed { key, value, headers });
        }
        staged.dlq.append(&mut self.dlq);
        staged.forwarded.append(&mut self.forwarded);
        if self.journalled {
            self.book.stage(&self.engine, due, &mut staged.journal, &mut staged.images);
        }
        let meta = self.book.meta();
        let positions = (0..).zip(&meta.positions);
        staged.offsets.extend(positions.filter_map(|(source, position)| Some((source, (*position)?))));
        staged.metadata = meta.metadata();
        staged.seq = meta.seq;
        staged.observed = std::mem::take(&mut self.observed);
    }

    /// The staged transaction is committed.
    pub fn commit(&mut self) {
        self.engine.commit();
        self.book.commit();
        self.forget_transaction();
        self.untold = None;
    }

    /// The transaction was aborted, staged or not: everything is as after the last commit, and the records since then
    /// must be read again.
    pub fn rollback(&mut self) {
        self.engine.rollback();
        self.book.rollback();
        self.forget_transaction();
        self.tell_recomputed();
    }

    /// Begins the first transaction after a restore with what that recomputed.
    fn tell_recomputed(&mut self) {
        let Some(Recomputed { outputs, customers }) = self.untold.clone() else { return };
        self.outputs = outputs;
        self.drain(None);
        customers.iter().for_each(|customer_id| self.feed(&Input::Recomputed(customer_id)));
    }

    fn forget_transaction(&mut self) {
        self.alerts.clear();
        self.experience.clear();
        self.dlq.clear();
        self.forwarded.clear();
        self.raw_bytes = 0;
        self.inputs = 0;
        self.observed = Observed::default();
    }

    /// After the commit of transaction `seq` ([`Staged::seq`]): the offset of its first journal record.
    pub fn journal_delivered(&mut self, seq: u64, offset: i64) {
        self.book.delivered(seq, offset);
    }

    /// What became of all records since the partition's creation, as of the last commit.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.book.committed().counters
    }

    /// Everything but the customers, as of the last commit.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        self.book.committed()
    }

    /// Greatest event time accepted, as of the last record.
    #[must_use]
    pub const fn watermark(&self) -> Option<Timestamp> {
        self.book.meta().watermark
    }

    /// Next offset of a source, as of the last record; none = nothing read and no start set.
    #[must_use]
    pub fn next_offset(&self, source: u16) -> Option<i64> {
        self.book.meta().positions.get(usize::from(source)).copied().flatten()
    }

    /// Customers, timers, open alerts.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Journal, images, checkpoint.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }
}
