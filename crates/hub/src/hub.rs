//! The shard itself: inputs in, outputs out, deadlines pulled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use penholder_presence::{
    Diff, Joining, Keep, Liveness, MonoMs, Outcome, PeerEvent, Recheck, Replica, ReplicaInput,
    ReplicaOutput, SessionId, Signal, Topic,
};
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::{Encoded, ErrorCode, ErrorReply, Json, Ref, TopicName};

use crate::relay::Relay;
use crate::room::{Room, Seat};
use crate::session::{Session, Shown};
use crate::stream::{Lately, Passed};
use crate::{
    Class, Config, Departure, Frame, Input, MemberId, Now, Output, SignResume, Tally, WatcherId,
};

/// One shard. See the crate's documentation for how to drive it.
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) sign: Box<dyn SignResume>,
    pub(crate) replica: Replica,
    pub(crate) rooms: BTreeMap<TopicName, Room>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) members: BTreeMap<MemberId, Membership>,
    watched: BTreeMap<WatcherId, BTreeSet<TopicName>>,
    pub(crate) timers: BTreeSet<(MonoMs, Timer)>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) started: MonoMs,
    /// Sessions that ended while tokens of earlier lives still count.
    pub(crate) ended: BTreeSet<SessionId>,
    pub(crate) tally: Tally,
    pub(crate) relay: Relay,
    pub(crate) lately: Lately,
    pub(crate) passed: Passed,
}

/// Where a member sits.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) topic: TopicName,
    pub(crate) session: SessionId,
}

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Flush(TopicName),
    Renew(TopicName),
    Follow(TopicName),
    Session(SessionId),
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("replica", &self.config.replica)
            .field("rooms", &self.rooms.len())
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// Creates an empty shard, whose life begins `now`. `sign` makes the resume tokens of its sessions.
    #[must_use]
    pub fn new(config: Config, sign: impl SignResume + 'static, now: Now) -> Self {
        let Config { gossip, replica, seeds, .. } = config.clone();
        let mut hub = Self {
            replica: Replica::new(gossip, replica, seeds, now.mono),
            config,
            sign: Box::new(sign),
            rooms: BTreeMap::new(),
            sessions: BTreeMap::new(),
            members: BTreeMap::new(),
            watched: BTreeMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            started: now.mono,
            ended: BTreeSet::new(),
            tally: Tally::default(),
            relay: Relay::default(),
            lately: Lately::default(),
            passed: Passed::new(now.mono),
        };
        hub.perform(now);
        hub
    }

    /// Takes one input. Deadlines that have passed by `now` are served first, but for [`Input::Bus`] and
    /// [`Input::Relayed`]: so messages of other replicas that wait are to be handed in before anything else.
    ///
    /// An input that names a member that is gone is ignored: its departure is on the way.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.passed.tick(now.mono);
        match input {
            Input::Bus(message) => self.take_message(now, &message),
            Input::Relayed(message) => self.take_relayed(now, &message),
            input => self.take(now, input),
        }
    }

    fn take(&mut self, now: Now, input: Input) {
        self.serve_deadlines(now);
        match input {
            Input::Join(join) => self.join(now, &join),
            Input::Leave { member, reference } => self.leave(now, member, reference.as_ref()),
            Input::Lost(member) => self.lose(now, member),
            Input::Expel(member) => self.expel(now, member),
            Input::Demote(member) => self.demote(now, member),
            Input::Identify { member, viewer } => self.identify(now, member, viewer),
            Input::Resync(member) => self.resync(now, member),
            Input::Tell { member, body } => self.tell(member, body),
            Input::Push(push) => self.push(now, push),
            Input::Publish { topic, broadcast } => self.publish(&topic, &broadcast, None),
            Input::Kick { topic, session } => self.kick(now, &topic, &session),
            Input::Watch { watcher, topics } => self.watch(watcher, topics),
            Input::News { topic, source, news, reply } => {
                self.relay_news(&topic, source, &news);
                self.take_news(now, &topic, (source, news), reply);
            }
            Input::At { topic, seq } => {
                self.relay_at(&topic, seq);
                self.catch_up(now, &topic, seq);
            }
            Input::Read { topic, reading } => self.take_reading(now, &topic, reading),
            Input::Unwatch(watcher) => self.unwatch(watcher),
            Input::Retire => self.retire(now),
            Input::Bus(_) | Input::Relayed(_) | Input::Tick => {}
        }
        self.perform(now);
        // With a window of zero a change is due in the step that made it.
        self.serve_deadlines(now);
    }

    /// The next effect to perform, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Tick`] at the latest, if nothing else but messages of other replicas comes
    /// before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoMs> {
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.replica.next_deadline()).min()
    }

    /// Serves every deadline that has passed.
    fn serve_deadlines(&mut self, now: Now) {
        if self.replica.next_deadline().is_some_and(|at| at <= now.mono) {
            self.replica.handle(now.mono, ReplicaInput::Tick);
            self.perform(now);
        }
        self.serve_timers(now, |_| true);
    }

    /// Serves the deadlines that have passed, of rooms and sessions, and of those the ones that fit.
    fn serve_timers(&mut self, now: Now, fits: impl Fn(&Timer) -> bool) {
        let due = |timers: &BTreeSet<(MonoMs, Timer)>| {
            let mut passed = timers.iter().take_while(|(at, _)| *at <= now.mono);
            passed.find(|(_, timer)| fits(timer)).cloned()
        };
        while let Some((at, timer)) = due(&self.timers) {
            self.timers.remove(&(at, timer.clone()));
            match timer {
                Timer::Flush(topic) => self.flush(&topic),
                Timer::Renew(topic) => self.serve_renewal(now, &topic),
                Timer::Follow(topic) => self.follow_again(now, &topic),
                Timer::Session(session) => self.serve_session(now, &session),
            }
        }
    }

    /// Takes a message of another replica. It judges nobody and ends no session: others may wait that
    /// say who is there, and who has gone on elsewhere.
    fn take_message(&mut self, now: Now, message: &[u8]) {
        self.replica.handle(now.mono, ReplicaInput::Message(message));
        self.settle(now);
    }

    /// Performs what came of what another replica has said.
    pub(crate) fn settle(&mut self, now: Now) {
        self.perform(now);
        self.serve_timers(now, |timer| matches!(timer, Timer::Flush(_)));
    }

    /// Performs what the replica asks for: tells the others, and the observers here.
    fn perform(&mut self, now: Now) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                ReplicaOutput::Send { to, message } => {
                    self.outputs.push_back(Output::Publish { to, message });
                }
                ReplicaOutput::Changed(diff) => self.absorb(now, &diff),
                ReplicaOutput::Overtaken(presences) => {
                    for presence in presences {
                        self.yield_session(now, &presence.session);
                    }
                }
                ReplicaOutput::Recheck(Recheck::All) => {
                    let rooms: Vec<_> = self.rooms.keys().cloned().collect();
                    rooms.iter().for_each(|topic| self.mark(now, topic));
                }
                ReplicaOutput::Recheck(Recheck::Topics(topics)) => {
                    let names = topics.iter().filter_map(|it| TopicName::parse(it.as_str()).ok());
                    names.for_each(|topic| self.mark(now, &topic));
                }
                ReplicaOutput::Superseded { by } => {
                    self.outputs.push_back(Output::Superseded { by });
                }
                ReplicaOutput::Peer(event) => {
                    self.relay.forget(&event);
                    if let PeerEvent::Down(_) = event {
                        self.follow_all(now);
                    }
                    self.outputs.push_back(Output::Peer(event));
                }
            }
        }
    }

    /// Says goodbye to the other replicas, which keep what is tracked here for the longest `grace`.
    fn retire(&mut self, now: Now) {
        self.replica.leave(now.mono, Keep::For(self.grace_max_ms()));
    }

    fn flush(&mut self, topic: &TopicName) {
        if let Some(room) = self.rooms.get_mut(topic) {
            self.outputs.extend(room.flush(&self.replica, self.config.options(topic)));
        }
    }

    fn serve_session(&mut self, now: Now, id: &SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.wake_at = None;
        }
        self.drive(now, id, |liveness| liveness.handle_timeout(now.mono));
    }

    /// Tells a session's liveness what has happened, and everybody what came of it.
    pub(crate) fn signal(&mut self, now: Now, id: &SessionId, signals: &[Signal]) {
        self.drive(now, id, |liveness| {
            let outcomes = signals.iter().map(|signal| liveness.handle(now.mono, *signal));
            outcomes.fold(Outcome::Unchanged, |all, outcome| match outcome {
                Outcome::Unchanged => all,
                Outcome::Changed | Outcome::Expired => outcome,
            })
        });
    }

    fn drive(&mut self, now: Now, id: &SessionId, step: impl FnOnce(&mut Liveness) -> Outcome) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let was_typing = session.is_typing();
        let last_input = session.liveness.last_input();
        let outcome = step(&mut session.liveness);
        let is_touched = session.liveness.last_input() != last_input;
        if is_touched {
            session.last_input_at = now.wall;
        }
        let is_typing = session.is_typing();
        let is_over = session.for_staff_until.is_some_and(|until| until <= now.mono);
        // Whoever types for all types a note no more.
        if is_typing || is_over {
            self.stop_for_staff(id);
        }
        if was_typing != is_typing {
            self.tell_typing(id, None);
        }
        if is_touched {
            self.hasten_renewal(now, id);
        }
        match outcome {
            Outcome::Expired => {
                self.tally.expired += 1;
                // The pen that was reserved for it has a deadline of its own.
                self.keep_pen(id);
                self.end_session(now, id);
            }
            Outcome::Changed | Outcome::Unchanged => self.show(now, id),
        }
    }

    /// Brings the presence set up to what the session is now, and plans its next deadline.
    pub(crate) fn show(&mut self, now: Now, id: &SessionId) {
        self.schedule_session(id);
        let Some(session) = self.sessions.get(id) else { return };
        if session.shown == Shown::No {
            return;
        }
        let topic = Topic::from(session.topic.as_str());
        let meta = session.meta();
        let diff = match self.replica.update(now.mono, (&topic, id), meta.clone()) {
            Ok(diff) => diff,
            Err(_) => {
                let (key, session) = (session.viewer.key.clone(), id.clone());
                match self.replica.track(now.mono, Joining { topic, key, session, meta }) {
                    Ok(diff) => diff,
                    Err(_) => unreachable!("a session is either tracked here or not"),
                }
            }
        };
        self.absorb(now, &diff);
    }

    /// Marks the topics of a change for their next flush.
    pub(crate) fn absorb(&mut self, now: Now, diff: &Diff) {
        for topic in diff.iter() {
            if let Ok(name) = TopicName::parse(topic.topic.as_str()) {
                self.mark(now, &name);
            }
        }
    }

    /// Plans a flush of `topic` at the end of the window, unless one is planned.
    pub(crate) fn mark(&mut self, now: Now, topic: &TopicName) {
        let window = self.config.options(topic).diff_window_ms;
        let Some(room) = self.rooms.get_mut(topic) else { return };
        if room.flush_at.is_none() {
            let at = now.mono.after(window);
            room.flush_at = Some(at);
            self.timers.insert((at, Timer::Flush(topic.clone())));
        }
    }

    /// Flushes `topic` ahead of time if somebody there waits for a snapshot: whoever has just joined
    /// gets nothing else before it.
    pub(crate) fn settle_newcomers(&mut self, topic: &TopicName) {
        let Some(room) = self.rooms.get(topic).filter(|room| room.has_newcomers()) else { return };
        if let Some(at) = room.flush_at {
            self.timers.remove(&(at, Timer::Flush(topic.clone())));
        }
        self.flush(topic);
    }

    /// Keeps one timer per session, moved only when its deadline comes nearer: a deadline that has
    /// moved away is found out when the old one is served.
    pub(crate) fn schedule_session(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(at) = session.next_deadline() else { return };
        if session.wake_at.is_some_and(|planned| planned <= at) {
            return;
        }
        if let Some(planned) = session.wake_at.replace(at) {
            self.timers.remove(&(planned, Timer::Session(id.clone())));
        }
        self.timers.insert((at, Timer::Session(id.clone())));
    }

    /// Forgets a session: nothing of it stays behind, neither timer nor presence.
    pub(crate) fn end_session(&mut self, now: Now, id: &SessionId) {
        self.stop_typing(now, id);
        self.leave_pen(id);
        let Some(session) = self.sessions.remove(id) else { return };
        if let Some(at) = session.wake_at {
            self.timers.remove(&(at, Timer::Session(id.clone())));
        }
        let topic = Topic::from(session.topic.as_str());
        let diff = self.replica.untrack(now.mono, &topic, id);
        self.absorb(now, &diff);
        self.remember_end(now, id);
    }

    /// Notes, while tokens of earlier lives count, that a session has ended: its token must not bring
    /// it back, with the place that it had.
    fn remember_end(&mut self, now: Now, id: &SessionId) {
        if self.config.previous.is_empty() {
            return;
        }
        if self.since_start(now) < self.grace_max_ms() {
            self.ended.insert(id.clone());
        } else {
            self.ended.clear();
        }
    }

    /// The longest `grace` of any topic. Unit: milliseconds.
    fn grace_max_ms(&self) -> u64 {
        let options = self.config.namespaces.values().chain([&self.config.defaults]);
        options.map(|options| options.liveness.grace_ms).max().unwrap_or_default()
    }

    /// How long this life lasts already. Unit: milliseconds.
    pub(crate) fn since_start(&self, now: Now) -> u64 {
        now.mono.since(self.started)
    }

    /// Whoever leaves while typing has stopped.
    pub(crate) fn stop_typing(&mut self, now: Now, id: &SessionId) {
        self.stop_for_staff(id);
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_typing()) else {
            return;
        };
        if session.liveness.handle(now.mono, Signal::TypingEnded) == Outcome::Changed {
            self.tell_typing(id, None);
        }
    }

    /// Takes a member off its topic. Its session stays, without a connection unless it has another.
    pub(crate) fn unseat(&mut self, member: MemberId, departure: Departure) -> Option<SessionId> {
        let Membership { topic, session: id } = self.members.remove(&member)?;
        if let Some(session) = self.sessions.get_mut(&id)
            && session.member == Some(member)
        {
            session.member = None;
        }
        if let Some(room) = self.rooms.get_mut(&topic) {
            room.seats.remove(&member);
        }
        self.tidy(&topic);
        self.outputs.push_back(Output::Departed { member, departure });
        Some(id)
    }

    /// Removes a room that nobody needs.
    fn tidy(&mut self, topic: &TopicName) {
        if self.rooms.get(topic).is_some_and(Room::is_deserted)
            && let Some(room) = self.rooms.remove(topic)
        {
            self.unplan(topic, room.pen.and_then(|pen| pen.renew_at));
            if let Some(stream) = &room.stream {
                self.passed.note(topic, stream.heard());
            }
            self.drop_stream(topic, room.stream);
            if let Some(at) = room.flush_at {
                self.timers.remove(&(at, Timer::Flush(topic.clone())));
            }
        }
    }

    fn watch(&mut self, watcher: WatcherId, topics: Vec<TopicName>) {
        for topic in &topics {
            let present = self.row(topic);
            let room = self.rooms.entry(topic.clone()).or_insert_with(|| Room::new(topic.clone()));
            let row = room.watch(watcher, present);
            self.outputs.push_back(Output::Row { to: vec![watcher], row });
            self.read_pen(topic);
        }
        self.watched.entry(watcher).or_default().extend(topics);
    }

    fn unwatch(&mut self, watcher: WatcherId) {
        for topic in self.watched.remove(&watcher).unwrap_or_default() {
            if let Some(room) = self.rooms.get_mut(&topic) {
                room.watchers.remove(&watcher);
            }
            self.tidy(&topic);
        }
    }

    fn resync(&mut self, now: Now, member: MemberId) {
        let Some(Membership { topic, .. }) = self.members.get(&member).cloned() else { return };
        if let Some(seat) = self.rooms.get_mut(&topic).and_then(|room| room.seats.get_mut(&member))
        {
            seat.lose_sight();
        }
        self.mark(now, &topic);
    }

    /// A member's topic and its place there.
    pub(crate) fn seat_of(&self, member: MemberId) -> Option<(&TopicName, &Seat)> {
        let topic = &self.members.get(&member)?.topic;
        Some((topic, self.rooms.get(topic)?.seats.get(&member)?))
    }

    fn tell(&mut self, member: MemberId, body: Encoded) {
        if self.members.contains_key(&member) {
            self.deliver(member, body);
        }
    }

    /// Sends a frame to one member.
    pub(crate) fn deliver(&mut self, member: MemberId, body: Encoded) {
        let frame = Frame { body, class: Class::Vital };
        self.outputs.push_back(Output::Deliver { to: vec![member], frame });
    }

    /// Answers a request of `member`. Who sent no reference awaits no answer.
    pub(crate) fn answer(
        &mut self,
        member: MemberId,
        reference: Option<&Ref>,
        result: Result<Json, ErrorCode>,
    ) {
        self.respond(member, reference, result.map_err(ErrorReply::from));
    }

    /// Answers a request of `member` with all that is to be said.
    pub(crate) fn respond(
        &mut self,
        member: MemberId,
        reference: Option<&Ref>,
        result: Result<Json, ErrorReply>,
    ) {
        let Some(reference) = reference else { return };
        let Some((topic, seat)) = self.seat_of(member) else { return };
        let address = Address {
            join_ref: seat.join_ref.as_ref(),
            reference: Some(reference),
            topic: topic.as_str(),
        };
        let body = match result {
            Ok(response) => encode::reply(seat.wire, &address, ReplyStatus::Ok, &response),
            Err(error) => encode::error_reply(seat.wire, &address, &error),
        };
        self.deliver(member, body);
    }

    pub(crate) fn timers_len(&self) -> usize {
        self.timers.len()
    }

    /// A session's first liveness, under the options of its topic.
    pub(crate) fn liveness(&self, now: Now, topic: &TopicName) -> Liveness {
        Liveness::new(self.config.options(topic).liveness, now.mono)
    }
}
