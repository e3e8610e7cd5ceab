//! Tickets in a store, and those who write them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use penholder_desk::{Pens, Request, Storage, TicketError, Tickets, Work};
use penholder_lease::{Kind, Person, Policies, Role, Timeline};
use penholder_stores::PostgresServer;
use penholder_ticket::{
    Actor, CommentDraft, NewComment, NewTicket, Rules, TicketDraft, TicketId, TicketPatch,
};

/// Connections to PostgreSQL: as many as the gateway has.
pub(crate) const CONNECTIONS: u32 = 8;

/// How many events are written in one transaction where that is not what is measured.
const AT_ONCE: usize = 100;

/// What somebody asks and is answered: a paragraph.
const WORDS: &str = "Since the update of yesterday the export stops at the third page and says that the file is in \
                     use. It is not: nobody else has it open, and a restart does not help. What can I do until \
                     it is mended? The report is due on Friday.";

/// Where databases can be made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Sqlite(&'a Path),
    Postgres(&'a PostgresServer),
}

impl Place<'_> {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// A new database. That of a file is where a server looks for it whose data are in this directory.
    pub(crate) fn storage(self, name: &str) -> Result<Storage> {
        Ok(match self {
            Self::Sqlite(dir) => {
                std::fs::create_dir_all(dir.join(name))?;
                let path = dir.join(name).join("pens.sqlite");
                Storage::Sqlite { path, timeline: Timeline(0) }
            }
            Self::Postgres(server) => {
                let url = server.create_database(name)?;
                Storage::Postgres { url, connections: CONNECTIONS }
            }
        })
    }
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A comment, each writer on a ticket of its own.
    Comment,
    /// Another title, each writer on a ticket of its own.
    Change,
    /// A ticket.
    Ticket,
}

impl Deed {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Change => "change of title",
            Self::Ticket => "new ticket",
        }
    }
}

/// Tickets with their events.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) storage: Storage,
    pub(crate) tickets: Tickets,
    pub(crate) ids: Vec<TicketId>,
    pens: Pens,
    /// Counts what is written, so that no two writes are the same.
    count: AtomicU64,
}

impl Site {
    /// Opens a database that is new, and makes so many tickets.
    pub(crate) async fn open(storage: Storage, tickets: u64) -> Result<Self> {
        let pens = Pens::open(&storage, Policies::default()).await?;
        let of_pens = Tickets::new(&pens, Rules::default());
        let count = AtomicU64::new(0);
        let mut site = Self { storage, tickets: of_pens, ids: Vec::new(), pens, count };
        for _ in 0..tickets {
            let mut work = site.begin().await?;
            let ticket = work.create(site.ticket()?).await?;
            work.commit().await?;
            site.ids.push(ticket.id);
        }
        Ok(site)
    }

    pub(crate) async fn close(self) {
        self.pens.close().await;
    }

    /// Comments on each ticket so often.
    pub(crate) async fn fill(&self, comments: usize) -> Result<()> {
        let all = || self.ids.iter().flat_map(|id| std::iter::repeat_n(*id, comments));
        let all: Vec<_> = all().collect();
        for some in all.chunks(AT_ONCE) {
            let mut work = self.begin().await?;
            for id in some {
                work.comment(*id, comment(WORDS)?).await?;
            }
            work.commit().await?;
        }
        Ok(())
    }

    /// Writes once, as a request does.
    pub(crate) async fn write(&self, deed: Deed, writer: u64) -> Result<()> {
        let id = self.ids[usize::try_from(writer)? % self.ids.len()];
        let mut work = self.begin().await?;
        let written = match deed {
            Deed::Comment => work.comment(id, comment(WORDS)?).await.map(drop),
            Deed::Change => {
                let title = Some(Some(self.title()));
                let patch: TicketPatch =
                    serde_json::from_value(serde_json::json!({"title": title}))?;
                work.update(id, &patch.check()?, (None, None)).await.map(drop)
            }
            Deed::Ticket => work.create(self.ticket()?).await.map(drop),
        };
        written.map_err(|error| match error {
            TicketError::Store(error) => anyhow::Error::from(error),
            other => other.into(),
        })?;
        work.commit().await?;
        Ok(())
    }

    async fn begin(&self) -> Result<Work> {
        let person =
            Person { id: "ada".into(), name: "Ada Lovelace".to_owned(), kind: Kind::Human };
        let actor = Actor { person, role: Role::Agent };
        Ok(self.tickets.begin(Request { actor, trace: None }).await?)
    }

    fn title(&self) -> String {
        format!("The export stops, report {}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    fn ticket(&self) -> Result<NewTicket> {
        let draft = TicketDraft {
            title: self.title(),
            description: WORDS.to_owned(),
            user_id: Some("carl".to_owned()),
            ..TicketDraft::default()
        };
        Ok(draft.check()?)
    }
}

pub(crate) fn comment(content: &str) -> Result<NewComment> {
    Ok(CommentDraft { content: content.to_owned(), ..CommentDraft::default() }.check()?)
}
