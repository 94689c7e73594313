//! History for `replay`: a range of the input topics merged as a live worker merges a finished backlog, or the journal
//! as it was written. One partition at a time, outside of any group.

use super::client::Clients;
use super::error::Error;
use super::fetch::{Fetch, Fetched};
use super::owned::Owned;
use super::read::read_to_end;
use super::schemas::Schemas;
use crate::journal::{ImageKey, ImagesDue};
use crate::model::Timestamp;
use crate::pipeline::merge::Marks;
use crate::pipeline::{Partition, Place, Plan, Staged};
use crate::registry::Registry;
use rdkafka::Offset;
use rdkafka::message::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Records after which what was done is handed out.
const BATCH_RECORDS: usize = 10_000;
/// Wait for the network when there is nothing to do.
const WAIT: Duration = Duration::from_millis(20);

/// Which records: timestamps of the records, not of the events in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// From the first record that is not older than this; none = from the log's start.
    pub from: Option<Timestamp>,
    /// Up to before the first record that is not older than this; none = to the end as of now.
    pub to: Option<Timestamp>,
}

/// Connections to the input topics.
#[derive(Debug)]
pub struct Inputs {
    fetch: Fetch,
    marks: Marks,
    plan: Arc<Plan>,
    registry: Option<Registry>,
}

impl Inputs {
    /// Connects.
    ///
    /// # Errors
    /// When a property of the configuration is not known to the client.
    pub fn connect(clients: &Clients, plan: &Arc<Plan>, registry: Option<Registry>) -> Result<Self, Error> {
        let topics: Vec<String> = plan.topics().map(str::to_owned).collect();
        let fetch = Fetch::new(clients, &topics)?;
        Ok(Self { fetch, marks: clients.queue_marks(), plan: Arc::clone(plan), registry })
    }

    /// Puts the records of one partition in `range` through `partition`; `each` takes what every few thousand of them
    /// staged. Answers how many records there were.
    ///
    /// # Errors
    /// When the brokers do not answer, or those of `each`.
    pub fn replay<E: From<Error>>(
        &self,
        index: i32,
        mut partition: Partition,
        range: Range,
        each: &mut dyn FnMut(&Partition, &Staged) -> Result<(), E>,
    ) -> Result<u64, E> {
        let topics = self.plan.topics().count();
        let mut starts = BTreeMap::new();
        let mut ends = BTreeMap::new();
        for (source, place) in self.plan.reads(index).into_iter().enumerate().take(topics) {
            let Some(place) = place else { continue };
            let (start, end) = self.offsets(place, range)?;
            partition.start_at(u16::try_from(source).unwrap_or(u16::MAX), start);
            starts.insert(place, start);
            ends.insert(source, (start, end));
        }
        self.fetch.assign(&starts)?;
        let mut owned = Owned::new(partition, index, &self.plan, self.marks);
        owned.read_inbound_only();
        for (source, (start, end)) in &ends {
            owned.reached_end(*source, start >= end);
        }
        let schemas = Schemas { plan: &self.plan, registry: self.registry.as_ref() };
        let mut staged = Staged::default();
        let mut records = 0;
        while !owned.is_read() {
            let fetched = self.fetch_into(&mut owned, &ends)?;
            let mut fed = 0;
            while fed < BATCH_RECORDS
                && let Some(taken) = owned.take(Duration::MAX, schemas)
            {
                owned.partition.record(&taken.raw());
                fed += 1;
            }
            if fed > 0 {
                records += fed as u64;
                owned.partition.stage(ImagesDue::Due, &mut staged);
                owned.partition.commit();
                each(&owned.partition, &staged)?;
            } else if fetched == 0 {
                std::thread::sleep(WAIT);
            }
        }
        Ok(records)
    }

    fn offsets(&self, place: Place, range: Range) -> Result<(i64, i64), Error> {
        let (first, next) = self.fetch.watermarks(place)?;
        let at = |time: Option<Timestamp>, default| match time {
            Some(time) => Ok(self.fetch.offset_at(place, time.0)?.unwrap_or(next)),
            None => Ok(default),
        };
        Ok((at(range.from, first)?, at(range.to, next)?))
    }

    fn fetch_into<'f>(&'f self, owned: &mut Owned<'f>, ends: &BTreeMap<usize, (i64, i64)>) -> Result<usize, Error> {
        let mut fetched = 0;
        for (source, (_, end)) in ends {
            let source = *source;
            for _ in 0..BATCH_RECORDS {
                if owned.is_full(source) && !owned.waits_for(source) {
                    break;
                }
                // What is read as a topic's one source has its number.
                match self.fetch.poll(source, Duration::ZERO)? {
                    Fetched::Record(message) if message.offset() < *end => {
                        let is_last = message.offset() + 1 >= *end;
                        owned.push(&self.plan, source, message);
                        if is_last {
                            owned.reached_end(source, true);
                        }
                        fetched += 1;
                    }
                    Fetched::Record(_) | Fetched::End(_) => owned.reached_end(source, true),
                    Fetched::Nothing => break,
                    Fetched::OutOfRange => {
                        return Err(Error::Refused("the log was cut while it was read; start again".to_owned()));
                    }
                }
            }
        }
        Ok(fetched)
    }
}

/// The configurations that one partition of the images topic holds, by hash.
///
/// # Errors
/// When the brokers do not answer.
pub fn configurations(clients: &Clients, topic: &str, partition: i32) -> Result<BTreeMap<u64, String>, Error> {
    let starts = BTreeMap::from([(partition, Offset::Beginning)]);
    let mut configurations = BTreeMap::new();
    read_to_end(clients, topic, &starts, &mut || Ok(()), &mut |message| {
        if let Ok(ImageKey::Configuration(hash)) = ImageKey::parse(message.key().unwrap_or_default()) {
            let text = String::from_utf8_lossy(message.payload().unwrap_or_default());
            configurations.insert(hash, text.into_owned());
        }
        Ok(())
    })?;
    Ok(configurations)
}

/// Takes one record of the journal: its offset and bytes.
pub type EachRecord<'a> = dyn FnMut(i64, &[u8]) -> Result<(), Error> + 'a;

/// Hands every record of one partition of the journal to `each`, in order, with its offset.
///
/// # Errors
/// When the brokers do not answer, or those of `each`.
pub fn journal(clients: &Clients, topic: &str, partition: i32, each: &mut EachRecord<'_>) -> Result<(), Error> {
    let starts = BTreeMap::from([(partition, Offset::Beginning)]);
    read_to_end(clients, topic, &starts, &mut || Ok(()), &mut |message| {
        each(message.offset(), message.payload().unwrap_or_default())
    })
}
