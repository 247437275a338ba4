//! What replicas use up together: the engine's memory, and connections to other services.

use std::collections::BTreeSet;

use super::{Finding, Question, Rule, replicas};
use crate::project::declared::Service;

/// Something that every replica of a service takes a share of.
struct Share<'a> {
    service: &'a Service,
    each: i128,
    before: i128,
    after: i128,
}

/// What all replicas take together, before and after.
struct Budget<'a> {
    /// Those of the named services; what the others take does not change.
    shares: Vec<Share<'a>>,
    before: i128,
    limit: i128,
}

impl<'a> Budget<'a> {
    fn new(
        question: &'a Question,
        before: i128,
        limit: u64,
        each: impl Fn(&Service) -> Option<u64>,
    ) -> Self {
        let shares = question
            .services()
            .filter_map(|(service, _)| {
                Some(Share {
                    service,
                    each: each(service).filter(|each| *each > 0)?.into(),
                    before: question.existing(&service.name).into(),
                    after: question.count_after(&service.name).into(),
                })
            })
            .collect();
        Self {
            shares,
            before,
            limit: limit.into(),
        }
    }

    fn after(&self) -> i128 {
        let shares = self.shares.iter();
        let growth = shares.map(|share| share.each * (share.after - share.before));
        self.before + growth.sum::<i128>()
    }

    /// The service that takes most more, when the wish is what raises the sum over the limit.
    fn excess(&self) -> Option<&Share<'a>> {
        let growth = |share: &&Share| share.each * (share.after - share.before);
        let exceeds = self.after() > self.limit && self.after() > self.before;
        self.shares.iter().max_by_key(growth).filter(|_| exceeds)
    }

    /// How many replicas of that service fit beside what the others take.
    fn room(&self, share: &Share) -> i64 {
        let left = self.limit - (self.after() - share.each * share.after);
        i64::try_from((left / share.each).max(0)).unwrap_or(i64::MAX)
    }

    /// The hint: the count that fits, where that is more than there are, or else to change a number.
    fn hint(&self, share: &Share, change: String) -> String {
        let room = self.room(share);
        if i128::from(room) > share.before {
            format!("rscale {}={room}, or {change}", share.service.name)
        } else {
            change
        }
    }
}

/// Memory limits that add up to more than the engine has.
pub fn memory(question: &Question, findings: &mut Vec<Finding>) {
    let available = question.surroundings.memory_bytes;
    if available == 0 {
        return;
    }
    let budget = Budget::new(question, question.overview.memory, available, |service| {
        service.memory_limit
    });
    let Some(share) = budget.excess() else {
        return;
    };
    let (name, room) = (&share.service.name, budget.room(share));
    findings.push(Finding::policy(
        Rule::Memory,
        share.service,
        format!(
            "the memory limits of all replicas would add up to {}, but the engine has {}; {} of `{name}` \
             would fit",
            show_bytes(budget.after()),
            show_bytes(budget.limit),
            replicas(room)
        ),
        budget.hint(
            share,
            format!(
                "lower services.{name}.deploy.resources.limits.memory (now {})",
                show_bytes(share.each)
            ),
        ),
    ));
}

/// Replicas that hold more connections to a service than it takes.
pub fn connections(question: &Question, findings: &mut Vec<Finding>) {
    // Only who holds connections can hold more.
    let targets: BTreeSet<&String> = question
        .services()
        .flat_map(|(service, _)| service.policy.connections.keys())
        .collect();
    for target in targets {
        let Some(target) = question.project.service(target) else {
            continue;
        };
        let Some(of_one) = target.policy.max_connections else {
            continue;
        };
        // Two poolers take twice as many; one that does not run yet will be one.
        let count = question.count_after(&target.name).max(1);
        let limit = u64::from(of_one) * count.unsigned_abs();
        let budget = Budget::new(
            question,
            question.overview.held(&target.name),
            limit,
            |service| {
                service
                    .policy
                    .connections
                    .get(&target.name)
                    .copied()
                    .map(u64::from)
            },
        );
        let Some(share) = budget.excess() else {
            continue;
        };
        let (name, room) = (&share.service.name, budget.room(share));
        findings.push(Finding::policy(
            Rule::Connections,
            share.service,
            format!(
                "all replicas would hold {} connections to `{target}`, which takes {limit}; {} of `{name}` \
                 would fit",
                budget.after(),
                replicas(room),
                target = target.name,
            ),
            budget.hint(
                share,
                format!(
                    "if it takes more: services.{}.x-rscale: {{max-connections: {}}}",
                    target.name,
                    (budget.after() + i128::from(count) - 1) / i128::from(count)
                ),
            ),
        ));
    }
    for (service, _) in question.services() {
        for target in service.policy.connections.keys() {
            check_target(question, service, target, findings);
        }
    }
}

/// Connections are only counted at a service that exists and says how many it takes.
fn check_target(question: &Question, service: &Service, target: &str, findings: &mut Vec<Finding>) {
    let place = format!("services.{}.x-rscale.connections", service.name);
    let (message, hint) = match question.project.service(target) {
        Some(known) if known.policy.max_connections.is_some() => return,
        Some(_) => (
            format!(
                "`{place}` counts connections to `{target}`, which does not say how many it takes"
            ),
            format!("services.{target}.x-rscale: {{max-connections: 100}}"),
        ),
        None => {
            let names = question
                .project
                .declared
                .services
                .keys()
                .map(String::as_str);
            (
                format!("`{place}` names `{target}`, which is no service, so nothing is counted"),
                match crate::suggest::nearest(target, names) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("correct or remove {place}.{target}"),
                },
            )
        }
    };
    findings.push(Finding::warning(Rule::Connections, service, message, hint));
}

/// `512 MiB`, `1.5 GiB`: powers of 1024, as Compose counts memory.
pub(super) fn show_bytes(bytes: i128) -> String {
    let (unit, size) = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .into_iter()
        .find(|(_, size)| bytes >= *size)
        .unwrap_or(("bytes", 1));
    let tenths = (bytes * 10 + size / 2) / size;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        rest => format!("{}.{rest} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;
    use super::show_bytes;

    const GIB: u64 = 1 << 30;

    #[test]
    fn refuses_more_memory_than_the_engine_has() {
        let yaml = "
services:
  web: {image: a, mem_limit: 1g}
  worker: {image: a, deploy: {resources: {limits: {memory: '536870912'}}}}
  free: {image: a}
";
        let scene = |memory| {
            Scene::new(yaml)
                .memory(memory)
                .running("web", 2)
                .running("worker", 2)
        };
        for (memory, wish, kinds) in [
            (4 * GIB, vec![("web", 3)], vec![]),
            (4 * GIB, vec![("web", 4)], vec!["error"]),
            (4 * GIB, vec![("web", 3), ("worker", 3)], vec!["error"]),
            (4 * GIB, vec![("web", 4), ("worker", 0)], vec![]),
            (2 * GIB, vec![("web", 2)], vec![]),
            (2 * GIB, vec![("web", 1)], vec![]),
            (4 * GIB, vec![("free", 99)], vec![]),
            (0, vec![("web", 99)], vec![]),
        ] {
            assert_eq!(scene(memory).kinds(Rule::Memory, &wish), kinds, "{wish:?}");
        }
        let finding = &scene(4 * GIB).found(Rule::Memory, &[("web", 9), ("worker", 3)])[0];
        assert_eq!(finding.service, "web");
        assert_eq!(
            finding.message,
            "the memory limits of all replicas would add up to 10.5 GiB, but the engine has 4 GiB; \
             2 replicas of `web` would fit"
        );
        assert_eq!(
            finding.hint,
            "lower services.web.deploy.resources.limits.memory (now 1 GiB)"
        );
    }

    #[test]
    fn refuses_more_connections_than_a_service_takes() {
        let yaml = "
services:
  db: {image: a, x-rscale: {max-connections: 20}}
  web: {image: a, x-rscale: {connections: {db: 5}}}
  worker: {image: a, x-rscale: {connections: {db: 3}}}
";
        let scene = Scene::new(yaml).running("web", 1).running("worker", 2);
        for (wish, kinds) in [
            (vec![("web", 2)], vec![]),
            (vec![("web", 3)], vec!["error"]),
            (vec![("web", 3), ("worker", 1)], vec![]),
            (vec![("worker", 5)], vec![]),
            (vec![("worker", 6)], vec!["error"]),
        ] {
            assert_eq!(scene.kinds(Rule::Connections, &wish), kinds, "{wish:?}");
        }
        let finding = &scene.found(Rule::Connections, &[("web", 6)])[0];
        assert_eq!(
            finding.message,
            "all replicas would hold 36 connections to `db`, which takes 20; 2 replicas of `web` would fit"
        );
        assert_eq!(
            finding.hint,
            "rscale web=2, or if it takes more: services.db.x-rscale: {max-connections: 36}"
        );
        let over_already = Scene::new(yaml).running("web", 6);
        assert!(
            over_already
                .found(Rule::Connections, &[("web", 5)])
                .is_empty()
        );
    }

    #[test]
    fn warns_about_connections_that_are_not_counted() {
        let scene = Scene::new(
            "services: {database: {image: a}, web: {image: a, x-rscale: {connections: {database: 5, databse: 2}}}}",
        );
        let findings = scene.found(Rule::Connections, &[("web", 2)]);
        let hints: Vec<&str> = findings
            .iter()
            .map(|finding| finding.hint.as_str())
            .collect();
        assert_eq!(
            hints,
            [
                "services.database.x-rscale: {max-connections: 100}",
                "did you mean `database`?"
            ]
        );
        assert_eq!(
            scene.kinds(Rule::Connections, &[("web", 2)]),
            ["warning", "warning"]
        );
        assert!(
            scene
                .found(Rule::Connections, &[("database", 2)])
                .is_empty()
        );
    }

    #[test]
    fn prints_sizes_for_people() {
        for (bytes, text) in [
            (1 << 30, "1 GiB"),
            (3 << 29, "1.5 GiB"),
            (64 << 20, "64 MiB"),
            (2048, "2 KiB"),
            (12, "12 bytes"),
        ] {
            assert_eq!(show_bytes(bytes), text);
        }
    }

    #[test]
    fn each_replica_of_the_target_takes_connections() {
        let yaml = "services: {web: {image: a, x-rscale: {connections: {pool: 10}}}, \
                    pool: {image: b, x-rscale: {max-connections: 25}}}";
        for (pools, count, kinds) in [
            (1, 3, vec!["error"]),
            (2, 3, vec![]),
            (2, 6, vec!["error"]),
            (0, 2, vec![]),
        ] {
            let scene = Scene::new(yaml).running("web", 1).running("pool", pools);
            let found = scene.kinds(Rule::Connections, &[("web", count)]);
            assert_eq!(found, kinds, "{pools} pools, {count}");
        }
        // The pool may grow in the same scale.
        let scene = Scene::new(yaml).running("web", 1).running("pool", 1);
        let both = [("web", 5), ("pool", 2)];
        assert_eq!(scene.kinds(Rule::Connections, &both), [""; 0]);
        let [finding] = &scene.found(Rule::Connections, &[("web", 6), ("pool", 2)])[..] else {
            panic!("one finding");
        };
        assert!(
            finding.hint.contains("max-connections: 30"),
            "{}",
            finding.hint
        );
    }
}
