//! A topic's stream as a shard follows it: every event in order, with what each audience hears of it.

use penholder_ticket::EventName;

use crate::answer::Logged;
use crate::error::StoreError;
use crate::events::{Told, numbered};
use crate::row::{signed, unsigned};
use crate::statement::{Connection, rows};

/// A place in a topic's stream: behind so many events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// How many there were: the number of the last for the staff.
    pub seq: u64,
    /// How many of them were the staff's alone. For the public the last has `seq` less these.
    pub staff_only: u64,
}

/// Something that has happened on a topic, as it is told to both audiences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// To a ticket.
    Ticket(Told),
    /// To the pen.
    Pen(Logged),
}

impl Entry {
    /// Returns its number for the staff.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Ticket(told) => told.seq_staff,
            Self::Pen(logged) => logged.seq,
        }
    }
}

/// A part of a topic's stream, without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins: behind what whoever asked has heard, or later where the log does not reach back so far.
    pub after: Position,
    /// What follows, in order.
    pub entries: Vec<Entry>,
}

/// What everybody hears, each with the number of the staff.
const BOTH: &str = "
    SELECT seq, name, staff, public_seq, public FROM (
        SELECT t.seq_staff AS seq, e.event AS name, coalesce(t.staff_body, e.staff_body) AS staff,
            t.seq_public AS public_seq, coalesce(t.public_body, e.public_body) AS public
        FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id
        WHERE t.topic = $1 AND t.seq_staff > $2
        UNION ALL
        SELECT p.seq, CAST(NULL AS text), CAST(p.body AS text), CAST(NULL AS bigint), CAST(NULL AS text)
        FROM pen_log AS p WHERE p.topic = $1 AND p.seq > $2
    ) AS log ORDER BY seq LIMIT $3";

/// Where a topic is, up to which number its log is gone, and how many events behind a number were the staff's alone.
const POSITION: &str = "
    SELECT seq, staff_only, pruned, (
        SELECT count(*) FROM event_topics AS t
        WHERE t.topic = $1 AND t.seq_public IS NULL AND t.seq_staff > $2
    ) FROM topics WHERE topic = $1";

/// A row of [`BOTH`]: an event without a name is one of the pen.
type Row = (i64, Option<String>, String, Option<i64>, Option<String>);

/// Returns where a topic's stream has got to.
pub(crate) async fn position(
    connection: &mut Connection<'_>,
    topic: &str,
) -> Result<Position, StoreError> {
    let (last, _, _) = look(connection, topic, u64::MAX).await?;
    Ok(last)
}

/// Reads up to `limit` events with numbers larger than `after`. Where some of those are not kept any more it
/// begins behind them.
pub(crate) async fn stretch(
    connection: &mut Connection<'_>,
    topic: &str,
    after: u64,
    limit: u32,
) -> Result<Stretch, StoreError> {
    let (mut after, mut end) = (after, None);
    loop {
        let found: Vec<Row> =
            rows!(connection, fetch_all, BOTH, topic, signed(after), i64::from(limit));
        let Some((first, ..)) = found.first() else {
            if let Some(after) = end {
                return Ok(Stretch { after, entries: Vec::new() });
            }
            // Read once more: what is written between the two reads must not seem to be gone.
            let last = position(connection, topic).await?;
            if last.seq <= after {
                return Ok(Stretch { after: last, entries: Vec::new() });
            }
            end = Some(last);
            continue;
        };
        let start = unsigned(*first)?.saturating_sub(1);
        let (last, pruned, later) = look(connection, topic, start).await?;
        if pruned > start {
            // It went while it was read, and what was the staff's alone cannot be counted any more.
            after = pruned;
            continue;
        }
        let staff_only = last.staff_only.saturating_sub(later);
        let mut entries = Vec::with_capacity(found.len());
        for (row, expected) in found.into_iter().zip(start + 1..) {
            if unsigned(row.0)? != expected {
                break;
            }
            entries.push(entry(topic, row)?);
        }
        return Ok(Stretch { after: Position { seq: start, staff_only }, entries });
    }
}

/// Returns where a topic is, up to which number its log is gone, and how many events behind `after` were the
/// staff's alone.
async fn look(
    connection: &mut Connection<'_>,
    topic: &str,
    after: u64,
) -> Result<(Position, u64, u64), StoreError> {
    let found: Option<(i64, i64, i64, i64)> =
        rows!(connection, fetch_optional, POSITION, topic, signed(after));
    let (seq, staff_only, pruned, later) = found.unwrap_or_default();
    let position = Position { seq: unsigned(seq)?, staff_only: unsigned(staff_only)? };
    Ok((position, unsigned(pruned)?, unsigned(later)?))
}

fn entry(topic: &str, (seq, name, staff, public_seq, public): Row) -> Result<Entry, StoreError> {
    let seq = unsigned(seq)?;
    let Some(name) = name else {
        let event = serde_json::from_str(&staff);
        let event = event.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        return Ok(Entry::Pen(Logged { seq, event }));
    };
    let name = EventName::from_word(&name)
        .ok_or_else(|| sqlx::Error::Decode(format!("no event: {name}").into()))?;
    let public = match (public_seq, public) {
        (Some(seq), Some(body)) => {
            let seq = unsigned(seq)?;
            Some((seq, numbered(seq, &body)))
        }
        _ => None,
    };
    let topic = topic.to_owned();
    Ok(Entry::Ticket(Told { topic, name, seq_staff: seq, staff: numbered(seq, &staff), public }))
}
