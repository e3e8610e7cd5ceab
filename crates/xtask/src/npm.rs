//! The JavaScript packages of the repository: what they need installed, and the console's build.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::files;
use crate::process::Shell;
use crate::workspace;

/// The client, its React hooks and the console.
pub(crate) const CLIENT: Package = Package { dir: "clients/js" };

/// The tests that drive the real server with the unmodified npm clients.
pub(crate) const E2E: Package = Package { dir: "tests/e2e" };

/// The Socket.IO server that the load generator compares with.
pub(crate) const SOCKETIO: Package = Package { dir: "crates/load/socketio" };

/// What the console's build writes last; the server embeds the directory it is in.
const CONSOLE_PAGE: &str = "console/dist/index.html";

/// A directory with a `package.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Package {
    /// Relative to the root, and as people call it.
    pub(crate) dir: &'static str,
}

impl Package {
    /// Returns where it is.
    pub(crate) fn path(self) -> PathBuf {
        workspace::root().join(self.dir)
    }

    /// Returns an npm command that runs in the package, with the arguments in `line`.
    pub(crate) fn npm(self, line: &str) -> Command {
        let mut command = Command::new("npm");
        command.current_dir(self.path()).args(line.split_whitespace());
        command
    }

    /// Returns whether `node_modules` is missing or older than the lock file.
    ///
    /// npm writes its own copy of the lock file when it has finished: an installation that was
    /// cut off does not count.
    pub(crate) fn needs_install(self) -> bool {
        let installed = files::modified(&self.path().join("node_modules/.package-lock.json"));
        let locked = files::modified(&self.path().join("package-lock.json"));
        installed.is_none() || installed < locked
    }

    /// Installs what the lock file names.
    ///
    /// # Errors
    ///
    /// npm is missing or fails.
    pub(crate) fn install(self, shell: &Shell) -> Result<()> {
        shell.run(&mut self.npm("ci --no-audit --no-fund"))
    }
}

/// Builds the console, and first installs what that needs; does neither when all is current.
///
/// # Errors
///
/// npm is missing, or a command fails.
pub(crate) fn build_console(shell: &Shell) -> Result<()> {
    if CLIENT.needs_install() {
        CLIENT.install(shell)?;
    }
    if files::is_stale(&CLIENT.path().join(CONSOLE_PAGE), &CLIENT.path())? {
        shell.run(&mut CLIENT.npm("run build"))?;
    }
    Ok(())
}
