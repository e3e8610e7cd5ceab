//! What belongs to a ticket: how its status has changed, and files.

use penholder_ticket::{Attachment, Comment, CommentId, StatusChange, TicketId};

use super::Tickets;
use super::error::TicketError;
use super::row::Kept;
use super::work::Work;
use crate::error::StoreError;
use crate::row::signed;
use crate::statement::{Connection, rows};

impl Tickets {
    /// Reads up to `limit` changes of a ticket's status, in order, but for the first `skip`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn history(
        &self,
        id: TicketId,
        (skip, limit): (u64, u32),
    ) -> Result<Vec<StatusChange>, StoreError> {
        let found: Vec<Kept<StatusChange>> = rows!(
            &mut self.pens.reader().await?.connection(),
            fetch_all,
            "SELECT from_status, to_status, reason, by_person, at_ms FROM ticket_history
             WHERE ticket_id = $1 AND position >= $2 ORDER BY position LIMIT $3",
            id.to_string(),
            signed(skip),
            i64::from(limit),
        );
        Ok(found.into_iter().map(|kept| kept.0).collect())
    }

    /// Reads a ticket's own files, each in its place.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn attachments(&self, id: TicketId) -> Result<Vec<Attachment>, StoreError> {
        files(&mut self.pens.reader().await?.connection(), (id, None)).await
    }

    /// Reads the files of comments, which follow one another on a page of one ticket. Whoever may see those may see
    /// their files.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn attachments_of(
        &self,
        comments: &[Comment],
    ) -> Result<Vec<Attachment>, StoreError> {
        let (Some(first), Some(last)) = (comments.first(), comments.last()) else {
            return Ok(Vec::new());
        };
        let found: Vec<Kept<Attachment>> = rows!(
            &mut self.pens.reader().await?.connection(),
            fetch_all,
            "SELECT f.id, f.comment_id, f.url, f.name, f.size, f.position
             FROM attachments AS f JOIN comments AS c ON c.id = f.comment_id
             WHERE c.ticket_id = $1 AND (c.created_ms, c.id) >= ($2, $3)
                 AND (c.created_ms, c.id) <= ($4, $5)
             ORDER BY c.created_ms, c.id, f.position",
            first.ticket_id.to_string(),
            signed(first.created_at.0),
            first.id.to_string(),
            signed(last.created_at.0),
            last.id.to_string(),
        );
        let files = found.into_iter().map(|kept| kept.0);
        // Those in between that are not on the page are for others to see.
        let shown = |file: &Attachment| comments.iter().any(|it| Some(it.id) == file.comment_id);
        Ok(files.filter(shown).collect())
    }
}

impl Work {
    /// Reads the files of a ticket, or of one of its comments.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn attachments(
        &mut self,
        of: (TicketId, Option<CommentId>),
    ) -> Result<Vec<Attachment>, TicketError> {
        Ok(files(&mut self.transaction.connection(), of).await?)
    }
}

async fn files(
    connection: &mut Connection<'_>,
    (ticket, comment): (TicketId, Option<CommentId>),
) -> Result<Vec<Attachment>, StoreError> {
    let found: Vec<Kept<Attachment>> = rows!(
        connection,
        fetch_all,
        "SELECT id, comment_id, url, name, size, position FROM attachments
         WHERE ticket_id = $1 AND coalesce(comment_id, '') = $2 ORDER BY position",
        ticket.to_string(),
        comment.map_or_else(String::new, |comment| comment.to_string()),
    );
    Ok(found.into_iter().map(|kept| kept.0).collect())
}
