//! How a ticket's status changes, and has changed.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use penholder_desk::TicketError;
use penholder_hub::brief;
use penholder_protocol::{self as protocol, ErrorCode, TicketStatus};
use penholder_ticket::{Audience, Moment, Refusal, Status, StatusChange, TicketId, reason, status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::body::JsonBody;
use super::super::describe::{Missing, Refused, Unfit};
use super::super::error::{ApiError, ErrorBody};
use super::super::page;
use super::super::query::Params;
use super::refused;
use super::visit::{Begun, Started, Visit, ticket_id, told};

/// What a ticket is to become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TransitionBody {
    /// The status.
    #[schema(value_type = TicketStatus)]
    to: String,
    /// Why, for everybody who sees the ticket: at most 1000 characters.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Changes the status of a ticket. Its owner may close it, and open it again once it is done.
#[utoipa::path(
    post, path = "/v1/tickets/{id}/transitions", tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what was read, or `*`."),
    ),
    request_body = TransitionBody,
    responses(
        (status = 200, body = protocol::TicketDetail, headers(
            ("ETag" = String, description = "Its version; for the staff."),
        )),
        Refused, Missing, Unfit,
        (status = 409, body = ErrorBody, description = "`invalid_transition` with `details.from` and `details.to`, `reopen_not_allowed`, `request_in_progress`."),
        (status = 412, body = ErrorBody, description = "`stale_version`, with `details.version`."),
    ),
)]
pub(super) async fn transition(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let version = visit.version()?;
    let asked: TransitionBody = body.read()?;
    let refuse = |refusal: Refusal| refused::refusal_answer(&refusal);
    let to = (status(&asked.to).map_err(refuse)?, reason(asked.reason).map_err(refuse)?);
    let id = ticket_id(path)?;
    visit.approach(id).await?;
    let mut work = match visit.begin_once(&body).await? {
        Begun::Work(work) => work,
        Begun::Answered(response) => return Ok(response),
    };
    let changed = match may_change(&visit, &mut work, (id, to.0)).await {
        Ok(()) => work.transition(id, to, version).await,
        Err(error) => Err(error),
    };
    let changed = match changed {
        Ok(ticket) => visit.detail(&mut work, (StatusCode::OK, &ticket)).await,
        Err(error) => Err(error),
    };
    visit.finish(work, changed).await
}

/// Judges whether somebody may ask for a change at all. Whoever is not staff may close their own ticket, and open it
/// again once it is done.
async fn may_change(
    visit: &Visit,
    work: &mut Started,
    (id, to): (TicketId, Status),
) -> Result<(), TicketError> {
    if visit.audience() == Audience::Staff {
        return Ok(());
    }
    let ticket = work.ticket(id).await?;
    let allowed = match to {
        Status::Closed => true,
        Status::Open => ticket.status != Status::InProgress,
        Status::InProgress
        | Status::WaitingForUser
        | Status::WaitingForAgent
        | Status::Resolved => false,
    };
    if allowed && visit.owns(&ticket) { Ok(()) } else { Err(Refusal::NotAuthorized.into()) }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct HistoryQuery {
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default)]
    cursor: u64,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// A page of how a ticket's status has changed, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryPage {
    #[schema(value_type = Vec<protocol::TicketStatusChange>)]
    data: Vec<Value>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<u64>,
}

/// Lists how a ticket's status has changed, creation included.
#[utoipa::path(
    get, path = "/v1/tickets/{id}/history", tag = "tickets",
    params(("id" = String, Path, description = "The ticket."), HistoryQuery),
    responses(
        (status = 200, body = HistoryPage),
        Refused, Missing, Unfit,
        (status = 403, body = ErrorBody, description = "The API key has no scope for it."),
    ),
)]
pub(super) async fn history(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    query: Result<Params<HistoryQuery>, ApiError>,
) -> Result<Response, ApiError> {
    let Params(HistoryQuery { cursor, limit }) = query?;
    let limit = page::limit(limit)?;
    if i64::try_from(cursor).is_err() {
        return Err(ErrorCode::InvalidPage.into());
    }
    let ticket = visit.ticket(ticket_id(path)?).await?;
    let found = visit.store().history(ticket.id, (cursor, limit + 1)).await;
    let mut data = found.map_err(|error| visit.refused(&error.into()))?;
    let next_cursor = page::cut(&mut data, limit as usize, |_| cursor + u64::from(limit));
    Ok(told(&HistoryPage { data: data.iter().map(shown).collect(), next_cursor }))
}

fn shown(change: &StatusChange) -> Value {
    json!({
        "from": change.from,
        "to": change.to,
        "reason": change.reason,
        "actor": brief(&change.by),
        "at": Moment(change.at),
    })
}
