//! What is forgotten, and when.
//!
//! The log is bounded in two ways, whichever part of it a row is in:
//!
//! - *By count*, topic by topic: of a topic that has too many events the first go, those of its pen among them. What a consumer
//!   waits for stays for it; the topic has it no more.
//! - *By age*, whatever waits for it: a row goes, with what topics and consumers have of it.
//!
//! Either way the counter of a topic says how far it is forgotten, and is moved in the transaction in which the rows go, before
//! they do: whoever reads sees both or neither. Locks are had in the order of all: pens, counters, the log, deliveries.
//!
//! # What a ticket leaves behind
//!
//! The pen of a ticket that was taken away is kept as one that has ended, and its topic's counter goes on from where it was, as
//! long as anything of the topic is kept. With the last of it both rows go (`last_of_a_ticket_takes_its_pen_with_it`), which would
//! let fences and numbers begin anew if anybody could have them. Nobody can: ids of tickets are drawn and never come twice, whoever
//! writes to a ticket has its row locked first, and no pen is begun on the topic of a ticket that there is not
//! (`pen_of_no_ticket_is_never_begun`); the statement that would begin it looks. On SQLite that is one with the decision. On PostgreSQL
//! a statement that saw the ticket just before it went finds the pen that has ended, for as long as the log is kept, and the server
//! breaks it off after two seconds.

mod batch;

use penholder_lease::StoreMs;
use sqlx::AssertSqlSafe;

use self::batch::{Batch, Waiting};
use crate::consumers;
use crate::error::StoreError;
use crate::row::signed;
use crate::statement::{Connection, execute, rows};
use crate::tickets::{ANSWER_KEEP_MS, Tickets};

/// How long the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// In milliseconds; a minute at least, except in tests.
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

/// Rows that are forgotten in one transaction, at most: others wait for it.
pub(crate) const AT_ONCE: usize = 500;

/// Topics that are looked for at a time.
const TOPICS_AT_ONCE: usize = 1_000;

/// Drafts that have been kept for long enough.
const DRAFTS: &str = "DELETE FROM pen_drafts WHERE (topic, author) IN (
    SELECT topic, author FROM pen_drafts WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2";

/// Answers to requests that have.
const ANSWERS: &str = "DELETE FROM idempotency_keys WHERE (caller, route, key) IN (
    SELECT caller, route, key FROM idempotency_keys WHERE at_ms <= $1 ORDER BY at_ms LIMIT $2";

impl Tickets {
    /// Forgets what has been kept for long enough: events of tickets and pens, of which a topic may have too much, too; what
    /// consumers are owed of them, and all that was owed to consumers that are gone; drafts; answers to requests. Harmless at any
    /// time, and from several processes at once. Returns how many events were forgotten, once for each topic that had them.
    ///
    /// Cost: one transaction for every 500 rows, and one for each topic that has too much.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. The rest was forgotten all the same.
    pub async fn expire(&self, retention: Retention) -> Result<u64, StoreError> {
        let aged = self.forget_aged(retention.keep_ms).await;
        let surplus = self.forget_surplus(retention.per_topic).await;
        let drafts = self.forget_rows(DRAFTS, 0).await;
        let answers = self.forget_rows(ANSWERS, ANSWER_KEEP_MS).await;
        let removed = consumers::retention::forget(self.pens()).await;
        drafts.and(answers).and(removed)?;
        Ok(aged? + surplus?)
    }

    async fn forget_aged(&self, keep_ms: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let (mut transaction, now) = self.pens().begin().await?;
            let mut connection = transaction.connection();
            let batch = Batch::aged(&mut connection, now.before(keep_ms)).await?;
            if batch.is_empty() {
                return Ok(count);
            }
            count += batch.forget(&mut connection, Waiting::Goes).await?;
            transaction.commit().await?;
        }
    }

    async fn forget_surplus(&self, per_topic: u64) -> Result<u64, StoreError> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let mut reader = self.pens().reader().await?;
            let overdue: Vec<(String, i64)> = rows!(
                &mut reader.connection(),
                fetch_all,
                "SELECT topic, seq - $1 FROM topics WHERE seq - pruned > $1 AND topic > $2
                 ORDER BY topic LIMIT $3",
                signed(per_topic),
                &after,
                signed(TOPICS_AT_ONCE as u64),
            );
            drop(reader);
            for (topic, upto) in &overdue {
                count += self.forget_first(topic, *upto).await?;
            }
            match overdue.into_iter().last() {
                Some((last, _)) => after = last,
                None => return Ok(count),
            }
        }
    }

    /// Forgets the events of a topic up to a number.
    async fn forget_first(&self, topic: &str, upto: i64) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let mut transaction = self.pens().transaction().await?;
            let mut connection = transaction.connection();
            let (batch, is_last) = Batch::first(&mut connection, topic, upto).await?;
            count += batch.forget(&mut connection, Waiting::Stays).await?;
            transaction.commit().await?;
            if is_last {
                return Ok(count);
            }
        }
    }

    /// Forgets rows that are as old as `keep_ms`, by a statement that is to be continued.
    async fn forget_rows(&self, sql: &'static str, keep_ms: u64) -> Result<(), StoreError> {
        loop {
            let (mut transaction, now): (_, StoreMs) = self.pens().begin().await?;
            let mut connection = transaction.connection();
            let lock = match connection {
                Connection::Sqlite(_) => ")",
                // Whoever else forgets them, or writes one anew, sees to it.
                Connection::Postgres(_) => " FOR UPDATE SKIP LOCKED)",
            };
            let forgotten = execute!(
                &mut connection,
                AssertSqlSafe(format!("{sql}{lock}")),
                signed(now.before(keep_ms).0),
                signed(AT_ONCE as u64),
            );
            transaction.commit().await?;
            if forgotten < AT_ONCE as u64 {
                return Ok(());
            }
        }
    }
}
