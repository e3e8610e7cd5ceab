//! The event log: what was written, and what each topic was told of it, in order.
//!
//! A row of `event_log` is one write, but for those of pens, which are rows of `pen_log`; rows of `event_topics` are the topics that hear of it. Each topic has one
//! counter, `topics.seq`, which its pen's log counts on as well. It numbers what the staff hears. What the
//! public hears has that number less the events before it that were the staff's alone, so both numberings are
//! dense, and the public's is the same whatever the staff says among itself.
//!
//! Numbers are given out last thing before the commit, with the counters locked in one order until then: so they are in
//! the order of commits, and two writers never wait for each other in a ring. A row that is rolled back leaves no gap.

mod append;

use penholder_lease::Event as PenEvent;
use penholder_ticket::{Audience, EventName};

pub(crate) use self::append::{Appended, Batch, append, lock_counters, lock_to_count};
use crate::error::StoreError;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, rows};

/// The trace that a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The id of the trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// The whole `traceparent`, for those who go on with it.
    pub traceparent: String,
}

/// What a topic must be told of a write that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which topic.
    pub topic: String,
    /// What the event is called.
    pub name: EventName,
    /// Its number for the staff.
    pub seq_staff: u64,
    /// The payload for the staff, a JSON object with that number in it.
    pub staff: String,
    /// The number and payload for everybody else; none where it is the staff's alone.
    pub public: Option<(u64, String)>,
}

/// An event as it is read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number, in the numbering of whoever asked.
    pub seq: u64,
    /// What has happened.
    pub what: Happened,
}

/// What has happened on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Something to a ticket: the payload, a JSON object with the number in it.
    Ticket(String),
    /// Something to the pen.
    Pen(Box<PenEvent>),
}

/// What the log has after a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// The events that follow it, without a gap.
    Events {
        /// In order; as many as were asked for, or all there are.
        events: Vec<LoggedEvent>,
        /// The number of the topic's last event, at the time of reading or before.
        last: u64,
    },
    /// They are not all kept any more, or the topic was never so far: whoever asked has to read anew what
    /// there is.
    Reset {
        /// The number of the topic's last event.
        last: u64,
    },
}

/// Puts its number into a payload. The rest of it is the same for all who hear it.
pub(crate) fn numbered(seq: u64, body: &str) -> String {
    let fields = body.strip_prefix('{').expect("a payload is an object");
    format!("{{\"seq\":{seq},{fields}")
}

/// What the staff hears: of tickets, and of the pen. Numbers have no gaps, so none beyond $5 is wanted: without that bound each
/// page would sort all that follows it.
const STAFF: &str = "
    SELECT seq, body, pen FROM (
        SELECT t.seq_staff AS seq, coalesce(t.staff_body, e.staff_body) AS body,
            CAST(0 AS bigint) AS pen
        FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id
        WHERE t.topic = $1 AND t.seq_staff > $2 AND t.seq_staff > $4 AND t.seq_staff <= $5
        UNION ALL
        SELECT p.seq, CAST(p.body AS text), CAST(1 AS bigint) FROM pen_log AS p
        WHERE p.topic = $1 AND p.seq > $2 AND p.seq > $4 AND p.seq <= $5
    ) AS log ORDER BY seq LIMIT $3";

/// What the public hears. The log of pens has no public numbers. A pen's is its number less what was the
/// staff's alone before it: all of that there ever was, less what came after it, which is kept as long as it is.
const PUBLIC: &str = "
    SELECT seq, body, pen FROM (
        SELECT t.seq_public AS seq, coalesce(t.public_body, e.public_body) AS body,
            CAST(0 AS bigint) AS pen
        FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id
        WHERE t.topic = $1 AND t.seq_public > $2 AND t.seq_public <= $5 AND t.seq_staff > $4
        UNION ALL
        SELECT p.seq - (SELECT staff_only FROM topics WHERE topic = $1) + (
                SELECT count(*) FROM event_topics AS s
                WHERE s.topic = $1 AND s.seq_public IS NULL AND s.seq_staff > p.seq
            ), CAST(p.body AS text), CAST(1 AS bigint) FROM pen_log AS p
        WHERE p.topic = $1 AND p.seq > $2 AND p.seq > $4
            AND p.seq <= $5 + (SELECT staff_only FROM topics WHERE topic = $1)
    ) AS log WHERE seq > $2 AND seq <= $5 ORDER BY seq LIMIT $3";

/// Reads what a topic's audience has heard after a number.
pub(crate) async fn replay(
    connection: &mut Connection<'_>,
    (topic, audience): (&str, Audience),
    after: u64,
    limit: u32,
) -> Result<Replay, StoreError> {
    let head: Option<(i64, i64, i64)> = rows!(
        connection,
        fetch_optional,
        "SELECT seq, staff_only, pruned FROM topics WHERE topic = $1",
        topic,
    );
    let (seq, staff_only, pruned) = head.unwrap_or_default();
    let (last, sql) = match audience {
        Audience::Staff => (unsigned(seq)?, STAFF),
        Audience::Public => (unsigned(seq - staff_only)?, PUBLIC),
    };
    let upto = signed(after.saturating_add(u64::from(limit)));
    let found: Vec<(i64, String, i64)> =
        rows!(connection, fetch_all, sql, topic, signed(after), i64::from(limit), pruned, upto);
    let mut events = Vec::with_capacity(found.len());
    for ((seq, body, pen), expected) in found.into_iter().zip(after.saturating_add(1)..) {
        // What is missing in between was forgotten while this was read.
        if unsigned(seq)? != expected {
            break;
        }
        let what = if pen == 1 {
            let event = serde_json::from_str(&body);
            Happened::Pen(event.map_err(|error| sqlx::Error::Decode(Box::new(error)))?)
        } else {
            Happened::Ticket(numbered(expected, &body))
        };
        events.push(LoggedEvent { seq: expected, what });
    }
    if events.is_empty() && after != last && limit > 0 {
        return Ok(Replay::Reset { last });
    }
    Ok(Replay::Events { events, last })
}

/// Locks rows of the log, so that of those who finish with a row one sees that all have: those of writes first, then those
/// of pens, each by their ids.
pub(crate) async fn lock_rows(
    connection: &mut Connection<'_>,
    ids: &[&str],
) -> Result<(), StoreError> {
    let Connection::Postgres(connection) = connection else { return Ok(()) };
    for part in [
        "SELECT FROM event_log WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        "SELECT FROM pen_log WHERE id = ANY($1) ORDER BY id FOR UPDATE",
    ] {
        sqlx::query(part).bind(ids).execute(&mut **connection).await?;
    }
    Ok(())
}
