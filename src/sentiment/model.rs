//! The model file: one line that names the format, one line of JSON that says where the weights come from, then, zstd
//! compressed, the tables of weights and the table of words as bytes.

use super::features::ROWS;
use super::lexicon::{Entry, Lexicon};
use super::overlay::Overlay;
use super::table::{Numbers, Rows, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAGIC: &str = "touchline sentiment model 3";
const SLOT_BYTES: usize = 10;
/// No number of a description is larger: then no sum overflows.
pub(super) const LARGEST: i64 = 1 << 26;
/// A model larger than this is refused.
pub const MODEL_BYTES_MAX: usize = 1_000_000;
/// What is compressed: of the base two weights and a count a row, of an overlay two weights and a likeness; the words.
const TABLES_BYTES_MAX: usize = ROWS * 6 + SLOT_BYTES * (1 << 15);
/// A model is made once and read at every start.
const COMPRESSION_LEVEL: i32 = 19;

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
    /// On writing.
    #[error("the sentiment model cannot be compressed: {0}")]
    Compression(std::io::Error),
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
    pub(super) weights: Numbers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overlay: Option<OverlayDescription>,
}

/// What is learned from own labels, but for its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverlayDescription {
    pub(super) weights: Numbers,
    /// By channel. A channel it has none for keeps the base's.
    pub(super) calibrations: BTreeMap<String, Calibration>,
    /// Likeness, in 1/65,536, from which on it acts, and from which on it acts alone.
    pub(super) acts: [i64; 2],
}

/// A model in memory, never changed: one megabyte (512 KiB of weights, 256 KiB of counts, 256 KiB of words); an overlay
/// adds 768 KiB.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Where it comes from.
    pub description: Description,
    pub(super) lexicon: Lexicon,
    pub(super) table: Table,
    /// How often the base's texts hold each row, as [`super::overlay::rounded_count`] has it.
    pub(super) counts: Box<[u8]>,
    pub(super) overlay: Option<Overlay>,
    calibrations: Calibrations,
    overlay_calibrations: Calibrations,
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
        let tables = zstd::bulk::decompress(rest, TABLES_BYTES_MAX)
            .map_err(|_| ModelError::Damaged("its tables cannot be decompressed"))?;
        let mut rest = tables.as_slice();
        let mut take = |bytes: usize| {
            let (taken, left) = rest.split_at_checked(bytes).ok_or(ModelError::Damaged("rows are missing"))?;
            rest = left;
            Ok::<_, ModelError>(taken)
        };
        let (rows, counts) = (take(ROWS * 2)?, take(ROWS)?.into());
        let overlay = match &description.overlay {
            Some(_) => Some((take(ROWS * 2)?, take(ROWS)?)),
            None => None,
        };
        if !rest.len().is_multiple_of(SLOT_BYTES) {
            return Err(ModelError::Damaged("its table of words is cut off"));
        }
        let lexicon = Lexicon::of_slots(rest.chunks_exact(SLOT_BYTES).map_while(slot))
            .ok_or(ModelError::Damaged("its table of words does not fit"))?;
        let overlay =
            overlay.map(|(rows, likeness)| (pairs(rows), likeness.iter().map(|byte| byte.cast_signed()).collect()));
        Self::of(description, lexicon, pairs(rows), counts, overlay)
            .ok_or(ModelError::Damaged("its numbers are not those of this version"))
    }

    /// A model of its parts, an overlay's rows and likenesses among them; none when the numbers do not fit this version
    /// or are out of range.
    pub(super) fn of(
        description: Description,
        lexicon: Lexicon,
        rows: Rows,
        counts: Box<[u8]>,
        overlay: Option<(Rows, Box<[i8]>)>,
    ) -> Option<Self> {
        let overlaid = description.overlay.as_ref();
        let calibrations = description.calibrations.values();
        let calibrations = calibrations.chain(overlaid.into_iter().flat_map(|overlay| overlay.calibrations.values()));
        let in_range = calibrations
            .flat_map(|Calibration { sharpness, prior: [negative, positive] }| [sharpness, negative, positive])
            .all(|number| number.abs() <= LARGEST);
        if !in_range || !description.calibrations.contains_key("") || counts.len() != ROWS {
            return None;
        }
        let table = Table::of(rows, &description.weights)?;
        let overlay = match (overlay, overlaid) {
            (Some((rows, likeness)), Some(overlaid)) => {
                Some(Overlay::of(Table::of(rows, &overlaid.weights)?, likeness, overlaid.acts)?)
            }
            (None, None) => None,
            _ => return None,
        };
        let calibrations = Calibrations::of_description(Some(&description.calibrations), None);
        let overlay_calibrations =
            Calibrations::of_description(overlaid.map(|own| &own.calibrations), Some(&calibrations));
        Some(Self { description, lexicon, table, counts, overlay, calibrations, overlay_calibrations })
    }

    /// The model as a file.
    pub fn bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut tables = self.table.bytes();
        tables.extend(&self.counts);
        if let Some(overlay) = &self.overlay {
            tables.extend(overlay.bytes());
        }
        for (at, key, Entry { valence, idiom, roles }) in self.lexicon.slots() {
            tables.extend(u16::try_from(at).unwrap_or(u16::MAX).to_le_bytes());
            tables.extend(key.to_le_bytes());
            tables.extend([valence.cast_unsigned(), idiom]);
            tables.extend(roles.to_le_bytes());
        }
        let mut bytes = format!("{MAGIC}\n{}\n", serde_json::to_string(&self.description)?).into_bytes();
        bytes.extend(zstd::bulk::compress(&tables, COMPRESSION_LEVEL).map_err(ModelError::Compression)?);
        Ok(bytes)
    }

    /// The base's calibration of a channel, or its general one.
    pub(super) fn calibration(&self, channel: &str) -> Calibration {
        self.calibrations.of(channel)
    }

    /// The overlay's calibration of a channel, or its general one, or the base's.
    pub(super) fn overlay_calibration(&self, channel: &str) -> Calibration {
        self.overlay_calibrations.of(channel)
    }
}

/// Calibrations as they are looked up, for every text.
#[derive(Debug, Clone, PartialEq)]
struct Calibrations {
    /// Of every other channel. It is not among the rest under an empty name: to compare with an empty string, which has no
    /// address, takes a processor longer than to read ten words.
    general: Calibration,
    channels: Vec<(String, Calibration)>,
}

impl Calibrations {
    /// Of a description; where it has nothing, `other` has.
    fn of_description(known: Option<&BTreeMap<String, Calibration>>, other: Option<&Self>) -> Self {
        let unknown = Calibration { sharpness: super::fixed::ONE, prior: [0, 0] };
        let general = known.and_then(|known| known.get("")).copied();
        let channels = known.into_iter().flatten().filter(|(channel, _)| !channel.is_empty());
        let mut channels: Vec<_> = channels.map(|(channel, calibration)| (channel.clone(), *calibration)).collect();
        if general.is_none() {
            channels.extend(other.into_iter().flat_map(|other| &other.channels).cloned());
        }
        Self { general: general.or(other.map(|other| other.general)).unwrap_or(unknown), channels }
    }

    fn of(&self, channel: &str) -> Calibration {
        let found = self.channels.iter().find(|(known, _)| known == channel);
        found.map_or(self.general, |(_, calibration)| *calibration)
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

fn pairs(bytes: &[u8]) -> Rows {
    let pairs = bytes.chunks_exact(2).map_while(|pair| <[u8; 2]>::try_from(pair).ok());
    pairs.map(|pair| pair.map(u8::cast_signed)).collect()
}

fn slot(bytes: &[u8]) -> Option<(usize, u32, Entry)> {
    let [a, b, c, d, e, f, valence, idiom, g, h] = <[u8; SLOT_BYTES]>::try_from(bytes).ok()?;
    Some((
        usize::from(u16::from_le_bytes([a, b])),
        u32::from_le_bytes([c, d, e, f]),
        Entry { valence: valence.cast_signed(), idiom, roles: u16::from_le_bytes([g, h]) },
    ))
}
