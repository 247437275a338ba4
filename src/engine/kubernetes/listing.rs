//! Reading `kubectl get deployments,statefulsets,pods --output json`.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{List, Metadata, Object};
use super::pod;
use super::workload::{self, Kind};
use crate::project::declared::EngineName;
use crate::project::observed::{Observed, Replica};

/// Who owns pods: a kind and a name.
type Owner<'a> = (Kind, &'a str);

/// What of a workload decides about its pods.
struct Workload<'o> {
    service: String,
    /// What its pods of the newest template are labelled with; empty where that is not known.
    newest: &'o str,
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
    let list: List<Object> = serde_json::from_str(text)?;
    let name = list
        .items
        .first()
        .map(|one| one.metadata.namespace.to_string());
    let mut names = BTreeSet::new();
    let mut workloads: BTreeMap<Owner, Workload> = BTreeMap::new();
    let mut deployed = Vec::new();
    for object in &list.items {
        let Some(kind) = Kind::of(&object.kind) else {
            continue;
        };
        let service = service(&object.metadata, kind, &names);
        names.insert(service.clone());
        deployed.push(workload::deployed(object, kind, service.clone()));
        let newest = match kind {
            Kind::Deployment => workload::newest_template(object).unwrap_or_default(),
            Kind::StatefulSet => &object.status.update_revision,
        };
        workloads.insert((kind, &object.metadata.name), Workload { service, newest });
    }
    let mut ages: Vec<(&str, Replica)> = Vec::with_capacity(list.items.len());
    let mut failures = Vec::new();
    for object in list.items.iter().filter(|one| one.kind == "Pod") {
        let Some((kind, workload)) =
            owner(&object.metadata).and_then(|owner| Some((owner.0, workloads.get(&owner)?)))
        else {
            continue;
        };
        let mut replica = pod::replica(object, &workload.service, kind == Kind::StatefulSet);
        let labels = &object.metadata.labels;
        let template = match kind {
            Kind::Deployment => &labels.template,
            Kind::StatefulSet => &labels.revision,
        };
        replica.outdated = !workload.newest.is_empty() && template != workload.newest;
        if pod::has_ended(object) {
            failures.push(replica);
        } else {
            ages.push((&object.metadata.creation_timestamp, replica));
        }
    }
    number(&mut ages, &workloads);
    Ok(Observed {
        engine: EngineName::Kubernetes,
        name,
        replicas: ages.into_iter().map(|(_, replica)| replica).collect(),
        deployed,
        failures,
        ..Observed::default()
    })
}

/// The name of a workload as a service: Kompose's label, else its own. Where another has it already, the kind
/// tells them apart, as kubectl writes it.
fn service(metadata: &Metadata, kind: Kind, taken: &BTreeSet<String>) -> String {
    let names = [&*metadata.labels.kompose, &*metadata.name].into_iter();
    let mut free = names.filter(|name| !name.is_empty() && !taken.contains(*name));
    match free.next() {
        Some(name) => name.to_owned(),
        None => format!("{}/{}", kind.as_str(), metadata.name),
    }
}

/// The workload that a pod belongs to: a StatefulSet owns its pods, a Deployment through a ReplicaSet that is
/// named after it and the hash of its template.
fn owner<'o>(pod: &'o Metadata<'_>) -> Option<Owner<'o>> {
    let owner = pod.owner_references.iter().find(|owner| owner.controller)?;
    match &*owner.kind {
        "StatefulSet" => Some((Kind::StatefulSet, &owner.name)),
        "ReplicaSet" => {
            let name = owner.name.strip_suffix(&*pod.labels.template)?;
            Some((Kind::Deployment, name.strip_suffix('-')?))
        }
        _ => None,
    }
}

/// Pods of a Deployment have no number of their own: they are numbered by age.
fn number(replicas: &mut [(&str, Replica)], workloads: &BTreeMap<Owner, Workload>) {
    let own: BTreeSet<&str> = workloads
        .iter()
        .filter(|((kind, _), _)| *kind == Kind::StatefulSet)
        .map(|(_, workload)| workload.service.as_str())
        .collect();
    replicas.sort_by(|(a_age, a), (b_age, b)| {
        (&a.service, a_age, &a.name).cmp(&(&b.service, b_age, &b.name))
    });
    let (mut last, mut numbered) = (0, String::new());
    for (_, replica) in replicas {
        if own.contains(replica.service.as_str()) {
            continue;
        }
        if numbered != replica.service {
            numbered.clone_from(&replica.service);
            last = 0;
        }
        last += 1;
        replica.number = last;
    }
}
