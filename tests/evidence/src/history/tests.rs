//! Histories that are forged: the checker must tell them from true ones.

use super::*;

const TTL_MS: u64 = 30;
const DRAIN_MS: u64 = 5;

/// Calls one after the other, but for those that are told to overlap.
struct Forged {
    history: History,
    next: u64,
}

fn who(n: u64) -> Who {
    Who { person: n, session: n }
}

impl Forged {
    fn new() -> Self {
        Self { history: History::new(Model::new(TTL_MS, DRAIN_MS)), next: 100 }
    }

    /// A call that has ended before the next begins.
    fn call(&mut self, n: u64, ask: Ask, (at, outcome): (u64, Outcome)) {
        let within = Within { from: StoreMs(at), to: StoreMs(at) };
        self.history.invoke(n, Op { who: who(n), ask, from: StoreMs(at) }).unwrap();
        self.history.complete(n, Saw { within, outcome }).unwrap();
    }

    /// A call that is never answered, of a thread that makes no other.
    fn open(&mut self, n: u64, ask: Ask, at: u64) {
        self.next += 1;
        self.history.invoke(self.next, Op { who: who(n), ask, from: StoreMs(at) }).unwrap();
    }

    fn granted(&mut self, n: u64, at: u64, fence: u64) {
        self.call(n, Ask::Acquire, (at, own(fence, at + TTL_MS)));
    }

    fn holds(&self) -> bool {
        self.history.is_linearizable()
    }
}

fn own(fence: u64, deadline: u64) -> Outcome {
    Outcome::Own(Fence(fence), StoreMs(deadline))
}

#[test]
fn second_holder_before_the_deadline_is_not_linearizable() {
    for (at, holds) in [(130, true), (129, false)] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.granted(2, at, 2);
        assert_eq!(forged.holds(), holds, "at {at}");
    }
}

#[test]
fn fence_that_is_given_twice_is_not_linearizable() {
    for (fence, holds) in [(2, true), (1, false), (3, false)] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.granted(2, 130, fence);
        assert_eq!(forged.holds(), holds, "fence {fence}");
    }
}

#[test]
fn release_that_was_lost_is_not_linearizable() {
    for (outcome, holds) in [(own(2, 141), true), (Outcome::Held, false)] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.call(1, Ask::Release(Fence(1)), (110, Outcome::Done));
        forged.call(2, Ask::Acquire, (111, outcome));
        assert_eq!(forged.holds(), holds, "{outcome:?}");
    }
}

#[test]
fn renewal_that_was_lost_is_not_linearizable() {
    let mut forged = Forged::new();
    forged.granted(1, 100, 1);
    forged.call(1, Ask::Renew(Fence(1)), (120, own(1, 150)));
    forged.granted(2, 149, 2);
    assert!(!forged.holds());

    for (deadline, holds) in [(150, true), (130, false), (149, false), (151, false)] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.call(1, Ask::Renew(Fence(1)), (120, own(1, deadline)));
        assert_eq!(forged.holds(), holds, "until {deadline}");
    }
}

#[test]
fn save_that_goes_back_is_not_linearizable() {
    for (outcome, holds) in [(Outcome::Lost, true), (Outcome::Done, false)] {
        let mut forged = Forged::new();
        forged.call(1, Ask::Save(Fence(2)), (100, Outcome::Done));
        forged.call(2, Ask::Save(Fence(1)), (101, outcome));
        assert_eq!(forged.holds(), holds, "{outcome:?}");
    }
}

#[test]
fn take_over_before_its_drain_is_over_is_not_linearizable() {
    for (at, holds) in [(115, true), (114, false)] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.call(2, Ask::TakeOver, (110, Outcome::Draining(StoreMs(115))));
        forged.call(2, Ask::Told(EventKind::TakenOver), (at, own(2, at + TTL_MS)));
        forged.call(1, Ask::Renew(Fence(1)), (at, Outcome::Lost));
        assert_eq!(forged.holds(), holds, "at {at}");
    }
}

#[test]
fn second_taker_is_told_so_and_nothing_else_is_linearizable() {
    let until = Outcome::Draining(StoreMs(115));
    for (outcome, holds) in [(Outcome::Held, true), (until, false)] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.call(2, Ask::TakeOver, (110, until));
        forged.call(3, Ask::TakeOver, (111, outcome));
        forged.call(2, Ask::TakeOver, (112, until));
        assert_eq!(forged.holds(), holds, "{outcome:?}");
    }
    let mut forged = Forged::new();
    forged.granted(1, 100, 1);
    forged.call(3, Ask::TakeOver, (111, Outcome::Held));
    assert!(!forged.holds(), "nobody takes it over");
}

#[test]
fn taker_that_nobody_took_is_not_linearizable() {
    let mut forged = Forged::new();
    forged.granted(1, 100, 1);
    forged.call(2, Ask::Told(EventKind::TakenOver), (131, own(2, 161)));
    assert!(!forged.holds());
}

#[test]
fn call_without_an_answer_may_have_had_its_effect_or_none() {
    for (n, at, fence, holds) in [
        // It was written: the next fence, once its time is over.
        (2, 150, 3, true),
        // It was not.
        (2, 131, 2, true),
        // It was written, and could not have been over.
        (2, 140, 3, false),
    ] {
        let mut forged = Forged::new();
        forged.granted(1, 100, 1);
        forged.call(1, Ask::Release(Fence(1)), (110, Outcome::Done));
        forged.open(3, Ask::Acquire, 120);
        forged.granted(n, at, fence);
        assert_eq!(forged.holds(), holds, "{fence} at {at}");
    }
    // Open or not, nothing is done before it was asked for.
    let mut forged = Forged::new();
    forged.granted(1, 100, 1);
    forged.call(1, Ask::Release(Fence(1)), (110, Outcome::Done));
    forged.granted(2, 141, 3);
    forged.open(3, Ask::Acquire, 142);
    assert!(!forged.holds());
}

#[test]
fn refusal_during_the_first_grant_may_have_a_later_clock() {
    for (refused_of, holds) in [(0, true), (1, false)] {
        let mut forged = Forged::new();
        if refused_of > 0 {
            forged.granted(3, 100, 1);
            forged.call(3, Ask::Release(Fence(1)), (120, Outcome::Done));
        }
        let first = Op { who: who(1), ask: Ask::Acquire, from: StoreMs(0) };
        forged.history.invoke(1, first).unwrap();
        forged.call(2, Ask::Write(Fence(0)), (145, Outcome::Lost));
        forged.call(2, Ask::Read, (168, Outcome::Holder(None, Fence(refused_of))));
        let granted = own(refused_of + 1, 143 + TTL_MS);
        let within = Within::at(StoreMs(143));
        forged.history.complete(1, Saw { within, outcome: granted }).unwrap();
        assert_eq!(forged.holds(), holds, "after fence {refused_of}");
    }
}

#[test]
fn order_of_calls_that_overlap_is_open() {
    let mut history = History::new(Model::new(TTL_MS, DRAIN_MS));
    let within = Within { from: StoreMs(100), to: StoreMs(200) };
    for n in [1, 2] {
        history.invoke(n, Op { who: who(n), ask: Ask::Acquire, from: within.from }).unwrap();
    }
    history.complete(1, Saw { within, outcome: own(2, 190) }).unwrap();
    history.complete(2, Saw { within, outcome: own(1, 140) }).unwrap();
    assert!(history.is_linearizable());
}
