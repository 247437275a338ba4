//! The arguments of `rscale load-test`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum, ValueHint};

use crate::duration;

#[derive(Debug, Args)]
pub struct LoadTestArgs {
    #[command(flatten)]
    pub pace: PaceArgs,
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub result: ResultArgs,
    #[command(flatten)]
    pub sweep: SweepArgs,
}

/// How much is sent, and how fast.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load options")]
pub struct PaceArgs {
    /// Tasks of each type to send [default: 20, unless --duration is given]
    #[arg(long, value_name = "N", env = "RSCALE_TASKS", value_parser = clap::value_parser!(u32).range(1..))]
    pub tasks: Option<u32>,
    /// Send for so long instead
    #[arg(long, value_name = "DURATION", env = "RSCALE_DURATION", value_parser = duration::parse, conflicts_with = "tasks")]
    pub duration: Option<Duration>,
    /// At most N tasks of each type in flight: the next one waits for a result [default: all at once; 50 for
    /// HTTP, commands and with --duration]
    #[arg(short, long, value_name = "N", env = "RSCALE_CONCURRENCY", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "rate")]
    pub concurrency: Option<u32>,
    /// Send R tasks of each type a second, whatever comes back; latency counts from when a task was due
    #[arg(long, value_name = "R", env = "RSCALE_RATE", value_parser = rate)]
    pub rate: Option<f64>,
    /// Before measuring, send so many tasks of each type (5), or for so long (10s), and wait for them
    #[arg(long, value_name = "N|DURATION", env = "RSCALE_WARMUP")]
    pub warmup: Option<String>,
    /// Give up when no result came for so long; also the time limit of a request or command
    #[arg(long, value_name = "DURATION", env = "RSCALE_TIMEOUT", default_value = "60s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Go on although messages wait in the queue already
    #[arg(long, env = "RSCALE_FORCE", value_parser = FalseyValueParser::new())]
    pub force: bool,
    /// Leave Celery's events off: a little more throughput, but neither execution times nor shares
    #[arg(long, env = "RSCALE_NO_EVENTS", value_parser = FalseyValueParser::new())]
    pub no_events: bool,
    /// At the end, remove own messages that nobody took
    #[arg(long, env = "RSCALE_PURGE", value_parser = FalseyValueParser::new())]
    pub purge: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e6 => Ok(rate),
        _ => Err("wanted a number of tasks per second, above 0 and up to 1000000".into()),
    }
}

/// What is sent, for a system whose compose file does not say it. Any of it may be a secret: `--help` does not show what
/// the environment has of it, and `Debug` shows nothing.
#[derive(Default, Args)]
#[command(next_help_heading = "What to send [default: x-rscale `load-test` of the compose file]")]
pub struct WorkArgs {
    /// Celery's broker; without it the one in the workers' environment is taken
    #[arg(
        long,
        value_name = "URL",
        env = "RSCALE_CELERY",
        hide_env_values = true
    )]
    pub celery: Option<String>,
    /// Celery's result backend: redis://... or rpc://
    #[arg(
        long,
        value_name = "URL",
        env = "RSCALE_RESULTS",
        hide_env_values = true
    )]
    pub results: Option<String>,
    /// A Celery task and its queue, `tasks.add@queue_a`; repeatable
    #[arg(
        long,
        value_name = "TASK@QUEUE",
        env = "RSCALE_TASK",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub task: Vec<String>,
    /// Positional arguments of the Celery tasks, as a JSON list
    #[arg(
        long,
        value_name = "JSON",
        env = "RSCALE_ARGS",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub args: Option<String>,
    /// Keyword arguments of the Celery tasks, as a JSON object
    #[arg(
        long,
        value_name = "JSON",
        env = "RSCALE_KWARGS",
        hide_env_values = true
    )]
    pub kwargs: Option<String>,
    /// BullMQ's Redis; without it the one in the workers' environment is taken
    #[arg(
        long,
        value_name = "URL",
        env = "RSCALE_BULLMQ",
        hide_env_values = true
    )]
    pub bullmq: Option<String>,
    /// A BullMQ job and its queue, `resize@images`; repeatable
    #[arg(
        long,
        value_name = "JOB@QUEUE",
        env = "RSCALE_JOB",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub job: Vec<String>,
    /// Data of the BullMQ jobs, as JSON
    #[arg(long, value_name = "JSON", env = "RSCALE_DATA", hide_env_values = true)]
    pub data: Option<String>,
    /// Redis with a list that workers pop from; needs --key and --payload
    #[arg(long, value_name = "URL", env = "RSCALE_REDIS_LIST", hide_env_values = true, requires_all = ["key", "payload"])]
    pub redis_list: Option<String>,
    /// Redis with a stream that a consumer group reads; needs --key and --field
    #[arg(long, value_name = "URL", env = "RSCALE_REDIS_STREAM", hide_env_values = true, requires_all = ["key", "field"])]
    pub redis_stream: Option<String>,
    /// The list's or the stream's key
    #[arg(long, value_name = "KEY", env = "RSCALE_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// The message for the list; {id} in it becomes a new UUID
    #[arg(
        long,
        value_name = "TEXT",
        env = "RSCALE_PAYLOAD",
        hide_env_values = true
    )]
    pub payload: Option<String>,
    /// A field of the stream's entries, `name=value`; {id} becomes a new UUID; repeatable
    #[arg(
        long,
        value_name = "NAME=VALUE",
        env = "RSCALE_FIELD",
        hide_env_values = true
    )]
    pub field: Vec<String>,
    /// The consumer group of the stream [default: the only one it has]
    #[arg(
        long,
        value_name = "NAME",
        env = "RSCALE_GROUP",
        hide_env_values = true
    )]
    pub group: Option<String>,
    /// Request this URL; repeatable
    #[arg(long, value_name = "URL", env = "RSCALE_HTTP", hide_env_values = true)]
    pub http: Vec<String>,
    /// Method of the requests
    #[arg(
        long,
        value_name = "METHOD",
        env = "RSCALE_METHOD",
        hide_env_values = true,
        default_value = "GET"
    )]
    pub method: String,
    /// Header of the requests, `Name: value`; repeatable
    #[arg(
        long,
        value_name = "HEADER",
        env = "RSCALE_HEADER",
        hide_env_values = true
    )]
    pub header: Vec<String>,
    /// Body of the requests
    #[arg(long, value_name = "TEXT", env = "RSCALE_BODY", hide_env_values = true)]
    pub body: Option<String>,
    /// Response header that names the replica
    #[arg(
        long,
        value_name = "NAME",
        env = "RSCALE_REPLICA_HEADER",
        hide_env_values = true
    )]
    pub replica_header: Option<String>,
    /// Run this command for each task, on this machine; {id} in it becomes a new UUID
    #[arg(
        long,
        value_name = "COMMAND",
        env = "RSCALE_COMMAND",
        hide_env_values = true
    )]
    pub command: Option<String>,
    /// Run the command once with the number of tasks, {count} in it, and read results from its output
    #[arg(long, env = "RSCALE_ONCE", hide_env_values = true, requires = "command", value_parser = FalseyValueParser::new())]
    pub once: bool,
}

impl fmt::Debug for WorkArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkArgs").finish_non_exhaustive()
    }
}

/// What becomes of the figures.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Result options")]
pub struct ResultArgs {
    /// Exit with 5 when this is so: 'throughput<5', 'failed>0', 'task_a.p95_seconds>0.5'; repeatable
    #[arg(long, value_name = "CONDITION", env = "RSCALE_FAIL_IF")]
    pub fail_if: Vec<String>,
    /// Write the result to FILE, as JSON
    #[arg(long, value_name = "FILE", env = "RSCALE_SAVE", value_hint = ValueHint::FilePath)]
    pub save: Option<PathBuf>,
    /// Print the result beside one that was saved before
    #[arg(long, value_name = "FILE", env = "RSCALE_COMPARE", value_hint = ValueHint::FilePath, conflicts_with = "sweep")]
    pub compare: Option<PathBuf>,
    /// Write a page with charts to FILE
    #[arg(long, value_name = "FILE", env = "RSCALE_REPORT", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
}

/// Measuring at several counts.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sweep options")]
pub struct SweepArgs {
    /// Scale, measure, and say which count is worth it: `worker=1..6` or `worker=1,2,4,8`; the counts go back
    /// afterwards; repeatable
    #[arg(long, value_name = "SERVICE=COUNTS", env = "RSCALE_SWEEP")]
    pub sweep: Vec<String>,
    /// Several services: all at their first count, then all at their second (step), or every combination
    /// (crossed)
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        env = "RSCALE_SWEEP_MODE",
        default_value = "step"
    )]
    pub sweep_mode: SweepMode,
    /// How long the replicas of each point may take to be up and healthy [default: 2m, or as long as the healthcheck
    /// allows]
    #[arg(long, value_name = "DURATION", env = "RSCALE_WAIT_TIMEOUT", value_parser = duration::parse)]
    pub wait_timeout: Option<Duration>,
}

/// `--sweep-mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SweepMode {
    #[default]
    Step,
    Crossed,
}
