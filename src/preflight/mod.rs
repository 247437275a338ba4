//! The preflight: what would go wrong, found before anything is touched. Pure.
//!
//! A rule is a function from a [`Question`] to findings; each family of rules has a file, and
//! docs/preflight.md has a section for each rule. What a service is for is read off what it runs
//! (`invocation`, `image`, `detection`), never off its name.

mod balancers;
mod cluster;
mod detection;
mod identity;
mod image;
mod invocation;
mod killed;
mod kubernetes;
mod limits;
mod notation;
mod overview;
mod ports;
mod resources;
mod roles;
mod room;
mod state;
mod swarm;
#[cfg(test)]
mod testing;

pub use balancers::balancers;
pub use overview::Overview;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::memory::Leftover;
use crate::plan::Counts;
use crate::project::Project;
use crate::project::cluster::Facts;
use crate::project::declared::{EngineName, Service};
use crate::project::observed::Replica;
use crate::words::displayed;

/// One thing that stands in the way, or that the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    pub severity: Severity,
    /// Whether `--force` may turn it into a warning: it could work, but a policy or experience says no.
    pub policy: bool,
    pub service: String,
    /// What would happen.
    pub message: String,
    /// What to write or type.
    pub hint: String,
}

impl Finding {
    /// It cannot work: refuses the scale, with `--force` too.
    fn hard(rule: Rule, service: &Service, message: String, hint: String) -> Self {
        Self {
            rule,
            severity: Severity::Error,
            policy: false,
            service: service.name.clone(),
            message,
            hint,
        }
    }

    /// It could work: refuses the scale unless `--force` is given.
    fn policy(rule: Rule, service: &Service, message: String, hint: String) -> Self {
        Self {
            policy: true,
            ..Self::hard(rule, service, message, hint)
        }
    }

    fn warning(rule: Rule, service: &Service, message: String, hint: String) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::hard(rule, service, message, hint)
        }
    }

    /// The user's word weighs more than what was detected: with `scalable: true` it only warns.
    fn unless_scalable(self, service: &Service) -> Self {
        if service.policy.scalable != Some(true) {
            return self;
        }
        let message = format!(
            "{}; allowed, because `x-rscale` says `scalable: true`",
            self.message
        );
        let hint = format!(
            "to have it refused, take `scalable: true` out of services.{}.x-rscale",
            service.name
        );
        Self::warning(self.rule, service, message, hint)
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Refuses the scale.
    Error,
    /// Is shown.
    Warning,
}

/// The rules, as users know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    ContainerName,
    HostPort,
    PortRange,
    StaticAddress,
    NetworkMode,
    Limits,
    CurrentReplicas,
    Scheduler,
    Stateful,
    OneShot,
    Memory,
    Connections,
    ShortGrace,
    RefreshTarget,
    StaleUpstream,
    Paused,
    Unhealthy,
    Profile,
    NotDeployed,
    FixedCount,
    Placement,
    Capacity,
    Drain,
    Rollout,
    StopTimeout,
    Autoscaler,
    DisruptionBudget,
    Quota,
    Rights,
    KilledRun,
    Drained,
}

displayed!(Severity, Rule);

/// What is asked: may these services have these counts?
#[derive(Debug)]
pub struct Question<'a> {
    pub project: &'a Project,
    /// Of that project.
    pub overview: &'a Overview,
    /// The counts wished for; a relative wish may have come out below 0.
    pub wish: &'a BTreeMap<String, i64>,
    pub surroundings: &'a Surroundings,
    /// `--stop-timeout`.
    pub stop_timeout: Option<Duration>,
    /// `--current-replicas`.
    pub current_replicas: Option<u32>,
}

/// What is known of the machine and the engine beyond the project.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Memory that the engine has, in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Ports (`tcp` or `udp`, number) that something listens on at the engine's machine, replicas of this
    /// project included; empty when unknown.
    pub listening: BTreeSet<(String, u16)>,
    /// Containers of other projects that a refresh names, by project.
    pub neighbours: BTreeMap<String, Vec<Replica>>,
    /// Configurations of the project's balancers, by service, where they can be read.
    pub configurations: BTreeMap<String, String>,
    /// What is known of the cluster; `None` on one machine.
    pub facts: Option<Facts>,
    /// What runs left that were killed.
    pub leftovers: Vec<Leftover>,
}

impl Question<'_> {
    /// The named services with their declarations and the counts wished for.
    fn services(&self) -> impl Iterator<Item = (&Service, i64)> {
        self.wish
            .iter()
            .filter_map(|(name, &count)| Some((self.project.service(name)?, count)))
    }

    /// How many replicas of a service exist.
    fn existing(&self, service: &str) -> i64 {
        i64::from(self.project.count(service))
    }

    /// The named services that are to have more than one replica, and more than exist: a scale-down is
    /// always a way out.
    fn multiplied(&self) -> impl Iterator<Item = (&Service, i64)> {
        self.services()
            .filter(|(service, count)| *count > self.existing(&service.name).max(1))
    }

    /// How many replicas a service will have: the wish, else those that exist.
    fn count_after(&self, service: &str) -> i64 {
        let existing = self.existing(service);
        self.wish.get(service).copied().unwrap_or(existing).max(0)
    }
}

type RuleFn = fn(&Question, &mut Vec<Finding>);

const RULES: &[RuleFn] = &[
    limits::below_zero,
    limits::too_many,
    limits::policy_limits,
    limits::current_replicas,
    identity::container_name,
    identity::static_address,
    identity::network_mode,
    ports::host_port,
    ports::port_range,
    roles::scheduler,
    roles::stateful,
    roles::one_shot,
    roles::short_grace,
    resources::memory,
    resources::connections,
    balancers::refresh_target,
    balancers::stale_upstream,
    state::paused,
    state::unhealthy,
    state::profile,
    killed::killed_run,
    killed::drained,
];

/// The rules for an engine that is told counts and places replicas itself.
const RULES_OF_CLUSTERS: &[RuleFn] = &[
    limits::below_zero,
    limits::too_many,
    limits::policy_limits,
    limits::current_replicas,
    cluster::not_deployed,
    cluster::fixed_count,
    cluster::rollout,
    cluster::stop_timeout,
    roles::scheduler,
    roles::stateful,
    roles::one_shot,
    resources::connections,
    killed::killed_run,
    killed::drained,
];

/// What Swarm alone cannot do.
const RULES_OF_KUBERNETES: &[RuleFn] = &[
    kubernetes::autoscaler,
    kubernetes::disruption_budget,
    kubernetes::quota,
    kubernetes::rights,
];

const RULES_OF_SWARM: &[RuleFn] = &[
    swarm::placement,
    swarm::capacity,
    swarm::no_drain,
    swarm::short_grace,
    swarm::refresh_elsewhere,
    balancers::refresh_target,
];

fn rules(engine: EngineName) -> impl Iterator<Item = &'static RuleFn> {
    let (common, own): (&[RuleFn], &[RuleFn]) = match engine {
        EngineName::Compose => (RULES, &[]),
        EngineName::Swarm => (RULES_OF_CLUSTERS, RULES_OF_SWARM),
        EngineName::Kubernetes => (RULES_OF_CLUSTERS, RULES_OF_KUBERNETES),
    };
    common.iter().chain(own)
}

/// Asks every rule. With `force`, errors that are a matter of policy come out as warnings.
pub fn examine(question: &Question, force: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules(question.project.engine) {
        rule(question, &mut findings);
    }
    if force {
        for finding in findings.iter_mut().filter(|finding| finding.policy) {
            finding.severity = Severity::Warning;
        }
    }
    findings
        .sort_by(|a, b| (a.severity, &a.service, a.rule).cmp(&(b.severity, &b.service, b.rule)));
    findings
}

/// Whether the findings refuse the scale.
pub fn refuses(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

/// A project without its replicas but the first of each service, which tells what the image itself runs: how
/// many there are must not matter to [`obstacles`].
#[derive(Debug)]
pub struct Bare {
    project: Project,
    overview: Overview,
}

impl Bare {
    pub fn new(project: &Project) -> Self {
        let first = |(service, replicas): (&String, &Vec<Replica>)| {
            let first = replicas.first().cloned();
            (service.clone(), first.into_iter().collect())
        };
        let project = Project {
            declared: project.declared.clone(),
            engine: project.engine,
            replicas: project.replicas.iter().map(first).collect(),
            deployed: project.deployed.clone(),
            ..Project::default()
        };
        Self {
            overview: Overview::new(&project),
            project,
        }
    }

    /// Whether a service is a job that runs once.
    pub fn is_job(&self, service: &str) -> bool {
        self.overview.waiting_for(service).is_some()
    }
}

/// What keeps a service from having `count` replicas by its declaration and policy alone, whatever runs.
pub fn obstacles(project: &Bare, service: &str, count: u32) -> Vec<Finding> {
    let wish = [(service.to_owned(), i64::from(count))].into();
    let question = Question {
        project: &project.project,
        overview: &project.overview,
        wish: &wish,
        surroundings: &Surroundings::default(),
        stop_timeout: None,
        current_replicas: None,
    };
    let common: [RuleFn; 4] = [
        limits::policy_limits,
        roles::scheduler,
        roles::stateful,
        roles::one_shot,
    ];
    let of_engine: &[RuleFn] = match project.project.engine {
        EngineName::Compose => &[
            identity::container_name,
            identity::static_address,
            identity::network_mode,
            ports::host_port,
        ],
        EngineName::Swarm | EngineName::Kubernetes => {
            &[cluster::not_deployed, cluster::fixed_count]
        }
    };
    let mut findings = Vec::new();
    for rule in common.iter().chain(of_engine) {
        rule(&question, &mut findings);
    }
    findings.sort_by_key(|finding| finding.rule);
    // A count that is still below `min` keeps nothing from having it.
    findings.retain(|finding| finding.rule != Rule::Limits || finding.severity == Severity::Error);
    findings
}

/// `1 replica`, `3 replicas`.
fn replicas(count: i64) -> String {
    match count {
        1 => "1 replica".into(),
        _ => format!("{count} replicas"),
    }
}

/// The counts of a wish that the preflight let pass.
pub fn granted(wish: &BTreeMap<String, i64>) -> Counts {
    wish.iter()
        .map(|(service, count)| {
            (
                service.clone(),
                u32::try_from((*count).max(0)).unwrap_or(u32::MAX),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::testing::Scene;
    use super::{Bare, Rule, Severity, granted, obstacles, refuses};

    const YAML: &str = "
services:
  named: {image: busybox, container_name: only}
  beat: {image: app, command: celery -A app beat}
  free: {image: busybox}
";

    #[test]
    fn force_turns_policy_errors_into_warnings_and_leaves_hard_ones() {
        let scene = Scene::new(YAML);
        for (force, expected) in [
            (
                false,
                [
                    (Rule::Scheduler, Severity::Error),
                    (Rule::ContainerName, Severity::Error),
                ],
            ),
            (
                true,
                [
                    (Rule::ContainerName, Severity::Error),
                    (Rule::Scheduler, Severity::Warning),
                ],
            ),
        ] {
            let findings = scene.examine(&[("beat", 2), ("named", 2)], force);
            let seen: Vec<_> = findings.iter().map(|f| (f.rule, f.severity)).collect();
            assert_eq!(seen, expected, "force: {force}");
            assert!(refuses(&findings));
        }
        assert!(!refuses(&scene.examine(&[("beat", 2)], true)));
        assert!(scene.examine(&[("free", 9)], false).is_empty());
    }

    #[test]
    fn a_scale_down_is_always_a_way_out() {
        let scene = Scene::new(YAML).running("named", 5).running("beat", 5);
        assert!(!refuses(
            &scene.examine(&[("named", 3), ("beat", 5)], false)
        ));
        assert!(refuses(&scene.examine(&[("named", 6)], false)));
    }

    #[test]
    fn obstacles_do_not_depend_on_how_many_run() {
        for existing in [0, 1, 5] {
            let project = Scene::new(YAML).running("named", existing).project;
            let rules: Vec<Rule> = obstacles(&Bare::new(&project), "named", 2)
                .iter()
                .map(|finding| finding.rule)
                .collect();
            assert_eq!(rules, [Rule::ContainerName], "{existing}");
        }
        let limited = "services: {web: {image: a, x-rscale: {min: 3}}}";
        assert!(obstacles(&Bare::new(&Scene::new(limited).project), "web", 2).is_empty());
    }

    #[test]
    fn every_rule_says_what_would_happen_and_what_to_type() {
        let findings = Scene::new(YAML).examine(&[("beat", 2), ("named", 2)], false);
        for finding in findings {
            let first = finding.message.chars().next();
            assert!(first.is_some_and(|c| !c.is_uppercase()), "{finding:?}");
            assert!(!finding.message.ends_with('.') && !finding.hint.is_empty());
            assert!(finding.message.contains(&finding.service), "{finding:?}");
        }
    }

    #[test]
    fn granted_counts_are_never_below_zero() {
        let wish = [("a".to_owned(), -2), ("b".to_owned(), 3)].into();
        assert_eq!(
            granted(&wish),
            [("a".to_owned(), 0), ("b".to_owned(), 3)].into()
        );
    }

    /// docs/preflight.md has a section for every rule, and its examples do what it says.
    #[test]
    fn the_documented_examples_trip_their_rules() {
        let page = include_str!("../../docs/preflight.md");
        for rule in [
            Rule::ContainerName,
            Rule::HostPort,
            Rule::PortRange,
            Rule::StaticAddress,
            Rule::NetworkMode,
            Rule::Limits,
            Rule::CurrentReplicas,
            Rule::Scheduler,
            Rule::Stateful,
            Rule::OneShot,
            Rule::Memory,
            Rule::Connections,
            Rule::ShortGrace,
            Rule::RefreshTarget,
            Rule::StaleUpstream,
            Rule::Paused,
            Rule::Unhealthy,
            Rule::Profile,
            Rule::NotDeployed,
            Rule::FixedCount,
            Rule::Placement,
            Rule::Capacity,
            Rule::Drain,
            Rule::Rollout,
            Rule::StopTimeout,
            Rule::Autoscaler,
            Rule::DisruptionBudget,
            Rule::Quota,
            Rule::Rights,
        ] {
            let name = rule.to_string();
            let (_, section) = page
                .split_once(&format!("\n## {name}\n"))
                .expect("every rule has a section");
            let section = section.split("\n## ").next().unwrap_or_default();
            let block = |language: &str| {
                let (_, rest) = section.split_once(&format!("```{language}\n"))?;
                rest.split("```").next()
            };
            let (Some(yaml), Some(command)) = (block("yaml"), block("console")) else {
                continue;
            };
            let target = command.trim().strip_prefix("$ rscale ");
            let (service, count) = target.and_then(|t| t.split_once('=')).expect("one target");
            let wish = [(service, count.parse().expect("a count"))];
            let scene = Scene::new(yaml).memory(8 << 30);
            let names: Vec<String> = scene.project.declared.services.keys().cloned().collect();
            let scene = names
                .iter()
                .fold(scene, |scene, name| scene.running(name, 1));
            let findings = scene.found(rule, &wish);
            let [finding] = findings.as_slice() else {
                panic!("{name}: {findings:?}");
            };
            assert!(
                finding.message.contains(service) && finding.service == service,
                "{name}"
            );
            let kind = match (finding.severity, finding.policy) {
                (Severity::Error, true) => "\nError; `--force` applies",
                (Severity::Error, false) => "\nError; `--force` does not apply",
                (Severity::Warning, _) => "\nWarning.",
            };
            assert!(section.contains(kind), "{name}");
        }
    }
}
