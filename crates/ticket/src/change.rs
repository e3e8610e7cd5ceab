//! What may happen to a ticket: each operation takes the ticket as it is and returns it as it will be, with
//! what the history keeps and what is to be told.

use penholder_lease::{PersonId, StoreMs};
use serde_json::{Map, Value, json};

use crate::draft::{Changes, NewTicket};
use crate::event::{Entity, Event, EventName, Extra, Op, Write, row_of};
use crate::id::TicketId;
use crate::person::{Assignee, Audience, Occasion};
use crate::refusal::Refusal;
use crate::route::{add_agents, routes};
use crate::status::{Rules, Status, StatusChange};
use crate::ticket::Ticket;

/// What came of an operation. With no events nothing is different, and nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the ticket is to be kept, and the events are owed to the topics"]
pub struct Changed {
    /// The ticket after it.
    pub ticket: Ticket,
    /// Its changes of status, in order.
    pub history: Vec<StatusChange>,
    /// What is to be logged and told, in order.
    pub events: Vec<Event>,
}

impl Ticket {
    /// Makes a ticket. The slug is one that no other has.
    pub fn create(
        new: NewTicket,
        (id, slug): (TicketId, String),
        occasion: Occasion<'_>,
    ) -> Changed {
        let ticket = Self {
            id,
            title: new.title,
            description: new.description,
            category: new.category,
            status: Status::Open,
            priority: new.priority,
            slug,
            user_id: new.user_id,
            guest: new.guest,
            assignee: None,
            comment_count: 0,
            metadata: new.metadata,
            version: 1,
            resolved_at: None,
            closed_at: None,
            created_at: occasion.at,
            updated_at: occasion.at,
            public_updated_at: occasion.at,
        };
        let history = vec![step(None, Status::Open, None, occasion)];
        let name = EventName::TicketCreated;
        let event = write(name, (None, &ticket), Extra::default()).tell(&ticket, occasion);
        Changed { ticket, history, events: vec![event] }
    }

    /// Changes the status.
    ///
    /// # Errors
    ///
    /// The status cannot change like that.
    pub fn transition(
        &self,
        (to, reason): (Status, Option<String>),
        rules: Rules,
        occasion: Occasion<'_>,
    ) -> Result<Changed, Refusal> {
        self.status.check(to, rules)?;
        let mut changed = self.unchanged();
        changed.set_status((to, reason), occasion);
        Ok(changed)
    }

    /// Assigns the ticket, or takes it away from whoever has it. One that is open is then in progress.
    pub fn assign(&self, assignee: Option<&Assignee>, occasion: Occasion<'_>) -> Changed {
        let mut changed = self.unchanged();
        if id_of(assignee) == id_of(self.assignee.as_ref()) {
            return changed;
        }
        changed.set_assignee(assignee, occasion);
        if begins_work(&changed.ticket) {
            changed.set_status((Status::InProgress, None), occasion);
        }
        changed
    }

    /// Changes fields. The priority and the status have events of their own.
    ///
    /// # Errors
    ///
    /// The status cannot change like that; then nothing is different.
    pub fn update(
        &self,
        changes: &Changes,
        rules: Rules,
        occasion: Occasion<'_>,
    ) -> Result<Changed, Refusal> {
        if let Some(to) = changes.status {
            self.status.check(to, rules)?;
        }
        let mut changed = self.unchanged();
        changed.set_fields(changes, occasion);
        if let Some(priority) = changes.priority.filter(|priority| *priority != self.priority) {
            let mut after = changed.ticket.clone();
            let old = after.priority.as_str();
            after.priority = priority;
            let extra = Extra::default()
                .field("old_priority", old)
                .field("new_priority", priority.as_str());
            changed.keep(EventName::TicketPriorityChanged, after, extra, occasion);
        }
        if let Some(to) = changes.status {
            changed.set_status((to, None), occasion);
        }
        Ok(changed)
    }

    /// Takes the ticket away, with all that belongs to it. Returns what is to be told; after that its topic
    /// closes.
    #[must_use]
    pub fn delete(&self, occasion: Occasion<'_>) -> Event {
        let deleted = write(EventName::TicketDeleted, (Some(self), self), Extra::default());
        Write { op: Op::Deleted, ..deleted }.tell(self, occasion)
    }

    /// Returns the topics that hear of [that](Self::delete), whenever it is.
    #[must_use]
    pub fn deletion_topics(&self) -> Vec<String> {
        routes(EventName::TicketDeleted, self, Audience::Public).into_keys().collect()
    }

    fn unchanged(&self) -> Changed {
        Changed { ticket: self.clone(), history: Vec::new(), events: Vec::new() }
    }

    /// Enters a status, with the times that go with it.
    pub(crate) fn enter(&mut self, to: Status, at: StoreMs) {
        self.status = to;
        match to {
            Status::Open => (self.resolved_at, self.closed_at) = (None, None),
            Status::Resolved => self.resolved_at = Some(at),
            Status::Closed => self.closed_at = Some(at),
            Status::InProgress | Status::WaitingForUser | Status::WaitingForAgent => {}
        }
    }

    /// Counts a write.
    pub(crate) fn touch(&mut self, audience: Audience, at: StoreMs) {
        self.version += 1;
        self.updated_at = at;
        if audience == Audience::Public {
            self.public_updated_at = at;
        }
    }
}

impl Changed {
    /// Counts a write and tells of it.
    fn keep(&mut self, name: EventName, mut after: Ticket, extra: Extra, occasion: Occasion<'_>) {
        after.touch(Audience::Public, occasion.at);
        let event = write(name, (Some(&self.ticket), &after), extra).tell(&after, occasion);
        self.events.push(event);
        self.ticket = after;
    }

    fn set_status(&mut self, (to, reason): (Status, Option<String>), occasion: Occasion<'_>) {
        let mut after = self.ticket.clone();
        let from = after.status;
        after.enter(to, occasion.at);
        let extra = Extra::default()
            .field("old_status", from.as_str())
            .field("new_status", to.as_str())
            .field("reason", reason.clone());
        self.history.push(step(Some(from), to, reason, occasion));
        self.keep(EventName::TicketStatusChanged, after, extra, occasion);
    }

    fn set_assignee(&mut self, assignee: Option<&Assignee>, occasion: Occasion<'_>) {
        let before = self.ticket.clone();
        let (old, new) = (before.assignee.as_ref(), assignee);
        let name = |assignee: Option<&Assignee>| assignee.map(|assignee| assignee.name.clone());
        let extra = Extra::default()
            .field("old_assignee_name", name(old))
            .field("new_assignee_name", name(new))
            .staff("old_assignee_id", id_of(old).map(PersonId::as_str))
            .staff("new_assignee_id", id_of(new).map(PersonId::as_str));
        let mut after = Ticket { assignee: assignee.cloned(), ..before.clone() };
        after.touch(Audience::Public, occasion.at);
        let what = EventName::TicketAssigned;
        let mut told = routes(what, &after, Audience::Public);
        add_agents(&mut told, [id_of(old), id_of(new)].into_iter().flatten());
        let write = write(what, (Some(&before), &after), extra);
        self.events.push(write.tell_at(told, &after, occasion));
        self.ticket = after;
    }

    /// Changes the fields that have no event of their own, together.
    fn set_fields(&mut self, changes: &Changes, occasion: Occasion<'_>) {
        let before = &self.ticket;
        let mut after = before.clone();
        let (mut seen, mut hidden) = (Map::new(), Map::new());
        if let Some(title) = changes.title.as_ref().filter(|title| **title != before.title) {
            seen.insert("title".to_owned(), json!([before.title, title]));
            after.title.clone_from(title);
        }
        let description = changes.description.as_ref();
        if let Some(description) = description.filter(|text| **text != before.description) {
            seen.insert("description".to_owned(), json!([before.description, description]));
            after.description.clone_from(description);
        }
        if let Some(category) = changes.category.filter(|category| *category != before.category) {
            seen.insert("category".to_owned(), json!([before.category, category]));
            after.category = category;
        }
        if let Some(metadata) = changes.metadata.as_ref().filter(|map| **map != before.metadata) {
            hidden.insert("metadata".to_owned(), json!([before.metadata, metadata]));
            after.metadata.clone_from(metadata);
        }
        if seen.is_empty() && hidden.is_empty() {
            return;
        }
        let audience = if seen.is_empty() { Audience::Staff } else { Audience::Public };
        hidden.extend(seen.clone());
        let extra = Extra::default().field("changes", Value::Object(seen));
        let extra = extra.staff("changes", Value::Object(hidden));
        after.touch(audience, occasion.at);
        let write = write(EventName::TicketUpdated, (Some(before), &after), extra);
        self.events.push(Write { audience, ..write }.tell(&after, occasion));
        self.ticket = after;
    }
}

/// Returns whether the ticket is one that somebody has and nobody has begun.
pub(crate) fn begins_work(ticket: &Ticket) -> bool {
    ticket.status == Status::Open && ticket.assignee.is_some()
}

pub(crate) fn id_of(assignee: Option<&Assignee>) -> Option<&PersonId> {
    assignee.map(|assignee| &assignee.id)
}

pub(crate) fn step(
    from: Option<Status>,
    to: Status,
    reason: Option<String>,
    occasion: Occasion<'_>,
) -> StatusChange {
    StatusChange { from, to, reason, by: occasion.by.person.clone(), at: occasion.at }
}

pub(crate) fn write(
    name: EventName,
    (before, after): (Option<&Ticket>, &Ticket),
    extra: Extra,
) -> Write {
    Write {
        name,
        entity: Entity::Ticket(after.id),
        op: if before.is_none() { Op::Created } else { Op::Updated },
        row: row_of(after, Audience::Staff),
        previous: before.map(|ticket| row_of(ticket, Audience::Staff)),
        audience: Audience::Public,
        extra,
    }
}
