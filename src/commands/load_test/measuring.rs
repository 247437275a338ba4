//! The stages of one measurement: project, task types, addresses, run, result. Prints nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::request::Request;
use super::work::workload;
use crate::error::{Error, Result};
use crate::exec::host;
use crate::gather::Reach;
use crate::load::distribution::micros;
use crate::load::measure::measure;
use crate::load::pace::Arrival as Pacing;
use crate::load::result::{Arrival, LoadTest, SCHEMA, ServiceCount};
use crate::load::run::{self, Ending, LoadEvent, Plan, Ran};
use crate::load::site::{Names, Site};
use crate::load::threshold::slug;
use crate::project::Project;
use crate::project::address::Address;
use crate::project::observed::Replica;
use crate::project::workload::{TaskType, Work};

/// A measurement about to begin: everything is known, nothing is sent.
#[derive(Debug)]
pub struct Measurement {
    pub project: Project,
    pub plan: Plan,
    pub notes: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    pub result: LoadTest,
    /// Why it ended early.
    pub failure: Option<Error>,
}

impl Measurement {
    /// Reads the project and finds out what is to be sent.
    pub async fn prepare(
        reach: Reach<'_>,
        likely_name: &str,
        request: &Request<'_>,
    ) -> Result<Self> {
        let project = reach.project(likely_name).await?;
        let workload = workload(request.work, &project)?;
        let slugs: Vec<String> = workload.types.iter().map(|task| slug(&task.name)).collect();
        for threshold in &request.thresholds {
            threshold.check(&slugs)?;
        }
        Ok(Self {
            project,
            plan: request.plan(workload.types),
            notes: workload.notes,
        })
    }

    /// Replicas of the services that do the work.
    pub fn counts(&self) -> Vec<ServiceCount> {
        let services: BTreeSet<&String> = self
            .plan
            .types
            .iter()
            .filter_map(|task| task.service.as_ref())
            .collect();
        let counts = services.into_iter().map(|service| {
            let running = self.project.replicas(service).iter();
            let running = running.filter(|replica| replica.is_running()).count();
            ServiceCount {
                service: service.clone(),
                replicas: u32::try_from(running).unwrap_or(u32::MAX),
            }
        });
        counts.collect()
    }

    /// Looks, sends, waits, and works out the figures.
    ///
    /// # Errors
    /// Whatever keeps it from sending anything.
    pub async fn carry_out(
        &self,
        reach: Reach<'_>,
        request: &Request<'_>,
        emit: &dyn Fn(LoadEvent),
    ) -> Result<Measured> {
        let site = self.site(reach, request).await?;
        let ran = run::run(&self.plan, &site, reach.executor, emit).await?;
        let after = reach.replicas(self.project.name()).await;
        let mut result = measure(&ran.book.ledger(), &self.plan.types, &ran.closed);
        // Without knowing what is there now, nobody is said to have died.
        if let Ok(after) = after {
            result.died = self.died(&after);
        }
        self.fill(&mut result, &ran);
        let failure = match ran.ending {
            Ending::Complete => None,
            Ending::Interrupted => Some(Error::interrupted()),
            Ending::TimedOut(limit) => Some(silent(limit, &result)),
            Ending::Broken(error) => Some(error),
        };
        result.error = failure.as_ref().map(|error| error.message.clone());
        result.missed_thresholds = request
            .thresholds
            .iter()
            .filter_map(|threshold| threshold.missed(&result))
            .collect();
        Ok(Measured { result, failure })
    }

    /// How the brokers and servers are reached, and who is who.
    pub async fn site(&self, reach: Reach<'_>, request: &Request<'_>) -> Result<Site> {
        let (mut hosts, mut places) = (BTreeSet::new(), BTreeSet::new());
        for task in &self.plan.types {
            match &task.work {
                Work::Http(http) => {
                    hosts.insert(http.url.host());
                }
                Work::Command(command) => {
                    places.insert(&command.place);
                }
                work => hosts.extend(work.queue().into_iter().flat_map(|queue| {
                    let results = queue.results.iter().map(Address::host);
                    results.chain([queue.broker.host()])
                })),
            }
        }
        let engine = host::engine_address();
        Ok(Site {
            addresses: reach.addresses(&self.project, &hosts, &engine).await?,
            names: Names::of(&self.project),
            launchers: reach.launchers(&self.project, &places)?,
            force: request.force,
            without_events: request.without_events,
            timeout: request.timeout,
        })
    }

    fn fill(&self, result: &mut LoadTest, ran: &Ran) {
        result.schema = SCHEMA;
        self.project.name().clone_into(&mut result.project);
        result.began_at = Timestamp::try_from(ran.book.began_at())
            .map(|time| format!("{time:.3}"))
            .unwrap_or_default();
        (result.arrival, result.concurrency, result.rate_per_second) = match self.plan.pace.arrival
        {
            Pacing::Closed { in_flight } => (Arrival::Closed, in_flight, None),
            Pacing::Open { per_second } => (Arrival::Open, None, Some(micros(per_second))),
        };
        result.warmup_tasks = ran.warmup_tasks;
        result.events = ran.checked.events;
        result.interrupted = ran.ending == Ending::Interrupted;
        result.counts = self.counts();
    }

    /// Replicas that ran before and do not now, or are not the same ones.
    fn died(&self, after: &[Replica]) -> Vec<String> {
        let services: BTreeSet<&str> = self
            .plan
            .types
            .iter()
            .filter_map(|task: &TaskType| task.service.as_deref())
            .collect();
        let replicas = self.project.replicas.values().flatten();
        replicas
            .filter(|replica| replica.is_running() && services.contains(replica.service.as_str()))
            .filter(|replica| {
                let now = after.iter().find(|now| now.id == replica.id);
                now.is_none_or(|now| !now.is_running() || has_restarted(replica, now))
            })
            .map(|replica| replica.name.clone())
            .collect()
    }
}

/// Whether a replica has been up for a shorter time than before: `Up 3 seconds` after `Up 2 minutes`. Words
/// that tell nothing count as no restart.
fn has_restarted(before: &Replica, now: &Replica) -> bool {
    let seconds = |replica: &Replica| {
        let uptime = replica.uptime.as_deref()?;
        let (number, unit) = uptime.split_once(' ')?;
        let number: u64 = match number {
            "About" => 1,
            "Less" => 0,
            number => number.parse().ok()?,
        };
        let unit = match unit.trim_start_matches("a ").trim_start_matches("an ") {
            unit if unit.starts_with("second") || unit.starts_with("than") => 1,
            unit if unit.starts_with("minute") => 60,
            unit if unit.starts_with("hour") => 3600,
            _ => 86_400,
        };
        Some(number * unit)
    };
    matches!((seconds(before), seconds(now)), (Some(before), Some(now)) if now < before)
}

fn silent(limit: std::time::Duration, result: &LoadTest) -> Error {
    let limit = crate::duration::show(limit);
    let waiting = result.lost;
    let error = Error::failed(format!(
        "no result came for {limit}, and {waiting} of {} are missing",
        result.sent
    ));
    let error = match result.died.as_slice() {
        [] => error.hint("see what the workers say: docker compose logs"),
        [first, ..] => error.hint(format!("see why it died: docker logs {first}")),
    };
    error.hint("tasks that take longer need more time: rscale load-test --timeout 10m ...")
}
