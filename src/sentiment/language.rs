//! Which language a text is in, asked only when English is in doubt; and what can be said of a text without a model.

use super::clauses::Counts;
use super::fixed::ONE;
use super::score::probabilities;
use super::tokens::{Kind, Tokens};
use crate::model::Micro;

/// Fewer words than this say nothing about a language.
const WORDS_MIN: i64 = 3;

/// The ISO 639-1 code of a declared language: `en` of `en-GB`, `EN` of `EN_us`; none when nothing is declared.
pub(super) fn code(declared: &str) -> Option<&str> {
    declared.split(['-', '_']).next().filter(|code| !code.is_empty())
}

/// Whether a text may not be English: letters beyond ASCII, or none of its words is a frequent English word.
pub(super) fn in_doubt(counts: &Counts, text: &str) -> bool {
    let Counts { words, known, valued, .. } = *counts;
    if words < WORDS_MIN && text.is_ascii() {
        return false;
    }
    // One in eight is rare in English.
    if (known * 8 < words && valued == 0) || (known == 0 && words >= WORDS_MIN) {
        return true;
    }
    known * 5 < words && !text.is_ascii() && text.chars().any(|letter| !letter.is_ascii() && letter.is_alphabetic())
}

/// The most likely language, by its ISO 639-1 code; empty for one that is not known.
pub(super) fn detect(text: &str) -> &'static str {
    use whichlang::Lang;
    match whichlang::detect_language(text) {
        Lang::Eng => "en",
        Lang::Deu => "de",
        Lang::Spa => "es",
        Lang::Fra => "fr",
        Lang::Ita => "it",
        Lang::Por => "pt",
        Lang::Nld => "nl",
        Lang::Swe => "sv",
        Lang::Rus => "ru",
        Lang::Tur => "tr",
        Lang::Vie => "vi",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Jpn => "ja",
        Lang::Kor => "ko",
        Lang::Cmn => "zh",
    }
}

/// Probabilities by emoji, emoticons and exclamation marks, never more than 0.6 for one class; none without any symbol.
pub(super) fn by_symbols(tokens: &Tokens) -> Option<[Micro; 3]> {
    let symbols = || tokens.all.iter().filter(|token| token.kind == Kind::Symbol && token.entry.valence != 0);
    let sum: i64 = symbols().map(|token| i64::from(token.entry.hundredths())).sum();
    symbols().next()?;
    let marks = i64::from(tokens.all.iter().any(|token| token.kind == Kind::Exclamation));
    let logit = ((sum.clamp(-200, 200) * (4 + marks)) * ONE / 1_000).clamp(-ONE, ONE);
    Some(probabilities([-logit, logit]))
}
