//! Whether a log and the writes under it fit together. It trusts neither the store nor the state machine.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use penholder_desk::Logged;
use penholder_lease::{EventKind, Fence, Rule};

use crate::writers::Written;

/// The time that a fence was good for, by the store's clock.
#[derive(Debug, Clone, Copy)]
struct Tenure {
    from: u64,
    deadline: u64,
    /// When it ended by an event, or the next began.
    until: Option<u64>,
}

/// Checks L1, L2, L3 and L5 of one topic; returns the number of grants.
pub(crate) fn check(log: &[Logged], written: &[Written], late_ms_max: u64) -> Result<usize> {
    let mut tenures: BTreeMap<Fence, Tenure> = BTreeMap::new();
    let (mut last, mut before) = (Fence::NONE, None::<&Logged>);
    for (logged, seq) in log.iter().zip(1..) {
        let event = &logged.event;
        ensure!(logged.seq == seq, "number {} in the place of {seq}", logged.seq);
        ensure!(before.is_none_or(|b| b.event.at <= event.at), "{seq}: the clock went back");
        let deadline = event.pen.deadline.map(|deadline| deadline.0);
        if event.kind.is_grant() {
            ensure!(event.fence > last, "L1: {} after {last}", event.fence);
            if let Some(tenure) = tenures.get_mut(&last) {
                let ended = tenure.until.is_some() || event.at.0 >= tenure.deadline;
                ensure!(ended, "L3: {seq} grants {} ms early", tenure.deadline - event.at.0);
                tenure.until.get_or_insert(event.at.0);
            }
            if event.rule == Rule::Queue {
                let ended = before.filter(|b| b.event.kind != EventKind::Granted);
                ensure!(ended.is_some(), "L3: {seq} grants to the queue what nobody has let go");
            }
            last = event.fence;
            let deadline = deadline.context("a grant without a deadline")?;
            tenures.insert(last, Tenure { from: event.at.0, deadline, until: None });
        } else {
            ensure!(event.fence == last, "{seq} is about {} and not {last}", event.fence);
            let tenure = tenures.get_mut(&last).context("an event before any grant")?;
            match event.kind {
                EventKind::Expired => {
                    ensure!(event.at.0 >= tenure.deadline, "L3: {seq} ends a tenure early");
                    let late = event.at.0 - tenure.deadline;
                    let waited = !event.pen.queue.is_empty();
                    ensure!(!waited || late <= late_ms_max, "L5: {seq} is {late} ms late");
                    tenure.until = Some(event.at.0);
                }
                EventKind::Released => tenure.until = Some(event.at.0),
                _ => {
                    ensure!(tenure.until.is_none(), "{seq} prolongs what is over");
                    ensure!(event.at.0 < tenure.deadline, "{seq} comes after the deadline");
                    tenure.deadline = deadline.context("held without a deadline")?;
                }
            }
        }
        before = Some(logged);
    }

    let mut highest = Fence::NONE;
    for (written, n) in written.iter().zip(1..) {
        ensure!(written.n == n, "write {} in the place of {n}", written.n);
        let fence = Fence(u64::try_from(written.fence)?);
        ensure!(fence >= highest, "L2: write {n} under {fence} after {highest}");
        highest = fence;
        let tenure = tenures.get(&fence).context("a write under a fence that nobody got")?;
        let at = u64::try_from(written.at_ms)?;
        let until = tenure.until.unwrap_or(u64::MAX);
        ensure!(tenure.from <= at && at <= until, "L2: write {n} at {at} is not in {tenure:?}");
    }
    Ok(tenures.len())
}
