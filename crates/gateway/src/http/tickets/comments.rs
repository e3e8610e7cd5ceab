//! Comments and notes.

use std::collections::HashMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use penholder_desk::{Listed, TicketError};
use penholder_lease::Role;
use penholder_protocol::{self as protocol, ErrorCode};
use penholder_ticket::{
    Attachment, Comment, CommentDraft, CommentId, CommentView, Refusal, Ticket, content,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::body::JsonBody;
use super::super::describe::{Missing, Refused, Unfit};
use super::super::error::{ApiError, ErrorBody};
use super::list::Part;
use super::refused;
use super::ticket::FileBody;
use super::visit::{Begun, Started, Visit, answer, comment_id, done, ticket_id, told};
use crate::auth::Capability;

/// A comment to make.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) struct CommentBody {
    /// 1 to 10 000 characters.
    #[schema(min_length = 1, max_length = 10_000)]
    content: String,
    /// What it answers: a comment of the same ticket.
    parent_id: Option<String>,
    /// Whether it is for the staff only; `false` where absent. For the staff.
    #[schema(nullable = false)]
    is_internal: Option<bool>,
    /// At most 3 files.
    #[schema(max_items = 3, nullable = false)]
    attachments: Option<Vec<FileBody>>,
}

/// What a comment is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentPatchBody {
    /// 1 to 10 000 characters.
    #[schema(min_length = 1, max_length = 10_000)]
    content: String,
}

/// A comment with its files.
#[derive(Debug, Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    comment: CommentView<'a>,
    attachments: Vec<Attachment>,
}

/// A page of comments, the oldest first.
#[derive(Debug, Serialize)]
struct Page<'a> {
    data: Vec<Detail<'a>>,
    next_cursor: Option<String>,
}

/// A page of comments, the oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is put together from the domain's own")]
pub(super) struct CommentPage {
    data: Vec<protocol::TicketCommentDetail>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Which part of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read by hand")]
pub(super) struct CommentQuery {
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// Lists the comments of a ticket that the caller may see.
#[utoipa::path(
    get, path = "/v1/tickets/{id}/comments", tag = "tickets",
    params(("id" = String, Path, description = "The ticket."), CommentQuery),
    responses(
        (status = 200, body = CommentPage),
        Refused, Missing, Unfit,
        (status = 403, body = ErrorBody, description = "The API key has no scope for it."),
    ),
)]
pub(super) async fn list(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let part = Part::read(query.as_deref().unwrap_or_default(), "comments")?;
    let page = part.page()?;
    let id = ticket_id(path)?;
    visit.approach(id).await?;
    let listed = visit.store().comments(id, visit.audience(), &page).await;
    let Listed { items, next_cursor } = listed.map_err(|error| visit.refused(&error))?;
    let files = visit.store().attachments_of(&items).await;
    let mut files = by_comment(files.map_err(|error| visit.refused(&error.into()))?);
    let detail = |comment: &Comment| files.remove(&comment.id).unwrap_or_default();
    let files: Vec<_> = items.iter().map(detail).collect();
    let both = items.iter().zip(files);
    let data = both.map(|(it, attachments)| Detail { comment: it.view(), attachments }).collect();
    Ok(told(&Page { data, next_cursor: part.next(next_cursor) }))
}

fn by_comment(files: Vec<Attachment>) -> HashMap<CommentId, Vec<Attachment>> {
    let mut by_comment: HashMap<_, Vec<_>> = HashMap::new();
    for file in files {
        if let Some(comment) = file.comment_id {
            by_comment.entry(comment).or_default().push(file);
        }
    }
    by_comment
}

/// Comments on a ticket.
#[utoipa::path(
    post, path = "/v1/tickets/{id}/comments", tag = "tickets",
    params(("id" = String, Path, description = "The ticket.")),
    request_body = CommentBody,
    responses(
        (status = 201, body = protocol::TicketCommentDetail),
        Refused, Missing, Unfit,
        (status = 403, body = ErrorBody, description = "The caller may only read the ticket, or the note is not for them to make."),
        (status = 409, body = ErrorBody, description = "`ticket_closed`, `request_in_progress`."),
    ),
)]
pub(super) async fn create(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let draft: CommentDraft = body.read()?;
    let new = draft.check().map_err(|refusal| refused::refusal_answer(&refusal))?;
    let id = ticket_id(path)?;
    if visit.require_staff().is_err() && !may_comment(&visit, &visit.ticket(id).await?) {
        return Err(ErrorCode::NotAuthorized.into());
    }
    let mut work = match visit.begin_once(&body).await? {
        Begun::Work(work) => work,
        Begun::Answered(response) => return Ok(response),
    };
    let made = match work.comment(id, new).await {
        Ok(comment) => detail(&mut work, (StatusCode::CREATED, &comment)).await,
        Err(error) => Err(error),
    };
    visit.finish(work, made).await
}

/// Whether somebody who is not staff and sees a ticket may comment on it: its owner, a guest whose token names it, and
/// whoever may edit it.
fn may_comment(visit: &Visit, ticket: &Ticket) -> bool {
    visit.owns(ticket) || visit.role() == Role::Guest || visit.is_named(ticket, Capability::Edit)
}

async fn detail(
    work: &mut Started,
    (status, comment): (StatusCode, &Comment),
) -> Result<penholder_desk::StoredAnswer, TicketError> {
    let attachments = work.attachments((comment.ticket_id, Some(comment.id))).await?;
    Ok(answer(status, &Detail { comment: comment.view(), attachments }))
}

/// Lets a comment say something else. For its author, and administrators.
#[utoipa::path(
    patch, path = "/v1/comments/{id}", tag = "tickets",
    params(("id" = String, Path, description = "The comment.")),
    request_body = CommentPatchBody,
    responses((status = 200, body = protocol::TicketCommentDetail), Refused, Missing, Unfit),
)]
pub(super) async fn update(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let CommentPatchBody { content: text } = body.read()?;
    let refuse = |refusal: Refusal| refused::refusal_answer(&refusal);
    let text = content(text).map_err(refuse)?;
    let id = comment_id(path)?;
    approach(&visit, id).await?;
    let mut work = visit.begin().await?;
    let written = match work.edit_comment(id, text).await {
        Ok(comment) => detail(&mut work, (StatusCode::OK, &comment)).await,
        Err(error) => Err(error),
    };
    visit.finish(work, written).await
}

/// Takes a comment away; what answers it stays. For its author, and administrators.
#[utoipa::path(
    delete, path = "/v1/comments/{id}", tag = "tickets",
    params(("id" = String, Path, description = "The comment.")),
    responses(
        (status = 204, description = "It is gone."),
        Refused, Missing,
    ),
)]
pub(super) async fn delete(
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = comment_id(path)?;
    approach(&visit, id).await?;
    let mut work = visit.begin().await?;
    let gone = work.delete_comment(id).await;
    visit.finish(work, gone.map(|()| done())).await
}

/// Makes sure that somebody may see a comment and its ticket.
async fn approach(visit: &Visit, id: CommentId) -> Result<(), ApiError> {
    let found = visit.store().comment(id, visit.audience()).await;
    let comment = found.map_err(|error| visit.refused(&error))?;
    visit.approach(comment.ticket_id).await
}
