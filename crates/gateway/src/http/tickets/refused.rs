//! What callers are told of what does not happen to a ticket.

use penholder_desk::{RefusedTicket, TicketError, WhyNot};
use penholder_hub::brief;
use penholder_lease::Person;
use penholder_protocol::ErrorCode;
use penholder_ticket::{Audience, Field, Refusal};
use serde_json::json;

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
        TicketError::Refused(refusal) => refusal_answer(refusal),
        TicketError::RefusedOfMany { first, all } => of_many(first, all),
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

/// Returns the answer for many tickets of which some are refused: that of the first, and what each would be answered
/// alone.
fn of_many(first: &RefusedTicket, all: &[RefusedTicket]) -> ApiError {
    let error = of_one(&first.why);
    let named = |it: &RefusedTicket| {
        let mut body = json!(of_one(&it.why).parts().1);
        body["ticket_id"] = it.ticket.to_string().into();
        body
    };
    let mut details = error.parts().1.details().cloned().unwrap_or_else(|| json!({}));
    details["ticket_id"] = first.ticket.to_string().into();
    details["refused"] = all.iter().map(named).collect();
    error.with_details(details)
}

fn of_one(why: &WhyNot) -> ApiError {
    match why {
        WhyNot::NotFound => ErrorCode::NotFound.into(),
        WhyNot::Held { holder } => held(holder),
        WhyNot::Refused(refusal) => refusal_answer(refusal),
    }
}

/// Returns the answer for a refusal.
pub(super) fn refusal_answer(refusal: &Refusal) -> ApiError {
    let code = refusal.code().parse().unwrap_or(ErrorCode::Internal);
    let (message, details) = match refusal {
        Refusal::Invalid { field, rule } => {
            let field = name(*field);
            (format!("{field}: {rule}"), json!({ "field": field, "rule": rule }))
        }
        Refusal::InvalidTransition { from, to } => {
            (refusal.to_string(), json!({ "from": from, "to": to }))
        }
        Refusal::ReopenNotAllowed | Refusal::TicketClosed | Refusal::NotAuthorized => {
            return ApiError::new(code, code.message());
        }
    };
    ApiError::new(code, message).with_details(details)
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
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_refusal_has_a_code_of_the_protocol() {
        for field in Field::ALL {
            let refusal = Refusal::Invalid { field: *field, rule: "so" };
            let (status, _) = refusal_answer(&refusal).parts();
            assert_eq!(status.as_u16(), 422, "{field}");
        }
        for refusal in [Refusal::ReopenNotAllowed, Refusal::TicketClosed] {
            assert_eq!(refusal_answer(&refusal).parts().0.as_u16(), 409, "{refusal}");
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
