//! What clients and administrators do, one drawn action at a time.

use penholder_hub::{
    AtJoin, Audience, Broadcast, Content, Echo, Input, InputSeen, Join, MemberId, PresenceChange,
    Push, Request, ResumeClaim, Typing, Viewer,
};
use penholder_presence::{Activity, Kind, Mode, SessionId};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{EventName, Json, PresenceMode, Ref};

use crate::client::{Channel, Connection};
use crate::observer::Observer;
use crate::plan::Reading;
use crate::run::{Run, WATCHER};
use crate::truth::{Arrival, card};
use crate::violation::Checked;

#[derive(Clone, Copy)]
enum Action {
    Connect,
    Join,
    Rejoin,
    Steal,
    Leave,
    Lose,
    Goodbye,
    Update,
    Type,
    Broadcast,
    Track,
    Untrack,
    Publish,
    Kick,
    Expel,
    Watch,
    JumpClock,
    Pass,
    PassLong,
}

const ACTIONS: [(u64, Action); 19] = [
    (12, Action::Connect),
    (14, Action::Join),
    (3, Action::Rejoin),
    (2, Action::Steal),
    (3, Action::Leave),
    (4, Action::Lose),
    (1, Action::Goodbye),
    (14, Action::Update),
    (6, Action::Type),
    (10, Action::Broadcast),
    (8, Action::Track),
    (3, Action::Untrack),
    (1, Action::Publish),
    (1, Action::Kick),
    (1, Action::Expel),
    (1, Action::Watch),
    (1, Action::JumpClock),
    (12, Action::Pass),
    (2, Action::PassLong),
];

impl Run {
    /// Everybody comes, most in the same millisecond, as after a restart of the server.
    pub(crate) fn open(&mut self) -> Checked {
        for at in 0..self.clients.len() {
            self.connect(at)?;
            let topics = self.topics();
            if let Some(topic) = self.rng.pick(&topics) {
                self.join(at, &topic, None)?;
            }
            if self.rng.one_in(4) {
                self.pass(1)?;
            }
        }
        Ok(())
    }

    /// Does one thing. What cannot be done just now is not done.
    pub(crate) fn act(&mut self) -> Checked {
        let at = usize::try_from(self.rng.below(self.plan.clients)).unwrap_or_default();
        match self.rng.weighted(&ACTIONS) {
            Action::Connect => self.connect(at),
            Action::Join => {
                let topics = self.topics();
                let topic = self.rng.pick(&topics).filter(|topic| self.is_free(at, topic));
                topic.map_or(Ok(()), |topic| self.join(at, &topic, None))
            }
            Action::Rejoin => self.on_channel(at, |run, topic, _| {
                let resume = run.clients[at].tokens.get(&topic).cloned();
                let resume = resume.filter(|_| run.rng.one_in(2));
                run.join(at, &topic, resume)
            }),
            Action::Steal => self.steal(at),
            Action::Leave => {
                self.on_channel(at, |run, topic, member| run.leave(at, &topic, member))
            }
            Action::Lose => self.lose(at),
            Action::Goodbye => self.goodbye(at),
            Action::Update => self.on_channel(at, |run, _, member| run.update(member)),
            Action::Type => self.on_channel(at, |run, _, member| {
                let typing = run.rng.weighted(&[(2, Typing::On), (1, Typing::Off)]);
                run.truth.type_(run.now, member, typing);
                run.push(member, Request::Typing(typing))
            }),
            Action::Broadcast => self.on_channel(at, |run, topic, member| {
                let echo = run.rng.weighted(&[(1, Echo::ToSelf), (1, Echo::Others)]);
                let except = (echo == Echo::Others).then_some(member);
                let broadcast = run.broadcast(&topic, except);
                run.push(member, Request::Broadcast(broadcast, echo))
            }),
            Action::Track => self.on_channel(at, |run, _, member| {
                let custom = format!("{{\"n\":{}}}", run.rng.below(3));
                run.truth.track(member, &custom);
                run.push(member, Request::Track(custom.into()))
            }),
            Action::Untrack => self.on_channel(at, |run, _, member| {
                run.truth.untrack(member);
                run.push(member, Request::Untrack)
            }),
            Action::Publish => {
                let broadcast = self.broadcast("doc:0", None);
                self.input(Input::Publish { topic: crate::topic("doc:0"), broadcast })
            }
            Action::Kick => self.kick(),
            Action::Expel => self.on_channel(at, |run, _, member| {
                if let Some(session) = run.truth.of_member(member) {
                    run.truth.end(&session);
                }
                run.input(Input::Expel(member))
            }),
            Action::Watch => self.watch(),
            Action::JumpClock => {
                let jumps = [-86_400_000, -31_000, 31_000, 1_260_000, 86_400_000];
                let jump = self.rng.pick(&jumps).unwrap_or_default();
                self.now.wall = self.now.wall.saturating_add_signed(jump);
                Ok(())
            }
            Action::Pass => {
                let span = self.rng.below(40);
                self.pass(span)
            }
            Action::PassLong => {
                let span = self.rng.below(5_000);
                self.pass(span)
            }
        }
    }

    fn on_channel(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Self, String, MemberId) -> Checked,
    ) -> Checked {
        let joined = self.clients[at].joined();
        let Some(topic) = self.rng.pick(&joined) else { return Ok(()) };
        let member = self.clients[at].channel(&topic).map(|channel| channel.member);
        member.map_or(Ok(()), |member| act(self, topic, member))
    }

    fn is_free(&self, at: usize, topic: &str) -> bool {
        self.clients[at].connection.is_some() && self.clients[at].channel(topic).is_none()
    }

    /// Connects, and joins again what had been joined.
    fn connect(&mut self, at: usize) -> Checked {
        if self.clients[at].connection.is_some() {
            return Ok(());
        }
        let reading = Reading::draw(&mut self.rng, &self.plan);
        self.clients[at].connection = Some(Connection::new(reading));
        for (topic, token) in self.clients[at].tokens.clone() {
            if self.is_free(at, &topic) {
                self.join(at, &topic, Some(token))?;
            }
        }
        Ok(())
    }

    /// Another client of the same person comes with the same token, as a duplicated tab does.
    fn steal(&mut self, at: usize) -> Checked {
        let key = &self.clients[at].key;
        let others = self.clients.iter().filter(|client| client.key == *key);
        let tokens: Vec<_> = others.flat_map(|client| client.tokens.clone()).collect();
        match self.rng.pick(&tokens) {
            Some((topic, token)) if self.is_free(at, &topic) => self.join(at, &topic, Some(token)),
            _ => Ok(()),
        }
    }

    fn join(&mut self, at: usize, topic: &str, resume: Option<ResumeClaim>) -> Checked {
        let number = self.number();
        let open = self.clients[at].channel(topic).filter(|channel| !channel.is_over);
        let (member, replaces) = (MemberId(number), open.map(|channel| channel.member));
        let mode = self.rng.weighted(&[(4, Mode::Edit), (1, Mode::View)]);
        let dialect = self.clients[at].dialect;
        let presence = self.rng.weighted(match dialect {
            Dialect::Phoenix => {
                &[(12, PresenceMode::Show), (1, PresenceMode::Receive), (1, PresenceMode::Off)]
            }
            Dialect::Realtime => &[(3, PresenceMode::Receive), (1, PresenceMode::Off)],
        });
        let arrival = Arrival {
            member,
            topic: topic.to_owned(),
            key: self.clients[at].key.clone(),
            session: format!("s{number}"),
            mode,
            presence,
            resume: resume.filter(|_| dialect.resumes()),
            replaces,
            custom: "{}".to_owned(),
        };
        let join_ref = Ref::counter(number);
        let join = self.authorized(at, &arrival, &join_ref);
        let due = self.due(at, topic);
        let is_held = |run: &Self, claim: &ResumeClaim| {
            run.truth.sessions.get(claim.session.as_str()).is_some_and(|s| s.member.is_some())
        };
        let is_live = arrival.resume.as_ref().is_some_and(|claim| is_held(self, claim));
        let session = self.truth.join(self.now, &arrival);
        let is_resumed = session.generation > 1;
        self.tally.resumes += u64::from(is_resumed);
        self.tally.takeovers += u64::from(is_resumed && is_live);
        let (mut observer, claim) = (Observer::new(session, due), session.claim());
        let reading = self.clients[at].connection.as_ref().map(|connection| connection.reading);
        observer.is_snapshot_first =
            presence != PresenceMode::Off && matches!(reading, Some(Reading::Promptly));
        let channel = Channel { member, join_ref, is_over: false, claim, observer };
        if let Some(connection) = &mut self.clients[at].connection {
            connection.channels.insert(topic.to_owned(), channel);
        }
        self.members.insert(member, at);
        self.input(Input::Join(Box::new(join)))
    }

    /// The join as a gateway passes it on.
    fn authorized(&self, at: usize, arrival: &Arrival, join_ref: &Ref) -> Join {
        Join {
            member: arrival.member,
            wire: self.clients[at].wire,
            dialect: self.clients[at].dialect,
            topic: crate::topic(&arrival.topic),
            join_ref: Some(join_ref.clone()),
            reference: Some(join_ref.clone()),
            replaces: arrival.replaces,
            viewer: Viewer {
                key: arrival.key.as_str().into(),
                kind: Kind::Human,
                profile: card(&arrival.key).to_string().into(),
            },
            mode: arrival.mode,
            presence: arrival.presence,
            custom: arrival.custom.clone().into(),
            session: SessionId::from(arrival.session.as_str()),
            resume: arrival.resume.clone(),
            since: None,
            audience: Audience::Public,
            stream: AtJoin::None,
        }
    }

    fn leave(&mut self, at: usize, topic: &str, member: MemberId) -> Checked {
        if let Some(session) = self.truth.of_member(member) {
            self.truth.end(&session);
        }
        let reference = Some(Ref::counter(self.number()));
        self.clients[at].tokens.remove(topic);
        self.input(Input::Leave { member, reference })
    }

    /// A client closes its connection politely.
    pub(crate) fn goodbye(&mut self, at: usize) -> Checked {
        for topic in self.clients[at].joined() {
            let member = self.clients[at].channel(&topic).map(|channel| channel.member);
            let session = member.and_then(|member| self.truth.of_member(member));
            session.iter().for_each(|session| self.truth.end(session));
            if let Some(member) = member {
                self.input(Input::Leave { member, reference: None })?;
            }
        }
        self.clients[at].connection = None;
        self.clients[at].tokens.clear();
        Ok(())
    }

    fn update(&mut self, member: MemberId) -> Checked {
        let rng = &mut self.rng;
        let activities = [Activity::Viewing, Activity::Editing, Activity::Typing];
        let change = PresenceChange {
            custom: rng.one_in(2).then(|| format!("{{\"n\":{}}}", rng.below(3)).into()),
            activity: rng.one_in(3).then(|| rng.pick(&activities).unwrap_or_default()),
            unsaved: rng.one_in(4).then(|| rng.one_in(2)),
            visible: rng.one_in(4).then(|| rng.one_in(2)),
            input: rng.one_in(3).then_some(InputSeen),
        };
        self.truth.update(self.now, member, &change);
        self.push(member, Request::Presence(change))
    }

    fn push(&mut self, member: MemberId, request: Request) -> Checked {
        let reference = Some(Ref::counter(self.number()));
        self.input(Input::Push(Push { member, reference, request }))
    }

    /// A numbered broadcast, which everybody on the topic but `except` now waits for.
    fn broadcast(&mut self, topic: &str, except: Option<MemberId>) -> Broadcast {
        let number = self.number();
        self.expect_broadcast(topic, number, except);
        let payload = Content::Json(Json::trusted(format!("{{\"n\":{number}}}")));
        Broadcast { event: EventName::parse("cursor").expect("a name"), payload }
    }

    fn kick(&mut self) -> Checked {
        let sessions: Vec<_> = self.truth.sessions.values().cloned().collect();
        let Some(session) = self.rng.pick(&sessions) else { return Ok(()) };
        self.truth.end(&session.id);
        let topic = crate::topic(&session.topic);
        self.input(Input::Kick { topic, session: session.id.into() })
    }

    fn watch(&mut self) -> Checked {
        self.is_watching = !self.is_watching;
        if !self.is_watching {
            self.rows.clear();
            return self.input(Input::Unwatch(WATCHER));
        }
        let topics = self.topics().iter().map(|topic| crate::topic(topic)).collect();
        self.input(Input::Watch { watcher: WATCHER, topics })
    }
}
