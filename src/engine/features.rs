//! Features: a customer's state as columns of whole numbers, as of any moment. What models are trained on and scores are
//! judged by is read here, from the state that serves, so it cannot know more than the service would have known.
//!
//! A column is missing (none) where its formula has nothing to stand on, never imputed. Reading changes nobody: it works
//! on a copy, on which timers up to the moment are fired.

use super::apply::{Opened, fire_until};
use super::customer::Customer;
use super::figures::{Derived, derive};
use super::{Engine, Output, Settings, image};
use crate::model::Timestamp;

/// What a column's whole number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Pieces, as they are.
    Count,
    /// Milliseconds.
    Ms,
    /// Millionths.
    Micro,
    /// A category: the low 32 bits of the XXH3 of its name ([`crate::model::Name`]); equal or not, nothing else.
    Category,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, such as `perception` or `c.silence`.
    pub name: String,
    /// What its numbers count.
    pub unit: Unit,
    /// A derived figure, as against a feature for training.
    pub is_figure: bool,
    figure: Figure,
}

/// What a column measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Index,
    Perception,
    Expectation,
    Disconfirmation,
    Felt,
    Remembered,
    Silence,
    Weight,
    ScoredAge,
}

/// Reads features. Holds the room for it, so that a reader is made once and used for many moments.
#[derive(Debug)]
pub struct Features {
    columns: Vec<Column>,
    values: Vec<Option<i64>>,
    customer: Customer,
    outputs: Vec<Output>,
}

impl Features {
    /// A reader of every column that the settings give.
    #[must_use]
    pub fn new(_settings: &Settings) -> Self {
        let figure = |name: &str, unit, figure| Column { name: name.to_owned(), unit, is_figure: true, figure };
        let feature = |name, unit, measure| Column { is_figure: false, ..figure(name, unit, measure) };
        let columns = vec![
            figure("index", Unit::Count, Figure::Index),
            figure("perception", Unit::Micro, Figure::Perception),
            figure("expectation", Unit::Micro, Figure::Expectation),
            figure("disconfirmation", Unit::Micro, Figure::Disconfirmation),
            figure("felt", Unit::Micro, Figure::Felt),
            figure("remembered", Unit::Micro, Figure::Remembered),
            feature("c.silence", Unit::Ms, Figure::Silence),
            feature("x.p", Unit::Micro, Figure::Perception),
            feature("x.W7", Unit::Micro, Figure::Weight),
            feature("x.last_age", Unit::Ms, Figure::ScoredAge),
        ];
        Self { columns, values: Vec::new(), customer: Customer::default(), outputs: Vec::new() }
    }

    /// The columns, in the order of the values. The same settings give the same columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values of a customer at `at`, one for each column: from the touchpoints applied so far, timers ≤ `at` fired.
    /// When the customer's own time is later than `at` (a touchpoint from the future was applied), it is that time's. A
    /// customer nobody has seen has no touchpoints, and figures all the same.
    pub fn read(&mut self, engine: &Engine, customer_id: &str, _item: Option<&str>, at: Timestamp) -> &[Option<i64>] {
        let (settings, customer) = (&*engine.settings, &mut self.customer);
        customer.clear();
        if let Some(slot) = engine.find(customer_id)
            && image::read(engine.image(slot), customer).is_err()
        {
            customer.clear();
        }
        fire_until(settings, customer, customer_id, at, &mut Opened::default(), &mut self.outputs);
        self.outputs.clear();
        customer.now = customer.now.max(at);
        customer.panes.advance(customer.now);
        let moment = Moment { customer, derived: derive(customer, settings) };
        self.values.clear();
        self.values.extend(self.columns.iter().map(|column| moment.value(column.figure)));
        &self.values
    }
}

/// A customer at a moment.
struct Moment<'a> {
    customer: &'a Customer,
    derived: Derived,
}

impl Moment<'_> {
    fn value(&self, figure: Figure) -> Option<i64> {
        let Self { customer, derived } = self;
        let figures = &derived.figures;
        let seen = customer.touchpoints > 0;
        match figure {
            Figure::Index => Some(figures.index),
            Figure::Perception => Some(figures.perception.0),
            Figure::Expectation => Some(figures.expectation.0),
            Figure::Disconfirmation => Some(figures.disconfirmation.0),
            Figure::Felt => Some(figures.felt.0),
            Figure::Remembered => customer.episode.map(|episode| episode.remembered().0),
            Figure::Silence => seen.then(|| self.age(customer.latest)),
            Figure::Weight => Some(derived.perception_sum.w),
            Figure::ScoredAge => customer.recent.last().map(|recent| self.age(recent.mark.time)),
        }
    }

    fn age(&self, since: Timestamp) -> i64 {
        self.derived.at.since(since)
    }
}
