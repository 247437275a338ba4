//! Host ports: one fixed port for several replicas, ranges that are too small, ports that are taken.

use std::collections::BTreeSet;

use super::notation::{entry, published_in};
use super::{Finding, Question, Rule, replicas};
use crate::project::Project;
use crate::project::declared::{Port, Published, Service};

/// A fixed host port with several replicas, or with a first one while something else has it.
pub fn host_port(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        let fixed: Vec<(&Port, u16)> = fixed_ports(service).collect();
        if fixed.is_empty() {
            continue;
        }
        let names: Vec<String> = fixed.iter().map(|(_, host)| format!("`{host}`")).collect();
        let plural = if names.len() == 1 { "" } else { "s" };
        findings.push(Finding::hard(
            Rule::HostPort,
            service,
            format!(
                "`{}` publishes host port{plural} {}, one for all: {} cannot all start",
                service.name,
                names.join(" and "),
                replicas(count)
            ),
            several_ports(question, service, &fixed, count),
        ));
    }
    for (service, _) in question
        .services()
        .filter(|(service, count)| *count == 1 && question.existing(&service.name) == 0)
    {
        for (port, host) in fixed_ports(service) {
            let taken = (port.protocol.clone(), host);
            if question.surroundings.listening.contains(&taken) {
                let by = holder(question.project, &taken);
                let finding = Finding::hard(
                    Rule::HostPort,
                    service,
                    format!(
                        "`{}` publishes host port `{host}`, which is taken by {by}: no replica can start",
                        service.name
                    ),
                    format!(
                        "free the port, or let Docker choose one: services.{}.ports: [\"{}\"]",
                        service.name,
                        entry(port, None)
                    ),
                );
                findings.push(if_any_address(finding, port));
            }
        }
    }
}

/// A range with fewer ports than replicas, or with fewer free ones than new replicas need.
pub fn port_range(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question
        .services()
        .filter(|(service, count)| *count > question.existing(&service.name))
    {
        for port in &service.ports {
            let Published::Range(first, last) = port.published else {
                continue;
            };
            let size = i64::from(last) - i64::from(first) + 1;
            let replicas_of_it = question.project.replicas(&service.name);
            let own: Vec<BTreeSet<u16>> = replicas_of_it
                .iter()
                .map(|replica| published_in(replica, &port.protocol, first, last))
                .collect();
            // A replica that does not run has given its port back, and takes one when it is started.
            let holders = own.iter().filter(|ports| !ports.is_empty()).count();
            let own: BTreeSet<u16> = own.into_iter().flatten().collect();
            let others = question
                .surroundings
                .listening
                .iter()
                .filter(|(protocol, number)| {
                    *protocol == port.protocol
                        && (first..=last).contains(number)
                        && !own.contains(number)
                })
                .count();
            let needed = count - signed(holders);
            let free = size - signed(own.len()) - signed(others);
            if count > size {
                findings.push(Finding::hard(
                    Rule::PortRange,
                    service,
                    format!(
                        "`{}` publishes {size} host ports (`{first}-{last}`): {} cannot all start",
                        service.name,
                        replicas(count)
                    ),
                    wider(question, service, port, first, count),
                ));
            } else if others > 0 && needed > free {
                let finding = Finding::hard(
                    Rule::PortRange,
                    service,
                    format!(
                        "of the host ports of `{}` (`{first}-{last}`) something else has taken {others} and \
                         {} left, but {needed} more are needed",
                        service.name,
                        if free == 1 {
                            "1 is".to_owned()
                        } else {
                            format!("{} are", free.max(0))
                        }
                    ),
                    wider(question, service, port, first, count + signed(others)),
                );
                findings.push(if_any_address(finding, port));
            }
        }
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn fixed_ports(service: &Service) -> impl Iterator<Item = (&Port, u16)> {
    service
        .ports
        .iter()
        .filter_map(|port| match port.published {
            Published::Fixed(host) => Some((port, host)),
            Published::Ephemeral | Published::Range(..) => None,
        })
}

/// What listens on a port may do so at another address than the one that the file asks for, so then
/// the finding is not certain, and `--force` applies.
fn if_any_address(mut finding: Finding, port: &Port) -> Finding {
    finding.policy = port
        .host_ip
        .as_deref()
        .is_some_and(|ip| !matches!(ip, "" | "0.0.0.0" | "::"));
    finding
}

/// Who has a port, as far as this project shows.
fn holder(project: &Project, taken: &(String, u16)) -> String {
    let (protocol, number) = taken;
    project
        .replicas
        .values()
        .flatten()
        .find(|replica| !published_in(replica, protocol, *number, *number).is_empty())
        .map_or_else(
            || "something else on this machine".into(),
            |replica| format!("`{}`", replica.name),
        )
}

/// The hint for fixed ports: ranges where there is room, else what always works.
fn several_ports(
    question: &Question,
    service: &Service,
    fixed: &[(&Port, u16)],
    count: i64,
) -> String {
    let listed = |entries: Vec<String>| format!("[{}]", entries.join(", "));
    let written = |port: &Port, range| format!("\"{}\"", entry(port, range));
    let free = listed(fixed.iter().map(|(port, _)| written(port, None)).collect());
    let ranges: Option<Vec<String>> = fixed
        .iter()
        .map(|(port, host)| {
            let last = room(question, port, *host, count)?;
            Some(written(port, Some((*host, last))))
        })
        .collect();
    let place = format!("services.{}.ports", service.name);
    match ranges {
        Some(ranges) => format!(
            "publish a range, {place}: {}, or let Docker choose: {place}: {free}",
            listed(ranges)
        ),
        None => format!("let Docker choose the host port: {place}: {free}"),
    }
}

/// The hint for a range that is too small.
fn wider(question: &Question, service: &Service, port: &Port, first: u16, count: i64) -> String {
    let place = format!("services.{}.ports", service.name);
    let free = entry(port, None);
    match room(question, port, first, count) {
        Some(last) => format!(
            "widen the range, {place}: [\"{}\"], or let Docker choose: {place}: [\"{free}\"]",
            entry(port, Some((first, last)))
        ),
        None => format!("let Docker choose the host port: {place}: [\"{free}\"]"),
    }
}

/// The last port of a range from `first` with room for `count`, unless another published port of the
/// project lies in it or the numbers end.
fn room(question: &Question, port: &Port, first: u16, count: i64) -> Option<u16> {
    let last = u16::try_from(i64::from(first) + count - 1).ok()?;
    let collides = question
        .project
        .declared
        .services
        .values()
        .flat_map(|service| &service.ports)
        .filter(|other| *other != port && other.protocol == port.protocol)
        .any(|other| match other.published {
            Published::Ephemeral => false,
            Published::Fixed(host) => (first..=last).contains(&host),
            Published::Range(low, high) => low <= last && first <= high,
        });
    (!collides).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;

    fn scene(ports: &str) -> Scene {
        Scene::new(&format!(
            "services: {{web: {{image: a, ports: [{ports}]}}}}"
        ))
    }

    fn publishing(scene: Scene, ports: &[&str]) -> Scene {
        ports.iter().fold(scene, |scene, port| {
            scene.replica("web", |replica| {
                replica.ports = port.split(", ").map(str::to_owned).collect();
            })
        })
    }

    #[test]
    fn refuses_a_second_replica_behind_a_fixed_host_port() {
        for (ports, existing, count, kinds) in [
            ("'8000:80'", 0, 2, vec!["error!"]),
            ("'8000:80'", 1, 2, vec!["error!"]),
            ("'8000:80'", 0, 1, vec![]),
            ("'8000:80'", 4, 3, vec![]),
            ("'80'", 0, 9, vec![]),
            ("'8000-8009:80'", 0, 9, vec![]),
            ("'8000:80', '8443:443'", 0, 2, vec!["error!"]),
            ("{target: 80, published: '8000'}", 0, 2, vec!["error!"]),
            ("{target: 80}", 0, 2, vec![]),
        ] {
            let kinds_found = scene(ports)
                .running("web", existing)
                .kinds(Rule::HostPort, &[("web", count)]);
            assert_eq!(kinds_found, kinds, "{ports}: {existing} -> {count}");
        }
    }

    #[test]
    fn shows_the_yaml_that_has_room() {
        for (ports, count, hint) in [
            (
                "'8000:80'",
                3,
                r#"publish a range, services.web.ports: ["8000-8002:80"], or let Docker choose: services.web.ports: ["80"]"#,
            ),
            (
                "'127.0.0.1:8000:80/udp'",
                2,
                r#"publish a range, services.web.ports: ["127.0.0.1:8000-8001:80/udp"], or let Docker choose: services.web.ports: ["127.0.0.1::80/udp"]"#,
            ),
            (
                "'8000:80', '8001:81'",
                2,
                r#"let Docker choose the host port: services.web.ports: ["80", "81"]"#,
            ),
            (
                "'65535:80'",
                2,
                r#"let Docker choose the host port: services.web.ports: ["80"]"#,
            ),
        ] {
            let findings = scene(ports).found(Rule::HostPort, &[("web", count)]);
            assert_eq!(findings[0].hint, hint, "{ports}");
        }
    }

    #[test]
    fn refuses_a_first_replica_while_its_port_is_taken() {
        let wish = [("web", 1)];
        for (scene, kinds) in [
            (scene("'8000:80'").listening(&[8000]), vec!["error!"]),
            (
                scene("'10.1.2.3:8000:80'").listening(&[8000]),
                vec!["error"],
            ),
            (scene("'8000:80/udp'").listening(&[8000]), vec![]),
            (scene("'8000:80'").listening(&[8001]), vec![]),
            (scene("'8000:80'"), vec![]),
            (
                scene("'8000:80'").listening(&[8000]).running("web", 1),
                vec![],
            ),
        ] {
            assert_eq!(scene.kinds(Rule::HostPort, &wish), kinds);
        }
    }

    #[test]
    fn names_the_replica_of_the_project_that_has_the_port() {
        let yaml = "services: {web: {image: a, ports: ['8000:80']}, api: {image: a}}";
        let scene = Scene::new(yaml)
            .listening(&[8000])
            .replica("api", |replica| {
                replica.ports = vec!["0.0.0.0:8000->80/tcp".into()];
            });
        let findings = scene.found(Rule::HostPort, &[("web", 1)]);
        assert_eq!(
            findings[0].message,
            "`web` publishes host port `8000`, which is taken by `shop-api-1`: no replica can start"
        );
    }

    #[test]
    fn refuses_more_replicas_than_the_range_has_ports() {
        for (existing, count, kinds) in [
            (0, 3, vec![]),
            (0, 4, vec!["error!"]),
            (5, 4, vec![]),
            (5, 6, vec!["error!"]),
        ] {
            let scene = scene("'8000-8002:80'").running("web", existing);
            let found = scene.kinds(Rule::PortRange, &[("web", count)]);
            assert_eq!(found, kinds, "{existing} -> {count}");
        }
        let finding = &scene("'8000-8002:80'").found(Rule::PortRange, &[("web", 4)])[0];
        assert_eq!(
            finding.message,
            "`web` publishes 3 host ports (`8000-8002`): 4 replicas cannot all start"
        );
        assert!(
            finding.hint.contains(r#"["8000-8003:80"]"#),
            "{}",
            finding.hint
        );
    }

    #[test]
    fn counts_the_free_ports_of_a_range() {
        let range = "'8000-8003:80'";
        let wish = [("web", 3)];
        let v4 = "0.0.0.0:8000->80/tcp, :::8000->80/tcp";
        for (name, scene, kinds) in [
            ("nothing known", scene(range), vec![]),
            (
                "one taken, three free",
                scene(range).listening(&[8001]),
                vec![],
            ),
            (
                "two taken, two free",
                scene(range).listening(&[8000, 8001]),
                vec!["error!"],
            ),
            (
                "the taken one is our own",
                publishing(scene(range).listening(&[8000, 8001]), &[v4]),
                vec![],
            ),
            (
                "one is our own, two are not",
                publishing(scene(range).listening(&[8000, 8001, 8002]), &[v4]),
                vec!["error!"],
            ),
            (
                "a stopped replica needs a port again",
                publishing(scene(range).listening(&[8002, 8003]), &["", ""]),
                vec!["error!"],
            ),
            (
                "outside the range",
                scene(range).listening(&[22, 80, 7999, 8004]),
                vec![],
            ),
            (
                "at another address perhaps",
                scene("'10.0.0.1:8000-8003:80'").listening(&[8000, 8001]),
                vec!["error"],
            ),
        ] {
            assert_eq!(scene.kinds(Rule::PortRange, &wish), kinds, "{name}");
        }
        let finding = &scene(range)
            .listening(&[8000, 8001, 8002])
            .found(Rule::PortRange, &wish)[0];
        assert_eq!(
            finding.message,
            "of the host ports of `web` (`8000-8003`) something else has taken 3 and 1 is left, but 3 \
             more are needed"
        );
    }
}
