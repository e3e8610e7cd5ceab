//! What the store has in the end, read past the server.

use std::collections::BTreeMap;

use anyhow::Result;
use penholder_hub::Audience;
use penholder_stores::PostgresServer;
use penholder_tests::Server;
use serde_json::Value;
use sqlx::{PgPool, SqlitePool};

use super::listener::Delivery;

/// The number of a topic's last event, for an audience.
pub(crate) type Last = BTreeMap<(String, Audience), u64>;

/// What the store has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    /// The events of each topic, for each audience, by number.
    pub(crate) events: BTreeMap<(String, Audience), Vec<Delivery>>,
    /// What the counters of the topics say.
    pub(crate) last: Last,
    /// The events of each trace, in order.
    pub(crate) traces: BTreeMap<String, Vec<String>>,
    /// The tickets and comments that have a text, by that text.
    pub(crate) kept: BTreeMap<String, Vec<String>>,
}

/// An event on a topic: topic, number for the staff and the public, name, and what each is told.
type Row = (String, i64, Option<i64>, String, String, Option<String>);

const EVENTS: &str = "SELECT t.topic, t.seq_staff, t.seq_public, e.event,
        coalesce(t.staff_body, e.staff_body), coalesce(t.public_body, e.public_body)
    FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id ORDER BY t.topic, t.seq_staff";
const LAST: &str = "SELECT topic, seq, staff_only FROM topics";
const TRACES: &str = "SELECT coalesce(trace_id, ''), event FROM event_log ORDER BY id";
const KEPT: &str = "SELECT description, id FROM tickets UNION ALL SELECT content, id FROM comments";

/// Evaluates to the rows of a statement on the pool of either store.
macro_rules! rows {
    ($pool:expr, $sql:expr) => {
        match &$pool {
            Pool::Sqlite(pool) => sqlx::query_as($sql).fetch_all(pool).await?,
            Pool::Postgres(pool) => sqlx::query_as($sql).fetch_all(pool).await?,
        }
    };
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Truth {
    pub(crate) async fn read(server: &Server, database: Option<&PostgresServer>) -> Result<Self> {
        let pool = match database {
            Some(database) => Pool::Postgres(PgPool::connect(&database.url()).await?),
            None => {
                let file = server.data().join("pens.sqlite");
                let url = format!("sqlite://{}?mode=ro", file.display());
                Pool::Sqlite(SqlitePool::connect(&url).await?)
            }
        };
        let mut truth = Self::default();
        let events: Vec<Row> = rows!(pool, EVENTS);
        for row in events {
            truth.add(row)?;
        }
        let last: Vec<(String, i64, i64)> = rows!(pool, LAST);
        for (topic, seq, staff_only) in last {
            truth.last.insert((topic.clone(), Audience::Staff), u64::try_from(seq)?);
            truth.last.insert((topic, Audience::Public), u64::try_from(seq - staff_only)?);
        }
        let traces: Vec<(String, String)> = rows!(pool, TRACES);
        for (trace, event) in traces {
            truth.traces.entry(trace).or_default().push(event);
        }
        let kept: Vec<(String, String)> = rows!(pool, KEPT);
        for (text, id) in kept {
            truth.kept.entry(text).or_default().push(id);
        }
        Ok(truth)
    }

    fn add(&mut self, (topic, staff, public, event, body, public_body): Row) -> Result<()> {
        let mut add = |audience, seq: i64, body: &str| -> Result<()> {
            let (seq, payload): (_, Value) = (u64::try_from(seq)?, serde_json::from_str(body)?);
            let events = self.events.entry((topic.clone(), audience)).or_default();
            events.push(Delivery { seq, event: event.clone(), payload });
            Ok(())
        };
        add(Audience::Staff, staff, &body)?;
        if let (Some(seq), Some(body)) = (public, public_body) {
            add(Audience::Public, seq, &body)?;
        }
        Ok(())
    }
}
