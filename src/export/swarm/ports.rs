//! Published ports: one for all replicas, on every address of every node.

use serde_yaml::Value;

use crate::export::Warning;
use crate::export::part::Part;
use crate::export::yaml::{Entry, Yaml};
use crate::project::declared::{Port, Published};

/// The ports; those that are published on one address only are left out, because they would be open to all.
pub fn ports(part: &Part<'_>, warnings: &mut Vec<Warning>) -> Option<Entry> {
    let Value::Sequence(raw) = part.get("ports")? else {
        return None;
    };
    let mode = |index: usize| {
        let mode = raw.get(index).and_then(|one| one.get("mode")?.as_str());
        mode.unwrap_or("ingress")
    };
    let (name, mut comments, mut kept) = (part.name, Vec::new(), Vec::new());
    for (index, port) in part.service.ports.iter().enumerate() {
        let Some(target) = target(port) else {
            comments.push(format!(
                "Left out: port {}, because a stack publishes one port at a time.",
                port.target
            ));
            warnings.push(Warning::of(
                name,
                format!(
                    "`{name}` publishes the ports {}, and a stack publishes one port at a time",
                    port.target
                ),
                format!("publish them one by one: services.{name}.ports"),
            ));
            continue;
        };
        let mode = mode(index);
        if let Some(address) = only_address(port) {
            comments.push(format!(
                "Left out: port {target} on {address} only. Swarm publishes on every address of every node; \
                 if all may reach it:"
            ));
            comments.push(format!(" - {}", on_one_line(port, target, mode)));
            warnings.push(Warning::of(
                name,
                format!(
                    "`{name}` publishes port {target} on {address} only, which Swarm cannot, so it is not published"
                ),
                "the comment in the file has the lines that publish it for all",
            ));
            continue;
        }
        if let Published::Range(first, last) = port.published {
            comments.push(format!(
                "{first} instead of {first}-{last}: one port leads to all replicas."
            ));
            warnings.push(Warning::of(
                name,
                format!("`{name}` is published on {first} alone instead of {first}-{last}: one port leads to all replicas"),
                format!("have clients use port {first} of any node"),
            ));
        }
        if mode == "host" {
            comments.push("`mode: host` allows one replica on each node.".into());
        }
        kept.push(Yaml::map(pairs(port, target, mode)).into());
    }
    if kept.is_empty() && comments.is_empty() {
        return None;
    }
    Some(Entry {
        comments,
        key: "ports".into(),
        value: Yaml::List(kept),
    })
}

/// Whether some port is the node's own, so that a node has room for one replica.
pub fn wants_node_ports(part: &Part<'_>) -> bool {
    let Some(Value::Sequence(ports)) = part.get("ports") else {
        return false;
    };
    ports
        .iter()
        .any(|port| port.get("mode").and_then(Value::as_str) == Some("host"))
}

fn target(port: &Port) -> Option<u16> {
    port.target.parse().ok()
}

/// The address that a port is bound to, where that is not all of them.
fn only_address(port: &Port) -> Option<&str> {
    let address = port.host_ip.as_deref()?.trim_matches(['[', ']']);
    (!matches!(address, "" | "0.0.0.0" | "::")).then_some(address)
}

fn published(port: &Port) -> Option<u16> {
    match port.published {
        Published::Ephemeral => None,
        Published::Fixed(published) | Published::Range(published, _) => Some(published),
    }
}

fn pairs(port: &Port, target: u16, mode: &str) -> Vec<(&'static str, Yaml)> {
    let mut pairs = vec![("target", Yaml::number(target))];
    pairs.extend(published(port).map(|published| ("published", Yaml::number(published))));
    pairs.push(("protocol", Yaml::text(&port.protocol)));
    pairs.push(("mode", Yaml::text(mode)));
    pairs
}

fn on_one_line(port: &Port, target: u16, mode: &str) -> String {
    let published = published(port).map_or(String::new(), |port| format!("published: {port}, "));
    let protocol = &port.protocol;
    format!("{{target: {target}, {published}protocol: {protocol}, mode: {mode}}}")
}
