//! The append on PostgreSQL: one statement, whatever there is.

use std::collections::BTreeMap;

use penholder_ticket::Audience;
use sqlx::{PgConnection, Postgres};

use super::{Line, numbers};
use crate::consumers::outbox::Roster;
use crate::error::StoreError;
use crate::events::Told;
use crate::row::signed;

/// Who the consumers are $1. Topics $2, counted on by $3, of which $4 are the staff's alone. Rows of the log $5 to $23. What
/// topics are told, $24 to $30. Numbers are given as how many come after them.
///
/// Nobody changes the consumers from here to the end of the transaction. That is locked behind the rows of pens and
/// tickets, and before counters, which are locked in the order of topics, but the one that everybody counts on last.
const KEEP: &str = r#"
    WITH roster AS MATERIALIZED (
        SELECT consumers_roster() AS who
    ), counted AS (
        INSERT INTO topics AS t (topic, seq, staff_only)
        SELECT c.topic, c.count, c.hidden
        FROM roster, unnest($2::text[], $3::bigint[], $4::bigint[]) AS c (topic, count, hidden)
        WHERE roster.who = $1
        ORDER BY c.topic = 'tickets:all', c.topic COLLATE "C"
        ON CONFLICT (topic) DO UPDATE
            SET seq = t.seq + excluded.seq, staff_only = t.staff_only + excluded.staff_only
        RETURNING topic, seq, staff_only
    ), kept AS (
        INSERT INTO event_log (id, event, entity_type, entity_id, op, data, previous_data, audience,
            identity_id, actor_kind, trace_id, traceparent, occurred_ms, staff_body, public_body,
            topic, seq, processed_ms, is_signed_in)
        SELECT e.id, e.event, e.entity_type, e.entity_id, e.op, e.data, e.previous, e.audience,
            e.person, e.kind, e.trace_id, e.traceparent, e.at, e.staff_body, e.public_body,
            e.topic, c.seq - e.after, e.processed_ms, e.is_signed_in
        FROM roster, unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[],
                $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
                $18::text[], $19::text[], $20::text[], $21::text[], $22::bigint[], $23::bigint[])
            AS e (person, kind, trace_id, traceparent, at, is_signed_in, id, event, entity_type,
                entity_id, op, data, previous, audience, staff_body, public_body, topic, after,
                processed_ms)
            LEFT JOIN counted AS c ON c.topic = e.topic COLLATE "C"
        WHERE roster.who = $1
    ), told AS (
        INSERT INTO event_topics (topic, seq_staff, seq_public, event_id, occurred_ms, staff_body,
            public_body)
        SELECT c.topic, c.seq - e.after, c.seq - c.staff_only - e.after_public, e.event_id, e.at,
            e.staff_body, e.public_body
        FROM unnest($24::text[], $25::text[], $26::bigint[], $27::bigint[], $28::text[], $29::text[],
                $30::bigint[])
            AS e (topic, event_id, after, after_public, staff_body, public_body, at)
            JOIN counted AS c ON c.topic = e.topic COLLATE "C"
    )
    SELECT nullif(who, $1), topic, seq, staff_only FROM roster LEFT JOIN counted ON true"#;

/// Who the consumers are, if they are others; a topic, the number of its last event, and how many were the staff's alone.
type Counted = (Option<String>, Option<String>, Option<i64>, Option<i64>);

/// Such a statement, as values are bound to it.
type Keep<'q> = sqlx::query::QueryAs<'q, Postgres, Counted, sqlx::postgres::PgArguments>;

/// An event at a topic, with how many events come after it there, for the staff and for the public.
#[derive(Debug)]
struct Place<'a> {
    line: usize,
    route: usize,
    topic: &'a str,
    after: u64,
    after_public: u64,
}

/// How many events of a topic there are, for the staff and for the public.
type Counts<'a> = BTreeMap<&'a str, (u64, u64)>;

/// Counts the events of each topic, and those that come after each.
fn places<'a>(lines: &[Line<'a>]) -> (Counts<'a>, Vec<Place<'a>>) {
    let mut counts = Counts::new();
    let mut places = Vec::new();
    // From the last to the first: what was counted comes after.
    for (line, it) in lines.iter().enumerate().rev() {
        for (route, to) in it.event.routes.iter().enumerate() {
            let (all, public) = counts.entry(&to.topic).or_default();
            let (after, after_public) = (*all, *public);
            places.push(Place { line, route, topic: &to.topic, after, after_public });
            *all += 1;
            *public += u64::from(to.audience == Audience::Public);
        }
    }
    (counts, places)
}

/// Keeps all rows, unless the consumers are others than it is thought; then returns who they are. What is told comes with
/// the place of its row.
pub(super) async fn keep_together(
    connection: &mut PgConnection,
    lines: &[Line<'_>],
    roster: &Roster,
) -> Result<Result<Vec<(usize, Told)>, Roster>, StoreError> {
    let (counts, places) = places(lines);
    let keep = sqlx::query_as(KEEP)
        .bind(roster.text())
        .bind(counts.keys().copied().collect::<Vec<_>>())
        .bind(counts.values().map(|(all, _)| signed(*all)).collect::<Vec<_>>())
        .bind(counts.values().map(|(all, public)| signed(all - public)).collect::<Vec<_>>());
    let keep = bind_lines(bind_causes(keep, lines), (lines, &places));
    let keep = bind_places(keep, (lines, &places));
    let mut counted = Vec::new();
    for row in keep.fetch_all(connection).await? {
        match row {
            (Some(other), ..) => return Ok(Err(Roster::read(&other)?)),
            (None, Some(topic), Some(seq), Some(hidden)) => counted.push((topic, seq, hidden)),
            _ => {}
        }
    }
    let numbers = numbers(counted)?;
    let told = places.iter().map(|place| {
        let (seq, hidden) = numbers[place.topic];
        let numbers = (seq - place.after, seq - hidden - place.after_public);
        (place.line, lines[place.line].told(place.route, numbers))
    });
    Ok(Ok(told.collect()))
}

fn column<'q, T>(lines: &'q [Line<'q>], read: impl Fn(&'q Line<'q>) -> T) -> Vec<T> {
    lines.iter().map(read).collect()
}

fn bind_causes<'q>(keep: Keep<'q>, lines: &'q [Line<'q>]) -> Keep<'q> {
    keep.bind(column(lines, |line| line.cause().person))
        .bind(column(lines, |line| line.cause().kind))
        .bind(column(lines, |line| line.cause().trace_id))
        .bind(column(lines, |line| line.cause().traceparent))
        .bind(column(lines, |line| signed(line.source.at.0)))
        .bind(column(lines, |line| line.cause().is_signed_in))
}

fn bind_lines<'q>(keep: Keep<'q>, (lines, places): (&'q [Line<'q>], &'q [Place<'q>])) -> Keep<'q> {
    let after = |line: usize| {
        let own = lines[line].own_topic;
        let own = places.iter().find(|place| place.line == line && Some(place.topic) == own);
        own.map_or(0, |place| signed(place.after))
    };
    keep.bind(column(lines, |line| line.id.as_str()))
        .bind(column(lines, |line| line.event.name.as_str()))
        .bind(column(lines, |line| line.event.entity.kind()))
        .bind(column(lines, |line| line.entity_id.as_str()))
        .bind(column(lines, |line| line.event.op.as_str()))
        .bind(column(lines, |line| line.data.as_str()))
        .bind(column(lines, |line| line.previous.as_deref()))
        .bind(column(lines, |line| line.event.audience.as_str()))
        .bind(column(lines, |line| line.event.bodies.staff.as_str()))
        .bind(column(lines, |line| line.event.bodies.public.as_deref()))
        .bind(column(lines, |line| line.own_topic))
        .bind((0..lines.len()).map(after).collect::<Vec<_>>())
        .bind(column(lines, |line| line.processed()))
}

fn bind_places<'q>(keep: Keep<'q>, (lines, places): (&'q [Line<'q>], &'q [Place<'q>])) -> Keep<'q> {
    let texts = |place: &Place<'_>| lines[place.line].texts(place.route);
    let number = |place: &Place<'_>| texts(place).0.then(|| signed(place.after_public));
    keep.bind(places.iter().map(|place| place.topic).collect::<Vec<_>>())
        .bind(places.iter().map(|place| lines[place.line].id.as_str()).collect::<Vec<_>>())
        .bind(places.iter().map(|place| signed(place.after)).collect::<Vec<_>>())
        .bind(places.iter().map(number).collect::<Vec<_>>())
        .bind(places.iter().map(|place| texts(place).1).collect::<Vec<_>>())
        .bind(places.iter().map(|place| texts(place).2).collect::<Vec<_>>())
        .bind(places.iter().map(|place| signed(lines[place.line].source.at.0)).collect::<Vec<_>>())
}
