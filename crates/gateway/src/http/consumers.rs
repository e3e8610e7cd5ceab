//! Consumers of the event log, for those who run an application's backends.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use penholder_desk::{
    Consumer, ConsumerChanges, ConsumerError, ConsumerId, ConsumerReplay, ConsumerState, Delivery,
    DeliveryState, Destination, EventFilter, NewConsumer, SigningSecret, StoreError,
};
use penholder_lease::StoreMs;
use penholder_protocol::{ErrorCode, Namespace, TopicName};
use penholder_ticket::Moment;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::describe::{Missing, Refused, Unfit};
use super::error::{ApiError, ErrorBody};
use super::idempotency::KeptBody;
use super::page;
use super::query::{Params, illegal};
use crate::app::App;
use crate::auth::Caller;
use crate::consumers::{fresh_secret, is_secret, refused_address};
use crate::log::ticket_of;
use crate::pens::{log_away, refused};

/// What stands in the place of a secret that the server is to make.
const NEW_SECRET: &str = "new";

/// Longest name. Unit: bytes.
const NAME_BYTES_MAX: usize = 64;

/// How long to wait for a replay that is being entered. Unit: seconds.
const RETRY_SECS: u64 = 1;

/// A consumer that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsumerBody {
    /// What it is called: 1 to 64 of the characters A-Z a-z 0-9 _ . ~ -, and no other is called that.
    name: String,
    /// Which events it wants: 1 to 32 of `*`, `ticket.*`, `pen.*`, `comment.created`.
    #[schema(example = json!(["ticket.*"]))]
    filter: Vec<String>,
    /// Where they go.
    destination: DestinationBody,
}

/// Where events are to go.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum DestinationBody {
    /// To an address of the web, as Standard Webhooks has it.
    Webhook {
        /// The address, `https://` or `http://`.
        url: String,
        /// Signs what is sent: `whsec_` and 24 to 64 bytes in base64. The server makes one where there is none.
        secret: Option<String>,
    },
}

impl std::fmt::Debug for DestinationBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DestinationBody").finish_non_exhaustive()
    }
}

/// What is to be different.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsumerPatch {
    /// Which events it wants from now on. What it is owed already stays owed.
    filter: Option<Vec<String>>,
    /// Where they go.
    destination: Option<WebhookPatch>,
    /// Whether it is sent anything. What a paused consumer wants waits for it, as long as the log is kept.
    state: Option<StateWord>,
}

/// Another address of a webhook, or another secret. What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookPatch {
    /// What it is already.
    #[expect(dead_code, reason = "there is one word, and reading it has checked it")]
    r#type: Option<DestinationWord>,
    /// The address.
    url: Option<String>,
    /// Signs what is sent from now on: `whsec_` and 24 to 64 bytes in base64, or `new`, and the server makes one. The secret
    /// before signs too, for 24 hours.
    #[schema(example = "new")]
    secret: Option<String>,
}

impl std::fmt::Debug for WebhookPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookPatch").finish_non_exhaustive()
    }
}

/// Where events can be sent to.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DestinationWord {
    Webhook,
}

/// Whether a consumer is sent anything.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateWord {
    Active,
    Paused,
}

/// A consumer. It may have a secret in it, so nobody prints it.
#[derive(Serialize, ToSchema)]
pub(super) struct ConsumerReply {
    id: String,
    name: String,
    filter: Vec<String>,
    destination: DestinationReply,
    state: StateWord,
    /// Whether a replay is under way.
    replaying: bool,
    #[schema(example = "2026-01-02T03:04:05.678Z")]
    created_at: String,
    /// The secret; told once, when it is set, and not when that answer is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Where events go.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum DestinationReply {
    /// To an address of the web.
    Webhook {
        /// The address.
        url: String,
        /// Until when the secret before signs too, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(example = "2026-01-02T03:04:05.678Z")]
        previous_secret_until: Option<String>,
    },
    /// To the program that the server is built into.
    InProcess,
}

/// All consumers, the oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ConsumerList {
    data: Vec<ConsumerReply>,
    /// Always null: there are 100 at most.
    next_cursor: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryQuery {
    /// `pending`, `delivered` or `failed`; all where absent.
    state: Option<String>,
    /// How many, 1 to 1000 (100).
    limit: Option<u32>,
    /// Where the last page ended.
    cursor: Option<String>,
}

/// One event for one consumer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryReply {
    event_id: String,
    #[schema(example = "ticket.updated")]
    event_name: String,
    /// The topic of what was written, and the number there.
    topic: Option<String>,
    seq: Option<u64>,
    occurred_at: String,
    /// `pending`, `delivered` or `failed`: given up, until it is replayed.
    state: &'static str,
    /// How often it was tried, since it was replayed last.
    attempts: u64,
    last_attempt_at: Option<String>,
    /// When it is tried next; null also where it waits for its turn.
    next_attempt_at: Option<String>,
    /// The status of the last answer, if there was one.
    status: Option<u16>,
    /// What went wrong at the last attempt.
    error: Option<String>,
}

/// Deliveries, those of the newest events first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryList {
    data: Vec<DeliveryReply>,
    next_cursor: Option<String>,
}

/// What is to be sent again: from a time on, from a number of a topic on, or one event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayBody {
    /// What was written at this time or later.
    #[schema(example = "2026-01-02T03:04:05.678Z")]
    from_time: Option<String>,
    /// What was written to `topic`, which goes with it, with this number (`seq` of an event) or a larger one.
    from_seq: Option<u64>,
    /// The topic of a ticket, `tickets:{id}`, or of a pen: numbers are counted for each. Only with `from_seq`.
    topic: Option<String>,
    /// One event, such as one whose delivery has failed.
    event_id: Option<String>,
}

/// Makes a consumer. It gets every event that it wants and that is written from now on. Needs an API key of the
/// scope `consumers:write`, or the role `admin`. An answer that is sent again has no `secret`.
#[utoipa::path(
    post, path = "/v1/consumers", tag = "consumers", request_body = ConsumerBody,
    responses(
        (status = 201, body = ConsumerReply, headers(("location" = String, description = "Its address."))),
        Refused, Unfit,
    ),
)]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    body: Result<JsonBody, ApiError>,
) -> Result<Response, ApiError> {
    require(&caller)?;
    let ConsumerBody { name, filter, destination } = body?.read()?;
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_legal) {
        return Err(invalid("name is 1 to 64 of the characters A-Z a-z 0-9 _ . ~ -"));
    }
    let DestinationBody::Webhook { url, secret } = destination;
    check_address(&app, &url)?;
    let secret = match secret {
        Some(secret) if is_secret(&secret) => SigningSecret(secret),
        Some(_) => return Err(invalid("secret is whsec_ and 24 to 64 bytes in base64")),
        None => fresh_secret(),
    };
    let told = secret.0.clone();
    let destination = Destination::Webhook { url, secret, previous: None };
    let new = NewConsumer { name, filter: parse_filter(filter)?, destination };
    let made = app.consumers.store().create(new).await.map_err(fault)?;
    let location = format!("/v1/consumers/{}", made.id.as_str());
    let mut reply = reply(made);
    let kept = KeptBody(penholder_protocol::Json::of(&reply).as_str().to_owned());
    reply.secret = Some(told);
    let mut response = (StatusCode::CREATED, Extension(kept), Json(reply)).into_response();
    let location = HeaderValue::try_from(location).map_err(|_| ErrorCode::Internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Lists the consumers.
#[utoipa::path(
    get, path = "/v1/consumers", tag = "consumers",
    responses((status = 200, body = ConsumerList), Refused),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<ConsumerList>, ApiError> {
    require(&caller)?;
    let all = app.consumers.store().list().await.map_err(|error| fault(error.into()))?;
    let data = all.into_iter().map(reply).collect();
    Ok(Json(ConsumerList { data, next_cursor: None }))
}

/// Reads a consumer.
#[utoipa::path(
    get, path = "/v1/consumers/{id}", tag = "consumers",
    params(("id" = String, Path, description = "The consumer's id.")),
    responses((status = 200, body = ConsumerReply), Refused, Missing),
)]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<ConsumerReply>, ApiError> {
    require(&caller)?;
    let found = app.consumers.store().consumer(&id(path)?).await;
    Ok(Json(reply(found.map_err(fault)?)))
}

/// Changes the filter, the address or the secret of a consumer, pauses it, or lets it go on. With another address or
/// secret, or active again, it is sent at once what waits to be tried again.
#[utoipa::path(
    patch, path = "/v1/consumers/{id}", tag = "consumers", request_body = ConsumerPatch,
    params(("id" = String, Path, description = "The consumer's id.")),
    responses((status = 200, body = ConsumerReply), Refused, Missing, Unfit),
)]
pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    body: Result<JsonBody, ApiError>,
) -> Result<Json<ConsumerReply>, ApiError> {
    require(&caller)?;
    let id = id(path)?;
    let ConsumerPatch { filter, destination, state } = body?.read()?;
    let (url, secret) = destination.map_or((None, None), |patch| (patch.url, patch.secret));
    if let Some(url) = &url {
        check_address(&app, url)?;
    }
    let secret = match secret {
        Some(word) if word == NEW_SECRET => Some(fresh_secret()),
        Some(secret) if is_secret(&secret) => Some(SigningSecret(secret)),
        Some(_) => return Err(invalid("secret is whsec_ and 24 to 64 bytes in base64, or new")),
        None => None,
    };
    let told = secret.as_ref().map(|secret| secret.0.clone());
    let changes = ConsumerChanges {
        filter: filter.map(parse_filter).transpose()?,
        url,
        secret,
        state: state.map(|state| match state {
            StateWord::Active => ConsumerState::Active,
            StateWord::Paused => ConsumerState::Paused,
        }),
    };
    let store = app.consumers.store();
    let changed = store.change(&id, &changes).await.map_err(fault)?;
    if changes.may_mend() {
        // It was changed, whether what waits is sent at once or not.
        store.hasten(&id).await.inspect_err(log_away).ok();
    }
    Ok(Json(ConsumerReply { secret: told, ..reply(changed) }))
}

/// Takes a consumer away. What it is owed is not delivered any more.
#[utoipa::path(
    delete, path = "/v1/consumers/{id}", tag = "consumers",
    params(("id" = String, Path, description = "The consumer's id.")),
    responses(
        (status = 204),
        Refused, Missing,
    ),
)]
pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    require(&caller)?;
    app.consumers.store().remove(&id(path)?).await.map_err(fault)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what a consumer is owed and has got, as long as the log is kept.
#[utoipa::path(
    get, path = "/v1/consumers/{id}/deliveries", tag = "consumers",
    params(("id" = String, Path, description = "The consumer's id."), DeliveryQuery),
    responses((status = 200, body = DeliveryList), Refused, Missing, Unfit),
)]
pub(super) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Params<DeliveryQuery>, ApiError>,
) -> Result<Json<DeliveryList>, ApiError> {
    require(&caller)?;
    let id = id(path)?;
    let Params(DeliveryQuery { state, limit, cursor }) = query?;
    let limit = page::limit(limit)?;
    let word = |word: String| {
        DeliveryState::from_word(&word)
            .ok_or_else(|| illegal("state", "pending, delivered or failed"))
    };
    let state = state.map(word).transpose()?;
    if cursor.as_deref().is_some_and(|cursor| ConsumerId::parse(cursor).is_none()) {
        return Err(illegal("cursor", "one that a list has given"));
    }
    let part = (limit + 1, cursor.as_deref());
    let mut found = app.consumers.store().deliveries(&id, state, part).await.map_err(fault)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = page::cut(&mut found, limit, |delivery| delivery.event.clone());
    Ok(Json(DeliveryList { data: found.into_iter().map(delivery).collect(), next_cursor }))
}

/// Sends a consumer events again that its filter lets through and that the log still has: those that it has got, those
/// that have failed, and those from before it was there. They are entered by and by: `replaying` says how long.
#[utoipa::path(
    post, path = "/v1/consumers/{id}/replay", tag = "consumers", request_body = ReplayBody,
    params(("id" = String, Path, description = "The consumer's id.")),
    responses(
        (status = 202, body = ConsumerReply),
        Refused, Unfit,
        (status = 404, body = ErrorBody, description = "No such consumer, or no such event that it wants."),
        (status = 409, body = ErrorBody, description = "`request_in_progress`: another replay is still being entered."),
    ),
)]
pub(super) async fn replay(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    body: Result<JsonBody, ApiError>,
) -> Result<Response, ApiError> {
    require(&caller)?;
    let id = id(path)?;
    let ReplayBody { from_time, from_seq, topic, event_id } = body?.read()?;
    let replay = match (from_time, (topic, from_seq), event_id) {
        (Some(time), (None, None), None) => ConsumerReplay::FromTime(moment(&time)?),
        (None, (Some(topic), Some(seq)), None) => {
            ConsumerReplay::FromSeq { topic: own_topic(topic)?, seq }
        }
        (None, (None, None), Some(event)) => {
            ConsumerId::parse(&event).ok_or(ErrorCode::NotFound)?;
            ConsumerReplay::Event(event)
        }
        (None, (None, Some(_)), None) => {
            return Err(invalid("from_seq is counted for each topic: give the topic with it"));
        }
        _ => return Err(invalid("give from_time, or topic and from_seq, or event_id")),
    };
    let store = app.consumers.store();
    store.replay(&id, &replay).await.map_err(fault)?;
    let after = store.consumer(&id).await.map_err(fault)?;
    Ok((StatusCode::ACCEPTED, Json(reply(after))).into_response())
}

fn require(caller: &Caller) -> Result<(), ApiError> {
    let may = match caller {
        Caller::Backend(backend) => backend.is_for_consumers(),
        Caller::Person(identity) => identity.is_admin(),
    };
    if may { Ok(()) } else { Err(ErrorCode::NotAuthorized.into()) }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidPayload, message)
}

fn id(path: Result<Path<String>, PathRejection>) -> Result<ConsumerId, ApiError> {
    ConsumerId::parse(&path?).ok_or_else(|| ErrorCode::NotFound.into())
}

fn check_address(app: &App, url: &str) -> Result<(), ApiError> {
    refused_address(url, &app.config.consumers).map_or(Ok(()), |why| Err(invalid(why)))
}

fn parse_filter(patterns: Vec<String>) -> Result<EventFilter, ApiError> {
    EventFilter::parse(patterns).map_err(|error| invalid(error.to_string()))
}

/// Reads the topic of something that is written to. What only passes on the events of others numbers them anew.
fn own_topic(text: String) -> Result<String, ApiError> {
    let topic = TopicName::parse(&text).map_err(|_| ErrorCode::InvalidTopic)?;
    let is_own = match topic.namespace() {
        Namespace::Tickets => ticket_of(&topic).is_some(),
        Namespace::Phoenix | Namespace::System => false,
        Namespace::User | Namespace::Application(_) => true,
    };
    let none = "topic is that of an event, such as tickets:{id}";
    if is_own { Ok(text) } else { Err(ApiError::new(ErrorCode::InvalidTopic, none)) }
}

fn moment(text: &str) -> Result<StoreMs, ApiError> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    let ms = at.and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    ms.map(StoreMs).ok_or_else(|| invalid("from_time is a time such as 2026-01-02T03:04:05Z"))
}

fn reply(consumer: Consumer) -> ConsumerReply {
    ConsumerReply {
        id: consumer.id.as_str().to_owned(),
        name: consumer.name,
        filter: consumer.filter.patterns().to_vec(),
        destination: match consumer.destination {
            Destination::Webhook { url, previous, .. } => DestinationReply::Webhook {
                url,
                previous_secret_until: previous.map(|it| Moment(it.until).to_string()),
            },
            Destination::InProcess => DestinationReply::InProcess,
        },
        state: match consumer.state {
            ConsumerState::Active => StateWord::Active,
            ConsumerState::Paused => StateWord::Paused,
        },
        replaying: consumer.is_replaying,
        created_at: Moment(consumer.created_at).to_string(),
        secret: None,
    }
}

fn delivery(delivery: Delivery) -> DeliveryReply {
    let time = |at: StoreMs| Moment(at).to_string();
    let (topic, seq) = delivery.place.unzip();
    DeliveryReply {
        event_id: delivery.event,
        event_name: delivery.name,
        topic,
        seq,
        occurred_at: time(delivery.occurred_at),
        state: delivery.state.as_str(),
        attempts: delivery.attempts,
        last_attempt_at: delivery.last_at.map(time),
        next_attempt_at: delivery.next_at.map(time),
        status: delivery.status,
        error: delivery.error,
    }
}

/// The answer for what was not done.
fn fault(error: ConsumerError) -> ApiError {
    match error {
        ConsumerError::NotFound => ErrorCode::NotFound.into(),
        ConsumerError::NameTaken | ConsumerError::TooMany | ConsumerError::NoWebhook => {
            invalid(error.to_string())
        }
        ConsumerError::Replaying => {
            ApiError::new(ErrorCode::RequestInProgress, error.to_string()).retry_after(RETRY_SECS)
        }
        ConsumerError::Store(error) => away(&error),
    }
}

fn away(error: &StoreError) -> ApiError {
    log_away(error);
    refused(error).into()
}
