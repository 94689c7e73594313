//! Avro as the serializers of a schema registry write it: a zero byte, the id of the writer's schema (four bytes, highest
//! first), one datum.
//!
//! ```text
//! text of a schema ─▶ vet: refuses what could hurt ─▶ WriterSchema: names and symbols resolved, once per id
//!                                                          │
//! record ─▶ id ─▶ (the shell has or gets the schema) ─▶ decode: in the order of the writer's fields, the rest is skipped
//! ```
//! `touchpoint-avro` is read as `schemas/touchpoint.avsc`: fields by name or alias, symbols of enumerations by name, an
//! unknown one as the default of the enumeration. Where that schema has an enumeration, text is read too. `avro` gives
//! any record to a mapping, like JSON.
//!
//! Decoded by `serde_avro_fast`, which visits values where they lie; `apache-avro` builds a tree of owned values and
//! resolves that into another (figures in ARCHITECTURE.md). Pure: the shell asks the registry.

mod resolve;
mod values;
mod vet;

use super::fields::Fields;
use super::json::rating_parts;
use super::mapping::Mapping;
use super::{Code, FRAMING_BYTES, Input, RawRecord, Rejection, key_text, reject};
use crate::model::Touchpoint;
use serde::de::DeserializeSeed;
use serde_avro_fast::Schema;
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use std::sync::Arc;

pub use resolve::resolve;

/// Items of one array or map at most.
const ITEMS_MAX: usize = 50_000;
/// Deepest nesting of a datum; schemas are refused before they come near.
const DEPTH_MAX: usize = 64;

/// A writer's schema as the registry gave it.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// It can be read.
    Known(Arc<WriterSchema>),
    /// The registry has no schema of this id.
    Unknown,
    /// It has, and it is not read: why.
    Refused(Rejection),
}

/// A writer's schema, resolved.
#[derive(Debug)]
pub struct WriterSchema {
    schema: Schema,
    /// What becomes of each field of its record, in order; a rejection when it cannot be read as a touchpoint.
    slots: Result<Vec<resolve::Slot>, Rejection>,
}

/// The id of the schema that a record was written with.
///
/// # Errors
/// When the record is not framed.
pub fn schema_id(value: &[u8]) -> Result<u32, Rejection> {
    match value {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(reject(Code::Magic, "byte 0")),
    }
}

/// Decodes a framed record whose schema the shell looked up.
pub(super) fn decode<'a>(
    input: &'a Input,
    mapping: Option<&'a Mapping>,
    record: &RawRecord<'a>,
    value: &'a [u8],
) -> Result<Touchpoint<'a>, Rejection> {
    let id = schema_id(value)?;
    let writer = match record.schema {
        Some(Lookup::Known(writer)) => writer.as_ref(),
        Some(Lookup::Refused(rejection)) => return Err(rejection.clone()),
        Some(Lookup::Unknown) | None => {
            return Err(Rejection { code: Code::UnknownSchema, detail: format!("schema {id}") });
        }
    };
    let datum = value.get(FRAMING_BYTES..).unwrap_or_default();
    match mapping {
        Some(mapping) => {
            let mut left = values::NODES_MAX;
            let tree = whole(writer, datum, values::Tree { left: &mut left })?;
            mapping.apply(&tree, key_text(record.key)?)?.touchpoint(input)
        }
        None => {
            let slots = writer.slots.as_ref().map_err(Clone::clone)?;
            let mut fields = Fields::new(false);
            let rating = whole(writer, datum, values::Record { slots, fields: &mut fields })?;
            fields.rating = rating_parts(rating)?;
            fields.touchpoint(input)
        }
    }
}

/// Reads one datum to its last byte.
fn whole<'a, S: DeserializeSeed<'a>>(
    writer: &'a WriterSchema,
    datum: &'a [u8],
    seed: S,
) -> Result<S::Value, Rejection> {
    let mut config = DeserializerConfig::new(&writer.schema);
    config.max_seq_size = ITEMS_MAX;
    config.allowed_depth = DEPTH_MAX;
    let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
    let value = seed.deserialize(state.deserializer());
    let left = std::io::copy(&mut state.into_reader(), &mut std::io::sink()).unwrap_or_default();
    let byte = u64::try_from(datum.len()).unwrap_or(u64::MAX).saturating_sub(left);
    let rejection = |code| Rejection { code, detail: format!("byte {byte} of the datum") };
    match value {
        Ok(value) if left == 0 => Ok(value),
        Ok(_) => Err(rejection(Code::Decode)),
        // Our own seeds name their code; the decoder's errors are all the same to us.
        Err(error) => {
            let text = error.to_string();
            let own = Code::ALL.into_iter().find(|code| code.as_str() == text);
            Err(rejection(own.unwrap_or(Code::Decode)))
        }
    }
}

#[cfg(test)]
mod tests;
