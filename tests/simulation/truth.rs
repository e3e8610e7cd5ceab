//! A naive model of who is present: no set, no windows, no timers. Everything is computed from what
//! was done and what time it is.

use std::collections::{BTreeMap, BTreeSet};

use penholder_hub::{MemberId, PresenceChange, ResumeClaim, Typing};
use penholder_presence::{Activity, LivenessConfig, Mode, WallMs};
use penholder_protocol::PresenceMode;
use penholder_protocol::realtime::Dialect;
use serde_json::{Value, json};

/// The present time on both clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) mono: u64,
    pub(crate) wall: u64,
}

/// A session, as everybody ought to see it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) mode: Mode,
    pub(crate) joined_at: u64,
    pub(crate) generation: u32,
    /// The membership it is on, unless its connection is lost.
    pub(crate) member: Option<MemberId>,
    is_shown: bool,
    custom: String,
    last_input: Time,
    typing_until: Option<u64>,
    activity: Activity,
    unsaved: bool,
    is_hidden: bool,
    lost_until: Option<u64>,
}

/// A join, as the model needs it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) member: MemberId,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) session: String,
    pub(crate) mode: Mode,
    pub(crate) presence: PresenceMode,
    pub(crate) resume: Option<ResumeClaim>,
    pub(crate) replaces: Option<MemberId>,
    pub(crate) custom: String,
}

/// Everybody who is present, and what has ever been.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) sessions: BTreeMap<String, Session>,
    liveness: LivenessConfig,
    full_max: usize,
    /// Sessions that have ended or been hidden at some time.
    absent: BTreeSet<String>,
    /// Topics that have been crowds at some time.
    crowded: BTreeSet<String>,
}

/// A summary as it ought to be.
#[derive(Debug)]
pub(crate) struct Outline {
    /// All but the prior session.
    pub(crate) summary: Value,
    /// Which sessions may be the prior one: several when they joined in the same millisecond.
    pub(crate) prior_sessions: BTreeSet<String>,
}

impl Truth {
    pub(crate) fn new(liveness: LivenessConfig, full_max: usize) -> Self {
        let (sessions, absent) = (BTreeMap::new(), BTreeSet::new());
        Self { sessions, liveness, full_max, absent, crowded: BTreeSet::new() }
    }

    /// Ends the sessions whose grace is over; returns how many.
    pub(crate) fn advance(&mut self, now: Time) -> u64 {
        let is_over = |session: &Session| session.lost_until.is_some_and(|until| until <= now.mono);
        let over = self.sessions.values().filter(|session| is_over(session));
        let over: Vec<_> = over.map(|session| session.id.clone()).collect();
        over.iter().for_each(|session| self.end(session));
        over.len() as u64
    }

    /// Seats a member; returns its session.
    pub(crate) fn join(&mut self, now: Time, arrival: &Arrival) -> &Session {
        let resumed = arrival.resume.as_ref().filter(|claim| self.stands(claim));
        let id = match resumed.map(|claim| claim.session.as_str().to_owned()) {
            Some(id) => {
                self.resume(now, &id, arrival);
                id
            }
            None => {
                let id = arrival.session.clone();
                self.sessions.insert(id.clone(), Session::new(now, arrival));
                id
            }
        };
        if let Some(old) = arrival.replaces.and_then(|member| self.of_member(member))
            && old != id
        {
            self.end(&old);
        }
        if !arrival.is_shown() {
            self.absent.insert(id.clone());
        }
        let session = self.sessions.get_mut(&id).expect("just seated");
        session.member = Some(arrival.member);
        self.crowd(&arrival.topic);
        &self.sessions[&id]
    }

    fn stands(&self, claim: &ResumeClaim) -> bool {
        self.sessions.get(claim.session.as_str()).is_some_and(|session| {
            let is_last_but_one = claim.generation + 1 == session.generation;
            claim.generation == session.generation || is_last_but_one && session.member.is_none()
        })
    }

    fn resume(&mut self, now: Time, id: &str, arrival: &Arrival) {
        let session = self.sessions.get_mut(id).expect("it stands");
        if arrival.mode == Mode::View || arrival.is_shown() != session.is_shown {
            session.typing_until = None;
        }
        if arrival.mode == Mode::View && (session.activity != Activity::Viewing || session.unsaved)
        {
            (session.activity, session.unsaved, session.last_input) =
                (Activity::Viewing, false, now);
        }
        session.generation += 1;
        session.lost_until = None;
        session.mode = arrival.mode;
        session.is_shown = arrival.is_shown();
        session.custom.clone_from(&arrival.custom);
    }

    /// The session of a member.
    pub(crate) fn of_member(&self, member: MemberId) -> Option<String> {
        let mut sessions = self.sessions.values();
        sessions.find(|session| session.member == Some(member)).map(|session| session.id.clone())
    }

    pub(crate) fn end(&mut self, session: &str) {
        self.sessions.remove(session);
        self.absent.insert(session.to_owned());
    }

    pub(crate) fn lose(&mut self, now: Time, member: MemberId, dialect: Dialect) {
        if !dialect.resumes() {
            let session = self.of_member(member);
            return session.iter().for_each(|session| self.end(session));
        }
        let grace_ms = self.liveness.grace_ms;
        if let Some(session) = self.on(member) {
            session.member = None;
            session.typing_until = None;
            session.lost_until = Some(now.mono + grace_ms);
        }
    }

    pub(crate) fn update(&mut self, now: Time, member: MemberId, change: &PresenceChange) {
        let typing_for_ms = self.liveness.typing_for_ms;
        let Some(session) = self.on(member) else { return };
        let writes = change.activity.is_some_and(|activity| activity != Activity::Viewing);
        if session.mode == Mode::View && (writes || change.unsaved == Some(true)) {
            return;
        }
        if let Some(custom) = &change.custom {
            session.custom = String::from_utf8_lossy(custom).into_owned();
        }
        session.is_hidden = change.visible.map_or(session.is_hidden, |visible| !visible);
        session.unsaved = change.unsaved.unwrap_or(session.unsaved);
        match change.activity {
            Some(Activity::Typing) => session.typing_until = Some(now.mono + typing_for_ms),
            Some(activity) => (session.activity, session.typing_until) = (activity, None),
            None => {}
        }
        if change.input.is_some() || change.activity.is_some() || change.visible == Some(true) {
            session.touch(now);
        }
    }

    pub(crate) fn type_(&mut self, now: Time, member: MemberId, typing: Typing) {
        let typing_for_ms = self.liveness.typing_for_ms;
        match (self.on(member), typing) {
            (Some(session), Typing::On) if session.mode == Mode::Edit => {
                session.typing_until = Some(now.mono + typing_for_ms);
                session.touch(now);
            }
            (Some(session), Typing::Off) => session.typing_until = None,
            _ => {}
        }
    }

    /// A session asks to be shown.
    pub(crate) fn track(&mut self, member: MemberId, custom: &str) {
        let Some(session) = self.on(member) else { return };
        if !session.is_shown {
            session.typing_until = None;
        }
        custom.clone_into(&mut session.custom);
        session.is_shown = true;
        let topic = session.topic.clone();
        self.crowd(&topic);
    }

    /// A session asks to be hidden.
    pub(crate) fn untrack(&mut self, member: MemberId) {
        let Some(session) = self.on(member) else { return };
        session.typing_until = None;
        session.is_shown = false;
        let id = session.id.clone();
        self.absent.insert(id);
    }

    /// The sessions that are shown on a topic.
    pub(crate) fn shown(&self, topic: &str) -> Vec<&Session> {
        let sessions = self.sessions.values();
        sessions.filter(|session| session.topic == topic && session.is_shown).collect()
    }

    /// Whether a session has been there all the time, for all to see.
    pub(crate) fn has_stayed(&self, session: &str) -> bool {
        self.sessions.contains_key(session) && !self.absent.contains(session)
    }

    pub(crate) fn has_been_a_crowd(&self, topic: &str) -> bool {
        self.crowded.contains(topic)
    }

    /// The people of a topic, in their order.
    pub(crate) fn people(&self, topic: &str) -> Vec<(u64, String)> {
        let mut earliest: BTreeMap<&str, u64> = BTreeMap::new();
        for session in self.shown(topic) {
            let at = earliest.entry(&session.key).or_insert(session.joined_at);
            *at = session.joined_at.min(*at);
        }
        let mut people: Vec<_> =
            earliest.into_iter().map(|(key, at)| (at, key.to_owned())).collect();
        people.sort();
        people
    }

    /// When something changes by itself next.
    pub(crate) fn next_change(&self, now: Time) -> u64 {
        let LivenessConfig { idle_after_ms, .. } = self.liveness;
        let ends = self.sessions.values().flat_map(|session| {
            let idle_at = session.last_input.mono + idle_after_ms;
            [session.lost_until, session.typing_until, Some(idle_at)].into_iter().flatten()
        });
        ends.filter(|at| *at > now.mono).min().unwrap_or(u64::MAX)
    }

    /// What everybody ought to see of a session, without the refs.
    pub(crate) fn meta(&self, now: Time, session: &Session) -> Value {
        let is_idle = session.last_input.mono + self.liveness.idle_after_ms <= now.mono;
        let is_typing = session.typing_until.is_some_and(|until| now.mono < until);
        let activity = if is_typing { Activity::Typing } else { session.activity };
        let mut meta: Value = serde_json::from_str(&session.custom).expect("an object");
        meta["joined_at"] = json!(session.joined_at);
        meta["session"] = json!(session.id);
        meta["user"] = card(&session.key);
        meta["mode"] = json!(session.mode.as_str());
        meta["status"] = json!(self.status(now, session).1);
        meta["activity"] = json!(activity.as_str());
        meta["unsaved"] = json!(session.unsaved);
        meta["idle_since"] = if is_idle { json!(session.last_input.wall) } else { Value::Null };
        meta
    }

    /// The summary of a topic, from the definition in DESIGN.md, section 6.
    pub(crate) fn outline(&self, now: Time, topic: &str) -> Outline {
        let shown = self.shown(topic);
        let people = self.people(topic);
        let may_edit = |session: &&Session| session.mode == Mode::Edit;
        let person = |(joined_at, key): &(u64, String)| {
            let sessions = of(&shown, key);
            let mode = if sessions.iter().any(may_edit) { "edit" } else { "view" };
            let status = sessions.iter().map(|session| self.status(now, session)).min();
            json!({
                "key": key,
                "user": card(key),
                "joined_at": joined_at,
                "active_sessions": sessions.len(),
                "mode": mode,
                "status": status.map(|(_, word)| word),
            })
        };
        let prior = people.iter().find(|(_, key)| of(&shown, key).iter().any(may_edit));
        let mut editors = prior.map(|(_, key)| of(&shown, key)).unwrap_or_default();
        editors.retain(may_edit);
        let earliest = editors.iter().map(|session| session.joined_at).min();
        let first = editors.iter().filter(|session| Some(session.joined_at) == earliest);
        Outline {
            summary: json!({
                "presences": people.iter().map(person).collect::<Vec<_>>(),
                "prior_user_presence": prior.map(person),
                "certainty": "confirmed",
                "count": people.len(),
                "full": people.len() <= self.full_max,
            }),
            prior_sessions: first.map(|session| session.id.clone()).collect(),
        }
    }

    /// The status of a session, with its place among the statuses.
    fn status(&self, now: Time, session: &Session) -> (u8, &'static str) {
        if session.lost_until.is_some() {
            (3, "reconnecting")
        } else if session.is_hidden {
            (2, "hidden")
        } else if session.last_input.mono + self.liveness.idle_after_ms <= now.mono {
            (1, "idle")
        } else {
            (0, "active")
        }
    }

    fn on(&mut self, member: MemberId) -> Option<&mut Session> {
        self.sessions.values_mut().find(|session| session.member == Some(member))
    }

    fn crowd(&mut self, topic: &str) {
        if self.people(topic).len() > self.full_max {
            self.crowded.insert(topic.to_owned());
        }
    }
}

impl Arrival {
    fn is_shown(&self) -> bool {
        self.presence == PresenceMode::Show
    }
}

impl Session {
    fn new(now: Time, arrival: &Arrival) -> Self {
        Self {
            id: arrival.session.clone(),
            topic: arrival.topic.clone(),
            key: arrival.key.clone(),
            mode: arrival.mode,
            joined_at: now.wall,
            generation: 1,
            member: None,
            is_shown: arrival.is_shown(),
            custom: arrival.custom.clone(),
            last_input: now,
            typing_until: None,
            activity: Activity::Viewing,
            unsaved: false,
            is_hidden: false,
            lost_until: None,
        }
    }

    /// The claim of its newest resume token.
    pub(crate) fn claim(&self) -> ResumeClaim {
        ResumeClaim {
            topic: crate::topic(&self.topic),
            key: self.key.as_str().into(),
            session: self.id.as_str().into(),
            joined_at: WallMs(self.joined_at),
            generation: self.generation,
            incarnation: penholder_presence::Incarnation(2),
        }
    }

    /// Input. Within one millisecond only the first counts.
    fn touch(&mut self, now: Time) {
        if self.last_input.mono != now.mono {
            self.last_input = now;
        }
    }
}

/// The sessions of a person.
fn of<'a>(shown: &[&'a Session], key: &str) -> Vec<&'a Session> {
    shown.iter().filter(|session| session.key == key).copied().collect()
}

/// Who somebody is, as others are shown.
pub(crate) fn card(key: &str) -> Value {
    json!({"id": key, "name": key, "role": "agent", "kind": "human", "avatar": null})
}
