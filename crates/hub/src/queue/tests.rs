use penholder_protocol::Encoded;

use super::*;

const ADA: MemberId = MemberId(1);
const BOB: MemberId = MemberId(2);

fn frame(class: Class, len: usize) -> Frame {
    Frame { body: Encoded::Text("x".repeat(len).into()), class }
}

fn queue() -> SendQueue {
    SendQueue::new(QueueLimits { frames_max: 8, bytes_max: 80 })
}

/// A queue with every slot taken by presence of `ADA`.
fn full_of_presence() -> SendQueue {
    let mut queue = queue();
    for _ in 0..8 {
        assert_eq!(queue.push(ADA, frame(Class::Presence, 1)), Pushed::Queued);
    }
    queue
}

fn lens(queue: &mut SendQueue) -> Vec<usize> {
    std::iter::from_fn(|| queue.pop()).map(|frame| frame.body.len()).collect()
}

#[test]
fn frames_leave_in_the_order_in_which_they_came() {
    let mut queue = queue();
    for len in [1, 2, 3] {
        assert_eq!(queue.push(ADA, frame(Class::Vital, len)), Pushed::Queued);
    }
    assert_eq!(lens(&mut queue), [1, 2, 3]);
    assert!(queue.is_empty());
}

#[test]
fn the_last_slot_is_filled_and_one_past_it_overflows() {
    let mut queue = queue();
    for _ in 0..8 {
        assert_eq!(queue.push(ADA, frame(Class::Vital, 1)), Pushed::Queued);
    }
    assert_eq!(queue.push(ADA, frame(Class::Vital, 1)), Pushed::Overflow);
}

#[test]
fn the_last_byte_is_filled_and_one_past_it_overflows() {
    let mut queue = queue();
    assert_eq!(queue.push(ADA, frame(Class::Vital, 79)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Vital, 1)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Vital, 1)), Pushed::Overflow);
}

#[test]
fn what_must_arrive_passes_alone_however_large() {
    let mut queue = queue();
    assert_eq!(queue.push(ADA, frame(Class::Presence, 1)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Vital, 1000)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Vital, 1)), Pushed::Overflow);
    assert_eq!(lens(&mut queue), [1000], "presence has given way");
}

#[test]
fn presence_gives_way_to_what_must_arrive() {
    let mut queue = full_of_presence();
    assert_eq!(queue.push(BOB, frame(Class::Vital, 7)), Pushed::Queued);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.repairs(), [ADA]);
    assert_eq!(queue.repairs(), [], "a repair is asked for once");
}

#[test]
fn a_stale_member_gets_nothing_before_its_snapshot() {
    let mut queue = full_of_presence();
    assert_eq!(queue.push(ADA, frame(Class::Presence, 1)), Pushed::Deferred);
    assert!(queue.is_empty(), "what was queued of it went with it");
    assert_eq!(queue.push(ADA, frame(Class::Presence, 1)), Pushed::Deferred);
    assert_eq!(queue.push(ADA, frame(Class::Snapshot, 5)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Presence, 1)), Pushed::Queued);
    assert_eq!(queue.repairs(), [], "it has been repaired");
}

#[test]
fn the_presence_of_one_member_does_not_push_out_that_of_another() {
    let mut queue = full_of_presence();
    assert_eq!(queue.push(BOB, frame(Class::Presence, 1)), Pushed::Deferred);
    assert_eq!(queue.len(), 8);
    assert_eq!(queue.repairs(), [], "there is no room yet");
}

#[test]
fn a_repair_waits_until_half_the_queue_is_free() {
    let mut queue = queue();
    assert_eq!(queue.push(BOB, frame(Class::Vital, 41)), Pushed::Queued);
    assert_eq!(queue.push(BOB, frame(Class::Vital, 35)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Presence, 60)), Pushed::Deferred);
    assert_eq!(queue.repairs(), []);
    queue.pop();
    assert_eq!(queue.repairs(), [ADA]);
}

#[test]
fn a_repair_larger_than_the_queue_fits_into_its_free_half() {
    let mut queue = queue();
    for _ in 0..4 {
        assert_eq!(queue.push(BOB, frame(Class::Vital, 10)), Pushed::Queued);
    }
    for class in [Class::Snapshot, Class::Presence, Class::Presence] {
        assert_eq!(queue.push(ADA, frame(class, 1000)), Pushed::Queued);
    }
    assert_eq!(queue.repairs(), []);
    assert_eq!(lens(&mut queue), [10, 10, 10, 10, 1000, 1000, 1000]);
    assert_eq!(queue.bytes, 0, "what was counted is counted back");
}

#[test]
fn a_snapshot_without_room_is_asked_for_again() {
    let mut queue = queue();
    assert_eq!(queue.push(BOB, frame(Class::Vital, 75)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Snapshot, 1000)), Pushed::Deferred);
    assert_eq!(queue.repairs(), []);
    queue.pop();
    assert_eq!(queue.repairs(), [ADA]);
}

#[test]
fn a_forgotten_member_is_not_repaired_and_leaves_no_presence() {
    let mut queue = queue();
    assert_eq!(queue.push(ADA, frame(Class::Presence, 1)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Vital, 2)), Pushed::Queued);
    queue.forget(ADA);
    assert_eq!(lens(&mut queue), [2], "what must arrive still does");
    assert_eq!(queue.repairs(), []);
}

#[test]
#[should_panic = "a repair fits"]
fn a_queue_without_room_for_a_repair_is_a_bug() {
    let _ = SendQueue::new(QueueLimits { frames_max: 5, bytes_max: 80 });
}

#[test]
fn what_is_withdrawn_is_not_sent_and_leaves_room() {
    let mut queue = queue();
    assert_eq!(queue.push(ADA, frame(Class::Vital, 30)), Pushed::Queued);
    assert_eq!(queue.push(BOB, frame(Class::Vital, 20)), Pushed::Queued);
    assert_eq!(queue.push(ADA, frame(Class::Presence, 8)), Pushed::Queued);
    queue.withdraw(ADA);
    assert_eq!(queue.push(ADA, frame(Class::Vital, 60)), Pushed::Queued);
    assert_eq!(lens(&mut queue), [20, 60]);
    assert_eq!(queue.push(BOB, frame(Class::Vital, 20)), Pushed::Queued);
    queue.clear();
    assert_eq!(queue.push(ADA, frame(Class::Vital, 80)), Pushed::Queued);
    assert_eq!(lens(&mut queue), [80]);
}
