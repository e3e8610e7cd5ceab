//! What a write owes to consumers, entered in its own transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use penholder_lease::StoreMs;

use super::EventFilter;
use crate::error::StoreError;
use crate::row::signed;
use crate::statement::{Connection, execute, rows};

/// The lock that a write shares from its append to the log to its end, and that whoever changes the consumers has alone.
/// Drawn once; the functions `consumers_roster` and `consumers_wanting` of PostgreSQL have it as well, and take it.
const ROSTER_LOCK: i64 = 0x5065_6e68_636f_6e73;

/// A row of the log as its consumers get it in line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) line: &'a str,
    pub(crate) seq: u64,
}

/// Who wants what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// A line for each consumer: its id, a space, its filter.
    text: String,
    consumers: Vec<(String, EventFilter)>,
}

/// The roster as this process knows it. On SQLite, where nobody else writes, it is what there is; on PostgreSQL the
/// statement that relies on it compares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Option<Arc<Roster>>>>);

/// What was entered.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// The lines that have grown, and whose they are.
    grown: BTreeMap<String, String>,
}

/// Keeps every write out until the transaction ends, and waits for those that are under way.
pub(super) async fn lock_roster(
    connection: &mut Connection<'_>,
    known: &Known,
) -> Result<(), StoreError> {
    // SQLite has one writer, who keeps all others out by itself.
    if let Connection::Postgres(connection) = connection {
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ROSTER_LOCK);
        lock.execute(&mut **connection).await?;
    }
    known.forget();
    Ok(())
}

impl Known {
    /// Returns the roster, which is read where it is not known.
    pub(crate) async fn roster(
        &self,
        connection: &mut Connection<'_>,
    ) -> Result<Arc<Roster>, StoreError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let found: Vec<(String, String)> = rows!(
            connection,
            fetch_all,
            "SELECT id, filter FROM consumers WHERE state <> 'removed' ORDER BY id",
        );
        let lines: Vec<_> = found.iter().map(|(id, filter)| format!("{id} {filter}")).collect();
        Ok(self.learn(Roster::read(&lines.join("\n"))?))
    }

    pub(crate) fn learn(&self, roster: Roster) -> Arc<Roster> {
        let roster = Arc::new(roster);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&roster));
        roster
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Roster {
    /// Reads it from its text.
    pub(crate) fn read(text: &str) -> Result<Self, StoreError> {
        let wrong = || sqlx::Error::Decode("a filter is none".into());
        let read = |line: &str| {
            let (id, filter) = line.split_once(' ').ok_or_else(wrong)?;
            let filter = EventFilter::read(filter).ok_or_else(wrong)?;
            Ok((id.to_owned(), filter))
        };
        let consumers = text.lines().map(read).collect::<Result<_, sqlx::Error>>()?;
        Ok(Self { text: text.to_owned(), consumers })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns those who want an event of this name, all ids in one text; empty, when nobody does.
    pub(crate) fn who_wants(&self, name: &str) -> String {
        let wanting = self.consumers.iter().filter(|(_, filter)| filter.wants(name));
        wanting.map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Owed {
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

    /// Sees to it that somebody comes for what was entered.
    pub(crate) async fn call(
        self,
        connection: &mut Connection<'_>,
        now: StoreMs,
    ) -> Result<(), StoreError> {
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
        Ok(())
    }
}
