//! Relayed events as bytes.
//!
//! A version byte, and behind it [postcard](https://postcard.jamesmunns.com/wire-format) items, as in the
//! messages of presence:
//!
//! ```text
//! message   = 1:u8  name:str  incarnation  seq  topic:str  event      seq grows with each event of a life
//! event     = 0  event:str  content          Broadcast
//!           | 1  key:str  session:str  on    Typing
//!           | 2  news:str                    Pen, as JSON
//!           | 3  seq                         At: a durable event that is too long to be told
//!           | 4  session:str                 Kick
//!           | 5  seq  name:str  staff:str  public  then     Ticket, payloads as JSON
//!           | 6  key:str  session:str  on    Typing, for the staff alone
//! public    = 0 | 1  seq  payload:str
//! then      = 0 | 1                          the topic goes on, or ends
//! content   = 0  payload:str                 JSON
//!           | 1  data:bytes
//! ```
//!
//! Typing for the staff is an event of its own, so that whoever does not know it tells nobody.
//! A later version may begin in any way: whoever does not know it ignores the event.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use penholder_presence::{Incarnation, Limited, ReplicaId, SessionId};
use penholder_protocol::{
    EVENT_BYTES_MAX, EventName, Json, JsonLimits, TopicName, TypingAudience, TypingEvent,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Broadcast, Content, News, Then, TicketNews};

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// Most bytes of a message beside what an application says in it: a replica's name, a topic, the name of an
/// event, numbers.
pub(super) const RELAY_HEAD_BYTES_MAX: usize = 1_024;

/// An event on its way from one replica to others.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) from: ReplicaId,
    pub(super) seq: u64,
    pub(super) topic: TopicName,
    pub(super) event: Event,
}

#[derive(Debug)]
pub(super) enum Event {
    Broadcast(Broadcast),
    Typing(TypingEvent),
    News(Box<News>),
    /// The topic has got to this event, which is in the log.
    At(u64),
    Kick(SessionId),
}

/// Why bytes are no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum RelayError {
    /// A version that is not known here.
    #[error("version {0} of relayed events is not known")]
    UnknownVersion(u8),
    /// It ends too early.
    #[error("the event is cut off")]
    Truncated,
    /// Anything else.
    #[error("the event is malformed")]
    Malformed,
}

#[derive(Serialize, Deserialize)]
struct Message<'a> {
    name: &'a str,
    incarnation: u64,
    seq: u64,
    topic: &'a str,
    #[serde(borrow)]
    event: Kind<'a>,
}

#[derive(Serialize, Deserialize)]
enum Kind<'a> {
    Broadcast { event: &'a str, content: Body<'a> },
    Typing { key: &'a str, session: &'a str, on: bool },
    Pen(&'a str),
    At(u64),
    Kick(&'a str),
    Ticket { seq: u64, name: &'a str, staff: &'a str, public: Option<(u64, &'a str)>, then: Then },
    StaffTyping { key: &'a str, session: &'a str, on: bool },
}

#[derive(Serialize, Deserialize)]
enum Body<'a> {
    Json(&'a str),
    Binary(&'a [u8]),
}

impl Envelope {
    pub(super) fn encode(&self) -> Bytes {
        let pen;
        let event = match &self.event {
            Event::Broadcast(Broadcast { event, payload }) => {
                let content = match payload {
                    Content::Json(json) => Body::Json(json.as_str()),
                    Content::Binary(data) => Body::Binary(data),
                };
                Kind::Broadcast { event: event.as_str(), content }
            }
            Event::Typing(TypingEvent { key, session, on, audience }) => match audience {
                None => Kind::Typing { key, session, on: *on },
                Some(TypingAudience::Staff) => Kind::StaffTyping { key, session, on: *on },
            },
            Event::News(news) => match &**news {
                News::Pen(told) => {
                    pen = Json::of(told);
                    Kind::Pen(pen.as_str())
                }
                News::Ticket(TicketNews { seq, name, staff, public, then }) => {
                    let public = public.as_ref().map(|(seq, payload)| (*seq, payload.as_str()));
                    Kind::Ticket { seq: *seq, name, staff: staff.as_str(), public, then: *then }
                }
            },
            Event::At(seq) => Kind::At(*seq),
            Event::Kick(session) => Kind::Kick(session.as_str()),
        };
        let (name, incarnation) = (self.from.name.as_str(), self.from.incarnation.0);
        let topic = self.topic.as_str();
        let message = Message { name, incarnation, seq: self.seq, topic, event };
        postcard::to_extend(&message, vec![VERSION]).expect("a Vec takes every byte").into()
    }

    /// Reads an event. What it names is held to the rules for what comes from outside.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RelayError> {
        let (version, rest) = bytes.split_first().ok_or(RelayError::Truncated)?;
        if *version != VERSION {
            return Err(RelayError::UnknownVersion(*version));
        }
        let (message, rest) =
            postcard::take_from_bytes::<Message<'_>>(rest).map_err(|error| match error {
                postcard::Error::DeserializeUnexpectedEnd => RelayError::Truncated,
                _ => RelayError::Malformed,
            })?;
        let Message { name, incarnation, seq, topic, event } = message;
        if !rest.is_empty() || Limited::ReplicaName.check(name.len()).is_err() {
            return Err(RelayError::Malformed);
        }
        Ok(Self {
            from: ReplicaId::new(name, Incarnation(incarnation)),
            seq,
            topic: TopicName::parse(topic).map_err(|_| RelayError::Malformed)?,
            event: event.read().ok_or(RelayError::Malformed)?,
        })
    }
}

impl Kind<'_> {
    fn read(self) -> Option<Event> {
        Some(match self {
            Kind::Broadcast { event, content } => {
                let payload = match content {
                    Body::Json(text) => Content::Json(json(text)?),
                    Body::Binary(data) => Content::Binary(Bytes::copy_from_slice(data)),
                };
                Event::Broadcast(Broadcast { event: EventName::parse(event).ok()?, payload })
            }
            Kind::Typing { key, session, on } => Event::Typing(typing((key, session), on, None)?),
            Kind::StaffTyping { key, session, on } => {
                Event::Typing(typing((key, session), on, Some(TypingAudience::Staff))?)
            }
            Kind::Pen(news) => Event::News(Box::new(News::Pen(json(news)?.parse_into().ok()?))),
            Kind::At(seq) => Event::At(seq),
            Kind::Kick(session) => Event::Kick(session_id(session)?),
            Kind::Ticket { seq, name, staff, public, then } => {
                let public = match public {
                    // One number is of one event, so an audience is never further than all of them.
                    Some((number, _)) if number > seq => return None,
                    Some((number, text)) => Some((number, payload(text)?)),
                    None => None,
                };
                let (name, staff) = (event_name(name)?, payload(staff)?);
                Event::News(Box::new(News::Ticket(TicketNews { seq, name, staff, public, then })))
            }
        })
    }
}

fn json(text: &str) -> Option<Json> {
    Json::parse(text, &JsonLimits::default()).ok()
}

fn typing(
    (key, session): (&str, &str),
    on: bool,
    audience: Option<TypingAudience>,
) -> Option<TypingEvent> {
    Limited::Key.check(key.len()).ok()?;
    let session = session_id(session)?.as_str().to_owned();
    Some(TypingEvent { key: key.to_owned(), session, on, audience })
}

/// Reads what an event of a ticket is called.
fn event_name(name: &str) -> Option<String> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_name = (1..=EVENT_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_word);
    is_name.then(|| name.to_owned())
}

/// Reads what the other replica has put together itself.
fn payload(text: &str) -> Option<Json> {
    Json::parse(text, &JsonLimits::WIDEST).ok().filter(Json::is_object)
}

fn session_id(name: &str) -> Option<SessionId> {
    Limited::Session.check(name.len()).ok()?;
    Some(SessionId::from(name))
}
