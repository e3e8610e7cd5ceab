//! Health, for load balancers and people.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::{App, RunMode};

/// What a replica that takes new clients says.
const READY: &str = "ok";

/// How long all shards together may take to answer.
const SHARDS_MAX: Duration = Duration::from_secs(1);

/// The state of the replica.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`; `draining` while the replica sends its clients away; `full` while it has as many connections
    /// as it may; `unresponsive` while a shard does not answer.
    status: &'static str,
    version: &'static str,
    replica: String,
    /// Whether pens can be had: `ok`, or why not. Presence goes on without them, so a replica is ready all
    /// the same.
    pens: String,
    /// Whether the server hands out demo tokens.
    development: bool,
}

/// Tells that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()),
    responses((status = 200, body = Health)),
)]
pub(super) async fn healthz(State(app): State<App>) -> Json<Health> {
    Json(health(&app, "ok"))
}

/// Tells whether the replica takes new clients.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, body = Health), (status = 503, body = Health)),
)]
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let status = readiness(&app).await;
    let code = if status == READY { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health(&app, status))).into_response()
}

async fn readiness(app: &App) -> &'static str {
    if app.drain.is_cancelled() {
        return "draining";
    }
    if app.admission.is_full() {
        return "full";
    }
    // Each shard has to answer, and in time: a process whose shards hang is not ready.
    match timeout(SHARDS_MAX, app.shards.ask_all(|_| ())).await {
        Ok(Ok(_)) => READY,
        Ok(Err(_)) => "draining",
        Err(_) => "unresponsive",
    }
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", security(()),
    responses((status = 200, content_type = "text/plain", body = String)),
)]
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([content_type], app.metrics.render()).into_response()
}

fn health(app: &App, status: &'static str) -> Health {
    Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        replica: app.replica.name.as_str().to_owned(),
        pens: app.pens.trouble().unwrap_or_else(|| READY.to_owned()),
        development: app.mode == RunMode::Development,
    }
}
