//! The listener: accepts connections, and sends everybody away in order when the process stops.
//!
//! The order of a stop: readiness goes off and new clients are refused; those here are sent away one
//! after another, with code 1012; when the last has gone nobody listens any more, and what is under
//! way is given until `server.drain` is over. Last, what tickets are owed is told, what came of deliveries and
//! what pens are still owed is written.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::admission::{Arrival, NoRoom};
use crate::app::App;
use crate::http::Peer;
use crate::stream::{Excess, Remains, Stream};
use crate::telemetry::metrics;

/// Largest request head. Unit: bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most headers of a request.
const HEADERS_MAX: usize = 64;

/// How many connections may wait to be accepted, as far as the system allows (`net.core.somaxconn`). When
/// there is no room the kernel drops who comes next, who tries again a second later: a flood must not fill
/// it while the process has no turn.
const BACKLOG: u32 = 4096;

/// What the kernel holds at most for a client that reads slowly; Linux takes it twice. By itself it would hold
/// megabytes, which no bound of ours would know of, and which would hide for minutes that a client takes nothing.
/// Unit: bytes.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// How long to wait after a failed accept: most often the process has run out of file descriptors,
/// and trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client that has broken a bound of HTTP may go on sending until it hears so.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// How long a client that finds no place is asked to wait. Unit: seconds.
const RETRY_SECS: u16 = 5;

/// How long requests that are under way may take, at the end.
const REQUESTS_MAX: Duration = Duration::from_secs(2);

/// How long the store may take to write what is under way, at the end.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// How often gauges are set, histograms tidied, and changed keys read.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Listens on an address. Needs a tokio runtime.
///
/// # Errors
///
/// Somebody else does, or the process may not.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Or a restart would wait until the last connection of the life before is forgotten.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` until the application drains and the last client has gone.
pub async fn serve(listener: TcpListener, router: Router, app: App) {
    let requests = TaskTracker::new();
    let upkeep = tokio::spawn(upkeep(app.clone()));
    accept_until(app.drain.cancelled(), &listener, &requests, (&router, &app)).await;
    app.connections.close();
    let open = app.connections.len();
    tracing::info!(open, "draining");
    let gone = accept_until(app.connections.wait(), &listener, &requests, (&router, &app));
    if timeout(app.config.server.drain.duration(), gone).await.is_err() {
        tracing::warn!(open = app.connections.len(), "drain is over with clients left");
    }
    // Also when a client has kept it up: the others would take a silent replica for dead.
    app.shards.retire().await;
    drop(listener);
    requests.close();
    if timeout(REQUESTS_MAX, requests.wait()).await.is_err() {
        tracing::warn!(left = requests.len(), "requests are left unanswered");
    }
    if timeout(CLOSE_MAX, app.tickets.close()).await.is_err() {
        tracing::warn!("changes of tickets are left untold");
    }
    if timeout(CLOSE_MAX, app.consumers.close()).await.is_err() {
        tracing::warn!("deliveries are left to their leases");
    }
    if timeout(CLOSE_MAX, app.pens.close()).await.is_err() {
        tracing::warn!(waiting = app.pens.waiting(), "commands to pens are left undone");
    }
    upkeep.abort();
}

/// Accepts connections until `end`.
async fn accept_until(
    end: impl Future<Output = ()>,
    listener: &TcpListener,
    requests: &TaskTracker,
    (router, app): (&Router, &App),
) {
    let mut end = pin!(end);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let server = &app.config.server;
                    let address = Some(peer.ip()).filter(|address| !server.trusts(address));
                    match app.admission.arrive(address) {
                        Ok(arrival) => {
                            let arrived = (stream, arrival);
                            requests.spawn(connection(arrived, peer, router.clone(), app.clone()));
                        }
                        Err(full) => turn_away(stream, full),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = end.as_mut() => return,
        }
    }
}

/// Serves one TCP connection: requests one after another, or one upgrade. While the server drains, one
/// request, so that whoever asks is told that it does.
async fn connection(
    (stream, arrival): (TcpStream, Arrival),
    peer: SocketAddr,
    router: Router,
    app: App,
) {
    // Frames are small and each is awaited by a person; a failure costs only latency.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let response = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(response.await.unwrap_or_else(|never| match never {})) }
    });
    let is_draining = app.drain.is_cancelled();
    let (stream, remains) = Stream::new(stream, arrival);
    let served = {
        let connection = http1::Builder::new()
            .keep_alive(!is_draining)
            .timer(TokioTimer::new())
            .header_read_timeout(app.config.server.header_timeout.duration())
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            served = connection.as_mut() => served,
            () = app.drain.cancelled(), if !is_draining => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = &served {
        tracing::debug!(%error, "connection ended");
    }
    let Ok(Remains { tcp, is_asked, excess, arrival }) = remains.await else { return };
    if excess == Some(Excess::RequestLine) {
        answer_fault(tcp, StatusCode::URI_TOO_LONG).await;
    } else if is_asked && served.is_err_and(|error| error.is_timeout()) {
        answer_fault(tcp, StatusCode::REQUEST_TIMEOUT).await;
    }
    drop(arrival);
}

/// Refuses a connection for which there is no place, without reading or waiting: whoever floods the
/// listener must not cost more than that.
fn turn_away(stream: TcpStream, full: NoRoom) {
    let (bound, status) = match full {
        NoRoom::Replica => ("replica", StatusCode::SERVICE_UNAVAILABLE),
        NoRoom::Address | NoRoom::User => ("address", StatusCode::TOO_MANY_REQUESTS),
    };
    metrics::arrival_refused(bound);
    let head = format!(
        "HTTP/1.1 {status}\r\nretry-after: {RETRY_SECS}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    // A fresh connection has room for this much. Who has sent something already may see a reset in its place.
    if let Ok(mut stream) = stream.into_std() {
        stream.write_all(head.as_bytes()).ok();
    }
}

/// Answers a request that hyper has given up without an answer.
async fn answer_fault(mut tcp: TcpStream, status: StatusCode) {
    let answer = async {
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        tcp.write_all(head.as_bytes()).await?;
        tcp.shutdown().await?;
        // Unread data would make the kernel throw the answer away.
        tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await
    };
    // Whether the client hears it makes no difference any more.
    timeout(LINGER_MAX, answer).await.ok();
}

/// Reads the set of keys again if its file has changed.
async fn refresh_keys(app: App) {
    match tokio::task::spawn_blocking(move || app.tokens.refresh()).await {
        Ok(Ok(true)) => tracing::info!("keys of tokens read anew"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!(%error, "keys of tokens not read, those before stand"),
        Err(error) => tracing::error!(%error, "reading the keys of tokens panicked"),
    }
}

/// Reads the keys of receipts again if they have changed.
async fn refresh_receipts(app: App) {
    match tokio::task::spawn_blocking(move || app.pens.receipts().refresh()).await {
        Ok(Ok(true)) => tracing::info!("keys of receipts read anew"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!(%error, "keys of receipts not read, those before stand"),
        Err(error) => tracing::error!(%error, "reading the keys of receipts panicked"),
    }
}

async fn upkeep(app: App) {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    loop {
        every.tick().await;
        app.metrics.run_upkeep();
        app.grace.tidy();
        app.request_rates.tidy();
        app.pens.log().tidy();
        refresh_keys(app.clone()).await;
        refresh_receipts(app.clone()).await;
        metrics::pens_waiting(app.pens.waiting());
        if let Ok(census) = app.shards.ask_all(|hub| (hub.census(), hub.tally())).await {
            metrics::census(&census, app.shards.backlog());
        }
    }
}
