//! Identity: hashes of names and events, and the place a touchpoint was read from.

use std::fmt;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// XXH3 (64 bit, seed 0) of some bytes. Stable for ever: hashes are stored in images and journals.
#[must_use]
pub fn hash64(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Up to this length a pair is hashed at once, which is several times faster than piece by piece.
const JOINED_BYTES: usize = 96;

/// Identity of a touchpoint: XXH3-64 of `source`, a zero byte and `id`. The same pair again is a duplicate.
/// 64 bits keep state small; two of one customer's last few hundred events collide once in 10¹⁴ customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventHash(pub u64);

impl EventHash {
    /// Hash of a (source, id) pair.
    #[must_use]
    pub fn of(source: &str, id: &str) -> Self {
        let mut joined = [0; JOINED_BYTES];
        if let Some(joined) = joined.get_mut(..source.len() + 1 + id.len())
            && let Some((head, tail)) = joined.split_at_mut_checked(source.len())
            && let Some((_, tail)) = tail.split_first_mut()
        {
            head.copy_from_slice(source.as_bytes());
            tail.copy_from_slice(id.as_bytes());
            return Self(hash64(joined));
        }
        let mut state = Xxh3::new();
        state.update(source.as_bytes());
        state.update(&[0]);
        state.update(id.as_bytes());
        Self(state.digest())
    }
}

/// Sixteen lower-case hex digits, as in `evidence[].event`.
impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A configured name (touchpoint kind, stage, journey) as the low 32 bits of its XXH3. State holds these instead
/// of text; the catalogue refuses two names with one hash at load and turns hashes back into text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(pub u32);

impl Name {
    /// Hash of a name.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are wanted")]
    pub fn of(text: &str) -> Self {
        Self(hash64(text.as_bytes()) as u32)
    }
}

/// Where a touchpoint was read: `source` indexes the run's list of topics or files, `offset` is the record's offset
/// or the line number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Index into the list of topics (or files) of this run.
    pub source: u16,
    /// Kafka partition; 0 for files.
    pub partition: i32,
    /// Kafka offset, or the line of a file.
    pub offset: i64,
}
