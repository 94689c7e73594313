//! A word letter by letter: the slow way, for long words, other scripts and repeated letters.

/// A longer word is known by its beginning.
const WORD_BYTES_MAX: usize = 64;

/// A word letter by letter, in small letters, with runs of a letter cut to two and to one.
pub(super) struct Spelled {
    twice: [u8; WORD_BYTES_MAX],
    once: [u8; WORD_BYTES_MAX],
    lengths: [usize; 2],
    last: u8,
    run: usize,
    pub(super) repeated: bool,
    letters: usize,
    small: usize,
}

impl Default for Spelled {
    fn default() -> Self {
        Self {
            twice: [0; WORD_BYTES_MAX],
            once: [0; WORD_BYTES_MAX],
            lengths: [0; 2],
            last: 0,
            run: 0,
            repeated: false,
            letters: 0,
            small: 0,
        }
    }
}

impl Spelled {
    pub(super) fn twice(&self) -> &[u8] {
        self.twice.get(..self.lengths[0]).unwrap_or_default()
    }

    pub(super) fn once(&self) -> &[u8] {
        self.once.get(..self.lengths[1]).unwrap_or_default()
    }

    pub(super) const fn capitals(&self) -> bool {
        self.small == 0 && self.letters > 1
    }

    /// The bytes of one character.
    pub(super) fn take(&mut self, character: &[u8]) {
        for byte in character {
            self.letters += usize::from(byte.is_ascii_alphabetic());
            self.small += usize::from(byte.is_ascii_lowercase());
            let lower = byte.to_ascii_lowercase();
            self.run = if lower == self.last && lower.is_ascii_alphabetic() { self.run + 1 } else { 1 };
            self.last = lower;
            if self.run == 3 {
                // The run began with two: all but one of them go from the shorter spelling.
                self.repeated = true;
                self.lengths[1] = self.lengths[1].saturating_sub(1);
            }
            if self.run <= 2 {
                let [twice, once] = &mut self.lengths;
                for (bytes, length) in [(&mut self.twice, twice), (&mut self.once, once)] {
                    if let Some(place) = bytes.get_mut(*length) {
                        *place = lower;
                        *length += 1;
                    }
                }
            }
        }
    }

    /// Takes the last byte back.
    pub(super) fn untake(&mut self) {
        self.lengths = self.lengths.map(|length| length.saturating_sub(1));
    }
}
