//! Instructions in the place of time: steady to a part in a thousand, however busy the machine is.
//!
//! A process runs one contender under valgrind's callgrind, which counts while
//! [`timed`](crate::timing::timed) runs and not before or after.

use std::env;
use std::process::Command;

/// What the counting process prints before the number of its operations.
const UNITS: &str = "units ";

/// Tells the process that asked how many operations were counted.
pub fn tell_units(units: u64) {
    println!("{UNITS}{units}");
}

/// Returns the instructions per operation of one contender.
///
/// # Panics
///
/// When valgrind is not installed, or what it prints cannot be read.
#[must_use]
pub fn count(contender: &str) -> f64 {
    let program = env::current_exe().expect("a running program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*timing*timed*")
        .arg(program)
        .args(["--bench".to_owned(), format!("--counted={contender}")])
        .output()
        .expect("valgrind must be installed to count instructions");
    let (told, report) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "valgrind failed: {report}");
    let units = number_after(&told, UNITS).expect("the process tells its operations");
    let collected = number_after(&report, "Collected :").expect("callgrind tells its count");
    assert!(collected > 0.0, "nothing was counted: {report}");
    collected / units
}

fn number_after(text: &str, label: &str) -> Option<f64> {
    let (_, rest) = text.split_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_valgrind_prints() {
        let report = "==7== \n==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(number_after(report, "Collected :"), Some(1_234_567.0));
        assert_eq!(number_after("units 256\n", UNITS), Some(256.0));
    }
}
