//! What a failed run comes back with: one line, hints that can be typed, an exit code.

use std::fmt;

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

/// A failure as the user reads it: a lowercase fragment without a full stop, then hints, each of
/// which names something to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub exit: Exit,
    pub message: String,
    pub hints: Vec<String>,
    /// What another program said, shown below the message as it came.
    pub detail: Option<String>,
}

impl Error {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hints: Vec::new(),
            detail: None,
        }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub fn unusable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unusable, message)
    }

    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
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

impl std::error::Error for Error {}

/// The result of anything that can end a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;
