//! Runs commands as processes: reads what they say, keeps their time limits, ends them when they are to end.
//! Together with [`super::group`] the only place that does.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::time::{Instant, sleep, sleep_until};

use super::group::Group;
use super::interruption::{Interruptions, LAST_PATIENCE};
use super::reading::Said;
use super::{
    CommandError, CommandOutput, CommandSpec, Environment, Executor, Interruption, LocalFuture,
    OnInterrupt, OnLine, inherited, signals,
};
use crate::duration;

/// How long nothing may be heard of a command that has ended before what else comes is not waited for: what
/// it started can hold its pipes open for ever.
const QUIET: Duration = Duration::from_millis(200);
/// How long it is read at the most.
const REST: Duration = Duration::from_secs(2);
/// Time between two looks whether all of a command has ended.
const LOOK: Duration = Duration::from_millis(50);
/// When a command that only reads is said to take long, and how often after that.
const SLOW: Duration = Duration::from_secs(10);
const STILL_SLOW: Duration = Duration::from_secs(60);

/// Runs commands as child processes, each in a process group of its own, so that Ctrl-C in a terminal
/// reaches rscale alone and rscale decides what it means for them.
#[derive(Default)]
pub struct ProcessExecutor<'n> {
    interruptions: Interruptions,
    note: Option<&'n dyn Fn(&str)>,
}

impl fmt::Debug for ProcessExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessExecutor")
            .field("interruptions", &self.interruptions)
            .finish_non_exhaustive()
    }
}

impl<'n> ProcessExecutor<'n> {
    /// Starts to listen for SIGINT, SIGTERM and SIGHUP, where they are not ignored. Needs a running tokio
    /// runtime.
    ///
    /// # Errors
    /// The operating system refuses the listener.
    pub fn listening() -> std::io::Result<Self> {
        let executor = Self::default();
        signals::listen(&executor.interruptions)?;
        Ok(executor)
    }

    /// Has a word said when a command that only reads takes long, as on an engine that does not answer.
    #[must_use]
    pub fn noting(self, note: &'n dyn Fn(&str)) -> Self {
        Self {
            note: Some(note),
            ..self
        }
    }

    async fn spawn_and_wait(
        &self,
        spec: &CommandSpec,
        on_stdout: Option<OnLine<'_>>,
        on_stderr: Option<OnLine<'_>>,
    ) -> Result<CommandOutput, CommandError> {
        if !self.interruptions.allows(spec.on_interrupt) {
            return Err(CommandError::Interrupted {
                stderr: String::new(),
            });
        }
        let command = spec.to_string();
        tracing::debug!(%command, "run");
        let start = || Group::spawn(prepared(spec));
        let group = if spec.changes() {
            inherited::spawn(start)
        } else {
            start()
        };
        let group = group.map_err(|error| not_started(spec, &error))?;
        let mut leash = Leash(Some(group));
        let group = leash.0.as_mut().expect("it was put there");
        let stdin = group.stdin();
        let (stdout, stderr) = group.streams().expect("both are piped");
        let mut out = on_stdout.map_or_else(|| Said::kept(None), Said::told_only);
        let mut err = Said::kept(on_stderr);
        let ended = {
            let reads = Cell::new(0);
            let reading = async {
                tokio::join!(
                    out.read(stdout, &reads),
                    err.read(stderr, &reads),
                    write(stdin, spec)
                )
            };
            let mut reading = pin!(reading.map(|_| ()).fuse());
            let ended = tokio::select! {
                ended = alongside(reading.as_mut(), self.end_of(spec, group)) => ended,
                never = self.tell_of(spec) => match never {},
            };
            let rest = quiet(&reads);
            // What is in the pipes when a command ends is read; what it started may hold them open.
            tokio::select! {
                biased;
                () = reading.as_mut(), if !reading.is_terminated() => {}
                () = rest, if !reading.is_terminated() => {}
                else => {}
            }
            ended
        };
        leash.0 = None;
        let (stdout, stderr) = (out.whole(), err.whole());
        let status = match ended {
            Ended::ByItself(status) => status.map_err(|error| CommandError::NotStarted {
                command: command.clone(),
                reason: error.to_string(),
            })?,
            Ended::TooLate => {
                let timeout = spec.timeout;
                return Err(CommandError::TimedOut {
                    command,
                    timeout,
                    stderr,
                });
            }
            Ended::Interrupted => return Err(CommandError::Interrupted { stderr }),
        };
        tracing::debug!(%command, %status, said = stderr.trim(), "ended");
        if status.success() {
            return Ok(CommandOutput { stdout, stderr });
        }
        Err(CommandError::Failed {
            command,
            status: status.to_string(),
            stdout,
            stderr,
        })
    }

    /// Waits until a command has ended: by itself, or because it had to.
    async fn end_of(&self, spec: &CommandSpec, group: &mut Group) -> Ended {
        let ended = tokio::select! {
            status = group.wait() => return Ended::ByItself(status),
            () = sleep(spec.timeout) => Ended::TooLate,
            () = self.interruptions.ends(spec.on_interrupt) => Ended::Interrupted,
        };
        self.end(spec, group).await;
        ended
    }

    /// Asks a command and what it started to end, and kills what does not.
    async fn end(&self, spec: &CommandSpec, group: &mut Group) {
        if group.ask() {
            let all = async {
                let _ = group.wait().await;
                // What it started may need a moment more.
                let latest = Instant::now() + LAST_PATIENCE;
                while !group.is_gone() && Instant::now() < latest {
                    sleep(LOOK).await;
                }
            };
            tokio::select! {
                () = all => {}
                () = self.interruptions.patience(spec.on_interrupt) => {}
            }
        }
        if !group.is_gone() {
            group.kill();
        }
        let _ = group.wait().await;
    }

    /// Says that a command takes long, for as long as it takes.
    async fn tell_of(&self, spec: &CommandSpec) -> Infallible {
        let began = Instant::now();
        let note = self.note.filter(|_| spec.on_interrupt == OnInterrupt::Kill);
        let mut next = began + SLOW;
        while let Some(note) = note {
            sleep_until(next).await;
            let so_far = duration::show(began.elapsed());
            note(&format!("waiting for `{}`, {so_far} so far", spec.name()));
            next = Instant::now() + STILL_SLOW;
        }
        std::future::pending().await
    }
}

enum Ended {
    ByItself(std::io::Result<ExitStatus>),
    TooLate,
    Interrupted,
}

/// Does something while a command is read.
async fn alongside<T>(
    mut reading: Pin<&mut impl FusedFuture<Output = ()>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            () = reading.as_mut(), if !reading.is_terminated() => {}
            done = work.as_mut() => return done,
        }
    }
}

/// Waits until nothing was read for a moment, though no longer than [`REST`].
async fn quiet(reads: &Cell<u64>) {
    let began = Instant::now();
    let mut known = None;
    while known.replace(reads.get()) != Some(reads.get()) && began.elapsed() < REST {
        sleep(QUIET).await;
    }
}

fn prepared(spec: &CommandSpec) -> Command {
    let mut command = Command::new(&spec.program);
    if spec.environment == Environment::Client {
        command
            // Messages are matched, so they must not be translated or coloured.
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("DOCKER_CLI_HINTS", "false");
        // Docker's clients are short-lived Go programs: `config` takes a fifth less time when it is
        // not collecting garbage that its end will free (docs/benchmarks.md).
        if std::env::var_os("GOGC").is_none() {
            command.env("GOGC", "400");
        }
    }
    command
        .args(&spec.args)
        .envs(&spec.env)
        // Nothing may wait for an answer: Compose asks before it recreates a volume.
        .stdin(if spec.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command
}

/// Why a command did not start, which for a missing folder looks as if the program were missing.
fn not_started(spec: &CommandSpec, error: &std::io::Error) -> CommandError {
    let cwd = spec
        .cwd
        .as_deref()
        .filter(|cwd| !cwd.as_os_str().is_empty());
    let reason = match cwd {
        Some(cwd) if !cwd.is_dir() => format!("there is no folder `{}`", cwd.display()),
        _ if error.kind() == std::io::ErrorKind::NotFound => {
            return CommandError::NotFound {
                program: spec.program.clone(),
            };
        }
        _ => error.to_string(),
    };
    CommandError::NotStarted {
        command: spec.to_string(),
        reason,
    }
}

impl Executor for ProcessExecutor<'_> {
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

    fn interruption(&self) -> Interruption {
        self.interruptions.level()
    }

    fn pause(&self, duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(self.interruptions.pause(duration))
    }
}

/// Gives a command what it is to read. One that ends without having read it says in its exit code how that went.
async fn write(stdin: Option<ChildStdin>, spec: &CommandSpec) {
    if let (Some(mut stdin), Some(text)) = (stdin, &spec.stdin) {
        let _ = stdin.write_all(text.as_bytes()).await;
    }
}

/// A command that is waited for. When nobody waits any more, it and what it started are ended: asked to,
/// and killed after a moment or when rscale ends, whichever comes first.
struct Leash(Option<Group>);

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(group) = self.0.take() else {
            return;
        };
        group.terminate();
        let mut kill = Kill(group);
        if cfg!(unix)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(LAST_PATIENCE, kill.0.wait()).await;
                drop(kill);
            });
        }
    }
}

/// Kills what is left of a group when it is dropped, which a runtime that ends does to its tasks.
struct Kill(Group);

impl Drop for Kill {
    fn drop(&mut self) {
        self.0.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::{Duration, Instant};

    use super::{ProcessExecutor, SLOW};
    use crate::exec::{
        CommandError, CommandOutput, CommandSpec, Environment, Executor, OnInterrupt,
    };

    /// Longer than any of these tests takes, on a machine that does much else.
    const LONG: Duration = Duration::from_secs(300);

    fn sh(script: &str) -> CommandSpec {
        CommandSpec::new("sh", ["-c", script], LONG)
    }

    /// Runs a command, and interrupts it once for each line that it says.
    async fn interrupted_by_its_lines(
        spec: &CommandSpec,
    ) -> (Result<CommandOutput, CommandError>, Duration) {
        let executor = ProcessExecutor::default();
        let began = Instant::now();
        let on_line = |line: &str| {
            if line.starts_with("interrupt") {
                executor.interruptions.hear();
            }
        };
        let outcome = executor.run(spec, Some(&on_line)).await;
        (outcome, began.elapsed())
    }

    /// A command that goes on after a first interruption had no limit any more.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_first_interruption_leaves_time_limits_as_they_are() {
        for what in [OnInterrupt::Finish, OnInterrupt::Ask] {
            let mut spec = sh("echo interrupt >&2; sleep 300").on_interrupt(what);
            spec.timeout = Duration::from_secs(1);
            let (outcome, took) = interrupted_by_its_lines(&spec).await;
            assert!(
                matches!(outcome, Err(CommandError::TimedOut { .. })),
                "{what:?}: {outcome:?}"
            );
            assert!(took < LONG, "{what:?}: {took:?}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_second_interruption_ends_whatever_runs() {
        for what in [OnInterrupt::Finish, OnInterrupt::Ask] {
            // Two that are heard at once, on a machine that does much else, count as one.
            let spec = sh("while :; do echo interrupt >&2; sleep 0.4; done");
            let (outcome, took) = interrupted_by_its_lines(&spec.on_interrupt(what)).await;
            assert!(
                matches!(outcome, Err(CommandError::Interrupted { .. })),
                "{what:?}: {outcome:?}"
            );
            assert!(took < LONG, "{what:?}: {took:?}");
        }
    }

    /// What a roll-back starts after the first interruption goes on until the second, which ends it too.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_starts_after_an_interruption_is_ended_by_the_next() {
        let executor = ProcessExecutor::default();
        executor.interruptions.hear();
        let output = executor.run(&sh("echo done"), None).await.unwrap();
        assert_eq!(output.stdout, "done\n");
        let on_line = |_: &str| executor.interruptions.hear();
        let spec = sh("sleep 0.4; echo begun >&2; sleep 300").on_interrupt(OnInterrupt::Finish);
        let outcome = executor.run(&spec, Some(&on_line)).await;
        assert!(matches!(outcome, Err(CommandError::Interrupted { .. })));
        // From there on nothing is changed, and what is left may be looked at.
        let spec = sh("echo changed").on_interrupt(OnInterrupt::Finish);
        let outcome = executor.run(&spec, None).await;
        assert!(matches!(outcome, Err(CommandError::Interrupted { .. })));
    }

    /// Its streams were closed before it was asked, so that its next word was SIGPIPE.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_command_says_while_it_ends_is_heard() {
        let script = "trap 'echo cleaning up >&2; sleep 0.3; echo cleaned up >&2; exit 1' INT; \
            echo interrupt >&2; sleep 300 & wait";
        let (outcome, _) = interrupted_by_its_lines(&sh(script)).await;
        assert_eq!(
            outcome.unwrap_err().stderr(),
            "interrupt\ncleaning up\ncleaned up\n"
        );
        let mut spec = sh(script);
        spec.timeout = Duration::from_secs(1);
        let executor = ProcessExecutor::default();
        let error = executor.run(&spec, None).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }));
        assert!(error.stderr().ends_with("cleaned up\n"), "{error:?}");
    }

    /// Its end used to be that of the last who held its pipes.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_has_ended_when_it_exits_and_its_daemon_lives_on() {
        let folder = tempfile::tempdir().unwrap();
        let (go, gone) = (folder.path().join("go"), folder.path().join("gone"));
        // It holds the pipes until it is told.
        let script = format!(
            "(while [ ! -e {go} ]; do sleep 0.1; done; : > {gone}) & echo done; printf unfinished >&2",
            go = go.display(),
            gone = gone.display()
        );
        let executor = ProcessExecutor::default();
        let lines = RefCell::new(Vec::new());
        let on_line = |line: &str| lines.borrow_mut().push(line.to_owned());
        let output = executor.run(&sh(&script), Some(&on_line)).await.unwrap();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("done\n", "unfinished")
        );
        assert_eq!(lines.into_inner(), ["unfinished"]);
        std::fs::write(&go, "").unwrap();
        let began = Instant::now();
        while !gone.exists() {
            assert!(began.elapsed() < LONG, "the daemon was ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn all_that_was_said_before_the_end_is_read() {
        let executor = ProcessExecutor::default();
        // More than a pipe holds, so that it ends only when nearly all was read.
        let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done";
        let output = executor.run(&sh(script), None).await.unwrap();
        assert_eq!(output.stdout.len(), 20000 * 11);
    }

    /// What a command started may outlive it by ignoring what it was asked.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_ended_ends_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!(
            "sh -c 'trap \"\" INT TERM; echo $$ > {pid}; echo interrupt >&2; while :; do sleep 1; done' & wait",
            pid = pid.display()
        );
        let (outcome, _) = interrupted_by_its_lines(&sh(&script)).await;
        assert!(matches!(outcome, Err(CommandError::Interrupted { .. })));
        let pid = std::fs::read_to_string(pid).unwrap();
        let alive = || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            status.is_ok_and(|stat| !stat.contains(") Z "))
        };
        let began = Instant::now();
        while alive() {
            assert!(began.elapsed() < LONG, "it was left behind");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_takes_long_is_told() {
        let notes = RefCell::new(Vec::new());
        let note = |note: &str| notes.borrow_mut().push(note.to_owned());
        let executor = ProcessExecutor::default().noting(&note);
        let minutes = |spec: CommandSpec| {
            let executor = &executor;
            async move {
                let time = Duration::from_secs(75);
                let never = tokio::time::timeout(time, executor.tell_of(&spec)).await;
                assert!(never.is_err());
            }
        };
        let args = ["ps", "--all", "--format", "{{json .}}"];
        let look = || CommandSpec::new("/usr/bin/docker", args, LONG);
        minutes(look().on_interrupt(OnInterrupt::End)).await;
        minutes(look().on_interrupt(OnInterrupt::Finish)).await;
        assert!(notes.borrow().is_empty());
        minutes(look()).await;
        let seconds = SLOW.as_secs();
        let expected = [
            format!("waiting for `docker ps`, {seconds}s so far"),
            "waiting for `docker ps`, 1m10s so far".to_owned(),
        ];
        assert_eq!(notes.into_inner(), expected);
    }

    #[tokio::test]
    async fn a_missing_folder_is_no_missing_program() {
        let executor = ProcessExecutor::default();
        let mut spec = sh("true");
        spec.cwd = Some("/no/such/folder".into());
        let error = executor.run(&spec, None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c true` could not be started: there is no folder `/no/such/folder`"
        );
    }

    /// What is measured must not be changed by what suits docker.
    #[tokio::test]
    async fn only_clients_of_an_engine_are_given_words_for_them() {
        let executor = ProcessExecutor::default();
        let said = "echo $NO_COLOR/$DOCKER_CLI_HINTS/$LC_ALL/$GOGC";
        let mut spec = sh(said);
        let client = executor.run(&spec, None).await.unwrap().stdout;
        assert!(client.starts_with("1/false/C.UTF-8/"), "{client}");
        spec.environment = Environment::Inherited;
        let own = |name: &str| std::env::var(name).unwrap_or_default();
        let names = ["NO_COLOR", "DOCKER_CLI_HINTS", "LC_ALL", "GOGC"];
        assert_eq!(
            executor.run(&spec, None).await.unwrap().stdout.trim_end(),
            names.map(own).join("/")
        );
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
