//! Which texts an overlay is for: how much more frequent each row is in own texts than in the base's.

use super::regression::Example;
use crate::sentiment::features::ROWS;
use crate::sentiment::fixed::{ONE, inverse_root};
use crate::sentiment::model::Model;
use crate::sentiment::overlay::likenesses;

/// An overlay begins to act where this part of own texts, in hundredths, is less like the rest of them, and acts alone
/// from where the second part is. Less takes more from texts of other kinds, more gives away what was learned:
/// `config/sentiment/README.md` has the figures.
const ACTS: [usize; 2] = [8, 30];

/// Texts as like as this need be no liker (Q16): own texts that are all of one make must not keep out new words.
const ALIKE: [i64; 2] = [ONE + ONE / 4, 3 * ONE];

/// The likeness of each row.
pub(super) struct Likeness {
    pub(super) rows: Box<[i8]>,
}

/// How often the texts hold each row.
pub(super) fn counts(examples: &[&Example]) -> Vec<u32> {
    let mut counts = vec![0; ROWS];
    for (row, _) in examples.iter().flat_map(|example| &example.features) {
        if let Some(count) = counts.get_mut(*row as usize) {
            *count += 1;
        }
    }
    counts
}

impl Likeness {
    pub(super) fn of(examples: &[&Example], base: &Model) -> Self {
        let base_texts = base.description.sources.iter().map(|source| source.texts).sum();
        Self { rows: likenesses(&counts(examples), examples.len(), &base.counts, base_texts) }
    }

    /// Of a text, as the scorer has it.
    pub(super) fn of_text(&self, example: &Example) -> f64 {
        let rows = || example.features.iter().filter_map(|(row, _)| self.rows.get(*row as usize));
        let sum: i64 = rows().map(|likeness| i64::from(*likeness)).sum();
        let count = i64::try_from(rows().count()).unwrap_or(i64::MAX);
        ((sum * inverse_root(count)) >> 8) as f64 / ONE as f64
    }
}

/// From which likenesses on an overlay acts, by those of own texts that were not seen.
#[expect(clippy::cast_possible_truncation, reason = "a text's likeness is a few hundred at most")]
pub(super) fn acts(unseen: impl Iterator<Item = f64>) -> [i64; 2] {
    let mut sorted: Vec<f64> = unseen.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |part: usize| sorted.get(sorted.len() * part / 100).map_or(0, |at| (at * ONE as f64).round() as i64);
    let (from, to) = (at(ACTS[0]).min(ALIKE[0]), at(ACTS[1]).min(ALIKE[1]));
    [from, to.max(from + ONE / 16)]
}
