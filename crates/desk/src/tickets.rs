//! Tickets, as the store keeps them and [`penholder_ticket`] decides.

mod bulk;
mod comments;
mod deletion;
mod error;
mod history;
mod holder;
mod keys;
mod list;
mod once;
mod owned;
mod people;
mod row;
mod trace;
mod work;

use std::sync::Arc;

use penholder_lease::{PersonId, StoreMs};
use penholder_ticket::{Assignee, Audience, Comment, CommentId, Rules, Ticket, TicketId, is_staff};
use tokio::sync::Notify;

pub use self::deletion::Deletion;
pub use self::error::{RefusedTicket, TicketError, WhyNot};
pub(crate) use self::keys::KEEP_MS as ANSWER_KEEP_MS;
use self::keys::Running;
pub use self::keys::{Begun, Key, StoredAnswer};
pub use self::list::{Assigned, Filter, Listed, Order, Page, Stats};
pub use self::once::{Once, Unanswered};
pub use self::people::{KnownPerson, PeopleFilter, PeoplePage};
use self::row::{Kept, LOCKED, Locked, role_of, select_comment, select_ticket};
pub use self::trace::{PenChange, TracedEvent};
pub use self::work::{Request, Updated, Work};
use crate::error::StoreError;
use crate::events::{self, Replay};
use crate::pens::Pens;
use crate::statement::{Connection, rows};
use crate::stream::{self, Look, Stretch};

/// All tickets, with their comments, and what was told of them.
///
/// They are kept where the pens are, so that a fence is checked in the transaction of a write. A value is
/// cheap to clone, and every clone is the same tickets. What changes something is done in a [`Work`].
/// Who may do or read what is for the caller.
#[derive(Debug, Clone)]
pub struct Tickets {
    pens: Pens,
    rules: Rules,
    running: Running,
    /// Rung when consumers are owed something.
    news: Arc<Notify>,
}

impl Tickets {
    /// Opens the tickets in the store of the pens.
    #[must_use]
    pub fn new(pens: &Pens, rules: Rules) -> Self {
        Self { pens: pens.clone(), rules, running: Running::default(), news: pens.news() }
    }

    pub(crate) fn pens(&self) -> &Pens {
        &self.pens
    }

    pub(crate) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Reads a ticket.
    ///
    /// # Errors
    ///
    /// There is none, or see [`StoreError`].
    pub async fn ticket(&self, id: TicketId) -> Result<Ticket, TicketError> {
        find(&mut self.pens.reader().await?.connection(), id).await
    }

    /// Reads a comment, if an audience may see it.
    ///
    /// # Errors
    ///
    /// There is none for them, or see [`StoreError`].
    pub async fn comment(&self, id: CommentId, audience: Audience) -> Result<Comment, TicketError> {
        let comment = find_comment(&mut self.pens.reader().await?.connection(), id).await?;
        comment.filter(|it| it.is_visible_to(audience)).ok_or(TicketError::NotFound)
    }

    /// Reads up to `limit` events that a topic's audience has heard after a number.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn events(
        &self,
        (topic, audience): (&str, Audience),
        after: u64,
        limit: u32,
    ) -> Result<Replay, StoreError> {
        let mut reader = self.pens.reader().await?;
        events::replay(&mut reader.connection(), (topic, audience), after, limit).await
    }

    /// Looks at a topic as it is now, with its pen, and at the ticket that it is of. Changes nothing.
    ///
    /// Cost: one statement.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn look(&self, topic: &str, ticket: Option<TicketId>) -> Result<Look, StoreError> {
        let found = self.looks(&[(topic, ticket)]).await?.pop();
        found.unwrap_or_else(|| Err(sqlx::Error::RowNotFound.into()))
    }

    /// Looks at topics as [`look`](Self::look) does, all of them as of one moment, in the order asked. What cannot be
    /// read of one takes none of the others with it.
    ///
    /// Cost: one statement, in proportion to `asked`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn looks(
        &self,
        asked: &[(&str, Option<TicketId>)],
    ) -> Result<Vec<Result<Look, StoreError>>, StoreError> {
        // Before the rows are read: what is renewed in between is not seen to have expired.
        let at = self.pens.own_clock()?;
        stream::looks(&mut self.pens.reader().await?.connection(), asked, at).await
    }

    /// Reads up to `limit` events of a topic with staff numbers larger than `after`, for both audiences at once.
    /// Where some of those are not kept any more it begins behind them; with none of them it has nothing but where
    /// the topic is.
    ///
    /// Cost: one statement.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn stretch(
        &self,
        topic: &str,
        after: u64,
        limit: u32,
    ) -> Result<Stretch, StoreError> {
        stream::stretch(&mut self.pens.reader().await?.connection(), topic, after, limit).await
    }
}

async fn find(connection: &mut Connection<'_>, id: TicketId) -> Result<Ticket, TicketError> {
    const SQL: &str = select_ticket!("WHERE t.id = $1");
    let found: Option<Kept<Ticket>> = rows!(connection, fetch_optional, SQL, id.to_string());
    found.map(|kept| kept.0).ok_or(TicketError::NotFound)
}

/// Reads a ticket that nobody else writes until the transaction ends, and where the store has a clock, the time after that
/// was sure.
async fn find_to_write(
    connection: &mut Connection<'_>,
    id: TicketId,
) -> Result<(Ticket, Option<StoreMs>), TicketError> {
    let Connection::Postgres(connection) = connection else {
        // On SQLite nobody else writes at all.
        return Ok((find(connection, id).await?, None));
    };
    let found: Option<Locked> =
        sqlx::query_as(LOCKED).bind(id.to_string()).fetch_optional(&mut **connection).await?;
    let Locked(mut ticket, at) = found.ok_or(TicketError::NotFound)?;
    if let Some(assignee) = &mut ticket.assignee {
        // Where the statement had to wait for the row it has read the name as of before.
        let name = sqlx::query_scalar("SELECT name FROM people WHERE id = $1");
        assignee.name = name.bind(assignee.id.as_str()).fetch_one(&mut **connection).await?;
    }
    Ok((ticket, Some(at)))
}

async fn find_comment(
    connection: &mut Connection<'_>,
    id: CommentId,
) -> Result<Option<Comment>, StoreError> {
    const SQL: &str = select_comment!("WHERE c.id = $1");
    let found: Option<Kept<Comment>> = rows!(connection, fetch_optional, SQL, id.to_string());
    Ok(found.map(|kept| kept.0))
}

/// Reads somebody to whom a ticket may be assigned.
async fn find_assignee(
    connection: &mut Connection<'_>,
    id: &PersonId,
) -> Result<Assignee, TicketError> {
    let found: Option<(String, String)> = rows!(
        connection,
        fetch_optional,
        "SELECT name, role FROM people WHERE id = $1",
        id.as_str(),
    );
    let found = found.filter(|(_, role)| role_of(role).is_some_and(is_staff));
    let (name, _) = found.ok_or_else(TicketError::assignee)?;
    Ok(Assignee { id: id.clone(), name })
}
