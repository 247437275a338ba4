//! Clusters for the tests: a small API server in this process, or the real cluster that `RSCALE_E2E_KUBECONFIG`
//! names. Either is reached by the real kubectl only, and every test has a namespace of its own.
//!
//! The server keeps what rscale may ask for and change, and answers as the API documents; its controllers
//! bring, verify and take pods within milliseconds, or misbehave as the test says.

mod access;
mod answer;
mod controller;
mod exec;
mod kind;
mod objects;
mod place;
mod pod;
mod port;
mod protobuf;
mod quota;
mod request;
mod server;
mod watchers;
mod workload;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::engine::{PATIENCE, Ran, Running};
use super::turn::{Turn, Weight};
use place::{Place, kubectl, real_kubeconfig};
pub use port::Port;
use server::Server;
pub use workload::{Behaviour, Fate, Workload};
pub use world::{Meddling, World};

/// The namespace of the tests on the server.
const NAMESPACE: &str = "shop";

/// A namespace of a cluster, and a folder to run rscale in. Removed at the end, after a panic too.
#[derive(Debug)]
pub struct Cluster {
    /// The server; without one, the cluster is a real one.
    server: Option<Server>,
    place: Place,
    namespace: String,
    image: String,
}

impl Cluster {
    /// An empty namespace. `None` when the end-to-end tests are to be skipped.
    pub fn new() -> Option<Self> {
        let kubectl = usable_kubectl()?;
        match real_kubeconfig() {
            Some(config) => Some(Self::real(&kubectl, &config)),
            None => Some(Self::served(&kubectl)),
        }
    }

    /// The same for a test that needs the server's tricks: left out on a real cluster.
    pub fn with_tricks() -> Option<Self> {
        let kubectl = usable_kubectl()?;
        if real_kubeconfig().is_some() {
            return skip("a real cluster does not misbehave on demand");
        }
        Some(Self::served(&kubectl))
    }

    fn served(kubectl: &std::path::Path) -> Self {
        // Its controllers work all the time.
        let _turn = Turn::take(Weight::Light);
        let mut world = World::default();
        let named = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        for name in ["default", NAMESPACE] {
            world.add(named("Namespace", name));
        }
        for number in 1..=3 {
            let mut node = named("Node", &format!("node-{number}"));
            node["metadata"]["labels"] =
                json!({"kubernetes.io/hostname": format!("node-{number}")});
            node["spec"] = json!({});
            node["status"] = json!({
                "addresses": [
                    {"type": "InternalIP", "address": "127.0.0.1"},
                    {"type": "Hostname", "address": format!("node-{number}")},
                ],
                "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "KubeletReady",
                    "message": "kubelet is posting ready status",
                }],
            });
            world.add(node);
        }
        let server = Server::start(world);
        let place = Place::new(kubectl);
        let address = format!("http://127.0.0.1:{}", server.port);
        place.write_kubeconfig(&place::kubeconfig(&address, NAMESPACE));
        Self {
            server: Some(server),
            place,
            namespace: NAMESPACE.to_owned(),
            image: "busybox:1".to_owned(),
        }
    }

    fn real(kubectl: &std::path::Path, config: &str) -> Self {
        let place = Place::new(kubectl);
        let namespace = place.name().to_owned();
        place.write_kubeconfig(&place::copied_kubeconfig(&place, config));
        let cluster = Self {
            server: None,
            place,
            namespace: namespace.clone(),
            image: std::env::var("RSCALE_E2E_IMAGE").unwrap_or_else(|_| "busybox:1".to_owned()),
        };
        cluster.kubectl(&["create", "namespace", &namespace]);
        cluster.kubectl(&[
            "config",
            "set-context",
            "--current",
            "--namespace",
            &namespace,
        ]);
        cluster
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the server keeps.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let server = self.server.as_ref();
        server
            .expect("this test takes `Cluster::with_tricks`")
            .world()
    }

    /// Brings a Deployment, and waits until its pods are as they will be.
    pub fn deploy(&self, name: &str, count: u32, behaviour: Behaviour) {
        self.create(&Workload::deployment(name, count).behaves(behaviour));
    }

    /// Brings a workload, and waits until its pods are as they will be.
    pub fn create(&self, workload: &Workload) {
        let Workload {
            name,
            count,
            behaviour,
            ..
        } = workload;
        if let Some(server) = &self.server {
            let mut world = server.world();
            world.behaviours.insert(name.clone(), behaviour.clone());
        }
        self.add(&workload.manifest(&self.namespace, &self.image));
        let well = match behaviour.fate {
            Fate::Well => *count as usize,
            _ => behaviour.spared.min(*count as usize),
        };
        self.wait_until(&format!("{well} pods of {name} are ready"), || {
            self.counts().get(name).copied().unwrap_or(0) == well
        });
    }

    /// Creates any object.
    pub fn add(&self, manifest: &Value) {
        if let Some(server) = &self.server {
            let mut manifest = manifest.clone();
            let kind = kind::Kind::by_name(manifest["kind"].as_str().unwrap());
            if kind.namespaced {
                manifest["metadata"]["namespace"] = json!(self.namespace);
            }
            server.world().add(manifest);
            return;
        }
        let file = self.place.folder().join("manifest.json");
        fs::write(&file, manifest.to_string()).unwrap();
        self.kubectl(&["create", "--filename", file.to_str().unwrap()]);
        fs::remove_file(file).unwrap();
    }

    /// Brings a Service of type NodePort, on whose port 80 the ready pods of a workload answer.
    pub fn serve(&self, service: &str, workload: &str) -> Port {
        let server = self.server.as_ref();
        let port = server
            .expect("this test takes `Cluster::with_tricks`")
            .port_of(workload);
        self.add(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
            "spec": {
                "type": "NodePort", "clusterIP": "10.96.0.9", "selector": {"app": workload},
                "ports": [{"port": 80, "targetPort": 8080, "nodePort": port.number, "protocol": "TCP"}],
            },
            "status": {"loadBalancer": {}},
        }));
        port
    }

    /// The pods of a workload that stay: name and uid.
    pub fn pods(&self, workload: &str) -> BTreeMap<String, String> {
        self.staying(workload, |_| true)
    }

    fn staying(&self, workload: &str, wanted: impl Fn(&Value) -> bool) -> BTreeMap<String, String> {
        let pods = self.all("pods").into_iter();
        pods.filter(|pod| pod["metadata"]["labels"]["app"] == workload)
            .filter(|pod| !controller::is_leaving(pod) && wanted(pod))
            .map(|pod| {
                let text = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
                (text("name"), text("uid"))
            })
            .collect()
    }

    /// The ids of a workload's pods, those that are going left out.
    pub fn ids(&self, workload: &str) -> BTreeSet<String> {
        self.pods(workload).into_values().collect()
    }

    /// How many ready pods each workload has.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> =
            self.wishes().into_keys().map(|name| (name, 0)).collect();
        for pod in self.all("pods") {
            if controller::is_ready(&pod) && !controller::is_leaving(&pod) {
                let app = pod["metadata"]["labels"]["app"].as_str();
                *counts
                    .entry(app.unwrap_or_default().to_owned())
                    .or_default() += 1;
            }
        }
        counts
    }

    /// How many pods each workload is to have.
    pub fn wishes(&self) -> BTreeMap<String, u32> {
        let workloads = [self.all("deployments"), self.all("statefulsets")].concat();
        workloads
            .iter()
            .map(|object| {
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                (name, u32::try_from(controller::wish(object)).unwrap())
            })
            .collect()
    }

    /// The objects of a kind in the namespace.
    pub fn all(&self, plural: &'static str) -> Vec<Value> {
        if let Some(server) = &self.server {
            let world = server.world();
            let found = world.of_kind(plural, &self.namespace).into_iter();
            return found.map(|(_, object)| object.clone()).collect();
        }
        let printed = self.kubectl(&["get", plural, "--output", "json"]);
        let list: Value = serde_json::from_str(&printed).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Fails unless exactly these workloads have so many ready pods, and are to have them.
    #[track_caller]
    pub fn assert_counts(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<String, usize> = expected
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        let wishes: BTreeMap<String, usize> = self
            .wishes()
            .into_iter()
            .map(|(name, count)| (name, count as usize))
            .collect();
        assert_eq!((self.counts(), wishes), (expected.clone(), expected));
    }

    /// What kubectl prints; it must succeed.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> String {
        let mut command = self.place.command("kubectl");
        command.args(args);
        Ran::of(command).succeeded().stdout
    }

    /// A run of rscale on the cluster, not started yet.
    pub fn rscale_command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(env!("CARGO_BIN_EXE_rscale"));
        command.args(args);
        command
    }

    /// Runs rscale on the cluster.
    pub fn rscale(&self, args: &[&str]) -> Ran {
        Ran::of(self.rscale_command(args))
    }

    /// Runs `rscale --format json`.
    pub fn json(&self, args: &[&str]) -> Ran {
        self.rscale(&[args, &["--format", "json"]].concat())
    }

    /// Starts rscale and goes on.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::of(self.rscale_command(args))
    }

    /// Writes a compose file into the folder of the runs.
    pub fn compose_file(&self, yaml: &str) {
        fs::write(self.place.folder().join("compose.yaml"), yaml).unwrap();
    }

    /// Has every later command look for the API at another address.
    pub fn kubeconfig_with(&self, server: &str) {
        let text = place::kubeconfig(server, &self.namespace);
        self.place.write_kubeconfig(&text);
    }

    /// Sets an environment variable for every later command.
    pub fn set(&self, variable: &str, value: &str) {
        self.place.set(variable, value);
    }

    /// What happened at the server so far: requests, commands in pods, pods that were told to go.
    pub fn journal(&self) -> Vec<String> {
        self.world().journal.clone()
    }

    /// Requests that change something.
    pub fn changes(&self) -> Vec<String> {
        let mut journal = self.journal();
        journal.retain(|line| {
            let method = line.split(' ').next().unwrap_or_default();
            let asks = line.contains("/selfsubject");
            ["POST", "PUT", "PATCH", "DELETE"].contains(&method) && !asks
        });
        journal
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; {:#?}",
                self.all("pods")
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server.is_some() {
            return;
        }
        let mut command = self.place.command("kubectl");
        command.args(["delete", "namespace", &self.namespace, "--wait=false"]);
        if !command.output().is_ok_and(|output| output.status.success()) {
            let _ = writeln!(io::stderr(), "left behind: namespace {}", self.namespace);
        }
    }
}

fn usable_kubectl() -> Option<std::path::PathBuf> {
    if std::env::var("RSCALE_E2E").is_ok_and(|value| value == "skip") {
        return skip("RSCALE_E2E=skip");
    }
    let kubectl = kubectl();
    if kubectl.as_os_str().is_empty() {
        return skip("RSCALE_E2E_KUBECTL is empty");
    }
    Some(kubectl)
}

/// Past the capture of the test harness: what is skipped must be seen.
fn skip<T>(reason: &str) -> Option<T> {
    let _ = writeln!(io::stderr(), "SKIPPED ({reason})");
    None
}
