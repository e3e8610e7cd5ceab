//! The topics that a socket has joined, as its task sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use penholder_protocol::{JoinPayload, Json, Payload, Ref, Since};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::channel::{ChannelEnd, ChannelEvent};
use crate::error::PushError;
use crate::pen::{Feed, Speaker};

/// Names a channel for as long as it lives, through every rejoin; counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelId(pub(crate) u64);

/// Who waits for a join.
pub(crate) type JoinAnswer = oneshot::Sender<Result<(ChannelId, Payload), PushError>>;

/// What a join says.
#[derive(Debug)]
pub(crate) enum Request {
    /// A join of the presence surface, which can be resumed.
    Typed(JoinPayload),
    /// Any other.
    Raw(Json),
}

/// How far a join is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The server has not replied to the first join.
    Joining(JoinAnswer),
    /// The server has not replied to a later join.
    Rejoining,
    /// It has.
    Joined,
    /// A leave is on its way.
    Leaving,
}

/// One topic of a socket.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) topic: Box<str>,
    pub(crate) request: Box<Request>,
    /// Of the latest join.
    pub(crate) join_ref: Ref,
    pub(crate) phase: Phase,
    /// Has one place more than events may take, so that the end always fits.
    pub(crate) deliver: mpsc::Sender<ChannelEvent>,
    pub(crate) resume: Option<String>,
    pub(crate) last_seq: Option<u64>,
    /// Tells what is heard of the pen.
    pub(crate) pen: Speaker,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It waits to be read.
    Queued,
    /// There was no room: the channel must end.
    Overflow,
    /// Nobody is left to read it: the channel must be left.
    Abandoned,
}

impl Membership {
    /// A topic that is about to be joined.
    pub(crate) fn new(
        topic: &str,
        request: Request,
        (deliver, answer): (mpsc::Sender<ChannelEvent>, JoinAnswer),
        feed: Arc<Feed>,
    ) -> Membership {
        Membership {
            topic: topic.into(),
            request: Box::new(request),
            join_ref: Ref::counter(0),
            phase: Phase::Joining(answer),
            deliver,
            resume: None,
            last_seq: None,
            pen: Speaker(feed),
        }
    }

    /// Queues an event, if there is room for it.
    pub(crate) fn deliver(&self, event: ChannelEvent) -> Delivery {
        if self.deliver.is_closed() {
            Delivery::Abandoned
        } else if self.deliver.capacity() <= 1 {
            Delivery::Overflow
        } else {
            match self.deliver.try_send(event) {
                Ok(()) => Delivery::Queued,
                Err(_) => Delivery::Abandoned,
            }
        }
    }

    /// Queues the end, for which there is always room.
    pub(crate) fn end(self, end: ChannelEnd) {
        match self.phase {
            Phase::Joining(answer) => {
                // Nobody reads the channel yet; who waits for the join learns of it.
                let _ = answer.send(Err(match end {
                    ChannelEnd::Refused(reply) => PushError::Refused(reply),
                    ChannelEnd::Disconnected(_) => PushError::Disconnected,
                    _ => PushError::Ended,
                }));
            }
            _ => drop(self.deliver.try_send(ChannelEvent::Ended(end))),
        }
    }

    /// Notes what the server gave to come back with.
    pub(crate) fn joined(&mut self, reply: &Payload) {
        #[derive(Deserialize)]
        struct Resumable {
            resume: Option<String>,
            seq: Option<u64>,
            recovered: Option<bool>,
            session: Option<String>,
            pen: Option<Json>,
        }
        let Request::Typed(request) = &*self.request else { return };
        let Some(Ok(reply)) = reply.as_json().map(Json::parse_into::<Resumable>) else { return };
        self.pen.0.joined(reply.session, reply.pen.as_ref());
        self.resume = reply.resume;
        // With `recovered` the missed events are still to come, and each tells its own `seq`; until
        // then the last one seen is the one that was asked from.
        self.last_seq = match (reply.recovered, self.last_seq, request.since) {
            (Some(true), Some(seq), _) | (Some(true), None, Some(Since::After(seq))) => Some(seq),
            _ => reply.seq,
        };
    }

    /// Notes the `seq` of a durable event.
    pub(crate) fn saw(&mut self, payload: &Payload) {
        #[derive(Deserialize)]
        struct Durable {
            seq: u64,
        }
        if let Some(Ok(event)) = payload.as_json().map(Json::parse_into::<Durable>) {
            self.last_seq = self.last_seq.max(Some(event.seq));
        }
    }

    /// What the next join says: the same as the first, and where to go on.
    pub(crate) fn payload(&self) -> Json {
        match &*self.request {
            Request::Raw(payload) => payload.clone(),
            Request::Typed(first) => {
                let mut payload = first.clone();
                if self.resume.is_some() {
                    payload.resume.clone_from(&self.resume);
                }
                if let Some(seq) = self.last_seq {
                    payload.since = Some(Since::After(seq));
                }
                Json::of(&payload)
            }
        }
    }
}

/// All topics of a socket.
#[derive(Debug, Default)]
pub(crate) struct Memberships(pub(crate) BTreeMap<ChannelId, Membership>);

impl Memberships {
    /// Whom a frame is for: the channel with its join ref, else the newest of its topic.
    pub(crate) fn addressee(&self, topic: &str, join_ref: Option<&Ref>) -> Option<ChannelId> {
        let mut of_topic = self.0.iter().rev().filter(|(_, channel)| *channel.topic == *topic);
        let found = match join_ref {
            Some(join_ref) => of_topic.find(|(_, channel)| channel.join_ref == *join_ref),
            None => of_topic.next(),
        };
        found.map(|(id, _)| *id)
    }
}
