//! What every engine that keeps counts refuses or warns of: services that it does not have, those whose count is not
//! theirs to be set, updates under way, a grace that is not theirs.

use std::time::Duration;

use super::{Finding, Question, Rule};
use crate::project::declared::EngineName;

/// A service of the compose file that the engine does not have.
pub fn not_deployed(question: &Question, findings: &mut Vec<Finding>) {
    let project = question.project;
    for (service, _) in question.services() {
        if project.deployed.contains_key(&service.name) {
            continue;
        }
        let (what, hint) = match project.engine {
            EngineName::Kubernetes => (
                "the namespace has no Deployment or StatefulSet of that name or with that \
                 `io.kompose.service` label",
                "kubectl get deployments,statefulsets --show-labels".to_owned(),
            ),
            _ => (
                "the stack has no such service",
                format!(
                    "docker stack deploy --compose-file compose.yaml {}",
                    project.name()
                ),
            ),
        };
        let message = format!("`{}` is in the compose file, but {what}", service.name);
        findings.push(Finding::hard(Rule::NotDeployed, service, message, hint));
    }
}

/// A service that runs once on each node, or is a job.
pub fn fixed_count(question: &Question, findings: &mut Vec<Finding>) {
    for (service, _) in question.services() {
        let deployed = question.project.deployed.get(&service.name);
        if let Some(why) = deployed.and_then(|deployed| deployed.fixed.as_ref()) {
            findings.push(Finding::hard(
                Rule::FixedCount,
                service,
                format!("`{}` {why}, so it has no count to set", service.name),
                format!(
                    "to have a count it needs `deploy: {{mode: replicated}}` in services.{}",
                    service.name
                ),
            ));
        }
    }
}

/// Replicas are being replaced by newer ones while the count changes.
pub fn rollout(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.services() {
        let name = &service.name;
        let Some(deployed) = question.project.deployed.get(name) else {
            continue;
        };
        let Some(update) = &deployed.update else {
            continue;
        };
        if count == i64::from(deployed.count) {
            continue;
        }
        let hint = match question.project.engine {
            EngineName::Kubernetes => format!("kubectl rollout status {}", deployed.object),
            _ => format!("docker service ps {}", deployed.object),
        };
        let drained = count < i64::from(deployed.count) && service.policy.drain.is_some();
        let message = match &update.stuck {
            Some(stuck) => {
                format!("the rollout of `{name}` {stuck}; new replicas may not come up either")
            }
            None if drained => format!(
                "`{name}` is at a rollout, which has a say in which replicas go: others than the drained ones may"
            ),
            None => continue,
        };
        findings.push(Finding::warning(Rule::Rollout, service, message, hint));
    }
}

/// What replicas have whose service says nothing.
fn usual_grace(engine: EngineName) -> Duration {
    Duration::from_secs(match engine {
        EngineName::Kubernetes => 30,
        EngineName::Compose | EngineName::Swarm => 10,
    })
}

/// A grace other than the one that the replicas were made with.
pub fn stop_timeout(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.services() {
        let name = &service.name;
        let deployed = question.project.deployed.get(name);
        let Some(deployed) = deployed else {
            continue;
        };
        let has = deployed
            .grace
            .unwrap_or_else(|| usual_grace(question.project.engine));
        let policy = service.policy.stop_timeout;
        let Some(asked) = question.stop_timeout.or(policy) else {
            continue;
        };
        if asked == has || count >= i64::from(deployed.count) {
            continue;
        }
        let (engine, whose, export) = match question.project.engine {
            EngineName::Kubernetes => (
                "Kubernetes",
                "`terminationGracePeriodSeconds` of the pods",
                "kubernetes",
            ),
            _ => ("Swarm", "`stop_grace_period` of the service", "swarm"),
        };
        let typed = if question.stop_timeout.is_some() {
            "`--stop-timeout`"
        } else {
            "`stop-timeout`"
        };
        findings.push(Finding::policy(
            Rule::StopTimeout,
            service,
            format!(
                "{typed} asks for {} and replicas of `{name}` have {}: on {engine} the {whose} decides",
                crate::duration::show(asked),
                crate::duration::show(has)
            ),
            format!("deploy it with that grace: rscale export {export}"),
        ));
    }
}
