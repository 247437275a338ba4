//! What stands beside the services: networks, volumes, secrets, configs, and `x-` sections.

use serde_yaml::{Mapping, Value};

use crate::export::yaml::{Entry, Yaml};
use crate::export::{Source, Warning};

/// The sections, in a fixed order; `x-rscale` is not among them.
pub fn sections(source: Source<'_>, warnings: &mut Vec<Warning>) -> Vec<Entry> {
    let project = source.project.name();
    let section = |name: &str| source.resolved.get(name).and_then(Value::as_mapping);
    let mut entries = Vec::new();
    for (name, kind) in [
        ("networks", Kind::Network),
        ("volumes", Kind::Volume),
        ("secrets", Kind::Secret),
        ("configs", Kind::Config),
    ] {
        let Some(items) = section(name).filter(|items| !items.is_empty()) else {
            continue;
        };
        let items = items.iter().filter_map(|(key, how)| {
            let key = key.as_str()?;
            Some(kind.entry(project, key, how, warnings))
        });
        let items: Vec<Entry> = items.collect();
        let mut entry = Entry::new(name, Yaml::Map(items));
        entry.comments.extend(kind.comment().map(str::to_owned));
        entries.push(entry);
    }
    let others = source.resolved.as_mapping().into_iter().flatten();
    entries.extend(others.filter_map(|(key, value)| {
        let key = key.as_str()?;
        (key.starts_with("x-") && key != "x-rscale").then(|| Entry::new(key, value))
    }));
    entries
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Network,
    Volume,
    Secret,
    Config,
}

impl Kind {
    fn comment(self) -> Option<&'static str> {
        match self {
            Self::Network => Some("Overlay networks: they span the nodes."),
            Self::Volume | Self::Secret | Self::Config => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }

    /// Keys of version 3.9.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Network => &[
                "driver",
                "driver_opts",
                "ipam",
                "internal",
                "attachable",
                "labels",
            ],
            Self::Volume => &["driver", "driver_opts", "labels"],
            Self::Secret => &["file", "driver", "driver_opts", "template_driver", "labels"],
            Self::Config => &["file", "template_driver", "labels"],
        }
    }

    fn entry(self, project: &str, key: &str, how: &Value, warnings: &mut Vec<Warning>) -> Entry {
        let empty = Mapping::new();
        let how = how.as_mapping().unwrap_or(&empty);
        let (mut entry, mut values) = (Entry::new(key, Yaml::Map(Vec::new())), Vec::new());
        let name = how.get("name").and_then(Value::as_str);
        // A stack puts its own name before those of what it makes, as Compose does.
        let own_name = name.filter(|name| *name != format!("{project}_{key}"));
        if is_true(how.get("external")) {
            let called = name.unwrap_or(key);
            if self == Self::Network {
                warnings.push(Warning::general(
                    format!(
                        "network `{called}` has to be there before the stack, and to span the nodes"
                    ),
                    format!("docker network create --driver overlay --attachable {called}"),
                ));
            } else if self != Self::Volume {
                warnings.push(Warning::general(
                    format!(
                        "{} `{called}` has to be in the swarm before the stack",
                        self.word()
                    ),
                    format!("docker {} create {called} -", self.word()),
                ));
            }
            values.push(Entry::new("external", Yaml::Scalar(Value::Bool(true))));
            values.extend(name.map(|name| Entry::new("name", Yaml::text(name))));
            entry.value = Yaml::Map(values);
            return entry;
        }
        if let Some(source) = self.value_elsewhere(how) {
            warnings.push(Warning::general(
                format!(
                    "{} `{key}` is made {source}, which a stack cannot",
                    self.word()
                ),
                format!("make it first: docker {} create {key} -", self.word()),
            ));
            entry.comments.push(format!(
                "With Compose it is made {source}; here it has to be there: docker {} create {key} -",
                self.word()
            ));
            entry.value = Yaml::map([("external", Yaml::Scalar(Value::Bool(true)))]);
            return entry;
        }
        values.extend(own_name.map(|name| Entry::new("name", Yaml::text(name))));
        let is_bridge = self == Self::Network && is_local_driver(how);
        if is_bridge {
            entry
                .comments
                .push("An overlay instead of its driver, which stays on one machine.".into());
        }
        values.extend(
            self.keys()
                .iter()
                .filter(|key| !(is_bridge && key.starts_with("driver")))
                .filter_map(|key| Some((*key, how.get(*key)?)))
                .filter(|(_, value)| says_something(value))
                .map(|(key, value)| match key {
                    "ipam" => Entry::new(key, ipam(value)),
                    _ => Entry::new(key, value),
                }),
        );
        entry.value = Yaml::Map(values);
        entry
    }

    /// Where Compose has a secret's or a config's value from, when that is no file.
    fn value_elsewhere(self, how: &Mapping) -> Option<String> {
        if !matches!(self, Self::Secret | Self::Config) {
            return None;
        }
        let variable = how.get("environment").and_then(Value::as_str);
        variable
            .map(|name| format!("from the variable `{name}`"))
            .or_else(|| {
                how.get("content")
                    .map(|_| "from text in the compose file".to_owned())
            })
    }
}

/// A driver that stays on one machine.
fn is_local_driver(how: &Mapping) -> bool {
    let driver = how.get("driver").and_then(Value::as_str);
    driver.is_some_and(|driver| matches!(driver, "bridge" | "host" | "none"))
}

/// `true`, or the name of old, `{name: ...}`.
fn is_true(external: Option<&Value>) -> bool {
    match external {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Mapping(_)) => true,
        _ => false,
    }
}

/// Version 3.9 has the driver and the subnets.
fn ipam(value: &Value) -> Yaml {
    let mut entries = Vec::new();
    entries.extend(
        value
            .get("driver")
            .map(|driver| Entry::new("driver", driver)),
    );
    if let Some(Value::Sequence(pools)) = value.get("config") {
        let subnets = pools.iter().filter_map(|pool| pool.get("subnet"));
        let subnets = subnets.map(|subnet| Yaml::map([("subnet", Yaml::from(subnet))]).into());
        entries.push(Entry::new("config", Yaml::List(subnets.collect())));
    }
    Yaml::Map(entries)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Sequence(items) => !items.is_empty(),
        Value::Mapping(entries) => !entries.is_empty(),
        _ => true,
    }
}
