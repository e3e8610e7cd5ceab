//! Lists of tickets and comments, page by page.

use penholder_lease::{PersonId, StoreMs};
use penholder_ticket::{Audience, Category, Comment, Priority, Status, Ticket, TicketId};
use sqlx::{Postgres, QueryBuilder, Sqlite};

use super::error::TicketError;
use super::row::{Kept, select_comment, select_ticket};
use super::{Tickets, find};
use crate::error::StoreError;
use crate::row::unsigned;
use crate::statement::{Connection, rows};

/// Largest page.
pub(super) const LIMIT_MAX: u32 = 1_000;

/// Longest text that is looked for, in characters.
pub(super) const QUERY_CHARS_MAX: usize = 255;

/// Whose tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// Those that nobody has.
    Nobody,
    /// Those of one agent.
    To(PersonId),
}

/// Which tickets. What is left out does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these; empty for all.
    pub statuses: Vec<Status>,
    /// Assigned so.
    pub assigned: Option<Assigned>,
    /// Of this owner.
    pub user_id: Option<PersonId>,
    /// With this priority.
    pub priority: Option<Priority>,
    /// Of this category.
    pub category: Option<Category>,
    /// With this text in title or description, whatever the case of its letters.
    pub text: Option<String>,
}

/// In what order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// What was written last first, as far as the audience sees it.
    LastUpdated(Audience),
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    after: Option<(i64, String)>,
}

impl Page {
    /// Returns the part that begins after a cursor, or at the start.
    ///
    /// # Errors
    ///
    /// The limit is not 1 to 1000, or the cursor is none that a list has given.
    pub fn new(limit: u32, cursor: Option<&str>) -> Result<Self, TicketError> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(TicketError::InvalidPage);
        }
        let parse = |cursor: &str| {
            let (ms, id) = cursor.split_once('.')?;
            TicketId::parse(id)?;
            Some((ms.parse().ok()?, id.to_owned()))
        };
        let after = cursor.map(|cursor| parse(cursor).ok_or(TicketError::InvalidPage));
        Ok(Self { limit, after: after.transpose()? })
    }

    /// Returns what the page begins after, where the oldest comes first.
    pub(super) fn start(&self) -> (i64, String) {
        self.after.clone().unwrap_or((-1, String::new()))
    }

    /// Returns how many rows show whether there are more than the page has.
    pub(super) fn one_more(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// Where an entry stands in a list.
pub(super) struct Position {
    pub(super) at: StoreMs,
    pub(super) id: String,
}

/// A part of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// In order.
    pub items: Vec<T>,
    /// What follows begins after this; nothing follows when there is none.
    pub next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// Cuts what was read, one more than the page has, and names the last that is left.
    pub(super) fn new(items: Vec<T>, page: &Page, position: impl Fn(&T) -> Position) -> Self {
        Self::cut(items, page.limit, |last| {
            let Position { at, id } = position(last);
            format!("{at}.{id}", at = at.0)
        })
    }

    /// Cuts what was read, one more than `limit`, and says where the next part begins.
    pub(super) fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        Self { next_cursor: items.last().filter(|_| more).map(cursor), items }
    }
}

/// How many tickets there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// All.
    pub total: u64,
    /// Of each status, all of which are named.
    pub by_status: Vec<(Status, u64)>,
    /// Assigned to nobody.
    pub unassigned: u64,
}

impl Order {
    fn column(self) -> &'static str {
        match self {
            Self::Newest | Self::Oldest => "t.created_ms",
            Self::LastUpdated(Audience::Staff) => "t.updated_ms",
            Self::LastUpdated(Audience::Public) => "t.public_updated_ms",
        }
    }

    fn direction(self) -> (&'static str, &'static str) {
        if self == Self::Oldest { (" > ", "ASC") } else { (" < ", "DESC") }
    }

    fn position(self, ticket: &Ticket) -> Position {
        let at = match self {
            Self::Newest | Self::Oldest => ticket.created_at,
            Self::LastUpdated(Audience::Staff) => ticket.updated_at,
            Self::LastUpdated(Audience::Public) => ticket.public_updated_at,
        };
        Position { at, id: ticket.id.to_string() }
    }
}

/// Puts the query of a list together, the same for either database.
macro_rules! list_query {
    ($database:ty, $filter:expr, $order:expr, $page:expr) => {{
        let (filter, order, page): (&Filter, Order, &Page) = ($filter, $order, $page);
        let mut query = QueryBuilder::<$database>::new(select_ticket!("WHERE 1 = 1"));
        if !filter.statuses.is_empty() {
            query.push(" AND t.status IN (");
            let mut list = query.separated(", ");
            for status in &filter.statuses {
                list.push_bind(status.as_str());
            }
            query.push(")");
        }
        match &filter.assigned {
            None => {}
            Some(Assigned::Nobody) => {
                query.push(" AND t.assigned_to_id IS NULL");
            }
            Some(Assigned::To(agent)) => {
                query.push(" AND t.assigned_to_id = ").push_bind(agent.as_str().to_owned());
            }
        }
        if let Some(user) = &filter.user_id {
            query.push(" AND t.user_id = ").push_bind(user.as_str().to_owned());
        }
        if let Some(priority) = filter.priority {
            query.push(" AND t.priority = ").push_bind(priority.as_str());
        }
        if let Some(category) = filter.category {
            query.push(" AND t.category = ").push_bind(category.as_str());
        }
        if let Some(text) = &filter.text {
            query.push(" AND t.folded LIKE ").push_bind(pattern(text)).push(r" ESCAPE '\'");
        }
        let (column, (beyond, direction)) = (order.column(), order.direction());
        if let Some((ms, id)) = &page.after {
            query.push(format!(" AND ({column}, t.id){beyond}(")).push_bind(*ms);
            query.push(", ").push_bind(id.clone()).push(")");
        }
        query.push(format!(" ORDER BY {column} {direction}, t.id {direction} LIMIT "));
        query.push_bind(page.one_more());
        query
    }};
}

/// Returns what matches a text as it is.
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = "%".to_owned();
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Tickets {
    /// Reads a page of tickets.
    ///
    /// Cost: in proportion to the page, by the time of creation with one status, owner or assignee at most, or by
    /// another time with none of these. Else all tickets are read that have one of those; what else is looked for is looked
    /// for among them, until the page is full.
    ///
    /// # Errors
    ///
    /// The text is too long, or see [`StoreError`].
    pub async fn list(
        &self,
        filter: &Filter,
        order: Order,
        page: &Page,
    ) -> Result<Listed<Ticket>, TicketError> {
        let text = filter.text.as_deref().unwrap_or_default();
        let named = [&filter.user_id, &filter.agent().cloned()]
            .map(|id| id.as_ref().map_or("", PersonId::as_str).contains('\0'));
        if text.contains('\0') || named.contains(&true) || text.chars().count() > QUERY_CHARS_MAX {
            return Err(TicketError::InvalidPage);
        }
        let mut reader = self.pens.reader().await?;
        let found: Vec<Kept<Ticket>> = match reader.connection() {
            Connection::Sqlite(mut lite) => {
                let mut query = list_query!(Sqlite, filter, order, page);
                query.build_query_as().fetch_all(lite.connection()).await?
            }
            Connection::Postgres(connection) => {
                let mut query = list_query!(Postgres, filter, order, page);
                query.build_query_as().fetch_all(connection).await?
            }
        };
        let tickets = found.into_iter().map(|kept| kept.0).collect();
        Ok(Listed::new(tickets, page, |ticket| order.position(ticket)))
    }

    /// Counts the tickets, of one owner or of all.
    ///
    /// Cost: in proportion to the tickets that are counted.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn stats(&self, owner: Option<&PersonId>) -> Result<Stats, StoreError> {
        const ALL: &str = "SELECT status, count(*), count(*) - count(assigned_to_id) FROM tickets GROUP BY status";
        const OWN: &str = "SELECT status, count(*), count(*) - count(assigned_to_id) FROM tickets
            WHERE user_id = $1 GROUP BY status";
        let mut reader = self.pens.reader().await?;
        let mut connection = reader.connection();
        let counts: Vec<(String, i64, i64)> = match owner {
            Some(owner) => rows!(&mut connection, fetch_all, OWN, owner.as_str()),
            None => rows!(&mut connection, fetch_all, ALL),
        };
        let mut stats = Stats { total: 0, by_status: Vec::new(), unassigned: 0 };
        for status in Status::ALL {
            let found = counts.iter().find(|(word, ..)| word == status.as_str());
            let (count, unassigned) = found.map_or((0, 0), |(_, count, none)| (*count, *none));
            let count = unsigned(count)?;
            stats.by_status.push((*status, count));
            stats.total += count;
            stats.unassigned += unsigned(unassigned)?;
        }
        Ok(stats)
    }

    /// Reads a page of a ticket's comments that an audience may see, the oldest first.
    ///
    /// # Errors
    ///
    /// There is no such ticket, or see [`StoreError`].
    pub async fn comments(
        &self,
        ticket: TicketId,
        audience: Audience,
        page: &Page,
    ) -> Result<Listed<Comment>, TicketError> {
        const SQL: &str = select_comment!(
            "WHERE c.ticket_id = $1 AND (c.audience = 'public' OR $2 = 'staff')
                 AND (c.created_ms, c.id) > ($3, $4)
             ORDER BY c.created_ms, c.id LIMIT $5"
        );
        let mut reader = self.pens.reader().await?;
        let mut connection = reader.connection();
        find(&mut connection, ticket).await?;
        let (ms, id) = page.start();
        let found: Vec<Kept<Comment>> = rows!(
            &mut connection,
            fetch_all,
            SQL,
            ticket.to_string(),
            audience.as_str(),
            ms,
            id,
            page.one_more(),
        );
        let comments = found.into_iter().map(|kept| kept.0).collect();
        Ok(Listed::new(comments, page, |comment: &Comment| Position {
            at: comment.created_at,
            id: comment.id.to_string(),
        }))
    }
}

impl Filter {
    fn agent(&self) -> Option<&PersonId> {
        match &self.assigned {
            Some(Assigned::To(agent)) => Some(agent),
            Some(Assigned::Nobody) | None => None,
        }
    }
}
