//! One pod: how it looks at each moment of its life, as the kubelet and the scheduler report it.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::workload::{Behaviour, Fate};
use super::world::stamp;

/// Between failing to pull and backing off.
const PULLING: Duration = Duration::from_millis(100);
/// A crashing container runs, and rests, for so long.
const CRASH_RUN: Duration = Duration::from_millis(40);
const CRASH_REST: Duration = Duration::from_millis(1500);

/// What is known of a pod beyond its object.
#[derive(Debug, Clone)]
pub struct Life {
    pub made: Instant,
    pub made_at: Timestamp,
    /// Rises with every pod of the server.
    pub sequence: u64,
    pub behaviour: Behaviour,
    /// Whether it is one of those that do well although others do not.
    pub spared: bool,
    /// When it was told to go, and its grace.
    pub leaving: Option<(Instant, Duration)>,
}

impl Life {
    pub fn fate(&self) -> Fate {
        if self.spared {
            Fate::Well
        } else {
            self.behaviour.fate
        }
    }

    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// Whether it ran into its grace, or ended before.
    pub fn is_over(&self) -> bool {
        let Some((since, grace)) = self.leaving else {
            return false;
        };
        let runs = self.fate() == Fate::Well && self.age() > self.behaviour.starts_in;
        let takes = if runs || self.fate() == Fate::NeverReady {
            self.behaviour.ends_in
        } else {
            Duration::from_millis(10)
        };
        since.elapsed() >= takes.min(grace)
    }

    /// How often a crashing container has been started again by now, and how it is.
    fn crash(&self) -> (u32, Crash) {
        let since = self.age().saturating_sub(self.behaviour.starts_in);
        // The first restart comes at once, later ones after a rest.
        let Some(later) = since.checked_sub(CRASH_RUN) else {
            return (0, Crash::Running);
        };
        let cycle = CRASH_RUN + CRASH_REST;
        let restarts = u32::try_from(later.as_millis() / cycle.as_millis()).unwrap() + 1;
        let state = if later.as_millis() % cycle.as_millis() < CRASH_RUN.as_millis() {
            Crash::Running
        } else {
            Crash::Resting
        };
        (restarts, state)
    }
}

enum Crash {
    Running,
    Resting,
}

/// The container's part of a status.
struct Container {
    state: Value,
    last: Value,
    restarts: u32,
    ready: bool,
    phase: &'static str,
}

/// The status of a pod, and the node that it is bound to.
pub fn status(life: &Life, pod: &Value) -> Value {
    let since = json!(stamp(life.made_at));
    if life.fate() == Fate::Unschedulable {
        let message = "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 \
                       nodes are available: 3 Preemption is not helpful for scheduling.";
        return json!({
            "phase": "Pending", "qosClass": "BestEffort",
            "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastProbeTime": null, "lastTransitionTime": since,
            }],
        });
    }
    let image = &pod["spec"]["containers"][0]["image"];
    let container = container(life, pod);
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({
            "type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null,
            "lastTransitionTime": since,
        });
        if !holds {
            condition["reason"] = json!("ContainersNotReady");
            condition["message"] = json!("containers with unready status: [main]");
        }
        condition
    };
    json!({
        "phase": container.phase,
        "conditions": [
            condition("PodReadyToStartContainers", true),
            condition("Initialized", true),
            condition("Ready", container.ready),
            condition("ContainersReady", container.ready),
            condition("PodScheduled", true),
        ],
        "containerStatuses": [{
            "name": "main", "image": image, "imageID": "", "lastState": container.last,
            "ready": container.ready, "restartCount": container.restarts,
            "started": container.state.get("running").is_some(), "state": container.state,
        }],
        "hostIP": "127.0.0.1", "podIP": "10.244.1.9", "podIPs": [{"ip": "10.244.1.9"}],
        "qosClass": "BestEffort", "startTime": since,
    })
}

fn container(life: &Life, pod: &Value) -> Container {
    let waiting = |reason: &str, message: &str| {
        let mut waiting = json!({"waiting": {"reason": reason}});
        if !message.is_empty() {
            waiting["waiting"]["message"] = json!(message);
        }
        Container {
            state: waiting,
            last: json!({}),
            restarts: 0,
            ready: false,
            phase: "Pending",
        }
    };
    let started = stamp(life.made_at);
    let running = |ready: bool| Container {
        state: json!({"running": {"startedAt": started}}),
        last: json!({}),
        restarts: 0,
        ready,
        phase: "Running",
    };
    let Behaviour {
        starts_in,
        ready_in,
        ..
    } = life.behaviour;
    if life.age() < starts_in {
        return waiting("ContainerCreating", "");
    }
    match life.fate() {
        Fate::BadImage => {
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
            let why = format!(
                "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": pull access \
                 denied, repository does not exist or may require authorization"
            );
            if life.age() < starts_in + PULLING {
                waiting("ErrImagePull", &why)
            } else {
                let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {why}");
                waiting("ImagePullBackOff", &message)
            }
        }
        Fate::Crashes => {
            let (restarts, state) = life.crash();
            let ended = json!({"terminated": {
                "exitCode": 1, "reason": "Error", "startedAt": started, "finishedAt": started,
            }});
            let text = |pointer: &str| {
                pod.pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let message = format!(
                "back-off 10s restarting failed container=main pod={}_{}({})",
                text("/metadata/name"),
                text("/metadata/namespace"),
                text("/metadata/uid")
            );
            Container {
                restarts,
                last: if restarts > 0 { ended } else { json!({}) },
                phase: "Running",
                ..match state {
                    Crash::Running => running(false),
                    Crash::Resting => waiting("CrashLoopBackOff", &message),
                }
            }
        }
        Fate::NeverReady => running(false),
        Fate::Well | Fate::Unschedulable => {
            let probed = pod["spec"]["containers"][0].get("readinessProbe").is_some();
            running(!probed || life.age() >= starts_in + ready_in)
        }
    }
}
