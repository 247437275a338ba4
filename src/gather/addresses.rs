//! Where the services of a project are reached from this machine, for load tests and queues.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Reach;
use crate::engine::Control;
use crate::error::Result;
use crate::project::Project;
use crate::project::declared::Service;
use crate::project::observed::Replica;
use crate::project::reached::{Addresses, Host};

impl Reach<'_> {
    /// How those hosts are reached that are services of the project.
    pub async fn addresses(&self, project: &Project, hosts: &BTreeSet<&str>) -> Result<Addresses> {
        let engine_address = self.endpoint.address.as_str();
        let named = |service: &Service, replicas: &[Replica]| {
            let container = service.container_name.as_deref();
            let object = project.deployed.get(&service.name);
            let object = object.map(|deployed| deployed.object.as_str());
            let mut hosts = hosts.iter().copied();
            hosts.find(|host| {
                *host == service.name
                    || container == Some(*host)
                    || object == Some(*host)
                    || replicas.iter().any(|replica| replica.name == *host)
            })
        };
        let services: Vec<(&str, &Service)> = project
            .declared
            .services
            .values()
            .filter_map(|service| {
                let host = named(service, project.replicas(&service.name))?;
                Some((host, service))
            })
            .collect();
        if let Control::Counts(engine) = self.engine.control() {
            let mut names: BTreeSet<&str> = services
                .iter()
                .map(|(_, service)| service.name.as_str())
                .collect();
            let inside: Vec<&str> = hosts
                .iter()
                .copied()
                .filter(|host| engine.names_hosts(host))
                .collect();
            names.extend(&inside);
            let answers = self
                .ask(|answers| engine.address_enquiries(project, &names, answers))
                .await;
            let reached = engine.hosts(project, &names, &answers);
            let hosts = services.into_iter().filter_map(|(host, service)| {
                Some((host.to_owned(), reached.get(&service.name)?.clone()))
            });
            let inside = inside
                .iter()
                .filter_map(|host| Some(((*host).to_owned(), reached.get(*host)?.clone())));
            return Ok(Addresses(inside.chain(hosts).collect()));
        }
        let mut inside = BTreeMap::new();
        // Only a local engine on Linux has its containers' network on this machine.
        if cfg!(target_os = "linux") && engine_address.starts_with("unix://") {
            let ids: Vec<&str> = services
                .iter()
                .flat_map(|(_, service)| project.replicas(&service.name))
                .filter(|replica| replica.is_running())
                .map(|replica| replica.id.as_str())
                .collect();
            if !ids.is_empty() {
                let engine = self.containers()?;
                let stdout = self.read(&engine.addresses(&ids)).await?;
                inside = engine.parse_addresses(&stdout);
            }
        }
        let hosts = services.into_iter().map(|(host, service)| {
            let running = || {
                let replicas = project.replicas(&service.name).iter();
                replicas.filter(|replica| replica.is_running())
            };
            let published = running().flat_map(|replica| &replica.ports);
            let mut ports: BTreeMap<u16, Vec<SocketAddr>> = BTreeMap::new();
            for (inside, at) in published.filter_map(|port| published_port(port, engine_address)) {
                let places = ports.entry(inside).or_default();
                // The IPv6 twin of an address leads to the same place.
                if !places.contains(&at) {
                    places.push(at);
                }
            }
            let mut containers: Vec<IpAddr> = running()
                // Its other networks lead to the same place.
                .filter_map(|replica| inside.get(&replica.id)?.first().copied())
                .collect();
            if service.network_mode.as_deref() == Some("host") {
                containers.push(engine_host(engine_address));
            }
            let reached = Host {
                service: service.name.clone(),
                published: ports,
                containers,
                runs: running().next().is_some(),
                ..Host::default()
            };
            (host.to_owned(), reached)
        });
        Ok(Addresses(hosts.collect()))
    }
}

/// `0.0.0.0:49153->5672/tcp` as the port inside and where it is reached.
fn published_port(text: &str, engine_address: &str) -> Option<(u16, SocketAddr)> {
    let (outside, inside) = text.split_once("->")?;
    let inside = inside.strip_suffix("/tcp")?.parse().ok()?;
    let (address, port) = outside.rsplit_once(':')?;
    let address: IpAddr = address
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()?;
    let engine = engine_host(engine_address);
    // Published on every address of the engine's machine, or on its loopback.
    let address = if address.is_unspecified() || (address.is_loopback() && !engine.is_loopback()) {
        engine
    } else {
        address
    };
    Some((inside, SocketAddr::new(address, port.parse().ok()?)))
}

/// The address of the engine's machine; an engine behind a socket or a context publishes its ports here.
fn engine_host(engine_address: &str) -> IpAddr {
    let host = engine_address
        .strip_prefix("tcp://")
        .and_then(|rest| rest.split([':', '/']).next());
    host.and_then(|host| host.parse().ok())
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::published_port;

    #[test]
    fn a_published_port_is_reached_at_the_engine() {
        for (text, engine, expected) in [
            (
                "0.0.0.0:49153->5672/tcp",
                "unix:///var/run/docker.sock",
                "5672 127.0.0.1:49153",
            ),
            (
                "127.0.0.1:80->80/tcp",
                "unix:///var/run/docker.sock",
                "80 127.0.0.1:80",
            ),
            (
                ":::80->80/tcp",
                "unix:///var/run/docker.sock",
                "80 127.0.0.1:80",
            ),
            ("[::]:80->80/tcp", "tcp://10.0.0.7:2375", "80 10.0.0.7:80"),
            (
                "192.168.1.5:80->8000/tcp",
                "unix:///var/run/docker.sock",
                "8000 192.168.1.5:80",
            ),
            ("6379/tcp", "unix:///var/run/docker.sock", ""),
            ("0.0.0.0:53->53/udp", "unix:///var/run/docker.sock", ""),
        ] {
            let found = published_port(text, engine);
            let found = found.map_or(String::new(), |(inside, at)| format!("{inside} {at}"));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn fuzzing_published_ports() {
        let ports = [
            "0.0.0.0:49153->5672/tcp",
            "[::]:80-81->80-81/tcp",
            "tcp://10.0.0.7:2375",
        ];
        crate::fuzzing::survives(&ports, |text| {
            let _ = published_port(text, text);
            let _ = published_port("0.0.0.0:80->80/tcp", text);
        });
    }
}
