//! Conditions of own rules: a subset of CEL (Common Expression Language), typed when it is read.
//!
//! ```text
//! condition   condition && condition | condition || condition | ! condition | ( condition ) | has(figure)
//!             value < value, also <= > >= == !=            (and, or, not are the same as &&, ||, !)
//! value       value + value | value - value | value * value | - value | ( value ) | min(value, value) | max(value, value)
//!             a figure | 0.25 | 36h | "gold"
//! ```
//! A value is a number (millionths), a length of time (ms) or a category, and the three do not mix: `c.silence > 7d`. There
//! are no floats, no loops and no functions of the user's own; length, nodes and depth are limited, so a condition costs
//! at most [`NODES_MAX`] steps. CEL's way with errors is kept: what a missing figure or an overflow takes part in is neither
//! true nor false, unless the rest of an `&&` or `||` decides. Unlike CEL, `not` binds more loosely than a comparison, as it
//! is read aloud. The crates there are for CEL compute with floats, type while running and have no limit on cost.

mod parse;

use crate::model::Micro;
use std::cmp::Ordering;

pub use parse::parse;

/// Longest condition, in bytes.
pub const BYTES_MAX: usize = 500;
/// Most figures, literals and operators of a condition.
pub const NODES_MAX: usize = 64;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 16;

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A number, in millionths.
    Number,
    /// A length of time, in ms.
    Duration,
    /// A category: equal or not.
    Category,
}

impl Type {
    const fn noun(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Duration => "a length of time",
            Self::Category => "a category",
        }
    }
}

/// A figure that a condition may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub unit: Type,
    /// It grows by itself, a ms each ms: the time since something.
    pub grows: bool,
    /// It is of an item, not of the customer.
    pub of_item: bool,
}

/// Why a condition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {what}")]
pub struct Wrong {
    /// Counted from 1.
    pub position: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// A figure has no value.
    Missing,
    /// A result is beyond ±9.2 × 10¹².
    Overflow,
}

/// A value to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// As it stands.
    Literal(i64),
    /// By place in the list of figures.
    Figure(usize),
    /// Of two values.
    Of(Operation, Box<(Self, Self)>),
}

/// What is done with two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sum.
    Plus,
    /// Difference.
    Minus,
    /// Product, rounded towards zero.
    Times,
    /// The lesser.
    Min,
    /// The greater.
    Max,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

impl Relation {
    const fn negated(self) -> Self {
        match self {
            Self::Below => Self::AtLeast,
            Self::AtMost => Self::Above,
            Self::Above => Self::AtMost,
            Self::AtLeast => Self::Below,
            Self::Equal => Self::Unequal,
            Self::Unequal => Self::Equal,
        }
    }

    /// The same with its sides exchanged.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
            Self::Equal | Self::Unequal => self,
        }
    }

    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Below => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::Above => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
        }
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What is compared …
    pub left: Value,
    /// … how …
    pub relation: Relation,
    /// … with what.
    pub right: Value,
    /// What both count.
    pub unit: Type,
    /// The left side as written.
    pub text: String,
}

/// A condition. There is no negation: it is taken into the comparisons when the condition is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A comparison.
    Compare(Comparison),
    /// Whether a figure has a value.
    Has(usize, bool),
    /// Both.
    And(Box<(Self, Self)>),
    /// Either.
    Or(Box<(Self, Self)>),
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// True or false.
    Condition(Condition),
    /// A value.
    Value(Value, Type),
}

impl Value {
    /// Its value.
    ///
    /// # Errors
    /// A missing figure, or an overflow.
    pub fn compute(&self, figure: &impl Fn(usize) -> Option<i64>) -> Result<i64, Unknown> {
        match self {
            Self::Literal(value) => Ok(*value),
            Self::Figure(place) => figure(*place).ok_or(Unknown::Missing),
            Self::Of(operation, sides) => {
                let (left, right) = (sides.0.compute(figure)?, sides.1.compute(figure)?);
                let computed = match operation {
                    Operation::Plus => left.checked_add(right),
                    Operation::Minus => left.checked_sub(right),
                    Operation::Times => {
                        i64::try_from(i128::from(left) * i128::from(right) / i128::from(Micro::SCALE)).ok()
                    }
                    Operation::Min => Some(left.min(right)),
                    Operation::Max => Some(left.max(right)),
                };
                computed.ok_or(Unknown::Overflow)
            }
        }
    }

    /// Its value, when it names no figure.
    #[must_use]
    pub fn constant(&self) -> Option<i64> {
        self.compute(&|_| None).ok()
    }

    fn each_figure(&self, take: &mut impl FnMut(usize)) {
        match self {
            Self::Literal(_) => {}
            Self::Figure(place) => take(*place),
            Self::Of(_, sides) => [&sides.0, &sides.1].into_iter().for_each(|side| side.each_figure(take)),
        }
    }
}

impl Comparison {
    fn holds(&self, figure: &impl Fn(usize) -> Option<i64>) -> Result<bool, Unknown> {
        let (left, right) = (self.left.compute(figure)?, self.right.compute(figure)?);
        Ok(self.relation.holds(left.cmp(&right)))
    }
}

impl Condition {
    /// Whether it holds; `figure` gives the value of a figure by its place.
    ///
    /// # Errors
    /// Neither: a missing figure, or an overflow.
    pub fn holds(&self, figure: &impl Fn(usize) -> Option<i64>) -> Result<bool, Unknown> {
        let (sides, decides) = match self {
            Self::Compare(comparison) => return comparison.holds(figure),
            Self::Has(place, wanted) => return Ok(figure(*place).is_some() == *wanted),
            Self::And(sides) => (sides, false),
            Self::Or(sides) => (sides, true),
        };
        let left = sides.0.holds(figure);
        if left == Ok(decides) {
            return left;
        }
        match (left, sides.1.holds(figure)) {
            (_, Ok(right)) if right == decides => Ok(decides),
            (Ok(_), right) => right,
            (Err(left), Err(right)) => Err(left.max(right)),
            (Err(left), Ok(_)) => Err(left),
        }
    }

    /// Every comparison, in the order it is written.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Self::Compare(comparison) => vec![comparison],
            Self::Has(..) => Vec::new(),
            Self::And(sides) | Self::Or(sides) => [sides.0.comparisons(), sides.1.comparisons()].concat(),
        }
    }

    /// Every figure it names, in order; some more than once.
    pub fn figures(&self) -> Vec<usize> {
        match self {
            Self::Compare(Comparison { left, right, .. }) => {
                let mut places = Vec::new();
                left.each_figure(&mut |place| places.push(place));
                right.each_figure(&mut |place| places.push(place));
                places
            }
            Self::Has(place, _) => vec![*place],
            Self::And(sides) | Self::Or(sides) => [sides.0.figures(), sides.1.figures()].concat(),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Compare(comparison) => {
                Self::Compare(Comparison { relation: comparison.relation.negated(), ..comparison })
            }
            Self::Has(place, wanted) => Self::Has(place, !wanted),
            Self::And(sides) => Self::Or(Box::new((sides.0.negated(), sides.1.negated()))),
            Self::Or(sides) => Self::And(Box::new((sides.0.negated(), sides.1.negated()))),
        }
    }
}

#[cfg(test)]
mod tests;
