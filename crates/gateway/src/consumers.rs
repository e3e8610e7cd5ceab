//! Consumers at work: what they are owed is claimed, delivered, and settled.
//!
//! One task (`worker.rs`) asks the store what is due and gives it to attempts, each a task of its own, up to
//! `consumers.in_flight` of one consumer. The store's rows are all the state there is: a process that dies leaves
//! what it has claimed to the next, so everything that was committed arrives, and some of it twice with the same id.
//! No attempt holds a connection to the store; a consumer that hangs costs its own places and nothing else.

mod address;
mod backlog;
mod retry;
mod webhook;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use penholder_desk::{ConsumerError, Consumers, EventFilter};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::webhook::Sender;
pub(crate) use self::webhook::{fresh_secret, is_secret, refused_address};
use crate::app::App;
use crate::config::Config;
use crate::tickets::TicketDesk;

/// An event for a consumer within this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedEvent {
    /// Its id, the same each time that it comes.
    pub id: String,
    /// What it is called, `ticket.updated`.
    pub name: String,
    /// The event, a JSON object: the same text that webhooks get.
    pub json: String,
}

/// What a consumer within this program makes of an event.
type Handling = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A consumer within this program.
type Handler = Arc<dyn Fn(Arc<str>, ConsumedEvent, Option<String>) -> Handling + Send + Sync>;

/// All consumers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ConsumerDesk(Arc<Parts>);

struct Parts {
    store: Consumers,
    sender: Sender,
    handlers: Mutex<BTreeMap<String, Handler>>,
    limits: Limits,
    tasks: TaskTracker,
    ending: CancellationToken,
}

/// What bounds the work.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Attempts of one consumer at a time.
    in_flight: usize,
    /// How long an attempt may take.
    timeout: Duration,
    /// For how long a delivery is tried.
    retry_for: Duration,
    /// The longest time without a look at the store.
    sleep_max: Duration,
}

/// The longest sleep where others write to the store too: their events are not heard of.
const SHARED_SLEEP_MAX: Duration = Duration::from_millis(500);

/// The longest sleep where nobody else does.
const OWN_SLEEP_MAX: Duration = Duration::from_secs(5);

impl fmt::Debug for ConsumerDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerDesk").finish_non_exhaustive()
    }
}

impl ConsumerDesk {
    /// Consumers of the events of these tickets. Nothing is delivered before [`Self::start`].
    ///
    /// # Errors
    ///
    /// There are no certificates by which servers could be known.
    pub(crate) fn new(config: &Config, tickets: &TicketDesk) -> Result<Self, reqwest::Error> {
        let consumers = &config.consumers;
        let is_shared = !config.storage.url.expose().is_empty();
        let limits = Limits {
            in_flight: consumers.in_flight.as_usize(),
            timeout: consumers.timeout.duration(),
            retry_for: consumers.retry_for.duration(),
            sleep_max: if is_shared { SHARED_SLEEP_MAX } else { OWN_SLEEP_MAX },
        };
        Ok(Self(Arc::new(Parts {
            store: Consumers::new(tickets.store()),
            sender: Sender::new(consumers)?,
            handlers: Mutex::default(),
            limits,
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        })))
    }

    /// Begins to deliver.
    pub(crate) fn start(&self) {
        self.0.tasks.spawn(worker::run(self.clone()));
        self.0.tasks.spawn(backlog::watch(self.clone()));
    }

    /// Ends when what is under way has been settled or given back.
    pub(crate) async fn close(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Where they are kept.
    pub(crate) fn store(&self) -> &Consumers {
        &self.0.store
    }

    fn handler(&self, name: &str) -> Option<Handler> {
        self.0.handlers.lock().get(name).cloned()
    }
}

impl App {
    /// Gives the events that a filter lets through to a function of the program that the server is built into. It is called
    /// with `name`, the event and the `traceparent` of the request that caused it; what it returns an error for, or takes
    /// longer with than `consumers.timeout`, it gets again.
    ///
    /// The consumer is kept: what is written while no process has registered it waits for the next that does, as long as
    /// the log is kept. Where several replicas register it, each event goes to one of them.
    ///
    /// ```no_run
    /// # async fn example(app: penholder_gateway::App) -> Result<(), Box<dyn std::error::Error>> {
    /// use penholder_gateway::EventFilter;
    ///
    /// let filter = EventFilter::parse(vec!["ticket.*".to_owned()])?;
    /// app.consume("mailer", filter, |consumer, event, traceparent| async move {
    ///     tracing::info!(%consumer, id = event.id, name = event.name, traceparent);
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A webhook has the name, there are too many consumers, or the store is away; then it may be tried again.
    pub async fn consume<F, R>(
        &self,
        name: &str,
        filter: EventFilter,
        handler: F,
    ) -> Result<(), ConsumerError>
    where
        F: Fn(Arc<str>, ConsumedEvent, Option<String>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        let handler: Handler =
            Arc::new(move |name, event, trace| Box::pin(handler(name, event, trace)));
        // Before it is owed anything.
        self.consumers.0.handlers.lock().insert(name.to_owned(), handler);
        let made = self.consumers.store().begin_in_process(name, filter).await;
        if made.is_err() {
            self.consumers.0.handlers.lock().remove(name);
        }
        made.map(drop)
    }
}
