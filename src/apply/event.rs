//! What is told of a run while it goes on.

use std::time::Duration;

use crate::plan::done::Deed;
use crate::plan::{Plan, Step};

/// What happens meanwhile, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// How far a growing service is.
    Progress { service: String, progress: Progress },
    /// Something that may take long goes on; comes at its beginning and then every second.
    Waiting(Waiting),
    /// Another container is told of the new set of replicas.
    Refreshing { service: String, container: String },
    /// Something that the user should know in passing.
    Note(String),
    /// A rest between two steps.
    Pausing(Duration),
    /// It failed; this is why the former state is brought back.
    RollingBack { because: String },
    /// The plan that takes back what was done.
    Undoing(Plan),
    /// This step comes next.
    Ahead(Step),
    /// This was done, or is about to be and may take effect although its command fails.
    Did(Deed),
    /// A line that Compose printed.
    Output(String),
}

/// Replicas of a service, out of those wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub wanted: u32,
    pub created: u32,
    pub started: u32,
    /// Up for good: healthy, or stable without a healthcheck.
    pub ready: u32,
}

/// What a run waits for, for how long so far, and for how long at the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub service: String,
    /// How many replicas are concerned.
    pub count: usize,
    pub what: WaitingFor,
    pub elapsed: Duration,
    /// `None` where only the engine knows.
    pub limit: Option<Duration>,
}

/// What replicas that go are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingFor {
    /// Their drain command.
    DrainCommand,
    /// The rest that the policy gives them after it.
    DrainWait,
    /// Their end, after SIGTERM.
    End,
}
