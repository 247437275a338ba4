//! Running other programs: what to run is data ([`CommandSpec`]), an [`Executor`] runs it.

pub mod host;
pub mod process;
#[cfg(test)]
pub mod recording;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use crate::hidden::Hidden;
use crate::plain;
use crate::project::observed::Handle;

/// One command, as data: building it runs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    pub program: String,
    pub args: Vec<String>,
    /// Set on top of the inherited environment. Values may be secrets: only their names are ever shown.
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

/// What becomes of a running command when rscale is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It only reads: ended at once.
    Kill,
    /// It changes something and is short: left to end.
    Finish,
    /// It changes something and may be long (pulls, builds): asked to end after a moment.
    Ask,
}

impl CommandSpec {
    pub fn new<A: Into<String>>(
        program: impl Into<String>,
        args: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
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
            self.args.push(id.clone());
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
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<&String> = self.env.keys().collect();
        f.debug_struct("CommandSpec")
            .field("program", &self.program)
            .field("args", &self.args)
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
            let shown = self.names.get(word).unwrap_or(word);
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

    /// Whether Ctrl-C or SIGTERM arrived.
    fn interrupted(&self) -> bool;

    /// Waits for a while, or until rscale is interrupted.
    fn pause(&self, duration: Duration) -> LocalFuture<'_, ()>;
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
