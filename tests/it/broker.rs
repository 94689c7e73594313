//! A real Apache Kafka for tests: one JVM in KRaft mode on free loopback ports, with a data folder of its own.
//!
//! The jars are fetched once by Maven into `target/kafka-libs` (or `$TOUCHLINE_TEST_CACHE`). `$TOUCHLINE_TEST_BROKERS`
//! names a running cluster instead of the shared broker. Java or Maven missing is a failure, never a skipped test.
//!
//! A small shell stands between the tests and the JVM and obeys the lines of its standard input:
//! ```text
//! format ─▶ new data folder   start ─▶ java …   KILL ─▶ SIGKILL   end of input ─▶ SIGKILL, data folder removed
//! ```
//! The pipe also closes when the tests crash or are killed: a broker never outlives them.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const KAFKA_VERSION: &str = "4.3.0";
const START_DEADLINE: Duration = Duration::from_secs(90);
const READ_DEADLINE: Duration = Duration::from_secs(60);

const SUPERVISOR: &str = r#"
java="$1"; libs="$2"; folder="$3"; pid=
run() { "$java" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*" "$@" >>"$folder/log" 2>&1 </dev/null; }
# Kafka reads keys of tokens from nowhere else.
keys=$(sed -n 's/.*jwks.endpoint.url=//p' "$folder/server.properties")
while read -r line; do
  case "$line" in
    format) run kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$folder/server.properties" ;;
    start) "$java" -Xmx512m -XX:+UseSerialGC "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=$keys" -cp "$libs/*" kafka.Kafka "$folder/server.properties" >>"$folder/log" 2>&1 </dev/null & pid=$! ;;
    KILL) kill -KILL "$pid"; wait "$pid" ;;
  esac
done
[ -z "$pid" ] || { kill -KILL "$pid"; wait "$pid"; }
rm -rf "$folder"
"#;

/// A shell that starts a server, does what it is told line by line, and ends the server with itself: when this is dropped,
/// and when the tests crash, which closes its pipe.
pub(crate) struct Supervisor {
    shell: Child,
    orders: Option<ChildStdin>,
}

impl Supervisor {
    pub(crate) fn start<A: AsRef<std::ffi::OsStr>>(script: &str, arguments: &[A]) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", script, "supervisor"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = shell.stdin.take();
        Self { shell, orders }
    }

    pub(crate) fn order(&self, line: &str) {
        writeln!(self.orders.as_ref().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.orders.take());
        self.shell.wait().unwrap();
    }
}

/// A broker of one test, which may be killed and started again; it ends when dropped.
pub(crate) struct Broker {
    /// `host:port`, for `bootstrap.servers`.
    pub(crate) address: String,
    folder: PathBuf,
    supervisor: Supervisor,
}

impl Broker {
    /// Starts a broker and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines of `server.properties`; `{port}` and `{controller_port}` in them stand for its ports.
    pub(crate) fn start_with(properties: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = temporary().join(format!("broker-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [port, controller_port] = free_ports();
        let more = properties.replace("{port}", &port.to_string());
        let more = more.replace("{controller_port}", &controller_port.to_string());
        let text = server_properties(port, controller_port, &folder) + &more;
        std::fs::write(folder.join("server.properties"), text).unwrap();
        let supervisor = Supervisor::start(SUPERVISOR, &[java(), libraries().as_path(), folder.as_path()]);
        let mut broker = Self { address: format!("127.0.0.1:{port}"), folder, supervisor };
        broker.supervisor.order("format");
        broker.restart();
        broker
    }

    /// SIGKILL; answers when the broker is gone.
    pub(crate) fn kill(&mut self) {
        self.supervisor.order("KILL");
        wait_until("the killed broker's port to close", Duration::from_secs(10), || {
            std::net::TcpStream::connect(&self.address).is_err()
        });
    }

    /// Starts the killed broker again, with its data.
    pub(crate) fn restart(&mut self) {
        self.supervisor.order("start");
        let deadline = Instant::now() + START_DEADLINE;
        while !self.answers() {
            assert!(Instant::now() < deadline, "the broker did not start:\n{}", self.log_tail());
        }
    }

    /// Runs one of Kafka's own command-line tools against this broker; it must succeed.
    #[cfg(feature = "tls")]
    pub(crate) fn tool<S: AsRef<std::ffi::OsStr>>(&self, class: &str, arguments: &[S]) {
        let output = Command::new(java())
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(libraries().join("*"))
            .arg(class)
            .args(["--bootstrap-server", &self.address])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class}: {said}");
    }

    fn answers(&self) -> bool {
        if std::net::TcpStream::connect(&self.address).is_err() {
            std::thread::sleep(Duration::from_millis(50));
            return false;
        }
        let client: BaseConsumer = client(&self.address).create().unwrap();
        client.fetch_metadata(None, Duration::from_secs(2)).is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().skip(log.lines().count().saturating_sub(30)).collect::<Vec<_>>().join("\n")
    }
}

/// The address of the broker that all tests share.
pub(crate) fn shared() -> &'static str {
    static SHARED: OnceLock<(String, Option<Broker>)> = OnceLock::new();
    let (address, _) = SHARED.get_or_init(|| match std::env::var("TOUCHLINE_TEST_BROKERS") {
        Ok(address) => (address, None),
        Err(_) => {
            let broker = Broker::start();
            (broker.address.clone(), Some(broker))
        }
    });
    address
}

/// A name no other test uses, for topics and groups.
pub(crate) fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Polls a condition until it holds; fails when it takes longer than `deadline`.
pub(crate) fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < end, "waited {deadline:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The configuration every client of the tests starts from.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("partitioner", "murmur2_random");
    config
}

/// Creates topics, all with the same number of partitions and the same `configs` (`("cleanup.policy", "compact")`).
pub(crate) fn create_topics(brokers: &str, names: &[&str], partitions: i32, configs: &[(&str, &str)]) {
    let admin: AdminClient<_> = client(brokers).create().unwrap();
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for result in runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
        result.unwrap();
    }
    for name in names {
        wait_for_leaders(&admin, name, partitions);
    }
}

/// Gives a topic more partitions.
pub(crate) fn grow(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<_> = client(brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let more = [NewPartitions::new(topic, usize::try_from(partitions).unwrap())];
    for result in runtime.block_on(admin.create_partitions(&more, &AdminOptions::new())).unwrap() {
        result.unwrap();
    }
    wait_for_leaders(&admin, topic, partitions);
}

fn wait_for_leaders(admin: &AdminClient<DefaultClientContext>, topic: &str, partitions: i32) {
    let led = |metadata: Metadata| {
        metadata.topics()[0].partitions().iter().filter(|partition| partition.leader() >= 0).count()
    };
    wait_until("the new topic to have leaders", READ_DEADLINE, || {
        let metadata = admin.inner().fetch_metadata(Some(topic), READ_DEADLINE);
        metadata.is_ok_and(|metadata| led(metadata) == usize::try_from(partitions).unwrap())
    });
}

/// A record to produce, or one that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Read: where it is. To produce: unused, the key decides as in the Java clients.
    pub(crate) partition: i32,
    /// Read: its offset.
    pub(crate) offset: i64,
    /// The key.
    pub(crate) key: Option<Vec<u8>>,
    /// The payload; none is a tombstone.
    pub(crate) payload: Option<Vec<u8>>,
    /// Milliseconds since 1970; 0 when producing = now.
    pub(crate) timestamp_ms: i64,
    /// Its headers.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// A record to produce now.
    pub(crate) fn new(key: &str, payload: &str) -> Self {
        Self { key: Some(key.into()), payload: Some(payload.into()), ..Self::default() }
    }
}

/// Produces records and waits until the broker has them.
pub(crate) fn produce(brokers: &str, topic: &str, records: &[Record]) {
    let producer: BaseProducer = client(brokers).set("linger.ms", "5").create().unwrap();
    send_all(&producer, topic, records);
    producer.flush(READ_DEADLINE).unwrap();
    assert_eq!(producer.in_flight_count(), 0, "{topic}: not every record was delivered");
}

/// Hands records to a producer; it still has to be flushed or committed.
pub(crate) fn send_all(producer: &BaseProducer, topic: &str, records: &[Record]) {
    records.iter().for_each(|record| send(producer, topic, None, record));
}

/// Hands a record to a producer, for a partition of its own if there is one.
pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: Option<i32>, record: &Record) {
    let mut message = BaseRecord::<[u8], [u8]>::to(topic);
    message.partition = partition;
    message.key = record.key.as_deref();
    message.payload = record.payload.as_deref();
    let header =
        |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| headers.insert(Header { key, value: Some(value) });
    message.headers = (!record.headers.is_empty()).then(|| record.headers.iter().fold(OwnedHeaders::new(), header));
    message.timestamp = (record.timestamp_ms > 0).then_some(record.timestamp_ms);
    while let Err((error, same)) = producer.send(message) {
        assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
        producer.poll(Duration::from_millis(5));
        message = same;
    }
}

/// The end of a partition's log.
pub(crate) fn end_of(brokers: &str, topic: &str, partition: i32) -> i64 {
    let consumer: BaseConsumer = client(brokers).create().unwrap();
    consumer.fetch_watermarks(topic, partition, READ_DEADLINE).unwrap().1
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Only records of committed transactions.
    Committed,
    /// Also aborted and pending ones.
    Uncommitted,
}

/// Reads a whole topic, in the order of each partition.
pub(crate) fn read(brokers: &str, topic: &str, isolation: Isolation) -> Vec<Record> {
    let level = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    let consumer: BaseConsumer = client(brokers)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", level)
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), READ_DEADLINE).unwrap();
    let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    let mut start = TopicPartitionList::new();
    for partition in &partitions {
        start.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&start).unwrap();
    let mut records = read_to_ends(&consumer, topic, partitions.len());
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

fn read_to_ends(consumer: &BaseConsumer, topic: &str, partitions: usize) -> Vec<Record> {
    let (mut records, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
    let deadline = Instant::now() + READ_DEADLINE;
    while ended.len() < partitions {
        assert!(Instant::now() < deadline, "{topic}: read {} records, but not to the end", records.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => records.push(record_of(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => panic!("{topic}: {error}"),
            None => {}
        }
    }
    records
}

fn record_of(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        headers: headers.map(|h| (h.key.to_string(), h.value.unwrap_or_default().to_vec())).collect(),
    }
}

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn server_properties(port: u16, controller_port: u16, folder: &Path) -> String {
    let mut text = String::new();
    let lines = [
        ("process.roles", "broker,controller".to_string()),
        ("node.id", "1".into()),
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller_port}")),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.listener.names", "CONTROLLER".into()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".into()),
        ("inter.broker.listener.name", "PLAINTEXT".into()),
        ("log.dirs", folder.join("data").display().to_string()),
        ("offsets.topic.replication.factor", "1".into()),
        ("offsets.topic.num.partitions", "8".into()),
        ("transaction.state.log.replication.factor", "1".into()),
        ("transaction.state.log.min.isr", "1".into()),
        ("transaction.state.log.num.partitions", "4".into()),
        ("share.coordinator.state.topic.replication.factor", "1".into()),
        ("share.coordinator.state.topic.min.isr", "1".into()),
        ("group.initial.rebalance.delay.ms", "0".into()),
        ("group.min.session.timeout.ms", "1000".into()),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000".into()),
        ("auto.create.topics.enable", "false".into()),
        // Simulated records are older than they would be kept.
        ("log.retention.ms", "-1".into()),
    ];
    for (key, value) in lines {
        writeln!(text, "{key}={value}").unwrap();
    }
    text
}

fn temporary() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// A Java of at least version 17.
pub(crate) fn java() -> &'static Path {
    static JAVA: OnceLock<PathBuf> = OnceLock::new();
    JAVA.get_or_init(|| {
        let of_home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
        let candidates = of_home.into_iter().chain([PathBuf::from("java")]);
        candidates.into_iter().find(|java| java_major(java).is_some_and(|major| major >= 17)).expect(
            "the Kafka tests need Java 17 or later: install openjdk-17-jre-headless (or let `bash .ci/run test` do it)",
        )
    })
}

fn java_major(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.split('"').nth(1)?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

/// Where what is fetched for the tests lies.
pub(crate) fn cache() -> PathBuf {
    let given = std::env::var_os("TOUCHLINE_TEST_CACHE");
    given.map_or_else(|| temporary().parent().unwrap().join("kafka-libs"), PathBuf::from)
}

/// The folder with Kafka's jars, fetched on first use.
fn libraries() -> &'static PathBuf {
    static LIBRARIES: OnceLock<PathBuf> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        let done = cache().join(format!("kafka-{KAFKA_VERSION}-tools"));
        if !done.exists() {
            fetch(&cache().join(format!("fetching-{}", std::process::id())), &done);
        }
        done
    })
}

/// Fetches into a folder of its own and renames it, so that a broken download is never taken for a whole one.
fn fetch(part: &Path, done: &Path) {
    std::fs::create_dir_all(part).unwrap();
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>kafka</artifactId>\
         <version>1</version><packaging>pom</packaging><dependencies><dependency>\
         <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>\
         </dependency><dependency>\
         <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version>\
         </dependency></dependencies></project>"
    );
    std::fs::write(part.join("pom.xml"), pom).unwrap();
    let output = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"])
        .current_dir(part)
        .output()
        .expect("the Kafka tests need Maven once, to fetch Kafka: install maven (or let `bash .ci/run test` do it)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "maven could not fetch Kafka {KAFKA_VERSION}:\n{said}");
    std::fs::rename(part.join("libs"), done).unwrap();
    std::fs::remove_dir_all(part).unwrap();
}

#[test]
fn a_reader_of_committed_records_never_sees_an_aborted_transaction() {
    let brokers = shared();
    let topic = unique("transactions");
    create_topics(brokers, &[&topic], 2, &[("retention.ms", "-1")]);
    produce(brokers, &topic, &[Record::new("a", "plain")]);
    let producer: BaseProducer = client(brokers).set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(READ_DEADLINE).unwrap();
    for (payload, commit) in [("kept", true), ("aborted", false)] {
        producer.begin_transaction().unwrap();
        send_all(&producer, &topic, &[Record::new("a", payload), Record::new("b", payload)]);
        producer.flush(READ_DEADLINE).unwrap();
        if commit { producer.commit_transaction(READ_DEADLINE) } else { producer.abort_transaction(READ_DEADLINE) }
            .unwrap();
    }
    let payloads = |isolation| {
        let records = read(brokers, &topic, isolation);
        let mut payloads: Vec<_> =
            records.into_iter().map(|r| String::from_utf8(r.payload.unwrap()).unwrap()).collect();
        payloads.sort();
        payloads
    };
    assert_eq!(payloads(Isolation::Committed), ["kept", "kept", "plain"]);
    assert_eq!(payloads(Isolation::Uncommitted), ["aborted", "aborted", "kept", "kept", "plain"]);
}

#[test]
fn a_killed_broker_comes_back_with_its_data() {
    let mut broker = Broker::start_with("log.cleaner.backoff.ms=500\n");
    create_topics(&broker.address, &["kept"], 1, &[]);
    let sent = Record { timestamp_ms: 1_700_000_000_000, ..Record::new("a", "before") };
    produce(&broker.address, "kept", std::slice::from_ref(&sent));
    broker.kill();
    broker.restart();
    assert_eq!(read(&broker.address, "kept", Isolation::Committed), [sent]);
}
