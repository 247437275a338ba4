//! The stages of a scale, from request to result: project, lock, preflight, plan, apply.

use std::time::Duration;

use super::identity::engine_id;
use super::locking::{Purpose, read_locked};
use super::queues::mark_busy;
use super::remembering::Memory;
use super::selection::{Asked, LeftAlone, wish};
use super::surroundings::{HostFacts, surroundings};
use crate::apply::{Aftermath, Applied, ApplyOptions, Event, Failure, Run};
use crate::engine::Control;
use crate::engine::steps::commands;
use crate::error::{Error, Exit, Result};
use crate::gather::Reach;
use crate::memory::RunId;
use crate::plan::outcome::Outcome;
use crate::plan::{Counts, Plan, PlanOptions, plan, told};
use crate::preflight::{self, Finding, Overview, Question, Severity};
use crate::project::Project;

/// A scale, as a request that knows nothing of how it was typed.
#[derive(Debug)]
pub struct Scaling {
    pub asked: Asked,
    pub dry_run: bool,
    pub force: bool,
    pub current_replicas: Option<u32>,
    pub lock_timeout: Duration,
    /// The run that this one is a part of, which holds the project's lock.
    pub within: Option<RunId>,
    pub plan: PlanOptions,
    pub apply: ApplyOptions,
}

impl Scaling {
    fn purpose(&self) -> Purpose<'_> {
        Purpose {
            asked: &self.asked,
            dry_run: self.dry_run,
            held: self.within.is_some(),
            lock_timeout: self.lock_timeout,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Scaled {
    pub project: Project,
    pub plan: Plan,
    pub findings: Vec<Finding>,
    pub left_alone: Vec<LeftAlone>,
    pub dry_run: bool,
    pub ending: Ending,
}

/// How far a scale went.
#[derive(Debug)]
pub enum Ending {
    /// The preflight refuses it: nothing was touched.
    Refused,
    /// It is a dry run: these commands would be run.
    Planned { commands: Vec<String> },
    /// The plan was carried out, or rolled back.
    Applied {
        applied: Box<Applied>,
        interrupted: bool,
    },
}

impl Scaled {
    pub fn is_refused(&self) -> bool {
        matches!(self.ending, Ending::Refused)
    }

    /// What the preflight refuses it for.
    pub fn refusal(&self) -> Option<&Finding> {
        let mut findings = self.findings.iter();
        findings.find(|finding| finding.severity == Severity::Error && self.is_refused())
    }

    pub fn failure(&self) -> Option<&Failure> {
        match &self.ending {
            Ending::Applied { applied, .. } => applied.failure.as_ref(),
            Ending::Refused | Ending::Planned { .. } => None,
        }
    }

    /// Why it did not come to what was asked for.
    pub fn why(&self) -> Option<&str> {
        let failure = self.failure().map(|failure| &failure.error.message);
        let refusal = self.refusal().map(|finding| &finding.message);
        failure.or(refusal).map(String::as_str)
    }

    pub fn outcome(&self) -> Outcome {
        match &self.ending {
            Ending::Refused => Outcome::Refused,
            _ if self.failure().is_none() && self.plan.is_empty() => Outcome::Unchanged,
            Ending::Planned { .. } => Outcome::Planned,
            Ending::Applied { applied, .. } => match &applied.failure {
                None => Outcome::Scaled,
                Some(failure) if failure.error.is_interrupted() => Outcome::Interrupted,
                Some(failure) if failure.aftermath == Aftermath::RolledBack => Outcome::RolledBack,
                Some(_) => Outcome::Failed,
            },
        }
    }

    /// What the named services have now, as far as it is known.
    fn counts(&self) -> Counts {
        let Ending::Applied { applied, .. } = &self.ending else {
            return Counts::new();
        };
        let served = applied.services.iter();
        served
            .filter_map(|service| Some((service.name.clone(), service.running?)))
            .collect()
    }

    pub fn exit(&self) -> Exit {
        match &self.ending {
            Ending::Refused => Exit::Refused,
            Ending::Planned { .. } => Exit::Done,
            Ending::Applied {
                interrupted: true, ..
            } => Exit::Interrupted,
            Ending::Applied { applied, .. } => {
                let failure = applied.failure.as_ref();
                failure.map_or(Exit::Done, |failure| failure.error.exit())
            }
        }
    }
}

/// Goes through the stages.
///
/// # Errors
/// What prevents a result: an unknown service, an unusable project or engine, a lock that stays taken.
pub async fn scale(
    reach: Reach<'_>,
    scaling: &Scaling,
    host: &HostFacts,
    emit: &dyn Fn(Event),
    note: &dyn Fn(&str),
) -> Result<Scaled> {
    options_of(reach, scaling)?;
    let engine = engine_id(reach, host).await?;
    let locked = read_locked(reach, scaling.purpose(), host, &engine, note).await?;
    let (project, guard) = (locked.project, locked.guard);
    let memory = Memory::of(host, &engine, project.name(), scaling.within.as_ref());
    let work = Box::pin(go_on(reach, scaling, project, host, &memory, emit, note));
    let Some(guard) = guard else {
        return work.await;
    };
    let scaled = guard.during(work).await;
    guard.release().await;
    scaled
}

/// What is done with a project that was read.
async fn go_on(
    reach: Reach<'_>,
    scaling: &Scaling,
    project: Project,
    host: &HostFacts,
    memory: &Memory,
    emit: &dyn Fn(Event),
    note: &dyn Fn(&str),
) -> Result<Scaled> {
    let prepared = Prepared::new(reach, scaling, project, host, memory, note).await?;
    if scaling.dry_run || preflight::refuses(&prepared.findings) {
        return Ok(prepared.held_back(reach, scaling.dry_run));
    }
    for (service, count) in &prepared.plan.dependencies {
        note(&format!(
            "starting `{service}` ({count}) as well: it is a dependency and does not run"
        ));
    }
    let scaled = prepared.carry_out(reach, scaling, memory, emit).await;
    if let Some(trouble) = memory.trouble().filter(|_| !scaled.plan.is_empty()) {
        note(&trouble);
    }
    Ok(scaled)
}

/// Refuses options that the engine cannot follow.
fn options_of(reach: Reach<'_>, scaling: &Scaling) -> Result<()> {
    match reach.engine.control() {
        Control::Containers(engine) => {
            if scaling.plan.pull.is_some() && !engine.supports_pull_policy() {
                return Err(Error::usage("this Compose has no `--pull` policy")
                    .hint("pull first: docker-compose pull SERVICE"));
            }
        }
        Control::Counts(engine) => {
            let options = [
                ("--pull", scaling.plan.pull.is_some()),
                ("--build", scaling.plan.build),
            ];
            if let Some((option, _)) = options.iter().find(|(_, given)| *given) {
                let name = engine.name();
                return Err(Error::usage(format!(
                    "`{option}` is for Compose: on {name} each node gets images for itself"
                ))
                .hint("push the image to a registry that the nodes can pull from"));
            }
        }
    }
    Ok(())
}

/// Everything that is decided before anything is touched.
struct Prepared {
    project: Project,
    plan: Plan,
    findings: Vec<Finding>,
    left_alone: Vec<LeftAlone>,
}

impl Prepared {
    async fn new(
        reach: Reach<'_>,
        scaling: &Scaling,
        mut project: Project,
        host: &HostFacts,
        memory: &Memory,
        note: &dyn Fn(&str),
    ) -> Result<Self> {
        reach.describe(&mut project).await?;
        let (wish, left_alone) = wish(&project, &scaling.asked)?;
        let granted = preflight::granted(&wish);
        reach.mark_outdated(&mut project, &granted).await?;
        mark_busy(reach, &mut project, &granted, note).await;
        memory.mark(&mut project);
        let leftovers = memory.leftovers(&project);
        let surroundings = surroundings(reach, &project, &granted, host.reads, leftovers).await?;
        let question = Question {
            project: &project,
            overview: &Overview::new(&project),
            wish: &wish,
            surroundings: &surroundings,
            stop_timeout: scaling.plan.stop_timeout,
            current_replicas: scaling.current_replicas,
        };
        let findings = preflight::examine(&question, scaling.force);
        let plan = match reach.engine.control() {
            Control::Containers(_) => plan(&project, &granted, &scaling.plan),
            Control::Counts(engine) => {
                told(&project, &granted, &scaling.plan, engine.supports_choice())
            }
        };
        Ok(Self {
            project,
            plan,
            findings,
            left_alone,
        })
    }

    /// The result of a scale that is refused or only asked about.
    fn held_back(self, reach: Reach<'_>, dry_run: bool) -> Scaled {
        let ending = if preflight::refuses(&self.findings) {
            Ending::Refused
        } else {
            let steps = self.plan.steps.iter();
            let commands = steps.flat_map(|step| commands(&self.project, step, reach.engine));
            Ending::Planned {
                commands: commands.collect(),
            }
        };
        self.ended(dry_run, ending)
    }

    async fn carry_out(
        self,
        reach: Reach<'_>,
        scaling: &Scaling,
        memory: &Memory,
        emit: &dyn Fn(Event),
    ) -> Scaled {
        let record = memory.begin(scaling, &self.project, &self.plan);
        let heard = |event: Event| {
            if let Some(record) = &record {
                record.hear(&event);
            }
            emit(event);
        };
        let run = Run::new(reach, &self.project, &self.plan, scaling.apply, &heard);
        let applied = run.apply().await;
        let interrupted = reach.executor.interrupted();
        let scaled = self.ended(
            false,
            Ending::Applied {
                applied: Box::new(applied),
                interrupted,
            },
        );
        if let Some(record) = record {
            record.end(scaled.outcome(), scaled.counts());
        }
        scaled
    }

    fn ended(self, dry_run: bool, ending: Ending) -> Scaled {
        Scaled {
            project: self.project,
            plan: self.plan,
            findings: self.findings,
            left_alone: self.left_alone,
            dry_run,
            ending,
        }
    }
}
