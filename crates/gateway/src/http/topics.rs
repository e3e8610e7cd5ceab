//! Topics in general: which have somebody present, and publishing on one.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use penholder_hub::{Broadcast, Content, Input, TopicCount, TopicsQuery};
use penholder_protocol::{self as protocol, ErrorCode, EventName, JsonLimits, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::describe::{Refused, Unfit};
use super::error::{ApiError, ErrorBody};
use super::page;
use super::query::Params;
use crate::app::App;
use crate::auth::{Caller, Capability};
use crate::log::ticket_of;
use crate::tickets::views_by_token;

/// How the topics of tickets begin: which of those are the caller's only the store can tell.
const TICKETS: &str = "tickets:";

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ListQuery {
    /// Only topics whose names begin so.
    #[serde(default)]
    prefix: String,
    /// Only topics after this one: the `next_cursor` of the page before.
    #[serde(default)]
    cursor: String,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// A page of topics, in order of name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TopicsPage {
    data: Vec<TopicEntry>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A topic with somebody present.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TopicEntry {
    topic: String,
    /// How many people.
    count: u64,
}

/// Lists the topics with somebody present that the caller may view; of tickets that are theirs the newest 1000.
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics", params(ListQuery),
    responses(
        (status = 200, body = TopicsPage),
        Unfit,
        (status = 401, body = ErrorBody),
        (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Result<Params<ListQuery>, ApiError>,
) -> Result<Json<TopicsPage>, ApiError> {
    let Params(ListQuery { prefix, cursor, limit }) = query?;
    let limit = page::limit(limit)?;
    let reaches_tickets = TICKETS.starts_with(&prefix) || prefix.starts_with(TICKETS);
    let owned = if reaches_tickets { app.newest_owned(&caller).await? } else { BTreeSet::new() };
    let owned = Arc::new(owned);
    let shards = app.shards.ask_all(move |hub| {
        let is_owned = |topic: &TopicName| ticket_of(topic).is_some_and(|it| owned.contains(&it));
        let may_view = |topic: &TopicName| views_by_token(&caller, topic) || is_owned(topic);
        let (prefix, after) = (prefix.as_str(), cursor.as_str());
        hub.topics(&TopicsQuery { prefix, after, limit: limit + 1, may_view: &may_view })
    });
    let shards = shards.await?;

    let mut topics: Vec<_> = shards.into_iter().flatten().collect();
    topics.sort();
    let next_cursor = page::cut(&mut topics, limit, |last| last.topic.clone());
    let entry = |count: TopicCount| TopicEntry { topic: count.topic, count: count.count };
    Ok(Json(TopicsPage { data: topics.into_iter().map(entry).collect(), next_cursor }))
}

/// An event to publish.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct BroadcastBody {
    /// The name of the event: 1 to 200 bytes, not a reserved one.
    event: String,
    /// What the event says; `{}` when absent. As large, deep and wide as a client's message may be.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
}

/// Publishes an event to everybody on a topic. It is not stored.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/broadcast", tag = "topics",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = BroadcastBody,
    responses(
        (status = 200, body = Object),
        Refused, Unfit,
        (status = 400, body = ErrorBody),
        (status = 413, body = ErrorBody),
    ),
)]
pub(super) async fn broadcast(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    body: Result<Json<BroadcastBody>, JsonRejection>,
) -> Result<Json<serde_json::Map<String, serde_json::Value>>, ApiError> {
    let topic = caller.topic(&app, (&path?, Capability::Publish)).await?;
    let Json(BroadcastBody { event, payload }) = body?;
    let event = EventName::parse(&event)
        .map_err(|error| ApiError::new(ErrorCode::from(error), error.to_string()))?;
    let payload = read_payload(payload.as_deref(), app.config.limits.message_max.bytes())?;
    let broadcast = Broadcast { event, payload: Content::Json(payload) };
    app.shards.tell(&topic.clone(), Input::Publish { topic, broadcast }).await?;
    Ok(Json(serde_json::Map::new()))
}

/// Reads a payload, held to what a client may say over its socket: it goes to the same receivers, through
/// the same queues.
fn read_payload(payload: Option<&RawValue>, bytes_max: usize) -> Result<protocol::Json, ApiError> {
    let Some(payload) = payload else { return Ok(protocol::Json::empty_object()) };
    if payload.get().len() > bytes_max {
        return Err(ApiError::too_large(format!("a payload has at most {bytes_max} bytes")));
    }
    let payload = protocol::Json::parse(payload.get(), &JsonLimits::default())
        .map_err(|error| ApiError::new(ErrorCode::Malformed, error.to_string()))?;
    if !payload.is_object() {
        return Err(ApiError::new(ErrorCode::InvalidPayload, "the payload is an object"));
    }
    Ok(payload)
}
