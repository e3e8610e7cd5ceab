//! What the command line asks of a benchmark.

use std::env;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Everything once and small, for the test command: that it runs, and is right.
    Smoke,
    /// A first impression.
    Quick,
    /// What is written down.
    Full,
}

/// The command line of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How much is measured.
    pub effort: Effort,
    /// Whether instructions are counted in the place of time.
    pub is_counting: bool,
    /// The one measurement whose instructions this process counts, under valgrind.
    pub counted: Option<String>,
    /// Only rows whose name has one of these in it; all when there are none.
    pub filters: Vec<String>,
}

impl Asked {
    /// Reads the command line of this process.
    #[must_use]
    pub fn from_args() -> Self {
        Self::parse(env::args().skip(1))
    }

    fn parse(args: impl Iterator<Item = String>) -> Self {
        let mut asked =
            Self { effort: Effort::Smoke, is_counting: false, counted: None, filters: Vec::new() };
        let mut is_quick = false;
        for arg in args {
            match arg.as_str() {
                // Cargo gives it to whatever `cargo bench` runs, and not under `cargo test`.
                "--bench" => asked.effort = Effort::Full,
                "--quick" => is_quick = true,
                "--instructions" => asked.is_counting = true,
                _ => match arg.strip_prefix("--counted=") {
                    Some(name) => asked.counted = Some(name.to_owned()),
                    None if arg.starts_with('-') => {}
                    None => asked.filters.push(arg),
                },
            }
        }
        if is_quick {
            asked.effort = asked.effort.min(Effort::Quick);
        }
        asked
    }

    /// Returns whether a row of this name is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        match &self.counted {
            Some(counted) => counted == name,
            None => {
                self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
            }
        }
    }

    /// Returns the numbers of presences that are measured.
    #[must_use]
    pub fn sizes(&self) -> &'static [u64] {
        match self.effort {
            Effort::Smoke => &[1_000],
            Effort::Quick | Effort::Full => &[1_000, 10_000, 100_000],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Asked {
        Asked::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_cargo_bench_it_is_a_smoke_run() {
        assert_eq!(parse("").effort, Effort::Smoke);
        assert_eq!(parse("--quick").effort, Effort::Smoke);
        assert_eq!(parse("--bench").effort, Effort::Full);
        assert_eq!(parse("merge --quick --bench").effort, Effort::Quick);
    }

    #[test]
    fn rows_are_chosen_by_a_part_of_their_name_and_counted_by_the_whole() {
        let asked = parse("merge --bench");
        assert!(asked.wants("merge of 1 join") && !asked.wants("track"));
        assert!(parse("--bench").wants("track"));
        let counted = parse("--bench --counted=track/1000");
        assert!(counted.wants("track/1000") && !counted.wants("track/10000"));
    }
}
