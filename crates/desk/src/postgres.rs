//! The store of several machines: PostgreSQL, whose clock is the only clock of a lease.
//!
//! Three things are easily done wrong here, and each has given a pen to two holders or kept one for ever:
//!
//! - *The clock* is `clock_timestamp()`, read when the lock of the row has been had. `now()` stands still
//!   in a transaction, and what is read before the lock is as old as the wait for it was long.
//! - *A process that stops* inside a transaction keeps its locks. The sessions of this pool are broken
//!   off by the server when that happens, and when a statement or the wait for a lock takes too long.
//! - *A standby* that is promoted before it has everything grants a number a second time. Every grant
//!   reads the timeline, which such a promotion changes, and puts it above the count.

mod acquire;
mod cohort;
mod draft;
mod reading;
mod release;
mod renew;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use penholder_lease::{
    Claims, Command, Decision, Event, Policies, Policy, StoreMs, StoreTime, TIMELINE_MAX, Timeline,
    decide,
};
use penholder_ticket::ticket_of;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::types::Json;
use tokio::sync::Notify;

use crate::answer::{Answered, Due, Logged, Reading};
use crate::consumers::outbox::Known;
use crate::error::StoreError;
use crate::events::Trace;
use crate::migrate;
use crate::pens::noted::{Noted, noted};
use crate::pens::{Obeyed, Owes};
use crate::renewal::Renewal;
use crate::row::{Kept, Row, answered, logged, signed, unsigned};

use self::cohort::Line;
pub use self::cohort::Part;
pub(crate) use self::reading::moment;

/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(2);

/// What the server is told of each session: when to break it off, and the isolation that the statements
/// below are written for.
const SESSION: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "1s"),
    ("statement_timeout", "2s"),
    ("lock_timeout", "1s"),
    ("default_transaction_isolation", "read committed"),
];

#[derive(Debug, Clone)]
pub(crate) struct PostgresStore {
    pool: PgPool,
    /// Who the consumers are, as this process knows it.
    pub(crate) known: Known,
    /// Works on tickets.
    line: Line,
    news: Arc<Notify>,
}

impl PostgresStore {
    pub(crate) async fn open(
        url: &str,
        connections: u32,
        news: Arc<Notify>,
    ) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse()?;
        let pool = |connections| {
            let pool = PgPoolOptions::new().max_connections(connections);
            pool.acquire_timeout(WAIT).test_before_acquire(false)
        };
        // A migration may take longer than a session of pens.
        let setup = pool(1).connect_with(options.clone()).await?;
        migrate::postgres().run(&setup).await.map_err(StoreError::Schema)?;
        setup.close().await;
        let pool = pool(connections).connect_with(options.options(SESSION)).await?;
        let known = Known::default();
        let line = Line::new(pool.clone(), known.clone());
        Ok(Self { pool, known, line, news })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn obey(
        &self,
        topic: &str,
        command: &Command,
        policy: &Policy,
        trace: Option<&Trace>,
    ) -> Result<Answered, StoreError> {
        if let Command::Acquire { claimant, terms } = command
            && let Some(answered) =
                self.acquire_free(topic, (claimant, terms), policy, trace).await?
        {
            return Ok(answered);
        }
        if let Command::Release { session, fence } = command
            && let Some(answered) = self.release_plain(topic, (session, *fence), trace).await?
        {
            return Ok(answered);
        }
        let mut transaction = self.begin().await?;
        let Obeyed { answered, written } =
            obey_within(&mut transaction, (topic, command), policy, trace).await?;
        match written {
            Some(owes) => {
                transaction.commit().await?;
                self.ring(owes == Owes::Something);
            }
            None => transaction.rollback().await?,
        }
        Ok(answered)
    }

    /// Wakes whoever serves consumers, when these are owed something that has been committed.
    fn ring(&self, is_owed: bool) {
        if is_owed {
            self.news.notify_one();
        }
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Part, StoreError> {
        Part::alone(&self.pool).await
    }

    /// Begins one that is committed together with others, where any wait.
    pub(crate) async fn join(&self) -> Result<Part, StoreError> {
        self.line.join().await
    }

    /// Lets a transaction lock what others lock in another order.
    pub(crate) async fn set_apart(&self, part: &mut Part) -> Result<(), StoreError> {
        part.set_apart(&self.pool).await
    }

    pub(crate) async fn renew(
        &self,
        renewals: &[Renewal],
        policies: &Policies,
    ) -> Result<Vec<Answered>, StoreError> {
        let mut renewed = self.renew_plain(renewals, policies).await?;
        let mut all = Vec::with_capacity(renewals.len());
        for (place, renewal) in renewals.iter().enumerate() {
            all.push(match renewed.remove(&place) {
                Some(answered) => answered,
                // What needs a decision gets one.
                None => {
                    let policy = policies.of(&renewal.topic);
                    let trace = renewal.trace.as_ref();
                    self.obey(&renewal.topic, &renewal.command(), policy, trace).await?
                }
            });
        }
        Ok(all)
    }

    pub(crate) async fn pen(&self, topic: &str) -> Result<Reading, StoreError> {
        let row: Option<Timed> =
            sqlx::query_as(sql::READ).bind(topic).fetch_optional(&self.pool).await?;
        let (row, time) = match row {
            Some(timed) => read(timed)?,
            None => (Row::default(), self.time().await?),
        };
        Ok(Reading { topic: topic.to_owned(), pen: row.lease.view(time.at), at: time.at })
    }

    async fn time(&self) -> Result<StoreTime, StoreError> {
        time(sqlx::query_as(sql::TIME).fetch_one(&self.pool).await?)
    }

    pub(crate) async fn held_by(
        &self,
        person: &str,
        limit: u32,
    ) -> Result<Vec<Reading>, StoreError> {
        let rows = sqlx::query_as(sql::HELD_BY)
            .bind(person)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(Reading::read).collect()
    }

    pub(crate) async fn log(
        &self,
        topic: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        let rows = sqlx::query_as(sql::LOG)
            .bind(topic)
            .bind(signed(after))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(logged).collect()
    }

    pub(crate) async fn due(&self, limit: u32, span_ms_max: u64) -> Result<Due, StoreError> {
        let due = sqlx::query_as(sql::DUE).bind(i64::from(limit) + 1).bind(signed(span_ms_max));
        let rows = due.fetch_all(&self.pool).await?;
        Due::sort(rows, limit)
    }
}

/// What a transaction wants a lease for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// To write it, also where there is no row yet, unless it is of a ticket that there is not.
    Begin,
    /// To write it: nobody else decides.
    Write,
    /// To write something under its fence: nobody decides, but others may write as well.
    Fence,
}

/// The clock, the timeline and the columns of a lease.
type Timed = (i64, i64, i64, i64, i64, i64, Option<i64>, Json<Claims>);

fn read(timed: Timed) -> Result<(Row, StoreTime), StoreError> {
    let (at, timeline, fence, since, deadline, active, due, claims) = timed;
    Ok((Row::read((fence, since, deadline, active, due, claims))?, time((at, timeline))?))
}

fn time((at, timeline): (i64, i64)) -> Result<StoreTime, StoreError> {
    let timeline = u32::try_from(timeline).ok().filter(|timeline| *timeline <= TIMELINE_MAX);
    let timeline = timeline.ok_or_else(|| sqlx::Error::Decode("no such timeline".into()))?;
    Ok(StoreTime { at: StoreMs(unsigned(at)?), timeline: Timeline(timeline) })
}

/// Locks and reads a lease, and after that the time.
pub(crate) async fn locked(
    connection: &mut PgConnection,
    topic: &str,
    lock: Lock,
) -> Result<(Row, StoreTime), StoreError> {
    let statement = match lock {
        Lock::Begin | Lock::Write => sql::LOCK_TO_WRITE,
        Lock::Fence => sql::LOCK_FENCE,
    };
    let select = sqlx::query_as(statement).bind(topic);
    if let Some(timed) = select.fetch_optional(&mut *connection).await? {
        return read(timed);
    }
    if lock != Lock::Begin {
        return Ok((Row::default(), time(sqlx::query_as(sql::TIME).fetch_one(connection).await?)?));
    }
    // What is not there cannot be locked. Whoever comes second here waits for the first.
    sqlx::query(sql::BEGIN_ROW)
        .bind(topic)
        .bind(Json(Claims::default()))
        .bind(ticket_of(topic).map(|ticket| ticket.to_string()))
        .execute(&mut *connection)
        .await?;
    match sqlx::query_as(statement).bind(topic).fetch_optional(&mut *connection).await? {
        Some(timed) => read(timed),
        None => Ok((Row::ended(), time(sqlx::query_as(sql::TIME).fetch_one(connection).await?)?)),
    }
}

/// Obeys a command in a transaction.
pub(crate) async fn obey_within(
    connection: &mut PgConnection,
    (topic, command): (&str, &Command),
    policy: &Policy,
    trace: Option<&Trace>,
) -> Result<Obeyed, StoreError> {
    let begins = matches!(command, Command::Acquire { .. } | Command::TakeOver { .. });
    let lock = if begins { Lock::Begin } else { Lock::Write };
    let (row, time) = locked(connection, topic, lock).await?;
    let decision = decide(&row.lease, command, time, policy);
    let Some(after) = row.after(&decision, policy) else {
        return Ok(Obeyed { answered: answered(decision, time, (row.due, 0)), written: None });
    };
    let noted = noted(&row.lease, command, &decision.events);
    let written = Written { after: &after, noted, trace };
    let (last, is_owed) = keep(connection, topic, &decision, written).await?;
    let owes = if is_owed { Owes::Something } else { Owes::Nothing };
    Ok(Obeyed { answered: answered(decision, time, (after.due, last)), written: Some(owes) })
}

/// What is written of a decision.
struct Written<'a> {
    after: &'a Row,
    noted: Vec<Noted>,
    trace: Option<&'a Trace>,
}

/// An event, and what is kept of it beside.
#[derive(Serialize)]
struct Entry<'a> {
    body: &'a Event,
    #[serde(flatten)]
    noted: &'a Noted,
}

/// Writes a lease and appends the events to the log; returns the number of the last, 0 when there is none, and
/// whether consumers are owed any.
async fn keep(
    connection: &mut PgConnection,
    topic: &str,
    decision: &Decision,
    Written { after, noted, trace }: Written<'_>,
) -> Result<(u64, bool), StoreError> {
    let kept = Kept::new(after);
    let events = decision.events.iter().zip(&noted);
    let events: Vec<_> = events.map(|(body, noted)| Entry { body, noted }).collect();
    let last: Option<(i64, bool)> = sqlx::query_as(sql::KEEP)
        .bind(topic)
        .bind(kept.fence)
        .bind(kept.since)
        .bind(kept.deadline)
        .bind(kept.active)
        .bind(kept.due)
        .bind(kept.holder)
        .bind(kept.claims)
        .bind(signed(events.len() as u64))
        .bind(Json(events))
        .bind(trace.map(|trace| &trace.trace_id))
        .bind(trace.map(|trace| &trace.traceparent))
        .fetch_optional(connection)
        .await?;
    let (last, is_owed) = last.unwrap_or_default();
    Ok((unsigned(last)?, is_owed))
}
