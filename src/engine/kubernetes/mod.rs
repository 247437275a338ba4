//! Kubernetes: Deployments and StatefulSets are told counts through kubectl; every command that rscale runs, and
//! why so.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compose::Compose;
use super::launcher::Launcher;
use super::{Answer, Control, Engine, Orchestrator};
use crate::error::{Error, Result};
use crate::exec::{CommandSpec, OnInterrupt};
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
        vec![self.kubectl(["get", kinds, "--output", "json"], READ_TIMEOUT)]
    }

    fn parse_listing(&self, _project: &str, outputs: &[String]) -> Result<Observed> {
        listing::parse(outputs.first().map_or("", String::as_str)).map_err(|error| {
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

    fn launcher(&self, place: &Place, _container: &str) -> Result<Launcher> {
        match place {
            Place::Local => Ok(Launcher::Local(CommandSpec::new("", [""; 0], READ_TIMEOUT))),
            Place::Exec(service) | Place::Run(service) => Err(Error::unusable(format!(
                "commands in `{service}` cannot be run on kubernetes yet"
            ))),
        }
    }

    fn look_at(&self, name: &str) -> String {
        self.kubectl(["describe", "pod", name], READ_TIMEOUT)
            .to_string()
    }

    fn logs(&self, _id: &str, name: &str, lines: u32) -> CommandSpec {
        self.kubectl(["logs", "--tail", &lines.to_string(), name], READ_TIMEOUT)
    }
}

impl Orchestrator for Kubernetes {
    fn scale(&self, project: &Project, step: &SetCounts) -> Vec<CommandSpec> {
        let specs = step.counts.iter().map(|(service, count)| {
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
            self.kubectl(args, CHANGE_TIMEOUT)
                .on_interrupt(OnInterrupt::Finish)
        });
        specs.collect()
    }

    fn deploy(&self, _: &str) -> String {
        "kubectl apply --kustomize .".to_owned()
    }

    fn supports_choice(&self) -> bool {
        true
    }

    fn prefer(&self, project: &Project, replicas: &[&Replica], first: bool) -> Option<CommandSpec> {
        // StatefulSets always lose their highest number.
        let chosen: Vec<&str> = replicas
            .iter()
            .filter(|replica| {
                let deployed = project.deployed.get(&replica.service);
                deployed.is_some_and(|deployed| deployed.object.starts_with("deployment/"))
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
        let spec = self.kubectl(args, CHANGE_TIMEOUT);
        Some(spec.on_interrupt(OnInterrupt::Finish))
    }

    fn description(&self, _project: &Project) -> Option<CommandSpec> {
        None
    }

    fn parse_description(&self, _project: &Project, _stdout: &str) -> Result<Vec<Deployed>> {
        Ok(Vec::new())
    }

    fn enquiries(&self, _: &Project, _: &Counts, _: &[Answer]) -> Vec<CommandSpec> {
        Vec::new()
    }

    fn facts(&self, _: &Project, _: &Counts, _: &[Answer]) -> Result<Facts> {
        Ok(Facts::default())
    }

    fn address_enquiries(&self, _: &Project, _: &BTreeSet<&str>, _: &[Answer]) -> Vec<CommandSpec> {
        Vec::new()
    }

    fn hosts(&self, _: &Project, _: &BTreeSet<&str>, _: &[Answer]) -> BTreeMap<String, Host> {
        BTreeMap::new()
    }
}
