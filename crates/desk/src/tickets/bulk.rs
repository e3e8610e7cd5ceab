//! Many tickets in one work.

use penholder_ticket::{BulkChanges, Ticket, TicketId, bulk_update};

use super::error::TicketError;
use super::work::Work;

impl Work {
    /// Changes many tickets, all of them or none. The ids are in order, each once, as
    /// [`bulk_ids`](penholder_ticket::bulk_ids) returns them. Returns those that are different now.
    ///
    /// # Errors
    ///
    /// One of them is not there or does not allow it, or the assignee is not known as one of the staff.
    pub async fn update_many(
        &mut self,
        ids: &[TicketId],
        changes: &BulkChanges,
    ) -> Result<Vec<Ticket>, TicketError> {
        self.tickets.pens.set_apart(&mut self.transaction).await?;
        let to = changes.assignee_id.as_ref().and_then(Option::as_ref);
        let assignee = self.assignee(to).await?;
        let mut tickets = Vec::with_capacity(ids.len());
        for id in ids {
            tickets.push(self.ticket(*id).await?);
        }
        self.moment().await?;
        let rules = self.tickets.rules;
        let change = (changes, assignee.as_ref());
        let all = bulk_update(tickets, change, rules, self.occasion())?;
        let mut written = Vec::with_capacity(all.len());
        for changed in all {
            written.push(self.write(changed).await?);
        }
        Ok(written)
    }
}
