//! The files of a command as one stream of records, in order of arrival.

use super::files::{Feed, Held, Rows};
use crate::codec::{Format, RawRecord};
use crate::config::Config;
use crate::model::Timestamp;
use crate::pipeline::Plan;
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Read};
use std::path::Path;

/// Path and input of each file argument: `FILE`, or `NAME=FILE` for a file of the input NAME.
///
/// # Errors
/// When an input is not known, or several could be meant.
pub(super) fn sources(config: &Config, input: Option<&str>, files: &[String]) -> Result<Vec<(String, usize)>, String> {
    files.iter().map(|file| source(config, input, file)).collect()
}

fn source(config: &Config, input: Option<&str>, file: &str) -> Result<(String, usize), String> {
    let known = || config.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some((name, path)) = file.split_once('=')
        && let Some(input) = config.input_named(name)
    {
        return Ok((path.to_owned(), input));
    }
    let index = match input {
        Some(name) => config.input_named(name).ok_or_else(|| format!("no input \"{name}\"; known: {}", known()))?,
        None if config.inputs.len() == 1 => 0,
        None => return Err(format!("say which input {file} belongs to, by --input NAME or NAME={file}: {}", known())),
    };
    Ok((file.to_owned(), index))
}

/// All files of a plan: the record that arrived first is next; of equals, that of the first file.
pub(super) struct Feeds<'p> {
    feeds: Vec<Feed<'p>>,
    bar: ProgressBar,
}

impl<'p> Feeds<'p> {
    /// Opens the plan's sources; of each, at least `ahead` records are held back to put them in order.
    pub(super) fn open(plan: &'p Plan, ahead: usize) -> anyhow::Result<Self> {
        let bar = progress_bar(plan)?;
        let open = |(source, (path, input)): (u16, &(String, usize))| {
            let input = plan.inputs.get(*input).context("the input of a file is gone")?;
            if input.is_avro() {
                bail!("{path}: records of the Avro input {} are read from topics, by replay --topics", input.name);
            }
            let wrap = |file| -> Box<dyn Read> { Box::new(bar.wrap_read(file)) };
            let is_csv = matches!(input.format, Format::Csv(_));
            let rows = Rows::open(Path::new(path), is_csv, plan.bounds.record_bytes_max, wrap)?;
            Ok(Feed::new(source, input, rows, ahead))
        };
        let feeds: anyhow::Result<_> = (0..).zip(&plan.sources).map(open).collect();
        Ok(Self { feeds: feeds?, bar })
    }

    /// When the next record arrived, and the place of its file; none at the end.
    fn earliest(&mut self) -> anyhow::Result<Option<(Timestamp, usize)>> {
        let mut earliest = None;
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            if let Some(arrival) = feed.next_arrival()?
                && earliest.is_none_or(|(known, _)| arrival < known)
            {
                earliest = Some((arrival, index));
            }
        }
        Ok(earliest)
    }

    /// When the next record arrived; none at the end.
    pub(super) fn next_arrival(&mut self) -> anyhow::Result<Option<Timestamp>> {
        Ok(self.earliest()?.map(|(arrival, _)| arrival))
    }

    /// Gives the next record to `take`; false at the end.
    pub(super) fn take(&mut self, take: impl FnOnce(&RawRecord<'_>)) -> anyhow::Result<bool> {
        let earliest = self.earliest()?.and_then(|(_, index)| self.feeds.get_mut(index));
        earliest.map_or(Ok(false), |feed| feed.take(take))
    }

    /// Puts the next record into `held`; false at the end.
    pub(super) fn swap(&mut self, held: &mut Held) -> anyhow::Result<bool> {
        let earliest = self.earliest()?.and_then(|(_, index)| self.feeds.get_mut(index));
        earliest.map_or(Ok(false), |feed| feed.swap(held))
    }

    /// The end: answers how many records were given out after a later one.
    pub(super) fn finish(self) -> u64 {
        self.bar.finish_and_clear();
        self.feeds.iter().map(|feed| feed.out_of_window).sum()
    }
}

/// Bytes of the files as they lie on the disk; hidden unless standard error is a terminal.
fn progress_bar(plan: &Plan) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let size = |(path, _): &(String, usize)| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let style = "{wide_bar} {bytes}/{total_bytes} {eta}";
    Ok(ProgressBar::new(plan.sources.iter().map(size).sum()).with_style(ProgressStyle::with_template(style)?))
}
