//! Gathers what became visible and what ceased to be, and makes a diff of it.

use std::sync::Arc;

use super::rooms::{Member, RoomIx, Rooms};
use crate::diff::{Diff, TopicDiff};
use crate::entry::Presence;
use crate::name::Topic;
use crate::time::WallMs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Join,
    Leave,
}

/// One entry that became visible, or ceased to be. The time stands beside the pointer, so that sorting
/// follows the pointers of equal times only.
#[derive(Debug)]
struct Step {
    room: RoomIx,
    joined_at: WallMs,
    side: Side,
    presence: Arc<Presence>,
}

/// The visible changes of one operation. Rooms stay open until [`finish`](Self::finish), so that a
/// room number means one topic all along.
#[derive(Debug)]
pub(super) struct Changes {
    steps: Vec<Step>,
    /// Whether an entry may have become visible and ceased to be, or the other way round.
    is_crossing: bool,
}

impl Changes {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { steps: Vec::with_capacity(capacity), is_crossing: false }
    }

    pub(super) fn join(&mut self, room: RoomIx, presence: &Arc<Presence>) {
        let (joined_at, presence) = (presence.meta.joined_at, Arc::clone(presence));
        self.steps.push(Step { room, joined_at, side: Side::Join, presence });
    }

    pub(super) fn leave(&mut self, room: RoomIx, member: Member) {
        let Member { joined_at, presence } = member;
        self.steps.push(Step { room, joined_at, side: Side::Leave, presence });
    }

    /// Notes that an entry came into the shadow of another or out of it, and may do both in one
    /// operation, of which observers hear nothing.
    pub(super) fn cross(&mut self) {
        self.is_crossing = true;
    }

    /// Groups by room number, which is cheap to compare, then orders the few groups by name.
    pub(super) fn finish(self, rooms: &mut Rooms) -> Diff {
        let Self { mut steps, is_crossing } = self;
        steps.sort_unstable_by(|a, b| {
            let inline = (a.room, a.joined_at).cmp(&(b.room, b.joined_at));
            inline.then_with(|| a.presence.dot.cmp(&b.presence.dot))
        });
        let mut topics = Vec::with_capacity(usize::from(!steps.is_empty()));
        let mut rest = steps.into_iter();
        while let Some(&Step { room, .. }) = rest.as_slice().first() {
            let run = rest.as_slice().iter().take_while(|step| step.room == room);
            let (count, joins) = run.fold((0, 0), |(count, joins), step| {
                (count + 1, joins + usize::from(step.side == Side::Join))
            });
            if is_crossing {
                let steps = rest.by_ref().take(count);
                topics.extend(net(rooms.room(room).topic(), steps));
                rooms.close_if_empty(room);
                continue;
            }
            let mut diff = TopicDiff {
                topic: rooms.room(room).topic().clone(),
                joins: Vec::with_capacity(joins),
                leaves: Vec::with_capacity(count - joins),
            };
            for step in rest.by_ref().take(count) {
                match step.side {
                    Side::Join => diff.joins.push(step.presence),
                    Side::Leave => diff.leaves.push(step.presence),
                }
            }
            topics.push(diff);
            rooms.close_if_empty(room);
        }
        topics.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        Diff { topics }
    }
}

/// Makes the diff of one topic out of steps in its order, several of one entry among them.
fn net(topic: &Topic, steps: impl Iterator<Item = Step>) -> Option<TopicDiff> {
    let mut diff = TopicDiff { topic: topic.clone(), joins: Vec::new(), leaves: Vec::new() };
    let mut steps = steps.peekable();
    while let Some(step) = steps.next() {
        let sign = |step: &Step| if step.side == Side::Join { 1 } else { -1 };
        let mut sum = sign(&step);
        while let Some(same) = steps.next_if(|next| Arc::ptr_eq(&next.presence, &step.presence)) {
            sum += sign(&same);
        }
        match sum {
            1 => diff.joins.push(step.presence),
            -1 => diff.leaves.push(step.presence),
            // Visible before and after, or neither.
            _ => {}
        }
    }
    (!diff.is_empty()).then_some(diff)
}
