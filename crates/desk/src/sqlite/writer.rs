//! The one who writes. A commit waits for the disk, whatever is in it; so the commands that come meanwhile
//! share the next one.
//!
//! All of them are decided one after the other, in memory, within one transaction: a statement reads their
//! topics, another writes what has changed. Nobody is answered before the commit. When the store refuses
//! what they want written, each is tried again alone, so that one which cannot be kept takes none of its
//! neighbours with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use penholder_lease::{Claims, Command, Policies, Policy, StoreTime, Timeline, decide};
use penholder_ticket::ticket_of;
use serde::Serialize;
use sqlx::SqliteConnection;
use sqlx::types::Json;
use tokio::sync::{Notify, mpsc, oneshot};

use super::Clock;
use super::cohort::{Cohorts, Company, Turn};
use crate::answer::{Answered, Logged};
use crate::error::StoreError;
use crate::events::Trace;
use crate::pens::noted::{Noted, noted};
use crate::pens::{Obeyed, Owes};
use crate::row::{Kept, Row, answered, signed, unsigned};

/// Most commands of one transaction.
const BATCH_MAX: usize = 256;

/// Most commands that wait for their turn; who comes then waits before.
const WAITING_MAX: usize = 4096;

/// What a decision needs beside the command.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) cohorts: Cohorts,
    pub(super) clock: Clock,
    pub(super) timeline: Timeline,
    pub(super) policies: Arc<Policies>,
    pub(super) news: Arc<Notify>,
}

/// Where commands are left.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Asked>);

/// A command, and who waits for what comes of it.
#[derive(Debug)]
struct Asked {
    topic: String,
    command: Command,
    trace: Option<Trace>,
    answer: oneshot::Sender<Told>,
}

/// What came of a command, or how the decision panicked.
type Told = thread::Result<Result<Answered, StoreError>>;

impl Writer {
    /// Starts the task that writes; it ends with the last clone of this value.
    pub(super) fn start(ground: Ground) -> Self {
        let (sender, asked) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(ground, asked));
        Self(sender)
    }

    /// Leaves a command for the next transaction; those of one caller are obeyed in order.
    pub(super) async fn ask(
        &self,
        topic: &str,
        command: Command,
        trace: Option<&Trace>,
    ) -> Result<Pending, StoreError> {
        let (answer, told) = oneshot::channel();
        let asked = Asked { topic: topic.to_owned(), command, trace: trace.cloned(), answer };
        self.0.send(asked).await.map_err(|_| gone())?;
        Ok(Pending(told))
    }
}

/// An answer that is yet to come.
#[derive(Debug)]
pub(super) struct Pending(oneshot::Receiver<Told>);

impl Pending {
    /// Waits for it.
    ///
    /// # Panics
    ///
    /// The decision has panicked.
    pub(super) async fn told(self) -> Result<Answered, StoreError> {
        let told = self.0.await.map_err(|_| gone())?;
        told.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}

async fn run(ground: Ground, mut asked: mpsc::Receiver<Asked>) {
    let mut batch = Vec::new();
    while asked.recv_many(&mut batch, BATCH_MAX).await > 0 {
        match ground.write(&batch).await {
            Ok(told) => tell(batch.drain(..), told),
            Err(Failed::Refused(_)) if batch.len() > 1 => {
                for asked in batch.drain(..) {
                    let alone = [asked];
                    let told = ground.write(&alone).await;
                    let told = told.unwrap_or_else(|failed| failed.for_each_of(1));
                    tell(alone, told);
                }
            }
            Err(failed) => {
                let told = failed.for_each_of(batch.len());
                tell(batch.drain(..), told);
            }
        }
    }
}

fn tell(batch: impl IntoIterator<Item = Asked>, told: Vec<Told>) {
    for (asked, told) in batch.into_iter().zip(told) {
        // Whoever asked may have gone away.
        asked.answer.send(told).ok();
    }
}

/// Why nothing of a transaction was written.
#[derive(Debug)]
enum Failed {
    /// It could not begin, or not be committed: whatever was in it.
    Away(StoreError),
    /// What was in it may be the reason.
    Refused(StoreError),
}

impl Failed {
    /// The same for as many as waited.
    fn for_each_of(self, count: usize) -> Vec<Told> {
        let (Self::Away(error) | Self::Refused(error)) = self;
        if count == 1 {
            return vec![Ok(Err(error))];
        }
        let error = Arc::new(error);
        let shared = || sqlx::Error::Io(io::Error::other(Arc::clone(&error)));
        std::iter::repeat_with(|| Ok(Err(StoreError::Unavailable(shared())))).take(count).collect()
    }
}

impl Ground {
    /// Decides and writes; what is returned has been committed.
    async fn write(&self, batch: &[Asked]) -> Result<Vec<Told>, Failed> {
        let mut transaction = self.begin().await.map_err(Failed::Away)?;
        let topics = batch.iter().map(|asked| asked.topic.as_str()).collect();
        let mut turns = Turns::read(&mut transaction, topics).await.map_err(Failed::Refused)?;
        let time = self.time();
        let told = batch.iter().map(|asked| {
            let policy = self.policies.of(&asked.topic);
            let it = (asked.topic.as_str(), &asked.command);
            let turn = || turns.take(it, asked.trace.as_ref(), (time, policy));
            // A decision changes nothing before it is made.
            catch_unwind(AssertUnwindSafe(turn)).map(Ok)
        });
        let told = told.collect();
        if turns.have_changed_nothing() {
            transaction.rollback().await.map_err(Failed::Away)?;
            return Ok(told);
        }
        let is_owed = turns.write(&mut transaction).await.map_err(Failed::Refused)?;
        transaction.commit().await.map_err(Failed::Away)?;
        if is_owed {
            self.news.notify_one();
        }
        Ok(told)
    }

    /// Decides and writes within a transaction of somebody else's.
    pub(super) async fn obey_within(
        &self,
        connection: &mut SqliteConnection,
        (topic, command): (&str, &Command),
        trace: Option<&Trace>,
    ) -> Result<Obeyed, StoreError> {
        let mut turns = Turns::read(connection, BTreeSet::from([topic])).await?;
        let ground = (self.time(), self.policies.of(topic));
        let answered = turns.take((topic, command), trace, ground);
        if turns.have_changed_nothing() {
            return Ok(Obeyed { answered, written: None });
        }
        let is_owed = turns.write(connection).await?;
        let owes = if is_owed { Owes::Something } else { Owes::Nothing };
        Ok(Obeyed { answered, written: Some(owes) })
    }

    async fn begin(&self) -> Result<Turn, StoreError> {
        Ok(self.cohorts.turn(Company::Shared, None).await?.begun().await?)
    }

    /// The time of a decision, to be read when one has the right to write.
    pub(super) fn time(&self) -> StoreTime {
        StoreTime { at: self.clock.now(), timeline: self.timeline }
    }
}

/// The topics of a transaction as they are, and as they will be.
#[derive(Debug)]
struct Turns {
    places: BTreeMap<String, Place>,
    log: Vec<Entry>,
}

/// An event, and what is kept of it beside.
#[derive(Debug)]
struct Entry {
    topic: String,
    logged: Logged,
    noted: Noted,
    trace: Option<Trace>,
}

#[derive(Debug)]
struct Place {
    row: Row,
    /// The number of the last event.
    seq: u64,
    is_changed: bool,
}

/// A topic, the number of its last event, its ticket, and the columns of its lease.
type PlaceColumns = (
    String,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<Json<Claims>>,
);

const READ: &str = "
    SELECT asked.value, seq, tickets.id, fence, since_ms, deadline_ms, active_ms, due_ms, claims
    FROM json_each($1) AS asked
        LEFT JOIN topics ON topics.topic = asked.value
        LEFT JOIN tickets ON tickets.id = substr(asked.value, 9)
        LEFT JOIN pens ON pens.topic = asked.value";

/// Pens $1, the numbers of topics $2, events $3, and what consumers are owed of these. One round for all; says
/// whether anything is owed.
const WRITE: &str = "
    INSERT INTO pens (topic, fence, since_ms, deadline_ms, active_ms, due_ms, holder, claims)
    SELECT value ->> 0, value ->> '$[1][0]', value ->> '$[1][1]', value ->> '$[1][2]',
        value ->> '$[1][3]', value ->> '$[1][4]', value ->> 2, value ->> 3
    FROM json_each($1) WHERE true
    ON CONFLICT (topic) DO UPDATE SET fence = excluded.fence, since_ms = excluded.since_ms,
        deadline_ms = excluded.deadline_ms, active_ms = excluded.active_ms,
        due_ms = excluded.due_ms, holder = excluded.holder, claims = excluded.claims;
    INSERT INTO topics (topic, seq)
    SELECT value ->> 0, value ->> 1 FROM json_each($2) WHERE true
    ON CONFLICT (topic) DO UPDATE SET seq = excluded.seq;
    INSERT INTO pen_log (topic, seq, fence, type, rule, actor, at_ms, body, id, op, previous, is_signed_in,
        trace_id, traceparent, processed_ms)
    SELECT value ->> 0, value ->> '$[1][0]', value ->> '$[1][1]', value ->> 2, value ->> 3,
        value ->> 4, value ->> '$[1][2]', value ->> 5, value ->> 6, value ->> 7, value ->> 8,
        value ->> '$[1][3]', value ->> 9, value ->> 10,
        CASE WHEN value ->> 7 IN (SELECT op FROM pen_consumers) THEN NULL ELSE value ->> '$[1][2]' END
    FROM json_each($3);
    INSERT INTO deliveries (consumer_id, event_id, line, seq, state, attempts)
    SELECT c.consumer, value ->> 6, value ->> 0, value ->> '$[1][0]', 'pending', 0
    FROM pen_consumers AS c CROSS JOIN json_each($3) WHERE value ->> 7 = c.op;
    INSERT INTO delivery_lines (consumer_id, line, next_ms)
    SELECT c.consumer, value ->> 0, value ->> '$[1][2]'
    FROM pen_consumers AS c CROSS JOIN json_each($3) WHERE value ->> 7 = c.op
    ON CONFLICT (consumer_id, line) DO NOTHING;
    SELECT EXISTS (
        SELECT 1 FROM pen_consumers AS c CROSS JOIN json_each($3) WHERE value ->> 7 = c.op)";

impl Turns {
    async fn read(
        connection: &mut SqliteConnection,
        topics: BTreeSet<&str>,
    ) -> Result<Self, StoreError> {
        let rows: Vec<PlaceColumns> =
            sqlx::query_as(READ).bind(Json(topics)).fetch_all(connection).await?;
        let mut places = BTreeMap::new();
        for (topic, seq, ticket, fence, since, deadline, active, due, claims) in rows {
            let row = match (fence, ticket_of(&topic), ticket) {
                (None, Some(_), None) => Row::ended(),
                _ => Row::read_any((fence, since, deadline, active, due, claims))?,
            };
            let seq = unsigned(seq.unwrap_or_default())?;
            places.insert(topic, Place { row, seq, is_changed: false });
        }
        Ok(Self { places, log: Vec::new() })
    }

    /// Decides, on what those before have left.
    fn take(
        &mut self,
        (topic, command): (&str, &Command),
        trace: Option<&Trace>,
        (time, policy): (StoreTime, &Policy),
    ) -> Answered {
        let place = self.places.get_mut(topic).expect("every topic that is asked about was read");
        let decision = decide(&place.row.lease, command, time, policy);
        let noted = noted(&place.row.lease, command, &decision.events);
        if let Some(row) = place.row.after(&decision, policy) {
            *place = Place { row, seq: place.seq + decision.events.len() as u64, is_changed: true };
        }
        let answered = answered(decision, time, (place.row.due, place.seq));
        let events = answered.events.iter().cloned().zip(noted);
        self.log.extend(events.map(|(logged, noted)| Entry {
            topic: topic.to_owned(),
            logged,
            noted,
            trace: trace.cloned(),
        }));
        answered
    }

    fn have_changed_nothing(&self) -> bool {
        !self.places.values().any(|place| place.is_changed)
    }

    /// Writes everything; returns whether consumers are owed anything of it.
    async fn write(self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let (mut pens, mut topics) = (Vec::new(), Vec::new());
        for (topic, place) in self.places.iter().filter(|(_, place)| place.is_changed) {
            let Kept { fence, since, deadline, active, due, holder, claims } =
                Kept::new(&place.row);
            let numbers = (fence, since, deadline, active, due);
            pens.push((topic, numbers, holder, text(&claims)?));
            topics.push((topic, signed(place.seq)));
        }
        let mut log = Vec::new();
        for Entry { topic, logged: Logged { seq, event }, noted, trace } in &self.log {
            let Noted { id, op, previous, is_signed_in } = noted;
            let numbers = (signed(*seq), signed(event.fence.0), signed(event.at.0), is_signed_in);
            log.push((
                topic,
                numbers,
                event.kind.as_str(),
                event.rule.as_str(),
                event.by.as_ref().map(|by| by.id.as_str()),
                text(event)?,
                id,
                op,
                previous.as_ref().map(text).transpose()?,
                trace.as_ref().map(|trace| &trace.trace_id),
                trace.as_ref().map(|trace| &trace.traceparent),
            ));
        }
        let write = sqlx::query_scalar(WRITE).bind(Json(pens)).bind(Json(topics)).bind(Json(log));
        Ok(write.fetch_one(connection).await?)
    }
}

/// What a column of JSON keeps.
fn text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)).into())
}
