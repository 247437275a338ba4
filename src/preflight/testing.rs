//! A scene for the tests of the rules: a compose file as text, what runs, and the surroundings.

use std::time::Duration;

use super::{Finding, Overview, Question, Rule, Severity, Surroundings, examine};
use crate::project::Project;
use crate::project::cluster::{Deployed, Facts, Machine, kubernetes};
use crate::project::declared::{Declared, EngineName, Service};
use crate::project::observed::{Replica, State};

pub struct Scene {
    pub project: Project,
    surroundings: Surroundings,
    stop_timeout: Option<Duration>,
    current_replicas: Option<u32>,
}

impl Scene {
    pub fn new(yaml: &str) -> Self {
        let mut declared =
            Declared::parse(yaml, "shop").expect("the test's YAML is a compose file");
        declared.inactive = declared
            .services
            .values()
            .filter(|service| !service.profiles.is_empty())
            .map(|service| service.name.clone())
            .collect();
        Self {
            project: Project::new(declared, Vec::new()),
            surroundings: Surroundings::default(),
            stop_timeout: None,
            current_replicas: None,
        }
    }

    pub fn service(&self, name: &str) -> &Service {
        self.project
            .service(name)
            .expect("the test's YAML has the service")
    }

    /// Adds running replicas of a service.
    pub fn running(self, service: &str, count: u32) -> Self {
        (0..count).fold(self, |scene, _| scene.replica(service, |_| ()))
    }

    /// Adds a replica of a service, running unless `change` says otherwise.
    pub fn replica(mut self, service: &str, change: impl FnOnce(&mut Replica)) -> Self {
        let replicas = self.project.replicas.entry(service.to_owned()).or_default();
        let number = u32::try_from(replicas.len() + 1).expect("few replicas");
        let mut replica = Replica {
            name: format!("shop-{service}-{number}"),
            service: service.to_owned(),
            number,
            state: State::Running,
            ..Replica::default()
        };
        change(&mut replica);
        replicas.push(replica);
        self
    }

    /// On Kubernetes, with these workloads.
    pub fn in_cluster(mut self, deployed: Vec<Deployed>, facts: kubernetes::Facts) -> Self {
        self.project.engine = EngineName::Kubernetes;
        self.project.describe(deployed);
        self.surroundings.facts = Some(Facts {
            kubernetes: facts,
            ..Facts::default()
        });
        self
    }

    /// Makes a profile active; without a call none is.
    pub fn profile(mut self, profile: &str) -> Self {
        let declared = &mut self.project.declared;
        let services = &declared.services;
        declared
            .inactive
            .retain(|name| !services[name].profiles.iter().any(|p| p == profile));
        self
    }

    pub fn listening(mut self, ports: &[u16]) -> Self {
        let ports = ports.iter().map(|port| ("tcp".to_owned(), *port));
        self.surroundings.listening.extend(ports);
        self
    }

    /// A running container of another project.
    pub fn neighbour(mut self, project: &str, service: &str) -> Self {
        let replica = Replica {
            service: service.to_owned(),
            state: State::Running,
            ..Replica::default()
        };
        let replicas = self.surroundings.neighbours.entry(project.to_owned());
        replicas.or_default().push(replica);
        self
    }

    /// What the configuration of a balancer says.
    pub fn configuration(mut self, service: &str, text: &str) -> Self {
        let configurations = &mut self.surroundings.configurations;
        configurations.insert(service.to_owned(), text.to_owned());
        self
    }

    pub fn memory(mut self, bytes: u64) -> Self {
        self.surroundings.memory_bytes = bytes;
        self
    }

    pub fn facts(mut self, facts: Facts) -> Self {
        self.surroundings.facts = Some(facts);
        self
    }

    /// A machine of the cluster, to be changed.
    pub fn machine(&mut self, name: &str) -> &mut Machine {
        let facts = self.surroundings.facts.as_mut();
        let machines = facts.into_iter().flat_map(|facts| &mut facts.machines);
        machines
            .into_iter()
            .find(|machine| machine.name == name)
            .expect("the scene has the machine")
    }

    pub fn stop_timeout(mut self, seconds: u64) -> Self {
        self.stop_timeout = Some(Duration::from_secs(seconds));
        self
    }

    pub fn current_replicas(mut self, count: u32) -> Self {
        self.current_replicas = Some(count);
        self
    }

    pub fn examine(&self, wish: &[(&str, i64)], force: bool) -> Vec<Finding> {
        let wish = wish
            .iter()
            .map(|(service, count)| ((*service).to_owned(), *count))
            .collect();
        let question = Question {
            overview: &Overview::new(&self.project),
            project: &self.project,
            wish: &wish,
            surroundings: &self.surroundings,
            stop_timeout: self.stop_timeout,
            current_replicas: self.current_replicas,
        };
        examine(&question, force)
    }

    /// The findings of one rule.
    pub fn found(&self, rule: Rule, wish: &[(&str, i64)]) -> Vec<Finding> {
        let mut findings = self.examine(wish, false);
        findings.retain(|finding| finding.rule == rule);
        findings
    }

    /// The findings of one rule in short: `error`, `error!` when hard, `warning`.
    pub fn kinds(&self, rule: Rule, wish: &[(&str, i64)]) -> Vec<&'static str> {
        self.found(rule, wish)
            .iter()
            .map(|finding| match (finding.severity, finding.policy) {
                (Severity::Error, true) => "error",
                (Severity::Error, false) => "error!",
                (Severity::Warning, _) => "warning",
            })
            .collect()
    }
}
