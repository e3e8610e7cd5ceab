//! Laws of one shard: whatever is done, in whatever order, every observer's stream replays to the
//! list, and nothing of it remains.

#[allow(dead_code, reason = "each test target uses a part of the harness")]
mod harness;

use std::collections::BTreeSet;

use harness::{EVERY_TOPIC, GRACE_MS, Joining, WINDOW_MS, World, event, options};
use penholder_hub::{
    Broadcast, Census, Content, Echo, Input, MemberId, PresenceChange, Request, TopicOptions,
    Typing,
};
use penholder_presence::Activity;
use penholder_protocol::{Json, PresenceMode};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use proptest::{collection, proptest};

/// Something that is done to the shard. An index picks one of those present.
#[derive(Clone, Debug)]
enum Step {
    Join { topic: u8, key: u8, kind: JoinKind },
    Rejoin(Index, JoinKind),
    Resume(Index),
    Leave(Index),
    Lose(Index),
    Expel(Index),
    Kick(Index),
    Resync(Index),
    Meta(Index, u64),
    Activity(Index, Activity),
    Typing(Index, bool),
    Broadcast(Index),
    Track(Index, u64),
    Untrack(Index),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum JoinKind {
    Plain,
    V1,
    View,
    Receive,
    Off,
    Realtime,
}

fn join_kind() -> impl Strategy<Value = JoinKind> {
    prop_oneof![
        6 => Just(JoinKind::Plain),
        1 => Just(JoinKind::V1),
        1 => Just(JoinKind::View),
        1 => Just(JoinKind::Receive),
        1 => Just(JoinKind::Off),
        2 => Just(JoinKind::Realtime),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let activity =
        prop_oneof![Just(Activity::Viewing), Just(Activity::Editing), Just(Activity::Typing)];
    prop_oneof![
        8 => (0..2u8, 0..6u8, join_kind())
            .prop_map(|(topic, key, kind)| Step::Join { topic, key, kind }),
        2 => (index(), join_kind()).prop_map(|(index, kind)| Step::Rejoin(index, kind)),
        3 => index().prop_map(Step::Resume),
        2 => index().prop_map(Step::Leave),
        3 => index().prop_map(Step::Lose),
        1 => index().prop_map(Step::Expel),
        1 => index().prop_map(Step::Kick),
        1 => index().prop_map(Step::Resync),
        4 => (index(), 0..3u64).prop_map(|(index, n)| Step::Meta(index, n)),
        3 => (index(), activity).prop_map(|(index, activity)| Step::Activity(index, activity)),
        2 => (index(), any::<bool>()).prop_map(|(index, on)| Step::Typing(index, on)),
        2 => index().prop_map(Step::Broadcast),
        3 => (index(), 0..3u64).prop_map(|(index, n)| Step::Track(index, n)),
        2 => index().prop_map(Step::Untrack),
        6 => (0..2 * WINDOW_MS).prop_map(Step::Pass),
        1 => Just(Step::Pass(GRACE_MS / 2)),
    ]
}

/// A run under way.
struct Run {
    world: World,
    /// Memberships that are not over, and those whose sessions may wait to come back.
    members: Vec<MemberId>,
    lost: Vec<MemberId>,
    keys: std::collections::BTreeMap<MemberId, String>,
    full_max: usize,
}

impl Run {
    fn new(diff_window_ms: u64, full_max: usize) -> Self {
        let world = World::with(TopicOptions { diff_window_ms, full_max, ..options() });
        Self { world, members: Vec::new(), lost: Vec::new(), keys: Default::default(), full_max }
    }

    fn join(&mut self, topic: &str, key: &str, shape: impl FnOnce(Joining) -> Joining) {
        let member = self.world.join(shape(Joining::new(topic, key)));
        self.members.push(member);
        self.keys.insert(member, key.to_owned());
    }

    fn pick(&self, index: Index) -> Option<MemberId> {
        (!self.members.is_empty()).then(|| *index.get(&self.members))
    }

    fn whereabouts(&self, member: MemberId) -> (String, String) {
        (self.world[member].topic.clone(), self.keys[&member].clone())
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Join { topic, key, kind } => {
                self.join(&format!("doc:{topic}"), &format!("u{key}"), |join| shaped(join, kind));
            }
            Step::Pass(span) => self.world.pass(span),
            Step::Resume(index) => {
                let mut candidates = [&self.lost[..], &self.members[..]].concat();
                candidates.retain(|member| self.world[*member].reply()["resume"].is_string());
                if candidates.is_empty() {
                    return;
                }
                let member = *index.get(&candidates);
                let (topic, key) = self.whereabouts(member);
                let claim = self.world[member].claim();
                self.join(&topic, &key, |join| join.resume(claim));
            }
            Step::Rejoin(index, kind) => self.with(index, |run, member| {
                let (topic, key) = run.whereabouts(member);
                run.join(&topic, &key, |join| shaped(join.replaces(member), kind));
            }),
            Step::Leave(index) => self.with(index, |run, member| run.world.leave(member)),
            Step::Lose(index) => self.with(index, |run, member| {
                run.world.lose(member);
                run.lost.push(member);
            }),
            Step::Expel(index) => {
                self.with(index, |run, member| run.world.input(Input::Expel(member)));
            }
            Step::Kick(index) => self.with(index, |run, member| {
                let (topic, session) =
                    (run.world[member].topic.clone(), run.world[member].session());
                run.world.kick(&topic, &session);
            }),
            Step::Resync(index) => {
                self.with(index, |run, member| run.world.input(Input::Resync(member)));
            }
            Step::Meta(index, n) => self.with(index, |run, member| {
                run.world.set_custom(member, n);
            }),
            Step::Activity(index, activity) => self.with(index, |run, member| {
                let change = PresenceChange { activity: Some(activity), ..Default::default() };
                run.world.update(member, change);
            }),
            Step::Typing(index, on) => self.with(index, |run, member| {
                run.world.typing(member, if on { Typing::On } else { Typing::Off });
            }),
            Step::Broadcast(index) => self.with(index, |run, member| {
                let payload = Content::Json(Json::empty_object());
                let broadcast = Broadcast { event: event("ping"), payload };
                run.world.push(member, Request::Broadcast(broadcast, Echo::ToSelf));
            }),
            Step::Track(index, n) => self.with(index, |run, member| {
                run.world.push(member, Request::Track(format!(r#"{{"n":{n}}}"#).into()));
            }),
            Step::Untrack(index) => self.with(index, |run, member| {
                run.world.push(member, Request::Untrack);
            }),
        }
        let world = &self.world;
        self.members.retain(|member| world[*member].departed.is_none());
    }

    fn with(&mut self, index: Index, act: impl FnOnce(&mut Self, MemberId)) {
        if let Some(member) = self.pick(index) {
            act(self, member);
        }
    }

    /// Whether everybody has been told everything: no flush can be due later than a window from now.
    fn is_settled(&self, window: u64) -> bool {
        self.world.hub.next_deadline().is_none_or(|at| at.0 > self.world.now + window)
    }

    /// What holds for each observer of a topic that has more people than are shown.
    fn assert_crowds_are_shown_in_part(&self) {
        for member in &self.members {
            let client = &self.world[*member];
            let Some(state) = &client.state else { continue };
            let list = self.world.list(&client.topic);
            let people: BTreeSet<_> = list.values().map(|(key, _)| key).collect();
            if people.len() <= self.full_max {
                assert_eq!(*state, list);
                continue;
            }
            assert!(state.iter().all(|shown| list.get_key_value(shown.0) == Some(shown)));
            let own = |(_, (key, _)): &(&String, &(String, _))| *key == self.keys[member];
            assert!(list.iter().filter(own).eq(state.iter().filter(own)), "one's own, all of it");
            let mut others: BTreeSet<_> = state.values().map(|(key, _)| key).collect();
            others.remove(&self.keys[member]);
            assert!(others.len() >= self.full_max - 1, "as many as there is room for");
            assert!(others.len() <= 2 * self.full_max, "and no more but as many editors");
        }
    }

    /// After everybody has left, nothing remains.
    fn end(&mut self) {
        for (at, member) in std::mem::take(&mut self.members).into_iter().enumerate() {
            if at % 2 == 0 { self.world.leave(member) } else { self.world.lose(member) }
        }
        self.world.pass(GRACE_MS);
        assert_eq!(self.world.hub.census(), Census::default());
        assert_eq!(self.world.hub.topics(&EVERY_TOPIC), []);
    }
}

fn shaped(join: Joining, kind: JoinKind) -> Joining {
    match kind {
        JoinKind::Plain => join,
        JoinKind::V1 => join.v1(),
        JoinKind::View => join.view(),
        JoinKind::Receive => join.presence(PresenceMode::Receive),
        JoinKind::Off => join.presence(PresenceMode::Off),
        JoinKind::Realtime => join.realtime(),
    }
}

proptest! {
    /// The clients assert the rest at each frame: the snapshot before any diff, a join at most once,
    /// a leave only of who is present.
    #[test]
    fn diffs_replay_to_the_list_at_every_step(
        window in prop_oneof![Just(0), Just(WINDOW_MS)],
        steps in collection::vec(step(), 0..60),
    ) {
        let mut run = Run::new(window, 200);
        for step in &steps {
            run.apply(step);
            if run.is_settled(window) {
                run.world.assert_folds_equal_lists();
            }
        }
        run.world.pass(window);
        run.world.assert_folds_equal_lists();
        run.end();
    }

    #[test]
    fn crowds_are_shown_in_part_and_oneself_always(
        window in prop_oneof![Just(0), Just(WINDOW_MS)],
        full_max in 1..4usize,
        steps in collection::vec(step(), 0..60),
    ) {
        let mut run = Run::new(window, full_max);
        for step in &steps {
            run.apply(step);
            if run.is_settled(window) {
                run.assert_crowds_are_shown_in_part();
            }
        }
        run.end();
    }

    #[test]
    fn the_same_steps_give_the_same_outputs(steps in collection::vec(step(), 0..30)) {
        let log = || {
            let mut run = Run::new(WINDOW_MS, 3);
            run.world.log = Some(Vec::new());
            steps.iter().for_each(|step| run.apply(step));
            run.end();
            run.world.log
        };
        assert_eq!(log(), log());
    }
}
