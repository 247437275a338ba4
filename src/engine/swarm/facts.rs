//! Reading what decides about where replicas can run: the nodes, and what the tasks on them take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

use super::description::demands;
use super::listing::lines;
use crate::project::cluster::{Machine, Resources};

/// A node as the API has it (`GET /nodes/{id}`), as far as rscale needs it.
#[derive(Debug, Deserialize)]
struct Inspected {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec")]
    spec: Spec,
    #[serde(rename = "Description")]
    description: Description,
    #[serde(rename = "Status")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    role: String,
    availability: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Description {
    hostname: String,
    platform: Platform,
    resources: Figures,
    engine: EngineDescription,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    #[serde(rename = "Architecture")]
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Figures {
    #[serde(rename = "NanoCPUs")]
    nano_cpus: u64,
    #[serde(rename = "MemoryBytes")]
    memory_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineDescription {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    state: String,
    #[serde(default)]
    addr: String,
}

/// A task of `docker service ps --no-resolve`: its name begins with the service's id, its node is an id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskLine {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    node: String,
}

#[derive(Debug, Deserialize)]
struct ServiceId {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec")]
    spec: ServiceName,
}

#[derive(Debug, Deserialize)]
struct ServiceName {
    #[serde(rename = "Name")]
    name: String,
}

/// The nodes with what the tasks of every service in the swarm take of them.
///
/// # Errors
/// Text that is not what the commands print.
pub fn parse(nodes: &str, services: &str, tasks: &str) -> Result<Vec<Machine>, serde_json::Error> {
    let inspected: Vec<Inspected> = serde_json::from_str(nodes)?;
    let ids: Vec<ServiceId> = serde_json::from_str(services)?;
    let names: BTreeMap<&str, &str> = ids
        .iter()
        .map(|service| (service.id.as_str(), service.spec.name.as_str()))
        .collect();
    let demands = demands(services)?;
    let mut machines: BTreeMap<String, Machine> = inspected
        .into_iter()
        .map(|node| (node.id.clone(), machine(node)))
        .collect();
    let mut seen = BTreeSet::new();
    for task in lines::<TaskLine>(tasks)? {
        let service = task.name.split('.').next().unwrap_or_default();
        let (Some(machine), Some(name)) = (machines.get_mut(&task.node), names.get(service)) else {
            continue;
        };
        if !seen.insert(task.id) {
            continue;
        }
        *machine.running.entry((*name).to_owned()).or_default() += 1;
        if let Some(demand) = demands.get(*name) {
            machine.taken.add(demand.placement.reserved);
            let ports = demand.ports.iter();
            for port in ports.filter(|port| port.by_node && port.published != 0) {
                let port = (port.protocol.clone(), port.published);
                machine.ports.insert(port, (*name).to_owned());
            }
        }
    }
    let mut machines: Vec<Machine> = machines.into_values().collect();
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(machines)
}

fn machine(node: Inspected) -> Machine {
    let Inspected {
        id,
        spec,
        description,
        status,
    } = node;
    // The left sides of constraints: swarmkit, manager/constraint/constraint.go.
    let mut traits: BTreeMap<String, String> = [
        ("node.id", id),
        ("node.hostname", description.hostname.clone()),
        ("node.role", spec.role),
        ("node.ip", status.addr),
        ("node.platform.os", description.platform.os),
        ("node.platform.arch", description.platform.architecture),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for (prefix, labels) in [
        ("node.labels.", spec.labels),
        ("engine.labels.", description.engine.labels),
    ] {
        let labels = labels.into_iter().flatten();
        traits.extend(labels.map(|(label, value)| (format!("{prefix}{label}"), value)));
    }
    Machine {
        name: description.hostname,
        schedulable: status.state == "ready" && spec.availability == "active",
        traits,
        resources: Resources {
            nano_cpus: description.resources.nano_cpus,
            memory_bytes: description.resources.memory_bytes,
        },
        ..Machine::default()
    }
}

/// The addresses of nodes, by their names.
///
/// # Errors
/// Text that is not what `docker node inspect` prints.
pub fn addresses(nodes: &str) -> Result<BTreeMap<String, IpAddr>, serde_json::Error> {
    let inspected: Vec<Inspected> = serde_json::from_str(nodes)?;
    let addresses = inspected.into_iter().filter_map(|node| {
        let address: IpAddr = node.status.addr.parse().ok()?;
        // A manager of older engines may not know its own.
        (!address.is_unspecified()).then_some((node.description.hostname, address))
    });
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::{addresses, parse};
    use crate::project::cluster::Machine;

    const NODES: &str = include_str!("../../../tests/samples/swarm-20.10/node-inspect.json");
    const SERVICES: &str = include_str!("../../../tests/samples/swarm-20.10/service-inspect.json");
    const TASKS: &str = include_str!("../../../tests/samples/swarm-20.10/service-ps.jsonl");

    fn node(name: &str) -> Machine {
        let machines = parse(NODES, SERVICES, TASKS).unwrap();
        machines.into_iter().find(|one| one.name == name).unwrap()
    }

    #[test]
    fn nodes_have_what_constraints_ask_for() {
        let node = node("node2");
        for (key, value) in [
            ("node.hostname", "node2"),
            ("node.role", "worker"),
            ("node.labels.disk", "ssd"),
            ("node.platform.os", "linux"),
            ("node.platform.arch", "x86_64"),
            ("node.ip", "10.0.0.12"),
        ] {
            assert_eq!(
                node.traits.get(key).map(String::as_str),
                Some(value),
                "{key}"
            );
        }
        assert!(node.schedulable);
        assert_eq!(node.resources.nano_cpus, 2_000_000_000);
    }

    #[test]
    fn what_runs_of_every_stack_takes_its_share() {
        let node = node("node1");
        // Three replicas of `worker`, 64 MiB and a tenth of a processor each.
        assert_eq!(node.running["shop_worker"], 3);
        assert_eq!(
            (node.taken.memory_bytes, node.taken.nano_cpus),
            (3 * (64 << 20), 300_000_000)
        );
        assert_eq!(
            node.running.get("lonely"),
            Some(&1),
            "a service of no stack"
        );
        assert_eq!(node.ports[&("tcp".to_owned(), 18000)], "shop_web");
    }

    #[test]
    fn a_node_that_is_down_takes_no_replicas() {
        assert!(!node("node3").schedulable);
    }

    #[test]
    fn reads_the_addresses_of_nodes() {
        let addresses = addresses(NODES).unwrap();
        assert_eq!(addresses["node1"].to_string(), "10.0.0.11");
        let unknown = NODES.replace("10.0.0.11", "0.0.0.0");
        assert_eq!(super::addresses(&unknown).unwrap().get("node1"), None);
    }
}
