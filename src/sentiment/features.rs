//! Tokens to numbers: hashed rows with a weight each, and a few dense numbers. The trainer and the scorer both use this,
//! so that the two cannot differ.

use super::clauses::{Clauses, Counts, Part, WHOLE};
use super::fixed::{ONE, squash};
use super::hash::chain;
use super::lexicon::Lexicon;
use super::tokens::{Kind, Tokens};

/// Rows of the table, a power of two.
pub(super) const ROWS: usize = 1 << 18;
/// Tells a negated word from the word.
const NEGATED: u64 = 0x5bd1_e995_7b93_0000;
/// Tell apart where a neighbour of a word with a valence stands: just before, just after, two before; and the sign.
const BEFORE: u64 = 0x1b87_3593_cc9e_2d51;
const AFTER: u64 = 0x85eb_ca6b_c2b2_ae35;
const TWO_BEFORE: u64 = 0x27d4_eb2f_1656_67c5;
const GOOD: u64 = 0x2545_f491_4f6c_dd1d;
/// Begins the course of a text.
const COURSE: u64 = 0x6c62_272e_07bb_0142;
/// Valences that the course of a text holds.
const COURSE_HITS_MAX: usize = 4;
/// Stands for the beginning and the end of the text.
const EDGE: u64 = 0x9fb2_1c65_1e98_df25;

/// The dense numbers, in this order.
pub(super) const DENSE: &[&str] = &[
    "sum",
    "positive",
    "negative",
    "highest",
    "lowest",
    "last",
    "second_half",
    "symbols",
    "discounted",
    "exclamation",
    "question",
    "capitals",
    "contrast",
    "negators",
    "plain_negators",
    "no_hit",
    "length",
    "repeated",
    "number",
    "bias",
];
/// How many there are.
pub(super) const DENSE_COUNT: usize = 20;
const _: () = assert!(DENSE.len() == DENSE_COUNT);

/// The row of a hash.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the top 18 bits")]
pub(super) const fn row_of(hash: u64) -> usize {
    (hash >> (64 - ROWS.trailing_zeros())) as usize
}

/// A text in preparation: tokens, clauses. Belongs to one thread and is used for one text after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) tokens: Tokens,
    pub(super) clauses: Clauses,
}

impl Scratch {
    /// Reads a text: tokens, then clauses.
    pub(super) fn read(&mut self, text: &str, lexicon: &Lexicon) {
        self.tokens.read(text, lexicon);
        self.clauses.weigh(&mut self.tokens, lexicon);
    }

    /// Gives every hashed feature to `take`: number of the token, row, weight in 1/256. Answers how many there were.
    #[inline]
    pub(super) fn rows(&self, mut take: impl FnMut(usize, usize, i32)) -> i64 {
        let mut count = 0;
        let mut before = None;
        for (at, (token, part)) in self.tokens.all.iter().zip(&self.clauses.parts).enumerate() {
            match token.kind {
                Kind::Word | Kind::Number | Kind::Handle | Kind::Link | Kind::Email | Kind::Symbol => {}
                Kind::Pause => continue,
                Kind::Stop | Kind::Exclamation | Kind::Question => {
                    before = None;
                    continue;
                }
            }
            let turn = if part.negated { NEGATED } else { 0 };
            take(at, row_of(token.hash ^ turn), part.weight);
            count += 1;
            if let Some(before) = before {
                take(at, row_of(chain(before, token.hash)), part.weight);
                count += 1;
            }
            before = Some(token.hash);
        }
        count += self.neighbour_rows(&mut take);
        for row in self.course_rows() {
            take(self.clauses.hits.first().copied().unwrap_or_default(), row, WHOLE);
            count += 1;
        }
        count
    }

    /// The course of a text: the signs of its first valences in their order, and those of the first and the last.
    #[inline]
    fn course_rows(&self) -> [usize; 2] {
        let valence = |at: &usize| self.clauses.parts.get(*at).map_or(0, |part| part.valence);
        let sign = |at: &usize| if valence(at) > 0 { GOOD } else { COURSE };
        let hits = &self.clauses.hits;
        let course = hits.iter().take(COURSE_HITS_MAX).fold(COURSE, |course, at| chain(course, sign(at)));
        let ends = [hits.first(), hits.last()].map(|at| at.map_or(EDGE, sign));
        [row_of(course), row_of(chain(ends[0], ends[1]))]
    }

    /// Words next to one with a valence, by its sign and whatever it is: "too" before praise, "enough" after it.
    #[inline]
    fn neighbour_rows(&self, take: &mut impl FnMut(usize, usize, i32)) -> i64 {
        let mut count = 0;
        for at in &self.clauses.hits {
            let (Some(part), Some((left, right))) =
                (self.clauses.parts.get(*at), self.tokens.all.split_at_checked(*at))
            else {
                continue;
            };
            let mut left = left.iter().rev().filter(|token| token.kind != Kind::Pause);
            let mut right = right.iter().skip(1).filter(|token| token.kind != Kind::Pause);
            let sign = if part.valence > 0 { GOOD } else { 0 };
            let mut row = |place: u64, hash: u64| {
                take(*at, row_of(chain(place ^ sign, hash)), part.weight);
                count += 1;
            };
            row(BEFORE, left.next().map_or(EDGE, |token| token.hash));
            row(AFTER, right.next().map_or(EDGE, |token| token.hash));
            if let Some(token) = left.next() {
                row(TWO_BEFORE, token.hash);
            }
        }
        count
    }

    /// The dense numbers, in Q16.
    pub(super) fn dense(&self) -> [i64; DENSE_COUNT] {
        let mut sums = Sums::default();
        let half = self.tokens.all.len() / 2;
        for at in &self.clauses.hits {
            if let (Some(token), Some(part)) = (self.tokens.all.get(*at), self.clauses.parts.get(*at)) {
                sums.hit(*at >= half, token.kind == Kind::Symbol, part);
            }
        }
        sums.dense(&self.clauses.counts, self.clauses.contrast)
    }
}

#[derive(Default)]
struct Sums {
    hits: i64,
    /// Hundredths of a valence, as all below.
    positive: i64,
    negative: i64,
    highest: i64,
    lowest: i64,
    last: i64,
    second_half: i64,
    symbols: i64,
    discounted: i64,
}

impl Sums {
    #[inline]
    fn hit(&mut self, second_half: bool, symbol: bool, part: &Part) {
        let valence = i64::from(part.valence);
        let weighted = valence * i64::from(part.weight) / i64::from(WHOLE);
        self.hits += 1;
        self.positive += weighted.max(0);
        self.negative += weighted.min(0);
        self.highest = self.highest.max(weighted);
        self.lowest = self.lowest.min(weighted);
        self.last = weighted;
        self.second_half += if second_half { weighted } else { 0 };
        self.symbols += if symbol { weighted } else { 0 };
        self.discounted += if part.discounted { valence } else { 0 };
    }

    fn dense(&self, counts: &Counts, contrast: bool) -> [i64; DENSE_COUNT] {
        let share = |part: i64| part * ONE / counts.words.max(1);
        let flag = |set: bool| if set { ONE } else { 0 };
        [
            squash(self.positive + self.negative, 8),
            squash(self.positive, 8),
            squash(self.negative, 8),
            squash(self.highest, 4),
            squash(self.lowest, 4),
            squash(self.last, 4),
            squash(self.second_half, 8),
            squash(self.symbols, 4),
            squash(self.discounted, 8),
            squash(counts.exclamations * 100, 2),
            squash(counts.questions * 100, 2),
            share(counts.capitals),
            flag(contrast),
            squash(counts.plain_negators * 100, 2),
            share(counts.plain_negators * 4).min(2 * ONE),
            flag(self.hits == 0),
            squash(counts.words * 10, 4),
            flag(counts.repeated > 0),
            flag(counts.numbers > 0),
            ONE,
        ]
    }
}
