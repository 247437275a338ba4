//! Runs a plan through an executor, verifies every replica, takes back what failed. Emits events; prints nothing.

mod answer;
mod event;
mod judge;
mod leave;
mod refresh;
mod result;
mod steps;
mod tell;
mod verify;
mod waiting;

pub use event::{Event, Progress, Waiting, WaitingFor};
pub use result::{Aftermath, Applied, Failure, Served, Untouched, count, healthy};

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::Control;
use crate::error::{Error, Kind};
use crate::gather::{Clock, Reach};
use crate::plan::done::{Deed, Done};
use crate::plan::{Change, Counts, Plan, Step};
use crate::project::Project;
use crate::project::declared::Healthcheck;
use crate::project::observed::{Health, Observed, Replica};
use steps::Announced;

/// How long the replicas of one step may take, unless something is typed or a healthcheck allows more.
const WAIT_LIMIT: Duration = Duration::from_secs(120);
/// How long an engine that went away is waited for, and how long between two looks for it.
const AWAY_LIMIT: Duration = Duration::from_secs(20);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// How to go about it.
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions {
    /// `--wait-timeout`: how long the replicas of one step may take to be up and healthy; `None` leaves it to
    /// what their healthchecks allow.
    pub wait_timeout: Option<Duration>,
    /// `--stable`: how long a replica without a healthcheck must stay up; `None` leaves it to what is known.
    pub stable: Option<Duration>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    id: String,
    name: String,
}

impl From<&Replica> for Suspect {
    fn from(replica: &Replica) -> Self {
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
    /// What was done so far.
    done: RefCell<Done>,
    /// What Compose tells of what it makes.
    announced: RefCell<Announced>,
    /// Replicas that a roll-back made in the place of removed ones, by id.
    restored: RefCell<BTreeSet<String>>,
    restoring: Cell<bool>,
    /// Replicas that somebody else made meanwhile, by id; each is told of once.
    strangers: RefCell<BTreeSet<String>>,
    /// How long replicas without a healthcheck were watched, by service, where nothing was known of them.
    watched: RefCell<BTreeMap<String, Duration>>,
    /// When each service was done, since the run began.
    finished: RefCell<BTreeMap<String, Duration>>,
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
            done: RefCell::default(),
            announced: RefCell::default(),
            restored: RefCell::default(),
            restoring: Cell::new(false),
            strangers: RefCell::default(),
            watched: RefCell::default(),
            finished: RefCell::default(),
            began: Instant::now(),
            rolling_back: Cell::new(false),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    /// Runs the plan. What fails is in the result; nothing is left half-made unless it says so.
    pub async fn apply(self) -> Applied {
        if self.plan.is_empty() {
            let before = self.before;
            return self.result(Some(before), None);
        }
        let outcome = self.perform_all().await;
        let failure = match outcome {
            Ok(()) => None,
            Err(stop) => Some(self.clean_up(stop).await),
        };
        match self.patient_now().await {
            Ok(after) => {
                let failure = failure.or_else(|| self.disproved(&after));
                self.result(Some(&after), failure)
            }
            // The engine went away at the very end: what is there is not known.
            Err(Stop { error, .. }) => self.result(
                None,
                Some(failure.unwrap_or(Failure {
                    error,
                    service: None,
                    logs: Vec::new(),
                    aftermath: Aftermath::Kept,
                })),
            ),
        }
    }

    /// What the last look shows to be otherwise than the commands said: what was removed is still there, or there
    /// are fewer than were brought up.
    fn disproved(&self, after: &Project) -> Option<Failure> {
        let Control::Containers(_) = self.reach.engine.control() else {
            return None;
        };
        let done = self.done.borrow();
        let replicas = after.replicas.values().flatten();
        let left = replicas
            .clone()
            .find(|replica| done.removed.contains_key(&replica.id));
        let short = self.plan.changes.iter().find(|change| {
            let named = &change.service;
            after.count(named) < change.to
        });
        let (error, service) = match (left, short) {
            (Some(left), _) => (
                Error::failed(format!("`{}` was removed and is still there", left.name)).hint(
                    format!("look at it: {}", self.reach.engine.look_at(&left.name)),
                ),
                left.service.clone(),
            ),
            (None, Some(change)) => {
                let (service, there) = (&change.service, after.count(&change.service));
                let wanted = change.to;
                let message = format!("`{service}` has {there} of the {wanted} replicas wanted");
                let error = Error::new(Kind::Changed, message);
                (error.hint("see what runs: rscale status"), service.clone())
            }
            (None, None) => return None,
        };
        Some(Failure {
            error,
            service: Some(service),
            logs: Vec::new(),
            aftermath: Aftermath::Kept,
        })
    }

    async fn perform_all(&self) -> Result<(), Stop> {
        let mut unwell = BTreeMap::new();
        let mut rest = self.plan.steps.as_slice();
        while !rest.is_empty() {
            if self.is_stopped() {
                return Err(Stop::new(Error::interrupted()));
            }
            let (together, after) = rest.split_at(together(rest));
            unwell.extend(self.perform(together).await?);
            rest = after;
        }
        let Some((first, service)) = unwell.first_key_value() else {
            return Ok(());
        };
        let names: Vec<String> = unwell.keys().map(|name| format!("`{name}`")).collect();
        let were = if names.len() == 1 { "was" } else { "were" };
        let message = format!(
            "{} {were} unhealthy before the scale and still {}",
            names.join(", "),
            if names.len() == 1 { "is" } else { "are" }
        );
        let error = Error::new(Kind::Replica, message)
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

    /// Performs steps that go together. Gives the replicas that were unwell before the run and still are.
    async fn perform(&self, steps: &[Step]) -> Result<BTreeMap<String, String>, Stop> {
        let Some(first) = steps.first() else {
            return Ok(BTreeMap::new());
        };
        for step in steps {
            (self.emit)(Event::Ahead(step.clone()));
        }
        match first {
            Step::Remove(_) => self.remove_all(steps).await?,
            Step::Refresh(step) => self.refresh(step).await?,
            Step::Create(step) => self.create(step).await?,
            Step::Start(step) => self.start(step).await?,
            Step::Launch { counts } => self.launch(counts).await?,
            Step::SetCounts(step) => self.set_counts(step).await?,
            Step::Release { ids } => self.release(ids).await?,
            Step::Undrain(step) => self.undrain(step).await?,
            Step::Verify { counts } => return self.verify(counts).await,
            Step::Pause(duration) => {
                (self.emit)(Event::Pausing(*duration));
                self.reach.executor.pause(*duration).await;
            }
        }
        Ok(BTreeMap::new())
    }

    /// Whether an interruption is to be answered. Once it is, only another one changes anything.
    fn is_stopped(&self) -> bool {
        let interruption = self.reach.executor.interruption();
        interruption.ends_waiting(self.rolling_back.get())
    }

    /// Takes down what is done, or about to be.
    fn note(&self, deed: Deed) {
        self.done.borrow_mut().add(&deed);
        (self.emit)(Event::Did(deed));
    }

    /// The replicas of the project as they are now.
    async fn now(&self) -> Result<Project, Stop> {
        let observed = self.reach.observed(self.before.name()).await;
        let now = self.informed(observed.map_err(Stop::new)?);
        if matches!(self.reach.engine.control(), Control::Containers(_)) {
            self.note_made(&now);
        }
        Ok(now)
    }

    /// The same, from an engine that may be away for a moment.
    async fn patient_now(&self) -> Result<Project, Stop> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let stop = match self.now().await {
                Ok(now) => return Ok(now),
                Err(stop) => stop,
            };
            let patient = stop.error.kind == Kind::EngineAway && began.elapsed() < AWAY_LIMIT;
            if !patient || self.is_stopped() {
                return Err(stop);
            }
            if !told {
                told = true;
                (self.emit)(Event::Note(format!(
                    "{}; it is asked again for {}",
                    stop.error.message,
                    crate::duration::show(AWAY_LIMIT)
                )));
            }
            self.reach.executor.pause(BETWEEN_TRIES).await;
        }
    }

    /// How long the replicas of a service may take.
    fn wait_limit(&self, service: &str) -> Duration {
        self.options.wait_timeout.unwrap_or_else(|| {
            let declared = self.before.service(service);
            let allowed = declared.and_then(|service| service.healthcheck);
            let allowed = allowed.map_or(Duration::ZERO, Healthcheck::allowance);
            allowed.max(WAIT_LIMIT)
        })
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

    fn disturb<'s>(&self, services: impl IntoIterator<Item = &'s String>) {
        let services: Vec<String> = services.into_iter().cloned().collect();
        let mut finished = self.finished.borrow_mut();
        finished.retain(|service, _| !services.contains(service));
        drop(finished);
        self.note(Deed::Disturbed(services));
    }

    fn note_watched(&self, watched: &BTreeMap<String, Duration>) {
        self.watched.borrow_mut().extend(watched.clone());
    }

    /// Done, unless it was before: what shrank is verified after all that goes has gone.
    fn note_verified(&self, service: &str) {
        let mut finished = self.finished.borrow_mut();
        finished
            .entry(service.to_owned())
            .or_insert_with(|| self.began.elapsed());
    }

    fn note_done(&self, service: &str) {
        let took = self.began.elapsed();
        self.finished.borrow_mut().insert(service.to_owned(), took);
    }

    fn touches(&self, service: &str) -> bool {
        let mut changes = self.plan.changes.iter();
        changes.any(|change| change.service == service)
            || self.plan.dependencies.contains_key(service)
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

    /// What came of it; `after` is what is there, `None` when that is not known.
    fn result(self, after: Option<&Project>, failure: Option<Failure>) -> Applied {
        let changes = self.plan.changes.iter();
        let services = changes.map(|change| {
            let name = &change.service;
            let old = tell::staying(self.before.replicas(name));
            let new = after.map(|after| tell::staying(after.replicas(name)));
            let missing_from = |there: &[Replica], here: &[Replica]| -> Vec<String> {
                here.iter()
                    .filter(|replica| !there.iter().any(|other| self.is_same(other, replica)))
                    .map(|replica| replica.name.clone())
                    .collect()
            };
            let blamed = failure.as_ref().filter(|failure| {
                let service = failure.service.as_ref();
                service.is_none_or(|service| service == name)
            });
            Served {
                from: change.from,
                to: change.to,
                running: new.as_ref().map(|new| count(new, Replica::is_running)),
                healthy: new.as_ref().and_then(|new| healthy(new)),
                created: new.as_ref().map(|new| missing_from(&old, new)),
                removed: new.as_ref().map(|new| missing_from(new, &old)),
                outcome: result::outcome(change.is_none(), failure.as_ref()),
                took: self.took(change),
                watched: self.watched.borrow().get(name).copied(),
                error: blamed
                    .map(|failure| failure.error.message.clone())
                    .filter(|_| !change.is_none()),
                name: name.clone(),
            }
        });
        Applied {
            services: services.collect(),
            untouched: after.map(|after| self.untouched(after)),
            commands: self.commands.into_inner(),
            failure,
        }
    }

    fn took(&self, change: &Change) -> Duration {
        let finished = self.finished.borrow().get(&change.service).copied();
        finished.unwrap_or_else(|| {
            if change.is_none() {
                Duration::ZERO
            } else {
                self.began.elapsed()
            }
        })
    }
}

/// How many of the next steps go together: replicas of several services go at the same time, so that their graces
/// do not add up.
fn together(steps: &[Step]) -> usize {
    let leaving = |step: &&Step| matches!(step, Step::Remove(_) | Step::Refresh(_));
    match steps.first() {
        Some(Step::Remove(_)) => steps.iter().take_while(leaving).count(),
        _ => 1,
    }
}
