//! What a driver needs to know of the project: how its hosts are reached, which worker is which replica.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::launcher::Launcher;
use crate::project::Project;
use crate::project::reached::Addresses;
use crate::project::workload::Place;

/// The surroundings of a driver.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub addresses: Addresses,
    pub names: Names,
    /// How commands of the user's are run, where there are any.
    pub launchers: BTreeMap<Place, Launcher>,
    /// Leave Celery's events off where results come without them: they cost the workers time.
    pub without_events: bool,
    /// Go on although messages wait in the queue already.
    pub force: bool,
    /// How long one answer may take, an HTTP response for instance.
    pub timeout: Duration,
}

/// The running replicas, found by what their workers call themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(Vec<Known>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    service: String,
    name: String,
    /// The first twelve digits of its id, which are its host name unless the file says otherwise.
    host: String,
}

/// Digits of a container's id in its host name.
const HOST_DIGITS: usize = 12;

impl Names {
    pub fn of(project: &Project) -> Self {
        let replicas = project.replicas.values().flatten();
        Self(
            replicas
                .map(|replica| Known {
                    service: replica.service.clone(),
                    name: replica.name.clone(),
                    host: replica.id.chars().take(HOST_DIGITS).collect(),
                })
                .collect(),
        )
    }

    /// The service and replica that a worker's name points to: `celery@3f5c0a1b2c3d`, `worker-3f5c0a1b2c3d`,
    /// `shop-worker-1`.
    pub fn find(&self, worker: &str) -> Option<(&str, &str)> {
        let by_host =
            |known: &&Known| known.host.len() == HOST_DIGITS && worker.contains(&known.host);
        let by_name = |known: &&Known| worker.rsplit('@').next() == Some(known.name.as_str());
        let mut replicas = self.0.iter();
        let found = replicas.clone().find(by_host);
        let found = found.or_else(|| replicas.find(by_name))?;
        Some((&found.service, &found.name))
    }
}

#[cfg(test)]
mod tests {
    use super::Names;
    use crate::project::Project;
    use crate::project::declared::Declared;
    use crate::project::observed::Replica;

    #[test]
    fn workers_are_found_by_their_host_name_or_their_replica_name() {
        let replica = Replica {
            id: "3f5c0a1b2c3d4e5f".into(),
            name: "shop-worker-1".into(),
            service: "worker".into(),
            ..Replica::default()
        };
        let names = Names::of(&Project::new(Declared::default(), vec![replica]));
        for worker in [
            "celery@3f5c0a1b2c3d",
            "3f5c0a1b2c3d",
            "worker-3f5c0a1b2c3d-7",
            "w@shop-worker-1",
        ] {
            assert_eq!(
                names.find(worker),
                Some(("worker", "shop-worker-1")),
                "{worker}"
            );
        }
        assert_eq!(names.find("celery@laptop"), None);
        assert_eq!(names.find(""), None);
    }
}
