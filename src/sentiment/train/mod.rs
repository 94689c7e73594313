//! Labelled texts → a model: the base model of a language, or an overlay of own labels on a model that exists.
//!
//! An overlay is learned around the weights of the model below it: a weight moves only as far as own labels ask for, and
//! words they do not hold keep theirs. Which texts it is for (`likeness`), its confidence and the frequency of the classes
//! are fitted apart, the last two for one channel or for all, on texts the fit has not seen (five folds). Floats are fine here, their results are rounded to the
//! model's whole numbers; no function of the platform's mathematics library takes part, so a model is the same bytes
//! wherever it is made.

mod build;
mod labels;
mod lbfgs;
mod likeness;
mod metrics;
mod regression;
mod sentences;

pub use labels::{Labels, LabelsError, Scale};
pub use metrics::{Figures, Judged};

use super::features::{DENSE_COUNT, ROWS, Scratch};
use super::fixed::{ONE, inverse_root};
use super::hash::hash_word;
use super::lexicon::Lexicon;
use super::model::{Calibration, Model};
use super::tokens::Kind;
use crate::model::transcendental::ln;
use labels::Labelled;
use likeness::Likeness;
use regression::{CLASSES, Example, Weights, softmax};
use std::collections::BTreeMap;

/// Lexicons of our own for languages without a model, by ISO 639-1: a training without a lexicon starts from them.
const LEXICONS: [(&str, &str); 2] = [
    ("de", include_str!("../../../config/sentiment/german.tsv")),
    ("es", include_str!("../../../config/sentiment/spanish.tsv")),
];
const FOLDS: u64 = 5;
/// What the square of a weight costs, against one text of weight one. Chosen by cross-validation.
const ROW_COST: f64 = 0.04;
const DENSE_COST: f64 = 0.05;
/// The same for the distance of an overlay from its base.
const OVERLAY_COST: f64 = 0.01;
/// What a set of our own sentences counts against a labelled set of its size.
const OWN_WEIGHT: f64 = 0.5;
/// Words that are reported as changed most, each way.
const CHANGED_MAX: usize = 12;

/// What a training is told besides labels.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// ISO 639-1 of the texts.
    pub language: &'a str,
    /// Goes into the file.
    pub version: &'a str,
    /// Goes into the file.
    pub command: &'a str,
    /// Chooses the words of our own sentences.
    pub seed: u64,
    /// The model an overlay is for.
    pub base: Option<&'a Model>,
    /// Lexicons, without a base; none is our own of the language, if there is one.
    pub lexicons: &'a [&'a str],
    /// Templates of our own sentences, without a base.
    pub sentences: Option<&'a str>,
    /// Channel the calibration of an overlay is for; empty for all.
    pub channel: &'a str,
}

/// Why nothing was learned.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrainError {
    /// A line of a lexicon.
    #[error("lexicon: {0}")]
    Lexicon(#[from] super::LexiconError),
    /// A line of our own sentences.
    #[error("sentences: line {0} is neither a list nor a template whose lists are there")]
    Sentences(usize),
    /// No text of a class.
    #[error("the labels must hold at least ten texts of two classes")]
    TooFew,
    /// An overlay on an overlay.
    #[error("the base has an overlay already: name the model below it, and all own labels at once")]
    Overlaid,
    /// Weights that do not fit the file.
    #[error("the weights are out of range: are the labels of one text contradictory?")]
    Range,
}

/// What came out of a training.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// By set, each text scored by a fit that had not seen it.
    pub cross_validated: Vec<(String, Figures)>,
    /// Words and what changed in their logit(positive) − logit(negative), most first: those that rose, those that fell.
    pub changed: [Vec<(String, f64)>; 2],
}

/// One set in preparation.
struct Set<'a> {
    labels: Option<&'a Labels>,
    examples: Vec<Example>,
    folds: Vec<u64>,
    /// By a fit that had not seen the text.
    unseen: Vec<Unseen>,
}

/// What is said of a text by a fit that had not seen it.
#[derive(Clone, Copy, Default)]
struct Unseen {
    logits: [f64; CLASSES],
    /// By the base, which has not seen it either.
    base: [f64; CLASSES],
    /// Of an overlay.
    likeness: f64,
}

/// Learns a model. `licences` are the terms of the sets, in their order.
pub fn train(options: &Options<'_>, sets: &[Labels], licences: &[String]) -> Result<Trained, TrainError> {
    let lexicon = match options.base {
        Some(base) => base.lexicon.clone(),
        None if options.lexicons.is_empty() => Lexicon::parse(&lexicons_of(options.language))?,
        None => Lexicon::parse(options.lexicons)?,
    };
    let own = match options.sentences {
        Some(text) => sentences::sentences(text, options.seed).map_err(TrainError::Sentences)?,
        None => Vec::new(),
    };
    let mut prepared: Vec<Set<'_>> = sets.iter().map(|set| Set::new(Some(set), &set.rows, &lexicon)).collect();
    if !own.is_empty() {
        let mut own = Set::new(None, &own, &lexicon);
        own.examples.iter_mut().for_each(|example| example.weight *= OWN_WEIGHT);
        prepared.push(own);
    }
    check(sets)?;
    if options.base.is_some_and(|base| base.overlay.is_some()) {
        return Err(TrainError::Overlaid);
    }
    let prior = options.base.map(|base| build::weights_of(&base.table));
    for fold in 0..FOLDS {
        let others = prepared.iter().flat_map(|set| set.examples.iter().zip(&set.folds));
        let seen: Vec<&Example> = others.filter(|(_, of)| **of != fold).map(|(example, _)| example).collect();
        let weights = fit(&seen, prior.as_ref());
        let likeness = options.base.map(|base| Likeness::of(&seen, base));
        prepared.iter_mut().for_each(|set| set.judge(fold, &weights, prior.as_ref(), likeness.as_ref()));
    }
    let all: Vec<&Example> = prepared.iter().flat_map(|set| &set.examples).collect();
    let weights = fit(&all, prior.as_ref());
    let calibration = calibrate(&prepared, options.base.is_some());
    let description = build::describe(options, sets, licences, own.len());
    let acts = likeness::acts(prepared.iter().flat_map(|set| &set.unseen).map(|unseen| unseen.likeness));
    let model = match (options.base, &prior) {
        (Some(base), Some(prior)) => {
            let likeness = Likeness::of(&all, base).rows;
            let added =
                build::Added { channel: options.channel, calibration, weights: weights.minus(prior), likeness, acts };
            build::overlaid(base, description, added)
        }
        _ => build::base(description, lexicon, calibration, &weights, likeness::counts(&all)),
    };
    let model = model.ok_or(TrainError::Range)?;
    let below = options.base.map(|base| (base.calibration(options.channel), acts));
    let cross_validated = prepared.iter().filter_map(|set| set.figures(calibration, below)).collect();
    let changed = prior.map_or_else(Default::default, |prior| changed(sets, &prior, &weights));
    Ok(Trained { model, cross_validated, changed })
}

fn lexicons_of(language: &str) -> Vec<&'static str> {
    LEXICONS.iter().filter(|(of, _)| *of == language).map(|(_, lexicon)| *lexicon).collect()
}

fn check(sets: &[Labels]) -> Result<(), TrainError> {
    let mut counts = [0; CLASSES];
    for (_, class) in sets.iter().flat_map(Labels::classes) {
        counts.iter_mut().skip(class).take(1).for_each(|count| *count += 1);
    }
    if counts.iter().filter(|count| **count >= 10).count() < 2 { Err(TrainError::TooFew) } else { Ok(()) }
}

fn fit(examples: &[&Example], prior: Option<&Weights>) -> Weights {
    let (row_cost, dense_cost) = if prior.is_some() { (OVERLAY_COST, OVERLAY_COST) } else { (ROW_COST, DENSE_COST) };
    regression::fit(
        examples,
        ROWS + DENSE_COUNT,
        prior,
        |feature| {
            if (feature as usize) < ROWS { row_cost } else { dense_cost }
        },
    )
}

impl<'a> Set<'a> {
    fn new(labels: Option<&'a Labels>, rows: &[Labelled], lexicon: &Lexicon) -> Self {
        let mut scratch = Scratch::default();
        let mut examples: Vec<Example> = rows.iter().map(|row| example(row, lexicon, &mut scratch)).collect();
        weigh(&mut examples);
        let fold = |row: &Labelled| hash_word(row.text.to_lowercase().as_bytes()) % FOLDS;
        Self {
            labels,
            folds: rows.iter().map(fold).collect(),
            unseen: vec![Unseen::default(); examples.len()],
            examples,
        }
    }

    fn judge(&mut self, fold: u64, weights: &Weights, base: Option<&Weights>, likeness: Option<&Likeness>) {
        for ((example, of), unseen) in self.examples.iter().zip(&self.folds).zip(&mut self.unseen) {
            if *of == fold {
                unseen.logits = weights.logits(&example.features);
                unseen.base = base.map_or([0.0; CLASSES], |base| base.logits(&example.features));
                unseen.likeness = likeness.map_or(0.0, |likeness| likeness.of_text(example));
            }
        }
    }

    /// `below`: of an overlay, the base's calibration and the likenesses from which on it acts.
    fn figures(&self, calibration: Calibration, below: Option<(Calibration, [i64; 2])>) -> Option<(String, Figures)> {
        let labels = self.labels?;
        let found = |unseen: &Unseen| {
            let own = applied(calibration, unseen.logits);
            let Some((of_base, acts)) = below else { return softmax(own) };
            let [from, to] = acts.map(|at| at as f64 / ONE as f64);
            let share = ((unseen.likeness - from) / (to - from)).clamp(0.0, 1.0);
            let base = applied(of_base, unseen.base);
            let mut mixed = own.map(|logit| logit * share);
            mixed.iter_mut().zip(base).for_each(|(mixed, logit)| *mixed += logit * (1.0 - share));
            softmax(mixed)
        };
        let judged = labels.classes().zip(labels.values()).zip(&self.unseen);
        let judged = judged.map(|(((_, class), (_, value)), unseen)| Judged { class, value, found: found(unseen) });
        Some((labels.name.clone(), Figures::of(&judged.collect::<Vec<_>>())))
    }
}

/// A feature's number.
fn narrow(feature: usize) -> u32 {
    u32::try_from(feature).unwrap_or(u32::MAX)
}

fn example(row: &Labelled, lexicon: &Lexicon, scratch: &mut Scratch) -> Example {
    scratch.read(super::score::parts(&row.text).0, lexicon);
    let mut features = Vec::new();
    let count = scratch.rows(|_, row, weight| features.push((narrow(row), weight)));
    #[expect(clippy::cast_possible_truncation, reason = "a single is precise enough for a feature")]
    let scaled = |weight: i32| (f64::from(weight) / 256.0 * inverse_root(count) as f64 / f64::from(1 << 20)) as f32;
    let mut features: Vec<(u32, f32)> = features.into_iter().map(|(row, weight)| (row, scaled(weight))).collect();
    #[expect(clippy::cast_possible_truncation, reason = "a single is precise enough for a feature")]
    let dense = scratch.dense().map(|value| (value as f64 / ONE as f64) as f32);
    features.extend((narrow(ROWS)..).zip(dense).filter(|(_, value)| value.abs() > 0.0));
    Example { features, target: row.target, weight: 1.0 }
}

/// Classes of a set count alike, and a set counts by n^¾: large ones help, but do not drown the others.
fn weigh(examples: &mut [Example]) {
    let mut classes = [0.0; CLASSES];
    for example in examples.iter() {
        classes.iter_mut().zip(example.target).for_each(|(class, part)| *class += part);
    }
    let count = examples.len() as f64;
    let size = count.sqrt() * count.sqrt().sqrt() / count;
    let present = classes.iter().filter(|class| **class > 0.0).count() as f64;
    for example in examples {
        let balance = example.target.iter().zip(classes).filter(|(part, _)| **part > 0.0);
        example.weight = size * balance.map(|(part, class)| part * count / (present * class)).sum::<f64>();
    }
}

fn applied(calibration: Calibration, [negative, neutral, positive]: [f64; CLASSES]) -> [f64; CLASSES] {
    let sharpness = calibration.sharpness as f64 / ONE as f64;
    let prior = calibration.prior.map(|prior| prior as f64 / ONE as f64);
    [(negative - neutral) * sharpness + prior[0], 0.0, (positive - neutral) * sharpness + prior[1]]
}

/// Fits confidence, and for own labels the frequency of the classes, on logits of texts the fits had not seen.
fn calibrate(sets: &[Set<'_>], with_prior: bool) -> Calibration {
    let labelled = || sets.iter().filter(|set| set.labels.is_some());
    let mut x = vec![1.0, 0.0, 0.0];
    lbfgs::minimise(&mut x, 100, 1e-9, |x, gradient| {
        gradient.fill(0.0);
        let mut value = 0.0;
        for (example, Unseen { logits, .. }) in labelled().flat_map(|set| set.examples.iter().zip(&set.unseen)) {
            let [sharpness, negative, positive] = [0, 1, 2].map(|at| x.get(at).copied().unwrap_or_default());
            let relative = [logits[0] - logits[1], 0.0, logits[2] - logits[1]];
            let found = softmax([relative[0] * sharpness + negative, 0.0, relative[2] * sharpness + positive]);
            let weight = if with_prior { 1.0 } else { example.weight };
            let errors = [found[0] - example.target[0], found[1] - example.target[1], found[2] - example.target[2]];
            value -= weight * (0..CLASSES).map(|at| part(example.target, at) * ln(part(found, at))).sum::<f64>();
            let slopes = [errors[0] * relative[0] + errors[2] * relative[2], errors[0], errors[2]];
            for (at, (gradient, slope)) in gradient.iter_mut().zip(slopes).enumerate() {
                *gradient += if at == 0 || with_prior { weight * slope } else { 0.0 };
            }
        }
        value
    });
    #[expect(clippy::cast_possible_truncation, reason = "a few logits")]
    let whole = |at: usize| (x.get(at).copied().unwrap_or_default() * ONE as f64).round() as i64;
    Calibration { sharpness: whole(0), prior: [whole(1), whole(2)] }
}

fn part(of: [f64; CLASSES], at: usize) -> f64 {
    of.get(at).copied().unwrap_or_default().max(1e-12)
}

/// Words of the texts by how much their own weight moved.
fn changed(sets: &[Labels], before: &Weights, after: &Weights) -> [Vec<(String, f64)>; 2] {
    let mut scratch = Scratch::default();
    let nothing_known = Lexicon::default();
    let mut words: BTreeMap<String, f64> = BTreeMap::new();
    let side = |weights: &Weights, row: usize| weights.0.get(row).map_or(0.0, |row| row[2] - row[0]);
    for row in sets.iter().flat_map(|set| &set.rows) {
        scratch.tokens.read(&row.text, &nothing_known);
        for token in scratch.tokens.all.iter().filter(|token| token.kind == Kind::Word) {
            let word = scratch.tokens.text_of(token).to_lowercase();
            let row = super::features::row_of(token.hash);
            words.entry(word).or_insert_with(|| side(after, row) - side(before, row));
        }
    }
    let mut words: Vec<(String, f64)> = words.into_iter().collect();
    words.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let fallen = words.iter().rev().take(CHANGED_MAX).filter(|(_, by)| *by < 0.0).cloned().collect();
    words.truncate(CHANGED_MAX);
    words.retain(|(_, by)| *by > 0.0);
    [words, fallen]
}
