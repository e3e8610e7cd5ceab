//! Durable events as they go through a shard: numbered and kept by the store, told to each audience in its own
//! numbers. How they are told stands in `telling.rs`.

use std::sync::Arc;

use penholder_lease::{Event, InQueue, Pen};
use penholder_protocol::{Json, Namespace, TopicName};
use serde::{Deserialize, Serialize};

/// Most bytes of the events that whoever comes back is told at once: they fit into half of what is queued for a
/// socket, with room for the answer. It would be closed for being slow otherwise, and come back for the same again.
pub(crate) const MISSED_BYTES_MAX: usize = 96 * 1024;

/// Who hears what of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Those who work here: everything.
    Staff,
    /// Everybody else: all but what is the staff's alone. On most topics that is everything, too.
    Public,
}

impl Audience {
    pub(crate) const ALL: [Self; 2] = [Self::Staff, Self::Public];
}

/// A place in a topic's stream: behind so many events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// How many there were: the number of the last for the staff.
    pub seq: u64,
    /// How many of them were the staff's alone.
    pub staff_only: u64,
}

impl Position {
    /// The number of the last event for an audience.
    #[must_use]
    pub fn number(self, audience: Audience) -> u64 {
        match audience {
            Audience::Staff => self.seq,
            Audience::Public => self.seq.saturating_sub(self.staff_only),
        }
    }

    /// The place behind one more event.
    pub(crate) fn behind(self, news: &News) -> Self {
        let seq = news.seq();
        let staff_only = match news {
            News::Pen(_) => self.staff_only,
            News::Ticket(TicketNews { public: Some((number, _)), .. }) => {
                seq.saturating_sub(*number)
            }
            News::Ticket(TicketNews { public: None, .. }) => self.staff_only + 1,
        };
        Self { seq, staff_only }
    }

    /// The place before an event, as far as it shows from the event alone.
    pub(crate) fn before(topic: &TopicName, news: &News) -> Option<Self> {
        let seq = news.seq().saturating_sub(1);
        match news {
            News::Ticket(TicketNews { seq: told, public: Some((number, _)), .. }) => {
                Some(Self { seq, staff_only: told.saturating_sub(*number) })
            }
            // Elsewhere nothing is the staff's alone.
            _ if topic.namespace() != Namespace::Tickets => Some(Self { seq, staff_only: 0 }),
            _ => None,
        }
    }
}

/// A durable event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Something has happened to the pen.
    Pen(PenNews),
    /// Something has happened to a ticket.
    Ticket(TicketNews),
}

/// An event of a pen with its number in the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PenNews {
    /// The number for the staff.
    pub seq: u64,
    /// What has happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An event of a ticket, as each audience is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketNews {
    /// The number for the staff.
    pub seq: u64,
    /// What it is called.
    pub name: String,
    /// What the staff is told, with that number in it.
    pub staff: Json,
    /// The number for the public, and what it is told; none when it is the staff's alone.
    pub public: Option<(u64, Json)>,
    /// Whether the topic goes on after it.
    pub then: Then,
}

/// What becomes of a topic after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// It goes on.
    GoesOn,
    /// It ends: what it was about is gone.
    Ends,
}

impl News {
    /// Its number for the staff.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Pen(news) => news.seq,
            Self::Ticket(news) => news.seq,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Pen(_) => "pen",
            Self::Ticket(news) => &news.name,
        }
    }

    /// What an audience is told of it; `at` is the place behind it. Nothing, when it is not for them.
    #[must_use]
    pub fn payload(&self, audience: Audience, at: Position) -> Option<Json> {
        match (self, audience) {
            (Self::Ticket(news), Audience::Staff) => Some(news.staff.clone()),
            (Self::Ticket(news), Audience::Public) => {
                news.public.as_ref().map(|(_, payload)| payload.clone())
            }
            (Self::Pen(PenNews { event, .. }), _) => {
                /// [`PenNews`], with the number of who is told.
                #[derive(Serialize)]
                struct Told<'a> {
                    seq: u64,
                    #[serde(flatten)]
                    event: &'a Event,
                }
                Some(Json::of(&Told { seq: at.number(audience), event }))
            }
        }
    }

    /// What it takes to keep it. Unit: bytes.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Ticket(TicketNews { staff, public, .. }) => {
                staff.as_bytes().len() + public.as_ref().map_or(0, |it| it.1.as_bytes().len())
            }
            Self::Pen(PenNews { event, .. }) => {
                let said = event.reason.as_ref().map_or(0, String::len);
                size_of_val(self) + said + event.pen.queue.len() * size_of::<InQueue>()
            }
        }
    }

    pub(crate) fn is_for_all(&self) -> bool {
        !matches!(self, Self::Ticket(TicketNews { public: None, .. }))
    }

    pub(crate) fn then(&self) -> Then {
        match self {
            Self::Pen(_) => Then::GoesOn,
            Self::Ticket(news) => news.then,
        }
    }
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// They have just been written.
    Store,
    /// They were read from the log, and follow this place: what is missing before it is lost for good.
    Log(Position),
}

/// A part of a topic's stream, without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub after: Position,
    /// What follows, in order.
    pub news: Vec<News>,
}

impl Stretch {
    /// What it takes to keep it. Unit: bytes.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.news.iter().map(News::cost).sum()
    }

    /// The end of it that whoever comes back can be told: what is more is not told in part.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let mut bytes = self.cost();
        // Both audiences have as much.
        let surplus = self.news.iter().take_while(|news| {
            let is_surplus = bytes > 2 * MISSED_BYTES_MAX;
            bytes -= news.cost();
            is_surplus
        });
        let count = surplus.count();
        self.after = self.news.drain(..count).fold(self.after, |at, news| at.behind(&news));
        self
    }
}

/// A topic as the store had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where its stream was, or a little before.
    pub at: Position,
    /// Its pen.
    pub pen: Pen,
}

/// What was read of a topic for a join.
#[derive(Clone, Debug, Default)]
pub enum AtJoin {
    /// Nothing is kept here.
    #[default]
    None,
    /// The store is away.
    Away,
    /// The topic, and its last events up to there or further, where the client said since when.
    Read {
        /// The topic.
        reading: Reading,
        /// The last events, shared by all who come back together.
        lately: Option<Arc<Stretch>>,
    },
}

impl AtJoin {
    pub(crate) fn reading(&self) -> Option<&Reading> {
        match self {
            Self::Read { reading, .. } => Some(reading),
            Self::None | Self::Away => None,
        }
    }
}
