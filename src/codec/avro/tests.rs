use super::super::{Format, tests::GOOD};
use super::vet::Vetted;
use super::*;
use crate::codec;
use crate::model::{Attribute, Channel, Micro, Outcome, Timestamp};
use apache_avro::types::Value;
use proptest::prelude::*;
use std::borrow::Cow;

fn input() -> Input {
    Input { format: Format::Avro(None), ..Input::default() }
}

fn lookup(text: &str) -> Lookup {
    resolve(7, None, text, false)
}

fn framed(datum: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, 7], datum].concat()
}

/// A JSON document as a datum of a schema, by apache-avro.
fn datum(schema: &str, document: &serde_json::Value) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    let value = Value::try_from(document.clone()).unwrap().resolve(&schema).unwrap();
    apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn read<'a>(input: &'a Input, lookup: &'a Lookup, value: &'a [u8]) -> Result<Touchpoint<'a>, Rejection> {
    codec::decode(input, &RawRecord { value: Some(value), schema: Some(lookup), ..RawRecord::default() })
}

fn code(lookup: &Lookup, value: &[u8]) -> Code {
    read(&input(), lookup, value).expect_err("must be rejected").code
}

fn full() -> serde_json::Value {
    serde_json::json!({"id": "e1", "source": "shop", "customer_id": "c1", "channel": "web", "kind": "order_placed",
        "occurred_at": 1_700_000_000_000_i64, "contact": "indirect", "actor": "agent", "session_id": "s", "conversation_id": "v",
        "order_id": "o", "product_id": "p", "location_id": "l", "topic": "t",
        "rating": {"instrument": "custom", "value": 3.5, "min": 0.0, "max": 7.0}, "text": "fine", "language": "en-GB",
        "wait_ms": 5, "duration_ms": 0, "outcome": "abandoned", "amount_minor": 1299, "currency": "EUR",
        "due_at": 1_700_000_000_001_i64, "consent": true, "attributes": {"tier": "gold", "gift": false, "score": 1.5}})
}

#[test]
fn the_schema_is_one_and_every_field_of_it_is_read() {
    assert!(apache_avro::Schema::parse_str(resolve::READER).is_ok());
    assert_eq!(resolve::reader_field_count(), 25);
    let Lookup::Known(writer) = lookup(resolve::READER) else { panic!("our own schema") };
    let slots = writer.slots.as_ref().unwrap();
    assert!(!slots.contains(&resolve::Slot::Skip), "{slots:?}");
}

#[test]
fn a_datum_is_the_touchpoint_its_json_is() {
    let (avro, json) = (input(), Input::default());
    let text = full().to_string();
    let expected = codec::decode(&json, &RawRecord { value: Some(text.as_bytes()), ..RawRecord::default() }).unwrap();
    let (lookup, value) = (lookup(resolve::READER), framed(&datum(resolve::READER, &full())));
    let mut touchpoint = read(&avro, &lookup, &value).unwrap();
    touchpoint.attributes.sort_by(|a, b| a.0.cmp(&b.0));
    let mut expected_attributes = expected.clone();
    expected_attributes.attributes.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(touchpoint, expected_attributes);
    assert!(matches!(touchpoint.customer_id, Cow::Borrowed("c1")));
}

/// Three versions of somebody's schema: a first one, one with more fields and other names, one with fewer and a symbol
/// that we do not know.
const VERSIONS: [(&str, &str); 3] = [
    (
        r#"{"type":"record","name":"Event","fields":[
            {"name":"id","type":"string"},{"name":"source","type":"string"},{"name":"customer_id","type":"string"},
            {"name":"channel","type":"string"},{"name":"kind","type":"string"},
            {"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"outcome","type":["null",{"type":"enum","name":"Outcome","symbols":["success","abandoned"]}]}]}"#,
        r#"{"id":"e1","source":"shop","customer_id":"c1","channel":"web","kind":"k","occurred_at":1700000000000,"outcome":"abandoned"}"#,
    ),
    (
        r#"{"type":"record","name":"Event","namespace":"com.shop","fields":[
            {"name":"unread","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"bytes"}]}}},
            {"name":"eventId","type":"string"},{"name":"source","type":"string"},{"name":"customerId","type":["null","string"]},
            {"name":"channel","type":{"type":"enum","name":"Way","symbols":["web","shop"]}},{"name":"eventType","type":"string"},
            {"name":"again","type":["null","Line"],"default":null},
            {"name":"occurredAt","type":{"type":"long","logicalType":"timestamp-micros"}},
            {"name":"outcome","type":["null",{"type":"enum","name":"Outcome","symbols":["abandoned"]}]}]}"#,
        r#"{"unread":[{"sku":"a"},{"sku":"b"}],"eventId":"e1","source":"shop","customerId":"c1","channel":"web","eventType":"k",
            "again":{"sku":"c"},"occurredAt":1700000000000000,"outcome":"abandoned"}"#,
    ),
    (
        r#"{"type":"record","name":"Event","fields":[
            {"name":"id","type":"string"},{"name":"source","type":"string"},{"name":"customer_id","type":"string"},
            {"name":"channel","type":["null",{"type":"enum","name":"Way","symbols":["kiosk","web"]}]},{"name":"kind","type":"string"},
            {"name":"occurred_at","type":"long"},
            {"name":"outcome","type":{"type":"enum","name":"Outcome","symbols":["abandoned","gone_fishing"]}}]}"#,
        r#"{"id":"e1","source":"shop","customer_id":"c1","channel":"web","kind":"k","occurred_at":1700000000000,"outcome":"abandoned"}"#,
    ),
];

#[test]
fn versions_of_a_schema_are_read_as_one() {
    let input = input();
    let mut seen = Vec::new();
    for (schema, document) in VERSIONS {
        let lookup = lookup(schema);
        let value = framed(&datum(schema, &serde_json::from_str(document).unwrap()));
        let touchpoint = read(&input, &lookup, &value).unwrap();
        seen.push(format!("{touchpoint:?}"));
        assert_eq!((touchpoint.occurred_at, touchpoint.channel), (Timestamp(1_700_000_000_000), Channel::Web));
        assert_eq!((touchpoint.kind.as_ref(), touchpoint.outcome), ("k", Some(Outcome::Abandoned)));
    }
    assert!(seen.iter().all(|touchpoint| *touchpoint == seen[0]), "{seen:#?}");

    // A symbol without meaning: the default where there is one, else a dead letter.
    let (schema, document) = VERSIONS[2];
    let lookup = lookup(schema);
    let value = framed(&datum(schema, &serde_json::from_str(&document.replace("web", "kiosk")).unwrap()));
    assert_eq!(read(&input, &lookup, &value).unwrap().channel, Channel::Other);
    let value = framed(&datum(schema, &serde_json::from_str(&document.replace("abandoned", "gone_fishing")).unwrap()));
    assert_eq!(code(&lookup, &value), Code::Schema);
}

#[test]
fn a_mapping_reads_any_record() {
    use super::super::mapping::{Expr, Field, From, TimeFormat};
    use super::super::node::{Node, Pointer};
    let schema = r#"{"type":"record","name":"Call","fields":[{"name":"uuid","type":"string"},{"name":"raw","type":"bytes"},
        {"name":"who","type":{"type":"record","name":"Who","fields":[{"name":"id","type":"long"}]}},
        {"name":"state","type":{"type":"enum","name":"State","symbols":["done"]}},{"name":"at","type":"long"},
        {"name":"tags","type":{"type":"map","values":"double"}}]}"#;
    let document = serde_json::json!({"uuid": "u", "raw": "x", "who": {"id": 42}, "state": "done", "at": 1_700_000_000, "tags": {"a": 0.5}});
    let at = |pointer: &str| Expr::plain(From::First(vec![Pointer::parse(pointer).unwrap()]));
    let mapping = Mapping {
        fields: vec![
            (Field::Id, at("/uuid")),
            (Field::Source, Expr::plain(From::Const(Node::Text("calls".into())))),
            (Field::CustomerId, at("/who/id")),
            (Field::Kind, at("/state")),
            (Field::OccurredAt, Expr { time: Some(TimeFormat::EpochS), ..at("/at") }),
        ],
        attributes: Some(super::super::mapping::AttributesMapping::All(Pointer::parse("/tags").unwrap())),
        ..Mapping::default()
    };
    let input = Input { format: Format::Avro(Some(mapping)), channel: Some(Channel::Support), ..Input::default() };
    let (lookup, value) = (lookup(schema), framed(&datum(schema, &document)));
    let touchpoint = read(&input, &lookup, &value).unwrap();
    assert_eq!((touchpoint.customer_id.as_ref(), touchpoint.kind.as_ref()), ("42", "done"));
    assert_eq!(touchpoint.attributes, [("a".into(), Attribute::Number(0.5))]);
    // As touchpoints it cannot be read.
    assert_eq!(code(&lookup, &value), Code::Schema);
}

#[test]
fn what_cannot_be_a_record_has_its_code() {
    let known = lookup(resolve::READER);
    let good = framed(&datum(resolve::READER, &full()));
    assert_eq!(code(&known, GOOD.as_bytes()), Code::Magic);
    assert_eq!(code(&known, b"\x00\x00\x00"), Code::Magic);
    assert_eq!(code(&Lookup::Unknown, &good), Code::UnknownSchema);
    for cut in 5..good.len() {
        assert!(read(&input(), &known, &good[..cut]).is_err(), "{cut}");
    }
    assert_eq!(code(&known, &[&good[..], b"\x00"].concat()), Code::Decode);
    for (schema_type, text, references, expected) in [
        (Some("PROTOBUF"), "syntax = \"proto3\";", false, Code::Protobuf),
        (Some("JSON"), "{}", false, Code::Schema),
        (None, resolve::READER, true, Code::Schema),
        (Some("AVRO"), "\"string\"", false, Code::Schema),
    ] {
        assert_eq!(code(&resolve(7, schema_type, text, references), &good), expected, "{schema_type:?} {text}");
    }
}

/// A record with one field, of this type and these bytes, beside what must be there.
fn with_field(name: &str, field_type: &str, bytes: &[u8]) -> (Lookup, Vec<u8>) {
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"id","type":"string"}},{{"name":"source","type":"string"}},
        {{"name":"customer_id","type":"string"}},{{"name":"channel","type":"string"}},{{"name":"kind","type":"string"}},
        {{"name":"occurred_at","type":"long"}},{{"name":"{name}","type":{field_type}}}]}}"#
    );
    let start = b"\x02e\x02s\x02c\x06web\x02k\x80\xa0\xab\xfe\xf9\x62";
    (lookup(&schema), framed(&[start, bytes].concat()))
}

#[test]
fn hostile_schemas_and_bytes_are_refused_without_falling_over() {
    // A stack of any depth, and gigabytes of nothing.
    let nested = |depth: usize| format!("{}\"null\"{}", r#"{"type":"array","items":"#.repeat(depth), "}".repeat(depth));
    for hostile in [
        r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#.to_owned(),
        r#"{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}"#.to_owned(),
        r#"{"type":"record","name":"a.R","fields":[{"name":"r","type":{"type":"map","values":"a.R"}}]}"#.to_owned(),
        r#"{"type":"array","items":"null"}"#.to_owned(),
        r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#.to_owned(),
        r#"{"type":"array","items":{"type":"fixed","name":"F","size":0}}"#.to_owned(),
        nested(2),
        nested(40),
        nested(10_000),
        "x".repeat(300_000),
        doubling(20),
    ] {
        assert!(Vetted::parse(&hostile).is_err(), "{} bytes", hostile.len());
        assert!(matches!(lookup(&hostile), Lookup::Refused(Rejection { code: Code::Schema, .. })));
    }
    assert!(Vetted::parse(&nested(2).replace("null", "int")).is_ok());
    assert!(Vetted::parse(&doubling(8)).is_ok());

    let nine_million = b"\x80\xd1\xca\x08\x00";
    for (name, field_type, bytes, expected) in [
        ("tags", r#"{"type":"array","items":"int"}"#, &nine_million[..], Code::Decode),
        ("tags", r#"{"type":"array","items":"boolean"}"#, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Code::Decode),
        ("attributes", r#"{"type":"map","values":"int"}"#, nine_million, Code::Decode),
        ("outcome", r#"["null","string"]"#, b"\x08", Code::Decode),
        ("outcome", r#"["null",{"type":"enum","name":"O","symbols":["success"]}]"#, b"\x02\x12", Code::Decode),
        ("text", r#""string""#, b"\xfe\xff\xff\xff\x0f", Code::Decode),
        ("text", r#""string""#, b"\x04\xff\xfe", Code::Decode),
        (
            "attributes",
            r#"{"type":"map","values":"double"}"#,
            b"\x02\x02a\x00\x00\x00\x00\x00\x00\xf8\x7f\x00",
            Code::Range,
        ),
        ("attributes", r#"{"type":"map","values":"int"}"#, b"\x04\x02a\x02\x02a\x02\x00", Code::Decode),
        ("wait_ms", r#""long""#, b"\x01", Code::Range),
        ("wait_ms", r#""string""#, b"\x00", Code::Schema),
    ] {
        let (lookup, value) = with_field(name, field_type, bytes);
        assert_eq!(code(&lookup, &value), expected, "{name} {field_type}");
    }
    let (lookup, value) = with_field("tags", r#"{"type":"array","items":"int"}"#, b"\x04\x02\x04\x00");
    assert_eq!(read(&input(), &lookup, &value).map(|touchpoint| touchpoint.occurred_at.0 > 0), Ok(true));
}

/// A record that holds the one before it twice, so many times.
fn doubling(times: usize) -> String {
    let mut inner = r#"{"type":"record","name":"R0","fields":[{"name":"a","type":"int"}]}"#.to_owned();
    for at in 1..=times {
        let name = at - 1;
        inner = format!(
            r#"{{"type":"record","name":"R{at}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":"R{name}"}}]}}"#
        );
    }
    inner
}

proptest! {
    /// The decoder and apache-avro, which resolves the writer's schema into ours, agree.
    #[test]
    fn it_reads_what_apache_avro_reads(
        id in "[a-z]{1,9}", kind in "[a-z_]{1,20}", at in 946_684_800_000_i64..4_000_000_000_000, wait in proptest::option::of(0_i64..1_000_000),
        rating in proptest::option::of(0_i32..=10), text in proptest::option::of("\\PC{1,30}"),
        order in proptest::option::of("[a-z0-9]{1,12}"), tags in proptest::collection::btree_map("[a-z]{1,5}", "[a-z]{1,5}", 0..5),
    ) {
        let mut document = serde_json::json!({"id": id, "source": "s", "customer_id": "c", "channel": "email", "kind": kind,
            "occurred_at": at, "attributes": tags});
        let object = document.as_object_mut().unwrap();
        for (name, value) in [("wait_ms", wait.map(Into::into)), ("text", text.map(Into::into)), ("order_id", order.map(Into::into)),
            ("rating", rating.map(|value| serde_json::json!({"instrument": "nps", "value": f64::from(value)})))] {
            object.extend(value.map(|value: serde_json::Value| (name.to_owned(), value)));
        }
        let value = framed(&datum(resolve::READER, &document));
        let (input, lookup) = (input(), lookup(resolve::READER));
        let touchpoint = read(&input, &lookup, &value).unwrap();

        let schema = apache_avro::Schema::parse_str(resolve::READER).unwrap();
        let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).reader_schema(&schema).build().unwrap();
        let tree: serde_json::Value = reader.read_value(&mut &value[5..]).unwrap().try_into().unwrap();
        prop_assert_eq!(tree["id"].as_str(), Some(touchpoint.id.as_ref()));
        prop_assert_eq!(tree["kind"].as_str(), Some(touchpoint.kind.as_ref()));
        prop_assert_eq!(tree["channel"].as_str(), Some(touchpoint.channel.as_str()));
        prop_assert_eq!(tree["occurred_at"].as_i64(), Some(touchpoint.occurred_at.0));
        prop_assert_eq!(tree["wait_ms"].as_i64(), touchpoint.wait_ms);
        prop_assert_eq!(tree["text"].as_str(), touchpoint.text.as_deref());
        prop_assert_eq!(tree["order_id"].as_str(), touchpoint.order_id.as_deref());
        prop_assert_eq!(tree["rating"]["value"].as_f64().and_then(Micro::from_f64), touchpoint.rating.map(|rating| rating.value));
        prop_assert_eq!(tree["attributes"].as_object().unwrap().len(), touchpoint.attributes.len());
    }

    #[test]
    fn no_bytes_panic(datum in proptest::collection::vec(any::<u8>(), 0..200), version in 0_usize..3) {
        let input = input();
        let lookup = lookup(VERSIONS[version].0);
        drop(read(&input, &lookup, &framed(&datum)));
        let lookup = resolve(7, None, resolve::READER, false);
        drop(read(&input, &lookup, &framed(&datum)));
    }
}
