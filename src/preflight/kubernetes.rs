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

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;
    use crate::project::cluster::kubernetes::{
        Autoscaler, Budget, Facts, PodTemplate, Quota, Selector,
    };
    use crate::project::cluster::quantity::Quantity;
    use crate::project::cluster::{Deployed, Update};

    fn amount(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    /// `web` and `api` with three replicas each, 100m of cpu per pod.
    fn scene(facts: Facts, change: impl FnOnce(&mut Deployed)) -> Scene {
        let deployed = |service: &str| Deployed {
            service: service.into(),
            object: format!("deployment/{service}"),
            count: 3,
            grace: Some(std::time::Duration::from_secs(30)),
            pod: PodTemplate {
                labels: [("app".to_owned(), service.to_owned())].into(),
                requests: [("cpu".to_owned(), amount("100m"))].into(),
                ..PodTemplate::default()
            },
            ..Deployed::default()
        };
        let mut web = deployed("web");
        change(&mut web);
        let yaml = "services: {web: {image: a}, api: {image: a, x-rscale: {stop-timeout: 60s}}}";
        Scene::new(yaml)
            .in_cluster(vec![web, deployed("api")], facts)
            .running("web", 3)
            .running("api", 3)
    }

    #[test]
    fn an_autoscaler_would_undo_every_count_but_none() {
        let facts = |scaled_object: Option<&str>| Facts {
            autoscalers: vec![Autoscaler {
                name: "web-hpa".into(),
                target: "deployment/web".into(),
                min: 2,
                max: 6,
                scaled_object: scaled_object.map(str::to_owned),
            }],
            ..Facts::default()
        };
        let of_hpa = scene(facts(None), |_| ());
        for (wish, kinds) in [
            ([("web", 4)], &["error"][..]),
            ([("web", 2)], &["error"]),
            ([("web", 0)], &["warning"]),
            ([("web", 3)], &[]),
            ([("api", 4)], &[]),
        ] {
            assert_eq!(of_hpa.kinds(Rule::Autoscaler, &wish), kinds, "{wish:?}");
        }
        let finding = &of_hpa.found(Rule::Autoscaler, &[("web", 8)])[0];
        assert!(finding.message.contains("`web-hpa` (2 to 6 replicas)"));
        assert!(
            finding
                .hint
                .contains(r#"{"spec":{"minReplicas":8,"maxReplicas":8}}"#)
        );
        let keda = scene(facts(Some("web-so")), |_| ());
        let finding = &keda.found(Rule::Autoscaler, &[("web", 0)])[0];
        assert!(finding.policy && finding.message.contains("ScaledObject `web-so`"));
        assert!(finding.hint.contains("paused-replicas=0"), "{finding:?}");
    }

    #[test]
    fn a_budget_warns_of_too_few_that_stay() {
        let facts = Facts {
            budgets: vec![Budget {
                name: "both".into(),
                min_available: 5,
                selector: Selector::default(),
            }],
            ..Facts::default()
        };
        let scene = scene(facts, |_| ());
        for (wish, kinds) in [
            (&[("web", 2)][..], &[][..]),
            (&[("web", 1)], &["warning"]),
            (&[("web", 1), ("api", 4)], &[]),
            (&[("web", 0)], &[]),
        ] {
            assert_eq!(scene.kinds(Rule::DisruptionBudget, wish), kinds, "{wish:?}");
        }
    }

    #[test]
    fn a_quota_is_reckoned_over_all_that_grows() {
        let facts = Facts {
            quotas: vec![Quota {
                name: "small".into(),
                bounds: [
                    ("pods".to_owned(), (amount("6"), amount("10"))),
                    ("requests.cpu".to_owned(), (amount("600m"), amount("0.9"))),
                    ("requests.memory".to_owned(), (amount("1Gi"), amount("1Gi"))),
                ]
                .into(),
            }],
            ..Facts::default()
        };
        let scene = scene(facts, |_| ());
        for (wish, kinds) in [
            (&[("web", 6)][..], &[][..]),
            (&[("web", 7)], &["error!"]),
            (&[("web", 5), ("api", 5)], &["error!", "error!"]),
            // What goes leaves its place only later.
            (&[("web", 7), ("api", 1)], &["error!"]),
            (&[("web", 8)], &["error!", "error!"]),
            (&[("web", 1)], &[]),
        ] {
            assert_eq!(scene.kinds(Rule::Quota, wish), kinds, "{wish:?}");
        }
        assert_eq!(
            scene.found(Rule::Quota, &[("web", 7)])[0].message,
            "`web` needs 400m of `requests.cpu` for 4 replicas more, and the ResourceQuota `small` has 300m left: \
             600m of 900m are used"
        );
        let both = scene.found(Rule::Quota, &[("web", 5), ("api", 5)]);
        assert!(both[0].message.contains("beside `web`"), "{both:?}");
    }

    #[test]
    fn missing_rights_are_named() {
        let facts = Facts {
            forbidden: [(
                "deployment/web".to_owned(),
                ["get", "update"].map(str::to_owned).into(),
            )]
            .into(),
            ..Facts::default()
        };
        let scene = scene(facts, |_| ());
        assert_eq!(scene.kinds(Rule::Rights, &[("web", 4)]), ["error!"]);
        assert!(
            scene
                .kinds(Rule::Rights, &[("web", 3), ("api", 4)])
                .is_empty()
        );
        let finding = &scene.found(Rule::Rights, &[("web", 4)])[0];
        assert!(
            finding
                .message
                .contains("get or update the resource `deployments/scale`")
        );
    }

    #[test]
    fn a_rollout_that_is_stuck_and_a_grace_that_is_not_the_pods_are_told() {
        let stuck = Update {
            stuck: Some("is paused".into()),
        };
        let scene = scene(Facts::default(), |web| web.update = Some(stuck));
        assert_eq!(scene.kinds(Rule::Rollout, &[("web", 4)]), ["warning"]);
        assert!(
            scene
                .kinds(Rule::Rollout, &[("web", 3), ("api", 4)])
                .is_empty()
        );
        // `api` has a policy of 60s, and its pods 30s.
        assert_eq!(
            scene.kinds(Rule::StopTimeout, &[("api", 2), ("web", 2)]),
            ["error"]
        );
        assert!(scene.kinds(Rule::StopTimeout, &[("api", 4)]).is_empty());
        let typed = scene.stop_timeout(30);
        assert!(
            typed
                .kinds(Rule::StopTimeout, &[("api", 2), ("web", 2)])
                .is_empty()
        );
        let typed = typed.stop_timeout(10);
        assert_eq!(
            typed
                .kinds(Rule::StopTimeout, &[("api", 2), ("web", 2)])
                .len(),
            2
        );
    }
}
