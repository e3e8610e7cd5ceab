//! What Penholder is held to. A goal holds for the size that it was set for, and no other.

use crate::figures::{Goal, Scenario};

/// Scenario, number of clients, figure, goal.
type Row = (Scenario, u32, &'static str, Goal);

const GOALS: [Row; 14] = [
    (Scenario::Idle, 10_000, MEMORY, Goal::Most(10_000.0)),
    (Scenario::Idle, 10_000, PEAK, Goal::Most(1.2)),
    (Scenario::Idle, 10_000, JOIN_CPU, Goal::Most(0.15)),
    (Scenario::Storm, 1000, WALL, Goal::Most(0.5)),
    (Scenario::Storm, 1000, CPU, Goal::Most(0.5)),
    (Scenario::Storm, 500, WALL, Goal::Most(0.15)),
    (Scenario::Fanout, 1000, SATURATED, Goal::Least(1_000_000.0)),
    (Scenario::Fanout, 1000, P50, Goal::MostTimesBare(1.3)),
    (Scenario::Fanout, 1000, P99, Goal::MostTimesBare(1.3)),
    (Scenario::Desk, 10_000, P99, Goal::Most(5.0)),
    (Scenario::Desk, 10_000, SERVER_LOAD, Goal::Most(35.0)),
    (Scenario::Desk, 10_000, SATURATED, Goal::Least(75_000.0)),
    (Scenario::Reconnect, 10_000, BACK_95, Goal::Most(10.0)),
    (Scenario::Reconnect, 10_000, BACK_ALL, Goal::Most(30.0)),
];

pub(crate) const MEMORY: &str = "memory per connection";
pub(crate) const PEAK: &str = "peak over settled memory";
pub(crate) const JOIN_CPU: &str = "server CPU per connect and join";
pub(crate) const WALL: &str = "until all have the list";
pub(crate) const CPU: &str = "server CPU";
pub(crate) const SATURATED: &str = "saturated, deliveries";
pub(crate) const P50: &str = "latency p50";
pub(crate) const P99: &str = "latency p99";
pub(crate) const SERVER_LOAD: &str = "server CPU at that rate";
pub(crate) const BACK_95: &str = "95 % are back";
pub(crate) const BACK_ALL: &str = "all are back";

/// The goal for a figure, where there is one.
pub(crate) fn find(scenario: Scenario, clients: u32, figure: &str) -> Option<Goal> {
    let row = GOALS
        .iter()
        .find(|(of, size, name, _)| *of == scenario && *size == clients && *name == figure);
    row.map(|(.., goal)| *goal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goal_is_found_for_its_size_only() {
        assert_eq!(find(Scenario::Storm, 1000, WALL), Some(Goal::Most(0.5)));
        assert_eq!(find(Scenario::Storm, 100, WALL), None);
        assert_eq!(find(Scenario::Idle, 1000, WALL), None);
    }
}
