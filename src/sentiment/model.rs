//! The model file: one line that names the format, one line of JSON that says where the weights come from, then the
//! table of words and the table of weights as bytes.
//!
//! The rows hold two weights in place of three: the logit of neutral is always 0, those of negative and positive are
//! relative to it. That is the same model in two thirds of the memory.

use super::features::{DENSE, DENSE_COUNT, ROWS};
use super::lexicon::{Entry, Lexicon};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAGIC: &str = "touchline sentiment model 1";
const SLOT_BYTES: usize = 10;
/// A model larger than this is refused.
pub const MODEL_BYTES_MAX: usize = 1_000_000;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Another file, or one of a later version.
    #[error("not a sentiment model of this version: its first line must be `{MAGIC}`")]
    Format,
    /// The line of JSON.
    #[error("the sentiment model's description cannot be read: {0}")]
    Description(#[from] serde_json::Error),
    /// The tables.
    #[error("the sentiment model is damaged: {0}")]
    Damaged(&'static str),
}

/// A set the weights were learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// File name without its ending.
    pub name: String,
    /// Labelled texts in it.
    pub texts: usize,
    /// Terms under which it may be used.
    pub licence: String,
}

/// How sure the model may be on one channel, and how frequent the classes are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Factor of the logits, in 1/65,536: below one for a model that is too sure.
    pub sharpness: i64,
    /// Added to the logits of negative and positive, in 1/65,536.
    pub prior: [i64; 2],
}

/// Where a model comes from and all of it but the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Changes with the weights.
    pub version: String,
    /// ISO 639-1.
    pub language: String,
    /// Of the choice of words in our own sentences.
    pub seed: u64,
    /// The command that made it.
    pub command: String,
    /// What it was learned from, overlays last.
    pub sources: Vec<Source>,
    /// By channel; the empty name is every other channel.
    pub calibrations: BTreeMap<String, Calibration>,
    /// One unit of a row's weights, in logits of 2^-24.
    pub(super) row_unit: i64,
    /// Names, and weights in 1/65,536, of the dense numbers, for negative and positive.
    pub(super) dense: Vec<(String, [i64; 2])>,
}

/// A model in memory: three quarters of a megabyte (512 KiB of weights, 256 KiB of words), never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Where it comes from.
    pub description: Description,
    pub(super) lexicon: Lexicon,
    /// Negative and positive, relative to neutral.
    pub(super) rows: Box<[[i8; 2]]>,
    pub(super) dense: [[i64; 2]; DENSE_COUNT],
}

impl Model {
    /// Reads a model file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() > MODEL_BYTES_MAX {
            return Err(ModelError::Damaged("it is larger than a megabyte"));
        }
        let (magic, rest) = line(bytes).ok_or(ModelError::Format)?;
        if magic != MAGIC.as_bytes() {
            return Err(ModelError::Format);
        }
        let (description, rest) = line(rest).ok_or(ModelError::Damaged("it ends in its description"))?;
        let description: Description = serde_json::from_slice(description)?;
        let (rows, slots) = rest.split_at_checked(ROWS * 2).ok_or(ModelError::Damaged("rows are missing"))?;
        if !slots.len().is_multiple_of(SLOT_BYTES) {
            return Err(ModelError::Damaged("its table of words is cut off"));
        }
        let lexicon = Lexicon::of_slots(slots.chunks_exact(SLOT_BYTES).map_while(slot))
            .ok_or(ModelError::Damaged("its table of words does not fit"))?;
        let rows = rows.chunks_exact(2).map_while(|row| <[u8; 2]>::try_from(row).ok());
        let rows = rows.map(|row| row.map(u8::cast_signed)).collect();
        Self::of(description, lexicon, rows).ok_or(ModelError::Damaged("its numbers are not those of this version"))
    }

    /// A model of its parts; none when the numbers do not fit this version or are out of range.
    pub(super) fn of(description: Description, lexicon: Lexicon, rows: Box<[[i8; 2]]>) -> Option<Self> {
        const LARGEST: i64 = 1 << 26;
        let names = description.dense.iter().map(|(name, _)| name.as_str());
        let calibrations = || description.calibrations.values();
        let numbers = description.dense.iter().flat_map(|(_, weights)| weights);
        let numbers = numbers.chain(calibrations().flat_map(|calibration| &calibration.prior));
        let numbers = numbers.chain(calibrations().map(|calibration| &calibration.sharpness));
        let in_range = numbers.chain([&description.row_unit]).all(|number| number.abs() <= LARGEST);
        if !in_range || !names.eq(DENSE.iter().copied()) || !description.calibrations.contains_key("") {
            return None;
        }
        let mut dense = [[0; 2]; DENSE_COUNT];
        for (to, (_, from)) in dense.iter_mut().zip(&description.dense) {
            *to = *from;
        }
        (rows.len() == ROWS).then_some(Self { description, lexicon, rows, dense })
    }

    /// The model as a file.
    pub fn bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut bytes = format!("{MAGIC}\n{}\n", serde_json::to_string(&self.description)?).into_bytes();
        bytes.extend(self.rows.iter().flatten().map(|weight| weight.cast_unsigned()));
        for (at, key, Entry { valence, idiom, roles }) in self.lexicon.slots() {
            bytes.extend(u16::try_from(at).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(key.to_le_bytes());
            bytes.extend([valence.cast_unsigned(), idiom]);
            bytes.extend(roles.to_le_bytes());
        }
        Ok(bytes)
    }

    /// The calibration of a channel, or the general one.
    pub(super) fn calibration(&self, channel: &str) -> Calibration {
        let calibrations = &self.description.calibrations;
        let unknown = Calibration { sharpness: super::fixed::ONE, prior: [0, 0] };
        calibrations.get(channel).or_else(|| calibrations.get("")).copied().unwrap_or(unknown)
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

fn slot(bytes: &[u8]) -> Option<(usize, u32, Entry)> {
    let [a, b, c, d, e, f, valence, idiom, g, h] = <[u8; SLOT_BYTES]>::try_from(bytes).ok()?;
    Some((
        usize::from(u16::from_le_bytes([a, b])),
        u32::from_le_bytes([c, d, e, f]),
        Entry { valence: valence.cast_signed(), idiom, roles: u16::from_le_bytes([g, h]) },
    ))
}
