//! Runs a plan through an executor, verifies every replica, rolls back. Emits events; prints nothing.

mod event;
mod leave;
mod refresh;
mod result;
mod rollback;
mod steps;
mod told;
mod verify;
mod waiting;

pub use event::{Event, Progress, Waiting, WaitingFor};
pub use result::{Aftermath, Applied, Failure, Outcome, Served, Untouched, count, healthy};

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::Control;
use crate::error::{Error, Kind};
use crate::gather::{Clock, Reach};
use crate::plan::{Counts, Plan, Step};
use crate::project::Project;
use crate::project::observed::{Health, Observed, Replica};

/// How to go about it.
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions {
    /// How long the replicas of one step may take to be up and healthy.
    pub wait_timeout: Duration,
    /// How long a replica without a healthcheck must stay up.
    pub stable: Duration,
    /// Leave everything as it is after a failure.
    pub keep: bool,
    /// `--stop-timeout`, for what a roll-back removes; the plan has it for the rest.
    pub stop_timeout: Option<Duration>,
    /// `--force`: go on when a drain command fails.
    pub force: bool,
}

/// A failure on the way, before anything was done about it.
#[derive(Debug)]
struct Stop {
    error: Error,
    service: Option<String>,
    /// Replicas whose logs tell more.
    suspects: Vec<Suspect>,
    /// Whether bringing back the former counts is an answer to it.
    worth_rolling_back: bool,
    /// Whether Compose was cut short, so that the engine may still be at what it was asked last.
    unsettled: bool,
}

/// A replica that is blamed for a failure.
#[derive(Debug, Clone)]
struct Suspect {
    id: String,
    name: String,
}

impl Suspect {
    fn of(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            name: replica.name.clone(),
        }
    }
}

impl Stop {
    fn new(error: Error) -> Self {
        Self {
            error,
            service: None,
            suspects: Vec::new(),
            worth_rolling_back: true,
            unsettled: false,
        }
    }

    fn at(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

/// One run.
pub struct Run<'a> {
    reach: Reach<'a>,
    before: &'a Project,
    plan: &'a Plan,
    options: ApplyOptions,
    clock: Cell<Option<Clock>>,
    emit: &'a dyn Fn(Event),
    commands: RefCell<Vec<String>>,
    progress: RefCell<BTreeMap<String, Progress>>,
    /// Services whose replicas were started or stopped.
    disturbed: RefCell<BTreeSet<String>>,
    /// Replicas that were drained and have not been removed: name and service.
    drained: RefCell<BTreeMap<String, String>>,
    /// Counts that an engine was told.
    told: RefCell<Counts>,
    /// Replicas that were chosen to go, by id.
    preferred: RefCell<BTreeSet<String>>,
    /// Services that the engine cannot make more replicas of: since when, and how many there were.
    troubled: RefCell<BTreeMap<String, (Instant, u32)>>,
    /// When each service was done, since the run began.
    done: RefCell<BTreeMap<String, Duration>>,
    began: Instant,
    /// From here on an interruption changes nothing more: it is being answered.
    rolling_back: Cell<bool>,
    /// One refresh at a time: two may be of the same balancer.
    refreshing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("plan", self.plan)
            .finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    pub fn new(
        reach: Reach<'a>,
        before: &'a Project,
        plan: &'a Plan,
        options: ApplyOptions,
        emit: &'a dyn Fn(Event),
    ) -> Self {
        Self {
            reach,
            before,
            plan,
            options,
            clock: Cell::new(None),
            emit,
            commands: RefCell::default(),
            progress: RefCell::default(),
            disturbed: RefCell::default(),
            drained: RefCell::default(),
            told: RefCell::default(),
            preferred: RefCell::default(),
            troubled: RefCell::default(),
            done: RefCell::default(),
            began: Instant::now(),
            rolling_back: Cell::new(false),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    /// Runs the plan. What fails is in the result; nothing is left half-made unless it says so.
    pub async fn apply(self) -> Applied {
        if self.plan.is_empty() {
            let before = self.before;
            return self.result(before, None);
        }
        let outcome = self.perform_all().await;
        let failure = match outcome {
            Ok(()) => None,
            Err(stop) => Some(self.clean_up(stop).await),
        };
        let after = match self.reach.observed(self.before.name()).await {
            Ok(observed) => self.informed(observed),
            // The engine went away at the very end; what is known is what was before.
            Err(error) => return self.blind_result(failure, error),
        };
        self.result(&after, failure)
    }

    async fn perform_all(&self) -> Result<(), Stop> {
        let mut unwell = BTreeMap::new();
        let mut rest = self.plan.steps.as_slice();
        while let Some(first) = rest.first() {
            if self.reach.executor.interrupted() {
                return Err(Stop::new(Error::interrupted()));
            }
            // Replicas of several services go at the same time: their graces do not add up.
            let leaving = |step: &&Step| matches!(step, Step::Remove(_) | Step::Refresh(_));
            let together = match first {
                Step::Remove(_) => rest.iter().take_while(leaving).count(),
                _ => 1,
            };
            match first {
                Step::Remove(_) => self.remove_all(&rest[..together]).await?,
                Step::Refresh(step) => self.refresh(step).await?,
                Step::Create(step) => self.create(step).await?,
                Step::Start(step) => self.start(step).await?,
                Step::Launch { counts } => self.launch(counts).await?,
                Step::SetCounts(step) => self.set_counts(step).await?,
                Step::Verify { counts } => unwell.extend(self.verified(counts).await?),
                Step::Pause(duration) => {
                    (self.emit)(Event::Pausing(*duration));
                    self.reach.executor.pause(*duration).await;
                }
            }
            rest = &rest[together..];
        }
        let Some((first, service)) = unwell.first_key_value() else {
            return Ok(());
        };
        let names: Vec<String> = unwell.keys().map(|name| format!("`{name}`")).collect();
        let were = if names.len() == 1 { "was" } else { "were" };
        let error = Error::new(
            Kind::Replica,
            format!(
                "{} {were} unhealthy before the scale and still {}",
                names.join(", "),
                if names.len() == 1 { "is" } else { "are" }
            ),
        )
        .hint(format!(
            "look at it: {}",
            match self.reach.engine.control() {
                Control::Containers(_) => {
                    format!("docker inspect --format '{{{{json .State.Health}}}}' {first}")
                }
                Control::Counts(engine) => engine.look_at(first),
            }
        ))
        .hint(format!(
            "broken replicas go first when a service shrinks: rscale {service}=-{}",
            unwell.values().filter(|other| *other == service).count()
        ));
        Err(Stop {
            worth_rolling_back: false,
            ..Stop::new(error)
        })
    }

    async fn verified(&self, counts: &Counts) -> Result<BTreeMap<String, String>, Stop> {
        match self.reach.engine.control() {
            Control::Containers(_) => self.verify(counts).await,
            Control::Counts(_) => self.settle(counts).await,
        }
    }

    /// The replicas of the project as they are now.
    async fn now(&self) -> Result<Project, Stop> {
        let observed = self.reach.observed(self.before.name()).await;
        let observed = observed.map_err(Stop::new)?;
        Ok(self.informed(observed))
    }

    /// The project as observed, with what was known of it before.
    fn informed(&self, observed: Observed) -> Project {
        let mut project = Project::new(self.before.declared.clone(), observed);
        for (service, replicas) in &mut project.replicas {
            let before = self.before.deployed.get(service);
            if before.is_some_and(|deployed| deployed.is_checked) {
                let running = replicas.iter_mut().filter(|replica| replica.is_running());
                running.for_each(|replica| replica.health = Some(Health::Healthy));
            }
        }
        project
    }

    /// Whether two looks were at the same replica. An engine that keeps counts replaces what fails, or what was
    /// on a machine that went away: such a replica has the name of the one before it.
    fn is_same(&self, old: &Replica, replica: &Replica) -> bool {
        match self.reach.engine.control() {
            Control::Containers(_) => old.id == replica.id,
            Control::Counts(_) => old.id == replica.id || old.name == replica.name,
        }
    }

    fn is_new(&self, replica: &Replica) -> bool {
        let mut before = self.before.replicas(&replica.service).iter();
        !before.any(|old| !old.leaving && self.is_same(old, replica))
    }

    fn note_progress(&self, service: &str, change: impl FnOnce(&mut Progress)) {
        let mut all = self.progress.borrow_mut();
        let progress = all.entry(service.to_owned()).or_default();
        let was = *progress;
        change(progress);
        if was != *progress {
            let progress = *progress;
            drop(all);
            (self.emit)(Event::Progress {
                service: service.to_owned(),
                progress,
            });
        }
    }

    fn note_disturbed<'s>(&self, services: impl IntoIterator<Item = &'s String>) {
        let mut disturbed = self.disturbed.borrow_mut();
        for service in services {
            disturbed.insert(service.clone());
            self.done.borrow_mut().remove(service);
        }
    }

    /// Done, unless it was before: what shrank is verified after all that goes has gone.
    fn note_verified(&self, service: &str) {
        let mut done = self.done.borrow_mut();
        done.entry(service.to_owned())
            .or_insert_with(|| self.began.elapsed());
    }

    fn note_done(&self, service: &str) {
        let took = self.began.elapsed();
        self.done.borrow_mut().insert(service.to_owned(), took);
    }

    /// Services that the plan may touch: the named ones, and dependencies that are started along.
    fn touched(&self) -> Counts {
        let named = self
            .plan
            .changes
            .iter()
            .map(|change| (change.service.clone(), change.from));
        let dependencies = self.plan.dependencies.keys();
        dependencies
            .map(|name| (name.clone(), self.before.count(name)))
            .chain(named)
            .collect()
    }

    fn untouched(&self, after: &Project) -> Untouched {
        let touched = self.touched();
        // An orchestrator replaces what fails on its own account: there, what ran must still be there, and
        // no count may be another.
        let counts = |replica: &&Replica| self.before.deployed.is_empty() || replica.is_good();
        let of = |project: &Project| -> BTreeMap<String, String> {
            project
                .replicas
                .iter()
                .filter(|(service, _)| !touched.contains_key(*service))
                .flat_map(|(_, replicas)| replicas)
                .filter(|replica| !replica.leaving)
                .filter(counts)
                .map(|replica| (replica.id.clone(), replica.name.clone()))
                .collect()
        };
        let recounted = |name: &str| {
            let service = after
                .replicas
                .iter()
                .find(|(_, replicas)| replicas.iter().any(|replica| replica.name == name));
            service.is_none_or(|(service, _)| self.before.count(service) != after.count(service))
        };
        let (before, new) = (of(self.before), of(after));
        let gone = before.iter().filter(|(id, _)| !new.contains_key(*id));
        let new = new
            .iter()
            .filter(|(id, _)| !before.contains_key(*id))
            .filter(|(_, name)| self.before.deployed.is_empty() || recounted(name));
        let changed: BTreeSet<String> = gone.chain(new).map(|(_, name)| name.clone()).collect();
        Untouched {
            containers: before.len(),
            changed: changed.into_iter().collect(),
        }
    }

    fn result(self, after: &Project, failure: Option<Failure>) -> Applied {
        let untouched = self.untouched(after);
        let done = self.done.borrow();
        let services = self
            .plan
            .changes
            .iter()
            .map(|change| {
                let name = &change.service;
                let (old, new) = (
                    &told::staying(self.before.replicas(name)),
                    &told::staying(after.replicas(name)),
                );
                let missing_from = |there: &[Replica], here: &[Replica]| -> Vec<String> {
                    here.iter()
                        .filter(|replica| !there.iter().any(|other| self.is_same(other, replica)))
                        .map(|replica| replica.name.clone())
                        .collect()
                };
                let (created, removed) = (missing_from(old, new), missing_from(new, old));
                let blamed = failure.as_ref().filter(|failure| {
                    failure
                        .service
                        .as_ref()
                        .is_none_or(|service| service == name)
                });
                Served {
                    from: change.from,
                    to: change.to,
                    running: count(new, Replica::is_running),
                    healthy: healthy(new),
                    outcome: result::outcome(change.is_none(), failure.as_ref()),
                    took: done.get(name).copied().unwrap_or_else(|| {
                        if change.is_none() {
                            Duration::ZERO
                        } else {
                            self.began.elapsed()
                        }
                    }),
                    error: blamed
                        .map(|failure| failure.error.message.clone())
                        .filter(|_| !change.is_none()),
                    name: name.clone(),
                    created,
                    removed,
                }
            })
            .collect();
        drop(done);
        Applied {
            services,
            untouched,
            commands: self.commands.into_inner(),
            failure,
        }
    }

    fn blind_result(self, failure: Option<Failure>, error: Error) -> Applied {
        let before = self.before.clone();
        let failure = failure.unwrap_or(Failure {
            error,
            service: None,
            logs: Vec::new(),
            aftermath: Aftermath::Kept,
        });
        self.result(&before, Some(failure))
    }
}
