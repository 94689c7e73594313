use super::*;
use crate::codec::cloudevents::Event;
use crate::codec::{Code, Headers, Input, decode};
use crate::model::{
    Cause, Chance, Channel, EventHash, Evidence, FeatureValue, Figures, Item, ItemType, Micro, Phase, Position,
    Severity, TermKind, Timestamp,
};
use avro_json::json_of;
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "../../../tests/it/avro_json.rs"]
mod avro_json;

struct Words;

impl Vocabulary for Words {
    fn name(&self, name: Name) -> &str {
        if name == Name::of("delivered") { "delivered" } else { "use" }
    }
    fn source(&self, source: u16) -> &str {
        if source == 0 { "cx.touchpoints.web" } else { "history.jsonl" }
    }
    fn reads_files(&self) -> bool {
        false
    }
    fn context(&self, _: u8) -> &str {
        "store"
    }
    fn config_hash(&self) -> u64 {
        0xabc
    }
}

fn line() -> Evidence {
    Evidence {
        event: EventHash(1),
        kind: Name::of("delivered"),
        channel: Channel::Fulfilment,
        occurred_at: Timestamp(1_700_000_000_000),
        contribution: Micro(-1),
        term: None,
        value: None,
    }
}

fn change() -> AlertChange {
    AlertChange {
        alert_id: 255,
        phase: Phase::Opened,
        revision: 0,
        customer_id: "c\"1".into(),
        kind: "service_failure".into(),
        severity: Severity::High,
        event_time: Timestamp(1_700_000_000_000),
        detected_at: Timestamp(1_700_000_000_001),
        figure: "days_late".into(),
        before: Some(Micro::ZERO),
        after: Micro(-9_007_199_254_740_993),
        threshold: Micro(-200_000),
        evidence: vec![line()],
        remainder: Micro(1),
        stage: Some(Name::of("use")),
        channel: Some(Channel::Fulfilment),
        item: Some(Item { item_type: ItemType::Order, id: "o1".into() }),
        outcome: None,
        journey: None,
        chance: None,
        reason: Some("recovered"),
        rule_version: 1,
        message: None,
        suggested_action: Some("call".into()),
        position: Some(Position { source: 0, partition: 3, offset: 42 }),
    }
}

fn figures() -> Figures {
    Figures { index: 50, perception: Micro(-250_000), stage: Some(Name::of("use")), ..Figures::default() }
}

fn experience_change() -> ExperienceChange {
    ExperienceChange {
        customer_id: "c1".into(),
        time: Timestamp(1_700_000_000_000),
        before: Some(Figures::default()),
        after: figures(),
        open_alerts: vec![("detractor".into(), 7)],
        cause: Cause::Touchpoint(EventHash(9)),
        evidence: vec![line()],
        context: vec![(0, "Bristol".into())],
    }
}

fn encoded(change: &AlertChange) -> String {
    let mut out = Vec::new();
    alert(change, &Words, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn encoded_experience(change: &ExperienceChange) -> String {
    let mut out = Vec::new();
    experience(change, &Words, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Says what a schema holds against a document; none = valid.
fn objection(schema: &str, document: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document: Value = serde_json::from_str(document).unwrap();
    validator.validate(&document).err().map(|error| error.to_string())
}

const ALERT: &str = include_str!("../../../schemas/alert.json");
const EXPERIENCE: &str = include_str!("../../../schemas/experience.json");
const DEAD_LETTER: &str = include_str!("../../../schemas/dead-letter-headers.json");
const TOUCHPOINT: &str = include_str!("../../../schemas/touchpoint.json");

#[test]
fn an_alert_is_written_exactly() {
    assert_eq!(
        encoded(&change()),
        concat!(
            r#"{"alert_id":"00000000000000ff","phase":"opened","revision":0,"customer_id":"c\"1","#,
            r#""kind":"service_failure","severity":"high","event_time":1700000000000,"detected_at":1700000000001,"#,
            r#""figure":"days_late","before":0,"after":-9007199254.740993,"threshold":-0.2,"#,
            r#""evidence":[{"event":"0000000000000001","kind":"delivered","channel":"fulfilment","#,
            r#""occurred_at":1700000000000,"contribution":-0.000001}],"remainder":0.000001,"stage":"use","#,
            r#""channel":"fulfilment","item":{"type":"order","id":"o1"},"reason":"recovered","suggested_action":"call","#,
            r#""rule_version":1,"config_hash":"0000000000000abc","#,
            r#""position":{"topic":"cx.touchpoints.web","partition":3,"offset":42}}"#
        )
    );
}

#[test]
fn outputs_are_as_their_schemas_say() {
    let bare = AlertChange {
        before: None,
        stage: None,
        channel: None,
        item: None,
        reason: None,
        suggested_action: None,
        position: None,
        evidence: Vec::new(),
        ..change()
    };
    for change in [change(), bare] {
        assert_eq!(objection(ALERT, &encoded(&change)), None);
    }
    let new = ExperienceChange { before: None, cause: Cause::Timer, context: Vec::new(), ..experience_change() };
    for change in [experience_change(), new] {
        assert_eq!(objection(EXPERIENCE, &encoded_experience(&change)), None);
    }
}

#[test]
fn schemas_refuse_what_is_not_an_output() {
    for (right, wrong) in [
        (r#""phase":"opened""#, r#""phase":"began""#),
        (r#""revision":0,"#, ""),
        (r#""alert_id":"00000000000000ff""#, r#""alert_id":"ff""#),
        (r#""revision":0"#, r#""revision":0,"text":"leaked""#),
        (r#""partition":3,"#, ""),
    ] {
        let document = encoded(&change()).replacen(right, wrong, 1);
        assert!(objection(ALERT, &document).is_some(), "{wrong}");
    }
    let document = encoded_experience(&experience_change()).replace(r#""index":50"#, r#""index":101"#);
    assert!(objection(EXPERIENCE, &document).is_some());
}

#[test]
fn headers_of_dead_letters_say_why_and_where() {
    let record = RawRecord {
        position: Position { source: 0, partition: 2, offset: 17 },
        recorded_at: Some(Timestamp(5)),
        key: None,
        value: Some(b"{\"id\":\"canary"),
        retries: 2,
        ..RawRecord::default()
    };
    let rejection = decode(&Input::default(), &record).unwrap_err();
    assert_eq!(rejection.code, Code::Malformed);
    let headers = dead_letter_headers(&record, &rejection, "cx.touchpoints.web");
    let object: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
    assert_eq!(object["touchline.retries"], "2");
    let document = serde_json::to_string(&object).unwrap();
    assert_eq!(objection(DEAD_LETTER, &document), None);
    assert!(document.contains(r#""touchline.offset":"17""#));
    assert!(!document.contains("canary"));
}

/// The schema of touchpoints and the decoder agree on what is a touchpoint.
#[test]
fn touchpoints_are_read_as_their_schema_says() {
    let good = r#"{"id":"e","source":"s","customer_id":"c","channel":"web","kind":"k","occurred_at":1700000000000}"#;
    let more = |fields: &str| good.replace('}', &format!(",{fields}}}"));
    for (document, valid) in [
        (good.to_owned(), true),
        (more(r#""rating":{"instrument":"nps","value":9},"outcome":"success","contact":"indirect""#), true),
        (more(r#""attributes":{"a":"x","b":1.5,"c":true},"consent":false,"due_at":1700000000000"#), true),
        (more(r#""rating":{"instrument":"custom","value":9,"min":0,"max":20},"text":"fine""#), true),
        (more(r#""rating":{"instrument":"custom","value":9}"#), false),
        (more(r#""rating":{"instrument":"nps","value":12}"#), false),
        (more(r#""wait_ms":-1"#), false),
        (more(r#""attributes":{"a":[1]}"#), false),
        (more(r#""actor":"robot""#), false),
        (good.replace("1700000000000", "1700000000"), false),
        (good.replace("\"e\"", "\"\""), false),
        (good.replace("\"kind\":\"k\",", ""), false),
    ] {
        let record =
            RawRecord { position: Position::default(), value: Some(document.as_bytes()), ..RawRecord::default() };
        assert_eq!(decode(&Input::default(), &record).is_ok(), valid, "decoder: {document}");
        assert_eq!(objection(TOUCHPOINT, &document).is_none(), valid, "schema: {document}");
    }
}

fn avro() -> Format {
    Format::Avro(Schemas::new(7, 258).unwrap().into())
}

/// What an independent reader makes of a message, and its schema's id.
fn read_by_apache_avro(schema: &str, message: &Message) -> (u32, Value) {
    assert_eq!((message.value[0], message.headers.len()), (0, 0));
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    let mut datum = &message.value[5..];
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let value = reader.read_value(&mut datum).unwrap();
    assert!(datum.is_empty());
    (u32::from_be_bytes(message.value[1..5].try_into().unwrap()), json_of(&value))
}

fn assert_alert_survives_avro(change: &AlertChange) {
    let json: Value = serde_json::from_str(&encoded(change)).unwrap();
    let message = avro().alert(change, &Words, &mut Vec::new());
    assert_eq!(read_by_apache_avro(ALERT_AVRO, &message), (7, json));
}

const ALERT_AVRO: &str = super::ALERT;

#[test]
fn an_alert_in_avro_says_what_its_json_says() {
    assert_alert_survives_avro(&change());
    let (of, term) = (Some(Name::of("delivered")), Some(TermKind::Feature));
    let values = [
        FeatureValue::Missing,
        FeatureValue::Count(10),
        FeatureValue::Ms(i64::MAX),
        FeatureValue::Number(Micro(-1_500_000)),
        FeatureValue::Number(Micro(10_000_000)),
        FeatureValue::Category(Name::of("delivered")),
    ];
    let lines = values.map(|value| Evidence { term: term.map(|term| (term, of)), value: Some(value), ..line() });
    let average = Evidence { term: Some((TermKind::Average, None)), ..line() };
    let chance = |calibrated| Chance { probability: Micro(125_000), calibrated };
    for change in [
        AlertChange { evidence: lines.into_iter().chain([average]).collect(), chance: Some(chance(None)), ..change() },
        AlertChange {
            chance: Some(chance(Some((Micro(1), Micro(999_999))))),
            message: Some("late".into()),
            ..change()
        },
        AlertChange { before: None, stage: None, channel: None, item: None, reason: None, position: None, ..change() },
        AlertChange {
            outcome: Some(Name::of("delivered")),
            journey: Some(Name::of("delivered")),
            kind: "own_rule".into(),
            suggested_action: None,
            ..change()
        },
    ] {
        assert_alert_survives_avro(&change);
    }
}

#[test]
fn every_word_of_an_alert_has_its_symbol() {
    for phase in Phase::ALL {
        assert_alert_survives_avro(&AlertChange { phase, ..change() });
    }
    for severity in Severity::ALL {
        assert_alert_survives_avro(&AlertChange { severity, ..change() });
    }
    for channel in Channel::ALL {
        let evidence = vec![Evidence { channel, ..line() }];
        assert_alert_survives_avro(&AlertChange { channel: Some(channel), evidence, ..change() });
        let evidence = vec![Evidence { channel, ..line() }];
        assert_experience_survives_avro(&ExperienceChange { evidence, ..experience_change() });
    }
}

fn assert_experience_survives_avro(change: &ExperienceChange) {
    let json: Value = serde_json::from_str(&encoded_experience(change)).unwrap();
    let message = avro().experience(change, &Words, &mut Vec::new());
    assert_eq!(read_by_apache_avro(super::EXPERIENCE, &message), (258, json));
}

#[test]
fn an_experience_change_in_avro_says_what_its_json_says() {
    let bare = ExperienceChange {
        before: None,
        cause: Cause::Timer,
        context: Vec::new(),
        evidence: Vec::new(),
        open_alerts: Vec::new(),
        ..experience_change()
    };
    for change in [experience_change(), bare] {
        assert_experience_survives_avro(&change);
    }
}

proptest! {
    #[test]
    fn every_number_survives_avro(after: i64, contribution in -2_000_000_000_i64..2_000_000_000, remainder in -300_i64..300) {
        let evidence = vec![Evidence { contribution: Micro(contribution), ..line() }];
        // The JSON of the test is read through a double: only as much as that holds.
        let after = Micro(after / 1_000_000);
        let change =
            AlertChange { after, evidence, remainder: Micro(remainder * 1_000_000), before: Some(Micro(contribution)), ..change() };
        assert_alert_survives_avro(&change);
    }
}

#[test]
fn the_greatest_numbers_are_exact_in_avro() {
    for after in [i64::MAX, i64::MIN, 9_007_199_254_740_993, -128, 128, 255, 0] {
        let message = avro().alert(&AlertChange { after: Micro(after), ..change() }, &Words, &mut Vec::new());
        let bytes = after.to_be_bytes();
        let is_sign = |at: &usize| bytes[*at] == if after < 0 { 0xff } else { 0 };
        let is_kept = |at: usize| at == 8 || (bytes[at] & 0x80 != 0) != (after < 0);
        let from = (0..7).take_while(|at| is_sign(at) && !is_kept(at + 1)).count();
        let exact = &bytes[from..];
        let expected = [&[u8::try_from(exact.len() * 2).unwrap()], exact].concat();
        assert!(message.value.windows(expected.len()).any(|window| window == expected), "{after}");
    }
}

/// Headers as a record has them.
impl Headers for Vec<(&'static str, String)> {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.get(index).map(|(name, value)| (*name, value.as_bytes()))
    }
}

#[test]
fn events_are_as_their_standard_says_and_hold_the_json() {
    let (json, experience): (Value, Value) = (
        serde_json::from_str(&encoded(&change())).unwrap(),
        serde_json::from_str(&encoded_experience(&experience_change())).unwrap(),
    );
    for is_structured in [false, true] {
        let format = Format::CloudEvents { source: "/touchline/g".into(), is_structured };
        let mut scratch = b"left over".to_vec();
        for (message, data, id, event_type) in [
            (format.alert(&change(), &Words, &mut scratch), &json, "00000000000000ff-0", "touchline.alert.opened"),
            (
                format.experience(&experience_change(), &Words, &mut scratch),
                &experience,
                &*format!("{:016x}", crate::model::hash64(encoded_experience(&experience_change()).as_bytes())),
                "touchline.experience.changed",
            ),
        ] {
            let record =
                RawRecord { value: Some(&message.value), headers: Some(&message.headers), ..RawRecord::default() };
            let event = Event::read(&record, &message.value).expect("our own reader reads it");
            let subject = data["customer_id"].clone();
            let expected = json!({"specversion": "1.0", "id": id, "source": "/touchline/g", "type": event_type,
                "subject": subject, "time": "2023-11-14T22:13:20Z", "data": data});
            let mut whole: Value = if is_structured {
                assert_eq!(message.headers.len(), 1);
                serde_json::from_slice(&message.value).unwrap()
            } else {
                let attributes =
                    message.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
                let attributes: serde_json::Map<String, Value> =
                    attributes.map(|(name, value)| (name.to_owned(), Value::from(value.as_str()))).collect();
                let mut whole = Value::Object(attributes);
                whole["data"] = serde_json::from_slice(&message.value).unwrap();
                whole
            };
            drop(event);
            whole.as_object_mut().unwrap().remove("datacontenttype");
            assert_eq!(whole, expected);
        }
    }
}
