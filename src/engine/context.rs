//! Context attributes: the last or most frequent value of a few declared fields, published with the experience.

use super::customer::{CONTEXT_VALUES_MAX, ContextValue, Customer};
use super::settings::{Context, ContextMode, Settings};
use crate::model::Timestamp;
use std::cmp::Reverse;
use std::sync::Arc;

/// Takes the values a touchpoint of `time` carries.
pub(super) fn take(customer: &mut Customer, settings: &Settings, time: Timestamp, values: &[(u8, &str)]) {
    for &(index, value) in values {
        let Some(context) = settings.context.get(usize::from(index)) else { continue };
        let known = customer.context.iter_mut().find(|known| match context.mode {
            ContextMode::Last => known.index == index,
            ContextMode::MostFrequent => known.index == index && *known.value == *value,
        });
        match known {
            Some(known) => {
                known.count = known.count.saturating_add(1);
                if time >= known.last {
                    known.last = time;
                    if *known.value != *value {
                        known.value = Arc::from(value);
                    }
                }
            }
            None => customer.context.push(ContextValue { index, last: time, count: 1, value: Arc::from(value) }),
        }
    }
    if customer.context.len() > CONTEXT_VALUES_MAX {
        // The value not seen for longest goes; ties: the later in the list.
        let oldest = customer.context.iter().enumerate().min_by_key(|(at, value)| (value.last, Reverse(*at)));
        if let Some((at, _)) = oldest {
            customer.context.remove(at);
        }
    }
}

/// The values in force at the customer's time.
pub(super) fn current(customer: &Customer, settings: &Settings) -> Vec<(u8, Arc<str>)> {
    let best = |index: u8, context: &Context| {
        let fresh = |value: &&ContextValue| value.index == index && customer.now.since(value.last) <= context.within.0;
        let value = customer.context.iter().filter(fresh).max_by_key(|value| match context.mode {
            ContextMode::Last => (0, value.last, Reverse(Arc::clone(&value.value))),
            ContextMode::MostFrequent => (value.count, value.last, Reverse(Arc::clone(&value.value))),
        });
        value.map(|value| (index, Arc::clone(&value.value)))
    };
    let indexed = (0_u8..).zip(&settings.context);
    indexed.filter_map(|(index, context)| best(index, context)).collect()
}
