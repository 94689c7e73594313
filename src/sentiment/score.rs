//! Numbers to probabilities, and which words decided.

use super::clauses::WHOLE;
use super::features::{DENSE, DENSE_COUNT, Scratch};
use super::fixed::{ONE, inverse_root, softmax};
use super::model::Model;
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

/// Logits of negative and positive, of one row's weights or sums of them: `sum` of weights in 1/256.
fn row_logit(model: &Model, sum: i64, inverse_root: i64) -> i64 {
    (((sum * model.description.row_unit) >> 12) * inverse_root) >> 24
}

/// Logits in Q16 of the text in `scratch`, before calibration.
pub(super) fn logits(model: &Model, scratch: &Scratch) -> [i64; 2] {
    let mut sums = [0_i32; 2];
    let count = scratch.rows(|_, row, weight| {
        if let Some([negative, positive]) = model.rows.get(row) {
            sums[0] += i32::from(*negative) * weight;
            sums[1] += i32::from(*positive) * weight;
        }
    });
    let inverse_root = inverse_root(count);
    let mut logits = sums.map(|sum| row_logit(model, i64::from(sum), inverse_root));
    for (value, weights) in scratch.dense().into_iter().zip(&model.dense) {
        for (logit, weight) in logits.iter_mut().zip(weights) {
            *logit += (value * weight) >> 16;
        }
    }
    logits
}

/// Logits in Q16 of negative and positive as the channel has them.
pub(super) fn calibrated(model: &Model, logits: [i64; 2], channel: &str) -> [i64; 2] {
    let calibration = model.calibration(channel);
    let [negative, positive] = logits.map(|logit| (logit * calibration.sharpness) >> 16);
    let [of_negative, of_positive] = calibration.prior;
    [negative + of_negative, positive + of_positive]
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
    let sharpness = model.calibration(channel).sharpness;
    let mut of_token = vec![0_i64; tokens.len()];
    let count = scratch.rows(|_, _, _| {});
    let root = inverse_root(count);
    scratch.rows(|at, row, weight| {
        if let (Some(sum), Some([negative, positive])) = (of_token.get_mut(at), model.rows.get(row)) {
            let difference = i64::from(*positive) - i64::from(*negative);
            *sum += row_logit(model, difference * i64::from(weight), root);
        }
    });
    share_dense(model, scratch, &mut of_token);
    let [negative, positive] = calibrated(model, logits(model, scratch), channel);
    let difference = micro(positive - negative);
    let words = tokens.iter().zip(&of_token).filter_map(|(token, logit)| {
        let logit = micro((logit * sharpness) >> 16);
        let shown = !matches!(token.kind, Kind::Pause | Kind::Stop) && logit != Micro::ZERO;
        shown.then(|| Contribution { word: scratch.tokens.text_of(token).to_lowercase(), logit })
    });
    let words: Vec<Contribution> = words.collect();
    let sum = words.iter().fold(Micro::ZERO, |sum, word| sum + word.logit);
    Explanation { words, rest: difference - sum, difference }
}

/// Divides the dense numbers which are sums of valence among the words, by their shares.
fn share_dense(model: &Model, scratch: &Scratch, of_token: &mut [i64]) {
    let weighed = |at: usize| {
        let part = scratch.clauses.parts.get(at);
        part.map_or(0, |part| i64::from(part.valence) * i64::from(part.weight) / i64::from(WHOLE))
    };
    let dense = scratch.dense();
    let all: Vec<(usize, i64)> =
        (0..of_token.len()).map(|at| (at, weighed(at))).filter(|(_, valence)| *valence != 0).collect();
    let half = of_token.len() / 2;
    for (at, name) in DENSE.iter().enumerate().take(DENSE_COUNT) {
        let (Some(value), Some([negative, positive])) = (dense.get(at), model.dense.get(at)) else { continue };
        let logit = (value * (positive - negative)) >> 16;
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
