//! The engines that run replicas: how each is asked and told, as commands and parsers without I/O.

pub mod cause;
pub mod claims;
pub mod compose;
mod docker_claims;
pub mod identity;
mod known;
pub mod kubernetes;
pub mod launcher;
pub mod steps;
pub mod swarm;
pub mod warning;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec};
use crate::plan::{Counts, Create, SetCounts};
use crate::project::Project;
use crate::project::cluster::{Deployed, Facts};
use crate::project::declared::{Declared, Hook};
use crate::project::observed::{Handle, Observed, Replica, Vitals};
use crate::project::reached::Host;
use crate::project::workload::Place;
use claims::Claims;
use launcher::Launcher;

/// What the engine says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Memory of the machine that runs the replicas, in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// The engine's clock, where it tells it.
    pub time: Option<Timestamp>,
}

/// How far a container has come, read from a line of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// The engine was asked to.
    Creating,
    Created,
    Started,
}

/// Who brings and takes replicas.
#[derive(Clone, Copy)]
pub enum Control<'a> {
    /// rscale: it creates, starts, stops and removes each of them.
    Containers(&'a dyn Containers),
    /// The engine: it is told a count, and keeps it.
    Counts(&'a dyn Orchestrator),
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Containers(_) => "Containers",
            Self::Counts(_) => "Counts",
        })
    }
}

/// An engine: turns wishes into commands and commands' output into the model.
pub trait Engine {
    /// As `--engine` and the JSON field `engine` name it.
    fn name(&self) -> &'static str;

    /// Who brings and takes replicas, and what only such an engine can be asked.
    fn control(&self) -> Control<'_>;

    /// Prints the resolved compose file, of every profile or of the active ones; `None` where there is no
    /// file and the engine alone knows the services.
    fn declared(&self, every_profile: bool) -> Option<CommandSpec>;
    /// # Errors
    /// The output is no compose file, or its `x-rscale` is wrong.
    fn parse_declared(&self, stdout: &str, fallback_name: &str) -> Result<Declared> {
        Declared::parse(stdout, fallback_name)
    }

    /// Asks the engine who it is.
    fn identification(&self) -> CommandSpec {
        identity::question()
    }
    /// What it is known by, from what it answered; `None` where it has to be asked again. `before` is what it said the
    /// time before.
    fn parse_identification(&self, stdout: &str, before: Option<&str>) -> Option<String>;
    /// How runs on several machines keep from each other, for a project.
    fn claims(&self, project: &str) -> Box<dyn Claims + '_>;

    /// Lists what runs of a project, whatever its state; commands to be run at the same time.
    fn listing(&self, project: &str) -> Vec<CommandSpec>;
    /// Whether a failure of a listing only says that there is nothing to list.
    fn is_nothing(&self, _error: &CommandError) -> bool {
        false
    }
    /// What a listing printed that failed in part and tells enough all the same.
    fn printed_anyway<'e>(&self, _error: &'e CommandError) -> Option<&'e str> {
        None
    }
    /// Fails where a project of which nothing is listed cannot exist; `None` where an empty one is like any
    /// other.
    fn existence(&self) -> Option<CommandSpec> {
        None
    }
    /// Whether a failure of [`Engine::existence`] says that there is no such project.
    fn is_missing(&self, _error: &CommandError) -> bool {
        false
    }
    /// Asks what a failed listing leaves open; `None` where it says all.
    fn inquiry(&self, _error: &CommandError) -> Option<CommandSpec> {
        None
    }
    /// Why a listing failed, by the answer to [`Engine::inquiry`].
    fn explain(&self, error: &CommandError, _answer: &Answer) -> Error {
        cause::explain_reading(error)
    }
    /// Reads what the commands of [`Engine::listing`] printed, in their order.
    ///
    /// # Errors
    /// The output is not what was asked for.
    fn parse_listing(&self, project: &str, outputs: &[String]) -> Result<Observed>;

    /// What `exec` and `launcher` know a replica by.
    fn container(&self, replica: &Replica) -> Handle {
        replica.into()
    }
    /// Whether a command can be run in a replica from here.
    fn reaches(&self, _project: &Project, _replica: &Replica) -> bool {
        true
    }
    /// Runs a command in a container.
    fn exec(&self, container: &Handle, hook: &Hook, timeout: Duration) -> CommandSpec;
    /// How commands of the user's are run at a place; `container` is the one for those that run inside.
    ///
    /// # Errors
    /// The engine cannot run a command there.
    fn launcher(&self, place: &Place, container: &Handle) -> Result<Launcher>;
    /// What can be typed to see a replica's state.
    fn look_at(&self, name: &str) -> String;
    /// Prints the last lines that a replica logged.
    fn logs(&self, id: &str, name: &str, lines: u32) -> CommandSpec;
    /// The same of the replica's run before it was last restarted, where the engine keeps that apart.
    fn earlier_logs(&self, _name: &str, _lines: u32) -> Option<CommandSpec> {
        None
    }
    /// What can be typed to have a replica replaced that was drained and stays.
    fn replace(&self, names: &[&str]) -> String;
}

/// An engine whose containers rscale handles one by one.
pub trait Containers: Engine {
    /// Whether `up` takes a `--pull` policy.
    fn supports_pull_policy(&self) -> bool;

    /// Inspects replicas by id.
    fn inspection(&self, ids: &[&str]) -> CommandSpec;
    /// # Errors
    /// The output is not what was asked for.
    fn parse_inspection(&self, stdout: &str) -> Result<Vec<Vitals>>;

    /// Prints the network addresses of replicas, by id.
    fn addresses(&self, ids: &[&str]) -> CommandSpec;
    fn parse_addresses(&self, stdout: &str) -> BTreeMap<String, Vec<IpAddr>>;

    /// Prints the configuration hash of every service.
    fn hashes(&self) -> CommandSpec;
    /// Prints it of a model that Compose has resolved already; `None` where that says nothing else.
    fn resolved_hashes(&self, project: &str, resolved: &str) -> Option<CommandSpec>;
    fn parse_hashes(&self, stdout: &str) -> BTreeMap<String, String>;

    /// Prints the id that the image of a service has now.
    fn image_id(&self, project: &Project, service: &str) -> CommandSpec;

    /// The name that a replica will have.
    fn replica_name(&self, project: &str, service: &str, number: u32) -> String;

    /// Prints what the engine says of itself.
    fn info(&self) -> CommandSpec;
    fn parse_info(&self, stdout: &str) -> EngineInfo;

    /// Brings services to counts.
    fn create(&self, step: &Create) -> CommandSpec;
    /// Has the engine start replicas that exist, in the way that only it knows.
    fn launch(&self, counts: &Counts) -> CommandSpec;
    /// Reads a line that `create` or `launch` prints while it works.
    fn milestone<'l>(&self, line: &'l str) -> Option<(&'l str, Milestone)>;
    /// Starts containers, one after another.
    fn start(&self, containers: &[Handle]) -> CommandSpec;
    /// Stops containers together: SIGTERM (or the service's own signal), then SIGKILL after `grace`.
    fn stop(&self, containers: &[Handle], grace: Option<Duration>) -> CommandSpec;
    /// Removes containers, running or not; with `volumes` their anonymous volumes too.
    fn remove(&self, containers: &[Handle], volumes: bool) -> CommandSpec;

    /// Measures how busy containers are.
    fn usage(&self, ids: &[&str]) -> CommandSpec;
    /// Percent of one core, by id as it was given.
    fn parse_usage(&self, stdout: &str) -> BTreeMap<String, f64>;
}

/// A command that tells an engine the counts of some services.
#[derive(Debug, Clone)]
pub struct Telling {
    pub services: Vec<String>,
    pub spec: CommandSpec,
}

/// An engine that is told counts and brings and takes replicas itself.
pub trait Orchestrator: Engine {
    /// Tells the engine new counts; commands to be run at the same time, one or more services each.
    fn scale(&self, project: &Project, step: &SetCounts) -> Vec<Telling>;
    /// Whether telling it fails where the count is not the one expected any more.
    fn checks_counts(&self) -> bool {
        false
    }
    /// The count that the engine found in place of the one expected, where a telling failed because of that:
    /// somebody else was quicker.
    fn count_found(&self, _error: &CommandError) -> Option<u32> {
        None
    }

    /// Lists the projects that the engine runs, to be named where one was asked for that it does not; `None`
    /// where a project may well be empty.
    fn projects(&self) -> Option<CommandSpec> {
        None
    }

    /// What can be typed to have the engine run a project.
    fn deploy(&self, project: &str) -> String;

    /// Whether rscale can say which replicas go.
    fn supports_choice(&self) -> bool;
    /// Has these replicas go before all others of their services, or (`false`) like any other again; `None`
    /// where they would go anyway.
    fn prefer(&self, project: &Project, replicas: &[&Replica], first: bool) -> Option<CommandSpec>;

    /// Prints what the engine knows of its services beyond a listing; `None` where that tells all.
    fn description(&self, project: &Project) -> Option<CommandSpec>;
    /// The deployed services with all that is known of them.
    ///
    /// # Errors
    /// The output is not what was asked for.
    fn parse_description(&self, project: &Project, stdout: &str) -> Result<Vec<Deployed>>;

    /// What the preflight has to know of the cluster before these services get these counts: commands to
    /// be run at the same time. Called again with all answers so far until there are no more.
    fn enquiries(&self, project: &Project, counts: &Counts, answers: &[Answer])
    -> Vec<CommandSpec>;
    /// Reads the answers.
    ///
    /// # Errors
    /// An answer that is needed is none.
    fn facts(&self, project: &Project, counts: &Counts, answers: &[Answer]) -> Result<Facts>;

    /// Whether a host that is no service of the project may be one that only the cluster knows.
    fn names_hosts(&self, _host: &str) -> bool {
        false
    }
    /// How services are reached from this machine, as [`Orchestrator::enquiries`] asks.
    fn address_enquiries(
        &self,
        project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> Vec<CommandSpec>;
    /// The hosts by service.
    fn hosts(
        &self,
        project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> BTreeMap<String, Host>;
}

/// What a command printed, or why it printed nothing.
pub type Answer = Result<String, CommandError>;
