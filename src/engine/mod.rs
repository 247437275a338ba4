//! The engines that run replicas: how each is asked and told, as commands and parsers without I/O.

pub mod cause;
pub mod compose;
mod known;
pub mod launcher;
pub mod steps;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::Result;
use crate::exec::CommandSpec;
use crate::plan::{Counts, Create};
use crate::project::Project;
use crate::project::declared::{Declared, Hook};
use crate::project::observed::{Replica, Vitals};
use crate::project::workload::Place;
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
    Created,
    Started,
}

/// An engine: turns wishes into commands and commands' output into the model.
pub trait Engine {
    /// As `--engine` and the JSON field `engine` name it.
    fn name(&self) -> &'static str;

    /// Whether `up` takes a `--pull` policy.
    fn supports_pull_policy(&self) -> bool;

    /// Prints the resolved compose file, of every profile or of the active ones.
    fn declared(&self, every_profile: bool) -> CommandSpec;
    /// # Errors
    /// The output is no compose file, or its `x-rscale` is wrong.
    fn parse_declared(&self, stdout: &str, fallback_name: &str) -> Result<Declared>;

    /// Lists the containers of a project, whatever their state.
    fn listing(&self, project: &str) -> CommandSpec;
    /// # Errors
    /// The output is not what was asked for.
    fn parse_listing(&self, stdout: &str) -> Result<Vec<Replica>>;

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
    fn start(&self, names: &[&str]) -> CommandSpec;
    /// Stops containers together: SIGTERM (or the service's own signal), then SIGKILL after `grace`.
    fn stop(&self, names: &[&str], grace: Option<Duration>) -> CommandSpec;
    /// Removes containers, running or not; with `volumes` their anonymous volumes too.
    fn remove(&self, names: &[&str], volumes: bool) -> CommandSpec;
    /// Runs a command in a container.
    fn exec(&self, name: &str, hook: &Hook, timeout: Duration) -> CommandSpec;
    /// How commands of the user's are run at a place; `replica` is the one for those that run inside.
    fn launcher(&self, place: &Place, replica: &str) -> Launcher;
    /// Prints the last lines that a container logged.
    fn logs(&self, name: &str, lines: u32) -> CommandSpec;
}
