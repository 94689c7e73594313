use super::mapping::{AttributesMapping, Expr, Field, From, RatingMapping};
use super::node::Node;
use super::*;
use crate::model::{Actor, Attribute, Instrument, Micro, Outcome};
use proptest::prelude::*;
use std::borrow::Cow;

fn input() -> Input {
    Input { junk_ids: vec!["null".into(), "undefined".into(), "anonymous".into(), "-1".into()], ..Input::default() }
}

fn record(value: &[u8]) -> RawRecord<'_> {
    RawRecord { position: Position::default(), value: Some(value), ..RawRecord::default() }
}

pub(super) const GOOD: &str = r#"{"id":"e1","source":"shop","customer_id":"c1","channel":"web","kind":"order_placed","occurred_at":1700000000000}"#;

/// The good record with one field more, or another.
fn with(name: &str, value: &str) -> String {
    let mut fields: Vec<(String, String)> = [
        ("id", r#""e1""#),
        ("source", r#""shop""#),
        ("customer_id", r#""c1""#),
        ("channel", r#""web""#),
        ("kind", r#""order_placed""#),
        ("occurred_at", "1700000000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    fields.retain(|(known, _)| known != name);
    fields.push((name.to_owned(), value.to_owned()));
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn code(payload: &[u8]) -> Result<(), (Code, String)> {
    decode(&input(), &record(payload)).map(drop).map_err(|rejection| (rejection.code, rejection.detail))
}

#[test]
fn a_full_touchpoint_is_read_without_copying_its_text() {
    let payload = r#"{"id":"e1","source":"shop","customer_id":"c1","channel":"carrier pigeon","kind":"k","occurred_at":1700000000000,
        "contact":"indirect","actor":"agent","session_id":"s","conversation_id":"v","order_id":"o","product_id":"p",
        "location_id":"l","topic":"t","rating":{"instrument":"custom","value":3.5,"min":0,"max":7},"text":"fine \u0021",
        "language":"en-GB","wait_ms":5,"duration_ms":0,"outcome":"abandoned","amount_minor":1299,"currency":"EUR",
        "due_at":1700000000001,"consent":true,"attributes":{"tier":"gold","lines":3,"gift":false,"none":null},
        "identifiers":[{"type":"cookie","value":"x"}]}"#;
    let input = input();
    let touchpoint = decode(&input, &record(payload.as_bytes())).unwrap();
    assert!(matches!(touchpoint.customer_id, Cow::Borrowed("c1")));
    assert!(matches!(touchpoint.session_id, Some(Cow::Borrowed("s"))));
    assert!(matches!(touchpoint.attributes[0], (Cow::Borrowed("tier"), Attribute::Text(Cow::Borrowed("gold")))));
    assert_eq!(touchpoint.attributes.len(), 3);
    assert_eq!((touchpoint.channel, touchpoint.channel_unknown), (Channel::Other, true));
    assert_eq!((touchpoint.actor, touchpoint.outcome), (Some(Actor::Agent), Some(Outcome::Abandoned)));
    assert_eq!(touchpoint.text.as_deref(), Some("fine !"));
    let rating = touchpoint.rating.unwrap();
    assert_eq!((rating.value, rating.min, rating.max), (Micro(3_500_000), Micro::ZERO, Micro::whole(7)));
    assert_eq!((touchpoint.due_at, touchpoint.consent), (Some(Timestamp(1_700_000_000_001)), Some(true)));
    assert_eq!((touchpoint.amount_minor, touchpoint.currency.as_deref()), (Some(1299), Some("EUR")));
}

/// The hostile inputs on the JSON side, and the rest of what can be wrong with one record.
#[test]
fn every_hostile_input_has_its_code() {
    for (payload, expected) in broken().into_iter().chain(wrong()) {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(200)]).into_owned();
        let (code, detail) = code(&payload).expect_err(&shown);
        assert_eq!(code, expected, "{shown}: {detail}");
        assert!(detail.len() < 60, "{detail}");
    }
    assert_eq!(arrival(&input(), &record(GOOD.as_bytes())), Some(Timestamp(1_700_000_000_000)));
    assert_eq!(arrival(&input(), &record(b"{")), None);
    let tombstone = RawRecord { value: None, ..record(b"") };
    assert_eq!(decode(&input(), &tombstone).unwrap_err().code, Code::Empty);
}

/// Payloads that are no JSON, or not what JSON may hold.
fn broken() -> Vec<(Vec<u8>, Code)> {
    let deep = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    vec![
        (b"".to_vec(), Code::Empty),
        (b"\"\xff\xfe\"".to_vec(), Code::Malformed),
        (GOOD.replace("c1", "c\u{1}").into_bytes(), Code::Malformed),
        ([&b"{\"id\":\"\xc3\x28\""[..], &GOOD.as_bytes()[8..]].concat(), Code::Malformed),
        ([&b"\xef\xbb\xbf"[..], GOOD.as_bytes()].concat(), Code::Malformed),
        (format!("{GOOD}x").into_bytes(), Code::Malformed),
        (format!("{GOOD}{GOOD}").into_bytes(), Code::Malformed),
        (GOOD.as_bytes()[..60].to_vec(), Code::Malformed),
        (b"   ".to_vec(), Code::Malformed),
        (deep(128).into_bytes(), Code::Depth),
        ("[".repeat(1_000_000).into_bytes(), Code::Depth),
        ("{\"a\":".repeat(1_000_000).into_bytes(), Code::Depth),
        (with("wait_ms", "NaN").into_bytes(), Code::Number),
        (with("wait_ms", "-Infinity").into_bytes(), Code::Number),
        (with("wait_ms", "1e400").into_bytes(), Code::Number),
        (with("wait_ms", &"9".repeat(30)).into_bytes(), Code::Number),
        (with("occurred_at", "18446744073709551615").into_bytes(), Code::Number),
        (with("rating", r#"{"instrument":"nps","value":1e300}"#).into_bytes(), Code::Number),
    ]
}

/// JSON whose fields may not hold what they hold.
fn wrong() -> Vec<(Vec<u8>, Code)> {
    let long = format!("\"{}\"", "x".repeat(10_000_000));
    let many = (0..65).map(|at| format!("\"a{at}\":1")).collect::<Vec<_>>().join(",");
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(4096));
    vec![
        (with("wait_ms", "-1").into_bytes(), Code::Range),
        (with("amount_minor", "-9223372036854775808").into_bytes(), Code::Range),
        (with("rating", r#"{"instrument":"nps","value":11}"#).into_bytes(), Code::Range),
        (with("rating", r#"{"instrument":"stars","value":3,"min":1,"max":10}"#).into_bytes(), Code::Range),
        (with("rating", r#"{"instrument":"custom","value":3,"min":4,"max":4}"#).into_bytes(), Code::Range),
        (with("rating", r#"{"instrument":"custom","value":3}"#).into_bytes(), Code::Missing),
        (with("rating", r#"{"instrument":"nps"}"#).into_bytes(), Code::Missing),
        (with("rating", r#"{"instrument":"likes","value":3}"#).into_bytes(), Code::Type),
        (with("rating", "5").into_bytes(), Code::Type),
        (GOOD.replace("\"id\":\"e1\"", "\"id\":\"e1\",\"id\":\"e2\"").into_bytes(), Code::Malformed),
        (with("attributes", r#"{"a":1,"a":2}"#).into_bytes(), Code::Malformed),
        (with("nobody_reads_this", r#"{"a":1,"a":2}"#).into_bytes(), Code::Malformed),
        (with("customer_id", r#""\ud800""#).into_bytes(), Code::Malformed),
        (with("customer_id", r#""a\u0000b""#).into_bytes(), Code::Id),
        (with("customer_id", r#""\u001b[31mred""#).into_bytes(), Code::Id),
        (with("customer_id", r#""a\r\nb""#).into_bytes(), Code::Id),
        (with("customer_id", "\"a\u{85}b\"").into_bytes(), Code::Id),
        (with("customer_id", &long).into_bytes(), Code::Id),
        (with("customer_id", r#""""#).into_bytes(), Code::Id),
        (with("id", r#""""#).into_bytes(), Code::Id),
        (with("customer_id", r#""Undefined""#).into_bytes(), Code::JunkId),
        (with("customer_id", r#""null""#).into_bytes(), Code::JunkId),
        (with("customer_id", r#""000000""#).into_bytes(), Code::JunkId),
        (with("customer_id", "null").into_bytes(), Code::Missing),
        (with("customer_id", "17").into_bytes(), Code::Type),
        (with("occurred_at", "9223372036854775807").into_bytes(), Code::TsRange),
        (with("occurred_at", "9214646400000").into_bytes(), Code::TsRange),
        (with("occurred_at", "-1").into_bytes(), Code::TsRange),
        (with("occurred_at", "1700000000").into_bytes(), Code::TsRange),
        (with("due_at", "1700000000").into_bytes(), Code::TsRange),
        (with("occurred_at", r#""2023-11-14T22:13:20Z""#).into_bytes(), Code::Type),
        (with("occurred_at", "1700000000000.5").into_bytes(), Code::Type),
        (with("currency", r#""euro""#).into_bytes(), Code::Type),
        (with("outcome", r#""whatever""#).into_bytes(), Code::Type),
        (with("consent", r#""no""#).into_bytes(), Code::Type),
        (with("attributes", &format!("{{{many}}}")).into_bytes(), Code::Attributes),
        (with("attributes", &large).into_bytes(), Code::Attributes),
        (with("attributes", r#"{"a":[1]}"#).into_bytes(), Code::Type),
        (with("attributes", "[]").into_bytes(), Code::Type),
        (b"[1,2]".to_vec(), Code::Type),
        (b"\"text\"".to_vec(), Code::Type),
        (b"{}".to_vec(), Code::Missing),
    ]
}

#[test]
fn what_only_looks_hostile_is_read() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for payload in [
        GOOD.to_owned(),
        with("x", &deep(126)),
        with("session_id", "\"\""),
        with("session_id", "null"),
        with("customer_id", "\"e\u{301}lodie\""),
        with("customer_id", "\"007\""),
        with("rating", r#"{"instrument":"stars","value":5,"min":1,"max":5}"#),
        with("rating", r#"{"instrument":"custom","value":-0.0,"min":-1,"max":1}"#),
        format!("\n {GOOD} \r\n"),
    ] {
        assert_eq!(code(payload.as_bytes()), Ok(()), "{payload}");
    }
}

fn at(pointer: &str) -> From {
    From::First(vec![Pointer::parse(pointer).unwrap()])
}

fn mapped() -> Input {
    let plain = |field, pointer: &str| (field, Expr::plain(at(pointer)));
    let table = [("call", "support"), ("shop", "in_store")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    let mapping = Mapping {
        fields: vec![
            plain(Field::Id, "/event/0/id"),
            (Field::Source, Expr::plain(From::Const(Node::Text("crm".into())))),
            (Field::CustomerId, Expr::plain(From::Key)),
            (Field::Channel, Expr { table: Some(table.into()), ..Expr::plain(at("/how")) }),
            (Field::Kind, Expr { default: Some("visit".into()), ..Expr::plain(at("/what")) }),
            (Field::OccurredAt, Expr { time: Some(TimeFormat::Rfc3339), ..Expr::plain(at("/when")) }),
            (Field::DueAt, Expr { time: Some(TimeFormat::EpochS), ..Expr::plain(at("/due")) }),
            (Field::OrderId, Expr { prefix: Some("order-".into()), ..Expr::plain(at("/a~1b")) }),
            (
                Field::Text,
                Expr::plain(From::First(vec![Pointer::parse("/note").unwrap(), Pointer::parse("/subject").unwrap()])),
            ),
            plain(Field::WaitMs, "/wait"),
        ],
        rating: Some(RatingMapping { instrument: Instrument::Stars, value: Expr::plain(at("/stars")), scale: None }),
        attributes: Some(AttributesMapping::All(Pointer::parse("/more").unwrap())),
    };
    Input {
        format: Format::Json(mapping),
        arrival: vec![(Pointer::parse("/seen").unwrap(), TimeFormat::EpochS)],
        ..input()
    }
}

#[test]
fn a_mapping_reads_the_users_own_fields() {
    let input = mapped();
    let payload = r#"{"event":[{"id":17}],"how":"call","what":"","when":"2023-11-14T23:13:20+01:00","due":"1700000060",
        "a/b":42,"note":"","subject":"late again","wait":"250","stars":"2","more":{"a":1,"b":[2],"c":null,"d":"x"},"seen":1700000001}"#;
    let record = RawRecord { key: Some(b"c9"), ..record(payload.as_bytes()) };
    let touchpoint = decode(&input, &record).unwrap();
    assert_eq!(
        (touchpoint.id.as_ref(), touchpoint.source.as_ref(), touchpoint.customer_id.as_ref()),
        ("17", "crm", "c9")
    );
    assert_eq!((touchpoint.channel, touchpoint.kind.as_ref()), (Channel::Support, "visit"));
    assert_eq!(touchpoint.occurred_at, Timestamp(1_700_000_000_000));
    assert_eq!(touchpoint.due_at, Some(Timestamp(1_700_000_060_000)));
    assert_eq!(touchpoint.order_id.as_deref(), Some("order-42"));
    assert_eq!(touchpoint.text.as_deref(), Some("late again"));
    assert_eq!(touchpoint.wait_ms, Some(250));
    assert_eq!(touchpoint.rating.map(|rating| rating.value), Some(Micro::whole(2)));
    let names: Vec<&str> = touchpoint.attributes.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(names, ["a", "d"]);
    assert_eq!(arrival(&input, &record), Some(Timestamp(1_700_000_001_000)));
}

#[test]
fn a_mapping_rejects_with_the_field_and_never_with_its_content() {
    let input = mapped();
    let good = r#"{"event":[{"id":"canary"}],"how":"call","when":"2023-11-14T22:13:20Z"}"#;
    for (payload, key, expected) in [
        (good.replace("call", "canary"), Some(&b"c9"[..]), Code::Unmapped),
        (good.replace("2023-11-14T22:13:20Z", "canary"), Some(b"c9"), Code::Type),
        (good.replace("2023-", "1923-"), Some(b"c9"), Code::TsRange),
        (good.to_owned(), None, Code::NoKey),
        (good.to_owned(), Some(b""), Code::NoKey),
        (good.to_owned(), Some(b"\xff"), Code::Id),
        (good.replace("}]", "}],\"wait\":\"canary\""), Some(b"c9"), Code::Type),
        (good.replace("\"id\"", "\"no\""), Some(b"c9"), Code::Missing),
        ("{\"canary\":\"".to_owned(), Some(b"c9"), Code::Malformed),
    ] {
        let rejection = decode(&input, &RawRecord { key, ..record(payload.as_bytes()) }).expect_err(&payload);
        assert_eq!(rejection.code, expected, "{payload}: {}", rejection.detail);
        assert!(!rejection.detail.contains("canary"));
    }
}

#[test]
fn a_row_of_a_csv_file_becomes_a_record() {
    let Format::Json(mut mapping) = mapped().format else { panic!("a mapping") };
    mapping.fields.retain(|(field, _)| *field != Field::Id);
    mapping.fields.push((Field::Id, Expr::plain(at("/number"))));
    let input = Input { format: Format::Csv(mapping), ..mapped() };
    let mut row = Vec::new();
    csv_row(["number", "how", "when", "stars"], ["0017", "shop", "2023-11-14T22:13:20Z", ""], &mut row).unwrap();
    let record = RawRecord { key: Some(b"c9"), ..record(&row) };
    let touchpoint = decode(&input, &record).unwrap();
    assert_eq!((touchpoint.id.as_ref(), touchpoint.channel, touchpoint.rating), ("0017", Channel::InStore, None));
    assert_eq!(arrival(&input, &record), Some(touchpoint.occurred_at));
}

proptest! {
    #[test]
    fn no_bytes_panic(payload in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..120, flip in 0usize..120, to in any::<u8>()) {
        let inputs = [input(), mapped()];
        for input in &inputs {
            drop(decode(input, &record(&payload)));
            let mut damaged = GOOD.as_bytes().to_vec();
            let at = flip.min(damaged.len() - 1);
            damaged[at] = to;
            drop(decode(input, &record(&damaged)));
            drop(decode(input, &record(&GOOD.as_bytes()[..cut.min(GOOD.len())])));
        }
    }

    #[test]
    fn ids_are_kept_byte_by_byte(id in "[^\\p{Cc}]{1,40}") {
        let text = serde_json::to_string(&id).unwrap();
        let input = Input { junk_ids: vec![], ..Input::default() };
        let payload = with("customer_id", &text);
        match decode(&input, &record(payload.as_bytes())) {
            Ok(touchpoint) => prop_assert_eq!(touchpoint.customer_id.as_ref(), id.as_str()),
            Err(rejection) => prop_assert!(rejection.code == Code::JunkId && id.bytes().all(|byte| byte == b'0')),
        }
    }
}

/// Headers of a record for tests.
#[derive(Debug)]
struct Given(Vec<(&'static str, &'static str)>);

impl Headers for Given {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.0.get(index).map(|(name, value)| (*name, value.as_bytes()))
    }
}

fn events(mapping: Option<Mapping>) -> Input {
    Input { format: Format::CloudEvents(mapping), channel: Some(Channel::Web), ..input() }
}

/// What the conformance cases of the Kafka binding give, with a touchpoint as data.
const BINARY: [(&str, &str); 6] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "1234-1234-1234"),
    ("ce_source", "/mycontext/subcontext"),
    ("ce_type", "order_placed"),
    ("ce_time", "2018-04-05T17:31:00Z"),
    ("content-type", "application/json; charset=utf-8"),
];
const STRUCTURED: &str = r#"{"specversion":"1.0","id":"1234-1234-1234","source":"/mycontext/subcontext","type":"order_placed",
    "time":"2018-04-05T17:31:00Z","datacontenttype":"application/json","data":{"customer_id":"c1","order_id":"o"}}"#;

#[test]
fn an_event_is_the_same_touchpoint_in_both_modes() {
    let (input, headers) = (events(None), Given(BINARY.into()));
    let value = br#"{"customer_id":"c1","order_id":"o"}"#;
    let binary = decode(&input, &RawRecord { headers: Some(&headers), ..record(value) }).unwrap();
    assert_eq!((binary.id.as_ref(), binary.source.as_ref()), ("1234-1234-1234", "/mycontext/subcontext"));
    assert_eq!((binary.kind.as_ref(), binary.occurred_at), ("order_placed", Timestamp(1_522_949_460_000)));
    assert!(matches!(binary.customer_id, Cow::Borrowed("c1")));

    let labelled = Given(vec![("content-type", "application/cloudevents+json; charset=UTF-8"), ("ce_id", "ignored")]);
    for headers in [None, Some(&labelled as &dyn Headers)] {
        let structured = RawRecord { headers, ..record(STRUCTURED.as_bytes()) };
        assert_eq!(decode(&input, &structured).as_ref(), Ok(&binary));
        assert_eq!(arrival(&input, &structured), Some(binary.occurred_at));
    }
}

#[test]
fn what_the_data_says_itself_goes_before_the_envelope() {
    let input = events(None);
    let structured = STRUCTURED.replace(
        r#""data":{"#,
        r#""data":{"id":"own","kind":"own_kind","occurred_at":1700000000000,
        "rating":{"instrument":"nps","value":9},"attributes":{"a":1},"unread":[],"#,
    );
    let touchpoint = decode(&input, &record(structured.as_bytes())).unwrap();
    assert_eq!((touchpoint.id.as_ref(), touchpoint.kind.as_ref()), ("own", "own_kind"));
    assert_eq!(touchpoint.occurred_at, Timestamp(1_700_000_000_000));
    assert_eq!((touchpoint.rating.map(|rating| rating.value), touchpoint.attributes.len()), (Some(Micro::whole(9)), 1));
}

#[test]
fn a_mapping_points_into_the_whole_event() {
    let plain = |field, pointer: &str| (field, Expr::plain(at(pointer)));
    let time = Expr { time: Some(TimeFormat::Rfc3339), ..Expr::plain(at("/time")) };
    let mapping = Mapping {
        fields: vec![
            plain(Field::Id, "/id"),
            plain(Field::Source, "/source"),
            plain(Field::CustomerId, "/subject"),
            plain(Field::Kind, "/data/what"),
            (Field::OccurredAt, time),
        ],
        ..Mapping::default()
    };
    let input = events(Some(mapping));
    let headers = Given([&BINARY[..], &[("ce_subject", "c7"), ("traceparent", "00-x")]].concat());
    let binary = RawRecord { headers: Some(&headers), ..record(br#"{"what":"visit"}"#) };
    let touchpoint = decode(&input, &binary).unwrap();
    assert_eq!((touchpoint.customer_id.as_ref(), touchpoint.kind.as_ref()), ("c7", "visit"));
    assert_eq!(arrival(&input, &binary), Some(touchpoint.occurred_at));
}

#[test]
fn events_that_are_none_have_their_code() {
    let input = events(None);
    let structured = |from: &str, to: &str| {
        let text = STRUCTURED.replace(from, to);
        decode(&input, &record(text.as_bytes())).map(drop).map_err(|rejection| (rejection.code, rejection.detail))
    };
    for (from, to, code, detail) in [
        (r#""specversion":"1.0","#, "", Code::Missing, "specversion"),
        (r#""specversion":"1.0""#, r#""specversion":"0.3""#, Code::Version, "specversion"),
        (r#""specversion":"1.0""#, r#""specversion":1.0"#, Code::Type, "specversion"),
        (r#""id":"1234-1234-1234","#, "", Code::Missing, "id"),
        (r#""source":"/mycontext/subcontext""#, r#""source":"""#, Code::Missing, "source"),
        (r#""type":"order_placed","#, "", Code::Missing, "type"),
        ("2018-04-05T17:31:00Z", "yesterday", Code::Type, "time"),
        (r#""time":"2018-04-05T17:31:00Z","#, "", Code::Missing, "occurred_at"),
        ("application/json", "application/xml", Code::ContentType, "datacontenttype"),
        (r#""data":"#, r#""data_base64":"e30=","x":"#, Code::ContentType, "data_base64"),
        (r#""data":"#, r#""other":"#, Code::Missing, "data"),
        (r#"{"customer_id":"c1","order_id":"o"}"#, "[]", Code::Type, "data"),
        (r#""customer_id":"c1","#, "", Code::Missing, "customer_id"),
    ] {
        assert_eq!(structured(from, to), Err((code, detail.to_owned())), "{from} {to}");
    }
    let binary = |headers: &[(&'static str, &'static str)]| {
        let headers = Given(headers.into());
        let record = RawRecord { headers: Some(&headers), ..record(br#"{"customer_id":"c1"}"#) };
        decode(&input, &record).map(drop).map_err(|rejection| rejection.code)
    };
    assert_eq!(binary(&BINARY), Ok(()));
    assert_eq!(binary(&BINARY[1..]), Err(Code::Missing));
    assert_eq!(binary(&[&BINARY[..], &BINARY[1..2]].concat()), Err(Code::Malformed));
    assert_eq!(
        binary(&[&BINARY[..5], &[("content-type", "application/octet-stream")]].concat()),
        Err(Code::ContentType)
    );
    assert_eq!(binary(&[("content-type", "application/cloudevents-batch+json")]), Err(Code::ContentType));
}

#[test]
fn framing_of_json_schema_is_taken_off_and_any_other_is_named() {
    let framed = |payload: &[u8]| [&[0, 0, 0, 0, 7], payload].concat();
    assert_eq!(code(&framed(GOOD.as_bytes())), Ok(()));
    assert_eq!(arrival(&input(), &record(&framed(GOOD.as_bytes()))), Some(Timestamp(1_700_000_000_000)));
    for other in [&b"\x00\x0a\x02c1"[..], b"", b"\x0cc1"] {
        assert_eq!(code(&framed(other)).unwrap_err().0, Code::Framing);
    }
    assert_eq!(code(b"\x00").unwrap_err().0, Code::Framing);
    assert_eq!(code(&framed(b"{")).unwrap_err().0, Code::Malformed);
}
