//! Reaching the hosts of a project from outside of it: by a published port, else by the container's address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};
use crate::project::address::Address;

/// How the services of a project are reached, by the host names that their clients use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(pub BTreeMap<String, Host>);

/// One service as a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    pub service: String,
    /// Where its running replicas' ports are published on the engine's machine, by the port inside.
    pub published: BTreeMap<u16, Vec<SocketAddr>>,
    /// Addresses of its running replicas; empty where they cannot be reached from here (an engine on
    /// another machine or inside of a virtual one).
    pub containers: Vec<IpAddr>,
    /// Names and ports that lead to it from outside, by the port inside: those of load balancers.
    pub named: BTreeMap<u16, (String, u16)>,
    /// Whether any replica runs.
    pub runs: bool,
    /// What can be typed to have it reached from here, but for the ports.
    pub hint: Option<String>,
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host as it was written: a server's certificate carries this name.
    pub host: String,
    pub port: u16,
    /// Where it really is, each replica of it; empty leaves `host` to the resolver.
    pub at: Vec<SocketAddr>,
}

impl Destination {
    /// Where to open a connection: addresses to try one after another.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        if !self.at.is_empty() {
            return Ok(self.at.clone());
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        Ok(found.collect())
    }
}

impl Addresses {
    /// Where an address of the project's own files leads from here.
    ///
    /// # Errors
    /// Exit 4: the host is a service that does not run, or runs where it cannot be reached; the hint says
    /// what to publish.
    pub fn endpoint(&self, address: &Address) -> Result<Destination> {
        let (name, port) = (address.host(), address.port());
        let endpoint = |at| Destination {
            host: name.to_owned(),
            port,
            at,
        };
        let Some(host) = self.0.get(name) else {
            if name == "host.docker.internal" {
                return Ok(endpoint(vec![SocketAddr::from(([127, 0, 0, 1], port))]));
            }
            return Ok(endpoint(Vec::new()));
        };
        if let Some(published) = host.published.get(&port) {
            return Ok(endpoint(published.clone()));
        }
        if !host.containers.is_empty() {
            let inside = host.containers.iter();
            let inside = inside.map(|address| SocketAddr::new(*address, port));
            return Ok(endpoint(inside.collect()));
        }
        if let Some((name, port)) = host.named.get(&port) {
            return Ok(Destination {
                host: name.clone(),
                port: *port,
                at: Vec::new(),
            });
        }
        let service = &host.service;
        Err(if let Some(hint) = &host.hint {
            let what = if host.runs {
                "cannot be reached from here"
            } else {
                "does not run"
            };
            let error = Error::unusable(format!("`{service}` {what}"));
            if host.runs {
                error
                    .hint(format!("beside this: {hint} {port}:{port}"))
                    .hint(format!(
                        "then name it in the test's address: 127.0.0.1:{port} in place of {name}:{port}"
                    ))
            } else {
                error.hint(format!("start it: rscale {service}=1"))
            }
        } else if host.runs {
            Error::unusable(format!("`{service}` cannot be reached from here")).hint(format!(
                "publish its port: services.{service}.ports: [\"127.0.0.1:{port}:{port}\"]"
            ))
        } else {
            Error::unusable(format!("`{service}` does not run"))
                .hint(format!("start it: rscale {service}=1"))
        })
    }
}
