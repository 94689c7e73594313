//! A real schema registry with Confluent's API for tests: Apicurio Registry in memory, one JVM on a free loopback port.
//!
//! Fetched once by Maven into `target/kafka-libs` (or `$TOUCHLINE_TEST_CACHE`). As with the broker a shell stands in
//! between, whose pipe closes when the tests crash: the JVM never outlives them.

use crate::broker::{Supervisor, cache, free_ports, java, wait_until};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

const VERSION: &str = "2.5.11.Final";

const SUPERVISOR: &str = r#"
while read -r line; do
  case "$line" in
    start*) "$1" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="${line#start }" -jar "$2" >/dev/null 2>&1 </dev/null & pid=$! ;;
    *) kill -"$line" "$pid" ;;
  esac
done
kill -KILL "$pid"; wait "$pid"
"#;

/// A registry, gone when dropped.
pub(crate) struct Registry {
    /// Where clients find it.
    port: u16,
    /// Where it listens.
    inner_port: u16,
    supervisor: Supervisor,
}

impl Registry {
    /// Starts a registry and waits until it answers.
    pub(crate) fn start() -> Self {
        let [port] = free_ports();
        let supervisor = Supervisor::start(SUPERVISOR, &[java().as_os_str(), jar().as_os_str()]);
        let registry = Self { port, inner_port: port, supervisor };
        registry.run();
        registry
    }

    fn run(&self) {
        self.supervisor.order(&format!("start {}", self.inner_port));
        wait_until("the schema registry to answer", Duration::from_secs(120), || {
            ureq::get(format!("{}/subjects", self.inner_url())).call().is_ok()
        });
    }

    /// SIGKILL; what it knew is lost with it.
    pub(crate) fn kill(&self) {
        self.supervisor.order("KILL");
        wait_until("the killed registry's port to close", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err()
        });
    }

    /// Starts it anew, empty, lets `fill` register what it shall know, and only then lets clients find it again: what is
    /// asked of an empty registry is unknown.
    pub(crate) fn come_back(&mut self, fill: impl FnOnce(&Self)) {
        [self.inner_port] = free_ports();
        self.run();
        fill(self);
        let listener = std::net::TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let inner = ("127.0.0.1", self.inner_port);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), std::net::TcpStream::connect(inner));
                // Gone for good when the test is over.
                let Ok(server) = server else { return };
                for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
    }

    /// What `registry.url` is set to.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    fn inner_url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.inner_port)
    }

    /// Registers a schema and answers its id.
    pub(crate) fn register(&self, subject: &str, schema: &Value) -> u32 {
        let body = json!({"schema": schema.to_string()}).to_string();
        let request = ureq::post(format!("{}/subjects/{subject}/versions", self.inner_url()));
        let mut answer = request.content_type("application/vnd.schemaregistry.v1+json").send(body).unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        answer["id"].as_u64().unwrap().try_into().unwrap()
    }

    /// The text of a schema.
    pub(crate) fn schema(&self, id: u32) -> String {
        let mut answer = ureq::get(format!("{}/schemas/ids/{id}", self.url())).call().unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        answer["schema"].as_str().unwrap().to_owned()
    }

    /// What the next schema of a subject must be compatible with.
    pub(crate) fn set_compatibility(&self, subject: &str, level: &str) {
        let request = ureq::put(format!("{}/config/{subject}", self.url()));
        let body = json!({"compatibility": level}).to_string();
        request.content_type("application/vnd.schemaregistry.v1+json").send(body).unwrap();
    }

    /// It takes connections and answers nothing any more.
    pub(crate) fn freeze(&self) {
        self.supervisor.order("STOP");
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.supervisor.order("CONT");
    }
}

/// The registry's jar, fetched on first use into a folder of its own that is then renamed.
fn jar() -> &'static PathBuf {
    static JAR: OnceLock<PathBuf> = OnceLock::new();
    JAR.get_or_init(|| {
        let done = cache().join(format!("apicurio-{VERSION}"));
        if !done.exists() {
            let part = cache().join(format!("fetching-registry-{}", std::process::id()));
            std::fs::create_dir_all(&part).unwrap();
            let run = |command: &mut Command| {
                let output =
                    command.current_dir(&part).output().expect("the tests need Maven once, to fetch a registry");
                let said =
                    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "cannot fetch Apicurio Registry {VERSION}:\n{said}");
            };
            let artifact = format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all");
            run(Command::new("mvn").args(["-q", "-B", "dependency:copy", &artifact, "-DoutputDirectory=."]));
            let archive = format!("apicurio-registry-app-{VERSION}-all.tar.gz");
            run(Command::new("tar").args(["-xzf", &archive]));
            std::fs::remove_file(part.join(archive)).unwrap();
            std::fs::rename(&part, &done).unwrap();
        }
        done.join(format!("apicurio-registry-app-{VERSION}-runner.jar"))
    })
}
