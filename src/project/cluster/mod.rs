//! What engines that keep counts themselves know beyond replicas: the deployed services, the nodes, and
//! what the preflight asks of a cluster.

pub mod kubernetes;
pub mod quantity;

use std::collections::BTreeMap;
use std::time::Duration;

use super::declared::Service;

/// A service as an engine has it that keeps counts itself: a Swarm service, a Deployment, a StatefulSet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployed {
    /// The service's name as rscale has it.
    pub service: String,
    /// What the engine calls it: `shop_web`, `deployment/web`.
    pub object: String,
    /// How many replicas the engine is to keep.
    pub count: u32,
    /// Why its count cannot be set: it runs once on each node, or is a job.
    pub fixed: Option<String>,
    /// Between the end signal and the kill, where the engine says it.
    pub grace: Option<Duration>,
    /// Whether the engine itself runs a command in replicas that go, before they are stopped.
    pub has_pre_stop: bool,
    /// Whether the replica with the highest number goes first, whatever state it is in.
    pub highest_goes: bool,
    /// It is getting new replicas in place of such of an older template.
    pub update: Option<Update>,
    /// Why the engine cannot make more replicas of it, in its own words: a quota is used up.
    pub trouble: Option<String>,
    /// What each of its pods is made from.
    pub pod: kubernetes::PodTemplate,
    /// What the engine knows of it that a compose file would say; used where there is no file.
    pub as_declared: Service,
    /// Whether a replica that runs has passed a healthcheck: the engine counts no other as running.
    pub is_checked: bool,
    /// Where its replicas may run.
    pub placement: Placement,
    /// What the engine makes of its published ports.
    pub ports: Vec<PublishedPort>,
}

/// What a service asks of the machines that its replicas run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// As the engine has them: `node.labels.disk==ssd`.
    pub constraints: Vec<String>,
    /// How many replicas one machine may have; `None` without a limit.
    pub most_per_node: Option<u32>,
    /// Operating system and processor, either empty for any; without entries any machine will do.
    pub platforms: Vec<(String, String)>,
    /// What each replica reserves.
    pub reserved: Resources,
}

/// Processors, in billionths of one, and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    pub nano_cpus: u64,
    pub memory_bytes: u64,
}

impl Resources {
    /// Adds what one more takes.
    pub fn add(&mut self, other: Self) {
        self.nano_cpus = self.nano_cpus.saturating_add(other.nano_cpus);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
    }
}

/// A port of a service that can be reached from outside of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedPort {
    pub protocol: String,
    pub target: u16,
    pub published: u16,
    /// Whether it is published by the machine of each replica, and not by all machines.
    pub by_node: bool,
}

/// Replicas being replaced by such of a newer template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Why it does not get on, as in "its rollout ...".
    pub stuck: Option<String>,
}

/// A machine of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    pub name: String,
    /// Whether it answers.
    pub ready: bool,
    /// Whether it takes new replicas.
    pub schedulable: bool,
    /// As the engine words its state, `ready`, `down`, `drain`, `pause`.
    pub state: String,
    pub manager: bool,
    /// The one that answers rscale.
    pub this_one: bool,
}

/// What the preflight has to know of a cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The machines in detail, where the placement of replicas depends on them.
    pub machines: Vec<Machine>,
    /// What only Kubernetes has.
    pub kubernetes: kubernetes::Facts,
}

/// A machine with what decides about the replicas that it can take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    pub name: String,
    /// Whether it takes new replicas.
    pub schedulable: bool,
    /// What constraints compare, by their left sides: `node.role`, `node.labels.disk`.
    pub traits: BTreeMap<String, String>,
    pub resources: Resources,
    /// What the replicas that it runs have reserved, those of all projects.
    pub taken: Resources,
    /// The replicas that it runs, by what the engine calls their services.
    pub running: BTreeMap<String, u32>,
    /// Protocols and ports that its replicas publish there, with what the engine calls their services.
    pub ports: BTreeMap<(String, u16), String>,
}
