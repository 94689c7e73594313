//! `GET /customers/{id}`: a customer's committed state, answered by the partition's owner right after its next commit.
//!
//! | status | when |
//! |---|---|
//! | 200 | [`Shown`] as JSON |
//! | 400 | no customer can have this id |
//! | 401 | a token is needed |
//! | 404 | the partition is here and does not know the customer |
//! | 421 | the customer's partition belongs to another instance; the body says which partition |
//! | 503 | the partition is being restored, the topics are not known yet, or the owner is too busy to answer in time |
//!
//! The id is never logged.

use super::Sources;
use crate::config::Secret;
use crate::engine::{Line, Place, UnderWay, View};
use crate::model::{Micro, Name, Severity, event::ID_BYTES_MAX};
use crate::pipeline;
use crate::rules::catalogue::Catalogue;
use crate::status::{Answer, Status};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the owner: a commit comes every 100 ms, unless the broker is slow.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// The body of a 200. Times in milliseconds since the epoch, UTC.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    customer_id: &'a str,
    partition: i32,
    /// The customer's own time.
    time: i64,
    first_seen: i64,
    last_seen: i64,
    touchpoints: u64,
    stage: Option<&'a str>,
    index: i64,
    perception: Micro,
    expectation: Micro,
    disconfirmation: Micro,
    felt: Micro,
    /// They sum to `index`.
    index_breakdown: Vec<ShownLine<'a>>,
    /// They sum to `perception`.
    perception_breakdown: Vec<ShownLine<'a>>,
    /// Configured outcomes of open items.
    outcomes: Vec<ShownOutcome<'a>>,
    open_alerts: Vec<ShownAlert<'a>>,
    /// Those that are not over.
    journeys: Vec<ShownJourney<'a>>,
    /// As many stays as `engine.stage_history` asks for.
    stages: Vec<ShownStep<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownJourney<'a> {
    journey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a str>,
    started: i64,
    reached: Vec<ShownStep<'a>>,
    /// None of a journey without steps: it waits for its end.
    waits_for: Option<&'a str>,
    deadline: Option<i64>,
    stalled: bool,
}

/// A step or a stage, and since when.
#[derive(Debug, Serialize)]
struct ShownStep<'a> {
    name: &'a str,
    since: i64,
}

#[derive(Debug, Serialize)]
struct ShownOutcome<'a> {
    outcome: &'a str,
    item: &'a str,
    item_type: &'static str,
    /// The risk; of a card, the log-odds.
    score: Micro,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<Micro>,
    /// 95 % interval of the share of such cases that turned out so.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated: Option<[Micro; 2]>,
    /// They sum to `score`.
    breakdown: Vec<ShownLine<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownLine<'a> {
    label: &'a str,
    contribution: Micro,
}

#[derive(Debug, Serialize)]
struct ShownAlert<'a> {
    kind: &'a str,
    alert_id: String,
    severity: Severity,
    opened_at: i64,
}

/// The body of 404, 421 and 503.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    partition: Option<i32>,
    reason: &'a str,
}

/// The handler.
pub(super) async fn show(
    State(sources): State<Arc<Sources>>,
    headers: HeaderMap,
    Path(customer_id): Path<String>,
) -> Response {
    if !authorized(sources.token.as_ref(), &headers) {
        return unauthorized();
    }
    if customer_id.len() > ID_BYTES_MAX || customer_id.chars().any(char::is_control) {
        return refuse(StatusCode::BAD_REQUEST, None, "not a customer id");
    }
    let partitions = sources.status.partitions();
    if partitions == 0 {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, None, "the topics are not known yet");
    }
    let keys = sources.inputs.iter().flat_map(|input| input.placing_keys(&customer_id));
    // Inputs that make the same id of different keys can have the customer on more than one partition.
    let homes: BTreeSet<i32> = keys.map(|key| pipeline::partition_of(key.as_bytes(), partitions)).collect();
    let mut unknown = refuse(StatusCode::NOT_FOUND, None, "no input has customers with such an id");
    let mut not_asked = None;
    for partition in homes {
        let answer = match ask(&sources.status, partition, customer_id.clone()).await {
            Some(Answer::View(view)) => {
                return json(StatusCode::OK, &shown(&view, partition, &sources.settings.catalogue));
            }
            Some(Answer::Unknown) => {
                unknown = refuse(StatusCode::NOT_FOUND, Some(partition), "no such customer");
                continue;
            }
            Some(Answer::NotOwned) => {
                refuse(StatusCode::MISDIRECTED_REQUEST, Some(partition), "another instance owns the partition")
            }
            Some(Answer::Restoring) => unavailable(partition, "the partition is being restored"),
            Some(Answer::Busy) => unavailable(partition, "too many queries are waiting"),
            None => unavailable(partition, "the partition's owner did not answer in time"),
        };
        not_asked.get_or_insert(answer);
    }
    not_asked.unwrap_or(unknown)
}

/// None when the owner does not answer in time, or ends.
async fn ask(status: &Status, partition: i32, customer_id: String) -> Option<Answer> {
    match status.query(partition, customer_id) {
        Ok(reply) => tokio::time::timeout(ANSWER_TIME_MAX, reply).await.ok()?.ok(),
        Err(answer) => Some(answer),
    }
}

pub(super) fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

pub(super) fn authorized(token: Option<&Secret>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| same(given, token.reveal().as_bytes()))
}

/// Compares in a time that depends on the lengths alone: how long a wrong token takes must not tell where it differs.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let difference = given.iter().zip(expected).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    given.len() == expected.len() && difference == 0
}

fn shown<'a>(view: &'a View, partition: i32, catalogue: &'a Catalogue) -> Shown<'a> {
    let figures = &view.figures;
    Shown {
        customer_id: &view.customer_id,
        partition,
        time: view.time.0,
        first_seen: view.first_seen.0,
        last_seen: view.last_seen.0,
        touchpoints: view.touchpoints,
        stage: figures.stage.map(|stage| catalogue.text(stage)),
        index: figures.index,
        perception: figures.perception,
        expectation: figures.expectation,
        disconfirmation: figures.disconfirmation,
        felt: figures.felt,
        index_breakdown: lines(&view.index_lines),
        perception_breakdown: lines(&view.perception_lines),
        outcomes: view
            .outcomes
            .iter()
            .map(|of| ShownOutcome {
                outcome: &of.outcome,
                item: &of.item.id,
                item_type: of.item.item_type.as_str(),
                score: of.score,
                probability: of.chance.map(|chance| chance.probability),
                calibrated: of.chance.and_then(|chance| chance.calibrated).map(|(low, high)| [low, high]),
                breakdown: lines(&of.lines),
            })
            .collect(),
        open_alerts: view
            .open_alerts
            .iter()
            .map(|alert| ShownAlert {
                kind: &alert.kind,
                alert_id: format!("{:016x}", alert.alert_id),
                severity: alert.severity,
                opened_at: alert.opened_at.0,
            })
            .collect(),
        journeys: view.journeys.iter().map(|journey| shown_journey(journey, catalogue)).collect(),
        stages: view.stages.iter().map(|(at, stage)| ShownStep { name: catalogue.text(*stage), since: at.0 }).collect(),
    }
}

fn shown_journey<'a>(journey: &'a UnderWay, catalogue: &'a Catalogue) -> ShownJourney<'a> {
    let name = |step: Name| Place::Step(step).name(catalogue);
    ShownJourney {
        journey: catalogue.text(journey.journey),
        item: journey.item.as_ref().map(|item| &*item.id),
        started: journey.started.0,
        reached: journey.reached.iter().map(|(step, at)| ShownStep { name: name(*step), since: at.0 }).collect(),
        waits_for: journey.waits_for.map(name),
        deadline: journey.deadline.map(|deadline| deadline.0),
        stalled: journey.stalled,
    }
}

fn lines(lines: &[Line]) -> Vec<ShownLine<'_>> {
    lines.iter().map(|line| ShownLine { label: &line.label, contribution: line.contribution }).collect()
}

fn unavailable(partition: i32, reason: &str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, Some(partition), reason);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    response
}

fn refuse(status: StatusCode, partition: Option<i32>, reason: &str) -> Response {
    json(status, &Refused { partition, reason })
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "admin: an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
