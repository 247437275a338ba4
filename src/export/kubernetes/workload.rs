//! What Kompose makes of one service, and what the overlay says of it.

use std::time::Duration;

use serde_yaml::Value;

use super::KOMPOSE_LABEL;
use super::leaving::Leaving;
use super::operation::operation;
use crate::export::Warning;
use crate::export::part::Part;
use crate::export::yaml::{Entry, Item, Yaml, document, items};

/// One service.
#[derive(Debug)]
pub struct Workload {
    /// As the compose file names it.
    pub service: String,
    /// As Kompose names it.
    pub name: String,
    kind: Kind,
    count: u32,
    min: Option<u32>,
    pub(super) leaving: Option<Leaving>,
    pub refreshes: bool,
    pub counts_connections: bool,
    pub has_max: bool,
}

/// What runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A Deployment, or with `kompose convert --controller statefulset` a StatefulSet.
    Counted,
    /// One on each node.
    DaemonSet,
    /// A pod of its own, or a CronJob: Kompose makes it of services that are not restarted.
    Pod,
}

impl Workload {
    pub fn new(part: &Part<'_>) -> Self {
        let policy = &part.service.policy;
        Self {
            service: part.name.to_owned(),
            name: kompose_name(part),
            kind: kind(part),
            count: part.count,
            min: policy.min.filter(|min| *min > 0),
            leaving: Leaving::of(part.service),
            refreshes: !policy.refresh.is_empty(),
            counts_connections: !policy.connections.is_empty() || policy.max_connections.is_some(),
            has_max: policy.max.is_some(),
        }
    }

    pub fn is_pod(&self) -> bool {
        self.kind == Kind::Pod
    }

    /// The count that is written; `None` where there is none to write.
    pub fn count(&self) -> Option<u32> {
        (self.kind == Kind::Counted).then_some(self.count)
    }

    /// The grace that is written.
    pub fn grace(&self) -> Option<Duration> {
        let leaving = self.leaving.as_ref().filter(|_| !self.is_pod());
        leaving.map(Leaving::total)
    }

    pub fn has_budget(&self) -> bool {
        self.kind == Kind::Counted && self.min.is_some()
    }

    /// The kinds that a patch is for, as a pattern.
    fn kinds(&self) -> &'static str {
        match self.kind {
            Kind::Counted => "Deployment|StatefulSet",
            Kind::DaemonSet => "DaemonSet",
            Kind::Pod => "Pod",
        }
    }

    /// Its entry in `replicas`.
    pub fn replicas(&self) -> Option<Yaml> {
        let count = self.count()?;
        let pairs = [
            ("name", Yaml::text(&self.name)),
            ("count", Yaml::number(count)),
        ];
        Some(Yaml::map(pairs))
    }

    /// Its PodDisruptionBudget.
    pub fn budget(&self) -> Option<String> {
        let min = self.min.filter(|_| self.has_budget())?;
        let labels = Yaml::map([(KOMPOSE_LABEL, Yaml::text(&self.name))]);
        let spec = vec![
            Entry::commented(
                format!("`min` of `{}`.", self.service),
                "minAvailable",
                Yaml::number(min),
            ),
            Entry::new("selector", Yaml::map([("matchLabels", labels.clone())])),
        ];
        let entries = [
            Entry::new("apiVersion", Yaml::text("policy/v1")),
            Entry::new("kind", Yaml::text("PodDisruptionBudget")),
            Entry::new(
                "metadata",
                Yaml::map([("name", Yaml::text(&self.name)), ("labels", labels)]),
            ),
            Entry::new("spec", Yaml::Map(spec)),
        ];
        Some(document(&[], &entries))
    }

    /// Its patch: how replicas leave, and the name that rscale knows it by.
    pub fn patch(&self) -> Option<Item> {
        if self.is_pod() {
            return None;
        }
        let mut operations = Vec::new();
        if self.name != self.service {
            operations.push(operation(
                format!(
                    "Kompose calls it `{}`; rscale goes by this label.",
                    self.name
                ),
                &format!("/metadata/labels/{KOMPOSE_LABEL}"),
                Yaml::text(&self.service),
            ));
        }
        operations.extend(self.leaving.iter().flat_map(Leaving::operations));
        if operations.is_empty() {
            return None;
        }
        let target = [
            ("kind", Yaml::text(self.kinds())),
            ("name", Yaml::text(&self.name)),
        ];
        let patch = items(&operations);
        Some(Yaml::map([("target", Yaml::map(target)), ("patch", Yaml::text(patch))]).into())
    }

    /// The least that Kompose would make of it.
    pub fn minimal(&self) -> Option<String> {
        let kind = match self.kind {
            Kind::Counted => "Deployment",
            Kind::DaemonSet => "DaemonSet",
            Kind::Pod => return None,
        };
        let labels = || Yaml::map([(KOMPOSE_LABEL, Yaml::text(&self.name))]);
        let container = [
            ("name", Yaml::text(&self.name)),
            ("image", Yaml::text("image")),
        ];
        let template = Yaml::map([
            ("metadata", Yaml::map([("labels", labels())])),
            (
                "spec",
                Yaml::map([("containers", Yaml::List(vec![Yaml::map(container).into()]))]),
            ),
        ]);
        let spec = [
            ("selector", Yaml::map([("matchLabels", labels())])),
            ("template", template),
        ];
        let entries = [
            Entry::new("apiVersion", Yaml::text("apps/v1")),
            Entry::new("kind", Yaml::text(kind)),
            Entry::new(
                "metadata",
                Yaml::map([("name", Yaml::text(&self.name)), ("labels", labels())]),
            ),
            Entry::new("spec", Yaml::map(spec)),
        ];
        Some(document(&[], &entries))
    }

    /// What does not go along.
    pub fn warnings(&self, part: &Part<'_>) -> Vec<Warning> {
        let (service, mut warnings) = (&self.service, Vec::new());
        let has_policy = self.leaving.is_some() || self.min.is_some();
        if self.is_pod() && (self.count > 1 || has_policy) {
            warnings.push(Warning::of(
                service,
                format!("Kompose makes a pod of `{service}`, which is not restarted, so its count and policies stay behind"),
                format!("have it restarted: services.{service}.restart: always"),
            ));
        }
        if let (Kind::Counted, Some(other)) = (self.kind, part.waited_for_by) {
            warnings.push(Warning::of(
                service,
                format!(
                    "`{service}` is a job (`{other}` waits for it to complete), and Kompose makes of it what is started \
                     again whenever it ends"
                ),
                format!("have Kompose make a pod of it: services.{service}.restart: on-failure"),
            ));
        }
        if self.has_budget() && self.min >= Some(self.count) {
            let count = crate::phrase::plural(self.count as usize, "replica");
            let next = self.min.unwrap_or_default() + 1;
            warnings.push(Warning::of(
                service,
                format!("`{service}` has {count} and none to spare for its budget, so no node that runs one can be drained"),
                format!("have one more than min: rscale {service}={next}"),
            ));
        }
        if let Some(leaving) = &self.leaving {
            warnings.extend(leaving.lost(service));
        }
        if part.service.start_hooks {
            warnings.push(Warning::of(
                service,
                format!("start hooks of `{service}` stay behind"),
                "an init container does the same: https://kubernetes.io/docs/concepts/workloads/pods/init-containers",
            ));
        }
        warnings
    }
}

/// Lower case, with a `-` for each `.` and `_`; or what its label says.
fn kompose_name(part: &Part<'_>) -> String {
    part.label("kompose.service.name_override")
        .unwrap_or_else(|| part.name.replace(['.', '_'], "-"))
        .to_lowercase()
}

fn kind(part: &Part<'_>) -> Kind {
    let controller = part.label("kompose.controller.type").unwrap_or_default();
    let own = part
        .deploy("restart_policy")
        .and_then(|own| own.get("condition"));
    let restart = own.or_else(|| part.get("restart")).and_then(Value::as_str);
    // Kompose compares the whole word: `on-failure:3` is restarted.
    match restart {
        Some("no" | "on-failure") => Kind::Pod,
        _ if part.is_global() || controller.eq_ignore_ascii_case("daemonset") => Kind::DaemonSet,
        _ => Kind::Counted,
    }
}
