//! The stages of a scale, from request to result: project, lock, preflight, plan, apply.
//!
//! Prints nothing, so that the whole pipeline runs in tests on a recording executor.

use std::time::Duration;

use super::locking::{Purpose, read_locked};
use super::queues::mark_busy;
use super::selection::{Asked, wish};
use super::surroundings::{HostFacts, surroundings};
use crate::apply::{Aftermath, ApplyOptions, Event, Failure, Outcome, Run, count, healthy};
use crate::engine::Control;
use crate::engine::steps::commands;
use crate::error::{Error, Exit, Result};
use crate::gather::Reach;
use crate::plan::{Change, Plan, PlanOptions, plan, told};
use crate::preflight::{self, Finding, Question, Severity};
use crate::project::Project;
use crate::project::observed::Replica;
use crate::report::json::{LeftAlone, Scale, ScaledService, UntouchedContainers};

/// A scale, as a request that knows nothing of how it was typed.
#[derive(Debug)]
pub struct Scaling {
    pub asked: Asked,
    pub dry_run: bool,
    pub force: bool,
    pub current_replicas: Option<u32>,
    pub lock_timeout: Duration,
    pub plan: PlanOptions,
    pub apply: ApplyOptions,
}

impl Scaling {
    fn purpose(&self) -> Purpose<'_> {
        Purpose {
            asked: &self.asked,
            dry_run: self.dry_run,
            lock_timeout: self.lock_timeout,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Scaled {
    pub exit: Exit,
    pub document: Scale,
    pub findings: Vec<Finding>,
    pub failure: Option<Failure>,
    pub project: Project,
    pub plan: Plan,
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
    let (project, _lock) = read_locked(reach, scaling.purpose(), host, note).await?;
    let prepared = Prepared::new(reach, scaling, project, host, note).await?;
    if scaling.dry_run || preflight::refuses(&prepared.findings) {
        return Ok(prepared.held_back(reach, scaling.dry_run));
    }
    for (service, count) in &prepared.plan.dependencies {
        note(&format!(
            "starting `{service}` ({count}) as well: it is a dependency and does not run"
        ));
    }
    Ok(prepared.carry_out(reach, scaling, emit).await)
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
        note: &dyn Fn(&str),
    ) -> Result<Self> {
        reach.describe(&mut project).await?;
        let (wish, left_alone) = wish(&project, &scaling.asked)?;
        let granted = preflight::granted(&wish);
        reach.mark_outdated(&mut project, &granted).await?;
        mark_busy(reach, &mut project, &granted, note).await;
        let surroundings = surroundings(reach, &project, &granted, host.reads).await?;
        let question = Question {
            project: &project,
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

    fn document(&self, reach: Reach<'_>, dry_run: bool, outcome: Outcome) -> Scale {
        let (project, engine) = (self.project.name(), reach.engine.name());
        Scale {
            left_alone: self.left_alone.clone(),
            ..Scale::new(project, engine, dry_run, outcome, &self.findings)
        }
    }

    /// The result of a scale that is refused or only asked about.
    fn held_back(self, reach: Reach<'_>, dry_run: bool) -> Scaled {
        let error = self
            .findings
            .iter()
            .find(|finding| finding.severity == Severity::Error);
        let (exit, outcome) = match error {
            Some(_) => (Exit::Refused, Outcome::Refused),
            None if self.plan.is_empty() => (Exit::Done, Outcome::Unchanged),
            None => (Exit::Done, Outcome::Planned),
        };
        let steps = self.plan.steps.iter().filter(|_| error.is_none());
        let document = Scale {
            error: error.map(|finding| finding.message.clone()),
            services: not_run(&self.project, &self.plan, outcome),
            untouched: UntouchedContainers {
                containers: others(&self.project, &self.plan),
                changed: Vec::new(),
            },
            commands: steps
                .flat_map(|step| commands(&self.project, step, reach.engine))
                .collect(),
            ..self.document(reach, dry_run, outcome)
        };
        Scaled {
            exit,
            document,
            findings: self.findings,
            failure: None,
            project: self.project,
            plan: self.plan,
        }
    }

    async fn carry_out(self, reach: Reach<'_>, scaling: &Scaling, emit: &dyn Fn(Event)) -> Scaled {
        let run = Run::new(reach, &self.project, &self.plan, scaling.apply, emit);
        let applied = run.apply().await;
        let interrupted = reach.executor.interrupted();
        let (exit, outcome) = ending(&self.plan, applied.failure.as_ref(), interrupted);
        Scaled {
            exit,
            document: self.document(reach, false, outcome).with_result(&applied),
            findings: self.findings,
            failure: applied.failure,
            project: self.project,
            plan: self.plan,
        }
    }
}

fn ending(plan: &Plan, failure: Option<&Failure>, interrupted: bool) -> (Exit, Outcome) {
    let outcome = match failure {
        None if plan.is_empty() => Outcome::Unchanged,
        None => Outcome::Scaled,
        Some(failure) if failure.error.is_interrupted() => Outcome::Interrupted,
        Some(failure) if failure.aftermath == Aftermath::RolledBack => Outcome::RolledBack,
        Some(_) => Outcome::Failed,
    };
    let exit = match failure {
        _ if interrupted => Exit::Interrupted,
        None => Exit::Done,
        Some(failure) => failure.error.exit(),
    };
    (exit, outcome)
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
