//! What a driver tells a shard.

use bytes::Bytes;
use penholder_presence::{Activity, Incarnation, Key, Kind, Mode, MonoMs, SessionId, WallMs};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{Encoded, EventName, Json, PresenceMode, Ref, Since, TopicName, Wire};

use crate::{AtJoin, Audience, News, PenReply, PenRequest, Reading, Source};

/// The present time on both clocks. Failure detection uses the one that cannot be set, people are
/// shown the one on the wall, and neither is ever computed from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time of the monotonic clock.
    pub mono: MonoMs,
    /// Time of the wall clock.
    pub wall: WallMs,
}

/// Names one membership: one `phx_join` of one connection. Unique in a process; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// Names somebody who watches the one-line summaries of topics without joining them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(pub u64);

/// Something that happened to a shard.
#[derive(Debug)]
pub enum Input {
    /// Somebody joins a topic. Authorised by the driver.
    Join(Box<Join>),
    /// A member leaves. With a reference: it asked to, and gets an answer.
    Leave {
        /// Who leaves.
        member: MemberId,
        /// The reference of the `phx_leave`.
        reference: Option<Ref>,
    },
    /// The connection of a member ended without a goodbye; its session is kept for `grace`.
    Lost(MemberId),
    /// A member has lost the right to be here: its channel is closed.
    Expel(MemberId),
    /// A member has lost the right to edit: it stays, as one that only views.
    Demote(MemberId),
    /// A fresh token tells anew who a member is: what others are shown, never the key.
    Identify {
        /// Who.
        member: MemberId,
        /// The person, as the token describes it now.
        viewer: Viewer,
    },
    /// A member's queue has dropped presence frames and has room again.
    Resync(MemberId),
    /// The driver has something to say to a member: it comes after what the shard has said before,
    /// the answer to its join above all.
    Tell {
        /// To whom.
        member: MemberId,
        /// The frame, encoded for the member's wire.
        body: Encoded,
    },
    /// A member pushes a request. Authorised by the driver.
    Push(Push),
    /// Somebody outside publishes on a topic.
    Publish {
        /// Where.
        topic: TopicName,
        /// What.
        broadcast: Broadcast,
    },
    /// An administrator removes a session from a topic, wherever it is.
    Kick {
        /// Where.
        topic: TopicName,
        /// Whom.
        session: SessionId,
    },
    /// Somebody wants the row of each of these topics, now and after each change.
    Watch {
        /// Who watches.
        watcher: WatcherId,
        /// What is watched; topics of this shard only.
        topics: Vec<TopicName>,
    },
    /// A watcher is gone.
    Unwatch(WatcherId),
    /// What the store says of a topic.
    News {
        /// Which.
        topic: TopicName,
        /// Where the events come from.
        source: Source,
        /// What has happened, in order.
        news: Vec<News>,
        /// The answer to whoever asked.
        reply: Option<PenReply>,
    },
    /// A topic may have got to this event, of which nobody knows whether it was told.
    At {
        /// Which.
        topic: TopicName,
        /// Its number for the staff.
        seq: u64,
    },
    /// A topic was read for those who watch it.
    Read {
        /// Which.
        topic: TopicName,
        /// With its pen.
        reading: Reading,
    },
    /// A message of the same shard on another replica. Any bytes are allowed.
    Bus(Bytes),
    /// An event that the same shard on another replica passes on. Any bytes are allowed.
    Relayed(Bytes),
    /// This replica is about to stop: the others keep its sessions for `grace`, in which their clients
    /// come back elsewhere.
    Retire,
    /// A deadline has passed.
    Tick,
}

/// A `phx_join`, checked and completed by the driver.
#[derive(Debug)]
pub struct Join {
    /// The new membership.
    pub member: MemberId,
    /// How frames to this member are encoded.
    pub wire: Wire,
    /// In which shape broadcasts come to this member.
    pub dialect: Dialect,
    /// What is joined.
    pub topic: TopicName,
    /// The `join_ref` of the channel.
    pub join_ref: Option<Ref>,
    /// The reference to answer.
    pub reference: Option<Ref>,
    /// The membership of the same socket and topic that this one takes the place of.
    pub replaces: Option<MemberId>,
    /// Who joins, from the token.
    pub viewer: Viewer,
    /// Whether the session may edit, after the token's rights.
    pub mode: Mode,
    /// Whether it is shown and whether it sees.
    pub presence: PresenceMode,
    /// What the client says of itself: a JSON object without the names that the server stamps.
    pub custom: Bytes,
    /// The name of the session, should none be resumed. Random, by the driver.
    pub session: SessionId,
    /// The claim of a verified resume token of this person and topic.
    pub resume: Option<ResumeClaim>,
    /// Where the client stopped listening.
    pub since: Option<Since>,
    /// Whom it hears as.
    pub audience: Audience,
    /// What was read of the topic.
    pub stream: AtJoin,
}

/// The person behind a session.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Under which key the person is shown: the token's subject, unless the client may choose.
    pub key: Key,
    /// Human or AI.
    pub kind: Kind,
    /// What others are shown of the person: a `UserCard` as JSON.
    pub profile: Bytes,
}

/// What a resume token says. Signed by the driver, so that a client can neither make nor change one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeClaim {
    /// The topic of the session.
    pub topic: TopicName,
    /// The person of the session.
    pub key: Key,
    /// The session.
    pub session: SessionId,
    /// When it first joined.
    pub joined_at: WallMs,
    /// Counts the tokens given for this session; only the newest takes over a live session.
    pub generation: u32,
    /// The life of the replica that gave the token.
    pub incarnation: Incarnation,
}

/// Turns a claim into a resume token. A pure function: the same claim gives the same token.
pub trait SignResume: Send {
    /// Signs `claim`.
    fn sign(&self, claim: &ResumeClaim) -> String;
}

impl<F: Fn(&ResumeClaim) -> String + Send> SignResume for F {
    fn sign(&self, claim: &ResumeClaim) -> String {
        self(claim)
    }
}

/// A request of a member.
#[derive(Debug)]
pub struct Push {
    /// Who asks.
    pub member: MemberId,
    /// The reference to answer; nobody is answered without one.
    pub reference: Option<Ref>,
    /// What is asked.
    pub request: Request,
}

/// What a member can ask of its topic.
#[derive(Debug)]
pub enum Request {
    /// `presence_update`.
    Presence(PresenceChange),
    /// `typing`: on or off.
    Typing(Typing),
    /// `broadcast`.
    Broadcast(Broadcast, Echo),
    /// To be shown from now on, with this about the session, and to see who else is.
    Track(Bytes),
    /// To be hidden from now on.
    Untrack,
    /// Something about the pen.
    Pen(PenRequest),
}

/// Whether somebody types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// Begins, or goes on.
    On,
    /// Begins, or goes on, and the staff alone is told: what is written is a note.
    ForStaff,
    /// Ends, whoever was told.
    Off,
}

/// Whether a broadcast comes back to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It does.
    ToSelf,
    /// It goes to the others only.
    Others,
}

/// A `presence_update`: what is given replaces what was, the rest stays.
#[derive(Debug, Default)]
pub struct PresenceChange {
    /// A new object about the session.
    pub custom: Option<Bytes>,
    /// What the person does.
    pub activity: Option<Activity>,
    /// Whether there is unsaved work.
    pub unsaved: Option<bool>,
    /// Whether the tab is visible.
    pub visible: Option<bool>,
    /// Whether the person has touched keyboard or pointer.
    pub input: Option<InputSeen>,
}

/// The person has touched keyboard or pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSeen;

/// An event that an application publishes. It is not stored.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// The event's name, not a reserved one.
    pub event: EventName,
    /// What it carries.
    pub payload: Content,
}

/// What a broadcast carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// A JSON text.
    Json(Json),
    /// Bytes, sent as a binary broadcast to those whose wire has one.
    Binary(Bytes),
}
