//! Writes the seeds of all targets into the directory that is named: see `cargo xtask fuzz --seeds`.

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let corpus = PathBuf::from(env::args_os().nth(1).ok_or(std::io::ErrorKind::InvalidInput)?);
    for seed in penholder_fuzz::seeds::all() {
        let dir = corpus.join(seed.target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(format!("seed-{}", seed.name)), seed.bytes)?;
    }
    Ok(())
}
