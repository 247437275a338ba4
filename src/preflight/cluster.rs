//! What every engine that keeps counts refuses: services that it does not have, and those whose count is not
//! theirs to be set.

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
