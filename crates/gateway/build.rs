//! Rebuilds the gateway when the console appears or changes.
//!
//! The files of the console are embedded by a macro, which cargo does not see. A gateway that was
//! compiled before the console was built would go on saying that it has none.

use std::path::Path;

const CONSOLE: &str = "../../clients/js/console";

fn main() {
    let built = format!("{CONSOLE}/dist/index.html");
    // A path that does not exist would rebuild the crate each time; the folder around it changes
    // when the console is built for the first time.
    let watched = if Path::new(&built).exists() { &built } else { CONSOLE };
    println!("cargo::rerun-if-changed={watched}");
}
