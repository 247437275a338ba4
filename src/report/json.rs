//! The JSON that every command prints with `--format json`: a contract, with schemas under docs/schema.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::apply::{Served, Untouched, count, healthy};
use crate::export::Target;
use crate::memory::{HalfDone, Leftover};
use crate::pipeline::scaling::{Ending, Scaled};
use crate::pipeline::selection;
use crate::plan::outcome::Outcome;
use crate::plan::{Change, Plan};
use crate::preflight::{Finding, Rule, Severity};
use crate::project::Project;
use crate::project::observed::{Health, Replica, State};
use crate::project::workload::DriverName;
use crate::words::displayed;

/// The version of every document.
pub const SCHEMA: u32 = 1;

/// `rscale status --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// Version of this document's shape.
    pub schema: u32,
    pub project: String,
    pub engine: String,
    pub services: Vec<StatusService>,
    /// The machines of a cluster, where the engine tells them; empty with Compose.
    pub nodes: Vec<StatusNode>,
    /// Runs of rscale that were killed and left something half-done, the oldest first.
    pub killed_runs: Vec<KilledRun>,
}

/// A run that began and neither ended nor took back what it did, as far as this user's state store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KilledRun {
    /// Subcommand and targets.
    pub command: String,
    pub user: String,
    pub pid: u32,
    /// RFC 3339, UTC.
    pub began_at: String,
    pub services: Vec<KilledService>,
    /// What to type to get to where it was going; null where that was more than one count.
    pub finish: Option<String>,
    /// What to type to get back to the counts before it.
    pub undo: String,
}

/// A service that such a run was to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KilledService {
    pub name: String,
    pub from: u32,
    /// Null where it was to become more than one count.
    pub to: Option<u32>,
    pub now: u32,
    /// Names of replicas that have come since: made by that run, or by somebody after it.
    pub new: Vec<String>,
    /// Names of replicas that ran before and do not run now.
    pub stopped: Vec<String>,
}

impl From<&Leftover> for KilledRun {
    fn from(leftover: &Leftover) -> Self {
        let service = |one: &HalfDone| KilledService {
            name: one.service.clone(),
            from: one.from,
            to: one.to,
            now: one.now,
            new: one.new.clone(),
            stopped: one.stopped.clone(),
        };
        Self {
            command: leftover.by.command.clone(),
            user: leftover.by.user.clone(),
            pid: leftover.by.pid,
            began_at: leftover.at.to_string(),
            services: leftover.services.iter().map(service).collect(),
            finish: leftover.finish(),
            undo: leftover.undo(),
        }
    }
}

/// A machine of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusNode {
    pub name: String,
    /// As the engine words it: `ready`, `down`, `drain`, `pause`.
    pub state: String,
    pub manager: bool,
    /// Running replicas of this project on it.
    pub replicas: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusService {
    pub name: String,
    /// The count that the file gives; null for a service that is not in the file.
    pub declared: Option<u32>,
    /// The count that the engine keeps; null with Compose, which keeps none.
    pub desired: Option<u32>,
    /// Containers that exist (Swarm: tasks, Kubernetes: pods); one-offs and those that are going left out.
    pub replicas: u32,
    pub running: u32,
    /// Null without a healthcheck.
    pub healthy: Option<u32>,
    pub state: ServiceState,
    /// Whether `desired`, or without one `replicas`, differs from `declared`.
    pub drift: bool,
    pub min: Option<u32>,
    pub max: Option<u32>,
    /// Whether a second replica is possible.
    pub scalable: bool,
    /// What stands in the way of a second replica.
    pub reasons: Vec<String>,
    pub containers: Vec<StatusContainer>,
    /// The queue of its `queue` policy; null without one.
    pub queue: Option<StatusQueue>,
}

/// What waits in a queue and who works on it; null where a driver has no such figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusQueue {
    pub driver: DriverName,
    pub name: String,
    /// Messages that nobody took yet. BullMQ: waiting; streams: lag.
    pub ready: Option<u64>,
    /// Messages that were handed out and are not acknowledged. Streams: pending.
    pub unacknowledged: Option<u64>,
    /// Tasks that workers are at. BullMQ: active.
    pub running: Option<u64>,
    pub consumers: Option<u64>,
    /// BullMQ's delayed jobs.
    pub delayed: Option<u64>,
    /// BullMQ's failed jobs.
    pub failed: Option<u64>,
    /// Why there are no figures; null when there are.
    pub error: Option<String>,
}

/// The state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Every replica runs and none is unwell, or a job that others wait for ended well.
    Ok,
    /// Some replica is on its way up.
    Starting,
    /// Some replica does not run or is unhealthy.
    Degraded,
    /// No replica runs.
    Stopped,
}

displayed!(ServiceState);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusContainer {
    pub id: String,
    pub name: String,
    pub number: u32,
    pub state: State,
    /// Null without a healthcheck.
    pub health: Option<Health>,
    pub ports: Vec<String>,
    /// How often the engine restarted it; null when that could not be read.
    pub restarts: Option<u32>,
    /// The machine that it runs on, in a cluster.
    pub node: Option<String>,
    /// Why it is not up, in the engine's words; null where it is, or nothing is said.
    pub reason: Option<String>,
    /// Whether it has been told to go and has not ended yet; such a one is not counted.
    pub leaving: bool,
}

/// `rscale scale --format json` and `rscale scale-all --format json`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Scale {
    /// Version of this document's shape.
    pub schema: u32,
    pub project: String,
    pub engine: String,
    pub dry_run: bool,
    pub outcome: Outcome,
    /// Why it did not end in `scaled` or `unchanged`; null when it did.
    pub error: Option<String>,
    pub services: Vec<ScaledService>,
    /// Null when the engine did not answer any more.
    pub untouched: Option<UntouchedContainers>,
    pub findings: Vec<FindingItem>,
    /// Services that `scale-all` left alone; empty for `scale`.
    pub left_alone: Vec<LeftAlone>,
    /// The changing commands, as they were run or, with `--dry-run`, would be.
    pub commands: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ScaledService {
    pub name: String,
    pub from: u32,
    pub to: u32,
    /// Null when the engine did not answer any more.
    pub running: Option<u32>,
    /// Null without a healthcheck, or when the engine did not answer any more.
    pub healthy: Option<u32>,
    /// Names of containers that are new; null when the engine did not answer any more.
    pub created: Option<Vec<String>>,
    /// Names of containers that are gone; null when the engine did not answer any more.
    pub removed: Option<Vec<String>>,
    pub outcome: Outcome,
    pub seconds: f64,
    /// How long new replicas were watched that have no healthcheck and of whose kind none is known to stay up; null
    /// for all others.
    pub watched_seconds: Option<f64>,
    pub error: Option<String>,
}

/// The services that were not named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UntouchedContainers {
    /// How many containers they have.
    pub containers: usize,
    /// Names of containers that are gone or new all the same.
    pub changed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftAlone {
    pub name: String,
    pub reason: String,
}

/// `rscale check --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// Version of this document's shape.
    pub schema: u32,
    pub project: String,
    pub findings: Vec<FindingItem>,
}

/// `rscale export --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Export {
    /// Version of this document's shape.
    pub schema: u32,
    pub project: String,
    /// The engine that the counts are from.
    pub engine: String,
    pub target: Target,
    pub files: Vec<ExportedFile>,
    /// The command that took the files for good; null where there is none on this machine.
    pub checked_by: Option<String>,
    pub warnings: Vec<ExportWarning>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExportedFile {
    pub path: String,
    pub bytes: usize,
}

/// What does not go along, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExportWarning {
    /// Null when it is about the whole project.
    pub service: Option<String>,
    pub message: String,
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingItem {
    pub rule: Rule,
    pub severity: Severity,
    pub service: String,
    pub message: String,
    pub hint: String,
}

impl From<&Finding> for FindingItem {
    fn from(finding: &Finding) -> Self {
        Self {
            rule: finding.rule,
            severity: finding.severity,
            service: finding.service.clone(),
            message: finding.message.clone(),
            hint: finding.hint.clone(),
        }
    }
}

impl From<&selection::LeftAlone> for LeftAlone {
    fn from(left_alone: &selection::LeftAlone) -> Self {
        Self {
            name: left_alone.service.clone(),
            reason: left_alone.reason.clone(),
        }
    }
}

impl From<&Untouched> for UntouchedContainers {
    fn from(untouched: &Untouched) -> Self {
        Self {
            containers: untouched.containers,
            changed: untouched.changed.clone(),
        }
    }
}

impl From<&Served> for ScaledService {
    fn from(served: &Served) -> Self {
        Self {
            name: served.name.clone(),
            from: served.from,
            to: served.to,
            running: served.running,
            healthy: served.healthy,
            created: served.created.clone(),
            removed: served.removed.clone(),
            outcome: served.outcome,
            seconds: seconds(served.took),
            watched_seconds: served.watched.map(seconds),
            error: served.error.clone(),
        }
    }
}

impl ScaledService {
    /// A service of a plan that is not carried out.
    pub fn not_run(change: &Change, running: u32, healthy: Option<u32>, outcome: Outcome) -> Self {
        Self {
            name: change.service.clone(),
            from: change.from,
            to: change.to,
            running: Some(running),
            healthy,
            created: Some(Vec::new()),
            removed: Some(Vec::new()),
            outcome: if change.is_none() {
                Outcome::Unchanged
            } else {
                outcome
            },
            seconds: 0.0,
            watched_seconds: None,
            error: None,
        }
    }
}

impl Scale {
    /// The document of a scale.
    pub fn of(scaled: &Scaled, engine: &str) -> Self {
        let outcome = scaled.outcome();
        let (services, untouched, commands) = match &scaled.ending {
            Ending::Applied { applied, .. } => (
                applied.services.iter().map(ScaledService::from).collect(),
                applied.untouched.as_ref().map(UntouchedContainers::from),
                applied.commands.clone(),
            ),
            Ending::Refused | Ending::Planned { .. } => (
                not_run(&scaled.project, &scaled.plan, outcome),
                Some(UntouchedContainers {
                    containers: others(&scaled.project, &scaled.plan),
                    changed: Vec::new(),
                }),
                match &scaled.ending {
                    Ending::Planned { commands } => commands.clone(),
                    _ => Vec::new(),
                },
            ),
        };
        Self {
            schema: SCHEMA,
            project: scaled.project.name().into(),
            engine: engine.into(),
            dry_run: scaled.dry_run,
            outcome,
            error: scaled.why().map(str::to_owned),
            services,
            untouched,
            findings: scaled.findings.iter().map(FindingItem::from).collect(),
            left_alone: scaled.left_alone.iter().map(LeftAlone::from).collect(),
            commands,
        }
    }
}

/// Seconds, to the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn not_run(project: &Project, plan: &Plan, outcome: Outcome) -> Vec<ScaledService> {
    let row = |change: &Change| {
        let replicas = project.replicas(&change.service);
        let running = count(replicas, Replica::is_running);
        ScaledService::not_run(change, running, healthy(replicas), outcome)
    };
    plan.changes.iter().map(row).collect()
}

/// Containers of services that the plan does not name.
fn others(project: &Project, plan: &Plan) -> usize {
    let named = |service: &str| plan.changes.iter().any(|change| change.service == service);
    project
        .replicas
        .iter()
        .filter(|(service, _)| !named(service))
        .map(|(_, replicas)| replicas.len())
        .sum()
}

/// A document as it is printed: indented, with a line end.
///
/// # Panics
/// Never for the documents of this file: their keys are text.
pub fn render(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("documents have text keys only");
    text.push('\n');
    text
}
