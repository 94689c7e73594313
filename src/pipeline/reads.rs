//! What the owner of a partition reads.
//!
//! ```text
//!  topic with as many partitions ──────────────(partition p)──────────────▶ owner of p ─▶ engine of p
//!  topic with another number, or `always` ─(all)─▶ owner of 0 ─┐              ▲   │ customer of partition q
//!                                                              ▼              │   ▼
//!                                                  repartition topic ─(partition p, q)
//! ```
//! Sources are numbered: the input topics, then the repartition topic, then each partition of the topics whose records all
//! go through it. Those belong to partition 0: one owner merges them by time, so that a backlog comes out of the
//! repartition topic in the order in which it would have been read directly. The price is that one thread sends them on.

use super::Plan;
use crate::codec::Repartition;
use std::ops::Range;

/// The partition whose owner reads the topics whose records all go through the repartition topic.
const HUB: i32 = 0;

/// The topic through which records reach the partition of their customer, and which records do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepartitionTopic {
    /// Its name.
    pub name: String,
    /// Inputs whose records all go through it: index among the sources, and number of partitions; ascending.
    pub outbound: Vec<(usize, i32)>,
}

/// A partition of a topic: index among the inputs and the repartition topic behind them, and number.
pub type Place = (usize, i32);

impl Plan {
    /// The names of the topics that places name.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let inputs = self.sources.iter().map(|(name, _)| name.as_str());
        inputs.chain(self.repartition.iter().map(|topic| topic.name.as_str()))
    }

    /// The source that is the repartition topic.
    #[must_use]
    pub fn repartition_source(&self) -> Option<usize> {
        self.repartition.as_ref().map(|_| self.sources.len())
    }

    /// The inputs whose records all go through the repartition topic.
    #[must_use]
    pub fn outbound(&self) -> &[(usize, i32)] {
        self.repartition.as_ref().map_or(&[], |topic| topic.outbound.as_slice())
    }

    /// Whether so much of an input's topic is read directly as there is.
    #[must_use]
    pub fn is_direct(&self, topic: usize) -> bool {
        self.outbound().iter().all(|(outbound, _)| *outbound != topic)
    }

    /// What the owner of a partition reads, by source; none for topics that it does not read there.
    #[must_use]
    pub fn reads(&self, partition: i32) -> Vec<Option<Place>> {
        let topics = self.sources.len() + usize::from(self.repartition.is_some());
        let direct = (0..topics).map(|topic| self.is_direct(topic).then_some((topic, partition)));
        direct.chain(self.outbound_places(partition).map(Some)).collect()
    }

    /// The names of its sources; outbound ones as `topic[partition]`, which is no topic's name.
    pub(super) fn source_names(&self, partition: i32) -> Vec<String> {
        let names = self.topics().map(str::to_owned);
        let outbound = self.outbound_places(partition);
        names.chain(outbound.map(|(topic, from)| format!("{}[{from}]", self.topic(topic)))).collect()
    }

    fn outbound_places(&self, partition: i32) -> impl Iterator<Item = Place> {
        let outbound = if partition == HUB { self.outbound() } else { &[] };
        outbound.iter().flat_map(|(topic, count)| (0..*count).map(|from| (*topic, from)))
    }

    /// The sources as which a topic is read.
    #[must_use]
    pub fn sources_of(&self, topic: usize) -> Range<usize> {
        let mut first = self.sources.len() + 1;
        for (outbound, count) in self.outbound() {
            let next = first + usize::try_from(*count).unwrap_or(0);
            if *outbound == topic {
                return first..next;
            }
            first = next;
        }
        topic..topic + 1
    }

    /// The owner's partition and the source as which it reads a place.
    #[must_use]
    pub fn reader_of(&self, (topic, partition): Place) -> (i32, usize) {
        if self.is_direct(topic) {
            return (partition, topic);
        }
        (HUB, self.sources_of(topic).start + usize::try_from(partition).unwrap_or(0))
    }

    /// How many partitions a topic had when the plan was made.
    #[must_use]
    pub fn partitions_of(&self, topic: usize) -> i32 {
        let outbound = self.outbound().iter().find(|(outbound, _)| *outbound == topic);
        outbound.map_or(self.partitions, |(_, count)| *count)
    }

    /// Whether the records of an input may go through the repartition topic.
    #[must_use]
    pub fn may_forward(&self, source: usize) -> bool {
        let input = self.sources.get(source).and_then(|(_, input)| self.inputs.get(*input));
        self.repartition.is_some() && input.is_some_and(|input| input.repartition != Repartition::Never)
    }

    /// The name of one of [`Self::topics`].
    #[must_use]
    pub fn topic(&self, topic: usize) -> &str {
        self.topics().nth(topic).unwrap_or_default()
    }
}
