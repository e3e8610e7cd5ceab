//! The log of a topic, as the caller may see it: a page of it, or all of it and what comes, as server-sent events.

mod stream;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use penholder_desk::StoreError;
use penholder_protocol::{self as protocol, ErrorCode, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use self::stream::Listener;
use super::caller::ClientAddress;
use super::describe::Unfit;
use super::error::{ApiError, ErrorBody};
use super::page;
use super::query::Params;
use crate::app::App;
use crate::auth::Caller;
use crate::log::{Heard, Part, Replay};
use crate::pens::{log_away, refused};

/// Where a client of server-sent events has stopped listening.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct EventsQuery {
    /// Only events after this `seq`; 0 is the start. Without it, from the first that is kept.
    after: Option<u64>,
    /// How many at most: 1 to 1000; fewer, where they are long. Not for server-sent events, which do not end.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// A page of what has happened on a topic, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsPage {
    /// Each as the channel says it, with the `seq` of the caller's audience. One without an `event` is of the pen.
    #[schema(value_type = Vec<Object>)]
    data: Vec<protocol::Json>,
    /// Where the next page begins: send it as `after`. Null on the last. A page of long events ends with some 1 MiB.
    next_cursor: Option<u64>,
}

/// Lists what has happened on a topic, or with `Accept: text/event-stream` tells it and goes on with what happens.
///
/// As server-sent events: `id` is the `seq`, `event` the name, `data` the payload; the header `Last-Event-ID` wins over `after`.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/events", tag = "topics",
    params(
        ("topic" = String, Path, description = "The topic, percent-encoded as one segment."),
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Where server-sent events go on."),
    ),
    responses(
        (status = 200, content((EventsPage = "application/json"), (String = "text/event-stream"))),
        Unfit,
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "There is no such topic for the caller."),
        (status = 410, body = ErrorBody, description = "`reset_required`: what follows `after` is not kept any more, \
                                                        or `after` never was; `details.last` is the last `seq`."),
        (status = 429, body = ErrorBody),
        (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
    ClientAddress(address): ClientAddress,
    path: Result<Path<String>, PathRejection>,
    (query, headers): (Result<Params<EventsQuery>, ApiError>, HeaderMap),
) -> Result<Response, ApiError> {
    let Path(name) = path?;
    let topic = TopicName::parse(&name).map_err(|_| ErrorCode::InvalidTopic)?;
    let Params(EventsQuery { after, limit }) = query?;
    let limit = page::limit(limit)?;
    let access = app.access_of(&caller, &topic).await.map_err(|refused| {
        // What is not the caller's is as if it were not there.
        match refused.known_code() {
            Some(ErrorCode::NotAuthorized) => ErrorCode::NotFound.into(),
            _ => ApiError::from(refused),
        }
    })?;
    let (wants_stream, audience) = (wants_stream(&headers), access.audience);
    let last = if wants_stream { last_event_id(&headers) } else { None };
    let after = match last.or(after) {
        Some(after) => after,
        None => kept(app.pens.log().start(&topic, audience).await)?,
    };
    if wants_stream {
        let listener = Listener::admit(&app, &caller, address)?;
        return listener.begin((topic, audience), after).await;
    }
    let part = Part { events_max: limit, bytes_max: page::BYTES_MAX };
    let replay = app.pens.log().replay(&topic, (audience, after), part).await;
    let (heard, next_cursor) = told(replay)?;
    let data = heard.into_iter().map(|heard| heard.payload).collect();
    Ok(Json(EventsPage { data, next_cursor }).into_response())
}

fn kept<T>(read: Result<T, StoreError>) -> Result<T, ApiError> {
    read.inspect_err(log_away).map_err(|error| refused(&error).into())
}

/// Returns what was heard, and after which number there is more.
fn told(replayed: Result<Replay, StoreError>) -> Result<(Vec<Heard>, Option<u64>), ApiError> {
    match kept(replayed)? {
        Replay::Heard { heard, next } => Ok((heard, next)),
        Replay::Reset { last } => {
            let reset = ApiError::from(ErrorCode::ResetRequired);
            Err(reset.with_details(json!({ "last": last })))
        }
    }
}

/// Whether the caller asks for server-sent events rather than for JSON.
fn wants_stream(headers: &HeaderMap) -> bool {
    let stream = quality(headers, "text/event-stream");
    stream > 0.0 && stream >= quality(headers, "application/json")
}

/// How much the caller wants a type that it names, from 0 to 1 (RFC 9110, section 12.4.2); not at all where it does not.
fn quality(headers: &HeaderMap, wanted: &str) -> f32 {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|it| it.to_str().ok());
    let of = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let is_wanted = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse().ok());
        if is_wanted { weight.unwrap_or(0.0) } else { 0.0 }
    };
    accepted.flat_map(|list| list.split(',')).map(of).fold(0.0, f32::max)
}

/// Reads where a client has stopped listening. What is no number was never told, as what no topic has got to.
fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    // An empty one is that of a client to which nothing was told.
    let given = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty())?;
    Some(given.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let name = header::HeaderName::from_static(name);
        let values = values.iter().map(|value| header::HeaderValue::from_static(value));
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn stream_is_for_those_who_want_it() {
        for (accept, expected) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/event-stream"], true),
            (&["Text/Event-Stream; charset=utf-8, */*"], true),
            (&["application/json", "text/event-stream"], true),
            (&["application/json, text/event-stream;q=0.5"], false),
            (&["application/json;q=0.4, text/event-stream;q=0.5"], true),
            (&["text/event-stream;q=0"], false),
            (&["text/event-stream; q=0.000"], false),
            (&["text/event-stream; q=x"], false),
            (&["text/event-streams"], false),
        ] {
            assert_eq!(wants_stream(&headers("accept", accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn empty_last_event_id_is_none() {
        let read = |values: &[&'static str]| last_event_id(&headers(LAST_EVENT_ID, values));
        assert_eq!((read(&[]), read(&[""]), read(&["17"])), (None, None, Some(17)));
        assert_eq!((read(&["x"]), read(&["-1"])), (Some(u64::MAX), Some(u64::MAX)));
    }
}
