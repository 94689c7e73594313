//! What the current transaction comes to on the experience topic: one record a customer, in order of first change.

use crate::model::{ExperienceChange, hash64};
use hashbrown::HashTable;
use std::sync::Arc;

/// Of one customer.
#[derive(Debug)]
pub(super) enum Published {
    Change(Box<ExperienceChange>),
    Gone,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: Vec<(Arc<str>, Published)>,
    /// Places in `list` by customer.
    index: HashTable<usize>,
}

impl Changes {
    /// Several changes of one customer become one: the first's `before`, the last's everything else.
    pub(super) fn publish(&mut self, customer_id: Arc<str>, mut published: Published) {
        let (hash, list) = (hash64(customer_id.as_bytes()), &mut self.list);
        let is_same = |place: &usize| list.get(*place).is_some_and(|(known, _)| *known == customer_id);
        let found = self.index.find(hash, is_same).copied();
        if let Some((_, before)) = found.and_then(|place| list.get_mut(place)) {
            if let (Published::Change(before), Published::Change(change)) = (&*before, &mut published) {
                change.before = before.before;
            }
            *before = published;
            return;
        }
        list.push((customer_id, published));
        let hash_of = |place: &usize| list.get(*place).map_or(0, |(known, _)| hash64(known.as_bytes()));
        self.index.insert_unique(hash, list.len() - 1, hash_of);
    }

    /// One a customer.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Published> {
        self.list.iter().map(|(_, published)| published)
    }

    /// Hands all of it out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Arc<str>, Published)> {
        self.index.clear();
        self.list.drain(..)
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.index.clear();
    }
}
