//! `touchline sentiment`: the text scorer alone. `score` reads a text a line; `train` learns a model from labelled texts.

use super::exit;
use crate::sentiment::train::{self, Figures, Labels, Options, Trained};
use crate::sentiment::{Basis, MODEL_BYTES_MAX, Model, Scorer, Scratch, Sentiment};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Bytes of text that are scored at a time.
const BATCH_BYTES: usize = 1 << 20;

/// What to do with texts.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// One text a line on standard input → score between -1 and 1, tab, class
    Score(ScoreArgs),
    /// Learn an overlay from your own labelled texts, or a model of another language
    Train(Box<TrainArgs>),
}

/// Arguments of `touchline sentiment score`.
#[derive(Debug, clap::Args)]
pub(super) struct ScoreArgs {
    /// Model in place of the shipped one; may be given once per language
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Language of all texts; found out where it is in doubt without it
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Channel whose calibration is used
    #[arg(long, value_name = "NAME", default_value = "")]
    channel: String,
    /// A JSON object a line: probabilities, confidence, language, model version, and the words that decided
    #[arg(long)]
    json: bool,
}

/// Arguments of `touchline sentiment train`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Labels are lines of text, tab, label: negative, neutral or positive; a valence between -4 and 4 \
    with a decimal point; or stars 1 to 5. The same files and seed give the same bytes.\n\n\
    Exit codes: 0 done, 1 a file cannot be read or written or nothing can be learned from it, 2 wrong usage."
)]
pub(super) struct TrainArgs {
    /// Labelled texts
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    labels: Vec<PathBuf>,
    /// Model to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Model the overlay is for; the shipped one without it
    #[arg(long, value_name = "FILE", conflicts_with = "lexicon")]
    base: Option<PathBuf>,
    /// Start from a lexicon instead: words, tab, kind, tab, value; later files win
    #[arg(long, value_name = "FILE", num_args = 1..)]
    lexicon: Vec<PathBuf>,
    /// Templates of sentences to learn from as well
    #[arg(long, value_name = "FILE", requires = "lexicon")]
    sentences: Option<PathBuf>,
    /// Language of the texts; other than English, it starts from --lexicon, or from the shipped one of German or Spanish
    #[arg(long, value_name = "CODE", default_value = "en")]
    language: String,
    /// Channel the confidence and frequency of classes are fitted for; all channels without it
    #[arg(long, value_name = "NAME", default_value = "")]
    channel: String,
    /// Version to write into the model
    #[arg(long = "model-version", value_name = "TEXT", default_value = "1")]
    version: String,
    /// Terms of the labels, one for each file or one for all
    #[arg(long, value_name = "TEXT", num_args = 1.., default_value = "own")]
    licence: Vec<String>,
    /// Chooses the words in the sentences of --sentences
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Score(args) => score(args)?,
        Command::Train(args) => train(args)?,
    }
    Ok(ExitCode::from(exit::OK))
}

/// Reads a model file.
pub(super) fn model(path: &Path) -> anyhow::Result<Model> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > MODEL_BYTES_MAX {
        bail!("{} is no sentiment model: it is larger than {MODEL_BYTES_MAX} bytes", path.display());
    }
    Model::parse(&bytes).with_context(|| format!("cannot use {}", path.display()))
}

#[expect(clippy::print_stderr, reason = "for the person at the terminal")]
fn score(args: &ScoreArgs) -> anyhow::Result<()> {
    let mut scorer = Scorer::new();
    for path in &args.model {
        scorer.add(model(path)?);
    }
    let mut run = ScoreRun { args, scorer, scratch: Scratch::default(), texts: 0, spent: Duration::ZERO };
    let (mut input, mut out) = (std::io::stdin().lock(), std::io::BufWriter::new(std::io::stdout().lock()));
    let (mut batch, mut ends) = (String::new(), Vec::new());
    loop {
        let more = read_batch(&mut input, &mut batch, &mut ends).context("cannot read standard input")?;
        run.batch(&batch, &ends, &mut out).context("cannot write standard output")?;
        if !more {
            break;
        }
    }
    out.flush().context("cannot write standard output")?;
    let per_second = run.texts as f64 / run.spent.as_secs_f64().max(1e-9);
    eprintln!("texts={} texts_per_s={per_second:.0} model={}", run.texts, run.scorer.versions().join(","));
    Ok(())
}

/// Fills `batch` with lines, `ends` with where each ends; false at the end of the input. Bytes that are not UTF-8 are
/// replaced.
fn read_batch(input: &mut impl std::io::BufRead, batch: &mut String, ends: &mut Vec<usize>) -> std::io::Result<bool> {
    batch.clear();
    ends.clear();
    let mut line = Vec::new();
    while batch.len() < BATCH_BYTES {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        batch.push_str(&String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)));
        ends.push(batch.len());
    }
    Ok(true)
}

struct ScoreRun<'a> {
    args: &'a ScoreArgs,
    scorer: Scorer,
    scratch: Scratch,
    texts: u64,
    /// On scoring alone.
    spent: Duration,
}

impl ScoreRun<'_> {
    fn batch(&mut self, batch: &str, ends: &[usize], out: &mut impl Write) -> std::io::Result<()> {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let texts = || starts.clone().zip(ends).map(|(start, end)| batch.get(start..*end).unwrap_or_default());
        let started = Instant::now();
        let mut scores = Vec::with_capacity(ends.len());
        for text in texts() {
            scores.push(self.scorer.score(text, self.args.language.as_deref(), &self.args.channel, &mut self.scratch));
        }
        self.spent += started.elapsed();
        self.texts += ends.len() as u64;
        for (text, sentiment) in texts().zip(scores) {
            if self.args.json {
                let line = self.explained(text, sentiment);
                writeln!(out, "{line}")?;
            } else {
                match sentiment {
                    Some(sentiment) => writeln!(out, "{}\t{}", sentiment.score(), sentiment.class().as_str())?,
                    None => writeln!(out, "0\tneutral")?,
                }
            }
        }
        Ok(())
    }

    /// The text itself is not repeated.
    fn explained(&mut self, text: &str, sentiment: Option<Sentiment>) -> serde_json::Value {
        let Some(sentiment) = sentiment else {
            return json!({ "score": 0, "class": "neutral", "basis": "nothing" });
        };
        let [negative, neutral, positive] = sentiment.probabilities;
        let (language, channel) = (self.args.language.as_deref(), &self.args.channel);
        let explained = self.scorer.explain(text, language, channel, &mut self.scratch);
        let (model, explanation) = explained.map_or((None, None), |(model, found)| (Some(model), Some(found)));
        let words = explanation.as_ref().map(|found| {
            found.words.iter().map(|word| json!({ "word": word.word, "logit": word.logit })).collect::<Vec<_>>()
        });
        json!({
            "score": sentiment.score(),
            "class": sentiment.class().as_str(),
            "confidence": sentiment.confidence(),
            "probabilities": { "negative": negative, "neutral": neutral, "positive": positive },
            "basis": match sentiment.basis { Basis::Words => "words", Basis::Symbols => "symbols" },
            "language": model.map(|model| &model.language),
            "model": model.map(|model| &model.version),
            "words": words,
            "rest": explanation.as_ref().map(|found| found.rest),
            "difference": explanation.as_ref().map(|found| found.difference),
        })
    }
}

fn train(args: &TrainArgs) -> anyhow::Result<()> {
    let sets = args.labels.iter().map(|path| labels(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let lexicons = args.lexicon.iter().map(text).collect::<anyhow::Result<Vec<_>>>()?;
    let sentences = args.sentences.as_deref().map(text).transpose()?;
    let base = match &args.base {
        Some(path) => Some(model(path)?),
        None if args.lexicon.is_empty() && args.language == "en" => Some(Scorer::shipped()?),
        None => None,
    };
    let licence = |at: usize| args.licence.get(at).or(args.licence.last()).cloned().unwrap_or_default();
    let licences: Vec<String> = (0..sets.len()).map(licence).collect();
    let options = Options {
        language: &args.language,
        version: &args.version,
        command: &command(args),
        seed: args.seed,
        base: base.as_ref(),
        lexicons: &lexicons.iter().map(String::as_str).collect::<Vec<_>>(),
        sentences: sentences.as_deref(),
        channel: &args.channel,
    };
    let trained = train::train(&options, &sets, &licences)?;
    let bytes = trained.model.bytes()?;
    std::fs::write(&args.out, &bytes).with_context(|| format!("cannot write {}", args.out.display()))?;
    report(&trained, args, bytes.len());
    Ok(())
}

fn text(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = path.as_ref();
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn labels(path: &Path) -> anyhow::Result<Labels> {
    let mut labels = Labels::parse(&path.display().to_string(), &text(path)?)?;
    labels.name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(labels)
}

/// The command as typed but for folders: the same files elsewhere give the same bytes.
fn command(args: &TrainArgs) -> String {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names = |paths: &[PathBuf]| paths.iter().map(name).collect::<Vec<_>>().join(" ");
    let mut line = format!("touchline sentiment train --labels {}", names(&args.labels));
    let options = [
        ("--base", args.base.as_ref().map(name)),
        ("--lexicon", (!args.lexicon.is_empty()).then(|| names(&args.lexicon))),
        ("--sentences", args.sentences.as_ref().map(name)),
        ("--language", Some(args.language.clone())),
        ("--channel", Some(args.channel.clone()).filter(|channel| !channel.is_empty())),
        ("--model-version", Some(args.version.clone())),
        ("--licence", Some(args.licence.iter().map(|licence| format!("\"{licence}\"")).collect::<Vec<_>>().join(" "))),
        ("--seed", Some(args.seed.to_string())),
        ("--out", Some(name(&args.out))),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            line.push_str(&format!(" {option} {value}"));
        }
    }
    line
}

#[expect(clippy::print_stdout, reason = "the report of the command")]
fn report(trained: &Trained, args: &TrainArgs, bytes: usize) {
    println!("cross-validated, five folds    texts  accuracy  macro-F1    AUC      r    ECE");
    for (name, figures) in &trained.cross_validated {
        let Figures { count, accuracy, macro_f1, auc, r, ece } = figures;
        println!("{name:<28} {count:>7}  {accuracy:>8.3}  {macro_f1:>8.3}  {auc:>5.3}  {r:>5.3}  {ece:>5.3}");
    }
    for (title, words) in ["more positive", "more negative"].iter().zip(&trained.changed) {
        let words: Vec<String> = words.iter().map(|(word, by)| format!("{word} {by:+.2}")).collect();
        if !words.is_empty() {
            println!("{title}: {}", words.join(", "));
        }
    }
    println!("{}: {bytes} bytes, language {}, version {}", args.out.display(), args.language, args.version);
}
