//! Every route in one table, every middleware in one function.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use penholder_protocol::ErrorCode;
use tokio::time::timeout;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::trace::TraceLayer;
use utoipa::openapi::Server;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use super::error::ApiError;
use super::idempotency::{self, KEY_HEADER, REPLAY_HEADER};
use super::{
    console, consumers, describe, dev, error, events, health, pens, presence, rates, revocations,
    tickets, topics,
};
use crate::app::App;
use crate::socket;
use crate::telemetry::{self, metrics};

/// How long a request may take until its answer begins, its body included. A WebSocket is one answer.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(30);

#[derive(OpenApi)]
#[openapi(modifiers(&SecuritySchemes), security(("token" = []), ("api_key" = [])), info(
    title = "Penholder",
    description = "Who is here, who may edit now, and what just changed. The HTTP twins of the channels: \
                   see docs/PROTOCOL.md for the WebSocket. Send `Authorization: Bearer <token>` for a \
                   person, `Authorization: ApiKey <key>` for a backend."
))]
struct Api;

/// How a caller says who it is.
struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let key = ApiKeyValue::with_description(
            "authorization",
            "`ApiKey <key>`: a key of auth.api_keys; in development mode `ApiKey dev`",
        );
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    }
}

/// The whole surface. A pure function of the application, so that tests build the real thing.
pub fn router(app: App) -> Router {
    // Those of tickets keep their answers themselves.
    let repeatable = middleware::from_fn_with_state(app.clone(), idempotency::once);
    let (routes, mut api) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(topics::list))
        .routes(routes!(topics::broadcast))
        .routes(routes!(events::events))
        .routes(routes!(presence::list))
        .routes(routes!(presence::summary))
        .routes(routes!(presence::summaries))
        .routes(routes!(presence::why))
        .routes(routes!(presence::kick))
        .routes(routes!(pens::list))
        .routes(routes!(pens::keys))
        .routes(routes!(pens::pen))
        .routes(routes!(pens::acquire))
        .routes(routes!(pens::renew))
        .routes(routes!(pens::release))
        .routes(routes!(pens::request))
        .routes(routes!(pens::take_over))
        .routes(routes!(pens::revoke))
        .routes(routes!(pens::log))
        .routes(routes!(pens::draft, pens::leave_draft))
        .routes(routes!(revocations::list, revocations::revoke, revocations::withdraw))
        .routes(routes!(consumers::list, consumers::create))
        .routes(routes!(consumers::read, consumers::change, consumers::remove))
        .routes(routes!(consumers::deliveries))
        .routes(routes!(consumers::replay))
        .route_layer(repeatable)
        .merge(tickets::routes())
        .routes(routes!(dev::token))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    describe::complete(&mut api);
    if !app.config.server.public_url.is_empty() {
        api.servers = Some(vec![Server::new(app.config.server.public_url.clone())]);
    }
    let router = routes
        .route("/", get(console::index))
        .route("/assets/{*path}", get(console::asset))
        .route("/socket/websocket", get(socket::upgrade))
        .route(socket::POLL_PATH, get(socket::poll).post(socket::push))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", api))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method);
    layered(router, &app).with_state(app)
}

/// The middleware, the outermost last.
fn layered(router: Router<App>, app: &App) -> Router<App> {
    let origins = app.origins.clone();
    let allow = AllowOrigin::predicate(move |origin: &HeaderValue, _| {
        origin.to_str().is_ok_and(|origin| origins.allow(origin))
    });
    let cors = CorsLayer::new()
        .allow_origin(allow)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            HeaderName::from_static(events::LAST_EVENT_ID),
            KEY_HEADER,
            HeaderName::from_static(tickets::FENCE_HEADER),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("x-phoenix-authtoken"),
            HeaderName::from_static("x-phoenix-longpoll-token"),
        ])
        .expose_headers([header::ETAG, header::LOCATION, header::RETRY_AFTER, REPLAY_HEADER]);
    router
        .layer(DefaultBodyLimit::max(app.config.limits.http_body_max.bytes()))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(app.clone(), rates::bound))
        .layer(cors)
        .layer(middleware::from_fn_with_state((), measure))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(telemetry::request::span)
                .on_response(telemetry::request::answered),
        )
}

/// Answers what took too long, to send or to do.
async fn in_time(request: Request, next: Next) -> Response {
    let answered = timeout(REQUEST_MAX, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let late =
            "The request was not answered in time; send all of its body at once, or try again.";
        let late = ApiError::new(ErrorCode::Unavailable, late);
        late.with_status(StatusCode::REQUEST_TIMEOUT).into_response()
    })
}

async fn measure(State(()): State<()>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = telemetry::request::route(&request).to_owned();
    let response = next.run(request).await;
    metrics::request(route, response.status().as_u16(), started.elapsed());
    response
}
