//! The kinds of objects that the server keeps, and what discovery says of them.

use serde_json::{Value, json};

/// A kind, by the names that the API gives it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    /// As objects say it: `Deployment`.
    pub name: &'static str,
    pub short: &'static str,
    pub namespaced: bool,
}

const fn kind(
    group_version: (&'static str, &'static str),
    plural: &'static str,
    singular: &'static str,
    name: &'static str,
    short: &'static str,
) -> Kind {
    Kind {
        group: group_version.0,
        version: group_version.1,
        plural,
        singular,
        name,
        short,
        namespaced: true,
    }
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
/// Served only where KEDA is installed.
pub const KEDA: &str = "keda.sh";

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind {
        namespaced: false,
        ..kind(CORE, "namespaces", "namespace", "Namespace", "ns")
    },
    Kind {
        namespaced: false,
        ..kind(CORE, "nodes", "node", "Node", "no")
    },
    kind(CORE, "endpoints", "endpoints", "Endpoints", "ep"),
    kind(CORE, "events", "event", "Event", "ev"),
    kind(CORE, "pods", "pod", "Pod", "po"),
    kind(
        CORE,
        "resourcequotas",
        "resourcequota",
        "ResourceQuota",
        "quota",
    ),
    kind(CORE, "services", "service", "Service", "svc"),
    kind(APPS, "daemonsets", "daemonset", "DaemonSet", "ds"),
    kind(APPS, "deployments", "deployment", "Deployment", "deploy"),
    kind(APPS, "replicasets", "replicaset", "ReplicaSet", "rs"),
    kind(APPS, "statefulsets", "statefulset", "StatefulSet", "sts"),
    kind(
        ("autoscaling", "v2"),
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler",
        "hpa",
    ),
    kind(("batch", "v1"), "jobs", "job", "Job", ""),
    kind(
        ("discovery.k8s.io", "v1"),
        "endpointslices",
        "endpointslice",
        "EndpointSlice",
        "",
    ),
    kind(
        ("policy", "v1"),
        "poddisruptionbudgets",
        "poddisruptionbudget",
        "PodDisruptionBudget",
        "pdb",
    ),
    kind(
        (KEDA, "v1alpha1"),
        "scaledobjects",
        "scaledobject",
        "ScaledObject",
        "so",
    ),
];

impl Kind {
    pub fn by_plural(plural: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.plural == plural)
    }

    pub fn by_name(name: &str) -> &'static Self {
        KINDS.iter().find(|kind| kind.name == name).unwrap()
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// As messages name it: `pods`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    pub fn has_scale(&self) -> bool {
        matches!(self.plural, "deployments" | "replicasets" | "statefulsets")
    }
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// What the server says at the paths of discovery; `None` elsewhere.
pub fn discovery(path: &str, keda: bool) -> Option<Value> {
    let kinds = || KINDS.iter().filter(|kind| keda || kind.group != KEDA);
    match path {
        "version" => Some(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.2", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-08-21T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
        })),
        "api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "apis" => {
            let mut groups: Vec<(&str, &str)> =
                kinds().map(|kind| (kind.group, kind.version)).collect();
            groups.push(("authorization.k8s.io", "v1"));
            groups.retain(|(group, _)| !group.is_empty());
            groups.dedup();
            let groups = groups.into_iter().map(|(group, version)| {
                let version =
                    json!({"groupVersion": api_version(group, version), "version": version});
                json!({"name": group, "versions": [version], "preferredVersion": version})
            });
            Some(json!({
                "kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>(),
            }))
        }
        _ => {
            let wanted = path
                .strip_prefix("apis/")
                .or_else(|| path.strip_prefix("api/"))?;
            let mut resources: Vec<Value> = kinds()
                .filter(|kind| kind.api_version() == wanted)
                .flat_map(resources)
                .collect();
            if wanted == "authorization.k8s.io/v1" {
                for (name, kind) in [
                    ("selfsubjectaccessreview", "SelfSubjectAccessReview"),
                    ("selfsubjectrulesreview", "SelfSubjectRulesReview"),
                ] {
                    resources.push(json!({
                        "name": format!("{name}s"), "singularName": name, "namespaced": false, "kind": kind,
                        "verbs": ["create"],
                    }));
                }
            }
            (!resources.is_empty()).then(|| {
                json!({
                    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": wanted,
                    "resources": resources,
                })
            })
        }
    }
}

fn resources(kind: &Kind) -> Vec<Value> {
    let mut whole = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.name,
        "verbs": ["create", "delete", "get", "list", "patch", "update"],
    });
    if !kind.short.is_empty() {
        whole["shortNames"] = json!([kind.short]);
    }
    let part = |name: &str, of: &str, verbs: &[&str]| {
        json!({
            "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": true, "kind": of,
            "verbs": verbs,
        })
    };
    let mut all = vec![whole];
    if kind.has_scale() {
        let mut scale = part("scale", "Scale", &["get", "patch", "update"]);
        scale["group"] = json!("autoscaling");
        scale["version"] = json!("v1");
        all.push(scale);
    }
    if kind.plural == "pods" {
        all.push(part("log", "Pod", &["get"]));
        all.push(part("exec", "PodExecOptions", &["create", "get"]));
    }
    all
}
