//! What each byte of a text is, found for the whole text before it is cut: one pass the compiler turns into vector
//! instructions in place of a look at every byte in turn, which costs a branch gone wrong for every word.
//!
//! A bit for each byte says whether it is inside a word, so that the length of a word is a count of ones. What few texts
//! have at all, repeated letters and words in capitals, is asked of the whole text first.

/// Bytes that are looked at together.
const GROUP: usize = 32;

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
    /// A letter stands three times in a row somewhere, whatever its case.
    runs: bool,
    /// Two capitals stand side by side somewhere.
    capitals: bool,
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
        if self.lower.len() < groups * GROUP {
            self.lower.resize(groups * GROUP, 0);
            self.inside.resize((groups + 2) * GROUP / 8, 0);
        }
        self.classify(groups * GROUP);
    }

    fn classify(&mut self, used: usize) {
        for (lower, raw) in self.lower.iter_mut().zip(&self.raw) {
            *lower = raw | (u8::from(raw.wrapping_sub(b'A') < 26) << 5);
        }
        let groups = self.raw.as_chunks().0.iter().zip(self.lower.as_chunks().0);
        for ((raw, lower), inside) in groups.zip(self.inside.as_chunks_mut().0) {
            *inside = insides(raw, lower);
        }
        let lower = self.lower.get(..used).unwrap_or_default();
        let run = |a: u8, b: u8, c: u8| u8::from(a == b) & u8::from(a == c) & u8::from(a.wrapping_sub(b'a') < 26);
        let three = lower.iter().zip(lower.get(1..).unwrap_or_default()).zip(lower.get(2..).unwrap_or_default());
        self.runs = three.fold(0, |any, ((a, b), c)| any | run(*a, *b, *c)) != 0;
        let capital = |byte: u8| u8::from(byte.wrapping_sub(b'A') < 26);
        let two = self.raw.iter().zip(self.raw.get(1..).unwrap_or_default());
        self.capitals = two.fold(0, |any, (a, b)| any | (capital(*a) & capital(*b))) != 0;
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

    /// How many bytes from here on are inside a word; of a long word, more than fifty.
    #[inline]
    pub(super) fn word(&self, at: usize) -> usize {
        let bits = self.inside.get(at / 8..).and_then(|bytes| bytes.first_chunk()).copied().map(u64::from_le_bytes);
        (!(bits.unwrap_or_default() >> (at % 8))).trailing_zeros() as usize
    }

    /// Sixteen bytes in small letters.
    #[inline]
    pub(super) fn sixteen(&self, at: usize) -> u128 {
        sixteen(&self.lower, at)
    }

    /// Whether a letter stands three times in a row in a word of so many bytes.
    #[inline]
    pub(super) fn repeats(&self, at: usize, bytes: usize) -> bool {
        let word = || self.lower.get(at..at + bytes).unwrap_or_default().windows(3);
        self.runs && word().any(|three| matches!(three, [a, b, c] if a == b && a == c && a.is_ascii_lowercase()))
    }

    /// Whether a word, of which `kept` are the bits, has no small letter and two capitals side by side.
    #[inline]
    pub(super) fn in_capitals(&self, at: usize, lower: u128, kept: u128) -> bool {
        // Of what a word holds, letters alone have the bit 0x40; a capital differs from its small letter in the bit 0x20.
        const LETTER: u128 = u128::from_le_bytes([0x40; 16]);
        let letters = lower & LETTER;
        self.capitals && letters == ((sixteen(&self.raw, at) & kept) ^ lower) << 1 && letters & (letters >> 8) != 0
    }
}

#[inline]
fn sixteen(bytes: &[u8], at: usize) -> u128 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().map(u128::from_le_bytes).unwrap_or_default()
}

/// Which bytes of a group, given also in small letters, are inside a word: a bit each.
#[inline]
fn insides(raw: &[u8; GROUP], lower: &[u8; GROUP]) -> [u8; GROUP / 8] {
    let mut inside = [0; GROUP];
    for (inside, (raw, lower)) in inside.iter_mut().zip(raw.iter().zip(lower)) {
        let letter = u8::from(lower.wrapping_sub(b'a') < 26);
        *inside = letter | u8::from(raw.wrapping_sub(b'0') < 10) | u8::from(*raw == b'\'');
    }
    let mut bits = [0; GROUP / 8];
    for (bits, bytes) in bits.iter_mut().zip(inside.as_chunks().0) {
        // Every product of a bit of one and a bit of the other falls on another place: no carries.
        *bits = (u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    bits
}
