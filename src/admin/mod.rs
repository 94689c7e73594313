//! Admin HTTP: what probes, Prometheus and people on call ask.
//!
//! | route | answers |
//! |---|---|
//! | `GET /metrics` | Prometheus text exposition |
//! | `GET /livez` | 200, or 503 and which worker is stuck; never depends on the broker |
//! | `GET /readyz` | 200, or 503 and the reason: not joined, a partition restoring or stopped |
//! | `GET /alerts` | the open alerts of the partitions owned here, see [`alerts`] |
//! | `GET /customers/{id}` | the committed state of a customer, see [`customers`] |
//!
//! One thread with a runtime of its own, so that a busy or stuck worker never makes the probes wait. One request per
//! connection, bounded in number, head size and total time: a slow or hostile client costs a slot for a few seconds.
//! Request bodies are never read. Every answer is `Cache-Control: no-store`; a wrong method is 405; errors carry no
//! internals. `/customers` and `/alerts` ask for the bearer token when there is one, and there must be one unless the address is a
//! loopback one.

mod alerts;
mod customers;

use crate::codec;
use crate::config::Secret;
use crate::engine;
use crate::status::{Status, now};
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// From accept to the end of the request's head: clients that send nothing must not keep the probes out for long.
const HEAD_TIME_MAX: Duration = Duration::from_secs(2);
/// From accept to the last byte of the answer; above the longest wait of `/customers`.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// Request line and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after a failed accept (no file descriptors left): the next one would fail as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("admin.listen: cannot listen on {address}: {reason}; choose a free port or \"\" to switch it off")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// The system's. Not named `source`: it would be told twice.
        reason: std::io::Error,
    },
    /// Customers would be readable by anybody.
    #[error("admin.token: needed, because {0} can be reached from other machines")]
    NoToken(SocketAddr),
    /// The thread or its runtime.
    #[error("cannot start the admin thread: {0}")]
    Thread(std::io::Error),
}

/// What the answers are made from.
#[derive(Debug)]
pub struct Sources {
    /// The workers' board.
    pub status: Arc<Status>,
    /// Tell on which partitions a customer's records may lie.
    pub inputs: Vec<codec::Input>,
    /// Turns the hashes of stages into names.
    pub settings: Arc<engine::Settings>,
    /// The bearer token of `/customers` and `/alerts`.
    pub token: Option<Secret>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// The running server; stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Dropped to stop: the accept loop waits for it.
    _running: oneshot::Sender<()>,
}

impl Server {
    /// Where it listens; the port the system chose when port 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens on `listen` and serves from a thread of its own.
///
/// # Errors
/// When the address is taken or not ours, or a token is needed and there is none.
pub fn start(listen: SocketAddr, sources: Sources) -> Result<Server, StartError> {
    if sources.token.is_none() && !listen.ip().is_loopback() {
        return Err(StartError::NoToken(listen));
    }
    let bind = |reason| StartError::Bind { address: listen, reason };
    let listener = std::net::TcpListener::bind(listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener).map_err(bind)?
    };
    let (running, stop) = oneshot::channel();
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || runtime.block_on(accept(listener, router(Arc::new(sources)), stop)))
        .map_err(StartError::Thread)?;
    Ok(Server { address, _running: running })
}

fn router(sources: Arc<Sources>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/alerts", get(alerts::list))
        .route("/customers/{id}", get(customers::show))
        .with_state(sources)
        .layer(axum::middleware::map_response(no_store))
}

async fn accept(listener: TcpListener, router: Router, mut stop: oneshot::Receiver<()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let next = async || {
        // The semaphore is never closed, so there is always a slot to wait for.
        let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
        Some((listener.accept().await, slot))
    };
    loop {
        let accepted = tokio::select! {
            accepted = next() => accepted,
            _ = &mut stop => None,
        };
        match accepted {
            Some((Ok((stream, _)), slot)) => {
                tokio::spawn(serve(stream, router.clone(), slot));
            }
            Some((Err(error), _)) => {
                tracing::warn!(%error, "admin: cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => return,
        }
    }
}

async fn serve(stream: TcpStream, router: Router, _slot: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_TIME_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin: connection failed"),
        Err(_) => tracing::debug!("admin: connection took too long"),
    }
}

async fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn metrics(State(sources): State<Arc<Sources>>) -> Response {
    match sources.metrics.render(&sources.status) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "admin: metrics cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn livez(State(sources): State<Arc<Sources>>) -> (StatusCode, String) {
    probe(sources.status.live(now()))
}

async fn readyz(State(sources): State<Arc<Sources>>) -> (StatusCode, String) {
    probe(sources.status.ready())
}

fn probe(result: Result<(), String>) -> (StatusCode, String) {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

#[cfg(test)]
mod tests;
