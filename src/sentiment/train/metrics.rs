//! How good a scorer is on labelled texts.

use crate::sentiment::Sentiment;

/// Bins of the calibration error.
const BINS: usize = 10;

/// A label beside what the scorer said.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// Of the label: 0 negative, 1 neutral, 2 positive.
    pub class: usize,
    /// The label as a number.
    pub value: f64,
    /// Probabilities of the classes, as found.
    pub found: [f64; 3],
}

impl Judged {
    /// A label beside a score.
    #[must_use]
    pub fn new(class: usize, value: f64, sentiment: Option<Sentiment>) -> Self {
        let found = sentiment.map_or([0.0, 1.0, 0.0], |found| found.probabilities.map(crate::model::Micro::to_f64));
        Self { class, value, found }
    }

    fn best(&self) -> usize {
        let [negative, neutral, positive] = self.found;
        if negative > neutral && negative > positive {
            0
        } else if positive > neutral && positive > negative {
            2
        } else {
            1
        }
    }

    fn score(&self) -> f64 {
        self.found[2] - self.found[0]
    }
}

/// Figures of one set. What cannot be said of it is not a number.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Texts.
    pub count: usize,
    /// Share of texts of the right class. In a set of two classes the sign of the score decides.
    pub accuracy: f64,
    /// Mean over the classes of the harmonic mean of precision and recall.
    pub macro_f1: f64,
    /// Share of pairs of a positive and a negative text in the right order.
    pub auc: f64,
    /// Pearson's r of score and label.
    pub r: f64,
    /// Expected calibration error: mean difference of confidence and accuracy, in ten bins of confidence.
    pub ece: f64,
}

impl Figures {
    /// Of judged texts.
    #[must_use]
    pub fn of(judged: &[Judged]) -> Self {
        let two_classes = judged.iter().all(|one| one.class != 1);
        let best = |one: &Judged| match (two_classes, one.score() >= 0.0) {
            (false, _) => one.best(),
            (true, true) => 2,
            (true, false) => 0,
        };
        let mut table = [[0.0_f64; 3]; 3];
        for one in judged {
            if let Some(cell) = table.get_mut(one.class).and_then(|row| row.get_mut(best(one))) {
                *cell += 1.0;
            }
        }
        let count = judged.len() as f64;
        let right: f64 = (0..3).map(|class| cell(&table, class, class)).sum();
        let f1 = |class: usize| {
            let labelled: f64 = (0..3).map(|found| cell(&table, class, found)).sum();
            let found: f64 = (0..3).map(|labelled| cell(&table, labelled, class)).sum();
            (labelled > 0.0).then(|| 2.0 * cell(&table, class, class) / (labelled + found))
        };
        let scores: Vec<f64> = (0..3).filter_map(f1).collect();
        Self {
            count: judged.len(),
            accuracy: right / count,
            macro_f1: scores.iter().sum::<f64>() / scores.len() as f64,
            auc: auc(judged),
            r: pearson(judged),
            ece: ece(judged),
        }
    }
}

fn cell(table: &[[f64; 3]; 3], row: usize, column: usize) -> f64 {
    table.get(row).and_then(|row| row.get(column)).copied().unwrap_or_default()
}

fn auc(judged: &[Judged]) -> f64 {
    let mut ranked: Vec<(f64, usize)> =
        judged.iter().filter(|one| one.class != 1).map(|one| (one.score(), one.class)).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut negatives, mut pairs, mut positives) = (0.0, 0.0, 0.0);
    for tied in ranked.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let here = tied.iter().filter(|(_, class)| *class == 2).count() as f64;
        let others = tied.len() as f64 - here;
        pairs += here * (negatives + others / 2.0);
        negatives += others;
        positives += here;
    }
    pairs / (positives * negatives)
}

fn pearson(judged: &[Judged]) -> f64 {
    let count = judged.len() as f64;
    let mean = |value: fn(&Judged) -> f64| judged.iter().map(value).sum::<f64>() / count;
    let (mean_score, mean_value) = (mean(Judged::score), mean(|one| one.value));
    let [mut product, mut scores, mut values] = [0.0; 3];
    for one in judged {
        let (score, value) = (one.score() - mean_score, one.value - mean_value);
        product += score * value;
        scores += score * score;
        values += value * value;
    }
    product / (scores * values).sqrt()
}

fn ece(judged: &[Judged]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for one in judged {
        let best = one.best();
        let confidence = one.found.get(best).copied().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability times ten")]
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        if let Some((sure, right)) = bins.get_mut(bin) {
            *sure += confidence;
            *right += f64::from(u8::from(best == one.class));
        }
    }
    bins.iter().map(|(sure, right): &(f64, f64)| (sure - right).abs()).sum::<f64>() / judged.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_table() {
        let judged = |class, found| Judged { class, value: class as f64 - 1.0, found };
        let figures = Figures::of(&[
            judged(0, [0.8, 0.1, 0.1]),
            judged(0, [0.2, 0.7, 0.1]),
            judged(1, [0.2, 0.6, 0.2]),
            judged(2, [0.1, 0.1, 0.8]),
        ]);
        assert!((figures.accuracy - 0.75).abs() < 1e-9);
        assert!((figures.macro_f1 - (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.auc - 1.0).abs() < 1e-9);
        assert!((figures.r - 0.895).abs() < 1e-3, "{figures:?}");
        // 0.8 twice, both right; 0.7 wrong; 0.6 right.
        assert!((figures.ece - (0.4 + 0.7 + 0.4) / 4.0).abs() < 1e-9, "{figures:?}");
        let two = Figures::of(&[judged(0, [0.3, 0.6, 0.1]), judged(2, [0.1, 0.6, 0.3])]);
        assert!((two.accuracy - 1.0).abs() < 1e-9);
    }
}
