//! Customers with lives: every customer lives from start to end as their persona does, all touchpoints are sorted
//! by time. They are kept in memory (some 300 bytes each, about 40 a customer in 21 days); for millions use
//! [`super::Load`].

use super::draft::Draft;
use super::incidents::{Incident, Incidents};
use super::life::Life;
use super::personas::{mix, persona_of};
use super::random::Random;
use super::{Fate, Record};
use crate::model::{Timestamp, time::HOUR_MS};

/// Which lives to make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stories {
    /// Customers; with 25 or more every persona is among them.
    pub customers: u32,
    /// Event time from which they live.
    pub start: Timestamp,
    /// For how long; 21 days and more show every kind of alert.
    pub span_ms: i64,
    /// Messages and answers carry texts.
    pub text: bool,
    /// The same seed gives the same bytes.
    pub seed: u64,
}

impl Stories {
    fn world(&self) -> Incidents {
        Incidents::new(self.start, self.span_ms, &mut Random::new(self.seed, 0))
    }

    /// What goes wrong for everybody, in order of its start.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.world().all().map(Clone::clone).to_vec()
    }

    /// How many customers there are of each persona.
    #[must_use]
    pub fn personas(&self) -> Vec<(&'static str, usize)> {
        mix(self.customers)
    }

    /// All touchpoints in order of time (ties by customer).
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let world = self.world();
        let end = self.start.plus(self.span_ms).0;
        let mut drafts: Vec<(i64, u32, u32, Draft)> = Vec::new();
        for customer in 0..self.customers {
            let mut random = Random::new(self.seed, u64::from(customer) + 1);
            let born = self.start.0 + random.between(0, 12 * HOUR_MS);
            let mut life = Life::new(born, end, self.text, random, &world);
            (persona_of(customer).live)(&mut life);
            let mut own = life.drafts;
            own.sort_by_key(|draft| draft.at);
            own.retain(|draft| draft.at < end);
            drafts.extend((0..).zip(own).map(|(number, draft)| (draft.at, customer, number, draft)));
        }
        drafts.sort_by_key(|(at, customer, number, _)| (*at, *customer, *number));
        drafts.into_iter().map(|(at, customer, number, draft)| {
            let customer_id = format!("c-{customer:04}");
            let payload = Some(draft.encode(&customer_id, &format!("{customer_id}-{number}")));
            Record { at: Timestamp(at), channel: draft.channel, customer_id, payload, fate: Fate::Sent }
        })
    }
}
