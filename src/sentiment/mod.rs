//! Text → valence. A small seam: the scorer behind it will be replaced, callers will not change.

use crate::model::Micro;

/// Scores customers' text. Built once, shared by all workers.
pub struct Scorer(vader_sentimental::SentimentIntensityAnalyzer<'static>);

impl Default for Scorer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scorer")
    }
}

impl Scorer {
    /// The interim scorer: VADER (Hutto & Gilbert 2014), English only.
    #[must_use]
    pub fn new() -> Self {
        Self(vader_sentimental::SentimentIntensityAnalyzer::new())
    }

    /// Valence in [-1, 1], or none when the text is empty or declared to be in a language there is no model for.
    /// The compound score is a float; it is rounded to 0.0001 at once and never computed with.
    #[must_use]
    pub fn valence(&self, text: &str, language: Option<&str>) -> Option<Micro> {
        let english =
            language.is_none_or(|language| language.eq_ignore_ascii_case("en") || language.starts_with("en-"));
        if !english || text.trim().is_empty() {
            return None;
        }
        let compound = self.0.polarity_scores(text).compound;
        Micro::from_f64(compound.clamp(-1.0, 1.0)).map(|score| Micro((score.0 / 100) * 100))
    }
}
