//! What a Kubernetes namespace has against a count: others that set it, bounds, rights.

use std::collections::BTreeMap;

use super::{Finding, Question, Rule, replicas};
use crate::project::cluster::Deployed;
use crate::project::cluster::kubernetes::{Autoscaler, Facts};
use crate::project::cluster::quantity::Quantity;
use crate::project::declared::Service;

fn facts<'q>(question: &'q Question) -> Option<&'q Facts> {
    let facts = question.surroundings.facts.as_ref()?;
    Some(&facts.kubernetes)
}

/// The named services that get another count, as they are deployed.
fn changed<'q>(question: &'q Question) -> impl Iterator<Item = (&'q Service, &'q Deployed, i64)> {
    question.services().filter_map(|(service, count)| {
        let deployed = question.project.deployed.get(&service.name)?;
        (count != i64::from(deployed.count)).then_some((service, deployed, count))
    })
}

/// An autoscaler sets the count by the load and would undo what is asked.
pub fn autoscaler(question: &Question, findings: &mut Vec<Finding>) {
    let Some(facts) = facts(question) else {
        return;
    };
    for (service, deployed, count) in changed(question) {
        let mut owners = facts.autoscalers.iter();
        let Some(owner) = owners.find(|one| one.target == deployed.object) else {
            continue;
        };
        let Autoscaler { min, max, .. } = owner;
        let name = &service.name;
        findings.push(match &owner.scaled_object {
            Some(scaled) => Finding::policy(
                Rule::Autoscaler,
                service,
                format!(
                    "`{name}` is scaled by the KEDA ScaledObject `{scaled}` ({min} to {max} replicas), which would \
                     undo it"
                ),
                format!(
                    "have KEDA keep that count: kubectl annotate scaledobject {scaled} \
                     autoscaling.keda.sh/paused-replicas={count} --overwrite"
                ),
            ),
            // <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation>
            None if count == 0 => Finding::warning(
                Rule::Autoscaler,
                service,
                format!(
                    "`{name}` belongs to the HorizontalPodAutoscaler `{0}` ({min} to {max} replicas), which rests \
                     while there are none and takes over with the first",
                    owner.name
                ),
                format!("kubectl get hpa {}", owner.name),
            ),
            None => Finding::policy(
                Rule::Autoscaler,
                service,
                format!(
                    "`{name}` is scaled by the HorizontalPodAutoscaler `{}` ({min} to {max} replicas), which would \
                     undo it",
                    owner.name
                ),
                format!(
                    "give it that bound: kubectl patch hpa {} --patch '{{\"spec\":{{\"minReplicas\":{count},\
                     \"maxReplicas\":{}}}}}'",
                    owner.name,
                    i64::from(*max).max(count)
                ),
            ),
        });
    }
}

/// Fewer replicas than a disruption budget keeps available: scaling is no eviction and goes through, but from then
/// on the budget allows none, and no node can be drained.
pub fn disruption_budget(question: &Question, findings: &mut Vec<Finding>) {
    let Some(facts) = facts(question) else {
        return;
    };
    for (service, deployed, count) in changed(question) {
        if count >= i64::from(deployed.count) || count == 0 {
            continue;
        }
        for budget in &facts.budgets {
            if !budget.selector.selects(&deployed.pod.labels) {
                continue;
            }
            let selected = question.project.deployed.values();
            let selected = selected.filter(|one| budget.selector.selects(&one.pod.labels));
            let left: i64 = selected.map(|one| question.count_after(&one.service)).sum();
            let wanted = i64::from(budget.min_available);
            if left < wanted {
                findings.push(Finding::warning(
                    Rule::DisruptionBudget,
                    service,
                    format!(
                        "the PodDisruptionBudget `{}` keeps {wanted} available and `{}` would leave {left}: no pod \
                         could be evicted any more, and draining a node would hang",
                        budget.name, service.name
                    ),
                    format!(
                        "kubectl patch pdb {} --patch '{{\"spec\":{{\"minAvailable\":{}}}}}'",
                        budget.name,
                        (left - 1).max(0)
                    ),
                ));
            }
        }
    }
}

/// More pods than a quota of the namespace leaves room for: the engine would take the count and never reach it.
pub fn quota(question: &Question, findings: &mut Vec<Finding>) {
    let Some(facts) = facts(question) else {
        return;
    };
    let growing: Vec<(&Service, &Deployed, i64)> = changed(question)
        .filter_map(|(service, deployed, count)| {
            let replicas = question.project.replicas(&service.name).iter();
            let there = replicas.filter(|one| !one.leaving).count();
            let more = count - i64::try_from(there).ok()?;
            (more > 0 && count > i64::from(deployed.count)).then_some((service, deployed, more))
        })
        .collect();
    for quota in &facts.quotas {
        for (resource, (used, hard)) in &quota.bounds {
            let takes: BTreeMap<&str, Quantity> = growing
                .iter()
                .filter_map(|(service, deployed, more)| {
                    let each = deployed.pod.takes(resource)?;
                    (!each.is_zero()).then(|| (service.name.as_str(), each.times(*more)))
                })
                .collect();
            let total = takes.values().fold(*used, |sum, one| sum.plus(*one));
            if total <= *hard {
                continue;
            }
            for (service, _, more) in &growing {
                let Some(amount) = takes.get(service.name.as_str()) else {
                    continue;
                };
                let others: Vec<String> = takes
                    .keys()
                    .filter(|name| **name != service.name)
                    .map(|name| format!("`{name}`"))
                    .collect();
                let with = if others.is_empty() {
                    String::new()
                } else {
                    format!(", beside {}", others.join(" and "))
                };
                findings.push(Finding::hard(
                    Rule::Quota,
                    service,
                    format!(
                        "`{}` needs {amount} of `{resource}` for {} more{with}, and the ResourceQuota `{}` has {} \
                         left: {used} of {hard} are used",
                        service.name,
                        replicas(*more),
                        quota.name,
                        if used > hard { Quantity::default() } else { hard.minus(*used) },
                    ),
                    format!("kubectl describe quota {}", quota.name),
                ));
            }
        }
    }
}

/// The user may not set the count.
pub fn rights(question: &Question, findings: &mut Vec<Finding>) {
    let Some(facts) = facts(question) else {
        return;
    };
    for (service, deployed, _) in changed(question) {
        let Some(verbs) = facts.forbidden.get(&deployed.object) else {
            continue;
        };
        let Some((kind, name)) = deployed.object.split_once('/') else {
            continue;
        };
        let words: Vec<&str> = verbs.iter().map(String::as_str).collect();
        findings.push(Finding::hard(
            Rule::Rights,
            service,
            format!(
                "you may not {} the resource `{kind}s/scale` of `{name}`, so `{}` cannot be scaled",
                words.join(" or "),
                service.name
            ),
            format!(
                "have a role give you `get` and `update` of `{kind}s/scale`; see: kubectl auth can-i {} {} \
                 --subresource=scale",
                words.last().unwrap_or(&"update"),
                deployed.object
            ),
        ));
    }
}
