//! Running other programs: what to run is data ([`CommandSpec`]), an [`Executor`] runs it.

pub mod endpoint;
mod group;
pub mod host;
pub mod inherited;
mod interruption;
pub mod kubeconfig;
pub mod process;
mod reading;
#[cfg(test)]
pub mod recording;
mod signals;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use crate::hidden::Hidden;
use crate::plain;
use crate::project::observed::Handle;

/// One command, as data: building it runs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    pub program: String,
    /// Paths need not be UTF-8.
    pub args: Vec<OsString>,
    pub environment: Environment,
    /// Set on top of that environment. Values may be secrets: only their names are ever shown.
    pub env: BTreeMap<String, String>,
    pub cwd: Option<PathBuf>,
    /// What it reads on stdin; nothing unless said otherwise.
    pub stdin: Option<Hidden<String>>,
    pub timeout: Duration,
    /// What an interruption of rscale does to it.
    pub on_interrupt: OnInterrupt,
    /// Arguments that people know by another name: ids of containers.
    pub names: BTreeMap<String, String>,
}

/// The environment that a command begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A client of an engine (docker, Compose, kubectl): rscale's own, and what makes its words plain and its
    /// start fast.
    Client,
    /// A command of the user's: rscale's own as it is.
    Inherited,
}

/// What becomes of a running command when rscale is interrupted for the first time. All of them are ended by
/// the second, and keep their time limits until then. What starts after the first (the roll-back) is left
/// alone until the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It only reads: ended at once.
    Kill,
    /// It is work of the user's that nothing depends on: ended at once.
    End,
    /// It changes something and is short: left to end.
    Finish,
    /// It changes something and may be long (pulls, builds): asked to end after a moment.
    Ask,
}

/// How often rscale was told to stop: Ctrl-C, SIGTERM, SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interruption {
    Never,
    /// No new steps; what runs is let to finish, or rolled back.
    Once,
    /// Nothing is waited for and nothing changed any more. What is left may be looked at: commands that only
    /// read start for five seconds more, all others end as interrupted at once.
    Twice,
}

impl Interruption {
    /// Whether waiting ends: at the first interruption, or in a roll-back, which answers it, at the second.
    pub fn ends_waiting(self, rolling_back: bool) -> bool {
        self > if rolling_back {
            Self::Once
        } else {
            Self::Never
        }
    }
}

impl CommandSpec {
    pub fn new<A: Into<OsString>>(
        program: impl Into<String>,
        args: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            environment: Environment::Client,
            env: BTreeMap::new(),
            cwd: None,
            stdin: None,
            timeout,
            on_interrupt: OnInterrupt::Kill,
            names: BTreeMap::new(),
        }
    }

    /// With containers as the next arguments.
    #[must_use]
    pub fn of(mut self, containers: &[Handle]) -> Self {
        for Handle { id, name } in containers {
            self.args.push(id.into());
            if id != name {
                self.names.insert(id.clone(), name.clone());
            }
        }
        self
    }

    #[must_use]
    pub fn on_interrupt(mut self, what: OnInterrupt) -> Self {
        self.on_interrupt = what;
        self
    }

    /// Whether it changes something, as a client of an engine.
    fn changes(&self) -> bool {
        let may_end = matches!(self.on_interrupt, OnInterrupt::Finish | OnInterrupt::Ask);
        may_end && self.environment == Environment::Client
    }

    /// Its program and the first words that say what it does: `docker ps`.
    fn name(&self) -> String {
        let words = self.args.iter().map(|word| word.to_string_lossy());
        let words = words.take_while(|word| !word.starts_with('-')).take(2);
        let program = Path::new(&self.program).file_name();
        let program = program.unwrap_or_default().to_string_lossy();
        let words: Vec<Cow<'_, str>> = [program].into_iter().chain(words).collect();
        words.join(" ")
    }
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<&String> = self.env.keys().collect();
        f.debug_struct("CommandSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("environment", &self.environment)
            .field("env", &env)
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin)
            .field("timeout", &self.timeout)
            .field("on_interrupt", &self.on_interrupt)
            .field("names", &self.names)
            .finish()
    }
}

/// The command as it could be typed in a shell, without the environment; containers stand there by name.
impl fmt::Display for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.program))?;
        self.args.iter().try_for_each(|word| {
            let word = word.to_string_lossy();
            let shown = self.names.get(&*word).map_or(&*word, String::as_str);
            write!(f, " {}", quoted(shown))
        })
    }
}

/// A word as a shell needs it; `--scale web=3` needs no quotes, though the library gives it some.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.into();
    }
    if word.chars().any(plain::is_odd) {
        return escaped(word).into();
    }
    shlex::try_quote(word).unwrap_or(word.into())
}

/// A word with line ends or control characters, which are neither printed as they are nor changed: `$'a\nb'` says the same
/// to bash, zsh, ksh and, from POSIX.1-2024 on, to any shell.
fn escaped(word: &str) -> String {
    let mut text = String::from("$'");
    for c in word.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\\' | '\'' => text.extend(['\\', c]),
            odd if plain::is_odd(odd) => {
                // By its bytes, each in three octal digits: what follows could be taken for more of another number.
                let mut bytes = [0; 4];
                for byte in odd.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:03o}");
                }
            }
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

/// What a command that ended with 0 printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandOutput {
    pub stdout: String,
    pub stderr: String,
}

/// Why a command did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("`{program}` is not installed, or not on PATH")]
    NotFound { program: String },
    #[error("`{command}` could not be started: {reason}")]
    NotStarted { command: String, reason: String },
    #[error("`{command}` ended with {status}")]
    Failed {
        command: String,
        status: String,
        stdout: String,
        stderr: String,
    },
    #[error("`{command}` did not end within {}", crate::duration::show(*timeout))]
    TimedOut {
        command: String,
        timeout: Duration,
        stderr: String,
    },
    #[error("interrupted")]
    Interrupted { stderr: String },
}

impl CommandError {
    /// What the command said before it failed.
    pub fn stderr(&self) -> &str {
        match self {
            Self::Failed { stderr, .. }
            | Self::TimedOut { stderr, .. }
            | Self::Interrupted { stderr } => stderr,
            Self::NotFound { .. } | Self::NotStarted { .. } => "",
        }
    }
}

/// A future that is not sent between threads; rscale runs on one.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Called with each line that a command prints on one of its streams, as it comes.
pub type OnLine<'a> = &'a dyn Fn(&str);

/// Runs commands. Tests replace it.
pub trait Executor {
    /// Runs a command to its end; `on_line` gets what it prints on stderr.
    ///
    /// # Errors
    /// Anything but an exit with 0 within the time limit.
    fn run<'a>(
        &'a self,
        spec: &'a CommandSpec,
        on_line: Option<OnLine<'a>>,
    ) -> LocalFuture<'a, Result<CommandOutput, CommandError>>;

    /// Runs a command to its end; `on_line` gets what it prints on stdout, which is not kept.
    ///
    /// # Errors
    /// Anything but an exit with 0 within the time limit.
    fn follow<'a>(
        &'a self,
        spec: &'a CommandSpec,
        on_line: OnLine<'a>,
    ) -> LocalFuture<'a, Result<CommandOutput, CommandError>>;

    /// How often rscale was interrupted; it never becomes less.
    fn interruption(&self) -> Interruption;

    /// Whether rscale was interrupted at all.
    fn interrupted(&self) -> bool {
        self.interruption() > Interruption::Never
    }

    /// Waits for a while, or until rscale is interrupted once more. After a second interruption hardly at all.
    fn pause(&self, duration: Duration) -> LocalFuture<'_, ()>;
}

/// Waits until rscale was interrupted so often.
pub async fn until(executor: &dyn Executor, interruption: Interruption) {
    while executor.interruption() < interruption {
        executor.pause(Duration::from_secs(3600)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::CommandSpec;

    #[test]
    fn a_command_prints_as_it_could_be_typed() {
        let spec = CommandSpec::new(
            "docker",
            ["ps", "--scale", "web=3", "--format", "{{json .}} it's"],
            Duration::ZERO,
        );
        assert_eq!(
            spec.to_string(),
            r#"docker ps --scale web=3 --format "{{json .}} it's""#
        );
    }

    #[test]
    fn a_word_with_line_ends_or_control_characters_is_typed_without_them() {
        let script = "echo 'a\\b'\nprintf '\u{1b}[2J\u{202e}1'\t";
        let command = CommandSpec::new("printf", ["%s", script], Duration::ZERO).to_string();
        assert_eq!(
            command,
            r"printf %s $'echo \'a\\b\'\nprintf \'\033[2J\342\200\2561\'\t'"
        );
        #[cfg(unix)]
        if let Ok(said) = std::process::Command::new("bash")
            .args(["-c", &command])
            .output()
        {
            assert_eq!(String::from_utf8_lossy(&said.stdout), script);
        }
    }
}
