//! The pens of all topics.

pub(crate) mod noted;
mod within;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use penholder_lease::{
    Answer, Claimant, Command, DraftReaders, Fence, Person, PersonId, Policies, Policy, SessionId,
    StoreMs, Terms, Timeline, WriteCheck, WriteClaim,
};
use tokio::sync::Notify;

use crate::answer::{Answered, Draft, Due, Logged, Reading};
use crate::error::StoreError;
use crate::events::Trace;
use crate::postgres::{Part, PostgresStore};
use crate::renewal::Renewal;
use crate::sqlite::{SqliteStore, Turn};

pub(crate) use self::within::{Judged, Obeyed, Owes, check_actor};

/// The longest draft that is kept, in bytes.
pub const DRAFT_BYTES_MAX: usize = 64 * 1024;

/// Where pens are kept.
#[derive(Debug, Clone)]
pub enum Storage {
    /// In a file of this machine, for one process.
    Sqlite {
        /// The file; it is made where it is not there.
        path: PathBuf,
        /// What raises the fences above those of a file that was lost, when an older copy of it is put
        /// back: larger after that than ever before. Zero where that cannot happen.
        timeline: Timeline,
    },
    /// In a database that several processes share.
    Postgres {
        /// `postgres://user:password@host:port/database`.
        url: String,
        /// Most connections, 1 or more.
        connections: u32,
    },
}

/// The pens of all topics, as the store keeps them and [`penholder_lease`] decides.
///
/// A value is cheap to clone, and every clone is the same pens. Each method that changes something
/// answers when the change is kept for good; the [events](Answered::events) of an answer are then owed to
/// the topic. An error grants nothing.
#[derive(Debug, Clone)]
pub struct Pens {
    store: Arc<OnceLock<Store>>,
    policies: Arc<Policies>,
    /// Rung when consumers are owed something.
    news: Arc<Notify>,
}

#[derive(Debug, Clone)]
enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// Passes a call on to the store that there is.
macro_rules! store {
    ($self:ident.$method:ident($($argument:expr),* $(,)?)) => {
        match $self.opened()? {
            Store::Sqlite(store) => store.$method($($argument),*).await,
            Store::Postgres(store) => store.$method($($argument),*).await,
        }
    };
}

impl Pens {
    /// Opens the store and brings its tables to this version.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or opened, or its tables are of a later version.
    pub async fn open(storage: &Storage, policies: Policies) -> Result<Self, StoreError> {
        let pens = Self::unopened(policies);
        pens.connect(storage).await?;
        Ok(pens)
    }

    /// Returns the pens of a store that is yet to be [connected](Self::connect) to. Until then nothing can be
    /// had of them but [`NotOpen`](StoreError::NotOpen).
    #[must_use]
    pub fn unopened(policies: Policies) -> Self {
        Self { store: Arc::default(), policies: Arc::new(policies), news: Arc::default() }
    }

    /// Opens the store and brings its tables to this version. Once it has succeeded, for all clones, it is
    /// not asked again.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); it may be tried again.
    pub async fn connect(&self, storage: &Storage) -> Result<(), StoreError> {
        let news = Arc::clone(&self.news);
        let store = match storage {
            Storage::Sqlite { path, timeline } => {
                let policies = Arc::clone(&self.policies);
                Store::Sqlite(SqliteStore::open(path, *timeline, policies, news).await?)
            }
            Storage::Postgres { url, connections } => {
                Store::Postgres(PostgresStore::open(url, *connections, news).await?)
            }
        };
        // Of two that open it at once one is enough.
        self.store.set(store).ok();
        Ok(())
    }

    pub(crate) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    fn opened(&self) -> Result<&Store, StoreError> {
        self.store.get().ok_or(StoreError::NotOpen)
    }

    /// Ends all connections to the store, when what is under way has ended.
    pub async fn close(&self) {
        match self.store.get() {
            Some(Store::Sqlite(store)) => store.close().await,
            Some(Store::Postgres(store)) => store.close().await,
            None => {}
        }
    }

    /// Returns the policy of a topic.
    #[must_use]
    pub fn policy(&self, topic: &str) -> &Policy {
        self.policies.of(topic)
    }

    /// Does what a command says; every method below that changes one pen is this one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. With [`Unavailable`](StoreError::Unavailable) it may have been done.
    pub async fn obey(&self, topic: &str, command: &Command) -> Result<Answered, StoreError> {
        self.obey_traced(topic, command, None).await
    }

    /// Does what a command says; its events belong to the trace, if there is one.
    ///
    /// # Errors
    ///
    /// As [`obey`](Self::obey).
    pub async fn obey_traced(
        &self,
        topic: &str,
        command: &Command,
        trace: Option<&Trace>,
    ) -> Result<Answered, StoreError> {
        check_texts(topic, command)?;
        store!(self.obey(topic, command, self.policies.of(topic), trace))
    }

    /// Asks for the pen.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey). Repeat it with the same request id: it never begins a second tenure.
    pub async fn acquire(
        &self,
        topic: &str,
        claimant: Claimant,
        terms: Terms,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Acquire { claimant, terms }).await
    }

    /// Gives the pen back.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn release(
        &self,
        topic: &str,
        session: SessionId,
        fence: Fence,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Release { session, fence }).await
    }

    /// Keeps the pens of many holders. The answers are in the order of the renewals; one that is too late
    /// is refused, and the others are not the worse for it.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey); some may have been renewed.
    pub async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Answered>, StoreError> {
        for renewal in renewals {
            check_texts(&renewal.topic, &renewal.command())?;
        }
        if renewals.is_empty() {
            return Ok(Vec::new());
        }
        store!(self.renew(renewals, &self.policies))
    }

    /// Asks the holder to give way.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn request(
        &self,
        topic: &str,
        claimant: Claimant,
        reason: Option<String>,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Request { claimant, reason }).await
    }

    /// Answers whoever has asked.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn answer(
        &self,
        topic: &str,
        (session, fence): (SessionId, Fence),
        answer: Answer,
        reason: Option<String>,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Answer { session, fence, answer, reason }).await
    }

    /// Takes the pen over, once its holder has had time to save.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn take_over(
        &self,
        topic: &str,
        claimant: Claimant,
        reason: Option<String>,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::TakeOver { claimant, reason }).await
    }

    /// Takes the pen away; the caller has seen to it that `by` may.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn revoke(
        &self,
        topic: &str,
        by: Person,
        reason: Option<String>,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Revoke { by, reason }).await
    }

    /// Tells that a session's connection was lost.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey). Untold, the pen ends at its deadline.
    pub async fn disconnect(
        &self,
        topic: &str,
        session: SessionId,
    ) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Disconnect { session }).await
    }

    /// Tells that a session has ended with a goodbye.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey). Untold, the pen ends at its deadline.
    pub async fn leave(&self, topic: &str, session: SessionId) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Leave { session }).await
    }

    /// Tells that a session which was lost is back.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn resume(&self, topic: &str, session: SessionId) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Resume { session }).await
    }

    /// Does what time has made due on a topic; harmless at any time, and from several processes at once.
    ///
    /// # Errors
    ///
    /// See [`obey`](Self::obey).
    pub async fn tick(&self, topic: &str) -> Result<Answered, StoreError> {
        self.obey(topic, &Command::Tick).await
    }

    /// Returns up to `limit` topics that want a [`tick`](Self::tick) now, and when to ask again. Those too whose
    /// deadline lies further ahead than any may: the clock was set back, and the tick brings them back.
    ///
    /// Cost: in proportion to what is returned.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn due(&self, limit: u32) -> Result<Due, StoreError> {
        store!(self.due(limit, self.policies.ttl_ms_max()))
    }

    /// Reads a pen as it is now. Changes nothing.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn pen(&self, topic: &str) -> Result<Reading, StoreError> {
        check_text(topic)?;
        store!(self.pen(topic))
    }

    /// Reads up to `limit` pens of which somebody is the holder, in the order of topics. One whose deadline
    /// has passed may be among them, and is free.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn held_by(&self, person: &PersonId, limit: u32) -> Result<Vec<Reading>, StoreError> {
        check_text(person.as_str())?;
        store!(self.held_by(person.as_str(), limit))
    }

    /// Reads up to `limit` events of a pen with numbers larger than `after`, in order.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn log(
        &self,
        topic: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        check_text(topic)?;
        store!(self.log(topic, after, limit))
    }

    /// Leaves a draft in escrow, in the place of an earlier one of the same person; returns when.
    ///
    /// # Errors
    ///
    /// It is longer than [`DRAFT_BYTES_MAX`], or see [`obey`](Self::obey).
    pub async fn leave_draft(
        &self,
        topic: &str,
        left_by: &Person,
        draft: &[u8],
    ) -> Result<StoreMs, StoreError> {
        check_text(topic)?;
        check_person(left_by)?;
        if draft.len() > DRAFT_BYTES_MAX {
            return Err(StoreError::DraftTooLong);
        }
        store!(self.leave_draft(topic, left_by, draft, self.policies.of(topic).draft_keep_ms))
    }

    /// Reads the draft that somebody may have: their own, or else, if they hold the pen and the policy
    /// lets them, the newest of another.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn draft(&self, topic: &str, reader: &PersonId) -> Result<Option<Draft>, StoreError> {
        check_text(topic)?;
        check_text(reader.as_str())?;
        let readers = self.policies.of(topic).draft_readers;
        let next_holder = readers == DraftReaders::AuthorAndNextHolder;
        store!(self.draft(topic, reader.as_str(), next_holder))
    }

    /// Begins a write under a fence: judges it, in the transaction in which it is to be written if it may be.
    /// Until that ends, no decision on the topic is made, so the judgement stays true.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Nothing has been written.
    pub async fn begin_write(
        &self,
        topic: &str,
        claim: WriteClaim<'_>,
    ) -> Result<GuardedWrite, StoreError> {
        check_text(topic)?;
        let mut transaction = self.transaction().await?;
        let Judged { check, at, .. } = self.judge(&mut transaction, topic, claim).await?;
        Ok(GuardedWrite { check, at, transaction })
    }
}

/// A write that has been judged.
#[derive(Debug)]
pub struct GuardedWrite {
    /// Whether it may be written.
    pub check: WriteCheck,
    /// When it was judged, by the store's clock.
    pub at: StoreMs,
    /// Where to write it.
    pub transaction: Transaction,
}

/// A transaction of either store. Dropped, it undoes what was written in it.
#[derive(Debug)]
pub enum Transaction {
    /// Nobody else writes until it ends.
    Sqlite(Turn),
    /// Broken off by the server when it is idle for a second.
    Postgres(Part),
}

impl Transaction {
    /// Keeps what was written in it for good.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. With [`Unavailable`](StoreError::Unavailable) it may have been kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(turn) => turn.commit().await,
            Self::Postgres(part) => part.commit().await,
        }
    }
}

fn check_text(text: &str) -> Result<(), StoreError> {
    if text.contains('\0') { Err(StoreError::Unstorable) } else { Ok(()) }
}

fn check_person(person: &Person) -> Result<(), StoreError> {
    check_text(person.id.as_str())?;
    check_text(&person.name)
}

fn check_claimant(claimant: &Claimant) -> Result<(), StoreError> {
    check_text(claimant.session.as_str())?;
    check_person(&claimant.person)
}

/// Refuses on either store what one of them cannot keep.
fn check_texts(topic: &str, command: &Command) -> Result<(), StoreError> {
    check_text(topic)?;
    let said = match command {
        Command::Acquire { claimant, terms } => {
            check_claimant(claimant)?;
            check_text(terms.request_id.as_ref().map_or("", |id| id.as_str()))?;
            &terms.reason
        }
        Command::Request { claimant, reason } | Command::TakeOver { claimant, reason } => {
            check_claimant(claimant)?;
            reason
        }
        Command::Answer { session, answer, reason, .. } => {
            check_text(session.as_str())?;
            if let Answer::HandOver(penholder_lease::Recipient::Anybody(claimant)) = answer {
                check_claimant(claimant)?;
            }
            reason
        }
        Command::End { by } => return check_person(by),
        Command::Revoke { by, reason } => {
            check_person(by)?;
            reason
        }
        Command::Renew { session, .. }
        | Command::Release { session, .. }
        | Command::Disconnect { session }
        | Command::Leave { session }
        | Command::Resume { session } => return check_text(session.as_str()),
        Command::Tick => return Ok(()),
    };
    check_text(said.as_deref().unwrap_or_default())
}
