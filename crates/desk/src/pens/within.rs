//! What else the store of the pens keeps, in transactions of theirs.

use penholder_lease::{Command, Fence, Person, StoreMs, WriteCheck, WriteClaim};
use penholder_ticket::{TicketId, ticket_topic};
use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite};

use super::{Pens, Store, Transaction, check_person};
use crate::answer::Answered;
use crate::consumers::outbox::Known;
use crate::error::StoreError;
use crate::events::{self, Appended, Batch, Trace};
use crate::postgres;
use crate::statement::{Connection, Lite, execute};

/// What came of a look at a pen before a write.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Whether it may be written.
    pub(crate) check: WriteCheck,
    /// The pen's own fence.
    pub(crate) fence: Fence,
    /// When that was.
    pub(crate) at: StoreMs,
}

/// What came of a command that was obeyed in somebody's transaction.
#[derive(Debug)]
pub(crate) struct Obeyed {
    /// As whoever asks is told, and the topic, once it is committed.
    pub(crate) answered: Answered,
    /// Whether consumers are owed anything; none where nothing was written.
    pub(crate) written: Option<Owes>,
}

/// Whether what was written is owed to consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owes {
    /// None wants it.
    Nothing,
    /// They have to be told that there is something.
    Something,
}

/// A connection that only reads.
#[derive(Debug)]
pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Reader {
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(connection) => Connection::Sqlite(Lite::Free(connection)),
            Self::Postgres(connection) => Connection::Postgres(connection),
        }
    }
}

impl Transaction {
    /// Undoes everything before it returns; a transaction that is dropped is undone some time later.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(turn) => turn.rollback().await,
            Self::Postgres(part) => part.rollback().await,
        }
    }

    /// Appends to the log, and keeps all for good.
    pub(crate) async fn keep(
        self,
        batch: Option<Batch>,
        known: &Known,
    ) -> Result<Appended, StoreError> {
        let mut turn = match self {
            Self::Sqlite(turn) => turn,
            Self::Postgres(part) => return part.keep(batch, known).await,
        };
        let mut appended = Appended::default();
        if let Some(batch) = batch {
            let all = events::append(&mut turn.connection(), &[batch], known).await?;
            appended = all.into_iter().next().unwrap_or_default();
        }
        turn.commit().await?;
        Ok(appended)
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(turn) => turn.connection(),
            Self::Postgres(transaction) => Connection::Postgres(transaction),
        }
    }
}

impl Pens {
    /// Begins a transaction that may write.
    pub(crate) async fn transaction(&self) -> Result<Transaction, StoreError> {
        Ok(match self.opened()? {
            Store::Sqlite(store) => Transaction::Sqlite(store.begin().await?),
            Store::Postgres(store) => Transaction::Postgres(store.begin().await?),
        })
    }

    /// Begins one, and reads the clock in it.
    pub(crate) async fn begin(&self) -> Result<(Transaction, StoreMs), StoreError> {
        let mut transaction = self.transaction().await?;
        let at = self.moment(&mut transaction).await?;
        Ok((transaction, at))
    }

    /// Begins one that writes events, and is committed together with others. On SQLite it begins with its first statement.
    pub(crate) async fn join(&self) -> Result<Transaction, StoreError> {
        Ok(match self.opened()? {
            Store::Sqlite(store) => Transaction::Sqlite(store.join()),
            Store::Postgres(store) => Transaction::Postgres(store.join().await?),
        })
    }

    /// Lets a transaction lock several tickets, or counters before it is about to end.
    pub(crate) async fn set_apart(&self, transaction: &mut Transaction) -> Result<(), StoreError> {
        match (self.opened()?, transaction) {
            (Store::Postgres(store), Transaction::Postgres(part)) => store.set_apart(part).await,
            // Nobody else writes at all.
            _ => Ok(()),
        }
    }

    /// Reads the clock in a transaction.
    pub(crate) async fn moment(
        &self,
        transaction: &mut Transaction,
    ) -> Result<StoreMs, StoreError> {
        match (self.opened()?, transaction) {
            (Store::Sqlite(store), Transaction::Sqlite(turn)) => {
                turn.come().await?;
                Ok(store.moment())
            }
            (_, Transaction::Postgres(transaction)) => postgres::moment(transaction).await,
            (Store::Postgres(_), Transaction::Sqlite(_)) => another_store(),
        }
    }

    /// Returns what is known of who the consumers are.
    pub(crate) fn known(&self) -> Result<&Known, StoreError> {
        Ok(match self.opened()? {
            Store::Sqlite(store) => &store.known,
            Store::Postgres(store) => &store.known,
        })
    }

    /// Returns a connection to read by.
    pub(crate) async fn reader(&self) -> Result<Reader, StoreError> {
        Ok(match self.opened()? {
            Store::Sqlite(store) => Reader::Sqlite(store.reader().await?),
            Store::Postgres(store) => Reader::Postgres(store.reader().await?),
        })
    }

    /// Reads the clock of this process, where it is that of the store.
    pub(crate) fn own_clock(&self) -> Result<Option<StoreMs>, StoreError> {
        Ok(match self.opened()? {
            Store::Sqlite(store) => Some(store.moment()),
            Store::Postgres(_) => None,
        })
    }

    /// Reads the clock.
    pub(crate) async fn now(&self, reader: &mut Reader) -> Result<StoreMs, StoreError> {
        match (self.opened()?, reader) {
            (Store::Sqlite(store), _) => Ok(store.moment()),
            (_, Reader::Postgres(connection)) => postgres::moment(connection).await,
            (Store::Postgres(_), Reader::Sqlite(_)) => another_store(),
        }
    }

    /// Judges a write under a fence in a transaction that has begun.
    pub(crate) async fn judge(
        &self,
        transaction: &mut Transaction,
        topic: &str,
        claim: WriteClaim<'_>,
    ) -> Result<Judged, StoreError> {
        let (row, time) = match (self.opened()?, transaction) {
            (Store::Sqlite(store), Transaction::Sqlite(turn)) => store.locked(turn, topic).await?,
            (_, Transaction::Postgres(transaction)) => {
                postgres::locked(transaction, topic, postgres::Lock::Fence).await?
            }
            (Store::Postgres(_), Transaction::Sqlite(_)) => another_store(),
        };
        let check = row.lease.check_write(claim, time.at, self.policies.of(topic));
        Ok(Judged { check, fence: row.lease.fence, at: time.at })
    }

    /// Locks the pen of a ticket that there is, before its row is: in the order of all who lock both. Where it never had one
    /// it has one now, so that nobody begins it meanwhile.
    pub(crate) async fn lock_pen_of(
        &self,
        transaction: &mut Transaction,
        ticket: TicketId,
    ) -> Result<(), StoreError> {
        match transaction {
            // Nobody else writes at all.
            Transaction::Sqlite(_) => Ok(()),
            Transaction::Postgres(transaction) => {
                let topic = ticket_topic(ticket);
                postgres::locked(transaction, &topic, postgres::Lock::Begin).await.map(drop)
            }
        }
    }

    /// Ends the pen of what is taken away in a transaction in which something was read already, and forgets the drafts
    /// that were left with it: nobody can ask for them any more.
    pub(crate) async fn end(
        &self,
        transaction: &mut Transaction,
        topic: &str,
        by: &Person,
        trace: Option<&Trace>,
    ) -> Result<Obeyed, StoreError> {
        let (command, policy) = (Command::End { by: by.clone() }, self.policies.of(topic));
        let obeyed = match (self.opened()?, &mut *transaction) {
            (Store::Sqlite(store), Transaction::Sqlite(turn)) => {
                store.obey_within(turn, (topic, &command), trace).await?
            }
            (_, Transaction::Postgres(transaction)) => {
                postgres::obey_within(transaction, (topic, &command), policy, trace).await?
            }
            (Store::Postgres(_), Transaction::Sqlite(_)) => another_store(),
        };
        let drafts = "DELETE FROM pen_drafts WHERE topic = $1";
        execute!(&mut transaction.connection(), drafts, topic);
        Ok(obeyed)
    }
}

fn another_store() -> ! {
    unreachable!("a transaction is of the store that began it")
}

/// Refuses a person whom one of the stores cannot keep.
pub(crate) fn check_actor(person: &Person) -> Result<(), StoreError> {
    check_person(person)
}
