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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;
    use crate::project::cluster::quantity::Quantity;
    use crate::project::cluster::{Deployed, Update};
    use crate::project::observed::{Health, Observed, Replica, State};

    fn sample(name: &str) -> Observed {
        let file = format!("tests/samples/{name}.json");
        parse(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    fn of<'o>(observed: &'o Observed, service: &str) -> Vec<&'o Replica> {
        let replicas = observed.replicas.iter();
        replicas.filter(|one| one.service == service).collect()
    }

    fn deployed<'o>(observed: &'o Observed, service: &str) -> &'o Deployed {
        let mut deployed = observed.deployed.iter();
        deployed.find(|one| one.service == service).unwrap()
    }

    #[test]
    fn pods_in_every_state_are_read_with_their_own_reasons() {
        let shop = sample("kubernetes-1.36/shop");
        assert_eq!(shop.name.as_deref(), Some("shop"));
        let pull = |image: &str| {
            format!(
                "is in ImagePullBackOff: Back-off pulling image \"{image}\": ErrImagePull: failed to pull and unpack \
                 image \"docker.io/library/{image}\": failed to resolve reference \"docker.io/library/{image}\": \
                 pull access denied, repository does not exist or may require authorization"
            )
        };
        let unschedulable = "is Unschedulable: 0/3 nodes are available: 3 Insufficient cpu. no new claims to \
                             deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        for (service, state, health, failing, reason) in [
            ("web", State::Running, None, false, String::new()),
            ("db", State::Running, None, false, String::new()),
            (
                "stuck",
                State::Running,
                Some(Health::Starting),
                false,
                String::new(),
            ),
            ("typo", State::Created, None, true, pull("bad-image:1")),
            ("badpull", State::Created, None, true, pull("bad-image:2")),
            (
                "crashy",
                State::Restarting,
                None,
                true,
                "is in CrashLoopBackOff: exited with code 1".into(),
            ),
            (
                "oomy",
                State::Restarting,
                None,
                true,
                "is in CrashLoopBackOff: exited with code 137 (OOMKilled)".into(),
            ),
            ("huge", State::Created, None, false, unschedulable.into()),
            ("wide", State::Created, None, false, unschedulable.into()),
        ] {
            let replicas = of(&shop, service);
            assert!(!replicas.is_empty(), "{service}");
            for one in replicas {
                let read = (
                    one.state,
                    one.health,
                    one.failing,
                    one.reason.clone().unwrap_or_default(),
                );
                assert_eq!(
                    read,
                    (state, health, failing, reason.clone()),
                    "{}",
                    one.name
                );
            }
        }
        let crashy = &of(&shop, "crashy")[0];
        assert_eq!((crashy.exit_code, crashy.restarts), (Some(1), Some(2)));
        assert_eq!(of(&shop, "db")[0].node.as_deref(), Some("node-2"));
        assert_eq!(of(&shop, "huge")[0].node, None);
    }

    #[test]
    fn readiness_probes_tell_health_and_pods_that_end_do_not_count() {
        let states = sample("kubernetes-1.36/states");
        let mut health: Vec<_> = of(&states, "probed")
            .iter()
            .map(|one| (one.state, one.health, one.reason.as_deref()))
            .collect();
        health.sort();
        assert_eq!(
            health,
            [
                (State::Created, None, Some("is in ContainerCreating")),
                (State::Running, Some(Health::Healthy), None),
                (
                    State::Running,
                    Some(Health::Unhealthy),
                    Some("is not ready any more")
                ),
            ]
        );
        assert_eq!(of(&states, "slow")[0].health, Some(Health::Starting));
        let [evicted] = states.failures.as_slice() else {
            panic!("{:?}", states.failures);
        };
        assert_eq!(
            (evicted.service.as_str(), evicted.state),
            ("probed", State::Exited)
        );
        assert_eq!(
            evicted.reason.as_deref(),
            Some(
                "is Failed: Evicted: The node was low on resource: memory. Threshold quantity: 100Mi, available: 92Mi."
            )
        );
        let leaving: Vec<bool> = of(&states, "leaving")
            .iter()
            .map(|one| one.leaving)
            .collect();
        assert_eq!(leaving.iter().filter(|leaving| **leaving).count(), 1);
        assert_eq!(leaving.len(), 3);
        // The label that Kompose writes goes before the name.
        let worker = deployed(&states, "celery_worker");
        assert_eq!(
            (worker.object.as_str(), worker.has_pre_stop),
            ("deployment/celery-worker", true)
        );
    }

    #[test]
    fn numbers_are_ordinals_or_ages() {
        let shop = sample("kubernetes-1.36/shop");
        let numbers =
            |service| -> Vec<u32> { of(&shop, service).iter().map(|one| one.number).collect() };
        assert_eq!(numbers("db"), [0, 1, 2]);
        assert_eq!(numbers("web"), [1, 2, 3]);
        let api: Vec<(u32, bool)> = of(&shop, "api")
            .iter()
            .map(|one| (one.number, one.outdated))
            .collect();
        // Those of the older template are the older ones.
        assert_eq!(
            api,
            [(1, true), (2, true), (3, true), (4, false), (5, false)]
        );
        let queue: Vec<bool> = of(&shop, "queue").iter().map(|one| one.outdated).collect();
        assert_eq!(queue, [true, true, false]);
        assert!(of(&shop, "web").iter().all(|one| !one.outdated));
    }

    #[test]
    fn workloads_tell_counts_updates_and_troubles() {
        let shop = sample("kubernetes-1.36/shop");
        let late = |name: &str| Update {
            stuck: Some(format!(
                "does not get on: ReplicaSet \"{name}\" has timed out progressing"
            )),
        };
        let paused = Update {
            stuck: Some("is paused".into()),
        };
        for (service, object, count, update) in [
            ("web", "deployment/web", 3, None),
            ("idle", "deployment/idle", 0, None),
            ("api", "deployment/api", 4, Some(Update::default())),
            (
                "stuck",
                "deployment/stuck",
                2,
                Some(late("stuck-d7d874c95")),
            ),
            ("paused", "deployment/paused", 2, Some(paused)),
            ("db", "statefulset/db", 3, None),
            ("queue", "statefulset/queue", 3, Some(Update::default())),
        ] {
            let one = deployed(&shop, service);
            assert_eq!(
                (one.object.as_str(), one.count, &one.update),
                (object, count, &update),
                "{service}"
            );
            assert_eq!(one.highest_goes, object.starts_with("statefulset"));
            assert_eq!(
                (one.grace, one.trouble.as_ref()),
                (Some(Duration::from_secs(5)), None)
            );
        }
        let web = deployed(&shop, "web");
        assert_eq!(web.as_declared.image.as_deref(), Some("nginx:1.27"));
        assert_eq!(web.pod.labels["app"], "web");
        assert_eq!(web.pod.requests["cpu"], Quantity::parse("100m").unwrap());
        let quota = sample("kubernetes-1.36/quota");
        let greedy = deployed(&quota, "greedy");
        assert_eq!((greedy.count, of(&quota, "greedy").len()), (5, 2));
        assert_eq!(
            greedy.trouble.as_deref(),
            Some(
                "pods \"greedy-785cb5b5b-pvbvv\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, \
                 limited: pods=3"
            )
        );
    }

    #[test]
    fn old_clients_print_more_and_mean_the_same() {
        let (old, new) = (sample("kubectl-1.20/shop"), sample("kubernetes-1.36/shop"));
        for service in ["web", "db", "crashy"] {
            assert_eq!(deployed(&old, service), deployed(&new, service));
            let ids = |of: Vec<&Replica>| -> Vec<_> {
                of.iter().map(|one| (one.id.clone(), one.state)).collect()
            };
            assert_eq!(ids(of(&old, service)), ids(of(&new, service)));
        }
    }

    #[test]
    fn what_shares_a_name_is_told_apart_by_its_kind() {
        let text = r#"{"items": [
            {"kind": "Deployment", "metadata": {"name": "web"}},
            {"kind": "StatefulSet", "metadata": {"name": "web"}},
            {"kind": "Pod", "metadata": {"name": "web-0", "ownerReferences": [
                {"kind": "StatefulSet", "name": "web", "controller": true}]}},
            {"kind": "Pod", "metadata": {"name": "web-0-debug"}}
        ]}"#;
        let read = parse(text).unwrap();
        let services: Vec<&str> = read
            .deployed
            .iter()
            .map(|one| one.service.as_str())
            .collect();
        assert_eq!(services, ["web", "statefulset/web"]);
        assert_eq!(read.replicas[0].service, "statefulset/web");
        assert_eq!(read.replicas.len(), 1);
        // What nothing is said of has the grace that Kubernetes gives.
        assert_eq!(read.deployed[0].grace, Some(Duration::from_secs(30)));
        assert!(parse("").unwrap().is_empty());
        assert!(parse("no").is_err());
    }
}
