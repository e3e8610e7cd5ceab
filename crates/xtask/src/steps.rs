//! The steps of the test run: what each needs, and what it does.
//!
//! Their order is the order in which they run: first what fails in seconds, then what compiles,
//! with the longest at the end. See [`workspace`] for how they share what is compiled.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::bench;
use crate::fuzz;
use crate::load;
use crate::npm;
use crate::process::{self, Shell};
use crate::python;
use crate::rules;
use crate::setup::{self, Tool};
use crate::test::Seeds;
use crate::typescript;
use crate::workspace::{self, cargo};

/// A step of the test run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting of the Rust code
    Fmt,
    /// House rules: sizes, names, direction of the crates, no I/O in the cores
    Rules,
    /// Dependencies: bans, licences, sources, and advisories where they can be fetched
    Deny,
    /// Formatting, lints and types of the JavaScript code
    JsLint,
    /// Unit tests of the JavaScript client
    Js,
    /// The committed TypeScript types are what the Rust types give
    Gen,
    /// Clippy on every target, warnings are errors
    Clippy,
    /// Documentation builds, warnings are errors
    Doc,
    /// Unit tests and laws of every crate, and its stores against a real PostgreSQL
    Unit,
    /// Examples in the documentation
    Doctest,
    /// Every benchmark and load scenario, once, small and not measured
    BenchSmoke,
    /// Every fuzz target for ten seconds, from its corpus
    Fuzz,
    /// Whole clusters in simulated time, with drawn faults
    Simulation,
    /// Every answer over HTTP is one that /openapi.json describes, as Schemathesis sees it
    Api,
    /// The real server, with the Rust client, npm phoenix and realtime-js, and Chromium
    E2e,
}

impl Step {
    /// Returns the name by which the step is chosen.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Returns what the step shows, in one line.
    pub(crate) fn summary(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Returns what must be installed, each tool after those that it needs itself.
    pub(crate) fn tools(self) -> &'static [Tool] {
        use Tool::{
            CargoDeny, Chromium, Clippy, CxxCompiler, Node, Packages, Postgres, Python, Rustfmt,
            Schemathesis,
        };
        match self {
            Self::Fmt => &[Rustfmt],
            Self::Clippy => &[Clippy],
            Self::Deny => &[CargoDeny],
            Self::Fuzz => &[CxxCompiler],
            Self::Unit | Self::BenchSmoke => &[Postgres],
            Self::Api => &[Python, Schemathesis],
            Self::Js => &[Node, Packages(npm::CLIENT)],
            Self::JsLint => &[Node, Packages(npm::CLIENT), Packages(npm::E2E)],
            Self::E2e => &[Node, Packages(npm::CLIENT), Packages(npm::E2E), Chromium, Postgres],
            Self::Rules | Self::Gen | Self::Doc | Self::Doctest | Self::Simulation => &[],
        }
    }

    /// Does the step; returns a note when something could not be looked at.
    ///
    /// # Errors
    ///
    /// What the step shows is not so, or something it needs is missing.
    pub(crate) fn run(self, shell: &Shell, seeds: Seeds) -> Result<Option<String>> {
        match self {
            Self::Fmt => shell.run(&mut cargo("fmt --all --check"))?,
            Self::Rules => rules::check(shell)?,
            Self::Deny => return deny(shell),
            Self::JsLint => shell
                .run_each([npm::CLIENT.npm("run lint"), npm::E2E.npm("run lint --if-present")])?,
            Self::Js => shell.run(&mut npm::CLIENT.npm("test"))?,
            Self::Gen => typescript::check(shell)?,
            Self::Clippy => {
                let clippy = "clippy --workspace --all-targets --all-features -- -D warnings";
                shell.run(&mut cargo(clippy))?;
            }
            Self::Doc => {
                // The features of clippy, whose results this reuses.
                let mut doc = cargo("doc --workspace --no-deps --all-features");
                shell.run(doc.env("RUSTDOCFLAGS", "-Dwarnings"))?;
            }
            Self::Unit => shell.run(&mut unit_tests()?)?,
            Self::Doctest => shell.run(&mut cargo("test --workspace --doc"))?,
            Self::BenchSmoke => {
                // Under `cargo test` each benchmark is a smoke run: small, once, and checked. Not
                // optimised, as that would compile every dependency a second time.
                shell.run(cargo("test --workspace --bench").arg("*"))?;
                load::smoke(shell)?;
            }
            Self::Fuzz => fuzz::short(shell)?,
            Self::Simulation => simulation(shell, seeds)?,
            Self::Api => api(shell)?,
            Self::E2e => end_to_end(shell)?,
        }
        Ok(None)
    }
}

/// Runs the simulation; where a number of seeds is asked for, their runs alone, and shows how far
/// they are.
fn simulation(shell: &Shell, Seeds { seeds, from, story }: Seeds) -> Result<()> {
    let test = || cargo(&format!("test {}", workspace::SIMULATION));
    if seeds.is_none() && from.is_none() {
        return shell.run(test().env("PENHOLDER_COMMIT", bench::commit()));
    }
    // Built apart, so that what the compiler says is kept.
    shell.run(test().arg("--no-run"))?;
    let mut runs = test();
    runs.env("PENHOLDER_COMMIT", bench::commit());
    let seeds = if story { Some(1) } else { seeds };
    for (name, number) in [("PENHOLDER_SEEDS", seeds), ("PENHOLDER_SEED_FROM", from)] {
        if let Some(number) = number {
            runs.env(name, number.to_string());
        }
    }
    // One after the other: each has all processors.
    runs.args(["--", "for_every_seed", "--test-threads=1"]);
    if story {
        runs.env("PENHOLDER_STORY", "1").arg("--nocapture");
    }
    shell.run_watched(&mut runs)
}

/// Returns the command that runs the unit tests of all packages and the laws of the crates.
///
/// Integration tests are chosen by name, because leaving out the packages `tests` and `benches`
/// would change the features of what is compiled.
fn unit_tests() -> Result<Command> {
    let runner = if setup::has_nextest() { "nextest run" } else { "test" };
    let mut command = cargo(&format!("{runner} --no-fail-fast --workspace --lib --bins"));
    for name in integration_tests(&workspace::root().join("crates"))? {
        command.args(["--test", &name]);
    }
    Ok(command)
}

/// Returns the names of the integration tests of the crates in `dir`, each once, in order.
fn integration_tests(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for member in fs::read_dir(dir)? {
        let Ok(files) = fs::read_dir(member?.path().join("tests")) else { continue };
        for file in files {
            let path = file?.path();
            let is_test = path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").is_file();
            let stem = path.file_stem().filter(|_| is_test);
            names.extend(stem.map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn deny(shell: &Shell) -> Result<Option<String>> {
    let program = setup::cargo_deny()?;
    let deny = |line: &str| {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root()).args(line.split_whitespace());
        command
    };
    shell.run(&mut deny("check --hide-inclusion-graph bans licenses sources"))?;
    if let Err(error) = process::output(&mut deny("fetch db")) {
        shell.say(&format!("{error:#}"));
        let note = "advisories not checked: their database cannot be fetched from here";
        shell.say(note);
        return Ok(Some(note.to_owned()));
    }
    shell.run(&mut deny("check --hide-inclusion-graph --disable-fetch advisories"))?;
    Ok(None)
}

fn api(shell: &Shell) -> Result<()> {
    npm::build_console(shell)?;
    shell.run(&mut workspace::build_server("--test api"))?;
    let mut test = cargo("test --workspace --test api");
    test.env("PENHOLDER_BIN", workspace::profile_dir("debug")?.join("penholder"));
    shell.run(test.env("PENHOLDER_SCHEMATHESIS", python::schemathesis()?))
}

fn end_to_end(shell: &Shell) -> Result<()> {
    npm::build_console(shell)?;
    let built = workspace::profile_dir("debug")?;
    let (server, with_traces) = (built.join("penholder"), built.join("penholder-otlp"));
    // One more build of the gateway alone. Both have one name, so the first is put aside.
    shell.run(&mut workspace::build_server(&format!("--features {}", workspace::OTLP)))?;
    fs::copy(&server, &with_traces)?;
    shell.run(&mut workspace::build_server("--test e2e --example protected_save"))?;
    let suites = [
        cargo("test --workspace --test e2e"),
        npm::E2E.npm("test"),
        npm::CLIENT.npm("run test:browser"),
    ];
    shell.run_each(suites.map(|mut suite| {
        suite.env("PENHOLDER_BIN", &server).env("PENHOLDER_OTLP_BIN", &with_traces);
        suite
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_step_says_what_it_shows() {
        for step in Step::value_variants() {
            assert!(!step.summary().is_empty(), "{step:?}");
        }
    }

    #[test]
    fn tools_come_after_those_they_need() {
        for step in Step::value_variants() {
            let place = |tool: &Tool| Tool::ALL.iter().position(|other| other == tool);
            assert!(step.tools().is_sorted_by_key(place), "{step:?}");
        }
    }

    #[test]
    fn integration_tests_are_files_and_directories_with_main() {
        let scratch = Scratch::new("steps");
        for name in ["a/tests/laws.rs", "a/tests/cases/x.json", "b/tests/laws.rs"] {
            scratch.file(name);
        }
        scratch.file("b/tests/wire/main.rs");
        scratch.file("c/src/lib.rs");
        assert_eq!(integration_tests(scratch.path()).unwrap(), ["laws", "wire"]);
    }
}
