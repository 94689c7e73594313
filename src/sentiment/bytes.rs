//! What each byte of a text is, found for the whole text before it is cut: one pass the compiler turns into vector
//! instructions in place of a look at every byte in turn, which costs a branch gone wrong for every word.
//!
//! The passes write a byte for each byte of text; one bit of each is then gathered into masks, so that the length of a
//! word is a count of ones.

/// Bytes that are looked at together.
const GROUP: usize = 32;
/// Bits of a mask that one look shows at least.
pub(super) const BITS: usize = 57;

const INSIDE: u8 = 1;
const SEEN: u8 = 2;
const RUN: u8 = 4;

/// A text, and what its bytes are. Kept between texts: nothing is allocated once it has grown.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    /// With zeros behind it.
    raw: Vec<u8>,
    end: usize,
    /// In small letters.
    lower: Vec<u8>,
    /// Bits: an ASCII letter, digit or apostrophe.
    inside: Vec<u8>,
    /// Bits: neither a blank nor a control character; a new line.
    seen: Vec<u8>,
    /// Bits: a letter that stands here for the first of three times.
    runs: Vec<u8>,
}

impl Bytes {
    /// Takes the text that `write` appends.
    pub(super) fn read(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.raw.clear();
        write(&mut self.raw);
        self.end = self.raw.len();
        // One group of zeros or a little more: then nothing needs a look at what lies behind.
        let groups = self.end / GROUP + 2;
        self.raw.resize(groups * GROUP, 0);
        if self.lower.len() < (groups + 1) * GROUP {
            self.lower.resize((groups + 1) * GROUP, 0);
            for mask in [&mut self.inside, &mut self.seen, &mut self.runs] {
                mask.resize((groups + 2) * GROUP / 8, 0);
            }
        }
        self.classify();
    }

    fn classify(&mut self) {
        let raw = self.raw.as_chunks::<GROUP>().0;
        for (lower, raw) in self.lower.as_chunks_mut::<GROUP>().0.iter_mut().zip(raw) {
            *lower = raw.map(|byte| byte | (u8::from(byte.wrapping_sub(b'A') < 26) << 5));
        }
        let shifted = |by: usize| self.lower.get(by..).unwrap_or_default().as_chunks::<GROUP>().0;
        let lower = shifted(0).iter().zip(shifted(1)).zip(shifted(2));
        let masks = self.inside.as_chunks_mut().0.iter_mut().zip(self.seen.as_chunks_mut().0.iter_mut());
        let masks = masks.zip(self.runs.as_chunks_mut().0.iter_mut());
        for ((raw, ((first, second), third)), ((inside, seen), runs)) in raw.iter().zip(lower).zip(masks) {
            let kinds = kinds(raw, first, second, third);
            *inside = lowest_bits(&kinds, INSIDE);
            *seen = lowest_bits(&kinds, SEEN);
            *runs = lowest_bits(&kinds, RUN);
        }
    }

    /// Length of the text.
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// The byte at a place; 0 behind the end.
    #[inline]
    pub(super) fn at(&self, at: usize) -> u8 {
        self.raw.get(at).copied().unwrap_or_default()
    }

    /// Bytes of the text; none where it has not so many.
    pub(super) fn get(&self, from: usize, to: usize) -> Option<&[u8]> {
        self.raw.get(from..to.min(self.end))
    }

    /// Sixteen bytes: as they are, and in small letters.
    #[inline]
    pub(super) fn sixteen(&self, at: usize) -> [u128; 2] {
        let read = |bytes: &[u8]| bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().map(u128::from_le_bytes);
        [read(&self.raw), read(&self.lower)].map(Option::unwrap_or_default)
    }

    /// How many bytes from here on are inside a word, up to [`BITS`].
    #[inline]
    pub(super) fn word(&self, at: usize) -> usize {
        (!bits(&self.inside, at)).trailing_zeros() as usize
    }

    /// How many blanks there are from here on, up to [`BITS`].
    #[inline]
    pub(super) fn blanks(&self, at: usize) -> usize {
        (bits(&self.seen, at) | (1 << BITS)).trailing_zeros() as usize
    }

    /// Whether a letter stands three times in a row in a word of this many bytes.
    #[inline]
    pub(super) fn runs(&self, at: usize, bytes: usize) -> bool {
        (bits(&self.runs, at).trailing_zeros() as usize) < bytes
    }
}

/// What the bytes of a group are, by themselves in small letters and their two neighbours to the right.
#[inline]
fn kinds(raw: &[u8; GROUP], first: &[u8; GROUP], second: &[u8; GROUP], third: &[u8; GROUP]) -> [u8; GROUP] {
    let mut kinds = [0; GROUP];
    let bytes = raw.iter().zip(first).zip(second.iter().zip(third));
    for (kind, ((raw, first), (second, third))) in kinds.iter_mut().zip(bytes) {
        let letter = u8::from(first.wrapping_sub(b'a') < 26);
        let inside = letter | u8::from(raw.wrapping_sub(b'0') < 10) | u8::from(*raw == b'\'');
        let seen = u8::from(*raw > b' ') & u8::from(*raw != 0x7f) | u8::from(*raw == b'\n');
        let run = letter & u8::from(first == second) & u8::from(first == third);
        *kind = inside * INSIDE | (seen * SEEN) | (run * RUN);
    }
    kinds
}

/// One bit of each byte.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the top byte")]
fn lowest_bits(kinds: &[u8; GROUP], bit: u8) -> [u8; GROUP / 8] {
    let mut bits = [0; GROUP / 8];
    for (bits, bytes) in bits.iter_mut().zip(kinds.as_chunks().0) {
        let bytes = (u64::from_le_bytes(*bytes) >> bit.trailing_zeros()) & 0x0101_0101_0101_0101;
        // Every product of a bit of one and a bit of the other falls on another place: no carries.
        *bits = (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    bits
}

/// At least [`BITS`] bits of a mask from a place on.
#[inline]
fn bits(mask: &[u8], at: usize) -> u64 {
    let bytes = mask.get(at / 8..).and_then(|mask| mask.first_chunk()).copied().map(u64::from_le_bytes);
    bytes.unwrap_or_default() >> (at % 8)
}
