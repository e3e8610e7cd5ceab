//! What is forgotten of consumers, and of what was owed to those that are gone.

use penholder_lease::StoreMs;
use sqlx::AssertSqlSafe;

use super::claim::finish;
use crate::error::StoreError;
use crate::events;
use crate::pens::Pens;
use crate::retention::AT_ONCE;
use crate::row::signed;
use crate::statement::{Connection, execute, rows};

/// Forgets what was owed to consumers that are gone, and secrets that sign no more.
pub(crate) async fn forget(pens: &Pens) -> Result<(), StoreError> {
    forget_secrets(pens).await?;
    loop {
        let (mut transaction, now) = pens.begin().await?;
        let is_done = forget_removed(&mut transaction.connection(), now).await?;
        transaction.commit().await?;
        if is_done {
            break;
        }
    }
    Ok(())
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
async fn forget_removed(connection: &mut Connection<'_>, now: StoreMs) -> Result<bool, StoreError> {
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
        if forget_lines(connection, &consumer).await? > 0 {
            return Ok(false);
        }
        execute!(connection, "DELETE FROM consumers WHERE id = $1", &consumer);
        return Ok(false);
    }
    let ids: Vec<_> = owed.iter().map(|(id,)| id.as_str()).collect();
    events::lock_rows(connection, &ids).await?;
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

/// Forgets some of the lines of a consumer, in the order in which all lock them; returns how many.
async fn forget_lines(connection: &mut Connection<'_>, consumer: &str) -> Result<u64, StoreError> {
    let lock = match connection {
        Connection::Sqlite(_) => "",
        Connection::Postgres(_) => " FOR UPDATE",
    };
    let sql = format!(
        "DELETE FROM delivery_lines WHERE consumer_id = $1 AND line IN (
             SELECT line FROM delivery_lines WHERE consumer_id = $1 ORDER BY line LIMIT $2{lock})"
    );
    Ok(execute!(connection, AssertSqlSafe(sql), consumer, signed(AT_ONCE as u64)))
}
