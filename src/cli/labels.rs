//! Rows of labels: what happened to a customer, or to an item of theirs, as known after a moment.

use super::rows::{self, Moment};
use crate::codec::node::Node;
use crate::model::Timestamp;
use std::sync::Arc;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// Whose.
    pub(super) customer_id: Arc<str>,
    /// Which item of theirs; none = whichever is under the highest pressure.
    pub(super) entity: Option<Arc<str>>,
    /// Which question it answers: the part before "@" names the outcome.
    pub(super) task: String,
    /// Touchpoints strictly before this count.
    pub(super) as_of: Timestamp,
    /// It turned out bad …
    pub(super) bad: bool,
    /// … or not, at this moment, if that is known.
    pub(super) outcome_at: Option<Timestamp>,
    /// Numbers to compare with.
    pub(super) baseline: Vec<(String, f64)>,
}

impl Label {
    /// Takes a row.
    pub(super) fn take(row: &mut Node<'_>) -> Result<Self, String> {
        let moment = Moment::take(row)?;
        let task = rows::text(row, "task")?.unwrap_or_else(|| "outcome".to_owned());
        let bad = rows::label(row)?;
        let outcome_at = rows::time(row, "outcome_ts")?;
        let baseline = row.take("baseline");
        let mut numbers = numbers_of(&baseline, "");
        numbers.extend(numbers_of(row, "baseline."));
        let Moment { customer_id, entity, as_of } = moment;
        let (customer_id, entity) = (Arc::from(customer_id), entity.map(Arc::from));
        Ok(Self { customer_id, entity, task, as_of, bad, outcome_at, baseline: numbers })
    }

    /// The outcome it is about.
    pub(super) fn outcome(&self) -> &str {
        self.task.split('@').next().unwrap_or_default()
    }
}

/// The numbers of an object whose names begin with `prefix`, without it.
fn numbers_of(node: &Node<'_>, prefix: &str) -> Vec<(String, f64)> {
    let Node::Object(fields) = node else { return Vec::new() };
    fields.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), number(value)?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "compared with each other only")]
fn number(node: &Node<'_>) -> Option<f64> {
    match node {
        Node::Int(number) => Some(*number as f64),
        Node::Float(number) => Some(*number),
        Node::Flag(flag) => Some(f64::from(u8::from(*flag))),
        Node::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        Node::Null | Node::List(_) | Node::Object(_) => None,
    }
}
