//! Labelled texts: `text<TAB>label` a line.

use super::regression::CLASSES;
use crate::model::transcendental::exp;

/// A text with the probability of each class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labelled {
    pub(super) text: String,
    /// Negative, neutral, positive.
    pub(super) target: [f64; CLASSES],
}

/// What the labels of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// `negative`, `neutral`, `positive`.
    Classes,
    /// Mean human valence, −4 to 4.
    Valence,
    /// Stars, 1 to 5.
    Stars,
}

/// The labelled texts of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// Named in the model and in reports.
    pub name: String,
    /// Of all its labels.
    pub scale: Scale,
    pub(super) rows: Vec<Labelled>,
    /// The labels as numbers: valence, stars, or −1, 0, 1.
    pub(super) values: Vec<f64>,
}

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelsError {
    /// A line without a tab or with another label than the first lines have.
    #[error(
        "{name}:{line}: expected a text, a tab and a label: negative, neutral or positive; a valence between -4 and 4 (with a decimal point); or stars 1 to 5; the same kind in all lines"
    )]
    Line {
        /// Of the file.
        name: String,
        /// From 1.
        line: usize,
    },
    /// Nothing to learn from.
    #[error("{name}: no labelled texts")]
    Empty {
        /// Of the file.
        name: String,
    },
}

impl Labels {
    /// Reads `text<TAB>label` lines. Which kind the labels are of, the first line says.
    pub fn parse(name: &str, text: &str) -> Result<Self, LabelsError> {
        let mut labels = Self { name: name.to_owned(), scale: Scale::Classes, rows: Vec::new(), values: Vec::new() };
        for (line, row) in (1..).zip(text.lines()).filter(|(_, row)| !row.trim().is_empty()) {
            let broken = || LabelsError::Line { name: name.to_owned(), line };
            let (text, label) = row.rsplit_once('\t').ok_or_else(broken)?;
            let (scale, value, target) = read(label.trim()).ok_or_else(broken)?;
            if labels.rows.is_empty() {
                labels.scale = scale;
            } else if labels.scale != scale {
                return Err(broken());
            }
            labels.rows.push(Labelled { text: text.to_owned(), target });
            labels.values.push(value);
        }
        if labels.rows.is_empty() { Err(LabelsError::Empty { name: name.to_owned() }) } else { Ok(labels) }
    }

    /// Texts with the class of their label: 0 negative, 1 neutral, 2 positive. A valence within half a point of zero is
    /// neutral.
    pub fn classes(&self) -> impl Iterator<Item = (&str, usize)> {
        let class = |value: f64| match self.scale {
            Scale::Classes => 1.0 + value,
            Scale::Valence => 1.0 + f64::from(i8::from(value > 0.5)) - f64::from(i8::from(value < -0.5)),
            Scale::Stars => 1.0 + f64::from(i8::from(value > 3.0)) - f64::from(i8::from(value < 3.0)),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0, 1 or 2")]
        self.rows.iter().zip(&self.values).map(move |(row, value)| (row.text.as_str(), class(*value) as usize))
    }

    /// Texts with their labels as numbers.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        self.rows.iter().zip(&self.values).map(|(row, value)| (row.text.as_str(), *value))
    }
}

fn read(label: &str) -> Option<(Scale, f64, [f64; CLASSES])> {
    if let Some(target) = target(label) {
        return Some((Scale::Classes, target[2] - target[0], target));
    }
    let value: f64 = label.parse().ok()?;
    if !label.contains('.') && (1.0..=5.0).contains(&value) {
        let target = match label {
            "1" | "2" => [1.0, 0.0, 0.0],
            "3" => [0.0, 1.0, 0.0],
            _ => [0.0, 0.0, 1.0],
        };
        return Some((Scale::Stars, value, target));
    }
    (-4.0..=4.0).contains(&value).then(|| (Scale::Valence, value, of_valence(value)))
}

/// Probabilities of the classes for a mean valence: logistic curves with the thresholds at ± 0.6 of a point. Steeper than
/// raters spread (1.6): by cross-validation other sets gain and confidence is truer.
fn of_valence(valence: f64) -> [f64; CLASSES] {
    const SLOPE: f64 = 3.0;
    const THRESHOLD: f64 = 0.6;
    let above = |distance: f64| 1.0 / (1.0 + exp(-SLOPE * distance));
    let (positive, negative) = (above(valence - THRESHOLD), above(-valence - THRESHOLD));
    [negative, (1.0 - positive - negative).max(0.0), positive]
}

/// `positive`, or several classes as likely as each other: `neutral|positive`.
pub(super) fn target(label: &str) -> Option<[f64; CLASSES]> {
    let mut target = [0.0; CLASSES];
    for name in label.split('|') {
        let place = ["negative", "neutral", "positive"].iter().position(|known| *known == name)?;
        *target.get_mut(place)? = 1.0;
    }
    let total: f64 = target.iter().sum();
    Some(target.map(|part| part / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kinds_of_labels_are_read() {
        let labels = Labels::parse("x", "good\tpositive\nbad\tnegative\n\nso\tneutral\n").unwrap();
        assert_eq!(labels.scale, Scale::Classes);
        assert_eq!(labels.classes().map(|(_, class)| class).collect::<Vec<_>>(), [2, 0, 1]);
        let labels = Labels::parse("x", "good\t2.5000\nbad\t-1.0\nso\t0.0\n").unwrap();
        assert_eq!(labels.scale, Scale::Valence);
        assert_eq!(labels.classes().map(|(_, class)| class).collect::<Vec<_>>(), [2, 0, 1]);
        let labels = Labels::parse("x", "buena\t5\nregular\t3\nmala\t2\n").unwrap();
        assert_eq!(labels.scale, Scale::Stars);
        assert_eq!(labels.classes().map(|(_, class)| class).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn broken_lines_are_named() {
        let error = |line| Err(LabelsError::Line { name: "x".into(), line });
        assert_eq!(Labels::parse("x", "good\tpositive\nbad\n"), error(2));
        assert_eq!(Labels::parse("x", "good\tpositive\nbad\t2\n"), error(2));
        assert_eq!(Labels::parse("x", "good\t9.5\n"), error(1));
        assert_eq!(Labels::parse("x", "\n"), Err(LabelsError::Empty { name: "x".into() }));
    }

    #[test]
    fn a_valence_is_spread_over_the_classes() {
        for valence in [-4.0, -1.0, 0.0, 0.3, 2.0, 4.0] {
            let target = of_valence(valence);
            assert!((target.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{target:?}");
            assert!((target[2] - target[0]) * valence >= 0.0, "{target:?}");
        }
    }
}
