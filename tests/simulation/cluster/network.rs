//! The network between replicas: messages in flight, in the order of their arrival.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::plan::Plan;
use crate::rng::Rng;

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    /// By time of arrival, then by the order of sending.
    flights: BTreeMap<(u64, u64), Flight>,
    /// Links that carry nothing, each in its one direction, until the time given.
    cuts: BTreeMap<(usize, usize), u64>,
    /// The last arrival on a link, where messages keep their order.
    last: BTreeMap<(usize, usize), u64>,
    /// Whether the links are good.
    is_healed: bool,
    sent: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
}

impl Network {
    /// Sends a message; some are lost, some come twice.
    pub(crate) fn send(&mut self, now: u64, flight: Flight, (plan, rng): (&Plan, &mut Rng)) {
        let link = (flight.from, flight.to);
        let is_cut = self.cuts.get(&link).is_some_and(|until| now < *until);
        if !self.is_healed && (is_cut || rng.one_in(plan.loss_one_in)) {
            self.lost += 1;
            return;
        }
        let mut at = now + 1 + rng.below(plan.delay_max_ms);
        if !plan.reorders {
            at = at.max(self.last.get(&link).copied().unwrap_or_default());
            self.last.insert(link, at);
        }
        if !self.is_healed && rng.one_in(plan.repeat_one_in) {
            self.repeated += 1;
            let again = now + 1 + rng.below(plan.delay_max_ms * 3);
            self.insert(again, flight.clone());
        }
        self.insert(at, flight);
    }

    fn insert(&mut self, at: u64, flight: Flight) {
        self.sent += 1;
        self.flights.insert((at, self.sent), flight);
    }

    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.flights.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn arrived(&mut self, now: u64) -> Option<Flight> {
        let entry = self.flights.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Cuts every link from one side to the other, in this direction only.
    pub(crate) fn cut(&mut self, from: &BTreeSet<usize>, to: &BTreeSet<usize>, until: u64) {
        for link in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
            self.cuts.insert(link, until);
        }
    }

    /// From now on every message arrives, once.
    pub(crate) fn heal(&mut self) {
        self.is_healed = true;
    }
}
