//! A command together with all that it starts: a process group on Unix, a job on Windows.

use std::io;
use std::process::ExitStatus;

use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

/// A command that was started, and what it starts.
#[cfg(unix)]
pub(super) struct Group {
    child: tokio::process::Child,
    id: Option<rustix::process::Pid>,
}

// `process-wrap` has groups as well, but waits in a thread of its own for what a command leaves behind, which
// is to go on; what is left of it is the few lines here.
#[cfg(unix)]
impl Group {
    /// Starts a command in a group of its own, so that Ctrl-C in a terminal does not reach it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(rustix::process::Pid::from_raw);
        Ok(Self { child, id })
    }

    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub fn streams(&mut self) -> Option<(ChildStdout, ChildStderr)> {
        Some((self.child.stdout.take()?, self.child.stderr.take()?))
    }

    /// Waits for the end of the command itself; what it started may go on.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks all of it to end, as Ctrl-C does; whether there is a way to.
    pub fn ask(&self) -> bool {
        self.send(super::signals::asking());
        true
    }

    /// Asks all of it to end, as whoever does not sit at a terminal does.
    pub fn terminate(&self) {
        self.send(rustix::process::Signal::TERM);
    }

    pub fn kill(&mut self) {
        self.send(rustix::process::Signal::KILL);
        // The same, where the group is not known.
        let _ = self.child.start_kill();
    }

    /// Whether nothing is left of it, once its end was waited for.
    pub fn is_gone(&self) -> bool {
        self.id
            .is_none_or(|id| rustix::process::test_kill_process_group(id).is_err())
    }

    fn send(&self, signal: rustix::process::Signal) {
        if let Some(id) = self.id {
            // The group is gone when it ended in this very moment; that is no failure.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }
}

/// A command that was started, and what it starts.
#[cfg(windows)]
pub(super) struct Group(Box<dyn process_wrap::tokio::ChildWrapper>);

#[cfg(windows)]
impl Group {
    /// Starts a command in a job of its own, which ends with all of it: `docker.exe` that is ended leaves
    /// `docker-compose.exe` behind otherwise.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let mut command = process_wrap::tokio::CommandWrap::from(command);
        Ok(Self(command.wrap(process_wrap::tokio::JobObject).spawn()?))
    }

    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.0.stdin().take()
    }

    pub fn streams(&mut self) -> Option<(ChildStdout, ChildStderr)> {
        Some((self.0.stdout().take()?, self.0.stderr().take()?))
    }

    /// Waits for the end of the command itself; what it started may go on.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        // The job's own wait is for all of it.
        self.0.inner_mut().wait().await
    }

    /// Whether there is a way to ask it to end: none, but that a console tells all its programs of Ctrl-C.
    pub fn ask(&self) -> bool {
        false
    }

    pub fn terminate(&self) {}

    pub fn kill(&mut self) {
        // What has ended cannot be ended; that is no failure.
        let _ = self.0.start_kill();
    }

    /// Not known; killing a job that is empty does no harm.
    pub fn is_gone(&self) -> bool {
        false
    }
}
