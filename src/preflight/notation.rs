//! How published ports are written: by `docker ps`, and in the YAML of a hint.

use std::collections::BTreeSet;

use crate::project::declared::Port;
use crate::project::observed::Replica;

/// The host ports between `first` and `last` that a replica publishes.
pub fn published_in(replica: &Replica, protocol: &str, first: u16, last: u16) -> BTreeSet<u16> {
    replica
        .ports
        .iter()
        .filter_map(|text| published(text))
        .filter(|(of, _, _)| *of == protocol)
        .flat_map(|(_, low, high)| low.max(first)..=high.min(last))
        .collect()
}

/// Reads how `docker ps` words a published port: `0.0.0.0:8080->80/tcp`, `:::8080->80/tcp`,
/// `[::]:8080->80/tcp`, grouped `0.0.0.0:8080-8081->80-81/tcp`.
///
/// Gives the protocol and the first and last host port; nothing for a port that is only exposed.
fn published(text: &str) -> Option<(&str, u16, u16)> {
    let (host, container) = text.trim().split_once("->")?;
    let (_, protocol) = container.rsplit_once('/')?;
    let (_, numbers) = host.rsplit_once(':')?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    Some((protocol, first.parse().ok()?, last.parse().ok()?))
}

/// An entry of `ports` in the short form.
pub fn entry(port: &Port, range: Option<(u16, u16)>) -> String {
    let address = port
        .host_ip
        .as_deref()
        .filter(|ip| !ip.is_empty())
        .map(|ip| {
            if ip.contains(':') {
                format!("[{ip}]:")
            } else {
                format!("{ip}:")
            }
        })
        .unwrap_or_default();
    let host = match range {
        Some((first, last)) => format!("{address}{first}-{last}:"),
        None if address.is_empty() => String::new(),
        None => format!("{address}:"),
    };
    let protocol = match port.protocol.as_str() {
        "tcp" => String::new(),
        other => format!("/{other}"),
    };
    format!("{host}{}{protocol}", port.target)
}

#[cfg(test)]
mod tests {
    use super::{entry, published};
    use crate::project::declared::{Port, Published};

    #[test]
    fn reads_ports_as_docker_words_them() {
        for (text, port) in [
            ("0.0.0.0:8080->80/tcp", Some(("tcp", 8080, 8080))),
            (":::8080->80/tcp", Some(("tcp", 8080, 8080))),
            ("[::]:8080->80/udp", Some(("udp", 8080, 8080))),
            ("0.0.0.0:8080-8081->80-81/tcp", Some(("tcp", 8080, 8081))),
            ("80/tcp", None),
            ("", None),
        ] {
            assert_eq!(published(text), port, "{text}");
        }
    }

    #[test]
    fn writes_the_short_form() {
        for (host_ip, protocol, range, text) in [
            (None, "tcp", None, "80"),
            (None, "udp", None, "80/udp"),
            (None, "tcp", Some((8000, 8001)), "8000-8001:80"),
            (Some("10.0.0.1"), "tcp", None, "10.0.0.1::80"),
            (Some("::1"), "tcp", Some((8000, 8001)), "[::1]:8000-8001:80"),
        ] {
            let port = Port {
                host_ip: host_ip.map(str::to_owned),
                published: Published::Ephemeral,
                target: "80".into(),
                protocol: protocol.into(),
            };
            assert_eq!(entry(&port, range), text);
        }
    }
}
