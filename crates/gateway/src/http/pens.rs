//! Pens over HTTP, for backends and AI agents: a caller is one session, whatever the number of its
//! connections, and renews its pen itself.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use penholder_desk::{StoreError, Trace};
use penholder_hub::{Audience, PenTask};
use penholder_lease::{Claimant, Command, Fence, Kind, Person, PersonId, Role, SessionId, Terms};
use penholder_protocol::{
    self as protocol, ErrorCode, JsonLimits, Namespace, Pen, PenAcquire, PenAcquireReply, PenDraft,
    PenDraftReply, PenEvent, PenHeld, PenReason, PenReply, PenRequestReply, PenTakeOverReply,
    TopicName, UserCard,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::describe::{Refused, Unfit};
use super::error::{ApiError, ErrorBody};
use super::page;
use super::query::Params;
use crate::app::App;
use crate::auth::{Caller, Capability};
use crate::log::{Part, Replay, has_pen};
use crate::pens::asked;
use crate::pens::{Jwk, Said, log_away, refused, wire};
use crate::telemetry;

impl Caller {
    /// The caller as somebody who may hold a pen.
    pub(super) fn claimant(&self) -> Claimant {
        match self {
            Self::Person(identity) => {
                let session = SessionId::from(format!("http:{}", identity.subject()));
                penholder_hub::claimant(session, UserCard::clone(&identity.card))
            }
            // A program: it gives way to people where the policy says so.
            Self::Backend(backend) => Claimant {
                session: SessionId::from(format!("key:{}", backend.id)),
                person: Person {
                    id: PersonId::from(format!("key:{}", backend.id)),
                    name: backend.id.to_string(),
                    kind: Kind::Ai,
                },
                role: if backend.is_admin() { Role::Admin } else { Role::Agent },
            },
        }
    }

    /// Whether the caller may do something with pens at all.
    fn is_for_pens(&self) -> bool {
        match self {
            Self::Person(_) => true,
            Self::Backend(backend) => backend.is_for_pens(),
        }
    }
}

/// Reads a body; none counts as an empty object.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let text = if body.is_empty() { &b"{}"[..] } else { body };
    let json = protocol::Json::parse(text, &JsonLimits::default())
        .map_err(|error| ApiError::new(ErrorCode::Malformed, error.to_string()))?;
    json.parse_into().map_err(|error| ApiError::new(ErrorCode::InvalidPayload, error.detail))
}

/// A request about a pen: who asks, and the trace that what comes of it belongs to.
pub(super) struct Asking {
    app: App,
    caller: Caller,
    trace: Trace,
}

impl FromRequestParts<App> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        Ok(Self { app: app.clone(), caller, trace: telemetry::trace::of(&parts.headers) })
    }
}

impl Asking {
    /// Reads a topic of a path whose pen the caller may take.
    async fn topic(
        &self,
        path: Result<Path<String>, PathRejection>,
    ) -> Result<TopicName, ApiError> {
        if !self.caller.is_for_pens() {
            return Err(ErrorCode::NotAuthorized.into());
        }
        self.topic_with_pen(path, Capability::Edit).await
    }

    async fn topic_with_pen(
        &self,
        path: Result<Path<String>, PathRejection>,
        capability: Capability,
    ) -> Result<TopicName, ApiError> {
        let topic = self.caller.topic(&self.app, (&path?, capability)).await?;
        if has_pen(&topic) { Ok(topic) } else { Err(ErrorCode::NotAuthorized.into()) }
    }

    async fn obey(self, topic: &TopicName, command: Command) -> Result<Response, ApiError> {
        self.ask(topic, PenTask::Obey(command)).await
    }

    async fn ask(self, topic: &TopicName, task: PenTask) -> Result<Response, ApiError> {
        match self.app.pens.call(topic, task, self.trace).await? {
            Said::Done(json) => Ok(Json(json).into_response()),
            Said::Held(json) => {
                let reply = json.parse_into::<PenAcquireReply>();
                let reply = reply.map_err(|_| ErrorCode::Internal)?;
                let (code, message) = (ErrorCode::PenHeld, ErrorCode::PenHeld.message());
                let body = NotGranted { code: code.code(), message, reply };
                Ok((StatusCode::CONFLICT, Json(body)).into_response())
            }
        }
    }
}

/// Why a pen was not granted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotGranted {
    #[schema(example = "pen_held")]
    code: &'static str,
    message: &'static str,
    #[serde(flatten)]
    reply: PenAcquireReply,
}

/// Reads the pen of a topic.
#[utoipa::path(
    get, path = "/v1/pens/{topic}", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    responses((status = 200, body = Pen), Refused, Unfit),
)]
pub(super) async fn pen(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Pen>, ApiError> {
    let topic = caller.viewed(&app, &path?).await?;
    let reading = app.pens.log().reading(&topic).await.inspect_err(log_away);
    Ok(Json(wire(&reading.map_err(|error| refused(&error))?.pen)))
}

/// Acquires the pen for the caller. It lasts `ttl_ms` unless it is renewed.
#[utoipa::path(
    post, path = "/v1/pens/{topic}/acquire", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenAcquire,
    responses(
        (status = 200, body = PenAcquireReply),
        Refused, Unfit,
        (status = 409, body = NotGranted),
    ),
)]
pub(super) async fn acquire(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let terms: Terms = asked::terms(read::<PenAcquire>(&body)?)?;
    let claimant = asking.caller.claimant();
    asking.obey(&topic, Command::Acquire { claimant, terms }).await
}

/// Renews the pen that the caller holds.
#[utoipa::path(
    post, path = "/v1/pens/{topic}/renew", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenHeld,
    responses(
        (status = 200, body = PenReply),
        Refused, Unfit,
        (status = 409, body = ErrorBody, description = "`lease_lost`, with the pen."),
    ),
)]
pub(super) async fn renew(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let PenHeld { fence } = read(&body)?;
    let (session, fence) = (asking.caller.claimant().session, Fence(fence.0));
    // Who calls is there.
    asking.ask(&topic, PenTask::Renew { session, fence, input_ms_ago: 0 }).await
}

/// Gives back the pen that the caller holds.
#[utoipa::path(
    post, path = "/v1/pens/{topic}/release", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenHeld,
    responses(
        (status = 200, body = PenReply),
        Refused, Unfit,
        (status = 409, body = ErrorBody, description = "`lease_lost`, with the pen."),
    ),
)]
pub(super) async fn release(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let PenHeld { fence } = read(&body)?;
    let (session, fence) = (asking.caller.claimant().session, Fence(fence.0));
    asking.obey(&topic, Command::Release { session, fence }).await
}

/// Asks the holder to give way, and waits in the queue.
#[utoipa::path(
    post, path = "/v1/pens/{topic}/request", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenReason,
    responses((status = 200, body = PenRequestReply), Refused, Unfit),
)]
pub(super) async fn request(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let PenReason { reason } = read(&body)?;
    let (claimant, reason) = (asking.caller.claimant(), asked::reason(reason)?);
    asking.obey(&topic, Command::Request { claimant, reason }).await
}

/// Takes the pen over, once its holder has had time to save. For roles that may.
#[utoipa::path(
    post, path = "/v1/pens/{topic}/take_over", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenReason,
    responses((status = 200, body = PenTakeOverReply), Refused, Unfit),
)]
pub(super) async fn take_over(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let PenReason { reason } = read(&body)?;
    let (claimant, reason) = (asking.caller.claimant(), asked::reason(reason)?);
    asking.obey(&topic, Command::TakeOver { claimant, reason }).await
}

/// Takes the pen away from whoever has it. Needs `manage`, or a key of the scope `pens:write`.
#[utoipa::path(
    post, path = "/v1/pens/{topic}/revoke", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenReason,
    responses((status = 200, body = PenReply), Refused, Unfit),
)]
pub(super) async fn revoke(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = match &asking.caller {
        Caller::Person(_) => asking.topic_with_pen(path, Capability::Manage).await?,
        Caller::Backend(_) => asking.topic(path).await?,
    };
    let PenReason { reason } = read(&body)?;
    let (by, reason) = (asking.caller.claimant().person, asked::reason(reason)?);
    tracing::info!(topic = topic.as_str(), "pen revoked");
    asking.obey(&topic, Command::Revoke { by, reason }).await
}

/// The pens of somebody.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct HolderQuery {
    /// Whose pens: the person's id.
    holder: String,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// A topic and its pen.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TopicPen {
    topic: String,
    pen: Pen,
}

/// Pens, in order of topics.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PenList {
    data: Vec<TopicPen>,
}

/// Lists the pens that somebody holds, of topics that the caller may view.
#[utoipa::path(
    get, path = "/v1/pens", tag = "pens", params(HolderQuery),
    responses(
        (status = 200, body = PenList),
        Unfit,
        (status = 401, body = ErrorBody),
        (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Result<Params<HolderQuery>, ApiError>,
) -> Result<Json<PenList>, ApiError> {
    let Params(HolderQuery { holder, limit }) = query?;
    let held =
        app.pens.held_by(&PersonId::from(holder), page::limit(limit)?).await.inspect_err(log_away);
    let held = held.map_err(|error| refused(&error))?;
    let topics: Vec<_> = held.iter().filter_map(|it| TopicName::parse(&it.topic).ok()).collect();
    let viewed = app.viewed_of(&caller, topics).await?;
    let held = held.into_iter().filter(|it| viewed.contains(it.topic.as_str()));
    let data = held.map(|it| TopicPen { pen: wire(&it.pen), topic: it.topic });
    Ok(Json(PenList { data: data.collect() }))
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct LogQuery {
    /// Only events after this one: the `next_cursor` of the page before, or a `seq`.
    #[serde(default)]
    cursor: u64,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// A page of what has happened to a pen, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogPage {
    #[schema(value_type = Vec<PenEvent>)]
    data: Vec<protocol::Json>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<u64>,
}

/// Lists what has happened to a pen: the answer to "why did they get it?".
#[utoipa::path(
    get, path = "/v1/pens/{topic}/log", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment."), LogQuery),
    responses((status = 200, body = LogPage), Refused, Unfit),
)]
pub(super) async fn log(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Params<LogQuery>, ApiError>,
) -> Result<Json<LogPage>, ApiError> {
    let topic = caller.viewed(&app, &path?).await?;
    let Params(LogQuery { cursor, limit }) = query?;
    let limit = page::limit(limit)?;
    let is_public =
        matches!(&caller, Caller::Person(it) if it.audience(&topic) == Audience::Public);
    if is_public && topic.namespace() == Namespace::Tickets {
        let page = log_of_public(&app, &topic, (cursor, limit)).await.inspect_err(log_away);
        return Ok(Json(page.map_err(|error| refused(&error))?));
    }
    let data = app.pens.events(&topic, cursor, limit + 1).await.inspect_err(log_away);
    let mut data = data.map_err(|error| refused(&error))?;
    let next_cursor = page::cut(&mut data, limit as usize, |last| last.seq);
    Ok(Json(LogPage { data: data.iter().map(protocol::Json::of).collect(), next_cursor }))
}

/// The log of a ticket's pen under the numbers of the public, which tell nothing of the staff's notes. A page
/// has as many events of the pen as there are among those of the topic.
async fn log_of_public(
    app: &App,
    topic: &TopicName,
    (cursor, limit): (u64, u32),
) -> Result<LogPage, StoreError> {
    let (log, audience) = (app.pens.log(), Audience::Public);
    let after = cursor.max(log.start(topic, audience).await?);
    let part = Part { events_max: limit, bytes_max: page::BYTES_MAX };
    let (heard, next_cursor) = match log.replay(topic, (audience, after), part).await? {
        Replay::Heard { heard, next } => (heard, next),
        Replay::Reset { .. } => (Vec::new(), None),
    };
    let pens = heard.into_iter().filter(|heard| heard.name == "pen");
    Ok(LogPage { data: pens.map(|heard| heard.payload).collect(), next_cursor })
}

/// Leaves a draft in escrow, in the place of an earlier one of the same person.
#[utoipa::path(
    put, path = "/v1/pens/{topic}/draft", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    request_body = PenDraft,
    responses(
        (status = 200, body = PenDraftReply),
        Refused, Unfit,
        (status = 413, body = ErrorBody),
    ),
)]
pub(super) async fn leave_draft(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let PenDraft { draft } = read(&body)?;
    let draft =
        draft.ok_or_else(|| ApiError::new(ErrorCode::InvalidPayload, "missing field `draft`"))?;
    let bytes_max = asking.app.config.draft_bytes_max(&topic);
    if draft.len() > bytes_max {
        return Err(ApiError::too_large(format!("a draft has at most {bytes_max} bytes")));
    }
    let (person, draft) = (asking.caller.claimant().person, Some(draft));
    asking.ask(&topic, PenTask::Draft { person, draft }).await
}

/// Fetches the draft that the caller may read: their own, else that of the holder before them where the
/// policy lets them.
#[utoipa::path(
    get, path = "/v1/pens/{topic}/draft", tag = "pens",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    responses((status = 200, body = PenDraftReply), Refused, Unfit),
)]
pub(super) async fn draft(
    asking: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let topic = asking.topic(path).await?;
    let person = asking.caller.claimant().person;
    asking.ask(&topic, PenTask::Draft { person, draft: None }).await
}

/// Public keys, as RFC 7517 lists them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeySet {
    keys: Vec<Jwk>,
}

/// Lists the keys that the receipts of pens can be checked with, the newest first.
#[utoipa::path(
    get, path = "/v1/pens/keys", tag = "pens", security(()),
    responses((status = 200, body = KeySet)),
)]
pub(super) async fn keys(State(app): State<App>) -> Response {
    let cache = (http::header::CACHE_CONTROL, "public, max-age=60");
    ([cache], Json(KeySet { keys: app.pens.receipts().public() })).into_response()
}
