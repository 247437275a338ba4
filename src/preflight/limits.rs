//! What the user set a limit to: counts below zero, `x-rscale` limits, `--current-replicas`.

use super::{Finding, Question, Rule, replicas};
use crate::project::target::COUNT_LIMIT;

/// A relative wish that takes away more replicas than there are.
pub fn below_zero(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.services().filter(|(_, count)| *count < 0) {
        let name = &service.name;
        let existing = question.existing(name);
        findings.push(Finding::hard(
            Rule::Limits,
            service,
            format!(
                "`{name}` has {}, and {} fewer would leave {count}",
                replicas(existing),
                existing - count
            ),
            format!("rscale {name}=0"),
        ));
    }
}

/// More replicas than anybody means: a relative wish can come out there, too.
pub fn too_many(question: &Question, findings: &mut Vec<Finding>) {
    let limit = i64::from(COUNT_LIMIT);
    for (service, count) in question.multiplied().filter(|(_, count)| *count > limit) {
        let name = &service.name;
        findings.push(Finding::policy(
            Rule::Limits,
            service,
            format!(
                "{} of `{name}` asked for, more than {COUNT_LIMIT}",
                replicas(count)
            ),
            format!("if that is meant: rscale --force {name}={count}"),
        ));
    }
}

/// Counts outside `min` and `max`, or other than 1 with `scalable: false`.
///
/// A count that is on the way back into the limits only warns.
pub fn policy_limits(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.services().filter(|(_, count)| *count >= 0) {
        let (name, policy) = (&service.name, &service.policy);
        let existing = question.existing(name);
        let mut report = |refused: bool, message: String, hint: String| {
            let make = if refused {
                Finding::policy
            } else {
                Finding::warning
            };
            findings.push(make(Rule::Limits, service, message, hint));
        };
        if policy.scalable == Some(false) && count != 1 {
            report(
                count > existing.max(1) || (count == 0 && existing > 0),
                format!(
                    "{} of `{name}` asked for, but `x-rscale` says `scalable: false`: exactly 1",
                    replicas(count)
                ),
                format!(
                    "rscale {name}=1, or take `scalable: false` out of services.{name}.x-rscale"
                ),
            );
        }
        if let Some(max) = policy.max.map(i64::from)
            && count > max
        {
            report(
                count > existing,
                format!(
                    "{} of `{name}` asked for, but `x-rscale` allows at most {max}",
                    replicas(count)
                ),
                format!("rscale {name}={max}, or services.{name}.x-rscale: {{max: {count}}}"),
            );
        }
        if let Some(min) = policy.min.map(i64::from)
            && count < min
        {
            report(
                count < existing,
                format!(
                    "{} of `{name}` asked for, but `x-rscale` wants at least {min}",
                    replicas(count)
                ),
                format!("rscale {name}={min}, or services.{name}.x-rscale: {{min: {count}}}"),
            );
        }
    }
}

/// `--current-replicas`: a named service that has another count now, as somebody else scaled it.
pub fn current_replicas(question: &Question, findings: &mut Vec<Finding>) {
    let Some(expected) = question.current_replicas.map(i64::from) else {
        return;
    };
    for (service, _) in question.services() {
        let existing = question.existing(&service.name);
        if existing != expected {
            findings.push(Finding::hard(
                Rule::CurrentReplicas,
                service,
                format!(
                    "`{}` has {}, but `--current-replicas` expects {expected}",
                    service.name,
                    replicas(existing)
                ),
                format!("look at what runs: rscale status {}", service.name),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;

    #[test]
    fn a_relative_wish_over_a_thousand_wants_force() {
        let scene = Scene::new("services: {web: {image: a}}").running("web", 2);
        let findings = scene.found(Rule::Limits, &[("web", 1001)]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].policy);
        assert!(scene.found(Rule::Limits, &[("web", 1000)]).is_empty());
    }

    #[test]
    fn refuses_to_take_away_more_than_there_are() {
        let scene = Scene::new("services: {web: {image: a, x-rscale: {min: 1}}}").running("web", 2);
        let findings = scene.found(Rule::Limits, &[("web", -1)]);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].message,
            "`web` has 2 replicas, and 3 fewer would leave -1"
        );
        assert_eq!(findings[0].hint, "rscale web=0");
        assert!(!findings[0].policy);
        let free = Scene::new("services: {web: {image: a}}").running("web", 2);
        assert!(free.found(Rule::Limits, &[("web", 0)]).is_empty());
    }

    #[test]
    fn keeps_to_the_limits_of_the_policy() {
        for (policy, existing, count, kinds) in [
            ("max: 3", 1, 3, vec![]),
            ("max: 3", 1, 4, vec!["error"]),
            ("max: 3", 6, 5, vec!["warning"]),
            ("max: 3", 6, 2, vec![]),
            ("min: 2", 3, 2, vec![]),
            ("min: 2", 3, 1, vec!["error"]),
            ("min: 2", 3, 0, vec!["error"]),
            ("min: 2", 0, 1, vec!["warning"]),
            ("min: 2", 1, 1, vec!["warning"]),
            ("scalable: false", 0, 1, vec![]),
            ("scalable: false", 0, 2, vec!["error"]),
            ("scalable: false", 1, 2, vec!["error"]),
            ("scalable: false", 1, 0, vec!["error"]),
            ("scalable: false", 5, 1, vec![]),
            ("scalable: false", 5, 3, vec!["warning"]),
            ("scalable: false", 0, 0, vec!["warning"]),
            ("scalable: false, max: 3", 1, 4, vec!["error", "error"]),
            ("scalable: true", 1, 9, vec![]),
        ] {
            let scene = Scene::new(&format!(
                "services: {{web: {{image: a, x-rscale: {{{policy}}}}}}}"
            ))
            .running("web", existing);
            let found = scene.kinds(Rule::Limits, &[("web", count)]);
            assert_eq!(found, kinds, "{policy}: {existing} -> {count}");
        }
    }

    #[test]
    fn names_the_limit_and_both_ways_out() {
        let scene = Scene::new("services: {web: {image: a, x-rscale: {max: 3}}}");
        let finding = &scene.found(Rule::Limits, &[("web", 4)])[0];
        assert_eq!(
            finding.message,
            "4 replicas of `web` asked for, but `x-rscale` allows at most 3"
        );
        assert_eq!(
            finding.hint,
            "rscale web=3, or services.web.x-rscale: {max: 4}"
        );
    }

    #[test]
    fn refuses_when_the_current_count_is_not_the_expected_one() {
        let yaml = "services: {web: {image: a}, db: {image: a}}";
        let wish = [("web", 3), ("db", 2)];
        let expecting = |count| Scene::new(yaml).running("web", 2).current_replicas(count);
        let findings = expecting(2).found(Rule::CurrentReplicas, &wish);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].message,
            "`db` has 0 replicas, but `--current-replicas` expects 2"
        );
        assert_eq!(
            expecting(5).kinds(Rule::CurrentReplicas, &wish),
            ["error!", "error!"]
        );
        let not_asked = Scene::new(yaml).running("web", 2);
        assert!(not_asked.found(Rule::CurrentReplicas, &wish).is_empty());
    }
}
