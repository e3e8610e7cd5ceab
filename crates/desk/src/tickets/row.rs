//! Tickets, comments and what belongs to them as rows.

use penholder_lease::{Person, PersonId, Role, StoreMs};
use penholder_ticket::{
    Assignee, Attachment, AttachmentId, Audience, Category, Comment, CommentId, File, Guest,
    Priority, Status, StatusChange, Ticket, TicketId,
};
use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;

use super::people::KnownPerson;
use crate::statement::from_row;

/// The columns of a ticket and the name of its assignee, to be continued with what is to be found.
macro_rules! select_ticket {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.title, t.description, t.category, t.status, t.priority, t.slug, t.user_id,
                 t.guest, t.assigned_to_id, a.name AS assignee_name, t.comment_count, t.metadata,
                 t.version, t.resolved_ms, t.closed_ms, t.created_ms, t.updated_ms, t.public_updated_ms
             FROM tickets AS t LEFT JOIN people AS a ON a.id = t.assigned_to_id ",
            $rest
        )
    };
}
pub(super) use select_ticket;

/// Locks a ticket, which the inner query does, and after that reads the clock. The name of the assignee is left out.
pub(super) const LOCKED: &str = "
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
        t.id, t.title, t.description, t.category, t.status, t.priority, t.slug, t.user_id,
        t.guest, t.assigned_to_id, '' AS assignee_name, t.comment_count, t.metadata,
        t.version, t.resolved_ms, t.closed_ms, t.created_ms, t.updated_ms, t.public_updated_ms
    FROM (SELECT * FROM tickets WHERE id = $1 OFFSET 0 FOR UPDATE) AS t";

/// A ticket that is locked, without the name of its assignee, and when it was.
pub(super) struct Locked(pub(super) Ticket, pub(super) StoreMs);

impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for Locked {
    fn from_row(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        use sqlx::Row as _;
        let at = count(row.try_get("now_ms")?)?;
        Ok(Self(Kept::<Ticket>::from_row(row)?.0, StoreMs(at)))
    }
}

/// The columns of a comment.
macro_rules! select_comment {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.ticket_id, c.author_id, c.parent_id, c.depth, c.content, c.audience,
                 c.created_ms, c.updated_ms FROM comments AS c ",
            $rest
        )
    };
}
pub(super) use select_comment;

/// A row of a type of ours.
#[derive(Debug)]
pub(super) struct Kept<T>(pub(super) T);

fn wrong(what: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

fn word<T>(word: &str, read: impl FnOnce(&str) -> Option<T>) -> sqlx::Result<T> {
    read(word).ok_or_else(|| wrong(format!("the store has an unknown word, {word:?}")))
}

fn json<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(wrong)
}

fn count(number: i64) -> sqlx::Result<u64> {
    u64::try_from(number).map_err(wrong)
}

fn small(number: i64) -> sqlx::Result<u32> {
    u32::try_from(number).map_err(wrong)
}

fn time(ms: Option<i64>) -> sqlx::Result<Option<StoreMs>> {
    ms.map(|ms| count(ms).map(StoreMs)).transpose()
}

fn person(id: Option<String>) -> Option<PersonId> {
    id.map(PersonId::from)
}

from_row!(Kept<Ticket>, |row| {
    let text = |name: &str| row.try_get::<String, _>(name);
    let ms = |name: &str| row.try_get::<i64, _>(name).and_then(count).map(StoreMs);
    let assignee = person(row.try_get("assigned_to_id")?);
    let guest: Option<String> = row.try_get("guest")?;
    Ok(Self(Ticket {
        id: word(&text("id")?, TicketId::parse)?,
        title: text("title")?,
        description: text("description")?,
        category: word(&text("category")?, Category::from_word)?,
        status: word(&text("status")?, Status::from_word)?,
        priority: word(&text("priority")?, Priority::from_word)?,
        slug: text("slug")?,
        user_id: person(row.try_get("user_id")?),
        guest: guest.as_deref().map(json::<Guest>).transpose()?,
        assignee: match assignee {
            Some(id) => Some(Assignee { id, name: text("assignee_name")? }),
            None => None,
        },
        comment_count: count(row.try_get("comment_count")?)?,
        metadata: json(&text("metadata")?)?,
        version: count(row.try_get("version")?)?,
        resolved_at: time(row.try_get("resolved_ms")?)?,
        closed_at: time(row.try_get("closed_ms")?)?,
        created_at: ms("created_ms")?,
        updated_at: ms("updated_ms")?,
        public_updated_at: ms("public_updated_ms")?,
    }))
});

from_row!(Kept<Comment>, |row| {
    let text = |name: &str| row.try_get::<String, _>(name);
    let ms = |name: &str| row.try_get::<i64, _>(name).and_then(count).map(StoreMs);
    let parent: Option<String> = row.try_get("parent_id")?;
    Ok(Self(Comment {
        id: word(&text("id")?, CommentId::parse)?,
        ticket_id: word(&text("ticket_id")?, TicketId::parse)?,
        author_id: person(row.try_get("author_id")?),
        parent_id: parent.map(|id| word(&id, CommentId::parse)).transpose()?,
        depth: small(row.try_get("depth")?)?,
        content: text("content")?,
        audience: word(&text("audience")?, Audience::from_word)?,
        created_at: ms("created_ms")?,
        updated_at: ms("updated_ms")?,
    }))
});

from_row!(Kept<KnownPerson>, |row| {
    Ok(Self(KnownPerson {
        id: PersonId::from(row.try_get::<String, _>("id")?),
        name: row.try_get("name")?,
        role: word(&row.try_get::<String, _>("role")?, role_of)?,
    }))
});

from_row!(Kept<StatusChange>, |row| {
    let from: Option<String> = row.try_get("from_status")?;
    Ok(Self(StatusChange {
        from: from.map(|status| word(&status, Status::from_word)).transpose()?,
        to: word(&row.try_get::<String, _>("to_status")?, Status::from_word)?,
        reason: row.try_get("reason")?,
        by: json::<Person>(&row.try_get::<String, _>("by_person")?)?,
        at: StoreMs(count(row.try_get("at_ms")?)?),
    }))
});

from_row!(Kept<Attachment>, |row| {
    let comment: Option<String> = row.try_get("comment_id")?;
    Ok(Self(Attachment {
        id: word(&row.try_get::<String, _>("id")?, AttachmentId::parse)?,
        comment_id: comment.map(|id| word(&id, CommentId::parse)).transpose()?,
        file: File {
            url: row.try_get("url")?,
            name: row.try_get("name")?,
            size: count(row.try_get("size")?)?,
        },
        position: small(row.try_get("position")?)?,
    }))
});

/// A role as it stands in the store.
pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Agent => "agent",
        Role::Customer => "customer",
        Role::Viewer => "viewer",
        Role::Guest => "guest",
    }
}

/// The role that a word of the store stands for.
pub(super) fn role_of(word: &str) -> Option<Role> {
    let all = [Role::Admin, Role::Agent, Role::Customer, Role::Viewer, Role::Guest];
    all.into_iter().find(|role| role_word(*role) == word)
}

/// What the search looks at.
pub(super) fn folded(ticket: &Ticket) -> String {
    format!("{}\u{1f}{}", ticket.title, ticket.description).to_lowercase()
}

/// What the search for people looks at; letter by letter, as what is looked for.
pub(super) fn folded_person(id: &PersonId, name: &str) -> String {
    format!("{name}\u{1f}{id}").chars().flat_map(char::to_lowercase).collect()
}
