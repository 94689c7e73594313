//! Figures of the text scorer on labelled sets: `text<TAB>label` files, whose folder is the argument.
//!
//! `cargo run --release --example sentiment -- FOLDER [--model FILE] [--channel NAME]`

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use touchline::sentiment::train::{Figures, Judged, Labels};
use touchline::sentiment::{Model, Scorer, Scratch};

fn main() -> anyhow::Result<()> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let folder = arguments.first().context("expected the folder of the labelled sets")?;
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let mut scorer = Scorer::new();
    if let Some(path) = option("--model") {
        scorer.add(Model::parse(&std::fs::read(path).with_context(|| format!("cannot read {path}"))?)?);
    }
    let channel = option("--channel").map_or("", String::as_str);
    println!("model {}; scored by VADER below each set", scorer.versions().join(", "));
    println!("set                            texts  accuracy  macro-F1    AUC      r    ECE");
    for path in sets(Path::new(folder))? {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let labels = Labels::parse(&name, &std::fs::read_to_string(&path)?)?;
        let language = [("de_", "de"), ("es_", "es")].iter().find(|(start, _)| name.starts_with(start));
        let language = language.map_or("en", |(_, language)| language);
        let mut scratch = Scratch::default();
        row(&name, &labels, |text| {
            scorer
                .score(text, Some(language), channel, &mut scratch)
                .map(|s| s.probabilities.map(touchline::model::Micro::to_f64))
        });
        let vader = vader_sentimental::SentimentIntensityAnalyzer::new();
        row("  VADER", &labels, |text| Some(of_compound(vader.polarity_scores(text).compound)));
    }
    Ok(())
}

fn sets(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "tsv") && !path.ends_with("lexicon.tsv"));
    paths.sort();
    Ok(paths)
}

/// VADER's own cuts: beyond ±0.05 a text has an opinion.
fn of_compound(compound: f64) -> [f64; 3] {
    let opinion = compound.abs();
    if opinion < 0.05 {
        return [(0.3 - compound) / 2.0, 0.7, (0.3 + compound) / 2.0];
    }
    let most = 0.5 + opinion / 2.0;
    if compound > 0.0 { [0.0, 1.0 - most, most] } else { [most, 1.0 - most, 0.0] }
}

fn row(name: &str, labels: &Labels, mut score: impl FnMut(&str) -> Option<[f64; 3]>) {
    let judged = labels.classes().zip(labels.values()).map(|((text, class), (_, value))| Judged {
        class,
        value,
        found: score(text).unwrap_or([0.0, 1.0, 0.0]),
    });
    let Figures { count, accuracy, macro_f1, auc, r, ece } = Figures::of(&judged.collect::<Vec<_>>());
    println!("{name:<28} {count:>7}  {accuracy:>8.3}  {macro_f1:>8.3}  {auc:>5.3}  {r:>5.3}  {ece:>5.3}");
}
