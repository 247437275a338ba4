//! The preflight: what would go wrong, found before anything is touched. Pure.
//!
//! A rule is a function from a [`Question`] to findings; each family of rules has a file.

mod identity;
mod limits;
mod ports;
mod resources;
mod roles;
mod state;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::Counts;
use crate::project::Project;
use crate::project::declared::Service;

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

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Refuses the scale.
    Error,
    /// Is shown.
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The rules, as users know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    Memory,
    Connections,
    ShortGrace,
    Paused,
    Unhealthy,
    Profile,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContainerName => "container-name",
            Self::HostPort => "host-port",
            Self::PortRange => "port-range",
            Self::StaticAddress => "static-address",
            Self::NetworkMode => "network-mode",
            Self::Limits => "limits",
            Self::CurrentReplicas => "current-replicas",
            Self::Scheduler => "scheduler",
            Self::Stateful => "stateful",
            Self::Memory => "memory",
            Self::Connections => "connections",
            Self::ShortGrace => "short-grace",
            Self::Paused => "paused",
            Self::Unhealthy => "unhealthy",
            Self::Profile => "profile",
        }
    }
}

/// What is asked: may these services have these counts?
#[derive(Debug)]
pub struct Question<'a> {
    pub project: &'a Project,
    /// The counts wished for; a relative wish may have come out below 0.
    pub wish: &'a std::collections::BTreeMap<String, i64>,
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
}

impl Question<'_> {
    /// The named services with their declarations and the counts wished for.
    fn services(&self) -> impl Iterator<Item = (&Service, i64)> {
        self.wish
            .iter()
            .filter_map(|(name, &count)| Some((self.project.service(name)?, count)))
    }

    /// The named services that are to have more than one replica.
    fn multiplied(&self) -> impl Iterator<Item = (&Service, i64)> {
        self.services().filter(|(_, count)| *count > 1)
    }

    /// How many replicas a service will have: the wish, else those that exist.
    fn count_after(&self, service: &str) -> i64 {
        let existing = i64::from(self.project.count(service));
        self.wish.get(service).copied().unwrap_or(existing).max(0)
    }
}

type RuleFn = fn(&Question, &mut Vec<Finding>);

const RULES: &[RuleFn] = &[
    limits::below_zero,
    limits::policy_limits,
    limits::current_replicas,
    identity::container_name,
    identity::static_address,
    identity::network_mode,
    ports::host_port,
    ports::port_range,
    roles::scheduler,
    roles::stateful,
    roles::short_grace,
    resources::memory,
    resources::connections,
    state::paused,
    state::unhealthy,
    state::profile,
];

/// Asks every rule. With `force`, errors that are a matter of policy come out as warnings.
pub fn examine(question: &Question, force: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in RULES {
        rule(question, &mut findings);
    }
    if force {
        for finding in findings.iter_mut().filter(|finding| finding.policy) {
            finding.severity = Severity::Warning;
        }
    }
    findings.sort_by(|a, b| (a.severity, &a.service, a.rule).cmp(&(b.severity, &b.service, b.rule)));
    findings
}

/// Whether the findings refuse the scale.
pub fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// What keeps a service from having `count` replicas by its declaration and policy alone, whatever runs.
pub fn obstacles(project: &Project, service: &str, count: u32) -> Vec<Finding> {
    let wish = [(service.to_owned(), i64::from(count))].into();
    let question = Question {
        project,
        wish: &wish,
        surroundings: &Surroundings::default(),
        stop_timeout: None,
        current_replicas: None,
    };
    let mut findings = Vec::new();
    for rule in [
        limits::policy_limits as RuleFn,
        identity::container_name,
        identity::static_address,
        identity::network_mode,
        ports::host_port,
        roles::scheduler,
        roles::stateful,
    ] {
        rule(&question, &mut findings);
    }
    findings
}

/// The counts of a wish that the preflight let pass.
pub fn granted(wish: &std::collections::BTreeMap<String, i64>) -> Counts {
    wish.iter()
        .map(|(service, count)| (service.clone(), u32::try_from((*count).max(0)).unwrap_or(u32::MAX)))
        .collect()
}
