//! The parts of Kubernetes' objects that rscale reads, as `kubectl get --output json` prints them. What is not
//! asked for is skipped unread: a listing of thousands of pods has some 9 KB each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The items of a `List`.
#[derive(Deserialize)]
pub struct List<T> {
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

/// A Deployment, a StatefulSet or a pod: they come mixed, and their fields do not contradict each other.
#[derive(Deserialize)]
pub struct Object<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
    #[serde(borrow, default)]
    pub spec: Spec<'a>,
    #[serde(borrow, default)]
    pub status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    #[serde(borrow)]
    pub labels: Labels<'a>,
    #[serde(borrow)]
    pub creation_timestamp: Cow<'a, str>,
    pub deletion_timestamp: Option<IgnoredAny>,
    pub generation: u64,
    #[serde(borrow)]
    pub owner_references: Vec<Owner<'a>>,
}

/// The labels that mean something to rscale.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Labels<'a> {
    /// What Kompose writes on what it makes of a service of a compose file.
    #[serde(borrow, rename = "io.kompose.service")]
    pub kompose: Cow<'a, str>,
    /// Which template of its Deployment a pod was made from.
    #[serde(borrow, rename = "pod-template-hash")]
    pub template: Cow<'a, str>,
    /// The same of a StatefulSet.
    #[serde(borrow, rename = "controller-revision-hash")]
    pub revision: Cow<'a, str>,
}

#[derive(Deserialize)]
pub struct Owner<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(default)]
    pub controller: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec<'a> {
    pub replicas: Option<u32>,
    /// Of a Deployment: its rollouts wait.
    pub paused: bool,
    /// Of a StatefulSet: whether its pods come one after another.
    #[serde(borrow)]
    pub pod_management_policy: Cow<'a, str>,
    #[serde(borrow)]
    pub template: Template<'a>,
    pub node_name: Option<String>,
    #[serde(borrow)]
    pub containers: Vec<Container<'a>>,
    pub readiness_gates: Option<IgnoredAny>,
    pub termination_grace_period_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Template<'a> {
    pub metadata: TemplateMetadata,
    #[serde(borrow)]
    pub spec: Option<Box<Spec<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct TemplateMetadata {
    pub labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container<'a> {
    #[serde(borrow)]
    pub image: Cow<'a, str>,
    pub command: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    pub env: Vec<EnvVar>,
    pub readiness_probe: Option<IgnoredAny>,
    pub lifecycle: Lifecycle,
    #[serde(borrow)]
    pub resources: Resources<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct EnvVar {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    pub pre_stop: Option<IgnoredAny>,
}

/// By resource: `cpu`, `memory`, ...
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    #[serde(borrow)]
    pub requests: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    pub limits: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status<'a> {
    #[serde(borrow)]
    pub phase: Cow<'a, str>,
    pub reason: Option<String>,
    pub message: Option<String>,
    #[serde(borrow)]
    pub conditions: Vec<Condition<'a>>,
    #[serde(borrow)]
    pub container_statuses: Vec<ContainerStatus<'a>>,
    #[serde(borrow)]
    pub init_container_statuses: Vec<ContainerStatus<'a>>,
    /// Pods that a Deployment or StatefulSet has, and those of its newest template.
    pub replicas: u32,
    pub updated_replicas: u32,
    /// The generation that the other fields tell of.
    pub observed_generation: u64,
    /// The newest template of a StatefulSet, as its pods' labels name it.
    #[serde(borrow)]
    pub update_revision: Cow<'a, str>,
    #[serde(borrow)]
    pub current_revision: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    #[serde(borrow)]
    pub last_transition_time: Cow<'a, str>,
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

impl<'a> Status<'a> {
    pub fn condition(&self, kind: &str) -> Option<&Condition<'a>> {
        self.conditions.iter().find(|one| one.kind == kind)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus<'a> {
    pub ready: bool,
    pub restart_count: u32,
    #[serde(borrow)]
    pub state: ContainerState<'a>,
    #[serde(borrow)]
    pub last_state: ContainerState<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ContainerState<'a> {
    #[serde(borrow)]
    pub running: Option<Since<'a>>,
    pub waiting: Option<Because>,
    pub terminated: Option<Because>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Since<'a> {
    #[serde(borrow)]
    pub started_at: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Because {
    pub reason: Option<String>,
    pub message: Option<String>,
    pub exit_code: Option<i32>,
}
