//! How a writer speaks to the server: over HTTP, or on a channel that is lost and found again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use penholder_client::{Channel, ChannelEvent, Options, PushError, Reconnect, Socket};
use penholder_evidence::{Ask, Outcome};
use penholder_lease::{Fence, StoreMs};
use penholder_protocol::{
    self as protocol, JoinPayload, JoinReply, PenAcquire, PenAcquireReply, PenHeld, PenReason,
    PenReply, PenTakeOverReply,
};
use penholder_tests::{Request, exchange};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::TOPICS;
use super::record::number;

/// How long a server that was killed may take to be back.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a call, as far as it is known.
pub(crate) enum Heard {
    /// The answer.
    Answer(Outcome),
    /// It may have been done.
    Nothing,
    /// It has not been done.
    NotSent,
}

/// Where the server is, and as whom to speak to it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) port: u16,
    pub(crate) person: String,
    pub(crate) token: String,
}

impl Identity {
    /// A request over HTTP; none where the connection broke off, an error where there was no connection.
    async fn ask(&self, verb: &str, path: &str, body: &Value) -> Result<Option<(u16, Value)>> {
        let request = Request::new(verb, path).authorized(&format!("Bearer {}", self.token));
        let request = if verb == "GET" { request } else { request.json(body) };
        match exchange(self.port, &request.to_bytes(self.port)).await {
            Ok(answer) => Ok(Some((answer.status, answer.json()))),
            Err(error) => {
                let io = error.downcast_ref::<std::io::Error>();
                let is_refused =
                    io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
                if is_refused { Err(error) } else { Ok(None) }
            }
        }
    }

    /// Asks by a twin of the channel's events.
    pub(crate) async fn call(&self, topic: &str, ask: Ask) -> Result<Heard> {
        let (verb, path, body) = match ask {
            Ask::Acquire => ("POST", "/acquire", json!({})),
            Ask::Renew(fence) => ("POST", "/renew", json!({"fence": fence.0.to_string()})),
            Ask::Release(fence) => ("POST", "/release", json!({"fence": fence.0.to_string()})),
            Ask::TakeOver => ("POST", "/take_over", json!({})),
            Ask::Read => ("GET", "", Value::Null),
            Ask::Write(_) | Ask::Save(_) | Ask::Told(_) => bail!("{ask:?} is not asked here"),
        };
        let Ok(heard) = self.ask(verb, &format!("/v1/pens/{topic}{path}"), &body).await else {
            return Ok(Heard::NotSent);
        };
        let Some((status, answer)) = heard else { return Ok(Heard::Nothing) };
        if status == 503 {
            return Ok(Heard::Nothing);
        }
        let pen = || serde_json::from_value::<protocol::Pen>(answer["pen"].clone());
        let outcome = match (ask, status) {
            (Ask::Acquire, 409) => Outcome::Held,
            (Ask::TakeOver, 409) if answer["code"] == "pen_held" => Outcome::Held,
            (Ask::Renew(_) | Ask::Release(_), 409) => Outcome::Lost,
            (Ask::Release(_), 200) => Outcome::Done,
            (Ask::TakeOver, 200) if answer["draining_until"].is_u64() => {
                let until = answer["draining_until"].as_u64().unwrap_or_default();
                Outcome::Draining(StoreMs(until))
            }
            (Ask::Acquire | Ask::Renew(_) | Ask::TakeOver, 200) => own(&pen()?)?,
            (Ask::Read, 200) => {
                let pen: protocol::Pen = serde_json::from_value(answer)?;
                Outcome::Holder(pen.session.as_deref().map(number), Fence(pen.fence.0))
            }
            _ => bail!("{ask:?}: {status} {answer}"),
        };
        Ok(Heard::Answer(outcome))
    }
}

fn own(pen: &protocol::Pen) -> Result<Outcome> {
    let deadline = pen.deadline.context("a grant without a deadline")?;
    Ok(Outcome::Own(Fence(pen.fence.0), StoreMs(deadline)))
}

/// A socket that has joined every topic.
pub(crate) struct Sitting {
    identity: Identity,
    socket: Socket,
    seats: BTreeMap<&'static str, Seat>,
}

struct Seat {
    channel: Channel,
    session: String,
    resume: String,
    is_connected: bool,
}

impl Seat {
    /// Reads what the server has said meanwhile.
    fn listen(&mut self) -> Result<()> {
        while let Some(event) = self.channel.try_next_event() {
            match event {
                ChannelEvent::Message { .. } => {}
                ChannelEvent::Disconnected => self.is_connected = false,
                ChannelEvent::Rejoined { reply } => {
                    let reply: JoinReply = reply.as_json().context("no JSON")?.parse_into()?;
                    (self.session, self.resume) = (reply.session, reply.resume);
                    self.is_connected = true;
                }
                ChannelEvent::Ended(end) => bail!("the channel has ended: {end:?}"),
            }
        }
        Ok(())
    }
}

impl Sitting {
    /// Connects, as often as it takes, and joins; with the resume tokens of an earlier sitting.
    pub(crate) async fn begin(identity: Identity, resume: &BTreeMap<&str, String>) -> Result<Self> {
        let endpoint = format!("ws://127.0.0.1:{}/socket", identity.port);
        let end = Instant::now() + PATIENCE;
        loop {
            let token = Some(identity.token.clone());
            let options = Options { token, reconnect: Reconnect::Backoff, ..Options::default() };
            if let Ok(socket) = Socket::connect(&endpoint, options).await
                && let Some(seats) = sit(&socket, resume).await
            {
                return Ok(Self { identity, socket, seats });
            }
            if Instant::now() > end {
                bail!("the server is not back");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Loses the connection without a goodbye; returns what it could be resumed with.
    pub(crate) async fn lose(self) -> (Identity, BTreeMap<&'static str, String>) {
        self.socket.abort().await;
        let seats = self.seats.into_iter();
        (self.identity, seats.map(|(topic, seat)| (topic, seat.resume)).collect())
    }

    /// Who one was last on a topic, connected or not.
    pub(crate) fn last_session(&mut self, topic: &str) -> Result<String> {
        let seat = self.seats.get_mut(topic).context("a topic that is not joined")?;
        seat.listen()?;
        Ok(seat.session.clone())
    }

    /// Who one is on a topic, once connected.
    pub(crate) async fn session(&mut self, topic: &str) -> Result<String> {
        let seat = self.seats.get_mut(topic).context("a topic that is not joined")?;
        let end = Instant::now() + PATIENCE;
        loop {
            seat.listen()?;
            if seat.is_connected {
                return Ok(seat.session.clone());
            }
            if Instant::now() > end {
                bail!("the server is not back");
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn call(&mut self, topic: &str, ask: Ask) -> Result<Heard> {
        let seat = self.seats.get(topic).context("a topic that is not joined")?;
        let channel = &seat.channel;
        let heard = match ask {
            Ask::Acquire => {
                let reply = channel.request("pen_acquire", &PenAcquire::default()).await;
                reply.map(|reply: PenAcquireReply| match reply.granted {
                    true => own(&reply.pen),
                    false => Ok(Outcome::Held),
                })
            }
            Ask::Renew(fence) => {
                let held = PenHeld { fence: protocol::Fence(fence.0) };
                let reply = channel.request("pen_renew", &held).await;
                reply.map(|reply: PenReply| own(&reply.pen))
            }
            Ask::Release(fence) => {
                let held = PenHeld { fence: protocol::Fence(fence.0) };
                let reply = channel.request("pen_release", &held).await;
                reply.map(|_: PenReply| Ok(Outcome::Done))
            }
            Ask::TakeOver => {
                let reply = channel.request("pen_take_over", &PenReason::default()).await;
                reply.map(|reply: PenTakeOverReply| match reply.draining_until {
                    Some(until) => Ok(Outcome::Draining(StoreMs(until))),
                    None => own(&reply.pen),
                })
            }
            ask => return self.identity.call(topic, ask).await,
        };
        Ok(match heard {
            Ok(outcome) => Heard::Answer(outcome?),
            Err(PushError::Disconnected | PushError::Timeout) => Heard::Nothing,
            Err(error) => match error.code() {
                Some("lease_lost") => Heard::Answer(Outcome::Lost),
                Some("pen_held") => Heard::Answer(Outcome::Held),
                Some("unavailable") => Heard::Nothing,
                Some("rate_limited" | "unmatched_topic") => Heard::NotSent,
                _ => return Err(error.into()),
            },
        })
    }
}

async fn sit(
    socket: &Socket,
    resume: &BTreeMap<&str, String>,
) -> Option<BTreeMap<&'static str, Seat>> {
    let mut seats = BTreeMap::new();
    for topic in TOPICS {
        let resume = resume.get(topic).cloned();
        let join = JoinPayload { resume, ..JoinPayload::default() };
        let (channel, reply) = socket.join(topic, join).await.ok()?;
        let JoinReply { session, resume, .. } = reply;
        seats.insert(topic, Seat { channel, session, resume, is_connected: true });
    }
    Some(seats)
}
