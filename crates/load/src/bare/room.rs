//! Topics: who is on them, and what they have been told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use penholder_protocol::encode::{self, Message};
use penholder_protocol::{
    Activity, ClientMeta, Encoded, Json, Kind, MetaStamp, Mode, Role, Status, UserCard, Wire,
    encode_meta, presence_diff, presence_state,
};
use tokio::sync::mpsc::Sender;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// How long changes are gathered, as Penholder does by default.
const WINDOW: Duration = Duration::from_millis(20);

/// All topics.
#[derive(Clone, Default)]
pub(crate) struct Rooms {
    rooms: Arc<Mutex<HashMap<String, Arc<Room>>>>,
    next: Arc<AtomicU64>,
}

/// One topic.
struct Room {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By number, so in the order in which they came.
    members: BTreeMap<u64, Member>,
    /// Those of whom others had been told.
    left: Vec<Shown>,
    is_due: bool,
}

/// Somebody's place on a topic; dropping it leaves.
pub(crate) struct Seat {
    number: u64,
    room: Arc<Room>,
}

struct Member {
    shown: Shown,
    /// None once it was full.
    outbox: Option<Sender<Utf8Bytes>>,
    /// Whether it has the list, and the others know of it.
    is_told: bool,
}

/// A person as the others see them.
#[derive(Clone)]
struct Shown {
    key: Arc<str>,
    meta: Arc<[u8]>,
}

impl Rooms {
    /// Puts somebody on a topic; the others are told at the end of the window.
    pub(crate) fn join(&self, topic: &str, user: &str, outbox: Sender<Utf8Bytes>) -> Seat {
        let room = {
            let mut rooms = self.rooms.lock();
            let new = || Arc::new(Room { name: topic.to_owned(), state: Mutex::default() });
            Arc::clone(rooms.entry(topic.to_owned()).or_insert_with(new))
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let shown = Shown { key: user.into(), meta: meta(user, number).into() };
        let member = Member { shown, outbox: Some(outbox), is_told: false };
        room.state.lock().members.insert(number, member);
        room.mark();
        Seat { number, room }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        {
            let mut state = self.room.state.lock();
            let Some(member) = state.members.remove(&self.number) else { return };
            if member.is_told {
                state.left.push(member.shown);
            }
        }
        self.room.mark();
    }
}

impl Seat {
    /// Sends an event to all others.
    pub(crate) fn publish(&self, event: &str, payload: &Json) {
        let frame = self.room.frame(event, payload);
        let mut state = self.room.state.lock();
        for (_, member) in state.members.iter_mut().filter(|(number, _)| **number != self.number) {
            send(member, &frame);
        }
    }
}

impl Room {
    fn frame(&self, event: &str, payload: &Json) -> Utf8Bytes {
        let message = Message { topic: &self.name, event, payload };
        text(encode::broadcast(Wire::V2, &message))
    }

    /// Sees to it that changes are told at the end of the window.
    fn mark(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state.lock().is_due, true) {
            return;
        }
        let room = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(WINDOW).await;
            room.flush();
        });
    }

    /// Sends the list to those who have come, and what has changed to the others.
    fn flush(&self) {
        let mut state = self.state.lock();
        state.is_due = false;
        let left = std::mem::take(&mut state.left);
        let entry = |shown: &Shown| (Arc::clone(&shown.key), Arc::clone(&shown.meta));
        let joined = state.members.values().filter(|member| !member.is_told);
        let joins: Vec<_> = joined.map(|member| entry(&member.shown)).collect();
        let diff = presence_diff(joins.iter().cloned(), left.iter().map(entry));
        let list = presence_state(state.members.values().map(|member| entry(&member.shown)));
        let diff = self.frame("presence_diff", &diff);
        let list = self.frame("presence_state", &list);
        for member in state.members.values_mut() {
            let is_told = std::mem::replace(&mut member.is_told, true);
            send(member, if is_told { &diff } else { &list });
        }
    }
}

/// A text frame, checked once for all who get it.
pub(crate) fn text(frame: Encoded) -> Utf8Bytes {
    match frame {
        Encoded::Text(bytes) => Utf8Bytes::try_from(bytes).unwrap_or_default(),
        Encoded::Binary(_) => Utf8Bytes::default(),
    }
}

/// A full queue, or one whose connection has ended, is let go of; the connection sees it and ends.
fn send(member: &mut Member, frame: &Utf8Bytes) {
    if let Some(outbox) = &member.outbox
        && outbox.try_send(frame.clone()).is_err()
    {
        member.outbox = None;
    }
}

/// A meta with the fields of those of Penholder, and as long.
fn meta(user: &str, number: u64) -> Vec<u8> {
    let card = UserCard {
        id: user.to_owned(),
        name: user.to_owned(),
        role: Role::Agent,
        kind: Kind::Human,
        avatar: None,
    };
    let stamp = MetaStamp {
        phx_ref: &format!("{number:018}"),
        phx_ref_prev: None,
        joined_at: 1_767_225_600_000,
        session: &format!("{number:036}"),
        user: &Json::of(&card),
        mode: Mode::Edit,
        status: Status::Active,
        activity: Activity::Viewing,
        unsaved: false,
        idle_since: None,
    };
    let mut meta = Vec::new();
    encode_meta(&stamp, ClientMeta::empty().as_json(), &mut meta);
    meta
}
