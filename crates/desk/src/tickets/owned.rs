//! Whose tickets are: what decides who may look at them.

use std::collections::BTreeSet;

use penholder_lease::PersonId;
use penholder_ticket::TicketId;

use super::Tickets;
use crate::error::StoreError;
use crate::statement::{Connection, rows};

/// Lists come as one parameter, so that each length of them is not a statement of its own.
const OWNED_SQLITE: &str = "
    SELECT id FROM tickets WHERE user_id = $1 AND id IN (SELECT value FROM json_each($2))";

const OWNED_POSTGRES: &str = "
    SELECT id FROM tickets
    WHERE user_id = $1 AND id IN (SELECT json_array_elements_text(CAST($2 AS json)))";

impl Tickets {
    /// Returns which of these tickets somebody owns, in one statement. A ticket that there is not is nobody's.
    ///
    /// Cost: in proportion to `tickets`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn owned(
        &self,
        owner: &PersonId,
        tickets: &BTreeSet<TicketId>,
    ) -> Result<BTreeSet<TicketId>, StoreError> {
        // What cannot be kept owns nothing.
        if tickets.is_empty() || owner.as_str().contains('\0') {
            return Ok(BTreeSet::new());
        }
        let list = serde_json::json!(tickets).to_string();
        let mut reader = self.pens.reader().await?;
        let mut connection = reader.connection();
        let sql = match connection {
            Connection::Sqlite(_) => OWNED_SQLITE,
            Connection::Postgres(_) => OWNED_POSTGRES,
        };
        let found: Vec<(String,)> =
            rows!(&mut connection, fetch_all, sql, owner.as_str(), list.as_str());
        Ok(ids(&found))
    }

    /// Returns up to `limit` tickets that somebody owns, the newest.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn newest_of(
        &self,
        owner: &PersonId,
        limit: u32,
    ) -> Result<BTreeSet<TicketId>, StoreError> {
        if owner.as_str().contains('\0') {
            return Ok(BTreeSet::new());
        }
        let found: Vec<(String,)> = rows!(
            &mut self.pens.reader().await?.connection(),
            fetch_all,
            "SELECT id FROM tickets WHERE user_id = $1 ORDER BY created_ms DESC, id DESC LIMIT $2",
            owner.as_str(),
            i64::from(limit),
        );
        Ok(ids(&found))
    }
}

fn ids(rows: &[(String,)]) -> BTreeSet<TicketId> {
    rows.iter().filter_map(|(id,)| TicketId::parse(id)).collect()
}
