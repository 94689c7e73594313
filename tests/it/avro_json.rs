//! An Avro datum of ours, read by `apache-avro`, as the JSON it stands for. Also part of the unit tests of `codec::encode`.

use apache_avro::types::Value as Avro;
use serde_json::Value;

/// Null is left out, but for the value of a feature: there it says that there is none.
#[expect(clippy::wildcard_enum_match_arm, reason = "our schemas hold no other types")]
pub(crate) fn json_of(datum: &Avro) -> Value {
    match datum {
        Avro::Record(fields) => {
            let is_feature = fields.iter().any(|(name, value)| name == "term" && json_of(value) == "feature");
            let fields = fields.iter().map(|(name, value)| (name.clone(), json_of(value)));
            fields.filter(|(name, value)| !value.is_null() || is_feature && name == "value").collect()
        }
        Avro::Union(_, value) => json_of(value),
        Avro::Array(items) => items.iter().map(json_of).collect(),
        Avro::Map(entries) => entries.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        Avro::String(text) | Avro::Enum(_, text) => Value::from(text.as_str()),
        Avro::Int(number) => Value::from(*number),
        Avro::Long(number) | Avro::TimestampMillis(number) => Value::from(*number),
        Avro::Decimal(decimal) => number_of(&<Vec<u8>>::try_from(decimal).unwrap()),
        Avro::Null => Value::Null,
        other => panic!("{other:?}"),
    }
}

/// Millionths, two's complement, highest byte first.
fn number_of(bytes: &[u8]) -> Value {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1_i128 };
    let millionths = bytes.iter().fold(sign, |number, byte| (number << 8) | i128::from(*byte));
    let (whole, part) = (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs() % 1_000_000);
    let sign = if millionths < 0 { "-" } else { "" };
    let text = if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:06}") };
    serde_json::from_str(&text).unwrap()
}
