//! The project as rscale sees it: what the file declares, what the engine runs, what the policy says.
//!
//! Pure: commands' output goes in, a [`Project`] comes out. Who runs the commands is not its business.

pub mod address;
pub mod cluster;
mod config;
pub mod declared;
mod load_section;
pub mod nesting;
pub mod observed;
pub mod place;
pub mod policy;
mod queue_section;
pub mod reached;
pub mod target;
mod top_level;
pub mod workload;

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Deployed, Node};
use declared::{Condition, Declared, EngineName, Service};
use observed::{Observed, Replica};

/// A project: its services as declared, its replicas as observed.
#[derive(Debug, Clone, Default)]
pub struct Project {
    pub declared: Declared,
    /// What runs it.
    pub engine: EngineName,
    /// Replicas by service, in the order of their numbers; one-off containers (`compose run`) left out.
    pub replicas: BTreeMap<String, Vec<Replica>>,
    /// Services as an engine has them that keeps counts itself; empty with Compose.
    pub deployed: BTreeMap<String, Deployed>,
    /// Replicas that failed and were replaced, as far as such an engine remembers them.
    pub failures: Vec<Replica>,
    /// The machines of a cluster.
    pub nodes: Vec<Node>,
    /// What earlier runs left on replicas.
    pub marks: Marks,
}

/// What earlier runs did to replicas that are still there and that no engine tells; by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// They were told to take no more work.
    pub drained: BTreeSet<String>,
    /// They were marked as the first to go.
    pub preferred: BTreeSet<String>,
}

impl Project {
    pub fn new(mut declared: Declared, observed: impl Into<Observed>) -> Self {
        let mut observed = observed.into();
        if observed.engine == EngineName::Kubernetes && !declared.by_engine {
            observed.rename(|name| declared.written_as(name));
        }
        let mut replicas: BTreeMap<String, Vec<Replica>> = BTreeMap::new();
        for replica in observed.replicas {
            replicas
                .entry(replica.service.clone())
                .or_default()
                .push(replica);
        }
        for of_service in replicas.values_mut() {
            of_service.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        }
        if declared.by_engine {
            declared.name = observed.name.unwrap_or(declared.name);
        }
        let mut project = Self {
            declared,
            engine: observed.engine,
            replicas,
            deployed: BTreeMap::new(),
            failures: observed.failures,
            nodes: observed.nodes,
            marks: Marks::default(),
        };
        project.describe(observed.deployed);
        project
    }

    /// Takes over what an engine knows of its services. Without a file, what is deployed is what is declared.
    pub fn describe(&mut self, deployed: Vec<Deployed>) {
        if self.declared.by_engine {
            let services = deployed.iter().map(|deployed| {
                let service = Service {
                    name: deployed.service.clone(),
                    count: deployed.count,
                    ..deployed.as_declared.clone()
                };
                (deployed.service.clone(), service)
            });
            self.declared.services = services.collect();
        }
        let deployed = deployed.into_iter();
        self.deployed = deployed.map(|one| (one.service.clone(), one)).collect();
    }

    pub fn name(&self) -> &str {
        &self.declared.name
    }

    pub fn service(&self, name: &str) -> Option<&Service> {
        self.declared.services.get(name)
    }

    /// The replicas of a service that exist, in whatever state.
    pub fn replicas(&self, service: &str) -> &[Replica] {
        self.replicas.get(service).map_or(&[], Vec::as_slice)
    }

    /// How many replicas a service has: those that exist, in whatever state (as Compose counts them), or
    /// those that the engine is to keep.
    pub fn count(&self, service: &str) -> u32 {
        if let Some(deployed) = self.deployed.get(service) {
            return deployed.count;
        }
        u32::try_from(self.replicas(service).len()).unwrap_or(u32::MAX)
    }

    /// Whether the engine is replacing replicas of a service by such of a newer template.
    pub fn is_updating(&self, service: &str) -> bool {
        let deployed = self.deployed.get(service);
        deployed.is_some_and(|deployed| deployed.update.is_some())
    }

    /// Services that have containers but are not in the file.
    pub fn orphans(&self) -> impl Iterator<Item = (&str, &[Replica])> {
        self.replicas
            .iter()
            .filter(|(service, _)| !self.declared.services.contains_key(*service))
            .map(|(service, replicas)| (service.as_str(), replicas.as_slice()))
    }

    /// Whether a plain `docker compose up` would see this service: it has no profile or an active one.
    pub fn is_active(&self, service: &Service) -> bool {
        !self.declared.inactive.contains(&service.name)
    }

    /// The jobs that run once, each with the first service that waits for it to complete.
    pub fn jobs(&self) -> BTreeMap<&str, &Service> {
        let mut jobs = BTreeMap::new();
        for service in self.declared.services.values() {
            for (name, dependency) in &service.depends_on {
                if dependency.condition == Condition::CompletedSuccessfully {
                    jobs.entry(name.as_str()).or_insert(service);
                }
            }
        }
        jobs
    }

    /// The services that `names` depend on, directly or not, without `names` themselves.
    ///
    /// Dependencies that are optional (`required: false`) and switched off by their profile are left
    /// out, as Compose leaves them out. Naming a service activates its profiles.
    pub fn dependencies<'a>(
        &'a self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> BTreeSet<&'a str> {
        let named: BTreeSet<&str> = names.into_iter().collect();
        let activated: BTreeSet<&str> = named
            .iter()
            .filter_map(|name| self.service(name))
            .flat_map(|service| service.profiles.iter().map(String::as_str))
            .collect();
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = named.iter().copied().collect();
        while let Some(name) = open.pop() {
            let Some(service) = self.service(name) else {
                continue;
            };
            for (dependency, how) in &service.depends_on {
                let Some(target) = self.service(dependency) else {
                    continue;
                };
                let reachable = self.is_active(target)
                    || target
                        .profiles
                        .iter()
                        .any(|p| activated.contains(p.as_str()));
                if (how.required || reachable)
                    && !named.contains(dependency.as_str())
                    && found.insert(dependency.as_str())
                {
                    open.push(dependency);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Project;
    use super::cluster::Deployed;
    use super::declared::{Declared, EngineName};
    use super::observed::{Observed, Replica};

    #[test]
    fn names_that_kubernetes_cannot_have_are_those_of_the_file() {
        let yaml = "services: {celery_worker: {image: a}, Web.App: {image: a}, a_b: {image: a}, a-b: {image: a}}";
        for (engine, expected) in [
            (
                EngineName::Kubernetes,
                ["celery_worker", "Web.App", "a-b", "other"],
            ),
            (
                EngineName::Swarm,
                ["celery-worker", "web-app", "a-b", "other"],
            ),
        ] {
            let names = ["celery-worker", "web-app", "a-b", "other"].map(str::to_owned);
            let observed = Observed {
                engine,
                replicas: names
                    .clone()
                    .map(|service| Replica {
                        service,
                        ..Replica::default()
                    })
                    .into(),
                deployed: names
                    .map(|service| Deployed {
                        service,
                        ..Deployed::default()
                    })
                    .into(),
                ..Observed::default()
            };
            let declared = Declared::parse(yaml, "shop").unwrap();
            let project = Project::new(declared, observed);
            for name in expected {
                assert_eq!(project.replicas(name).len(), 1, "{engine:?} {name}");
                assert!(project.deployed.contains_key(name), "{engine:?} {name}");
            }
        }
    }
}
