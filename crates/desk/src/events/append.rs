//! Appends to the log: all events of a work, or of works that share a commit, in one statement, since the counter of a
//! topic that everybody counts on is locked from there to the commit.

mod together;

use std::collections::BTreeMap;

use penholder_lease::{Kind, Role, StoreMs};
use penholder_ticket::{ALL_TOPIC, Actor, Audience, Event, EventId, PERSON_TOPICS};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use self::together::keep_together;
use super::{Told, Trace, numbered};
use crate::consumers::outbox::{Entry, Known, Owed, Roster};
use crate::error::StoreError;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, Lite, Statement, Value};

/// What a work appends, and where it comes from.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) by: Actor,
    pub(crate) at: StoreMs,
    pub(crate) trace: Option<Trace>,
}

/// What was appended to the log of a batch.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    /// What the topics are owed.
    pub(crate) told: Vec<Told>,
    /// Whether consumers are owed anything.
    pub(crate) is_owed: bool,
}

/// A row of the log that is yet to be numbered.
#[derive(Debug)]
struct Line<'a> {
    id: String,
    /// Which batch it is of.
    batch: usize,
    source: &'a Batch,
    event: &'a Event,
    entity_id: String,
    data: String,
    previous: Option<String>,
    /// The topic of what was written: not that of all tickets, nor of a person.
    own_topic: Option<&'a str>,
    /// The consumers that want it.
    consumers: String,
}

/// Who has caused a row of the log, as it stands there.
struct Cause<'a> {
    person: &'a str,
    kind: &'static str,
    is_signed_in: i64,
    trace_id: Option<&'a str>,
    traceparent: Option<&'a str>,
}

/// The numbers of topics after everything: for the staff, and how many of them are the staff's alone.
type Numbers = BTreeMap<String, (u64, u64)>;

/// Appends batches to the log, one after the other, numbers their events, and enters what consumers are owed of them.
/// The counters stay locked until the transaction ends, so this is the last thing that it does. Returns what came of each.
pub(crate) async fn append(
    connection: &mut Connection<'_>,
    batches: &[Batch],
    known: &Known,
) -> Result<Vec<Appended>, StoreError> {
    let mut roster = known.roster(connection).await?;
    loop {
        let lines = lines(batches, &roster);
        let is_owed = lines.iter().any(|line| !line.consumers.is_empty());
        let kept = match connection {
            Connection::Sqlite(lite) => Ok(keep_one_by_one(lite, &lines, is_owed).await?),
            Connection::Postgres(connection) => keep_together(connection, &lines, &roster).await?,
        };
        match kept {
            Ok(mut told) => {
                told.sort_by_key(|(line, _)| *line);
                if is_owed {
                    owe(connection, &lines, &told).await?;
                }
                let mut all: Vec<_> = batches.iter().map(|_| Appended::default()).collect();
                for (line, told) in told {
                    let appended = &mut all[lines[line].batch];
                    appended.is_owed |= !lines[line].consumers.is_empty();
                    appended.told.push(told);
                }
                return Ok(all);
            }
            // It does not change any more: its lock is had.
            Err(other) => roster = known.learn(other),
        }
    }
}

fn lines<'a>(batches: &'a [Batch], roster: &Roster) -> Vec<Line<'a>> {
    let events = |(n, batch): (usize, &'a Batch)| batch.events.iter().map(move |it| (n, batch, it));
    let all = batches.iter().enumerate().flat_map(events);
    all.map(|(n, batch, event)| Line::new((n, batch), event, roster)).collect()
}

/// Locks all that events are counted on by, where a transaction counts twice: who the consumers are, and the counters.
pub(crate) async fn lock_to_count(
    connection: &mut Connection<'_>,
    topics: &[String],
) -> Result<(), StoreError> {
    if let Connection::Postgres(connection) = connection {
        sqlx::query("SELECT consumers_roster()").execute(&mut **connection).await?;
    }
    lock_counters(connection, topics).await
}

/// Locks counters of topics, in the order of all who count.
pub(crate) async fn lock_counters(
    connection: &mut Connection<'_>,
    topics: &[String],
) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT FROM topics WHERE topic = ANY($1)
        ORDER BY topic = 'tickets:all', topic FOR UPDATE";
    // On SQLite nobody else counts meanwhile.
    if let Connection::Postgres(connection) = connection {
        sqlx::query(LOCK).bind(topics).execute(&mut **connection).await?;
    }
    Ok(())
}

impl<'a> Line<'a> {
    fn new((batch, source): (usize, &'a Batch), event: &'a Event, roster: &Roster) -> Self {
        let mut topics = event.routes.iter().map(|route| route.topic.as_str());
        let own = |topic: &&str| *topic != ALL_TOPIC && !topic.starts_with(PERSON_TOPICS);
        Self {
            id: EventId::new(Uuid::now_v7().as_u128()).to_string(),
            batch,
            source,
            event,
            entity_id: event.entity.id(),
            data: event.row.to_string(),
            previous: event.previous.as_ref().map(ToString::to_string),
            own_topic: topics.find(own),
            consumers: roster.who_wants(&format!("{}.{}", event.entity.kind(), event.op)),
        }
    }

    /// When all consumers are done with it, if none wants it.
    fn processed(&self) -> Option<i64> {
        self.consumers.is_empty().then(|| signed(self.source.at.0))
    }

    /// Who has caused it, and in which trace.
    fn cause(&self) -> Cause<'a> {
        let Batch { by, trace, .. } = self.source;
        Cause {
            person: by.person.id.as_str(),
            kind: match by.person.kind {
                Kind::Human => "human",
                Kind::Ai => "ai",
            },
            is_signed_in: i64::from(by.role != Role::Guest),
            trace_id: trace.as_ref().map(|trace| trace.trace_id.as_str()),
            traceparent: trace.as_ref().map(|trace| trace.traceparent.as_str()),
        }
    }

    /// What a route is told, and what of that is its own.
    fn told(&self, route: usize, (seq, seq_public): (u64, u64)) -> Told {
        let route = &self.event.routes[route];
        let bodies = route.own.as_ref().unwrap_or(&self.event.bodies);
        let public = bodies.public.as_ref().filter(|_| route.audience == Audience::Public);
        Told {
            topic: route.topic.clone(),
            name: self.event.name,
            seq_staff: seq,
            staff: numbered(seq, &bodies.staff),
            public: public.map(|body| (seq_public, numbered(seq_public, body))),
        }
    }

    /// Whether the public hears of it at a route, and the texts that are that route's own.
    fn texts(&self, route: usize) -> (bool, Option<&'a str>, Option<&'a str>) {
        let route = &self.event.routes[route];
        let bodies = route.own.as_ref().unwrap_or(&self.event.bodies);
        let public = bodies.public.as_deref().filter(|_| route.audience == Audience::Public);
        let own = route.own.as_ref();
        (public.is_some(), own.map(|own| own.staff.as_str()), own.and(public))
    }
}

fn numbers(counted: Vec<(String, i64, i64)>) -> Result<Numbers, StoreError> {
    let number = |(topic, seq, hidden)| Ok((topic, (unsigned(seq)?, unsigned(hidden)?)));
    counted.into_iter().map(number).collect()
}

/// A row of the log $1 to $18, told to so many topics, one at least. Each has the next five: the name, whether it is the staff's
/// alone, whether the public hears of it, and the texts of its own. To read those from JSON takes SQLite longer.
fn keep_one(topics: usize) -> String {
    let each = |row: fn([usize; 5]) -> String| {
        let rows = (0..topics).map(|n| row(std::array::from_fn(|place| 19 + 5 * n + place)));
        rows.collect::<Vec<_>>().join(", ")
    };
    let counted = each(|[topic, staff_only, ..]| format!("(${topic}, 1, ${staff_only})"));
    let told = each(|[topic, _, is_public, staff, public]| {
        format!(
            "(${topic}, (SELECT seq FROM topics WHERE topic = ${topic}),
            CASE WHEN ${is_public} THEN (SELECT seq - staff_only FROM topics WHERE topic = ${topic}) END,
            $1, $13, ${staff}, ${public})"
        )
    });
    format!(
        "INSERT INTO topics (topic, seq, staff_only) VALUES {counted}
        ON CONFLICT (topic) DO UPDATE SET seq = seq + 1, staff_only = staff_only + excluded.staff_only
        RETURNING topic, seq, staff_only;
        INSERT INTO event_log (id, event, entity_type, entity_id, op, data, previous_data, audience, identity_id,
            actor_kind, trace_id, traceparent, occurred_ms, staff_body, public_body, topic, seq, processed_ms,
            is_signed_in)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            (SELECT seq FROM topics WHERE topic = $16), $17, $18);
        INSERT INTO event_topics (topic, seq_staff, seq_public, event_id, occurred_ms, staff_body, public_body)
        VALUES {told}"
    )
}

/// Keeps the rows in their order: nobody else counts meanwhile. Returns what is told, with the place of the row.
async fn keep_one_by_one(
    lite: &mut Lite<'_>,
    lines: &[Line<'_>],
    is_owed: bool,
) -> Result<Vec<(usize, Told)>, StoreError> {
    let mut all = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let (event, cause) = (line.event, line.cause());
        let is_last = !is_owed && place + 1 == lines.len();
        let mut values = vec![
            Value::from(&line.id),
            Value::from(event.name.as_str()),
            Value::from(event.entity.kind()),
            Value::from(&line.entity_id),
            Value::from(event.op.as_str()),
            Value::from(&line.data),
            Value::from(line.previous.as_deref()),
            Value::from(event.audience.as_str()),
            Value::from(cause.person),
            Value::from(cause.kind),
            Value::from(cause.trace_id),
            Value::from(cause.traceparent),
            Value::from(signed(line.source.at.0)),
            Value::from(event.bodies.staff.as_str()),
            Value::from(event.bodies.public.as_deref()),
            Value::from(line.own_topic),
            Value::from(line.processed()),
            Value::from(cause.is_signed_in),
        ];
        for (route, to) in event.routes.iter().enumerate() {
            let (is_public, staff, public) = line.texts(route);
            values.extend([
                Value::from(&to.topic),
                Value::from(i64::from(to.audience == Audience::Staff)),
                Value::from(i64::from(is_public)),
                Value::from(staff),
                Value::from(public),
            ]);
        }
        let keep = Statement::new(AssertSqlSafe(keep_one(event.routes.len())), values);
        let counted = if is_last { lite.ask_last(keep).await } else { lite.ask(keep).await };
        let numbers = numbers(counted?.fetch_all()?)?;
        for (route, to) in event.routes.iter().enumerate() {
            let (seq, hidden) = numbers[&to.topic];
            all.push((place, line.told(route, (seq, seq - hidden))));
        }
    }
    Ok(all)
}

/// Enters what consumers are owed.
async fn owe(
    connection: &mut Connection<'_>,
    lines: &[Line<'_>],
    told: &[(usize, Told)],
) -> Result<(), StoreError> {
    let (mut owed, mut at) = (Owed::default(), StoreMs(0));
    for (place, line) in lines.iter().enumerate() {
        let own = told
            .iter()
            .find(|(it, told)| *it == place && Some(told.topic.as_str()) == line.own_topic);
        let name = || format!("{}:{}", line.event.entity.kind(), line.entity_id);
        let entry = Entry {
            event_id: &line.id,
            line: &line.own_topic.map_or_else(name, str::to_owned),
            seq: own.map_or(0, |(_, told)| told.seq_staff),
        };
        owed.owe(connection, entry, &line.consumers).await?;
        at = at.max(line.source.at);
    }
    owed.call(connection, at).await
}
