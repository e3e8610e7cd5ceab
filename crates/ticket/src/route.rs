//! Who is told what: the topics of an event, and what goes to each audience there.

use std::collections::BTreeMap;

use penholder_lease::PersonId;

use crate::event::EventName;
use crate::id::TicketId;
use crate::person::Audience;
use crate::ticket::Ticket;

/// The topic that has every ticket; for the staff.
pub const ALL_TOPIC: &str = "tickets:all";

/// Returns the topic of a person: their tickets, and for the staff those that are assigned to them.
#[must_use]
pub fn user_topic(user: &PersonId) -> String {
    format!("tickets:user:{user}")
}

/// Returns the topic of a ticket.
#[must_use]
pub fn ticket_topic(ticket: TicketId) -> String {
    format!("tickets:{ticket}")
}

/// The topics of an event, each once, and who of those there is told.
pub(crate) type Routes = BTreeMap<String, Audience>;

/// Returns where an event about a ticket goes; `audience` is who may know of it at all.
pub(crate) fn routes(name: EventName, ticket: &Ticket, audience: Audience) -> Routes {
    let mut routes = Routes::from([(ticket_topic(ticket.id), audience)]);
    if name != EventName::Collision {
        routes.insert(ALL_TOPIC.to_owned(), audience);
    }
    let owner_is_told = !matches!(name, EventName::InternalNoteCreated | EventName::Collision);
    if let Some(owner) = ticket.user_id.as_ref().filter(|_| owner_is_told) {
        routes.insert(user_topic(owner), audience);
    }
    routes
}

/// Adds the topics of agents, who are staff there. A topic of one who is also the owner stays public.
pub(crate) fn add_agents<'a>(routes: &mut Routes, agents: impl Iterator<Item = &'a PersonId>) {
    for agent in agents {
        routes.entry(user_topic(agent)).or_insert(Audience::Staff);
    }
}
