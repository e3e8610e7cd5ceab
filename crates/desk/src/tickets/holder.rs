//! Who holds the pen of a ticket that another writes to.

use penholder_lease::{Fence, Person, WriteCheck, WriteClaim};
use penholder_ticket::{Ticket, TicketId, collision, ticket_topic};

use super::error::TicketError;
use super::work::Work;
use crate::error::StoreError;
use crate::pens::Judged;

/// Somebody who is told that another writes to their ticket.
pub(super) struct Holder {
    pub(super) person: Person,
    fence: Fence,
    /// Whether the policy keeps others from writing.
    pub(super) keeps: bool,
}

impl Holder {
    /// Returns who is told, if anybody is.
    ///
    /// # Errors
    ///
    /// The fence of whoever writes is stale.
    pub(super) fn of(Judged { check, fence, .. }: Judged) -> Result<Option<Self>, TicketError> {
        let (person, keeps) = match check {
            WriteCheck::Stale { holder } => return Err(TicketError::StaleFence { holder }),
            WriteCheck::Accepted | WriteCheck::Collides { flag: false, .. } => return Ok(None),
            WriteCheck::Collides { holder, flag: true } => (holder, false),
            WriteCheck::Unfenced { holder } => (holder, true),
        };
        Ok(Some(Self { person, fence, keeps }))
    }
}

impl Work {
    /// Judges a write by the pen of a ticket. To be done before the row of the ticket is locked, and both before any counter.
    pub(super) async fn judge(
        &mut self,
        id: TicketId,
        fence: Option<Fence>,
    ) -> Result<Judged, StoreError> {
        let claim = WriteClaim { by: &self.request.actor.person.id, fence };
        self.tickets.pens.judge(&mut self.transaction, &ticket_topic(id), claim).await
    }

    /// Lets the holder be told of a write, done under `fence`, if any.
    pub(super) fn collide(&mut self, ticket: &Ticket, holder: &Holder, fence: Option<Fence>) {
        let told = collision(ticket, (&holder.person, holder.fence), fence, self.occasion());
        self.events.push(told);
    }
}
