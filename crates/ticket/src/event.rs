//! What has happened to a ticket: a row of the log, and what goes to its topics.

use penholder_lease::{Fence, Person};
use serde_json::{Map, Value, json};

use crate::comment::Comment;
use crate::id::{CommentId, TicketId};
use crate::moment::Moment;
use crate::person::{Audience, Occasion};
use crate::route::{Routes, routes};
use crate::ticket::Ticket;
use crate::word::words;

words! {
    /// What an event is called.
    EventName {
        /// A ticket is new.
        TicketCreated = "ticket_created",
        /// Fields of it are different.
        TicketUpdated = "ticket_updated",
        /// Its status is different.
        TicketStatusChanged = "ticket_status_changed",
        /// Its assignee is different.
        TicketAssigned = "ticket_assigned",
        /// Its priority is different.
        TicketPriorityChanged = "ticket_priority_changed",
        /// Many tickets were changed together.
        TicketsBulkUpdated = "tickets_bulk_updated",
        /// It is gone.
        TicketDeleted = "ticket_deleted",
        /// Somebody has commented.
        CommentCreated = "comment_created",
        /// A comment says something else.
        CommentUpdated = "comment_updated",
        /// A comment is gone.
        CommentDeleted = "comment_deleted",
        /// One of the staff has left a note for the others.
        InternalNoteCreated = "internal_note_created",
        /// Somebody wrote without the pen, which somebody else held.
        Collision = "collision",
    }
}

words! {
    /// What was done to a row.
    Op {
        /// It is new.
        Created = "created",
        /// It is different.
        Updated = "updated",
        /// It is gone.
        Deleted = "deleted",
    }
}

/// The row that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// A ticket.
    Ticket(TicketId),
    /// A comment.
    Comment(CommentId),
    /// A write without the pen to a ticket; a row of the log only.
    Collision(TicketId),
}

impl Entity {
    /// Returns what sort of row it is.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ticket(_) => "ticket",
            Self::Comment(_) => "comment",
            Self::Collision(_) => "collision",
        }
    }

    /// Returns the id of the row.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Ticket(id) | Self::Collision(id) => id.to_string(),
            Self::Comment(id) => id.to_string(),
        }
    }
}

/// An event as it goes out: JSON objects, to which the driver adds the `seq` of the topic and audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    /// For the staff.
    pub staff: String,
    /// For everybody else; none, when it is the staff's alone.
    pub public: Option<String>,
}

/// A topic that is told of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Which.
    pub topic: String,
    /// Who of those there.
    pub audience: Audience,
    /// What, where it is not what all the others are told.
    pub own: Option<Bodies>,
}

/// One write, for the log and for the topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is called.
    pub name: EventName,
    /// Which row.
    pub entity: Entity,
    /// What was done to it.
    pub op: Op,
    /// The row after it; of one that is gone, the row before.
    pub row: Value,
    /// The row before this write, whatever else the transaction has written.
    pub previous: Option<Value>,
    /// Who may know of it at all.
    pub audience: Audience,
    /// What the topics are told.
    pub bodies: Bodies,
    /// Which topics, in their order, each once.
    pub routes: Vec<Route>,
}

/// The fields of an event beside those that all have, for each audience.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) staff: Map<String, Value>,
    pub(crate) public: Map<String, Value>,
}

impl Extra {
    /// Adds a field that everybody sees.
    pub(crate) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.public.insert(name.to_owned(), value.clone());
        self.staff.insert(name.to_owned(), value);
        self
    }

    /// Adds a field that only the staff sees.
    pub(crate) fn staff(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.staff.insert(name.to_owned(), value.into());
        self
    }
}

/// A write before it is known who is told.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) name: EventName,
    pub(crate) entity: Entity,
    pub(crate) op: Op,
    pub(crate) row: Value,
    pub(crate) previous: Option<Value>,
    pub(crate) audience: Audience,
    pub(crate) extra: Extra,
}

impl Write {
    /// Tells of a write to a ticket, or to what belongs to it.
    pub(crate) fn tell(self, ticket: &Ticket, occasion: Occasion<'_>) -> Event {
        let routes = routes(self.name, ticket, self.audience);
        self.tell_at(routes, ticket, occasion)
    }

    pub(crate) fn tell_at(self, routes: Routes, ticket: &Ticket, occasion: Occasion<'_>) -> Event {
        let Extra { mut staff, mut public } = self.extra;
        staff.insert("ticket".to_owned(), row_of(ticket, Audience::Staff));
        public.insert("ticket".to_owned(), row_of(ticket, Audience::Public));
        let routes = routes.into_iter();
        Event {
            bodies: Bodies::new(self.name, (self.audience, Extra { staff, public }), occasion),
            routes: routes.map(|(topic, audience)| Route { topic, audience, own: None }).collect(),
            name: self.name,
            entity: self.entity,
            op: self.op,
            row: self.row,
            previous: self.previous,
            audience: self.audience,
        }
    }
}

impl Bodies {
    pub(crate) fn new(
        name: EventName,
        (audience, extra): (Audience, Extra),
        occasion: Occasion<'_>,
    ) -> Self {
        let body = |mut fields: Map<String, Value>| {
            let by = &occasion.by.person;
            let actor = json!({ "id": by.id.as_str(), "name": by.name, "kind": by.kind });
            fields.insert("event".to_owned(), name.as_str().into());
            fields.insert("occurred_at".to_owned(), Moment(occasion.at).to_string().into());
            fields.insert("actor".to_owned(), actor);
            Value::Object(fields).to_string()
        };
        let public = (audience == Audience::Public).then(|| body(extra.public));
        Self { staff: body(extra.staff), public }
    }
}

/// Returns a ticket as an audience sees it.
pub(crate) fn row_of(ticket: &Ticket, audience: Audience) -> Value {
    json!(ticket.view(audience))
}

/// Tells that somebody wrote to a ticket without the pen, which somebody else held. Nothing of the ticket is
/// different for that.
#[must_use]
pub fn collision(
    ticket: &Ticket,
    (holder, fence): (&Person, Fence),
    presented: Option<Fence>,
    occasion: Occasion<'_>,
) -> Event {
    let person = |person: &Person| json!({ "id": person.id.as_str(), "name": person.name, "kind": person.kind });
    let staff = Map::from_iter([
        ("holder".to_owned(), person(holder)),
        ("writer".to_owned(), person(&occasion.by.person)),
        ("fence".to_owned(), json!(fence)),
        ("presented".to_owned(), json!(presented)),
    ]);
    Write {
        name: EventName::Collision,
        entity: Entity::Collision(ticket.id),
        op: Op::Created,
        row: Value::Object(staff.clone()),
        previous: None,
        audience: Audience::Staff,
        extra: Extra { staff, public: Map::new() },
    }
    .tell(ticket, occasion)
}

/// Tells of a write to a comment. `ticket` is as it is after it.
pub(crate) fn comment(
    (name, op): (EventName, Op),
    (before, after): (Option<&Comment>, &Comment),
    ticket: &Ticket,
    occasion: Occasion<'_>,
) -> Event {
    let row = |comment: &Comment| json!(comment.view());
    Write {
        name,
        entity: Entity::Comment(after.id),
        op,
        row: row(after),
        previous: before.map(row),
        audience: after.audience,
        extra: Extra::default().field("comment", row(after)),
    }
    .tell(ticket, occasion)
}
