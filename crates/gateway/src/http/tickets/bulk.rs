//! Many tickets at once, all of them or none.

use axum::http::StatusCode;
use axum::response::Response;
use penholder_protocol::{
    self as protocol, ErrorCode, TicketCategory, TicketPriority, TicketStatus,
};
use penholder_ticket::{BULK_LEN_MAX, BulkPatch, Refusal, TicketId, bulk_ids};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::body::JsonBody;
use super::super::describe::{Refused, Unfit};
use super::super::error::{ApiError, ErrorBody};
use super::refused;
use super::visit::{Begun, Visit, answer};

/// What is to be different about which tickets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkBody {
    /// 1 to 100 tickets.
    #[schema(min_items = 1, max_items = 100)]
    ids: Vec<String>,
    /// The changes.
    #[schema(value_type = BulkChangesBody)]
    changes: BulkPatch,
}

/// What is to be different about each of them. What is absent stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) struct BulkChangesBody {
    /// Category.
    #[schema(nullable = false)]
    category: Option<TicketCategory>,
    /// Priority.
    #[schema(nullable = false)]
    priority: Option<TicketPriority>,
    /// Status; a change that the machine does not have is refused.
    #[schema(nullable = false)]
    status: Option<TicketStatus>,
    /// Assignee; null takes the tickets away from whoever has them.
    #[schema(min_length = 1, max_length = 255)]
    assigned_to_id: Option<String>,
}

/// The tickets that are different now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkUpdated {
    #[schema(value_type = Vec<protocol::Ticket>)]
    data: Vec<Value>,
}

/// Changes many tickets, all of them or none. For the staff.
#[utoipa::path(
    post, path = "/v1/tickets/bulk", tag = "tickets", request_body = BulkBody,
    responses(
        (status = 200, body = BulkUpdated),
        Refused, Unfit,
        (status = 404, body = ErrorBody, description = "One of them is not there: `details.refused` has each that is refused."),
        (status = 409, body = ErrorBody, description = "`invalid_transition`, `reopen_not_allowed`, `pen_held` with `details.ticket_id`, and in `details.refused` each that is refused; `request_in_progress`."),
    ),
)]
pub(super) async fn update(visit: Visit, body: JsonBody) -> Result<Response, ApiError> {
    let BulkBody { ids, changes } = body.read()?;
    let refuse = |refusal: Refusal| refused::refusal_answer(&refusal);
    let changes = changes.check().map_err(refuse)?;
    // One more than there may be is refused like any number of them.
    let read = ids.iter().take(BULK_LEN_MAX + 1).map(|id| TicketId::parse(id));
    let (known, unknown): (Vec<_>, Vec<_>) = read.partition(Option::is_some);
    let known: Vec<TicketId> = known.into_iter().flatten().collect();
    if known.len() + unknown.len() > BULK_LEN_MAX || ids.is_empty() {
        bulk_ids(&[]).map_err(refuse)?;
    }
    visit.require_staff()?;
    if !unknown.is_empty() {
        return Err(ErrorCode::NotFound.into());
    }
    let ids = bulk_ids(&known).map_err(refuse)?;
    let mut work = match visit.begin_once(&body).await? {
        Begun::Work(work) => work,
        Begun::Answered(response) => return Ok(response),
    };
    let written = work.update_many(&ids, &changes).await;
    let updated = written.map(|tickets| {
        let data = tickets.iter().map(|ticket| json!(ticket.view(visit.audience()))).collect();
        answer(StatusCode::OK, &BulkUpdated { data })
    });
    visit.finish(work, updated).await
}
