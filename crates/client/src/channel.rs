//! One topic that a socket has joined.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use penholder_protocol::{
    Broadcast, ErrorReply, Json, Payload, PresenceUpdate, PresenceUpdateReply, TokenRefresh,
    TokenRefreshReply, Typing,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::driver::{ChannelId, Command};
use crate::error::{Disconnect, PushError};
use crate::pen::Feed;

/// A joined topic: pushes, as the [`Pusher`] it derefs to, and what the server says.
///
/// Dropping it leaves the topic.
#[derive(Debug)]
pub struct Channel {
    pub(crate) pusher: Pusher,
    pub(crate) events: Events,
}

impl Channel {
    /// Waits for what the server says next; `None` once the channel has ended and all is read.
    ///
    /// Losing the future loses no event.
    pub async fn next_event(&mut self) -> Option<ChannelEvent> {
        self.events.receive.recv().await
    }

    /// What the server has said and nobody has read, without waiting.
    pub fn try_next_event(&mut self) -> Option<ChannelEvent> {
        self.events.receive.try_recv().ok()
    }

    /// A handle that can push from elsewhere while this one waits for events.
    pub fn pusher(&self) -> Pusher {
        self.pusher.clone()
    }
}

impl Deref for Channel {
    type Target = Pusher;

    fn deref(&self) -> &Pusher {
        &self.pusher
    }
}

/// What a channel yields.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelEvent {
    /// The server said something.
    Message {
        /// The name of the event.
        event: String,
        /// What it says.
        payload: Payload,
    },
    /// The connection is lost; the socket tries to get another one.
    Disconnected,
    /// The topic is joined again, on another connection.
    Rejoined {
        /// The server's reply, a [`JoinReply`](penholder_protocol::JoinReply) on the presence surface.
        reply: Payload,
    },
    /// The channel has ended; nothing follows.
    Ended(ChannelEnd),
}

/// Why a channel ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelEnd {
    /// This side left.
    Left,
    /// The server closed the channel, or the topic was joined anew on this socket.
    Closed,
    /// The channel crashed on the server.
    Crashed,
    /// The server refused to let it join again.
    Refused(ErrorReply),
    /// Nobody read the events. What was waiting can still be read; what came after is lost.
    Overflow,
    /// The connection has ended for good.
    Disconnected(Disconnect),
}

/// Pushes to a joined topic. Cheap to clone.
#[derive(Clone)]
pub struct Pusher {
    pub(crate) id: ChannelId,
    pub(crate) topic: Arc<str>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) timeout: Duration,
    pub(crate) feed: Arc<Feed>,
}

impl Pusher {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Pushes an event and waits for the reply. Pushes of one task arrive in their order.
    ///
    /// # Errors
    ///
    /// [`PushError`]; a refusal carries the server's reason.
    pub async fn push(
        &self,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<Payload, PushError> {
        let (answer, answered) = oneshot::channel();
        let event = event.into();
        let push = Command::Push { id: self.id, event, payload: payload.into(), answer };
        let waiting = async {
            self.commands.send(push).await.map_err(|_| PushError::Ended)?;
            answered.await.map_err(|_| PushError::Disconnected)?
        };
        tokio::time::timeout(self.timeout, waiting).await.map_err(|_| PushError::Timeout)?
    }

    /// Pushes a value and reads the reply into another.
    ///
    /// # Errors
    ///
    /// [`PushError`], also when the reply is not what was expected.
    pub async fn request<T: DeserializeOwned>(
        &self,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<T, PushError> {
        let reply = self.push(event, Json::of(payload)).await?;
        let json = reply.as_json().cloned().unwrap_or_else(Json::empty_object);
        json.parse_into().map_err(PushError::Reply)
    }

    /// Changes what the session shows of itself.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn update_presence(
        &self,
        update: &PresenceUpdate,
    ) -> Result<PresenceUpdateReply, PushError> {
        self.request("presence_update", update).await
    }

    /// Says whether the session is typing, to everybody, or on the topic of a ticket to the staff alone.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn typing(&self, typing: Typing) -> Result<(), PushError> {
        self.push("typing", Json::of(&typing)).await.map(|_| ())
    }

    /// Sends an event to the others of the topic; needs the capability `publish`.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn broadcast(&self, broadcast: &Broadcast) -> Result<(), PushError> {
        self.push("broadcast", Json::of(broadcast)).await.map(|_| ())
    }

    /// Goes on with a fresh token of the same person.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn refresh_token(
        &self,
        refresh: &TokenRefresh,
    ) -> Result<TokenRefreshReply, PushError> {
        self.request("token", refresh).await
    }

    /// Leaves the topic; the channel then ends with [`ChannelEnd::Left`].
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn leave(&self) -> Result<(), PushError> {
        self.push("phx_leave", Json::empty_object()).await.map(|_| ())
    }
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// The receiving half; leaves the topic when it is dropped.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) receive: mpsc::Receiver<ChannelEvent>,
    pub(crate) id: ChannelId,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Drop for Events {
    fn drop(&mut self) {
        // A full queue loses this; the task then notices at the next event that nobody reads it.
        let _ = self.commands.try_send(Command::Forget { id: self.id });
    }
}
