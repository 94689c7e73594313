//! `touchline train --recalibrate`: the same points, and an intercept that fits newer labels.
//!
//! What foretells an outcome changes slowly, how frequent it is does not: a card that was trained in a good season tells
//! chances too low in a bad one. One number mends that, from far fewer labels than a new card needs.

use super::history::{self, Witness};
use super::labels::Label;
use super::train::{Args, card_text, read_labels};
use super::{exit, load};
use crate::engine::{Engine, Features};
use crate::insight::{bands, calibration_error, chances, recalibrated};
use crate::model::{Micro, Timestamp};
use crate::rules::card::{CardFile, Scale, chance};
use crate::rules::fixed::logit;
use anyhow::Context as _;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of the command")]
pub(super) fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    let mut config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    if let Err(code) = load::add_card(&mut config, path, &args.allow) {
        return Ok(code);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut card: CardFile = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    let plan = match history::plan_of_files(&config, args.input.as_deref(), &args.files, args.arrival_field.as_deref())
    {
        Ok(plan) => plan,
        Err(code) => return Ok(code),
    };
    let (labels, sides) = read_labels(&args.labels, &card.outcome)?;
    let moments: Vec<Timestamp> = labels.iter().map(|label| label.as_of).collect();
    let features = Features::new(&config.settings);
    let place = |name: &str| features.columns().iter().position(|column| column.name == name);
    let parts = card.features.iter().filter_map(|feature| Some((place(&feature.name)?, feature.scale())));
    let mut scoring =
        Scoring { parts: parts.collect(), intercept: card.intercept, features, labels, scores: Vec::new(), unseen: 0 };
    history::pass(&plan, &moments, &mut scoring)?;
    let Scoring { mut scores, unseen, .. } = scoring;
    let Some(intercept) = recalibrated(card.intercept, &scores) else {
        eprintln!(
            "touchline: no new intercept: rows that turned out bad and rows that did not are needed\n{}",
            sides.line()
        );
        return Ok(ExitCode::from(exit::FAILED));
    };
    let shift = intercept - card.intercept;
    let before = calibration_error(&chances(&scores));
    scores.iter_mut().for_each(|(score, _)| *score = score.saturating_add(shift));
    let after = calibration_error(&chances(&scores));
    card.intercept = intercept;
    card.calibration = bands(&scores);
    card.reference.edges.iter_mut().for_each(|edge| *edge = edge.saturating_add(shift));
    for threshold in &mut card.thresholds {
        threshold.open = chance(logit(Micro(threshold.open)).0.saturating_add(shift)).0;
    }
    std::fs::write(&args.out, card_text(&card)?).with_context(|| format!("cannot write {}", args.out.display()))?;
    let bad = scores.iter().filter(|(_, bad)| *bad).count();
    println!(
        "{} rows, {bad} bad; {unseen} of customers without a touchpoint before, left out\n{}intercept moved by {} to {}; \
         calibration error {before:.3} before, {after:.3} after",
        scores.len(),
        sides.line(),
        Micro(shift),
        Micro(intercept)
    );
    Ok(ExitCode::from(exit::OK))
}

/// Scores rows with a card.
struct Scoring {
    /// Columns and what they add.
    parts: Vec<(usize, Scale)>,
    intercept: i64,
    features: Features,
    labels: Vec<Label>,
    scores: Vec<(i64, bool)>,
    unseen: u64,
}

impl Witness for Scoring {
    fn moment(&mut self, place: usize, engine: &Engine) -> anyhow::Result<()> {
        let Some(label) = self.labels.get(place) else { return Ok(()) };
        if engine.find(&label.customer_id).is_none() {
            self.unseen += 1;
            return Ok(());
        }
        let values = self.features.read(engine, &label.customer_id, label.entity.as_deref(), label.as_of);
        let points = self.parts.iter().map(|(column, scale)| scale.points(values.get(*column).copied().flatten()));
        self.scores.push((points.fold(self.intercept, i64::saturating_add), label.bad));
        Ok(())
    }
}
