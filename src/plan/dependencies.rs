//! What the services that a scale names depend on: who may start replicas, which dependencies are started
//! along, and at what count the others are held.

use super::{Counts, Start};
use crate::project::Project;
use crate::project::declared::{Condition, Dependency};
use crate::project::observed::{Health, Replica};

/// Who starts the new replicas of a service, and whether its dependencies come along.
pub fn who_starts(project: &Project, service: &str, no_deps: bool) -> Start {
    let Some(declared) = project.service(service) else {
        return Start::ByCompose;
    };
    let waits = |(name, dependency): (&String, &Dependency)| {
        project.service(name).is_some()
            && !is_satisfied(project.replicas(name), dependency.condition)
    };
    if !no_deps && declared.depends_on.iter().any(waits) {
        Start::WithDependencies
    } else if declared.start_hooks || declared.injected_files || declared.has_port_range() {
        Start::ByCompose
    } else {
        Start::ByRscale
    }
}

/// Whether a dependency has reached what its dependent waits for. A job that ended well is not run
/// again; plain `up` would.
fn is_satisfied(replicas: &[Replica], condition: Condition) -> bool {
    let ended_well = |replica: &Replica| replica.exit_code == Some(0);
    match condition {
        Condition::Started => replicas.iter().any(Replica::is_running),
        Condition::Healthy => {
            let mut running = replicas
                .iter()
                .filter(|replica| replica.is_running())
                .peekable();
            running.peek().is_some()
                && running.all(|replica| replica.health == Some(Health::Healthy))
        }
        Condition::CompletedSuccessfully => !replicas.is_empty() && replicas.iter().all(ended_well),
    }
}

/// Dependencies that Compose starts along with the services that wait for one: those without any
/// container, at the count that the file gives, and those with stopped replicas, at the count they have.
pub fn missing_dependencies<'a>(
    project: &Project,
    grown: impl IntoIterator<Item = &'a str>,
    wish: &Counts,
    no_deps: bool,
) -> Counts {
    let waiting: Vec<&str> = grown
        .into_iter()
        .filter(|service| who_starts(project, service, no_deps) == Start::WithDependencies)
        .collect();
    let mut missing = Counts::new();
    for name in project.dependencies(waiting) {
        let replicas = project.replicas(name);
        let Some(declared) = project.service(name).filter(|_| !wish.contains_key(name)) else {
            continue;
        };
        if replicas.is_empty() {
            if declared.count > 0 {
                missing.insert(name.to_owned(), declared.count);
            }
        } else if replicas.iter().any(Replica::can_start) {
            missing.insert(name.to_owned(), project.count(name));
        }
    }
    missing
}

/// The count at which each dependency of a call is held: what it has at this point of the plan.
pub fn pins(project: &Project, counts: &Counts, now: &Counts, started: &Counts) -> Counts {
    project
        .dependencies(counts.keys().map(String::as_str))
        .into_iter()
        .map(|name| {
            let count = started.get(name).or_else(|| now.get(name)).copied();
            (
                name.to_owned(),
                count.unwrap_or_else(|| project.count(name)),
            )
        })
        .collect()
}
