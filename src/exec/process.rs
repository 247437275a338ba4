//! The only file that spawns processes.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::{CommandError, CommandOutput, CommandSpec, Executor, LocalFuture, OnInterrupt, OnLine};

/// How long a command that may be long goes on after an interruption before it is asked to end, and
/// then again before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a command that nobody waits for any more may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Runs commands as child processes, each in a process group of its own, so that Ctrl-C in a terminal
/// reaches rscale alone and rscale decides what it means for them.
#[derive(Debug)]
pub struct ProcessExecutor {
    interrupts: watch::Receiver<u32>,
}

impl ProcessExecutor {
    /// Starts to listen for SIGINT, SIGTERM and SIGHUP. Needs a running tokio runtime.
    ///
    /// # Errors
    /// The operating system refuses the listener.
    pub fn listening() -> std::io::Result<Self> {
        let (sender, interrupts) = watch::channel(0);
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for kind in [
                SignalKind::interrupt(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ] {
                let mut signals = signal(kind)?;
                let sender = sender.clone();
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        sender.send_modify(|count| *count += 1);
                    }
                });
            }
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { interrupts })
    }

    async fn spawn_and_wait(
        &self,
        spec: &CommandSpec,
        on_stdout: Option<OnLine<'_>>,
        on_stderr: Option<OnLine<'_>>,
    ) -> Result<CommandOutput, CommandError> {
        let command = spec.to_string();
        tracing::debug!(%command, "run");
        let mut leash = Leash(Some(Self::spawn(spec)?));
        let child = leash.0.as_mut().expect("it was put there");
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut out = Vec::new();
        let mut err = String::new();
        let ended = {
            let reading = async {
                tokio::join!(
                    async {
                        if let Some(on_line) = on_stdout {
                            read_lines(stdout, None, Some(on_line)).await;
                        } else {
                            // What was read before an error still counts; the exit code decides.
                            let _ = stdout.read_to_end(&mut out).await;
                        }
                    },
                    read_lines(stderr, Some(&mut err), on_stderr),
                    write(stdin, spec)
                );
                child.wait().await
            };
            tokio::pin!(reading);
            tokio::select! {
                status = &mut reading => Ended::ByItself(status),
                () = tokio::time::sleep(spec.timeout) => Ended::TooLate,
                () = self.interruption() => match spec.on_interrupt {
                    OnInterrupt::Finish => Ended::ByItself(reading.await),
                    OnInterrupt::Kill => Ended::Interrupted,
                    OnInterrupt::Ask => match tokio::time::timeout(PATIENCE, &mut reading).await {
                        Ok(status) => Ended::ByItself(status),
                        Err(_) => Ended::Interrupted,
                    },
                },
            }
        };
        let status = match ended {
            Ended::ByItself(status) => status.map_err(|error| CommandError::NotStarted {
                command: command.clone(),
                reason: error.to_string(),
            })?,
            Ended::TooLate => {
                end(child).await;
                leash.0 = None;
                return Err(CommandError::TimedOut {
                    command,
                    timeout: spec.timeout,
                    stderr: err,
                });
            }
            Ended::Interrupted => {
                end(child).await;
                leash.0 = None;
                return Err(CommandError::Interrupted { stderr: err });
            }
        };
        leash.0 = None;
        tracing::debug!(%command, %status, said = err.trim(), "ended");
        // A listing of thousands of pods has tens of megabytes, which are not copied.
        let stdout = String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        if status.success() {
            return Ok(CommandOutput {
                stdout,
                stderr: err,
            });
        }
        Err(CommandError::Failed {
            command,
            status: status.to_string(),
            stdout,
            stderr: err,
        })
    }

    fn spawn(spec: &CommandSpec) -> Result<Child, CommandError> {
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            // Nothing may wait for an answer: Compose asks before it recreates a volume.
            .stdin(if spec.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Messages are matched, so they must not be translated or coloured.
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("DOCKER_CLI_HINTS", "false")
            .envs(&spec.env)
            // Docker's clients are short-lived Go programs: `config` takes a fifth less time when it is
            // not collecting garbage that its end will free (docs/benchmarks.md).
            .envs(
                std::env::var_os("GOGC")
                    .is_none()
                    .then_some(("GOGC", "400")),
            )
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        if let Some(cwd) = &spec.cwd {
            command.current_dir(cwd);
        }
        command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => CommandError::NotFound {
                program: spec.program.clone(),
            },
            _ => CommandError::NotStarted {
                command: spec.to_string(),
                reason: error.to_string(),
            },
        })
    }

    /// Ends when rscale is interrupted for the first time from now on. What starts after
    /// that belongs to the roll-back and is left alone.
    async fn interruption(&self) {
        let mut interrupts = self.interrupts.clone();
        if *interrupts.borrow() > 0 || interrupts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

enum Ended {
    ByItself(std::io::Result<std::process::ExitStatus>),
    TooLate,
    Interrupted,
}

impl Executor for ProcessExecutor {
    fn run<'a>(
        &'a self,
        spec: &'a CommandSpec,
        on_line: Option<OnLine<'a>>,
    ) -> LocalFuture<'a, Result<CommandOutput, CommandError>> {
        Box::pin(self.spawn_and_wait(spec, None, on_line))
    }

    fn follow<'a>(
        &'a self,
        spec: &'a CommandSpec,
        on_line: OnLine<'a>,
    ) -> LocalFuture<'a, Result<CommandOutput, CommandError>> {
        Box::pin(self.spawn_and_wait(spec, Some(on_line), None))
    }

    fn interrupted(&self) -> bool {
        *self.interrupts.borrow() > 0
    }

    fn pause(&self, duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                () = self.interruption() => {}
            }
        })
    }
}

/// Gives a command what it is to read. One that ends without having read it says in its exit code how that went.
async fn write(stdin: Option<ChildStdin>, spec: &CommandSpec) {
    if let (Some(mut stdin), Some(text)) = (stdin, &spec.stdin) {
        let _ = stdin.write_all(text.as_bytes()).await;
    }
}

async fn read_lines(
    stream: impl AsyncRead + Unpin,
    mut into: Option<&mut String>,
    on_line: Option<OnLine<'_>>,
) {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut bytes).await {
        let line = String::from_utf8_lossy(&bytes);
        if let Some(on_line) = on_line {
            on_line(line.trim_end());
        }
        if let Some(into) = &mut into {
            into.push_str(&line);
        }
        bytes.clear();
    }
}

/// Asks a command and what it started to end, and kills it when it does not.
async fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = group(child) {
        use rustix::process::{Signal, kill_process_group};
        // The group is gone when the command ended in this very moment; that is no failure.
        let _ = kill_process_group(group, Signal::INT);
        if tokio::time::timeout(PATIENCE, child.wait()).await.is_ok() {
            return;
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill().await;
}

/// The group that a command and what it started are in; `None` once its end was waited for.
#[cfg(unix)]
fn group(child: &Child) -> Option<rustix::process::Pid> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    id.and_then(rustix::process::Pid::from_raw)
}

/// A command that is waited for. When nobody waits any more, it and what it started are ended: asked to,
/// and killed after a moment or when rscale ends, whichever comes first.
struct Leash(Option<Child>);

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(child) = self.0.take() else {
            return;
        };
        #[cfg(unix)]
        if let Some(group) = group(&child) {
            use rustix::process::{Signal, kill_process_group};
            let _ = kill_process_group(group, Signal::TERM);
            let kill = Kill(group);
            let mut child = child;
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    let _ = tokio::time::timeout(LAST_PATIENCE, child.wait()).await;
                    drop(kill);
                });
            }
        }
        // Elsewhere tokio ends the command, because it was told to kill on drop.
    }
}

/// Kills what is left of a group when it is dropped, which a runtime that ends does to its tasks.
#[cfg(unix)]
struct Kill(rustix::process::Pid);

#[cfg(unix)]
impl Drop for Kill {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(self.0, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::{Duration, Instant};

    use super::ProcessExecutor;
    use crate::exec::{CommandError, CommandSpec, Executor};

    fn sh(script: &str) -> CommandSpec {
        CommandSpec::new("sh", ["-c", script], Duration::from_secs(20))
    }

    #[tokio::test]
    async fn gives_both_streams_and_lines_as_they_come() {
        let executor = ProcessExecutor::listening().unwrap();
        let lines = RefCell::new(Vec::new());
        let on_line = |line: &str| lines.borrow_mut().push(line.to_owned());
        let spec = sh("echo out; echo one >&2; echo two >&2");
        let output = executor.run(&spec, Some(&on_line)).await.unwrap();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("out\n", "one\ntwo\n")
        );
        assert_eq!(lines.into_inner(), ["one", "two"]);
    }

    #[tokio::test]
    async fn follows_stdout_line_by_line_while_the_command_runs() {
        let executor = ProcessExecutor::listening().unwrap();
        let lines = RefCell::new(Vec::new());
        let began = Instant::now();
        let on_line = |line: &str| lines.borrow_mut().push((line.to_owned(), began.elapsed()));
        let spec = sh("echo one; sleep 0.5; echo no >&2; printf two");
        let output = executor.follow(&spec, &on_line).await.unwrap();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("", "no\n")
        );
        let lines = lines.into_inner();
        assert_eq!((lines[0].0.as_str(), lines[1].0.as_str()), ("one", "two"));
        assert!(
            lines[1].1.saturating_sub(lines[0].1) > Duration::from_millis(300),
            "{lines:?}"
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_nobody_waits_for_is_ended_with_all_it_started() {
        let executor = ProcessExecutor::listening().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note");
        // The shell ends when it is asked to; one that it started does not, and writes once more if it lives.
        let script = format!(
            "(trap '' TERM; sleep 3; echo alive >> {note}) & trap 'echo asked >> {note}; exit 1' TERM; echo begun >&2; wait",
            note = note.display()
        );
        let spec = sh(&script);
        let begun = tokio::sync::Notify::new();
        let on_line = |_: &str| begun.notify_one();
        tokio::select! {
            _ = executor.run(&spec, Some(&on_line)) => panic!("it ended by itself"),
            () = begun.notified() => {}
        }
        tokio::time::sleep(Duration::from_millis(3500)).await;
        assert_eq!(std::fs::read_to_string(note).unwrap(), "asked\n");
    }

    #[tokio::test]
    async fn a_failure_keeps_command_status_and_stderr() {
        let executor = ProcessExecutor::listening().unwrap();
        let error = executor
            .run(&sh("echo no >&2; exit 7"), None)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo no >&2; exit 7'` ended with exit status: 7"
        );
        assert_eq!(error.stderr(), "no\n");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended() {
        let executor = ProcessExecutor::listening().unwrap();
        let mut spec = sh("echo begun >&2; sleep 60");
        spec.timeout = Duration::from_millis(200);
        let error = executor.run(&spec, None).await.unwrap_err();
        assert!(
            matches!(error, CommandError::TimedOut { ref stderr, .. } if stderr == "begun\n"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_told_by_name() {
        let executor = ProcessExecutor::listening().unwrap();
        let spec = CommandSpec::new("rscale-no-such-program", ["x"], Duration::from_secs(1));
        let error = executor.run(&spec, None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`rscale-no-such-program` is not installed, or not on PATH"
        );
    }
}
