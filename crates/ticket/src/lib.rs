//! Tickets: what they are, what may happen to them, and who is told. Without I/O.
//!
//! A store lends rows, ids and its clock; this crate decides what becomes of them. Each operation takes a
//! ticket as it is and returns it as it will be, with rows for its history and [`Event`]s: what the log keeps
//! of the write, and what each topic is told, by audience. Same inputs, same outputs.
//!
//! # A ticket
//!
//! ```
//! use penholder_lease::{Kind, Person, Role, StoreMs};
//! use penholder_ticket::{Actor, Occasion, Rules, Status, Ticket, TicketDraft, TicketId};
//!
//! let person = Person { id: "ada".into(), name: "Ada".to_owned(), kind: Kind::Human };
//! let ada = Actor { person, role: Role::Agent };
//! let at = |ms| Occasion { by: &ada, at: StoreMs(ms) };
//!
//! let draft = TicketDraft {
//!     title: "Printer on fire".to_owned(),
//!     description: "It burns.".to_owned(),
//!     user_id: Some("carl".to_owned()),
//!     ..TicketDraft::default()
//! };
//! let new = draft.check()?;
//! let created = Ticket::create(new, (TicketId::new(1), "printer-on-fire".to_owned()), at(1_000));
//! let topics: Vec<_> = created.events[0].routes.iter().map(|route| route.topic.as_str()).collect();
//! assert_eq!(topics.len(), 3, "all tickets, the owner's and its own: {topics:?}");
//!
//! let solved = created.ticket.transition((Status::Resolved, None), Rules::default(), at(2_000))?;
//! assert_eq!(solved.ticket.resolved_at, Some(StoreMs(2_000)));
//! // From resolved there is no way to in_progress.
//! let refused = solved.ticket.transition((Status::InProgress, None), Rules::default(), at(3_000));
//! assert_eq!(refused.unwrap_err().code(), "invalid_transition");
//! # Ok::<(), penholder_ticket::Refusal>(())
//! ```
//!
//! # The driver's contract
//!
//! - *All of a change or nothing*: the ticket, its history and its events in one transaction, under a lock of
//!   the ticket's row from before it is read.
//! - *No events, no write*: what would be the same is not written again.
//! - *Who may do what* is for the caller, but for what only an author, an administrator or the staff may do
//!   with a comment.
//! - *Ids* are drawn by the driver, slugs are unique by its doing, and an assignee is somebody whom it knows.
//!
//! # Invariants, and the tests that fail without them
//!
//! - The status goes by the machine, and the times go with it: `machine_is_the_table`,
//!   `times_go_with_the_status`.
//! - Each event goes where the routing table says, each topic once: `events_go_where_the_table_says`,
//!   `each_topic_is_told_once`.
//! - Nothing that only the staff may know is in what the public is told: `public_is_told_nothing_of_the_staff`.
//! - What was refused or would be the same tells nothing: `nothing_different_tells_nothing`.
//! - Each row of the log begins where the one before it ended: `rows_of_the_log_follow_one_another`.
//!
//! Source: the tickets of PhoenixKit, whose names of events, statuses and topics these are.

mod bulk;
mod change;
mod comment;
mod draft;
mod event;
mod id;
mod moment;
mod person;
mod refusal;
mod route;
mod slug;
mod status;
mod ticket;
mod word;

pub use self::bulk::{BulkRefusal, bulk_update};
pub use self::change::Changed;
pub use self::comment::{Attachment, Comment, CommentView};
pub use self::draft::{
    BULK_LEN_MAX, BulkChanges, BulkPatch, COMMENT_ATTACHMENTS_MAX, CONTENT_CHARS_MAX, Changes,
    CommentDraft, DESCRIPTION_CHARS_MAX, File, METADATA_BYTES_MAX, NAME_CHARS_MAX, NewComment,
    NewTicket, Patch, REASON_CHARS_MAX, TICKET_ATTACHMENTS_MAX, TITLE_CHARS_MAX, TicketDraft,
    TicketPatch, URL_CHARS_MAX, bulk_ids, category, content, name, person, priority, reason,
    status,
};
pub use self::event::{Bodies, Entity, Event, EventName, Op, Route, collision};
pub use self::id::{AttachmentId, CommentId, EventId, TicketId};
pub use self::moment::Moment;
pub use self::person::{Actor, Assignee, Audience, Occasion, is_staff};
pub use self::refusal::{Field, Refusal};
pub use self::route::{
    ALL_TOPIC, PERSON_TOPICS, TOPIC_BYTES_MAX, person_of, ticket_of, ticket_topic, user_topic,
};
pub use self::slug::{SLUG_BYTES_MAX, numbered, slug};
pub use self::status::{Rules, Status, StatusChange};
pub use self::ticket::{Category, Guest, Priority, Ticket, TicketView};
