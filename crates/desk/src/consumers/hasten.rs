//! What waits to be tried again, tried at once: what has failed before may succeed now.

use super::{ConsumerId, Consumers};
use crate::error::StoreError;
use crate::row::signed;
use crate::statement::{Connection, execute, rows};

/// Lines that are hastened in one transaction.
const AT_ONCE: usize = 500;

const NEXT_SQLITE: &str =
    "SELECT line FROM delivery_lines WHERE consumer_id = $1 AND line > $2 AND next_ms > $3
    ORDER BY line LIMIT $4";

/// Locked first, also those that somebody has claimed: what they keep of a failure is seen by the next statement, or
/// they see that the consumer was mended.
const NEXT_POSTGRES: &str =
    "SELECT line FROM delivery_lines WHERE consumer_id = $1 AND line > $2 AND next_ms > $3
    ORDER BY line LIMIT $4 FOR UPDATE";

const WAITING_SQLITE: &str = "UPDATE deliveries SET next_ms = $4
    WHERE consumer_id = $1 AND line > $2 AND line <= $3 AND state = 'pending' AND next_ms > $4";

/// Only lines are locked here, not rows of the log. So what somebody else has locked is left to them: they forget it, or have it
/// tried anew.
const WAITING_POSTGRES: &str = "
    WITH waiting AS MATERIALIZED (
        SELECT event_id FROM deliveries
        WHERE consumer_id = $1 AND line > $2 AND line <= $3 AND state = 'pending' AND next_ms > $4
        FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries AS d SET next_ms = $4 FROM waiting
    WHERE d.consumer_id = $1 AND d.event_id = waiting.event_id";

impl Consumers {
    /// Makes due what waits for a consumer to be tried again, and is not being tried just now.
    ///
    /// Cost: in proportion to its lines, some hundred in a transaction, so that no write waits for long.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Then some of it waits as before; it may be tried again.
    pub async fn hasten(&self, consumer: &ConsumerId) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let (mut transaction, now) = self.pens.begin().await?;
            let mut connection = transaction.connection();
            let (next, waiting) = match connection {
                Connection::Sqlite(_) => (NEXT_SQLITE, WAITING_SQLITE),
                Connection::Postgres(_) => (NEXT_POSTGRES, WAITING_POSTGRES),
            };
            let lines: Vec<(String,)> = rows!(
                &mut connection,
                fetch_all,
                next,
                consumer.as_str(),
                &after,
                signed(now.0),
                signed(AT_ONCE as u64),
            );
            let Some((last,)) = lines.last() else { break };
            execute!(
                &mut connection,
                "UPDATE delivery_lines SET next_ms = $4
                 WHERE consumer_id = $1 AND line > $2 AND line <= $3 AND claim IS NULL AND next_ms > $4",
                consumer.as_str(),
                &after,
                last,
                signed(now.0),
            );
            // It is listed when each is tried next.
            execute!(&mut connection, waiting, consumer.as_str(), &after, last, signed(now.0),);
            let is_last = lines.len() < AT_ONCE;
            after.clone_from(last);
            transaction.commit().await?;
            if is_last {
                break;
            }
        }
        self.news.notify_one();
        Ok(())
    }
}
