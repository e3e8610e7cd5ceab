//! A driver of one shard in virtual time, and clients that check and fold what they receive.

mod client;
mod joining;

use std::collections::BTreeMap;
use std::ops::Index;

use bytes::Bytes;
use penholder_hub::{
    Config, Hub, Input, MemberId, Now, Output, PenAsk, PresenceChange, Push, QueueLimits, Request,
    ResumeClaim, SendQueue, SummaryQuery, TopicOptions, TopicsQuery, Typing, WatcherId,
};
use penholder_presence::{
    Incarnation, Key, LivenessConfig, MonoMs, PriorityPolicy, Recipient, ReplicaConfig, ReplicaId,
    SessionId, WallMs,
};
use penholder_protocol::{EventName, Limits, Ref, TopicName, TopicRow};
use serde_json::Value;

pub(crate) use client::{Client, Fold, Received, fold};
pub(crate) use joining::Joining;

/// The window of the default options.
pub(crate) const WINDOW_MS: u64 = 20;
/// How long a lost session is kept.
pub(crate) const GRACE_MS: u64 = 10_000;
/// When a session is idle.
pub(crate) const IDLE_MS: u64 = 120_000;
/// When typing ends by itself.
pub(crate) const TYPING_MS: u64 = 10_000;
/// The topic of most tests.
pub(crate) const DOC: &str = "doc:1";

/// Asks for all topics.
pub(crate) const EVERY_TOPIC: TopicsQuery<'static> =
    TopicsQuery { prefix: "", after: "", limit: usize::MAX, may_view: &|_| true };

/// Where the wall clock stands when the monotonic one is at zero.
const EPOCH: u64 = 1_700_000_000_000;

/// The options of most tests: a window of 20 ms and room for everybody.
pub(crate) fn options() -> TopicOptions {
    TopicOptions {
        diff_window_ms: WINDOW_MS,
        full_max: 200,
        liveness: LivenessConfig {
            idle_after_ms: IDLE_MS,
            grace_ms: GRACE_MS,
            typing_for_ms: TYPING_MS,
        },
        priority: PriorityPolicy::default(),
    }
}

/// A shard whose topics all have `options`.
pub(crate) fn config(options: TopicOptions) -> Config {
    Config {
        replica: ReplicaId::new("gw.0", Incarnation(7)),
        previous: vec![Incarnation(6)],
        seeds: (42, 7),
        gossip: ReplicaConfig::alone(),
        defaults: options,
        namespaces: BTreeMap::new(),
        limits: Limits::default(),
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

pub(crate) fn event(name: &str) -> EventName {
    EventName::parse(name).expect("an event's name")
}

/// One shard, its clients, and the time.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) now: u64,
    pub(crate) clients: BTreeMap<MemberId, Client>,
    pub(crate) rows: Vec<(WatcherId, TopicRow)>,
    /// How many outputs there were.
    pub(crate) outputs: usize,
    /// Every output as text, in order, while it is wanted.
    pub(crate) log: Option<Vec<String>>,
    /// How many `Deliver` outputs there were.
    pub(crate) encoded: usize,
    /// Messages for other replicas; none from one that is alone.
    pub(crate) published: Vec<Bytes>,
    /// Events for other replicas, and for whom.
    pub(crate) relayed: Vec<(Recipient, Bytes)>,
    /// What the store of pens was asked and has not answered.
    pub(crate) asks: Vec<PenAsk>,
    /// The number of the last client; also names its session.
    pub(crate) next: u64,
}

impl Index<MemberId> for World {
    type Output = Client;

    fn index(&self, member: MemberId) -> &Client {
        &self.clients[&member]
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: TopicOptions) -> Self {
        Self::of(config(options))
    }

    pub(crate) fn of(config: Config) -> Self {
        let mut world = Self {
            hub: Hub::new(config, sign, Now { mono: MonoMs(0), wall: WallMs(EPOCH) }),
            now: 0,
            clients: BTreeMap::new(),
            rows: Vec::new(),
            outputs: 0,
            log: None,
            encoded: 0,
            published: Vec::new(),
            relayed: Vec::new(),
            asks: Vec::new(),
            next: 0,
        };
        world.input(Input::Tick);
        world
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.hub.handle(Now { mono: MonoMs(self.now), wall: WallMs(EPOCH + self.now) }, input);
        while let Some(output) = self.hub.poll_output() {
            self.perform(output);
        }
    }

    /// Lets time pass, serving each deadline at its very millisecond.
    pub(crate) fn pass(&mut self, span_ms: u64) {
        let end = self.now + span_ms;
        while let Some(at) = self.hub.next_deadline().filter(|at| at.0 <= end) {
            self.now = self.now.max(at.0);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    /// Lets the window pass, so that everybody has been told everything.
    pub(crate) fn settle(&mut self) {
        self.pass(WINDOW_MS);
    }

    pub(crate) fn join(&mut self, joining: Joining) -> MemberId {
        let member = self.announce(&joining);
        let join = joining.into_join(member, member.0);
        self.input(Input::Join(Box::new(join)));
        member
    }

    /// Joins and lets the window pass.
    pub(crate) fn arrive(&mut self, key: &str) -> MemberId {
        let member = self.join(Joining::new(DOC, key));
        self.settle();
        member
    }

    /// Asks, and returns the reply.
    pub(crate) fn push(&mut self, member: MemberId, request: Request) -> Value {
        let reference = Ref::counter(self.number());
        let push = Push { member, reference: Some(reference.clone()), request };
        self.input(Input::Push(push));
        let replies = self[member].frames.iter().filter(|frame| frame.event == "phx_reply");
        let mut answers = replies.filter(|frame| frame.reference.as_ref() == Some(&reference));
        answers.next().expect("a push is answered at once").payload.clone()
    }

    pub(crate) fn update(&mut self, member: MemberId, change: PresenceChange) -> Value {
        self.push(member, Request::Presence(change))
    }

    /// Sets the client's own field `n`.
    pub(crate) fn set_custom(&mut self, member: MemberId, n: u64) -> Value {
        let custom = Some(format!(r#"{{"n":{n}}}"#).into());
        self.update(member, PresenceChange { custom, ..PresenceChange::default() })
    }

    pub(crate) fn typing(&mut self, member: MemberId, typing: Typing) -> Value {
        self.push(member, Request::Typing(typing))
    }

    pub(crate) fn leave(&mut self, member: MemberId) {
        let reference = Some(Ref::counter(self.number()));
        self.input(Input::Leave { member, reference });
    }

    pub(crate) fn lose(&mut self, member: MemberId) {
        self.input(Input::Lost(member));
    }

    pub(crate) fn kick(&mut self, name: &str, session: &str) {
        self.input(Input::Kick { topic: topic(name), session: SessionId::from(session) });
    }

    /// Takes the frames that a client has received since the last time.
    pub(crate) fn take(&mut self, member: MemberId) -> Vec<Received> {
        std::mem::take(&mut self.clients.get_mut(&member).expect("a client").frames)
    }

    /// The events of the frames that a client has received since the last time.
    pub(crate) fn events(&mut self, member: MemberId) -> Vec<String> {
        self.take(member).into_iter().map(|frame| frame.event).collect()
    }

    /// Forgets what everybody has received so far; what they have folded stays.
    pub(crate) fn clear(&mut self) {
        self.clients.values_mut().for_each(|client| client.frames.clear());
        self.rows.clear();
        self.encoded = 0;
    }

    /// The list of the set, as a client would fold it.
    pub(crate) fn list(&self, name: &str) -> Fold {
        let (keys, count) = self.hub.presences(&topic(name));
        assert_eq!(count, keys.len(), "one entry per key");
        let metas = keys.into_iter().flat_map(|(key, metas)| {
            metas.into_iter().map(move |meta| (key.as_str().to_owned(), meta))
        });
        metas.map(|(key, meta)| fold(&key, meta.parse_into().expect("a meta"))).collect()
    }

    /// Asserts that every observer of every topic has folded exactly the list.
    pub(crate) fn assert_folds_equal_lists(&self) {
        let mut lists = BTreeMap::new();
        for client in self.clients.values().filter(|client| client.departed.is_none()) {
            if let Some(state) = &client.state {
                let list = lists.entry(&client.topic).or_insert_with(|| self.list(&client.topic));
                assert_eq!(state, list, "member {:?}", client.member);
            }
        }
    }

    pub(crate) fn summary(&self, viewer: Option<&str>) -> penholder_protocol::ViewerSummary {
        let query = SummaryQuery { viewer: viewer.map(Key::from), ..SummaryQuery::default() };
        self.hub.summary(&topic(DOC), &query)
    }

    /// From now on the frames to `member` wait in a queue.
    pub(crate) fn slow_down(&mut self, member: MemberId, limits: QueueLimits) {
        let client = self.clients.get_mut(&member).expect("a client");
        client.queue = Some(SendQueue::new(limits));
    }

    /// Lets a slow client read a frame. When there is room again, what was dropped is asked for anew.
    /// Says whether there was anything to do.
    pub(crate) fn read(&mut self, member: MemberId) -> bool {
        let client = self.clients.get_mut(&member).expect("a client");
        let queue = client.queue.as_mut().expect("a queue");
        let frame = queue.pop();
        let repairs = queue.repairs();
        let is_busy = frame.is_some() || !repairs.is_empty();
        if let Some(frame) = frame {
            client.receive(Received::decode(client.wire, &frame.body));
        }
        repairs.into_iter().for_each(|member| self.input(Input::Resync(member)));
        is_busy
    }

    /// Lets a slow client read all there is; returns how many frames that were.
    pub(crate) fn catch_up(&mut self, member: MemberId) -> usize {
        let before = self[member].frames.len();
        for _ in 0..1000 {
            if !self.read(member) {
                return self[member].frames.len() - before;
            }
        }
        panic!("the repair repeats itself for ever");
    }

    fn announce(&mut self, joining: &Joining) -> MemberId {
        let member = MemberId(self.number());
        self.clients.insert(member, Client::new(member, joining));
        member
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn perform(&mut self, output: Output) {
        self.outputs += 1;
        if let Some(log) = &mut self.log {
            log.push(format!("{} {output:?}", self.now));
        }
        match output {
            Output::Deliver { to, frame } => {
                assert!(!to.is_empty(), "a frame goes to somebody");
                self.encoded += 1;
                // Everybody who gets a frame speaks its wire format.
                let decoded = Received::decode(self[to[0]].wire, &frame.body);
                for member in to {
                    let client = self.clients.get_mut(&member).expect("a member that has joined");
                    client.deliver(&frame, &decoded);
                }
            }
            Output::Departed { member, departure } => {
                let client = self.clients.get_mut(&member).expect("a member that has joined");
                assert_eq!(client.departed.replace(departure), None, "departs once");
            }
            Output::Row { to, row } => {
                assert!(!to.is_empty(), "a row goes to somebody");
                self.rows.extend(to.into_iter().map(|watcher| (watcher, row.clone())));
            }
            Output::Publish { message, .. } => self.published.push(message),
            Output::Relay { to, message } => self.relayed.push((to, message)),
            Output::Pen(ask) => self.asks.push(ask),
            Output::Peer(_) => {}
            Output::Superseded { by } => panic!("superseded by {by:?}"),
        }
    }
}

/// A claim as a token that [`claim`] reads again.
pub(crate) fn sign(claim: &ResumeClaim) -> String {
    let ResumeClaim { topic, key, session, joined_at, generation, incarnation } = claim;
    let (joined_at, incarnation) = (joined_at.0, incarnation.0);
    format!(
        "{topic}|{key}|{session}|{joined_at}|{generation}|{incarnation}",
        topic = topic.as_str()
    )
}

/// The claim of a token.
pub(crate) fn claim(token: &str) -> ResumeClaim {
    let parts: Vec<_> = token.split('|').collect();
    ResumeClaim {
        topic: topic(parts[0]),
        key: Key::from(parts[1]),
        session: SessionId::from(parts[2]),
        joined_at: WallMs(parts[3].parse().expect("a time")),
        generation: parts[4].parse().expect("a number"),
        incarnation: Incarnation(parts[5].parse().expect("a number")),
    }
}
