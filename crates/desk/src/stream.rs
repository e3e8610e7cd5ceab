//! A topic's stream as a shard follows it: every event in order, with what each audience hears of it.

use penholder_lease::{Claims, Pen, PersonId, StoreMs};
use penholder_ticket::{EventName, TicketId};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::answer::Logged;
use crate::error::StoreError;
use crate::events::{Told, numbered};
use crate::row::{Row as Leased, signed, unsigned};
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

/// A topic, all of it as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Where its stream has got to.
    pub at: Position,
    /// Its pen.
    pub pen: Pen,
    /// The ticket that was asked about, where there is one.
    pub ticket: Option<Owned>,
}

/// A ticket, as far as it matters whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Whose; nobody's where a guest has opened it.
    pub owner: Option<PersonId>,
}

/// Topics, their pens and tickets: one statement for all that are asked for, since thousands come back at once.
macro_rules! looks {
    ($asked:literal, $clock:literal) => {
        concat!(
            "SELECT ",
            $clock,
            ", h.seq, h.staff_only, t.id, t.user_id,
                 p.fence, p.since_ms, p.deadline_ms, p.active_ms, p.due_ms, p.claims
             FROM (",
            $asked,
            ") AS asked LEFT JOIN topics AS h ON h.topic = asked.topic
                 LEFT JOIN tickets AS t ON t.id = asked.ticket
                 LEFT JOIN pens AS p ON p.topic = asked.topic
             ORDER BY asked.n"
        )
    };
}

/// The clock, the topic, the ticket, and the columns of the lease.
type Looked = (
    i64,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<Json<Claims>>,
);

/// Where a topic is, how many of its events were the staff's alone from the first that is read on, and what everybody
/// hears, each with the number of the staff. One row without an event, where there is none.
///
/// One statement sees one moment: nothing is written or forgotten between its parts.
const STRETCH: &str = "
    WITH head AS (SELECT seq, staff_only, pruned FROM topics WHERE topic = $1),
    log AS (
        SELECT seq, name, staff, public_seq, public FROM (
            SELECT t.seq_staff AS seq, e.event AS name, coalesce(t.staff_body, e.staff_body) AS staff,
                t.seq_public AS public_seq, coalesce(t.public_body, e.public_body) AS public
            FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id
            WHERE t.topic = $1 AND t.seq_staff > $2 AND t.seq_staff > (SELECT pruned FROM head)
            UNION ALL
            SELECT p.seq, CAST(NULL AS text), CAST(p.body AS text), CAST(NULL AS bigint), CAST(NULL AS text)
            FROM pen_log AS p
            WHERE p.topic = $1 AND p.seq > $2 AND p.seq > (SELECT pruned FROM head)
        ) AS kept ORDER BY seq LIMIT $3
    )
    SELECT head.seq, head.staff_only, (
            SELECT count(*) FROM event_topics AS s WHERE s.topic = $1 AND s.seq_public IS NULL
                AND s.seq_staff >= (SELECT min(seq) FROM log)
        ), log.seq, log.name, log.staff, log.public_seq, log.public
    FROM head LEFT JOIN log ON 1 = 1 ORDER BY log.seq";

/// A row of [`STRETCH`]: an event without a name is one of the pen.
type Row =
    (i64, i64, i64, Option<i64>, Option<String>, Option<String>, Option<i64>, Option<String>);

/// Looks at topics, each with a ticket or without, in the order asked. `at` is the clock of this process, where it is
/// that of the store. What cannot be read of one takes none of the others with it.
pub(crate) async fn looks(
    connection: &mut Connection<'_>,
    asked: &[(&str, Option<TicketId>)],
    at: Option<StoreMs>,
) -> Result<Vec<Result<Look, StoreError>>, StoreError> {
    let (topics, tickets): (Vec<_>, Vec<_>) =
        asked.iter().map(|(topic, ticket)| (*topic, ticket.map(|id| id.to_string()))).unzip();
    Ok(match connection {
        Connection::Sqlite(connection) => {
            const SQL: &str = looks!(
                "SELECT key AS n, value ->> 0 AS topic, value ->> 1 AS ticket FROM json_each($1)",
                "$2"
            );
            let asked: Vec<_> = topics.into_iter().zip(tickets).collect();
            let query = sqlx::query(SQL).bind(serde_json::json!(asked).to_string());
            let query = query.bind(at.map(|at| signed(at.0)));
            read(&query.fetch_all(connection.connection()).await?)
        }
        Connection::Postgres(connection) => {
            // The time is as the statement came, so before it saw anything.
            const SQL: &str = looks!(
                "SELECT n, topic COLLATE \"C\" AS topic, ticket COLLATE \"C\" AS ticket
                 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS listed (topic, ticket, n)",
                "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
            );
            let query = sqlx::query(SQL).bind(topics).bind(tickets);
            read(&query.fetch_all(&mut **connection).await?)
        }
    })
}

fn read<'r, R: sqlx::Row>(rows: &'r [R]) -> Vec<Result<Look, StoreError>>
where
    Looked: FromRow<'r, R>,
{
    rows.iter().map(|row| look(Looked::from_row(row)?)).collect()
}

fn look(looked: Looked) -> Result<Look, StoreError> {
    let (at, seq, staff_only, id, owner, fence, since, deadline, active, due, claims) = looked;
    let lease = Leased::read_any((fence, since, deadline, active, due, claims))?.lease;
    let place = (seq.unwrap_or_default(), staff_only.unwrap_or_default());
    Ok(Look {
        at: position(place)?,
        pen: lease.view(StoreMs(unsigned(at)?)),
        ticket: id.map(|_| Owned { owner: owner.map(PersonId::from) }),
    })
}

/// Reads up to `limit` events with numbers larger than `after`. Where some of those are not kept any more it
/// begins behind them.
pub(crate) async fn stretch(
    connection: &mut Connection<'_>,
    topic: &str,
    after: u64,
    limit: u32,
) -> Result<Stretch, StoreError> {
    let found: Vec<Row> =
        rows!(connection, fetch_all, STRETCH, topic, signed(after), i64::from(limit));
    let Some((seq, staff_only, later, first, ..)) = found.first() else {
        return Ok(Stretch { after: Position::default(), entries: Vec::new() });
    };
    let Some(first) = first else {
        return Ok(Stretch { after: position((*seq, *staff_only))?, entries: Vec::new() });
    };
    let after = position((first - 1, staff_only - later))?;
    let mut entries = Vec::with_capacity(found.len());
    for (row, expected) in found.into_iter().zip(after.seq + 1..) {
        let (_, _, _, Some(seq), name, Some(staff), public_seq, public) = row else { break };
        // Nothing is told past a gap, whoever has made it.
        if unsigned(seq)? != expected {
            break;
        }
        entries.push(entry(topic, (expected, name, staff, public_seq.zip(public)))?);
    }
    Ok(Stretch { after, entries })
}

fn position((seq, staff_only): (i64, i64)) -> Result<Position, StoreError> {
    Ok(Position { seq: unsigned(seq)?, staff_only: unsigned(staff_only)? })
}

fn entry(
    topic: &str,
    (seq, name, staff, public): (u64, Option<String>, String, Option<(i64, String)>),
) -> Result<Entry, StoreError> {
    let Some(name) = name else {
        let event = serde_json::from_str(&staff);
        let event = event.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        return Ok(Entry::Pen(Logged { seq, event }));
    };
    let name = EventName::from_word(&name)
        .ok_or_else(|| sqlx::Error::Decode(format!("no event: {name}").into()))?;
    let public = match public {
        Some((seq, body)) => {
            let seq = unsigned(seq)?;
            Some((seq, numbered(seq, &body)))
        }
        None => None,
    };
    let topic = topic.to_owned();
    Ok(Entry::Ticket(Told { topic, name, seq_staff: seq, staff: numbered(seq, &staff), public }))
}
