//! Running other programs: what runs is printed so that it can be pasted, its output is shown
//! live and, where asked, kept; what goes wrong is said in one sentence.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};

use crate::workspace;

/// How long output is awaited after the program that wrote it has ended. Only a program that it
/// left behind can hold the pipe open longer, and that must not hang the run.
const LEFTOVER_WAIT: Duration = Duration::from_secs(2);

/// Runs programs and shows their output, and keeps it in a file when it has one.
#[derive(Debug)]
pub(crate) struct Shell {
    log: Option<Log>,
}

/// What becomes of a program's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stderr {
    Kept,
    Shown,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
}

impl Shell {
    /// Returns a shell whose programs own the terminal.
    pub(crate) fn live() -> Self {
        Self { log: None }
    }

    /// Returns a shell that also writes all output to a new file at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub(crate) fn logged(path: PathBuf) -> Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { log: Some(Log { path, file }) })
    }

    /// Prints a line.
    pub(crate) fn say(&self, line: &str) {
        println!("{line}");
        if let Some(log) = &self.log {
            // What is on the screen is not lost when the disk is full.
            let _ = writeln!(&log.file, "{line}");
        }
    }

    /// Prints and runs a command, and waits for it.
    ///
    /// # Errors
    ///
    /// The program is not there, or it ended with another code than 0.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        self.run_with(command, Stderr::Kept)
    }

    /// Prints and runs a command that shows on its standard error how far it is: on the terminal
    /// where that is one, and not kept.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub(crate) fn run_watched(&self, command: &mut Command) -> Result<()> {
        self.run_with(command, Stderr::Shown)
    }

    fn run_with(&self, command: &mut Command, stderr: Stderr) -> Result<()> {
        let line = rendered(command);
        self.say(&format!("$ {line}"));
        prepare(command);
        let status = match &self.log {
            None => command.status().map_err(|error| not_started(command, error))?,
            Some(log) => {
                let (reader, writer) = io::pipe()?;
                command.stdin(Stdio::null()).stdout(writer.try_clone()?);
                match stderr {
                    Stderr::Kept => command.stderr(writer),
                    Stderr::Shown => command.stderr(Stdio::inherit()),
                };
                let started = command.spawn();
                // The command keeps its ends of the pipe, and the reader would wait for them.
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let mut child = started.map_err(|error| not_started(command, error))?;
                let copied = copy_in_background(reader, log.file.try_clone()?);
                let status = child.wait()?;
                // An error is the time-out, after which the rest is not ours to wait for.
                let _ = copied.recv_timeout(LEFTOVER_WAIT);
                status
            }
        };
        ensure!(status.success(), "`{line}` failed ({status})");
        Ok(())
    }

    /// Runs every command, also after one has failed.
    ///
    /// # Errors
    ///
    /// At least one failed; the message names each.
    pub(crate) fn run_each(&self, commands: impl IntoIterator<Item = Command>) -> Result<()> {
        let failed: Vec<String> = commands
            .into_iter()
            .filter_map(|mut command| self.run(&mut command).err())
            .map(|error| format!("{error:#}"))
            .collect();
        ensure!(failed.is_empty(), "{}", failed.join("; "));
        Ok(())
    }

    /// Returns the last lines of what was kept, at most `count`.
    pub(crate) fn tail(&self, count: usize) -> Vec<String> {
        let Some(log) = &self.log else { return Vec::new() };
        let bytes = fs::read(&log.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.lines().rev().take(count).map(str::to_owned).collect();
        lines.reverse();
        lines
    }
}

/// Runs a command without a word and returns what it wrote to its standard output, trimmed.
///
/// # Errors
///
/// The program is not there or failed; the message carries what it wrote to its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = rendered(command);
    prepare(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, reason.trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("output of `{line}`"))?;
    Ok(text.trim().to_owned())
}

/// Replaces this program by another one: signals and the exit code are then that one's own.
///
/// Returns only when that failed, with the error.
pub(crate) fn replace_with(command: &mut Command) -> Error {
    println!("$ {}", rendered(command));
    prepare(command);
    let error = command.exec();
    not_started(command, error)
}

/// Copies output to the screen and to `file` until its last writer is gone, then tells so.
fn copy_in_background(
    mut reader: impl Read + Send + 'static,
    mut file: File,
) -> mpsc::Receiver<()> {
    let (done, copied) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            let chunk = &buffer[..length];
            let mut screen = io::stdout().lock();
            // A closed screen or a full disk must not stop the program that writes.
            let _ = screen.write_all(chunk).and_then(|()| screen.flush());
            let _ = file.write_all(chunk);
        }
        // Fails when nobody waits any longer.
        let _ = done.send(());
    });
    copied
}

/// Sets what every program gets: colours when a person looks, and nothing of what cargo has told
/// *this* program about itself, as build scripts that look at it would run again each time.
fn prepare(command: &mut Command) {
    const OURS: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| OURS.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    }
}

/// Returns the line that runs a command from the root of the repository.
fn rendered(command: &Command) -> String {
    let mut words = Vec::new();
    if let Some(dir) = command.get_current_dir().filter(|dir| *dir != workspace::root()) {
        words.push(format!("cd {} &&", workspace::shown(dir)));
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.display(), quoted(&value.to_string_lossy())));
        }
    }
    words.push(quoted(&workspace::shown(Path::new(command.get_program()))));
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn not_started(command: &Command, error: io::Error) -> Error {
    let program = command.get_program().display();
    if error.kind() == io::ErrorKind::NotFound {
        return Error::msg(format!("`{program}` is not installed, or not on PATH"));
    }
    Error::new(error).context(format!("cannot start `{program}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// A shell with a log, and the directory that the log is in.
    fn shell_in(test: &str) -> (Shell, Scratch) {
        let scratch = Scratch::new(test);
        (Shell::logged(scratch.path().join("new/step.log")).unwrap(), scratch)
    }

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn failure_names_command_and_status_and_keeps_both_outputs_in_order() {
        let (shell, _scratch) = shell_in("order");
        let error = shell.run(&mut sh("echo first; echo second >&2; exit 3")).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("sh -c") && message.contains("exit status: 3"), "{message}");
        assert_eq!(shell.tail(2), ["first", "second"]);
    }

    #[test]
    fn what_a_watched_command_shows_is_not_kept() {
        let (shell, _scratch) = shell_in("watched");
        shell.run_watched(&mut sh("echo result; echo progress >&2")).unwrap();
        assert_eq!(shell.tail(1), ["result"]);
    }

    #[test]
    fn all_commands_run_although_one_fails() {
        let (shell, _scratch) = shell_in("each");
        let error = shell.run_each([sh("exit 1"), sh("echo reached")]).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"));
        assert_eq!(shell.tail(1), ["reached"]);
    }

    #[test]
    fn program_left_behind_does_not_hang_the_run() {
        let (shell, _scratch) = shell_in("leftover");
        let start = std::time::Instant::now();
        shell.run(&mut sh("sleep 60 & echo left")).unwrap();
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(shell.tail(1), ["left"]);
    }

    #[test]
    fn missing_program_is_said_plainly() {
        let error = output(&mut Command::new("penholder-no-such-program")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`penholder-no-such-program` is not installed, or not on PATH"
        );
    }

    #[test]
    fn rendered_command_can_be_pasted() {
        let mut command = Command::new("npm");
        command.current_dir(workspace::root().join("clients/js"));
        command.env("WHO", "it's me").args(["run", "test:browser", ""]);
        assert_eq!(
            rendered(&command),
            r"cd clients/js && WHO='it'\''s me' npm run test:browser ''"
        );
    }
}
