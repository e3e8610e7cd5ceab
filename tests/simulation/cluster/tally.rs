//! How often a run came where something can go wrong.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Sessions that went on at another replica.
    pub(crate) moves: u64,
    /// Sessions that a replica let go to another.
    pub(crate) yields: u64,
    /// Replicas taken for dead by another.
    pub(crate) downs: u64,
    /// Replicas forgotten by another.
    pub(crate) gone: u64,
    /// New lives that another noticed.
    pub(crate) restarts: u64,
    /// Goodbyes that another heard.
    pub(crate) farewells: u64,
    /// Own stalls that a replica noticed.
    pub(crate) stalls: u64,
    /// Requests that were answered with a state.
    pub(crate) states: u64,
    /// Members whose presence was dropped and asked for anew.
    pub(crate) repairs: u64,
    /// Messages that were lost.
    pub(crate) lost: u64,
    /// Messages that came twice.
    pub(crate) repeated: u64,
    /// Messages that found no room at a replica that stood still.
    pub(crate) dropped: u64,
    /// Messages of a version that their receiver did not know.
    pub(crate) unknown: u64,
    /// Sessions that were removed.
    pub(crate) kicks: u64,
    /// Members who lost the right to edit.
    pub(crate) demotions: u64,
    /// Joins that others were not to see, or that did not want to see others.
    pub(crate) hidden: u64,
    /// Runs in which nobody may ever be out of sight.
    pub(crate) gentle: u64,
}

impl Tally {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            moves: self.moves + other.moves,
            yields: self.yields + other.yields,
            downs: self.downs + other.downs,
            gone: self.gone + other.gone,
            restarts: self.restarts + other.restarts,
            farewells: self.farewells + other.farewells,
            stalls: self.stalls + other.stalls,
            states: self.states + other.states,
            repairs: self.repairs + other.repairs,
            lost: self.lost + other.lost,
            repeated: self.repeated + other.repeated,
            dropped: self.dropped + other.dropped,
            unknown: self.unknown + other.unknown,
            kicks: self.kicks + other.kicks,
            demotions: self.demotions + other.demotions,
            hidden: self.hidden + other.hidden,
            gentle: self.gentle + other.gentle,
        }
    }

    pub(crate) fn rarest(self) -> u64 {
        let Self { moves, yields, downs, gone, restarts, farewells, .. } = self;
        let Self { stalls, states, repairs, lost, repeated, gentle, .. } = self;
        let Self { dropped, unknown, kicks, demotions, hidden, .. } = self;
        let events = [moves, yields, downs, gone, restarts, farewells];
        let more = [stalls, states, repairs, lost, repeated, gentle];
        let extras = [dropped, unknown, kicks, demotions, hidden];
        events.into_iter().chain(more).chain(extras).min().unwrap_or_default()
    }
}
