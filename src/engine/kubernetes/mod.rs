//! Kubernetes: Deployments and StatefulSets are told counts through kubectl; every command that rscale runs, and
//! why so.

pub mod config;
mod facts;
mod listing;
mod object;
mod pod;
mod reach;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compose::Compose;
use super::launcher::Launcher;
use super::{Answer, Control, Engine, Orchestrator, Telling};
use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::load::address::Host;
use crate::plan::{Counts, SetCounts};
use crate::project::Project;
use crate::project::cluster::{Deployed, Facts};
use crate::project::declared::Hook;
use crate::project::observed::{Observed, Replica};
use crate::project::workload::Place;

/// Time limit of commands that only read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit of short changes.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one answer of the API server may take; a listing comes in parts of 500 objects. kubectl itself would
/// wait for ever.
const ANSWER_TIMEOUT: &str = "--request-timeout=10s";
/// What the ReplicaSet controller takes away first: the pods whose deletion costs least; 0 is usual.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost>
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The namespace that kubectl is at.
#[derive(Debug, Clone, Default)]
pub struct Kubernetes {
    /// What reads the compose file; `None` where there is none.
    pub file: Option<Compose>,
    /// `--context`; else kubectl's current one.
    pub context: Option<String>,
    /// `--namespace`; else that of the context.
    pub namespace: Option<String>,
}

impl Kubernetes {
    /// A request that is answered at once.
    fn request<A: Into<String>>(
        &self,
        args: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> CommandSpec {
        let mut spec = self.kubectl(args, timeout);
        spec.args.push(ANSWER_TIMEOUT.to_owned());
        spec
    }

    fn kubectl<A: Into<String>>(
        &self,
        args: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> CommandSpec {
        let mut words = Vec::new();
        for (option, value) in [
            ("--context", &self.context),
            ("--namespace", &self.namespace),
        ] {
            if let Some(value) = value {
                words.extend([option.to_owned(), value.clone()]);
            }
        }
        words.extend(args.into_iter().map(Into::into));
        CommandSpec::new("kubectl", words, timeout)
    }
}

impl Engine for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn control(&self) -> Control<'_> {
        Control::Counts(self)
    }

    fn declared(&self, every_profile: bool) -> Option<CommandSpec> {
        self.file.as_ref()?.declared(every_profile)
    }

    fn listing(&self, _project: &str) -> Vec<CommandSpec> {
        let kinds = "deployments,statefulsets,pods";
        vec![self.request(["get", kinds, "--output", "json"], READ_TIMEOUT)]
    }

    fn printed_anyway<'e>(&self, error: &'e CommandError) -> Option<&'e str> {
        // Who may see only one of the two kinds has only services of that kind.
        let CommandError::Failed { stdout, stderr, .. } = error else {
            return None;
        };
        let mut lines = stderr.lines().filter(|line| !line.trim().is_empty());
        let line = lines.next()?;
        let one_kind = ["deployments.apps", "statefulsets.apps"]
            .iter()
            .any(|kind| line.starts_with(&format!("Error from server (Forbidden): {kind} ")));
        (one_kind && lines.next().is_none()).then_some(stdout)
    }

    fn existence(&self) -> Option<CommandSpec> {
        // A list of what is in a namespace that does not exist is empty; a single object's namespace is looked for.
        // Every namespace has this one, and whoever may list pods need not be allowed to get namespaces.
        let account = ["get", "serviceaccount", "default", "--output", "name"];
        Some(self.request(account, READ_TIMEOUT))
    }

    fn is_missing(&self, error: &CommandError) -> bool {
        let missing = "Error from server (NotFound): namespaces";
        error.stderr().lines().any(|line| line.starts_with(missing))
    }

    fn parse_listing(&self, _project: &str, outputs: &[String]) -> Result<Observed> {
        let text = outputs.first().map(String::as_str).unwrap_or_default();
        listing::parse(text).map_err(|error| {
            Error::unusable("what `kubectl get` printed cannot be read").detail(error.to_string())
        })
    }

    fn exec(&self, container: &str, hook: &Hook, timeout: Duration) -> CommandSpec {
        let mut words = vec!["exec".to_owned(), container.to_owned(), "--".into()];
        if !hook.environment.is_empty() {
            // kubectl has no option for it.
            let pairs = hook.environment.iter();
            words.push("env".into());
            words.extend(pairs.map(|(name, value)| format!("{name}={value}")));
        }
        words.extend(hook.command.iter().cloned());
        self.kubectl(words, timeout)
            .on_interrupt(OnInterrupt::Finish)
    }

    fn launcher(&self, place: &Place, container: &str) -> Result<Launcher> {
        match place {
            Place::Local => Ok(Launcher::Local(CommandSpec::new("", [""; 0], READ_TIMEOUT))),
            Place::Exec(_) => Ok(Launcher::ExecEnv(
                self.kubectl(["exec", container, "--"], READ_TIMEOUT),
            )),
            Place::Run(service) => Err(Error::unusable(format!(
                "a pod of its own for `{service}` cannot be run on kubernetes"
            ))
            .hint("run the command in a replica instead: exec, see docs/drivers.md")),
        }
    }

    fn look_at(&self, name: &str) -> String {
        self.kubectl(["describe", "pod", name], READ_TIMEOUT)
            .to_string()
    }

    fn logs(&self, _id: &str, name: &str, lines: u32) -> CommandSpec {
        self.request(["logs", "--tail", &lines.to_string(), name], READ_TIMEOUT)
    }

    fn earlier_logs(&self, name: &str, lines: u32) -> Option<CommandSpec> {
        let lines = lines.to_string();
        let words = ["logs", "--previous", "--tail", &lines, name];
        Some(self.request(words, READ_TIMEOUT))
    }

    fn replace(&self, names: &[&str]) -> String {
        let words = ["delete", "pod"].into_iter().chain(names.iter().copied());
        self.kubectl(words, CHANGE_TIMEOUT).to_string()
    }
}

impl Orchestrator for Kubernetes {
    fn scale(&self, project: &Project, step: &SetCounts) -> Vec<Telling> {
        let tellings = step.counts.iter().map(|(service, count)| {
            let deployed = project.deployed.get(service);
            let object = deployed.map_or_else(
                || format!("deployment/{service}"),
                |deployed| deployed.object.clone(),
            );
            let mut args = vec!["scale".to_owned(), object, format!("--replicas={count}")];
            // The API server refuses it when somebody else was quicker.
            if let Some(from) = step.from.get(service) {
                args.push(format!("--current-replicas={from}"));
            }
            let spec = self.request(args, CHANGE_TIMEOUT);
            Telling {
                services: vec![service.clone()],
                spec: spec.on_interrupt(OnInterrupt::Finish),
            }
        });
        tellings.collect()
    }

    fn count_found(&self, error: &CommandError) -> Option<u32> {
        // kubectl's own words (pkg/scale, `PreconditionError`): `Expected replicas to be 7, was 3`.
        let said = error.stderr().trim();
        let (_, found) = said
            .split_once("Expected replicas to be ")?
            .1
            .split_once(", was ")?;
        found.trim().parse().ok()
    }

    fn supports_choice(&self) -> bool {
        true
    }

    fn prefer(&self, project: &Project, replicas: &[&Replica], first: bool) -> Option<CommandSpec> {
        // StatefulSets always lose their highest number, and where all go there is nothing to choose.
        let all_go = |service: &str| {
            let mut all = project.replicas(service).iter();
            first && all.all(|one| one.leaving || replicas.iter().any(|other| other.id == one.id))
        };
        let chosen: Vec<&str> = replicas
            .iter()
            .filter(|replica| {
                let deployed = project.deployed.get(&replica.service);
                deployed.is_some_and(|deployed| !deployed.highest_goes) && !all_go(&replica.service)
            })
            .map(|replica| replica.name.as_str())
            .collect();
        if chosen.is_empty() {
            return None;
        }
        let mut args = vec!["annotate".to_owned(), "pods".into()];
        args.extend(chosen.into_iter().map(str::to_owned));
        if first {
            args.extend([format!("{DELETION_COST}=-1000000"), "--overwrite".into()]);
        } else {
            args.push(format!("{DELETION_COST}-"));
        }
        let spec = self.request(args, CHANGE_TIMEOUT);
        Some(spec.on_interrupt(OnInterrupt::Finish))
    }

    fn description(&self, _project: &Project) -> Option<CommandSpec> {
        None
    }

    fn parse_description(&self, _project: &Project, _stdout: &str) -> Result<Vec<Deployed>> {
        Ok(Vec::new())
    }

    fn enquiries(
        &self,
        project: &Project,
        counts: &Counts,
        answers: &[Answer],
    ) -> Vec<CommandSpec> {
        let enquiries = facts::enquiries(project, counts, answers).into_iter();
        enquiries
            .map(|words| self.request(words, READ_TIMEOUT))
            .collect()
    }

    fn facts(&self, project: &Project, counts: &Counts, answers: &[Answer]) -> Result<Facts> {
        Ok(Facts {
            kubernetes: facts::read(project, counts, answers),
            ..Facts::default()
        })
    }

    fn names_hosts(&self, host: &str) -> bool {
        reach::is_inside(host)
    }

    fn address_enquiries(
        &self,
        _project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> Vec<CommandSpec> {
        let words = reach::enquiries(services, answers).into_iter();
        words
            .map(|words| self.request(words, READ_TIMEOUT))
            .collect()
    }

    fn hosts(
        &self,
        project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> BTreeMap<String, Host> {
        reach::hosts(project, services, answers)
    }
}
