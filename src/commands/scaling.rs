//! The stages of a scale, from request to result: project, lock, preflight, plan, apply.
//!
//! Prints nothing, so that the whole pipeline runs in tests on a recording executor.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use wildmatch::WildMatch;

use crate::apply::{Aftermath, ApplyOptions, Event, Failure, Outcome, Run, count, healthy};
use crate::duration;
use crate::error::{Error, Exit, Result};
use crate::gather::Reach;
use crate::lock::{self, Attempt, Holder, ProjectLock};
use crate::plan::{Plan, PlanOptions, commands, plan};
use crate::preflight::{self, Finding, Question, Rule, Severity, Surroundings};
use crate::project::Project;
use crate::project::declared::Declared;
use crate::project::target::{Count, Targets};
use crate::report::json::{LeftAlone, Scale, ScaledService, UntouchedContainers, outcome_of_plan};
use crate::suggest;

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

/// Which services.
#[derive(Debug)]
pub enum Asked {
    Named(Targets),
    All { count: Count, only: Vec<String>, except: Vec<String> },
}

/// What the machine says, gathered at the edge.
#[derive(Debug, Default)]
pub struct HostFacts {
    pub engine_address: String,
    /// Listening ports, where the engine is this machine's.
    pub listening: BTreeSet<(String, u16)>,
    pub likely_name: String,
    pub command_line: String,
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
    if scaling.plan.pull.is_some() && !reach.engine.supports_pull_policy() {
        return Err(Error::usage("this Compose has no `--pull` policy")
            .hint("pull first: docker-compose pull SERVICE"));
    }
    // Project: the declared side first, for the lock is kept by its name.
    let (declared, info) = tokio::join!(reach.declared(&host.likely_name), reach.info());
    let declared = declared?;
    let (info, clock) = info?;
    if let Asked::Named(targets) = &scaling.asked {
        known_services(&declared, targets.0.keys())?;
    }
    let _lock = if scaling.dry_run {
        None
    } else {
        Some(take_lock(reach, &declared.name, scaling, host, note).await?)
    };
    let replicas = reach.replicas(&declared.name).await?;
    let mut project = Project::new(declared, replicas);
    let (wish, left_alone) = wish(&project, &scaling.asked)?;
    let granted = preflight::granted(&wish);
    reach.mark_outdated(&mut project, &granted).await?;

    // Preflight.
    let surroundings = Surroundings { memory_bytes: info.memory_bytes, listening: host.listening.clone() };
    let question = Question {
        project: &project,
        wish: &wish,
        surroundings: &surroundings,
        stop_timeout: scaling.plan.stop_timeout,
        current_replicas: scaling.current_replicas,
    };
    let findings = preflight::examine(&question, scaling.force);

    // Plan.
    let plan = plan(&project, &granted, &scaling.plan);
    let name = project.name().to_owned();
    let frame = |outcome| Scale {
        left_alone: left_alone.clone(),
        ..Scale::new(&name, reach.engine.name(), scaling.dry_run, outcome, &findings)
    };
    let refused = preflight::refuses(&findings);
    if refused || scaling.dry_run {
        let outcome = if refused { Outcome::Refused } else { outcome_of_plan(&plan) };
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        let commands = plan.steps.iter().flat_map(|step| commands(&project, step, reach.engine));
        let document = Scale {
            error: first.map(|finding| finding.message.clone()),
            services: not_run(&project, &plan, outcome),
            untouched: UntouchedContainers { containers: others(&project, &plan), changed: Vec::new() },
            commands: if refused { Vec::new() } else { commands.collect() },
            ..frame(outcome)
        };
        let exit = if refused { Exit::Refused } else { Exit::Done };
        return Ok(Scaled { exit, document, findings, failure: None, project, plan });
    }

    // Apply.
    for (service, count) in &plan.dependencies {
        note(&format!("starting `{service}` ({count}) as well: it is a dependency and does not run"));
    }
    let applied = Run::new(reach, &project, &plan, clock, scaling.apply, emit).apply().await;
    let (exit, outcome) = ending(&plan, applied.failure.as_ref(), reach.executor.interrupted());
    let document = frame(outcome).with_result(&applied);
    Ok(Scaled { exit, document, findings, failure: applied.failure, project, plan })
}

fn ending(plan: &Plan, failure: Option<&Failure>, interrupted: bool) -> (Exit, Outcome) {
    let outcome = match failure {
        None if plan.is_empty() => Outcome::Unchanged,
        None => Outcome::Scaled,
        Some(failure) if failure.error.exit == Exit::Interrupted => Outcome::Interrupted,
        Some(failure) if failure.aftermath == Aftermath::RolledBack => Outcome::RolledBack,
        Some(_) => Outcome::Failed,
    };
    let exit = match failure {
        _ if interrupted => Exit::Interrupted,
        None => Exit::Done,
        Some(failure) => failure.error.exit,
    };
    (exit, outcome)
}

fn not_run(project: &Project, plan: &Plan, outcome: Outcome) -> Vec<ScaledService> {
    let row = |change: &crate::plan::Change| {
        let replicas = project.replicas(&change.service);
        let running = count(replicas, crate::project::observed::Replica::is_running);
        ScaledService::not_run(change, running, healthy(replicas), outcome)
    };
    plan.changes.iter().map(row).collect()
}

/// Containers of services that the plan does not name.
fn others(project: &Project, plan: &Plan) -> usize {
    let named = |service: &str| plan.changes.iter().any(|change| change.service == service);
    project.replicas.iter().filter(|(service, _)| !named(service)).map(|(_, replicas)| replicas.len()).sum()
}

/// Refuses names that are not in the file.
///
/// # Errors
/// Names the nearest right one and lists the others.
pub fn known_services<'a>(declared: &Declared, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    for name in names {
        if declared.services.contains_key(name) {
            continue;
        }
        let services: Vec<&str> = declared.services.keys().map(String::as_str).collect();
        let mut error = Error::usage(format!("project `{}` has no service `{name}`", declared.name));
        if let Some(nearest) = suggest::nearest(name, services.iter().copied()) {
            error = error.hint(format!("did you mean `{nearest}`?"));
        }
        return Err(error.hint(format!("its services: {}", services.join(", "))));
    }
    Ok(())
}

/// Waits for the lock of a project.
async fn take_lock(
    reach: Reach<'_>,
    project: &str,
    scaling: &Scaling,
    host: &HostFacts,
    note: &dyn Fn(&str),
) -> Result<ProjectLock> {
    let path = lock::path_of(&lock::folder(), project, &host.engine_address);
    let holder = Holder::this_run(host.command_line.clone());
    let began = Instant::now();
    let mut waits_for = None;
    loop {
        let other = match lock::attempt(&path, &holder)? {
            Attempt::Taken(lock) => return Ok(lock),
            Attempt::Busy(other) => other,
        };
        if reach.executor.interrupted() {
            return Err(Error::interrupted());
        }
        if began.elapsed() >= scaling.lock_timeout {
            let limit = duration::show(scaling.lock_timeout);
            return Err(Error::failed(format!("{other} still scales project `{project}` after {limit}"))
                .hint("wait longer: rscale --lock-timeout 10m ..."));
        }
        if waits_for.as_ref() != Some(&other) {
            note(&format!("waiting for {other}, which scales project `{project}`"));
            waits_for = Some(other);
        }
        reach.executor.pause(Duration::from_millis(100)).await;
    }
}

type Wish = BTreeMap<String, i64>;

/// The counts wished for, and what `scale-all` leaves alone.
fn wish(project: &Project, asked: &Asked) -> Result<(Wish, Vec<LeftAlone>)> {
    match asked {
        Asked::Named(targets) => {
            let resolve = |(service, count): (&String, &Count)| {
                (service.clone(), count.resolve(project.count(service)))
            };
            Ok((targets.0.iter().map(resolve).collect(), Vec::new()))
        }
        Asked::All { count, only, except } => everything(project, *count, only, except),
    }
}

fn everything(
    project: &Project,
    wanted: Count,
    only: &[String],
    except: &[String],
) -> Result<(Wish, Vec<LeftAlone>)> {
    let active = || project.declared.services.values().filter(|service| project.is_active(service));
    for pattern in only.iter().chain(except) {
        let matcher = WildMatch::new(pattern);
        if !active().any(|service| matcher.matches(&service.name)) {
            let names: Vec<&str> = active().map(|service| service.name.as_str()).collect();
            return Err(Error::usage(format!("no service matches `{pattern}`"))
                .hint(format!("the services: {}", names.join(", "))));
        }
    }
    let matches = |patterns: &[String], name: &str| {
        patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name))
    };
    let (mut wish, mut left_alone) = (Wish::new(), Vec::new());
    for service in active() {
        let name = &service.name;
        if (!only.is_empty() && !matches(only, name)) || matches(except, name) {
            continue;
        }
        let resolved = wanted.resolve(project.count(name));
        match reason_to_leave_alone(project, name, resolved) {
            Some(reason) => left_alone.push(LeftAlone { name: name.clone(), reason }),
            None => {
                wish.insert(name.clone(), resolved);
            }
        }
    }
    if wish.is_empty() {
        let reasons = left_alone.iter().map(|item| item.reason.clone());
        return Err(Error::new(Exit::Refused, "no service of this project can be scaled").hints(reasons));
    }
    Ok((wish, left_alone))
}

fn reason_to_leave_alone(project: &Project, name: &str, count: i64) -> Option<String> {
    let service = project.service(name)?;
    let as_second = preflight::obstacles(project, name, 2);
    let asked = u32::try_from(count).unwrap_or(0);
    let as_asked = preflight::obstacles(project, name, asked);
    let counts = |finding: &&Finding| {
        finding.severity == Severity::Error
            // A store without a volume could be multiplied, and each would hold other data.
            || (finding.rule == Rule::Stateful && service.policy.scalable != Some(true))
    };
    let finding = as_second.iter().find(|finding| counts(finding) && finding.rule != Rule::Limits);
    let finding = finding.or_else(|| as_asked.iter().find(counts));
    finding.map(|finding| finding.message.clone())
}
