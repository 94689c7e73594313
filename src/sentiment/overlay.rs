//! What own labels add to a model, and which texts it is for.
//!
//! Weights learned from one kind of text (complaints to an airline) mislead on another (reviews of films), and no strength
//! of regularisation avoids that without giving up what was learned. An overlay therefore knows how much a text is like
//! those it learned from: a row's *likeness* is the logarithm of how much more frequent it is there than in the base's
//! texts, a text's likeness the sum over its rows / √(their number). Below one threshold the base scores alone, above
//! another the overlay's weights and calibration apply in full, between them in part.

use super::features::{ROWS, Scratch};
use super::fixed::{ONE, inverse_root};
use super::model::Model;
use super::table::Table;
use crate::model::transcendental::{exp, ln};

/// Likenesses are in 1/16, counts in sixteenths of a doubling.
const STEPS: f64 = 16.0;

/// Weights to add to those of the base.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Overlay {
    pub(super) table: Table,
    /// Of each row.
    likeness: Box<[i8]>,
    /// In Q16: where it begins to act, where it acts alone.
    acts: [i64; 2],
}

impl Overlay {
    /// None when the numbers do not fit this version.
    pub(super) fn of(table: Table, likeness: Box<[i8]>, acts: [i64; 2]) -> Option<Self> {
        let [from, to] = acts;
        let fits = likeness.len() == ROWS && from < to && acts.iter().all(|at| at.abs() <= super::model::LARGEST);
        fits.then_some(Self { table, likeness, acts })
    }

    /// Its rows and likenesses as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.table.bytes();
        bytes.extend(self.likeness.iter().map(|likeness| likeness.cast_unsigned()));
        bytes
    }

    /// How far it acts on the text in `scratch`: 0 to 1, in Q16.
    fn share(&self, scratch: &Scratch) -> i64 {
        let mut sum = 0;
        let count = scratch.rows(|_, row, _| sum += i64::from(self.likeness.get(row).copied().unwrap_or_default()));
        // Sixteenths in Q16 leave 12 of the root's 20 bits.
        let likeness = (sum * inverse_root(count)) >> 8;
        let [from, to] = self.acts;
        ((likeness - from) * ONE / (to - from)).clamp(0, ONE)
    }
}

/// How base and overlay go together in one text: factors of their logits and what is added, all in Q16.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blend {
    pub(super) base: i64,
    pub(super) overlay: i64,
    pub(super) prior: [i64; 2],
}

impl Blend {
    /// Of the text in `scratch`.
    pub(super) fn of(model: &Model, scratch: &Scratch, channel: &str) -> Self {
        let of_base = model.calibration(channel);
        let alone = Self { base: of_base.sharpness, overlay: 0, prior: of_base.prior };
        let Some(overlay) = &model.overlay else { return alone };
        let (share, own) = (overlay.share(scratch), model.overlay_calibration(channel));
        let between = |base: i64, own: i64| base + (((own - base) * share) >> 16);
        let [negative, positive] = of_base.prior;
        Self {
            base: between(of_base.sharpness, own.sharpness),
            overlay: (own.sharpness * share) >> 16,
            prior: [between(negative, own.prior[0]), between(positive, own.prior[1])],
        }
    }

    /// The logits in Q16 of base and overlay as one.
    pub(super) const fn mixed(&self, base: i64, overlay: i64) -> i64 {
        (base * self.base + overlay * self.overlay) >> 16
    }
}

/// A count as a byte: sixteen times its binary logarithm, 0 for none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 255")]
pub(super) fn rounded_count(count: u32) -> u8 {
    (STEPS * ln(1.0 + f64::from(count)) / std::f64::consts::LN_2).round().min(255.0) as u8
}

/// The likeness of each row, by how often `own` texts and the base's hold it.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
pub(super) fn likenesses(own: &[u32], own_texts: usize, base: &[u8], base_texts: usize) -> Box<[i8]> {
    let (own_texts, base_texts) = (own_texts.max(1) as f64, base_texts.max(1) as f64);
    // One text of the smaller side: less than that tells nothing.
    let least = 1.0 / own_texts.min(base_texts);
    let rate = |count: f64, texts: f64| count / texts + least;
    let likeness = |(own, base): (&u32, &u8)| {
        let base = exp(f64::from(*base) / STEPS * std::f64::consts::LN_2) - 1.0;
        let ratio = rate(f64::from(*own), own_texts) / rate(base, base_texts);
        (STEPS * ln(ratio)).round().clamp(-127.0, 127.0) as i8
    };
    own.iter().zip(base).map(likeness).collect()
}
