//! A part of a transaction, from the first statement of whoever writes it.
//!
//! What somebody asks first is known while they wait. So it is sent with the last that the one before them writes, in a
//! savepoint of theirs: each who waits costs one way to the thread of the connection the less.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{Cohorts, Company, How, Lead, member, outcome};
use crate::error::StoreError;
use crate::sqlite::statement::{Answer, Lite, Statement};
use crate::statement::Connection;

const SAVEPOINT: &str = concat!("SAVEPOINT ", member!());
const RELEASE: &str = concat!("RELEASE ", member!());

/// A part of a transaction that nobody else writes in meanwhile. Dropped, it is undone.
#[derive(Debug)]
pub struct Turn {
    /// None before it has come, and when it has ended.
    lead: Option<Box<Lead>>,
    cohorts: Cohorts,
    company: Company,
    /// What begins it: sent with the first statement.
    prelude: Option<&'static str>,
    /// Until it is looked at.
    first: Option<First>,
    /// What is to be written before anything else is done.
    deferred: Option<Statement>,
    stage: Stage,
}

/// What was asked to get a turn.
#[derive(Debug)]
pub(super) enum First {
    Asked(Statement),
    /// By the one before, as the beginning of this part.
    Answered(sqlx::Result<Answer>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// It has ended as a part of a transaction that is still open.
    Released,
    /// A statement has failed. SQLite may have undone everything by itself, and the next would be kept at once.
    Lost,
}

impl Turn {
    /// One that is waited for when something is asked.
    pub(super) fn to_come(cohorts: &Cohorts, company: Company) -> Self {
        let cohorts = cohorts.clone();
        let (stage, deferred) = (Stage::Open, None);
        Self { lead: None, cohorts, company, prelude: None, first: None, deferred, stage }
    }

    /// One that has come.
    pub(super) fn new(
        cohorts: &Cohorts,
        lead: Box<Lead>,
        company: Company,
        first: Option<First>,
    ) -> Self {
        let mut turn = Self::to_come(cohorts, company);
        turn.prelude = match (company, lead.open_since) {
            _ if matches!(first, Some(First::Answered(_))) => None,
            (Company::Shared, None) => Some(concat!("BEGIN IMMEDIATE; SAVEPOINT ", member!())),
            (Company::Shared, Some(_)) => Some(SAVEPOINT),
            (Company::Alone, _) => Some("BEGIN IMMEDIATE"),
        };
        (turn.lead, turn.first) = (Some(lead), first);
        turn
    }

    /// Opens the connection, where there is none.
    pub(super) async fn connected(mut self) -> sqlx::Result<Self> {
        if let Some(lead) = &mut self.lead
            && lead.connection.is_none()
        {
            lead.connection = Some(self.cohorts.0.pool.acquire().await?);
        }
        Ok(self)
    }

    /// Begins it now, in a statement of its own.
    pub(in crate::sqlite) async fn begun(mut self) -> sqlx::Result<Self> {
        self.ready().await?;
        Ok(self)
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        Connection::Sqlite(Lite::Within(self))
    }

    /// Sends what is to be sent before statements that are sent by themselves; of these it has to be
    /// [told](Self::seen) what came.
    pub(in crate::sqlite) async fn ready(&mut self) -> sqlx::Result<()> {
        if self.stage != Stage::Open {
            return Err(ended());
        }
        if let Some(deferred) = self.deferred.take() {
            return self.ask(deferred).await.map(drop);
        }
        self.come().await?;
        match self.prelude.take() {
            Some(prelude) => self.send(Statement::plain(prelude), &mut Vec::new()).await,
            None => Ok(()),
        }
    }

    /// Waits until it has come.
    pub(crate) async fn come(&mut self) -> sqlx::Result<()> {
        self.come_for(None).await.map(drop)
    }

    /// Sends a statement.
    pub(in crate::sqlite) async fn ask(&mut self, statement: Statement) -> sqlx::Result<Answer> {
        let statement = self.behind_deferred(statement)?;
        match self.come_for(Some(statement)).await? {
            Some(First::Asked(statement)) => {
                let mut answers = Vec::new();
                let statement = self.behind_prelude(statement);
                self.send(statement, &mut answers).await?;
                Ok(Answer::of(answers))
            }
            Some(First::Answered(answer)) => self.seen(answer),
            None => Err(ended()),
        }
    }

    /// Sends its last statement, which ends it, and with that what the next asks first.
    pub(in crate::sqlite) async fn ask_last(
        &mut self,
        statement: Statement,
    ) -> sqlx::Result<Answer> {
        self.come().await?;
        let own = self.behind_deferred(statement)?.then(Statement::plain(RELEASE));
        let own = self.behind_prelude(own);
        let own_count = own.count();
        let lead = self.lead.as_mut().expect("it has come, and not ended");
        lead.next = self.cohorts.queue().next_to_ask(lead);
        let sent = match lead.next.as_ref().and_then(|next| next.asked.as_ref()) {
            Some(asked) => own.then(Statement::plain(SAVEPOINT)).then(asked.clone()),
            None => own,
        };
        let mut answers = Vec::new();
        let sent = self.send(sent, &mut answers).await;
        if answers.len() < own_count {
            return Err(sent.err().unwrap_or_else(ended));
        }
        // Its own is done. How the rest went is for the next to know.
        self.stage = Stage::Released;
        let rest = Answer::of(answers.split_off(own_count));
        if let Some(next) = self.lead.as_mut().and_then(|lead| lead.next.as_mut()) {
            next.answer = Some(sent.map(|()| rest));
        }
        Ok(Answer::of(answers))
    }

    /// Leaves a statement to be sent with the next.
    pub(in crate::sqlite) fn defer(&mut self, statement: Statement) -> sqlx::Result<()> {
        self.deferred = Some(self.behind_deferred(statement)?);
        Ok(())
    }

    fn behind_deferred(&mut self, statement: Statement) -> sqlx::Result<Statement> {
        if self.stage != Stage::Open {
            return Err(ended());
        }
        Ok(match self.deferred.take() {
            Some(deferred) => deferred.then(statement),
            None => statement,
        })
    }

    /// Waits until it has come, and says how it stands with what is asked.
    async fn come_for(&mut self, first: Option<Statement>) -> sqlx::Result<Option<First>> {
        if self.lead.is_some() {
            return Ok(first.map(First::Asked));
        }
        let cohorts = self.cohorts.clone();
        match cohorts.turn(self.company, first).await {
            Ok(mut turn) => {
                turn.deferred = self.deferred.take();
                *self = turn;
                Ok(self.first.take())
            }
            Err(error) => {
                self.stage = Stage::Lost;
                Err(error)
            }
        }
    }

    fn behind_prelude(&mut self, statement: Statement) -> Statement {
        match self.prelude.take() {
            Some(prelude) => Statement::plain(prelude).then(statement),
            None => statement,
        }
    }

    async fn send(&mut self, statement: Statement, answers: &mut Vec<Answer>) -> sqlx::Result<()> {
        let lead = self.lead.as_mut().expect("it has come, and not ended");
        // It may be, from the first statement on.
        lead.open_since.get_or_insert_with(Instant::now);
        let connection = lead.connection.as_mut().expect("it is connected");
        let sent = statement.send(connection, answers).await;
        self.seen(sent)
    }

    /// Takes note of what came of a statement.
    pub(in crate::sqlite) fn seen<T, E>(&mut self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.stage = Stage::Lost;
        }
        result
    }

    /// Whether nothing was sent yet.
    fn is_fresh(&self) -> bool {
        self.prelude.is_some()
    }

    /// Keeps what was written in it for good, with all others of the cohort.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. With [`Unavailable`](StoreError::Unavailable) it may have been kept.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.stage == Stage::Lost {
            return Err(StoreError::Unavailable(sqlx::Error::Protocol("it was undone".to_owned())));
        }
        if let Some(deferred) = self.deferred.take() {
            self.ask(deferred).await?;
        }
        let goes_on = self.company == Company::Shared
            && self.lead.as_ref().is_some_and(|lead| {
                let parts = lead.cohort.len() + 1;
                lead.next.is_some() || self.cohorts.queue().has_next(lead, parts)
            });
        let is_fresh = self.is_fresh();
        if goes_on && !is_fresh && self.stage == Stage::Open {
            self.send(Statement::plain(RELEASE), &mut Vec::new()).await?;
        }
        let Some(mut lead) = self.lead.take() else { return Ok(()) };
        if is_fresh && lead.cohort.is_empty() {
            lead.open_since = None;
            self.cohorts.advance(lead);
            return Ok(());
        }
        let (kept, told) = oneshot::channel();
        lead.cohort.push(kept);
        if goes_on {
            self.cohorts.pass(lead)
        } else {
            self.cohorts.give_back(lead, How::Complete)
        }
        outcome(told).await
    }

    /// Undoes it, before it returns.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. It is undone all the same, and what others of the cohort have written may be, too.
    pub async fn rollback(mut self) -> Result<(), StoreError> {
        let Some(lead) = self.take_sent() else { return Ok(()) };
        let (kept, told) = oneshot::channel();
        self.cohorts.give_back(lead, How::Undone(Some(kept)));
        outcome(told).await
    }

    /// Takes what nobody has sent anything for; nothing where there is something to undo.
    pub(super) fn take_fresh(&mut self) -> Option<Box<Lead>> {
        if self.is_fresh() { self.lead.take() } else { None }
    }

    /// Takes what is to be undone; nothing where nothing was sent.
    fn take_sent(&mut self) -> Option<Box<Lead>> {
        let Some(mut lead) = self.take_fresh() else { return self.lead.take() };
        if lead.cohort.is_empty() {
            lead.open_since = None;
            self.cohorts.advance(lead);
        } else {
            self.cohorts.pass(lead);
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lead) = self.take_sent() {
            self.cohorts.give_back(lead, How::Undone(None));
        }
    }
}

impl Deref for Turn {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        let lead = self.lead.as_ref().expect("it has come, and not ended");
        lead.connection.as_ref().expect("it is connected")
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        let lead = self.lead.as_mut().expect("it has come, and not ended");
        lead.connection.as_mut().expect("it is connected")
    }
}

fn ended() -> sqlx::Error {
    sqlx::Error::Protocol("the transaction has ended".to_owned())
}
