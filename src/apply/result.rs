//! What became of a run: data, for reports.

use std::time::Duration;

use crate::error::Error;
use crate::plan::outcome::Outcome;
use crate::project::observed::{Health, Replica};

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Applied {
    pub services: Vec<Served>,
    /// `None` when it is not known.
    pub untouched: Option<Untouched>,
    /// Every changing command, as it was run.
    pub commands: Vec<String>,
    pub failure: Option<Failure>,
}

/// What became of one named service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub name: String,
    pub from: u32,
    pub to: u32,
    /// `None` when it is not known.
    pub running: Option<u32>,
    /// `None` where no replica has a healthcheck, or when it is not known.
    pub healthy: Option<u32>,
    /// Names of containers that are new; `None` when it is not known.
    pub created: Option<Vec<String>>,
    /// Names of containers that are gone; `None` when it is not known.
    pub removed: Option<Vec<String>>,
    pub outcome: Outcome,
    pub took: Duration,
    /// How long new replicas without a healthcheck were watched, where nothing was known to stay up.
    pub watched: Option<Duration>,
    pub error: Option<String>,
}

/// The services that were not named: proof that they kept their containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Untouched {
    /// How many containers they have.
    pub containers: usize,
    /// Names of containers that are gone or new all the same.
    pub changed: Vec<String>,
}

/// Why a run failed, and what was done about it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub error: Error,
    /// The service that it failed at, where one can be named.
    pub service: Option<String>,
    /// The last lines of the failed replicas, by name.
    pub logs: Vec<(String, String)>,
    pub aftermath: Aftermath,
}

/// What was done after a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing had been changed yet.
    Untouched,
    RolledBack,
    /// The roll-back failed as well; the reason.
    RollbackFailed(String),
    /// Left as it is: `--keep`, or a failure that a roll-back would not mend.
    Kept,
}

pub(super) fn outcome(unchanged: bool, failure: Option<&Failure>) -> Outcome {
    match failure {
        _ if unchanged => Outcome::Unchanged,
        None => Outcome::Scaled,
        Some(failure) => match failure.aftermath {
            Aftermath::RolledBack => Outcome::RolledBack,
            Aftermath::Untouched if failure.error.is_interrupted() => Outcome::Interrupted,
            Aftermath::Untouched | Aftermath::RollbackFailed(_) | Aftermath::Kept => {
                Outcome::Failed
            }
        },
    }
}

/// How many of the replicas fit.
pub fn count(replicas: &[Replica], fits: impl Fn(&Replica) -> bool) -> u32 {
    u32::try_from(replicas.iter().filter(|replica| fits(replica)).count()).unwrap_or(u32::MAX)
}

/// How many replicas are healthy; `None` where none has a healthcheck that speaks.
pub fn healthy(replicas: &[Replica]) -> Option<u32> {
    replicas
        .iter()
        .any(|replica| replica.health.is_some())
        .then(|| count(replicas, |replica| replica.health == Some(Health::Healthy)))
}
