//! What is known of single words and idioms: valence, and the part they play in a sentence. One open-addressed table.
//!
//! Built from text, `words<TAB>kind<TAB>value` a line, several words separated by `, `. A word of several parts is an
//! idiom ("can't wait"). Later lines win over earlier ones; roles add up.

use super::hash::{chain, hash_phrase, hash_word};

/// A word's part in a sentence, as bits.
pub(super) mod role {
    /// Turns what follows: not, never, without.
    pub(crate) const NEGATOR: u16 = 1;
    /// Strengthens or weakens what follows, by its valence.
    pub(crate) const BOOSTER: u16 = 1 << 1;
    /// What follows counts more than what was said: but, however.
    pub(crate) const CONTRAST: u16 = 1 << 2;
    /// Its own clause counts less: although, despite.
    pub(crate) const CONCESSION: u16 = 1 << 3;
    /// A frequent English word without an opinion. Negation passes over it.
    pub(crate) const FUNCTION: u16 = 1 << 4;
    /// Names a group of people: carries no weight, and all of them are one token.
    pub(crate) const IDENTITY: u16 = 1 << 5;
    /// Somebody else: people, my friend, the reviews.
    pub(crate) const OTHERS: u16 = 1 << 6;
    /// A verb of saying or thinking.
    pub(crate) const OPINION: u16 = 1 << 7;
    /// Not what is, but what was expected, hoped for or would be.
    pub(crate) const EXPECTATION: u16 = 1 << 8;
    /// What was once: used to, in the past.
    pub(crate) const PAST: u16 = 1 << 9;
    /// Back to the present: now, these days.
    pub(crate) const NOW: u16 = 1 << 10;
    /// A wish tells of a lack.
    pub(crate) const WISH: u16 = 1 << 11;
    /// The customer: I, we, my.
    pub(crate) const FIRST_PERSON: u16 = 1 << 12;
    /// An answer that says yes.
    pub(crate) const YES: u16 = 1 << 13;
    /// Is, was, did: may stand for a whole clause.
    pub(crate) const AUXILIARY: u16 = 1 << 14;
}

/// Longest idiom, in words.
pub(super) const IDIOM_WORDS_MAX: usize = 4;
/// Slots of the table, 8 bytes each.
const SLOTS: usize = 1 << 15;

/// What is known of a word. Nothing is known of most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// −5 to 5 in 1/25; of a booster, what it adds.
    pub(super) valence: i8,
    /// Bits: an idiom may begin with this word; it may be the second word of one.
    pub(super) idiom: u8,
    /// Bits of [`role`].
    pub(super) roles: u16,
}

const STARTS_IDIOM: u8 = 1;
const SECOND_OF_IDIOM: u8 = 2;

impl Entry {
    /// Whether an idiom may begin with this word if that one follows.
    #[inline]
    pub(super) const fn may_start_idiom(self, next: Self) -> bool {
        self.idiom & STARTS_IDIOM != 0 && next.idiom & SECOND_OF_IDIOM != 0
    }

    /// Whether it plays one of these parts.
    pub(super) const fn is(self, roles: u16) -> bool {
        self.roles & roles != 0
    }

    /// Valence in hundredths; none of a booster.
    pub(super) const fn hundredths(self) -> i32 {
        if self.is(role::BOOSTER) { 0 } else { self.valence as i32 * 4 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Slot {
    /// Low half of the word's hash; 0 is a free slot.
    key: u32,
    entry: Entry,
}

/// The table of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lexicon {
    slots: Box<[Slot]>,
    taken: usize,
}

/// Why a line of a lexicon cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LexiconError {
    /// Not three columns, an unknown kind or a value that is no number.
    #[error("line {line}: expected words, kind and value, separated by tabs; the kind is one of {}", kinds())]
    Line {
        /// From 1.
        line: usize,
    },
    /// More words than the table holds.
    #[error("more than {} words", SLOTS / 2)]
    Full,
}

const KINDS: &[(&str, u16)] = &[
    ("v", 0),
    ("b", role::BOOSTER),
    ("n", role::NEGATOR),
    ("but", role::CONTRAST),
    ("concession", role::CONCESSION),
    ("function", role::FUNCTION),
    ("identity", role::IDENTITY),
    ("others", role::OTHERS),
    ("opinion", role::OPINION),
    ("expectation", role::EXPECTATION),
    ("past", role::PAST),
    ("now", role::NOW),
    ("wish", role::WISH),
    ("first", role::FIRST_PERSON),
    ("yes", role::YES),
    ("auxiliary", role::AUXILIARY),
];

fn kinds() -> String {
    KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

const fn key(hash: u64) -> u32 {
    let low = (hash & 0xffff_ffff) as u32;
    if low == 0 { 1 } else { low }
}

#[expect(clippy::cast_possible_truncation, reason = "the top 15 bits")]
const fn place(hash: u64) -> usize {
    // The top bits of a 64-bit hash fit.
    (hash >> (64 - SLOTS.trailing_zeros())) as usize
}

impl Default for Lexicon {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); SLOTS].into_boxed_slice(), taken: 0 }
    }
}

impl Lexicon {
    /// Reads lexicons, the later over the earlier.
    pub(super) fn parse(texts: &[&str]) -> Result<Self, LexiconError> {
        let mut lexicon = Self::default();
        for text in texts {
            for (line, row) in (1..).zip(text.lines()).filter(|(_, row)| !row.is_empty() && !row.starts_with("# ")) {
                lexicon.line(row).ok_or(LexiconError::Line { line })??;
            }
        }
        Ok(lexicon)
    }

    fn line(&mut self, row: &str) -> Option<Result<(), LexiconError>> {
        let (words, rest) = row.split_once('\t')?;
        let (kind, value) = rest.split_once('\t')?;
        let (_, role) = KINDS.iter().find(|(name, _)| *name == kind)?;
        let value: f64 = value.parse().ok().filter(|value: &f64| (-6.0..=6.0).contains(value))?;
        #[expect(clippy::cast_possible_truncation, reason = "beyond ±5 it is the largest there is")]
        let valence = (value * 25.0).round() as i8;
        for word in words.split(", ") {
            if let Err(error) = self.add(word, valence, *role) {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }

    fn add(&mut self, word: &str, valence: i8, role: u16) -> Result<(), LexiconError> {
        let (first, whole) = hash_phrase(word);
        if let Some(second) = word.split(' ').nth(1) {
            self.slot(first)?.entry.idiom |= STARTS_IDIOM;
            self.slot(hash_word(second.as_bytes()))?.entry.idiom |= SECOND_OF_IDIOM;
        }
        let entry = &mut self.slot(whole)?.entry;
        entry.roles |= role;
        if role == 0 || role == role::BOOSTER || valence != 0 {
            entry.valence = valence;
        }
        Ok(())
    }

    /// The slot of a word, taken if it was free.
    fn slot(&mut self, hash: u64) -> Result<&mut Slot, LexiconError> {
        let mut at = place(hash);
        while self.slots.get(at).is_some_and(|slot| slot.key != 0 && slot.key != key(hash)) {
            at = (at + 1) % SLOTS;
        }
        let slot = self.slots.get_mut(at).filter(|_| self.taken < SLOTS / 2).ok_or(LexiconError::Full)?;
        self.taken += usize::from(slot.key == 0);
        slot.key = key(hash);
        Ok(slot)
    }

    /// What is known of a word.
    #[inline]
    pub(super) fn entry(&self, hash: u64) -> Entry {
        let key = key(hash);
        let mut at = place(hash);
        loop {
            match self.slots.get(at) {
                Some(slot) if slot.key == key => return slot.entry,
                Some(slot) if slot.key != 0 => at = (at + 1) % SLOTS,
                _ => return Entry::default(),
            }
        }
    }

    /// The longest idiom that begins with the first of these words: its entry and its length in words.
    pub(super) fn idiom(&self, hashes: impl Iterator<Item = u64>) -> Option<(Entry, usize)> {
        let mut found = None;
        let mut whole = None;
        for (words, hash) in (1..=IDIOM_WORDS_MAX).zip(hashes) {
            let chained = whole.map_or(hash, |before| chain(before, hash));
            whole = Some(chained);
            let entry = if words > 1 { self.entry(chained) } else { Entry::default() };
            if entry.valence != 0 || entry.roles != 0 {
                found = Some((entry, words));
            }
        }
        found
    }

    /// The taken slots: place, key, entry.
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, u32, Entry)> + '_ {
        let taken = self.slots.iter().enumerate().filter(|(_, slot)| slot.key != 0);
        taken.map(|(at, slot)| (at, slot.key, slot.entry))
    }

    /// The table of these slots; none when one lies outside or the table is too full to find an end.
    pub(super) fn of_slots(slots: impl Iterator<Item = (usize, u32, Entry)>) -> Option<Self> {
        let mut lexicon = Self::default();
        for (at, key, entry) in slots {
            *lexicon.slots.get_mut(at)? = Slot { key, entry };
            lexicon.taken += 1;
        }
        (lexicon.taken <= SLOTS / 2).then_some(lexicon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentiment::hash::hash_word;

    #[test]
    fn words_and_idioms_are_found() {
        let text = "good, fine\tv\t1.9\nnot\tn\t0\nvery\tb\t0.293\ncan't wait, can't wait to\tv\t2\nbut\tfunction\t0\nbut\tbut\t0\n";
        let lexicon = Lexicon::parse(&[text]).unwrap();
        assert_eq!(lexicon.entry(hash_word(b"good")).hundredths(), 192);
        assert_eq!(lexicon.entry(hash_word(b"fine")).hundredths(), 192);
        assert!(lexicon.entry(hash_word(b"but")).is(role::CONTRAST));
        assert!(lexicon.entry(hash_word(b"but")).is(role::FUNCTION));
        assert_eq!(lexicon.entry(hash_word(b"table")), Entry::default());
        let words = |text: &str| text.split(' ').map(|word| hash_word(word.as_bytes())).collect::<Vec<_>>();
        assert_eq!(lexicon.idiom(words("can't wait to see").into_iter()).map(|(_, words)| words), Some(3));
        assert_eq!(lexicon.idiom(words("can't see").into_iter()), None);
        let entry = |word: &str| lexicon.entry(hash_word(word.as_bytes()));
        assert!(entry("can't").may_start_idiom(entry("wait")) && !entry("can't").may_start_idiom(entry("good")));
        assert_eq!(Lexicon::of_slots(lexicon.slots()), Some(lexicon));
    }

    #[test]
    fn broken_lines_are_named() {
        for (text, line) in [("good v 1", 1), ("good\tv\t1\nbad\tx\t1", 2), ("good\tv\t9", 1), ("good\tv\tNaN", 1)] {
            assert_eq!(Lexicon::parse(&[text]), Err(LexiconError::Line { line }), "{text}");
        }
    }
}
