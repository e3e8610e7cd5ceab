//! Those who write to PostgreSQL from one process share a commit, and no more than that.
//!
//! Everything runs on one thread, so that whoever was spawned stands in the line once it was this task's turn to wait.

use anyhow::{Context, Result, ensure};
use penholder_desk::{Storage, StoreError, Told};
use penholder_stores::PostgresServer;
use penholder_ticket::{Audience, TicketId};
use serde_json::Value;
use tokio::task::{JoinHandle, yield_now};

use crate::harness::Place;
use crate::stage::{Site, execute, notes, says, texts, ticket};

/// How many write.
const TEN: usize = 10;

/// How a work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Abandon,
    Drop,
    Panic,
}

struct Desk {
    _server: PostgresServer,
    site: Site,
    ticket: TicketId,
}

impl Desk {
    async fn open() -> Result<Self> {
        let server = PostgresServer::start()?;
        let url = server.create_database("together")?;
        let site = Site::open(Place(Storage::Postgres { url, connections: 4 })).await?;
        let mut work = site.by("eve").await?;
        let ticket = work.create(ticket("t", None)?).await?.id;
        work.commit().await?;
        Ok(Self { _server: server, site, ticket })
    }

    /// Lets somebody comment once it is their turn.
    fn comment(&self, words: &str, end: End) -> JoinHandle<Result<Vec<Told>>> {
        let (site, ticket, words) = (self.site.clone(), self.ticket, words.to_owned());
        tokio::spawn(async move {
            let mut work = site.by("eve").await?;
            let written = work.comment(ticket, says(&words)?).await;
            match end {
                _ if written.is_err() => work.abandon().await?,
                End::Commit => return Ok(work.commit().await?),
                End::Abandon => work.abandon().await?,
                End::Drop => drop(work),
                End::Panic => panic!("in the middle"),
            }
            written.map(|_| Vec::new()).map_err(Into::into)
        })
    }

    /// Has these written by a cohort: they come while somebody else is at it.
    async fn together(&self, asked: &[(&str, End)]) -> Result<Vec<JoinHandle<Result<Vec<Told>>>>> {
        let first = self.site.by("eve").await?;
        let tasks = asked.iter().map(|(words, end)| self.comment(words, *end)).collect();
        for _ in 0..TEN {
            yield_now().await;
        }
        first.commit().await?;
        Ok(tasks)
    }

    /// What was said on the ticket, in order.
    async fn said(&self) -> Result<Vec<String>> {
        let topic = format!("tickets:{}", self.ticket);
        let heard = self.site.heard(&topic, Audience::Staff).await?;
        let seqs: Vec<_> = heard.iter().map(|it| it["seq"].as_u64()).collect();
        let dense: Vec<_> = (1..=heard.len() as u64).map(Some).collect();
        ensure!(seqs == dense, "numbers are dense: {seqs:?}");
        let word = |it: &Value| Some(it["comment"]["content"].as_str()?.to_owned());
        let said: Vec<_> = heard.iter().filter_map(word).collect();
        let (mut kept, mut told) =
            (texts(&self.site.place, "SELECT content FROM comments").await?, said.clone());
        kept.sort();
        told.sort();
        ensure!(kept == told, "{told:?} was told of {kept:?}");
        Ok(said)
    }
}

#[tokio::test]
async fn those_who_wait_share_a_commit_on_postgres() -> Result<()> {
    let desk = Desk::open().await?;
    let words: Vec<_> = (0..TEN).map(|n| n.to_string()).collect();
    let asked: Vec<_> = words.iter().map(|words| (words.as_str(), End::Commit)).collect();
    let mut numbers = Vec::new();
    for task in desk.together(&asked).await? {
        let told = task.await??;
        numbers.extend(told.iter().filter(|it| it.topic == "tickets:all").map(|it| it.seq_staff));
    }
    assert_eq!(numbers, (2..=11).collect::<Vec<_>>(), "in the order in which they came");
    assert_eq!(desk.said().await?, words);
    // What one statement has appended is of one part of one transaction.
    let appended = texts(&desk.site.place, "SELECT DISTINCT xmin::text FROM event_log").await?;
    assert!(appended.len() < TEN / 2, "{} appends", appended.len());
    Ok(())
}

#[tokio::test]
async fn one_that_is_undone_takes_none_with_it_on_postgres() -> Result<()> {
    let desk = Desk::open().await?;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'bad'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON comments FOR EACH ROW
        WHEN (new.content = 'bad') EXECUTE FUNCTION refuse()";
    execute(&desk.site.place, refuse).await?;
    let asked = [
        ("0", End::Commit),
        ("1", End::Abandon),
        ("2", End::Commit),
        ("3", End::Drop),
        ("bad", End::Commit),
        ("5", End::Panic),
        ("6", End::Commit),
    ];
    let tasks = desk.together(&asked).await?;
    // Refused, with nothing written.
    let mut work = desk.site.by("carl").await?;
    assert!(work.comment(desk.ticket, notes("hm")?).await.is_err());
    work.abandon().await?;
    for (task, (words, end)) in tasks.into_iter().zip(asked) {
        match task.await {
            Ok(Ok(told)) => assert_eq!(told.is_empty(), end != End::Commit, "{words}"),
            Ok(Err(error)) => assert!(words == "bad", "{words}: {error}"),
            Err(error) => assert!(error.is_panic() && end == End::Panic, "{words}: {error}"),
        }
    }
    assert_eq!(desk.said().await?, ["0", "2", "6"]);
    desk.comment("next", End::Commit).await??;
    assert_eq!(desk.said().await?.last().map(String::as_str), Some("next"));
    Ok(())
}

#[tokio::test]
async fn commit_that_fails_is_told_to_everybody_on_postgres() -> Result<()> {
    let desk = Desk::open().await?;
    // Is found to be wrong by the commit only.
    let poison = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'bad'; END $$;
        CREATE CONSTRAINT TRIGGER poison AFTER INSERT ON comments DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (new.content = 'bad') EXECUTE FUNCTION refuse()";
    execute(&desk.site.place, poison).await?;
    let asked = [("a", End::Commit), ("bad", End::Commit), ("b", End::Abandon)];
    for task in desk.together(&asked).await? {
        let error = task.await?.err().context("nothing was kept")?;
        let error = error.downcast_ref::<StoreError>();
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{error:?}");
    }
    assert_eq!(desk.said().await?, [""; 0], "nothing of it is kept");
    desk.comment("next", End::Commit).await??;
    assert_eq!(desk.said().await?, ["next"]);
    Ok(())
}

#[tokio::test]
async fn who_stalls_keeps_nobody_from_writing_to_postgres() -> Result<()> {
    let desk = Desk::open().await?;
    let stalled = desk.site.by("eve").await?;
    desk.comment("next", End::Commit).await??;
    drop(stalled);
    desk.comment("last", End::Commit).await??;
    assert_eq!(desk.said().await?, ["next", "last"]);
    Ok(())
}
