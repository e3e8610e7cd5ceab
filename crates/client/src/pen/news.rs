//! What the server says of a topic's pen, for as many as want to hear it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use penholder_protocol::{Json, Payload, Pen, PenEvent, ServerEvent};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

/// How many news a reader may be behind.
const NEWS_MAX: usize = 64;

/// Something that was heard of a pen, or of the channel that it is heard on.
#[derive(Clone, Debug, PartialEq)]
pub enum PenNews {
    /// Something has happened to the pen.
    Event(Arc<PenEvent>),
    /// The connection is lost. Until it is back nothing is heard, and the server keeps the pen of this session
    /// for its `pen.grace` only.
    Disconnected,
    /// The topic is joined again: this is the pen now, where the server knows it. Who waited in the queue has to
    /// ask again.
    Rejoined(Option<Arc<Pen>>),
    /// The reader was too slow: so many news are lost to it.
    Missed(u64),
}

/// The news of one topic, from the moment when they were asked for.
#[derive(Debug)]
pub struct PenEvents(broadcast::Receiver<PenNews>);

impl PenEvents {
    /// Waits for what is heard next; `None` once the channel has ended and all is read.
    ///
    /// Losing the future loses nothing.
    pub async fn next(&mut self) -> Option<PenNews> {
        match self.0.recv().await {
            Ok(news) => Some(news),
            Err(RecvError::Lagged(count)) => Some(PenNews::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// What has been heard and not been read, without waiting.
    pub fn try_next(&mut self) -> Option<PenNews> {
        match self.0.try_recv() {
            Ok(news) => Some(news),
            Err(TryRecvError::Lagged(count)) => Some(PenNews::Missed(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

/// Where the task of a socket tells what it hears of one channel's pen. It costs nothing before somebody listens.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    session: Option<String>,
    readers: Option<broadcast::Sender<PenNews>>,
    has_ended: bool,
}

impl Feed {
    /// The session of the latest join.
    pub(crate) fn session(&self) -> Option<String> {
        self.state().session.clone()
    }

    pub(crate) fn listen(&self) -> PenEvents {
        let mut state = self.state();
        if let Some(readers) = &state.readers {
            return PenEvents(readers.subscribe());
        }
        let (readers, news) = broadcast::channel(NEWS_MAX);
        if !state.has_ended {
            state.readers = Some(readers);
        }
        PenEvents(news)
    }

    pub(crate) fn hear(&self, event: &str, payload: &Payload) {
        if event != ServerEvent::Pen.as_str() {
            return;
        }
        self.tell(|| {
            let event = payload.as_json().and_then(|json| json.parse_into().ok())?;
            Some(PenNews::Event(Arc::new(event)))
        });
    }

    pub(crate) fn joined(&self, session: Option<String>, pen: Option<&Json>) {
        self.state().session = session;
        self.tell(|| {
            let pen = pen.and_then(|pen| Json::parse_into(pen).ok());
            Some(PenNews::Rejoined(pen.map(Arc::new)))
        });
    }

    pub(crate) fn disconnected(&self) {
        self.tell(|| Some(PenNews::Disconnected));
    }

    fn tell(&self, news: impl FnOnce() -> Option<PenNews>) {
        let state = self.state();
        if let Some(readers) = state.readers.as_ref().filter(|it| it.receiver_count() > 0)
            && let Some(news) = news()
        {
            // Whoever listened may be gone by now.
            readers.send(news).ok();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket's end of a feed. When it goes, the news end.
#[derive(Debug)]
pub(crate) struct Speaker(pub(crate) Arc<Feed>);

impl Drop for Speaker {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.readers, state.has_ended) = (None, true);
    }
}
