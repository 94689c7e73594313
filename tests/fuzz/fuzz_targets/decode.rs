//! Any bytes as a record of each format: a touchpoint or a rejection, no panic; and as the schema of a record.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use touchline::codec::avro::{self, Lookup};
use touchline::codec::{self, RawRecord};
use touchline::config::Config;

const INPUTS: &str = r#"
    [[input]]
    name = "a"
    topics = ["a"]
    format = "touchpoint-json"
    [[input]]
    name = "b"
    topics = ["b"]
    format = "cloudevents"
    [[input]]
    name = "c"
    topics = ["c"]
    format = "segment"
    channel = "web"
    [[input]]
    name = "d"
    topics = ["d"]
    format = "touchpoint-avro"
    [registry]
    url = "http://localhost:8081"
"#;

static CONFIG: LazyLock<Config> = LazyLock::new(|| Config::load(Some(INPUTS), &|_| Err(String::new())).unwrap());
static SCHEMA: LazyLock<Lookup> =
    LazyLock::new(|| avro::resolve(1, None, include_str!("../../../schemas/touchpoint.avsc"), false));

fuzz_target!(|bytes: &[u8]| {
    let framed = [b"\0\0\0\0\x01", bytes].concat();
    for input in &CONFIG.inputs {
        let value = if input.is_avro() { framed.as_slice() } else { bytes };
        let schema = input.is_avro().then_some(&*SCHEMA);
        if let Ok(touchpoint) = codec::decode(input, &RawRecord { value: Some(value), schema, ..RawRecord::default() })
        {
            assert!(!touchpoint.customer_id.is_empty());
        }
    }
    drop(avro::resolve(2, None, &String::from_utf8_lossy(bytes), false));
});
