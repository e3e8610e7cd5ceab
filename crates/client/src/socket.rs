//! The handle of a connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use penholder_protocol::{JoinPayload, JoinReply, Json, Payload};
use tokio::sync::{mpsc, oneshot, watch};

use crate::channel::{Channel, ChannelEvent, Events, Pusher};
use crate::connection::Connection;
use crate::driver::{Command, Driver};
use crate::error::{ConnectError, Disconnect, JoinError, PushError};
use crate::membership::{Membership, Request};
use crate::options::Options;
use crate::pen::Feed;

/// How many commands wait for the socket's task; who has one more to give waits too.
const COMMANDS_MAX: usize = 256;

/// More than anybody waits for, and less than tokio's channels refuse.
const EVENTS_CEILING: usize = 1 << 20;

/// One connection to a server, shared by the channels on it. Cheap to clone.
///
/// When the last clone and the last channel are gone, the connection says goodbye and ends.
#[derive(Clone)]
pub struct Socket {
    commands: mpsc::Sender<Command>,
    ended: watch::Receiver<Option<Disconnect>>,
    endpoint: Arc<str>,
    timeout: Duration,
    events_max: usize,
}

impl Socket {
    /// Connects to the server whose sockets are mounted at `endpoint`, as
    /// `ws://127.0.0.1:4000/socket`, and starts the task that owns the connection.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]. The first attempt is the only one, whatever [`Options::reconnect`] says.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect(endpoint: &str, options: Options) -> Result<Socket, ConnectError> {
        let connection = Connection::open(endpoint, &options).await?;
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (end, ended) = watch::channel(None);
        let endpoint: Arc<str> = endpoint.into();
        let socket = Socket {
            commands,
            ended,
            endpoint: Arc::clone(&endpoint),
            timeout: options.timeout,
            events_max: options.events_max.clamp(1, EVENTS_CEILING),
        };
        tokio::spawn(Driver::new(endpoint, options, inbox).run(connection, end));
        Ok(socket)
    }

    /// Joins a topic of the presence surface.
    ///
    /// A topic that is joined already on this socket is joined anew, and its older channel ends.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; a refusal carries the server's reason.
    pub async fn join(
        &self,
        topic: &str,
        payload: JoinPayload,
    ) -> Result<(Channel, JoinReply), JoinError> {
        let (channel, reply) = self.request_join(topic, Request::Typed(payload)).await?;
        let reply = reply.as_json().map(Json::parse_into).transpose();
        let reply = reply.map_err(PushError::Reply)?.ok_or(PushError::Disconnected)?;
        Ok((channel, reply))
    }

    /// Joins any topic, with any payload: `system:summaries`, or another server's channel.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; a refusal carries the server's reason.
    pub async fn join_raw(
        &self,
        topic: &str,
        payload: Json,
    ) -> Result<(Channel, Payload), JoinError> {
        self.request_join(topic, Request::Raw(payload)).await
    }

    /// Waits until the connection has ended for good, and says why.
    pub async fn closed(&self) -> Disconnect {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(Disconnect::Aborted),
            // The task is gone without a word: the runtime is shutting down.
            Err(_) => Disconnect::Aborted,
        }
    }

    /// Says goodbye (1000) and ends the connection: the server forgets its sessions at once. Returns
    /// when it has ended.
    pub async fn close(&self) {
        // An error means that the task has ended already.
        let _ = self.commands.send(Command::Close).await;
        self.closed().await;
    }

    /// Drops the connection without a goodbye, as a lost one is: the server keeps its sessions for
    /// `grace`. There is no reconnecting after it. Returns when it has ended.
    pub async fn abort(&self) {
        let _ = self.commands.send(Command::Abort).await;
        self.closed().await;
    }

    async fn request_join(
        &self,
        topic: &str,
        request: Request,
    ) -> Result<(Channel, Payload), JoinError> {
        // One place more than events may take, for the end.
        let (deliver, receive) = mpsc::channel::<ChannelEvent>(self.events_max + 1);
        let (answer, answered) = oneshot::channel();
        let feed = Arc::<Feed>::default();
        let membership = Membership::new(topic, request, (deliver, answer), Arc::clone(&feed));
        let join = Command::Join { membership: Box::new(membership) };
        let waiting = async {
            self.commands.send(join).await.map_err(|_| PushError::Disconnected)?;
            answered.await.map_err(|_| PushError::Disconnected)?
        };
        let joined = tokio::time::timeout(self.timeout, waiting).await;
        let (id, reply) = joined.map_err(|_| PushError::Timeout)??;
        let pusher = Pusher {
            id,
            topic: topic.into(),
            commands: self.commands.clone(),
            timeout: self.timeout,
            feed,
        };
        Ok((
            Channel { events: Events { receive, id, commands: self.commands.clone() }, pusher },
            reply,
        ))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("endpoint", &self.endpoint)
            .field("ended", &*self.ended.borrow())
            .finish_non_exhaustive()
    }
}
