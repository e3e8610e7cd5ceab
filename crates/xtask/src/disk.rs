//! Room on the disk for what a run compiles. A compiler that finds none ends in the middle, and often names
//! another cause.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::process;

/// What a run of all steps in a fresh clone writes, in MiB: with what makes the next compilation faster, and without.
const RUN_MIB: u64 = 9 * 1024;
const LEAN_RUN_MIB: u64 = 5 * 1024;

/// Returns a warning if the disk that holds `dir` may be full before all steps are through.
///
/// Where it cannot be told how much is free, there is no warning.
pub(crate) fn warning(dir: &Path) -> Option<String> {
    let listed = process::output(Command::new("df").arg("-Pk").arg(dir)).ok()?;
    let free = free_mib(&listed)?;
    let is_lean = env::var_os("CARGO_INCREMENTAL").is_some_and(|value| value == "0");
    let run = if is_lean { LEAN_RUN_MIB } else { RUN_MIB };
    (free < run).then(|| {
        let at = dir.display();
        format!(
            "{free} MiB are free at {at}, and a first run writes {run} ({LEAN_RUN_MIB} with CARGO_INCREMENTAL=0); \
             `cargo clean` removes what is stale"
        )
    })
}

/// Returns how much is free by the report of `df -Pk`, whose fourth column is in KiB.
fn free_mib(listed: &str) -> Option<u64> {
    let line = listed.lines().nth(1)?;
    let kib: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_room_is_read_from_the_fourth_column() {
        let listed = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                      /dev/sda1        263174212 24117248   7340032      27% /\n";
        assert_eq!(free_mib(listed), Some(7168));
        assert_eq!(free_mib("Filesystem\n"), None);
        assert_eq!(free_mib(""), None);
    }

    #[test]
    fn room_of_this_disk_can_be_told() {
        let listed = process::output(Command::new("df").args(["-Pk", "."])).unwrap();
        assert!(free_mib(&listed).is_some(), "{listed}");
    }
}
