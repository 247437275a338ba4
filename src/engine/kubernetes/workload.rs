//! A Deployment or StatefulSet as a service that is deployed, and which of its pods are outdated.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::object::{Container, Object, Spec};
use crate::project::cluster::kubernetes::PodTemplate;
use crate::project::cluster::quantity::Quantity;
use crate::project::cluster::{Deployed, Update};
use crate::project::declared::Service;

/// The kinds that have a count of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Deployment,
    StatefulSet,
}

impl Kind {
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "Deployment" => Some(Self::Deployment),
            "StatefulSet" => Some(Self::StatefulSet),
            _ => None,
        }
    }

    /// As kubectl takes it before a name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
        }
    }
}

/// Seconds that a pod has between SIGTERM and SIGKILL where it says nothing.
const USUAL_GRACE: u64 = 30;

pub fn deployed(object: &Object, kind: Kind, service: String) -> Deployed {
    let pod = object.spec.template.spec.as_deref();
    Deployed {
        service,
        object: format!("{}/{}", kind.as_str(), object.metadata.name),
        count: object.spec.replicas.unwrap_or(1),
        grace: Some(Duration::from_secs(
            pod.and_then(|pod| pod.termination_grace_period_seconds)
                .unwrap_or(USUAL_GRACE),
        )),
        has_pre_stop: pod.is_some_and(|pod| {
            let mut containers = pod.containers.iter();
            containers.any(|one| one.lifecycle.pre_stop.is_some())
        }),
        highest_goes: kind == Kind::StatefulSet,
        update: match kind {
            Kind::Deployment => update_of_deployment(object),
            Kind::StatefulSet => update_of_stateful_set(object),
        },
        trouble: object
            .status
            .condition("ReplicaFailure")
            .filter(|one| one.status == "True")
            .map(|one| one.message.to_string()),
        pod: PodTemplate {
            labels: object.spec.template.metadata.labels.clone(),
            requests: sum(pod, |one| &one.resources.requests),
            limits: sum(pod, |one| &one.resources.limits),
        },
        as_declared: pod.map(as_declared).unwrap_or_default(),
        ..Deployed::default()
    }
}

/// A Deployment is at a rollout while it has pods of an older template, or when it says that it does not get on.
fn update_of_deployment(object: &Object) -> Option<Update> {
    let (spec, status) = (&object.spec, &object.status);
    if status.observed_generation < object.metadata.generation {
        // What it says is of an older count or template.
        return None;
    }
    let progressing = status.condition("Progressing");
    let late = progressing.filter(|one| one.status == "False");
    let mixed = status.replicas != status.updated_replicas;
    let never_begun = spec.paused && status.replicas == 0 && spec.replicas.unwrap_or(1) > 0;
    if spec.paused && (mixed || never_begun) {
        return Some(Update {
            stuck: Some("is paused".into()),
        });
    }
    (mixed || late.is_some()).then(|| Update {
        stuck: late.map(|one| {
            let message = one.message.trim_end_matches('.');
            format!("does not get on: {message}")
        }),
    })
}

fn update_of_stateful_set(object: &Object) -> Option<Update> {
    let status = &object.status;
    let current = status.observed_generation >= object.metadata.generation;
    let mixed = status.update_revision != status.current_revision && status.replicas > 0;
    (current && mixed).then(Update::default)
}

/// What a Deployment's pods of its newest template carry in `pod-template-hash`: the name of its newest ReplicaSet
/// stands in the message of `Progressing` and ends with it.
///
/// `None` where the Deployment does not say it: paused, or without a deadline.
pub fn newest_template<'o>(object: &'o Object<'_>) -> Option<&'o str> {
    let message = &object.status.condition("Progressing")?.message;
    let replica_set = message.split('"').nth(1)?;
    let hash = replica_set.strip_prefix(&*object.metadata.name)?;
    hash.strip_prefix('-')
}

fn sum<'p, 'a: 'p>(
    pod: Option<&'p Spec<'a>>,
    which: impl Fn(&'p Container<'a>) -> &'p BTreeMap<Cow<'a, str>, Cow<'a, str>>,
) -> BTreeMap<String, Quantity> {
    let mut sums: BTreeMap<String, Quantity> = BTreeMap::new();
    for (resource, amount) in pod.iter().flat_map(|pod| &pod.containers).flat_map(which) {
        if let Some(amount) = Quantity::parse(amount) {
            let sum = sums.entry(resource.to_string()).or_default();
            *sum = sum.plus(amount);
        }
    }
    sums
}

/// What a compose file would say of it; the first container is the service's own.
fn as_declared(pod: &Spec) -> Service {
    let Some(container) = pod.containers.first() else {
        return Service::default();
    };
    let environment = container.env.iter();
    Service {
        image: Some(container.image.to_string()),
        entrypoint: container.command.clone(),
        command: container.args.clone(),
        environment: environment
            .filter_map(|one| Some((one.name.clone(), one.value.clone()?)))
            .collect(),
        restarts: true,
        ..Service::default()
    }
}
