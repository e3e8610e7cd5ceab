//! Who is here, and who comes first: a replicated presence set that does no I/O.
//!
//! Several processes each serve some of the sessions that watch a topic, and each must show all of
//! them. There is no leader to ask and no order of messages to rely on: messages are lost, repeated and
//! reordered, processes stop and come back. This crate is the part that makes it come out the same
//! everywhere. It reads no clock, draws no random number and touches no socket; time, randomness and
//! messages are arguments, deltas and diffs are returned. Same inputs, same outputs, byte for byte.
//!
//! # The idea
//!
//! Everything a replica does is an *operation* with a name of its own, its [`Dot`]: the replica and
//! a counter. [`track`](PresenceSet::track) adds an entry under its dot, so an entry is known by the
//! operation that added it and not by what it says. What has been seen is a set of dots, the causal
//! [`Context`]: per replica all counters up to some number, and a few ranges beyond.
//!
//! Take two states, each a context and the entries that live in it. An entry in both lives on. An
//! entry in one only is either new to the other, whose context then lacks its dot, or was removed by
//! the other, whose context then has it. So the context alone tells a removal from ignorance: no
//! tombstones. The rule commutes, associates and is idempotent, which is all that replication needs.
//!
//! A [`Delta`] is the same thing in small: some dots, and the entries that live among them. To remove
//! an entry is to send its dot without the entry. The removal is an operation too and sends its own dot
//! along, so a replica that missed it has a gap in its context, and can be seen to have one although
//! nothing else ever happens; as long as nothing later has filled it, which is why a [`Replica`] takes
//! in the operations of another in their order. A full state is the delta that covers everything.
//!
//! A process that restarts keeps its name and takes a larger [`Incarnation`]. The larger one takes the
//! place of the smaller with all that it did, so nothing grows with the number of restarts.
//!
//! Whether a replica is *down* is no part of the state. It is an opinion of this replica, which hides
//! the entries of the other from every read until it is up again, or [forgets](PresenceSet::forget)
//! them.
//!
//! [`Replica`] is a set together with everything that keeps it equal to the others': it is what a
//! process runs, and its own documentation teaches how. `docs/PRESENCE.md` tells the whole story.
//!
//! # Two sets
//!
//! ```
//! use penholder_presence::{
//!     Delta, Incarnation, Meta, PresenceSet, ReplicaId, Topic, WallMs,
//! };
//!
//! let mut ours = PresenceSet::new(ReplicaId::new("gw-1", Incarnation(1)), 0x5eed);
//! let mut theirs = PresenceSet::new(ReplicaId::new("gw-2", Incarnation(1)), 0xbeef);
//! let topic = Topic::from("tickets:42");
//!
//! // Somebody joins here. The diff goes to the observers here, the delta to every other replica.
//! let meta = Meta { joined_at: WallMs(1_000), ..Meta::default() };
//! let change = ours.track(topic.clone(), "ada".into(), "s1".into(), meta.clone())?;
//! assert_eq!(change.diff.topic(&topic).map(|diff| diff.joins.len()), Some(1));
//! let frame = change.delta.encode();
//!
//! // There it is decoded, which may fail, and merged, which may not.
//! let diff = theirs.merge(Delta::decode(&frame)?);
//! assert_eq!(diff.topic(&topic).map(|diff| diff.joins.len()), Some(1));
//! assert!(theirs.merge(Delta::decode(&frame)?).is_empty(), "again is nothing");
//!
//! // A leave whose frame is lost leaves a gap, which the contexts show and the full state closes.
//! let lost = ours.untrack(&topic, &"s1".into());
//! assert!(!lost.is_empty() && !theirs.context().covers(ours.context()));
//! let diff = theirs.merge(ours.full_state());
//! assert_eq!(diff.topic(&topic).map(|diff| diff.leaves.len()), Some(1));
//! assert!(theirs.context().covers(ours.context()));
//! assert_eq!(theirs.list(&topic).count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The driver's contract
//!
//! The state machine is right only as far as whoever drives it does this:
//!
//! - *Incarnation.* Each start of a name has a larger one than every start before it, also after a
//!   crash. No two processes run under one name; [`PresenceSet::superseded_by`] tells when they do, and
//!   the older must stop.
//! - *Every [`Change`] is owed twice:* its diff to the observers of the topic, its delta to every other
//!   replica. A delta may be repeated, or joined with others; in the end each must arrive, or a full
//!   state after it. [`Replica`] sees to that, over links that lose and reorder.
//! - *Every [`Diff`] of a merge or a judgement* (`replica_down`, `replica_up`, `forget`) is owed to the
//!   observers, in the order in which they were returned.
//! - *Limits* of names and blobs that come from outside are checked before they are tracked:
//!   [`Limited::check`], [`Meta::check_limits`].
//! - *Wall time* comes with the meta. `joined_at` decides who comes first, so a clock that is wrong
//!   makes a person early or late; it never makes replicas disagree.
//! - *Liveness* of sessions is [`Liveness`], one per session, by monotonic time. What it shows goes
//!   into the meta by [`update`](PresenceSet::update); when it has expired the session is untracked.
//!
//! # Invariants, and the tests that fail without them
//!
//! - Merging deltas commutes, associates and repeats harmlessly:
//!   `joining_deltas_commutes_associates_and_repeats_harmlessly`.
//! - All deltas in any cut, order and repetition make the full state:
//!   `any_cut_order_and_repetition_of_deltas_is_the_full_state`.
//! - The set is what its definition says, under down, up, forget and restart, and diffs replay to the
//!   list at each step, a join at most once, a leave only of who is present: `a_naive_model_agrees`.
//! - A session is shown once, by the entry of its last resume, and a takeover is one diff:
//!   `a_resumed_session_is_shown_once_and_the_takeover_is_one_diff`, `a_naive_model_agrees`.
//! - After any schedule of operations and faults, quiet links make all views equal:
//!   `any_schedule_heals`.
//! - Nobody is absent between the halves of an update: `nobody_is_absent_during_an_update`.
//! - Nothing grows with past incarnations, nor with joins and leaves: `ten_thousand_restarts_leave_one_entry`,
//!   `joins_and_leaves_leave_no_room`.
//! - A forgotten replica is in no structure: `forgetting_leaves_nothing`.
//! - Equal sets list equally and name the same prior person: `equal_sets_have_equal_summaries`.
//! - Equal inputs give equal bytes: `same_inputs_give_the_same_bytes_whatever_the_hash_seed`.
//! - Any bytes decode to an error or to a delta that merging can trust: `decoding_any_bytes_never_panics`.
//!
//! # Sources
//!
//! - Almeida, Shoker, Baquero, *Delta State Replicated Data Types*, J. Parallel Distrib. Comput. 111,
//!   2018: causal contexts, the join of dot stores, deltas and their joining.
//! - Bieniusa et al., *An optimized conflict-free replicated set*, 2012: the add-wins set without
//!   tombstones.
//! - Phoenix.Tracker for the product: a diff per topic is what a merge returns.
//!
//! `Deviation:` a removal has a dot of its own. In the papers it is visible only as the absence of the
//! entry, and a lost one is noticed at the next addition, if there is one.
//!
//! `Deviation:` contexts are per name and incarnation, joined lexicographically. The papers' replicas
//! never restart; Phoenix.Tracker treats each life as a replica, and so remembers all of them.
//!
//! `Deviation:` a set never merges what is said of its own name: nobody can know more of it than the
//! set itself, and a replica must not be talked out of the sessions that it holds.

mod codec;
mod context;
mod delta;
mod diff;
mod dot;
mod entry;
mod limits;
mod liveness;
mod meta;
mod name;
mod replica;
mod set;
mod summary;
mod time;
mod traps;

pub use self::codec::DecodeError;
pub use self::context::{Context, DotRange, Life, Seen};
pub use self::delta::Delta;
pub use self::diff::{Change, Diff, TopicDiff};
pub use self::dot::{Dot, Incarnation, ReplicaId};
pub use self::entry::Presence;
pub use self::limits::{
    COUNTER_MAX, CUSTOM_BYTES_MAX, KEY_BYTES_MAX, Limited, PROFILE_BYTES_MAX,
    REPLICA_NAME_BYTES_MAX, SESSION_BYTES_MAX, TOPIC_BYTES_MAX, TooLong,
};
pub use self::liveness::{Liveness, LivenessConfig, Outcome, Shown, Signal};
pub use self::meta::{Activity, Kind, Meta, Mode, Status};
pub use self::name::{Key, ReplicaName, SessionId, Topic};
#[cfg(feature = "fuzzing")]
pub use self::replica::Message;
pub use self::replica::{
    Answer, Company, Footprint, Joining, Keep, PeerEvent, Recheck, Recipient, Replica,
    ReplicaConfig, ReplicaInput, ReplicaOutput,
};
pub use self::set::{AlreadyTracked, NotTracked, PresenceSet, TopicCount};
pub use self::summary::{
    AiPolicy, Certainty, PriorityPolicy, SessionPolicy, Summary, UserPresence, Viewer,
    ViewerSummary,
};
pub use self::time::{MonoMs, WallMs};
#[cfg(feature = "traps")]
pub use self::traps::{Trap, Traps};
