//! Works that share a commit.
//!
//! Every ticket counts on one topic, whose counter is locked from the append to the log until the commit is on the disk. So
//! one work of this process is done at a time; those who come meanwhile stand in a line, and are then a *cohort*: they are
//! done one after the other in one transaction, each in a savepoint, all their events are appended by one statement, and one
//! commit is for all of them. A work that finds nobody before it is done as if there were no line.
//!
//! - Nobody is told anything before the commit: neither who has written, nor who was refused on what others of the cohort
//!   have written.
//! - A part that fails, is undone, or whose owner has gone away in the middle, is undone alone. When the transaction is lost
//!   with its connection, or the append or the commit fails, everybody of the cohort is told so.
//! - Rows of tickets and pens are locked in the order of those who come, and others wait for them in theirs. So a cohort
//!   has a lock before any row (`lock_order!`), and so has whoever else locks rows of several tickets.
//! - A cohort is those who waited when it began, and has an end ([`PARTS_MAX`], [`SPAN`]). Whoever stalls within it
//!   keeps the others waiting for so long ([`PATIENCE`]), and whoever waits in the line goes alone in the end.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::consumers::outbox::Known;
use crate::error::StoreError;
use crate::events::{self, Appended, Batch};
use crate::statement::Connection;

/// Most parts of a cohort: PostgreSQL looks at so many savepoints of another's transaction without reading them from a file.
const PARTS_MAX: usize = 60;

/// How long a cohort takes on others, whose parts are long. Another process waits for a lock for longer.
const SPAN: Duration = Duration::from_millis(200);

/// How long somebody waits in the line. Before the server breaks off whoever stalls, as their locks count until then.
const WAIT: Duration = Duration::from_millis(400);

/// From how many on those are left out of the line who have gone away.
const WAITING_MAX: usize = 4096;

/// How long those of a cohort wait for one of them.
const PATIENCE: Duration = Duration::from_secs(3);

/// Locks what whoever locks rows of several tickets has locked before. The number was drawn once.
macro_rules! lock_order {
    () => {
        "SELECT pg_advisory_xact_lock(5793157890507433061)"
    };
}

const LOCK_ORDER: &str = lock_order!();

/// Begins the first part.
const BEGIN: &str = concat!(lock_order!(), "; SAVEPOINT part");

/// Ends a part, which fails where one of its statements has failed, and begins the next.
const NEXT: &str = "RELEASE SAVEPOINT part; SAVEPOINT part";

const UNDO: &str = "ROLLBACK TO SAVEPOINT part";

/// Those who wait to write to tickets. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pool: PgPool,
    known: Known,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    is_busy: bool,
    waiting: Company,
}

#[derive(Debug)]
enum Grant {
    Alone(Place),
    Shared(Part),
}

/// Those who are done together.
type Company = VecDeque<oneshot::Sender<Grant>>;

/// What only one of the line has. Dropped, the next have it.
#[derive(Debug)]
struct Place(Line);

/// A transaction, or a part of one in which nobody else does anything meanwhile. Dropped, it is undone.
#[derive(Debug)]
pub struct Part {
    /// None when it has ended.
    transaction: Option<Transaction<'static, Postgres>>,
    among: Among,
    /// Whether nothing was done in it yet.
    is_fresh: bool,
}

#[derive(Debug)]
enum Among {
    /// A transaction of its own.
    Alone(Option<Place>),
    /// It is given back.
    Cohort(oneshot::Sender<Returned>),
}

#[derive(Debug)]
struct Returned {
    transaction: Transaction<'static, Postgres>,
    end: End,
}

#[derive(Debug)]
enum End {
    Kept(Done),
    /// Whoever asked for it is told as all others.
    Undone(Option<Done>),
}

/// A part that has ended.
#[derive(Debug)]
struct Done {
    /// Taken when it is appended.
    batch: Option<Batch>,
    is_appended: bool,
    told: oneshot::Sender<Result<Appended, StoreError>>,
}

impl Line {
    pub(super) fn new(pool: PgPool, known: Known) -> Self {
        Self { pool, known, queue: Arc::default() }
    }

    /// Begins a transaction that is shared with those who wait at the same time.
    pub(super) async fn join(&self) -> Result<Part, StoreError> {
        let granted = match self.enter() {
            Ok(place) => return Part::first(place).await,
            Err(granted) => timeout(WAIT, granted).await,
        };
        match granted {
            Ok(Ok(Grant::Shared(part))) => Ok(part),
            Ok(Ok(Grant::Alone(place))) => Part::first(place).await,
            // Whoever is before stalls.
            Ok(Err(_)) | Err(_) => Part::alone(&self.pool).await,
        }
    }

    fn enter(&self) -> Result<Place, oneshot::Receiver<Grant>> {
        let mut queue = self.queue();
        if !queue.is_busy {
            queue.is_busy = true;
            return Ok(Place(self.clone()));
        }
        if queue.waiting.len() >= WAITING_MAX {
            queue.waiting.retain(|waiting| !waiting.is_closed());
        }
        let (grant, granted) = oneshot::channel();
        queue.waiting.push_back(grant);
        Err(granted)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the parts of a cohort one after the other, appends what they have written, and commits.
    async fn serve(
        &self,
        mut company: Company,
        done: &mut Vec<Done>,
    ) -> Result<Vec<Appended>, StoreError> {
        let start = Instant::now();
        let mut transaction = self.pool.begin().await?;
        sqlx::raw_sql(BEGIN).execute(&mut *transaction).await?;
        while let Some(member) = company.pop_front() {
            let (back, returned) = oneshot::channel();
            // Whoever has gone away gives it back at once.
            member.send(Grant::Shared(Part::new(transaction, Among::Cohort(back)))).ok();
            let returned = timeout(PATIENCE, returned).await.map_err(|_| too_late())?;
            let Returned { transaction: back, end } = returned.map_err(|_| gone())?;
            transaction = back;
            done.extend(end_part(&mut transaction, end).await?);
            if start.elapsed() > SPAN {
                break;
            }
        }
        self.put_back(company);
        let batches: Vec<_> = done.iter_mut().filter_map(|done| done.batch.take()).collect();
        let appended = append(&mut transaction, &batches, &self.known).await?;
        transaction.commit().await?;
        Ok(appended)
    }

    /// Lets those be the first of the next cohort whom this one has not taken on.
    fn put_back(&self, company: Company) {
        let mut queue = self.queue();
        company.into_iter().rev().for_each(|waiting| queue.waiting.push_front(waiting));
    }
}

/// Ends a part; returns whom to tell.
async fn end_part(connection: &mut PgConnection, end: End) -> Result<Option<Done>, StoreError> {
    match end {
        End::Kept(done) => match sqlx::raw_sql(NEXT).execute(&mut *connection).await {
            Ok(_) => Ok(Some(done)),
            Err(error) => {
                sqlx::raw_sql(UNDO).execute(connection).await?;
                done.told.send(Err(error.into())).ok();
                Ok(None)
            }
        },
        End::Undone(done) => {
            sqlx::raw_sql(UNDO).execute(connection).await?;
            Ok(done)
        }
    }
}

async fn append(
    connection: &mut PgConnection,
    batches: &[Batch],
    known: &Known,
) -> Result<Vec<Appended>, StoreError> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    events::append(&mut Connection::Postgres(connection), batches, known).await
}

/// Tells those of a cohort what has become of it.
fn tell(done: Vec<Done>, kept: Result<Vec<Appended>, StoreError>) {
    let mut kept = kept.map(Vec::into_iter).map_err(Arc::new);
    for Done { is_appended, told, .. } in done {
        let one = match &mut kept {
            Ok(appended) if is_appended => appended.next().ok_or_else(gone),
            Ok(_) => Ok(Appended::default()),
            Err(error) => {
                Err(StoreError::Unavailable(sqlx::Error::Io(io::Error::other(Arc::clone(error)))))
            }
        };
        // Whoever asked may have gone away.
        told.send(one).ok();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.waiting.retain(|waiting| !waiting.is_closed());
        let count = queue.waiting.len().min(PARTS_MAX);
        let mut company: Company = queue.waiting.drain(..count).collect();
        queue.is_busy = count > 0;
        drop(queue);
        let Some(first) = company.pop_front() else { return };
        let place = Self(self.0.clone());
        if company.is_empty() {
            // Where they have gone away just now, it is dropped again.
            first.send(Grant::Alone(place)).ok();
            return;
        }
        company.push_front(first);
        tokio::spawn(async move {
            let mut done = Vec::new();
            let kept = place.0.serve(company, &mut done).await;
            tell(done, kept);
        });
    }
}

impl Part {
    fn new(transaction: Transaction<'static, Postgres>, among: Among) -> Self {
        Self { transaction: Some(transaction), among, is_fresh: true }
    }

    /// Begins a transaction of its own.
    pub(super) async fn alone(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self::new(pool.begin().await?, Among::Alone(None)))
    }

    /// Begins one, as whose turn it is.
    async fn first(place: Place) -> Result<Self, StoreError> {
        let transaction = place.0.pool.begin().await?;
        Ok(Self::new(transaction, Among::Alone(Some(place))))
    }

    /// Sees to it that it may lock what others lock in another order: with the lock for that, and, where nothing was done
    /// in it yet, in a transaction of its own.
    pub(super) async fn set_apart(&mut self, pool: &PgPool) -> Result<(), StoreError> {
        if let Among::Cohort(_) = self.among {
            if !self.is_fresh {
                // Its cohort has the lock.
                return Ok(());
            }
            self.undo();
            *self = Self::alone(pool).await?;
        }
        sqlx::raw_sql(LOCK_ORDER).execute(&mut **self).await?;
        Ok(())
    }

    /// Keeps what was written in it for good, with all others of the cohort, and appends to the log.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. With [`Unavailable`](StoreError::Unavailable) it may have been kept.
    pub(crate) async fn keep(
        mut self,
        batch: Option<Batch>,
        known: &Known,
    ) -> Result<Appended, StoreError> {
        let (told, outcome) = oneshot::channel();
        let is_appended = batch.is_some();
        match self.take() {
            (Some(mut transaction), Among::Alone(_place)) => {
                let appended = append(&mut transaction, batch.as_slice(), known).await?.pop();
                transaction.commit().await?;
                Ok(appended.unwrap_or_default())
            }
            (Some(transaction), Among::Cohort(back)) => {
                let end = End::Kept(Done { batch, is_appended, told });
                // Where nobody waits for it any more it is undone.
                back.send(Returned { transaction, end }).ok();
                outcome.await.map_err(|_| gone())?
            }
            (None, _) => Err(gone()),
        }
    }

    /// Keeps what was written in it for good.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.keep(None, &Known::default()).await.map(drop)
    }

    /// Undoes it, before it returns.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. It is undone all the same, and what others of the cohort have written may be, too.
    pub(crate) async fn rollback(mut self) -> Result<(), StoreError> {
        match self.take() {
            (Some(transaction), Among::Alone(_place)) => Ok(transaction.rollback().await?),
            (Some(transaction), Among::Cohort(back)) => {
                let (told, outcome) = oneshot::channel();
                let end = End::Undone(Some(Done { batch: None, is_appended: false, told }));
                back.send(Returned { transaction, end }).ok();
                outcome.await.map_err(|_| gone())?.map(drop)
            }
            (None, _) => Ok(()),
        }
    }

    fn take(&mut self) -> (Option<Transaction<'static, Postgres>>, Among) {
        (self.transaction.take(), mem::replace(&mut self.among, Among::Alone(None)))
    }

    fn undo(&mut self) {
        if let (Some(transaction), Among::Cohort(back)) = self.take() {
            back.send(Returned { transaction, end: End::Undone(None) }).ok();
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.undo();
    }
}

impl Deref for Part {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.transaction.as_ref().expect("it has not ended")
    }
}

impl DerefMut for Part {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.is_fresh = false;
        self.transaction.as_mut().expect("it has not ended")
    }
}

fn too_late() -> StoreError {
    StoreError::Unavailable(sqlx::Error::PoolTimedOut)
}

fn gone() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}
