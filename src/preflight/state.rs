//! What runs already: paused and unhealthy replicas, and profiles that hide a service.

use std::collections::BTreeSet;

use super::{Finding, Question, Rule};
use crate::project::declared::Service;
use crate::project::observed::{Health, Replica, State};

/// A paused replica, which Compose counts but neither starts nor replaces.
pub fn paused(question: &Question, findings: &mut Vec<Finding>) {
    for (service, _) in question.services() {
        let name = &service.name;
        let paused = names(question, name, |replica| replica.state == State::Paused);
        if !paused.is_empty() {
            findings.push(Finding::hard(
                Rule::Paused,
                service,
                format!(
                    "{} paused, so Compose would count what does not work",
                    are(&paused)
                ),
                format!("docker compose unpause {name}"),
            ));
        }
    }
}

/// A service that grows, or stays as it is, while a running replica of it is unhealthy.
pub fn unhealthy(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.services() {
        let name = &service.name;
        let existing = question.existing(name);
        let unhealthy = names(question, name, |replica| {
            replica.is_running() && replica.health == Some(Health::Unhealthy)
        });
        if count == existing && !unhealthy.is_empty() {
            findings.push(Finding::warning(
                Rule::Unhealthy,
                service,
                format!(
                    "{} unhealthy: the count is the one asked for, but not every replica serves",
                    are(&unhealthy)
                ),
                format!("docker compose restart {name}"),
            ));
        }
        if count > existing && !unhealthy.is_empty() {
            findings.push(Finding::warning(
                Rule::Unhealthy,
                service,
                format!(
                    "{} unhealthy already: the service is not done while that lasts, but new replicas \
                     are not rolled back for it",
                    are(&unhealthy)
                ),
                format!(
                    "docker compose restart {name}, or first rscale {name}={}: unhealthy replicas go \
                     first",
                    (existing - i64::try_from(unhealthy.len()).unwrap_or(existing)).max(0)
                ),
            ));
        }
    }
}

/// A required dependency in a profile that is off, and a named service that is itself in one.
pub fn profile(question: &Question, findings: &mut Vec<Finding>) {
    let activated: BTreeSet<&str> = question
        .services()
        .flat_map(|(service, _)| service.profiles.iter().map(String::as_str))
        .collect();
    for (service, count) in question.services() {
        if count > question.existing(&service.name)
            && let Some((dependent, hidden)) = hidden_dependency(question, service, &activated)
        {
            let profile = hidden.profiles.join("` or `");
            findings.push(Finding::hard(
                Rule::Profile,
                service,
                format!(
                    "`{dependent}` depends on `{}`, which is in profile `{profile}`, and that is not \
                     active",
                    hidden.name
                ),
                format!(
                    "rscale --profile {} {}={count}",
                    first_profile(hidden),
                    service.name
                ),
            ));
        }
        if count > 0 && !question.project.is_active(service) {
            let profile = service.profiles.join("` or `");
            findings.push(Finding::warning(
                Rule::Profile,
                service,
                format!(
                    "`{}` is in profile `{profile}`, which is not active: a plain `docker compose up` or \
                     `down` does not see its replicas",
                    service.name
                ),
                format!("docker compose --profile {} down", first_profile(service)),
            ));
        }
    }
}

/// The first required dependency, direct or not, that no active profile shows, and who needs it.
fn hidden_dependency<'a>(
    question: &'a Question,
    service: &'a Service,
    activated: &BTreeSet<&str>,
) -> Option<(&'a str, &'a Service)> {
    if question.project.declared.inactive.is_empty() {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut open = vec![service];
    while let Some(dependent) = open.pop() {
        let required = dependent
            .depends_on
            .iter()
            .filter(|(_, how)| how.required)
            .filter_map(|(name, _)| question.project.service(name));
        for dependency in required {
            let visible = question.project.is_active(dependency)
                || dependency
                    .profiles
                    .iter()
                    .any(|profile| activated.contains(profile.as_str()));
            if !visible {
                return Some((&dependent.name, dependency));
            }
            if seen.insert(&dependency.name) {
                open.push(dependency);
            }
        }
    }
    None
}

/// A profile that would show the service.
fn first_profile(service: &Service) -> &str {
    service.profiles.first().map_or("", String::as_str)
}

fn names<'a>(
    question: &'a Question,
    service: &str,
    which: impl Fn(&Replica) -> bool,
) -> Vec<&'a str> {
    question
        .project
        .replicas(service)
        .iter()
        .filter(|replica| which(replica))
        .map(|replica| replica.name.as_str())
        .collect()
}

/// `` `web-1` is ``, `` `web-1` and `web-2` are ``.
fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("`{}` {verb}", names.join("` and `"))
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;
    use crate::project::observed::{Health, State};

    const WEB: &str = "services: {web: {image: a}, db: {image: a}}";

    #[test]
    fn refuses_while_a_replica_is_paused() {
        let scene = Scene::new(WEB)
            .running("web", 1)
            .replica("web", |replica| replica.state = State::Paused);
        for count in [0, 1, 2, 3] {
            assert_eq!(scene.kinds(Rule::Paused, &[("web", count)]), ["error!"]);
        }
        let finding = &scene.found(Rule::Paused, &[("web", 3)])[0];
        assert_eq!(
            finding.message,
            "`shop-web-2` is paused, so Compose would count what does not work"
        );
        assert_eq!(finding.hint, "docker compose unpause web");
        assert!(scene.found(Rule::Paused, &[("db", 3)]).is_empty());
    }

    #[test]
    fn warns_when_a_service_grows_or_stays_beside_an_unhealthy_replica() {
        let sick = |state, health| {
            Scene::new(WEB).running("web", 1).replica("web", |replica| {
                replica.state = state;
                replica.health = health;
            })
        };
        for (state, health, count, kinds) in [
            (State::Running, Some(Health::Unhealthy), 3, vec!["warning"]),
            (State::Running, Some(Health::Unhealthy), 1, vec![]),
            (State::Running, Some(Health::Unhealthy), 2, vec!["warning"]),
            (State::Running, Some(Health::Starting), 3, vec![]),
            (State::Exited, None, 3, vec![]),
        ] {
            let found = sick(state, health).kinds(Rule::Unhealthy, &[("web", count)]);
            assert_eq!(found, kinds, "{state:?} {health:?} -> {count}");
        }
        let scene = sick(State::Running, Some(Health::Unhealthy));
        let finding = &scene.found(Rule::Unhealthy, &[("web", 3)])[0];
        assert!(
            finding
                .message
                .starts_with("`shop-web-2` is unhealthy already")
        );
        assert!(finding.hint.contains("rscale web=1"), "{}", finding.hint);
        let unchanged = &scene.found(Rule::Unhealthy, &[("web", 2)])[0];
        assert_eq!(unchanged.hint, "docker compose restart web");
    }

    #[test]
    fn refuses_when_a_required_dependency_is_in_a_profile_that_is_off() {
        let yaml = |dependency: &str, of_web: &str| {
            format!(
                "services:
  web: {{image: a, {of_web} depends_on: {{mid: {{condition: service_started}}}}}}
  mid: {{image: a, depends_on: {{tracer: {dependency}}}}}
  tracer: {{image: a, profiles: [debug, trace]}}
"
            )
        };
        let required = "{condition: service_started, required: true}";
        let optional = "{condition: service_started, required: false}";
        let wish = [("web", 2)];
        for (name, scene, kinds) in [
            ("off", Scene::new(&yaml(required, "")), vec!["error!"]),
            ("optional", Scene::new(&yaml(optional, "")), vec![]),
            (
                "active",
                Scene::new(&yaml(required, "")).profile("trace"),
                vec![],
            ),
            (
                "activated by the name of a service in it",
                Scene::new(&yaml(required, "profiles: [debug],")),
                vec!["warning"],
            ),
            (
                "a scale-down",
                Scene::new(&yaml(required, "")).running("web", 3),
                vec![],
            ),
        ] {
            assert_eq!(scene.kinds(Rule::Profile, &wish), kinds, "{name}");
        }
        let finding = &Scene::new(&yaml(required, "")).found(Rule::Profile, &wish)[0];
        assert_eq!(
            finding.message,
            "`mid` depends on `tracer`, which is in profile `debug` or `trace`, and that is not active"
        );
        assert_eq!(finding.hint, "rscale --profile debug web=2");
    }

    #[test]
    fn warns_that_plain_compose_does_not_see_a_service_of_an_inactive_profile() {
        let scene = Scene::new("services: {web: {image: a, profiles: [debug]}}");
        let findings = scene.found(Rule::Profile, &[("web", 1)]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].hint, "docker compose --profile debug down");
        assert!(scene.found(Rule::Profile, &[("web", 0)]).is_empty());
        let active = scene.profile("debug");
        assert!(active.found(Rule::Profile, &[("web", 1)]).is_empty());
    }
}
