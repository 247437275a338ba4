//! What the services that a scale names depend on: who may start replicas, which dependencies are started
//! along, and at what count the others are held.

use super::{Counts, Start};
use crate::project::Project;
use crate::project::declared::Condition;
use crate::project::observed::{Health, Replica};

/// Whether rscale may start new replicas itself.
pub fn who_starts(project: &Project, service: &str, no_deps: bool) -> Start {
    let Some(declared) = project.service(service) else {
        return Start::ByCompose;
    };
    let only_compose = declared.start_hooks || declared.injected_files;
    // A range could be started one by one, which is what Compose does as well; it is done here only to
    // leave dependencies alone.
    let range = declared.has_port_range() && !no_deps;
    let waits = !no_deps
        && declared.depends_on.iter().any(|(name, dependency)| {
            project.service(name).is_some()
                && !is_satisfied(project.replicas(name), dependency.condition)
        });
    if only_compose || range || waits {
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

/// Dependencies that Compose starts along with the services that it has to start itself: those without
/// any container, at the count that the file gives, and those with stopped replicas, at the count they
/// have. With `no_deps` only the latter: Compose starts what exists, and what it has to start itself it
/// starts with all it depends on.
pub fn missing_dependencies<'a>(
    project: &Project,
    grown: impl IntoIterator<Item = &'a str>,
    wish: &Counts,
    no_deps: bool,
) -> Counts {
    let by_compose = grown
        .into_iter()
        .filter(|service| who_starts(project, service, no_deps) == Start::ByCompose);
    let names: Vec<&str> = by_compose.collect();
    let mut missing = Counts::new();
    for name in project.dependencies(names) {
        let replicas = project.replicas(name);
        let Some(declared) = project.service(name).filter(|_| !wish.contains_key(name)) else {
            continue;
        };
        if replicas.is_empty() {
            if declared.count > 0 && !no_deps {
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
