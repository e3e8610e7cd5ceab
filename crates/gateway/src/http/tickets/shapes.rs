//! What goes out has the shapes that the protocol declares, for TypeScript and for the description of the interface.

use penholder_lease::{Fence, Kind, Person, Role, StoreMs};
use penholder_protocol as protocol;
use penholder_ticket::{
    Actor, Assignee, Audience, BulkPatch, Comment, CommentDraft, CommentId, Event, EventName,
    Occasion, Rules, Status, Ticket, TicketDraft, TicketId, TicketPatch, bulk_update, collision,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Of these the staff is told null where there is nobody; a reader does not tell that from an absent one.
const IDS: [&str; 3] = ["assigned_to_id", "old_assignee_id", "new_assignee_id"];

/// Reads a value as a declared type, and expects the same when it is written again.
fn fits<T: DeserializeOwned + Serialize>(value: &Value) {
    let value = without_nobody(value.clone());
    let read: T =
        serde_json::from_value(value.clone()).unwrap_or_else(|it| panic!("{it}: {value}"));
    assert_eq!(json!(read), value, "{}", std::any::type_name::<T>());
}

fn without_nobody(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .filter(|(key, value)| !(value.is_null() && IDS.contains(&key.as_str())));
            kept.map(|(key, value)| (key, without_nobody(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(without_nobody).collect(),
        other => other,
    }
}

fn fits_its_name(name: EventName, value: &Value) {
    match name {
        EventName::TicketCreated | EventName::TicketDeleted => {
            fits::<protocol::TicketEvent>(value);
        }
        EventName::TicketUpdated => fits::<protocol::TicketUpdated>(value),
        EventName::TicketStatusChanged => fits::<protocol::TicketStatusChanged>(value),
        EventName::TicketAssigned => fits::<protocol::TicketAssigned>(value),
        EventName::TicketPriorityChanged => fits::<protocol::TicketPriorityChanged>(value),
        EventName::TicketsBulkUpdated => fits::<protocol::TicketsBulkUpdated>(value),
        EventName::CommentCreated
        | EventName::CommentUpdated
        | EventName::CommentDeleted
        | EventName::InternalNoteCreated => fits::<protocol::TicketCommentEvent>(value),
        EventName::Collision => fits::<protocol::TicketCollision>(value),
    }
}

fn adam() -> Actor {
    let person = Person { id: "adam".into(), name: "Adam".to_owned(), kind: Kind::Human };
    Actor { person, role: Role::Admin }
}

/// A ticket of which every field has a value, and every event that there is about it.
fn story(by: &Actor) -> (Ticket, Comment, Vec<Event>) {
    let on = Occasion { by, at: StoreMs(1_000) };
    let (rules, mut events) = (Rules::default(), Vec::new());
    let mut keep = |changed: penholder_ticket::Changed| {
        events.extend(changed.events);
        changed.ticket
    };
    let draft =
        json!({"title": "t", "description": "d", "user_id": "carl", "metadata": {"a": [1]}});
    let draft: TicketDraft = serde_json::from_value(draft).unwrap();
    let new = draft.check().unwrap();
    let ticket = keep(Ticket::create(new, (TicketId::new(1), "t".to_owned()), on));
    let assignee = |id: &str| Assignee { id: id.into(), name: id.to_owned() };
    let ticket = keep(ticket.assign(Some(&assignee("ann")), on));
    let ticket = keep(ticket.assign(Some(&assignee("ben")), on));
    let patch = json!({"title": "u", "metadata": {"b": 1}, "priority": "high"});
    let patch: TicketPatch = serde_json::from_value(patch).unwrap();
    let ticket = keep(ticket.update(&patch.check().unwrap(), rules, on).unwrap());
    let why = Some("done".to_owned());
    let ticket = keep(ticket.transition((Status::Resolved, why), rules, on).unwrap());
    let comments = [json!({"content": "a"}), json!({"content": "b", "is_internal": true})];
    let mut comment = None;
    for draft in comments {
        let draft: CommentDraft = serde_json::from_value(draft).unwrap();
        let new = draft.check().unwrap();
        let made = Comment::create(new, CommentId::new(2), (&ticket, None), on).unwrap();
        events.push(made.2);
        events.extend(made.0.edit("c".to_owned(), &ticket, on).unwrap().1);
        events.push(made.0.delete(&ticket, on).unwrap().1);
        comment = Some(made.0);
    }
    let patch: BulkPatch = serde_json::from_value(json!({"priority": "low"})).unwrap();
    let changes = patch.check().unwrap();
    let bulk = bulk_update(vec![ticket.clone()], (&changes, None), rules, on).unwrap();
    events.extend(bulk.into_iter().flat_map(|changed| changed.events));
    events.push(collision(&ticket, (&by.person, Fence(7)), Some(Fence(6)), on));
    events.push(ticket.delete(on));
    (ticket, comment.unwrap(), events)
}

#[test]
fn tickets_and_comments_are_as_declared() {
    let (ticket, comment, _) = story(&adam());
    let staff = json!(ticket.view(Audience::Staff));
    assert!(staff["version"].is_u64() && staff["assigned_to_id"] == "ben");
    fits::<protocol::Ticket>(&staff);
    fits::<protocol::Ticket>(&json!(ticket.view(Audience::Public)));
    fits::<protocol::TicketComment>(&json!(comment.view()));
    let guest = json!({"title": "t", "description": "d", "guest": {"name": "g", "email": "g@x"}});
    let guest: TicketDraft = serde_json::from_value(guest).unwrap();
    let by = adam();
    let id = (TicketId::new(1), "t".to_owned());
    let of_guest = Ticket::create(guest.check().unwrap(), id, Occasion { by: &by, at: StoreMs(0) });
    fits::<protocol::Ticket>(&json!(of_guest.ticket.view(Audience::Public)));
}

#[test]
fn events_are_as_declared() {
    let (_, _, events) = story(&adam());
    for name in EventName::ALL {
        assert!(events.iter().any(|event| event.name == *name), "{name}");
    }
    for event in &events {
        let own = event.routes.iter().filter_map(|route| route.own.as_ref());
        for bodies in own.chain([&event.bodies]) {
            for body in [Some(&bodies.staff), bodies.public.as_ref()].into_iter().flatten() {
                let mut value: Value = serde_json::from_str(body).unwrap();
                // The store adds the number.
                value["seq"] = json!(1);
                fits_its_name(event.name, &value);
            }
        }
    }
}
