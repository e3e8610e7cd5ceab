//! What a trace has caused, as consumers of the event log are told of it.

use axum::extract::State;
use axum::response::Response;
use penholder_desk::{Page, PenChange, TracedEvent};
use penholder_protocol::ErrorCode;
use penholder_ticket::{Audience, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::super::describe::{Refused, Unfit};
use super::super::error::ApiError;
use super::super::page;
use super::super::query::{Params, illegal};
use super::refused;
use super::visit::told;
use crate::app::App;
use crate::auth::Caller;

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct TraceQuery {
    /// The id of a trace, 32 hexadecimal digits: the second part of a `traceparent`.
    #[param(pattern = "^[0-9a-f]{32}$")]
    trace_id: String,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// A write, as the log has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogEvent {
    /// What was done to what: `ticket.updated`.
    event_name: String,
    /// When, ISO 8601.
    occurred_at: String,
    /// Who did it; absent where nobody was signed in, as for a guest, and where the clock did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_id: Option<String>,
    target: LogTarget,
    /// Which event.
    id: String,
    /// The topic of what was written; absent where it has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// Its number there, for the staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// What has happened to a pen, and why; absent of anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<LogPenChange>,
}

/// What an event of a pen says beside the pen.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogPenChange {
    /// What has happened.
    #[schema(example = "taken_over")]
    r#type: String,
    /// Why.
    #[schema(example = "taken_over")]
    rule: String,
    /// What they said, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What was written.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogTarget {
    /// Which.
    id: String,
    /// What sort of thing: `Ticket`.
    r#type: String,
    /// What it is now; of what is gone, what it was.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// What it was; null where it is new.
    #[schema(value_type = Option<Object>)]
    previous_data: Option<Map<String, Value>>,
}

/// A page of events, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogEventPage {
    data: Vec<LogEvent>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists what a trace has written. For the staff, and keys of the scope `events:read`.
#[utoipa::path(
    get, path = "/v1/events", tag = "tickets", params(TraceQuery),
    responses((status = 200, body = LogEventPage), Refused, Unfit),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Result<Params<TraceQuery>, ApiError>,
) -> Result<Response, ApiError> {
    let may = match &caller {
        Caller::Person(identity) => identity.grants.is_staff(),
        Caller::Backend(backend) => backend.reads_events(),
    };
    if !may {
        return Err(ErrorCode::NotAuthorized.into());
    }
    let Params(TraceQuery { trace_id, cursor, limit }) = query?;
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if trace_id.len() != 32 || !trace_id.bytes().all(is_hex) {
        return Err(illegal("trace_id", "32 hexadecimal digits, in lower case"));
    }
    let refuse = |error| refused::answer(&error, Audience::Staff);
    let page = Page::new(page::limit(limit)?, cursor.as_deref()).map_err(refuse)?;
    let listed = app.tickets.store().traced(&trace_id, &page).await.map_err(refuse)?;
    let data = listed.items.into_iter().map(shown).collect();
    Ok(told(&LogEventPage { data, next_cursor: listed.next_cursor }))
}

fn shown(event: TracedEvent) -> LogEvent {
    let (topic, seq) = event.place.unzip();
    LogEvent {
        event_name: format!("{}.{}", event.entity, event.op),
        occurred_at: Moment(event.at).to_string(),
        identity_id: event.by,
        target: LogTarget {
            id: event.entity_id,
            r#type: upper_camel(&event.entity),
            data: camel_keys(event.row),
            previous_data: event.previous.map(camel_keys),
        },
        id: event.id.to_string(),
        topic,
        seq,
        change: event.change.map(|PenChange { kind, rule, reason }| LogPenChange {
            r#type: kind,
            rule,
            reason,
        }),
    }
}

/// Returns an object with its own keys, but not those within, as `lowerCamel`.
fn camel_keys(row: Value) -> Map<String, Value> {
    let Value::Object(fields) = row else { return Map::new() };
    fields.into_iter().map(|(key, value)| (lower_camel(&key), value)).collect()
}

fn upper_camel(snake: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    snake.split('_').filter_map(capital).collect()
}

fn lower_camel(snake: &str) -> String {
    match snake.split_once('_') {
        Some((first, rest)) => first.to_owned() + &upper_camel(rest),
        None => snake.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_camels_at_the_top_alone() {
        let row = serde_json::json!({"assigned_to_id": {"a_b": 1}, "id": 2});
        let expected = serde_json::json!({"assignedToId": {"a_b": 1}, "id": 2});
        assert_eq!(Value::Object(camel_keys(row)), expected);
        assert_eq!(upper_camel("ticket_thing"), "TicketThing");
    }
}
