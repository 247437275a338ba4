//! Reading `kubectl get deployments,statefulsets,pods --output json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::project::cluster::Deployed;
use crate::project::declared::{EngineName, Service};
use crate::project::observed::{Health, Observed, Replica, State};

/// The label that Kompose writes on what it makes of a service.
const KOMPOSE_LABEL: &str = "io.kompose.service";

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    labels: BTreeMap<String, String>,
    creation_timestamp: String,
    deletion_timestamp: Option<String>,
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    name: String,
    #[serde(default)]
    controller: bool,
}

/// Of a pod, a Deployment or a StatefulSet.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    template: Template,
    node_name: Option<String>,
    containers: Vec<Container>,
    termination_grace_period_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: Option<Box<Spec>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    command: Option<Vec<String>>,
    args: Option<Vec<String>>,
    env: Vec<EnvVar>,
    readiness_probe: Option<serde::de::IgnoredAny>,
    lifecycle: Lifecycle,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnvVar {
    name: String,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Lifecycle {
    pre_stop: Option<serde::de::IgnoredAny>,
}

/// Of a pod.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    reason: Option<String>,
    message: Option<String>,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    ready: bool,
    restart_count: u32,
    state: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Because>,
    terminated: Option<Because>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Because {
    reason: Option<String>,
    message: Option<String>,
    exit_code: Option<i32>,
}

/// Reads a listing.
///
/// # Errors
/// It is not the JSON asked for.
pub fn parse(text: &str) -> Result<Observed, serde_json::Error> {
    if text.trim().is_empty() {
        return Ok(Observed {
            engine: EngineName::Kubernetes,
            ..Observed::default()
        });
    }
    let list: List = serde_json::from_str(text)?;
    let name = list.items.first().map(|one| one.metadata.namespace.clone());
    let (pods, workloads): (Vec<Object>, Vec<Object>) =
        list.items.into_iter().partition(|one| one.kind == "Pod");
    let mut services: BTreeMap<(&'static str, String), String> = BTreeMap::new();
    let mut deployed = Vec::new();
    for object in workloads {
        let Some(one) = workload(&object) else {
            continue;
        };
        services.insert(
            (kind(&object.kind), object.metadata.name),
            one.service.clone(),
        );
        deployed.push(one);
    }
    let mut replicas: Vec<(String, Replica)> = pods
        .into_iter()
        .filter_map(|pod| {
            let owner = owner(&pod.metadata)?;
            let service = services.get(&owner)?.clone();
            Some((
                pod.metadata.creation_timestamp.clone(),
                replica(pod, service),
            ))
        })
        .collect();
    number(&mut replicas);
    Ok(Observed {
        engine: EngineName::Kubernetes,
        name,
        replicas: replicas.into_iter().map(|(_, replica)| replica).collect(),
        deployed,
        ..Observed::default()
    })
}

fn kind(kind: &str) -> &'static str {
    match kind {
        "Deployment" => "deployment",
        "StatefulSet" => "statefulset",
        _ => "",
    }
}

fn workload(object: &Object) -> Option<Deployed> {
    let kind = kind(&object.kind);
    if kind.is_empty() {
        return None;
    }
    let name = &object.metadata.name;
    let service = object.metadata.labels.get(KOMPOSE_LABEL).unwrap_or(name);
    let pod = object.spec.template.spec.as_deref();
    let container = pod.and_then(|pod| pod.containers.first());
    let as_declared = container.map_or_else(Service::default, |container| Service {
        image: Some(container.image.clone()),
        entrypoint: container.command.clone(),
        command: container.args.clone(),
        environment: container
            .env
            .iter()
            .filter_map(|one| Some((one.name.clone(), one.value.clone()?)))
            .collect(),
        restarts: true,
        ..Service::default()
    });
    Some(Deployed {
        service: service.clone(),
        object: format!("{kind}/{name}"),
        count: object.spec.replicas.unwrap_or(1),
        grace: pod
            .and_then(|pod| pod.termination_grace_period_seconds)
            .map(Duration::from_secs),
        has_pre_stop: container.is_some_and(|container| container.lifecycle.pre_stop.is_some()),
        as_declared,
        ..Deployed::default()
    })
}

/// The workload that a pod belongs to: a StatefulSet owns its pods, a Deployment through a ReplicaSet that is
/// named after it and the hash of its template.
fn owner(pod: &Metadata) -> Option<(&'static str, String)> {
    let owner = pod.owner_references.iter().find(|owner| owner.controller)?;
    match owner.kind.as_str() {
        "StatefulSet" => Some(("statefulset", owner.name.clone())),
        "ReplicaSet" => {
            let hash = pod.labels.get("pod-template-hash")?;
            let name = owner.name.strip_suffix(hash.as_str())?;
            Some(("deployment", name.strip_suffix('-')?.to_owned()))
        }
        _ => None,
    }
}

fn replica(pod: Object, service: String) -> Replica {
    let Object {
        metadata,
        spec,
        status,
        ..
    } = pod;
    let probed = spec
        .containers
        .iter()
        .any(|container| container.readiness_probe.is_some());
    let ready = !status.container_statuses.is_empty()
        && status.container_statuses.iter().all(|one| one.ready);
    let containers = || {
        status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
    };
    let waiting = containers().find_map(|one| one.state.waiting.as_ref());
    let terminated = status
        .container_statuses
        .iter()
        .find_map(|one| one.state.terminated.as_ref());
    let unscheduled = status
        .conditions
        .iter()
        .find(|one| one.kind == "PodScheduled" && one.status == "False");
    let state = match status.phase.as_str() {
        "Failed" | "Succeeded" => State::Exited,
        "Running" if waiting.is_some_and(is_crash) => State::Restarting,
        "Running" if terminated.is_some() => State::Exited,
        "Running" if waiting.is_none() => State::Running,
        _ => State::Created,
    };
    let because = |reason: &Option<String>, message: &Option<String>| {
        let words = [reason, message].into_iter().flatten();
        let words: Vec<&str> = words
            .map(|word| word.trim())
            .filter(|word| !word.is_empty())
            .collect();
        words.join(": ")
    };
    let reason = if let Some(waiting) = waiting {
        Some(format!(
            "is waiting: {}",
            because(&waiting.reason, &waiting.message)
        ))
    } else if let Some(unscheduled) = unscheduled {
        Some(because(&unscheduled.reason, &unscheduled.message))
    } else if let Some(terminated) = terminated {
        let code = terminated.exit_code.unwrap_or(0);
        Some(format!("exited with code {code}"))
    } else if status.reason.is_some() {
        Some(because(&status.reason, &status.message))
    } else {
        None
    };
    Replica {
        id: metadata.uid,
        number: metadata
            .name
            .rsplit_once('-')
            .filter(|_| {
                metadata
                    .labels
                    .contains_key("statefulset.kubernetes.io/pod-name")
            })
            .and_then(|(_, ordinal)| ordinal.parse().ok())
            .unwrap_or(0),
        name: metadata.name,
        service,
        state,
        health: match (state, probed, ready) {
            (State::Running, true, true) => Some(Health::Healthy),
            (State::Running, true, false) => Some(Health::Starting),
            _ => None,
        },
        exit_code: terminated.and_then(|one| one.exit_code),
        restarts: Some(containers().map(|one| one.restart_count).sum()),
        node: spec.node_name,
        reason,
        failing: waiting.is_some_and(is_final),
        leaving: metadata.deletion_timestamp.is_some(),
        ..Replica::default()
    }
}

fn is_crash(waiting: &Because) -> bool {
    waiting.reason.as_deref() == Some("CrashLoopBackOff")
}

/// Reasons of the kubelet that do not go away by waiting.
fn is_final(waiting: &Because) -> bool {
    matches!(
        waiting.reason.as_deref(),
        Some(
            "CrashLoopBackOff"
                | "ImagePullBackOff"
                | "InvalidImageName"
                | "ErrImageNeverPull"
                | "CreateContainerConfigError"
                | "CreateContainerError"
                | "RunContainerError"
        )
    )
}

/// Pods of a Deployment have no number of their own: they are numbered by age.
fn number(replicas: &mut [(String, Replica)]) {
    replicas.sort_by(|(a_age, a), (b_age, b)| {
        (&a.service, a_age, &a.name).cmp(&(&b.service, b_age, &b.name))
    });
    let mut last: Option<(String, u32)> = None;
    for (_, replica) in replicas {
        if replica.number > 0 || replica.name.ends_with("-0") {
            continue;
        }
        let next = match &last {
            Some((service, number)) if *service == replica.service => number + 1,
            _ => 1,
        };
        replica.number = next;
        last = Some((replica.service.clone(), next));
    }
}
