//! Rows of the log that are forgotten together.

use std::collections::BTreeMap;

use penholder_lease::StoreMs;
use penholder_ticket::ticket_of;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::AT_ONCE;
use crate::error::StoreError;
use crate::events;
use crate::row::signed;
use crate::statement::{Connection, each, execute, rows};

/// What becomes of rows that a consumer waits for, or that were given up and may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// They stay, but for the topics.
    Stays,
    /// They go, and nobody is owed them any more.
    Goes,
}

/// Rows of the log that are to go.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// How far topics are forgotten with it.
    topics: BTreeMap<String, i64>,
    /// Ids of `event_log`.
    writes: Vec<(String,)>,
    /// Rows of `event_topics`.
    told: Vec<(String, i64)>,
    /// Rows of `pen_log`, with their ids.
    pens: Vec<(String, i64, Option<String>)>,
}

impl Batch {
    /// Finds the first of those that were written by a time.
    pub(super) async fn aged(
        connection: &mut Connection<'_>,
        upto: StoreMs,
    ) -> Result<Self, StoreError> {
        let (upto, limit) = (signed(upto.0), signed(AT_ONCE as u64));
        let writes: Vec<(String,)> = rows!(
            connection,
            fetch_all,
            "SELECT id FROM event_log WHERE occurred_ms <= $1 ORDER BY occurred_ms LIMIT $2",
            upto,
            limit,
        );
        let pens = rows!(
            connection,
            fetch_all,
            "SELECT topic, seq, id FROM pen_log WHERE at_ms <= $1 ORDER BY at_ms LIMIT $2",
            upto,
            limit,
        );
        let sql = format!(
            "SELECT topic, seq_staff FROM event_topics WHERE event_id IN (SELECT value ->> 0 FROM {})",
            each(connection)
        );
        let told = rows!(connection, fetch_all, AssertSqlSafe(sql), json(&writes)?);
        Ok(Self { topics: BTreeMap::new(), writes, told, pens }.with_topics())
    }

    /// Finds the first events of a topic, but none after a number; says whether that is all up to there. They are gone for
    /// the topic up to there then, whether or not there were any.
    pub(super) async fn first(
        connection: &mut Connection<'_>,
        topic: &str,
        upto: i64,
    ) -> Result<(Self, bool), StoreError> {
        let limit = signed(AT_ONCE as u64);
        let mut told: Vec<(i64, String)> = rows!(
            connection,
            fetch_all,
            "SELECT seq_staff, event_id FROM event_topics WHERE topic = $1
                 AND seq_staff > (SELECT pruned FROM topics WHERE topic = $1) AND seq_staff <= $2
             ORDER BY seq_staff LIMIT $3",
            topic,
            upto,
            limit,
        );
        let mut pens: Vec<(i64, Option<String>)> = rows!(
            connection,
            fetch_all,
            "SELECT seq, id FROM pen_log WHERE topic = $1
                 AND seq > (SELECT pruned FROM topics WHERE topic = $1) AND seq <= $2
             ORDER BY seq LIMIT $3",
            topic,
            upto,
            limit,
        );
        let mut seqs: Vec<_> =
            told.iter().map(|row| row.0).chain(pens.iter().map(|row| row.0)).collect();
        seqs.sort_unstable();
        let last = seqs.get(AT_ONCE - 1).copied();
        let upto = last.unwrap_or(upto);
        told.retain(|row| row.0 <= upto);
        pens.retain(|row| row.0 <= upto);
        let of_topic = |seq| (topic.to_owned(), seq);
        let batch = Self {
            topics: BTreeMap::from([of_topic(upto)]),
            told: told.iter().map(|row| of_topic(row.0)).collect(),
            writes: told.into_iter().map(|(_, event)| (event,)).collect(),
            pens: pens.into_iter().map(|(seq, id)| (topic.to_owned(), seq, id)).collect(),
        };
        Ok((batch, last.is_none()))
    }

    fn with_topics(mut self) -> Self {
        let pens = self.pens.iter().map(|(topic, seq, _)| (topic, *seq));
        for (topic, seq) in self.told.iter().map(|(topic, seq)| (topic, *seq)).chain(pens) {
            let last = self.topics.entry(topic.clone()).or_default();
            *last = seq.max(*last);
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.pens.is_empty()
    }

    /// Forgets them; returns how many events that was, once for each topic.
    pub(super) async fn forget(
        self,
        connection: &mut Connection<'_>,
        waiting: Waiting,
    ) -> Result<u64, StoreError> {
        let over = self.over(connection).await?;
        forget_pens(connection, &over).await?;
        self.move_counters(connection, &over).await?;
        let pens = self.pens.iter().filter_map(|(.., id)| id.as_deref());
        let ids: Vec<_> = self.writes.iter().map(|(id,)| id.as_str()).chain(pens).collect();
        events::lock_rows(connection, &ids).await?;
        self.delete(connection, waiting).await
    }

    /// Returns the topics of tickets that are gone of which this is the last.
    async fn over(&self, connection: &mut Connection<'_>) -> Result<Vec<(String,)>, StoreError> {
        let tickets = self.topics.iter().filter_map(|(topic, upto)| {
            ticket_of(topic).map(|ticket| (topic, upto, ticket.to_string()))
        });
        let tickets: Vec<_> = tickets.collect();
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT h.topic FROM {} JOIN topics AS h
                 ON h.topic = value ->> 0 AND h.seq <= CAST(value ->> 1 AS bigint)
             WHERE NOT EXISTS (SELECT 1 FROM tickets AS t WHERE t.id = value ->> 2)
             ORDER BY h.topic",
            each(connection)
        );
        Ok(rows!(connection, fetch_all, AssertSqlSafe(sql), json(&tickets)?))
    }

    /// Notes how far topics are forgotten. Those that are over have no counter any more.
    async fn move_counters(
        &self,
        connection: &mut Connection<'_>,
        over: &[(String,)],
    ) -> Result<(), StoreError> {
        let topics: Vec<_> = self.topics.keys().cloned().collect();
        events::lock_counters(connection, &topics).await?;
        let sql = format!(
            "UPDATE topics AS t SET pruned = CAST(value ->> 1 AS bigint) FROM {}
             WHERE t.topic = value ->> 0 AND t.pruned < CAST(value ->> 1 AS bigint)",
            each(connection)
        );
        let places: Vec<_> = self.topics.iter().collect();
        execute!(connection, AssertSqlSafe(sql), json(&places)?);
        if !over.is_empty() {
            let sql = format!(
                "DELETE FROM topics WHERE topic IN (SELECT value ->> 0 FROM {})",
                each(connection)
            );
            execute!(connection, AssertSqlSafe(sql), json(over)?);
        }
        Ok(())
    }

    async fn delete(
        &self,
        connection: &mut Connection<'_>,
        waiting: Waiting,
    ) -> Result<u64, StoreError> {
        let each = each(connection);
        let told = format!(
            "DELETE FROM event_topics WHERE (topic, seq_staff) IN (
                 SELECT CAST(value ->> 0 AS text), CAST(value ->> 1 AS bigint) FROM {each})"
        );
        let told = execute!(connection, AssertSqlSafe(told), json(&self.told)?);
        let unless = |id: &str| match waiting {
            Waiting::Goes => String::new(),
            Waiting::Stays => format!(
                " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = {id} AND state <> 'delivered')"
            ),
        };
        let writes = format!(
            "DELETE FROM event_log WHERE id IN (SELECT value ->> 0 FROM {each})
                 AND NOT EXISTS (SELECT 1 FROM event_topics WHERE event_id = event_log.id){}",
            unless("event_log.id")
        );
        execute!(connection, AssertSqlSafe(writes), json(&self.writes)?);
        let pens = format!(
            "DELETE FROM pen_log WHERE (topic, seq) IN (
                 SELECT CAST(value ->> 0 AS text), CAST(value ->> 1 AS bigint) FROM {each}){}",
            unless("pen_log.id")
        );
        Ok(told + execute!(connection, AssertSqlSafe(pens), json(&self.pens)?))
    }
}

/// Forgets pens that have ended.
async fn forget_pens(
    connection: &mut Connection<'_>,
    topics: &[(String,)],
) -> Result<(), StoreError> {
    if topics.is_empty() {
        return Ok(());
    }
    let lock = match connection {
        Connection::Sqlite(_) => "",
        Connection::Postgres(_) => " ORDER BY topic FOR UPDATE",
    };
    let sql = format!(
        "DELETE FROM pens WHERE topic IN (SELECT topic FROM pens WHERE topic IN (
             SELECT value ->> 0 FROM {}){lock})",
        each(connection)
    );
    execute!(connection, AssertSqlSafe(sql), json(topics)?);
    Ok(())
}

fn json(list: &(impl Serialize + ?Sized)) -> Result<String, StoreError> {
    serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(Box::new(error)).into())
}
