//! Many tickets, changed together: all or none of them, and one event.

use std::collections::BTreeMap;

use penholder_lease::PersonId;
use serde_json::{Map, Value, json};

use crate::change::{Changed, begins_work, id_of, step, write};
use crate::draft::BulkChanges;
use crate::event::{Bodies, Event, EventName, Extra, Route, row_of};
use crate::id::TicketId;
use crate::person::{Assignee, Audience, Occasion};
use crate::refusal::Refusal;
use crate::route::{ALL_TOPIC, ticket_topic, user_topic};
use crate::status::{Rules, Status};
use crate::ticket::Ticket;

/// Why one of many tickets is not changed, and so none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ticket}: {refusal}")]
pub struct BulkRefusal {
    /// The ticket that does not allow it.
    pub ticket: TicketId,
    /// Why.
    pub refusal: Refusal,
}

/// Changes many tickets. `assignee` is the one that the changes name. Those on which nothing would be
/// different are left as they are.
///
/// Each ticket that is different has a row of the log. The topic of all is told once, with the whole list;
/// an owner once, with their own tickets; a ticket's topic, with itself.
///
/// # Errors
///
/// All tickets that do not allow it, in their order and never none; then no ticket is different.
pub fn bulk_update(
    tickets: Vec<Ticket>,
    (changes, assignee): (&BulkChanges, Option<&Assignee>),
    rules: Rules,
    occasion: Occasion<'_>,
) -> Result<Vec<Changed>, Vec<BulkRefusal>> {
    let mut all = Vec::with_capacity(tickets.len());
    let mut refused = Vec::new();
    for before in tickets {
        let change = Change { changes, assignee, rules };
        match change.make(&before, occasion) {
            Ok(Some((ticket, history))) => {
                all.push((before, Changed { ticket, history, events: Vec::new() }));
            }
            Ok(None) => {}
            Err(refusal) => refused.push(BulkRefusal { ticket: before.id, refusal }),
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let told = Told::new(&all, (changes, assignee), occasion);
    let events: Vec<_> = (0..all.len()).map(|place| told.event(&all, place)).collect();
    let tickets = all.into_iter().map(|(_, changed)| changed);
    Ok(tickets
        .zip(events)
        .map(|(changed, event)| Changed { events: vec![event], ..changed })
        .collect())
}

#[derive(Clone, Copy)]
struct Change<'a> {
    changes: &'a BulkChanges,
    assignee: Option<&'a Assignee>,
    rules: Rules,
}

type Made = (Ticket, Vec<crate::status::StatusChange>);

impl Change<'_> {
    /// Changes one ticket in one write; returns nothing where nothing would be different.
    fn make(self, before: &Ticket, occasion: Occasion<'_>) -> Result<Option<Made>, Refusal> {
        let mut after = before.clone();
        let mut history = Vec::new();
        after.category = self.changes.category.unwrap_or(after.category);
        after.priority = self.changes.priority.unwrap_or(after.priority);
        if let Some(to) = self.changes.status {
            before.status.check(to, self.rules)?;
            after.enter(to, occasion.at);
            history.push(step(Some(before.status), to, None, occasion));
        }
        let assigned = self.changes.assignee_id.is_some()
            && id_of(self.assignee) != id_of(before.assignee.as_ref());
        if assigned {
            after.assignee = self.assignee.cloned();
            if begins_work(&after) && self.changes.status.is_none() {
                after.enter(Status::InProgress, occasion.at);
                history.push(step(Some(before.status), Status::InProgress, None, occasion));
            }
        }
        if after == *before {
            return Ok(None);
        }
        after.touch(Audience::Public, occasion.at);
        Ok(Some((after, history)))
    }
}

/// The one event that is told of many tickets, in its parts.
struct Told<'a> {
    occasion: Occasion<'a>,
    changes: Extra,
    /// The place of the first ticket of each owner, whose row has the entry of the owner's topic.
    owners: BTreeMap<PersonId, usize>,
}

impl<'a> Told<'a> {
    fn new(
        all: &[(Ticket, Changed)],
        (changes, assignee): (&BulkChanges, Option<&Assignee>),
        occasion: Occasion<'a>,
    ) -> Self {
        let mut owners = BTreeMap::new();
        for (place, (_, changed)) in all.iter().enumerate() {
            if let Some(owner) = &changed.ticket.user_id {
                owners.entry(owner.clone()).or_insert(place);
            }
        }
        Self { occasion, changes: summary(changes, assignee), owners }
    }

    fn bodies(&self, tickets: &[&Ticket]) -> Bodies {
        let list = |audience| Value::from_iter(tickets.iter().map(|it| row_of(it, audience)));
        let mut extra = Extra {
            staff: Map::from_iter([("changes".to_owned(), self.changes.staff.clone().into())]),
            public: Map::from_iter([("changes".to_owned(), self.changes.public.clone().into())]),
        };
        extra.staff.insert("tickets".to_owned(), list(Audience::Staff));
        extra.public.insert("tickets".to_owned(), list(Audience::Public));
        Bodies::new(EventName::TicketsBulkUpdated, (Audience::Public, extra), self.occasion)
    }

    /// Returns the row of one ticket, with the topics that it tells.
    fn event(&self, all: &[(Ticket, Changed)], place: usize) -> Event {
        let (before, Changed { ticket, .. }) = &all[place];
        let mut routes =
            vec![Route { topic: ticket_topic(ticket.id), audience: Audience::Public, own: None }];
        let mut route = |topic, tickets: &[&Ticket]| {
            let own = Some(self.bodies(tickets));
            routes.push(Route { topic, audience: Audience::Public, own });
        };
        let tickets = || all.iter().map(|(_, changed)| &changed.ticket);
        if place == 0 {
            route(ALL_TOPIC.to_owned(), &tickets().collect::<Vec<_>>());
        }
        let owner = ticket.user_id.as_ref().filter(|it| self.owners[*it] == place);
        if let Some((owner, topic)) = owner.and_then(|owner| Some((owner, user_topic(owner)?))) {
            let own = tickets().filter(|ticket| ticket.user_id.as_ref() == Some(owner));
            route(topic, &own.collect::<Vec<_>>());
        }
        let write = write(EventName::TicketsBulkUpdated, (Some(before), ticket), Extra::default());
        Event {
            name: write.name,
            entity: write.entity,
            op: write.op,
            row: write.row,
            previous: write.previous,
            audience: write.audience,
            bodies: self.bodies(&[ticket]),
            routes,
        }
    }
}

/// Returns what was changed: field to new value.
fn summary(changes: &BulkChanges, assignee: Option<&Assignee>) -> Extra {
    let mut extra = Extra::default();
    if let Some(category) = changes.category {
        extra = extra.field("category", category.as_str());
    }
    if let Some(priority) = changes.priority {
        extra = extra.field("priority", priority.as_str());
    }
    if let Some(status) = changes.status {
        extra = extra.field("status", status.as_str());
    }
    if changes.assignee_id.is_some() {
        extra = extra
            .field("assignee_name", json!(assignee.map(|assignee| &assignee.name)))
            .staff("assigned_to_id", json!(id_of(assignee)));
    }
    extra
}
