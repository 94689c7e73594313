//! The schema of a record, before it is decoded.

use super::owned::Taken;
use crate::codec::avro::Lookup;
use crate::pipeline::Plan;
use crate::registry::Registry;
use rdkafka::message::Message;

/// Whom to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schemas<'a> {
    pub(super) plan: &'a Plan,
    pub(super) registry: Option<&'a Registry>,
}

impl Schemas<'_> {
    /// Puts the schema that a record needs with it.
    ///
    /// # Errors
    /// The id of a schema that is not known yet.
    pub(super) fn complete(self, taken: &mut Taken<'_>) -> Result<(), u32> {
        let Some(id) = self.plan.schema_id(taken.input(), taken.message.payload()) else { return Ok(()) };
        taken.schema = match self.registry {
            Some(registry) => Some(registry.find(id).ok_or(id)?),
            // A configuration with such an input and no registry is refused.
            None => Some(Lookup::Unknown),
        };
        Ok(())
    }
}
