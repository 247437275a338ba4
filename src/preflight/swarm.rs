//! What Swarm cannot do: place replicas where no node takes them, choose which ones go, run something inside of those
//! on other nodes.

use std::time::Duration;

use super::resources::show_bytes;
use super::{Finding, Question, Rule, balancers, replicas, room};
use crate::plan::drain;
use crate::project::cluster::{Deployed, Machine};
use crate::project::declared::Service;
use crate::project::observed::Replica;

/// Between the end signal and the kill, where a service says nothing: `docker service create --help`.
const OWN_GRACE: Duration = Duration::from_secs(10);
/// Nodes that a message names; of more only the number is told.
const NAMED_NODES: usize = 4;

/// The services that are to grow, as they are deployed, and the counts wished for.
fn growing<'q>(question: &'q Question) -> impl Iterator<Item = (&'q Service, &'q Deployed, i64)> {
    question
        .services()
        .filter(|(service, count)| *count > question.existing(&service.name))
        .filter_map(|(service, count)| {
            let deployed = question.project.deployed.get(&service.name)?;
            (deployed.fixed.is_none()).then_some((service, deployed, count))
        })
}

fn shrinking<'q>(question: &'q Question) -> impl Iterator<Item = &'q Service> {
    let services = question.services();
    services
        .filter(|(service, count)| *count < question.existing(&service.name))
        .map(|(service, _)| service)
}

fn machines<'q>(question: &'q Question) -> &'q [Machine] {
    let facts = question.surroundings.facts.as_ref();
    facts.map_or(&[], |facts| &facts.machines)
}

/// How many replicas there can be: those that run, and those that the nodes still take.
fn possible(service: &Deployed, machines: &[Machine], room: impl Fn(&Machine) -> u32) -> i64 {
    let on = |machine| i64::from(room::placed(service, machine)) + i64::from(room(machine));
    machines.iter().map(on).sum()
}

/// Fewer nodes take a replica than are needed for as many as are wished.
pub fn placement(question: &Question, findings: &mut Vec<Finding>) {
    let nodes = &question.project.nodes;
    let takes_none = !nodes.is_empty() && !nodes.iter().any(|node| node.schedulable);
    for (service, deployed, count) in growing(question) {
        let name = &service.name;
        if takes_none {
            let states = nodes
                .iter()
                .map(|node| format!("{} ({})", node.name, node.state));
            findings.push(Finding::policy(
                Rule::Placement,
                service,
                format!(
                    "no node takes a replica of `{name}`: {}",
                    named(states.collect())
                ),
                format!("docker node update --availability active {}", nodes[0].name),
            ));
            continue;
        }
        let machines = machines(question);
        let room = |machine: &Machine| room::by_placement(deployed, machine).unwrap_or(0);
        let possible = possible(deployed, machines, room);
        if !machines.is_empty() && possible < count {
            let message = format!(
                "`{name}` is to have {}, but {}: {}",
                replicas(count),
                fit(possible),
                because(deployed, machines)
            );
            findings.push(Finding::policy(
                Rule::Placement,
                service,
                message,
                advice(question, name, deployed, possible),
            ));
        }
    }
}

fn fit(count: i64) -> String {
    match count {
        0 => "none fits".into(),
        1 => "only 1 fits".into(),
        _ => format!("only {count} fit"),
    }
}

fn because(deployed: &Deployed, machines: &[Machine]) -> String {
    let ready = machines
        .iter()
        .filter(|machine| machine.schedulable)
        .count();
    let eligible: Vec<&Machine> = machines
        .iter()
        .filter(|machine| room::by_placement(deployed, machine).is_some())
        .collect();
    let placement = &deployed.placement;
    let takes = match (ready == machines.len(), ready) {
        (true, 1) => "this one takes replicas".to_owned(),
        (true, _) => "all take replicas".to_owned(),
        (false, 1) => "1 takes replicas".to_owned(),
        (false, _) => format!("{ready} take replicas"),
    };
    let mut because = vec![format!("of {} {takes}", nodes(machines.len()))];
    if eligible.len() < ready {
        let constraints = placement.constraints.iter().map(|one| format!("`{one}`"));
        let platforms = placement.platforms.iter();
        let platforms =
            platforms.map(|(os, architecture)| format!("the platform {os}/{architecture}"));
        let wanted: Vec<String> = constraints.chain(platforms).collect();
        let verb = if eligible.len() == 1 {
            "satisfies"
        } else {
            "satisfy"
        };
        because.push(format!(
            "{} {verb} {}",
            eligible.len(),
            wanted.join(" and ")
        ));
    }
    let mut ports = deployed
        .ports
        .iter()
        .filter(|port| port.by_node && port.published != 0);
    match (ports.next(), placement.most_per_node) {
        (Some(port), _) => {
            because.push(format!(
                "each has its port {} once (mode: host)",
                port.published
            ));
        }
        (None, Some(most)) => because.push(format!("each at most {most} (max_replicas_per_node)")),
        (None, None) => {}
    }
    because.join(", ")
}

fn advice(question: &Question, name: &str, deployed: &Deployed, possible: i64) -> String {
    let machines = machines(question);
    let takes =
        |machine: &Machine| room::by_placement(deployed, machine).is_some_and(|room| room > 0);
    let idle = question
        .project
        .nodes
        .iter()
        .filter(|node| !node.schedulable)
        .find(|node| {
            machines.iter().any(|machine| {
                let awake = Machine {
                    schedulable: true,
                    ..machine.clone()
                };
                machine.name == node.name && takes(&awake)
            })
        });
    let labels = deployed.placement.constraints.iter().filter_map(|one| {
        let (key, value) = one.split_once("==")?;
        let label = key.trim().strip_prefix("node.labels.")?;
        Some((label, value.trim()))
    });
    let labels: Vec<(&str, &str)> = labels.collect();
    let outsider = machines
        .iter()
        .filter(|machine| !takes(machine))
        .find(|machine| {
            let mut labelled = (*machine).clone();
            let pairs = labels.iter();
            let pairs =
                pairs.map(|(label, value)| (format!("node.labels.{label}"), (*value).to_owned()));
            labelled.traits.extend(pairs);
            takes(&labelled)
        });
    let fewer = match possible {
        0 => String::new(),
        _ => format!("; or rscale {name}={possible}"),
    };
    match (idle, outsider) {
        (Some(node), _) if node.ready => format!(
            "have {0} take replicas again: docker node update --availability active {0}{fewer}",
            node.name
        ),
        (Some(node), _) => format!(
            "see why {0} does not answer: docker node inspect --pretty {0}{fewer}",
            node.name
        ),
        (None, Some(outsider)) => {
            let labels = labels.iter();
            let labels = labels.map(|(label, value)| format!("--label-add {label}={value}"));
            let labels: Vec<String> = labels.collect();
            format!(
                "let another node take it: docker node update {} {}{fewer}",
                labels.join(" "),
                outsider.name
            )
        }
        _ => {
            format!("change services.{name}.deploy.placement or its ports, and deploy again{fewer}")
        }
    }
}

/// What replicas reserve is more than the nodes have left: counted node by node, as a replica is not split.
pub fn capacity(question: &Question, findings: &mut Vec<Finding>) {
    let machines = machines(question);
    if machines.is_empty() {
        return;
    }
    let mut together = Vec::new();
    for (service, deployed, count) in growing(question) {
        let by_placement = |machine: &Machine| room::by_placement(deployed, machine).unwrap_or(0);
        if possible(deployed, machines, by_placement) < count {
            continue;
        }
        let possible = possible(deployed, machines, |machine| room::on(deployed, machine));
        if possible < count {
            findings.push(too_little(service, deployed, machines, count, possible));
        } else {
            together.push((service, deployed, count));
        }
    }
    if together.len() > 1 {
        crowded(together, machines, findings);
    }
}

fn too_little(
    service: &Service,
    deployed: &Deployed,
    machines: &[Machine],
    count: i64,
    possible: i64,
) -> Finding {
    let name = &service.name;
    let reserved = deployed.placement.reserved;
    let eligible = machines
        .iter()
        .filter(|machine| room::by_placement(deployed, machine).is_some());
    let free = eligible.map(|machine| {
        let (all, taken) = (machine.resources, machine.taken);
        let left = figures(
            all.nano_cpus.saturating_sub(taken.nano_cpus),
            all.memory_bytes.saturating_sub(taken.memory_bytes),
            deployed,
        );
        format!("{left} on {}", machine.name)
    });
    Finding::policy(
        Rule::Capacity,
        service,
        format!(
            "`{name}` is to have {}, but {}: each reserves {}, and not reserved is {}",
            replicas(count),
            fit(possible),
            figures(reserved.nano_cpus, reserved.memory_bytes, deployed),
            named(free.collect())
        ),
        format!(
            "lower services.{name}.deploy.resources.reservations and deploy again{}",
            if possible == 0 {
                String::new()
            } else {
                format!("; or rscale {name}={possible}")
            }
        ),
    )
}

/// What a service reserves of, in words.
fn figures(nano_cpus: u64, memory_bytes: u64, deployed: &Deployed) -> String {
    let reserved = deployed.placement.reserved;
    let hundredths = nano_cpus / 10_000_000;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let cpus = format!("{whole}.{part:02}");
    let cpus = cpus.trim_end_matches('0').trim_end_matches('.');
    let cpus = format!("{cpus} CPU{}", if cpus == "1" { "" } else { "s" });
    match (reserved.nano_cpus > 0, reserved.memory_bytes > 0) {
        (true, true) => format!("{cpus} and {}", show_bytes(memory_bytes.into())),
        (true, false) => cpus,
        _ => format!("{} of memory", show_bytes(memory_bytes.into())),
    }
}

/// Each would fit without the others.
fn crowded(
    mut services: Vec<(&Service, &Deployed, i64)>,
    machines: &[Machine],
    findings: &mut Vec<Finding>,
) {
    // What is hard to place is placed first.
    services.sort_by_key(|(_, deployed, _)| {
        let reserved = deployed.placement.reserved;
        std::cmp::Reverse((reserved.memory_bytes, reserved.nano_cpus))
    });
    let mut machines = machines.to_vec();
    for (service, deployed, count) in &services {
        let placed = possible(deployed, &machines, |_| 0);
        let more = u32::try_from(count - placed).unwrap_or(0);
        let left = room::place(deployed, more, &mut machines);
        if left == 0 {
            continue;
        }
        let name = &service.name;
        let others = services.iter().map(|(other, ..)| &other.name);
        let others = others.filter(|other| *other != name);
        let others: Vec<String> = others.map(|other| format!("`{other}`")).collect();
        let message = format!(
            "beside {} there may be no room for {} of `{name}`: each alone would fit, by what they reserve and \
             where they may run",
            others.join(" and "),
            replicas(left.into())
        );
        let hint = format!("rscale {name}={}", count - i64::from(left));
        findings.push(Finding::policy(Rule::Capacity, service, message, hint));
    }
}

/// Swarm chooses which replicas go, and runs nothing inside of them before.
pub fn no_drain(question: &Question, findings: &mut Vec<Finding>) {
    for service in shrinking(question) {
        let name = &service.name;
        let what = match (drain(Some(service)), service.pre_stop.is_empty()) {
            (Some(_), _) => "a `drain` policy",
            (None, false) => "`pre_stop` hooks",
            (None, true) => continue,
        };
        findings.push(Finding::policy(
            Rule::Drain,
            service,
            format!(
                "`{name}` has {what}, but Swarm itself chooses which replicas go, and runs nothing inside of \
                 them before"
            ),
            format!(
                "have its process end its work on SIGTERM, and give it the time in \
                 services.{name}.stop_grace_period"
            ),
        ));
    }
}

/// Job workers whose service leaves the grace to Swarm: ten seconds, as with Compose.
pub fn short_grace(question: &Question, findings: &mut Vec<Finding>) {
    let unsaid = |service: &str| {
        let deployed = question.project.deployed.get(service);
        deployed.and_then(|one| one.grace).unwrap_or(OWN_GRACE) <= OWN_GRACE
    };
    let mut found = Vec::new();
    super::roles::short_grace(question, &mut found);
    found.retain(|finding| unsaid(&finding.service));
    findings.extend(found);
}

/// `docker exec` reaches the replicas of the node that answers, and no others.
pub fn refresh_elsewhere(question: &Question, findings: &mut Vec<Finding>) {
    let project = question.project;
    for service in balancers::changed(question) {
        for refresh in &service.policy.refresh {
            let other = refresh
                .project
                .as_ref()
                .filter(|other| *other != project.name());
            let targets: &[Replica] = match other {
                None => project.replicas(&refresh.service),
                Some(other) => {
                    let neighbours = &question.surroundings.neighbours;
                    neighbours.get(other).map_or(&[], Vec::as_slice)
                }
            };
            let here = project.nodes.iter().find(|node| node.this_one);
            let here = here.map(|node| node.name.as_str());
            let targets: Vec<&Replica> = targets
                .iter()
                .filter(|one| one.service == refresh.service && one.is_running() && !one.leaving)
                .collect();
            let mut elsewhere: Vec<String> = targets
                .iter()
                .filter(|one| one.node.as_deref() != here)
                .filter_map(|one| one.node.clone())
                .collect();
            let count = i64::try_from(elsewhere.len()).unwrap_or(i64::MAX);
            if count == 0 {
                continue;
            }
            elsewhere.sort();
            elsewhere.dedup();
            findings.push(Finding::policy(
                Rule::RefreshTarget,
                service,
                format!(
                    "the refresh of `{}` is for `{}`, which has {} on other nodes ({}): a command reaches only \
                     those on {}",
                    service.name,
                    refresh.service,
                    replicas(count),
                    named(elsewhere),
                    here.unwrap_or("the node that answers")
                ),
                format!(
                    "keep it on this node: services.{}.deploy.placement.constraints: [node.hostname == {}]",
                    refresh.service,
                    here.unwrap_or("NAME")
                ),
            ));
        }
    }
}

fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".into(),
        _ => format!("{count} nodes"),
    }
}

/// Some things in a row, and how many more there are.
fn named(mut things: Vec<String>) -> String {
    let more = things.len().saturating_sub(NAMED_NODES);
    things.truncate(NAMED_NODES);
    if more > 0 {
        things.push(format!("{more} more"));
    }
    things.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::Rule;
    use super::super::testing::Scene;
    use crate::project::cluster::{
        Deployed, Facts, Machine, Node, Placement, PublishedPort, Resources,
    };
    use crate::project::declared::EngineName;

    /// `web` and `worker` on two nodes of two processors and 4 GiB, of which one is a manager.
    fn scene(yaml: &str, change: impl Fn(&mut Deployed)) -> Scene {
        let mut scene = Scene::new(yaml);
        let project = &mut scene.project;
        project.engine = EngineName::Swarm;
        for name in project.declared.services.keys() {
            let mut deployed = Deployed {
                service: name.clone(),
                object: format!("shop_{name}"),
                count: 2,
                grace: Some(Duration::from_secs(10)),
                ..Deployed::default()
            };
            change(&mut deployed);
            project.deployed.insert(name.clone(), deployed);
        }
        let node = |name: &str| Node {
            name: name.into(),
            ready: true,
            schedulable: true,
            state: "ready".into(),
            this_one: name == "node1",
            ..Node::default()
        };
        project.nodes = vec![node("node1"), node("node2")];
        let machine = |(name, role): (&str, &str)| Machine {
            name: name.into(),
            schedulable: true,
            traits: BTreeMap::from([
                ("node.hostname".to_owned(), name.to_owned()),
                ("node.role".to_owned(), role.to_owned()),
            ]),
            resources: Resources {
                nano_cpus: 2_000_000_000,
                memory_bytes: 4 << 30,
            },
            running: BTreeMap::from([("shop_web".to_owned(), 1), ("shop_worker".to_owned(), 1)]),
            ..Machine::default()
        };
        scene.facts(Facts {
            machines: [("node1", "manager"), ("node2", "worker")]
                .map(machine)
                .into(),
            ..Facts::default()
        })
    }

    const TWO: &str = "services: {web: {image: a}, worker: {image: b}}";

    fn said(scene: &Scene, rule: Rule, wish: &[(&str, i64)]) -> Vec<(String, String)> {
        let found = scene.found(rule, wish).into_iter();
        found
            .map(|finding| (finding.message, finding.hint))
            .collect()
    }

    fn constrained(constraint: &str, most: Option<u32>) -> impl Fn(&mut Deployed) {
        move |deployed| {
            deployed.placement = Placement {
                constraints: vec![constraint.to_owned()],
                most_per_node: most,
                ..Placement::default()
            };
        }
    }

    #[test]
    fn refuses_more_replicas_than_nodes_may_have() {
        let limited = scene(TWO, constrained("node.role == worker", Some(2)));
        assert!(
            said(&limited, Rule::Placement, &[("web", 3)]).is_empty(),
            "one on node1 stays"
        );
        assert_eq!(
            said(&limited, Rule::Placement, &[("web", 4)]),
            [(
                "`web` is to have 4 replicas, but only 3 fit: of 2 nodes all take replicas, 1 satisfies \
                 `node.role == worker`, each at most 2 (max_replicas_per_node)"
                    .to_owned(),
                "change services.web.deploy.placement or its ports, and deploy again; or rscale web=3".to_owned()
            )]
        );
        assert_eq!(limited.kinds(Rule::Placement, &[("web", 4)]), ["error"]);
        assert!(said(&limited, Rule::Placement, &[("web", 1)]).is_empty());
    }

    #[test]
    fn names_the_node_that_a_label_or_a_drain_keeps_out() {
        let labelled = scene(TWO, constrained("node.labels.disk==ssd", None));
        let found = said(&labelled, Rule::Placement, &[("web", 3)]);
        assert_eq!(
            found[0].1,
            "let another node take it: docker node update --label-add disk=ssd node1; or rscale web=2"
        );
        let mut drained = scene(TWO, constrained("node.role == worker", None));
        drained.machine("node2").schedulable = false;
        drained.project.nodes[1].schedulable = false;
        let found = said(&drained, Rule::Placement, &[("web", 3)]);
        assert!(
            found[0]
                .0
                .contains("only 2 fit: of 2 nodes 1 takes replicas, 0 satisfy"),
            "{found:?}"
        );
        assert!(
            found[0]
                .1
                .contains("docker node update --availability active node2"),
            "{found:?}"
        );
        drained.project.nodes[1].ready = false;
        let found = said(&drained, Rule::Placement, &[("web", 3)]);
        assert!(
            found[0].1.contains("docker node inspect --pretty node2"),
            "{found:?}"
        );
    }

    #[test]
    fn refuses_a_second_replica_behind_the_port_of_a_node() {
        let published = scene(TWO, |deployed| {
            deployed.ports = vec![PublishedPort {
                protocol: "tcp".into(),
                target: 80,
                published: 8080,
                by_node: true,
            }];
        });
        let found = said(&published, Rule::Placement, &[("web", 3)]);
        assert!(
            found[0]
                .0
                .ends_with("each has its port 8080 once (mode: host)"),
            "{found:?}"
        );
    }

    #[test]
    fn refuses_when_no_node_takes_replicas() {
        let mut scene = scene(TWO, |_| ()).facts(Facts::default());
        for node in &mut scene.project.nodes {
            node.schedulable = false;
            node.state = "drain".into();
        }
        assert_eq!(
            said(&scene, Rule::Placement, &[("web", 3)])[0].0,
            "no node takes a replica of `web`: node1 (drain), node2 (drain)"
        );
    }

    fn reserving(gibibytes: u64) -> impl Fn(&mut Deployed) {
        move |deployed| deployed.placement.reserved.memory_bytes = gibibytes << 30
    }

    #[test]
    fn replicas_are_not_split_over_nodes() {
        // 4 GiB are free on two nodes, 3 GiB each: five of 3 GiB would fit into the sum of larger nodes only.
        let scene = scene(TWO, reserving(3));
        assert!(said(&scene, Rule::Capacity, &[("web", 4)]).is_empty());
        assert_eq!(
            said(&scene, Rule::Capacity, &[("web", 5)]),
            [(
                "`web` is to have 5 replicas, but only 4 fit: each reserves 3 GiB of memory, and not reserved is \
                 4 GiB of memory on node1, 4 GiB of memory on node2"
                    .to_owned(),
                "lower services.web.deploy.resources.reservations and deploy again; or rscale web=4".to_owned()
            )]
        );
        assert_eq!(scene.kinds(Rule::Capacity, &[("web", 5)]), ["error"]);
    }

    #[test]
    fn what_runs_already_takes_its_share() {
        let mut scene = scene(TWO, reserving(3));
        scene.machine("node1").taken.memory_bytes = 2 << 30;
        assert!(said(&scene, Rule::Capacity, &[("web", 3)]).is_empty());
        assert_eq!(said(&scene, Rule::Capacity, &[("web", 4)]).len(), 1);
    }

    #[test]
    fn services_that_grow_together_share_the_nodes() {
        let scene = scene(TWO, reserving(3));
        assert!(said(&scene, Rule::Capacity, &[("web", 3), ("worker", 3)]).is_empty());
        let found = said(&scene, Rule::Capacity, &[("web", 4), ("worker", 3)]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .0
                .starts_with("beside `web` there may be no room for 1 replica of `worker`"),
            "{found:?}"
        );
    }

    #[test]
    fn what_swarm_does_not_do_is_refused_when_a_service_shrinks() {
        let yaml = "
services:
  web: {image: a, x-rscale: {drain: {exec: [touch, /tmp/d]}}}
  worker: {image: b, pre_stop: [{command: [sync]}], x-rscale: {stop-timeout: 60s}}";
        let scene = scene(yaml, |_| ());
        for (service, rule, message) in [
            (
                "web",
                Rule::Drain,
                "`web` has a `drain` policy, but Swarm itself chooses which replicas go",
            ),
            ("worker", Rule::Drain, "`worker` has `pre_stop` hooks, but"),
            (
                "worker",
                Rule::StopTimeout,
                "`stop-timeout` asks for 1m and replicas of `worker` have 10s: on Swarm the \
                 `stop_grace_period` of the service decides",
            ),
        ] {
            let found = said(&scene, rule, &[(service, 1)]);
            assert!(found[0].0.starts_with(message), "{found:?}");
            assert_eq!(scene.kinds(rule, &[(service, 1)]), ["error"]);
            assert!(said(&scene, rule, &[(service, 3)]).is_empty());
        }
    }

    #[test]
    fn a_grace_of_its_own_is_what_was_deployed() {
        for (typed, deployed, refused) in [(30, 30, false), (30, 10, true), (5, 10, true)] {
            let change = |one: &mut Deployed| one.grace = Some(Duration::from_secs(deployed));
            let scene = scene(TWO, change).stop_timeout(typed);
            assert_eq!(
                !said(&scene, Rule::StopTimeout, &[("web", 1)]).is_empty(),
                refused,
                "{typed}"
            );
        }
    }

    #[test]
    fn workers_without_a_grace_are_warned_about() {
        let yaml = "services: {jobs: {image: a, command: celery -A app worker}}";
        for (grace, warnings) in [(10, 1), (300, 0)] {
            let change = |one: &mut Deployed| one.grace = Some(Duration::from_secs(grace));
            let scene = scene(yaml, change);
            assert_eq!(
                scene.kinds(Rule::ShortGrace, &[("jobs", 1)]).len(),
                warnings,
                "{grace}"
            );
        }
    }

    #[test]
    fn a_refresh_reaches_only_this_node() {
        let yaml = "
services:
  web: {image: a, x-rscale: {refresh: [{service: proxy, exec: [reload]}]}}
  proxy: {image: b}";
        let on = |node: &'static str| {
            scene(yaml, |_| ()).replica("proxy", |replica| replica.node = Some(node.into()))
        };
        assert!(said(&on("node1"), Rule::RefreshTarget, &[("web", 3)]).is_empty());
        let found = said(&on("node2"), Rule::RefreshTarget, &[("web", 3)]);
        assert_eq!(
            found[0].0,
            "the refresh of `web` is for `proxy`, which has 1 replica on other nodes (node2): a command reaches \
             only those on node1"
        );
    }
}
