//! Merging channels: the lowest (record timestamp, source, offset) first.
//!
//! A source whose queue is empty may still have an earlier record on its way. The shell says by [`Merge::lag`] whether
//! there is one; while there is, the merge waits for it (the rule of Kafka Streams' `max.task.idle.ms`), and the shell
//! bounds the wait by taking with `force`.

use crate::model::Timestamp;
use std::collections::VecDeque;

/// How long the queues may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// A queue this long is not fed any more …
    pub high: usize,
    /// … until it is this short; below `high`.
    pub low: usize,
}

#[derive(Debug)]
struct Source<T> {
    queue: VecDeque<(Timestamp, i64, T)>,
    /// More records are known to lie in the topic.
    lag: bool,
    /// Above the high mark, and not yet down to the low one.
    full: bool,
}

/// One queue per source of one partition.
#[derive(Debug)]
pub struct Merge<T> {
    sources: Vec<Source<T>>,
    marks: Marks,
    length: usize,
}

impl<T> Merge<T> {
    /// Empty queues of that many sources, none with lag.
    #[must_use]
    pub fn new(sources: usize, marks: Marks) -> Self {
        let source = || Source { queue: VecDeque::new(), lag: false, full: false };
        Self { sources: std::iter::repeat_with(source).take(sources).collect(), marks, length: 0 }
    }

    /// Adds a record of a source; offsets of one source come in ascending order. An unknown source is ignored.
    pub fn push(&mut self, source: usize, timestamp: Timestamp, offset: i64, record: T) {
        if let Some(source) = self.sources.get_mut(source) {
            source.queue.push_back((timestamp, offset, record));
            source.full |= source.queue.len() >= self.marks.high;
            self.length += 1;
        }
    }

    /// Whether the topic of a source holds records beyond its queue.
    pub fn lag(&mut self, source: usize, lag: bool) {
        if let Some(source) = self.sources.get_mut(source) {
            source.lag = lag;
        }
    }

    /// Whether to stop feeding a source: from the high mark down to the low one.
    #[must_use]
    pub fn is_full(&self, source: usize) -> bool {
        self.sources.get(source).is_some_and(|source| source.full)
    }

    /// Empty sources with lag: what [`Self::pop`] waits for.
    pub fn starved(&self) -> impl Iterator<Item = usize> + '_ {
        let sources = self.sources.iter().enumerate();
        sources.filter(|(_, source)| source.lag && source.queue.is_empty()).map(|(index, _)| index)
    }

    /// Records in all queues.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// True when every queue is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The next record with its source, or none when there is none or (unless `force`) a source is waited for.
    ///
    /// A Kafka topic's timestamps need not ascend; within a source the offset decides, so a record waits for those
    /// before it even when its own time is lower.
    pub fn pop(&mut self, force: bool) -> Option<(usize, T)> {
        if !force && self.starved().next().is_some() {
            return None;
        }
        let heads = self.sources.iter().enumerate();
        let head = heads.filter_map(|(index, source)| {
            let (timestamp, offset, _) = source.queue.front()?;
            Some((*timestamp, index, *offset))
        });
        let (_, index, _) = head.min()?;
        let source = self.sources.get_mut(index)?;
        let (_, _, record) = source.queue.pop_front()?;
        source.full &= source.queue.len() > self.marks.low;
        self.length -= 1;
        Some((index, record))
    }

    /// Drops everything, for a rewind.
    pub fn clear(&mut self) {
        for source in &mut self.sources {
            source.queue.clear();
            source.full = false;
        }
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { high: 8, low: 2 };

    fn drain(merge: &mut Merge<&'static str>, force: bool) -> Vec<&'static str> {
        std::iter::from_fn(|| merge.pop(force)).map(|(_, record)| record).collect()
    }

    #[test]
    fn lowest_time_then_source_then_offset_comes_first() {
        let mut merge = Merge::new(2, MARKS);
        for (source, time, offset, record) in
            [(1, 5, 0, "b5"), (1, 7, 1, "b7"), (0, 7, 9, "a7"), (0, 6, 10, "a6 after a7")]
        {
            merge.push(source, Timestamp(time), offset, record);
        }
        assert_eq!(drain(&mut merge, false), ["b5", "a7", "a6 after a7", "b7"]);
        assert!(merge.is_empty());
    }

    #[test]
    fn an_empty_source_with_lag_is_waited_for_unless_forced() {
        let mut merge = Merge::new(2, MARKS);
        merge.push(0, Timestamp(1), 0, "a");
        merge.lag(1, true);
        assert_eq!(merge.starved().collect::<Vec<_>>(), [1]);
        assert_eq!(merge.pop(false), None);
        assert_eq!(merge.pop(true), Some((0, "a")));
        merge.push(0, Timestamp(2), 1, "a");
        merge.push(1, Timestamp(1), 0, "b");
        assert_eq!(merge.pop(false), Some((1, "b")));
        assert_eq!(merge.pop(false), None);
        merge.lag(1, false);
        assert_eq!(merge.pop(false), Some((0, "a")));
    }

    #[test]
    fn a_full_source_stays_full_down_to_the_low_mark() {
        let mut merge = Merge::new(1, MARKS);
        for offset in 0..i64::try_from(MARKS.high).unwrap() {
            assert!(!merge.is_full(0));
            merge.push(0, Timestamp(0), offset, ());
        }
        for _ in 0..MARKS.high - MARKS.low {
            assert!(merge.is_full(0));
            merge.pop(false);
        }
        assert!(!merge.is_full(0));
    }
}
