//! Comments and internal notes.

use penholder_lease::{PersonId, Role, StoreMs};
use serde::Serialize;

use crate::draft::{File, NewComment};
use crate::event::{self, Event, EventName, Op};
use crate::id::{AttachmentId, CommentId, TicketId};
use crate::moment::Moment;
use crate::person::{Audience, Occasion};
use crate::refusal::{Field, Refusal};
use crate::status::Status;
use crate::ticket::Ticket;

/// A comment, or a note for the staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Which.
    pub id: CommentId,
    /// On which ticket.
    pub ticket_id: TicketId,
    /// By whom; nobody who is known, when a guest wrote it.
    pub author_id: Option<PersonId>,
    /// What it answers. That may be gone by now; its answers stay, at their depth.
    pub parent_id: Option<CommentId>,
    /// How many comments are above it in its thread.
    pub depth: u32,
    /// What it says.
    pub content: String,
    /// Who may see it.
    pub audience: Audience,
    /// When it was made.
    pub created_at: StoreMs,
    /// When it was last written.
    pub updated_at: StoreMs,
}

/// A comment, ready to be written as JSON for those who may see it.
#[derive(Debug, Clone, Serialize)]
pub struct CommentView<'a> {
    id: CommentId,
    ticket_id: TicketId,
    author_id: Option<&'a PersonId>,
    parent_id: Option<CommentId>,
    depth: u32,
    content: &'a str,
    is_internal: bool,
    created_at: Moment,
    updated_at: Moment,
}

/// A file that belongs to a ticket or comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Which.
    pub id: AttachmentId,
    /// Of which comment; of the ticket itself, when none.
    pub comment_id: Option<CommentId>,
    /// Where and what it is.
    #[serde(flatten)]
    pub file: File,
    /// Its place among those of the same ticket or comment, 0 for the first.
    pub position: u32,
}

impl Comment {
    /// Comments on a ticket. `parent` is what it answers, as far as there is such a comment; an internal one
    /// is none to those who cannot see it, and has internal answers only.
    ///
    /// Returns the comment, the ticket with its count, and what is to be told.
    ///
    /// # Errors
    ///
    /// The ticket is closed, the note is not for its author to make, or there is no such parent.
    pub fn create(
        new: NewComment,
        id: CommentId,
        (ticket, parent): (&Ticket, Option<&Self>),
        occasion: Occasion<'_>,
    ) -> Result<(Self, Ticket, Event), Refusal> {
        if ticket.status == Status::Closed {
            return Err(Refusal::TicketClosed);
        }
        if new.audience == Audience::Staff && occasion.by.audience() != Audience::Staff {
            return Err(Refusal::NotAuthorized);
        }
        let parent = parent.filter(|parent| {
            parent.ticket_id == ticket.id
                && (parent.audience == Audience::Public || new.audience == Audience::Staff)
        });
        if new.parent_id != parent.map(|parent| parent.id) {
            let rule = "there is no such comment on this ticket";
            return Err(Refusal::invalid(Field::Parent, rule));
        }
        let comment = Self {
            id,
            ticket_id: ticket.id,
            author_id: (occasion.by.role != Role::Guest).then(|| occasion.by.person.id.clone()),
            parent_id: new.parent_id,
            depth: parent.map_or(0, |parent| parent.depth.saturating_add(1)),
            content: new.content,
            audience: new.audience,
            created_at: occasion.at,
            updated_at: occasion.at,
        };
        let (name, count) = match comment.audience {
            Audience::Public => (EventName::CommentCreated, ticket.comment_count + 1),
            Audience::Staff => (EventName::InternalNoteCreated, ticket.comment_count),
        };
        let ticket = Ticket { comment_count: count, ..ticket.clone() };
        let event = event::comment((name, Op::Created), (None, &comment), &ticket, occasion);
        Ok((comment, ticket, event))
    }

    /// Returns whether an audience sees the comment.
    #[must_use]
    pub fn is_visible_to(&self, audience: Audience) -> bool {
        self.audience == Audience::Public || audience == Audience::Staff
    }

    /// Lets the comment say something else; nothing is told when it says that already.
    ///
    /// # Errors
    ///
    /// It is another's.
    pub fn edit(
        &self,
        content: String,
        ticket: &Ticket,
        occasion: Occasion<'_>,
    ) -> Result<(Self, Option<Event>), Refusal> {
        self.check_author(occasion)?;
        if self.content == content {
            return Ok((self.clone(), None));
        }
        let after = Self { content, updated_at: occasion.at, ..self.clone() };
        let what = (EventName::CommentUpdated, Op::Updated);
        let event = event::comment(what, (Some(self), &after), ticket, occasion);
        Ok((after, Some(event)))
    }

    /// Takes the comment away. Returns the ticket with its count, and what is to be told.
    ///
    /// # Errors
    ///
    /// It is another's.
    pub fn delete(
        &self,
        ticket: &Ticket,
        occasion: Occasion<'_>,
    ) -> Result<(Ticket, Event), Refusal> {
        self.check_author(occasion)?;
        let public = u64::from(self.audience == Audience::Public);
        let count = ticket.comment_count.saturating_sub(public);
        let ticket = Ticket { comment_count: count, ..ticket.clone() };
        let what = (EventName::CommentDeleted, Op::Deleted);
        let event = event::comment(what, (Some(self), self), &ticket, occasion);
        Ok((ticket, event))
    }

    fn check_author(&self, occasion: Occasion<'_>) -> Result<(), Refusal> {
        let by = occasion.by;
        let own = by.role != Role::Guest && self.author_id.as_ref() == Some(&by.person.id);
        let allowed = by.role == Role::Admin || own && self.is_visible_to(by.audience());
        if allowed { Ok(()) } else { Err(Refusal::NotAuthorized) }
    }

    /// Returns the comment for those who may see it.
    #[must_use]
    pub fn view(&self) -> CommentView<'_> {
        CommentView {
            id: self.id,
            ticket_id: self.ticket_id,
            author_id: self.author_id.as_ref(),
            parent_id: self.parent_id,
            depth: self.depth,
            content: &self.content,
            is_internal: self.audience == Audience::Staff,
            created_at: Moment(self.created_at),
            updated_at: Moment(self.updated_at),
        }
    }
}
