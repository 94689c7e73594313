//! The moments of labelled items that a card is trained on, found in one reading of the touchpoints.
//!
//! Where every row has the moment of its outcome and the rows of an item agree, an item may be looked at whenever the
//! service would have: at each touchpoint, each day of its age, and when a promise falls due, until the outcome. Else only
//! the rows' own moments are known to lie before it.

use super::history;
use super::labels::Label;
use crate::insight::choose;
use crate::model::time::{DAY_MS, SECOND_MS};
use crate::model::{Name, Position, Timestamp, Touchpoint};
use crate::pipeline::{Plan, due_moments, item_id, segment_texts};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Moments of an item sampled besides its rows' own.
const SAMPLED_MAX: usize = 4;
/// Days of age at which an item is looked at, at most.
const DAYS_MAX: i64 = 365;

/// A labelled item.
#[derive(Debug)]
pub(super) struct Item {
    /// Whose.
    pub(super) customer_id: Arc<str>,
    /// Which; none = the customer's most pressing.
    pub(super) entity: Option<Arc<str>>,
    /// Its rows among the labels.
    pub(super) rows: Range<usize>,
    /// Declared segments: (number, value).
    pub(super) segments: BTreeMap<usize, i64>,
    first: Timestamp,
    touchpoints: Vec<Timestamp>,
    dues: Vec<Timestamp>,
}

/// All labelled items with what the touchpoints say of them.
#[derive(Debug)]
pub(super) struct Labelled {
    /// In the order of customer and item; so are their rows.
    pub(super) labels: Vec<Label>,
    /// Those rows' items.
    pub(super) items: Vec<Item>,
    /// Items are looked at whenever the service would have.
    pub(super) is_sampled: bool,
    /// First touchpoints by customer.
    first_seen: BTreeMap<Arc<str>, Timestamp>,
    /// Texts of segments by their hash.
    pub(super) texts: BTreeMap<i64, String>,
}

impl Labelled {
    /// Reads the touchpoints. `labels` are in order of customer, item and moment.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn read(labels: Vec<Label>, plan: &Arc<Plan>) -> anyhow::Result<Self> {
        let mut items = Vec::new();
        let (mut start, mut is_sampled) = (0, true);
        for rows in labels.chunk_by(|a, b| (&a.customer_id, &a.entity) == (&b.customer_id, &b.entity)) {
            let Some(Label { customer_id, entity, bad, outcome_at, .. }) = rows.first() else { continue };
            let agree = rows.iter().all(|row| (row.bad, row.outcome_at) == (*bad, *outcome_at));
            is_sampled &= agree && outcome_at.is_some();
            items.push(Item {
                customer_id: Arc::clone(customer_id),
                entity: entity.clone(),
                rows: start..start + rows.len(),
                segments: BTreeMap::new(),
                first: Timestamp(i64::MAX),
                touchpoints: Vec::new(),
                dues: Vec::new(),
            });
            start += rows.len();
        }
        let (first_seen, texts) = (BTreeMap::new(), BTreeMap::new());
        let mut labelled = Self { labels, items, is_sampled, first_seen, texts };
        let mut places: BTreeMap<Arc<str>, Range<usize>> = BTreeMap::new();
        for (place, item) in labelled.items.iter().enumerate() {
            places.entry(Arc::clone(&item.customer_id)).or_insert(place..place).end = place + 1;
        }
        history::scan(plan, &mut |touchpoint, position| labelled.touchpoint(plan, &places, touchpoint, position))?;
        Ok(labelled)
    }

    fn touchpoint(
        &mut self,
        plan: &Plan,
        places: &BTreeMap<Arc<str>, Range<usize>>,
        touchpoint: &Touchpoint<'_>,
        position: Position,
    ) {
        let at = touchpoint.occurred_at;
        let Some((customer_id, range)) = places.get_key_value(&*touchpoint.customer_id) else { return };
        let first = self.first_seen.entry(Arc::clone(customer_id)).or_insert(at);
        *first = at.min(*first);
        let id = item_id(plan, touchpoint, position);
        let items = self.items.get_mut(range.clone()).unwrap_or_default();
        for item in items.iter_mut().filter(|item| item.entity.is_none() || item.entity.as_deref() == id) {
            item.first = item.first.min(at);
            item.touchpoints.push(at);
            item.dues.extend(due_moments(plan, touchpoint));
            for (segment, text) in segment_texts(plan, touchpoint) {
                let value = i64::from(Name::of(text).0);
                self.texts.entry(value).or_insert_with(|| text.to_owned());
                item.segments.insert(segment, value);
            }
        }
    }

    /// The row's customer had a touchpoint before the row's moment; an error says what is missing.
    pub(super) fn is_seen(&self, row: usize) -> Result<(), Unseen> {
        let label = self.labels.get(row).ok_or(Unseen::Customer)?;
        match self.first_seen.get(&label.customer_id) {
            None => Err(Unseen::Customer),
            Some(first) if *first >= label.as_of => Err(Unseen::Before),
            Some(_) => Ok(()),
        }
    }

    /// The rows of an item.
    pub(super) fn rows_of(&self, item: &Item) -> &[Label] {
        self.labels.get(item.rows.clone()).unwrap_or_default()
    }

    /// Every moment at which the service would have looked at an item before its outcome; its rows' own where that is not
    /// known. In order, none twice.
    pub(super) fn moments(&self, item: &Item) -> Vec<Timestamp> {
        let rows = self.rows_of(item);
        let mut moments: Vec<Timestamp> = Vec::new();
        match rows.first().and_then(|row| row.outcome_at).filter(|_| self.is_sampled) {
            Some(outcome_at) => {
                let days = (1..=DAYS_MAX).map(|day| item.first.plus(day * DAY_MS));
                moments.extend(days.take_while(|day| *day <= outcome_at));
                moments.extend(item.touchpoints.iter().map(|at| at.plus(1)));
                moments.extend(item.dues.iter().map(|due| due.plus(SECOND_MS)));
                moments.retain(|at| item.first < *at && *at <= outcome_at);
            }
            None => moments.extend(
                (item.rows.clone()).zip(rows).filter(|(row, _)| self.is_seen(*row).is_ok()).map(|(_, row)| row.as_of),
            ),
        }
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// Moments to train on besides the rows' own.
    pub(super) fn sampled(&self, item: &Item) -> Vec<Timestamp> {
        if !self.is_sampled {
            return Vec::new();
        }
        let mut moments = self.moments(item);
        moments.retain(|at| self.rows_of(item).iter().all(|row| row.as_of != *at));
        choose(&item.customer_id, item.entity.as_deref(), &moments, SAMPLED_MAX)
    }
}

/// Why a row cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// The customer has no touchpoint.
    Customer,
    /// None before the row's moment.
    Before,
}
