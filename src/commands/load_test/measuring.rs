//! The stages of one measurement: project, task types, addresses, run, result. Prints nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::request::Request;
use super::work::workload;
use crate::engine::Control;
use crate::error::{Error, Result};
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
use crate::project::observed::{State, Vitals};
use crate::project::workload::Work;

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
        let warnings = project.declared.warnings.clone();
        Ok(Self {
            project,
            plan: request.plan(workload.types),
            notes: [warnings, workload.notes].concat(),
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
        let workers = self.workers();
        let ids: Vec<&str> = workers.keys().copied().collect();
        let before = reach.pulses(self.project.name(), &ids).await?;
        let ran = run::run(&self.plan, &site, reach.executor, emit).await?;
        let after = reach.pulses(self.project.name(), &ids).await;
        let mut result = measure(&ran.book.ledger(), &self.plan.types, &ran.closed);
        // Without knowing what is there now, nobody is said to have died.
        if let Ok(after) = after {
            result.died = died(&workers, &before, &after);
        }
        self.fill(&mut result, &ran);
        let failure = match ran.ending {
            Ending::Complete if result.lost > 0 => Some(unanswered(&result)),
            Ending::Complete => None,
            Ending::Interrupted => Some(Error::interrupted()),
            Ending::TimedOut(limit) => Some(silent(reach, limit, &result)),
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
        Ok(Site {
            addresses: reach.addresses(&self.project, &hosts).await?,
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
        result.interrupted = matches!(ran.ending, Ending::Interrupted);
        result.counts = self.counts();
    }

    /// The running replicas that do the work, by id.
    fn workers(&self) -> BTreeMap<&str, &str> {
        let services: BTreeSet<&str> = self
            .plan
            .types
            .iter()
            .filter_map(|task| task.service.as_deref())
            .collect();
        let replicas = services
            .into_iter()
            .flat_map(|service| self.project.replicas(service));
        replicas
            .filter(|replica| replica.is_running())
            .map(|replica| (replica.id.as_str(), replica.name.as_str()))
            .collect()
    }
}

/// Replicas that ran before and do not now, or were started anew meanwhile.
fn died(workers: &BTreeMap<&str, &str>, before: &[Vitals], after: &[Vitals]) -> Vec<String> {
    let is_as_before = |before: &Vitals| {
        let mut after = after.iter();
        after.any(|now| {
            now.id == before.id
                && now.state == State::Running
                && now.started_at == before.started_at
                && now.restarts == before.restarts
        })
    };
    let mut names: Vec<String> = before
        .iter()
        .filter(|before| !is_as_before(before))
        .filter_map(|before| workers.get(before.id.as_str()))
        .map(|name| (*name).to_owned())
        .collect();
    names.sort();
    names
}

/// Every driver is done, and some tasks have no result: a command that told of fewer than it was given.
fn unanswered(result: &LoadTest) -> Error {
    Error::failed(format!(
        "{} of {} tasks have no result",
        result.lost, result.sent
    ))
    .hint("what a command has to print for each task: docs/drivers.md")
}

fn silent(reach: Reach<'_>, limit: std::time::Duration, result: &LoadTest) -> Error {
    let limit = crate::duration::show(limit);
    let waiting = result.lost;
    let error = Error::failed(format!(
        "no result came for {limit}, and {waiting} of {} are missing",
        result.sent
    ));
    let error = match result.died.as_slice() {
        [] => error.hint("see whether the workers run, then what they log: rscale status"),
        [first, ..] => error.hint(match reach.engine.control() {
            Control::Containers(_) => format!("see why it died: docker logs {first}"),
            Control::Counts(engine) => format!("see why it died: {}", engine.look_at(first)),
        }),
    };
    error.hint("tasks that take longer need more time: rscale load-test --timeout 10m ...")
}

#[cfg(test)]
mod tests {
    use super::died;
    use crate::project::observed::parse_vitals;

    #[test]
    fn a_replica_that_is_gone_or_was_started_anew_has_died() {
        let line = |id: &str, state: &str, second: u32| {
            format!(
                r#"{{"id":"{id}","state":"{state}","exit_code":0,"out_of_memory":false,"error":"","restarts":0,"started_at":"2026-01-01T00:00:{second:02}Z","health":""}}"#
            )
        };
        let read = |lines: &[String]| parse_vitals(&lines.join("\n")).unwrap();
        let before = read(&["a", "b", "c", "d"].map(|id| line(id, "running", 1)));
        let after = read(&[
            line("a", "running", 1),
            line("b", "running", 9),
            line("c", "exited", 1),
        ]);
        let names = [("a", "w-1"), ("b", "w-2"), ("c", "w-3"), ("d", "w-4")].into();
        assert_eq!(died(&names, &before, &after), ["w-2", "w-3", "w-4"]);
    }
}
