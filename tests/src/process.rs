//! The binary as an operator runs it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::mpsc;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed for programs.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
}

/// Runs the binary with `arguments`, no environment but `variables`, and waits for its end.
///
/// # Errors
///
/// It cannot be run.
pub fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Finished> {
    command_of(Build::Usual, arguments, variables)
}

/// The same with the binary of another build.
///
/// # Errors
///
/// As [`command`].
pub fn command_of(
    build: Build,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Finished> {
    let mut command = binary(build)?;
    command.args(arguments).envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + COMMAND_MAX;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("{arguments:?} goes on and on");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output()?;
    Ok(Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// How long a command that is to end may take: one that starts a server by mistake never would.
const COMMAND_MAX: Duration = Duration::from_secs(20);

/// Which binary is under test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Build {
    /// As it is shipped.
    #[default]
    Usual,
    /// With the cargo feature `otlp`.
    Otlp,
}

/// The binary under test, with an empty environment.
pub(crate) fn binary(build: Build) -> Result<Command> {
    let variable = match build {
        Build::Usual => "PENHOLDER_BIN",
        Build::Otlp => "PENHOLDER_OTLP_BIN",
    };
    let path = std::env::var_os(variable).map(PathBuf::from);
    let path =
        path.with_context(|| format!("{variable} must be the path of the server's binary"))?;
    ensure!(path.is_absolute(), "{variable} must be an absolute path");
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::null());
    Ok(command)
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// What it prints on standard output, line by line.
    pub(crate) lines: mpsc::UnboundedReceiver<String>,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        let (sender, lines) = mpsc::unbounded_channel();
        // The lines end when the log is whole: whoever sees their end looks there why.
        let end_of_log = sender.clone();
        let stdout = child.stdout.take().context("no standard output")?;
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A test that is over reads no more.
                sender.send(line).ok();
            }
        });
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let mut stderr = child.stderr.take().context("no standard error")?;
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..length]);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
            drop(end_of_log);
        });
        Ok(Self { child, lines, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The exit code, once it has ended: -1 when a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(|status| status.code().unwrap_or(-1)))
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        ensure!(status.success(), "{kill}: {status}");
        Ok(())
    }

    pub(crate) fn kill(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
