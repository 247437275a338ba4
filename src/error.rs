//! What a failed run comes back with: its kind, one line, hints that can be typed, its cause.

use std::fmt;
use std::sync::Arc;

/// The exit codes of every command; a contract that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed; rolled back where possible.
    Failed = 1,
    /// Wrong usage; nothing was asked of Docker.
    Usage = 2,
    /// The preflight refused; nothing was touched.
    Refused = 3,
    /// No compose file, no docker, daemon down: the project or engine cannot be used.
    Unusable = 4,
    /// A threshold of a load test was missed.
    Threshold = 5,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What kind of failure it is. Code branches on this alone; the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was typed cannot be meant.
    Usage,
    /// It could be done, and should not be: the preflight, or a check of a load test, says so.
    Refused,
    /// There is no compose file, or none that Compose can read.
    NoProject,
    /// A program that is needed is not there.
    NotInstalled,
    /// The engine does not answer now; it may in a moment.
    EngineAway,
    /// The project, the engine or a broker cannot be used as it is.
    Unusable,
    /// Another run holds the project.
    Busy,
    /// Somebody else changed what this run was changing.
    Changed,
    /// A replica does not come up, or does not stay up.
    Replica,
    /// Something did not end in its time.
    TimedOut,
    /// The result could not be written where it should go.
    Output,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// Whatever else did not work.
    Failed,
}

impl Kind {
    pub fn exit(self) -> Exit {
        match self {
            Self::Usage => Exit::Usage,
            Self::Refused => Exit::Refused,
            Self::NoProject | Self::NotInstalled | Self::EngineAway | Self::Unusable => {
                Exit::Unusable
            }
            Self::Busy
            | Self::Changed
            | Self::Replica
            | Self::TimedOut
            | Self::Output
            | Self::Failed => Exit::Failed,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// The kind of a failure without whose answer nothing can be known: it makes the project or the engine
    /// unusable.
    #[must_use]
    pub fn of_reading(self) -> Self {
        match self {
            Self::TimedOut => Self::EngineAway,
            kind if kind.exit() == Exit::Failed => Self::Unusable,
            kind => kind,
        }
    }
}

/// A failure as the user reads it: a lowercase fragment without a full stop, then hints, each of
/// which names something to type.
///
/// [`source`](std::error::Error::source) gives the cause: what failed below, with its context.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    pub hints: Vec<String>,
    /// What another program said, shown below the message as it came.
    pub detail: Option<String>,
    cause: Option<Arc<anyhow::Error>>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            detail: None,
            cause: None,
        }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub fn unusable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unusable, message)
    }

    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// The same failure in other words.
    #[must_use]
    pub fn worded(self, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { message, ..self }
    }

    /// The same failure where nothing can be known without an answer.
    #[must_use]
    pub fn of_reading(self) -> Self {
        let kind = self.kind.of_reading();
        Self { kind, ..self }
    }

    pub fn exit(&self) -> Exit {
        self.kind.exit()
    }

    /// Whether the engine can be asked nothing at all now, whatever the question.
    pub fn is_out_of_reach(&self) -> bool {
        use Kind::{EngineAway, Interrupted, NotInstalled, TimedOut};
        matches!(
            self.kind,
            EngineAway | NotInstalled | TimedOut | Interrupted
        )
    }

    pub fn is_interrupted(&self) -> bool {
        self.kind == Kind::Interrupted
    }

    /// Says what failed below.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(Arc::new(cause.into()));
        self
    }

    /// The cause and what is below it, outermost first.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        let chain = self.cause.iter().flat_map(|cause| cause.chain());
        chain.map(ToString::to_string)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn hints<H: Into<String>>(mut self, hints: impl IntoIterator<Item = H>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        self.detail = (!detail.trim().is_empty()).then_some(detail);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.cause.as_deref()?;
        Some(cause.as_ref())
    }
}

/// The result of anything that can end a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::{Error, Exit, Kind};

    #[test]
    fn the_exit_code_follows_from_the_kind() {
        for (kind, exit) in [
            (Kind::Usage, Exit::Usage),
            (Kind::Refused, Exit::Refused),
            (Kind::EngineAway, Exit::Unusable),
            (Kind::NoProject, Exit::Unusable),
            (Kind::Busy, Exit::Failed),
            (Kind::Replica, Exit::Failed),
            (Kind::Interrupted, Exit::Interrupted),
        ] {
            assert_eq!(Error::new(kind, "x").exit(), exit, "{kind:?}");
        }
    }

    #[test]
    fn a_failed_reading_makes_things_unusable_and_keeps_what_is_known() {
        assert_eq!(Kind::Failed.of_reading(), Kind::Unusable);
        assert_eq!(Kind::TimedOut.of_reading(), Kind::EngineAway);
        assert_eq!(Kind::NoProject.of_reading(), Kind::NoProject);
        assert_eq!(Kind::Interrupted.of_reading(), Kind::Interrupted);
    }

    #[test]
    fn the_cause_is_kept_with_its_context() {
        let below = io::Error::new(io::ErrorKind::PermissionDenied, "no");
        let cause = anyhow::Error::new(below).context("while opening the lock");
        let error = Error::unusable("the lock cannot be used").because(cause);
        assert_eq!(
            error.causes().collect::<Vec<_>>(),
            ["while opening the lock", "no"]
        );
        let source = error.source().unwrap();
        assert_eq!(source.to_string(), "while opening the lock");
        let root = source.source().unwrap().downcast_ref::<io::Error>();
        assert_eq!(root.unwrap().kind(), io::ErrorKind::PermissionDenied);
    }
}
