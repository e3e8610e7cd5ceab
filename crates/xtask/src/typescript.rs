//! `cargo xtask gen`: the payload types of the protocol, for TypeScript.
//!
//! The generated file is committed, so that the client can be read and built without Rust; the
//! test run compares it with what the Rust types give.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::process::{self, Shell};
use crate::workspace;

/// The generated file, relative to the root.
pub(crate) const GENERATED: &str = "clients/js/src/protocol.ts";

/// Write the TypeScript types of the protocol.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only compare; fails when the committed file is not what would be written.
    #[arg(long)]
    check: bool,
}

/// Writes the file, or compares it.
///
/// # Errors
///
/// The types do not build, or the file cannot be written or differs.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let shell = Shell::live();
    if args.check {
        check(&shell)?;
    } else {
        let text = generate(&shell)?;
        fs::write(path(), text).with_context(|| format!("cannot write {GENERATED}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the committed file with what the Rust types give.
///
/// # Errors
///
/// The types do not build, or the file differs; the message names the first line that does.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let wanted = generate(shell)?;
    let committed = fs::read_to_string(path()).unwrap_or_default();
    if let Some(line) = first_difference(&committed, &wanted) {
        bail!("{GENERATED}:{line} is not what the Rust types give; run `cargo xtask gen`");
    }
    Ok(())
}

fn generate(shell: &Shell) -> Result<String> {
    shell.run(&mut workspace::build_typescript_printer())?;
    let printer = workspace::profile_dir("debug")?.join("examples/typescript");
    Ok(process::output(&mut Command::new(printer))? + "\n")
}

fn path() -> impl AsRef<Path> {
    workspace::root().join(GENERATED)
}

/// Returns the number of the first line in which two texts differ, from 1.
fn first_difference(left: &str, right: &str) -> Option<usize> {
    if left == right {
        return None;
    }
    let same = left.split('\n').zip(right.split('\n')).take_while(|(l, r)| l == r).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_counts_lines_from_one() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
    }

    #[test]
    fn missing_end_is_a_difference() {
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a", "a\n"), Some(2));
    }
}
