//! Many tickets in one work.

use std::collections::BTreeMap;

use penholder_lease::{Fence, Person, WriteCheck, WriteClaim};
use penholder_ticket::{
    BulkChanges, BulkRefusal, Ticket, TicketId, bulk_update, collision, ticket_topic,
};

use super::error::{RefusedTicket, TicketError, WhyNot};
use super::work::Work;

/// Somebody who holds the pen of a ticket that another writes to.
struct Holder {
    person: Person,
    fence: Fence,
    /// Whether the policy keeps others from writing.
    keeps: bool,
}

impl Work {
    /// Changes many tickets, all of them or none. The ids are in order, each once, as
    /// [`bulk_ids`](penholder_ticket::bulk_ids) returns them. Returns those that are different now.
    ///
    /// What is written under the pen is judged for each ticket as where it is [changed alone](Self::update), without a
    /// fence: whoever holds one is told, or keeps the ticket as it is.
    ///
    /// # Errors
    ///
    /// Some of them are not there, do not allow it or are held, or the assignee is not known as one of the staff.
    pub async fn update_many(
        &mut self,
        ids: &[TicketId],
        changes: &BulkChanges,
    ) -> Result<Vec<Ticket>, TicketError> {
        self.tickets.pens.set_apart(&mut self.transaction).await?;
        let to = changes.assignee_id.as_ref().and_then(Option::as_ref);
        let assignee = self.assignee(to).await?;
        let mut tickets = Vec::with_capacity(ids.len());
        let mut holders = BTreeMap::new();
        let mut refused = Vec::new();
        for id in ids {
            // The row of the pen before that of the ticket, as where one is changed alone.
            let holder = if changes.need_pen() { self.holder(*id).await? } else { None };
            match self.ticket(*id).await {
                Ok(ticket) => {
                    let holder = holder.filter(|_| changes.rewrites(&ticket));
                    holders.extend(holder.map(|it| (*id, it)));
                    tickets.push(ticket);
                }
                Err(TicketError::NotFound) => {
                    refused.push(RefusedTicket { ticket: *id, why: WhyNot::NotFound });
                }
                Err(error) => return Err(error),
            }
        }
        self.moment().await?;
        let (change, rules) = ((changes, assignee.as_ref()), self.tickets.rules);
        let made = bulk_update(tickets.clone(), change, rules, self.occasion());
        let all = made.unwrap_or_else(|not| {
            refused.extend(not.into_iter().map(RefusedTicket::from));
            Vec::new()
        });
        self.keep_out(&tickets, &holders, &mut refused);
        if let Some(error) = TicketError::of_many(refused) {
            return Err(error);
        }
        let before: BTreeMap<_, _> = tickets.iter().map(|ticket| (ticket.id, ticket)).collect();
        let mut written = Vec::with_capacity(all.len());
        for changed in all {
            let id = changed.ticket.id;
            if let Some(holder) = holders.get(&id) {
                self.collide(before[&id], holder);
            }
            written.push(self.write(changed).await?);
        }
        Ok(written)
    }

    /// Returns who holds the pen of a ticket, if that is somebody else.
    async fn holder(&mut self, id: TicketId) -> Result<Option<Holder>, TicketError> {
        let by = self.actor().person.id.clone();
        let (topic, claim) = (ticket_topic(id), WriteClaim { by: &by, fence: None });
        let judged = self.tickets.pens.judge(&mut self.transaction, &topic, claim).await?;
        let (person, keeps) = match judged.check {
            WriteCheck::Collides { holder, flag: true } => (holder, false),
            WriteCheck::Unfenced { holder } => (holder, true),
            // Only a fence can be stale.
            WriteCheck::Accepted | WriteCheck::Stale { .. } | WriteCheck::Collides { .. } => {
                return Ok(None);
            }
        };
        Ok(Some(Holder { person, fence: judged.fence, keeps }))
    }

    /// Refuses what the holders of pens keep as it is, and tells them so.
    fn keep_out(
        &mut self,
        tickets: &[Ticket],
        holders: &BTreeMap<TicketId, Holder>,
        refused: &mut Vec<RefusedTicket>,
    ) {
        for ticket in tickets {
            let is_refused = refused.iter().any(|it| it.ticket == ticket.id);
            let holder = holders.get(&ticket.id).filter(|it| it.keeps && !is_refused);
            if let Some(holder) = holder {
                self.collide(ticket, holder);
                let why = WhyNot::Held { holder: holder.person.clone() };
                refused.push(RefusedTicket { ticket: ticket.id, why });
            }
        }
    }

    fn collide(&mut self, ticket: &Ticket, holder: &Holder) {
        let told = collision(ticket, (&holder.person, holder.fence), None, self.occasion());
        self.events.push(told);
    }
}

impl From<BulkRefusal> for RefusedTicket {
    fn from(BulkRefusal { ticket, refusal }: BulkRefusal) -> Self {
        Self { ticket, why: WhyNot::Refused(refusal) }
    }
}
