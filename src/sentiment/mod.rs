//! Text → negative, neutral or positive, with probabilities: a million short texts a second on one core.
//!
//! ```text
//! text ─▶ tokens ─▶ clauses ─▶ features ─▶ score
//!         lexicon   what counts,  hashed rows   sums, softmax
//!                   which way     and 20 numbers
//! ```
//! Rules find what counts in a sentence and which way round; a linear model learned from labelled texts says how much.
//! Neither alone is as good (`clauses` and `train` say what each does). Everything at scoring time is whole-number
//! arithmetic: a text scores the same on every machine, so a score may enter a decision.
//!
//! Limits: one sentence's worth of context and no knowledge of the world; texts beyond 2 KiB are known by their first
//! and last KiB; a language without a model is scored by emoji, emoticons and exclamation marks alone, with low confidence.

mod bytes;
mod clauses;
mod features;
mod fixed;
mod hash;
mod language;
mod lexicon;
mod model;
mod overlay;
mod score;
mod spelled;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
pub mod train;

pub use features::Scratch;
pub use lexicon::LexiconError;
pub use model::{Calibration, Description, MODEL_BYTES_MAX, Model, ModelError, Source};
pub use score::{Basis, Class, Contribution, Explanation, Sentiment};

use crate::model::Micro;

/// The model that is shipped; `config/sentiment/README.md` says what it was made from.
static SHIPPED: &[u8] = include_bytes!("../../config/sentiment/english.model");

/// Scores customers' text. Built once, shared by all workers.
#[derive(Debug)]
pub struct Scorer {
    models: Vec<Model>,
}

impl Default for Scorer {
    fn default() -> Self {
        Self::new()
    }
}

impl Scorer {
    /// The scorer with the shipped model of English.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the file is part of the program; a test reads it")]
    pub fn new() -> Self {
        Self::with(Self::shipped().expect("the shipped model is whole"))
    }

    /// The shipped model.
    pub fn shipped() -> Result<Model, ModelError> {
        Model::parse(SHIPPED)
    }

    /// A scorer of one model.
    #[must_use]
    pub fn with(model: Model) -> Self {
        Self { models: vec![model] }
    }

    /// Adds a model of another language, or puts it in place of one of the same language.
    pub fn add(&mut self, model: Model) {
        self.models.retain(|known| known.description.language != model.description.language);
        self.models.push(model);
    }

    /// What a text says; none when it is empty or has nothing to go by. `declared` is its language if the source says so;
    /// `channel` chooses the calibration.
    #[must_use]
    pub fn score(&self, text: &str, declared: Option<&str>, channel: &str, scratch: &mut Scratch) -> Option<Sentiment> {
        let (first, last) = score::parts(text);
        let first = self.part(first, declared, channel, scratch);
        let Some(last) = last else { return first };
        let last = self.part(last, declared, channel, scratch);
        match (first, last) {
            (Some(first), Some(last)) => Some(mean(first, last)),
            (first, last) => first.or(last),
        }
    }

    fn part(&self, text: &str, declared: Option<&str>, channel: &str, scratch: &mut Scratch) -> Option<Sentiment> {
        match self.read(text, declared, scratch) {
            Some(model) if !scratch.tokens.all.is_empty() => {
                let logits = score::logits(model, scratch, channel);
                Some(Sentiment { probabilities: score::probabilities(logits), basis: Basis::Words })
            }
            Some(_) => None,
            None => language::by_symbols(&scratch.tokens)
                .map(|probabilities| Sentiment { probabilities, basis: Basis::Symbols }),
        }
    }

    /// The model a text is for; its tokens are in `scratch`.
    fn read(&self, text: &str, declared: Option<&str>, scratch: &mut Scratch) -> Option<&Model> {
        let of =
            |language: &str| self.models.iter().find(|model| model.description.language.eq_ignore_ascii_case(language));
        let first = self.models.first()?;
        if let Some(declared) = declared.and_then(language::code) {
            let model = of(declared);
            scratch.read(text, &model.unwrap_or(first).lexicon);
            return model;
        }
        scratch.read(text, &first.lexicon);
        if !language::in_doubt(&scratch.clauses.counts, text) {
            return Some(first);
        }
        let model = of(language::detect(text));
        if let Some(model) = model.filter(|model| !std::ptr::eq(*model, first)) {
            scratch.read(text, &model.lexicon);
        }
        model
    }

    /// Why a text scores as it does, and by which model: its first part, if it is long. None where there is no model of
    /// its language.
    #[must_use]
    pub fn explain(
        &self,
        text: &str,
        declared: Option<&str>,
        channel: &str,
        scratch: &mut Scratch,
    ) -> Option<(&Description, Explanation)> {
        let model = self.read(score::parts(text).0, declared, scratch)?;
        Some((&model.description, score::explain(model, scratch, channel)))
    }

    /// Versions of its models: `en 1`.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let version = |model: &Model| format!("{} {}", model.description.language, model.description.version);
        self.models.iter().map(version).collect()
    }
}

fn mean(first: Sentiment, last: Sentiment) -> Sentiment {
    let [a, _, c] = first.probabilities;
    let [d, _, f] = last.probabilities;
    let (negative, positive) = (Micro((a + d).0 / 2), Micro((c + f).0 / 2));
    let basis = if first.basis == Basis::Words { last.basis } else { first.basis };
    Sentiment { probabilities: [negative, Micro::ONE - negative - positive, positive], basis }
}
