//! A real client over TCP against a served board.

use super::*;
use crate::config::Config;
use crate::engine::{Foreseen, Line, OpenAlert, UnderWay, View};
use crate::model::{Chance, Figures, Item, ItemType, Micro, Name, Severity, Timestamp};
use crate::pipeline::partition_of;
use crate::status::{Answer, Query, State as PartitionState};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};

const PARTITIONS: i32 = 4;

struct Running {
    status: Arc<Status>,
    server: Server,
}

fn sources(text: Option<&str>, token: Option<&str>) -> Sources {
    let config = Config::load(text, &|_| Err(String::new())).expect("valid");
    Sources {
        status: Arc::new(Status::new(1)),
        inputs: config.inputs,
        settings: config.settings,
        token: token.map(|token| Secret::new(token.to_owned())),
        metrics: Arc::new(Metrics::new().expect("the catalogue is valid")),
    }
}

fn serve(token: Option<&str>) -> Running {
    serve_with(sources(None, token))
}

fn serve_with(sources: Sources) -> Running {
    let status = Arc::clone(&sources.status);
    Running { status, server: start(SocketAddr::from(([127, 0, 0, 1], 0)), sources).expect("a free port") }
}

impl Running {
    /// The whole answer to a request with these header lines.
    fn send(&self, request: &str, headers: &str) -> String {
        let mut stream = std::net::TcpStream::connect(self.server.address()).expect("it listens");
        // In one piece: it may answer and close at the first bad byte.
        let request = format!("{request} HTTP/1.1\r\nHost: admin\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers and closes");
        answer
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.send(&format!("GET {path}"), "");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("cache-control: no-store"), "{head}");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status line"), body.to_owned())
    }

    fn own(&self, partition: i32, state: PartitionState) -> Receiver<Query> {
        let (queries, asked) = sync_channel(4);
        self.status.set_partitions(PARTITIONS);
        self.status.own(partition, queries);
        self.status.update(partition, |status| status.state = state);
        asked
    }
}

fn view() -> View {
    View {
        customer_id: "c 1/2".into(),
        time: Timestamp(3),
        first_seen: Timestamp(1),
        last_seen: Timestamp(2),
        touchpoints: 5,
        figures: Figures { index: 42, perception: Micro(-250_000), ..Figures::default() },
        index_lines: vec![Line { label: "at rest".to_owned(), contribution: Micro::whole(42) }],
        perception_lines: vec![Line { label: "review_submitted".to_owned(), contribution: Micro(-250_000) }],
        outcomes: vec![Foreseen {
            outcome: "low_review".to_owned(),
            item: Item { item_type: ItemType::Order, id: "o1".into() },
            score: Micro(300_000),
            chance: Some(Chance { probability: Micro(574_443), calibrated: Some((Micro(500_000), Micro(650_000))) }),
            lines: vec![Line { label: "the average case".to_owned(), contribution: Micro(300_000) }],
        }],
        open_alerts: vec![OpenAlert {
            kind: "detractor".into(),
            alert_id: 0xabc,
            severity: Severity::High,
            opened_at: Timestamp(2),
        }],
        journeys: vec![UnderWay {
            journey: Name::of("checkout"),
            item: None,
            started: Timestamp(1),
            reached: Vec::new(),
            waits_for: None,
            deadline: Some(Timestamp(9)),
            stalled: false,
        }],
        stages: vec![(Timestamp(1), Name::of("purchase"))],
    }
}

#[test]
fn probes_tell_why_not() {
    let running = serve(None);
    assert_eq!(running.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(running.get("/readyz"), (503, "has not joined the consumer group yet\n".to_owned()));
    running.status.set_joined();
    let _asked = running.own(2, PartitionState::Restoring);
    assert_eq!(running.get("/readyz"), (503, "partition 2 is being restored\n".to_owned()));
    running.status.update(2, |status| status.state = PartitionState::Running);
    assert_eq!(running.get("/readyz"), (200, "ok\n".to_owned()));
    running.status.beat(0, Timestamp(0));
    let (status, reason) = running.get("/livez");
    assert!(status == 503 && reason.starts_with("worker 0 has not moved for "), "{reason}");
}

#[test]
fn open_alerts_are_listed_for_who_may_see_them() {
    let running = serve(None);
    let open = |alert_id, kind: &'static str, severity| {
        let alert = OpenAlert { kind: kind.into(), alert_id, severity, opened_at: Timestamp(2) };
        ("c 1".into(), alert)
    };
    running
        .status
        .open_alerts()
        .begin(3, [open(0xabc, "detractor", Severity::Warning), open(0xabd, "sla_breach", Severity::High)]);
    let shown = |query: &str| {
        let (status, body) = running.get(&format!("/alerts{query}"));
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap_or(body.into()))
    };
    let breach = serde_json::json!({
        "alert_id": "0000000000000abd", "kind": "sla_breach", "severity": "high", "customer_id": "c 1",
        "partition": 3, "opened_at": 2,
    });
    assert_eq!(shown("?limit=1"), (200, serde_json::json!({"open": 2, "alerts": [breach]})));
    assert_eq!(shown("?severity=high"), (200, serde_json::json!({"open": 1, "alerts": [breach]})));
    assert_eq!(shown("?kind=churn_risk"), (200, serde_json::json!({"open": 0, "alerts": []})));
    for wrong in ["?limit=0", "?limit=5000", "?severity=bad", "?order=asc"] {
        assert_eq!(shown(wrong).0, 400, "{wrong}");
    }
    assert_eq!(serve(Some("secret")).get("/alerts").0, 401);
}

#[test]
fn a_customer_whose_id_is_made_of_the_key_is_looked_for_where_the_key_is() {
    let text = r#"
        [[input]]
        name = "crm"
        topics = ["crm"]
        format = "json"
        [input.mapping]
        id = { from = "/id" }
        customer_id = { key = true, prefix = "crm-" }
        kind = { const = "page_viewed" }
        occurred_at = { from = "/at", time = "epoch_ms" }
        channel = { const = "web" }
        source = { const = "crm" }
    "#;
    // Of a key that lies elsewhere than the id.
    let key = (0..).map(|n| n.to_string()).find(|key| {
        partition_of(key.as_bytes(), PARTITIONS) != partition_of(format!("crm-{key}").as_bytes(), PARTITIONS)
    });
    let key = key.expect("there is one");
    let running = serve_with(sources(Some(text), None));
    let asked = running.own(partition_of(key.as_bytes(), PARTITIONS), PartitionState::Running);
    let owner = std::thread::spawn(move || {
        let query = asked.recv().expect("a query");
        query.reply.send(Answer::View(Box::new(view()))).expect("the asker waits");
    });
    assert_eq!(running.get(&format!("/customers/crm-{key}")).0, 200);
    owner.join().expect("it was asked");
    let (status, body) = running.get(&format!("/customers/{key}"));
    assert!(status == 404 && body.contains("no input has customers with such an id"), "{status} {body}");
}

#[test]
fn metrics_are_the_text_exposition() {
    let running = serve(None);
    let answer = running.send("GET /metrics", "");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("\ntouchline_records_total{result=\"applied\"} 0\n"), "{answer}");
}

#[test]
fn a_customer_is_shown_by_the_owner_of_their_partition() {
    let running = serve(None);
    let asked = running.own(partition_of(b"c 1/2", PARTITIONS), PartitionState::Running);
    let owner = std::thread::spawn(move || {
        for answer in [Answer::View(Box::new(view())), Answer::Unknown] {
            let query = asked.recv().expect("a query");
            assert_eq!(query.customer_id, "c 1/2");
            query.reply.send(answer).expect("the asker waits");
        }
        // The next query is dropped with the owner.
        drop(asked.recv());
    });
    let (status, body) = running.get("/customers/c%201%2F2");
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let expected = serde_json::json!({
        "customer_id": "c 1/2",
        "partition": partition_of(b"c 1/2", PARTITIONS),
        "time": 3, "first_seen": 1, "last_seen": 2, "touchpoints": 5, "stage": null,
        "index": 42, "perception": -0.25, "expectation": 0.0, "disconfirmation": 0.0, "felt": 0.0,
        "index_breakdown": [{"label": "at rest", "contribution": 42.0}],
        "perception_breakdown": [{"label": "review_submitted", "contribution": -0.25}],
        "outcomes": [{"outcome": "low_review", "item": "o1", "item_type": "order", "score": 0.3, "probability": 0.574_443,
            "calibrated": [0.5, 0.65], "breakdown": [{"label": "the average case", "contribution": 0.3}]}],
        "open_alerts": [{"kind": "detractor", "alert_id": "0000000000000abc", "severity": "high", "opened_at": 2}],
        "journeys": [{"journey": "checkout", "started": 1, "reached": [], "waits_for": null, "deadline": 9, "stalled": false}],
        "stages": [{"name": "purchase", "since": 1}],
    });
    assert_eq!(body, expected);
    assert_eq!(running.get("/customers/c%201%2F2").0, 404);
    let (status, body) = running.get("/customers/c%201%2F2");
    assert!(status == 503 && body.contains("did not answer"), "{body}");
    owner.join().expect("the owner ends");
}

#[test]
fn a_customer_who_is_not_here_is_never_a_404() {
    let running = serve(None);
    assert_eq!(running.get("/customers/c").0, 503, "the topics are not known yet");
    running.status.set_partitions(PARTITIONS);
    let partition = partition_of(b"c", PARTITIONS);
    let (status, body) = running.get("/customers/c");
    let expected = format!("{{\"partition\":{partition},\"reason\":\"another instance owns the partition\"}}");
    assert_eq!((status, body), (421, expected));
    let _asked = running.own(partition, PartitionState::Restoring);
    let (status, body) = running.get("/customers/c");
    let expected = format!("{{\"partition\":{partition},\"reason\":\"the partition is being restored\"}}");
    assert_eq!((status, body), (503, expected));
}

#[test]
fn customers_need_the_token_when_there_is_one() {
    let running = serve(Some("s3cret"));
    running.status.set_partitions(PARTITIONS);
    for (headers, status) in [
        ("", "401"),
        ("Authorization: Bearer s3cre\r\n", "401"),
        ("Authorization: Bearer s3crets\r\n", "401"),
        ("Authorization: Bearer S3cret\r\n", "401"),
        ("Authorization: Basic s3cret\r\n", "401"),
        ("Authorization: Bearer \r\n", "401"),
        ("Authorization: Bearer s3cret\r\n", "421"),
    ] {
        let answer = running.send("GET /customers/c", headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?}: {answer}");
    }
    assert_eq!(running.get("/livez").0, 200, "probes need none");
}

#[test]
fn other_machines_are_not_served_without_a_token() {
    let refused = start(SocketAddr::from(([0, 0, 0, 0], 0)), sources(None, None)).expect_err("no token");
    assert_eq!(refused.to_string(), "admin.token: needed, because 0.0.0.0:0 can be reached from other machines");
}

#[test]
fn a_taken_port_is_reported_at_the_start() {
    let running = serve(None);
    let refused = start(running.server.address(), sources(None, None)).expect_err("the port is taken").to_string();
    assert!(refused.starts_with("admin.listen: cannot listen on 127.0.0.1:"), "{refused}");
}

#[test]
fn hostile_requests_get_a_generic_answer() {
    let running = serve(None);
    let long = "x".repeat(HEAD_BYTES_MAX);
    for (request, headers, status) in [
        ("TRACE /metrics", "", "405"),
        ("POST /customers/c", "Content-Length: 99999999999\r\n", "405"),
        ("DELETE /livez", "", "405"),
        ("GET /", "", "404"),
        ("GET /customers/", "", "404"),
        ("GET /customers/a%00b", "", "400"),
        ("GET /customers/%ff", "", "400"),
        ("GET /../etc/passwd", "", "404"),
        ("NONSENSE", "", "400"),
        ("GET /livez", &format!("X: {long}\r\n"), "431"),
    ] {
        let answer = running.send(request, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
    assert_eq!(running.get(&format!("/customers/{}", "x".repeat(201))).0, 400);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_bytes_are_answered_or_cut_off(
        start in prop::sample::select(vec!["", "GET ", "GET /customers/", "GET /livez HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 9"]),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        static RUNNING: OnceLock<Running> = OnceLock::new();
        let running = RUNNING.get_or_init(|| serve(Some("0123456789abcdef")));
        let mut stream = std::net::TcpStream::connect(running.server.address()).expect("it listens");
        // It may close at the first bad byte: then not all can be written or read.
        drop(stream.write_all(&[start.as_bytes(), &bytes, b"\r\n\r\n"].concat()));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let is_known = [b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.0 2"].iter().any(|head| answer.starts_with(*head));
        prop_assert!(answer.is_empty() || is_known, "{:?}", String::from_utf8_lossy(&answer));
        prop_assert_eq!(running.get("/livez").0, 200);
    }
}

#[test]
fn silent_clients_do_not_keep_the_probes_out() {
    let running = serve(None);
    let connect = |_| std::net::TcpStream::connect(running.server.address()).expect("it listens");
    let silent: Vec<std::net::TcpStream> = (0..CONNECTIONS_MAX + 1).map(connect).collect();
    let asked = std::time::Instant::now();
    assert_eq!(running.get("/livez").0, 200);
    assert!(asked.elapsed() < CONNECTION_TIME_MAX, "their time must end before that of a whole answer");
    drop(silent);
}

#[test]
fn it_stops_listening_when_dropped() {
    let Running { server, status: _ } = serve(None);
    let address = server.address();
    drop(server);
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < until, "still listening");
        std::thread::yield_now();
    }
}
