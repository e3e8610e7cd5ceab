//! The corpus on every target, without a fuzzer.

#![expect(clippy::print_stdout, reason = "a test that panics tells at which input")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{TARGETS, seeds};

/// The committed inputs of a target, by name.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.map(|path| (name(&path), fs::read(path).unwrap())).collect()
}

#[test]
fn every_committed_input_is_handled_as_promised() {
    for target in TARGETS {
        for (name, input) in corpus(target.name) {
            println!("{} {name}", target.name);
            (target.run)(&input);
        }
    }
}

#[test]
fn any_part_of_a_committed_input_is_handled_as_promised() {
    for target in TARGETS {
        for (name, input) in corpus(target.name) {
            println!("{} {name}", target.name);
            let step = input.len() / 16 + 1;
            (0..input.len()).step_by(step).for_each(|cut| (target.run)(&input[..cut]));
        }
    }
}

#[test]
fn committed_seeds_are_those_that_are_made() {
    for target in TARGETS {
        let mut committed = corpus(target.name);
        committed.retain(|name, _| name.starts_with("seed-"));
        let seeds = seeds::all().into_iter().filter(|seed| seed.target == target.name);
        let made: BTreeMap<_, _> =
            seeds.map(|seed| (format!("seed-{}", seed.name), seed.bytes)).collect();
        let names = |seeds: &BTreeMap<String, _>| seeds.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&committed), names(&made), "run `cargo xtask fuzz --seeds`");
        assert!(committed == made, "{}: run `cargo xtask fuzz --seeds`", target.name);
    }
}
