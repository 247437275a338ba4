//! What Swarm cannot do: place replicas where no node takes them, choose which ones go, run something inside of those
//! on other nodes.

use std::time::Duration;

use super::resources::show_bytes;
use super::{Finding, Question, Rule, balancers, replicas, room};
use crate::duration;
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
                advice(name, deployed, machines, possible),
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
    let mut because = format!("of {} ", nodes(machines.len()));
    because += &if ready == machines.len() {
        if ready == 1 {
            "this one takes replicas"
        } else {
            "all take replicas"
        }
        .to_owned()
    } else {
        format!(
            "{ready} {} replicas",
            if ready == 1 { "takes" } else { "take" }
        )
    };
    if eligible.len() < ready {
        let constraints = placement.constraints.iter().map(|one| format!("`{one}`"));
        let mut wanted: Vec<String> = constraints.collect();
        let platforms = placement.platforms.iter();
        wanted.extend(
            platforms.map(|(os, architecture)| format!("the platform {os}/{architecture}")),
        );
        because += &format!(
            ", {} {} {}",
            eligible.len(),
            if eligible.len() == 1 {
                "satisfies"
            } else {
                "satisfy"
            },
            wanted.join(" and ")
        );
    }
    let ports = deployed.ports.iter();
    let ports = ports.filter(|port| port.by_node && port.published != 0);
    let ports: Vec<String> = ports.map(|port| port.published.to_string()).collect();
    match (placement.most_per_node, ports.first()) {
        (most, Some(port)) if most.is_none_or(|most| most > 0) => {
            because += &format!(", each has its port {port} once (mode: host)");
        }
        (Some(most), _) => because += &format!(", each at most {most} (max_replicas_per_node)"),
        _ => {}
    }
    because
}

fn advice(name: &str, deployed: &Deployed, machines: &[Machine], possible: i64) -> String {
    let idle = machines.iter().find(|machine| {
        let awake = Machine {
            schedulable: true,
            ..(*machine).clone()
        };
        !machine.schedulable && room::by_placement(deployed, &awake).is_some_and(|room| room > 0)
    });
    let label = deployed.placement.constraints.iter().find_map(|one| {
        let (key, value) = one.split_once("==")?;
        let label = key.trim().strip_prefix("node.labels.")?;
        Some(format!("{label}={}", value.trim()))
    });
    let outsider = machines
        .iter()
        .find(|machine| machine.schedulable && room::by_placement(deployed, machine).is_none());
    let fewer = format!("rscale {name}={possible}");
    match (idle, label, outsider) {
        (Some(idle), ..) => format!(
            "bring another node back: docker node update --availability active {}; or {fewer}",
            idle.name
        ),
        (None, Some(label), Some(outsider)) => format!(
            "let another node take it: docker node update --label-add {label} {}; or {fewer}",
            outsider.name
        ),
        _ => format!(
            "{fewer}, or change services.{name}.deploy.placement or its ports, and deploy again"
        ),
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
            "rscale {name}={possible}, or lower services.{name}.deploy.resources.reservations and deploy again"
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
            (Some(_), _) => "`drain` policy",
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

/// Swarm gives replicas that go the grace of their service, and no other.
pub fn own_grace(question: &Question, findings: &mut Vec<Finding>) {
    for service in shrinking(question) {
        let name = &service.name;
        let deployed = question.project.deployed.get(name);
        let own = deployed.and_then(|one| one.grace).unwrap_or(OWN_GRACE);
        let typed = question.stop_timeout.map(|grace| ("--stop-timeout", grace));
        let policy = service
            .policy
            .stop_timeout
            .map(|grace| ("stop-timeout", grace));
        let Some((what, wanted)) = typed.or(policy).filter(|(_, grace)| *grace != own) else {
            continue;
        };
        findings.push(Finding::policy(
            Rule::ShortGrace,
            service,
            format!(
                "replicas of `{name}` have {} to end on Swarm, which is their stop_grace_period and no other: \
                 `{what}` says {}",
                duration::show(own),
                duration::show(wanted)
            ),
            format!(
                "services.{name}.stop_grace_period: {}, and deploy again",
                duration::show(wanted)
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
