//! People as the application names them.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use penholder_lease::Role;
use penholder_protocol as protocol;
use penholder_ticket::{Field, Refusal, name, person};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::body::JsonBody;
use super::super::error::{ApiError, ErrorBody};
use super::refused;
use super::visit::{Visit, told};

/// How somebody is called, and what they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonBody {
    /// 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What they are to the application.
    #[schema(value_type = protocol::Role)]
    role: Role,
}

/// Makes somebody known before they come, so that tickets can be assigned to them. For administrators, and keys of the
/// scope `tickets:write`. A token that names them otherwise counts when it is first seen.
#[utoipa::path(
    put, path = "/v1/users/{id}", tag = "tickets",
    params(("id" = String, Path, description = "The person: the `sub` of their tokens.")),
    request_body = PersonBody,
    responses(
        (status = 200, body = protocol::KnownPerson),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn put(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    visit.require_admin()?;
    let Path(id) = path?;
    let asked: PersonBody = body.read()?;
    let refuse = |refusal: Refusal| refused::refusal_answer(&refusal, None);
    let (id, name) = (person(id, Field::User).map_err(refuse)?, name(asked.name).map_err(refuse)?);
    let kept = visit.store().put_person(&id, &name, asked.role).await;
    kept.map_err(|error| visit.refused(&error.into()))?;
    Ok(told(&serde_json::json!({ "id": id, "name": name, "role": asked.role })))
}
