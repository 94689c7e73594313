use super::score::{Texts, score};
use super::*;
use crate::codec::Via;
use crate::config::Config;
use crate::engine::Limit;
use crate::model::{ItemType, Micro, Position, SignalSource, Timestamp};
use crate::sentiment::Scorer;
use std::collections::BTreeMap;

const NOON: i64 = 1_700_000_000_000;

fn plan(text: &str, partitions: i32) -> Arc<Plan> {
    let config = Config::load(Some(text), &|path| Err(format!("{path} is not read here"))).unwrap();
    config.plan(vec![("web".into(), 0), ("support".into(), 0)], partitions)
}

/// A touchpoint with `more` fields.
fn json(customer: &str, id: u64, time: i64, more: &str) -> String {
    format!(
        r#"{{"id":"{id}","source":"s","customer_id":"{customer}","channel":"web","kind":"odd","occurred_at":{time}{more}}}"#
    )
}

fn raw(offset: i64, value: &str) -> RawRecord<'_> {
    let position = Position { source: 0, partition: 0, offset };
    RawRecord { position, recorded_at: Some(Timestamp(NOON)), value: Some(value.as_bytes()), ..RawRecord::default() }
}

/// (source, score, weight) of every signal.
fn signals(plan: &Plan, record: &str) -> Vec<(SignalSource, i64, i64)> {
    let raw = raw(0, record);
    let touchpoint = plan.decode(&raw).unwrap();
    let mut texts = Texts::default();
    let (scored, _) = score(plan, &Scorer::new(), &touchpoint, raw.position, &mut texts);
    scored.signals.iter().flatten().map(|signal| (signal.source, signal.score.0, signal.weight.0)).collect()
}

#[test]
fn evidence_is_scored_in_the_order_of_the_definition() {
    use SignalSource::{Kind, Lateness, Outcome, Rating, Wait};
    let plan = plan("", 0);
    let rating = |instrument: &str, value: &str, min: u8, max: u8| {
        format!(r#","rating":{{"instrument":"{instrument}","value":{value},"min":{min},"max":{max}}}"#)
    };
    let delivered = |late_ms: i64| format!(r#","kind":"order_delivered","due_at":{}"#, NOON - late_ms);
    const DAY: i64 = 86_400_000;
    for (fields, expected) in [
        (String::new(), vec![]),
        (rating("nps", "0", 0, 10), vec![(Rating, -1_000_000, 3_000_000)]),
        (rating("nps", "6", 0, 10), vec![(Rating, -200_000, 3_000_000)]),
        (rating("nps", "7", 0, 10), vec![(Rating, 100_000, 3_000_000)]),
        (rating("nps", "8", 0, 10), vec![(Rating, 300_000, 3_000_000)]),
        (rating("nps", "9", 0, 10), vec![(Rating, 800_000, 3_000_000)]),
        (rating("nps", "10", 0, 10), vec![(Rating, 1_000_000, 3_000_000)]),
        (rating("csat", "2", 1, 5), vec![(Rating, -500_000, 3_000_000)]),
        (rating("stars", "5", 1, 5), vec![(Rating, 1_000_000, 2_000_000)]),
        (rating("ces", "1", 1, 7), vec![(Rating, -1_000_000, 3_000_000)]),
        (rating("custom", "25", 0, 100), vec![(Rating, -500_000, 3_000_000)]),
        (r#","channel":"in_store","wait_ms":0"#.into(), vec![(Wait, 500_000, 1_000_000)]),
        (r#","channel":"in_store","wait_ms":180000"#.into(), vec![(Wait, -250_000, 1_000_000)]),
        (r#","channel":"in_store","wait_ms":9000000"#.into(), vec![(Wait, -500_000, 1_000_000)]),
        (r#","channel":"support","wait_ms":9000000"#.into(), vec![]),
        (r#","channel":"support","outcome":"transferred""#.into(), vec![(Outcome, -400_000, 1_500_000)]),
        (r#","channel":"support","outcome":"abandoned""#.into(), vec![(Outcome, -800_000, 1_500_000)]),
        (r#","channel":"web","outcome":"abandoned""#.into(), vec![]),
        (delivered(0), vec![(Lateness, 300_000, 2_000_000)]),
        (delivered(DAY + DAY / 2), vec![(Lateness, -600_000, 2_000_000)]),
        (delivered(30 * DAY), vec![(Lateness, -1_000_000, 2_000_000)]),
        (r#","kind":"order_delivered""#.into(), vec![(Kind, 300_000, 2_000_000)]),
        (r#","kind":"order_delivered","actor":"system""#.into(), vec![]),
    ] {
        let record = fielded(&fields);
        assert_eq!(signals(&plan, &record), expected, "{record}");
    }
}

/// The record of [`json`] with fields replaced or added.
fn fielded(fields: &str) -> String {
    let mut record = String::from(r#"{"id":"1","source":"s","customer_id":"c""#);
    for (name, default) in
        [("channel", "\"web\"".to_owned()), ("kind", "\"odd\"".to_owned()), ("occurred_at", NOON.to_string())]
    {
        if !fields.contains(&format!("\"{name}\"")) {
            record += &format!(",\"{name}\":{default}");
        }
    }
    record + fields + "}"
}

#[test]
fn only_customers_text_is_scored_and_brands_are_masked() {
    let plan = plan("[scoring]\nbrand_words = [\"united\", \"great\", \"happy meal\"]", 0);
    let text = |text: &str, more: &str| signals(&plan, &json("c", 1, NOON, &format!(r#","text":"{text}"{more}"#)));
    let bad = text("terrible and awful service", "");
    assert!(bad[0].1 < -300_000, "{bad:?}");
    assert_eq!(text("terrible and awful service", r#","actor":"agent""#), []);
    assert_eq!(text("@happy_love_best United GREAT!", ""), text("!", ""));
    assert_eq!(text("the 'Happy Meal', cold. Happy people", ""), text("the '', cold. Happy people", ""));
    assert_eq!(text(r"awful\n> wonderful, great\nOn Monday Ann wrote:\nlovely", ""), text(r"awful\n", ""));
    assert_eq!(text("Automatic reply: I am happy to help you next week", ""), []);
    let long = "It is what it is. ".repeat(1_000);
    assert!(text(&format!("{long}I hate this awful shop."), "")[0].1 < text(&long, "")[0].1);
    let both = text("terrible", r#","rating":{"instrument":"stars","value":5,"min":1,"max":5}"#);
    assert_eq!(both.iter().map(|signal| signal.0).collect::<Vec<_>>(), [SignalSource::Rating, SignalSource::Text]);
}

fn partition(plan: &Arc<Plan>) -> Partition {
    Partition::new(Arc::clone(plan), Arc::new(Scorer::new()), 0, 7, true)
}

#[test]
fn times_ahead_of_the_record_are_clamped_and_move_no_watermark() {
    let mut partition = partition(&plan("", 0));
    assert_eq!(partition.record(&raw(0, &json("c", 1, NOON - 1_000, ""))), Fate::Applied);
    assert_eq!(partition.record(&raw(1, &json("c", 2, NOON + 3_600_000, ""))), Fate::Applied);
    assert_eq!(partition.watermark(), Some(Timestamp(NOON - 1_000)));
    assert_eq!(partition.record(&raw(2, &json("c", 3, NOON + 60_000, ""))), Fate::Applied);
    assert_eq!(partition.watermark(), Some(Timestamp(NOON + 60_000)));
    let mut staged = Staged::default();
    partition.stage(ImagesDue::Due, &mut staged);
    assert_eq!(staged.observed.clamped, BTreeMap::from([(0, 1)]));
    partition.commit();
    assert_eq!(partition.counters().clamped, 1);
    assert_eq!(partition.next_offset(0), Some(3));
}

#[test]
fn what_gives_way_to_something_newer_is_counted() {
    for (kind, id) in [
        ("checkout_started", "session_id"),
        ("order_cancelled_by_merchant", "order_id"),
        ("contact_started", "topic"),
        ("rage_clicked", "session_id"),
    ] {
        let mut partition = partition(&plan("[limits]\nopen_items_max = 2\n[[input]]\nname = \"a\"\nitem = []", 0));
        for number in 0..5_u64 {
            let time = NOON - 60_000 + i64::try_from(number).unwrap();
            let more = format!(r#","kind":"{kind}","{id}":"{number}""#);
            let record = json("c", number, time, &more).replacen(r#""kind":"odd","#, "", 1);
            assert_eq!(partition.record(&raw(0, &record)), Fate::Applied, "{record}");
        }
        let mut staged = Staged::default();
        partition.stage(ImagesDue::Due, &mut staged);
        assert!(staged.observed.items_dropped >= 3, "{kind}: {}", staged.observed.items_dropped);
    }
}

#[test]
fn no_touchpoint_makes_a_customer_larger_than_the_limit() {
    let limit = 4_096;
    let mut partition = partition(&plan(&format!("[limits]\ncustomer_bytes_max = {limit}\nopen_items_max = 1024"), 0));
    let bytes =
        |partition: &Partition| partition.engine().find("c").map_or(0, |slot| partition.engine().image(slot).len());
    let mut refused = 0;
    for number in 0..400_u64 {
        let time = NOON - 500_000 + 1_000 * i64::try_from(number).unwrap();
        let order = format!(r#","order_id":"{number}-{}""#, "x".repeat(150));
        let before = bytes(&partition);
        let fate = partition.record(&raw(0, &json("c", number, time, &order)));
        if fate == Fate::Refused(Limit::CustomerBytes) {
            refused += 1;
            assert_eq!(bytes(&partition), before, "a refusal changes nothing");
        } else {
            assert_eq!(fate, Fate::Applied);
        }
        assert!(bytes(&partition) <= limit, "{} bytes", bytes(&partition));
    }
    assert!(refused > 300 && bytes(&partition) > limit - 400, "{refused}, {}", bytes(&partition));
}

/// The plan of partitions of which there are 4, and a customer of partition 3.
fn elsewhere(text: &str) -> (Arc<Plan>, String) {
    let topic = RepartitionTopic { name: "through".into(), outbound: vec![(1, 2)] };
    let plan = Plan { repartition: Some(topic), ..Arc::unwrap_or_clone(plan(text, 4)) };
    (Arc::new(plan), customer_of(3))
}

fn customer_of(partition: i32) -> String {
    (0..).map(|n| format!("c{n}")).find(|id| partition_of(id.as_bytes(), 4) == partition).unwrap()
}

struct Given(Vec<(&'static str, &'static [u8])>);

impl codec::Headers for Given {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.0.get(index).copied()
    }
}

#[test]
fn every_place_has_one_reader_and_every_reader_its_places() {
    // Of the two topics of the plan, the second goes through the third: two partitions, sources 3 and 4 of partition 0.
    let (plan, _) = elsewhere("");
    assert_eq!(plan.reads(0), [Some((0, 0)), None, Some((2, 0)), Some((1, 0)), Some((1, 1))]);
    assert_eq!(plan.reads(3), [Some((0, 3)), None, Some((2, 3))]);
    assert_eq!(plan.identity(0).sources, ["web", "support", "through", "support[0]", "support[1]"]);
    let topics: Vec<&str> = plan.topics().collect();
    assert_eq!(topics, ["web", "support", "through"]);
    assert_eq!([0, 1, 2].map(|topic| plan.partitions_of(topic)), [4, 2, 4]);
    for (topic, name) in topics.iter().enumerate() {
        assert_eq!(plan.topic(topic), *name);
        for partition in 0..plan.partitions_of(topic) {
            let (owner, source) = plan.reader_of((topic, partition));
            assert_eq!(plan.reads(owner)[source], Some((topic, partition)));
            assert!(plan.sources_of(topic).contains(&source));
        }
    }
}

#[test]
fn records_of_other_partitions_go_on_once_with_all_they_had_and_their_origin() {
    let (plan, customer) = elsewhere("[pipeline]\nrecord_bytes_max = 1000000");
    let mut partition = partition(&plan);
    let record = json(&customer, 1, NOON, "");
    let headers = Given(vec![("own", b"1"), ("touchline.retries", b"2"), ("touchline.origin", b"forged:0:0:0")]);
    let direct = RawRecord { key: Some(b"k"), headers: Some(&headers), ..raw(5, &record) };
    assert_eq!(partition.record(&direct), Fate::Repartitioned);
    // Of a topic whose records all go on, those of the own partition, too; each of its partitions is a source.
    let position = Position { source: 1, partition: 1, offset: 9 };
    let own = json(&customer_of(0), 2, NOON, "");
    assert_eq!(partition.record(&RawRecord { position, via: Via::Outbound(4), ..raw(0, &own) }), Fate::Repartitioned);
    let large = json(&customer, 3, NOON, "") + &" ".repeat(950_000);
    assert_eq!(partition.record(&raw(6, &large)), Fate::Dlq(Code::TooLarge));
    let mut staged = Staged::default();
    partition.stage(ImagesDue::Due, &mut staged);
    let [first, second] = staged.forwarded.as_slice() else { panic!("{:?}", staged.forwarded) };
    assert_eq!((first.partition, first.key.as_deref()), (3, Some(b"k".as_slice())));
    assert_eq!(first.value.as_deref(), Some(record.as_bytes()));
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let origin = header("touchline.origin", &format!("web:0:5:{NOON}"));
    assert_eq!(first.headers, [header("own", "1"), header("touchline.retries", "2"), origin]);
    assert_eq!((second.partition, second.headers[0].1.as_slice()), (0, format!("support:1:9:{NOON}").as_bytes()));
    assert_eq!(staged.offsets, [(0, 7), (4, 10)]);
    assert_eq!(partition.book().meta().counters.repartitioned, 2);
    partition.rollback();
    partition.stage(ImagesDue::Due, &mut staged);
    assert_eq!(staged.forwarded, []);
}

#[test]
fn records_that_came_through_the_repartition_topic_keep_their_origin_and_go_no_further() {
    let (plan, customer) = elsewhere("");
    let at = |number| Partition::new(Arc::clone(&plan), Arc::new(Scorer::new()), number, 7, true);
    let origin = plan.origin(format!("support:1:9:{NOON}").as_bytes()).unwrap();
    assert_eq!(origin.position, Position { source: 1, partition: 1, offset: 9 });
    assert_eq!(origin.recorded_at, Some(Timestamp(NOON)));
    let detractor = r#","rating":{"instrument":"nps","value":0,"min":0,"max":10}"#;
    let record = json(&customer, 1, NOON, detractor);
    let came = RawRecord { position: origin.position, via: Via::Inbound(2, 40), ..raw(0, &record) };
    let (mut three, mut staged) = (at(3), Staged::default());
    assert_eq!(three.record(&came), Fate::Applied);
    three.stage(ImagesDue::Due, &mut staged);
    assert_eq!(staged.offsets, [(2, 41)]);
    let alert = String::from_utf8(staged.alerts[0].value.clone().unwrap()).unwrap();
    assert!(alert.contains(r#""topic":"support","partition":1,"offset":9"#), "{alert}");
    // Whoever has another number of partitions sent it here.
    let mut one = at(1);
    assert_eq!(one.record(&came), Fate::Dlq(Code::ForeignPartition));
    for header in ["", "support", "support:1:9", "support:x:9:1", "nowhere:1:9:1", "support:1:9:x"] {
        assert_eq!(plan.origin(header.as_bytes()), None, "{header}");
    }
    let position = Position { source: 2, partition: 1, offset: 41 };
    assert_eq!(
        one.record(&RawRecord { position, via: Via::Inbound(2, 41), ..raw(0, &record) }),
        Fate::Dlq(Code::Unmapped)
    );
    one.stage(ImagesDue::Due, &mut staged);
    let origins = staged.dlq.iter().map(|letter| (&letter.headers[3].1, &letter.headers[5].1));
    assert!(
        origins.eq([(&"support".to_owned(), &"9".to_owned()), (&"through".to_owned(), &"41".to_owned())]),
        "{:?}",
        staged.dlq
    );
}

#[test]
fn inputs_that_forbid_it_reject_records_of_other_partitions_with_their_origin() {
    let input = "[[input]]\nname = \"t\"\nformat = \"touchpoint-json\"\nrepartition = \"never\"";
    let (plan, customer) = elsewhere(input);
    let mut partition = partition(&plan);
    let record = json(&customer, 1, NOON, "");
    assert_eq!(partition.record(&raw(5, &record)), Fate::Dlq(Code::ForeignPartition));
    let mut staged = Staged::default();
    partition.stage(ImagesDue::Due, &mut staged);
    let letter = &staged.dlq[0];
    assert_eq!(letter.value.as_deref(), Some(record.as_bytes()));
    assert!(letter.headers.contains(&("touchline.reason", "foreign_partition".into())), "{:?}", letter.headers);
    assert!(letter.headers.contains(&("touchline.offset", "5".into())));
    assert!(letter.headers.iter().all(|(_, value)| !value.contains(&customer)));
    assert_eq!(staged.offsets, [(0, 6)]);
}

#[test]
fn rejected_records_in_a_row_stop_the_partition_until_a_good_one() {
    let mut partition = partition(&plan("[pipeline]\ndlq_consecutive_max = 3", 0));
    for offset in 0..3 {
        assert_eq!(partition.stop_reason(), None);
        assert!(matches!(partition.record(&raw(offset, "{")), Fate::Dlq(Code::Malformed)));
    }
    assert!(partition.stop_reason().unwrap().starts_with("3 records in a row"));
    partition.rollback();
    assert_eq!(partition.stop_reason(), None);
    assert_eq!(partition.pending(), Pending::default());
}

#[test]
fn a_share_of_rejected_records_stops_the_partition() {
    let mut partition = partition(&plan("[pipeline]\ndlq_ratio_max = 0.001", 0));
    for pair in 0..11 {
        assert_eq!(partition.stop_reason(), None, "{pair}");
        partition.record(&raw(2 * pair, "{"));
        partition.record(&raw(2 * pair + 1, &json("c", 1, NOON, "")));
    }
    assert!(partition.stop_reason().unwrap().contains("dlq_ratio_max"));
}

#[test]
fn payloads_too_large_for_the_broker_are_cut_in_the_dead_letters() {
    let mut partition = partition(&plan("", 0));
    let large = "x".repeat(2 << 20);
    assert_eq!(partition.record(&raw(0, &large)), Fate::Dlq(Code::TooLarge));
    let mut staged = Staged::default();
    partition.stage(ImagesDue::Due, &mut staged);
    assert_eq!(staged.dlq[0].value.as_ref().unwrap().len(), 900 * 1024);
    assert!(staged.dlq[0].headers.iter().any(|(name, _)| *name == "touchline.truncated"));
}

#[test]
fn what_a_touchpoint_says_of_its_item_is_read_and_what_cannot_be_is_counted() {
    let plan = plan(
        "[items]\nmeasures = [{ name = \"pieces\", field = \"/attributes/pieces\" }]\nsegments = [\"state\"]\n\
         [catalogue.promises.delivery]\n\
         [catalogue.kinds.odd]\nopens = [{ promise = \"delivery\", due = \"/attributes/promised\" }]",
        0,
    );
    for (attributes, measures, dues, unreadable) in [
        (r#"{"pieces":2.5,"promised":"2026-01-02T00:00:00Z"}"#, vec![(0, Micro(2_500_000))], 1, 0),
        (r#"{"pieces":"3","promised":1700000000000}"#, vec![(0, Micro::whole(3))], 1, 0),
        (r#"{"pieces":"many","promised":"soon"}"#, vec![], 0, 2),
        ("{}", vec![], 0, 0),
    ] {
        let record = json("c", 1, NOON, &format!(r#","order_id":"o-1","attributes":{attributes}"#));
        let raw = raw(0, &record);
        let touchpoint = plan.decode(&raw).unwrap();
        let (scored, _) = score(&plan, &Scorer::new(), &touchpoint, raw.position, &mut Texts::default());
        assert_eq!((&scored.measures, scored.dues.len()), (&measures, dues), "{attributes}");
        assert_eq!(scored.item(), Some((ItemType::Order, "o-1")));
        assert_eq!(about::unreadable(&plan, &touchpoint), unreadable, "{attributes}");
    }
}
