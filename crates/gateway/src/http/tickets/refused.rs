//! What callers are told of what does not happen to a ticket.

use penholder_desk::TicketError;
use penholder_hub::brief;
use penholder_lease::Person;
use penholder_protocol::ErrorCode;
use penholder_ticket::{Audience, BulkRefusal, Field, Refusal};
use serde_json::{Value, json};

use super::super::error::ApiError;
use crate::pens::{log_away, refused};

/// Returns the answer for an error of the tickets, as far as an audience may know of it.
pub(super) fn answer(error: &TicketError, audience: Audience) -> ApiError {
    match error {
        TicketError::NotFound => ErrorCode::NotFound.into(),
        // The public knows of no versions.
        TicketError::StaleVersion { .. } if audience == Audience::Public => {
            ErrorCode::StaleVersion.into()
        }
        TicketError::StaleVersion { version } => {
            ApiError::from(ErrorCode::StaleVersion).with_details(json!({ "version": version }))
        }
        TicketError::StaleFence { holder } => ApiError::from(ErrorCode::StaleFence)
            .with_details(json!({ "holder": holder.as_ref().map(brief) })),
        TicketError::Refused(refusal) => refusal_answer(refusal, None),
        TicketError::RefusedOfMany(BulkRefusal { ticket, refusal }) => {
            refusal_answer(refusal, Some(ticket.to_string()))
        }
        TicketError::InvalidPage => ErrorCode::InvalidPage.into(),
        TicketError::Store(error) => {
            log_away(error);
            refused(error).into()
        }
    }
}

/// Returns the answer for somebody who writes while another holds the pen, where that is refused.
pub(super) fn held(holder: &Person) -> ApiError {
    ApiError::from(ErrorCode::PenHeld).with_details(json!({ "holder": brief(holder) }))
}

/// Returns the answer for a refusal; of many tickets, by the one that does not allow it.
pub(super) fn refusal_answer(refusal: &Refusal, ticket: Option<String>) -> ApiError {
    let code = refusal.code().parse().unwrap_or(ErrorCode::Internal);
    let (message, mut details) = match refusal {
        Refusal::Invalid { field, rule } => {
            let field = name(*field);
            (format!("{field}: {rule}"), json!({ "field": field, "rule": rule }))
        }
        Refusal::InvalidTransition { from, to } => {
            (refusal.to_string(), json!({ "from": from, "to": to }))
        }
        Refusal::ReopenNotAllowed | Refusal::TicketClosed | Refusal::NotAuthorized => {
            (code.message().to_owned(), json!({}))
        }
    };
    if let Some(ticket) = ticket {
        details["ticket_id"] = ticket.into();
    }
    let error = ApiError::new(code, message);
    if details.as_object().is_some_and(serde_json::Map::is_empty) {
        return error;
    }
    error.with_details(Value::clone(&details))
}

/// Returns what callers call a field.
fn name(field: Field) -> &'static str {
    match field {
        Field::Title => "title",
        Field::Description => "description",
        Field::Category => "category",
        Field::Priority => "priority",
        Field::Status => "status",
        Field::User => "user_id",
        Field::Guest => "guest",
        Field::Metadata => "metadata",
        Field::Attachments => "attachments",
        Field::Reason => "reason",
        Field::Content => "content",
        Field::Parent => "parent_id",
        Field::Assignee => "assigned_to_id",
        Field::Ids => "ids",
        Field::Name => "name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_code_of_the_protocol() {
        for field in Field::ALL {
            let refusal = Refusal::Invalid { field: *field, rule: "so" };
            let (status, _) = refusal_answer(&refusal, None).parts();
            assert_eq!(status.as_u16(), 422, "{field}");
        }
        for refusal in [Refusal::ReopenNotAllowed, Refusal::TicketClosed] {
            assert_eq!(refusal_answer(&refusal, None).parts().0.as_u16(), 409, "{refusal}");
        }
    }

    #[test]
    fn public_is_not_told_the_version() {
        let error = TicketError::StaleVersion { version: 7 };
        let body = |audience| json!(answer(&error, audience).parts().1);
        assert_eq!(body(Audience::Staff)["details"]["version"], 7);
        assert_eq!(body(Audience::Public)["details"], Value::Null);
    }
}
