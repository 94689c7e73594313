//! Records that go on through the repartition topic, and those that came through it.

use super::Plan;
use crate::codec::{Code, ORIGIN, RawRecord, Rejection, Via};
use crate::model::{Position, Timestamp, Touchpoint};

/// Key, payload and headers of a record that goes on: with its origin it must fit the broker's default record limit.
const FORWARDED_BYTES_MAX: usize = 900 * 1024;

/// A record for the repartition topic: as it was read, with one header more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// Where its customer is.
    pub partition: i32,
    /// As read.
    pub key: Option<Vec<u8>>,
    /// As read.
    pub value: Option<Vec<u8>>,
    /// As read, and [`ORIGIN`].
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Where a record of the repartition topic was read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// There.
    pub position: Position,
    /// Its timestamp there.
    pub recorded_at: Option<Timestamp>,
}

impl Forwarded {
    /// The record on its way to `partition`.
    ///
    /// # Errors
    /// When it is too large to be written again.
    pub(super) fn of(plan: &Plan, raw: &RawRecord<'_>, partition: i32) -> Result<Self, Rejection> {
        let Position { source, partition: from, offset } = raw.position;
        let time = raw.recorded_at.map_or_else(String::new, |time| time.0.to_string());
        let origin = format!("{}:{from}:{offset}:{time}", plan.topic(usize::from(source)));
        let own = raw.headers.into_iter().flat_map(|headers| (0..).map_while(|index| headers.at(index)));
        let own = own.filter(|(name, _)| *name != ORIGIN).map(|(name, value)| (name.to_owned(), value.to_vec()));
        let headers: Vec<_> = own.chain([(ORIGIN.to_owned(), origin.into_bytes())]).collect();
        let (key, value) = (raw.key.map(<[u8]>::to_vec), raw.value.map(<[u8]>::to_vec));
        let forwarded = Self { partition, key, value, headers };
        if forwarded.bytes() > FORWARDED_BYTES_MAX {
            let detail =
                format!("more than {FORWARDED_BYTES_MAX} bytes with key and headers, and on a foreign partition");
            return Err(Rejection { code: Code::TooLarge, detail });
        }
        Ok(forwarded)
    }

    /// Bytes of key, payload and headers.
    pub(super) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

impl Plan {
    /// What the header [`ORIGIN`] says; none when it is not ours, or names a topic that is no input any more.
    #[must_use]
    pub fn origin(&self, header: &[u8]) -> Option<Origin> {
        let mut parts = std::str::from_utf8(header).ok()?.split(':');
        let topic = parts.next()?;
        let source = self.sources.iter().position(|(name, _)| name == topic)?;
        let (partition, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let time = parts.next()?;
        let recorded_at = if time.is_empty() { None } else { Some(Timestamp(time.parse().ok()?)) };
        Some(Origin { position: Position { source: u16::try_from(source).ok()?, partition, offset }, recorded_at })
    }

    /// Where a record that was read on partition `number` goes on to; none when it is where it belongs.
    pub(super) fn destination(
        &self,
        raw: &RawRecord<'_>,
        touchpoint: &Touchpoint<'_>,
        number: i32,
    ) -> Result<Option<i32>, Rejection> {
        let partitions = self.partitions;
        if partitions == 0 {
            return Ok(None);
        }
        let home = self.home(raw, touchpoint, partitions);
        let foreign = |why: &str| {
            let detail = format!("the customer belongs on partition {home} of {partitions} (murmur2){why}");
            Err(Rejection { code: Code::ForeignPartition, detail })
        };
        match raw.via {
            Via::Outbound(_) => Ok(Some(home)),
            Via::Direct | Via::Inbound(..) if home == number => Ok(None),
            // It was sent to the partition of another number of them: sent on again it might never arrive.
            Via::Inbound(..) => foreign(", and it came through the repartition topic"),
            Via::Direct if self.may_forward(raw.position.source.into()) => Ok(Some(home)),
            Via::Direct => foreign(""),
        }
    }
}
