//! Requests for objects: lists, gets, changes, the `scale` part, access reviews, logs.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>

use serde_json::{Value, json};

use super::access;
use super::answer::Answer;
use super::controller;
use super::kind::{KEDA, Kind, discovery};
use super::request::{Request, Target, merge};
use super::workload::Fate;
use super::world::{Key, World};

/// Answers a request.
pub fn answer(world: &mut World, request: &Request) -> Answer {
    if request.method == "GET"
        && let Some(document) = discovery(request.path.trim_end_matches('/'), world.keda)
    {
        return Answer::json(&document);
    }
    if let Some(review) = request.path.strip_prefix("apis/authorization.k8s.io/v1/") {
        return access::review(world, review, &request.body);
    }
    let Some(target) = Target::parse(&request.path) else {
        return Answer::no_such_path();
    };
    if target.kind.group == KEDA && !world.keda {
        return Answer::no_such_path();
    }
    let verb = match (request.method.as_str(), &target.name) {
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => return Answer::unsupported(&request.method),
    };
    if world.denied.contains(&(verb.to_owned(), target.resource())) {
        return Answer::forbidden(&target, verb);
    }
    let Some(name) = target.name.clone() else {
        return match verb {
            "list" => list(world, request, &target),
            "create" => create(world, &target, request.body.clone()),
            _ => Answer::unsupported(verb),
        };
    };
    let key = (target.kind.plural, target.namespace.clone(), name);
    if !world.objects.contains_key(&key) {
        return Answer::not_found(target.kind, &key.2);
    }
    match (verb, target.part.as_deref()) {
        ("get", None) => Answer::json(&world.objects[&key]),
        ("get", Some("scale")) if target.kind.has_scale() => Answer::json(&scale(world, &key)),
        ("get", Some("log")) => log(world, request, &key),
        ("update" | "patch", Some("scale")) if target.kind.has_scale() => {
            set_scale(world, request, &target, &key)
        }
        ("update" | "patch", None) => change(world, request, &target, &key),
        ("delete", None) => delete(world, request, &key),
        (verb, part) => Answer::unsupported(&format!("{verb} {part:?}")),
    }
}

fn list(world: &World, request: &Request, target: &Target) -> Answer {
    let found = world.of_kind(target.kind.plural, &target.namespace);
    // Objects in a list do not say again what they are.
    let items = found
        .into_iter()
        .filter(|(_, object)| request.selects(object));
    let items: Vec<Value> = items
        .map(|(_, object)| {
            let mut object = object.clone();
            let fields = object.as_object_mut().unwrap();
            fields.remove("kind");
            fields.remove("apiVersion");
            object
        })
        .collect();
    Answer::json(&json!({
        "kind": format!("{}List", target.kind.name), "apiVersion": target.kind.api_version(),
        "metadata": {"resourceVersion": world.version().to_string()}, "items": items,
    }))
}

fn create(world: &mut World, target: &Target, mut object: Value) -> Answer {
    if target.kind.namespaced {
        if !world.has_namespace(&target.namespace) {
            return Answer::not_found(Kind::by_name("Namespace"), &target.namespace);
        }
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = (
        target.kind.plural,
        target.namespace.clone(),
        name.to_owned(),
    );
    if world.objects.contains_key(&key) {
        return Answer::exists_already(target.kind, &key.2);
    }
    object["kind"] = json!(target.kind.name);
    object["apiVersion"] = json!(target.kind.api_version());
    let key = world.add(object);
    Answer::coded(201, &world.objects[&key])
}

/// The count of a workload, as an object of its own.
fn scale(world: &World, key: &Key) -> Value {
    let object = &world.objects[key];
    let metadata = &object["metadata"];
    let selector = super::request::strings(&object["spec"]["selector"]["matchLabels"]);
    let selector: Vec<String> = selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {},
        "status": {
            "replicas": object["status"]["replicas"].as_u64().unwrap_or(0), "selector": selector.join(","),
        },
    });
    // As the API does, a count of 0 is left out.
    let count = controller::wish(object);
    if count > 0 {
        scale["spec"]["replicas"] = json!(count);
    }
    scale
}

/// Whether a change was made for an older version of the object.
fn is_stale(changed: &Value, object: &Value) -> bool {
    let wanted = changed["metadata"]["resourceVersion"].as_str();
    let wanted = wanted.filter(|version| !version.is_empty());
    wanted.is_some_and(|version| object["metadata"]["resourceVersion"] != version)
}

fn set_scale(world: &mut World, request: &Request, target: &Target, key: &Key) -> Answer {
    if is_stale(&request.body, &world.objects[key]) {
        return Answer::conflict(target.kind, &key.2);
    }
    // What a whole object leaves out is 0, what a patch leaves out stays.
    let mut wish = match request.method.as_str() {
        "PUT" => json!({"spec": {"replicas": 0}}),
        _ => scale(world, key),
    };
    merge(&mut wish, &request.body);
    let count = wish["spec"]["replicas"].as_u64().unwrap_or(0);
    if request.query("dryRun").is_none() {
        world.set_count(key, u32::try_from(count).unwrap());
    }
    Answer::json(&scale(world, key))
}

fn change(world: &mut World, request: &Request, target: &Target, key: &Key) -> Answer {
    if is_stale(&request.body, &world.objects[key]) {
        return Answer::conflict(target.kind, &key.2);
    }
    let mut object = world.objects[key].clone();
    match request.content_type.as_str() {
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            merge(&mut object, &request.body);
        }
        "application/json" => object = request.body.clone(),
        other => return Answer::unsupported(other),
    }
    if request.query("dryRun").is_none() {
        let metadata = world.objects[key]["metadata"].clone();
        world.change(key, |kept| {
            *kept = object;
            // What is the server's stays.
            for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
                kept["metadata"][field] = metadata[field].clone();
            }
        });
    }
    Answer::json(&world.objects[key])
}

fn delete(world: &mut World, request: &Request, key: &Key) -> Answer {
    let object = world.objects[key].clone();
    if key.0 == "pods" {
        let grace = request.body["gracePeriodSeconds"].as_u64();
        let typed = request.query("gracePeriodSeconds");
        let grace = grace.or_else(|| typed?.parse().ok());
        controller::delete_pod(world, key, grace);
        return Answer::json(&world.objects[key]);
    }
    world.objects.remove(key);
    Answer::json(&object)
}

/// The last lines that a container logged, or the one before it.
fn log(world: &World, request: &Request, key: &Key) -> Answer {
    let pod = &world.objects[key];
    let life = &world.lives[controller::uid(pod)];
    let status = &pod["status"]["containerStatuses"][0];
    let waits = status["state"].get("waiting").is_some();
    let ended_before = status["lastState"].get("terminated").is_some();
    let name = &key.2;
    if request.query("previous") == Some("true") && !ended_before {
        let message = format!("previous terminated container \"main\" in pod \"{name}\" not found");
        return Answer::bad_request(&message);
    }
    if waits && !ended_before {
        let reason = &status["state"]["waiting"]["reason"];
        let why = match life.fate() {
            Fate::BadImage => "trying and failing to pull image".to_owned(),
            _ => reason.as_str().unwrap_or_default().to_owned(),
        };
        return Answer::bad_request(&format!(
            "container \"main\" in pod \"{name}\" is waiting to start: {why}"
        ));
    }
    let lines: Vec<&str> = life.behaviour.log.lines().collect();
    let tail = request
        .query("tailLines")
        .and_then(|count| count.parse().ok());
    let skipped = lines.len().saturating_sub(tail.unwrap_or(usize::MAX));
    let shown = lines[skipped..].iter().map(|line| format!("{line}\n"));
    Answer::text(shown.collect())
}
