//! One ticket: made, read, changed, taken away.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use penholder_desk::Updated;
use penholder_protocol::{self as protocol, TicketCategory, TicketPriority, TicketStatus};
use penholder_ticket::{Field, Refusal, TicketDraft, TicketPatch};
use utoipa::ToSchema;

use super::super::body::JsonBody;
use super::super::describe::{Missing, Refused, Unfit};
use super::super::error::{ApiError, ErrorBody};
use super::refused;
use super::visit::{Begun, Detail, Visit, ticket_id, told_ticket};

/// Why somebody may not say something of their ticket.
const FOR_STAFF: &str = "it is for the staff to say";

/// A file to be kept elsewhere and named here.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) struct FileBody {
    /// Where it is: an `http` or `https` URL of at most 2048 characters.
    #[schema(max_length = 2048, example = "https://example.org/a.png")]
    url: String,
    /// What it is called: 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// How long it is, in bytes.
    #[schema(minimum = 0)]
    size: i64,
}

/// A ticket to make.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) struct TicketBody {
    /// 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    title: String,
    /// 1 to 20 000 characters.
    #[schema(min_length = 1, max_length = 20_000)]
    description: String,
    /// `general` where absent.
    category: Option<TicketCategory>,
    /// `medium` where absent.
    priority: Option<TicketPriority>,
    /// Whose it is. Of whoever is not staff it is the caller's, and only they may stand here.
    #[schema(min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// Who made it without being known; never together with `user_id`. For the staff to say.
    guest: Option<protocol::TicketGuest>,
    /// What the application keeps with it, at most 8 KiB. For the staff to say.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    /// At most 5 files.
    #[schema(max_items = 5, nullable = false)]
    attachments: Option<Vec<FileBody>>,
}

/// What is to be different about a ticket. What is absent stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) struct TicketPatchBody {
    /// 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    title: Option<String>,
    /// 1 to 20 000 characters.
    #[schema(min_length = 1, max_length = 20_000, nullable = false)]
    description: Option<String>,
    /// Category.
    #[schema(nullable = false)]
    category: Option<TicketCategory>,
    /// Priority.
    #[schema(nullable = false)]
    priority: Option<TicketPriority>,
    /// Status; a change that the machine does not have is refused.
    #[schema(nullable = false)]
    status: Option<TicketStatus>,
    /// All of the metadata, at most 8 KiB; null empties it.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
}

/// Makes a ticket. Somebody who is not staff makes their own.
#[utoipa::path(
    post, path = "/v1/tickets", tag = "tickets", request_body = TicketBody,
    responses(
        (status = 201, body = protocol::TicketDetail, headers(
            ("Location" = String, description = "Where the ticket is."),
            ("ETag" = String, description = "Its version; for the staff."),
        )),
        Refused, Unfit,
        (status = 403, body = ErrorBody, description = "A guest makes no tickets; their application does, with a key."),
    ),
)]
pub(super) async fn create(visit: Visit, body: JsonBody) -> Result<Response, ApiError> {
    let draft = owned(&visit, body.read()?)?;
    let new = draft.check().map_err(|refusal| refused::refusal_answer(&refusal))?;
    let mut work = match visit.begin_once(&body).await? {
        Begun::Work(work) => work,
        Begun::Answered(response) => return Ok(response),
    };
    let made = match work.create(new).await {
        Ok(ticket) => visit.detail(&mut work, (StatusCode::CREATED, &ticket)).await,
        Err(error) => Err(error),
    };
    visit.finish(work, made).await
}

/// Stamps the owner on a ticket of somebody who is not staff, and refuses what only the staff may say of one.
fn owned(visit: &Visit, draft: TicketDraft) -> Result<TicketDraft, ApiError> {
    use penholder_lease::Role::{Admin, Agent, Customer, Guest, Viewer};
    let own = visit.id().to_string();
    let others = draft.user_id.as_ref().filter(|id| **id != own);
    match visit.role() {
        Admin | Agent => Ok(draft),
        Customer | Viewer => {
            let staffs = [
                (others.is_some(), Field::User, "it is yours, or left out"),
                (draft.guest.is_some(), Field::Guest, FOR_STAFF),
                (draft.metadata.is_some(), Field::Metadata, FOR_STAFF),
            ];
            if let Some((_, field, rule)) = staffs.into_iter().find(|(is_said, ..)| *is_said) {
                let refusal = Refusal::Invalid { field, rule };
                return Err(refused::refusal_answer(&refusal));
            }
            Ok(TicketDraft { user_id: Some(own), ..draft })
        }
        Guest => Err(protocol::ErrorCode::NotAuthorized.into()),
    }
}

/// Reads a ticket.
#[utoipa::path(
    get, path = "/v1/tickets/{id}", tag = "tickets",
    params(("id" = String, Path, description = "The ticket.")),
    responses(
        (status = 200, body = protocol::TicketDetail, headers(
            ("ETag" = String, description = "Its version; for the staff."),
        )),
        Refused, Missing,
        (status = 403, body = ErrorBody, description = "The API key has no scope for it."),
    ),
)]
pub(super) async fn read(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let ticket = visit.ticket(ticket_id(path)?).await?;
    let files = visit.store().attachments(ticket.id).await;
    let attachments = files.map_err(|error| visit.refused(&error.into()))?;
    Ok(told_ticket(&Detail { ticket: ticket.view(visit.audience()), attachments }))
}

/// Changes a ticket. For the staff.
#[utoipa::path(
    patch, path = "/v1/tickets/{id}", tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what was read, or `*`."),
        ("Penholder-Fence" = Option<String>, Header, description = "The fence of the pen under which it is written."),
    ),
    request_body = TicketPatchBody,
    responses(
        (status = 200, body = protocol::TicketDetail, headers(
            ("ETag" = String, description = "Its version."),
        )),
        Refused, Missing, Unfit,
        (status = 400, body = ErrorBody, description = "A header or the body cannot be read."),
        (status = 409, body = ErrorBody, description = "`stale_fence` or `pen_held` with `details.holder`, `invalid_transition`, `reopen_not_allowed`."),
        (status = 412, body = ErrorBody, description = "`stale_version`, with `details.version`."),
    ),
)]
pub(super) async fn update(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let condition = (visit.version()?, visit.fence()?);
    let patch: TicketPatch = body.read()?;
    let changes = patch.check().map_err(|refusal| refused::refusal_answer(&refusal))?;
    let id = ticket_id(path)?;
    visit.approach_as_staff(id).await?;
    let mut work = visit.begin().await?;
    let written = match work.update(id, &changes, condition).await {
        Ok(Updated::Written(ticket)) => visit.detail(&mut work, (StatusCode::OK, &ticket)).await,
        Ok(Updated::Held { holder }) => {
            // The ticket is as it was, and the staff is told of the collision.
            return Err(visit.finish_refused(work, refused::held(&holder)).await);
        }
        Err(error) => Err(error),
    };
    visit.finish(work, written).await
}

/// Takes a ticket away, with all that belongs to it. For the staff.
#[utoipa::path(
    delete, path = "/v1/tickets/{id}", tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what was read, or `*`."),
    ),
    responses(
        (status = 204, description = "It is gone."),
        Refused, Missing,
        (status = 400, body = ErrorBody, description = "A header cannot be read."),
        (status = 412, body = ErrorBody, description = "`stale_version`, with `details.version`."),
    ),
)]
pub(super) async fn delete(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let version = visit.version()?;
    let id = ticket_id(path)?;
    visit.approach_as_staff(id).await?;
    visit.delete((id, version)).await
}
