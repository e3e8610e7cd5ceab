//! Whether a log and the writes under it fit together.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use penholder_lease::{Event, EventKind, Fence, PersonId, Rule};
use serde::Deserialize;

/// An event with its number in the topic, as the log tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Logged {
    /// The number.
    pub seq: u64,
    /// What has happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A write that was accepted.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its place among the writes on its topic, in the order of their commits: 1 is the first.
    pub n: i64,
    /// The fence that it carried.
    pub fence: i64,
    /// When, by the store's clock; none where an application wrote by its own, which knows fences alone.
    pub at_ms: Option<i64>,
}

/// The time that a fence was good for, by the store's clock.
#[derive(Debug, Clone)]
struct Tenure {
    holder: PersonId,
    from: u64,
    deadline: u64,
    is_draining: bool,
    /// When it ended by an event, or the next began.
    until: Option<u64>,
}

/// Checks one topic: fences grow (L1), writes never go back (L2), nobody gets the pen before its time (L3),
/// who waits gets it in time (L5). Returns who got which fence.
///
/// # Errors
///
/// Something does not fit.
pub fn judge(
    log: &[Logged],
    written: &[Written],
    late_ms_max: u64,
) -> Result<BTreeMap<Fence, PersonId>> {
    let mut bench = Bench { tenures: BTreeMap::new(), last: Fence::NONE, late_ms_max };
    let mut before = None::<&Logged>;
    for (logged, seq) in log.iter().zip(1..) {
        ensure!(logged.seq == seq, "number {} in the place of {seq}", logged.seq);
        ensure!(before.is_none_or(|b| b.event.at <= logged.event.at), "{seq}: the clock went back");
        if logged.event.kind.is_grant() {
            bench.grant(&logged.event, before.map(|b| b.event.kind))
        } else {
            bench.go_on(&logged.event)
        }
        .with_context(|| format!("event {seq}"))?;
        before = Some(logged);
    }
    bench.check_writes(written)?;
    Ok(bench.tenures.into_iter().map(|(fence, tenure)| (fence, tenure.holder)).collect())
}

struct Bench {
    tenures: BTreeMap<Fence, Tenure>,
    last: Fence,
    late_ms_max: u64,
}

impl Bench {
    fn grant(&mut self, event: &Event, before: Option<EventKind>) -> Result<()> {
        let at = event.at.0;
        ensure!(event.fence > self.last, "L1: {} after {}", event.fence, self.last);
        if let Some(tenure) = self.tenures.get_mut(&self.last) {
            let is_taken = event.kind == EventKind::TakenOver;
            ensure!(!is_taken || tenure.is_draining, "L3: taken over without a drain");
            let has_given_way = matches!(
                event.rule,
                Rule::SamePerson
                    | Rule::HandedOver
                    | Rule::RequestTimeout
                    | Rule::Idle
                    | Rule::AiYields
            );
            let ended = tenure.until.is_some() || has_given_way || at >= tenure.deadline;
            ensure!(ended, "L3: granted {} ms early", tenure.deadline.saturating_sub(at));
            tenure.until.get_or_insert(at);
        }
        if event.rule == Rule::Queue {
            let ended = before.is_some_and(|kind| !kind.is_grant());
            ensure!(ended, "L3: granted to the queue what nobody has let go");
        }
        let holder = event.pen.holder.clone().context("a grant to nobody")?;
        let deadline = event.pen.deadline.context("a grant without a deadline")?.0;
        self.last = event.fence;
        let is_draining = event.pen.state == penholder_lease::PenState::Draining;
        let tenure = Tenure { holder: holder.id, from: at, deadline, is_draining, until: None };
        self.tenures.insert(self.last, tenure);
        Ok(())
    }

    fn go_on(&mut self, event: &Event) -> Result<()> {
        let (at, last) = (event.at.0, self.last);
        ensure!(event.fence == last, "it is about {} and not {last}", event.fence);
        let tenure = self.tenures.get_mut(&last).context("an event before any grant")?;
        ensure!(tenure.until.is_none(), "it goes on with what is over");
        if event.kind == EventKind::Expired {
            ensure!(at >= tenure.deadline, "L3: it ends a tenure early");
            let late = at - tenure.deadline;
            let is_awaited = !event.pen.queue.is_empty();
            ensure!(!is_awaited || late <= self.late_ms_max, "L5: it is {late} ms late");
            tenure.until = Some(at);
            return Ok(());
        }
        ensure!(at < tenure.deadline, "it comes after the deadline");
        if matches!(event.kind, EventKind::Released | EventKind::Revoked) {
            tenure.until = Some(at);
            return Ok(());
        }
        let deadline = event.pen.deadline.context("held without a deadline")?.0;
        let is_longer = deadline >= tenure.deadline || event.kind != EventKind::Renewed;
        ensure!(is_longer, "a renewal made it shorter");
        let holder = event.pen.holder.as_ref().map(|holder| &holder.id);
        ensure!(holder == Some(&tenure.holder), "the holder is another without a grant");
        tenure.deadline = deadline;
        tenure.is_draining = event.pen.state == penholder_lease::PenState::Draining;
        Ok(())
    }

    fn check_writes(&self, written: &[Written]) -> Result<()> {
        let mut highest = Fence::NONE;
        for (written, n) in written.iter().zip(1..) {
            ensure!(written.n == n, "write {} in the place of {n}", written.n);
            let fence = Fence(u64::try_from(written.fence)?);
            ensure!(fence >= highest, "L2: write {n} under {fence} after {highest}");
            highest = fence;
            let tenure = self.tenures.get(&fence).context("a write under a fence nobody got")?;
            let Some(at) = written.at_ms else { continue };
            let (at, until) = (u64::try_from(at)?, tenure.until.unwrap_or(u64::MAX));
            ensure!(tenure.from <= at && at <= until, "L2: write {n} at {at} is not in {tenure:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use penholder_lease::{Kind, Pen, PenState, Person, SessionId, StoreMs};

    use super::*;

    fn event(kind: EventKind, who: &str, (fence, at, deadline): (u64, u64, u64)) -> Event {
        let person = Person { id: who.into(), name: who.to_owned(), kind: Kind::Human };
        let ended = [EventKind::Released, EventKind::Expired].contains(&kind);
        let pen = Pen {
            state: if ended { PenState::Free } else { PenState::Held },
            holder: (!ended).then(|| person.clone()),
            session: (!ended).then(|| SessionId::from(who)),
            fence: Fence(fence),
            since: None,
            deadline: (!ended).then_some(StoreMs(deadline)),
            queue: Vec::new(),
        };
        let (rule, by) = (Rule::Free, Some(person));
        Event { kind, rule, by, fence: Fence(fence), at: StoreMs(at), reason: None, pen }
    }

    fn verdict(events: &[Event], fences: &[i64]) -> Result<usize, String> {
        let numbered = events.iter().cloned().zip(1..);
        let log: Vec<_> = numbered.map(|(event, seq)| Logged { seq, event }).collect();
        let written = fences.iter().zip(1..);
        let written: Vec<_> =
            written.map(|(&fence, n)| Written { n, fence, at_ms: None }).collect();
        judge(&log, &written, 0).map(|grants| grants.len()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_fits_is_accepted() {
        let log = [
            event(EventKind::Granted, "ann", (1, 100, 200)),
            event(EventKind::Renewed, "ann", (1, 150, 250)),
            event(EventKind::Granted, "bob", (2, 250, 350)),
            event(EventKind::Released, "bob", (2, 260, 0)),
            event(EventKind::Granted, "ann", (3, 261, 361)),
        ];
        assert_eq!(verdict(&log, &[1, 1, 2, 3]), Ok(3));
        assert!(verdict(&log, &[1, 2, 1]).is_err_and(|error| error.contains("L2")), "back");
        assert!(verdict(&log, &[4]).is_err(), "under a fence that nobody got");
    }

    #[test]
    fn fence_that_is_given_twice_is_found() {
        let log = [
            event(EventKind::Granted, "ann", (1, 100, 200)),
            event(EventKind::Granted, "bob", (1, 200, 300)),
        ];
        assert!(verdict(&log, &[]).is_err_and(|error| error.contains("L1")));
    }

    #[test]
    fn grants_that_overlap_are_found() {
        let log = [
            event(EventKind::Granted, "ann", (1, 100, 200)),
            event(EventKind::Renewed, "ann", (1, 150, 250)),
            event(EventKind::Granted, "bob", (2, 249, 349)),
        ];
        assert!(verdict(&log, &[]).is_err_and(|error| error.contains("granted 1 ms early")));
    }

    #[test]
    fn life_after_a_release_is_found() {
        let log = [
            event(EventKind::Granted, "ann", (1, 100, 200)),
            event(EventKind::Released, "ann", (1, 110, 0)),
            event(EventKind::Renewed, "ann", (1, 120, 220)),
        ];
        assert!(verdict(&log, &[]).is_err_and(|error| error.contains("what is over")));
    }
}
