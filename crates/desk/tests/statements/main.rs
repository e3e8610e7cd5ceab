//! How many statements a write takes, as sqlx logs them: each is a way to the store and back, while on SQLite nobody else
//! writes and on PostgreSQL rows are locked.
//!
//! One test for all, since what is logged is counted for the whole process.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use penholder_desk::{Pens, Request, Storage, Tickets, Work};
use penholder_lease::{Kind, Person, Policies, Role, Timeline};
use penholder_stores::{Directory, PostgresServer};
use penholder_ticket::{Actor, CommentDraft, NewTicket, Rules, TicketDraft, TicketId, TicketPatch};
use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counter;

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is written.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Comment,
    Change,
    Ticket,
}

/// What is sent at most for each deed, with the commit.
const SQLITE: [(Deed, u64); 3] = [(Deed::Comment, 3), (Deed::Change, 4), (Deed::Ticket, 3)];
const POSTGRES: [(Deed, u64); 3] = [(Deed::Comment, 4), (Deed::Change, 6), (Deed::Ticket, 5)];

async fn begin(tickets: &Tickets) -> Result<Work> {
    let person = Person { id: "eve".into(), name: "EVE".to_owned(), kind: Kind::Human };
    let actor = Actor { person, role: Role::Agent };
    Ok(tickets.begin(Request { actor, trace: None }).await?)
}

fn ticket(title: &str) -> Result<NewTicket> {
    let draft = TicketDraft {
        title: title.to_owned(),
        description: "About it".to_owned(),
        user_id: Some("carl".to_owned()),
        ..TicketDraft::default()
    };
    Ok(draft.check()?)
}

async fn write(tickets: &Tickets, deed: Deed, on: TicketId, words: &str) -> Result<()> {
    let mut work = begin(tickets).await?;
    match deed {
        Deed::Comment => {
            let draft = CommentDraft { content: words.to_owned(), ..CommentDraft::default() };
            work.comment(on, draft.check()?).await?;
        }
        Deed::Change => {
            let patch: TicketPatch = serde_json::from_value(json!({ "title": words }))?;
            work.update(on, &patch.check()?, (None, None)).await?;
        }
        Deed::Ticket => {
            work.create(ticket(words)?).await?;
        }
    }
    work.commit().await?;
    Ok(())
}

async fn count(storage: &Storage, bounds: [(Deed, u64); 3]) -> Result<()> {
    let pens = Pens::open(storage, Policies::default()).await?;
    let tickets = Tickets::new(&pens, Rules::default());
    let mut work = begin(&tickets).await?;
    let on = work.create(ticket("t")?).await?.id;
    work.commit().await?;
    for (deed, most) in bounds {
        // The first of its sort may look up more.
        write(&tickets, deed, on, "first").await?;
        let before = COUNT.load(Ordering::Relaxed);
        write(&tickets, deed, on, "second").await?;
        let sent = COUNT.load(Ordering::Relaxed) - before;
        ensure!((1..=most).contains(&sent), "{deed:?}: {sent} statements");
    }
    pens.close().await;
    Ok(())
}

#[tokio::test]
async fn write_takes_few_statements() -> Result<()> {
    let statements = Targets::new().with_target("sqlx::query", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(Counter.with_filter(statements)).init();
    let dir = Directory::new()?;
    let path = dir.path().join("desk.sqlite");
    count(&Storage::Sqlite { path, timeline: Timeline(0) }, SQLITE).await?;
    let server = PostgresServer::start()?;
    let url = server.create_database("statements")?;
    count(&Storage::Postgres { url, connections: 2 }, POSTGRES).await
}
