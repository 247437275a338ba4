//! A service that goes along: as Compose resolved it, as rscale reads it, and with the count it has now.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::{Source, Warning};
use crate::project::declared::Service;

/// Where counts are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// The engine, as they are now.
    Observed,
    /// The compose file, because nothing runs.
    Declared,
}

/// One service.
#[derive(Debug)]
pub struct Part<'a> {
    pub name: &'a str,
    pub service: &'a Service,
    pub resolved: &'a Mapping,
    pub count: u32,
    /// Compose's own name where the file gives none.
    pub image: String,
    /// Whether it is built from sources, here or by another service with the same image.
    pub built: bool,
    /// Another service waits for it to complete: it is a job that runs once.
    pub waited_for_by: Option<&'a str>,
}

impl Part<'_> {
    /// A key of the service.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.resolved.get(key).filter(|value| !value.is_null())
    }

    /// A key of its `deploy`.
    pub fn deploy(&self, key: &str) -> Option<&Value> {
        self.get("deploy")?
            .get(key)
            .filter(|value| !value.is_null())
    }

    /// Whether the engine is to run one on each node, whatever the count.
    pub fn is_global(&self) -> bool {
        self.deploy("mode").and_then(Value::as_str) == Some("global")
    }

    /// A label of its containers.
    pub fn label(&self, name: &str) -> Option<String> {
        match self.get("labels")? {
            Value::Mapping(labels) => Some(labels.get(name)?.as_str()?.to_owned()),
            Value::Sequence(labels) => labels.iter().find_map(|label| {
                let (key, value) = label.as_str()?.split_once('=')?;
                (key == name).then(|| value.to_owned())
            }),
            _ => None,
        }
    }
}

/// The services that a plain `docker compose up` would start, and others that run all the same.
pub fn parts(source: Source<'_>) -> (Vec<Part<'_>>, Counts) {
    let project = source.project;
    let declared = &project.declared.services;
    let counts = if declared.keys().any(|name| project.count(name) > 0) {
        Counts::Observed
    } else {
        Counts::Declared
    };
    let resolved = source.resolved.get("services").and_then(Value::as_mapping);
    let taken = declared.values().filter_map(|service| {
        let goes = project.is_active(service) || project.count(&service.name) > 0;
        let resolved = resolved?.get(service.name.as_str())?.as_mapping()?;
        goes.then_some((service, resolved))
    });
    let image = |service: &Service| {
        let own = || format!("{}{}{}", project.name(), source.separator, service.name);
        service.image.clone().unwrap_or_else(own)
    };
    let built: BTreeSet<String> = declared
        .values()
        .filter(|service| service.builds)
        .map(image)
        .collect();
    let jobs = project.jobs();
    let parts = taken.map(|(service, resolved)| {
        let waited_for_by = jobs.get(service.name.as_str()).copied();
        let observed = project.count(&service.name);
        // A job may have been removed once it was done.
        let is_over = waited_for_by.is_some() && observed == 0;
        let image = image(service);
        Part {
            name: &service.name,
            service,
            resolved,
            count: if counts == Counts::Declared || is_over {
                service.count
            } else {
                observed
            },
            built: built.contains(&image),
            image,
            waited_for_by: waited_for_by.map(|other| other.name.as_str()),
        }
    });
    (parts.collect(), counts)
}

/// Images that other machines do not have.
pub fn built(parts: &[Part<'_>]) -> Vec<Warning> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.built) {
        users.entry(&part.image).or_default().push(part.name);
    }
    let warnings = users.into_iter().map(|(image, services)| {
        Warning::of(
            services[0],
            format!(
                "image `{image}` of {} is built on this machine; other nodes do not have it",
                quoted_list(&services)
            ),
            format!(
                "push it to a registry and name it so in `image`, or load it on each node: \
                 docker save {image} | ssh NODE docker load"
            ),
        )
    });
    warnings.collect()
}

/// `` `a`, `b` and `c` ``.
pub fn quoted_list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    crate::phrase::list(&quoted)
}
