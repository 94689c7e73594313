use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<(String, i64), (Code, String)> {
    let root = message(text.as_bytes()).map_err(|rejection| (rejection.code, rejection.detail))?;
    let (Some(Node::Text(kind)), Some(Node::Int(at))) = (root.entry("kind"), root.entry("occurred_at")) else {
        panic!("{root:?}")
    };
    Ok((kind.clone().into_owned(), *at))
}

const NINE: i64 = 1_772_442_000_000;

#[test]
fn each_type_has_its_kind() {
    let at = r#""timestamp":"2026-03-02T09:00:00Z""#;
    for (fields, kind) in [
        (r#""type":"track","event":"Order Completed","version":2"#, "order_completed"),
        (r#""type":"track","event":"productAdded","version":"1.1""#, "product_added"),
        (r#""type":"track","event":" Coupon-Denied!","version":1.1"#, "coupon_denied"),
        (r#""type":"page","name":"Home""#, "page_viewed"),
        (r#""type":"screen","version":1"#, "page_viewed"),
        (r#""type":"identify","traits":{}"#, "identified"),
        (r#""type":"group""#, "group"),
    ] {
        assert_eq!(read(&format!("{{{fields},{at}}}")), Ok((kind.to_owned(), NINE)));
    }
}

#[test]
fn a_wrong_clock_is_set_right_once() {
    let device = r#""timestamp":"2026-03-02T10:00:00Z""#;
    let sent = r#""sentAt":"2026-03-02T10:00:05Z","receivedAt":"2026-03-02T09:00:05.250Z""#;
    for (times, at) in [
        (device.to_owned(), NINE + 3_600_000),
        (format!("{device},{sent}"), NINE + 250),
        (format!("{},{sent}", device.replace("timestamp", "originalTimestamp")), NINE + 250),
        (format!(r#""originalTimestamp":"2026-03-02T10:00:00Z","timestamp":"2026-03-02T09:00:00Z",{sent}"#), NINE),
        (sent.to_owned(), NINE + 5_250),
    ] {
        assert_eq!(read(&format!(r#"{{"type":"page",{times}}}"#)), Ok(("page_viewed".to_owned(), at)), "{times}");
    }
}

#[test]
fn messages_that_are_none_have_their_code() {
    let at = r#""timestamp":"2026-03-02T09:00:00Z""#;
    for (fields, code, detail) in [
        (format!(r#""type":"page",{at},"version":3"#), Code::Version, "version"),
        (format!(r#""type":"page",{at},"version":"next""#), Code::Version, "version"),
        (format!(r#""type":"delete",{at}"#), Code::Unmapped, "type"),
        (format!(r#""batch":[],{at}"#), Code::Missing, "type"),
        (format!(r#""type":"track",{at}"#), Code::Missing, "event"),
        (r#""type":"page""#.to_owned(), Code::Missing, "timestamp"),
        (format!(r#""type":"page",{at},"sentAt":"soon""#), Code::Type, "sentAt"),
    ] {
        assert_eq!(read(&format!("{{{fields}}}")), Err((code, detail.to_owned())), "{fields}");
    }
    assert_eq!(read("[]"), Err((Code::Missing, "type".to_owned())));
}

proptest! {
    #[test]
    fn kinds_are_snake_case(event in "[ -~äßéÖ]{0,40}") {
        let kind = snake_case(&event);
        prop_assert!(!kind.starts_with('_') && !kind.ends_with('_') && !kind.contains("__"), "{kind}");
        prop_assert!(kind.chars().all(|letter| letter == '_' || letter.is_alphanumeric()));
        prop_assert_eq!(snake_case(&kind), kind);
    }
}
