//! What only one replica can have: a container name, an address, a network that is not its own.

use super::{Finding, Question, Rule, replicas};

/// A fixed `container_name` with several replicas.
pub fn container_name(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        let Some(container_name) = &service.container_name else {
            continue;
        };
        let name = &service.name;
        findings.push(Finding::hard(
            Rule::ContainerName,
            service,
            format!(
                "`{name}` has `container_name: {container_name}`, which fits one container: Compose refuses {}",
                replicas(count)
            ),
            format!(
                "remove services.{name}.container_name; other services reach the replicas as `{name}`"
            ),
        ));
    }
}

/// A fixed IPv4, IPv6 or MAC address with several replicas.
pub fn static_address(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        let on_networks = service.networks.iter().flat_map(|network| {
            let place = format!("services.{}.networks.{}", service.name, network.name);
            network
                .addresses
                .iter()
                .map(move |address| (address, place.clone()))
        });
        let of_its_own = service
            .mac_address
            .iter()
            .map(|address| (address, format!("services.{}.mac_address", service.name)));
        let mut fixed: Vec<(&String, String)> = on_networks.chain(of_its_own).collect();
        // Some versions of Compose print a MAC address in both places.
        fixed.dedup_by(|(later, _), (first, _)| later == first);
        let Some((_, place)) = fixed.first() else {
            continue;
        };
        let addresses: Vec<String> = fixed
            .iter()
            .map(|(address, _)| format!("`{address}`"))
            .collect();
        findings.push(Finding::hard(
            Rule::StaticAddress,
            service,
            format!(
                "`{}` has the fixed address {}, which fits one replica: {} cannot work side by side",
                service.name,
                addresses.join(" and "),
                replicas(count)
            ),
            format!(
                "remove the fixed address ({place}); other services reach the replicas as `{}`",
                service.name
            ),
        ));
    }
}

/// Replicas in a network that is not their own, and a service whose network others join.
pub fn network_mode(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        if let Some(mode) = service
            .network_mode
            .as_deref()
            .filter(|mode| shares_ports(mode))
        {
            let message = format!(
                "`{}` has `network_mode: {mode}`, so {} share one set of ports: only the first to listen on \
                 a port gets it",
                service.name,
                replicas(count)
            );
            let hint = format!(
                "remove services.{0}.network_mode, or, if it listens on no port: \
                 services.{0}.x-rscale: {{scalable: true}}",
                service.name
            );
            findings.push(
                Finding::policy(Rule::NetworkMode, service, message, hint).unless_scalable(service),
            );
        }
        for guest in question.overview.guests(&service.name) {
            findings.push(Finding::warning(
                Rule::NetworkMode,
                service,
                format!(
                    "`{guest}` has `network_mode: service:{}` and joins the first of {} only",
                    service.name,
                    replicas(count)
                ),
                format!(
                    "run what `{guest}` does inside `{}`, or give it a network of its own: remove \
                     services.{guest}.network_mode",
                    service.name
                ),
            ));
        }
    }
}

fn shares_ports(mode: &str) -> bool {
    mode == "host" || mode.starts_with("service:") || mode.starts_with("container:")
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;

    #[test]
    fn refuses_a_second_replica_behind_a_container_name() {
        let scene = Scene::new("services: {web: {image: a, container_name: shop_web}}");
        for (existing, count, kinds) in [
            (0, 2, vec!["error!"]),
            (1, 3, vec!["error!"]),
            (0, 1, vec![]),
            (1, 0, vec![]),
            (5, 3, vec![]),
        ] {
            let scene = Scene::new("services: {web: {image: a, container_name: shop_web}}")
                .running("web", existing);
            assert_eq!(
                scene.kinds(Rule::ContainerName, &[("web", count)]),
                kinds,
                "{existing} -> {count}"
            );
        }
        let finding = &scene.found(Rule::ContainerName, &[("web", 2)])[0];
        assert_eq!(
            finding.message,
            "`web` has `container_name: shop_web`, which fits one container: Compose refuses 2 replicas"
        );
        let free = Scene::new("services: {web: {image: a}}");
        assert!(free.found(Rule::ContainerName, &[("web", 9)]).is_empty());
    }

    #[test]
    fn refuses_a_second_replica_with_an_address_of_its_own() {
        for (declaration, address) in [
            (
                "networks: {lan: {ipv4_address: 10.0.0.5}}",
                Some("`10.0.0.5`"),
            ),
            (
                "networks: {lan: {ipv6_address: 'fd00::5'}}",
                Some("`fd00::5`"),
            ),
            (
                "mac_address: '02:42:ac:11:00:05'",
                Some("`02:42:ac:11:00:05`"),
            ),
            (
                "networks: {lan: {mac_address: '02:42:ac:11:00:05'}}",
                Some("`02:42:ac:11:00:05`"),
            ),
            ("networks: {lan: {aliases: [shop]}, wan: }", None),
            ("networks: [lan]", None),
        ] {
            let scene = Scene::new(&format!("services: {{web: {{image: a, {declaration}}}}}"));
            let findings = scene.found(Rule::StaticAddress, &[("web", 2)]);
            assert_eq!(
                findings.len(),
                usize::from(address.is_some()),
                "{declaration}"
            );
            for finding in findings {
                assert!(!finding.policy, "{declaration}");
                assert!(finding.message.contains(address.unwrap_or_default()));
                assert!(finding.hint.contains("services.web."));
            }
            assert!(scene.found(Rule::StaticAddress, &[("web", 1)]).is_empty());
        }
    }

    #[test]
    fn refuses_replicas_in_a_network_that_is_not_their_own() {
        for (declaration, kinds) in [
            ("network_mode: host", vec!["error"]),
            ("network_mode: 'service:vpn'", vec!["error"]),
            ("network_mode: 'container:vpn'", vec!["error"]),
            ("network_mode: bridge", vec![]),
            ("network_mode: none", vec![]),
            (
                "network_mode: host, x-rscale: {scalable: true}",
                vec!["warning"],
            ),
        ] {
            let scene = Scene::new(&format!("services: {{web: {{image: a, {declaration}}}}}"));
            let wish = [("web", 2)];
            assert_eq!(
                scene.kinds(Rule::NetworkMode, &wish),
                kinds,
                "{declaration}"
            );
            assert!(scene.kinds(Rule::NetworkMode, &[("web", 1)]).is_empty());
        }
    }

    #[test]
    fn warns_that_a_guest_joins_the_first_replica_only() {
        let scene = Scene::new(
            "services: {vpn: {image: a}, web: {image: a, network_mode: 'service:vpn'}, db: {image: a}}",
        );
        let findings = scene.found(Rule::NetworkMode, &[("vpn", 2), ("db", 2)]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].service, "vpn");
        assert_eq!(
            findings[0].message,
            "`web` has `network_mode: service:vpn` and joins the first of 2 replicas only"
        );
        assert!(scene.kinds(Rule::NetworkMode, &[("vpn", 1)]).is_empty());
    }
}
