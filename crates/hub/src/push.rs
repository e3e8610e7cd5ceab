//! Requests of members: presence updates, typing, broadcasts, to be shown or hidden.
//!
//! What is typed for the staff alone, a note on a ticket, costs the public no byte and no moment
//! (`the_public_hears_the_same_with_and_without_notes`).

use bytes::Bytes;
use penholder_presence::{Activity, Mode, SessionId, Signal, Topic};
use penholder_protocol::{
    ErrorCode, Json, PresenceUpdateReply, TopicName, TypingAudience, TypingEvent,
};

use crate::hub::{Hub, Membership};
use crate::room::Sight;
use crate::session::Shown;
use crate::{
    Audience, Broadcast, Content, Echo, MemberId, Now, PenAsker, PresenceChange, Push, Request,
    Typing,
};

impl Hub {
    pub(crate) fn push(&mut self, now: Now, push: Push) {
        let Push { member, reference, request } = push;
        let Some(id) = self.members.get(&member).map(|seat| seat.session.clone()) else { return };
        let result = match request {
            Request::Presence(change) => self.update_presence(now, &id, change),
            Request::Typing(typing) => self.set_typing(now, (member, &id), typing),
            Request::Broadcast(broadcast, echo) => {
                self.broadcast(member, &broadcast, echo);
                Ok(Json::empty_object())
            }
            Request::Track(custom) => self.track(now, (member, &id), custom),
            Request::Untrack => self.untrack(now, &id),
            Request::Pen(request) => {
                let asker = PenAsker { member, reference: reference.clone() };
                match self.request_pen(now, asker, request) {
                    // The store answers.
                    Ok(()) => return,
                    Err(code) => Err(code),
                }
            }
        };
        self.answer(member, reference.as_ref(), result);
    }

    fn update_presence(
        &mut self,
        now: Now,
        id: &SessionId,
        change: PresenceChange,
    ) -> Result<Json, ErrorCode> {
        let session = self.sessions.get_mut(id).ok_or(ErrorCode::UnmatchedTopic)?;
        let writes = change.activity.is_some_and(|activity| activity != Activity::Viewing);
        if session.mode == Mode::View && (writes || change.unsaved == Some(true)) {
            return Err(ErrorCode::Forbidden);
        }
        let signals = change.signals();
        if let Some(custom) = change.custom {
            session.custom = custom;
        }
        let topic = Topic::from(session.topic.as_str());
        self.signal(now, id, &signals);
        Ok(self.presence_reply(&topic, id))
    }

    /// Shows a session to the others. Whoever wants to be seen sees them, too.
    fn track(
        &mut self,
        now: Now,
        (member, id): (MemberId, &SessionId),
        custom: Bytes,
    ) -> Result<Json, ErrorCode> {
        let session = self.sessions.get(id).ok_or(ErrorCode::UnmatchedTopic)?;
        if session.shown == Shown::No {
            // Nobody was told that it types.
            self.stop_typing(now, id);
        }
        let session = self.sessions.get_mut(id).ok_or(ErrorCode::UnmatchedTopic)?;
        session.custom = custom;
        session.shown = Shown::Yes;
        let topic = Topic::from(session.topic.as_str());
        self.open_eyes(now, member);
        self.show(now, id);
        Ok(self.presence_reply(&topic, id))
    }

    /// Gives presence to a member that did not ask for it when it joined, beginning with a snapshot.
    fn open_eyes(&mut self, now: Now, member: MemberId) {
        let Some(Membership { topic, .. }) = self.members.get(&member).cloned() else { return };
        let seat = self.rooms.get_mut(&topic).and_then(|room| room.seats.get_mut(&member));
        if let Some(seat) = seat.filter(|seat| matches!(seat.sight, Sight::Blind)) {
            seat.sight = Sight::Waiting;
            self.mark(now, &topic);
        }
    }

    /// Hides a session from the others; it goes on to see them.
    fn untrack(&mut self, now: Now, id: &SessionId) -> Result<Json, ErrorCode> {
        // While the others can still be told.
        self.stop_typing(now, id);
        let session = self.sessions.get_mut(id).ok_or(ErrorCode::UnmatchedTopic)?;
        session.shown = Shown::No;
        let topic = Topic::from(session.topic.as_str());
        let diff = self.replica.untrack(now.mono, &topic, id);
        self.absorb(now, &diff);
        Ok(Json::empty_object())
    }

    fn presence_reply(&self, topic: &Topic, id: &SessionId) -> Json {
        let presence = self.replica.set().session(topic, id);
        let reference = presence.map(|presence| presence.dot.to_string());
        Json::of(&PresenceUpdateReply { reference })
    }

    fn set_typing(
        &mut self,
        now: Now,
        (member, id): (MemberId, &SessionId),
        typing: Typing,
    ) -> Result<Json, ErrorCode> {
        let session = self.sessions.get(id).ok_or(ErrorCode::UnmatchedTopic)?;
        match typing {
            Typing::On | Typing::ForStaff if session.mode == Mode::View => {
                return Err(ErrorCode::Forbidden);
            }
            Typing::On => self.signal(now, id, &[Signal::Typing]),
            Typing::ForStaff => {
                let audience = self.seat_of(member).map(|(_, seat)| seat.audience);
                if audience != Some(Audience::Staff) {
                    return Err(ErrorCode::Forbidden);
                }
                self.type_for_staff(now, id);
            }
            Typing::Off => {
                self.stop_for_staff(id);
                self.signal(now, id, &[Signal::TypingEnded]);
            }
        }
        Ok(Json::empty_object())
    }

    /// A session types what is for the staff alone. It is told at each sign of it: no activity stands for it in
    /// the snapshot of whoever comes later. To others it is nothing, not even input.
    fn type_for_staff(&mut self, now: Now, id: &SessionId) {
        self.signal(now, id, &[Signal::TypingEnded]);
        let Some(session) = self.sessions.get_mut(id) else { return };
        let span_ms = self.config.options(&session.topic).liveness.typing_for_ms;
        if span_ms == 0 {
            return;
        }
        session.for_staff_until = Some(now.mono.after(span_ms));
        self.schedule_session(id);
        self.tell_typing(id, Some(TypingAudience::Staff));
    }

    /// A session types no more what is for the staff alone.
    pub(crate) fn stop_for_staff(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.for_staff_until.take().is_some() {
            self.tell_typing(id, Some(TypingAudience::Staff));
        }
    }

    /// Tells the others of the topic whether a session types for that audience, unless they must not know of
    /// the session.
    pub(crate) fn tell_typing(&mut self, id: &SessionId, audience: Option<TypingAudience>) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.shown == Shown::No {
            return;
        }
        let (topic, except) = (session.topic.clone(), session.member);
        let event = TypingEvent {
            key: session.viewer.key.as_str().to_owned(),
            session: id.as_str().to_owned(),
            on: match audience {
                None => session.is_typing(),
                Some(TypingAudience::Staff) => session.for_staff_until.is_some(),
            },
            audience,
        };
        self.relay_typing(&topic, &event);
        self.typed(&topic, &event, except);
    }

    /// Tells those on a topic here whom it is for, but `except`, that somebody types, or does not any more.
    pub(crate) fn typed(
        &mut self,
        topic: &TopicName,
        event: &TypingEvent,
        except: Option<MemberId>,
    ) {
        // As with a note, to send a snapshot ahead of time would show the public that there is one.
        if event.audience.is_none() {
            self.settle_newcomers(topic);
        }
        let Some(room) = self.rooms.get(topic) else { return };
        let content = Content::Json(Json::of(event));
        let outputs = match event.audience {
            None => room.tell("typing", &content, except),
            Some(TypingAudience::Staff) => room.tell_staff("typing", &content, except),
        };
        self.outputs.extend(outputs);
    }

    fn broadcast(&mut self, member: MemberId, broadcast: &Broadcast, echo: Echo) {
        let Some(Membership { topic, .. }) = self.members.get(&member).cloned() else { return };
        let except = match echo {
            Echo::ToSelf => None,
            Echo::Others => Some(member),
        };
        self.publish(&topic, broadcast, except);
    }

    /// Sends an application's event to everybody on a topic but `except`. It is not stored.
    pub(crate) fn publish(
        &mut self,
        topic: &TopicName,
        broadcast: &Broadcast,
        except: Option<MemberId>,
    ) {
        self.relay_broadcast(topic, broadcast);
        self.spread(topic, broadcast, except);
    }

    /// Sends an application's event to everybody on a topic here but `except`.
    pub(crate) fn spread(
        &mut self,
        topic: &TopicName,
        broadcast: &Broadcast,
        except: Option<MemberId>,
    ) {
        self.settle_newcomers(topic);
        if let Some(room) = self.rooms.get(topic) {
            self.outputs.extend(room.broadcast(broadcast, except));
        }
    }
}

impl PresenceChange {
    /// What the change means to the session's liveness.
    fn signals(&self) -> Vec<Signal> {
        let visible =
            self.visible.map(|visible| if visible { Signal::Shown } else { Signal::Hidden });
        let unsaved =
            self.unsaved.map(|unsaved| if unsaved { Signal::Unsaved } else { Signal::Saved });
        let input = self.input.map(|_| Signal::Input);
        let activity = self.activity.map(Signal::Activity);
        [input, visible, activity, unsaved].into_iter().flatten().collect()
    }
}
