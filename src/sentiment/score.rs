//! Numbers to probabilities, and which words decided.

use super::clauses::WHOLE;
use super::features::{DENSE, DENSE_COUNT, Scratch};
use super::fixed::{ONE, inverse_root, softmax};
use super::model::Model;
use super::overlay::Blend;
use super::table::Table;
use super::tokens::Kind;
use crate::model::Micro;

/// Texts beyond twice this are known by their beginning and their end, each of so many bytes.
pub(super) const PART_BYTES: usize = 1_024;

/// The three classes, in the order of probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Unhappy.
    Negative,
    /// Neither, or both.
    Neutral,
    /// Happy.
    Positive,
}

impl Class {
    /// `negative`, `neutral` or `positive`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
        }
    }
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentiment {
    /// Of negative, neutral and positive; they sum to one.
    pub probabilities: [Micro; 3],
    /// What was read: words, or only signs that need no language.
    pub basis: Basis,
}

/// What a score rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A model of the text's language.
    Words,
    /// Emoji, emoticons and punctuation: there is no model of the language.
    Symbols,
}

impl Sentiment {
    /// p(positive) − p(negative), −1 to 1.
    #[must_use]
    pub fn score(&self) -> Micro {
        let [negative, _, positive] = self.probabilities;
        positive - negative
    }

    /// The most probable class; of equals, neutral.
    #[must_use]
    pub fn class(&self) -> Class {
        let [negative, neutral, positive] = self.probabilities;
        if negative > neutral && negative > positive {
            Class::Negative
        } else if positive > neutral && positive > negative {
            Class::Positive
        } else {
            Class::Neutral
        }
    }

    /// Probability of the class, 0.333 to 1.
    #[must_use]
    pub fn confidence(&self) -> Micro {
        self.probabilities.into_iter().max().unwrap_or_default()
    }
}

/// A word and what it added to logit(positive) − logit(negative).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// As read: in small letters.
    pub word: String,
    /// In logits.
    pub logit: Micro,
}

/// Why a text scored as it did: contributions and the rest sum to the difference, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// Words in their order; those without a contribution are left out.
    pub words: Vec<Contribution>,
    /// What no word has: the bias, punctuation, length, the channel's prior, rounding.
    pub rest: Micro,
    /// logit(positive) − logit(negative).
    pub difference: Micro,
}

/// Logits in Q16 of negative and positive for the text in `scratch`, as the channel has them.
pub(super) fn logits(model: &Model, scratch: &Scratch, channel: &str) -> [i64; 2] {
    let blend = Blend::of(model, scratch, channel);
    let [negative, positive] = model.table.logits(scratch);
    let own = if blend.overlay == 0 { None } else { model.overlay.as_ref() };
    let own = own.map_or([0; 2], |overlay| overlay.table.logits(scratch));
    [blend.mixed(negative, own[0]) + blend.prior[0], blend.mixed(positive, own[1]) + blend.prior[1]]
}

/// Probabilities of logits in Q16.
pub(super) fn probabilities([negative, positive]: [i64; 2]) -> [Micro; 3] {
    softmax([negative, 0, positive])
}

/// What is scored of a text: all of it, or its beginning and its end.
pub(super) fn parts(text: &str) -> (&str, Option<&str>) {
    if text.len() <= 2 * PART_BYTES {
        return (text, None);
    }
    let first = text.get(..text.floor_char_boundary(PART_BYTES));
    let last = text.get(text.ceil_char_boundary(text.len() - PART_BYTES)..);
    (first.unwrap_or_default(), last)
}

/// The contributions of the words of the text in `scratch` to the calibrated difference.
pub(super) fn explain(model: &Model, scratch: &Scratch, channel: &str) -> Explanation {
    let tokens = &scratch.tokens.all;
    let blend = Blend::of(model, scratch, channel);
    let mut of_token = vec![0_i64; tokens.len()];
    share_table(&model.table, blend.base, scratch, &mut of_token);
    if let Some(overlay) = &model.overlay {
        share_table(&overlay.table, blend.overlay, scratch, &mut of_token);
    }
    let [negative, positive] = logits(model, scratch, channel);
    let difference = micro(positive - negative);
    let words = tokens.iter().zip(&of_token).filter_map(|(token, logit)| {
        let logit = micro(*logit);
        let shown = !matches!(token.kind, Kind::Pause | Kind::Stop) && logit != Micro::ZERO;
        shown.then(|| Contribution { word: scratch.tokens.text_of(token).to_lowercase(), logit })
    });
    let words: Vec<Contribution> = words.collect();
    let sum = words.iter().fold(Micro::ZERO, |sum, word| sum + word.logit);
    Explanation { words, rest: difference - sum, difference }
}

/// Divides what a table says, times a factor in Q16, among the words.
fn share_table(table: &Table, factor: i64, scratch: &Scratch, of_token: &mut [i64]) {
    let root = inverse_root(scratch.rows(|_, _, _| {}));
    scratch.rows(|at, row, weight| {
        if let (Some(sum), Some([negative, positive])) = (of_token.get_mut(at), table.rows.get(row)) {
            let difference = i64::from(*positive) - i64::from(*negative);
            *sum += (table.row_logit(difference * i64::from(weight), root) * factor) >> 16;
        }
    });
    share_dense(table, factor, scratch, of_token);
}

/// Divides the dense numbers which are sums of valence among the words, by their shares.
fn share_dense(table: &Table, factor: i64, scratch: &Scratch, of_token: &mut [i64]) {
    let weighed = |at: usize| {
        let part = scratch.clauses.parts.get(at);
        part.map_or(0, |part| i64::from(part.valence) * i64::from(part.weight) / i64::from(WHOLE))
    };
    let dense = scratch.dense();
    let all: Vec<(usize, i64)> =
        (0..of_token.len()).map(|at| (at, weighed(at))).filter(|(_, valence)| *valence != 0).collect();
    let half = of_token.len() / 2;
    for (at, name) in DENSE.iter().enumerate().take(DENSE_COUNT) {
        let (Some(value), Some([negative, positive])) = (dense.get(at), table.dense.get(at)) else { continue };
        let logit = (((value * (positive - negative)) >> 16) * factor) >> 16;
        let counts = |place: usize, valence: i64| match *name {
            "sum" => true,
            "positive" => valence > 0,
            "negative" => valence < 0,
            "highest" => all.iter().all(|(_, other)| *other <= valence) && valence > 0,
            "lowest" => all.iter().all(|(_, other)| *other >= valence) && valence < 0,
            "last" => all.last().is_some_and(|(last, _)| *last == place),
            "second_half" => place >= half,
            _ => false,
        };
        let shares: Vec<(usize, i64)> =
            all.iter().copied().filter(|(place, valence)| counts(*place, *valence)).collect();
        let total: i64 = shares.iter().map(|(_, valence)| valence).sum();
        for (place, valence) in shares.iter().filter(|_| total != 0) {
            if let Some(sum) = of_token.get_mut(*place) {
                *sum += logit * valence / total;
            }
        }
    }
}

/// Of Q16.
const fn micro(value: i64) -> Micro {
    Micro(value.saturating_mul(Micro::SCALE) / ONE)
}
