//! What is done to tickets in one transaction.

use std::collections::BTreeSet;
use std::mem;

use penholder_lease::{Fence, Person, PersonId, StoreMs};
use penholder_ticket::{
    Actor, Assignee, AttachmentId, Changed, Changes, CommentId, Event, File, NewTicket, Occasion,
    Status, StatusChange, Ticket, TicketId, numbered, slug,
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::error::TicketError;
use super::holder::Holder;
use super::keys::{Begun, Claim, Found, Key, StoredAnswer};
use super::row::folded;
use super::{Tickets, find_assignee, find_to_write};
use crate::error::StoreError;
use crate::events::{Batch, Told, Trace};
use crate::pens::{Owes, Transaction, check_actor};
use crate::row::{signed, unsigned};
use crate::statement::{Connection, defer, execute, rows, together};

/// Who asks for something to be done, and in which trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub actor: Actor,
    /// The trace, if there is one.
    pub trace: Option<Trace>,
}

/// What came of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// It is written, or would have been the same.
    Written(Box<Ticket>),
    /// It is not, since somebody else holds the pen. They are told of it, once the work is
    /// [committed](Work::commit).
    Held {
        /// Who.
        holder: Person,
    },
}

/// What one request does to tickets: all of it or nothing. Dropped, it has done nothing, and nobody is told.
///
/// It is short: from what is first asked in it on nobody else writes to SQLite, and PostgreSQL breaks it off when nothing is done in it
/// for a second. An operation that is refused has changed nothing, and the work can go on. Works that wait for
/// one another in one process are committed together, so each of them waits for those that came meanwhile.
#[derive(Debug)]
pub struct Work {
    pub(super) tickets: Tickets,
    pub(super) transaction: Transaction,
    pub(super) request: Request,
    /// When it is done: read when others are kept from writing, on PostgreSQL with the first statement that can tell.
    pub(super) at: Option<StoreMs>,
    pub(super) events: Vec<Event>,
    claim: Option<Claim>,
}

impl Tickets {
    /// Begins to do something.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn begin(&self, request: Request) -> Result<Work, StoreError> {
        check_actor(&request.actor.person)?;
        let transaction = self.pens.join().await?;
        let tickets = self.clone();
        Ok(Work { tickets, transaction, request, at: None, events: Vec::new(), claim: None })
    }

    /// Begins to do something that the caller may ask for again.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn begin_once(&self, request: Request, key: Key<'_>) -> Result<Begun, StoreError> {
        key.check()?;
        let Some(claim) = self.running.claim(key) else { return Ok(Begun::Running) };
        let mut work = self.begin(request).await?;
        let found = match claim.enter(&mut work.transaction.connection()).await? {
            Some(at) => {
                work.at = work.at.or(at);
                let at = work.moment().await?;
                claim.look(&mut work.transaction.connection(), at).await?
            }
            None => Found::Running,
        };
        let begun = match found {
            Found::Nothing => {
                return Ok(Begun::First(Box::new(Work { claim: Some(claim), ..work })));
            }
            Found::Answer(answer) => Begun::Again(answer),
            Found::Other => Begun::Differs,
            Found::Running => Begun::Running,
        };
        // Or the next who asks would find this one under way.
        work.abandon().await?;
        Ok(begun)
    }
}

impl Work {
    /// Returns by whom and when it is done, once the time was read.
    pub(super) fn occasion(&self) -> Occasion<'_> {
        let at = self.at.expect("every operation reads the time first");
        Occasion { by: &self.request.actor, at }
    }

    /// Returns when it is done, by the store's clock.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn moment(&mut self) -> Result<StoreMs, StoreError> {
        let at = match self.at {
            Some(at) => at,
            None => self.tickets.pens.moment(&mut self.transaction).await?,
        };
        self.at = Some(at);
        Ok(at)
    }

    /// Who does it.
    pub(super) fn actor(&self) -> &Actor {
        &self.request.actor
    }

    /// Returns the topics that hear of what was done so far, each once.
    #[must_use]
    pub fn topics(&self) -> BTreeSet<String> {
        let routes = self.events.iter().flat_map(|event| &event.routes);
        routes.map(|route| route.topic.clone()).collect()
    }

    /// Keeps everything for good. What is returned is owed to the topics.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. With [`Unavailable`](StoreError::Unavailable) it may have been kept. So it may when the
    /// future is dropped.
    ///
    /// # Panics
    ///
    /// The work began as one that may be asked for again: its answer has to be kept with it.
    pub async fn commit(self) -> Result<Vec<Told>, StoreError> {
        assert!(self.claim.is_none(), "the answer is not kept, so it would be done again");
        self.append_and_commit(Owes::Nothing).await
    }

    /// Keeps everything for good, and the answer for those who ask again.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn commit_answered(mut self, answer: &StoredAnswer) -> Result<Vec<Told>, StoreError> {
        if self.claim.is_some() {
            self.moment().await?;
        }
        if let (Some(claim), Some(at)) = (&self.claim, self.at) {
            claim.keep(&mut self.transaction.connection(), answer, at).await?;
        }
        self.append_and_commit(Owes::Nothing).await
    }

    /// Undoes everything, so that whoever asks next finds nothing under way. A work that is dropped is undone as
    /// well, but some time later. What was read in it, and why it was refused, has been committed when this returns.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Nothing is kept all the same, but what was read may have come to nothing, too.
    pub async fn abandon(self) -> Result<(), StoreError> {
        self.transaction.rollback().await
    }

    /// Appends to the log and keeps everything; `before` is what is owed of what was appended before.
    pub(super) async fn append_and_commit(mut self, before: Owes) -> Result<Vec<Told>, StoreError> {
        let batch = if self.events.is_empty() {
            None
        } else {
            let events = mem::take(&mut self.events);
            let (by, trace) = (self.request.actor.clone(), self.request.trace.clone());
            Some(Batch { events, by, at: self.occasion().at, trace })
        };
        let appended = self.transaction.keep(batch, self.tickets.pens.known()?).await?;
        if appended.is_owed || before == Owes::Something {
            self.tickets.news.notify_one();
        }
        Ok(appended.told)
    }

    /// Makes a ticket.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn create(&mut self, new: NewTicket) -> Result<Ticket, TicketError> {
        let id = TicketId::new(Uuid::now_v7().as_u128());
        let files = new.attachments().to_vec();
        let slug = reserve_slug(&mut self.transaction.connection(), &slug(new.title())).await?;
        self.moment().await?;
        let changed = Ticket::create(new, (id, slug), self.occasion());
        let mut connection = self.transaction.connection();
        insert(&mut connection, &changed).await?;
        attach(&mut connection, (id, None), &files).await?;
        Ok(self.keep(changed))
    }

    /// Reads a ticket that nobody else writes until the work ends.
    ///
    /// # Errors
    ///
    /// There is none, or see [`StoreError`].
    pub async fn ticket(&mut self, id: TicketId) -> Result<Ticket, TicketError> {
        let (ticket, at) = find_to_write(&mut self.transaction.connection(), id).await?;
        self.at = self.at.or(at);
        self.moment().await?;
        Ok(ticket)
    }

    /// Changes fields of a ticket. `version` is what the caller has read, `fence` that of the pen under which they write.
    ///
    /// # Errors
    ///
    /// It is not that version any more, the fence is stale, or the status cannot change like that.
    pub async fn update(
        &mut self,
        id: TicketId,
        changes: &Changes,
        (version, fence): (Option<u64>, Option<Fence>),
    ) -> Result<Updated, TicketError> {
        let judged = self.judge(id, fence).await?;
        let ticket = self.ticket(id).await?;
        let holder = Holder::of(judged)?;
        check_version(&ticket, version)?;
        let changed = ticket.update(changes, self.tickets.rules, self.occasion())?;
        if changed.events.is_empty() {
            return Ok(Updated::Written(Box::new(changed.ticket)));
        }
        if let Some(holder) = holder {
            self.collide(&ticket, &holder, fence);
            if holder.keeps {
                return Ok(Updated::Held { holder: holder.person });
            }
        }
        Ok(Updated::Written(Box::new(self.write(changed).await?)))
    }

    /// Changes the status of a ticket.
    ///
    /// # Errors
    ///
    /// It is not that version any more, or the status cannot change like that.
    pub async fn transition(
        &mut self,
        id: TicketId,
        to: (Status, Option<String>),
        version: Option<u64>,
    ) -> Result<Ticket, TicketError> {
        let ticket = self.ticket(id).await?;
        check_version(&ticket, version)?;
        let changed = ticket.transition(to, self.tickets.rules, self.occasion())?;
        self.write(changed).await
    }

    /// Assigns a ticket, or takes it away from whoever has it.
    ///
    /// # Errors
    ///
    /// It is not that version any more, or the assignee is not known as one of the staff.
    pub async fn assign(
        &mut self,
        id: TicketId,
        to: Option<&PersonId>,
        version: Option<u64>,
    ) -> Result<Ticket, TicketError> {
        let ticket = self.ticket(id).await?;
        check_version(&ticket, version)?;
        let assignee = self.assignee(to).await?;
        let changed = ticket.assign(assignee.as_ref(), self.occasion());
        self.write(changed).await
    }

    pub(super) async fn assignee(
        &mut self,
        id: Option<&PersonId>,
    ) -> Result<Option<Assignee>, TicketError> {
        let Some(id) = id else { return Ok(None) };
        find_assignee(&mut self.transaction.connection(), id).await.map(Some)
    }

    /// Writes a ticket that there is, if anything is different.
    pub(super) async fn write(&mut self, changed: Changed) -> Result<Ticket, TicketError> {
        if changed.events.is_empty() {
            return Ok(changed.ticket);
        }
        update(&mut self.transaction.connection(), &changed).await?;
        Ok(self.keep(changed))
    }

    /// Remembers what is to be told of a ticket that is written.
    fn keep(&mut self, changed: Changed) -> Ticket {
        self.events.extend(changed.events);
        changed.ticket
    }
}

pub(super) fn check_version(ticket: &Ticket, version: Option<u64>) -> Result<(), TicketError> {
    match version {
        Some(read) if read != ticket.version => {
            Err(TicketError::StaleVersion { version: ticket.version })
        }
        _ => Ok(()),
    }
}

/// Returns the first name of this slug that no ticket has had, and keeps it from all others.
async fn reserve_slug(connection: &mut Connection<'_>, slug: &str) -> Result<String, StoreError> {
    loop {
        let (count,): (i64,) = rows!(
            connection,
            fetch_one,
            "INSERT INTO slugs AS s (slug, count) VALUES ($1, 1)
             ON CONFLICT (slug) DO UPDATE SET count = s.count + 1 RETURNING count",
            slug,
        );
        if count == 1 {
            return Ok(slug.to_owned());
        }
        // Another title may be in Latin letters what this one is with its number, as `x 2` is for the second `x`.
        let numbered = numbered(slug, unsigned(count)?);
        let reserve = "INSERT INTO slugs (slug, count) VALUES ($1, 1) ON CONFLICT DO NOTHING";
        if execute!(connection, reserve, &numbered) == 1 {
            return Ok(numbered);
        }
    }
}

/// Appends to the history of ticket $1: from, to, why, by whom and when.
macro_rules! history {
    ($($value:literal),+) => {
        concat!(
            "INSERT INTO ticket_history
                 (ticket_id, position, from_status, to_status, reason, by_person, at_ms)
             SELECT $1, coalesce(max(position) + 1, 0)", $(", ", $value),+,
            " FROM ticket_history WHERE ticket_id = $1"
        )
    };
}

async fn insert(connection: &mut Connection<'_>, changed: &Changed) -> Result<(), StoreError> {
    const INSERT: &str =
        "INSERT INTO tickets (id, title, description, category, status, priority, slug, user_id, guest,
             comment_count, metadata, version, created_ms, updated_ms, public_updated_ms, folded)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let ticket = &changed.ticket;
    let (first, rest) = changed.history.split_first().expect("it begins with a status");
    let sql = together(connection, [INSERT, history!("$17", "$18", "$19", "$20", "$21")]);
    defer!(
        connection,
        AssertSqlSafe(sql),
        ticket.id.to_string(),
        &ticket.title,
        &ticket.description,
        ticket.category.as_str(),
        ticket.status.as_str(),
        ticket.priority.as_str(),
        &ticket.slug,
        ticket.user_id.as_ref().map(PersonId::as_str),
        ticket.guest.as_ref().map(|guest| json!(guest).to_string()),
        signed(ticket.comment_count),
        json!(ticket.metadata).to_string(),
        signed(ticket.version),
        signed(ticket.created_at.0),
        signed(ticket.updated_at.0),
        signed(ticket.public_updated_at.0),
        folded(ticket),
        first.from.map(Status::as_str),
        first.to.as_str(),
        first.reason.as_deref(),
        json!(first.by).to_string(),
        signed(first.at.0),
    );
    append_history(connection, ticket.id, rest).await
}

async fn update(connection: &mut Connection<'_>, changed: &Changed) -> Result<(), StoreError> {
    const UPDATE: &str =
        "UPDATE tickets SET title = $2, description = $3, category = $4, status = $5, priority = $6,
             assigned_to_id = $7, metadata = $8, version = $9, resolved_ms = $10, closed_ms = $11,
             updated_ms = $12, public_updated_ms = $13, folded = $14
         WHERE id = $1";
    let ticket = &changed.ticket;
    defer!(
        connection,
        UPDATE,
        ticket.id.to_string(),
        &ticket.title,
        &ticket.description,
        ticket.category.as_str(),
        ticket.status.as_str(),
        ticket.priority.as_str(),
        ticket.assignee.as_ref().map(|assignee| assignee.id.as_str()),
        json!(ticket.metadata).to_string(),
        signed(ticket.version),
        ticket.resolved_at.map(|at| signed(at.0)),
        ticket.closed_at.map(|at| signed(at.0)),
        signed(ticket.updated_at.0),
        signed(ticket.public_updated_at.0),
        folded(ticket),
    );
    append_history(connection, ticket.id, &changed.history).await
}

async fn append_history(
    connection: &mut Connection<'_>,
    ticket: TicketId,
    changes: &[StatusChange],
) -> Result<(), StoreError> {
    for change in changes {
        execute!(
            connection,
            history!("$2", "$3", "$4", "$5", "$6"),
            ticket.to_string(),
            change.from.map(Status::as_str),
            change.to.as_str(),
            change.reason.as_deref(),
            json!(change.by).to_string(),
            signed(change.at.0),
        );
    }
    Ok(())
}

/// Keeps the files of a ticket or comment that is new.
pub(super) async fn attach(
    connection: &mut Connection<'_>,
    (ticket, comment): (TicketId, Option<CommentId>),
    files: &[File],
) -> Result<(), StoreError> {
    for (file, position) in files.iter().zip(0_i64..) {
        execute!(
            connection,
            "INSERT INTO attachments (id, ticket_id, comment_id, url, name, size, position)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            AttachmentId::new(Uuid::now_v7().as_u128()).to_string(),
            ticket.to_string(),
            comment.map(|comment| comment.to_string()),
            &file.url,
            &file.name,
            signed(file.size),
            position,
        );
    }
    Ok(())
}
