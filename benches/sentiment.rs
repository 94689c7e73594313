//! How many texts one core scores: the text scorer with and without its explanation, and the VADER crate beside it.
//!
//! `cargo bench --bench sentiment -- FILE.tsv…`, files of text, tab, label as `touchline sentiment train` reads them;
//! without files, the sentences of `tests/sentiment`. `tests/sentiment/vader.py` runs Python's VADER over the same
//! files. Linux only.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

// Of what both other benchmarks need, this one measures stretches of code only.
#[expect(dead_code, reason = "shared with benchmarks that start processes")]
mod common;

use anyhow::Context as _;
use common::{machine, measured, per_second, row};
use std::hint::black_box;
use touchline::sentiment::{Scorer, Scratch};
use vader_sentimental::SentimentIntensityAnalyzer;

const PHENOMENA: &str = include_str!("../tests/sentiment/phenomena.tsv");
/// Texts a measurement scores at least.
const TEXTS_MIN: usize = 400_000;
/// Measurements, of which the fastest counts.
const PASSES: usize = 5;

fn main() -> anyhow::Result<()> {
    machine();
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if files.is_empty() {
        let texts: Vec<&str> = PHENOMENA.lines().filter_map(|row| row.rsplit('\t').next()).collect();
        return table("sentences of tests/sentiment", &texts);
    }
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let texts: Vec<&str> = text.lines().filter_map(|row| Some(row.rsplit_once('\t')?.0)).collect();
        table(file, &texts)?;
    }
    Ok(())
}

fn table(name: &str, texts: &[&str]) -> anyhow::Result<()> {
    anyhow::ensure!(!texts.is_empty(), "{name}: no texts");
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    println!("{name}: {} texts of {} bytes", texts.len(), bytes / texts.len());
    let scorer = Scorer::new();
    let mut scratch = Scratch::default();
    fastest("  scored", texts, 1, |text| {
        black_box(scorer.score(text, Some("en"), "", &mut scratch));
    })?;
    fastest("  language unknown", texts, 1, |text| {
        black_box(scorer.score(text, None, "", &mut scratch));
    })?;
    fastest("  explained", texts, 10, |text| {
        black_box(scorer.explain(text, Some("en"), "", &mut scratch));
    })?;
    let vader = SentimentIntensityAnalyzer::new();
    fastest("  vader-sentimental", texts, 20, |text| {
        black_box(vader.polarity_scores(text));
    })
}

/// The fastest of some passes; `part` of the usual number of texts where one takes long.
fn fastest(name: &str, texts: &[&str], part: usize, mut score: impl FnMut(&str)) -> anyhow::Result<()> {
    let rounds = (TEXTS_MIN / part / texts.len()).max(1);
    let mut best = None;
    for _ in 0..PASSES {
        let ((), cost) = measured(|| (0..rounds).for_each(|_| texts.iter().for_each(|text| score(text))))?;
        if best.is_none_or(|best: common::Cost| cost.cpu < best.cpu) {
            best = Some(cost);
        }
    }
    let cost = best.context("no pass was measured")?;
    row(name, &per_second((rounds * texts.len()) as u64, cost.cpu), "of CPU time");
    Ok(())
}
