//! ResourceQuotas: what they refuse, and what the refusal looks like.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::world::{World, stamp};

/// A resource, what is asked for, what is used, and the bound as it is written.
type Exceeded = (String, f64, f64, String);

/// What one pod takes of a quota's resource.
fn taken(spec: &Value, resource: &str) -> f64 {
    let sum = |pointer: &str| {
        let containers = spec["containers"].as_array().into_iter().flatten();
        containers
            .filter_map(|container| container.pointer(pointer)?.as_str())
            .map(quantity)
            .sum()
    };
    match resource {
        "pods" | "count/pods" => 1.0,
        "cpu" | "requests.cpu" => sum("/resources/requests/cpu"),
        "memory" | "requests.memory" => sum("/resources/requests/memory"),
        "limits.cpu" => sum("/resources/limits/cpu"),
        "limits.memory" => sum("/resources/limits/memory"),
        _ => 0.0,
    }
}

/// A number with the suffixes of the API: `100m`, `64Mi`, `2`.
fn quantity(text: &str) -> f64 {
    const SUFFIXES: [(&str, f64); 7] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
    ];
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    number.parse::<f64>().unwrap() * factor
}

/// A quantity as quotas write it.
fn show(resource: &str, amount: f64) -> String {
    if resource.contains("memory") && amount % 1_048_576.0 == 0.0 && amount > 0.0 {
        format!("{}Mi", amount / 1_048_576.0)
    } else if amount.fract() == 0.0 {
        format!("{amount}")
    } else {
        format!("{:.0}m", amount * 1000.0)
    }
}

fn used(world: &World, namespace: &str, resource: &str) -> f64 {
    let pods = world.of_kind("pods", namespace).into_iter();
    // <https://kubernetes.io/docs/concepts/policy/resource-quotas/>: pods in a terminal state do not count.
    pods.filter(|(_, pod)| pod["status"]["phase"] != "Failed")
        .map(|(_, pod)| taken(&pod["spec"], resource))
        .sum()
}

/// The words of the admission that refuses a pod.
pub fn refuses(world: &World, namespace: &str, pod: &str, spec: &Value) -> Option<String> {
    world
        .of_kind("resourcequotas", namespace)
        .into_iter()
        .find_map(|(key, quota)| {
            let exceeded: Vec<Exceeded> = quota["spec"]["hard"]
                .as_object()?
                .iter()
                .filter_map(|(resource, hard)| {
                    let (used, more) = (used(world, namespace, resource), taken(spec, resource));
                    let hard = hard.as_str()?;
                    (more > 0.0 && used + more > quantity(hard) + 1e-6)
                        .then(|| (resource.clone(), more, used, hard.to_owned()))
                })
                .collect();
            let all = |show: &dyn Fn(&Exceeded) -> String| {
                exceeded.iter().map(show).collect::<Vec<_>>().join(",")
            };
            (!exceeded.is_empty()).then(|| {
                format!(
                    "pods \"{pod}\" is forbidden: exceeded quota: {}, requested: {}, used: {}, limited: {}",
                    key.2,
                    all(&|(name, more, _, _)| format!("{name}={}", show(name, *more))),
                    all(&|(name, _, used, _)| format!("{name}={}", show(name, *used))),
                    all(&|(name, _, _, hard)| format!("{name}={hard}")),
                )
            })
        })
}

/// Keeps what is used of every quota.
pub fn count(world: &mut World) {
    for key in world.keys("resourcequotas") {
        let hard = world.objects[&key]["spec"]["hard"].clone();
        let resources = hard.as_object().into_iter().flatten();
        let used: serde_json::Map<String, Value> = resources
            .map(|(name, _)| {
                let used = used(world, &key.1, name);
                (name.clone(), json!(show(name, used)))
            })
            .collect();
        world.change(&key, |quota| {
            quota["status"] = json!({"hard": hard, "used": used});
        });
    }
}

/// The event of a controller that could not make a pod, once for each of its workloads.
pub fn note_refusal(world: &mut World, kind: &str, set: &Value, refusal: &str) {
    let (namespace, name) = (&set["metadata"]["namespace"], &set["metadata"]["name"]);
    let event = format!("{}.refused", name.as_str().unwrap());
    let key = World::key("events", namespace.as_str().unwrap(), &event);
    if world.objects.contains_key(&key) {
        return;
    }
    let message = match kind {
        "StatefulSet" => {
            let pod = refusal.split('"').nth(1).unwrap_or_default();
            format!(
                "create Pod {pod} in StatefulSet {} failed error: {refusal}",
                name.as_str().unwrap()
            )
        }
        _ => format!("Error creating: {refusal}"),
    };
    let now = stamp(Timestamp::now());
    world.add(json!({
        "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreate", "message": message,
        "count": 1, "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "metadata": {"name": event, "namespace": namespace},
        "involvedObject": {
            "apiVersion": "apps/v1", "kind": kind, "name": name, "namespace": namespace,
            "uid": set["metadata"]["uid"],
        },
        "source": {"component": "controller"},
    }));
}
