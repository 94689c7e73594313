//! Which partitions a group member owns. Pure.
//!
//! Partition *p* of every input topic belongs to one engine, so a member must be given *p* of all topics or of none.
//! `range` does that when all topics have the same number of partitions.

use crate::pipeline::Plan;
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
                "this member was given partition {missing} of some topics but not of {topic}: all members of the group must \
                 run the same inputs with the range assignor"
            ));
        }
    }
    Ok(union)
}

/// Whether no topic got more partitions than it had when the plan was made. `count` tells how many each has now.
///
/// # Errors
/// Names the topic, and says what to do.
pub(super) fn unchanged(plan: &Plan, count: impl Fn(usize) -> i32) -> Result<(), String> {
    for (index, topic) in plan.topics().enumerate() {
        let (had, has) = (plan.partitions_of(index), count(index));
        if has <= had {
            continue;
        }
        let remedy = match &plan.repartition {
            Some(ours) if ours.name == topic => {
                "all topics of ours need the same number: that takes another group_id and other [topics]".to_owned()
            }
            Some(through) if plan.may_forward(index) => {
                format!(
                    "start again: from then on all its records go through {}, from where they were left",
                    through.name
                )
            }
            Some(_) | None => "set `repartition = \"auto\"` for its input and start again".to_owned(),
        };
        return Err(format!(
            "{topic}: has {has} partitions and had {had} at the start; nobody reads the new ones. {remedy}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::pipeline::RepartitionTopic;
    use std::sync::Arc;

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

    #[test]
    fn partitions_that_were_added_are_told_with_what_to_do() {
        let plan = |policy: &str| {
            let text = format!("[[input]]\nname = \"t\"\nformat = \"touchpoint-json\"\nrepartition = \"{policy}\"");
            let config = Config::load(Some(&text), &|path| Err(path.to_owned())).unwrap();
            let repartition = Some(RepartitionTopic { name: "through".to_owned(), outbound: vec![(1, 7)] });
            Plan { repartition, ..Arc::unwrap_or_clone(config.plan(vec![("a".into(), 0), ("b".into(), 0)], 4)) }
        };
        let (auto, never) = (plan("auto"), plan("never"));
        // 0: nothing is known of it.
        for counts in [[4, 7, 4], [0, 0, 0]] {
            assert_eq!(unchanged(&auto, |topic| counts[topic]), Ok(()));
        }
        for (plan, counts, words) in [
            (&auto, [6, 7, 4], ["a: has 6 partitions and had 4", "all its records go through through"]),
            (&auto, [4, 8, 4], ["b: has 8 partitions and had 7", "start again"]),
            (&auto, [4, 7, 5], ["through: has 5 partitions", "another group_id"]),
            (&never, [6, 7, 4], ["a: has 6 partitions", "set `repartition = \"auto\"`"]),
        ] {
            let said = unchanged(plan, |topic| counts[topic]).expect_err("it is told");
            assert!(words.iter().all(|words| said.contains(words)), "{said}");
        }
    }
}
