//! What tests deploy: a Deployment or StatefulSet with a count, and how its pods behave.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Well,
    /// It runs and does not pass its readiness probe.
    NeverReady,
    /// Its image cannot be pulled.
    BadImage,
    /// It logs [`Behaviour::log`] and ends with code 1, again and again.
    Crashes,
    /// No node has room for it.
    Unschedulable,
}

/// How the pods of a workload behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub fate: Fate,
    /// As many pods do well before the fate meets those that come later.
    pub spared: usize,
    /// From being made to the start of the container.
    pub starts_in: Duration,
    /// From there to passing the probe.
    pub ready_in: Duration,
    /// From being told to go to the end; the grace cuts it short.
    pub ends_in: Duration,
    pub log: String,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            fate: Fate::Well,
            spared: 0,
            starts_in: Duration::from_millis(50),
            ready_in: Duration::from_millis(50),
            ends_in: Duration::from_millis(50),
            log: String::new(),
        }
    }
}

impl Behaviour {
    pub fn well() -> Self {
        Self::default()
    }

    /// Every pod meets this fate.
    pub fn all(fate: Fate) -> Self {
        Self {
            fate,
            ..Self::default()
        }
    }

    /// Pods beyond the first ones meet this fate: what was well has been broken since.
    pub fn after(spared: usize, fate: Fate) -> Self {
        Self {
            fate,
            spared,
            ..Self::default()
        }
    }

    pub fn starts_in(self, starts_in: Duration) -> Self {
        Self { starts_in, ..self }
    }

    pub fn ready_in(self, ready_in: Duration) -> Self {
        Self { ready_in, ..self }
    }

    pub fn ends_in(self, ends_in: Duration) -> Self {
        Self { ends_in, ..self }
    }

    pub fn log(self, log: &str) -> Self {
        Self {
            log: log.to_owned(),
            ..self
        }
    }
}

/// A Deployment or a StatefulSet.
#[derive(Debug, Clone)]
pub struct Workload {
    pub name: String,
    pub count: u32,
    pub behaviour: Behaviour,
    stateful: bool,
    /// StatefulSets bring their pods one after another, or all at once.
    parallel: bool,
    probed: bool,
    grace_seconds: u32,
    labels: BTreeMap<String, String>,
    requests: BTreeMap<String, String>,
    pre_stop: bool,
}

impl Workload {
    pub fn deployment(name: &str, count: u32) -> Self {
        Self {
            name: name.to_owned(),
            count,
            behaviour: Behaviour::default(),
            stateful: false,
            parallel: false,
            probed: true,
            grace_seconds: 5,
            labels: BTreeMap::new(),
            requests: BTreeMap::new(),
            pre_stop: false,
        }
    }

    pub fn stateful_set(name: &str, count: u32) -> Self {
        Self {
            stateful: true,
            ..Self::deployment(name, count)
        }
    }

    pub fn parallel(self) -> Self {
        Self {
            parallel: true,
            ..self
        }
    }

    pub fn behaves(self, behaviour: Behaviour) -> Self {
        Self { behaviour, ..self }
    }

    /// Without a readiness probe: a pod is ready once it runs.
    pub fn unprobed(self) -> Self {
        Self {
            probed: false,
            ..self
        }
    }

    pub fn grace(self, grace_seconds: u32) -> Self {
        Self {
            grace_seconds,
            ..self
        }
    }

    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// As Kompose labels what it makes of a service.
    pub fn of_service(self, service: &str) -> Self {
        self.label("io.kompose.service", service)
    }

    /// What one pod reserves: `cpu`, `memory`.
    pub fn requests(mut self, resource: &str, quantity: &str) -> Self {
        self.requests
            .insert(resource.to_owned(), quantity.to_owned());
        self
    }

    /// The cluster runs a command in pods that go.
    pub fn pre_stop(self) -> Self {
        Self {
            pre_stop: true,
            ..self
        }
    }

    /// The object, with an image whose container runs `sleep`.
    pub fn manifest(&self, namespace: &str, image: &str) -> Value {
        let image = match self.behaviour {
            Behaviour {
                fate: Fate::BadImage,
                spared: 0,
                ..
            } => "rscale.invalid/bad-image:1",
            _ => image,
        };
        let mut container = json!({
            "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"],
            "resources": {"requests": self.requests},
        });
        if self.probed {
            let probe = if self.behaviour.fate == Fate::NeverReady {
                "false"
            } else {
                "true"
            };
            container["readinessProbe"] = json!({"exec": {"command": [probe]}, "periodSeconds": 1});
        }
        if self.pre_stop {
            container["lifecycle"] = json!({"preStop": {"exec": {"command": ["true"]}}});
        }
        let selector = json!({"app": self.name});
        let mut labels = json!(self.labels);
        labels["app"] = json!(self.name);
        let mut object = json!({
            "apiVersion": "apps/v1",
            "kind": if self.stateful { "StatefulSet" } else { "Deployment" },
            "metadata": {"name": self.name, "namespace": namespace, "labels": labels},
            "spec": {
                "replicas": self.count,
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": selector},
                    "spec": {
                        "terminationGracePeriodSeconds": self.grace_seconds,
                        "containers": [container],
                    },
                },
            },
        });
        if self.stateful {
            object["spec"]["serviceName"] = json!(self.name);
            let policy = if self.parallel {
                "Parallel"
            } else {
                "OrderedReady"
            };
            object["spec"]["podManagementPolicy"] = json!(policy);
        }
        object
    }
}
