//! Docker Swarm: a stack's services are told counts; every command that rscale runs against it, and why so.

mod description;
mod facts;
mod listing;
mod membership;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::cause::explain_reading;
use super::claims::Claims;
use super::compose::Compose;
use super::docker_claims::{DockerClaims, Thing};
use super::identity::Identity;
use super::launcher::Launcher;
use super::{Answer, Control, Engine, Orchestrator, Telling};
use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::plan::{Counts, SetCounts};
use crate::project::Project;
use crate::project::cluster::{Deployed, Facts, Placement};
use crate::project::declared::Hook;
use crate::project::observed::{Handle, Observed, Replica};
use crate::project::reached::Host;
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

    fn parse_identification(&self, stdout: &str, before: Option<&str>) -> Option<String> {
        let said = Identity::parse(stdout)?;
        said.swarm()
            .or_else(|| said.word(&Identity::parse(before?)?))
    }

    fn claims(&self, project: &str) -> Box<dyn Claims + '_> {
        Box::new(DockerClaims {
            thing: Thing::Config,
            project: project.to_owned(),
        })
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

    fn inquiry(&self, error: &CommandError) -> Option<CommandSpec> {
        let asks = error.stderr().contains("not a swarm manager");
        let args = ["info", "--format", "{{json .Swarm}}"];
        asks.then(|| Self::docker(args, READ_TIMEOUT))
    }

    fn explain(&self, error: &CommandError, answer: &Answer) -> Error {
        match answer {
            Ok(text) => membership::not_a_manager(text),
            Err(_) => explain_reading(error),
        }
    }

    fn parse_listing(&self, project: &str, outputs: &[String]) -> Result<Observed> {
        let [services, tasks, nodes] = outputs else {
            return Err(Error::unusable("docker did not answer what was asked"));
        };
        listing::parse(project, services, tasks, nodes)
            .map_err(|error| unreadable("stack ps", &error))
    }

    fn container(&self, replica: &Replica) -> Handle {
        // The task's id is part of the container's name, so no other can have it.
        Handle::expected(format!("{}.{}", replica.name, replica.id))
    }

    fn reaches(&self, project: &Project, replica: &Replica) -> bool {
        let here = project.nodes.iter().find(|node| node.this_one);
        here.is_some_and(|node| replica.node.as_deref() == Some(node.name.as_str()))
    }

    fn exec(&self, container: &Handle, hook: &Hook, timeout: Duration) -> CommandSpec {
        super::compose::exec(container, hook, timeout)
    }

    fn launcher(&self, place: &Place, container: &Handle) -> Result<Launcher> {
        match place {
            Place::Local => Ok(Launcher::Local(CommandSpec::new("", [""; 0], READ_TIMEOUT))),
            Place::Exec(_) => Ok(Launcher::Exec(
                Self::docker(["exec"], READ_TIMEOUT),
                container.clone(),
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

    fn projects(&self) -> Option<CommandSpec> {
        let args = ["stack", "ls", "--format", "{{.Name}}"];
        Some(Self::docker(args, READ_TIMEOUT))
    }

    fn deploy(&self, project: &str) -> String {
        format!("docker stack deploy --compose-file compose.yaml {project}")
    }

    fn supports_choice(&self) -> bool {
        false
    }

    fn prefer(&self, _: &Project, _: &[&Replica], _: bool) -> Option<CommandSpec> {
        None
    }

    fn description(&self, project: &Project) -> Option<CommandSpec> {
        let services = project.deployed.values().map(|one| one.object.as_str());
        let services: Vec<&str> = services.collect();
        let args = ["service", "inspect"]
            .into_iter()
            .chain(services.iter().copied());
        (!services.is_empty()).then(|| Self::docker(args, READ_TIMEOUT))
    }

    fn parse_description(&self, project: &Project, stdout: &str) -> Result<Vec<Deployed>> {
        let known: Vec<&Deployed> = project.deployed.values().collect();
        description::parse(stdout, &known).map_err(|error| unreadable("service inspect", &error))
    }

    fn enquiries(
        &self,
        project: &Project,
        counts: &Counts,
        answers: &[Answer],
    ) -> Vec<CommandSpec> {
        let read = |words: &[&str], ids: &[&str]| {
            Self::docker(words.iter().chain(ids).copied(), READ_TIMEOUT)
        };
        match answers {
            [] if is_placed(project, counts) => {
                let nodes: Vec<&str> = project.nodes.iter().map(|node| node.id.as_str()).collect();
                vec![
                    read(&["node", "inspect"], &nodes),
                    read(&["service", "ls", "--quiet"], &[]),
                ]
            }
            [_, Ok(services)] => {
                let services: Vec<&str> = services.split_whitespace().collect();
                // `docker node ps` tells each task once for every node.
                let tasks = [
                    "service",
                    "ps",
                    "--no-trunc",
                    "--no-resolve",
                    "--filter",
                    "desired-state=running",
                    "--format",
                    "{{json .}}",
                ];
                vec![
                    read(&["service", "inspect"], &services),
                    read(&tasks, &services),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn facts(&self, _: &Project, _: &Counts, answers: &[Answer]) -> Result<Facts> {
        if answers.is_empty() {
            return Ok(Facts::default());
        }
        let mut texts = Vec::new();
        for answer in answers {
            texts.push(match answer {
                Ok(text) => text,
                // Other stacks come and go meanwhile; what is printed of the rest is all there is now.
                Err(CommandError::Failed { stdout, stderr, .. })
                    if stderr.to_lowercase().contains("no such service") =>
                {
                    stdout
                }
                Err(error) => return Err(explain_reading(error)),
            });
        }
        let [nodes, _, services, tasks] = texts.as_slice() else {
            return Ok(Facts::default());
        };
        let machines = facts::parse(nodes, services, tasks);
        let machines = machines.map_err(|error| unreadable("node inspect", &error))?;
        Ok(Facts {
            machines,
            ..Facts::default()
        })
    }

    fn address_enquiries(
        &self,
        project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> Vec<CommandSpec> {
        if services.is_empty() || !answers.is_empty() {
            return Vec::new();
        }
        let nodes = project.nodes.iter().map(|node| node.id.as_str());
        let args = ["node", "inspect"].into_iter().chain(nodes);
        vec![Self::docker(args, READ_TIMEOUT)]
    }

    fn hosts(
        &self,
        project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> BTreeMap<String, Host> {
        let nodes = answers.first().and_then(|answer| answer.as_ref().ok());
        let nodes = nodes.and_then(|text| facts::addresses(text).ok());
        let nodes = nodes.unwrap_or_default();
        let host = |service: &&str| ((*service).to_owned(), host(project, service, &nodes));
        services.iter().map(host).collect()
    }
}

/// Whether something but the number of nodes decides about how many replicas of these services fit.
fn is_placed(project: &Project, counts: &Counts) -> bool {
    let grows = |service: &&String| counts[*service] > project.count(service);
    let mut growing = counts.keys().filter(grows);
    growing.any(|service| {
        let deployed = project.deployed.get(service);
        deployed.is_some_and(|one| {
            one.placement != Placement::default() || one.ports.iter().any(|port| port.by_node)
        })
    })
}

/// Where a service is reached: ports of the nodes that run its replicas, and ports that every node of the swarm
/// passes on, of which the one that answers rscale is asked.
fn host(project: &Project, service: &str, nodes: &BTreeMap<String, IpAddr>) -> Host {
    let replicas = project.replicas(service).iter();
    let running: Vec<&Replica> = replicas
        .filter(|one| one.is_running() && !one.leaving)
        .collect();
    let mut published: BTreeMap<u16, Vec<SocketAddr>> = BTreeMap::new();
    let mut add = |inside: u16, at: SocketAddr| {
        let places = published.entry(inside).or_default();
        if !places.contains(&at) {
            places.push(at);
        }
    };
    for replica in &running {
        let node = replica.node.as_ref().and_then(|node| nodes.get(node));
        let ports = replica.ports.iter().filter_map(|port| listing::port(port));
        for port in ports.filter(|port| port.protocol == "tcp") {
            if let Some(node) = node {
                add(port.target, SocketAddr::new(*node, port.published));
            }
        }
    }
    let here = project.nodes.iter().find(|node| node.this_one);
    let here = here.and_then(|node| nodes.get(&node.name));
    let here = here.copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let passed_on = project
        .deployed
        .get(service)
        .into_iter()
        .flat_map(|one| &one.ports);
    for port in passed_on.filter(|port| port.protocol == "tcp" && !port.by_node) {
        add(port.target, SocketAddr::new(here, port.published));
    }
    Host {
        service: service.to_owned(),
        published,
        runs: !running.is_empty(),
        ..Host::default()
    }
}

fn unreadable(command: &str, error: &serde_json::Error) -> Error {
    Error::unusable(format!("what `docker {command}` printed cannot be read"))
        .detail(error.to_string())
        .hint("see whether the docker client is a current one: docker version")
}
