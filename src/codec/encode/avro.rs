//! Outputs as Avro: the framing of a schema registry's serializers, then one datum of `schemas/alert.avsc` or
//! `schemas/experience.avsc`. Numbers are decimals of the unscaled millionths, so that sums hold to the last digit.

use crate::model::Micro;
use serde::{Serialize, Serializer};
use serde_avro_fast::Schema;
use serde_avro_fast::ser::{SerError, SerializerConfig};

/// The schema of an alert change.
pub const ALERT: &str = include_str!("../../../schemas/alert.avsc");
/// The schema of an experience change.
pub const EXPERIENCE: &str = include_str!("../../../schemas/experience.avsc");

/// A schema of ours under the id that a registry gave it.
#[derive(Debug)]
pub(super) struct Registered {
    id: u32,
    schema: Schema,
}

impl Registered {
    pub(super) fn new(id: u32, text: &str) -> Result<Self, String> {
        Ok(Self { id, schema: text.parse::<Schema>().map_err(|error| error.to_string())? })
    }

    /// Appends a framed record.
    pub(super) fn write(&self, record: &impl Serialize, out: &mut Vec<u8>) -> Result<(), SerError> {
        out.push(0);
        out.extend(self.id.to_be_bytes());
        serde_avro_fast::to_datum(record, out, &mut SerializerConfig::new(&self.schema)).map(drop)
    }
}

/// A number as the logical type `decimal`.
pub(super) struct Decimal(Micro);

impl From<Micro> for Decimal {
    fn from(number: Micro) -> Self {
        Self(number)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // By this name the serializer finds the variant of a union. Of whole numbers it would lose the sign bit: as text.
        serializer.serialize_newtype_struct("Decimal", &self.0.to_string())
    }
}
