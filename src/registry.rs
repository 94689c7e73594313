//! Client of a schema registry with Confluent's API: the schema of an id, and the ids of ours.
//!
//! ```text
//! worker ── find(id) ──▶ known: at once          a thread of its own asks, again and again while the registry
//!              └───────▶ not yet: asked for ───▶ cannot be reached; only partitions that need the answer wait
//! ```
//! That there is no such schema is an answer (its records are dead letters), kept for a minute; that the registry does
//! not answer is none. A schema of an id never changes, so it is kept for good. Redirects are not followed: they would
//! carry credentials and trust elsewhere.

use crate::codec::avro::{self, Lookup};
use crate::config::{self, Credentials};
use base64::Engine as _;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// One request, from connecting to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// First pause after a failure; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long "there is no such schema" is believed.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// Such answers that are kept at most.
const UNKNOWN_MAX: usize = 1_000;
/// What the registry answers in.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Its error code for an id that it does not have.
const SCHEMA_NOT_FOUND: i64 = 40_403;

/// Why the registry gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made.
    #[error("registry.ca is no certificate in PEM: {0}")]
    Certificate(#[source] ureq::Error),
    /// No thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The registry cannot be reached, or the connection broke.
    #[error("{url}: {failure}; check registry.url and the network")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the client says.
        failure: ureq::Error,
    },
    /// It answered something that is no answer of a registry.
    #[error("{url}: answered {status}{hint}")]
    Answer {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// What it says by that, or what to do.
        hint: String,
    },
}

impl Error {
    /// Whether asking again may help: it cannot be reached, is too busy or has a fault of its own.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Answer { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Certificate(_) | Self::Thread(_) => false,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    asks: Sender<u32>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    known: Mutex<BTreeMap<u32, Entry>>,
}

#[derive(Debug)]
enum Entry {
    Asked,
    Found(Lookup),
    /// There was none at this moment.
    Unknown(Instant),
}

impl Registry {
    /// A client for this registry. Asks nothing yet.
    ///
    /// # Errors
    /// When the certificate is none.
    pub fn start(settings: &config::Registry) -> Result<Self, Error> {
        let shared = Arc::new(Shared { client: Client::new(settings)?, known: Mutex::default() });
        let (asks, asked) = channel();
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new().name("registry".to_owned()).spawn(move || answer(&asked, &weak))?;
        Ok(Self { shared, asks })
    }

    /// The schema of an id; none while it is not known. Never waits.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<Lookup> {
        let mut known = self.shared.known();
        match known.get(&id) {
            Some(Entry::Found(found)) => return Some(found.clone()),
            Some(Entry::Unknown(since)) if since.elapsed() < UNKNOWN_FOR => return Some(Lookup::Unknown),
            Some(Entry::Asked) => return None,
            Some(Entry::Unknown(_)) | None => {}
        }
        known.insert(id, Entry::Asked);
        if self.asks.send(id).is_err() {
            tracing::error!(id, "the thread that asks the schema registry has ended");
        }
        None
    }

    /// Registers a schema under a subject, unless it is there, and answers its id.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses the schema, such as for not being compatible.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        self.shared.client.register(subject, schema)
    }
}

/// For whoever tries things before `run` does.
impl Registry {
    /// Asks for a schema that no registry has.
    ///
    /// # Errors
    /// When the registry cannot be reached, or does not let us ask.
    pub fn answers(&self) -> Result<(), Error> {
        self.shared.client.schema(0).map(drop)
    }

    /// Why the registry would not take a schema under a subject; none when it would. Registers nothing.
    ///
    /// # Errors
    /// When the registry cannot be reached, or does not let us ask.
    pub fn objection(&self, subject: &str, schema: &str) -> Result<Option<String>, Error> {
        self.shared.client.objection(subject, schema)
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, id: u32, found: Lookup) {
        let mut known = self.known();
        let unknown = |entry: &Entry| matches!(entry, Entry::Unknown(_));
        if known.values().filter(|entry| unknown(entry)).count() >= UNKNOWN_MAX {
            known.retain(|_, entry| !unknown(entry));
        }
        let entry = if matches!(found, Lookup::Unknown) { Entry::Unknown(Instant::now()) } else { Entry::Found(found) };
        known.insert(id, entry);
    }
}

/// Answers what is asked until nobody can ask any more.
fn answer(asked: &Receiver<u32>, shared: &Weak<Shared>) {
    for id in asked {
        let mut pause = PAUSE;
        loop {
            let Some(shared) = shared.upgrade() else { return };
            match shared.client.schema(id) {
                Ok(found) => {
                    if pause > PAUSE {
                        tracing::info!(id, "the schema registry answers again");
                    }
                    shared.found(id, found);
                    break;
                }
                Err(error) => {
                    tracing::warn!(id, %error, "the schema registry gives no answer: partitions that need it wait");
                }
            }
            drop(shared);
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    urls: Vec<String>,
    authorization: Option<config::Secret>,
}

#[derive(serde::Deserialize)]
struct SchemaAnswer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<serde::de::IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct IdAnswer {
    id: u32,
}

#[derive(serde::Deserialize)]
struct CompatibilityAnswer {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(serde::Deserialize)]
struct ErrorAnswer {
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl Client {
    fn new(settings: &config::Registry) -> Result<Self, Error> {
        let mut tls = ureq::tls::TlsConfig::builder();
        if let Some(pem) = &settings.ca {
            let certificate = ureq::tls::Certificate::from_pem(pem.as_bytes()).map_err(Error::Certificate)?;
            tls = tls.root_certs(ureq::tls::RootCerts::new_with_certs(&[certificate]));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("touchline/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent();
        let authorization = settings.credentials.as_ref().map(|credentials| match credentials {
            Credentials::Bearer(token) => format!("Bearer {}", token.reveal()),
            Credentials::Basic(username, password) => {
                let pair = format!("{username}:{}", password.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
        });
        Ok(Self { agent, urls: settings.urls.clone(), authorization: authorization.map(config::Secret::new) })
    }

    fn schema(&self, id: u32) -> Result<Lookup, Error> {
        let (url, status, text) = self.first(&format!("schemas/ids/{id}"), None)?;
        let error = || serde_json::from_str::<ErrorAnswer>(&text).ok();
        match status {
            200 => match serde_json::from_str::<SchemaAnswer>(&text) {
                Ok(answer) => {
                    let has_references = !answer.references.is_empty();
                    Ok(avro::resolve(id, answer.schema_type.as_deref(), &answer.schema, has_references))
                }
                Err(_) => Err(Error::Answer { url, status, hint: " without a schema".to_owned() }),
            },
            404 if error().is_some_and(|error| error.error_code == SCHEMA_NOT_FOUND) => Ok(Lookup::Unknown),
            _ => Err(refused(url, status, error())),
        }
    }

    /// Asked first: whoever registers schemas by hand need not let us.
    fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let body = serde_json::json!({"schema": schema}).to_string();
        let known = self.first(&format!("subjects/{subject}"), Some(&body))?;
        let (url, status, text) = match known {
            (_, 404, _) => self.first(&format!("subjects/{subject}/versions"), Some(&body))?,
            known => known,
        };
        match serde_json::from_str::<IdAnswer>(&text) {
            Ok(answer) if status == 200 => Ok(answer.id),
            _ => Err(refused(url, status, serde_json::from_str(&text).ok())),
        }
    }

    fn objection(&self, subject: &str, schema: &str) -> Result<Option<String>, Error> {
        let body = serde_json::json!({"schema": schema}).to_string();
        let path = format!("compatibility/subjects/{subject}/versions?verbose=true");
        let (url, status, text) = self.first(&path, Some(&body))?;
        match (status, serde_json::from_str::<CompatibilityAnswer>(&text)) {
            // Nothing is registered there yet.
            (404, _) => Ok(None),
            (200, Ok(answer)) if answer.is_compatible => Ok(None),
            (200, Ok(answer)) => Ok(Some(format!("not compatible: {}", answer.messages.join("; ")))),
            _ => Err(refused(url, status, serde_json::from_str(&text).ok())),
        }
    }

    /// The first answer of any of the addresses: what was asked, status and text.
    fn first(&self, path: &str, body: Option<&str>) -> Result<(String, u16, String), Error> {
        let mut failed = None;
        for base in &self.urls {
            let url = format!("{}/{path}", base.trim_end_matches('/'));
            match self.ask(&url, body) {
                Ok((status, text)) => return Ok((url, status, text)),
                Err(failure) => failed = Some(Error::Unreachable { url, failure }),
            }
        }
        Err(failed.unwrap_or_else(|| Error::Answer {
            url: path.to_owned(),
            status: 0,
            hint: ": there is no registry.url".to_owned(),
        }))
    }

    fn ask(&self, url: &str, body: Option<&str>) -> Result<(u16, String), ureq::Error> {
        let authorization = self.authorization.as_ref().map(config::Secret::reveal);
        let mut response = match body {
            None => {
                let request = self.agent.get(url).header("accept", MEDIA_TYPE);
                match authorization {
                    Some(value) => request.header("authorization", value),
                    None => request,
                }
                .call()?
            }
            Some(body) => {
                let request = self.agent.post(url).header("accept", MEDIA_TYPE).content_type(MEDIA_TYPE);
                match authorization {
                    Some(value) => request.header("authorization", value),
                    None => request,
                }
                .send(body)?
            }
        };
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
        Ok((response.status().as_u16(), text))
    }
}

fn refused(url: String, status: u16, error: Option<ErrorAnswer>) -> Error {
    let hint = match (status, error) {
        (401 | 403, _) => "; check registry.username and registry.password, or registry.token".to_owned(),
        (300..=399, _) => "; redirects are not followed, name the registry itself in registry.url".to_owned(),
        (_, Some(error)) => format!(" ({}: {})", error.error_code, error.message),
        (_, None) => "; is registry.url the address of a schema registry with Confluent's API".to_owned(),
    };
    Error::Answer { url, status, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that gives these answers, one a connection, and hands back what it was asked.
    fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let answer = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                let mut buffer = [0; 4096];
                while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
                    let read = stream.read(&mut buffer).unwrap();
                    asked.extend_from_slice(&buffer[..read]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(asked).unwrap()
            };
            answers.into_iter().map(answer).collect()
        });
        (url, server)
    }

    fn http(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn client(url: &str, credentials: Option<Credentials>) -> Client {
        Client::new(&config::Registry { urls: vec![url.to_owned()], credentials, ca: None }).unwrap()
    }

    fn eventually(registry: &Registry, id: u32) -> Lookup {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = registry.find(id) {
                return found;
            }
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn an_outage_is_waited_for_and_an_unknown_id_is_an_answer() {
        let schema =
            r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"}"#;
        let not_found = http("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#);
        let (url, server) = serve(vec![
            http("503 Service Unavailable", ""),
            http("404 Not Found", "<html>"),
            http("302 Found", ""),
            http("200 OK", "{"),
            http("200 OK", schema),
            not_found,
        ]);
        let settings = config::Registry { urls: vec![url], credentials: None, ca: None };
        let registry = Registry::start(&settings).unwrap();
        assert!(registry.find(7).is_none());
        assert!(matches!(eventually(&registry, 7), Lookup::Known(_)));
        assert!(matches!(eventually(&registry, 8), Lookup::Unknown));
        let asked = server.join().unwrap();
        assert!(asked[..5].iter().all(|asked| asked.starts_with("GET /schemas/ids/7 HTTP/1.1")), "{asked:?}");
        assert!(asked[5].starts_with("GET /schemas/ids/8 HTTP/1.1"));
        // Both are kept: nobody answers any more.
        assert!(matches!(registry.find(7), Some(Lookup::Known(_))));
        assert!(matches!(registry.find(8), Some(Lookup::Unknown)));
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        for (credentials, expected) in [
            (Credentials::Basic("me".to_owned(), config::Secret::new("pass".to_owned())), "Basic bWU6cGFzcw=="),
            (Credentials::Bearer(config::Secret::new("canary".to_owned())), "Bearer canary"),
        ] {
            let (url, server) = serve(vec![http("401 Unauthorized", "")]);
            let client = client(&url, Some(credentials));
            let error = client.schema(1).unwrap_err().to_string();
            assert!(error.contains("registry.password") && !error.contains("canary"), "{error}");
            assert!(!format!("{client:?}").contains("canary"));
            let asked = server.join().unwrap().concat();
            assert!(asked.contains(expected), "{asked}");
        }
    }

    #[test]
    fn a_schema_is_registered_or_the_refusal_is_told() {
        let incompatible = http("409 Conflict", r#"{"error_code":409,"message":"incompatible"}"#);
        let not_found = || http("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#);
        let known = http("200 OK", r#"{"subject":"cx.alerts-value","id":16,"version":1,"schema":"\"long\""}"#);
        let (url, server) = serve(vec![known, not_found(), http("200 OK", r#"{"id":17}"#), not_found(), incompatible]);
        let client = client(&url, None);
        assert_eq!(client.register("cx.alerts-value", "\"long\"").unwrap(), 16);
        assert_eq!(client.register("cx.alerts-value", "\"string\"").unwrap(), 17);
        let error = client.register("cx.alerts-value", "\"int\"").unwrap_err().to_string();
        assert!(error.contains("409: incompatible"), "{error}");
        let asked = server.join().unwrap();
        let paths: Vec<&str> = asked.iter().filter_map(|asked| asked.split(' ').nth(1)).collect();
        let (look, register) = ("/subjects/cx.alerts-value", "/subjects/cx.alerts-value/versions");
        assert_eq!(paths, [look, look, register, look, register]);
    }

    #[test]
    fn an_objection_is_told_before_anything_is_registered() {
        let (url, server) = serve(vec![
            http("404 Not Found", r#"{"error_code":40401,"message":"Subject not found"}"#),
            http("200 OK", r#"{"is_compatible":true}"#),
            http("200 OK", r#"{"is_compatible":false,"messages":["a field is missing"]}"#),
            http("403 Forbidden", ""),
        ]);
        let client = client(&url, None);
        let ask = || client.objection("s", "\"int\"").map_err(|error| error.to_string());
        assert_eq!([ask(), ask()], [Ok(None), Ok(None)]);
        assert_eq!(ask(), Ok(Some("not compatible: a field is missing".to_owned())));
        assert!(ask().is_err_and(|error| error.contains("registry.password")));
        assert!(server.join().unwrap()[1].starts_with("POST /compatibility/subjects/s/versions?verbose=true"));
    }
}
