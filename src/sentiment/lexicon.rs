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
/// Slots of the table, 8 bytes each, and how many are looked at together.
const SLOTS: usize = 1 << 15;
const BUCKET: usize = 4;
const BUCKETS: usize = SLOTS / BUCKET;

/// What is known of a word. Nothing is known of most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// −5 to 5 in 1/25; of a booster, what it adds.
    pub(super) valence: i8,
    /// Bits: which words may follow as the second of an idiom, and the part it plays itself in one.
    pub(super) idiom: u8,
    /// Bits of [`role`].
    pub(super) roles: u16,
}

/// Words that may follow the first of an idiom are told apart by this many bits.
const FOLLOWERS: u64 = 5;
const SECOND: u8 = 1 << 5;
/// Of several words: an idiom; the beginning of a longer one.
const IDIOM: u8 = 1 << 6;
const LONGER: u8 = 1 << 7;

/// The bit of a word that may follow.
#[inline]
const fn follower(hash: u64) -> u8 {
    1 << ((hash >> 32 & 0xffff) % FOLLOWERS)
}

impl Entry {
    /// Whether an idiom may begin with this word.
    #[inline]
    pub(super) const fn starts_idiom(self) -> bool {
        self.idiom & (SECOND - 1) != 0
    }

    /// Whether an idiom may begin with this word if that one, of this hash, follows.
    #[inline]
    pub(super) const fn may_start_idiom(self, next: Self, hash: u64) -> bool {
        (self.idiom & follower(hash) != 0) & (next.idiom & SECOND != 0)
    }

    #[inline]
    const fn bits(self) -> u64 {
        let [low, high] = self.roles.to_le_bytes();
        u32::from_le_bytes([self.valence.cast_unsigned(), self.idiom, low, high]) as u64
    }

    #[inline]
    const fn of_slot(slot: u64) -> Self {
        let [valence, idiom, low, high, ..] = slot.to_le_bytes();
        Self { valence: valence.cast_signed(), idiom, roles: u16::from_le_bytes([low, high]) }
    }

    /// Whether it has no valence and changes nothing nearby: at most it says what its clause is about.
    #[inline]
    pub(super) const fn is_plain(self) -> bool {
        const ACTS: u16 = role::NEGATOR | role::BOOSTER | role::CONTRAST | role::IDENTITY | role::OPINION | role::YES;
        (self.roles & ACTS == 0) & (self.valence == 0)
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

/// Slots that lie together and are taken in their order: the low half of a word's hash, above the bits of its [`Entry`].
/// 0 is a free slot.
type Bucket = [u64; BUCKET];

/// The table of words. A word is in the first bucket from its place on that had room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lexicon {
    buckets: Box<[Bucket]>,
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

/// The low half; never that of a free slot.
const fn key(hash: u64) -> u64 {
    let low = hash & 0xffff_ffff;
    if low == 0 { 1 } else { low }
}

#[expect(clippy::cast_possible_truncation, reason = "the top 13 bits")]
const fn place(hash: u64) -> usize {
    // The top bits of a 64-bit hash fit.
    (hash >> (64 - BUCKETS.trailing_zeros())) as usize
}

impl Default for Lexicon {
    fn default() -> Self {
        Self { buckets: vec![[0; BUCKET]; BUCKETS].into_boxed_slice(), taken: 0 }
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
        let mut idiom = 0;
        if let Some(second) = word.split(' ').nth(1).map(|second| hash_word(second.as_bytes())) {
            self.change(first, |entry| entry.idiom |= follower(second))?;
            self.change(second, |entry| entry.idiom |= SECOND)?;
            for (end, _) in word.match_indices(' ').skip(1) {
                let beginning = hash_phrase(word.get(..end).unwrap_or_default()).1;
                self.change(beginning, |entry| entry.idiom |= LONGER)?;
            }
            idiom = IDIOM;
        }
        self.change(whole, |entry| {
            entry.idiom |= idiom;
            entry.roles |= role;
            if role == 0 || role == role::BOOSTER || valence != 0 {
                entry.valence = valence;
            }
        })
    }

    /// Changes what is known of a word; it takes a slot if it had none.
    fn change(&mut self, hash: u64, change: impl FnOnce(&mut Entry)) -> Result<(), LexiconError> {
        let places = (place(hash)..BUCKETS).chain(0..place(hash));
        let fits = |slot: &u64| *slot == 0 || slot >> 32 == key(hash);
        let at = places.into_iter().find(|at| self.buckets.get(*at).is_some_and(|bucket| bucket.iter().any(fits)));
        let bucket = at.and_then(|at| self.buckets.get_mut(at)).filter(|_| self.taken < SLOTS / 2);
        let slot = bucket.and_then(|bucket| bucket.iter_mut().find(|slot| fits(slot))).ok_or(LexiconError::Full)?;
        self.taken += usize::from(*slot == 0);
        let mut entry = Entry::of_slot(*slot);
        change(&mut entry);
        *slot = (key(hash) << 32) | entry.bits();
        Ok(())
    }

    /// What is known of a word.
    #[inline]
    pub(super) fn entry(&self, hash: u64) -> Entry {
        let key = key(hash);
        let mut at = place(hash);
        while let Some(bucket) = self.buckets.get(at) {
            // All of them without a branch, as which it is cannot be foreseen: of the word's own, nothing is left of the
            // key, so it is the least.
            let least = bucket.iter().fold(u64::MAX, |least, slot| least.min(slot ^ (key << 32)));
            let found = least >> 32 == 0;
            // Hardly a word is in a later bucket.
            if found || bucket.last().is_none_or(|slot| *slot == 0) {
                return if found { Entry::of_slot(least) } else { Entry::default() };
            }
            at = (at + 1) % BUCKETS;
        }
        Entry::default()
    }

    /// The longest idiom that begins with the first of these words: its entry and its length in words.
    pub(super) fn idiom(&self, mut hashes: impl Iterator<Item = u64>) -> Option<(Entry, usize)> {
        let mut found = None;
        let mut whole = hashes.next()?;
        for (words, hash) in (2..=IDIOM_WORDS_MAX).zip(hashes) {
            whole = chain(whole, hash);
            let entry = self.entry(whole);
            if entry.idiom & IDIOM != 0 {
                found = Some((entry, words));
            }
            if entry.idiom & LONGER == 0 {
                break;
            }
        }
        found
    }

    /// The taken slots: place, key, entry.
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, u32, Entry)> + '_ {
        let taken = self.buckets.as_flattened().iter().enumerate().filter(|(_, slot)| **slot != 0);
        taken.map(|(at, slot)| (at, (slot >> 32) as u32, Entry::of_slot(*slot)))
    }

    /// The table of these slots; none when one lies outside or the table is too full to find an end.
    pub(super) fn of_slots(slots: impl Iterator<Item = (usize, u32, Entry)>) -> Option<Self> {
        let mut lexicon = Self::default();
        for (at, key, entry) in slots {
            *lexicon.buckets.as_flattened_mut().get_mut(at)? = (u64::from(key) << 32) | entry.bits();
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
        let may_start = |word: &str, next: &str| {
            let [word, next] = [word, next].map(|word| hash_word(word.as_bytes()));
            lexicon.entry(word).may_start_idiom(lexicon.entry(next), next)
        };
        assert!(may_start("can't", "wait") && !may_start("can't", "good"));
        assert_eq!(Lexicon::of_slots(lexicon.slots()), Some(lexicon));
    }

    #[test]
    fn broken_lines_are_named() {
        for (text, line) in [("good v 1", 1), ("good\tv\t1\nbad\tx\t1", 2), ("good\tv\t9", 1), ("good\tv\tNaN", 1)] {
            assert_eq!(Lexicon::parse(&[text]), Err(LexiconError::Line { line }), "{text}");
        }
    }
}
