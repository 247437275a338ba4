//! The JSON of `rscale load-test`, also what `--save` writes and `--compare` and the page read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::distribution::{Bucket, Distribution};
use crate::project::workload::DriverName;

/// The version of these documents.
pub const SCHEMA: u32 = 1;

/// `rscale load-test --format json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadTest {
    /// Version of this document's shape.
    pub schema: u32,
    pub project: String,
    /// When the measured run began, RFC 3339 in UTC.
    pub began_at: String,
    /// `closed`, all at once or with `concurrency`; `open` with a rate.
    pub arrival: Arrival,
    /// Most tasks of a type in flight; null without a bound.
    pub concurrency: Option<u32>,
    /// Tasks of a type per second that were to be sent; null under a closed arrival.
    pub rate_per_second: Option<f64>,
    /// Tasks of each type that were sent and waited for before the measured run began.
    pub warmup_tasks: u64,
    /// Messages that the brokers have (or requests that were sent).
    pub sent: u64,
    pub completed: u64,
    pub failed: u64,
    /// Sent, and no result came.
    pub lost: u64,
    /// From the first send to the last result.
    pub total_seconds: f64,
    /// From the first send to the last: how long the sender took, which says nothing of the workers.
    pub sending_seconds: f64,
    /// Completed tasks per second of `total_seconds`: what the workers did.
    pub throughput_per_second: f64,
    /// Whether Celery's workers reported when they began and ended tasks; null where no Celery took part.
    pub events: Option<bool>,
    pub interrupted: bool,
    /// Why the run ended before everything had a result; null when it did not.
    pub error: Option<String>,
    pub end_to_end_seconds: Option<Distribution>,
    pub tasks: Vec<TaskResult>,
    pub replicas: Vec<ReplicaShare>,
    /// Replicas of the services named that stopped or restarted during the run.
    pub died: Vec<String>,
    /// How many replicas each service that does the work had.
    pub counts: Vec<ServiceCount>,
    /// Thresholds of `--fail-if` that were met, so that the exit code is 5.
    pub missed_thresholds: Vec<String>,
}

/// Whether results decide when the next task is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    #[default]
    Closed,
    Open,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskResult {
    pub name: String,
    pub driver: DriverName,
    /// Null for drivers without one.
    pub queue: Option<String>,
    pub service: Option<String>,
    pub sent: u64,
    pub completed: u64,
    pub failed: u64,
    pub lost: u64,
    /// How often tasks were tried again.
    pub retried: u64,
    /// Messages of this run that are still in the queue; null where it cannot be told.
    pub queued: Option<u64>,
    /// Messages that `--purge` removed.
    pub purged: u64,
    /// Completed tasks per second, from the first send of this type to its last result.
    pub throughput_per_second: f64,
    /// How long workers worked on a task; null where they do not say.
    pub execution_seconds: Option<Distribution>,
    /// From the send (or, with a rate, from when it was due) to the worker's beginning.
    pub queue_wait_seconds: Option<Distribution>,
    /// From the send (or, with a rate, from when it was due) to the result.
    pub end_to_end_seconds: Option<Distribution>,
    pub errors: Vec<ErrorCount>,
    /// Of `end_to_end_seconds`.
    pub histogram: Vec<Bucket>,
    pub timeline: Timeline,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorCount {
    /// The class of the error: `ValueError`, `HTTP 503`.
    pub class: String,
    pub count: u64,
}

/// Results over the time of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    pub interval_seconds: f64,
    /// Completed tasks in each interval, from the beginning of the run.
    pub completed: Vec<u64>,
    /// Failed tasks in each interval.
    pub failed: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaShare {
    /// Null for a worker that is no replica of the project.
    pub service: Option<String>,
    pub name: String,
    pub completed: u64,
    /// Part of what all replicas of its service completed, from 0 to 1.
    pub share: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceCount {
    pub service: String,
    pub replicas: u32,
}

/// `rscale load-test --sweep ... --format json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sweep {
    /// Version of this document's shape.
    pub schema: u32,
    pub project: String,
    pub points: Vec<Point>,
    /// The Universal Scalability Law; null with too few points.
    pub fit: Option<Fit>,
    /// Why there is no fit, or why it should not be trusted; null otherwise.
    pub fit_note: Option<String>,
    pub recommended: Option<Recommendation>,
    /// Whether the counts are what they were before the sweep.
    pub restored: bool,
    pub interrupted: bool,
    /// Why the sweep ended early; null when it did not.
    pub error: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// The counts of the services that the sweep varies.
    pub counts: Vec<ServiceCount>,
    pub result: LoadTest,
    /// Throughput over that of the first point; 0 for the first one.
    pub improvement_percent: f64,
    /// Throughput per worker over that of the first point, from 0 to 1 (or more).
    pub efficiency: f64,
}

/// Gunther's law: `X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fit {
    /// Contention: the part of the work that only one worker at a time can do.
    pub sigma: f64,
    /// Coherency: what workers cost each other pair by pair.
    pub kappa: f64,
    /// Throughput of one worker, per second.
    pub lambda: f64,
    pub r_squared: f64,
    /// Workers at which the fitted curve is highest; null where it never falls.
    pub peak_workers: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    pub counts: Vec<ServiceCount>,
    /// One sentence.
    pub reason: String,
}
