//! People as the application names them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use penholder_desk::{KnownPerson, Listed, PeopleFilter, PeoplePage};
use penholder_lease::Role;
use penholder_protocol::{self as protocol, ErrorCode};
use penholder_ticket::{Field, Refusal, name, person};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::body::JsonBody;
use super::super::describe::{Refused, Unfit};
use super::super::error::ApiError;
use super::super::query::illegal;
use super::list::{Part, once, text};
use super::refused;
use super::visit::{Visit, told};

/// What the list of people is called in its cursors.
const LIST: &str = "users";

/// Which people.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read by hand, since roles repeat")]
pub(super) struct PeopleQuery {
    /// Only with one of these roles; repeat it for several. Tickets can be assigned to `agent` and `admin`.
    #[param(explode = true)]
    role: Option<Vec<protocol::Role>>,
    /// Only with this text in name or id, whatever the case of its letters: at most 255 characters.
    #[param(max_length = 255)]
    q: Option<String>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// A page of people.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonPage {
    #[schema(value_type = Vec<protocol::KnownPerson>)]
    data: Vec<PersonShown>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Somebody who is known.
#[derive(Debug, Serialize)]
struct PersonShown {
    id: String,
    name: String,
    role: Role,
}

/// Lists who is known, in the order of their names. For the staff, and keys of the scope `tickets:read`.
#[utoipa::path(
    get, path = "/v1/users", tag = "tickets", params(PeopleQuery),
    responses((status = 200, body = PersonPage), Refused, Unfit),
)]
pub(super) async fn list(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    visit.require_staff()?;
    let query = query.unwrap_or_default();
    let part = Part::read(&query, LIST)?;
    let (limit, cursor) = part.bounds()?;
    let page = PeoplePage::new(limit, cursor.as_deref());
    let page = page.map_err(|_| ApiError::from(ErrorCode::InvalidPage))?;
    let found = visit.store().people(&filter(&query)?, &page).await;
    let Listed { items, next_cursor } = found.map_err(|error| visit.refused(&error))?;
    let shown = |KnownPerson { id, name, role }: KnownPerson| PersonShown {
        id: id.as_str().to_owned(),
        name,
        role,
    };
    let data = items.into_iter().map(shown).collect();
    Ok(told(&PersonPage { data, next_cursor: part.next(next_cursor) }))
}

fn filter(query: &str) -> Result<PeopleFilter, ApiError> {
    let mut filter = PeopleFilter::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "role" => {
                filter.roles.insert(role(&value)?);
            }
            "q" => once(&mut filter.text, &name, text(&value)?)?,
            _ => {}
        }
    }
    Ok(filter)
}

fn role(word: &str) -> Result<Role, ApiError> {
    serde_json::from_value(word.into()).map_err(|_| illegal("role", "the role of a token"))
}

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
    responses((status = 200, body = protocol::KnownPerson), Refused, Unfit),
)]
pub(super) async fn put(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    visit.require_admin()?;
    let Path(id) = path?;
    let asked: PersonBody = body.read()?;
    let refuse = |refusal: Refusal| refused::refusal_answer(&refusal);
    let (id, name) = (person(id, Field::User).map_err(refuse)?, name(asked.name).map_err(refuse)?);
    let kept = visit.store().put_person(&id, &name, asked.role).await;
    kept.map_err(|error| visit.refused(&error.into()))?;
    Ok(told(&serde_json::json!({ "id": id, "name": name, "role": asked.role })))
}
