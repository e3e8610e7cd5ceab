//! The right to write to a file, and who shares a commit.
//!
//! A commit waits for the disk, whatever is in it. So those who write one after the other, each in a savepoint, are a
//! *cohort* that is committed once: whoever has done their part hands the open transaction to the next who waits, and is
//! told with all others what came of the commit. It comes when those have had their turn who were waiting when the first of
//! them was done, so nobody waits for whoever comes later; or when the cohort is full, or has lasted for long enough.
//!
//! - Nobody is told anything before the commit: neither who has written, nor who was refused on what others of the
//!   cohort have written.
//! - A part that is undone, or whose owner has gone away in the middle, is undone alone. Where that cannot be done,
//!   as SQLite has undone everything by itself, everybody of the cohort is told that the store is unavailable.
//! - What somebody asks first goes with what the one before them writes last ([`turn`]). Where it fails they hear of it,
//!   not the one before.
//! - The connection is always in somebody's hands: with whoever has the turn, on its way to the next, with the keeper,
//!   or free. A turn that is dropped goes to the keeper, a task, which also makes the commits, so none of them is broken off.

mod turn;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::turn::First;
pub use self::turn::Turn;
use super::WAIT;
use super::statement::{Answer, Statement};
use crate::error::StoreError;

/// What a part of a transaction is called in it.
macro_rules! member {
    () => {
        "member"
    };
}
use member;

/// Most parts of a cohort.
const PARTS_MAX: usize = 256;

/// How long a cohort takes on others, whose parts are long.
const SPAN: Duration = Duration::from_secs(1);

/// How long those of a cohort wait for its commit: long enough for a slow disk, not for one of them who stalls.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most who wait for their turn.
const WAITING_MAX: usize = 4096;

/// Who may write together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// With others, in a cohort.
    Shared,
    /// In a transaction of its own.
    Alone,
}

/// The right to write to a file. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Cohorts(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: SqlitePool,
    queue: Mutex<Queue>,
    /// For one, as there is one lead.
    keeper: mpsc::Sender<Returned>,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Nobody writes.
    free: Option<Box<Lead>>,
}

#[derive(Debug)]
struct Waiting {
    company: Company,
    /// What they ask first.
    asked: Option<Statement>,
    /// What came of that, where the one before has asked it.
    answer: Option<sqlx::Result<Answer>>,
    grant: oneshot::Sender<Turn>,
}

/// What a commit has come to, for each of the cohort.
type Outcome = Result<(), Arc<sqlx::Error>>;

/// What only one has at a time.
#[derive(Debug)]
struct Lead {
    /// None before it is opened, and after it was given up.
    connection: Option<PoolConnection<Sqlite>>,
    /// Since when a transaction is open.
    open_since: Option<Instant>,
    /// Those whose parts are in it.
    cohort: Vec<oneshot::Sender<Outcome>>,
    /// How many these may be, once the first is done.
    parts_max: usize,
    /// Who comes next, where that is settled.
    next: Option<Waiting>,
}

/// What the keeper gets.
#[derive(Debug)]
struct Returned {
    cohorts: Cohorts,
    lead: Box<Lead>,
    how: How,
}

#[derive(Debug)]
enum How {
    /// The cohort is to be committed.
    Complete,
    /// The last part is to be undone. Whoever asked for it is told when that is done and committed.
    Undone(Option<oneshot::Sender<Outcome>>),
}

impl Cohorts {
    /// Starts the task that keeps the connection in order; it ends with the last clone of this value.
    pub(super) fn start(pool: SqlitePool) -> Self {
        let (keeper, returned) = mpsc::channel(1);
        let lead = Box::new(Lead {
            connection: None,
            open_since: None,
            cohort: Vec::new(),
            parts_max: PARTS_MAX,
            next: None,
        });
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), free: Some(lead) });
        tokio::spawn(keep(returned));
        Self(Arc::new(Parts { pool, queue, keeper }))
    }

    /// A turn that is shared, and waited for once something is asked in it.
    pub(super) fn join(&self) -> Turn {
        Turn::to_come(self, Company::Shared)
    }

    /// Waits for a turn to ask something. What begins it is sent with its first statement.
    pub(super) async fn turn(
        &self,
        company: Company,
        asked: Option<Statement>,
    ) -> sqlx::Result<Turn> {
        let granted = match self.enter((company, asked), WAITING_MAX)? {
            Ok(turn) => return turn.connected().await,
            Err(granted) => granted,
        };
        let granted = timeout(WAIT, granted).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        granted.map_err(|_| sqlx::Error::WorkerCrashed)?.connected().await
    }

    /// Closes the connection, when everybody who is waiting has had their turn. Nobody gets another.
    pub(super) async fn close(&self) {
        let turn = match self.enter((Company::Alone, None), usize::MAX) {
            Ok(Ok(turn)) => Some(turn),
            Ok(Err(granted)) => granted.await.ok(),
            Err(_) => None,
        };
        let Some(mut lead) = turn.and_then(|mut turn| turn.take_fresh()) else { return };
        // First, or whoever came meanwhile would open it anew, and keep it.
        let closed = self.0.pool.close();
        drop(lead.connection.take());
        self.advance(lead);
        closed.await;
    }

    /// Takes the turn where nobody has it, or else a place in the line, behind so many at most.
    fn enter(
        &self,
        (company, asked): (Company, Option<Statement>),
        waiting_max: usize,
    ) -> sqlx::Result<Result<Turn, oneshot::Receiver<Turn>>> {
        let mut queue = self.queue();
        if let Some(lead) = queue.free.take() {
            return Ok(Ok(Turn::new(self, lead, company, asked.map(First::Asked))));
        }
        if queue.waiting.len() >= waiting_max {
            queue.waiting.retain(|waiting| !waiting.grant.is_closed());
            if queue.waiting.len() >= waiting_max {
                return Err(sqlx::Error::PoolTimedOut);
            }
        }
        let (grant, granted) = oneshot::channel();
        queue.waiting.push_back(Waiting { company, asked, answer: None, grant });
        Ok(Err(granted))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an open transaction to the next, or lets it be committed.
    fn pass(&self, mut lead: Box<Lead>) {
        if lead.cohort.len() == 1 {
            let waiting = usize::from(lead.next.is_some()) + self.queue().waiting.len();
            lead.parts_max = PARTS_MAX.min(1 + waiting);
        }
        loop {
            // Looked at and taken in one: who stands first may change, as those who have gone away are left out.
            let next = lead.next.take().or_else(|| self.queue().next_of(&lead));
            let Some(next) = next else { break };
            let Some(back) = self.grant(next, lead) else { return };
            lead = back;
        }
        self.give_back(lead, How::Complete);
    }

    /// Gives the turn to the next when no transaction is open, or notes that nobody writes.
    fn advance(&self, mut lead: Box<Lead>) {
        loop {
            let next = lead.next.take();
            let mut queue = self.queue();
            let Some(next) = next.or_else(|| queue.waiting.pop_front()) else {
                queue.free = Some(lead);
                return;
            };
            drop(queue);
            let Some(back) = self.grant(next, lead) else { return };
            lead = back;
        }
    }

    /// Gives the turn to one who waits; gets it back from whoever has gone away just now, but not where there is
    /// something of theirs to undo.
    fn grant(&self, to: Waiting, lead: Box<Lead>) -> Option<Box<Lead>> {
        let Waiting { company, asked, answer, grant } = to;
        let first = answer.map(First::Answered).or(asked.map(First::Asked));
        grant.send(Turn::new(self, lead, company, first)).err()?.take_fresh()
    }

    fn give_back(&self, lead: Box<Lead>, how: How) {
        let cohorts = self.clone();
        // There is place for what only one has. Where there is no keeper any more the runtime ends, and whoever waits
        // with it.
        self.0.keeper.try_send(Returned { cohorts, lead, how }).ok();
    }
}

impl Queue {
    /// Whether somebody waits who may be the next of a cohort that has so many parts.
    fn has_next(&mut self, lead: &Lead, parts: usize) -> bool {
        let is_young = lead.open_since.is_none_or(|since| since.elapsed() < SPAN);
        while self.waiting.front().is_some_and(|waiting| waiting.grant.is_closed()) {
            self.waiting.pop_front();
        }
        let next = self.waiting.front().map(|waiting| waiting.company);
        is_young && parts < lead.parts_max && next == Some(Company::Shared)
    }

    /// Takes the next of a cohort.
    fn next_of(&mut self, lead: &Lead) -> Option<Waiting> {
        if self.has_next(lead, lead.cohort.len()) { self.waiting.pop_front() } else { None }
    }

    /// Takes the next of a cohort behind a part that is about to end, if it is known what they ask.
    fn next_to_ask(&mut self, lead: &Lead) -> Option<Waiting> {
        let asked = |waiting: &Waiting| waiting.asked.as_ref().is_some_and(|it| it.count() == 1);
        let has_next = self.has_next(lead, lead.cohort.len() + 1);
        let is_asked = has_next && self.waiting.front().is_some_and(asked);
        if is_asked { self.waiting.pop_front() } else { None }
    }
}

/// Waits for what came of a commit, but not for those who stall within its cohort.
async fn outcome(told: oneshot::Receiver<Outcome>) -> Result<(), StoreError> {
    let told = timeout(PATIENCE, told).await.map_err(|_| too_late())?;
    told.map_err(|_| gone())?
        .map_err(|error| StoreError::Unavailable(sqlx::Error::Io(io::Error::other(error))))
}

fn too_late() -> StoreError {
    StoreError::Unavailable(sqlx::Error::PoolTimedOut)
}

fn gone() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}

/// Commits, and undoes what was given up, until nobody can write any more.
async fn keep(mut returned: mpsc::Receiver<Returned>) {
    while let Some(Returned { cohorts, mut lead, how }) = returned.recv().await {
        match how {
            How::Complete => lead.complete().await,
            How::Undone(told) if lead.cohort.is_empty() => {
                lead.roll_back().await;
                told.map(|told| told.send(Ok(())));
            }
            How::Undone(told) => match lead.undo_part().await {
                Ok(()) => {
                    lead.cohort.extend(told);
                    cohorts.pass(lead);
                    continue;
                }
                Err(error) => {
                    lead.cohort.extend(told);
                    lead.roll_back().await;
                    lead.tell(&Err(Arc::new(error)));
                }
            },
        }
        cohorts.advance(lead);
    }
}

impl Lead {
    /// Commits, and tells the cohort.
    async fn complete(&mut self) {
        let committed = match self.connection.as_mut() {
            Some(connection) => sqlx::raw_sql("COMMIT").execute(&mut **connection).await.map(drop),
            None => Err(sqlx::Error::WorkerCrashed),
        };
        (self.open_since, self.parts_max) = (None, PARTS_MAX);
        if committed.is_err() {
            self.roll_back().await;
        }
        self.tell(&committed.map_err(Arc::new));
    }

    /// Undoes everything.
    async fn roll_back(&mut self) {
        self.forget_answer();
        (self.open_since, self.parts_max) = (None, PARTS_MAX);
        let Some(mut connection) = self.connection.take() else { return };
        // Whether or not there is anything: what was sent before is done by now, and SQLite may have undone it.
        let undone = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
        if undone.is_ok() || is_over(&mut connection).await {
            self.connection = Some(connection);
        } else {
            // The next opens another.
            connection.close().await.ok();
        }
    }

    /// Undoes the last part of a cohort. Where it has just been released, or was never begun, there is nothing to undo:
    /// then it is kept with the others, or is nothing.
    async fn undo_part(&mut self) -> Result<(), sqlx::Error> {
        self.forget_answer();
        let connection = self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let undo = concat!("ROLLBACK TO ", member!(), "; RELEASE ", member!());
        match sqlx::raw_sql(undo).execute(&mut **connection).await {
            Err(error) if is_missing(&error) && !is_over(connection).await => Ok(()),
            undone => undone.map(drop),
        }
    }

    /// What the next has asked is asked anew, as it may be undone with the part before it.
    fn forget_answer(&mut self) {
        if let Some(next) = &mut self.next {
            next.answer = None;
        }
    }

    fn tell(&mut self, outcome: &Outcome) {
        for one in self.cohort.drain(..) {
            // Whoever asked may have gone away.
            one.send(outcome.clone()).ok();
        }
    }
}

/// Whether there is no such savepoint.
fn is_missing(error: &sqlx::Error) -> bool {
    let message = error.as_database_error().map(sqlx::error::DatabaseError::message);
    message.is_some_and(|message| message.starts_with("no such savepoint"))
}

/// Whether no transaction is open. What tells is that a second one is refused.
async fn is_over(connection: &mut SqliteConnection) -> bool {
    if sqlx::raw_sql("BEGIN").execute(&mut *connection).await.is_err() {
        return false;
    }
    sqlx::raw_sql("ROLLBACK").execute(connection).await.is_ok()
}
