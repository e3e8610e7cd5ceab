//! The span of a request, by the names that OpenTelemetry has for its parts.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use tower_http::trace::{DefaultOnResponse, OnResponse};
use tracing::Span;
use tracing::field::Empty;

/// Begins the span of a request. Of the address it names the path alone: the query may hold a token.
pub(crate) fn span(request: &Request) -> Span {
    let span = tracing::debug_span!(
        "request",
        otel.name = name(request),
        otel.kind = "server",
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        http.route = route(request),
        http.response.status_code = Empty,
    );
    #[cfg(feature = "otlp")]
    super::otlp::continue_trace(&span, request.headers());
    span
}

/// Notes the answer, and logs it as is usual.
pub(crate) fn answered(response: &Response, latency: Duration, span: &Span) {
    span.record("http.response.status_code", response.status().as_u16());
    DefaultOnResponse::default().on_response(response, latency, span);
}

/// The route as written, never the address as sent: outsiders would choose how many there are.
pub(crate) fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str)
}

fn name(request: &Request) -> String {
    format!("{} {}", request.method(), route(request))
}
