//! What a step of a plan comes to, as commands of an engine: what `--dry-run` shows and `apply` runs.

use std::time::Duration;

use super::{Containers, Control, Engine, Orchestrator};
use crate::exec::CommandSpec;
use crate::plan::{End, Pending, RefreshOthers, Remove, SetCounts, Step, Undrain, Victim};
use crate::project::Project;
use crate::project::declared::Hook;
use crate::project::observed::{Handle, Replica};

/// Time limit of hooks: `pre_stop` and `drain.undo`.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(300);

/// The commands that a step comes to, for `--dry-run`; names of replicas that do not exist yet are
/// those that Compose will give.
pub fn commands(project: &Project, step: &Step, engine: &dyn Engine) -> Vec<String> {
    let specs = match (step, engine.control()) {
        (Step::Refresh(step), _) => refreshes(project, step, engine),
        (Step::SetCounts(step), Control::Counts(engine)) => told(project, step, engine),
        (Step::Remove(step), Control::Containers(engine)) => removed(step, engine),
        (Step::Create(step), Control::Containers(engine)) => vec![engine.create(step)],
        (Step::Start(step), Control::Containers(engine)) => {
            let names: Vec<String> = step
                .services
                .iter()
                .flat_map(|(service, pending)| names_of(project, service, pending, engine))
                .collect();
            let all: Vec<Handle> = names.into_iter().map(Handle::expected).collect();
            shares(&all).map(|share| engine.start(share)).collect()
        }
        (Step::Launch { counts }, Control::Containers(engine)) => vec![engine.launch(counts)],
        (Step::Undrain(step), _) => vec![undrain(step, engine)],
        (Step::Release { ids }, Control::Counts(engine)) => {
            release(project, ids, engine).into_iter().collect()
        }
        // Verifying and resting change nothing; the rest is never planned for the other kind of engine.
        _ => Vec::new(),
    };
    specs.iter().map(ToString::to_string).collect()
}

/// Draining and the `pre_stop` hooks of replicas that go.
fn before_the_end(step: &Remove, engine: &dyn Engine) -> Vec<CommandSpec> {
    let running = handles(&step.victims, |victim| victim.running);
    let drain = step.drain.as_ref().map(|drain| hook(&drain.exec));
    let drains = drain.iter().flat_map(|hook| {
        let drained = step.victims.iter().filter(|victim| victim.can_drain());
        drained.map(|victim| engine.exec(&victim.handle(), hook, Duration::ZERO))
    });
    let hooks = step.pre_stop.iter().flat_map(|hook| {
        running
            .iter()
            .map(|one| engine.exec(one, hook, Duration::ZERO))
    });
    drains.chain(hooks).collect()
}

fn removed(step: &Remove, engine: &dyn Containers) -> Vec<CommandSpec> {
    let ends = shares(&step.victims).flat_map(|share| {
        let running = handles(share, |victim| victim.running);
        let stop = (!running.is_empty()).then(|| engine.stop(&running, step.grace));
        let removal = removal(step, share, engine);
        stop.into_iter().chain(removal)
    });
    before_the_end(step, engine)
        .into_iter()
        .chain(ends)
        .collect()
}

/// The removal of replicas that have ended; `None` where they stay.
pub fn removal(step: &Remove, share: &[Victim], engine: &dyn Containers) -> Option<CommandSpec> {
    let all = handles(share, |_| true);
    match step.end {
        End::Removed => Some(engine.remove(&all, false)),
        End::RemovedWithVolumes => Some(engine.remove(&all, true)),
        End::Stopped => None,
    }
}

fn told(project: &Project, step: &SetCounts, engine: &dyn Orchestrator) -> Vec<CommandSpec> {
    let choices = step.leaving.iter().filter_map(|leaving| {
        let chosen = chosen(project, leaving);
        engine.prefer(project, &chosen, true)
    });
    let drains = step.leaving.iter();
    let drains = drains.flat_map(|leaving| before_the_end(leaving, engine));
    let tellings = engine.scale(project, step).into_iter();
    choices
        .chain(drains)
        .chain(tellings.map(|telling| telling.spec))
        .collect()
}

/// Has a drained replica take work again.
pub fn undrain(step: &Undrain, engine: &dyn Engine) -> CommandSpec {
    engine.exec(&step.replica, &hook(&step.command), HOOK_TIMEOUT)
}

/// Has replicas that were chosen to go first be like any other again; `None` where they need not be told.
pub fn release(
    project: &Project,
    ids: &[String],
    engine: &dyn Orchestrator,
) -> Option<CommandSpec> {
    let replicas = project.replicas.values().flatten();
    let chosen: Vec<&Replica> = replicas.filter(|one| ids.contains(&one.id)).collect();
    engine.prefer(project, &chosen, false)
}

/// The replicas of a project that go.
pub fn chosen<'p>(project: &'p Project, leaving: &Remove) -> Vec<&'p Replica> {
    let replicas = project.replicas(&leaving.service).iter();
    let goes = |replica: &&Replica| leaving.victims.iter().any(|victim| victim.id == replica.id);
    replicas.filter(goes).collect()
}

fn names_of(
    project: &Project,
    service: &str,
    pending: &Pending,
    engine: &dyn Containers,
) -> Vec<String> {
    let new = pending.new.iter();
    let new = new.map(|&number| engine.replica_name(project.name(), service, number));
    pending.existing.iter().cloned().chain(new).collect()
}

fn refreshes(project: &Project, step: &RefreshOthers, engine: &dyn Engine) -> Vec<CommandSpec> {
    let replicas = match engine.control() {
        Control::Containers(engine) => names_of(project, &step.service, &step.replicas, engine),
        // Their names are the engine's to give.
        Control::Counts(_) => step.replicas.existing.clone(),
    };
    let replicas: Vec<&str> = replicas.iter().map(String::as_str).collect();
    let mut specs = Vec::new();
    for refresh in &step.refresh {
        let hook = refresh_hook(project.name(), &step.service, &replicas, &refresh.exec);
        let containers: Vec<Handle> = match (&refresh.project, engine.control()) {
            // Its containers are looked for when the time has come.
            (Some(other), Control::Containers(engine)) if other != project.name() => {
                vec![Handle::expected(engine.replica_name(
                    other,
                    &refresh.service,
                    1,
                ))]
            }
            _ => running(project.replicas(&refresh.service))
                .into_iter()
                .map(|replica| engine.container(replica))
                .collect(),
        };
        let containers = containers.iter();
        specs.extend(containers.map(|one| engine.exec(one, &hook, refresh.timeout)));
    }
    specs
}

/// Some of the victims.
pub fn handles(victims: &[Victim], which: impl Fn(&Victim) -> bool) -> Vec<Handle> {
    let chosen = victims.iter().filter(|victim| which(victim));
    chosen.map(Victim::handle).collect()
}

/// A policy's command, to be run in a container.
pub fn hook(command: &[String]) -> Hook {
    Hook {
        command: command.to_vec(),
        ..Hook::default()
    }
}

/// A refresh command, which is told what changed: a balancer's list can be made of it.
pub fn refresh_hook(project: &str, service: &str, replicas: &[&str], command: &[String]) -> Hook {
    Hook {
        told: [
            ("RSCALE_PROJECT", project.to_owned()),
            ("RSCALE_SERVICE", service.to_owned()),
            ("RSCALE_REPLICAS", replicas.join(" ")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        ..hook(command)
    }
}

/// The replicas that run and stay, in the order of their numbers.
pub fn running(replicas: &[Replica]) -> Vec<&Replica> {
    let mut running: Vec<&Replica> = replicas
        .iter()
        .filter(|one| one.is_running() && !one.leaving)
        .collect();
    running.sort_by_key(|replica| replica.number);
    running
}

/// Names of the replicas that a balancer can send to, in the order of their numbers.
pub fn running_names(replicas: &[Replica]) -> Vec<&str> {
    let running = running(replicas).into_iter();
    running.map(|replica| replica.name.as_str()).collect()
}

/// Commands that start or remove containers at a time. More do not help: the engine itself is the
/// bottleneck, and each command is a process.
const AT_ONCE: usize = 8;

/// Splits containers into as many shares as commands run at a time.
pub fn shares<T>(containers: &[T]) -> impl Iterator<Item = &[T]> {
    containers.chunks(containers.len().div_ceil(AT_ONCE).max(1))
}
