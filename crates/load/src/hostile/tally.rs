//! How often what was done, and what the server did that it should not.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;

use crate::attack::Kind;

/// How many broken promises are told in full.
const TOLD_MAX: usize = 10;

/// The count of one process.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Report>);

/// What is printed at the end; read by `penholder-load`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// By kind: how often it was done.
    attacks: BTreeMap<&'static str, u64>,
    /// Connections that were opened.
    connections: u64,
    /// Attacks that ended because the server refused or closed a connection.
    cut_short: u64,
    /// Promises that the server broke.
    broken: u64,
    /// The first of them.
    told: Vec<String>,
}

impl Tally {
    pub(crate) fn begun(&self, kind: Kind) {
        *self.0.lock().attacks.entry(kind.name()).or_default() += 1;
    }

    pub(crate) fn connected(&self) {
        self.0.lock().connections += 1;
    }

    pub(crate) fn cut_short(&self) {
        self.0.lock().cut_short += 1;
    }

    pub(crate) fn broken(&self, what: String) {
        let mut report = self.0.lock();
        report.broken += 1;
        if report.told.len() < TOLD_MAX && !report.told.contains(&what) {
            report.told.push(what);
        }
    }

    pub(crate) fn report(&self) -> Report {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_counted_by_kind_and_promises_told_once() {
        let tally = Tally::default();
        (0..3).for_each(|_| tally.begun(Kind::Silent));
        (0..2).for_each(|_| tally.broken("open".to_owned()));
        let report = tally.report();
        assert_eq!(report.attacks["silent connections"], 3);
        assert_eq!((report.broken, report.told), (2, vec!["open".to_owned()]));
    }
}
