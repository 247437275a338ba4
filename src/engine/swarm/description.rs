//! Reading `docker service inspect`: what a service asks of the nodes, and what a compose file would say of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::project::cluster::{Deployed, Placement, PublishedPort, Resources};
use crate::project::declared::{Mount, Port, Published, Service};

/// A service as the API has it (`GET /services/{id}`), as far as rscale needs it. Empty values are null or left
/// out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
    task_template: TaskTemplate,
    #[serde(default, rename = "EndpointSpec")]
    endpoint: Option<EndpointSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskTemplate {
    #[serde(default)]
    container_spec: Option<ContainerSpec>,
    #[serde(default)]
    resources: Option<ResourceSpec>,
    #[serde(default)]
    restart_policy: Option<RestartPolicy>,
    #[serde(default)]
    placement: Option<PlacementSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    image: String,
    /// In place of the image's entrypoint.
    command: Option<Vec<String>>,
    /// In place of the image's command.
    args: Option<Vec<String>>,
    env: Option<Vec<String>>,
    mounts: Option<Vec<MountSpec>>,
    stop_grace_period: Option<u64>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct MountSpec {
    source: String,
    target: String,
    read_only: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    test: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ResourceSpec {
    limits: Option<ResourceFigures>,
    reservations: Option<ResourceFigures>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResourceFigures {
    #[serde(rename = "NanoCPUs")]
    nano_cpus: u64,
    #[serde(rename = "MemoryBytes")]
    memory_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    condition: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PlacementSpec {
    constraints: Option<Vec<String>>,
    max_replicas: u32,
    platforms: Option<Vec<Platform>>,
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
#[serde(rename_all = "PascalCase", default)]
struct EndpointSpec {
    ports: Option<Vec<PortSpec>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PortSpec {
    protocol: String,
    target_port: u16,
    published_port: u16,
    publish_mode: String,
}

/// What inspections tell of services, by what the swarm calls them; `known` is kept where they tell nothing.
///
/// # Errors
/// Text that is not what the command prints.
pub fn parse(stdout: &str, known: &[&Deployed]) -> Result<Vec<Deployed>, serde_json::Error> {
    let services: Vec<Inspected> = serde_json::from_str(stdout)?;
    let mut specs: BTreeMap<String, Spec> = services
        .into_iter()
        .map(|service| (service.spec.name.clone(), service.spec))
        .collect();
    let described = known.iter().map(|known| match specs.remove(&known.object) {
        Some(spec) => described(spec, (*known).clone()),
        None => (*known).clone(),
    });
    Ok(described.collect())
}

/// What the services of other stacks reserve and publish, by their names.
///
/// # Errors
/// Text that is not what the command prints.
pub fn demands(stdout: &str) -> Result<BTreeMap<String, Deployed>, serde_json::Error> {
    let services: Vec<Inspected> = serde_json::from_str(stdout)?;
    let demands = services.into_iter().map(|service| {
        let name = service.spec.name.clone();
        (name, described(service.spec, Deployed::default()))
    });
    Ok(demands.collect())
}

fn described(spec: Spec, known: Deployed) -> Deployed {
    let TaskTemplate {
        container_spec,
        resources,
        restart_policy,
        placement,
    } = spec.task_template;
    let container = container_spec.unwrap_or_default();
    let resources = resources.unwrap_or_default();
    let ports = spec.endpoint.unwrap_or_default().ports;
    let ports: Vec<PublishedPort> = ports
        .unwrap_or_default()
        .into_iter()
        .map(|port| PublishedPort {
            by_node: port.publish_mode == "host",
            protocol: port.protocol,
            target: port.target_port,
            published: port.published_port,
        })
        .collect();
    let grace = container.stop_grace_period.map(Duration::from_nanos);
    let figures = |figures: Option<ResourceFigures>| figures.unwrap_or_default();
    let reserved = figures(resources.reservations);
    let test = container.healthcheck.and_then(|check| check.test);
    let test = test.unwrap_or_default();
    let placement = placement.unwrap_or_default();
    Deployed {
        grace,
        is_checked: test.first().is_some_and(|word| word != "NONE"),
        placement: Placement {
            constraints: placement.constraints.unwrap_or_default(),
            most_per_node: Some(placement.max_replicas).filter(|most| *most > 0),
            platforms: placement
                .platforms
                .unwrap_or_default()
                .into_iter()
                .map(|platform| (platform.os, platform.architecture))
                .collect(),
            reserved: Resources {
                nano_cpus: reserved.nano_cpus,
                memory_bytes: reserved.memory_bytes,
            },
        },
        as_declared: Service {
            image: Some(container.image),
            entrypoint: container.command,
            command: container.args,
            environment: environment(container.env).into(),
            ports: ports.iter().map(port).collect(),
            mounts: container.mounts.into_iter().flatten().map(mount).collect(),
            // Ten seconds are what the client writes for a service that says nothing.
            stop_grace_period: grace.filter(|grace| *grace != Duration::from_secs(10)),
            restarts: restart_policy.is_none_or(|policy| policy.condition != "none"),
            memory_limit: Some(figures(resources.limits).memory_bytes).filter(|bytes| *bytes > 0),
            ..known.as_declared
        },
        ports,
        ..known
    }
}

fn environment(pairs: Option<Vec<String>>) -> BTreeMap<String, String> {
    let pairs = pairs.unwrap_or_default().into_iter();
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (pair, String::new()),
        })
        .collect()
}

fn mount(mount: MountSpec) -> Mount {
    Mount {
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
    }
}

fn port(port: &PublishedPort) -> Port {
    Port {
        host_ip: None,
        published: match port.published {
            0 => Published::Ephemeral,
            published => Published::Fixed(published),
        },
        target: port.target.to_string(),
        protocol: port.protocol.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;
    use crate::project::cluster::Deployed;
    use crate::project::declared::Service;

    const INSPECTED: &str = include_str!("../../../tests/samples/swarm-20.10/service-inspect.json");

    fn described(service: &str) -> Deployed {
        let known = Deployed {
            service: service.to_owned(),
            object: format!("shop_{service}"),
            count: 7,
            ..Deployed::default()
        };
        parse(INSPECTED, &[&known]).unwrap().remove(0)
    }

    #[test]
    fn reads_what_a_service_asks_of_the_nodes() {
        let pinned = described("pinned").placement;
        assert_eq!(
            pinned.constraints,
            ["node.role == worker", "node.labels.disk==ssd"]
        );
        assert_eq!(pinned.most_per_node, Some(1));
        assert_eq!(
            described("hungry").placement.reserved.memory_bytes,
            900 << 30
        );
        let worker = described("worker").placement;
        assert_eq!(
            (worker.most_per_node, worker.reserved.nano_cpus),
            (None, 100_000_000)
        );
    }

    #[test]
    fn reads_ports_health_and_grace() {
        let web = described("web");
        let ports: Vec<_> = web
            .ports
            .iter()
            .map(|port| (port.target, port.published, port.by_node))
            .collect();
        assert_eq!(ports, [(8000, 18000, true), (8000, 18001, false)]);
        assert!(web.is_checked && !described("worker").is_checked);
        assert_eq!(web.grace, Some(Duration::from_secs(3)));
        assert_eq!(web.count, 7, "what the listing told is kept");
    }

    #[test]
    fn says_what_a_compose_file_would() {
        let web = described("web").as_declared;
        assert_eq!(web.words(), ["httpd", "-f", "-p", "8000", "-h", "/etc"]);
        assert_eq!(
            (web.entrypoint, web.environment["MODE"].as_str()),
            (None, "fast")
        );
        let stubborn = described("stubborn").as_declared;
        assert_eq!(stubborn.entrypoint.unwrap(), ["sh", "-c"]);
        let worker = described("worker").as_declared;
        assert_eq!(worker.memory_limit, Some(128 << 20));
        assert_eq!(worker.mounts[0].target, "/var/lib/data");
        assert!(worker.restarts);
    }

    #[test]
    fn a_service_that_is_gone_keeps_what_was_known() {
        let known = Deployed {
            object: "shop_gone".into(),
            as_declared: Service {
                image: Some("busybox".into()),
                ..Service::default()
            },
            ..Deployed::default()
        };
        assert_eq!(parse(INSPECTED, &[&known]).unwrap(), [known]);
    }
}
