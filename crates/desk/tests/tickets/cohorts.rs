//! Those who write to a file share a commit, and no more than that.
//!
//! Everything runs on one thread, so that whoever was spawned stands in the line once it was this task's turn to wait.

use std::future::pending;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use penholder_desk::{Storage, StoreError, Told, Transaction};
use penholder_lease::{PersonId, WriteClaim};
use penholder_stores::Directory;
use penholder_ticket::{Audience, TicketId};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};

use crate::harness::Place;
use crate::stage::{Site, execute, notes, says, texts, ticket};

/// How many write.
const TEN: usize = 10;

type Written = Result<Vec<Told>>;

struct Desk {
    dir: Directory,
    site: Site,
    ticket: TicketId,
}

impl Desk {
    async fn open() -> Result<Self> {
        let dir = Directory::new()?;
        let site = Site::open(Place::file(dir.path())).await?;
        let mut work = site.by("eve").await?;
        let ticket = work.create(ticket("t", None)?).await?.id;
        work.commit().await?;
        Ok(Self { dir, site, ticket })
    }

    /// Keeps everybody from writing.
    async fn hold(&self) -> Result<Transaction> {
        let nobody = PersonId::from("nobody");
        let claim = WriteClaim { by: &nobody, fence: None };
        Ok(self.site.pens.begin_write("doc:none", claim).await?.transaction)
    }

    /// Lets somebody comment, who then stops where `end` does.
    fn comment<F>(
        &self,
        words: &str,
        end: impl FnOnce() -> F + Send + 'static,
    ) -> JoinHandle<Written>
    where
        F: Future<Output = End> + Send,
    {
        let (site, ticket, words) = (self.site.clone(), self.ticket, words.to_owned());
        tokio::spawn(async move {
            let mut work = site.by("eve").await?;
            work.comment(ticket, says(&words)?).await?;
            match end().await {
                End::Commit => Ok(work.commit().await?),
                End::Abandon => Ok(work.abandon().await.map(|()| Vec::new())?),
                End::Drop => Ok(Vec::new()),
            }
        })
    }

    fn plain(&self, words: &str) -> JoinHandle<Written> {
        self.comment(words, async || End::Commit)
    }

    fn creates(&self, title: &str) -> JoinHandle<Written> {
        let (site, title) = (self.site.clone(), title.to_owned());
        tokio::spawn(async move {
            let mut work = site.by("eve").await?;
            work.create(ticket(&title, None)?).await?;
            Ok(work.commit().await?)
        })
    }

    /// Lets somebody comment, who commits when they are let go.
    fn stalls(&self, words: &str) -> Stalled {
        let (stands, is_there) = oneshot::channel();
        let (go, may_go) = oneshot::channel();
        let written = self.comment(words, async move || {
            stands.send(()).ok();
            may_go.await.ok();
            End::Commit
        });
        Stalled { written, is_there, go }
    }

    /// What was said on the ticket, in order, after it was made.
    async fn said(&self) -> Result<Vec<String>> {
        let topic = format!("tickets:{}", self.ticket);
        let heard = self.site.heard(&topic, Audience::Staff).await?;
        let seqs: Vec<_> = heard.iter().map(|it| it["seq"].as_u64()).collect();
        let dense: Vec<_> = (1..=heard.len() as u64).map(Some).collect();
        ensure!(seqs == dense, "numbers are dense: {seqs:?}");
        let word = |it: &serde_json::Value| {
            it["comment"]["content"].as_str().unwrap_or_default().to_owned()
        };
        let said: Vec<_> = heard.iter().skip(1).map(word).collect();
        let mut kept = texts(&self.site.place, "SELECT content FROM comments").await?;
        let mut told = said.clone();
        kept.sort();
        told.sort();
        ensure!(kept == told, "{told:?} was told of {kept:?}");
        Ok(said)
    }

    /// Whether whoever comes next can write.
    async fn goes_on(&self) -> Result<()> {
        self.plain("next").await??;
        ensure!(self.said().await?.last().is_some_and(|it| it == "next"), "the next is told last");
        Ok(())
    }
}

/// Somebody who stops before the commit.
struct Stalled {
    written: JoinHandle<Written>,
    /// Has come when they have done their part.
    is_there: oneshot::Receiver<()>,
    go: oneshot::Sender<()>,
}

/// How a work ends.
enum End {
    Commit,
    Abandon,
    Drop,
}

fn is_unavailable(written: &Written) -> bool {
    let error = written.as_ref().err().and_then(|error| error.downcast_ref());
    matches!(error, Some(StoreError::Unavailable(_)))
}

/// Lets all who were spawned get as far as they can without the store.
async fn until_queued() {
    for _ in 0..TEN {
        yield_now().await;
    }
}

/// How many commits are in the log of SQLite: frames that say how large the file is after them.
fn commits(place: &Place) -> Result<usize> {
    let Storage::Sqlite { path, .. } = &place.0 else { return Ok(0) };
    let log = std::fs::read(Path::new(&format!("{}-wal", path.display())))?;
    let word = |at: usize| log.get(at..at + 4).and_then(|it| it.try_into().ok());
    let number = |at: usize| word(at).map(u32::from_be_bytes);
    let page = usize::try_from(number(8).context("no log")?)?;
    let salt = (number(16), number(20));
    let frames = (32..log.len()).step_by(page + 24);
    Ok(frames
        .filter(|at| (number(at + 8), number(at + 12)) == salt && number(at + 4) > Some(0))
        .count())
}

#[tokio::test]
async fn those_who_wait_share_a_commit() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let tasks: Vec<_> = (0..TEN).map(|n| desk.plain(&n.to_string())).collect();
    until_queued().await;
    let before = commits(&desk.site.place)?;
    held.commit().await?;
    let mut numbers = Vec::new();
    for task in tasks {
        let told = task.await??;
        numbers.extend(told.iter().filter(|it| it.topic == "tickets:all").map(|it| it.seq_staff));
    }
    assert_eq!(numbers, (2..=11).collect::<Vec<_>>(), "in the order in which they came");
    assert_eq!(desk.said().await?, (0..TEN).map(|n| n.to_string()).collect::<Vec<_>>());
    let shared = commits(&desk.site.place)? - before;
    assert!(shared < TEN / 2, "{shared} commits");
    Ok(())
}

#[tokio::test]
async fn one_that_is_undone_takes_none_with_it() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let mut tasks = Vec::new();
    for n in 0..TEN {
        tasks.push(match n {
            2 => desk.comment("abandoned", async || End::Abandon),
            4 => desk.comment("dropped", async || End::Drop),
            6 => desk.comment("panics", async || panic!("in the middle")),
            _ => desk.plain(&n.to_string()),
        });
    }
    // Refused, with nothing written.
    let refused = tokio::spawn({
        let (site, ticket) = (desk.site.clone(), desk.ticket);
        async move {
            let mut work = site.by("carl").await?;
            let refused = work.comment(ticket, notes("hm")?).await.is_err();
            work.abandon().await?;
            anyhow::Ok(refused)
        }
    });
    until_queued().await;
    held.commit().await?;
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await {
            Ok(written) => assert_eq!(written?.is_empty(), n == 2 || n == 4, "{n}"),
            Err(error) => assert!(error.is_panic() && n == 6, "{n}: {error}"),
        }
    }
    assert!(refused.await??);
    assert_eq!(desk.said().await?, ["0", "1", "3", "5", "7", "8", "9"]);
    desk.goes_on().await
}

#[tokio::test]
async fn one_that_cannot_be_written_takes_none_with_it() -> Result<()> {
    let desk = Desk::open().await?;
    let sql = "CREATE TRIGGER refuse BEFORE INSERT ON comments WHEN new.content = 'bad'
        BEGIN SELECT raise(ABORT, 'bad'); END";
    execute(&desk.site.place, sql).await?;
    let held = desk.hold().await?;
    let tasks: Vec<_> = ["a", "bad", "b"].map(|words| desk.plain(words)).into();
    until_queued().await;
    held.commit().await?;
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await?.is_err(), n == 1, "{n}");
    }
    assert_eq!(desk.said().await?, ["a", "b"]);
    desk.goes_on().await
}

#[tokio::test]
async fn commit_that_fails_is_told_to_everybody() -> Result<()> {
    let desk = Desk::open().await?;
    // Is found to be wrong by the commit only.
    let sql = "CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE orphans (id INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER poison AFTER INSERT ON comments WHEN new.content = 'bad'
        BEGIN INSERT INTO orphans VALUES (1); END";
    execute(&desk.site.place, sql).await?;
    let held = desk.hold().await?;
    let tasks: Vec<_> = ["a", "bad", "b"].map(|words| desk.plain(words)).into();
    until_queued().await;
    held.commit().await?;
    for task in tasks {
        assert!(is_unavailable(&task.await?));
    }
    assert_eq!(desk.said().await?, [""; 0], "nothing of it is kept");
    desk.goes_on().await
}

#[tokio::test]
async fn nobody_is_told_of_what_sqlite_has_undone() -> Result<()> {
    let desk = Desk::open().await?;
    // As it does when the disk is full.
    let sql = "CREATE TRIGGER undo BEFORE INSERT ON comments WHEN new.content = 'bad'
        BEGIN SELECT raise(ROLLBACK, 'bad'); END";
    execute(&desk.site.place, sql).await?;
    let held = desk.hold().await?;
    let tasks: Vec<_> = ["a", "bad"].map(|words| desk.plain(words)).into();
    until_queued().await;
    held.commit().await?;
    for task in tasks {
        let written = task.await?;
        assert!(written.is_err(), "{written:?}");
    }
    assert_eq!(desk.said().await?, [""; 0], "nothing of it is kept");
    desk.goes_on().await
}

#[tokio::test]
async fn work_goes_no_further_after_a_failure() -> Result<()> {
    let desk = Desk::open().await?;
    let sql = "CREATE TRIGGER undo BEFORE INSERT ON comments WHEN new.content = 'bad'
        BEGIN SELECT raise(ROLLBACK, 'bad'); END";
    execute(&desk.site.place, sql).await?;
    let mut work = desk.site.by("eve").await?;
    // What is written may be sent with the next statement only.
    work.comment(desk.ticket, says("bad")?).await.ok();
    assert!(work.comment(desk.ticket, says("next")?).await.is_err());
    assert!(work.comment(desk.ticket, says("after")?).await.is_err(), "it would be kept at once");
    assert!(work.commit().await.is_err());
    assert_eq!(desk.said().await?, [""; 0]);
    desk.goes_on().await
}

#[tokio::test]
async fn who_goes_away_while_waiting_is_passed_over() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let tasks: Vec<_> = (0..TEN).map(|n| desk.plain(&n.to_string())).collect();
    until_queued().await;
    for n in [0, 3, 4, 9] {
        tasks[n].abort();
    }
    held.commit().await?;
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.is_err(), [0, 3, 4, 9].contains(&n), "{n}");
    }
    assert_eq!(desk.said().await?, ["1", "2", "5", "6", "7", "8"]);
    desk.goes_on().await
}

#[tokio::test]
async fn who_goes_away_in_the_middle_is_undone() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let first = desk.plain("first");
    let (stands, is_there) = oneshot::channel();
    let gone = desk.comment("gone", async move || {
        stands.send(()).ok();
        pending().await
    });
    let last = desk.plain("last");
    until_queued().await;
    held.commit().await?;
    is_there.await?;
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    first.await??;
    last.await??;
    assert_eq!(desk.said().await?, ["first", "last"]);
    desk.goes_on().await
}

#[tokio::test]
async fn what_the_next_asks_first_fails_for_them_alone() -> Result<()> {
    let desk = Desk::open().await?;
    // The first that is written of a ticket, which goes with what the one before has written last.
    let sql = "CREATE TRIGGER refuse BEFORE INSERT ON slugs WHEN new.slug = 'bad'
        BEGIN SELECT raise(ABORT, 'bad'); END";
    execute(&desk.site.place, sql).await?;
    let held = desk.hold().await?;
    let before = desk.plain("a");
    let bad = desk.creates("bad");
    let after = desk.plain("b");
    until_queued().await;
    held.commit().await?;
    before.await??;
    assert!(bad.await?.is_err());
    after.await??;
    assert_eq!(desk.said().await?, ["a", "b"]);
    desk.goes_on().await
}

#[tokio::test]
async fn what_the_next_asks_first_may_undo_all() -> Result<()> {
    let desk = Desk::open().await?;
    let sql = "CREATE TRIGGER undo BEFORE INSERT ON slugs WHEN new.slug = 'bad'
        BEGIN SELECT raise(ROLLBACK, 'bad'); END";
    execute(&desk.site.place, sql).await?;
    let held = desk.hold().await?;
    let (before, bad) = (desk.plain("a"), desk.creates("bad"));
    until_queued().await;
    held.commit().await?;
    assert!(is_unavailable(&before.await?), "it is not kept");
    assert!(bad.await?.is_err());
    assert_eq!(desk.said().await?, [""; 0]);
    desk.goes_on().await
}

#[tokio::test]
async fn what_was_asked_for_who_goes_away_is_undone() -> Result<()> {
    let desk = Desk::open().await?;
    // Whose works are broken off after so many steps, of which the first writes.
    for steps in 0..40 {
        let held = desk.hold().await?;
        let before = desk.plain(&format!("stays {steps}"));
        let gone = desk.creates(&format!("gone {steps}"));
        let after = desk.plain(&format!("stays too {steps}"));
        until_queued().await;
        held.commit().await?;
        for _ in 0..steps {
            yield_now().await;
        }
        gone.abort();
        gone.await.ok();
        before.await??;
        after.await??;
    }
    let said = desk.said().await?;
    assert_eq!(said.iter().filter(|words| words.starts_with("stays")).count(), 80);
    let slugs = texts(&desk.site.place, "SELECT slug FROM slugs WHERE slug LIKE 'gone%'").await?;
    let tickets =
        texts(&desk.site.place, "SELECT slug FROM tickets WHERE slug LIKE 'gone%'").await?;
    assert_eq!(slugs.len(), tickets.len(), "a part is kept whole, or not at all");
    desk.goes_on().await
}

#[tokio::test]
async fn who_goes_away_before_the_commit_is_kept() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let gone = desk.plain("gone");
    let other = desk.stalls("other");
    until_queued().await;
    held.commit().await?;
    // It is the other's turn, so that the first has done its part and waits for the commit.
    other.is_there.await?;
    assert!(!gone.is_finished(), "nobody is told before the commit");
    assert_eq!(texts(&desk.site.place, "SELECT content FROM comments").await?, [""; 0]);
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    other.go.send(()).ok();
    other.written.await??;
    assert_eq!(desk.said().await?, ["gone", "other"], "as if the answer had been lost");
    desk.goes_on().await
}

#[tokio::test]
async fn crash_before_the_commit_leaves_nothing() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let first = desk.plain("first");
    let other = desk.stalls("other");
    until_queued().await;
    held.commit().await?;
    other.is_there.await?;
    // What a process leaves behind that dies now.
    let left = Directory::new()?;
    for file in ["desk.sqlite", "desk.sqlite-wal"] {
        std::fs::copy(desk.dir.path().join(file), left.path().join(file))?;
    }
    let site = Site::open(Place::file(left.path())).await?;
    let after = Desk { dir: left, site, ticket: desk.ticket };
    assert_eq!(after.said().await?, [""; 0]);
    after.goes_on().await?;
    other.go.send(()).ok();
    first.await??;
    other.written.await??;
    assert_eq!(desk.said().await?, ["first", "other"]);
    Ok(())
}

#[tokio::test]
async fn nobody_waits_for_whoever_comes_later() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let first = desk.plain("first");
    let second = desk.stalls("second");
    until_queued().await;
    held.commit().await?;
    second.is_there.await?;
    // The first is done, so the second is the last of the cohort.
    let later = desk.stalls("later");
    until_queued().await;
    second.go.send(()).ok();
    first.await??;
    second.written.await??;
    later.go.send(()).ok();
    later.written.await??;
    assert_eq!(desk.said().await?, ["first", "second", "later"]);
    Ok(())
}

#[tokio::test]
async fn refusal_waits_for_what_it_relies_on() -> Result<()> {
    let desk = Desk::open().await?;
    let held = desk.hold().await?;
    let first = desk.plain("first");
    let refused = desk.comment("refused", async || End::Abandon);
    let last = desk.stalls("last");
    until_queued().await;
    held.commit().await?;
    last.is_there.await?;
    assert!(!refused.is_finished(), "what it has seen may come to nothing");
    last.go.send(()).ok();
    refused.await??;
    first.await??;
    last.written.await??;
    assert_eq!(desk.said().await?, ["first", "last"]);
    Ok(())
}

#[tokio::test]
async fn whoever_breaks_off_anywhere_leaves_all_in_order() -> Result<()> {
    let desk = Desk::open().await?;
    // Whose works are broken off after so many steps.
    for steps in 0..40 {
        let held = desk.hold().await?;
        let gone = desk.plain(&format!("gone {steps}"));
        let stays = desk.plain(&format!("stays {steps}"));
        until_queued().await;
        held.commit().await?;
        for _ in 0..steps {
            yield_now().await;
        }
        gone.abort();
        gone.await.ok();
        stays.await??;
    }
    let said = desk.said().await?;
    let stayed = said.iter().filter(|words| words.starts_with("stays"));
    assert_eq!(stayed.count(), 40);
    desk.goes_on().await
}
