//! What a write owes to consumers, entered in its own transaction.

use std::collections::BTreeMap;

use penholder_lease::StoreMs;

use super::EventFilter;
use crate::error::StoreError;
use crate::row::signed;
use crate::statement::{Connection, execute, rows};

/// The lock that a write shares while it lasts, and that whoever changes the consumers has alone. Drawn once; the
/// function `consumers_wanting` of PostgreSQL has it as well, for pens.
const ROSTER_LOCK: i64 = 0x5065_6e68_636f_6e73;

/// A row of the log as its consumers get it in line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) line: &'a str,
    pub(crate) seq: u64,
}

/// Who wants what, as it is until the transaction ends.
#[derive(Debug)]
pub(crate) struct Roster {
    consumers: Vec<(String, EventFilter)>,
    /// The lines that have grown, and whose they are.
    grown: BTreeMap<String, String>,
}

/// Keeps every write out until the transaction ends, and waits for those that are under way.
pub(super) async fn lock_roster(connection: &mut Connection<'_>) -> Result<(), StoreError> {
    // SQLite has one writer, who keeps all others out by itself.
    if let Connection::Postgres(connection) = connection {
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ROSTER_LOCK);
        lock.execute(&mut **connection).await?;
    }
    Ok(())
}

impl Roster {
    /// Reads the consumers, of whom none comes, goes or changes its filter before the transaction ends.
    pub(crate) async fn read(connection: &mut Connection<'_>) -> Result<Self, StoreError> {
        if let Connection::Postgres(connection) = connection {
            // In a statement of its own: the next has to see what was committed while this one waited.
            let lock = sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(ROSTER_LOCK);
            lock.execute(&mut **connection).await?;
        }
        let found: Vec<(String, String)> = rows!(
            connection,
            fetch_all,
            "SELECT id, filter FROM consumers WHERE state <> 'removed' ORDER BY id",
        );
        let read = |(id, filter): (String, String)| {
            let none = || sqlx::Error::Decode("a filter is none".into());
            EventFilter::read(&filter).map(|filter| (id, filter)).ok_or_else(none)
        };
        let consumers = found.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { consumers, grown: BTreeMap::new() })
    }

    /// Returns those who want an event of this name, all ids in one text; empty, when nobody does.
    pub(crate) fn who_wants(&self, name: &str) -> String {
        let wanting = self.consumers.iter().filter(|(_, filter)| filter.wants(name));
        wanting.map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Enters that these consumers are owed a row.
    pub(crate) async fn owe(
        &mut self,
        connection: &mut Connection<'_>,
        entry: Entry<'_>,
        to: &str,
    ) -> Result<(), StoreError> {
        if to.is_empty() {
            return Ok(());
        }
        execute!(
            connection,
            "INSERT INTO deliveries (consumer_id, event_id, line, seq, state, attempts)
             SELECT c.id, $1, $2, $3, 'pending', 0 FROM consumers AS c WHERE $4 LIKE '%' || c.id || '%'",
            entry.event_id,
            entry.line,
            signed(entry.seq),
            to,
        );
        let grown = self.grown.entry(entry.line.to_owned()).or_default();
        grown.push_str(to);
        grown.push(' ');
        Ok(())
    }

    /// Sees to it that somebody comes for what was entered; returns whether anything was.
    pub(crate) async fn call(
        self,
        connection: &mut Connection<'_>,
        now: StoreMs,
    ) -> Result<bool, StoreError> {
        for (line, consumers) in &self.grown {
            // Also where the line is there: whoever takes its last has to wait, and then sees what was added.
            execute!(
                connection,
                "INSERT INTO delivery_lines (consumer_id, line, next_ms)
                 SELECT c.id, $1, $2 FROM consumers AS c WHERE $3 LIKE '%' || c.id || '%' ORDER BY c.id
                 ON CONFLICT (consumer_id, line) DO UPDATE SET line = excluded.line",
                line,
                signed(now.0),
                consumers,
            );
        }
        Ok(!self.grown.is_empty())
    }
}
