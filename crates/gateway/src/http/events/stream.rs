//! A topic's events as server-sent events: from the log as far as it goes, then from the shard.
//!
//! A listener is a member of its topic like any other, but invisible, and it hears durable events only. What was
//! written before it came is read from the log page by page, at the pace at which the client takes it; then it
//! joins with the last number it has told, so that nothing is missing and nothing comes twice. One who is too
//! slow for what happens is sent away and comes back with `Last-Event-ID`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use penholder_hub::{Audience, Input, Join, MemberId, QueueLimits, Viewer};
use penholder_presence::{Key, Kind, Mode, SessionId};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{
    CloseCode, Encoded, ErrorCode, EventName, JoinReply, Json, Payload, PresenceMode, Ref,
    ServerBody, ServerFrame, Since, TopicName, Wire,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::told;
use crate::admission::{NoRoom, Permit};
use crate::app::App;
use crate::auth::Caller;
use crate::clock;
use crate::departure::Departure;
use crate::http::error::ApiError;
use crate::log::{Heard, Part, Replay};
use crate::pens::log_away;
use crate::shard::Outbox;
use crate::sockets::Entered;

/// How often something is said while nothing happens, so that nobody in between takes the connection for dead.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// How long a client may take nothing.
const WRITE_MAX: Duration = Duration::from_secs(25);

/// How many pieces wait for the connection.
const PIECES_MAX: usize = 8;

/// Where a piece ends, but with the event that makes it so long. Unit: bytes.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// What is read of the log at a time.
const PART: Part = Part { events_max: 200, bytes_max: 512 * 1024 };

/// How long whoever is turned away is asked to wait. Unit: seconds.
const RETRY_SECS: u64 = 5;

/// Most frames that are taken from the outbox together.
const BATCH_FRAMES: usize = 64;

/// Somebody who listens, counted among the connections.
pub(super) struct Listener {
    app: App,
    viewer: Viewer,
    right: Right,
    _entered: Option<Entered>,
    _permit: Permit,
}

/// For how long a listener may be told anything.
#[derive(Clone)]
struct Right {
    outbox: Arc<Outbox>,
    /// When the token ends, in milliseconds since the epoch; never, where there is none.
    expires_at: Option<u64>,
}

/// Why a listener is done.
enum End {
    /// The client is gone, or is to come back on its own.
    Over,
    /// It is asked to come back after so many milliseconds.
    Later(u64),
}

/// What came of a turn at the shard.
enum Turn {
    /// The topic has gone on too far: the rest is in the log.
    Behind,
    /// Nothing more comes.
    Ended(End),
}

impl Listener {
    /// Counts a listener in.
    pub(super) fn admit(app: &App, caller: &Caller, address: IpAddr) -> Result<Self, ApiError> {
        if app.drain.is_cancelled() {
            return Err(ApiError::from(ErrorCode::Unavailable).retry_after(RETRY_SECS));
        }
        let name = match caller {
            Caller::Person(identity) => identity.subject().to_owned(),
            Caller::Backend(backend) => format!("key:{}", backend.id),
        };
        let permit = app.admission.admit(address, &name).map_err(|full| {
            let code = match full {
                NoRoom::Replica => ErrorCode::Unavailable,
                NoRoom::Address | NoRoom::User => ErrorCode::RateLimited,
            };
            ApiError::from(code).retry_after(RETRY_SECS)
        })?;
        let limits = &app.config.limits;
        let queue = QueueLimits {
            frames_max: limits.send_queue_frames.as_usize(),
            bytes_max: limits.send_queue_bytes.bytes(),
        };
        let outbox = Arc::new(Outbox::new(queue, app.clock.mono()));
        let (viewer, expires_at, entered) = match caller {
            Caller::Person(identity) => {
                let entered = app.sockets.enter(identity, &outbox);
                if app.revocations.strike(identity, clock::wall().0) {
                    // It came between the check of the token and this entry.
                    outbox.end(CloseCode::TokenExpired.into());
                }
                (identity.viewer(), Some(identity.expires_at), Some(entered))
            }
            Caller::Backend(_) => {
                let profile = Bytes::from_static(b"{}");
                (Viewer { key: Key::from(name.as_str()), kind: Kind::Ai, profile }, None, None)
            }
        };
        let (app, right) = (app.clone(), Right { outbox, expires_at });
        Ok(Self { app, viewer, right, _entered: entered, _permit: permit })
    }

    /// Answers with the stream, once it is known that the log reaches back so far.
    pub(super) async fn begin(
        self,
        (topic, audience): (TopicName, Audience),
        after: u64,
    ) -> Result<Response, ApiError> {
        let first = self.app.pens.log().replay(&topic, (audience, after), PART).await;
        let (first, _) = told(first)?;
        let (pieces, mut body) = mpsc::channel::<Bytes>(PIECES_MAX);
        let (tasks, right) = (self.app.connections.clone(), self.right.clone());
        let stream = Stream { listener: self, topic, audience, told: after, pieces };
        tasks.spawn(stream.run(first));
        let body = futures_util::stream::poll_fn(move |context| {
            // What waits for a client that reads slowly is not theirs any more either.
            if right.is_over() {
                return Poll::Ready(None);
            }
            body.poll_recv(context).map(|piece| piece.map(Ok::<_, Infallible>))
        });
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            // Or a proxy would keep events back until its buffer is full.
            (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        ];
        Ok((StatusCode::OK, headers, Body::from_stream(body)).into_response())
    }
}

/// A stream under way.
struct Stream {
    listener: Listener,
    topic: TopicName,
    audience: Audience,
    /// The number of the last event that was told.
    told: u64,
    pieces: mpsc::Sender<Bytes>,
}

impl Stream {
    async fn run(mut self, first: Vec<Heard>) {
        let end = match self.tell(first).await {
            Ok(()) => self.follow().await,
            Err(end) => end,
        };
        if let End::Later(wait_ms) = end {
            // Whoever is gone does not wait.
            self.send(format!("retry: {wait_ms}\n\n").into()).await.ok();
        }
    }

    /// Reads the log to its end and goes on with what happens, for as long as that lasts.
    async fn follow(&mut self) -> End {
        loop {
            if let Err(end) = self.read_log().await {
                return end;
            }
            let member = self.listener.app.shards.member();
            let turn = self.listen(member).await;
            let leave = Input::Leave { member, reference: None };
            // A shard that has stopped knows nobody any more.
            self.listener.app.shards.tell(&self.topic, leave).await.ok();
            self.listener.right.outbox.withdraw(member);
            match turn {
                Turn::Behind => {}
                Turn::Ended(end) => return end,
            }
        }
    }

    async fn read_log(&mut self) -> Result<(), End> {
        loop {
            let heard = (self.audience, self.told);
            let log = self.listener.app.pens.log();
            let replay = log.replay(&self.topic, heard, PART).await.inspect_err(log_away);
            // Whoever comes back is told why.
            let Ok(Replay::Heard { heard, next }) = replay else { return Err(End::Over) };
            self.tell(heard).await?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Joins the topic and tells what happens there.
    async fn listen(&mut self, member: MemberId) -> Turn {
        let join = Box::new(self.join(member).await);
        let outbox = Arc::clone(&self.listener.right.outbox);
        if self.listener.app.shards.join(join, Arc::clone(&outbox)).await.is_err() {
            return Turn::Ended(End::Over);
        }
        let drain = self.listener.app.drain.clone();
        let mut draining = pin!(drain.cancelled());
        let Departure { wait, reconnect_after_ms } = self.listener.app.departure();
        let expiry = self.listener.right.expiry();
        let mut heartbeat = tokio::time::interval(HEARTBEAT_EVERY);
        let mut place = Place::Asked(member);
        loop {
            let piece = tokio::select! {
                () = outbox.ready() => None,
                _ = heartbeat.tick() => Some(Bytes::from_static(b":\n\n")),
                () = sleep_until(expiry) => return Turn::Ended(End::Over),
                () = self.pieces.closed() => return Turn::Ended(End::Over),
                () = draining.as_mut() => {
                    sleep(wait).await;
                    return Turn::Ended(End::Later(reconnect_after_ms));
                }
            };
            let told = match piece {
                Some(piece) => self.send(piece).await.map_err(Turn::Ended),
                None => self.take(&outbox, &mut place).await,
            };
            if let Err(turn) = told {
                return turn;
            }
        }
    }

    async fn join(&self, member: MemberId) -> Join {
        let log = self.listener.app.pens.log();
        let since = Some(Since::After(self.told));
        let visit = log.visit(&self.topic, Some((self.audience, self.told))).await;
        Join {
            member,
            wire: Wire::V2,
            dialect: Dialect::Phoenix,
            topic: self.topic.clone(),
            join_ref: None,
            reference: Some(Ref::counter(1)),
            replaces: None,
            viewer: self.listener.viewer.clone(),
            mode: Mode::View,
            presence: PresenceMode::Off,
            custom: Bytes::from_static(b"{}"),
            session: SessionId::from(Uuid::new_v4().to_string()),
            resume: None,
            since,
            audience: self.audience,
            stream: log.at_join(&self.topic, visit.as_ref(), (self.audience, since)).await,
        }
    }

    /// Tells what is in the outbox. What comes before the answer to the join is of the turn before.
    async fn take(&mut self, outbox: &Outbox, place: &mut Place) -> Result<(), Turn> {
        let batch = outbox.take(BATCH_FRAMES);
        let mut piece = Vec::new();
        for body in &batch.frames {
            match (frame(body), *place) {
                (Some(Frame::Answer { recovered }), Place::Asked(member)) => {
                    *place = if recovered { Place::Seated(member) } else { Place::Behind };
                }
                (Some(Frame::Event(heard)), Place::Seated(_)) if heard.seq > self.told => {
                    self.told = heard.seq;
                    write(&mut piece, &heard);
                }
                _ => {}
            }
        }
        if !piece.is_empty() {
            self.send(piece.into()).await.map_err(Turn::Ended)?;
        }
        let is_closed = match *place {
            Place::Behind => return Err(Turn::Behind),
            Place::Asked(member) | Place::Seated(member) => batch.departed.contains(&member),
        };
        // The channel is closed, or the connection: the client asks again, and is told whether it may.
        if is_closed || batch.ending.is_some() { Err(Turn::Ended(End::Over)) } else { Ok(()) }
    }

    async fn tell(&mut self, heard: Vec<Heard>) -> Result<(), End> {
        let mut piece = Vec::new();
        for heard in heard {
            self.told = heard.seq;
            write(&mut piece, &heard);
            if piece.len() >= PIECE_BYTES_MAX {
                self.send(std::mem::take(&mut piece).into()).await?;
            }
        }
        if piece.is_empty() { Ok(()) } else { self.send(piece.into()).await }
    }

    async fn send(&self, piece: Bytes) -> Result<(), End> {
        // Also while the log is read, which may take as long as the client lets it.
        if self.listener.right.is_over() {
            return Err(End::Over);
        }
        match timeout(WRITE_MAX, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Over),
        }
    }
}

impl Right {
    /// Whether nothing more is to be told: the token has ended, was struck, or the client is too slow.
    fn is_over(&self) -> bool {
        self.outbox.is_cut_off() || self.expires_at.is_some_and(|at| clock::wall().0 >= at)
    }

    /// When the token ends.
    fn expiry(&self) -> Instant {
        let at = self.expires_at.unwrap_or(u64::MAX);
        let left = Duration::from_millis(at.saturating_sub(clock::wall().0));
        // Capped, for a token may live longer than an `Instant` can say; the client comes back.
        Instant::now() + left.min(Duration::from_secs(86_400))
    }
}

/// How far a listener has got with its join.
#[derive(Clone, Copy)]
enum Place {
    /// It has asked.
    Asked(MemberId),
    /// It hears what happens.
    Seated(MemberId),
    /// It has missed more than the shard could tell.
    Behind,
}

/// What a shard says to a listener.
enum Frame {
    /// That it has joined, and whether nothing is missing.
    Answer { recovered: bool },
    /// That something has happened.
    Event(Heard),
}

/// Reads a frame of the listener's own; nothing, where it is none of a durable event.
fn frame(body: &Encoded) -> Option<Frame> {
    let frame = ServerFrame::decode_text(Wire::V2, body.as_text()?).ok()?;
    match frame.body {
        ServerBody::Reply { response: Payload::Json(reply), .. } => {
            let JoinReply { recovered, .. } = reply.parse_into().ok()?;
            Some(Frame::Answer { recovered: recovered == Some(true) })
        }
        // What an application broadcasts is not kept, whatever numbers it has in it.
        ServerBody::Event { event, payload: Payload::Json(payload) }
            if EventName::parse(&event).is_err() =>
        {
            let seq = number(&payload)?;
            Some(Frame::Event(Heard { seq, name: event, payload }))
        }
        ServerBody::Reply { .. } | ServerBody::Event { .. } => None,
    }
}

/// The number of a durable event.
fn number(payload: &Json) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        seq: Option<u64>,
    }
    payload.parse_into().ok().and_then(|numbered: Numbered| numbered.seq)
}

/// Writes an event. Names and payloads are ours and have no line breaks.
fn write(piece: &mut Vec<u8>, Heard { seq, name, payload }: &Heard) {
    let head = format!("id: {seq}\nevent: {name}\ndata: ");
    for part in [head.as_bytes(), payload.as_bytes(), b"\n\n"] {
        piece.extend_from_slice(part);
    }
}
