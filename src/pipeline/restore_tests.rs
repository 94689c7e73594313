//! Random runs with aborts, crashes, compaction, retention, clean stops: what is restored from the topics equals what
//! was running, and both equal a run in which nothing ever went wrong.

use super::*;
use crate::config::Config;
use crate::journal::{Checkpoint, Entries, ImageKey, ImageRecord, Restorer, Verdict, WaysOut};
use crate::model::{Position, Timestamp};
use crate::sentiment::Scorer;
use crate::status::{OpenAlerts, Wanted};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;
const CUSTOMERS: u8 = 8;

fn plan(more: &str) -> Arc<Plan> {
    let text = format!(
        "[engine]\nforget_after = \"30d\"\n[limits]\ncustomers_per_partition = 6\n[pipeline]\nimages_per_commit = 0.3\n\
         checkpoint_interval = \"1h\"\n{more}"
    );
    let config = Config::load(Some(&text), &|path| Err(format!("{path} is not read here"))).unwrap();
    config.plan(vec![("web".into(), 0), ("support".into(), 0)], 0)
}

#[derive(Debug, Clone)]
enum Step {
    Touch {
        customer: u8,
        source: u16,
        kind: u8,
        after_ms: i64,
        back_ms: i64,
    },
    Idle {
        after_ms: i64,
    },
    Commit {
        delivered: bool,
    },
    Abort,
    Stop,
    /// `reconfigured`: what starts again has another configuration.
    Crash {
        compact: bool,
        retain: bool,
        reconfigured: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let touch = (0..CUSTOMERS, 0_u16..2, 0_u8..12, 0..6 * HOUR, prop_oneof![4 => Just(0), 1 => 0..40 * HOUR]);
    prop_oneof![
        12 => touch.prop_map(|(customer, source, kind, after_ms, back_ms)| Step::Touch {
            customer, source, kind, after_ms, back_ms
        }),
        1 => (HOUR..40 * 24 * HOUR).prop_map(|after_ms| Step::Idle { after_ms }),
        4 => any::<bool>().prop_map(|delivered| Step::Commit { delivered }),
        2 => Just(Step::Abort),
        1 => Just(Step::Stop),
        1 => any::<(bool, bool, bool)>().prop_map(|(compact, retain, reconfigured)| Step::Crash {
            compact, retain, reconfigured
        }),
    ]
}

/// What a read_committed reader would find.
#[derive(Debug, Default)]
struct Topics {
    images: Vec<ImageRecord>,
    /// (offset, record)
    journal: Vec<(i64, Vec<u8>)>,
    next_offset: i64,
    metadata: Option<String>,
    offsets: Vec<Option<i64>>,
}

impl Topics {
    /// Writes a transaction; answers the offset of its first journal record.
    fn write(&mut self, staged: &Staged) -> i64 {
        self.images.extend(staged.images.iter().cloned());
        let first = self.next_offset;
        for record in &staged.journal {
            self.journal.push((self.next_offset, record.clone()));
            // A transaction's marker takes an offset too.
            self.next_offset += 2;
        }
        self.metadata = Some(staged.metadata.clone());
        self.offsets = vec![None; 2];
        for (source, offset) in &staged.offsets {
            self.offsets[usize::from(*source)] = Some(*offset);
        }
        first
    }

    fn compact(&mut self) {
        let images = std::mem::take(&mut self.images);
        let newest = |at: usize, key: &[u8]| images.iter().rposition(|image| image.key == key) == Some(at);
        self.images =
            images.iter().enumerate().filter(|(at, image)| newest(*at, &image.key)).map(|(_, i)| i.clone()).collect();
    }

    /// Deletes what no restore needs.
    fn retain(&mut self) {
        let is_checkpoint = |image: &&ImageRecord| matches!(ImageKey::parse(&image.key), Ok(ImageKey::Checkpoint(_)));
        let newest = self.images.iter().rev().find(is_checkpoint).and_then(|image| image.value.as_deref());
        let from = newest.and_then(|value| Checkpoint::decode(value).unwrap().from_offset).unwrap_or(0);
        self.journal.retain(|(offset, _)| *offset >= from);
    }

    fn feed(&self, restorer: &mut Restorer) -> Result<(), crate::journal::Refusal> {
        for image in &self.images {
            let seq = image.value.is_none().then_some(image.seq);
            restorer.image(&image.key, image.value.as_deref(), seq)?;
        }
        let from = restorer.from_offset()?.unwrap_or(0);
        for (offset, record) in self.journal.iter().filter(|(offset, _)| *offset >= from) {
            restorer.journal(*offset, record)?;
        }
        Ok(())
    }

    fn restore(&self, plan: &Arc<Plan>) -> Partition {
        self.restore_by(plan, WaysOut::default())
    }

    fn restore_by(&self, plan: &Arc<Plan>, ways_out: WaysOut) -> Partition {
        let mut restorer = Partition::restorer(plan, 0, 99);
        restorer.allow(ways_out, true);
        restorer.journal_ends_at(self.next_offset);
        self.feed(&mut restorer).unwrap();
        match restorer.finish(self.metadata.as_deref(), &self.offsets) {
            Verdict::Ready(restored) => Partition::restored(Arc::clone(plan), scorer(), 0, *restored),
            verdict @ (Verdict::Retry(_) | Verdict::Refuse(_)) => panic!("{verdict:?}"),
        }
    }
}

/// Inputs in order, to be read again after an abort.
#[derive(Debug, Clone)]
enum Fed {
    Record { source: u16, offset: i64, at: i64, json: String },
    Idle(i64),
}

fn feed(partition: &mut Partition, fed: &Fed) {
    match fed {
        Fed::Record { source, offset, at, json } => {
            let position = Position { source: *source, partition: 0, offset: *offset };
            let value = Some(json.as_bytes());
            partition.record(&RawRecord { position, recorded_at: Some(Timestamp(*at)), value, ..RawRecord::default() });
        }
        Fed::Idle(now) => partition.idle(Timestamp(*now)),
    }
}

fn touch(number: usize, customer: u8, kind: u8, at: i64) -> String {
    let rating = |stars: u8| format!(r#","rating":{{"instrument":"stars","value":{stars},"min":1,"max":5}}"#);
    let (kind, more) = match kind {
        0 => ("checkout_started", r#","session_id":"s1""#.to_owned()),
        1 => ("order_completed", r#","session_id":"s1","order_id":"o1""#.to_owned()),
        2 => ("order_cancelled_by_merchant", r#","order_id":"o1""#.to_owned()),
        3 => ("order_delivered", format!(r#","order_id":"o1","due_at":{}"#, at - 50 * HOUR)),
        4 => ("reviewed", rating(1)),
        5 => ("reviewed", rating(5)),
        6 => ("payment_failed", String::new()),
        7 => ("contact_resolved", r#","conversation_id":"v1","outcome":"resolved""#.to_owned()),
        8 => ("odd", r#","consent":false"#.to_owned()),
        9 => return "{".to_owned(),
        10 => ("page_viewed", String::new()),
        _ => ("rage_clicked", r#","session_id":"s2""#.to_owned()),
    };
    // Some ids come twice.
    let id = number - usize::from(number.is_multiple_of(7));
    format!(
        r#"{{"id":"{id}","source":"s","customer_id":"c{customer}","channel":"web","kind":"{kind}","occurred_at":{at}{more}}}"#
    )
}

/// Everything of a partition that a restart must bring back, comparable.
fn state(partition: &Partition) -> (Vec<Option<Vec<u8>>>, String, Option<Timestamp>) {
    let engine = partition.engine();
    let image = |customer: u8| engine.find(&format!("c{customer}")).map(|slot| engine.image(slot).to_vec());
    (
        (0..CUSTOMERS).map(image).collect(),
        format!("{:?} {:?}", partition.meta(), engine.open_alerts()),
        engine.next_deadline(),
    )
}

/// What commits tell of open alerts is what is open.
fn assert_told(board: &OpenAlerts, staged: &Staged, partition: &Partition) {
    board.changed(0, &staged.observed.alerts);
    let listed = board.list(&Wanted::default(), usize::MAX).0;
    let told: BTreeSet<_> = listed.iter().map(|of| format!("{} {:?}", of.customer_id, of.alert)).collect();
    let open = partition.engine().open_alerts_by_customer();
    assert_eq!(told, open.iter().map(|(customer_id, alert)| format!("{customer_id} {alert:?}")).collect());
}

fn books(partition: &Partition) -> (u64, usize) {
    (partition.book().from_seq(), partition.book().dirty_customers())
}

fn assert_same_outputs(staged: &Staged, expected: &Staged) {
    assert_eq!(staged.alerts, expected.alerts);
    assert_eq!(staged.experience, expected.experience);
    assert_eq!(staged.dlq, expected.dlq);
    assert_eq!(staged.journal, expected.journal);
}

/// Another configuration: thresholds, times and rules that are off.
const OTHER: &str = "[rules.detractor]\nenabled = false\n[rules.silent_after_bad]\nsilence = \"2d\"\n\
    [rules.sentiment_drop]\nopen = -0.2\nclose = 0.1\n[rules.journey_stalled]\nmax_open = \"1d\"";

fn run(steps: Vec<Step>) {
    let plans = [plan(""), plan(OTHER)];
    let mut plan = &plans[0];
    let fresh = || Partition::new(Arc::clone(plan), scorer(), 0, 99, true);
    let (mut running, mut flawless) = (fresh(), fresh());
    let mut topics = Topics { offsets: vec![None; 2], ..Topics::default() };
    // Of the run in which nothing goes wrong: every image at every commit, so that it never replays anything.
    let mut flawless_topics = Topics { offsets: vec![None; 2], ..Topics::default() };
    let (mut staged, mut expected) = (Staged::default(), Staged::default());
    let board = OpenAlerts::default();
    let (mut now, mut offsets, mut number, mut uncommitted) = (START, [0_i64; 2], 0, Vec::new());
    for step in steps {
        match step {
            Step::Touch { customer, source, kind, after_ms, back_ms } => {
                now += after_ms;
                number += 1;
                let offset = offsets[usize::from(source)];
                offsets[usize::from(source)] += 1;
                let json = touch(number, customer, kind, now - back_ms);
                uncommitted.push(Fed::Record { source, offset, at: now, json });
                uncommitted.last().into_iter().for_each(|fed| feed(&mut running, fed));
            }
            Step::Idle { after_ms } => {
                now += after_ms;
                uncommitted.push(Fed::Idle(now));
                uncommitted.last().into_iter().for_each(|fed| feed(&mut running, fed));
            }
            Step::Commit { .. } | Step::Stop => {
                let due = if matches!(step, Step::Stop) { ImagesDue::All } else { ImagesDue::Due };
                running.stage(due, &mut staged);
                let offset = topics.write(&staged);
                running.commit();
                if matches!(step, Step::Commit { delivered: true }) {
                    running.journal_delivered(staged.seq, offset);
                }
                uncommitted.drain(..).for_each(|fed| feed(&mut flawless, &fed));
                flawless.stage(ImagesDue::All, &mut expected);
                flawless_topics.write(&expected);
                flawless.commit();
                assert_same_outputs(&staged, &expected);
                assert_eq!(state(&running), state(&flawless));
                assert_told(&board, &staged, &running);
            }
            Step::Abort => {
                let before = books(&running);
                running.stage(ImagesDue::Due, &mut staged);
                running.rollback();
                assert_eq!(books(&running), before, "an abort leaves the books as they were");
                assert_eq!(state(&running), state(&flawless));
                uncommitted.iter().for_each(|fed| feed(&mut running, fed));
            }
            Step::Crash { compact, retain, reconfigured } => {
                if compact {
                    topics.compact();
                }
                if retain {
                    topics.retain();
                }
                running.rollback();
                if reconfigured {
                    plan = &plans[usize::from(Arc::ptr_eq(plan, &plans[0]))];
                    flawless = flawless_topics.restore(plan);
                }
                let restored = topics.restore(plan);
                assert_eq!(state(&restored), state(&flawless), "what was running is restored");
                assert_eq!(books(&restored), books(&running));
                board.begin(0, restored.engine().open_alerts_by_customer());
                running = restored;
                uncommitted.iter().for_each(|fed| feed(&mut running, fed));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn aborts_and_crashes_leave_no_trace(steps in vec(step(), 1..120)) {
        run(steps);
    }
}

/// Three committed transactions and what they left in the topics.
fn three_transactions(plan: &Arc<Plan>) -> Topics {
    let mut partition = Partition::new(Arc::clone(plan), scorer(), 0, 5, true);
    let mut topics = Topics::default();
    let mut staged = Staged::default();
    for number in 1..=3_u8 {
        let at = START + i64::from(number);
        let json = touch(usize::from(number), number, 10, at);
        feed(&mut partition, &Fed::Record { source: 0, offset: i64::from(number), at, json });
        partition.stage(ImagesDue::Due, &mut staged);
        topics.write(&staged);
        partition.commit();
    }
    topics
}

fn verdict(plan: &Arc<Plan>, topics: &Topics) -> String {
    let mut restorer = Partition::restorer(plan, 0, 99);
    if let Err(refusal) = topics.feed(&mut restorer) {
        return format!("{refusal:?}");
    }
    match restorer.finish(topics.metadata.as_deref(), &topics.offsets) {
        Verdict::Ready(restored) => format!("Ready at {}", restored.book.committed().seq),
        Verdict::Retry(reason) => format!("Retry: {reason}"),
        Verdict::Refuse(refusal) => format!("{refusal:?}"),
    }
}

#[test]
fn topics_that_do_not_fit_together_are_refused() {
    let (plan, other_rules) = (plan(""), plan(OTHER));
    type Spoil = fn(&mut Topics);
    let cases: [(&str, Spoil, &str); 10] = [
        ("nothing", |_| {}, "Ready at 3"),
        ("absent offsets", |topics| (topics.metadata, topics.offsets) = (None, vec![None, None]), "Ready at 3"),
        ("a commit that is not visible yet", |topics| topics.metadata = Some("0000000000000005:4:-".into()), "Retry"),
        ("another epoch", |topics| topics.metadata = Some("0000000000000006:3:-".into()), "Epoch"),
        ("foreign metadata", |topics| topics.metadata = Some("hello".into()), "StateLost"),
        ("another offset", |topics| topics.offsets[0] = Some(17), "Offset"),
        ("a gap", |topics| drop(topics.journal.remove(1)), "Gap"),
        ("a lost beginning", |topics| drop(topics.journal.remove(0)), "Gap"),
        ("a lost end", |topics| drop(topics.journal.pop()), "TailLost"),
        ("everything but the offsets lost", |topics| (topics.images, topics.journal) = (vec![], vec![]), "StateLost"),
    ];
    for (name, spoil, expected) in cases {
        let mut topics = three_transactions(&plan);
        spoil(&mut topics);
        let verdict = verdict(&plan, &topics);
        assert!(verdict.starts_with(expected), "{name}: {verdict}");
    }
    // The tail of another configuration is replayed under its own, if that is there.
    let mut topics = three_transactions(&plan);
    assert_eq!(verdict(&other_rules, &topics), "Ready at 3");
    topics.images.retain(|image| !matches!(ImageKey::parse(&image.key), Ok(ImageKey::Configuration(_))));
    let without = verdict(&other_rules, &topics);
    assert!(without.starts_with("ConfigurationLost { seq: 1"), "{without}");
    assert_eq!(verdict(&plan, &topics), "Ready at 3", "its own is not looked for");
}

#[test]
fn lists_that_the_state_counts_on_may_only_grow() {
    let measures = |names: &[&str]| {
        let measures: Vec<String> =
            names.iter().map(|name| format!("{{ name = \"{name}\", counts = \"page_viewed\" }}")).collect();
        plan(&format!("[items]\nmeasures = [{}]", measures.join(", ")))
    };
    let topics = three_transactions(&measures(&["a", "b"]));
    assert_eq!(verdict(&measures(&["a", "b", "c"]), &topics), "Ready at 3");
    for names in [&["b", "a"][..], &["a"], &[]] {
        assert_eq!(verdict(&measures(names), &topics), "Misplaced(\"items.measures\")", "{names:?}");
    }
}

#[test]
fn after_a_clean_stop_another_configuration_starts() {
    let (plan, other_rules) = (plan(""), plan("[rules.detractor]\nnps = 5"));
    let mut topics = three_transactions(&plan);
    let mut partition = topics.restore(&plan);
    let mut staged = Staged::default();
    partition.stage(ImagesDue::All, &mut staged);
    topics.write(&staged);
    partition.commit();
    topics.compact();
    assert_eq!(verdict(&other_rules, &topics), "Ready at 4");
    let restored = topics.restore(&other_rules);
    assert_eq!(state(&restored), state(&partition));
    assert_eq!(books(&restored), (5, 0));
}

#[test]
fn a_partition_stopped_by_bad_records_goes_on_only_with_another_configuration() {
    let stops = "dlq_consecutive_max = 2";
    let (plan, mended) = (plan(stops), plan(&format!("{stops}\n[rules.detractor]\nnps = 5")));
    let mut partition = Partition::new(Arc::clone(&plan), scorer(), 0, 5, true);
    for offset in 0..2 {
        feed(&mut partition, &Fed::Record { source: 0, offset, at: START, json: "{".to_owned() });
    }
    let mut staged = Staged::default();
    partition.stage(ImagesDue::All, &mut staged);
    let mut topics = Topics::default();
    topics.write(&staged);
    partition.commit();
    assert!(partition.stop_reason().is_some());
    assert!(topics.restore(&plan).stop_reason().is_some());
    assert_eq!(topics.restore(&mended).stop_reason(), None);
}

#[test]
fn a_large_transaction_takes_several_records_and_needs_all_of_them() {
    let plan = plan("");
    let mut partition = Partition::new(Arc::clone(&plan), scorer(), 0, 5, true);
    for offset in 1..30_000 {
        let at = START + offset;
        let json = touch(usize::try_from(offset).unwrap(), u8::try_from(offset % 5).unwrap(), 10, at);
        feed(&mut partition, &Fed::Record { source: 0, offset, at, json });
    }
    let mut staged = Staged::default();
    partition.stage(ImagesDue::Due, &mut staged);
    let mut topics = Topics::default();
    topics.write(&staged);
    partition.commit();
    let sizes: Vec<usize> = topics.journal.iter().map(|(_, record)| record.len()).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= crate::journal::RECORD_BYTES_MAX), "{sizes:?}");
    assert_eq!(state(&topics.restore(&plan)), state(&partition));
    let last = topics.journal.pop().unwrap();
    assert!(verdict(&plan, &topics).starts_with("Retry"), "{}", verdict(&plan, &topics));
    topics.journal.push(last);
    topics.journal.remove(0);
    assert!(verdict(&plan, &topics).starts_with("Gap"), "{}", verdict(&plan, &topics));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn garbled_topics_are_refused_or_read_and_never_panic(
        in_journal: bool, record: prop::sample::Index, at: prop::sample::Index, byte: u8,
    ) {
        let plan = plan("");
        let mut topics = three_transactions(&plan);
        let bytes = if in_journal {
            let record = record.index(topics.journal.len());
            &mut topics.journal[record].1
        } else {
            let record = record.index(topics.images.len());
            let image = &mut topics.images[record];
            image.value.as_mut().unwrap_or(&mut image.key)
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert!(!verdict(&plan, &topics).is_empty());
    }
}

/// The alerts of a transaction, by customer in order.
fn by_customer(alerts: &[Keyed]) -> BTreeMap<Arc<str>, Vec<Option<Vec<u8>>>> {
    let mut customers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for alert in alerts {
        customers.entry(Arc::clone(&alert.key)).or_default().push(alert.value.clone());
    }
    customers
}

const FROM_INPUT: WaysOut = WaysOut { from_input: true, recompute_tail: false };
const RECOMPUTE_TAIL: WaysOut = WaysOut { from_input: false, recompute_tail: true };

/// Commits what `partition` did, writes it to `topics` and adds its alerts.
fn close(partition: &mut Partition, due: ImagesDue, topics: &mut Topics, alerts: &mut Vec<Keyed>) {
    let mut staged = Staged::default();
    partition.stage(due, &mut staged);
    let offset = topics.write(&staged);
    partition.commit();
    partition.journal_delivered(staged.seq, offset);
    alerts.append(&mut staged.alerts);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    /// No touchpoint is more than `timer_grace` behind: those may meet a deadline earlier or later than the first time, as in
    /// another order of arrival.
    #[test]
    fn what_the_journal_lost_is_made_up_for_from_the_inputs(
        steps in vec((0..5_u8, 0..8_u8, 0..6 * HOUR, prop_oneof![4 => Just(0), 1 => 0..=60_000_i64], 0..4_u8), 4..100),
        range: [prop::sample::Index; 2],
        compact: bool,
    ) {
        let plan = plan("");
        let (mut now, mut inputs, mut commits) = (START, Vec::new(), BTreeSet::new());
        for (offset, (customer, kind, after_ms, back_ms, commit)) in (0_i64..).zip(steps) {
            now += after_ms;
            let number = usize::try_from(offset).unwrap();
            inputs.push(Fed::Record { source: 0, offset, at: now, json: touch(number + 1, customer, kind, now - back_ms) });
            if commit == 0 {
                commits.insert(number);
            }
        }
        // What was seen does not move the watermark again: the next one does.
        let (number, offset) = (inputs.len() + 1, i64::try_from(inputs.len()).unwrap());
        inputs.push(Fed::Record { source: 0, offset, at: now, json: touch(number, 5, 10, now) });
        let fresh = || Partition::new(Arc::clone(&plan), scorer(), 0, 99, true);
        let (mut flawless, mut running) = (fresh(), fresh());
        let (mut topics, mut alerts) = (Topics { offsets: vec![None; 2], ..Topics::default() }, Vec::new());
        let (mut unused, mut expected) = (Topics::default(), Vec::new());
        running.start_at(0, 0);
        close(&mut running, ImagesDue::Due, &mut topics, &mut alerts);
        for (number, input) in inputs.iter().enumerate() {
            feed(&mut running, input);
            feed(&mut flawless, input);
            if commits.contains(&number) {
                close(&mut running, ImagesDue::Due, &mut topics, &mut alerts);
            }
        }
        close(&mut flawless, ImagesDue::All, &mut unused, &mut expected);
        // Some of the journal is lost: its beginning, its end, its middle, all.
        let mut range = range.map(|index| index.index(topics.journal.len() + 1));
        range.sort_unstable();
        topics.journal.drain(range[0]..range[1]);
        if compact {
            topics.compact();
        }
        let refused = verdict(&plan, &topics);
        prop_assert!(["Ready", "Gap", "TailLost"].iter().any(|known| refused.starts_with(known)), "{}", refused);
        let mut restored = topics.restore_by(&plan, FROM_INPUT);
        close(&mut restored, ImagesDue::Due, &mut topics, &mut alerts);
        close(&mut restored, ImagesDue::All, &mut topics, &mut alerts);
        prop_assert!(verdict(&plan, &topics).starts_with("Ready"), "{}", verdict(&plan, &topics));
        let mut again = topics.restore(&plan);
        prop_assert_eq!(state(&again), state(&restored));
        let next = usize::try_from(again.next_offset(0).unwrap()).unwrap();
        inputs[next..].iter().for_each(|input| feed(&mut again, input));
        close(&mut again, ImagesDue::All, &mut topics, &mut alerts);
        for (customer, (one, other)) in state(&again).0.iter().zip(&state(&flawless).0).enumerate() {
            prop_assert!(one == other, "c{} differs after {}", customer, refused);
        }
        prop_assert!(by_customer(&alerts) == by_customer(&expected), "other alerts after {}", refused);
    }
}

#[test]
fn a_tail_of_another_engine_is_refused_or_recomputed_and_told_again() {
    // What the old engine did not see, the new one does: here, because its configuration had the rule switched off.
    let (blind, plan) = (plan("[rules.detractor]\nenabled = false"), plan(""));
    let mut partition = Partition::new(Arc::clone(&blind), scorer(), 0, 5, true);
    let (mut topics, mut alerts) = (Topics::default(), Vec::new());
    let mut fed = 0;
    let mut feed_all = |partition: &mut Partition, touches: &[(u8, u8)]| {
        for (customer, kind) in touches {
            fed += 1;
            let at = START + i64::try_from(fed).unwrap() * 60_000;
            let offset = i64::try_from(fed).unwrap();
            feed(partition, &Fed::Record { source: 0, offset, at, json: touch(fed, *customer, *kind, at) });
        }
    };
    // A late delivery is a failure of service, told at once; the bad review after it is not.
    feed_all(&mut partition, &[(1, 3), (2, 10), (3, 3), (4, 10)]);
    close(&mut partition, ImagesDue::All, &mut topics, &mut alerts);
    let opened = alerts.len();
    // The first one gets an image: it is not of the tail.
    feed_all(&mut partition, &[(3, 10), (1, 10), (2, 4), (4, 10)]);
    close(&mut partition, ImagesDue::Due, &mut topics, &mut alerts);
    assert!(opened > 0 && alerts.len() == opened, "{alerts:?}");
    let (_, tail) = topics.journal.last_mut().unwrap();
    let (mut header, _) = Entries::of(tail).unwrap();
    let mut before = Vec::new();
    header.encode(&mut before);
    (header.engine_version, header.config_hash) = (1, plan.config_hash);
    let mut forged = Vec::new();
    header.encode(&mut forged);
    forged.extend_from_slice(&tail[before.len()..]);
    *tail = forged;
    assert_eq!(verdict(&plan, &topics), "Engine(1)");
    let mut restored = topics.restore_by(&plan, RECOMPUTE_TAIL);
    let mut staged = Staged::default();
    restored.stage(ImagesDue::Due, &mut staged);
    restored.rollback();
    let aborted = std::mem::take(&mut staged.alerts);
    alerts.clear();
    close(&mut restored, ImagesDue::Due, &mut topics, &mut alerts);
    assert_eq!(alerts, aborted, "an abort takes nothing back for good");
    let told: Vec<serde_json::Value> =
        alerts.iter().map(|alert| serde_json::from_slice(alert.value.as_ref().unwrap()).unwrap()).collect();
    let of = |alert: &serde_json::Value| {
        let text = |name: &str| alert[name].as_str().unwrap_or("-").to_owned();
        [text("customer_id"), text("kind"), text("phase"), alert["revision"].to_string(), text("reason")].join(" ")
    };
    let told: Vec<String> = told.iter().map(of).collect();
    let expected =
        ["c2 detractor opened 0 -", "c1 service_failure updated 1 recomputed", "c2 detractor updated 1 recomputed"];
    assert_eq!(told, expected);
    // Whoever was told of is done with; the rest of the tail still needs its images.
    assert_eq!(verdict(&plan, &topics), "Engine(1)");
    let again = topics.restore_by(&plan, RECOMPUTE_TAIL);
    assert_eq!(state(&again).0, state(&restored).0);
    assert_eq!(again.alerts(), [], "nobody is told twice");
    close(&mut restored, ImagesDue::All, &mut topics, &mut alerts);
    assert_eq!(verdict(&plan, &topics), "Ready at 4");
    assert_eq!(state(&topics.restore(&plan)), state(&restored));
}

/// One for all cases: reading the model takes longer than a case.
fn scorer() -> Arc<Scorer> {
    static SCORER: std::sync::LazyLock<Arc<Scorer>> = std::sync::LazyLock::new(|| Arc::new(Scorer::new()));
    Arc::clone(&SCORER)
}
