//! Requests of members: presence updates, typing, broadcasts.

use penholder_presence::{Activity, Mode, SessionId, Signal, Topic};
use penholder_protocol::{ErrorCode, Json, PresenceUpdateReply, TopicName, TypingEvent};

use crate::hub::{Hub, Membership};
use crate::session::Shown;
use crate::{Broadcast, Content, Echo, MemberId, Now, PresenceChange, Push, Request, Typing};

impl Hub {
    pub(crate) fn push(&mut self, now: Now, push: Push) {
        let Push { member, reference, request } = push;
        let Some(id) = self.members.get(&member).map(|seat| seat.session.clone()) else { return };
        let result = match request {
            Request::Presence(change) => self.update_presence(now, &id, change),
            Request::Typing(typing) => self.set_typing(now, &id, typing),
            Request::Broadcast(broadcast, echo) => {
                self.broadcast(member, &broadcast, echo);
                Ok(Json::empty_object())
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
        let presence = self.replica.set().session(&topic, id);
        let reference = presence.map(|presence| presence.dot.to_string());
        Ok(Json::of(&PresenceUpdateReply { reference }))
    }

    fn set_typing(&mut self, now: Now, id: &SessionId, typing: Typing) -> Result<Json, ErrorCode> {
        let session = self.sessions.get(id).ok_or(ErrorCode::UnmatchedTopic)?;
        match typing {
            Typing::On if session.mode == Mode::View => return Err(ErrorCode::Forbidden),
            Typing::On => self.signal(now, id, &[Signal::Typing]),
            Typing::Off => self.signal(now, id, &[Signal::TypingEnded]),
        }
        Ok(Json::empty_object())
    }

    /// Tells the others of the topic whether a session types, unless they must not know of it.
    pub(crate) fn tell_typing(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.shown == Shown::No {
            return;
        }
        let (topic, except) = (session.topic.clone(), session.member);
        let event = TypingEvent {
            key: session.viewer.key.as_str().to_owned(),
            session: id.as_str().to_owned(),
            on: session.is_typing(),
        };
        self.spread(&topic, "typing", &Content::Json(Json::of(&event)), except);
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
        self.spread(topic, broadcast.event.as_str(), &broadcast.payload, except);
    }

    fn spread(
        &mut self,
        topic: &TopicName,
        event: &str,
        content: &Content,
        except: Option<MemberId>,
    ) {
        self.settle_newcomers(topic);
        if let Some(room) = self.rooms.get(topic) {
            self.outputs.extend(room.broadcast(event, content, except));
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
