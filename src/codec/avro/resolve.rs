//! From the text of a writer's schema to what becomes of each of its fields, once per schema.

use super::super::mapping::Field;
use super::super::{Code, Rejection};
use super::vet::{Vetted, namespace_of};
use super::{Lookup, WriterSchema};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// The schema we read by.
pub(super) const READER: &str = include_str!("../../../schemas/touchpoint.avsc");

/// Symbols of a writer's enumeration as we know them; none where we neither know the symbol nor have a default.
pub(super) type Symbols = Vec<Option<String>>;

/// What becomes of one field of the writer's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// We do not read it.
    Skip,
    /// A field of a touchpoint; times are divided by this to be ms, other numbers by 1.
    Scalar(Field, i64),
    /// The same, from an enumeration.
    Enum(Field, Symbols),
    /// The rating.
    Rating,
    /// The attributes.
    Attributes,
}

/// What a field of ours takes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Takes {
    Text,
    Symbols { known: Vec<String>, default: Option<String> },
    Whole,
    Flag,
    Rating,
    Attributes,
}

/// A field of the reader's schema.
#[derive(Debug)]
struct ReaderField {
    /// Its name, then its aliases.
    names: Vec<String>,
    takes: Takes,
    has_default: bool,
}

static READER_FIELDS: LazyLock<Vec<ReaderField>> = LazyLock::new(reader_fields);

/// The schema of an id, by what the registry says of it: its type (none is Avro), its text and whether that refers to
/// other schemas.
#[must_use]
pub fn resolve(id: u32, schema_type: Option<&str>, text: &str, has_references: bool) -> Lookup {
    let refuse = |code, what: &str| Lookup::Refused(Rejection { code, detail: format!("schema {id}: {what}") });
    match schema_type.unwrap_or("AVRO") {
        "AVRO" => {}
        "PROTOBUF" => return refuse(Code::Protobuf, "protobuf is not read"),
        _ => return refuse(Code::Schema, "of a type that is not read as avro"),
    }
    if has_references {
        return refuse(Code::Schema, "refers to other schemas");
    }
    let vetted = match Vetted::parse(text) {
        Ok(vetted) => vetted,
        Err(what) => return refuse(Code::Schema, what),
    };
    match text.parse() {
        Ok(schema) => {
            let slots =
                slots(&vetted).map_err(|what| Rejection { code: Code::Schema, detail: format!("schema {id}: {what}") });
            Lookup::Known(Arc::new(WriterSchema { schema, slots }))
        }
        Err(_) => refuse(Code::Schema, "not an avro schema"),
    }
}

fn slots(vetted: &Vetted) -> Result<Vec<Slot>, String> {
    let root = vetted.root.as_object().filter(|root| root.get("type").and_then(Value::as_str) == Some("record"));
    let root = root.ok_or("not a record")?;
    let namespace = namespace_of(root, "");
    let fields = root.get("fields").and_then(Value::as_array).ok_or("no fields")?;
    let (mut slots, mut found) = (Vec::new(), Vec::new());
    for field in fields {
        let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
        let reader = READER_FIELDS.iter().position(|reader| reader.names.iter().any(|known| known == name));
        let slot = match reader.and_then(|at| READER_FIELDS.get(at)).zip(field.get("type")) {
            Some((reader, node)) if !found.contains(&reader.names) => {
                found.push(reader.names.clone());
                slot(vetted, &namespace, reader, node).ok_or_else(|| format!("field {name} has another type"))?
            }
            Some(_) | None => Slot::Skip,
        };
        slots.push(slot);
    }
    let missing = READER_FIELDS.iter().find(|reader| !reader.has_default && !found.contains(&reader.names));
    match missing.and_then(|reader| reader.names.first()) {
        Some(name) => Err(format!("no field {name}")),
        None => Ok(slots),
    }
}

/// How a field of ours is read from a type of the writer's; none when it cannot be.
fn slot(vetted: &Vetted, namespace: &str, reader: &ReaderField, node: &Value) -> Option<Slot> {
    let field = reader.names.first().and_then(|name| Field::parse(name));
    let variants = match node.as_array() {
        Some(variants) => variants.as_slice(),
        None => std::slice::from_ref(node),
    };
    let mut slot = None;
    for variant in variants.iter().filter(|variant| variant.as_str() != Some("null")) {
        let found = of_variant(vetted.definition(variant, namespace), reader, field)?;
        // Of several variants each must be read in the same way.
        if slot.replace(found.clone()).is_some_and(|before| before != found) {
            return None;
        }
    }
    // A field that is always null is none.
    Some(slot.unwrap_or(Slot::Skip))
}

fn of_variant(definition: &Value, reader: &ReaderField, field: Option<Field>) -> Option<Slot> {
    let name = definition.as_str().or_else(|| definition.get("type")?.as_str())?;
    let logical = definition.get("logicalType").and_then(Value::as_str).unwrap_or_default();
    match (&reader.takes, name) {
        (Takes::Rating, "record") => Some(Slot::Rating),
        (Takes::Attributes, "record" | "map") => Some(Slot::Attributes),
        (Takes::Text | Takes::Symbols { .. }, "string") | (Takes::Flag, "boolean") => Some(Slot::Scalar(field?, 1)),
        (Takes::Whole, "int") => Some(Slot::Scalar(field?, 1)),
        (Takes::Whole, "long") => Some(Slot::Scalar(field?, divisor(logical))),
        (Takes::Text, "enum") => {
            let symbols = texts(definition.get("symbols")?);
            Some(Slot::Enum(field?, symbols.into_iter().map(Some).collect()))
        }
        (Takes::Symbols { known, default }, "enum") => {
            let ours = |symbol: String| if known.contains(&symbol) { Some(symbol) } else { default.clone() };
            Some(Slot::Enum(field?, texts(definition.get("symbols")?).into_iter().map(ours).collect()))
        }
        _ => None,
    }
}

/// What makes ms of a logical type.
fn divisor(logical: &str) -> i64 {
    match logical.rsplit_once('-') {
        Some((_, "micros")) => 1_000,
        Some((_, "nanos")) => 1_000_000,
        _ => 1,
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Our own schema is known to be one; `tests` hold it to it.
fn reader_fields() -> Vec<ReaderField> {
    let schema: Value = serde_json::from_str(READER).unwrap_or_default();
    let fields = schema.get("fields").and_then(Value::as_array).into_iter().flatten();
    let reader_field = |field: &Value| {
        let name = field.get("name")?.as_str()?.to_owned();
        let aliases = field.get("aliases").map(texts).unwrap_or_default();
        Some(ReaderField {
            names: std::iter::once(name).chain(aliases).collect(),
            takes: takes(field.get("type")?)?,
            has_default: field.get("default").is_some(),
        })
    };
    fields.filter_map(reader_field).collect()
}

fn takes(node: &Value) -> Option<Takes> {
    let of_union = |variants: &Vec<Value>| variants.iter().find(|variant| variant.as_str() != Some("null")).cloned();
    let node = node.as_array().and_then(of_union).unwrap_or_else(|| node.clone());
    Some(match node.as_str().or_else(|| node.get("type")?.as_str())? {
        "string" => Takes::Text,
        "long" => Takes::Whole,
        "boolean" => Takes::Flag,
        "record" => Takes::Rating,
        "map" => Takes::Attributes,
        "enum" => Takes::Symbols {
            known: texts(node.get("symbols")?),
            default: node.get("default").and_then(Value::as_str).map(str::to_owned),
        },
        _ => return None,
    })
}

#[cfg(test)]
pub(super) fn reader_field_count() -> usize {
    READER_FIELDS.len()
}
