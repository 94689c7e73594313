//! The topics the service needs: what each must be like, creating the missing ones, and the differences of the rest.

use super::client::Clients;
use super::contact;
use super::error::Error;
use crate::codec::Repartition;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long one administrative request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the brokers may take to agree on a new topic.
const SETTLE: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 86_400_000;

/// Names of all topics of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topics {
    /// The user's input topics, in the order of the sources.
    pub inputs: Vec<String>,
    /// Which records of each go through the repartition topic.
    pub policies: Vec<Repartition>,
    /// Alert changes.
    pub alerts: String,
    /// Experience changes.
    pub experience: String,
    /// Rejected records.
    pub dlq: String,
    /// State images and checkpoints.
    pub images: String,
    /// Applied inputs.
    pub journal: String,
    /// Records on their way to the partition of their customer; none where all inputs forbid it.
    pub repartition: Option<String>,
}

/// How the topics lie to one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of every topic of ours, and of the inputs that are read directly.
    pub partitions: i32,
    /// Inputs whose records all go through the repartition topic: index, and number of partitions.
    pub outbound: Vec<(usize, i32)>,
}

/// A topic setting and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Is(&'static str),
    /// At least so much; -1 is without limit.
    AtLeast(i64),
}

impl Rule {
    fn accepts(&self, actual: &str) -> bool {
        match self {
            Self::Is(wanted) => actual == *wanted,
            Self::AtLeast(least) => actual.parse::<i64>().is_ok_and(|value| value == -1 || value >= *least),
        }
    }

    /// The value a new topic gets.
    fn value(&self) -> String {
        match self {
            Self::Is(wanted) => (*wanted).to_owned(),
            Self::AtLeast(least) => least.to_string(),
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Is(wanted) => f.write_str(wanted),
            Self::AtLeast(least) => write!(f, "at least {least}, or -1"),
        }
    }
}

const APPEND_TIME: (&str, Rule) = ("message.timestamp.type", Rule::Is("LogAppendTime"));
const COMPACT: (&str, Rule) = ("cleanup.policy", Rule::Is("compact"));
const DELETE: (&str, Rule) = ("cleanup.policy", Rule::Is("delete"));

/// What dead letters, images (`limits.customer_bytes_max`, and what a timer's alerts add) and journal records stay
/// below, and what the client sends at most.
const RECORD_BYTES_MAX: i64 = 1_000_000;

impl Topics {
    /// The topics that are ours and the rules of each.
    fn rules(&self) -> Vec<(&str, Vec<(&'static str, Rule)>)> {
        let kept = |days: i64| ("retention.ms", Rule::AtLeast(days * DAY_MS));
        let unlimited = || ("retention.bytes", Rule::Is("-1"));
        let size = || ("max.message.bytes", Rule::AtLeast(RECORD_BYTES_MAX));
        let log = || vec![DELETE, kept(7), unlimited(), APPEND_TIME, size()];
        let mut rules = vec![
            (self.alerts.as_str(), vec![DELETE, kept(7), APPEND_TIME]),
            (&self.experience, vec![COMPACT, APPEND_TIME]),
            (&self.dlq, vec![DELETE, kept(14), APPEND_TIME, size()]),
            (&self.images, vec![COMPACT, APPEND_TIME, size()]),
            (&self.journal, log()),
        ];
        // By time of appending, too: what a backlog brings is old by its own time, and would be deleted before it is read.
        rules.extend(self.repartition.iter().map(|topic| (topic.as_str(), log())));
        rules
    }

    /// The names of the topics that are ours.
    pub fn ours(&self) -> impl Iterator<Item = &String> {
        [&self.alerts, &self.experience, &self.dlq, &self.images, &self.journal].into_iter().chain(&self.repartition)
    }

    /// Of these, those that are read back: the state of the group.
    pub fn state(&self) -> impl Iterator<Item = &String> {
        [&self.images, &self.journal].into_iter().chain(&self.repartition)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().chain(self.ours()).map(String::as_str)
    }

    /// The topics that records are read from.
    #[must_use]
    pub fn read(&self) -> Vec<String> {
        self.inputs.iter().chain(&self.repartition).cloned().collect()
    }

    /// How many partitions ours have: as many as those that exist, else as configured, else as the first input has.
    #[must_use]
    pub fn partitions(&self, counts: &BTreeMap<String, i32>, configured: i32) -> Option<i32> {
        let existing = self.ours().find_map(|topic| counts.get(topic)).copied();
        let of_input = || self.inputs.iter().find_map(|topic| counts.get(topic)).copied();
        existing.or((configured > 0).then_some(configured)).or_else(of_input)
    }
}

/// How many partitions each topic has; topics that do not exist are left out.
///
/// # Errors
/// When the brokers do not answer.
pub fn partition_counts(clients: &Clients, topics: &Topics) -> Result<BTreeMap<String, i32>, Error> {
    let metadata = contact::metadata(clients)?;
    let counts: BTreeMap<&str, usize> = metadata.topics().iter().map(|t| (t.name(), t.partitions().len())).collect();
    let known = topics.all().filter_map(|topic| {
        let count = i32::try_from(*counts.get(topic)?).ok()?;
        Some((topic.to_owned(), count))
    });
    Ok(known.collect())
}

/// How the topics lie to one another.
///
/// # Errors
/// One line per topic that is missing or has a number of partitions that cannot be.
pub fn layout(topics: &Topics, counts: &BTreeMap<String, i32>) -> Result<Layout, Vec<String>> {
    let partitions = topics.partitions(counts, 0).unwrap_or(0);
    let mut problems = Vec::new();
    for topic in topics.ours() {
        match counts.get(topic) {
            None => problems.push(format!(
                "{topic}: does not exist (`touchline topics --create` creates it), or this user lacks Write on it"
            )),
            Some(count) if *count != partitions => problems.push(format!(
                "{topic}: has {count} partitions, {} has {partitions}: all topics of ours need the same number; \
                 a larger number takes another group_id and other [topics]",
                topics.alerts
            )),
            Some(_) => {}
        }
    }
    let mut outbound = Vec::new();
    for (index, (topic, policy)) in topics.inputs.iter().zip(&topics.policies).enumerate() {
        match counts.get(topic) {
            None => problems.push(format!("{topic}: the input topic does not exist, or this user lacks Read on it")),
            Some(count) if *policy == Repartition::Never && *count != partitions => problems.push(format!(
                "{topic}: has {count} partitions, topics.alerts and the others of ours have {partitions}; its input says \
                 `repartition = \"never\"`: with \"auto\" its records go through topics.repartition"
            )),
            Some(count) if *policy == Repartition::Always || *count != partitions => outbound.push((index, *count)),
            Some(_) => {}
        }
    }
    if problems.is_empty() { Ok(Layout { partitions, outbound }) } else { Err(problems) }
}

/// Inputs whose records all go through the repartition topic, one line each.
#[must_use]
pub fn repartitioned(topics: &Topics, layout: &Layout) -> Vec<String> {
    let through = topics.repartition.as_deref().unwrap_or_default();
    let line = |(index, count): &(usize, i32)| {
        let topic = topics.inputs.get(*index)?;
        Some(format!("{topic}: {count} partitions; all its records go through {through}"))
    };
    layout.outbound.iter().filter_map(line).collect()
}

/// Settings of existing topics that differ from what the guarantees need, one line each.
///
/// # Errors
/// When the brokers do not answer.
pub fn differences(clients: &Clients, topics: &Topics, counts: &BTreeMap<String, i32>) -> Result<Vec<String>, Error> {
    let rules = topics.rules();
    let existing: Vec<_> = rules.iter().filter(|(topic, _)| counts.contains_key(*topic)).collect();
    if existing.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = existing.iter().map(|(topic, _)| ResourceSpecifier::Topic(topic)).collect();
    let answers = describe(clients, &asked)?;
    let mut lines = Vec::new();
    for ((topic, rules), resource) in existing.iter().zip(answers) {
        for (name, rule) in rules {
            let actual = resource.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or("");
            if !rule.accepts(actual) {
                lines.push(format!("{topic}: {name} is {actual:?}, must be {rule}"));
            }
        }
    }
    Ok(lines)
}

/// The settings of topics. One that was created just now may still have none for a moment.
fn describe(clients: &Clients, asked: &[ResourceSpecifier<'_>]) -> Result<Vec<ConfigResource>, Error> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let answers = with_admin(clients, async |admin, options| admin.describe_configs(asked, options).await)?
            .map_err(Error::client("reading the settings of the topics"))?;
        let resources: Vec<ConfigResource> = answers
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|code| Error::Refused(format!("the settings of a topic cannot be read: {code}")))?;
        let silent: Vec<&OwnedResourceSpecifier> = resources
            .iter()
            .filter(|resource| resource.entries.is_empty())
            .map(|resource| &resource.specifier)
            .collect();
        if silent.is_empty() {
            return Ok(resources);
        }
        if Instant::now() >= deadline {
            return Err(Error::Refused(unreadable(&silent)));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Topics whose settings the brokers do not tell: they answer nothing at all to a user without the right.
fn unreadable(topics: &[&OwnedResourceSpecifier]) -> String {
    let name = |topic: &&OwnedResourceSpecifier| match topic {
        OwnedResourceSpecifier::Topic(name) | OwnedResourceSpecifier::Group(name) => name.clone(),
        OwnedResourceSpecifier::Broker(id) => id.to_string(),
    };
    let names: Vec<String> = topics.iter().map(name).collect();
    format!("{}: the settings cannot be read; grant this user DescribeConfigs", names.join(", "))
}

/// Creates the missing topics of ours, with `partitions` and the rules' values; also the inputs when told.
///
/// # Errors
/// Names the first topic that could not be created.
pub fn create(
    clients: &Clients,
    topics: &Topics,
    counts: &BTreeMap<String, i32>,
    partitions: i32,
    replication: i32,
) -> Result<Vec<String>, Error> {
    let inputs = topics.inputs.iter().map(|topic| (topic.as_str(), Vec::new()));
    let missing: Vec<_> = inputs.chain(topics.rules()).filter(|(topic, _)| !counts.contains_key(*topic)).collect();
    let values: Vec<Vec<(&str, String)>> =
        missing.iter().map(|(_, rules)| rules.iter().map(|(name, rule)| (*name, rule.value())).collect()).collect();
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&values)
        .map(|((topic, _), values)| {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication));
            values.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let results = with_admin(clients, async |admin, options| admin.create_topics(&new, options).await)?
        .map_err(Error::client("creating topics"))?;
    let mut created = Vec::new();
    for result in results {
        let topic = result.map_err(|(topic, code)| Error::Refused(format!("{topic}: cannot be created: {code}")))?;
        created.push(topic);
    }
    Ok(created)
}

/// Forgets everything the group knows: its offsets, and the topics its state is in, which are created anew, empty.
///
/// # Errors
/// When somebody is still in the group (nothing was done then), or names what could not be done.
pub fn reset(clients: &Clients, topics: &Topics, partitions: i32, replication: i32) -> Result<(), Error> {
    let group = clients.group();
    let deleted = with_admin(clients, async |admin, options| admin.delete_groups(&[group], options).await)?;
    for result in deleted.map_err(Error::client("deleting the group"))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((_, RDKafkaErrorCode::NonEmptyGroup)) => {
                return Err(Error::Refused(format!("group {group} has members: stop every instance first")));
            }
            Err((_, code)) => return Err(Error::Refused(format!("group {group} cannot be deleted: {code}"))),
        }
    }
    // Records on their way were read before: they will be read again.
    let state: Vec<&str> = topics.state().map(String::as_str).collect();
    let deleted = with_admin(clients, async |admin, options| admin.delete_topics(&state, options).await)?;
    for result in deleted.map_err(Error::client("deleting topics"))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => return Err(Error::Refused(format!("{topic}: cannot be deleted: {code}"))),
        }
    }
    // Deleting goes on in the background.
    let deadline = Instant::now() + SETTLE;
    loop {
        let counts = partition_counts(clients, topics)?;
        if state.iter().all(|topic| !counts.contains_key(*topic)) {
            create(clients, topics, &counts, partitions, replication)?;
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Refused("the topics are not deleted yet; run this again".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The commands of Kafka's own tools that create the topics of ours and grant `user` what it needs, for clusters where
/// only an administrator may. Inputs are taken to exist.
#[must_use]
pub fn commands(clients: &Clients, topics: &Topics, partitions: i32, replication: i32, user: &str) -> Vec<String> {
    let brokers = clients.brokers();
    let create = |(topic, rules): &(&str, Vec<(&'static str, Rule)>)| {
        let configs: String = rules.iter().map(|(name, rule)| format!(" --config {name}={}", rule.value())).collect();
        format!(
            "kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions {partitions} \
             --replication-factor {replication}{configs}"
        )
    };
    let grant = |what: String, operations: &[&str]| {
        let operations: String = operations.iter().map(|operation| format!(" --operation {operation}")).collect();
        format!("kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal User:{user}{operations} {what}")
    };
    let reads = |topic: &String| grant(format!("--topic {topic}"), &["Read"]);
    let writes = |topic: &String| grant(format!("--topic {topic}"), &["Write", "DescribeConfigs"]);
    let keeps = |topic: &String| grant(format!("--topic {topic}"), &["Read", "Write", "DescribeConfigs"]);
    let group = clients.group();
    let rules = topics.rules();
    let lines = rules.iter().map(create).chain(topics.inputs.iter().map(reads));
    let lines = lines.chain([&topics.alerts, &topics.experience, &topics.dlq].map(writes));
    let lines = lines.chain(topics.state().map(keeps));
    lines
        .chain([
            grant(format!("--group {group}"), &["Read"]),
            grant(format!("--transactional-id {group}- --resource-pattern-type prefixed"), &["Write"]),
        ])
        .collect()
}

/// Runs one administrative request to its end.
fn with_admin<F, T>(clients: &Clients, request: F) -> Result<T, Error>
where
    F: AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T,
{
    let admin: AdminClient<DefaultClientContext> =
        clients.common().create().map_err(Error::client("creating an administrative client"))?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    block_on(request(&admin, &options))
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Error::Refused(format!("a runtime cannot be started: {error}")))?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics {
            inputs: vec!["in.a".to_owned(), "in.b".to_owned()],
            alerts: "alerts".to_owned(),
            experience: "experience".to_owned(),
            dlq: "dlq".to_owned(),
            policies: vec![Repartition::Auto, Repartition::Auto],
            images: "images".to_owned(),
            journal: "journal".to_owned(),
            repartition: Some("repartition".to_owned()),
        }
    }

    #[test]
    fn inputs_with_another_number_of_partitions_go_through_the_repartition_topic_unless_told_otherwise() {
        let topics = topics();
        let mut counts: BTreeMap<String, i32> = topics.all().map(|topic| (topic.to_owned(), 4)).collect();
        let direct = Layout { partitions: 4, outbound: Vec::new() };
        assert_eq!(layout(&topics, &counts), Ok(direct));
        counts.insert("in.b".to_owned(), 3);
        assert_eq!(layout(&topics, &counts), Ok(Layout { partitions: 4, outbound: vec![(1, 3)] }));
        let always = Topics { policies: vec![Repartition::Always, Repartition::Auto], ..topics.clone() };
        assert_eq!(layout(&always, &counts), Ok(Layout { partitions: 4, outbound: vec![(0, 4), (1, 3)] }));
        let never = Topics { policies: vec![Repartition::Never, Repartition::Never], ..topics.clone() };
        let problems = layout(&never, &counts).expect_err("one problem");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("in.b: has 3 partitions"));
        counts.insert("journal".to_owned(), 5);
        counts.remove("images");
        let problems = layout(&topics, &counts).expect_err("two problems");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("images: does not exist"));
        assert!(problems[1].starts_with("journal: has 5 partitions"));
        assert_eq!(topics.partitions(&BTreeMap::from([("in.b".to_owned(), 3)]), 0), Some(3));
        assert_eq!(topics.partitions(&BTreeMap::from([("in.b".to_owned(), 3)]), 6), Some(6));
    }

    #[test]
    fn longer_or_unlimited_retention_is_accepted() {
        for (rule, actual, accepted) in [
            (Rule::AtLeast(7), "7", true),
            (Rule::AtLeast(7), "8", true),
            (Rule::AtLeast(7), "-1", true),
            (Rule::AtLeast(7), "6", false),
            (Rule::AtLeast(7), "", false),
            (Rule::Is("compact"), "compact", true),
            (Rule::Is("compact"), "delete", false),
        ] {
            assert_eq!(rule.accepts(actual), accepted, "{rule} {actual}");
        }
    }
}
