//! A ticket, taken away.

use std::collections::BTreeSet;

use penholder_ticket::{TicketId, ticket_topic};

use super::Tickets;
use super::error::TicketError;
use super::work::{Request, Work, check_version};
use crate::answer::Logged;
use crate::error::StoreError;
use crate::events::{self, Told};
use crate::pens::Owes;
use crate::statement::execute;

/// A ticket that is gone once this is [committed](Self::commit). Dropped, it is there as before.
///
/// It is nothing of a [`Work`]: it has the pen of its ticket locked before all else, and is counted before its end, so
/// two of them in one transaction would wait for others in a ring.
#[derive(Debug)]
pub struct Deletion {
    work: Work,
    topic: String,
    /// What has happened to the pen, which is written already.
    pen: Vec<Logged>,
    /// Whether consumers are owed any of that.
    pen_owes: Owes,
}

impl Tickets {
    /// Takes a ticket away, with all that belongs to it. Its pen ends before, and its topic closes when that was told.
    /// `version` is what the caller has read. Where it is refused, what it was refused for has been committed when this
    /// returns.
    ///
    /// # Errors
    ///
    /// There is none, it is not that version any more, or see [`StoreError`].
    pub async fn delete(
        &self,
        request: Request,
        (id, version): (TicketId, Option<u64>),
    ) -> Result<Deletion, TicketError> {
        let mut work = self.begin(request).await?;
        match work.delete((id, version)).await {
            Ok((pen, pen_owes)) => Ok(Deletion { work, topic: ticket_topic(id), pen, pen_owes }),
            Err(refusal) => {
                // Dropped it would be undone as well, but later.
                work.abandon().await?;
                Err(refusal)
            }
        }
    }
}

impl Deletion {
    /// Returns the topics that hear of it, each once.
    #[must_use]
    pub fn topics(&self) -> BTreeSet<String> {
        self.work.topics()
    }

    /// Returns what has happened to pens by it: owed to their topics once it is committed, before what that returns.
    #[must_use]
    pub fn pens(&self) -> Vec<(String, Logged)> {
        self.pen.iter().map(|logged| (self.topic.clone(), logged.clone())).collect()
    }

    /// Keeps it for good. What is returned is owed to the topics, after what has happened to [pens](Self::pens).
    ///
    /// # Errors
    ///
    /// As [`Work::commit`].
    pub async fn commit(self) -> Result<Vec<Told>, StoreError> {
        self.work.append_and_commit(self.pen_owes).await
    }
}

impl Work {
    /// Returns what has happened to the pen, and whether consumers are owed any of that.
    async fn delete(
        &mut self,
        (id, version): (TicketId, Option<u64>),
    ) -> Result<(Vec<Logged>, Owes), TicketError> {
        let pens = &self.tickets.pens;
        // It counts before it has all its rows.
        pens.set_apart(&mut self.transaction).await?;
        // The row of the pen before that of the ticket, as where a fence is judged.
        pens.lock_pen_of(&mut self.transaction, id).await?;
        let ticket = self.ticket(id).await?;
        check_version(&ticket, version)?;
        let mut connection = self.transaction.connection();
        execute!(&mut connection, "DELETE FROM tickets WHERE id = $1", id.to_string());
        // Before what the pen owes, as where anybody else is counted and then owes.
        events::lock_to_count(&mut connection, &ticket.deletion_topics()).await?;
        let (pens, by) = (&self.tickets.pens, &self.request.actor.person);
        let trace = self.request.trace.as_ref();
        let ended = pens.end(&mut self.transaction, &ticket_topic(id), by, trace).await?;
        self.at = self.at.max(Some(ended.answered.at));
        self.events.push(ticket.delete(self.occasion()));
        Ok((ended.answered.events, ended.written.unwrap_or(Owes::Nothing)))
    }
}
