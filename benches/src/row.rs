//! One line of a comparison in time: ours, what is run beside it, and the goal.

use crate::effort::{Asked, Effort};
use crate::instructions;
use crate::table::{self, Table};
use crate::timing::{Round, Timed, in_turn};

/// Makes what a round needs, once.
type Make = Box<dyn FnOnce() -> Round>;

/// An operation at a size, to be measured.
pub struct Row {
    operation: &'static str,
    size: u64,
    goal_ns: Option<f64>,
    /// Ours first.
    contenders: Vec<(&'static str, Make)>,
}

/// The rows that are asked for, measured one by one and printed.
#[derive(Debug)]
pub struct Comparison {
    asked: Asked,
    table: Option<Table>,
}

impl Row {
    /// Makes the row of an operation. `ours` prepares, and returns what does a round.
    pub fn new<R: FnMut() -> Timed + 'static>(
        operation: &'static str,
        size: u64,
        ours: impl FnOnce() -> R + 'static,
    ) -> Self {
        Self { operation, size, goal_ns: None, contenders: Vec::new() }.beside("ours", ours)
    }

    /// Sets the most ns that an operation may take.
    #[must_use]
    pub fn goal(mut self, ns: f64) -> Self {
        self.goal_ns = Some(ns);
        self
    }

    /// Adds something that is run beside ours.
    #[must_use]
    pub fn beside<R: FnMut() -> Timed + 'static>(
        mut self,
        name: &'static str,
        make: impl FnOnce() -> R + 'static,
    ) -> Self {
        self.contenders.push((name, Box::new(move || Box::new(make()))));
        self
    }

    fn name(&self) -> String {
        format!("{}/{}", self.operation, self.size)
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Comparison {
    /// Prints the head of a table, unless this process counts instructions for another.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        let figure = if asked.is_counting { "instructions" } else { "median" };
        let spread = if asked.is_counting { "" } else { "middle half" };
        let columns = [
            ("operation", 24),
            ("presences", 9),
            (figure, 12),
            (spread, 19),
            ("beside it", 28),
            ("goal", 24),
        ];
        let table = asked.counted.is_none().then(|| Table::new(&columns));
        Self { asked, table }
    }

    /// Measures a row and prints it, if it is asked for.
    pub fn add(&mut self, row: Row) {
        let Some(table) = &self.table else { return self.count(row) };
        if !self.asked.wants(&row.name()) {
            return;
        }
        let cells = if self.asked.is_counting { counted(&row) } else { self.measured(row) };
        table.row(cells);
    }

    fn measured(&self, row: Row) -> [String; 6] {
        let Row { operation, size, goal_ns, contenders } = row;
        let (names, makes): (Vec<_>, Vec<_>) = contenders.into_iter().unzip();
        let mut rounds: Vec<Round> = makes.into_iter().map(|make| make()).collect();
        let spreads = in_turn(self.asked.effort, &mut rounds);
        let ours = spreads[0];
        let beside = names.iter().zip(&spreads).skip(1);
        let beside = beside
            .map(|(name, theirs)| format!("{name} {}", table::ratio(theirs.median / ours.median)));
        // A smoke run is not optimised.
        let goal_ns = goal_ns.filter(|_| self.asked.effort > Effort::Smoke);
        let goal = goal_ns.map_or_else(String::new, |goal| {
            let verdict = match ours.median / goal {
                part if part <= 1.0 => "met".to_owned(),
                part => format!("missed {}", table::ratio(part)),
            };
            format!("≤ {}: {verdict}", table::time(goal))
        });
        [
            operation.to_owned(),
            table::count(size),
            table::time(ours.median),
            format!("{} to {}", table::time(ours.low), table::time(ours.high)),
            beside.collect::<Vec<_>>().join(", "),
            goal,
        ]
    }

    /// Does one round of the contender that this process counts.
    fn count(&self, row: Row) {
        let name = row.name();
        for (contender, make) in row.contenders {
            if self.asked.wants(&format!("{name}/{contender}")) {
                let Timed { units, .. } = make()();
                instructions::tell_units(units);
            }
        }
    }
}

/// Counts the instructions of each contender, in a process of its own.
fn counted(row: &Row) -> [String; 6] {
    let name = row.name();
    let counts: Vec<_> = row
        .contenders
        .iter()
        .map(|(contender, _)| (contender, instructions::count(&format!("{name}/{contender}"))))
        .collect();
    let ours = counts[0].1;
    let beside = counts.iter().skip(1);
    let beside =
        beside.map(|(contender, theirs)| format!("{contender} {}", table::ratio(theirs / ours)));
    [
        row.operation.to_owned(),
        table::count(row.size),
        format!("{ours:.0}"),
        String::new(),
        beside.collect::<Vec<_>>().join(", "),
        String::new(),
    ]
}
