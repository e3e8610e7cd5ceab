//! One connection: a task that reads what the client sends and writes what the shards leave for it,
//! whatever carries both.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use penholder_hub::{Class, Frame, Input, MemberId, QueueLimits};
use penholder_presence::MonoMs;
use penholder_protocol::encode::{self, Encoded};
use penholder_protocol::{
    ClientEvent, ClientFrame, CloseCode, ErrorCode, Json, JsonLimits, Malformed, MalformedReason,
    TokenExpiring, TopicName, Wire, decode_binary, decode_text,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::channels::{Channel, Channels, Target};
use super::rates::{Limited, SocketRates};
use super::requests::{Kept, limited};
use super::transport::{Heard, Transport};
use crate::admission::Permit;
use crate::app::App;
use crate::auth::Identity;
use crate::clock;
use crate::departure::Departure;
use crate::shard::{Ending, Outbox};
use crate::sockets::Entered;
use crate::telemetry::metrics;

/// How often the server pings.
const PING_EVERY: Duration = Duration::from_secs(15);

/// After so long without any frame of the client it is taken for gone.
const SILENT_MAX: Duration = Duration::from_secs(25);

/// How long one batch of frames may take to be written.
const WRITE_MAX: Duration = Duration::from_secs(25);

/// How many malformed frames close a socket.
const MALFORMED_MAX: u8 = 3;

/// How long before its end the client is told of it. Unit: milliseconds.
const TOKEN_WARNING_MS: u64 = 60_000;

/// The frames of the socket itself belong to no member.
const SOCKET: MemberId = MemberId(0);

/// The state of one connection.
pub(super) struct Connection {
    pub(super) app: App,
    pub(super) wire: Wire,
    pub(super) identity: Identity,
    pub(super) outbox: Arc<Outbox>,
    pub(super) channels: Channels<Kept>,
    pub(super) rates: SocketRates,
    /// How many sessions have come back on this socket.
    pub(super) returns: usize,
    /// Whether it is told what it has missed: who comes back on many topics would be told more at once than
    /// its queue takes, so the next request waits until half of that is free.
    pub(super) catches_up: bool,
    malformed: u8,
    is_warned: bool,
    heard_at: Instant,
    ping_at: Instant,
    entered: Entered,
    permit: Permit,
}

/// How a connection came to its end.
enum End {
    /// The client said goodbye: its sessions end with it.
    Goodbye,
    /// The client is gone, or was sent away: its sessions wait for it.
    Lost,
}

impl Connection {
    pub(super) fn new(app: App, wire: Wire, identity: Identity, permit: Permit) -> Self {
        let limits = &app.config.limits;
        let queue = QueueLimits {
            frames_max: limits.send_queue_frames.as_usize(),
            bytes_max: limits.send_queue_bytes.bytes(),
        };
        let now = Instant::now();
        let outbox = Arc::new(Outbox::new(queue, app.clock.mono()));
        let entered = app.sockets.enter(&identity, &outbox);
        if app.revocations.strike(&identity, clock::wall().0) {
            // It came between the check of the token and this entry.
            outbox.end(CloseCode::TokenExpired.into());
        }
        Self {
            outbox,
            entered,
            rates: SocketRates::new(limits),
            app,
            wire,
            identity,
            channels: Channels::default(),
            returns: 0,
            catches_up: false,
            malformed: 0,
            is_warned: false,
            heard_at: now,
            ping_at: now + PING_EVERY,
            permit,
        }
    }
}

/// Serves a connection until it ends, then tells the shards: also after a defect of ours, or its
/// sessions would stay as ghosts.
///
/// What is rare is boxed here and below: the task of an idle connection is as large as the largest of the
/// steps that it may take.
#[expect(clippy::manual_async_fn, reason = "the arguments of an async fn are kept twice")]
pub(super) fn serve(
    mut transport: impl Transport,
    mut connection: Connection,
) -> impl Future<Output = ()> + Send {
    async move {
        let served = AssertUnwindSafe(run(&mut transport, &mut connection)).catch_unwind().await;
        let end = match served {
            Ok(end) => end,
            Err(_) => {
                tracing::error!(user = connection.identity.subject(), "connection task panicked");
                metrics::closed(CloseCode::Internal);
                Box::pin(transport.close(&CloseCode::Internal.into())).await;
                End::Lost
            }
        };
        Box::pin(connection.leave_all(end)).await;
    }
}

async fn run(transport: &mut impl Transport, connection: &mut Connection) -> End {
    // Both wait in one place for the life of the connection: to wait anew at each message would
    // make all connections take turns at one lock.
    let drain = connection.app.drain.clone();
    let draining = pin!(drain.cancelled());
    let mut draining = draining.fuse();
    let mut wake = pin!(sleep_until(connection.next_deadline()));
    loop {
        connection.catches_up &= !connection.outbox.has_room();
        let wake_at = connection.next_deadline();
        if wake.deadline() != wake_at {
            wake.as_mut().reset(wake_at);
        }
        tokio::select! {
            heard = transport.hear(), if !connection.catches_up => {
                if let Err(end) = Box::pin(connection.handle(transport, heard)).await {
                    return end;
                }
            }
            () = connection.outbox.ready() => {}
            () = wake.as_mut() => {
                if let Err(end) = Box::pin(connection.serve_deadlines(transport)).await {
                    return end;
                }
            }
            () = &mut draining => connection.leave_in_turn(),
        }
        if let Err(end) = write(transport, connection).await {
            return end;
        }
    }
}

/// Writes one batch of what is in the outbox. What is left comes in the next turn, so that a client
/// that reads slowly is still listened to, and its deadlines are kept.
async fn write(transport: &mut impl Transport, connection: &mut Connection) -> Result<(), End> {
    let batch = transport.take(&connection.outbox);
    for member in batch.departed {
        connection.channels.forget(member);
    }
    if !batch.frames.is_empty() {
        write_frames(transport, connection, batch.frames).await?;
    }
    if let Some(ending) = batch.ending {
        let code = ending.code.name();
        tracing::debug!(user = connection.identity.subject(), code, "connection closed");
        metrics::closed(ending.code);
        Box::pin(transport.close(&ending)).await;
        return Err(End::Lost);
    }
    if !batch.repairs.is_empty() {
        Box::pin(connection.repair(batch.repairs)).await;
    }
    Ok(())
}

async fn write_frames(
    transport: &mut impl Transport,
    connection: &mut Connection,
    frames: Vec<Encoded>,
) -> Result<(), End> {
    let count = frames.len();
    let mut writing = pin!(transport.write(frames));
    // Mostly the system takes all at once, and no timer is needed.
    let sent = match writing.as_mut().now_or_never() {
        Some(sent) => Ok(sent),
        None => tokio::select! {
            sent = timeout(WRITE_MAX, writing) => sent,
            () = connection.outbox.overflowed() => return Ok(()),
        },
    };
    match sent {
        Ok(Ok(())) => connection.app.traffic.written(count),
        Ok(Err(_)) => return Err(End::Lost),
        Err(_) => connection.end(CloseCode::SlowConsumer),
    }
    Ok(())
}

impl Connection {
    /// Sends a frame of the socket itself.
    pub(super) fn send(&self, body: Encoded) {
        self.send_as(SOCKET, body);
    }

    /// Sends a frame of one of its channels.
    pub(super) fn send_as(&self, member: MemberId, body: Encoded) {
        self.outbox.push(member, Frame { body, class: Class::Vital });
    }

    /// Ends the connection once what is queued has been written.
    pub(super) fn end(&self, code: CloseCode) {
        self.outbox.end(code.into());
    }

    async fn handle(&mut self, transport: &mut impl Transport, heard: Heard) -> Result<(), End> {
        self.heard_at = Instant::now();
        match heard {
            Heard::Text(text) => {
                let decoded = decode_text(self.wire, &text, &JsonLimits::default());
                self.take(decoded, false).await;
            }
            Heard::Binary(bytes) if self.wire == Wire::V2 => {
                self.take(decode_binary(bytes, &JsonLimits::default()), true).await;
            }
            Heard::Binary(_) => self.end(CloseCode::Unsupported),
            // Pongs that nobody asked for cost as much as pings.
            Heard::Control if self.rates.ping().is_err() => self.end(CloseCode::TooMany),
            Heard::Control | Heard::Sign => {}
            Heard::Goodbye => {
                transport.finish().await;
                return Err(End::Goodbye);
            }
            Heard::Lost => {
                transport.finish().await;
                return Err(End::Lost);
            }
            Heard::Broken(code) => {
                tracing::debug!(
                    user = self.identity.subject(),
                    code = code.name(),
                    "protocol broken"
                );
                metrics::closed(code);
                transport.close(&code.into()).await;
                return Err(End::Lost);
            }
        }
        Ok(())
    }

    async fn take(&mut self, decoded: Result<ClientFrame, Malformed>, is_binary: bool) {
        self.app.traffic.message();
        let charged = match &decoded {
            Ok(frame) => self.charge(frame),
            Err(_) => self.rates.message(),
        };
        match (decoded, charged) {
            (_, Err(Limited::Flood)) => self.end(CloseCode::TooMany),
            (Err(malformed), _) => self.refuse_malformed(&malformed, is_binary),
            (Ok(frame), Err(retry)) => self.refuse(&frame, &limited(retry)),
            (Ok(frame), Ok(())) => self.dispatch(frame).await,
        }
    }

    /// Charges a frame to the budget of messages. A join has a budget of its own. The leave of a joined
    /// topic and the heartbeat are never refused: their senders take them for done, and would leave a
    /// ghost behind, or count the connection as dead.
    fn charge(&mut self, frame: &ClientFrame) -> Result<(), Limited> {
        match ClientEvent::parse(&frame.event) {
            ClientEvent::Join => Ok(()),
            ClientEvent::Leave if self.is_joined(&frame.topic) => Ok(()),
            ClientEvent::Heartbeat => match self.rates.message() {
                Err(Limited::Flood) => Err(Limited::Flood),
                Ok(()) | Err(Limited::Retry { .. }) => Ok(()),
            },
            _ => self.rates.message(),
        }
    }

    fn is_joined(&self, topic: &str) -> bool {
        !matches!(self.channels.target(topic, None), Target::Unmatched)
    }

    /// Answers a malformed frame where somebody can be told. The third closes the socket, and so does
    /// the first binary one, whose sender can be told in no other way; but not for bad JSON in it.
    fn refuse_malformed(&mut self, malformed: &Malformed, is_binary: bool) {
        let code = malformed.code().code();
        tracing::debug!(user = self.identity.subject(), code, "frame refused");
        metrics::refused(malformed.code());
        if let Some(reply) = malformed.reply(self.wire) {
            self.send(reply);
        }
        if malformed.code() == ErrorCode::Malformed {
            self.malformed += 1;
            let is_json = matches!(malformed.reason, MalformedReason::Payload(_));
            if is_binary && !is_json || self.malformed >= MALFORMED_MAX {
                self.end(CloseCode::Malformed);
            }
        }
    }

    async fn repair(&self, members: Vec<MemberId>) {
        for member in members {
            let channel = self.channels.iter().find(|(_, channel)| channel.member == member);
            if let Some((topic, channel)) = channel {
                match &channel.kept {
                    Kept::Topic(_) => {
                        // A shard that has stopped has nothing left to show.
                        self.app.shards.tell(topic, Input::Resync(member)).await.ok();
                    }
                    Kept::Summaries(summaries) => summaries.repair(),
                }
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let token_at = if self.is_warned {
            self.identity.expires_at
        } else {
            self.identity.expires_at.saturating_sub(TOKEN_WARNING_MS)
        };
        let token_in = Duration::from_millis(token_at.saturating_sub(clock::wall().0));
        // Capped, for a token may live longer than an `Instant` can say; waking early is a no-op.
        let token = Instant::now() + token_in.min(Duration::from_secs(86_400));
        self.ping_at.min(self.heard_at + SILENT_MAX).min(token)
    }

    async fn serve_deadlines(&mut self, transport: &mut impl Transport) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.heard_at + SILENT_MAX {
            self.end(CloseCode::SlowConsumer);
            return Ok(());
        }
        if now >= self.ping_at {
            self.ping_at = now + PING_EVERY;
            match timeout(WRITE_MAX, transport.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(End::Lost),
                Err(_) => self.end(CloseCode::SlowConsumer),
            }
        }
        self.check_token().await;
        Ok(())
    }

    async fn check_token(&mut self) {
        let (now, at) = (clock::wall().0, self.identity.expires_at);
        if now >= at {
            self.end(CloseCode::TokenExpired);
        } else if now + TOKEN_WARNING_MS >= at && !self.is_warned {
            self.is_warned = true;
            for (topic, channel) in self.channels.iter() {
                self.warn(topic, channel).await;
            }
        }
    }

    /// Warns a channel that was joined after the others had been.
    pub(super) async fn warn_late(&self, topic: &TopicName) {
        if let Some(channel) = self.channels.find(topic).filter(|_| self.is_warned) {
            self.warn(topic, channel).await;
        }
    }

    /// Warns a channel that the token ends soon. It is said by the shard, for the answer to the join
    /// comes from there and comes first.
    async fn warn(&self, topic: &TopicName, channel: &Channel<Kept>) {
        let payload = Json::of(&TokenExpiring { at: self.identity.expires_at });
        let event = "token_expiring";
        let message = encode::Message { topic: topic.as_str(), event, payload: &payload };
        let body = encode::push(self.wire, channel.join_ref.as_ref(), &message);
        let member = channel.member;
        match channel.kept {
            // A shard that has stopped has closed the channel.
            Kept::Topic(_) => {
                self.app.shards.tell(topic, Input::Tell { member, body }).await.ok();
            }
            Kept::Summaries(_) => self.send_as(member, body),
        }
    }

    /// Takes a fresh token of the same person.
    pub(super) fn renew(&mut self, identity: Identity) {
        self.entered.renew(&identity);
        self.identity = identity;
        self.is_warned = false;
    }

    /// Sends the client away for a restart, at a moment of its own: after the close it comes back
    /// within milliseconds, so the server has to spread its clients out.
    fn leave_in_turn(&self) {
        let outbox = Arc::clone(&self.outbox);
        let Departure { wait, reconnect_after_ms } = self.app.departure();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            outbox.end(Ending {
                code: CloseCode::Restart,
                reconnect_after_ms: Some(reconnect_after_ms),
            });
        });
    }

    /// What becomes of the sessions. A server that stops keeps them for the next life, at no cost of its own.
    fn settle(&self, end: End) -> End {
        let (user, network) = self.permit.holder();
        let is_free = self.channels.len() == 0 || self.app.drain.is_cancelled();
        match end {
            // Who may not come back is not waited for.
            End::Lost if self.app.revocations.strike(&self.identity, clock::wall().0) => {
                End::Goodbye
            }
            End::Lost if !is_free && !self.app.grace.allow(user, network) => {
                metrics::not_kept();
                End::Goodbye
            }
            end => end,
        }
    }

    async fn leave_all(&mut self, end: End) {
        let end = self.settle(end);
        for (topic, channel) in self.channels.drain() {
            match channel.kept {
                Kept::Topic(_) => {
                    let member = channel.member;
                    let input = match end {
                        End::Goodbye => Input::Leave { member, reference: None },
                        End::Lost => Input::Lost(member),
                    };
                    // A shard that has stopped knows nobody any more.
                    self.app.shards.tell(&topic, input).await.ok();
                }
                Kept::Summaries(summaries) => summaries.end(&self.app.shards).await,
            }
        }
    }

    /// The time of the client's heartbeat.
    pub(super) fn now(&self) -> MonoMs {
        self.app.clock.mono()
    }
}
