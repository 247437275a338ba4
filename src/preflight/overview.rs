//! What the rules have to know of all services together, worked out once: looked for at each service again, the
//! time would grow with the square of their number.

use std::collections::BTreeMap;

use super::balancers::Balancer;
use crate::project::Project;
use crate::project::declared::Service;

/// A project, seen as a whole.
#[derive(Debug, Default)]
pub struct Overview {
    /// Services with `network_mode: service:HOST`, by host.
    guests: BTreeMap<String, Vec<String>>,
    /// Balancers that run, by the order of their names.
    pub(super) balancers: Vec<(String, Balancer)>,
    /// Jobs that run once, with a service that waits for them to complete.
    jobs: BTreeMap<String, String>,
    /// The memory limits of all replicas that exist, in bytes.
    pub(super) memory: i128,
    /// Connections that all replicas that exist hold, by the service that takes them.
    connections: BTreeMap<String, i128>,
}

impl Overview {
    pub fn new(project: &Project) -> Self {
        let mut overview = Self {
            balancers: super::balancers(project)
                .map(|(service, balancer)| (service.name.clone(), balancer))
                .collect(),
            jobs: project
                .jobs()
                .into_iter()
                .map(|(job, waiting)| (job.to_owned(), waiting.name.clone()))
                .collect(),
            ..Self::default()
        };
        for service in project.declared.services.values() {
            overview.add(service, i128::from(project.count(&service.name)));
        }
        overview
    }

    fn add(&mut self, service: &Service, existing: i128) {
        let host = service.network_mode.as_deref();
        if let Some(host) = host.and_then(|mode| mode.strip_prefix("service:")) {
            let guests = self.guests.entry(host.to_owned()).or_default();
            guests.push(service.name.clone());
        }
        self.memory += i128::from(service.memory_limit.unwrap_or(0)) * existing;
        for (target, each) in &service.policy.connections {
            let held = self.connections.entry(target.clone()).or_default();
            *held += i128::from(*each) * existing;
        }
    }

    /// The services that join the network of this one.
    pub(super) fn guests(&self, host: &str) -> &[String] {
        self.guests.get(host).map_or(&[], Vec::as_slice)
    }

    /// A service that waits for this one to complete: this one is a job that runs once.
    pub fn waiting_for(&self, job: &str) -> Option<&str> {
        self.jobs.get(job).map(String::as_str)
    }

    /// Connections that are held at a service now.
    pub(super) fn held(&self, target: &str) -> i128 {
        self.connections.get(target).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    use super::Overview;
    use crate::preflight::{Bare, Question, Surroundings, examine, obstacles};
    use crate::project::Project;
    use crate::project::declared::Declared;

    /// A project of so many services, in which every rule has something to look at.
    fn project(services: u32) -> Project {
        let mut yaml = String::from(
            "services:\n  front: {image: nginx, depends_on: [s0]}\n  db: {image: a, x-rscale: {max-connections: 9}}\n",
        );
        for number in 0..services {
            let _ = writeln!(
                yaml,
                "  s{number}: {{image: a, command: [sleep, '9'], mem_limit: 64M, depends_on: [db], \
                 x-rscale: {{connections: {{db: 1}}}}}}"
            );
        }
        Project::new(Declared::parse(&yaml, "big").unwrap(), Vec::new())
    }

    /// What `check` and `scale-all` work out: a second replica of each service.
    fn seconds_of_each(project: &Project) -> Duration {
        let began = Instant::now();
        let (overview, bare) = (Overview::new(project), Bare::new(project));
        let surroundings = Surroundings {
            memory_bytes: 1 << 30,
            ..Surroundings::default()
        };
        for service in project.declared.services.keys() {
            let wish = [(service.clone(), 2)].into();
            let question = Question {
                project,
                overview: &overview,
                wish: &wish,
                surroundings: &surroundings,
                stop_timeout: None,
                current_replicas: None,
            };
            examine(&question, false);
            obstacles(&bare, service, 2);
        }
        began.elapsed()
    }

    #[test]
    fn the_time_grows_with_the_file_and_not_with_its_square() {
        let (small, large) = (project(250), project(2500));
        // Ten times as many services take ten times as long; with the square it would be a hundred times.
        let least = |project: &Project| (0..3).map(|_| seconds_of_each(project)).min().unwrap();
        let (of_small, of_large) = (least(&small), least(&large));
        assert!(of_large < of_small * 40, "{of_small:?} {of_large:?}");
    }
}
