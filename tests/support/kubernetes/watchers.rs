//! The statuses that controllers keep of workloads, budgets and quotas, and the autoscaler.

use std::time::Instant;

use serde_json::{Value, json};

use super::controller::{is_leaving, is_ready, pods_of, uid, wish};
use super::quota;
use super::world::{Key, World};

/// Brings every status up to date.
pub fn statuses(world: &mut World) {
    for key in world.keys("replicasets") {
        let (replicas, ready) = count(world, &key);
        world.change(&key, |set| {
            let conditions = set["status"].get("conditions").cloned();
            set["status"] = json!({
                "replicas": replicas, "readyReplicas": ready, "availableReplicas": ready,
                "fullyLabeledReplicas": replicas, "observedGeneration": set["metadata"]["generation"],
            });
            if let Some(conditions) = conditions {
                set["status"]["conditions"] = conditions;
            }
        });
    }
    for key in world.keys("deployments") {
        deployment(world, &key);
    }
    for key in world.keys("statefulsets") {
        let (replicas, ready) = count(world, &key);
        world.change(&key, |set| {
            set["status"] = json!({
                "replicas": replicas, "readyReplicas": ready, "availableReplicas": ready,
                "currentReplicas": replicas, "updatedReplicas": replicas, "collisionCount": 0,
                "observedGeneration": set["metadata"]["generation"],
            });
        });
    }
    budgets(world);
    quota::count(world);
}

/// The pods that an object keeps, and those of them that are ready.
fn count(world: &World, key: &Key) -> (usize, usize) {
    let pods = pods_of(world, &world.objects[key]);
    let staying = pods.iter().map(|pod| &world.objects[pod]);
    let staying: Vec<&Value> = staying.filter(|pod| !is_leaving(pod)).collect();
    let ready = staying.iter().filter(|pod| is_ready(pod)).count();
    (staying.len(), ready)
}

fn deployment(world: &mut World, key: &Key) {
    let own = uid(&world.objects[key]).to_owned();
    let sets = world.of_kind("replicasets", &key.1).into_iter();
    let set = sets
        .filter(|(_, set)| set["metadata"]["ownerReferences"][0]["uid"] == own.as_str())
        .map(|(key, _)| key.clone())
        .next();
    let Some(set) = set else {
        return;
    };
    let (replicas, ready) = count(world, &set);
    let failure = world.objects[&set]["status"]["conditions"].as_array();
    let failure: Vec<Value> = failure.cloned().unwrap_or_default();
    world.change(key, |deployment| {
        let since = &deployment["metadata"]["creationTimestamp"];
        let wanted = wish(deployment);
        let available = json!({
            "type": "Available", "status": if ready >= wanted { "True" } else { "False" },
            "reason": if ready >= wanted { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" },
            "message": "", "lastTransitionTime": since, "lastUpdateTime": since,
        });
        let conditions = [vec![available], failure].concat();
        let mut status = json!({
            "observedGeneration": deployment["metadata"]["generation"], "conditions": conditions,
        });
        // As the API does, counts of zero are left out.
        for (field, count) in [
            ("replicas", replicas),
            ("updatedReplicas", replicas),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", wanted.saturating_sub(ready)),
        ] {
            if count > 0 {
                status[field] = json!(count);
            }
        }
        deployment["status"] = status;
    });
}

/// The condition of a ReplicaSet whose pods are refused.
pub fn replica_failure(world: &mut World, key: &Key, refusal: Option<&str>) {
    world.change(key, |set| match refusal {
        // The first refusal's words stay: every try has another name in it.
        Some(_) if set["status"].get("conditions").is_some() => {}
        Some(refusal) => {
            let since = set["metadata"]["creationTimestamp"].clone();
            set["status"]["conditions"] = json!([{
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal,
                "lastTransitionTime": since,
            }]);
        }
        None => {
            if let Some(status) = set["status"].as_object_mut() {
                status.remove("conditions");
            }
        }
    });
}

/// A count or a percentage of another.
fn amount(value: &Value, of: usize) -> Option<usize> {
    let number = |value: u64| usize::try_from(value).unwrap();
    value.as_u64().map(number).or_else(|| {
        let percent: usize = value.as_str()?.strip_suffix('%')?.parse().ok()?;
        Some((of * percent).div_ceil(100))
    })
}

fn budgets(world: &mut World) {
    for key in world.keys("poddisruptionbudgets") {
        let spec = world.objects[&key]["spec"].clone();
        let selector = super::request::strings(&spec["selector"]["matchLabels"]);
        let selected = |object: &Value| {
            let labels = &object["metadata"]["labels"];
            selector
                .iter()
                .all(|(key, value)| labels[key] == value.as_str())
        };
        let pods = world.of_kind("pods", &key.1).into_iter();
        let pods: Vec<&Value> = pods
            .map(|(_, pod)| pod)
            .filter(|pod| selected(pod))
            .collect();
        let healthy = pods.iter().filter(|pod| is_ready(pod)).count();
        let workloads = ["deployments", "statefulsets"].into_iter();
        let expected: usize = workloads
            .flat_map(|plural| world.of_kind(plural, &key.1))
            .filter(|(_, object)| selected(&object["spec"]["template"]))
            .map(|(_, object)| wish(object))
            .sum();
        let desired = amount(&spec["minAvailable"], expected).unwrap_or_else(|| {
            expected.saturating_sub(amount(&spec["maxUnavailable"], expected).unwrap_or(1))
        });
        world.change(&key, |budget| {
            budget["status"] = json!({
                "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
                "disruptionsAllowed": healthy.saturating_sub(desired),
                "observedGeneration": budget["metadata"]["generation"],
            });
        });
    }
}

/// HPAs report, and where the test wants it, set the count back to the one they desire.
pub fn autoscale(world: &mut World) {
    for key in world.keys("horizontalpodautoscalers") {
        let autoscaler = world.objects[&key].clone();
        let target = &autoscaler["spec"]["scaleTargetRef"];
        let plural = match target["kind"].as_str() {
            Some("Deployment") => "deployments",
            _ => "statefulsets",
        };
        let target = World::key(plural, &key.1, target["name"].as_str().unwrap());
        let Some(workload) = world.objects.get(&target) else {
            continue;
        };
        let current = u32::try_from(wish(workload)).unwrap();
        let desired = autoscaler["status"]["desiredReplicas"].as_u64();
        let desired = desired.map_or(current, |desired| u32::try_from(desired).unwrap());
        world.change(&key, |autoscaler| {
            autoscaler["status"] = json!({
                "currentReplicas": current, "desiredReplicas": desired, "currentMetrics": null,
                "conditions": [{
                    "type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "",
                    "lastTransitionTime": autoscaler["metadata"]["creationTimestamp"],
                }],
            });
        });
        let Some(patience) = world.autoscaling else {
            continue;
        };
        let told = world.told.get(&target).map(Instant::elapsed);
        // An HPA lets a count of 0 alone: it is switched off by it.
        if current != desired && current > 0 && told.is_some_and(|told| told >= patience) {
            world
                .journal
                .push(format!("autoscaler sets {} to {desired}", target.2));
            world.set_count(&target, desired);
        }
    }
}
