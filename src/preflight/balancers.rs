//! Load balancers: a refresh that cannot be run, and one that is missing.

use super::image::last_component;
use super::invocation::invocations;
use super::{Finding, Question, Rule};
use crate::project::Project;
use crate::project::declared::{EngineName, Service};
use crate::project::observed::Replica;
use crate::project::policy::Refresh;
use crate::suggest;

/// A balancer that resolves the names of its upstreams once, when it reads its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    Nginx,
    HaProxy,
    Caddy,
}

impl Balancer {
    fn of(project: &Project, service: &Service) -> Option<Self> {
        let image = service.image.as_deref().map(last_component);
        let by_image = match image.as_deref() {
            Some("nginx" | "nginx-unprivileged" | "openresty") => Some(Self::Nginx),
            Some("haproxy" | "haproxy-alpine") => Some(Self::HaProxy),
            Some("caddy") => Some(Self::Caddy),
            _ => None,
        };
        let by_program = || {
            let programs = invocations(project, service);
            programs.iter().find_map(|one| match one.program.as_str() {
                "nginx" | "openresty" => Some(Self::Nginx),
                "haproxy" => Some(Self::HaProxy),
                "caddy" => Some(Self::Caddy),
                _ => None,
            })
        };
        by_image.or_else(by_program)
    }

    /// Folders of a container that its configuration is in.
    pub fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &[
                "/etc/nginx",
                "/usr/local/openresty",
                "/opt/bitnami/nginx/conf",
            ],
            Self::HaProxy => &["/usr/local/etc/haproxy", "/etc/haproxy", "/bitnami/haproxy"],
            Self::Caddy => &["/etc/caddy"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Caddy => "Caddy",
        }
    }

    /// What to write at the service, and where that alone does not do, where the rest is said.
    fn advice(self, service: &str, balancer: &str) -> String {
        let refresh = |exec: &str| {
            format!(
                "services.{service}.x-rscale: {{refresh: [{{service: {balancer}, exec: {exec}}}]}}"
            )
        };
        match self {
            Self::Nginx => refresh("[nginx, -s, reload]"),
            // After a reload it uses one address again, so the configuration has to change for all.
            Self::HaProxy => format!(
                "{}; all replicas are used with a `server-template` and `resolvers`: \
                 docs/load-balancers.md#haproxy",
                refresh("[sh, -c, kill -USR2 1]")
            ),
            Self::Caddy => format!(
                "{}; with the Caddyfile of docs/load-balancers.md#caddy",
                refresh(
                    "[sh, -c, 'BACKENDS=$$(printf \"%s:8000 \" $$RSCALE_REPLICAS) caddy reload --config \
                     /etc/caddy/Caddyfile --force']"
                )
            ),
        }
    }

    /// Whether a text says where requests go: certificates and the like are mounted beside configurations.
    fn is_routing(self, text: &str) -> bool {
        let directives: &[&str] = match self {
            Self::Nginx => &[
                "proxy_pass",
                "uwsgi_pass",
                "grpc_pass",
                "fastcgi_pass",
                "upstream",
            ],
            Self::HaProxy => &["server", "server-template"],
            Self::Caddy => &["reverse_proxy", "php_fastcgi"],
        };
        words(text).any(|word| directives.contains(&word))
    }

    /// Whether a configuration has it ask for addresses again and again.
    fn follows_names(self, configuration: &str) -> bool {
        let directive = match self {
            Self::Nginx => "resolver",
            Self::HaProxy => "resolvers",
            Self::Caddy => "dynamic",
        };
        words(configuration).any(|word| word == directive)
    }
}

/// The balancers of a project that run, by their services.
pub fn balancers(project: &Project) -> impl Iterator<Item = (&Service, Balancer)> {
    let services = project.declared.services.values();
    services.filter_map(|service| {
        let balancer = Balancer::of(project, service)?;
        runs(project, &service.name).then_some((service, balancer))
    })
}

/// The named services whose set of replicas changes.
pub(super) fn changed<'q>(question: &'q Question) -> impl Iterator<Item = &'q Service> {
    question
        .services()
        .filter(|(service, count)| *count != question.existing(&service.name))
        .map(|(service, _)| service)
}

/// `refresh` names a service that does not exist or does not run.
pub fn refresh_target(question: &Question, findings: &mut Vec<Finding>) {
    for service in changed(question) {
        let refreshes = &service.policy.refresh;
        findings.extend(
            refreshes
                .iter()
                .filter_map(|refresh| unreachable(question, service, refresh)),
        );
    }
}

fn unreachable(question: &Question, service: &Service, refresh: &Refresh) -> Option<Finding> {
    let (name, target, project) = (&service.name, &refresh.service, question.project);
    let elsewhere = refresh
        .project
        .as_ref()
        .filter(|other| *other != project.name());
    let (message, hint) = match elsewhere {
        None if project.service(target).is_none() => {
            let services = project.declared.services.keys().map(String::as_str);
            let nearest = suggest::nearest(target, services);
            let message = format!(
                "the refresh of `{name}` names `{target}`, which is no service of project `{}`",
                project.name()
            );
            let hint = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "services.{name}.x-rscale.refresh: {{service: {target}, project: ...}} names one of \
                     another project"
                ),
            };
            return Some(Finding::policy(Rule::RefreshTarget, service, message, hint));
        }
        None if runs(project, target) || target == name => return None,
        None => (
            format!("the refresh of `{name}` is for `{target}`, which does not run"),
            start(question, target),
        ),
        Some(other) => {
            let neighbours = question.surroundings.neighbours.get(other);
            let mut of_target = neighbours
                .into_iter()
                .flatten()
                .filter(|replica| replica.service == *target)
                .peekable();
            let exists = of_target.peek().is_some();
            if of_target.any(Replica::is_running) {
                return None;
            }
            (
                format!(
                    "the refresh of `{name}` is for `{target}` of project `{other}`, which does not run"
                ),
                // `start` needs no compose file, so it can be typed anywhere.
                if exists {
                    format!("docker compose -p {other} start {target}")
                } else {
                    format!("where its compose file is: docker compose -p {other} up -d {target}")
                },
            )
        }
    };
    // A balancer that starts later reads the addresses then; one that ended leaves replicas unserved.
    Some(if runs(project, name) {
        Finding::policy(Rule::RefreshTarget, service, message, hint)
    } else {
        Finding::warning(Rule::RefreshTarget, service, message, hint)
    })
}

/// What can be typed to have a service of the project run.
fn start(question: &Question, service: &str) -> String {
    match question.project.engine {
        EngineName::Compose => format!("docker compose up -d {service}"),
        EngineName::Swarm | EngineName::Kubernetes => format!("rscale {service}=1"),
    }
}

/// Replicas behind a balancer that is not told of them.
pub fn stale_upstream(question: &Question, findings: &mut Vec<Finding>) {
    let project = question.project;
    for service in changed(question).filter(|service| service.policy.refresh.is_empty()) {
        let name = &service.name;
        let others = question.overview.balancers.iter();
        for (front, balancer) in others.filter(|(other, _)| other != name) {
            let Some(front) = project.service(front) else {
                continue;
            };
            let configuration = question.surroundings.configurations.get(&front.name);
            let configuration = configuration.filter(|text| balancer.is_routing(text));
            let is_behind = match configuration {
                Some(text) => !balancer.follows_names(text) && words(text).any(|word| word == name),
                None => front.depends_on.contains_key(name),
            };
            if !is_behind {
                continue;
            }
            findings.push(Finding::warning(
                Rule::StaleUpstream,
                service,
                format!(
                    "`{}` ({}) keeps to the addresses of `{name}` that it found first: new replicas get no \
                     traffic, and removed ones are still tried",
                    front.name,
                    balancer.name()
                ),
                balancer.advice(name, &front.name),
            ));
        }
    }
}

fn runs(project: &Project, service: &str) -> bool {
    project.replicas(service).iter().any(Replica::is_running)
}

/// The words of a configuration, host names whole, without its comments.
fn words(configuration: &str) -> impl Iterator<Item = &str> {
    configuration
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| {
            line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        })
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;

    const SHOP: &str = "
services:
  web: {image: app, x-rscale: {refresh: [{service: front, exec: nginx -s reload}]}}
  front: {image: 'nginx:1'}
";

    #[test]
    fn a_refresh_needs_a_service_that_runs() {
        let kinds = |scene: Scene| scene.kinds(Rule::RefreshTarget, &[("web", 3)]);
        let web = || Scene::new(SHOP).running("web", 1);
        assert_eq!(kinds(web().running("front", 1)), [""; 0]);
        assert_eq!(kinds(web()), ["error"]);
        // At the very first start the balancer comes later.
        assert_eq!(kinds(Scene::new(SHOP)), ["warning"]);
        // Nothing changes, so nothing is refreshed.
        assert_eq!(web().kinds(Rule::RefreshTarget, &[("web", 1)]), [""; 0]);
    }

    #[test]
    fn a_refresh_of_a_service_that_does_not_exist_says_which_is_meant() {
        let scene = Scene::new(&SHOP.replace("service: front", "service: fronte"))
            .running("web", 1)
            .running("front", 1);
        let [finding] = &scene.found(Rule::RefreshTarget, &[("web", 3)])[..] else {
            panic!("one finding");
        };
        assert!(finding.policy);
        assert_eq!(finding.hint, "did you mean `front`?");
    }

    #[test]
    fn a_refresh_of_another_project_needs_its_container() {
        let yaml = SHOP.replace("service: front", "service: front, project: infra");
        let web = || Scene::new(&yaml).running("web", 1);
        let kinds = |scene: Scene| scene.kinds(Rule::RefreshTarget, &[("web", 3)]);
        assert_eq!(kinds(web().running("front", 1)), ["error"]);
        assert_eq!(kinds(web().neighbour("infra", "other")), ["error"]);
        assert_eq!(kinds(web().neighbour("infra", "front")), [""; 0]);
        let [finding] = &web().found(Rule::RefreshTarget, &[("web", 3)])[..] else {
            panic!("one finding");
        };
        assert_eq!(
            finding.hint,
            "where its compose file is: docker compose -p infra up -d front"
        );
    }

    #[test]
    fn replicas_behind_a_balancer_want_a_refresh() {
        let front = "services: {web: {image: a}, front: {image: 'x/nginx:1', depends_on: [web]}}";
        for (yaml, configuration, count, expected) in [
            (front, None, 3, 1),
            // Nothing changes.
            (front, None, 1, 0),
            (front, Some("proxy_pass http://web:8000;"), 3, 1),
            (
                front,
                Some("# proxy_pass http://web:8000;\nproxy_pass http://other;"),
                3,
                0,
            ),
            // Not where requests go, so what it depends on counts.
            (front, Some("-----BEGIN CERTIFICATE-----"), 3, 1),
            (front, Some("proxy_pass http://web-api:8000;"), 3, 0),
            (
                front,
                Some("resolver 127.0.0.11; set $up web; proxy_pass http://$up;"),
                3,
                0,
            ),
            (
                "services: {web: {image: a}, front: {image: nginx}}",
                None,
                3,
                0,
            ),
            (
                "services: {web: {image: a}, front: {image: nginx}}",
                Some("upstream app { server web:8000; }"),
                3,
                1,
            ),
            (
                "services: {web: {image: a}, front: {image: 'haproxy:3'}}",
                Some("server-template web 5 web:80 resolvers docker"),
                3,
                0,
            ),
            (
                "services: {web: {image: a}, front: {image: 'haproxy:3'}}",
                Some("server one web:80 check"),
                3,
                1,
            ),
            (
                "services: {web: {image: a}, front: {image: own, command: nginx -g x, depends_on: [web]}}",
                None,
                3,
                1,
            ),
            (
                "services: {web: {image: a}, front: {image: nginx-exporter, depends_on: [web]}}",
                None,
                3,
                0,
            ),
            (
                "services: {web: {image: a}, front: {image: 'caddy:2'}}",
                Some("reverse_proxy web:8000"),
                3,
                1,
            ),
            (
                "services: {web: {image: a}, front: {image: 'caddy:2'}}",
                Some("reverse_proxy { dynamic a { name web } }"),
                3,
                0,
            ),
            (SHOP, Some("proxy_pass http://web:8000;"), 3, 0),
        ] {
            let mut scene = Scene::new(yaml).running("web", 1).running("front", 1);
            if let Some(text) = configuration {
                scene = scene.configuration("front", text);
            }
            let found = scene.found(Rule::StaleUpstream, &[("web", count)]);
            assert_eq!(found.len(), expected, "{yaml} {configuration:?}");
        }
    }

    #[test]
    fn a_balancer_that_does_not_run_looks_names_up_when_it_starts() {
        let yaml = "services: {web: {image: a}, front: {image: nginx, depends_on: [web]}}";
        let scene = Scene::new(yaml).running("web", 1);
        assert!(scene.found(Rule::StaleUpstream, &[("web", 3)]).is_empty());
    }

    #[test]
    fn the_hint_is_the_yaml_to_write() {
        let hint = |image: &str| {
            let yaml = format!(
                "services: {{web: {{image: a}}, lb: {{image: {image}, depends_on: [web]}}}}"
            );
            let scene = Scene::new(&yaml).running("web", 1).running("lb", 1);
            let [finding] = &scene.found(Rule::StaleUpstream, &[("web", 2)])[..] else {
                panic!("one finding");
            };
            finding.hint.clone()
        };
        assert_eq!(
            hint("nginx"),
            "services.web.x-rscale: {refresh: [{service: lb, exec: [nginx, -s, reload]}]}"
        );
        assert_eq!(
            hint("haproxy"),
            "services.web.x-rscale: {refresh: [{service: lb, exec: [sh, -c, kill -USR2 1]}]}; all replicas are \
             used with a `server-template` and `resolvers`: docs/load-balancers.md#haproxy"
        );
    }
}
