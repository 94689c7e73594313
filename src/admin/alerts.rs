//! `GET /alerts`: the open alerts of the partitions owned here, as committed: the worst first, of these the oldest.
//!
//! | parameter | meaning |
//! |---|---|
//! | `kind` | only these |
//! | `severity` | at least so bad: `info`, `warning`, `high`, `critical` |
//! | `limit` | at most so many, 100 unless told, 1,000 at most; `open` in the answer says how many there are |
//!
//! 400 when a parameter cannot be used, 401 when a token is needed. Other instances list theirs.

use super::Sources;
use super::customers::{authorized, json, unauthorized};
use crate::model::Severity;
use crate::status::{Listed, Wanted};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// The body of a 200. Times in milliseconds since the epoch, UTC.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    open: usize,
    alerts: Vec<ShownAlert<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownAlert<'a> {
    alert_id: String,
    kind: &'a str,
    severity: Severity,
    customer_id: &'a str,
    partition: i32,
    opened_at: i64,
}

impl<'a> From<&'a Listed> for ShownAlert<'a> {
    fn from(listed: &'a Listed) -> Self {
        Self {
            alert_id: format!("{:016x}", listed.alert.alert_id),
            kind: &listed.alert.kind,
            severity: listed.alert.severity,
            customer_id: &listed.customer_id,
            partition: listed.partition,
            opened_at: listed.alert.opened_at.0,
        }
    }
}

/// The handler.
pub(super) async fn list(
    State(sources): State<Arc<Sources>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if !authorized(sources.token.as_ref(), &headers) {
        return unauthorized();
    }
    match parameters(query.as_deref().unwrap_or_default()) {
        Ok((wanted, limit)) => {
            let (listed, open) = sources.status.open_alerts().list(&wanted, limit);
            json(StatusCode::OK, &Shown { open, alerts: listed.iter().map(Into::into).collect() })
        }
        Err(reason) => (StatusCode::BAD_REQUEST, reason + "\n").into_response(),
    }
}

/// Reads the parameters. Kinds are plain names, so nothing in them is ever escaped.
fn parameters(query: &str) -> Result<(Wanted, usize), String> {
    let (mut wanted, mut limit) = (Wanted::default(), LIMIT);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("kind", kind) => wanted.kind = Some(kind.to_owned()),
            ("severity", name) => {
                let severity = Severity::ALL.into_iter().find(|severity| severity.as_str() == name);
                wanted.severity = Some(severity.ok_or("severity: info, warning, high or critical")?);
            }
            ("limit", number) => {
                let number = number.parse().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
                limit = number.ok_or_else(|| format!("limit: a number from 1 to {LIMIT_MAX}"))?;
            }
            _ => return Err("parameters are kind, severity and limit".to_owned()),
        }
    }
    Ok((wanted, limit))
}
