//! What `run` will need of the brokers, tried one by one without joining the group or writing anything.
//!
//! Write is the one right that only writing shows; a user without it sees the topic only when it has another right on
//! it. `run` then ends with its name.

use super::client::Clients;
use super::error::Error;
use super::read::read_to_end;
use super::topics::{self, Topics};
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// One request.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What was tried, and the problems found; none = it is well.
pub type Finding = (String, Vec<String>);

/// Tries everything. Ends early when the brokers do not answer or topics are missing: the rest would only repeat that.
#[must_use]
pub fn findings(clients: &Clients, names: &Topics) -> Vec<Finding> {
    let mut findings = Vec::new();
    let counts = match topics::partition_counts(clients, names) {
        Ok(counts) => counts,
        Err(error) => return vec![(format!("{} answers", clients.brokers()), vec![error.to_string()])],
    };
    findings.push((format!("{} answers", clients.brokers()), Vec::new()));
    let layout = topics::layout(names, &counts);
    let (repartitioned, problems) = match &layout {
        Ok(layout) => (topics::repartitioned(names, layout), Vec::new()),
        Err(problems) => (Vec::new(), problems.clone()),
    };
    findings.push(("all topics are there, ours with one number of partitions".to_owned(), problems));
    findings.extend(repartitioned.into_iter().map(|line| (line, Vec::new())));
    if layout.is_err() {
        return findings;
    }
    let settings = topics::differences(clients, names, &counts).unwrap_or_else(|error| vec![error.to_string()]);
    findings.push(("compaction, retention and record sizes are as they must be".to_owned(), settings));
    for topic in names.inputs.iter().chain(names.state()) {
        findings.push((format!("{topic} may be read"), problem(may_read(clients, topic))));
    }
    findings.push((
        format!("offsets of the group {} may be read", clients.group()),
        problem(may_use_group(clients, names)),
    ));
    findings.push((
        format!("transactional ids beginning with {}- may be used", clients.group()),
        problem(may_use_transactions(clients)),
    ));
    findings
}

fn problem(result: Result<(), Error>) -> Vec<String> {
    result.err().map(|error| error.to_string()).into_iter().collect()
}

fn may_read(clients: &Clients, topic: &str) -> Result<(), Error> {
    read_to_end(clients, topic, &BTreeMap::from([(0, Offset::End)]), &mut || Ok(()), &mut |_| Ok(()))
}

fn may_use_group(clients: &Clients, names: &Topics) -> Result<(), Error> {
    let (consumer, _) = clients.check()?;
    let mut asked = TopicPartitionList::new();
    for topic in &names.inputs {
        asked.add_partition(topic, 0);
    }
    consumer.committed_offsets(asked, TIMEOUT).map(drop).map_err(Error::client("asking for its committed offsets"))
}

fn may_use_transactions(clients: &Clients) -> Result<(), Error> {
    let (_, producer) = clients.check()?;
    producer.init_transactions(TIMEOUT).map_err(Error::client("initialising transactions"))
}
