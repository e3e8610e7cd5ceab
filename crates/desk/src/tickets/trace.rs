//! What one trace has caused.

use penholder_lease::StoreMs;
use penholder_ticket::EventId;
use serde_json::Value;

use super::error::TicketError;
use super::list::{Listed, Position};
use super::{Page, Tickets};
use crate::statement::{from_row, rows};

/// A row of the log, as it is shown to those who may see everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedEvent {
    /// Which.
    pub id: EventId,
    /// What sort of row was written: `ticket`, `comment`, `collision`, `pen`.
    pub entity: String,
    /// Which.
    pub entity_id: String,
    /// What was done to it: `created`, `updated`, `deleted`.
    pub op: String,
    /// The row after it; of one that is gone, before.
    pub row: Value,
    /// The row before it.
    pub previous: Option<Value>,
    /// By whom; none where nobody was signed in, as for a guest, and where the clock did it.
    pub by: Option<String>,
    /// When.
    pub at: StoreMs,
    /// The topic of what was written, and the number there for the staff; none where it has no topic of its own.
    pub place: Option<(String, u64)>,
    /// What has happened to a pen, and why; none of anything else.
    pub change: Option<PenChange>,
}

/// What an event of a pen says beside the pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PenChange {
    /// What has happened: `granted`, `released`.
    pub kind: String,
    /// Why: `free`, `taken_over`.
    pub rule: String,
    /// What they said.
    pub reason: Option<String>,
}

from_row!(TracedEvent, |row| {
    let wrong = |what: String| sqlx::Error::Decode(what.into());
    let json = |text: &str| {
        serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    let number = |number: i64| u64::try_from(number).map_err(|error| wrong(error.to_string()));
    let id: String = row.try_get("id")?;
    let previous: Option<String> = row.try_get("previous_data")?;
    let topic: Option<String> = row.try_get("topic")?;
    let seq: Option<i64> = row.try_get("seq")?;
    let by: Option<String> = row.try_get("identity_id")?;
    let is_signed_in: i64 = row.try_get("is_signed_in")?;
    let (kind, rule): (Option<String>, Option<String>) =
        (row.try_get("change")?, row.try_get("rule")?);
    let reason = row.try_get("reason")?;
    let place = |(topic, seq)| -> sqlx::Result<_> { Ok((topic, number(seq)?)) };
    Ok(Self {
        id: EventId::parse(&id).ok_or_else(|| wrong(format!("no id: {id:?}")))?,
        entity: row.try_get("entity_type")?,
        entity_id: row.try_get("entity_id")?,
        op: row.try_get("op")?,
        row: json(&row.try_get::<String, _>("data")?)?,
        previous: previous.as_deref().map(json).transpose()?,
        by: by.filter(|_| is_signed_in != 0),
        at: StoreMs(number(row.try_get("occurred_ms")?)?),
        place: topic.zip(seq).map(place).transpose()?,
        change: kind.zip(rule).map(|(kind, rule)| PenChange { kind, rule, reason }),
    })
});

impl Tickets {
    /// Reads a page of what a trace has written, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`](crate::StoreError).
    pub async fn traced(
        &self,
        trace_id: &str,
        page: &Page,
    ) -> Result<Listed<TracedEvent>, TicketError> {
        let (ms, id) = page.start();
        let found: Vec<TracedEvent> = rows!(
            &mut self.pens.reader().await?.connection(),
            fetch_all,
            "SELECT id, entity_type, entity_id, op, data, previous_data, identity_id, is_signed_in,
                 occurred_ms, topic, seq, change, rule, reason
             FROM written WHERE trace_id = $1 AND (occurred_ms, id) > ($2, $3)
             ORDER BY occurred_ms, id LIMIT $4",
            trace_id,
            ms,
            id,
            page.one_more(),
        );
        Ok(Listed::new(found, page, |event| Position { at: event.at, id: event.id.to_string() }))
    }
}
