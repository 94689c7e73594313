//! How many texts one core scores: the text scorer with and without its explanation, and the VADER crate beside it.
//!
//! `cargo bench --bench sentiment -- FILE.tsv…`, files of text, tab, label as `touchline sentiment train` reads them;
//! without files, the sentences of `tests/sentiment`. `tests/sentiment/vader.py` runs Python's VADER over the same
//! files. An element of criterion's throughput is a text.

#![expect(clippy::print_stdout, reason = "what is scored stands above its figures")]

use anyhow::Context as _;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use std::hint::black_box;
use std::time::Duration;
use touchline::sentiment::{Scorer, Scratch};
use vader_sentimental::SentimentIntensityAnalyzer;

const PHENOMENA: &str = include_str!("../tests/sentiment/phenomena.tsv");
/// Criterion's least: a pass of the VADER crate over a file takes a tenth of a second.
const SAMPLES: usize = 10;
const MEASURED: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().sample_size(SAMPLES).measurement_time(MEASURED);
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if files.is_empty() {
        let texts: Vec<&str> = PHENOMENA.lines().filter_map(|row| row.rsplit('\t').next()).collect();
        return compare(&mut criterion, "sentences of tests", &texts);
    }
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let texts: Vec<&str> = text.lines().filter_map(|row| Some(row.rsplit_once('\t')?.0)).collect();
        let name = file.rsplit('/').next().unwrap_or(file);
        compare(&mut criterion, name.strip_suffix(".tsv").unwrap_or(name), &texts)?;
    }
    Ok(())
}

fn compare(criterion: &mut Criterion, name: &str, texts: &[&str]) -> anyhow::Result<()> {
    anyhow::ensure!(!texts.is_empty(), "{name}: no texts");
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    println!("{name}: {} texts of {} bytes", texts.len(), bytes / texts.len());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(texts.len() as u64));
    let scorer = Scorer::new();
    let mut scratch = Scratch::default();
    each(&mut group, "scored", texts, |text| {
        black_box(scorer.score(text, Some("en"), "", &mut scratch));
    });
    each(&mut group, "language unknown", texts, |text| {
        black_box(scorer.score(text, None, "", &mut scratch));
    });
    each(&mut group, "explained", texts, |text| {
        black_box(scorer.explain(text, Some("en"), "", &mut scratch));
    });
    let vader = SentimentIntensityAnalyzer::new();
    each(&mut group, "vader-sentimental", texts, |text| {
        black_box(vader.polarity_scores(text));
    });
    group.finish();
    Ok(())
}

fn each(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, texts: &[&str], mut score: impl FnMut(&str)) {
    group.bench_function(name, |bencher| bencher.iter(|| texts.iter().for_each(|text| score(text))));
}
