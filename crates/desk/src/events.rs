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

use penholder_lease::{Event as PenEvent, StoreMs};
use penholder_ticket::{Audience, EventName};

pub(crate) use self::append::{Appended, Batch, append, lock_counters};
use crate::error::StoreError;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, execute, rows};

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

/// How long the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// In milliseconds.
    pub keep_ms: u64,
    /// Most events of one topic, those of its pen counted.
    pub per_topic: u64,
}

impl Default for Retention {
    /// 30 days, 10 000 events of a topic.
    fn default() -> Self {
        Self { keep_ms: 30 * 24 * 60 * 60 * 1000, per_topic: 10_000 }
    }
}

/// Events that are forgotten in one transaction, at most.
const PRUNE_AT_ONCE: u64 = 500;

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
        // What is missing in between was pruned while this was read, or the pen's log is kept for less long.
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

/// Returns up to `limit` topics behind one in order of which something is to be forgotten, and up to which number.
pub(crate) async fn overdue(
    connection: &mut Connection<'_>,
    retention: Retention,
    now: StoreMs,
    (after, limit): (&str, u32),
) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(rows!(
        connection,
        fetch_all,
        "SELECT topic, max(upto) FROM (
             SELECT topic, seq - $2 AS upto FROM topics WHERE seq - pruned > $2
             UNION ALL
             SELECT topic, max(seq_staff) FROM event_topics WHERE occurred_ms <= $1 GROUP BY topic
         ) AS due WHERE topic > $3 GROUP BY topic ORDER BY topic LIMIT $4",
        signed(now.before(retention.keep_ms).0),
        signed(retention.per_topic),
        after,
        i64::from(limit),
    ))
}

/// What was forgotten of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// How many events.
    pub(crate) count: u64,
    /// Whether that was all.
    pub(crate) is_done: bool,
}

/// Forgets a topic's first events, those of its pen among them, as many as one transaction may hold up the writers for,
/// but none after a number. The writes that no topic has any more go with them. What consumers wait for is gone for the topic,
/// and stays for them until it is as old as the log may be.
///
/// Cost: in proportion to what is forgotten, however much stays.
pub(crate) async fn prune(
    connection: &mut Connection<'_>,
    topic: &str,
    upto: i64,
) -> Result<Pruned, StoreError> {
    let first: Option<(i64, Option<i64>, Option<i64>)> = rows!(
        connection,
        fetch_optional,
        "SELECT h.pruned,
             (SELECT min(seq_staff) FROM event_topics WHERE topic = $1 AND seq_staff > h.pruned),
             (SELECT min(seq) FROM pen_log WHERE topic = $1 AND seq > h.pruned)
         FROM topics AS h WHERE h.topic = $1",
        topic,
    );
    let Some((pruned, told, of_pen)) = first else {
        return Ok(Pruned { count: 0, is_done: true });
    };
    // Numbers have no gaps, so there are as many events at most.
    let first = told.into_iter().chain(of_pen).min().unwrap_or(upto);
    let last = first.saturating_add(signed(PRUNE_AT_ONCE) - 1).min(upto);
    let count = forget(connection, topic, (pruned, last)).await?;
    // Last, since it keeps all others from writing to the topic.
    execute!(
        connection,
        "UPDATE topics SET pruned = $2 WHERE topic = $1 AND pruned < $2",
        topic,
        last,
    );
    Ok(Pruned { count, is_done: last >= upto })
}

/// Forgets the events of a topic after a number and up to another; returns how many.
async fn forget(
    connection: &mut Connection<'_>,
    topic: &str,
    (after, last): (i64, i64),
) -> Result<u64, StoreError> {
    let events: Vec<(String,)> = rows!(
        connection,
        fetch_all,
        "SELECT event_id FROM event_topics WHERE topic = $1 AND seq_staff > $2 AND seq_staff <= $3
         ORDER BY seq_staff",
        topic,
        after,
        last,
    );
    if let Connection::Postgres(connection) = connection {
        // Whoever sends one of them again has it locked. The statements that follow see what that has entered.
        let ids: Vec<_> = events.iter().map(|(event,)| event.as_str()).collect();
        let told = sqlx::query("SELECT FROM event_log WHERE id = ANY($1) ORDER BY id FOR UPDATE");
        told.bind(ids).execute(&mut **connection).await?;
        let of_pen = sqlx::query(
            "SELECT FROM pen_log WHERE topic = $1 AND seq > $2 AND seq <= $3 ORDER BY id FOR UPDATE",
        );
        of_pen.bind(topic).bind(after).bind(last).execute(&mut **connection).await?;
    }
    execute!(
        connection,
        "DELETE FROM event_topics WHERE topic = $1 AND seq_staff > $2 AND seq_staff <= $3",
        topic,
        after,
        last,
    );
    for (event,) in &events {
        execute!(
            connection,
            "DELETE FROM event_log
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM event_topics WHERE event_id = $1)
                 AND NOT EXISTS (
                     SELECT 1 FROM deliveries WHERE event_id = $1 AND state <> 'delivered')",
            event,
        );
    }
    let of_pen = execute!(
        connection,
        "DELETE FROM pen_log WHERE topic = $1 AND seq > $2 AND seq <= $3
             AND NOT EXISTS (
                 SELECT 1 FROM deliveries WHERE event_id = pen_log.id AND state <> 'delivered')",
        topic,
        after,
        last,
    );
    Ok(events.len() as u64 + of_pen)
}
