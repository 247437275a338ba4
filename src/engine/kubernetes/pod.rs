//! One pod as a replica: its state, its health, and in its own words why it is not up.

use super::object::{Because, Condition, ContainerStatus, Object};
use crate::project::observed::{Health, Replica, State};

/// Reasons of the kubelet that do not go away by waiting.
const FINAL: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Whether a pod has ended for good: its controller counts it no more and makes another in its place.
/// Evicted ones stay like that until somebody deletes them.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>
pub fn has_ended(pod: &Object) -> bool {
    matches!(&*pod.status.phase, "Failed" | "Succeeded")
}

/// Reads a pod; its number is that of a StatefulSet's, else 0.
pub fn replica(pod: &Object, service: &str, numbered: bool) -> Replica {
    let (metadata, status) = (&pod.metadata, &pod.status);
    let all = || {
        let init = status.init_container_statuses.iter();
        init.chain(&status.container_statuses)
    };
    let ended = status
        .container_statuses
        .iter()
        .find(|one| one.state.terminated.is_some());
    // Of several that wait, one that waits in vain tells most.
    let waiting = all()
        .filter(|one| is_final(one))
        .chain(all())
        .find(|one| one.state.waiting.is_some());
    let state = match &*status.phase {
        "Failed" | "Succeeded" => State::Exited,
        // The kubelet starts it again.
        "Running" if ended.is_some() || waiting.is_some_and(|one| one.last_state.is_ended()) => {
            State::Restarting
        }
        "Running" if waiting.is_none() => State::Running,
        _ => State::Created,
    };
    let last_end = waiting
        .and_then(|one| one.last_state.terminated.as_ref())
        .or_else(|| ended.and_then(|one| one.state.terminated.as_ref()));
    let number = metadata
        .name
        .rsplit_once('-')
        .and_then(|(_, ordinal)| ordinal.parse().ok());
    Replica {
        id: metadata.uid.to_string(),
        number: number.filter(|_| numbered).unwrap_or(0),
        name: metadata.name.to_string(),
        service: service.to_owned(),
        state,
        health: (state == State::Running).then(|| health(pod)).flatten(),
        exit_code: last_end.and_then(|one| one.exit_code),
        restarts: Some(
            status
                .container_statuses
                .iter()
                .map(|one| one.restart_count)
                .fold(0, u32::saturating_add),
        ),
        node: pod.spec.node_name.clone(),
        reason: reason(pod, state, waiting, last_end),
        failing: all().any(is_final),
        leaving: metadata.deletion_timestamp.is_some(),
        ..Replica::default()
    }
}

impl super::object::ContainerState<'_> {
    fn is_ended(&self) -> bool {
        self.terminated.is_some()
    }
}

/// Healthy or not is told where a readiness probe says it. A pod that is not ready although nothing probes it is on
/// its way or on a node that does not answer.
fn health(pod: &Object) -> Option<Health> {
    let probed = pod.spec.readiness_gates.is_some()
        || pod
            .spec
            .containers
            .iter()
            .any(|one| one.readiness_probe.is_some());
    let ready = pod.status.condition("Ready");
    match ready {
        Some(ready) if ready.status == "True" => probed.then_some(Health::Healthy),
        Some(ready) if had_been_ready(pod, ready) => Some(Health::Unhealthy),
        _ => Some(Health::Starting),
    }
}

/// `Ready` turned to false after the container had started: it was true in between. Times have whole seconds and
/// are written so that they compare as text.
fn had_been_ready(pod: &Object, ready: &Condition) -> bool {
    let statuses = pod.status.container_statuses.iter();
    let mut started = statuses.filter_map(|one| one.state.running.as_ref());
    started.any(|running| ready.last_transition_time > running.started_at)
}

fn is_final(status: &ContainerStatus) -> bool {
    let waiting = status.state.waiting.as_ref();
    let reason = waiting.and_then(|one| one.reason.as_deref());
    reason.is_some_and(|reason| FINAL.contains(&reason))
}

/// What to say after the pod's name.
fn reason(
    pod: &Object,
    state: State,
    waiting: Option<&ContainerStatus>,
    last_end: Option<&Because>,
) -> Option<String> {
    if state == State::Running {
        let unready = pod.status.condition("Ready");
        let unready = unready.filter(|one| one.status != "True" && had_been_ready(pod, one));
        return unready.map(|_| "is not ready any more".to_owned());
    }
    let waits_for = waiting.and_then(|one| one.state.waiting.as_ref());
    if let Some(because) = waits_for {
        let word = because.reason.as_deref().unwrap_or("waiting");
        return Some(match (last_end, because.message.as_deref()) {
            // Its message only says when it is started again.
            (Some(end), _) if word == "CrashLoopBackOff" => format!("is in {word}: {}", how(end)),
            (_, Some(message)) if !message.is_empty() => format!("is in {word}: {message}"),
            _ => format!("is in {word}"),
        });
    }
    if let Some(end) = last_end {
        return Some(how(end));
    }
    if let Some(scheduled) = pod.status.condition("PodScheduled")
        && scheduled.status == "False"
    {
        return Some(format!(
            "is {}",
            joined(&scheduled.reason, &scheduled.message)
        ));
    }
    let said = joined(
        pod.status.reason.as_deref().unwrap_or_default(),
        pod.status.message.as_deref().unwrap_or_default(),
    );
    match (&*pod.status.phase, said.is_empty()) {
        ("Pending", true) => None,
        (phase, true) => Some(format!("is {phase}")),
        (phase, false) => Some(format!("is {phase}: {said}")),
    }
}

/// `exited with code 137 (OOMKilled)`; a plain `Error` adds nothing.
fn how(end: &Because) -> String {
    let code = end.exit_code.unwrap_or(0);
    match end.reason.as_deref() {
        None | Some("Error" | "Completed" | "") => format!("exited with code {code}"),
        Some(reason) => format!("exited with code {code} ({reason})"),
    }
}

fn joined(reason: &str, message: &str) -> String {
    let words = [reason.trim(), message.trim()].into_iter();
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(": ")
}
