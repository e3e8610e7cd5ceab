//! Requests that may be repeated: a POST with an `Idempotency-Key` is done once, and whoever sends it again gets the
//! first answer.
//!
//! A write to tickets keeps its answer in its own transaction, so it is done once whatever happens. Whatever else is
//! posted is answered by [`once`]: its answer is kept when it is done, and a server that dies in between forgets
//! that it was. Then it is done anew when it is asked for again, a minute later at the earliest. That does no harm: a
//! pen that one has is granted again under the same fence, what was released or revoked is so already, a
//! consumer has its name, events that are replayed keep their ids, and a broadcast is best effort anyway.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use penholder_desk::{Key, Once, StoredAnswer, Unanswered};
use penholder_protocol::ErrorCode;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::error::ApiError;
use super::router::REQUEST_MAX;
use crate::app::App;
use crate::auth::Caller;
use crate::pens::{log_away, refused};

/// The header with the key.
pub(crate) const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The header that says that an answer is the first one, sent again.
pub(crate) const REPLAY_HEADER: HeaderName = HeaderName::from_static("idempotency-replay");

/// Longest key. Unit: characters.
const KEY_CHARS_MAX: usize = 255;

/// How long to wait for a request that is under way. Unit: seconds.
const WAIT_SECS: u64 = 1;

/// Longest answer that is kept. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is kept of an answer, where that is not what is told the first time: an extension of the response.
#[derive(Clone)]
pub(super) struct KeptBody(pub(super) String);

/// Reads the key of a request, if it has one.
///
/// # Errors
///
/// It is not 1 to 255 visible ASCII characters, or there are several.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut given = headers.get_all(KEY_HEADER).into_iter();
    let (first, second) = (given.next(), given.next());
    let Some(first) = first else { return Ok(None) };
    let is_key = |text: &&str| {
        (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let text = first.to_str().ok().filter(is_key).filter(|_| second.is_none());
    text.map(Some).ok_or_else(|| ErrorCode::InvalidIdempotencyKey.into())
}

/// Returns whose key it is. Who has another role meanwhile may not see what was answered before.
pub(super) fn scope(caller: &Caller) -> String {
    match caller {
        Caller::Person(identity) => {
            format!("{}:{}", identity.card.role.as_str(), identity.subject())
        }
        Caller::Backend(backend) => format!("key:{}", backend.id),
    }
}

/// Returns the answer for a key that stands for another request.
pub(super) fn differs() -> ApiError {
    ErrorCode::IdempotencyKeyReused.into()
}

/// Returns the answer for a request that is under way.
pub(super) fn running() -> ApiError {
    ApiError::from(ErrorCode::RequestInProgress).retry_after(WAIT_SECS)
}

/// Returns whether an answer is one that stays right when it is sent again. The others say that nothing was done, and
/// that the same request may do it later.
fn is_kept(status: StatusCode, headers: &HeaderMap) -> bool {
    let passing = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let is_to_wait = headers.contains_key(header::RETRY_AFTER);
    !(is_to_wait || status.is_server_error() || passing.contains(&status))
}

/// Answers a POST with a key once. Whatever has no key, or nobody who may be asked, is passed on.
pub(super) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    match answer(app, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn answer(app: App, request: Request, next: Next) -> Result<Response, ApiError> {
    if request.method() != Method::POST || !request.headers().contains_key(KEY_HEADER) {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &app).await?;
    let key = key(&parts.headers)?.unwrap_or_default().to_owned();
    let bytes_max = app.config.limits.http_body_max.bytes();
    let body = to_bytes(body, bytes_max).await.map_err(|_| {
        ApiError::too_large(format!("a body has at most {bytes_max} bytes, and all of them"))
    })?;
    let (caller, route) = (scope(&caller), format!("POST {}", parts.uri.path()));
    let key = Key { caller: &caller, route: &route, key: &key, body: &body };
    let begun = app.tickets.store().once(key).await;
    match begun.inspect_err(log_away).map_err(|error| refused(&error))? {
        Once::Again(answer) => Ok(again(&answer)),
        Once::Differs => Err(differs()),
        Once::Running => Err(running()),
        Once::First(first) => {
            let request = Request::from_parts(parts, Body::from(body));
            // Whoever asked may go away; what was begun goes on, and its answer is kept.
            let done = tokio::spawn(run(first, request, next).instrument(Span::current()));
            done.await.map_err(|_| ErrorCode::Internal)?
        }
    }
}

/// Does a request, and keeps its answer.
async fn run(first: Unanswered, request: Request, next: Next) -> Result<Response, ApiError> {
    let Ok(response) = timeout(REQUEST_MAX, next.run(request)).await else {
        first.give_up().await.inspect_err(log_away).ok();
        return Err(ErrorCode::Unavailable.into());
    };
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|_| ErrorCode::Internal)?;
    let kept = if is_kept(parts.status, &parts.headers) {
        let text = match parts.extensions.remove() {
            Some(KeptBody(text)) => text,
            None => String::from_utf8_lossy(&body).into_owned(),
        };
        let location = parts.headers.get(header::LOCATION).and_then(|it| it.to_str().ok());
        let location = location.map(str::to_owned);
        first.keep(&StoredAnswer { status: parts.status.as_u16(), body: text, location }).await
    } else {
        first.give_up().await
    };
    // It was done, whether that is kept or not.
    kept.inspect_err(log_away).ok();
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Returns an answer as it is sent for the first time.
pub(super) fn shown(answer: &StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    let mut response = if answer.body.is_empty() {
        status.into_response()
    } else {
        (status, [(header::CONTENT_TYPE, json)], answer.body.clone()).into_response()
    };
    let location = answer.location.as_deref().and_then(|it| HeaderValue::from_str(it).ok());
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Returns an answer as it is sent again.
pub(super) fn again(answer: &StoredAnswer) -> Response {
    let mut response = shown(answer);
    response.headers_mut().insert(REPLAY_HEADER, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_to_wait_is_not_told_to_wait_for_ever() {
        let kept = |answer: ApiError| {
            let response = answer.into_response();
            is_kept(response.status(), response.headers())
        };
        assert!(kept(ErrorCode::InvalidTransition.into()) && kept(differs()));
        for passing in [running(), ErrorCode::Unavailable.into(), ErrorCode::NotAuthorized.into()] {
            assert!(!kept(passing.clone()), "{passing:?}");
        }
        assert!(is_kept(StatusCode::CREATED, &HeaderMap::new()));
    }

    #[test]
    fn key_is_visible_and_given_once() {
        let read = |values: &[&str]| {
            let headers = values.iter().map(|it| (KEY_HEADER, it.parse().unwrap()));
            key(&headers.collect()).map(|key| key.map(str::to_owned)).ok()
        };
        assert_eq!(read(&[]), Some(None));
        let longest = "~".repeat(255);
        assert_eq!(read(&[&longest]), Some(Some(longest.clone())));
        for broken in ["", "a b", "\u{e9}", &"a".repeat(256)] {
            assert_eq!(read(&[broken]), None, "{broken}");
        }
        assert_eq!(read(&["a", "a"]), None);
    }
}
