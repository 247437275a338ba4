//! `rscale status`: from a project to its rows.

use std::borrow::Cow;

use super::json::{
    SCHEMA, ServiceState, Status, StatusContainer, StatusNode, StatusQueue, StatusService,
};
use crate::apply::{count, healthy};
use crate::load::depth::Depth;
use crate::preflight::{self, Bare};
use crate::project::Project;
use crate::project::cluster::Node;
use crate::project::observed::{Health, Replica, State};
use crate::project::workload::Queue;

/// Every service with its replicas, orphans last. Services of inactive profiles are left out while
/// they have no containers. `only` narrows it down; empty is all.
pub fn status(project: &Project, engine: &str, only: &[String]) -> Status {
    let bare = Bare::new(project);
    let wanted = |name: &str| only.is_empty() || only.iter().any(|other| other == name);
    let declared = project
        .declared
        .services
        .values()
        .filter(|service| {
            only.contains(&service.name)
                || project.is_active(service)
                || !project.replicas(&service.name).is_empty()
        })
        .map(|service| {
            let obstacles = preflight::obstacles(&bare, &service.name, 2);
            let replicas = project.replicas(&service.name);
            let row = row(&service.name, service.count, replicas);
            let deployed = project.deployed.get(&service.name);
            let desired = deployed.map(|one| one.count);
            // What runs on every node has no count in the file.
            let fixed = deployed.filter(|one| one.fixed.is_some());
            let declared = fixed.map_or(service.count, |one| one.count);
            StatusService {
                declared: Some(declared),
                desired,
                drift: desired.unwrap_or(row.replicas) != declared,
                state: if bare.is_job(&service.name) && is_done(replicas) {
                    ServiceState::Ok
                } else {
                    state(replicas, desired)
                },
                min: service.policy.min,
                max: service.policy.max,
                scalable: !preflight::refuses(&obstacles),
                reasons: obstacles
                    .into_iter()
                    .map(|finding| finding.message)
                    .collect(),
                ..row
            }
        });
    let orphans = project.orphans().map(|(name, replicas)| StatusService {
        declared: None,
        drift: true,
        scalable: false,
        reasons: vec![if project.deployed.contains_key(name) {
            format!("`{name}` is not in the compose file")
        } else {
            format!("`{name}` is not in the compose file; its containers are orphans")
        }],
        ..row(name, 0, replicas)
    });
    Status {
        schema: SCHEMA,
        project: project.name().to_owned(),
        engine: engine.to_owned(),
        nodes: nodes(project),
        killed_runs: Vec::new(),
        services: declared
            .chain(orphans)
            .filter(|service| wanted(&service.name))
            .collect(),
    }
}

fn nodes(project: &Project) -> Vec<StatusNode> {
    let replicas = || project.replicas.values().flatten();
    let node = |node: &Node| StatusNode {
        name: node.name.clone(),
        state: node.state.clone(),
        manager: node.manager,
        replicas: u32::try_from(
            replicas()
                .filter(|one| one.is_running() && !one.leaving)
                .filter(|one| one.node.as_deref() == Some(node.name.as_str()))
                .count(),
        )
        .unwrap_or(u32::MAX),
    };
    project.nodes.iter().map(node).collect()
}

fn row(name: &str, declared: u32, replicas: &[Replica]) -> StatusService {
    let existing = count(replicas, |replica| !replica.leaving);
    let mut staying = Cow::Borrowed(replicas);
    if replicas.iter().any(|replica| replica.leaving) {
        staying.to_mut().retain(|replica| !replica.leaving);
    }
    StatusService {
        name: name.to_owned(),
        declared: None,
        desired: None,
        replicas: existing,
        running: count(replicas, |replica| replica.is_running() && !replica.leaving),
        healthy: healthy(&staying),
        state: state(replicas, None),
        drift: existing != declared,
        min: None,
        max: None,
        scalable: true,
        reasons: Vec::new(),
        containers: replicas.iter().map(container).collect(),
        queue: None,
    }
}

/// What a queue said, or why it said nothing.
pub fn queue(queue: &Queue, said: &Result<Depth, String>) -> StatusQueue {
    let depth = said.clone().unwrap_or_default();
    StatusQueue {
        driver: queue.driver,
        name: queue.name.clone(),
        ready: depth.ready,
        unacknowledged: depth.unacknowledged,
        running: depth.running,
        consumers: depth.consumers,
        delayed: depth.delayed,
        failed: depth.failed,
        error: said.as_ref().err().cloned(),
    }
}

/// Whether a job has ended well.
fn is_done(replicas: &[Replica]) -> bool {
    let ended_well = |replica: &Replica| replica.exit_code == Some(0);
    !replicas.is_empty() && replicas.iter().all(ended_well)
}

fn container(replica: &Replica) -> StatusContainer {
    StatusContainer {
        id: replica.id.clone(),
        name: replica.name.clone(),
        number: replica.number,
        state: replica.state,
        health: replica.health,
        ports: replica.ports.clone(),
        restarts: replica.restarts,
        node: replica.node.clone(),
        reason: replica.reason.clone(),
        leaving: replica.leaving,
    }
}

/// `desired` is the count that an engine keeps by itself: there, replicas that do not run yet are on their way.
fn state(replicas: &[Replica], desired: Option<u32>) -> ServiceState {
    let staying = || replicas.iter().filter(|replica| !replica.leaving);
    let starting = |replica: &Replica| {
        let on_its_way = match replica.state {
            State::Restarting => true,
            State::Created => desired.is_some(),
            _ => replica.health == Some(Health::Starting),
        };
        on_its_way && !replica.failing
    };
    let missing = desired.is_some_and(|desired| staying().count() < desired as usize);
    if !staying().any(|replica| replica.is_running() || starting(replica)) {
        if desired.unwrap_or(0) > 0 {
            ServiceState::Degraded
        } else {
            ServiceState::Stopped
        }
    } else if missing || staying().any(|replica| !replica.is_good() && !starting(replica)) {
        ServiceState::Degraded
    } else if staying().any(starting) {
        ServiceState::Starting
    } else {
        ServiceState::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::{ServiceState, row, state, status};
    use crate::project::Project;
    use crate::project::declared::Declared;
    use crate::project::observed::{Health, Replica, State};

    fn replica(service: &str, state: State, health: Option<Health>) -> Replica {
        Replica {
            service: service.into(),
            state,
            health,
            ..Replica::default()
        }
    }

    #[test]
    fn the_worst_replica_decides_unless_none_runs() {
        let run = |health| replica("web", State::Running, health);
        let exited = replica("web", State::Exited, None);
        for (replicas, expected) in [
            (vec![], ServiceState::Stopped),
            (vec![exited.clone()], ServiceState::Stopped),
            (
                vec![run(None), run(Some(Health::Healthy))],
                ServiceState::Ok,
            ),
            (
                vec![run(None), run(Some(Health::Starting))],
                ServiceState::Starting,
            ),
            (
                vec![replica("web", State::Restarting, None)],
                ServiceState::Starting,
            ),
            (vec![run(None), exited], ServiceState::Degraded),
            (
                vec![run(Some(Health::Unhealthy)), run(Some(Health::Starting))],
                ServiceState::Degraded,
            ),
        ] {
            assert_eq!(state(&replicas, None), expected, "{replicas:?}");
        }
    }

    #[test]
    fn an_engine_that_keeps_counts_is_still_at_it_or_has_failed() {
        let run = replica("web", State::Running, None);
        let created = replica("web", State::Created, None);
        let failing = Replica {
            failing: true,
            ..created.clone()
        };
        let leaving = Replica {
            leaving: true,
            ..replica("web", State::Exited, None)
        };
        for (replicas, desired, expected) in [
            (vec![], 0, ServiceState::Stopped),
            (vec![], 1, ServiceState::Degraded),
            (vec![run.clone()], 1, ServiceState::Ok),
            (vec![run.clone(), leaving.clone()], 1, ServiceState::Ok),
            (vec![run.clone()], 2, ServiceState::Degraded),
            (
                vec![run.clone(), created.clone()],
                2,
                ServiceState::Starting,
            ),
            (vec![created], 1, ServiceState::Starting),
            (vec![run, failing.clone()], 2, ServiceState::Degraded),
            (vec![failing], 1, ServiceState::Degraded),
        ] {
            assert_eq!(state(&replicas, Some(desired)), expected, "{replicas:?}");
        }
        let leaving = Replica {
            state: State::Running,
            health: Some(Health::Healthy),
            ..leaving
        };
        let row = row("web", 1, &[leaving.clone(), leaving]);
        assert_eq!((row.replicas, row.running, row.healthy), (0, 0, None));
    }

    #[test]
    fn a_job_that_others_wait_for_is_done_when_it_ended_well() {
        let yaml = "name: shop\nservices: {migrate: {image: a}, other: {image: a}, web: {image: a, depends_on: {migrate: \
                    {condition: service_completed_successfully}}}}";
        let exited = |service, code| Replica {
            exit_code: Some(code),
            ..replica(service, State::Exited, None)
        };
        for (code, of_job) in [(0, ServiceState::Ok), (1, ServiceState::Stopped)] {
            let declared = Declared::parse(yaml, "").unwrap();
            let project = Project::new(declared, vec![exited("migrate", code), exited("other", 0)]);
            let states: Vec<_> = status(&project, "compose", &[])
                .services
                .iter()
                .map(|row| row.state)
                .collect();
            let expected = [of_job, ServiceState::Stopped, ServiceState::Stopped];
            assert_eq!(states, expected, "{code}");
        }
    }

    #[test]
    fn services_without_containers_and_containers_without_services_are_shown() {
        let yaml = "name: shop\nservices: {web: {image: a}, db: {image: b, container_name: db}, dbg: {image: c, profiles: [debug]}}";
        let mut declared = Declared::parse(yaml, "").unwrap();
        declared.inactive.insert("dbg".into());
        let project = Project::new(declared, vec![replica("old", State::Running, None)]);
        let status = status(&project, "compose", &[]);
        let rows: Vec<_> = status
            .services
            .iter()
            .map(|row| (row.name.as_str(), row.declared, row.drift, row.scalable))
            .collect();
        assert_eq!(
            rows,
            [
                ("db", Some(1), true, false),
                ("web", Some(1), true, true),
                ("old", None, true, false)
            ]
        );
        assert!(status.services[0].reasons[0].contains("db"));
    }
}
