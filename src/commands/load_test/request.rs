//! A load test as it was asked for.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{LoadTestArgs, PaceArgs, WorkArgs};
use crate::duration;
use crate::error::{Error, Result};
use crate::load::pace::{Amount, Arrival, IN_FLIGHT, Pace};
use crate::load::run::{Plan, Warmup};
use crate::load::threshold::Threshold;
use crate::project::workload::{TaskType, Work};

/// Tasks of each type where nothing else is said.
const TASKS: u32 = 20;

/// What a load test is to do, before it is known what to send.
#[derive(Debug)]
pub struct Request<'a> {
    pub work: &'a WorkArgs,
    pub amount: Amount,
    pub concurrency: Option<u32>,
    pub rate: Option<f64>,
    pub warmup: Option<Warmup>,
    pub timeout: Duration,
    pub force: bool,
    pub without_events: bool,
    pub purge: bool,
    pub thresholds: Vec<Threshold>,
    pub save: Option<PathBuf>,
    pub compare: Option<PathBuf>,
    pub report: Option<PathBuf>,
}

impl<'a> Request<'a> {
    /// # Errors
    /// Exit 2: an option that cannot be read.
    pub fn new(args: &'a LoadTestArgs) -> Result<Self> {
        let PaceArgs {
            tasks,
            duration,
            concurrency,
            rate,
            warmup,
            timeout,
            force,
            no_events,
            purge,
        } = &args.pace;
        let amount = match (tasks, duration) {
            (_, Some(time)) => Amount::For(*time),
            (tasks, None) => Amount::Tasks(tasks.unwrap_or(TASKS)),
        };
        let warmup = warmup.as_deref().map(read_warmup).transpose()?;
        let thresholds = &args.result.fail_if;
        Ok(Self {
            work: &args.work,
            amount,
            concurrency: *concurrency,
            rate: *rate,
            warmup,
            timeout: *timeout,
            force: *force,
            without_events: *no_events,
            purge: *purge,
            thresholds: thresholds
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_>>()?,
            save: args.result.save.clone(),
            compare: args.result.compare.clone(),
            report: args.result.report.clone(),
        })
    }

    /// The run that sends these types.
    pub fn plan(&self, types: Vec<TaskType>) -> Plan {
        let pace = Pace {
            amount: self.amount,
            arrival: match (self.rate, self.concurrency) {
                (Some(per_second), _) => Arrival::Open { per_second },
                (None, Some(most)) => Arrival::Closed {
                    in_flight: Some(most),
                },
                (None, None) => Arrival::Closed {
                    in_flight: self.default_bound(&types),
                },
            },
        };
        Plan {
            types,
            pace,
            warmup: self.warmup,
            timeout: self.timeout,
            purge: self.purge,
        }
    }

    /// Queues take everything at once; connections, processes and time need a bound.
    fn default_bound(&self, types: &[TaskType]) -> Option<u32> {
        let runs_commands =
            |task: &TaskType| matches!(&task.work, Work::Command(work) if !work.once);
        let requests = |task: &TaskType| matches!(task.work, Work::Http(_));
        if types.iter().any(runs_commands) {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            Some(u32::try_from(processors).unwrap_or(IN_FLIGHT))
        } else {
            let bound = types.iter().any(requests) || matches!(self.amount, Amount::For(_));
            bound.then_some(IN_FLIGHT)
        }
    }
}

/// `5` tasks, or `10s`.
fn read_warmup(text: &str) -> Result<Warmup> {
    match text.parse::<u32>() {
        Ok(0) => Err(Error::usage("`--warmup 0` is none").hint("leave it out")),
        Ok(count) => Ok(Warmup::Tasks(count)),
        Err(_) => duration::parse(text).map(Warmup::For).map_err(|_| {
            Error::usage(format!(
                "`--warmup {text}` is neither a number of tasks nor a duration"
            ))
            .hint("--warmup 5, or --warmup 10s")
        }),
    }
}
