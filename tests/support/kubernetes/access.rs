//! What the user may: `kubectl auth can-i`, one right or all of them. Everything but what a test denies.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::Answer;
use super::kind::{KEDA, KINDS};
use super::request::merge;
use super::world::World;

/// The verbs of a user who may do everything.
const VERBS: [&str; 6] = ["create", "delete", "get", "list", "patch", "update"];

/// Answers a review by the name of its resource.
pub fn review(world: &World, name: &str, review: &Value) -> Answer {
    let status = match name {
        "selfsubjectaccessreviews" => right(world, &review["spec"]["resourceAttributes"]),
        "selfsubjectrulesreviews" => rules(world),
        _ => return Answer::no_such_path(),
    };
    let mut answer = review.clone();
    merge(&mut answer, &json!({"status": status}));
    Answer::coded(201, &answer)
}

fn right(world: &World, attributes: &Value) -> Value {
    let text = |field: &str| attributes[field].as_str().unwrap_or_default().to_owned();
    let resource = match text("subresource").as_str() {
        "" => text("resource"),
        part => format!("{}/{part}", text("resource")),
    };
    if world.denied.contains(&(text("verb"), resource)) {
        json!({"allowed": false})
    } else {
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"tester\""})
    }
}

/// As roles would have to list it, one rule for each group of the API.
fn rules(world: &World) -> Value {
    if world.denied.is_empty() {
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        return json!({"resourceRules": [all], "nonResourceRules": [], "incomplete": false});
    }
    let mut rules: BTreeMap<(&str, Vec<&str>), Vec<String>> = BTreeMap::new();
    for kind in KINDS.iter().filter(|kind| world.keda || kind.group != KEDA) {
        let mut resources = vec![kind.plural.to_owned()];
        if kind.has_scale() {
            resources.push(format!("{}/scale", kind.plural));
        }
        if kind.plural == "pods" {
            resources.extend(["pods/log".to_owned(), "pods/exec".to_owned()]);
        }
        for resource in resources {
            let mut verbs = VERBS.to_vec();
            verbs.retain(|verb| {
                !world
                    .denied
                    .contains(&((*verb).to_owned(), resource.clone()))
            });
            if !verbs.is_empty() {
                rules.entry((kind.group, verbs)).or_default().push(resource);
            }
        }
    }
    let rules = rules.into_iter().map(|((group, verbs), resources)| {
        json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
    });
    json!({"resourceRules": rules.collect::<Vec<_>>(), "nonResourceRules": [], "incomplete": false})
}
