//! Recorded touchpoints from files: JSON Lines or CSV, plain, gzip or zstd, each in order of arrival within a window.

use crate::codec::{self, Input, RawRecord};
use crate::model::{Position, Timestamp};
use anyhow::Context as _;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const BUFFER_BYTES: usize = 256 * 1024;

/// One record, numbered by its line.
pub(super) enum Rows {
    Lines { reader: Box<dyn BufRead>, bytes_max: u64 },
    Csv { reader: Box<csv::Reader<Box<dyn BufRead>>>, header: csv::StringRecord, row: csv::StringRecord },
}

/// A file as a source of the run, in order of arrival: by the input's `arrival` field, else by event time; ties by line.
/// A record that cannot be decoded stays where it stands.
///
/// Files are nearly in order, so a window is enough: it holds at least `ahead` records, sorted, and gives out the
/// earliest. One that comes later than that can mend is given out at once, and counted in `out_of_window`.
pub(super) struct Feed<'p> {
    source: u16,
    input: &'p Input,
    rows: Rows,
    line: i64,
    ahead: usize,
    /// (arrival, line, index into `buffers`), ascending.
    window: VecDeque<(Timestamp, i64, usize)>,
    buffers: Vec<Vec<u8>>,
    free: Vec<usize>,
    /// Scratch of `take`.
    lent: Held,
    newest: Timestamp,
    given_out: Timestamp,
    ended: bool,
    /// Records given out after a later one.
    pub(super) out_of_window: u64,
}

impl<'p> Feed<'p> {
    /// A source of rows, in order of arrival as far as `ahead` records can mend it.
    pub(super) fn new(source: u16, input: &'p Input, rows: Rows, ahead: usize) -> Self {
        let earliest = Timestamp(i64::MIN);
        Self {
            source,
            input,
            rows,
            line: 0,
            ahead,
            window: VecDeque::new(),
            buffers: Vec::new(),
            free: Vec::new(),
            lent: Held::default(),
            newest: earliest,
            given_out: earliest,
            ended: false,
            out_of_window: 0,
        }
    }

    /// Arrival of the next record; none at the end. Fills the window.
    pub(super) fn next_arrival(&mut self) -> anyhow::Result<Option<Timestamp>> {
        if !self.ended && self.window.len() <= self.ahead {
            while !self.ended && self.window.len() < 2 * self.ahead {
                self.read_one()?;
            }
            // Of a file in order, one pass that finds it sorted.
            self.window.make_contiguous().sort();
        }
        Ok(self.window.front().map(|(arrival, ..)| *arrival))
    }

    fn read_one(&mut self) -> anyhow::Result<()> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Vec::new());
            self.buffers.len() - 1
        });
        let Some(buffer) = self.buffers.get_mut(slot) else { return Ok(()) };
        match self.rows.next(&mut self.line, buffer)? {
            false => self.ended = true,
            true if buffer.is_empty() => self.free.push(slot),
            true => {
                let position = Position { source: self.source, partition: 0, offset: self.line };
                let raw = RawRecord { position, value: Some(buffer), ..RawRecord::default() };
                self.newest = codec::arrival(self.input, &raw).unwrap_or(self.newest);
                self.window.push_back((self.newest, self.line, slot));
            }
        }
        Ok(())
    }

    /// Gives the next record to `take`; false at the end.
    pub(super) fn take(&mut self, take: impl FnOnce(&RawRecord<'_>)) -> anyhow::Result<bool> {
        let mut held = std::mem::take(&mut self.lent);
        let found = self.swap(&mut held)?;
        if found {
            take(&held.raw());
        }
        self.lent = held;
        Ok(found)
    }

    /// Puts the next record into `held`, and the bytes that were there into the window's free ones; false at the end.
    pub(super) fn swap(&mut self, held: &mut Held) -> anyhow::Result<bool> {
        self.next_arrival()?;
        let Some((arrival, line, slot)) = self.window.pop_front() else { return Ok(false) };
        self.out_of_window += u64::from(arrival < self.given_out);
        self.given_out = self.given_out.max(arrival);
        if let Some(buffer) = self.buffers.get_mut(slot) {
            std::mem::swap(buffer, &mut held.bytes);
        }
        held.position = Position { source: self.source, partition: 0, offset: line };
        // Without a field of its own the arrival is the event time: that must not judge itself.
        held.recorded_at = (!self.input.arrival.is_empty()).then_some(arrival);
        self.free.push(slot);
        Ok(true)
    }
}

/// A record that was given out.
#[derive(Debug)]
pub(super) struct Held {
    position: Position,
    recorded_at: Option<Timestamp>,
    bytes: Vec<u8>,
}

impl Default for Held {
    fn default() -> Self {
        Self { position: Position { source: 0, partition: 0, offset: 0 }, recorded_at: None, bytes: Vec::new() }
    }
}

impl Held {
    /// The record.
    pub(super) fn raw(&self) -> RawRecord<'_> {
        let Self { position, recorded_at, bytes } = self;
        RawRecord { position: *position, recorded_at: *recorded_at, value: Some(bytes), ..RawRecord::default() }
    }
}

impl Rows {
    /// Opens a file: rows of CSV, or else lines. `wrap` sees the raw bytes pass (for the progress bar); `bytes_max` is the
    /// longest line kept: of a longer one only as much as shows that it is too long.
    pub(super) fn open(
        path: &Path,
        is_csv: bool,
        bytes_max: usize,
        wrap: impl FnOnce(File) -> Box<dyn Read>,
    ) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let read = || format!("cannot read {}", path.display());
        let reader = unpacked(path, wrap(file)).with_context(read)?;
        if is_csv {
            Self::csv(reader).with_context(read)
        } else {
            Ok(Self::Lines { reader, bytes_max: bytes_max as u64 })
        }
    }

    fn csv(reader: Box<dyn BufRead>) -> csv::Result<Self> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
        let header = reader.headers()?.clone();
        Ok(Self::Csv { reader: Box::new(reader), header, row: csv::StringRecord::new() })
    }

    /// Puts the next row into `buffer` and its line into `line`; false at the end. A blank line is an empty row.
    pub(super) fn next(&mut self, line: &mut i64, buffer: &mut Vec<u8>) -> anyhow::Result<bool> {
        buffer.clear();
        match self {
            Self::Lines { reader, bytes_max } => {
                *line += 1;
                read_line(reader, *bytes_max, buffer).with_context(|| format!("cannot read line {line}"))
            }
            Self::Csv { reader, header, row } => {
                if !reader.read_record(row).with_context(|| format!("cannot read the row after line {line}"))? {
                    return Ok(false);
                }
                *line = row.position().map_or(0, |position| i64::try_from(position.line()).unwrap_or(i64::MAX));
                codec::csv_row(header.iter(), row.iter(), buffer)?;
                Ok(true)
            }
        }
    }
}

/// One line without its end; false at the end of the file. Of a line longer than `bytes_max`, one byte more than that.
fn read_line(reader: &mut dyn BufRead, bytes_max: u64, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    let read = reader.take(bytes_max + 1).read_until(b'\n', buffer)?;
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
        if buffer.last() == Some(&b'\r') {
            buffer.pop();
        }
    } else if read as u64 > bytes_max {
        reader.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

fn unpacked(path: &Path, file: Box<dyn Read>) -> std::io::Result<Box<dyn BufRead>> {
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(BufReader::with_capacity(BUFFER_BYTES, flate2::read::MultiGzDecoder::new(file))),
        Some("zst") => Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::new(file)?)),
        _ => Box::new(BufReader::with_capacity(BUFFER_BYTES, file)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_too_long_ones_are_cut() {
        let mut reader = "ab\r\n\nlonger than five\nlast".as_bytes();
        let mut lines = Vec::new();
        let mut buffer = Vec::new();
        while read_line(&mut reader, 5, &mut buffer).unwrap() {
            lines.push(String::from_utf8(std::mem::take(&mut buffer)).unwrap());
        }
        assert_eq!(lines, ["ab", "", "longer", "last"]);
    }
}
