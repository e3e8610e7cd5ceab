//! Coming and going: join, resume, leave, loss, removal.

use std::sync::Arc;

use penholder_presence::{Incarnation, Mode, Presence, SessionId, Signal, Status, Topic, Viewer};
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::realtime::{self, Dialect};
use penholder_protocol::{Encoded, JoinReply, Json, PresenceMode, Ref, TopicName, ViewerSummary};

use crate::hub::{Hub, Membership};
use crate::room::{Room, Seat, Sight};
use crate::session::{Session, Shown};
use crate::telling::Resumption;
use crate::{Audience, Departure, Join, MemberId, Now, ResumeClaim};

impl Hub {
    /// Seats a member: subscribed first, then answered, then told who is there. The membership that
    /// it takes the place of is closed after the answer, as Phoenix does.
    pub(crate) fn join(&mut self, now: Now, join: &Join) {
        let replaced = join.replaces.and_then(|member| self.members.get(&member).cloned());
        let id = self.admit(now, join);
        // Before the new member sits there: nothing of the old session comes before its answer.
        if let Some(old) = replaced.filter(|old| old.session != id) {
            self.end_session(now, &old.session);
        }
        self.seat(join, &id);
        self.join_stream(now, join);
        self.join_pen(now, join, &id);
        self.show(now, &id);
        self.mark(now, &join.topic);
        let resumption = self.resumption(join);
        let reply = self.join_reply(join, &id, &resumption);
        self.deliver(join.member, reply);
        self.tell_missed(join, &resumption);
        if let Some(member) = join.replaces {
            self.close(member);
            self.unseat(member, Departure::Replaced);
        }
        self.leave_ended(now, join);
    }

    /// A member leaves: its session ends at once, and nobody waits for it to come back.
    pub(crate) fn leave(&mut self, now: Now, member: MemberId, reference: Option<&Ref>) {
        self.answer(member, reference, Ok(Json::empty_object()));
        self.close(member);
        if let Some(id) = self.unseat(member, Departure::Left) {
            self.end_session(now, &id);
        }
    }

    /// A connection ended without a goodbye: the session waits for `grace`, if its client can come back
    /// to it.
    pub(crate) fn lose(&mut self, now: Now, member: MemberId) {
        let resumes = self.seat_of(member).is_some_and(|(_, seat)| seat.dialect.resumes());
        match self.unseat(member, Departure::Left) {
            Some(id) if resumes => {
                self.lose_pen(&id);
                self.stop_for_staff(&id);
                self.signal(now, &id, &[Signal::Lost]);
            }
            Some(id) => self.end_session(now, &id),
            None => {}
        }
    }

    /// A member has lost the right to be here.
    pub(crate) fn expel(&mut self, now: Now, member: MemberId) {
        self.close(member);
        if let Some(id) = self.unseat(member, Departure::Expelled) {
            self.end_session(now, &id);
        }
    }

    /// A member has lost the right to edit and only views from now on.
    pub(crate) fn demote(&mut self, now: Now, member: MemberId) {
        let Some(id) = self.members.get(&member).map(|seat| seat.session.clone()) else { return };
        self.stop_for_staff(&id);
        self.signal(now, &id, &[Signal::TypingEnded]);
        self.leave_pen(&id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.allow(now, Mode::View);
        }
        self.show(now, &id);
    }

    /// A member's token tells anew who it is.
    pub(crate) fn identify(&mut self, now: Now, member: MemberId, viewer: crate::Viewer) {
        let Some(id) = self.members.get(&member).map(|seat| seat.session.clone()) else { return };
        if let Some(session) = self.sessions.get_mut(&id)
            && session.viewer.key == viewer.key
        {
            session.viewer = viewer;
        }
        self.show(now, &id);
    }

    /// An administrator removes a session, connected or waiting to come back.
    pub(crate) fn kick(&mut self, now: Now, topic: &TopicName, id: &SessionId) {
        if !self.kick_here(now, topic, id) {
            self.relay_kick(topic, id);
        }
    }

    /// Removes a session of this replica; returns whether there is one.
    pub(crate) fn kick_here(&mut self, now: Now, topic: &TopicName, id: &SessionId) -> bool {
        let Some(session) = self.sessions.get(id).filter(|session| session.topic == *topic) else {
            return false;
        };
        match session.member {
            Some(member) => self.expel(now, member),
            None => self.end_session(now, id),
        }
        true
    }

    /// Finds the session that a join goes on with, or begins one.
    fn admit(&mut self, now: Now, join: &Join) -> SessionId {
        match join.resume.as_ref().filter(|claim| self.stands(now, join, claim)) {
            Some(claim) => {
                self.tally.resumed += 1;
                self.resume(now, join, claim)
            }
            None => {
                self.tally.not_resumed += u64::from(join.resume.is_some());
                self.begin(now, join, None)
            }
        }
    }

    /// Whether a resume token still stands.
    ///
    /// The newest token of a session moves it, connected or not: a half-open connection must not
    /// lock its own person out. The one before it counts only while the session has no connection,
    /// for a client whose last answer was lost; so two tabs that share a token cannot push each
    /// other out in turn. So it is for a session that another replica shows. A session of an earlier
    /// life is taken on the token's word for `grace` after the start, since its entry died with that
    /// life, unless it has ended in this one.
    fn stands(&self, now: Now, join: &Join, claim: &ResumeClaim) -> bool {
        if claim.topic != join.topic || claim.key != join.viewer.key {
            return false;
        }
        if let Some(session) = self.sessions.get(&claim.session) {
            let is_newest = claim.generation == session.generation;
            let is_last_but_one = claim.generation + 1 == session.generation;
            let is_same = session.topic == claim.topic && session.viewer.key == claim.key;
            return is_same && (is_newest || (is_last_but_one && session.member.is_none()));
        }
        if let Some(elsewhere) = self.elsewhere(claim) {
            let is_newest = claim.generation == elsewhere.meta.generation;
            let is_last_but_one = claim.generation + 1 == elsewhere.meta.generation;
            let is_lost = elsewhere.meta.status == Status::Reconnecting;
            return is_newest || (is_last_but_one && is_lost);
        }
        let grace = self.config.options(&claim.topic).liveness.grace_ms;
        self.since_start(now) < grace
            && self.is_recent(claim.incarnation, grace)
            && !self.ended.contains(&claim.session)
    }

    /// Whether sessions of an earlier life may still be waiting: it is the last, or it was followed by
    /// the next less than `grace_ms` before this one began.
    fn is_recent(&self, life: Incarnation, grace_ms: u64) -> bool {
        let lives = &self.config.previous;
        let Some(at) = lives.iter().position(|earlier| *earlier == life) else { return false };
        let successor = lives.get(at + 1).copied().unwrap_or(self.incarnation());
        self.incarnation().0.saturating_sub(successor.0) <= grace_ms
    }

    /// The session of a claim, as another replica shows it.
    fn elsewhere(&self, claim: &ResumeClaim) -> Option<&Arc<Presence>> {
        let topic = Topic::from(claim.topic.as_str());
        let mut own = self.replica.set().by_key(&topic, &claim.key);
        own.find(|presence| presence.session == claim.session)
    }

    fn resume(&mut self, now: Now, join: &Join, claim: &ResumeClaim) -> SessionId {
        let Some(session) = self.sessions.get(&claim.session) else {
            return self.begin(now, join, Some(claim));
        };
        if join.mode == Mode::View || session.shown != shown(join.presence) {
            // While the others can still be told, and of somebody whom they know.
            self.stop_typing(now, &claim.session);
        }
        if join.audience == Audience::Public {
            self.stop_for_staff(&claim.session);
        }
        let Some(session) = self.sessions.get_mut(&claim.session) else {
            unreachable!("whoever stops typing stays");
        };
        session.generation += 1;
        // What came of it is shown when the member is seated.
        let _ = session.liveness.handle(now.mono, Signal::Resumed);
        session.connected_at = now.wall;
        session.viewer = join.viewer.clone();
        session.allow(now, join.mode);
        session.custom = join.custom.clone();
        let was_shown = std::mem::replace(&mut session.shown, shown(join.presence));
        if let Some(member) = session.member.filter(|member| Some(*member) != join.replaces) {
            self.displace(member);
        }
        if was_shown == Shown::Yes && shown(join.presence) == Shown::No {
            let topic = Topic::from(join.topic.as_str());
            let diff = self.replica.untrack(now.mono, &topic, &claim.session);
            self.absorb(now, &diff);
        }
        claim.session.clone()
    }

    /// Closes the channel of a member whose session is resumed elsewhere, in the way that makes an
    /// honest client join again with a session of its own.
    fn displace(&mut self, member: MemberId) {
        let frame = self
            .seat_of(member)
            .map(|(topic, seat)| encode::error(seat.wire, seat.join_ref.as_ref(), topic.as_str()));
        if let Some(frame) = frame {
            self.deliver(member, frame);
        }
        self.unseat(member, Departure::Replaced);
    }

    /// Lets a session go that was resumed on another replica.
    pub(crate) fn yield_session(&mut self, now: Now, id: &SessionId) {
        if let Some(member) = self.sessions.get(id).and_then(|session| session.member) {
            self.displace(member);
        }
        self.keep_pen(id);
        self.end_session(now, id);
    }

    fn begin(&mut self, now: Now, join: &Join, claim: Option<&ResumeClaim>) -> SessionId {
        let shown_elsewhere = claim.and_then(|claim| self.elsewhere(claim));
        let generation = shown_elsewhere.map_or(0, |presence| presence.meta.generation);
        let id = claim.map_or_else(|| join.session.clone(), |claim| claim.session.clone());
        let session = Session {
            topic: join.topic.clone(),
            viewer: join.viewer.clone(),
            mode: join.mode,
            shown: shown(join.presence),
            custom: join.custom.clone(),
            joined_at: claim.map_or(now.wall, |claim| claim.joined_at),
            connected_at: now.wall,
            last_input_at: now.wall,
            generation: claim.map_or(0, |claim| claim.generation).max(generation) + 1,
            liveness: self.liveness(now, &join.topic),
            for_staff_until: None,
            claims_pen: false,
            member: None,
            wake_at: None,
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    fn seat(&mut self, join: &Join, id: &SessionId) {
        let sight = match join.presence {
            PresenceMode::Show | PresenceMode::Receive => Sight::Waiting,
            PresenceMode::Off => Sight::Blind,
        };
        let seat = Seat {
            key: join.viewer.key.clone(),
            wire: join.wire,
            dialect: join.dialect,
            join_ref: join.join_ref.clone(),
            sight,
            audience: join.audience,
            heard: 0,
        };
        let room =
            self.rooms.entry(join.topic.clone()).or_insert_with(|| Room::new(join.topic.clone()));
        room.seats.insert(join.member, seat);
        let membership = Membership { topic: join.topic.clone(), session: id.clone() };
        self.members.insert(join.member, membership);
        if let Some(session) = self.sessions.get_mut(id) {
            session.member = Some(join.member);
        }
    }

    fn join_reply(&mut self, join: &Join, id: &SessionId, resumption: &Resumption) -> Encoded {
        let summary = self.join_summary(join, id);
        let known = self.rooms.get(&join.topic).and_then(|room| room.pen.as_ref());
        let pen = resumption.pen.as_ref().or(known.map(|known| &known.pen)).map(Json::of);
        let session = &self.sessions[id];
        let claim = ResumeClaim {
            topic: join.topic.clone(),
            key: join.viewer.key.clone(),
            session: id.clone(),
            joined_at: session.joined_at,
            generation: session.generation,
            incarnation: self.incarnation(),
        };
        let reply = JoinReply {
            session: id.as_str().to_owned(),
            resume: self.sign.sign(&claim),
            key: join.viewer.key.as_str().to_owned(),
            joined_at: session.joined_at.0,
            mode: crate::encode::mode(session.mode),
            seq: resumption.seq,
            recovered: resumption.recovered,
            summary,
            pen,
            limits: self.config.limits,
        };
        let address = Address {
            join_ref: join.join_ref.as_ref(),
            reference: join.reference.as_ref(),
            topic: join.topic.as_str(),
        };
        let response = match join.dialect {
            Dialect::Phoenix => Json::of(&reply),
            Dialect::Realtime => Json::of(&realtime::JoinReply::from(reply)),
        };
        encode::reply(join.wire, &address, ReplyStatus::Ok, &response)
    }

    fn join_summary(&mut self, join: &Join, id: &SessionId) -> Option<ViewerSummary> {
        if join.presence == PresenceMode::Off {
            return None;
        }
        let viewer = Viewer { key: &join.viewer.key, session: Some(id) };
        let room = self.rooms.get_mut(&join.topic)?;
        Some(room.view_for(&self.replica, self.config.options(&join.topic), viewer))
    }

    fn incarnation(&self) -> Incarnation {
        self.config.replica.incarnation
    }

    /// Sends the `phx_close` that ends a member's channel.
    fn close(&mut self, member: MemberId) {
        let frame = self
            .seat_of(member)
            .map(|(topic, seat)| encode::close(seat.wire, seat.join_ref.as_ref(), topic.as_str()));
        if let Some(frame) = frame {
            self.deliver(member, frame);
        }
    }
}

fn shown(presence: PresenceMode) -> Shown {
    match presence {
        PresenceMode::Show => Shown::Yes,
        PresenceMode::Receive | PresenceMode::Off => Shown::No,
    }
}
