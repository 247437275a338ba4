//! All that the server keeps: objects by kind, namespace and name, the lives of its pods, what the test has
//! planned for it, and a journal of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kind::Kind;
use super::pod::Life;
use super::workload::Behaviour;

/// Kind (plural), namespace, name.
pub type Key = (&'static str, String, String);

/// What a test has another client do, once.
#[derive(Debug, Clone)]
pub struct Meddling {
    /// `GET` and the end of a path.
    pub at: (String, String),
    /// After that request has been answered in full; else before it is looked at.
    pub afterwards: bool,
    pub workload: String,
    pub count: u32,
}

#[derive(Debug, Default)]
pub struct World {
    pub objects: BTreeMap<Key, Value>,
    version: u64,
    /// By uid.
    pub lives: BTreeMap<String, Life>,
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Methods and paths of requests, commands in pods, pods that go, in the order of time.
    pub journal: Vec<String>,
    pub keda: bool,
    /// Verb and resource (`patch`, `deployments/scale`) that the user may not.
    pub denied: BTreeSet<(String, String)>,
    pub meddling: Vec<Meddling>,
    /// How long every answer takes.
    pub delay: Duration,
    /// How long HPAs take to set a count that somebody else changed back; they do nothing without.
    pub autoscaling: Option<Duration>,
    /// Exit code and output of commands in pods, by a part of their line; others end well and say nothing.
    pub commands: Vec<(String, i32, String)>,
    /// When a workload was last told a count by a client.
    pub told: BTreeMap<Key, Instant>,
}

impl World {
    pub fn key(kind: &'static str, namespace: &str, name: &str) -> Key {
        (kind, namespace.to_owned(), name.to_owned())
    }

    /// Adds an object as the API server would: with uid, time and version.
    pub fn add(&mut self, mut object: Value) -> Key {
        let kind = Kind::by_name(object["kind"].as_str().unwrap());
        self.version += 1;
        let version = self.version;
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(uid(version));
        metadata["resourceVersion"] = json!(version.to_string());
        metadata["creationTimestamp"] = json!(stamp(Timestamp::now()));
        metadata["generation"] = json!(1);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (
            kind.plural,
            text(&metadata["namespace"]),
            text(&metadata["name"]),
        );
        self.objects.insert(key.clone(), object);
        key
    }

    /// Changes an object; its version rises if it differs afterwards, its generation if its wish does.
    pub fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        let Some(object) = self.objects.get_mut(key) else {
            return;
        };
        let before = object.clone();
        change(object);
        if *object == before {
            return;
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["spec"] != before["spec"] {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
    }

    /// The objects of a kind, in one namespace or all of them.
    pub fn of_kind(&self, plural: &'static str, namespace: &str) -> Vec<(&Key, &Value)> {
        self.objects
            .iter()
            .filter(|(key, _)| key.0 == plural && (namespace.is_empty() || key.1 == namespace))
            .collect()
    }

    pub fn keys(&self, plural: &'static str) -> Vec<Key> {
        let found = self.of_kind(plural, "").into_iter();
        found.map(|(key, _)| key.clone()).collect()
    }

    pub fn has_namespace(&self, name: &str) -> bool {
        self.objects
            .contains_key(&Self::key("namespaces", "", name))
    }

    /// Sets the count of a Deployment or StatefulSet, whoever asks for it.
    pub fn set_count(&mut self, key: &Key, count: u32) {
        self.change(key, |object| object["spec"]["replicas"] = json!(count));
        self.told.insert(key.clone(), Instant::now());
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Sets the count of a workload of any namespace as another client would.
    pub fn meddle(&mut self, workload: &str, count: u32) {
        let keys = [self.keys("deployments"), self.keys("statefulsets")].concat();
        for key in keys.iter().filter(|key| key.2 == workload) {
            self.set_count(key, count);
        }
    }
}

/// An id that looks like one, and differs from all others of a server.
fn uid(number: u64) -> String {
    format!(
        "{:08x}-0000-4000-8000-{number:012x}",
        number.wrapping_mul(2_654_435_761) & 0xffff_ffff
    )
}

/// A time as the API writes it, to the second.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
