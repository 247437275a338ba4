//! How the hosts of a load test are reached from this machine: by the Services of their names, or by ports that pods
//! have on their nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::object::List;
use crate::engine::Answer;
use crate::project::Project;
use crate::project::reached::Host;

/// Whether a host may be one that the cluster's own DNS knows: `rabbitmq`, `rabbitmq.shop`,
/// `rabbitmq.shop.svc.cluster.local`.
pub fn is_inside(host: &str) -> bool {
    if host == "localhost" || host.parse::<IpAddr>().is_ok() {
        return false;
    }
    let labels: Vec<&str> = host.split('.').collect();
    matches!(labels.as_slice(), [_]) || labels.get(2) == Some(&"svc")
}

/// Words of the commands to run next.
pub fn enquiries(hosts: &BTreeSet<&str>, answers: &[Answer]) -> Vec<Vec<String>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    match answers {
        _ if hosts.is_empty() => Vec::new(),
        [] => vec![words("get services,pods --output json")],
        [services] => {
            let objects = objects(services);
            let by_node = |one: &&Object| {
                one.spec.kind.as_deref() == Some("NodePort")
                    && hosts.iter().any(|host| name_of(host) == one.metadata.name)
            };
            if objects.iter().any(|one| by_node(&one)) {
                vec![words("get nodes --output json")]
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

/// What is known of each host.
pub fn hosts(
    project: &Project,
    hosts: &BTreeSet<&str>,
    answers: &[Answer],
) -> BTreeMap<String, Host> {
    let objects = answers.first().map(objects).unwrap_or_default();
    let nodes: Vec<IpAddr> = answers
        .get(1)
        .map(self::objects)
        .unwrap_or_default()
        .iter()
        .filter_map(internal_address)
        .collect();
    let known = hosts.iter().filter_map(|host| {
        let name = name_of(host);
        let service = objects
            .iter()
            .find(|one| one.kind == "Service" && one.metadata.name == name);
        let replicas = project.replicas(name);
        if service.is_none() && replicas.is_empty() && project.service(name).is_none() {
            return None;
        }
        let pods = objects.iter().filter(|one| one.kind == "Pod");
        let pods = pods.filter(|pod| match service.and_then(|one| one.spec.selector()) {
            Some(selector) => {
                let labels = &pod.metadata.labels;
                selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            }
            None => replicas.iter().any(|one| one.name == pod.metadata.name),
        });
        let running: Vec<&Object> = pods
            .filter(|pod| pod.status.phase.as_deref() == Some("Running"))
            .collect();
        let mut found = Host {
            service: name.to_owned(),
            runs: !running.is_empty() || service.is_some_and(|one| one.spec.selector().is_none()),
            hint: Some(match service {
                Some(_) => format!("kubectl port-forward service/{name}"),
                None => format!(
                    "kubectl port-forward {}",
                    project
                        .deployed
                        .get(name)
                        .map_or_else(|| format!("service/{name}"), |one| one.object.clone())
                ),
            }),
            ..Host::default()
        };
        if let Some(service) = service {
            publish(service, &nodes, &mut found);
        }
        for pod in running {
            publish_pod(pod, service, &mut found);
        }
        Some(((*host).to_owned(), found))
    });
    known.collect()
}

fn name_of(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

fn publish(service: &Object, nodes: &[IpAddr], host: &mut Host) {
    let ports = service.spec.ports.iter().filter(|port| port.is_tcp());
    for port in ports {
        for ingress in &service.status.load_balancer.ingress {
            if let Some(ip) = ingress.ip.as_deref().and_then(|ip| ip.parse().ok()) {
                let at = SocketAddr::new(ip, port.port);
                host.published.entry(port.port).or_default().push(at);
            } else if let Some(name) = &ingress.hostname {
                host.named.insert(port.port, (name.clone(), port.port));
            }
        }
        let has_balancer = !service.status.load_balancer.ingress.is_empty();
        if let (Some(node_port), false) = (port.node_port, has_balancer) {
            let at = nodes.iter().map(|ip| SocketAddr::new(*ip, node_port));
            host.published.entry(port.port).or_default().extend(at);
        }
    }
    host.published.retain(|_, at| !at.is_empty());
}

/// Ports that a pod has on its node: `hostPort`, or all of them with `hostNetwork`.
fn publish_pod(pod: &Object, service: Option<&Object>, host: &mut Host) {
    let Some(ip) = pod.status.host_ip.as_deref().and_then(|ip| ip.parse().ok()) else {
        return;
    };
    let ports = pod.spec.containers.iter().flat_map(|one| &one.ports);
    for port in ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP") {
        let Some(outside) = port
            .host_port
            .or_else(|| pod.spec.host_network.then_some(port.number))
        else {
            continue;
        };
        // Clients use the port of the Service, which may lead to another of the pod.
        let of_service = service
            .iter()
            .flat_map(|one| &one.spec.ports)
            .find(|one| one.leads_to(port));
        let inside = of_service.map_or(port.number, |one| one.port);
        if of_service.is_none() && service.is_some() {
            continue;
        }
        let places = host.published.entry(inside).or_default();
        let at = SocketAddr::new(ip, outside);
        if !places.contains(&at) {
            places.push(at);
        }
    }
}

fn internal_address(node: &Object) -> Option<IpAddr> {
    let mut addresses = node.status.addresses.iter();
    let internal = addresses.find(|one| one.kind == "InternalIP")?;
    internal.address.parse().ok()
}

fn objects(answer: &Answer) -> Vec<Object> {
    let text = answer.as_deref().unwrap_or_default();
    serde_json::from_str(text).map_or_else(|_| Vec::new(), |list: List<Object>| list.items)
}

/// A Service, a pod or a node.
#[derive(Deserialize)]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<String>,
    selector: Option<BTreeMap<String, String>>,
    ports: Vec<ServicePort>,
    containers: Vec<Container>,
    host_network: bool,
}

impl Spec {
    /// `None` where its endpoints are written by hand.
    fn selector(&self) -> Option<&BTreeMap<String, String>> {
        self.selector.as_ref().filter(|one| !one.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort {
    port: u16,
    node_port: Option<u16>,
    target_port: Option<TargetPort>,
    protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TargetPort {
    Number(u16),
    Name(String),
}

impl ServicePort {
    fn is_tcp(&self) -> bool {
        self.protocol.as_deref().unwrap_or("TCP") == "TCP"
    }

    fn leads_to(&self, port: &ContainerPort) -> bool {
        match &self.target_port {
            Some(TargetPort::Number(number)) => *number == port.number,
            Some(TargetPort::Name(name)) => port.name.as_deref() == Some(name),
            None => self.port == port.number,
        }
    }
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    ports: Vec<ContainerPort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    name: Option<String>,
    #[serde(rename = "containerPort")]
    number: u16,
    host_port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    load_balancer: LoadBalancer,
    addresses: Vec<NodeAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Deserialize)]
struct Ingress {
    ip: Option<String>,
    hostname: Option<String>,
}

#[derive(Deserialize)]
struct NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[cfg(test)]
mod tests {
    use super::{enquiries, hosts, is_inside};
    use crate::project::Project;

    const SERVICES: &str = r#"{"items": [
        {"kind": "Service", "metadata": {"name": "broker"}, "spec": {"type": "LoadBalancer", "selector": {"app": "broker"},
            "ports": [{"port": 5672, "targetPort": 5672, "nodePort": 31000, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example.com"}]}}},
        {"kind": "Service", "metadata": {"name": "redis"}, "spec": {"type": "NodePort", "selector": {"app": "redis"},
            "ports": [{"port": 6379, "targetPort": "redis", "nodePort": 30379}]}},
        {"kind": "Service", "metadata": {"name": "web"}, "spec": {"type": "ClusterIP", "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": "http"}]}},
        {"kind": "Service", "metadata": {"name": "inner"}, "spec": {"type": "ClusterIP", "selector": {"app": "broker"},
            "ports": [{"port": 80}]}},
        {"kind": "Pod", "metadata": {"name": "broker-0", "labels": {"app": "broker"}}, "status": {"phase": "Running", "hostIP": "10.0.0.1"}},
        {"kind": "Pod", "metadata": {"name": "web-x", "labels": {"app": "web"}}, "status": {"phase": "Running", "hostIP": "10.0.0.2"},
            "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000, "hostPort": 8080}, {"containerPort": 9000}]}]}}
    ]}"#;
    const NODES: &str = r#"{"items": [{"kind": "Node", "metadata": {"name": "node-1"}, "status": {"addresses": [
        {"type": "Hostname", "address": "node-1"}, {"type": "InternalIP", "address": "10.0.0.1"}]}}]}"#;

    #[test]
    fn services_are_reached_by_what_leads_to_them() {
        let names = [
            "broker",
            "redis.shop.svc.cluster.local",
            "web",
            "inner",
            "nosuch",
        ]
        .into();
        let first = enquiries(&names, &[]);
        assert_eq!(first[0].join(" "), "get services,pods --output json");
        let mut answers = vec![Ok(SERVICES.to_owned())];
        assert_eq!(
            enquiries(&names, &answers)[0].join(" "),
            "get nodes --output json"
        );
        assert!(enquiries(&["broker"].into(), &answers).is_empty());
        answers.push(Ok(NODES.to_owned()));
        assert!(enquiries(&names, &answers).is_empty());
        let found = hosts(&Project::default(), &names, &answers);
        let at = |host: &str, port: u16| -> Vec<String> {
            let places = found[host].published.get(&port);
            places
                .into_iter()
                .flatten()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(at("broker", 5672), ["203.0.113.7:5672"]);
        assert_eq!(
            found["broker"].named[&5672],
            ("lb.example.com".to_owned(), 5672)
        );
        assert_eq!(at("redis.shop.svc.cluster.local", 6379), ["10.0.0.1:30379"]);
        assert_eq!(at("web", 80), ["10.0.0.2:8080"]);
        let inner = &found["inner"];
        assert!(inner.published.is_empty() && inner.runs);
        assert_eq!(
            inner.hint.as_deref(),
            Some("kubectl port-forward service/inner")
        );
        assert!(!found["redis.shop.svc.cluster.local"].runs);
        assert!(!found.contains_key("nosuch"));
    }

    #[test]
    fn hosts_of_the_cluster_are_told_from_others() {
        for (host, expected) in [
            ("rabbitmq", true),
            ("rabbitmq.shop.svc", true),
            ("rabbitmq.shop.svc.cluster.local", true),
            ("localhost", false),
            ("10.0.0.1", false),
            ("mq.example.com", false),
        ] {
            assert_eq!(is_inside(host), expected, "{host}");
        }
    }
}
