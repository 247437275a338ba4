//! How many replicas of a service the nodes of a swarm can take, as Swarm's scheduler counts them.

use crate::project::cluster::{Deployed, Machine, Placement};

/// How many more replicas a node can take; `None` where it may take none at all.
pub fn by_placement(service: &Deployed, machine: &Machine) -> Option<u32> {
    let placement = &service.placement;
    let constraints = placement.constraints.iter();
    let may = machine.schedulable
        && constraints.into_iter().all(|one| satisfies(machine, one))
        && platform(placement, machine);
    may.then(|| most_per_node(service).map_or(u32::MAX, |most| left(service, machine, most)))
}

/// How many replicas of a service one node may have; `None` without a limit.
pub fn most_per_node(service: &Deployed) -> Option<u32> {
    let publishes = service
        .ports
        .iter()
        .any(|port| port.by_node && port.published != 0);
    let by_port = publishes.then_some(1);
    by_port
        .into_iter()
        .chain(service.placement.most_per_node)
        .min()
}

fn left(service: &Deployed, machine: &Machine, most: u32) -> u32 {
    let taken_by_others = service
        .ports
        .iter()
        .filter(|port| port.by_node)
        .filter_map(|port| machine.ports.get(&(port.protocol.clone(), port.published)))
        .any(|owner| *owner != service.object);
    if taken_by_others {
        return 0;
    }
    most.saturating_sub(placed(service, machine))
}

/// How many replicas of a service a node runs.
pub fn placed(service: &Deployed, machine: &Machine) -> u32 {
    machine.running.get(&service.object).copied().unwrap_or(0)
}

/// How many more replicas a node can take by what they reserve.
pub fn by_resources(placement: &Placement, machine: &Machine) -> u32 {
    let (each, all, taken) = (placement.reserved, machine.resources, machine.taken);
    [
        (
            each.nano_cpus,
            all.nano_cpus.saturating_sub(taken.nano_cpus),
        ),
        (
            each.memory_bytes,
            all.memory_bytes.saturating_sub(taken.memory_bytes),
        ),
    ]
    .into_iter()
    .filter_map(|(each, free)| free.checked_div(each))
    .map(|fit| u32::try_from(fit).unwrap_or(u32::MAX))
    .min()
    .unwrap_or(u32::MAX)
}

/// How many more replicas a node can take.
pub fn on(service: &Deployed, machine: &Machine) -> u32 {
    let by_placement = by_placement(service, machine).unwrap_or(0);
    by_placement.min(by_resources(&service.placement, machine))
}

/// Places replicas one by one where fewest of their service are, as Swarm does; gives how many found no room.
pub fn place(service: &Deployed, count: u32, machines: &mut [Machine]) -> u32 {
    for done in 0..count {
        let room = machines
            .iter_mut()
            .filter(|machine| on(service, machine) > 0);
        let Some(machine) = room.min_by_key(|machine| placed(service, machine)) else {
            return count - done;
        };
        *machine.running.entry(service.object.clone()).or_default() += 1;
        machine.taken.add(service.placement.reserved);
        for port in service
            .ports
            .iter()
            .filter(|port| port.by_node && port.published != 0)
        {
            let port = (port.protocol.clone(), port.published);
            machine.ports.insert(port, service.object.clone());
        }
    }
    0
}

/// Whether a node satisfies a constraint: `KEY==VALUE` or `KEY!=VALUE`, without regard to case but in the names of
/// labels (swarmkit, `manager/constraint`). A missing label is empty.
fn satisfies(machine: &Machine, constraint: &str) -> bool {
    let (key, value, wanted) = match (constraint.split_once("=="), constraint.split_once("!=")) {
        (Some((key, value)), _) => (key.trim(), value.trim(), true),
        (None, Some((key, value))) => (key.trim(), value.trim(), false),
        (None, None) => return true,
    };
    // An address may be compared with a whole network.
    if key.eq_ignore_ascii_case("node.ip") && value.contains('/') {
        return true;
    }
    let is_label = |key: &str| key.contains(".labels.");
    let found = machine
        .traits
        .iter()
        .find(|(name, _)| *name == key || (!is_label(name) && name.eq_ignore_ascii_case(key)));
    let has = found.map_or("", |(_, value)| value.as_str());
    has.eq_ignore_ascii_case(value) == wanted
}

fn platform(placement: &Placement, machine: &Machine) -> bool {
    let has = |key: &str| machine.traits.get(key).map_or("", String::as_str);
    let fits = |wanted: &str, has: &str| wanted.is_empty() || usual(wanted) == usual(has);
    let mut platforms = placement.platforms.iter();
    placement.platforms.is_empty()
        || platforms.any(|(os, architecture)| {
            fits(os, has("node.platform.os")) && fits(architecture, has("node.platform.arch"))
        })
}

/// The processor's name as images have it.
fn usual(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{by_placement, by_resources, on, place, satisfies};
    use crate::project::cluster::{Deployed, Machine, Placement, PublishedPort, Resources};

    fn machine(name: &str) -> Machine {
        let traits = [
            ("node.hostname", name),
            ("node.role", "worker"),
            ("node.platform.os", "linux"),
            ("node.platform.arch", "x86_64"),
            ("node.labels.disk", "ssd"),
        ];
        Machine {
            name: name.into(),
            schedulable: true,
            traits: traits
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            resources: Resources {
                nano_cpus: 2_000_000_000,
                memory_bytes: 4 << 30,
            },
            ..Machine::default()
        }
    }

    #[test]
    fn constraints_are_compared_as_swarm_does() {
        for (constraint, expected) in [
            ("node.role==worker", true),
            ("node.role == Worker", true),
            ("node.role!=worker", false),
            ("node.role != manager", true),
            ("node.hostname==node2", true),
            ("node.labels.disk==ssd", true),
            ("node.labels.disk == hdd", false),
            ("node.labels.Disk==ssd", false),
            ("node.labels.zone==a", false),
            ("node.labels.zone!=a", true),
            ("engine.labels.os!=x", true),
            ("node.platform.arch==x86_64", true),
            ("node.platform.os==windows", false),
            ("node.ip==10.0.0.0/8", true),
        ] {
            assert_eq!(
                satisfies(&machine("node2"), constraint),
                expected,
                "{constraint}"
            );
        }
    }

    #[test]
    fn a_platform_has_the_name_that_images_give_it() {
        let on = |platforms: &[(&str, &str)]| {
            let platforms = platforms.iter();
            let service = Deployed {
                placement: Placement {
                    platforms: platforms
                        .map(|(os, arch)| ((*os).to_owned(), (*arch).to_owned()))
                        .collect(),
                    ..Placement::default()
                },
                ..Deployed::default()
            };
            by_placement(&service, &machine("node2")).is_some()
        };
        assert!(on(&[]) && on(&[("linux", "amd64")]) && on(&[("windows", "amd64"), ("linux", "")]));
        assert!(!on(&[("linux", "arm64")]));
    }

    #[test]
    fn a_node_takes_as_many_as_its_scarcest_resource() {
        let reserved = |nano_cpus, memory_bytes| Placement {
            reserved: Resources {
                nano_cpus,
                memory_bytes,
            },
            ..Placement::default()
        };
        let mut machine = machine("node1");
        assert_eq!(by_resources(&reserved(500_000_000, 0), &machine), 4);
        assert_eq!(by_resources(&reserved(500_000_000, 2 << 30), &machine), 2);
        assert_eq!(by_resources(&reserved(0, 0), &machine), u32::MAX);
        machine.taken.memory_bytes = 3 << 30;
        assert_eq!(by_resources(&reserved(500_000_000, 2 << 30), &machine), 0);
    }

    #[test]
    fn a_host_port_is_one_replicas_and_may_be_another_services() {
        let service = Deployed {
            object: "shop_web".into(),
            ports: vec![PublishedPort {
                protocol: "tcp".into(),
                target: 80,
                published: 8080,
                by_node: true,
            }],
            ..Deployed::default()
        };
        let mut machines = [machine("node1"), machine("node2")];
        machines[1]
            .ports
            .insert(("tcp".into(), 8080), "other_web".into());
        assert_eq!(
            (on(&service, &machines[0]), on(&service, &machines[1])),
            (1, 0)
        );
        assert_eq!(place(&service, 2, &mut machines), 1);
        assert_eq!(on(&service, &machines[0]), 0);
    }
}
