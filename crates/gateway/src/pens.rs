//! The pens at work: every command goes to the store, in order per topic, and what comes of it to the
//! topic's shard, which tells everybody and answers whoever asked.
//!
//! A shard never waits for the store: it leaves a question in the lane of its topic and goes on. While the
//! store is away, commands are answered `unavailable`, nobody is granted anything, and presence goes on.

pub(crate) mod asked;
mod deadlines;
mod lanes;
mod opening;
mod receipts;
mod renewals;
mod reply;
mod timeline;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use penholder_desk::{Answered, Draft, Logged, Pens, Renewal, Storage, StoreError, Tickets, Trace};
use penholder_hub::{
    Input, News, PenAsk, PenAsker, PenReply, PenTask, Position, Reading, Source, Stretch, brief,
};
use penholder_lease::{Command, Person, PersonId, Policies};
use penholder_protocol::{ErrorCode, ErrorReply, Json, PenDraftReply, TopicName};
use penholder_ticket::Rules;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::deadlines::Alarm;
use self::lanes::{Job, Lanes};
use self::opening::Opening;
use self::renewals::Renewing;
use crate::app::StartError;
use crate::config::Config;
use crate::data_dir::DataDirectory;
use crate::log::{EVENTS_MAX, Log, pen_news};
use crate::shard::Shards;
use crate::telemetry::metrics;

pub(crate) use self::receipts::Jwk;
pub use self::receipts::{ReceiptError, ReceiptKeys};
pub(crate) use self::reply::{Said, wire};

/// Connections to a database.
const CONNECTIONS: u32 = 8;

/// When to try again after the store was away. Unit: milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// The pens of all topics. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PenDesk(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    store: Pens,
    tickets: Tickets,
    log: Log,
    receipts: ReceiptKeys,
    lanes: Lanes,
    renewing: Renewing,
    alarm: Alarm,
    opening: Opening,
    shards: OnceLock<Shards>,
    tasks: TaskTracker,
    ending: CancellationToken,
}

/// What came of a command, or why not.
pub(crate) type Told = Result<Said, ErrorReply>;

/// Who waits for what comes of a command.
#[derive(Debug)]
enum Asker {
    Nobody,
    Member(PenAsker),
    Caller(oneshot::Sender<Told>),
}

impl PenDesk {
    /// Opens the store. Nothing happens before [`Self::start`].
    pub(crate) async fn open(
        config: &Config,
        data: &DataDirectory,
        receipts: ReceiptKeys,
    ) -> Result<Self, StartError> {
        let policies: Policies = config.pen_policies();
        let url = config.storage.url.expose();
        let storage = if url.is_empty() {
            let path = data.path().join("pens.sqlite");
            let timeline = timeline::begin(data, &path)?;
            Storage::Sqlite { path, timeline }
        } else {
            Storage::Postgres { url: url.to_owned(), connections: CONNECTIONS }
        };
        let store = Pens::unopened(policies);
        let tickets = Tickets::new(&store, Rules { allow_reopen: config.tickets.allow_reopen });
        let opened = store.connect(&storage).await;
        let alarm = Alarm::new(&storage);
        let opening = Opening::begin(storage, opened)?;
        let (renewing, renewals) = mpsc::channel(renewals::WAITING_MAX);
        let desk = Self(Arc::new(Parts {
            store: store.clone(),
            log: Log::new(&tickets),
            tickets,
            receipts,
            lanes: Lanes::default(),
            renewing: Renewing::new(renewing),
            alarm,
            opening,
            shards: OnceLock::new(),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        }));
        tokio::spawn(renewals::run(store, renewals));
        Ok(desk)
    }

    /// Begins to serve deadlines; from now on `shards` hear what happens.
    pub(crate) fn start(&self, shards: &Shards) {
        // Set once, by whoever has started both.
        self.0.shards.set(shards.clone()).ok();
        self.0.tasks.spawn(opening::run(self.clone()));
        self.0.tasks.spawn(deadlines::run(self.clone()));
    }

    /// Ends when what is under way has been written, and closes the store.
    pub(crate) async fn close(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.store.close().await;
    }

    /// The tickets, which are kept in the same place.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }

    /// What was told of them all.
    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    /// The keys of the receipts.
    pub(crate) fn receipts(&self) -> &ReceiptKeys {
        &self.0.receipts
    }

    /// Takes a question of a shard, without waiting.
    ///
    /// # Errors
    ///
    /// Too many wait already; the question is returned. One that nobody waits for is always taken.
    pub(crate) fn take(&self, ask: PenAsk) -> Result<(), Box<PenAsk>> {
        let PenAsk { topic, task, asker } = ask;
        let is_awaited = asker.is_some();
        if is_awaited && self.0.lanes.is_full(&topic) {
            return Err(Box::new(PenAsk { topic, task, asker }));
        }
        let asker = asker.map_or(Asker::Nobody, Asker::Member);
        self.enter(Job { topic, task, trace: None, asker });
        Ok(())
    }

    /// Obeys a command of a caller over HTTP.
    pub(crate) async fn call(&self, topic: &TopicName, task: PenTask, trace: Trace) -> Told {
        if self.0.lanes.is_full(topic) {
            return Err(away());
        }
        let (answer, told) = oneshot::channel();
        let (topic, asker) = (topic.clone(), Asker::Caller(answer));
        self.enter(Job { topic, task, trace: Some(trace), asker });
        told.await.unwrap_or_else(|_| Err(away()))
    }

    fn enter(&self, job: Job) {
        let topic = job.topic.clone();
        if self.0.lanes.push(job) {
            let desk = self.clone();
            self.0.tasks.spawn(async move {
                let serve = |job| desk.serve(job);
                desk.0.lanes.work(&topic, serve, |asker| desk.broken(&topic, asker)).await;
            });
        }
    }

    async fn serve(&self, job: Job) {
        let Job { topic, task, trace, asker } = job;
        match task {
            PenTask::Obey(command) => {
                let started = Instant::now();
                let trace = trace.as_ref();
                let answered = self.0.store.obey_traced(topic.as_str(), &command, trace).await;
                let answered = answered.inspect_err(log_away).map_err(|error| refused(&error));
                metrics::pen_store(started.elapsed());
                self.conclude(&topic, (&command, answered), asker).await;
            }
            PenTask::Renew { session, fence, input_ms_ago } => {
                let (name, holder) = (topic.as_str().to_owned(), session.clone());
                let renewal = Renewal { topic: name, session: holder, fence, input_ms_ago, trace };
                let answered = self.0.renewing.renew(renewal).await;
                let command = Command::Renew { session, fence, input_ms_ago };
                self.conclude(&topic, (&command, answered), asker).await;
            }
            PenTask::Draft { person, draft } => {
                let told = self.draft(&topic, &person, draft).await;
                self.tell(&topic, Vec::new(), (told, asker)).await;
            }
            PenTask::Read => match self.0.log.reading(&topic).await {
                Ok(reading) => {
                    self.input(&topic, Input::Read { topic: topic.clone(), reading }).await;
                }
                Err(error) => log_away(&error),
            },
            PenTask::Follow(after) => self.follow(&topic, after).await,
        }
    }

    /// Tells a shard all that the log has after a number. One that hears nothing asks again.
    async fn follow(&self, topic: &TopicName, mut after: u64) {
        loop {
            let Stretch { after: from, news } =
                match self.0.log.stretch(topic, after, EVENTS_MAX).await {
                    Ok(stretch) => stretch,
                    Err(error) => return log_away(&error),
                };
            let is_last = news.len() < EVENTS_MAX as usize;
            after = news.last().map_or(from.seq, News::seq);
            let (topic_name, source) = (topic.clone(), Source::Log(from));
            let input = Input::News { topic: topic_name, source, news, reply: None };
            self.input(topic, input).await;
            if is_last {
                return;
            }
        }
    }

    /// Answers whoever has asked what broke an invariant: nobody knows what came of it.
    async fn broken(&self, topic: &TopicName, asker: Option<PenAsker>) {
        metrics::pen_store_failed();
        tracing::error!("a command to a pen has panicked");
        if let Some(asker) = asker {
            self.tell(topic, Vec::new(), (Err(away()), Asker::Member(asker))).await;
        }
    }

    /// Tells what came of a command.
    async fn conclude(
        &self,
        topic: &TopicName,
        (command, answered): (&Command, Result<Answered, ErrorReply>),
        asker: Asker,
    ) {
        let answered = match answered {
            Ok(answered) => answered,
            Err(refused) => return self.tell(topic, Vec::new(), (Err(refused), asker)).await,
        };
        metrics::pen_command(command, &answered.outcome);
        if let Some(last) = answered.events.last() {
            let at = Position { seq: last.seq, staff_only: 0 };
            self.0.log.put(topic, || Reading { at, pen: last.event.pen.clone() });
        }
        if let Some(due) = answered.due {
            self.0.alarm.within(Duration::from_millis(due.0.saturating_sub(answered.at.0)));
        }
        let told = match asker {
            Asker::Nobody => Ok(Said::Done(Json::empty_object())),
            Asker::Member(_) | Asker::Caller(_) => {
                reply::of((topic, command), &answered, &self.0.receipts)
            }
        };
        self.tell(topic, answered.events, (told, asker)).await;
    }

    async fn tell(&self, topic: &TopicName, events: Vec<Logged>, (told, asker): (Told, Asker)) {
        events.iter().for_each(|logged| metrics::pen_event(logged.event.kind, logged.event.rule));
        let news: Vec<News> = events.into_iter().map(pen_news).collect();
        let (reply, caller) = match asker {
            Asker::Nobody => (None, None),
            Asker::Member(asker) => {
                let result = told.clone().map(Said::into_json);
                (Some(PenReply { asker, result }), None)
            }
            Asker::Caller(caller) => (None, Some(caller)),
        };
        if !news.is_empty() || reply.is_some() {
            let source = Source::Store;
            self.input(topic, Input::News { topic: topic.clone(), source, news, reply }).await;
        }
        if let Some(caller) = caller {
            // Whoever asked may have gone away.
            caller.send(told).ok();
        }
    }

    async fn input(&self, topic: &TopicName, input: Input) {
        if let Some(shards) = self.0.shards.get() {
            // A shard that has stopped has nobody to tell.
            shards.tell(topic, input).await.ok();
        }
    }

    async fn draft(&self, topic: &TopicName, person: &Person, draft: Option<String>) -> Told {
        let reply = match draft {
            Some(text) => {
                let left = self.0.store.leave_draft(topic.as_str(), person, text.as_bytes()).await;
                let at = left.map_err(|error| refused(&error))?;
                PenDraftReply { draft: Some(text), left_by: Some(brief(person)), at: Some(at.0) }
            }
            None => {
                let kept = self.0.store.draft(topic.as_str(), &person.id).await;
                match kept.map_err(|error| refused(&error))? {
                    Some(Draft { draft, left_by, at }) => PenDraftReply {
                        draft: Some(String::from_utf8_lossy(&draft).into_owned()),
                        left_by: Some(brief(&left_by)),
                        at: Some(at.0),
                    },
                    None => PenDraftReply { draft: None, left_by: None, at: None },
                }
            }
        };
        Ok(Said::Done(Json::of(&reply)))
    }

    /// Reads events of a pen with numbers above `after`, in order.
    pub(crate) async fn events(
        &self,
        topic: &TopicName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        self.0.store.log(topic.as_str(), after, limit).await
    }

    /// Reads the pens that somebody holds, in order of topics.
    pub(crate) async fn held_by(
        &self,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<penholder_desk::Reading>, StoreError> {
        let mut held = self.0.store.held_by(person, limit).await?;
        held.retain(|reading| reading.pen.holder.as_ref().is_some_and(|it| it.id == *person));
        Ok(held)
    }

    /// Why there are no pens to be had; none when there are.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.opening.trouble()
    }

    /// How many commands wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lanes.len()
    }
}

/// What is answered while the store is away.
pub(crate) fn away() -> ErrorReply {
    ErrorReply::new(ErrorCode::Unavailable).retry_after_ms(RETRY_AFTER_MS)
}

/// The answer for what the store would not do.
pub(crate) fn refused(error: &StoreError) -> ErrorReply {
    let invalid = |message| ErrorReply::new(ErrorCode::InvalidPayload).message(message);
    match error {
        StoreError::Unavailable(_)
        | StoreError::Damaged(_)
        | StoreError::Schema(_)
        | StoreError::Address(_)
        | StoreError::NotOpen => away(),
        StoreError::Unstorable => invalid("no text has the character U+0000"),
        StoreError::DraftTooLong => invalid("the draft is too long"),
    }
}

pub(crate) fn log_away(error: &StoreError) {
    match error {
        StoreError::Unstorable | StoreError::DraftTooLong => {}
        // Whoever tries to open it says why not.
        StoreError::NotOpen => metrics::pen_store_failed(),
        StoreError::Unavailable(_)
        | StoreError::Damaged(_)
        | StoreError::Schema(_)
        | StoreError::Address(_) => {
            metrics::pen_store_failed();
            tracing::warn!(error = error as &dyn std::error::Error, "store of pens");
        }
    }
}
