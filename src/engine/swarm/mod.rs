//! Docker Swarm: a stack's services are told counts; every command that rscale runs against it, and why so.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compose::Compose;
use super::launcher::Launcher;
use super::{Answer, Control, Engine, Orchestrator, Telling};
use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::load::address::Host;
use crate::plan::{Counts, SetCounts};
use crate::project::Project;
use crate::project::cluster::{Deployed, Facts};
use crate::project::declared::Hook;
use crate::project::observed::{Observed, Replica};
use crate::project::workload::Place;

/// Time limit of commands that only read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit of telling counts, which does not wait for replicas.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The label that `docker stack deploy` puts on every service of a stack.
const STACK_LABEL: &str = "com.docker.stack.namespace";

/// The swarm that the docker client's engine manages.
#[derive(Debug, Clone, Default)]
pub struct Swarm {
    /// What reads the compose file; `None` where there is none.
    pub file: Option<Compose>,
}

impl Swarm {
    fn docker<'a>(args: impl IntoIterator<Item = &'a str>, timeout: Duration) -> CommandSpec {
        CommandSpec::new("docker", args, timeout)
    }
}

impl Engine for Swarm {
    fn name(&self) -> &'static str {
        "swarm"
    }

    fn control(&self) -> Control<'_> {
        Control::Counts(self)
    }

    fn declared(&self, every_profile: bool) -> Option<CommandSpec> {
        self.file.as_ref()?.declared(every_profile)
    }

    fn listing(&self, project: &str) -> Vec<CommandSpec> {
        let filter = format!("label={STACK_LABEL}={project}");
        let json = ["--format", "{{json .}}"];
        let services = ["service", "ls", "--filter", &filter];
        let tasks = ["stack", "ps", "--no-trunc"];
        let nodes = ["node", "ls"];
        vec![
            Self::docker(services.into_iter().chain(json), READ_TIMEOUT),
            Self::docker(tasks.into_iter().chain(json).chain([project]), READ_TIMEOUT),
            Self::docker(nodes.into_iter().chain(json), READ_TIMEOUT),
        ]
    }

    fn is_nothing(&self, error: &CommandError) -> bool {
        error.stderr().contains("nothing found in stack")
    }

    fn parse_listing(&self, project: &str, outputs: &[String]) -> Result<Observed> {
        let [services, tasks, nodes] = outputs else {
            return Err(Error::unusable("docker did not answer what was asked"));
        };
        listing::parse(project, services, tasks, nodes).map_err(|error| {
            Error::unusable("what `docker stack ps` printed cannot be read")
                .detail(error.to_string())
                .hint("see whether the docker client is a current one: docker version")
        })
    }

    fn container(&self, replica: &Replica) -> String {
        format!("{}.{}", replica.name, replica.id)
    }

    fn exec(&self, container: &str, hook: &Hook, timeout: Duration) -> CommandSpec {
        super::compose::exec(container, hook, timeout)
    }

    fn launcher(&self, place: &Place, container: &str) -> Result<Launcher> {
        match place {
            Place::Local => Ok(Launcher::Local(CommandSpec::new("", [""; 0], READ_TIMEOUT))),
            Place::Exec(_) => Ok(Launcher::Exec(
                Self::docker(["exec"], READ_TIMEOUT),
                container.to_owned(),
            )),
            Place::Run(service) => Err(Error::unusable(format!(
                "a container of its own for `{service}` cannot be run on swarm"
            ))
            .hint("run the command in a replica instead: exec, see docs/drivers.md")),
        }
    }

    fn look_at(&self, name: &str) -> String {
        let service = name.rsplit_once('.').map_or(name, |(service, _)| service);
        format!("docker service ps --no-trunc {service}")
    }

    fn replace(&self, names: &[&str]) -> String {
        let services = names
            .iter()
            .map(|name| name.rsplit_once('.').map_or(*name, |(service, _)| service));
        let services: BTreeSet<&str> = services.collect();
        let services: Vec<&str> = services.into_iter().collect();
        format!("docker service update --force {}", services.join(" "))
    }

    fn logs(&self, id: &str, _name: &str, lines: u32) -> CommandSpec {
        let lines = lines.to_string();
        Self::docker(
            ["service", "logs", "--raw", "--tail", &lines, id],
            READ_TIMEOUT,
        )
    }
}

impl Orchestrator for Swarm {
    fn scale(&self, project: &Project, step: &SetCounts) -> Vec<Telling> {
        // Detached: its own wait has no time limit, and takes five seconds more than the replicas do.
        let mut args = vec!["service".to_owned(), "scale".into(), "--detach".into()];
        args.extend(step.counts.iter().map(|(service, count)| {
            let object = project.deployed.get(service);
            let object = object.map_or(service, |deployed| &deployed.object);
            format!("{object}={count}")
        }));
        let spec = CommandSpec::new("docker", args, CHANGE_TIMEOUT);
        vec![Telling {
            services: step.counts.keys().cloned().collect(),
            spec: spec.on_interrupt(OnInterrupt::Finish),
        }]
    }

    fn supports_choice(&self) -> bool {
        false
    }

    fn prefer(&self, _: &Project, _: &[&Replica], _: bool) -> Option<CommandSpec> {
        None
    }

    fn description(&self, _project: &Project) -> Option<CommandSpec> {
        None
    }

    fn parse_description(&self, _project: &Project, _stdout: &str) -> Result<Vec<Deployed>> {
        Ok(Vec::new())
    }

    fn enquiries(&self, _: &Project, _: &Counts, _: &[Answer]) -> Vec<CommandSpec> {
        Vec::new()
    }

    fn facts(&self, _: &Project, _: &Counts, _: &[Answer]) -> Result<Facts> {
        Ok(Facts::default())
    }

    fn address_enquiries(&self, _: &Project, _: &BTreeSet<&str>, _: &[Answer]) -> Vec<CommandSpec> {
        Vec::new()
    }

    fn hosts(&self, _: &Project, _: &BTreeSet<&str>, _: &[Answer]) -> BTreeMap<String, Host> {
        BTreeMap::new()
    }
}
