//! The declared model: the services of a resolved compose file, as far as rscale needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::workload::TaskType;
use crate::hidden::Hidden;
use crate::words::displayed;

/// A resolved compose file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    pub name: String,
    /// Every service, those of inactive profiles included.
    pub services: BTreeMap<String, Service>,
    /// Services that a plain `docker compose up` would not see, because no profile of theirs is active.
    pub inactive: BTreeSet<String>,
    /// What a load test sends, in the order of the file.
    pub task_types: Vec<TaskType>,
    /// The engine that the file names in its top-level `x-rscale`.
    pub engine: Option<EngineName>,
    /// What Compose warned of while it read the file, to be passed on.
    pub warnings: Vec<String>,
    /// Whether there is no file, so that the services are those that the engine has.
    pub by_engine: bool,
}

impl Declared {
    /// The service that a name in Kubernetes stands for, where the file writes it otherwise: Kubernetes takes neither
    /// capitals nor `_` in names, and Kompose writes `-` instead (`normalizeServiceNames`).
    pub fn written_as(&self, name: &str) -> Option<&str> {
        if self.services.contains_key(name) {
            return None;
        }
        let normalized = |own: &&String| own.to_lowercase().replace(['_', '.'], "-") == name;
        self.services.keys().find(normalized).map(String::as_str)
    }
}

/// What runs a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineName {
    #[default]
    Compose,
    Swarm,
    Kubernetes,
}

displayed!(EngineName);

/// How a healthcheck goes about it, as far as it decides how long a start may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthcheck {
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
}

impl Default for Healthcheck {
    /// What Docker takes where nothing is said (docs of `HEALTHCHECK`).
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            retries: 3,
            start_period: Duration::ZERO,
        }
    }
}

impl Healthcheck {
    /// How long a replica may take before the engine calls it unhealthy: failures count from the end of the start
    /// period, and so many in a row are needed.
    pub fn allowance(self) -> Duration {
        let check = self.interval.saturating_add(self.timeout);
        let checks = check.saturating_mul(self.retries.max(1));
        self.start_period.saturating_add(checks)
    }
}

/// A service as the file declares it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    pub name: String,
    /// `deploy.replicas` or `scale`, else 1.
    pub count: u32,
    pub image: Option<String>,
    pub builds: bool,
    /// `None` where the image's own is used.
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub environment: Hidden<BTreeMap<String, String>>,
    pub container_name: Option<String>,
    pub ports: Vec<Port>,
    pub networks: Vec<Network>,
    pub mac_address: Option<String>,
    pub network_mode: Option<String>,
    pub mounts: Vec<Mount>,
    pub depends_on: BTreeMap<String, Dependency>,
    pub profiles: Vec<String>,
    pub stop_grace_period: Option<Duration>,
    pub healthcheck: Option<Healthcheck>,
    pub restarts: bool,
    /// Memory limit of one replica, in bytes.
    pub memory_limit: Option<u64>,
    /// `post_start` or `pre_start` hooks, which only Compose runs.
    pub start_hooks: bool,
    /// Run in each replica before it is stopped.
    pub pre_stop: Vec<Hook>,
    /// Secrets or configs that Compose itself copies into a container before it starts.
    pub injected_files: bool,
    pub policy: Policy,
}

/// A published port, one entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub host_ip: Option<String>,
    pub published: Published,
    pub target: String,
    pub protocol: String,
}

/// Which host port a replica gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Any free one.
    Ephemeral,
    Fixed(u16),
    /// One of these, both ends included.
    Range(u16, u16),
}

/// A network that a service joins, and addresses that it insists on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    pub name: String,
    pub addresses: Vec<String>,
}

/// A volume or bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// Empty for an anonymous volume, of which every replica gets one of its own.
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    pub condition: Condition,
    pub required: bool,
}

/// What a dependency must have reached before its dependent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Started,
    Healthy,
    CompletedSuccessfully,
}

/// A command in a replica: a `pre_stop` hook, or one of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    pub command: Vec<String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub privileged: bool,
    pub environment: Hidden<BTreeMap<String, String>>,
    /// Variables of rscale's own, which tell it what happens: they are no secrets, so that they stand in the command.
    pub told: BTreeMap<String, String>,
}

impl Service {
    /// The entrypoint and command that the file gives, in one line of words.
    pub fn words(&self) -> Vec<&str> {
        self.entrypoint
            .iter()
            .chain(&self.command)
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Whether some published port has to be a certain one of the host's.
    pub fn wants_host_ports(&self) -> bool {
        let certain = |port: &Port| port.published != Published::Ephemeral;
        self.ports.iter().any(certain)
    }

    /// Whether some published port is taken from a range.
    pub fn has_port_range(&self) -> bool {
        self.ports
            .iter()
            .any(|port| matches!(port.published, Published::Range(..)))
    }
}
