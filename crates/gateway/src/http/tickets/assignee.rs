//! Whom a ticket is assigned to.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use penholder_lease::PersonId;
use penholder_protocol as protocol;
use penholder_ticket::{Field, TicketId, person};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::body::JsonBody;
use super::super::describe::{Missing, Refused};
use super::super::error::{ApiError, ErrorBody};
use super::refused;
use super::visit::{Visit, ticket_id};

/// Whom a ticket is to be assigned to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssigneeBody {
    /// Somebody of the staff whose token was seen, or who was named to the server.
    #[schema(min_length = 1, max_length = 255)]
    user_id: String,
}

/// Assigns a ticket. One that is open is then in progress. For the staff.
#[utoipa::path(
    put, path = "/v1/tickets/{id}/assignee", tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what was read, or `*`."),
    ),
    request_body = AssigneeBody,
    responses(
        (status = 200, body = protocol::TicketDetail, headers(
            ("ETag" = String, description = "Its version."),
        )),
        Refused, Missing,
        (status = 400, body = ErrorBody, description = "A header or the body cannot be read."),
        (status = 412, body = ErrorBody, description = "`stale_version`, with `details.version`."),
        (status = 422, body = ErrorBody, description = "`invalid_assignee`: not known as one of the staff."),
    ),
)]
pub(super) async fn assign(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let version = visit.version()?;
    let AssigneeBody { user_id } = body.read()?;
    let to = person(user_id, Field::Assignee);
    let to = to.map_err(|refusal| refused::refusal_answer(&refusal))?;
    give(visit, ticket_id(path)?, (Some(&to), version)).await
}

/// Takes a ticket away from whoever has it. For the staff.
#[utoipa::path(
    delete, path = "/v1/tickets/{id}/assignee", tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what was read, or `*`."),
    ),
    responses(
        (status = 200, body = protocol::TicketDetail, headers(
            ("ETag" = String, description = "Its version."),
        )),
        Refused, Missing,
        (status = 400, body = ErrorBody, description = "A header cannot be read."),
        (status = 412, body = ErrorBody, description = "`stale_version`, with `details.version`."),
    ),
)]
pub(super) async fn unassign(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let version = visit.version()?;
    give(visit, ticket_id(path)?, (None, version)).await
}

async fn give(
    visit: Visit,
    id: TicketId,
    (to, version): (Option<&PersonId>, Option<u64>),
) -> Result<Response, ApiError> {
    visit.approach_as_staff(id).await?;
    let mut work = visit.begin().await?;
    let given = match work.assign(id, to, version).await {
        Ok(ticket) => visit.detail(&mut work, (StatusCode::OK, &ticket)).await,
        Err(error) => Err(error),
    };
    visit.finish(work, given).await
}
