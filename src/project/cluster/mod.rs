//! What engines that keep counts themselves know beyond replicas: the deployed services, the nodes, and
//! what the preflight asks of a cluster.

pub mod kubernetes;
pub mod quantity;

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
    pub kubernetes: kubernetes::Facts,
}
