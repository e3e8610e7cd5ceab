//! The writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use penholder_desk::{GuardedWrite, Pens, Renewal, StoreError, Transaction};
use penholder_evidence::{Draw, Logged, Written, judge};
use penholder_lease::{Fence, IfHeld, Outcome, Person, Terms, WriteCheck, WriteClaim};
use tokio::time::{Instant, sleep};

use crate::duration;
use crate::harness::{Place, claimant, policies};

const WRITERS: u64 = 16;
const TOPICS: [&str; 3] = ["short:stress:1", "short:stress:2", "short:stress:3"];

/// Twice the time to live of a `short` topic.
const STOP: Duration = Duration::from_millis(600);

/// How much longer they go on where a busy machine has let them try too little.
const PATIENCE: Duration = Duration::from_secs(60);

/// How writers stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stops {
    /// Also between a write and its commit, with the lock of the row.
    pub(crate) in_transaction: bool,
    /// How long after a deadline whoever waits may have to wait, in milliseconds.
    pub(crate) grant_late_ms_max: u64,
}

/// What has been tried.
#[derive(Debug, Default)]
struct Tally {
    granted: AtomicU64,
    accepted: AtomicU64,
    stale: AtomicU64,
    unavailable: AtomicU64,
}

impl Tally {
    /// Whether it shows nothing yet.
    fn is_little(&self) -> bool {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        count(&self.granted) <= 10 || count(&self.accepted) <= 10 || count(&self.stale) == 0
    }
}

pub(crate) async fn run(place: &Place, stops: Stops) -> Result<()> {
    let pens = place.open(policies()).await?;
    create_tables(&pens).await?;
    let tally = Arc::new(Tally::default());
    let over = Arc::new(AtomicBool::new(false));
    let clock = tokio::spawn(tick(pens.clone(), over.clone()));
    let end = Instant::now() + duration();
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let writer = Writer {
                pens: pens.clone(),
                name: format!("p{n}/1"),
                draw: Draw(n),
                stops,
                tally: tally.clone(),
            };
            tokio::spawn(writer.write_until(end))
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    over.store(true, Ordering::Relaxed);
    clock.await??;

    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (accepted, stale) = (count(&tally.accepted), count(&tally.stale));
    let mut grants = 0;
    for topic in TOPICS {
        let log = pens.log(topic, 0, u32::MAX).await?.into_iter();
        let log: Vec<_> = log.map(|it| Logged { seq: it.seq, event: it.event }).collect();
        let written = written(&pens, topic).await?;
        grants += judge(&log, &written, stops.grant_late_ms_max)
            .with_context(|| format!("on {topic}"))?
            .len();
    }
    let unavailable = count(&tally.unavailable);
    eprintln!("{grants} grants, {accepted} writes, {stale} refused, {unavailable} unavailable");
    ensure!(!tally.is_little(), "too little was tried");
    Ok(())
}

/// What a gateway does: ticks what is due.
async fn tick(pens: Pens, over: Arc<AtomicBool>) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        for topic in pens.due(100).await?.topics {
            // A writer that has stopped inside a transaction is in the way: later.
            let _ = tolerated(pens.tick(&topic).await)?;
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Takes an answer, or nothing where the store was unavailable.
fn tolerated<T>(result: Result<T, StoreError>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Unavailable(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

struct Writer {
    pens: Pens,
    name: String,
    draw: Draw,
    stops: Stops,
    tally: Arc<Tally>,
}

impl Writer {
    async fn write_until(mut self, end: Instant) -> Result<()> {
        let mut round = 0;
        while Instant::now() < end || (self.tally.is_little() && Instant::now() < end + PATIENCE) {
            round += 1;
            let topic = TOPICS[usize::try_from(self.draw.below(TOPICS.len() as u64))?];
            let if_held = if self.draw.below(2) == 0 { IfHeld::Wait } else { IfHeld::Return };
            let request_id = Some(format!("r{round}").into());
            let terms = Terms { request_id, if_held, ..Terms::default() };
            if let Some(fence) = self.acquire(topic, &terms).await? {
                self.count(|tally| &tally.granted);
                self.work(topic, fence).await?;
            }
            let pause = self.draw.below(30);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    /// Acquires, now and then twice under one name, and looks whether a place in the queue has come up.
    async fn acquire(&mut self, topic: &str, terms: &Terms) -> Result<Option<Fence>> {
        let mut known = None;
        for _ in 0..=self.draw.below(4) {
            let acquired = self.pens.acquire(topic, claimant(&self.name), terms.clone()).await;
            match tolerated(acquired)?.map(|answered| answered.outcome) {
                Some(Ok(Outcome::Granted { fence, .. })) => {
                    let first = *known.get_or_insert(fence);
                    ensure!(first == fence, "one request was granted {first} and {fence}");
                }
                Some(Ok(Outcome::Held { .. } | Outcome::Lapsed)) => {}
                None => self.count(|tally| &tally.unavailable),
                Some(other) => bail!("{other:?}"),
            }
            let pause = self.draw.below(40);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(known)
    }

    /// Writes under a fence for as long as that works, and ends in one way or another.
    async fn work(&mut self, topic: &str, fence: Fence) -> Result<()> {
        for _ in 0..self.draw.below(8) {
            match self.draw.below(10) {
                // Stopped, and back with what it believes to hold.
                0 => sleep(STOP).await,
                1..=2 => {
                    let (topic, session) = (topic.to_owned(), self.name.as_str().into());
                    let renewal = Renewal { topic, session, fence, input_ms_ago: 0, trace: None };
                    let _ = tolerated(self.pens.renew(&[renewal]).await)?;
                }
                _ => {
                    let written = self.write(topic, fence).await;
                    match written {
                        Ok(true) => self.count(|tally| &tally.accepted),
                        Ok(false) => {
                            self.count(|tally| &tally.stale);
                            return Ok(());
                        }
                        Err(StoreError::Unavailable(_)) => self.count(|tally| &tally.unavailable),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        let session = self.name.as_str().into();
        match self.draw.below(4) {
            0..=1 => drop(tolerated(self.pens.release(topic, session, fence).await)?),
            2 => drop(tolerated(self.pens.disconnect(topic, session).await)?),
            // Gone without a word.
            _ => {}
        }
        Ok(())
    }

    /// Writes once; returns whether the fence was current.
    async fn write(&mut self, topic: &str, fence: Fence) -> Result<bool, StoreError> {
        let Person { id, .. } = claimant(&self.name).person;
        let claim = WriteClaim { by: &id, fence: Some(fence) };
        let GuardedWrite { check, at, transaction } = self.pens.begin_write(topic, claim).await?;
        if check != WriteCheck::Accepted {
            return Ok(false);
        }
        let numbers = [fence.0, at.0].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let transaction = insert(transaction, topic, numbers).await?;
        if self.stops.in_transaction && self.draw.below(20) == 0 {
            sleep(STOP).await;
        }
        transaction.commit().await?;
        Ok(true)
    }

    fn count(&self, of: fn(&Tally) -> &AtomicU64) {
        of(&self.tally).fetch_add(1, Ordering::Relaxed);
    }
}

const COUNT: &str = "INSERT INTO counts (topic, n) VALUES ($1, 1)
    ON CONFLICT (topic) DO UPDATE SET n = counts.n + 1 RETURNING n";
const INSERT: &str = "INSERT INTO writes (topic, n, fence, at_ms) VALUES ($1, $2, $3, $4)";
const SELECT: &str = "SELECT n, fence, at_ms FROM writes WHERE topic = $1 ORDER BY n";
const CREATE: &str = "CREATE TABLE counts (topic text PRIMARY KEY, n bigint NOT NULL);
    CREATE TABLE writes (topic text, n bigint, fence bigint NOT NULL, at_ms bigint NOT NULL)";

/// Evaluates to an expression on the transaction of either store.
macro_rules! either {
    ($transaction:expr, $connection:ident => $body:expr) => {
        match $transaction {
            Transaction::Sqlite(inner) => {
                let $connection = inner;
                $body
            }
            Transaction::Postgres(inner) => {
                let $connection = inner;
                $body
            }
        }
    };
}

async fn begin(pens: &Pens) -> Result<Transaction> {
    let nobody = claimant("nobody/1").person.id;
    let claim = WriteClaim { by: &nobody, fence: None };
    Ok(pens.begin_write("doc:none", claim).await?.transaction)
}

async fn create_tables(pens: &Pens) -> Result<()> {
    let mut transaction = begin(pens).await?;
    either!(&mut transaction, connection => {
        sqlx::raw_sql(CREATE).execute(&mut **connection).await?;
    });
    Ok(transaction.commit().await?)
}

async fn insert(
    mut transaction: Transaction,
    topic: &str,
    [fence, at]: [i64; 2],
) -> Result<Transaction, StoreError> {
    either!(&mut transaction, connection => {
        let n: i64 = sqlx::query_scalar(COUNT).bind(topic).fetch_one(&mut **connection).await?;
        let insert = sqlx::query(INSERT).bind(topic).bind(n).bind(fence).bind(at);
        insert.execute(&mut **connection).await?;
    });
    Ok(transaction)
}

async fn written(pens: &Pens, topic: &str) -> Result<Vec<Written>> {
    let mut transaction = begin(pens).await?;
    let rows: Vec<(i64, i64, i64)> = either!(&mut transaction, connection => {
        sqlx::query_as(SELECT).bind(topic).fetch_all(&mut **connection).await?
    });
    Ok(rows.into_iter().map(|(n, fence, at)| Written { n, fence, at_ms: Some(at) }).collect())
}
