//! Many tickets in one work.

use std::collections::BTreeMap;

use penholder_ticket::{BulkChanges, BulkRefusal, Ticket, TicketId, bulk_update};

use super::error::{RefusedTicket, TicketError, WhyNot};
use super::holder::Holder;
use super::work::Work;

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
        let mut held = BTreeMap::new();
        let mut refused = Vec::new();
        for id in ids {
            // The row of the pen before that of the ticket, as where one is changed alone.
            let judged = if changes.need_pen() { Some(self.judge(*id, None).await?) } else { None };
            match self.ticket(*id).await {
                Ok(ticket) => {
                    let judged = judged.filter(|_| changes.rewrites(&ticket));
                    let holder = judged.map(Holder::of).transpose()?.flatten();
                    held.extend(holder.map(|it| (*id, (ticket.clone(), it))));
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
        let made = bulk_update(tickets, change, rules, self.occasion());
        let all = made.unwrap_or_else(|not| {
            refused.extend(not.into_iter().map(RefusedTicket::from));
            Vec::new()
        });
        self.keep_out(&held, &mut refused);
        if let Some(error) = TicketError::of_many(refused) {
            return Err(error);
        }
        let mut written = Vec::with_capacity(all.len());
        for changed in all {
            if let Some((before, holder)) = held.get(&changed.ticket.id) {
                self.collide(before, holder, None);
            }
            written.push(self.write(changed).await?);
        }
        Ok(written)
    }

    /// Refuses what the holders of pens keep as it is, and tells them so.
    fn keep_out(
        &mut self,
        held: &BTreeMap<TicketId, (Ticket, Holder)>,
        refused: &mut Vec<RefusedTicket>,
    ) {
        for (id, (ticket, holder)) in held {
            let is_refused = refused.iter().any(|it| it.ticket == *id);
            if holder.keeps && !is_refused {
                self.collide(ticket, holder, None);
                let why = WhyNot::Held { holder: holder.person.clone() };
                refused.push(RefusedTicket { ticket: *id, why });
            }
        }
    }
}

impl From<BulkRefusal> for RefusedTicket {
    fn from(BulkRefusal { ticket, refusal }: BulkRefusal) -> Self {
        Self { ticket, why: WhyNot::Refused(refusal) }
    }
}
