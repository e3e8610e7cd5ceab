//! The task that owns a connection: commands in, frames out, and back.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use penholder_protocol::{
    ClientFrame, EncodeError, Encoded, ErrorReply, Json, Payload, Ref, ReplyStatus, ServerBody,
    ServerEvent, ServerFrame, encode,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::debug;

use crate::backoff::Backoff;
use crate::channel::{ChannelEnd, ChannelEvent};
use crate::connection::Connection;
use crate::error::{Disconnect, PushError};
pub(crate) use crate::membership::ChannelId;
use crate::membership::{Delivery, Membership, Memberships, Phase};
use crate::options::{Options, Reconnect};

/// What the handles ask of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Join {
        membership: Box<Membership>,
    },
    Push {
        id: ChannelId,
        event: Box<str>,
        payload: Payload,
        answer: oneshot::Sender<Result<Payload, PushError>>,
    },
    /// Nobody reads the channel any longer.
    Forget {
        id: ChannelId,
    },
    Close,
    Abort,
}

/// Who waits for a reply.
#[derive(Debug)]
enum Waiting {
    Push(oneshot::Sender<Result<Payload, PushError>>),
    Join(ChannelId),
    Heartbeat,
}

/// The state of a socket's task.
#[derive(Debug)]
pub(crate) struct Driver {
    endpoint: Arc<str>,
    options: Arc<Options>,
    commands: mpsc::Receiver<Command>,
    memberships: Memberships,
    waiting: BTreeMap<Ref, Waiting>,
    backoff: Backoff,
    last_ref: u64,
    last_id: u64,
}

impl Driver {
    pub(crate) fn new(
        endpoint: Arc<str>,
        options: Options,
        commands: mpsc::Receiver<Command>,
    ) -> Driver {
        Driver {
            endpoint,
            options: Arc::new(options),
            commands,
            memberships: Memberships::default(),
            waiting: BTreeMap::new(),
            backoff: Backoff::default(),
            last_ref: 0,
            last_id: 0,
        }
    }

    /// Runs until the connection has ended for good, then says why in `end`.
    pub(crate) async fn run(
        mut self,
        mut connection: Connection,
        end: watch::Sender<Option<Disconnect>>,
    ) {
        let why = loop {
            let why = self.serve(connection).await;
            debug!(endpoint = %self.endpoint, %why, "connection ended");
            self.fail_waiting();
            if self.options.reconnect == Reconnect::Never || !why.may_pass() {
                break why;
            }
            match self.reconnect(&why).await {
                Ok(next) => connection = next,
                Err(why) => break why,
            }
        };
        for (_, channel) in std::mem::take(&mut self.memberships.0) {
            channel.end(ChannelEnd::Disconnected(why.clone()));
        }
        end.send_replace(Some(why));
    }

    /// Serves one connection until it ends.
    async fn serve(&mut self, mut connection: Connection) -> Disconnect {
        let period = self.options.heartbeat;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut step = self.rejoin_all(&mut connection).await;
        loop {
            if let Err(why) = step {
                return why;
            }
            step = tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(Command::Close) => {
                        connection.close().await;
                        return Disconnect::Left;
                    }
                    Some(Command::Abort) => return Disconnect::Aborted,
                    Some(command) => self.execute(command, &mut connection).await,
                },
                frame = connection.next() => match frame {
                    Ok(frame) => self.receive(frame, &mut connection).await,
                    Err(why) => Err(why),
                },
                _ = heartbeat.tick() => self.beat(&mut connection).await,
            };
        }
    }

    async fn execute(
        &mut self,
        command: Command,
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        match command {
            Command::Join { membership } => {
                let id = self.next_id();
                self.memberships.0.insert(id, *membership);
                self.join(id, connection).await
            }
            Command::Push { id, event, payload, answer } => {
                let reference = self.next_ref();
                let Some(channel) = self.memberships.0.get_mut(&id) else {
                    let _ = answer.send(Err(PushError::Ended));
                    return Ok(());
                };
                if &*event == "phx_leave" {
                    channel.phase = Phase::Leaving;
                }
                let frame = channel_frame(channel, &reference, (&event, payload));
                match self.encode(&frame) {
                    Ok(frame) => {
                        self.waiting.insert(reference, Waiting::Push(answer));
                        connection.send(frame).await
                    }
                    Err(error) => {
                        let _ = answer.send(Err(PushError::Frame(error)));
                        Ok(())
                    }
                }
            }
            Command::Forget { id } => self.abandon(id, connection).await,
            Command::Close | Command::Abort => Ok(()),
        }
    }

    async fn receive(
        &mut self,
        frame: ServerFrame,
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        // Only now is it sure that this server does more than accept connections.
        self.backoff.reset();
        let ServerFrame { join_ref, reference, topic, body } = frame;
        match body {
            ServerBody::Reply { status, response } => {
                let waiting = reference.and_then(|reference| self.waiting.remove(&reference));
                let outcome = match status {
                    ReplyStatus::Ok => Ok(response),
                    ReplyStatus::Error => Err(refusal(&response)),
                };
                match waiting {
                    Some(Waiting::Join(id)) => self.settle_join(id, outcome, connection).await,
                    Some(Waiting::Push(answer)) => {
                        // Who gave up waiting does not want it.
                        let _ = answer.send(outcome.map_err(PushError::Refused));
                        Ok(())
                    }
                    Some(Waiting::Heartbeat) | None => Ok(()),
                }
            }
            ServerBody::Event { event, payload } => {
                // V1 has no join refs; when a channel ends, its ref is the join's.
                let join_ref = join_ref.or(reference);
                match self.memberships.addressee(&topic, join_ref.as_ref()) {
                    Some(id) => self.hand_over(id, (event, payload), connection).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Gives an event to its channel.
    async fn hand_over(
        &mut self,
        id: ChannelId,
        (event, payload): (String, Payload),
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        if event == ServerEvent::Close.as_str() {
            self.end(id, ChannelEnd::Closed);
            return Ok(());
        }
        if event == ServerEvent::Error.as_str() {
            self.end(id, ChannelEnd::Crashed);
            return Ok(());
        }
        let Some(channel) = self.memberships.0.get_mut(&id) else { return Ok(()) };
        channel.pen.0.hear(&event, &payload);
        if self.options.reconnect != Reconnect::Never {
            channel.saw(&payload);
        }
        let delivery = channel.deliver(ChannelEvent::Message { event, payload });
        self.heed(id, delivery, connection).await
    }

    async fn settle_join(
        &mut self,
        id: ChannelId,
        outcome: Result<Payload, ErrorReply>,
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        let Some(channel) = self.memberships.0.get_mut(&id) else { return Ok(()) };
        let reply = match outcome {
            Ok(reply) => reply,
            Err(refusal) => {
                self.end(id, ChannelEnd::Refused(refusal));
                return Ok(());
            }
        };
        channel.joined(&reply);
        let delivery = match std::mem::replace(&mut channel.phase, Phase::Joined) {
            Phase::Joining(answer) => match answer.send(Ok((id, reply))) {
                Ok(()) => Delivery::Queued,
                Err(_) => Delivery::Abandoned,
            },
            Phase::Rejoining | Phase::Joined => channel.deliver(ChannelEvent::Rejoined { reply }),
            Phase::Leaving => {
                channel.phase = Phase::Leaving;
                Delivery::Queued
            }
        };
        self.heed(id, delivery, connection).await
    }

    /// Ends or leaves a channel that nobody reads.
    async fn heed(
        &mut self,
        id: ChannelId,
        delivery: Delivery,
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        match delivery {
            Delivery::Queued => Ok(()),
            Delivery::Abandoned => self.abandon(id, connection).await,
            Delivery::Overflow => {
                let leave = self.leave_frame(id);
                self.end(id, ChannelEnd::Overflow);
                self.send(leave, connection).await
            }
        }
    }

    async fn abandon(
        &mut self,
        id: ChannelId,
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        let leave = self.leave_frame(id);
        self.memberships.0.remove(&id);
        self.send(leave, connection).await
    }

    /// Sends the join of a channel, under a fresh ref.
    async fn join(&mut self, id: ChannelId, connection: &mut Connection) -> Result<(), Disconnect> {
        let join_ref = self.next_ref();
        let Some(channel) = self.memberships.0.get_mut(&id) else { return Ok(()) };
        channel.join_ref = join_ref.clone();
        let payload = Payload::Json(channel.payload());
        let frame = channel_frame(channel, &join_ref, ("phx_join", payload));
        self.waiting.insert(join_ref, Waiting::Join(id));
        self.send(Some(frame), connection).await
    }

    /// Joins again what was joined on the connection before.
    async fn rejoin_all(&mut self, connection: &mut Connection) -> Result<(), Disconnect> {
        let ids: Vec<ChannelId> = self.memberships.0.keys().copied().collect();
        for id in ids {
            self.join(id, connection).await?;
        }
        Ok(())
    }

    /// Sends a heartbeat, unless the last one is still unanswered.
    async fn beat(&mut self, connection: &mut Connection) -> Result<(), Disconnect> {
        if self.waiting.values().any(|waiting| matches!(waiting, Waiting::Heartbeat)) {
            return Err(Disconnect::Silent);
        }
        // Whose caller gave up would otherwise stay for as long as the connection.
        self.waiting
            .retain(|_, waiting| !matches!(waiting, Waiting::Push(answer) if answer.is_closed()));
        let reference = self.next_ref();
        let heartbeat = ClientFrame {
            join_ref: None,
            reference: Some(reference.clone()),
            topic: "phoenix".to_owned(),
            event: "heartbeat".to_owned(),
            payload: Json::empty_object().into(),
        };
        self.waiting.insert(reference, Waiting::Heartbeat);
        self.send(Some(heartbeat), connection).await
    }

    /// Gets another connection, after as many attempts as it takes.
    async fn reconnect(&mut self, why: &Disconnect) -> Result<Connection, Disconnect> {
        self.memberships.0.retain(|_, channel| {
            channel.phase = Phase::Rejoining;
            channel.pen.0.disconnected();
            channel.deliver(ChannelEvent::Disconnected) != Delivery::Abandoned
        });
        let mut wanted = match why {
            Disconnect::Closed { reason: Some(reason), .. } => {
                reason.reconnect_after_ms.map(Duration::from_millis)
            }
            _ => None,
        };
        loop {
            let delay = self.backoff.next_delay(rand::random());
            let delay = wanted.take().unwrap_or(delay);
            self.meanwhile(sleep(delay)).await?;
            let (endpoint, options) = (Arc::clone(&self.endpoint), Arc::clone(&self.options));
            let open = async move { Connection::open(&endpoint, &options).await };
            match self.meanwhile(open).await? {
                Ok(connection) => return Ok(connection),
                Err(error) if error.may_pass() => {
                    debug!(%error, "no connection yet");
                    // What the server wants, but never less than the backoff.
                    wanted = error.retry_after().filter(|wanted| *wanted > delay);
                }
                Err(error) => return Err(Disconnect::NotReconnected(error)),
            }
        }
    }

    /// Waits for `work` while there is no connection, and refuses what needs one.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Disconnect> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                command = self.commands.recv() => match command {
                    None | Some(Command::Close) => return Err(Disconnect::Left),
                    Some(Command::Abort) => return Err(Disconnect::Aborted),
                    Some(Command::Forget { id }) => drop(self.memberships.0.remove(&id)),
                    Some(Command::Join { membership }) => {
                        membership.end(ChannelEnd::Disconnected(Disconnect::Aborted));
                    }
                    Some(Command::Push { answer, .. }) => {
                        let _ = answer.send(Err(PushError::Disconnected));
                    }
                },
            }
        }
    }

    /// Tells everybody who waits for a reply that none will come, and ends what cannot be rejoined.
    fn fail_waiting(&mut self) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            if let Waiting::Push(answer) = waiting {
                let _ = answer.send(Err(PushError::Disconnected));
            }
        }
        for (id, channel) in std::mem::take(&mut self.memberships.0) {
            match channel.phase {
                Phase::Joining(answer) => drop(answer.send(Err(PushError::Disconnected))),
                Phase::Leaving => channel.end(ChannelEnd::Left),
                Phase::Rejoining | Phase::Joined => {
                    self.memberships.0.insert(id, channel);
                }
            }
        }
    }

    fn end(&mut self, id: ChannelId, end: ChannelEnd) {
        if let Some(channel) = self.memberships.0.remove(&id) {
            let left = matches!(channel.phase, Phase::Leaving) && end == ChannelEnd::Closed;
            channel.end(if left { ChannelEnd::Left } else { end });
        }
    }

    /// The leave of a channel that has not left yet; nobody waits for its reply.
    fn leave_frame(&mut self, id: ChannelId) -> Option<ClientFrame> {
        let reference = self.next_ref();
        let channel = self.memberships.0.get(&id)?;
        let leave = ("phx_leave", Payload::Json(Json::empty_object()));
        match channel.phase {
            Phase::Leaving => None,
            _ => Some(channel_frame(channel, &reference, leave)),
        }
    }

    async fn send(
        &self,
        frame: Option<ClientFrame>,
        connection: &mut Connection,
    ) -> Result<(), Disconnect> {
        let Some(frame) = frame else { return Ok(()) };
        match self.encode(&frame) {
            Ok(frame) => connection.send(frame).await,
            // Only binary frames can fail, and these are JSON.
            Err(error) => Err(Disconnect::Malformed { detail: error.to_string() }),
        }
    }

    fn encode(&self, frame: &ClientFrame) -> Result<Encoded, EncodeError> {
        encode::client(self.options.wire, frame)
    }

    fn next_ref(&mut self) -> Ref {
        self.last_ref += 1;
        Ref::counter(self.last_ref)
    }

    fn next_id(&mut self) -> ChannelId {
        self.last_id += 1;
        ChannelId(self.last_id)
    }
}

fn channel_frame(
    channel: &Membership,
    reference: &Ref,
    (event, payload): (&str, Payload),
) -> ClientFrame {
    ClientFrame {
        join_ref: Some(channel.join_ref.clone()),
        reference: Some(reference.clone()),
        topic: channel.topic.to_string(),
        event: event.to_owned(),
        payload,
    }
}

/// Servers other than Penholder refuse in their own words.
fn refusal(response: &Payload) -> ErrorReply {
    let json = response.as_json();
    let reply = json.and_then(|json| json.parse_into().ok());
    reply.unwrap_or_else(|| ErrorReply {
        reason: "refused".into(),
        code: "".into(),
        message: json.map(Json::to_string).unwrap_or_default().into(),
        retry_after_ms: None,
        pen: None,
    })
}
