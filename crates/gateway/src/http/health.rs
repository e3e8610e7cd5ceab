//! Health, for load balancers and people.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, RunMode};

/// The state of the replica.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or `draining` while the replica sends its clients away.
    status: &'static str,
    version: &'static str,
    replica: String,
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
    // Each shard has to answer: a process whose shards hang is not ready.
    if app.drain.is_cancelled() || app.shards.ask_all(|_| ()).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(health(&app, "draining"))).into_response();
    }
    Json(health(&app, "ok")).into_response()
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
        development: app.mode == RunMode::Development,
    }
}
