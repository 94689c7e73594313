//! A broker with TLS, SCRAM, mTLS and access lists: `run` works with exactly the rights that `topics --print` grants, and
//! says what is missing without each of them, or with a wrong password or certificate. Nothing it says holds a secret.

use crate::broker::{Broker, free_ports, wait_until};
use crate::command::touchline;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PASSWORD: &str = "canary-of-a-password";
const WRONG_PASSWORD: &str = "canary-of-a-wrong-password";
/// What a person may be left waiting for an error, with some room for a busy machine.
const ERROR_DEADLINE: Duration = Duration::from_secs(40);

struct Scene {
    broker: Broker,
    folder: tempfile::TempDir,
    /// Ports of the listeners: SCRAM, the same with an expired certificate, mTLS.
    ports: [u16; 3],
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let ports: [u16; 3] = free_ports();
        let at = folder.path().display();
        let [scram, expired, mtls] = ports;
        let more = format!(",SCRAM://127.0.0.1:{scram},EXPIRED://127.0.0.1:{expired},MTLS://127.0.0.1:{mtls}");
        let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let broker = Broker::start_with(&format!(
            "listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}}{more}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{{port}}{more}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,EXPIRED:SASL_SSL,MTLS:SSL\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS;User:CN=mtls\n\
             ssl.keystore.type=PEM\nssl.keystore.location={at}/server.pem\n\
             ssl.truststore.type=PEM\nssl.truststore.location={at}/ca.crt\n\
             listener.name.expired.ssl.keystore.type=PEM\nlistener.name.expired.ssl.keystore.location={at}/expired.pem\n\
             listener.name.mtls.ssl.client.auth=required\n\
             listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.scram.scram-sha-512.sasl.jaas.config={login}\n\
             listener.name.expired.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.expired.scram-sha-512.sasl.jaas.config={login}\n"
        ));
        let credentials = format!("SCRAM-SHA-512=[password={PASSWORD}]");
        let user = ["--alter", "--entity-type", "users", "--entity-name", "touchline", "--add-config", &credentials];
        broker.tool("kafka.admin.ConfigCommand", &user);
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        std::fs::write(folder.path().join("wrong-password"), WRONG_PASSWORD).unwrap();
        Self { broker, folder, ports }
    }

    /// Writes a configuration that reaches the broker by `address` and these properties; answers its path.
    fn configure(&self, name: &str, address: &str, properties: &str) -> String {
        let text = format!(
            r#"
            [[input]]
            name = "touchpoints"
            topics = ["in"]
            format = "touchpoint-json"
            [kafka]
            bootstrap_servers = "{address}"
            group_id = "secured"
            group_instance_id = "a"
            start_from = "earliest"
            [kafka.properties]
            {properties}
            [topics]
            partitions = 1
            [admin]
            listen = ""
            "#
        );
        let path = self.folder.path().join(format!("{name}.toml")).display().to_string();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn scram(&self, name: &str, listener: usize, ca: &str, password: &str) -> String {
        let at = self.folder.path().display();
        let properties = format!(
            "\"security.protocol\" = \"SASL_SSL\"\n\"ssl.ca.location\" = \"{at}/{ca}\"\n\
             \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"touchline\"\n\"sasl.password\" = \"file:{password}\""
        );
        self.configure(name, &format!("127.0.0.1:{}", self.ports[listener]), &properties)
    }

    /// Runs a printed command of Kafka's shell tools.
    fn execute(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let class = match words[0] {
            "kafka-topics.sh" => "org.apache.kafka.tools.TopicCommand",
            "kafka-acls.sh" => "org.apache.kafka.tools.AclCommand",
            other => panic!("{other}"),
        };
        // The broker is reached as an administrator here: without the address that was printed.
        assert_eq!(words[1], "--bootstrap-server");
        self.broker.tool(class, &words[3..]);
    }
}

/// What `run` says when it cannot go on: in time, with an exit code, without a secret.
pub(crate) fn failure(config: &str) -> String {
    let started = Instant::now();
    let answer = touchline(&["run", "--config", config]);
    assert!(started.elapsed() < ERROR_DEADLINE, "{config}: {:?}", started.elapsed());
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    assert!(!answer.stderr.contains("canary"), "{}", answer.stderr);
    answer.stderr.lines().skip_while(|line| !line.starts_with("touchline: ")).collect::<Vec<_>>().join("\n")
}

/// A certificate authority and what it signed; another authority.
fn certificates(folder: &Path) {
    let script = r#"
        set -e
        for ca in ca other; do
            openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca.crt -days 2 -subj /CN=$ca
        done
        printf 'subjectAltName=IP:127.0.0.1\n' >names
        sign() {
            openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj /CN=$1
            openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out $1.crt -days $2 -extfile names
            openssl pkcs8 -topk8 -nocrypt -in $1.key -out $1.p8
            cat $1.p8 $1.crt >$1.pem
        }
        sign server 2; sign expired -1; sign mtls 2
    "#;
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A running service and what it logged; killed when dropped.
pub(crate) struct Service(Child, std::path::PathBuf);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        self.0.wait().unwrap();
    }
}

/// Starts `run`; it logs into this file.
pub(crate) fn start(log: &Path, config: &str) -> Service {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.args(["run", "--config", config]).stdin(Stdio::null()).stderr(std::fs::File::create(log).unwrap());
    Service(command.spawn().unwrap(), log.to_path_buf())
}

#[test]
fn run_works_with_the_printed_rights_and_names_each_one_that_is_missing() {
    let scene = Scene::new();
    let config = scene.scram("scram", 0, "ca.crt", "password");
    let printed = touchline(&["topics", "--print", "--config", &config]).stdout;
    let plain = scene.configure("plain", &scene.broker.address, "");
    assert_eq!(touchline(&["topics", "--create", "--config", &plain]).code, Some(0));
    let rights: Vec<&str> = printed.lines().filter(|line| line.starts_with("kafka-acls.sh")).collect();
    assert_eq!(rights.len(), 9, "{printed}");
    rights.iter().for_each(|line| scene.execute(line));

    let feed = |seed: &str| {
        let feed = [
            "simulate",
            "--brokers",
            &scene.broker.address,
            "--topics",
            "in,in,in,in",
            "--count",
            "200",
            "--seed",
            seed,
        ];
        assert_eq!(touchline(&feed).code, Some(0));
    };
    feed("1");
    let service = start(&scene.folder.path().join("log"), &config);
    let committed =
        |topic| !crate::broker::read(&scene.broker.address, topic, crate::broker::Isolation::Committed).is_empty();
    wait_until("a committed transaction", Duration::from_secs(60), || committed("secured-journal"));
    assert!(!std::fs::read_to_string(&service.1).unwrap().contains("canary"));
    drop(service);

    for (seed, (right, operation, words)) in [
        ("--topic in", "Read", "in: the input topic does not exist, or this user lacks Read on it"),
        ("--topic secured-images", "Read", "reading secured-images: "),
        ("--topic secured-repartition", "Read", "reading secured-repartition: "),
        (
            "--topic secured-journal",
            "Write",
            "\"secured-journal\" [0] to transaction: Broker: Topic authorization failed",
        ),
        (
            "--topic cx.alerts",
            "DescribeConfigs",
            "cx.alerts: the settings cannot be read; grant this user DescribeConfigs",
        ),
        ("--group secured", "Read", "grant this user Read on the group"),
        (
            "--transactional-id secured-",
            "Write",
            "grant this user Write on transactional ids beginning with the group id",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let granted = rights.iter().find(|line| line.contains(right)).unwrap();
        let (head, _) = granted.split_once(" --operation").unwrap();
        let (_, pattern) = granted.split_once(right).unwrap();
        let resource = format!("{right}{pattern}");
        let line = format!("{head} --operation {operation} {resource}");
        scene.execute(&(line.replace("--add", "--remove") + " --force"));
        feed(&format!("{}", seed + 2));
        let said = failure(&config);
        assert!(said.contains(words), "without {operation} {right}: {said}");
        scene.execute(&line);
    }
}

#[test]
fn wrong_credentials_and_certificates_are_named_soon_and_without_a_secret() {
    let scene = Scene::new();
    for (config, words) in [
        (scene.scram("wrong-password", 0, "ca.crt", "wrong-password"), "see sasl.username, sasl.password"),
        (scene.scram("wrong-ca", 0, "other.crt", "password"), "see ssl.ca.location"),
        (scene.scram("no-ca", 0, "not-there.crt", "password"), "ssl.ca.location failed"),
        (scene.scram("expired", 1, "ca.crt", "password"), "how long the brokers' certificate is valid"),
        (scene.configure("silent", "127.0.0.1:1", ""), "see kafka.bootstrap_servers"),
    ] {
        let said = failure(&config);
        assert!(said.lines().count() == 1 && said.contains(words), "{config}: {said}");
    }
    let at = scene.folder.path().display();
    let identity = format!(
        "\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"{at}/ca.crt\"\n\
         \"ssl.certificate.location\" = \"{at}/mtls.crt\"\n\"ssl.key.location\" = \"{at}/mtls.key\""
    );
    let config = scene.configure("mtls", &format!("127.0.0.1:{}", scene.ports[2]), &identity);
    let answer = touchline(&["check", "--brokers", "--config", &config]);
    assert!(answer.stdout.contains("ok  127.0.0.1:"), "mTLS: {}{}", answer.stdout, answer.stderr);
}
