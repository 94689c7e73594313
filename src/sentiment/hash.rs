//! Hashes of words and of sequences of words. They are part of the model's format: another hash needs another model.

const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd6e8_feb8_6659_fd93;
const K3: u64 = 0xa076_1d64_78bd_642f;
const K4: u64 = 0xe703_7ed1_a0b4_28db;
/// Stands for every word that names a group of people.
pub(super) const IDENTITY_HASH: u64 = K4;

/// The low half.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
pub(super) const fn low(value: u128) -> u64 {
    value as u64
}

/// Stands for every token of a kind.
pub(super) const fn placeholder(kind: u64) -> u64 {
    fold(K3, kind + 1)
}

/// Product of two words, its halves folded together (the mixing step of wyhash).
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    low(product) ^ low(product >> 64)
}

#[inline]
pub(super) const fn hash_16(bytes: u128, before: u64) -> u64 {
    fold(low(bytes) ^ K1 ^ before, low(bytes >> 64) ^ K2)
}

/// Hash of a word in small letters.
pub(super) fn hash_word(word: &[u8]) -> u64 {
    let mut hash = 0;
    for part in word.chunks(16) {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        hash = hash_16(u128::from_le_bytes(bytes), hash);
    }
    hash
}

/// Hash of a sequence of tokens that ends with `next`.
#[inline]
pub(super) const fn chain(before: u64, next: u64) -> u64 {
    fold(before ^ K4, next ^ K3)
}

/// Hash of the first word, and of all words, of a phrase with blanks between them.
pub(super) fn hash_phrase(phrase: &str) -> (u64, u64) {
    let mut words = phrase.split(' ').map(|word| hash_word(word.as_bytes()));
    let first = words.next().unwrap_or_default();
    (first, words.fold(first, chain))
}
