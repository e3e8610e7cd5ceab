//! Comments and notes, written.

use penholder_lease::PersonId;
use penholder_ticket::{Comment, CommentId, NewComment, Ticket, TicketId};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::error::TicketError;
use super::find_comment;
use super::work::{Work, attach};
use crate::row::signed;
use crate::statement::{defer, together};

impl Work {
    /// Comments on a ticket.
    ///
    /// # Errors
    ///
    /// There is no such ticket, or it is closed, or what is answered is not there for whoever asks, or the note
    /// is not for them to make.
    pub async fn comment(
        &mut self,
        ticket: TicketId,
        new: NewComment,
    ) -> Result<Comment, TicketError> {
        let ticket = self.ticket(ticket).await?;
        let id = CommentId::new(Uuid::now_v7().as_u128());
        let files = new.attachments().to_vec();
        let parent = match new.parent_id {
            Some(parent) => find_comment(&mut self.transaction.connection(), parent).await?,
            None => None,
        };
        let on = (&ticket, parent.as_ref());
        let (comment, ticket, event) = Comment::create(new, id, on, self.occasion())?;
        let mut connection = self.transaction.connection();
        const INSERT: &str =
            "INSERT INTO comments (id, ticket_id, author_id, parent_id, depth, content, audience,
                 created_ms, updated_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        const COUNT: &str = "UPDATE tickets SET comment_count = $10 WHERE id = $2";
        let sql = together(&connection, [INSERT, COUNT]);
        defer!(
            &mut connection,
            AssertSqlSafe(sql),
            id.to_string(),
            ticket.id.to_string(),
            comment.author_id.as_ref().map(PersonId::as_str),
            comment.parent_id.map(|parent| parent.to_string()),
            i64::from(comment.depth),
            &comment.content,
            comment.audience.as_str(),
            signed(comment.created_at.0),
            signed(comment.updated_at.0),
            signed(ticket.comment_count),
        );
        attach(&mut connection, (ticket.id, Some(id)), &files).await?;
        self.events.push(event);
        Ok(comment)
    }

    /// Lets a comment say something else.
    ///
    /// # Errors
    ///
    /// It is not there for whoever asks, or it is another's.
    pub async fn edit_comment(
        &mut self,
        id: CommentId,
        content: String,
    ) -> Result<Comment, TicketError> {
        let (ticket, comment) = self.comment_to_write(id).await?;
        let (comment, event) = comment.edit(content, &ticket, self.occasion())?;
        if let Some(event) = event {
            defer!(
                &mut self.transaction.connection(),
                "UPDATE comments SET content = $2, updated_ms = $3 WHERE id = $1",
                id.to_string(),
                &comment.content,
                signed(comment.updated_at.0),
            );
            self.events.push(event);
        }
        Ok(comment)
    }

    /// Takes a comment away. What answers it stays.
    ///
    /// # Errors
    ///
    /// It is not there for whoever asks, or it is another's.
    pub async fn delete_comment(&mut self, id: CommentId) -> Result<(), TicketError> {
        let (ticket, comment) = self.comment_to_write(id).await?;
        let (ticket, event) = comment.delete(&ticket, self.occasion())?;
        let mut connection = self.transaction.connection();
        const DELETE: &str = "DELETE FROM comments WHERE id = $1";
        const COUNT: &str = "UPDATE tickets SET comment_count = $3 WHERE id = $2";
        let sql = together(&connection, [DELETE, COUNT]);
        defer!(
            &mut connection,
            AssertSqlSafe(sql),
            id.to_string(),
            ticket.id.to_string(),
            signed(ticket.comment_count),
        );
        self.events.push(event);
        Ok(())
    }

    /// Reads a comment and its ticket, which keeps others from writing either.
    async fn comment_to_write(&mut self, id: CommentId) -> Result<(Ticket, Comment), TicketError> {
        let audience = self.actor().audience();
        let found = find_comment(&mut self.transaction.connection(), id).await?;
        let ticket = found.filter(|it| it.is_visible_to(audience)).ok_or(TicketError::NotFound)?;
        let ticket = self.ticket(ticket.ticket_id).await?;
        // Once more, under the lock.
        let found = find_comment(&mut self.transaction.connection(), id).await?;
        Ok((ticket, found.ok_or(TicketError::NotFound)?))
    }
}
