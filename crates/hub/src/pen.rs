//! Where presence and the pen meet: who asks for it, who is still there to keep it, who is told.
//!
//! The store decides; a shard asks it by [`Output::Pen`](crate::Output::Pen) and is told by
//! [`Input::News`](crate::Input::News). What it knows of a pen is what it was told last, good enough to show and
//! to know whom to renew, and never enough to grant anything.
//!
//! - What was read before a join never replaces what was told since (`a_stale_reading_loses_to_news`).
//! - Whoever holds a pen is renewed while connected, with the span since their last input, which the store
//!   judges (`a_connected_holder_is_renewed_in_time`).

mod people;

use penholder_lease::{
    Answer, Claimant, Command, Event, Fence, Pen, Person, Recipient, SessionId as Name, Terms,
};
use penholder_presence::{Mode, MonoMs, SessionId, Signal};
use penholder_protocol::{ErrorCode, ErrorReply, Json, PersonBrief, Ref, TopicName, UserCard};

pub use self::people::{brief, claimant};

use crate::hub::{Hub, Timer};
use crate::stream::Stream;
use crate::{Join, MemberId, Now, Output, Reading};

/// How often a holder is renewed within a time to live: two may be lost.
const RENEWALS_PER_TTL: u64 = 3;

/// How often input hastens a renewal, at most. Unit: milliseconds.
const HASTE_MS: u64 = 1_000;

/// What a session asks of its topic's pen. Checked and authorised by the driver.
#[derive(Debug)]
pub enum PenRequest {
    /// To have it.
    Acquire(Terms),
    /// To keep it.
    Renew(Fence),
    /// To give it back.
    Release(Fence),
    /// That the holder gives way.
    Request {
        /// What the person says.
        reason: Option<String>,
    },
    /// To answer whoever asked.
    Answer {
        /// The fence that the session holds.
        fence: Fence,
        /// What.
        reply: HolderReply,
        /// What the person says.
        reason: Option<String>,
    },
    /// To take it over.
    TakeOver {
        /// What the person says.
        reason: Option<String>,
    },
    /// To leave a draft, or to fetch it.
    Draft(Option<String>),
}

/// What a holder says to whoever asked.
#[derive(Debug)]
pub enum HolderReply {
    /// Gives it to this session or person, or to whoever asked first.
    HandOver(Option<String>),
    /// Keeps it.
    Decline,
}

/// A question to the store of pens, in order with all others of the topic.
#[derive(Debug)]
pub struct PenAsk {
    /// Whose pen.
    pub topic: TopicName,
    /// What is asked.
    pub task: PenTask,
    /// Who waits for the answer.
    pub asker: Option<PenAsker>,
}

/// A member that waits for an answer.
#[derive(Clone, Debug)]
pub struct PenAsker {
    /// Who.
    pub member: MemberId,
    /// The reference to answer; nobody is answered without one.
    pub reference: Option<Ref>,
}

/// What the store of pens is asked.
#[derive(Debug)]
pub enum PenTask {
    /// A command; the answer is [`Input::News`](crate::Input::News).
    Obey(Command),
    /// A holder who is connected keeps the pen.
    Renew {
        /// The holder's session.
        session: Name,
        /// The holder's fence.
        fence: Fence,
        /// How long ago there was input.
        input_ms_ago: u64,
    },
    /// A draft to leave, or none: to fetch the one there is.
    Draft {
        /// Who leaves or fetches it.
        person: Person,
        /// The draft.
        draft: Option<String>,
    },
    /// What the pen is, and where the topic; the answer is [`Input::Read`](crate::Input::Read).
    Read,
    /// The topic's events after this number; the answer is [`Input::News`](crate::Input::News), from the log.
    Follow(u64),
}

/// An answer of the store for a member.
#[derive(Debug)]
pub struct PenReply {
    /// Whom it is for.
    pub asker: PenAsker,
    /// The response, or why not.
    pub result: Result<Json, ErrorReply>,
}

/// What a shard knows of a topic's pen.
#[derive(Debug)]
pub(crate) struct KnownPen {
    pub(crate) pen: Pen,
    ttl_ms: u64,
    /// When the deadline was last moved, as far as is known here.
    prolonged_at: MonoMs,
    asked_at: MonoMs,
    /// The one entry among the hub's timers.
    pub(crate) renew_at: Option<MonoMs>,
}

impl KnownPen {
    fn new(now: Now, pen: Pen) -> Self {
        let (prolonged_at, asked_at) = (now.mono, MonoMs(0));
        Self { pen, ttl_ms: 0, prolonged_at, asked_at, renew_at: None }
    }

    fn is_held_by(&self, id: &SessionId) -> bool {
        self.pen.session.as_ref().is_some_and(|session| session.as_str() == id.as_str())
    }

    pub(crate) fn holder(&self) -> Option<PersonBrief> {
        let holder = self.pen.holder.as_ref()?;
        Some(brief(holder))
    }
}

impl Hub {
    /// Passes a request on to the store; whoever may only view is refused.
    pub(crate) fn request_pen(
        &mut self,
        now: Now,
        asker: PenAsker,
        request: PenRequest,
    ) -> Result<(), ErrorCode> {
        let member = self.members.get(&asker.member).ok_or(ErrorCode::UnmatchedTopic)?;
        let (topic, id) = (member.topic.clone(), member.session.clone());
        let claimant = self.claimant(&id).ok_or(ErrorCode::UnmatchedTopic)?;
        if self.sessions.get(&id).is_none_or(|session| session.mode == Mode::View) {
            return Err(ErrorCode::Forbidden);
        }
        let renews = matches!(request, PenRequest::Renew(_));
        if !renews && !matches!(request, PenRequest::Draft(_)) {
            // To ask for a pen, or to answer, is as good as a touch of the keyboard.
            self.signal(now, &id, &[Signal::Input]);
        }
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::UnmatchedTopic)?;
        session.claims_pen = true;
        let input_ms_ago = now.mono.since(session.liveness.last_input());
        let name = claimant.session.clone();
        let task = match request {
            PenRequest::Acquire(terms) => PenTask::Obey(Command::Acquire { claimant, terms }),
            PenRequest::Renew(fence) => PenTask::Renew { session: name, fence, input_ms_ago },
            PenRequest::Release(fence) => PenTask::Obey(Command::Release { session: name, fence }),
            PenRequest::Request { reason } => PenTask::Obey(Command::Request { claimant, reason }),
            PenRequest::Answer { fence, reply, reason } => {
                let answer = self.holder_answer(&topic, reply);
                PenTask::Obey(Command::Answer { session: name, fence, answer, reason })
            }
            PenRequest::TakeOver { reason } => {
                PenTask::Obey(Command::TakeOver { claimant, reason })
            }
            PenRequest::Draft(draft) => PenTask::Draft { person: claimant.person, draft },
        };
        self.outputs.push_back(Output::Pen(PenAsk { topic, task, asker: Some(asker) }));
        Ok(())
    }

    /// To whom a holder gives way: who is named may be here without waiting.
    fn holder_answer(&self, topic: &TopicName, reply: HolderReply) -> Answer {
        let HolderReply::HandOver(to) = reply else { return Answer::Decline };
        let Some(name) = to else { return Answer::HandOver(Recipient::Asker) };
        let seats = self.members.values().filter(|member| member.topic == *topic);
        let editors = seats.filter_map(|member| {
            let session = self.sessions.get(&member.session)?;
            let claimant = self.claimant(&member.session)?;
            let is_meant = claimant.session.as_str() == name || claimant.person.id.as_str() == name;
            (is_meant && session.mode == Mode::Edit).then_some((session.joined_at, claimant))
        });
        let earliest = editors.min_by(|(a, one), (b, other)| (a, one).cmp(&(b, other)));
        let recipient =
            earliest.map_or(Recipient::Waiting(name), |(_, claimant)| Recipient::Anybody(claimant));
        Answer::HandOver(recipient)
    }

    fn claimant(&self, id: &SessionId) -> Option<Claimant> {
        let session = self.sessions.get(id)?;
        let card: UserCard = crate::encode::text(&session.viewer.profile).parse_into().ok()?;
        Some(claimant(Name::from(id.as_str()), card))
    }

    /// Learns what has become of a pen.
    pub(crate) fn know_pen(&mut self, now: Now, topic: &TopicName, event: &Event) {
        let Some(room) = self.rooms.get_mut(topic) else { return };
        let old = room.pen.take();
        let planned = old.as_ref().and_then(|old| old.renew_at);
        let holder_before = old.as_ref().and_then(KnownPen::holder);
        let moved_on = old.as_ref().is_none_or(|old| old.pen.deadline != event.pen.deadline);
        let mut known = KnownPen::new(now, event.pen.clone());
        known.renew_at = planned;
        if let Some(old) = old {
            (known.ttl_ms, known.asked_at) = (old.ttl_ms, old.asked_at);
            if !moved_on {
                known.prolonged_at = old.prolonged_at;
            }
        }
        let is_prolonged = event.kind.is_grant()
            || matches!(
                event.kind,
                penholder_lease::EventKind::Renewed | penholder_lease::EventKind::Resumed
            );
        if is_prolonged {
            let deadline = known.pen.deadline;
            known.ttl_ms = deadline.map_or(0, |deadline| deadline.0.saturating_sub(event.at.0));
        }
        let is_news = holder_before != known.holder();
        let session = known.pen.session.clone();
        let ttl_ms = known.ttl_ms;
        room.pen = Some(known);
        let is_watched = !room.watchers.is_empty();
        if is_news && !is_watched {
            room.forget_row();
        }
        if let Some(session) = session.map(|session| SessionId::from(session.as_str()))
            && let Some(session) = self.sessions.get_mut(&session)
        {
            session.claims_pen = true;
        }
        self.plan_renewal(topic, is_prolonged.then(|| now.mono.after(ttl_ms / RENEWALS_PER_TTL)));
        if is_watched && is_news {
            self.mark(now, topic);
        }
    }

    /// Plans the renewal of a holder who is connected here, `at` or when it was planned before; forgets
    /// that of anybody else.
    fn plan_renewal(&mut self, topic: &TopicName, at: Option<MonoMs>) {
        let Some(known) = self.rooms.get_mut(topic).and_then(|room| room.pen.as_mut()) else {
            return;
        };
        let session = known.pen.session.as_ref();
        let session = session.and_then(|name| self.sessions.get(&SessionId::from(name.as_str())));
        let is_here =
            session.is_some_and(|session| session.topic == *topic && session.member.is_some());
        let next = at.or(known.renew_at).filter(|_| is_here);
        if known.renew_at == next {
            return;
        }
        let before = std::mem::replace(&mut known.renew_at, next);
        self.unplan(topic, before);
        if let Some(at) = next {
            self.timers.insert((at, Timer::Renew(topic.clone())));
        }
    }

    pub(crate) fn unplan(&mut self, topic: &TopicName, at: Option<MonoMs>) {
        if let Some(at) = at {
            self.timers.remove(&(at, Timer::Renew(topic.clone())));
        }
    }

    /// Renews a holder whose time has come.
    pub(crate) fn serve_renewal(&mut self, now: Now, topic: &TopicName) {
        let Some(known) = self.rooms.get_mut(topic).and_then(|room| room.pen.as_mut()) else {
            return;
        };
        known.renew_at = None;
        known.asked_at = now.mono;
        let (ttl_ms, fence) = (known.ttl_ms.max(HASTE_MS), known.pen.fence);
        let Some(name) = known.pen.session.clone() else { return };
        let session = self.sessions.get(&SessionId::from(name.as_str()));
        let Some(session) = session.filter(|session| session.member.is_some()) else { return };
        let input_ms_ago = now.mono.since(session.liveness.last_input());
        self.ask_pen(topic, PenTask::Renew { session: name, fence, input_ms_ago });
        // No event comes of it while the holder is idle, or the store away.
        self.plan_renewal(topic, Some(now.mono.after(ttl_ms / RENEWALS_PER_TTL)));
    }

    /// A holder has touched the thing. Where somebody waits for an answer, or the holder was idle for so
    /// long that the pen ran down, the store hears of it soon.
    pub(crate) fn hasten_renewal(&mut self, now: Now, id: &SessionId) {
        let Some(session) = self.sessions.get(id).filter(|session| session.claims_pen) else {
            return;
        };
        let topic = session.topic.clone();
        let Some(known) = self.rooms.get(&topic).and_then(|room| room.pen.as_ref()) else { return };
        let Some(planned) = known.renew_at.filter(|_| known.is_held_by(id)) else { return };
        let has_run_down = now.mono.since(known.prolonged_at) > known.ttl_ms / 2;
        if known.pen.queue.is_empty() && !has_run_down {
            return;
        }
        let soon = now.mono.max(known.asked_at.after(HASTE_MS));
        if soon < planned {
            self.plan_renewal(&topic, Some(soon));
        }
    }

    pub(crate) fn ask_pen(&mut self, topic: &TopicName, task: PenTask) {
        self.outputs.push_back(Output::Pen(PenAsk { topic: topic.clone(), task, asker: None }));
    }

    /// Somebody watches a topic: its row names the holder.
    pub(crate) fn read_pen(&mut self, topic: &TopicName) {
        if self.rooms.get(topic).is_some_and(|room| room.pen.is_none()) {
            self.ask_pen(topic, PenTask::Read);
        }
    }

    /// Takes a reading for want of anything better: what was told is at least as new, or on its way.
    pub(crate) fn take_reading(&mut self, now: Now, topic: &TopicName, reading: Reading) {
        let Some(room) = self.rooms.get_mut(topic).filter(|room| room.pen.is_none()) else {
            return;
        };
        if room.seats.is_empty() {
            room.stream.get_or_insert(Stream::behind(reading.at));
        }
        room.pen = Some(KnownPen::new(now, reading.pen));
        self.mark(now, topic);
    }

    /// Learns what was read for a join, and tells the store when it is the holder who is back.
    pub(crate) fn join_pen(&mut self, now: Now, join: &Join, id: &SessionId) {
        let Some(room) = self.rooms.get_mut(&join.topic) else { return };
        if let Some(reading) = join.stream.reading() {
            room.pen.get_or_insert_with(|| KnownPen::new(now, reading.pen.clone()));
        }
        let is_resumed = *id != join.session;
        if !is_resumed {
            return;
        }
        let person = self.claimant(id).map(|claimant| claimant.person.id);
        let known = self.rooms.get(&join.topic).and_then(|room| room.pen.as_ref());
        let is_holder = known.is_some_and(|known| known.is_held_by(id));
        let waits = known.is_some_and(|known| {
            known.pen.queue.iter().any(|waiting| Some(&waiting.id) == person.as_ref())
        });
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.claims_pen |= is_holder || waits;
        if session.claims_pen {
            let session = Name::from(id.as_str());
            self.ask_pen(&join.topic, PenTask::Obey(Command::Resume { session }));
        }
        if is_holder {
            self.plan_renewal(&join.topic, Some(now.mono));
        }
    }

    /// A session's connection is lost.
    pub(crate) fn lose_pen(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get(id).filter(|session| session.claims_pen) else {
            return;
        };
        let topic = session.topic.clone();
        let session = Name::from(id.as_str());
        self.ask_pen(&topic, PenTask::Obey(Command::Disconnect { session }));
        self.plan_renewal(&topic, None);
    }

    /// A session ends without a word to the store: its pen is another's matter.
    pub(crate) fn keep_pen(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.claims_pen = false;
        }
    }

    /// A session has ended, or may not edit any more.
    pub(crate) fn leave_pen(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if std::mem::take(&mut session.claims_pen) {
            let topic = session.topic.clone();
            let session = Name::from(id.as_str());
            self.ask_pen(&topic, PenTask::Obey(Command::Leave { session }));
        }
    }
}
