//! What a machine needs beside Rust: what is missing is installed where that can be done without
//! asking, and else named with the command that mends it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Error, Result, anyhow, bail, ensure};

use crate::npm::{self, Package};
use crate::process::{self, Shell};
use crate::python;
use crate::workspace;

/// The oldest Node.js that Vite and the tests run on.
const NODE_MIN: (u32, u32) = (20, 19);

/// The version whose checks `deny.toml` is written for.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// Names under which systems know Chromium.
const CHROMIUM_NAMES: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Where Debian keeps the programs of PostgreSQL, by version.
const POSTGRES_DIR: &str = "/usr/lib/postgresql";

/// Install what `cargo xtask test` needs, or say how to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tell what is there and what is missing; fails when something is missing.
    #[arg(long)]
    check: bool,
}

/// Something that steps of the test run need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    Node,
    Packages(Package),
    Chromium,
    CargoDeny,
    CxxCompiler,
    Postgres,
    Python,
    Schemathesis,
}

impl Tool {
    /// All, each after those it needs itself.
    pub(crate) const ALL: [Self; 11] = [
        Self::Rustfmt,
        Self::Clippy,
        Self::Node,
        Self::Packages(npm::CLIENT),
        Self::Packages(npm::E2E),
        Self::Chromium,
        Self::CargoDeny,
        Self::CxxCompiler,
        Self::Postgres,
        Self::Python,
        Self::Schemathesis,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Rustfmt => "rustfmt".to_owned(),
            Self::Clippy => "clippy".to_owned(),
            Self::Node => format!("Node.js {}.{} or later", NODE_MIN.0, NODE_MIN.1),
            Self::Packages(package) => format!("npm packages of {}", package.dir),
            Self::Chromium => "Chromium".to_owned(),
            Self::CargoDeny => format!("cargo-deny {CARGO_DENY_VERSION}"),
            Self::CxxCompiler => "a C++ compiler".to_owned(),
            Self::Postgres => "PostgreSQL".to_owned(),
            Self::Python => "Python 3 with venv".to_owned(),
            Self::Schemathesis => "Schemathesis".to_owned(),
        }
    }

    /// Checks that the tool is there.
    ///
    /// # Errors
    ///
    /// It is not; the message says what was found instead.
    fn find(self) -> Result<()> {
        match self {
            Self::Rustfmt => process::output(&mut workspace::cargo("fmt --version")).map(drop),
            Self::Clippy => process::output(&mut workspace::cargo("clippy --version")).map(drop),
            Self::Node => {
                let found = process::output(Command::new("node").arg("--version"))?;
                ensure!(is_recent_node(&found), "`node --version` says {found}");
                process::output(Command::new("npm").arg("--version")).map(drop)
            }
            Self::Packages(package) if package.needs_install() => {
                bail!("node_modules is missing or older than package-lock.json")
            }
            Self::Packages(_) => Ok(()),
            Self::Chromium => {
                let found = CHROMIUM_NAMES
                    .iter()
                    .any(|name| process::output(Command::new(name).arg("--version")).is_ok());
                ensure!(found, "none of {} is on PATH", CHROMIUM_NAMES.join(", "));
                Ok(())
            }
            Self::CargoDeny => cargo_deny().map(drop),
            Self::CxxCompiler => {
                // The names by which the build script of libFuzzer looks for it.
                let program = env::var_os("CXX").unwrap_or_else(|| "c++".into());
                process::output(Command::new(program).arg("--version")).map(drop)
            }
            Self::Postgres => {
                // Debian keeps the programs of the server off PATH.
                let dirs = fs::read_dir(POSTGRES_DIR).into_iter().flatten().flatten();
                let mut programs = dirs.map(|entry| entry.path().join("bin/initdb"));
                let found = programs.any(|program| program.is_file())
                    || process::output(Command::new("initdb").arg("--version")).is_ok();
                ensure!(found, "no initdb in {POSTGRES_DIR}, nor on PATH");
                Ok(())
            }
            Self::Python => {
                // Debian has the second in a package of its own.
                let modules = ["-c", "import venv, ensurepip"];
                process::output(Command::new("python3").args(modules)).map(drop)
            }
            Self::Schemathesis => python::find(),
        }
    }

    /// Returns the command that a person runs to get the tool.
    fn remedy(self) -> String {
        match self {
            Self::Rustfmt => "rustup component add rustfmt".to_owned(),
            Self::Clippy => "rustup component add clippy".to_owned(),
            Self::Node => {
                "install it from https://nodejs.org (from Debian 13: apt-get install nodejs npm)"
                    .to_owned()
            }
            Self::Packages(package) => format!("cd {} && npm ci", package.dir),
            Self::Chromium => "sudo apt-get install chromium (other systems: install Chromium \
                               and put it on PATH)"
                .to_owned(),
            Self::CargoDeny => {
                format!("cargo install cargo-deny --locked --debug --version {CARGO_DENY_VERSION}")
            }
            Self::CxxCompiler => {
                "sudo apt-get install g++ (other systems: install one and put it on \
                                  PATH as c++, or set CXX)"
                    .to_owned()
            }
            Self::Postgres => "sudo apt-get install postgresql (other systems: install it and put \
                               initdb on PATH)"
                .to_owned(),
            Self::Python => "sudo apt-get install python3-venv (other systems: install Python 3 \
                             and put it on PATH as python3)"
                .to_owned(),
            Self::Schemathesis => "cargo xtask setup, where PyPI can be reached".to_owned(),
        }
    }

    /// Installs the tool, if that can be done without a person.
    fn install(self, shell: &Shell) -> Result<()> {
        match self {
            // Debian 12 has one that is too old; where else to get it is a person's choice.
            Self::Node => Ok(()),
            Self::Rustfmt => {
                shell.run(Command::new("rustup").args(["component", "add", "rustfmt"]))
            }
            Self::Clippy => shell.run(Command::new("rustup").args(["component", "add", "clippy"])),
            Self::Packages(package) => package.install(shell),
            Self::Chromium => {
                // The fonts, so that screenshots show letters.
                let packages = ["chromium", "fonts-liberation"];
                apt_get_install(shell, &packages)
            }
            Self::CargoDeny => {
                let mut install = workspace::cargo("install cargo-deny --locked --debug");
                install.args(["--version", CARGO_DENY_VERSION, "--root"]);
                install.arg(workspace::target_dir()?.join("tools"));
                // Built apart: its dependencies would only fill the target directory.
                shell.run(install.env_remove("CARGO_TARGET_DIR"))
            }
            Self::CxxCompiler => apt_get_install(shell, &["g++"]),
            Self::Postgres => apt_get_install(shell, &["postgresql"]),
            Self::Python => apt_get_install(shell, &["python3", "python3-venv"]),
            Self::Schemathesis => python::install(shell),
        }
    }
}

/// Tells what is there, and installs what is not unless told only to check.
///
/// # Errors
///
/// None; what is missing is in the exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let shell = Shell::live();
    let mut missing = 0;
    for tool in Tool::ALL {
        let found = if args.check { check(tool) } else { ensure_installed(tool, &shell) };
        match found {
            Ok(()) => println!("ok       {}", tool.name()),
            Err(error) => {
                missing += 1;
                println!("missing  {error:#}");
            }
        }
    }
    let nextest = if has_nextest() { "ok       " } else { "optional " };
    println!("{nextest}cargo-nextest (faster unit tests: cargo install cargo-nextest --locked)");
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes sure that a tool is there, by installing it where that can be done.
///
/// # Errors
///
/// It is still missing; the message names the command that mends it.
pub(crate) fn ensure_installed(tool: Tool, shell: &Shell) -> Result<()> {
    if tool.find().is_ok() {
        return Ok(());
    }
    match tool.install(shell) {
        Ok(()) => check(tool),
        Err(error) => Err(lacking(tool, &error)),
    }
}

/// Returns the `cargo-deny` of the pinned version, from the target directory or from PATH.
///
/// # Errors
///
/// Neither has it.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let own = workspace::target_dir()?.join("tools/bin/cargo-deny");
    let wanted = format!("cargo-deny {CARGO_DENY_VERSION}");
    [own, PathBuf::from("cargo-deny")]
        .into_iter()
        .find(|program| {
            process::output(Command::new(program).arg("--version")).is_ok_and(|v| v == wanted)
        })
        .ok_or_else(|| anyhow!("not in the target directory, nor on PATH"))
}

/// Returns whether tests can run under `cargo nextest`.
pub(crate) fn has_nextest() -> bool {
    process::output(&mut workspace::cargo("nextest --version")).is_ok()
}

fn check(tool: Tool) -> Result<()> {
    tool.find().map_err(|error| lacking(tool, &error))
}

fn lacking(tool: Tool, reason: &Error) -> Error {
    anyhow!("{}: {reason:#}; to mend it: {}", tool.name(), tool.remedy())
}

/// Installs Debian packages, as root or with a sudo that asks for no password.
fn apt_get_install(shell: &Shell, packages: &[&str]) -> Result<()> {
    let succeeds = |line: &[&str]| process::output(Command::new(line[0]).args(&line[1..])).is_ok();
    ensure!(succeeds(&["apt-get", "--version"]), "this system has no apt-get");
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    ensure!(root || succeeds(&["sudo", "-n", "true"]), "installing it needs root");
    let prefix: &[&str] = if root { &["env"] } else { &["sudo", "-n", "env"] };
    let apt_get = |args: &[&str]| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
        shell.run(&mut command)
    };
    apt_get(&["update", "--quiet"])?;
    apt_get(&[&["install", "--yes", "--quiet", "--no-install-recommends"], packages].concat())
}

/// Returns whether what `node --version` printed, such as `v20.20.2`, is recent enough.
fn is_recent_node(printed: &str) -> bool {
    let mut parts = printed.trim_start_matches('v').split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= NODE_MIN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_compared_by_number() {
        assert!(is_recent_node("v20.19.0"));
        assert!(is_recent_node("v100.0.0"));
        assert!(!is_recent_node("v20.9.5"));
        assert!(!is_recent_node("v18.20.4"));
        assert!(!is_recent_node("nightly"));
    }

    #[test]
    fn what_is_lacking_is_named_with_its_remedy() {
        let error = lacking(Tool::Clippy, &anyhow!("no such command"));
        assert_eq!(
            error.to_string(),
            "clippy: no such command; to mend it: rustup component add clippy"
        );
    }
}
