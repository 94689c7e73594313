//! Which partitions a group member owns. Pure.
//!
//! Partition *p* of every input topic belongs to one engine, so a member must be given *p* of all topics or of none.
//! `range` does that when all topics have the same number of partitions.

use std::collections::{BTreeMap, BTreeSet};

/// The partitions assigned for every topic of `topics`.
///
/// # Errors
/// Names the topic and partition that break co-partitioning.
pub(super) fn co_owned(topics: &[String], assigned: &[(String, i32)]) -> Result<BTreeSet<i32>, String> {
    let mut by_topic: BTreeMap<&str, BTreeSet<i32>> = topics.iter().map(|t| (t.as_str(), BTreeSet::new())).collect();
    for (topic, partition) in assigned {
        if let Some(partitions) = by_topic.get_mut(topic.as_str()) {
            partitions.insert(*partition);
        }
    }
    let union: BTreeSet<i32> = by_topic.values().flatten().copied().collect();
    for (topic, partitions) in &by_topic {
        if let Some(missing) = union.difference(partitions).next() {
            return Err(format!(
                "this member was given partition {missing} of some input topics but not of {topic}: all members of \
                 the group must run the same inputs with the range assignor"
            ));
        }
    }
    Ok(union)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(list: &[(&str, i32)]) -> Vec<(String, i32)> {
        list.iter().map(|(topic, partition)| ((*topic).to_owned(), *partition)).collect()
    }

    #[test]
    fn a_member_owns_a_partition_of_every_topic_or_of_none() {
        let topics = ["a".to_owned(), "b".to_owned()];
        assert_eq!(co_owned(&topics, &[]), Ok(BTreeSet::new()));
        let both = assigned(&[("a", 0), ("a", 3), ("b", 3), ("b", 0)]);
        assert_eq!(co_owned(&topics, &both), Ok(BTreeSet::from([0, 3])));
        let torn = assigned(&[("a", 0), ("a", 3), ("b", 0)]);
        assert!(co_owned(&topics, &torn).is_err_and(|e| e.contains("partition 3") && e.contains("not of b")));
    }
}
