//! What the controllers of a cluster do, in small: workloads get the pods that they are to have, pods live and
//! end, statuses are kept.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::pod::{self, Life};
use super::quota;
use super::watchers;
use super::world::{Key, World, stamp};

/// Between two looks of the controllers.
pub const TICK: Duration = Duration::from_millis(10);
/// What the ReplicaSet controller takes first where it is lowest.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// One look of all controllers.
pub fn tick(world: &mut World) {
    live(world);
    watchers::autoscale(world);
    for key in world.keys("deployments") {
        replica_set_of(world, &key);
    }
    for key in world.keys("replicasets") {
        let set = world.objects[&key].clone();
        reconcile_set(world, &key, &set);
    }
    for key in world.keys("statefulsets") {
        let set = world.objects[&key].clone();
        reconcile_stateful(world, &key, &set);
    }
    live(world);
    watchers::statuses(world);
}

/// Brings every pod's status up to date, and takes those away that have ended.
fn live(world: &mut World) {
    for key in world.keys("pods") {
        let pod = &world.objects[&key];
        let Some(life) = world.lives.get(uid(pod)) else {
            continue;
        };
        if life.is_over() {
            let uid = uid(pod).to_owned();
            world.journal.push(format!("gone {}", key.2));
            world.objects.remove(&key);
            world.lives.remove(&uid);
            continue;
        }
        let status = pod::status(life, pod);
        world.change(&key, |pod| pod["status"] = status);
    }
}

pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub fn wish(object: &Value) -> usize {
    usize::try_from(object["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap()
}

/// Whether a pod passes its probes.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

pub fn is_leaving(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

/// The pods that an object controls.
pub fn pods_of(world: &World, owner: &Value) -> Vec<Key> {
    let namespace = owner["metadata"]["namespace"].as_str().unwrap_or_default();
    let pods = world.of_kind("pods", namespace).into_iter();
    pods.filter(|(_, pod)| pod["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"])
        .map(|(key, _)| key.clone())
        .collect()
}

/// Makes the ReplicaSet of a Deployment, and hands the count on.
fn replica_set_of(world: &mut World, key: &Key) {
    let deployment = world.objects[key].clone();
    let hash = hash(&deployment["spec"]["template"]);
    let name = format!("{}-{hash}", key.2);
    let set = World::key("replicasets", &key.1, &name);
    if !world.objects.contains_key(&set) {
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        let labels = template["metadata"]["labels"].clone();
        world.add(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": key.1, "labels": labels,
                "ownerReferences": [owner("Deployment", &deployment)],
            },
            "spec": {
                "replicas": deployment["spec"]["replicas"],
                "selector": {"matchLabels": labels}, "template": template,
            },
            "status": {"replicas": 0},
        }));
    }
    let count = wish(&deployment);
    world.change(&set, |set| set["spec"]["replicas"] = json!(count));
}

/// As the names of ReplicaSets have it: letters and digits that follow from the template.
fn hash(template: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = template.to_string();
    let mut hash = text.bytes().fold(0x811c_9dc5_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let letter = |_| {
        let letter = LETTERS[usize::try_from(hash % 27).unwrap()];
        hash /= 27;
        char::from(letter)
    };
    (0..9).map(letter).collect()
}

fn owner(kind: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn reconcile_set(world: &mut World, key: &Key, set: &Value) {
    let mut staying = pods_of(world, set);
    staying.retain(|pod| !is_leaving(&world.objects[pod]));
    let wanted = wish(set);
    let mut refused = None;
    for _ in staying.len()..wanted {
        // Newer pods come first in the order of names, so that a choice by name differs from one by age.
        let number = world.version();
        let name = format!("{}-{}", key.2, suffix(number));
        refused = make_pod(world, "ReplicaSet", set, &name, &json!({})).err();
        if refused.is_some() {
            break;
        }
    }
    // <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset>
    staying.sort_by_key(|pod| {
        let pod = &world.objects[pod];
        let cost = &pod["metadata"]["annotations"][DELETION_COST];
        let cost: i64 = cost.as_str().unwrap_or("0").parse().unwrap_or(0);
        let age = world.lives[uid(pod)].sequence;
        let bound = pod["spec"].get("nodeName").is_some();
        let runs = pod["status"]["phase"] == "Running";
        (bound, runs, is_ready(pod), cost, std::cmp::Reverse(age))
    });
    for pod in staying.iter().take(staying.len().saturating_sub(wanted)) {
        delete_pod(world, pod, None);
    }
    watchers::replica_failure(world, key, refused.as_deref());
}

/// Five letters that come earlier in the alphabet the later the number is.
fn suffix(number: u64) -> String {
    const LETTERS: &[u8] = b"zxwvtsrqpnmlkjhgfdcb";
    let mut rest = number;
    let mut letters = Vec::new();
    for _ in 0..5 {
        letters.push(char::from(LETTERS[usize::try_from(rest % 20).unwrap()]));
        rest /= 20;
    }
    letters.into_iter().rev().collect()
}

/// One after another, upwards when all before are ready, downwards from the highest.
fn reconcile_stateful(world: &mut World, key: &Key, set: &Value) {
    let pods = pods_of(world, set);
    let wanted = wish(set);
    let parallel = set["spec"]["podManagementPolicy"] == "Parallel";
    let ordinal = |key: &Key| -> usize { key.2.rsplit('-').next().unwrap().parse().unwrap() };
    for number in 0..wanted {
        let pod = World::key("pods", &key.1, &format!("{}-{number}", key.2));
        if let Some(pod) = world.objects.get(&pod) {
            if !parallel && (!is_ready(pod) || is_leaving(pod)) {
                return;
            }
            continue;
        }
        let labels = json!({
            "apps.kubernetes.io/pod-index": number.to_string(), "statefulset.kubernetes.io/pod-name": pod.2,
            "controller-revision-hash": format!("{}-{}", key.2, hash(&set["spec"]["template"])),
        });
        let made = make_pod(world, "StatefulSet", set, &pod.2, &labels);
        if made.is_err() || !parallel {
            return;
        }
    }
    let mut surplus: Vec<&Key> = pods.iter().filter(|pod| ordinal(pod) >= wanted).collect();
    surplus.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
    for pod in surplus {
        let leaving = is_leaving(&world.objects[pod]);
        if !leaving {
            delete_pod(world, pod, None);
        }
        if !parallel {
            return;
        }
    }
}

/// # Errors
/// A quota refuses it.
fn make_pod(
    world: &mut World,
    kind: &str,
    set: &Value,
    name: &str,
    labels: &Value,
) -> Result<(), String> {
    let namespace = set["metadata"]["namespace"].as_str().unwrap();
    let template = &set["spec"]["template"];
    if let Some(refusal) = quota::refuses(world, namespace, name, &template["spec"]) {
        quota::note_refusal(world, kind, set, &refusal);
        return Err(refusal);
    }
    let workload = set["metadata"]["ownerReferences"][0]["name"].as_str();
    let workload = workload.or(set["metadata"]["name"].as_str()).unwrap();
    let behaviour = world.behaviours.get(workload).cloned().unwrap_or_default();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace, "labels": template["metadata"]["labels"],
            "ownerReferences": [owner(kind, set)],
        },
        "spec": template["spec"],
    });
    super::request::merge(&mut pod["metadata"]["labels"], labels);
    let siblings = pods_of(world, set);
    let spared = siblings.len() < behaviour.spared;
    let life = Life {
        made: Instant::now(),
        made_at: Timestamp::now(),
        sequence: world.version(),
        behaviour,
        spared,
        leaving: None,
    };
    if life.fate() != super::workload::Fate::Unschedulable {
        let nodes = world.keys("nodes");
        let node = &nodes[usize::try_from(life.sequence).unwrap() % nodes.len()];
        pod["spec"]["nodeName"] = json!(node.2);
    }
    pod["status"] = pod::status(&life, &pod);
    let key = world.add(pod);
    let uid = uid(&world.objects[&key]).to_owned();
    world.lives.insert(uid, life);
    Ok(())
}

/// Tells a pod to go; it has its grace.
pub fn delete_pod(world: &mut World, key: &Key, grace_seconds: Option<u64>) {
    let own = world.objects[key]["spec"]["terminationGracePeriodSeconds"].as_u64();
    let grace = grace_seconds.or(own).unwrap_or(30);
    let uid = uid(&world.objects[key]).to_owned();
    if let Some(life) = world.lives.get_mut(&uid) {
        life.leaving = Some((Instant::now(), Duration::from_secs(grace)));
    }
    world.journal.push(format!("leaves {}", key.2));
    let until = Timestamp::now() + SignedDuration::from_secs(i64::try_from(grace).unwrap());
    world.change(key, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!(stamp(until));
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    });
}
