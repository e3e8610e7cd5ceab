//! What is forgotten of deliveries, and of rows of the log that stayed for them.

use penholder_lease::StoreMs;

use super::claim::finish;
use crate::error::StoreError;
use crate::pens::Pens;
use crate::row::signed;
use crate::statement::{execute, rows};

/// Rows that are forgotten in one transaction.
const AT_ONCE: usize = 500;

/// Forgets what was owed to consumers that are gone, and rows of the log that were kept for deliveries only and are
/// as old as `keep_ms`, whatever came of those, and secrets that sign no more. Returns how many rows of the log.
pub(crate) async fn forget(pens: &Pens, keep_ms: u64) -> Result<u64, StoreError> {
    forget_secrets(pens).await?;
    loop {
        let (mut transaction, now) = pens.begin().await?;
        let is_done = forget_removed(&mut transaction.connection(), now).await?;
        transaction.commit().await?;
        if is_done {
            break;
        }
    }
    let mut count = 0;
    loop {
        let (mut transaction, now) = pens.begin().await?;
        let mut connection = transaction.connection();
        let rows: Vec<(String,)> = rows!(
            &mut connection,
            fetch_all,
            "SELECT id FROM event_log AS e WHERE occurred_ms <= $1
                 AND NOT EXISTS (SELECT 1 FROM event_topics AS t WHERE t.event_id = e.id)
             ORDER BY id LIMIT $2",
            signed(now.before(keep_ms).0),
            signed(AT_ONCE as u64),
        );
        for (id,) in &rows {
            // Its deliveries go with it; who comes for one finds that it is gone.
            execute!(&mut connection, "DELETE FROM event_log WHERE id = $1", id);
        }
        transaction.commit().await?;
        count += rows.len() as u64;
        if rows.len() < AT_ONCE {
            return Ok(count);
        }
    }
}

async fn forget_secrets(pens: &Pens) -> Result<(), StoreError> {
    let (mut transaction, now) = pens.begin().await?;
    execute!(
        &mut transaction.connection(),
        "UPDATE consumers SET previous_secret = NULL, previous_until_ms = NULL WHERE previous_until_ms <= $1",
        signed(now.0),
    );
    transaction.commit().await
}

/// Forgets some of what was owed to a consumer that is gone, and the consumer itself when that was all; returns whether
/// none is left.
async fn forget_removed(
    connection: &mut crate::statement::Connection<'_>,
    now: StoreMs,
) -> Result<bool, StoreError> {
    let gone: Option<(String,)> = rows!(
        connection,
        fetch_optional,
        "SELECT id FROM consumers WHERE state = 'removed' ORDER BY id LIMIT 1",
    );
    let Some((consumer,)) = gone else { return Ok(true) };
    let owed: Vec<(String,)> = rows!(
        connection,
        fetch_all,
        "SELECT event_id FROM deliveries WHERE consumer_id = $1 ORDER BY event_id LIMIT $2",
        &consumer,
        signed(AT_ONCE as u64),
    );
    if owed.is_empty() {
        let lines = execute!(
            connection,
            "DELETE FROM delivery_lines WHERE consumer_id = $1 AND line IN (
                 SELECT line FROM delivery_lines WHERE consumer_id = $1 LIMIT $2)",
            &consumer,
            signed(AT_ONCE as u64),
        );
        if lines > 0 {
            return Ok(false);
        }
        execute!(connection, "DELETE FROM consumers WHERE id = $1", &consumer);
        return Ok(false);
    }
    let ids: Vec<_> = owed.iter().map(|(id,)| id.as_str()).collect();
    super::claim::lock_events(connection, &ids).await?;
    for id in ids {
        execute!(
            connection,
            "DELETE FROM deliveries WHERE consumer_id = $1 AND event_id = $2",
            &consumer,
            id,
        );
        finish(connection, id, now).await?;
    }
    Ok(false)
}
