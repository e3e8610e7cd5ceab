//! Two gateways and a network that loses messages: `cargo run -p penholder-presence --example two_replicas`.
//!
//! Each gateway serves one person's browser. The driver below is all that a real one has to be: it
//! sends deltas, compares contexts now and then, and hands the diffs to whoever watches.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use penholder_presence::{
    Certainty, Change, Delta, Diff, Incarnation, Key, Meta, Mode, PresenceSet, PriorityPolicy,
    ReplicaId, SessionId, Summary, Topic, Viewer, WallMs,
};

struct Gateway {
    name: &'static str,
    set: PresenceSet,
}

impl Gateway {
    fn start(name: &'static str, incarnation: u64) -> Self {
        // A real driver takes wall time for the incarnation, and a random seed.
        Self { name, set: PresenceSet::new(ReplicaId::new(name, Incarnation(incarnation)), 7) }
    }

    /// Shows a diff to those who watch here, and returns the frame for the other gateway.
    fn perform(&self, change: &Change) -> Vec<u8> {
        self.show(&change.diff);
        change.delta.encode().to_vec()
    }

    fn receive(&mut self, frame: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        let diff = self.set.merge(Delta::decode(frame)?);
        self.show(&diff);
        Ok(())
    }

    fn show(&self, diff: &Diff) {
        for topic in diff {
            for join in &topic.joins {
                println!(
                    "  {} shows: {} joins {} ({})",
                    self.name, join.key, topic.topic, join.dot
                );
            }
            for leave in &topic.leaves {
                println!("  {} shows: {} leaves {}", self.name, leave.key, topic.topic);
            }
        }
    }

    fn may_edit(&self, topic: &Topic, key: &Key) -> bool {
        let policy = PriorityPolicy::default();
        let summary = Summary::new(self.set.list(topic), &policy, Certainty::Provisional);
        summary.view(Viewer { key, session: None }).has_presence_edit_priority
    }
}

fn meta(joined_at: u64) -> Meta {
    Meta { joined_at: WallMs(joined_at), mode: Mode::Edit, ..Meta::default() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut one, mut two) = (Gateway::start("gw-1", 1), Gateway::start("gw-2", 1));
    let topic = Topic::from("tickets:42");
    let (ada, ben) = (Key::from("ada"), Key::from("ben"));
    let (ada_tab, ben_tab) = (SessionId::from("tab-a"), SessionId::from("tab-b"));

    println!("Ada joins at gw-1, Ben at gw-2:");
    let change = one.set.track(topic.clone(), ada.clone(), ada_tab.clone(), meta(1_000))?;
    two.receive(&one.perform(&change))?;
    let change = two.set.track(topic.clone(), ben.clone(), ben_tab, meta(2_000))?;
    one.receive(&two.perform(&change))?;
    assert!(one.may_edit(&topic, &ada) && !one.may_edit(&topic, &ben));
    assert!(two.may_edit(&topic, &ada) && !two.may_edit(&topic, &ben));

    println!("Ada leaves, and the network loses the frame:");
    let change = one.set.untrack(&topic, &ada_tab);
    let _lost = one.perform(&change);
    assert!(!two.may_edit(&topic, &ben), "gw-2 has not heard of it");

    println!("The next heartbeat shows that gw-2 lacks something, and gw-1 sends its state:");
    if !two.set.context().covers(one.set.context()) {
        two.receive(&one.set.full_state().encode())?;
    }
    assert!(two.may_edit(&topic, &ben));

    println!("gw-2 is killed, and comes back empty under the same name:");
    two = Gateway::start("gw-2", 2);
    one.receive(&two.set.full_state().encode())?;
    assert_eq!(one.set.list(&topic).count(), 0);
    Ok(())
}
