//! Whether what `kubectl kustomize` made of overlay and base is what the overlay says.

use serde::Deserialize;
use serde_yaml::Value;

use super::workload::Workload;
use super::{KOMPOSE_LABEL, Overlay};
use crate::project::nesting;

/// What is wrong with it, a line each; a patch that finds nothing to change is no error for Kustomize.
pub fn problems(overlay: &Overlay, built: &str) -> Vec<String> {
    if let Err(why) = nesting::check(built) {
        return vec![why];
    }
    let documents: Vec<Value> = serde_yaml::Deserializer::from_str(built)
        .filter_map(|document| Value::deserialize(document).ok())
        .collect();
    let expected = overlay.workloads.iter().filter(|one| !one.is_pod());
    expected
        .filter_map(|workload| {
            let found = documents.iter().find(|one| is_of(one, workload));
            match found {
                None => Some(format!("there is no workload `{}`", workload.name)),
                Some(found) => differs(found, workload),
            }
        })
        .collect()
}

fn is_of(document: &Value, workload: &Workload) -> bool {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = text(document.get("metadata").and_then(|one| one.get("name")));
    let kind = text(document.get("kind")).unwrap_or_default();
    let kinds = match workload.count() {
        Some(_) => ["Deployment", "StatefulSet"],
        None => ["DaemonSet", "DaemonSet"],
    };
    kinds.contains(&kind.as_str()) && name.as_deref() == Some(&workload.name)
}

fn differs(found: &Value, workload: &Workload) -> Option<String> {
    let name = &workload.name;
    let at = |path: &[&str]| path.iter().try_fold(found, |value, key| value.get(*key));
    let pod = ["spec", "template", "spec"];
    let number = |path: &[&str]| at(path).and_then(Value::as_u64);
    let has = number(&["spec", "replicas"]);
    if workload
        .count()
        .is_some_and(|count| has != Some(count.into()))
    {
        return Some(format!("`{name}` does not get its count"));
    }
    let grace = workload.grace().map(|grace| grace.as_secs());
    let has = number(&[&pod[..], &["terminationGracePeriodSeconds"]].concat());
    if grace.is_some() && grace != has {
        return Some(format!("`{name}` does not get its grace"));
    }
    let label = at(&["spec", "template", "metadata", "labels", KOMPOSE_LABEL]);
    if workload.has_budget() && label.and_then(Value::as_str) != Some(name) {
        return Some(format!(
            "pods of `{name}` have no label `{KOMPOSE_LABEL}: {name}`, which its budget goes by"
        ));
    }
    None
}
