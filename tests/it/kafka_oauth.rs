//! A broker that takes OAUTHBEARER tokens, and an identity provider that signs them: `run` gets its tokens with client
//! credentials and renews them, and says what is wrong when it gets none, or one that the broker refuses.

use crate::broker::{Broker, Isolation, free_ports, read, wait_until};
use crate::command::touchline;
use crate::kafka_secured::{failure, start};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECRET: &str = "canary-of-a-client-secret";
const LIFETIME_S: i64 = 10;
const DEADLINE: Duration = Duration::from_secs(60);

/// What the identity provider answers to whoever knows the secret.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gives {
    Token {
        lifetime_s: i64,
    },
    /// Signed by a key that the broker does not know.
    Forged,
    Status(&'static str),
}

/// An identity provider on a port of its own, until the tests end.
struct Provider {
    url: String,
    gives: Arc<Mutex<Gives>>,
    /// Tokens given away.
    given: Arc<AtomicUsize>,
}

impl Provider {
    fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let gives = Arc::new(Mutex::new(Gives::Token { lifetime_s: LIFETIME_S }));
        let given = Arc::new(AtomicUsize::new(0));
        let (folder, now, count) = (folder.to_path_buf(), Arc::clone(&gives), Arc::clone(&given));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (status, body) = answer(&request(stream.as_ref().unwrap()), *now.lock().unwrap(), &folder);
                count.fetch_add(usize::from(status.starts_with("200")), Ordering::Relaxed);
                let head = "content-type: application/json\r\nconnection: close";
                let text = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                // Whoever asked may be gone.
                drop(stream.unwrap().write_all(text.as_bytes()));
            }
        });
        Self { url, gives, given }
    }

    fn gives(&self, what: Gives) {
        *self.gives.lock().unwrap() = what;
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

/// Head and body of a request.
fn request(mut stream: &TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let length = |head: &str| {
            let line =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
            line.map_or(0, |line| line.trim().parse::<usize>().unwrap())
        };
        if read == 0 || text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head)) {
            return text;
        }
    }
}

/// Status and body.
fn answer(request: &str, gives: Gives, folder: &Path) -> (&'static str, String) {
    let basic = STANDARD.encode(format!("touchline:{SECRET}"));
    let asks_rightly = ["grant_type=client_credentials", "scope=kafka"].iter().all(|field| request.contains(field));
    if !request.contains(&format!("Basic {basic}")) || !asks_rightly {
        return ("401 Unauthorized", json!({"error": "invalid_client"}).to_string());
    }
    let (lifetime_s, key) = match gives {
        Gives::Token { lifetime_s } => (lifetime_s, "known.key"),
        Gives::Forged => (LIFETIME_S, "other.key"),
        Gives::Status(status) => return (status, String::new()),
    };
    let token = token(&folder.join(key), lifetime_s);
    ("200 OK", json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime_s}).to_string())
}

/// A signed JWT.
fn token(key: &Path, lifetime_s: i64) -> String {
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "known"});
    let claims = json!({
        "iss": "https://identity.example", "aud": "kafka", "sub": "touchline", "scope": "kafka",
        "iat": now_s, "exp": now_s + lifetime_s,
    });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = openssl(&["dgst", "-sha256", "-sign", &key.display().to_string()], &signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes the keys, and the document by which the broker knows one of them.
fn keys(folder: &Path) -> PathBuf {
    for name in ["known", "other"] {
        let path = folder.join(format!("{name}.key")).display().to_string();
        openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &path], "");
    }
    let known = folder.join("known.key").display().to_string();
    let modulus = String::from_utf8(openssl(&["rsa", "-in", &known, "-noout", "-modulus"], "")).unwrap();
    let digits = modulus.trim().strip_prefix("Modulus=").unwrap();
    let byte = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
    let modulus: Vec<u8> = digits.as_bytes().chunks(2).map(byte).collect();
    let key = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "known", "e": "AQAB",
        "n": URL_SAFE_NO_PAD.encode(modulus),
    });
    let path = folder.join("jwks.json");
    std::fs::write(&path, json!({"keys": [key]}).to_string()).unwrap();
    path
}

struct Scene {
    broker: Broker,
    provider: Provider,
    folder: tempfile::TempDir,
    port: u16,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let jwks = keys(folder.path()).display().to_string();
        let [port] = free_ports();
        let of_listener = "listener.name.oauth.oauthbearer";
        let security = "org.apache.kafka.common.security.oauthbearer";
        let broker = Broker::start_with(&format!(
            "listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}},OAUTH://127.0.0.1:{port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},OAUTH://127.0.0.1:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OAUTH:SASL_PLAINTEXT\n\
             listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER\n\
             {of_listener}.sasl.jaas.config={security}.OAuthBearerLoginModule required;\n\
             {of_listener}.sasl.server.callback.handler.class={security}.OAuthBearerValidatorCallbackHandler\n\
             {of_listener}.sasl.oauthbearer.expected.audience=kafka\n\
             {of_listener}.sasl.oauthbearer.expected.issuer=https://identity.example\n\
             {of_listener}.connections.max.reauth.ms=5000\n\
             {of_listener}.sasl.oauthbearer.jwks.endpoint.url=file://{jwks}\n"
        ));
        let provider = Provider::start(folder.path());
        Self { broker, provider, folder, port }
    }

    /// Writes a configuration; answers its path.
    fn configure(&self, secret: &str, endpoint: &str) -> String {
        let at = self.folder.path().display();
        std::fs::write(self.folder.path().join("secret"), secret).unwrap();
        let text = format!(
            r#"
            [[input]]
            name = "touchpoints"
            topics = ["in"]
            format = "touchpoint-json"
            [kafka]
            bootstrap_servers = "127.0.0.1:{}"
            group_id = "tokens"
            group_instance_id = "a"
            start_from = "earliest"
            [kafka.properties]
            "security.protocol" = "SASL_PLAINTEXT"
            "sasl.mechanism" = "OAUTHBEARER"
            "sasl.oauthbearer.method" = "oidc"
            "sasl.oauthbearer.token.endpoint.url" = "{endpoint}"
            "sasl.oauthbearer.client.id" = "touchline"
            "sasl.oauthbearer.client.secret" = "file:{at}/secret"
            "sasl.oauthbearer.scope" = "kafka"
            [topics]
            partitions = 1
            [admin]
            listen = ""
            "#,
            self.port
        );
        let path = self.folder.path().join("touchline.toml").display().to_string();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn feed(&self, seed: &str) {
        let to = ["simulate", "--brokers", &self.broker.address, "--topics", "in,in,in,in"];
        let sent = touchline(&[&to[..], &["--count", "200", "--seed", seed]].concat());
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    }
}

#[test]
fn tokens_are_fetched_by_client_credentials_and_renewed_before_they_expire() {
    let scene = Scene::new();
    let config = scene.configure(SECRET, &scene.provider.url);
    assert_eq!(touchline(&["topics", "--create", "--config", &config]).code, Some(0));
    let checked = touchline(&["check", "--brokers", "--config", &config]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    scene.feed("1");
    let before = scene.provider.given();
    let service = start(&scene.folder.path().join("log"), &config);
    let log = || std::fs::read_to_string(scene.folder.path().join("log")).unwrap();
    let applied = || read(&scene.broker.address, "tokens-journal", Isolation::Committed).len();
    wait_until("a committed transaction", DEADLINE, || applied() > 0);
    let (first, committed) = (scene.provider.given() - before, applied());
    // Every client renews its own; by the third one the broker has asked the connections for a new one, too.
    wait_until("tokens to be renewed twice", DEADLINE, || scene.provider.given() - before >= 3 * first);
    scene.feed("2");
    wait_until("a transaction under a renewed token", DEADLINE, || applied() > committed);
    drop(service);
    assert!(!log().contains("canary") && !log().contains("eyJ"), "{}", log());
    assert!(!log().contains("uthentication"), "{}", log());
}

#[test]
fn no_token_and_a_token_the_broker_refuses_are_named_soon_and_without_a_secret() {
    let scene = Scene::new();
    let provider = &scene.provider.url;
    let by = |secret: &str, endpoint: &str, gives: Gives, words: &[&str]| {
        scene.provider.gives(gives);
        let said = failure(&scene.configure(secret, endpoint));
        assert!(said.lines().count() == 1 && words.iter().all(|word| said.contains(word)), "{gives:?}: {said}");
        assert!(!said.contains("eyJ"), "{said}");
    };
    let good = Gives::Token { lifetime_s: LIFETIME_S };
    by("canary-of-a-wrong-secret", provider, good, &["invalid_client", "sasl.oauthbearer.client.secret"]);
    let [closed] = free_ports();
    let nobody = format!("http://127.0.0.1:{closed}/token");
    by(SECRET, &nobody, good, &["Failed to acquire SASL OAUTHBEARER token", "sasl.oauthbearer.token.endpoint.url"]);
    by(
        SECRET,
        provider,
        Gives::Status("503 Service Unavailable"),
        &["no token", "sasl.oauthbearer.token.endpoint.url"],
    );
    by(SECRET, provider, Gives::Token { lifetime_s: -60 }, &["unexpired token", "sasl.oauthbearer"]);
    by(SECRET, provider, Gives::Forged, &["invalid_token", "sasl.oauthbearer"]);
}
