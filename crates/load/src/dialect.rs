//! What a server is spoken to in: Phoenix Channels, or Socket.IO.
//!
//! Both carry the same: a room that is joined, presence as `presence.js` folds it, and notes that one
//! client publishes and all others of the room get.

mod phoenix;
mod socketio;

use crate::note::Note;

pub(crate) use phoenix::{Phoenix, Publishing};
pub(crate) use socketio::SocketIo;

/// How to speak to a server.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    Phoenix(Phoenix),
    SocketIo(SocketIo),
}

/// What a message of the server means.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming<'a> {
    /// The server wants this said back.
    Answer(&'static str),
    /// The client may join now.
    Ready,
    /// The join was answered, with the token that a later join takes the session back with.
    Joined {
        resume: Option<String>,
    },
    /// A join or a message was refused.
    Refused(String),
    /// The membership is over without the client's doing.
    Ended,
    /// The whole list, a change of it, and what says how many there are: JSON.
    State(&'a [u8]),
    Diff(&'a [u8]),
    Summary(&'a [u8]),
    /// What another client has published.
    Note(Note),
    /// The answer to a heartbeat.
    Alive,
    /// What needs nothing done.
    Other,
}

impl Incoming<'_> {
    /// Whether it only shows that the other side is there, as comes again and again.
    pub(crate) fn is_sign_of_life(&self) -> bool {
        matches!(self, Self::Alive | Self::Answer(_))
    }
}

/// One join of one client, as frames name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat<'a> {
    pub(crate) topic: &'a str,
    pub(crate) user: &'a str,
    /// Counts the joins of the client, from 1.
    pub(crate) join: u32,
}

impl Dialect {
    /// Path and query of the handshake; `params` are encoded already.
    pub(crate) fn target(&self, path: &str, params: &str) -> String {
        match self {
            Self::Phoenix(_) => phoenix::target(path, params),
            Self::SocketIo(_) => socketio::target(path, params),
        }
    }

    /// Whether a client may join without waiting for the server's word.
    pub(crate) fn is_ready_at_once(&self) -> bool {
        matches!(self, Self::Phoenix(_))
    }

    /// Asks to join; `resume` is the token of an earlier join.
    pub(crate) fn join(&self, seat: Seat<'_>, resume: Option<&str>) -> String {
        match self {
            Self::Phoenix(phoenix) => phoenix.join(seat, resume),
            Self::SocketIo(socketio) => socketio.join(seat),
        }
    }

    /// Asks to leave.
    pub(crate) fn leave(&self, seat: Seat<'_>) -> String {
        match self {
            Self::Phoenix(_) => phoenix::leave(seat),
            Self::SocketIo(socketio) => socketio.leave(seat),
        }
    }

    /// Publishes to all others of the room.
    pub(crate) fn publish(&self, seat: Seat<'_>, note: Note) -> String {
        match self {
            Self::Phoenix(phoenix) => phoenix.publish(seat, note),
            Self::SocketIo(socketio) => socketio.publish(seat, note),
        }
    }

    /// What a client says every half minute, where it is the client who has to.
    pub(crate) fn heartbeat(&self) -> Option<&'static str> {
        matches!(self, Self::Phoenix(_)).then_some(phoenix::HEARTBEAT)
    }

    /// Reads a message to the client whose present join is `join`.
    pub(crate) fn read<'a>(&self, message: &'a [u8], join: u32) -> Incoming<'a> {
        match self {
            Self::Phoenix(phoenix) => phoenix.read(message, join),
            Self::SocketIo(socketio) => socketio.read(message, join),
        }
    }
}
