//! What a shard tells its driver.

use bytes::Bytes;
use penholder_presence::{Incarnation, PeerEvent, Recipient};
use penholder_protocol::{Encoded, TopicRow};

use crate::{MemberId, PenAsk, WatcherId};

/// An effect that a driver performs.
#[derive(Debug)]
pub enum Output {
    /// Queue this frame to each of these members, in this order.
    Deliver {
        /// To whom; never empty, nobody twice.
        to: Vec<MemberId>,
        /// The frame.
        frame: Frame,
    },
    /// This membership is over. No later output names the member.
    Departed {
        /// Whose.
        member: MemberId,
        /// Why.
        departure: Departure,
    },
    /// Send a message to the same shard on other replicas. It may be lost.
    Publish {
        /// To whom.
        to: Recipient,
        /// The message.
        message: Bytes,
    },
    /// Pass an event on to the same shard on other replicas, where it is an
    /// [`Input::Relayed`](crate::Input::Relayed). It may be lost; nothing makes up for it.
    Relay {
        /// To whom.
        to: Recipient,
        /// The event.
        message: Bytes,
    },
    /// Something is thought anew of another replica: log and count it.
    Peer(PeerEvent),
    /// Another process runs under this replica's name and came later: this one has to stop.
    Superseded {
        /// The life that took its place.
        by: Incarnation,
    },
    /// Ask the store of pens. The answer may come late or never.
    Pen(PenAsk),
    /// The row of a topic, new or changed, for each of these watchers.
    Row {
        /// For whom; never empty.
        to: Vec<WatcherId>,
        /// The row.
        row: TopicRow,
    },
}

/// Why a membership is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The member left, or its connection ended.
    Left,
    /// Another connection resumed its session, or joined again on the same socket.
    Replaced,
    /// An administrator removed it, or it lost its rights.
    Expelled,
}

/// A frame on its way to a connection. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The encoded frame.
    pub body: Encoded,
    /// What may be done with it when the receiver is slow.
    pub class: Class,
}

/// What a frame means to a receiver who is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Must arrive: replies, events, broadcasts.
    Vital,
    /// A change of presence; can be dropped when a snapshot follows.
    Presence,
    /// The whole presence of a topic; makes up for everything dropped before it.
    Snapshot,
}
