//! One service of the stack.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::keys::{KEPT, TRANSLATED, lost};
use super::{deploy, ports};
use crate::duration::exact;
use crate::export::Warning;
use crate::export::part::{Part, quoted_list};
use crate::export::plain_text::secrets;
use crate::export::yaml::{Entry, Yaml};
use crate::project::Project;

/// The service with its comments; what is lost is added to the warnings.
pub fn service(
    project: &Project,
    part: &Part<'_>,
    names: &[&str],
    warnings: &mut Vec<Warning>,
) -> Entry {
    let mut entries = vec![image(part)];
    entries.push(Entry::new(
        "deploy",
        Yaml::Map(deploy::deploy(project, part, warnings)),
    ));
    entries.extend(grace(part));
    entries.extend(kept(part));
    entries.extend(ports::ports(part, warnings));
    entries.extend(networks(part, warnings));
    entries.extend(mounts(part, warnings));
    entries.extend(grants(part));
    entries.extend(dependencies(part, names));
    entries.extend(extensions(part));
    let mut comments = left_out(part, warnings);
    if let Some(other) = part.waited_for_by {
        comments.push(format!(
            "A job that runs once: `{other}` waits for it with Compose, and cannot with Swarm."
        ));
    }
    Entry {
        comments,
        key: part.name.to_owned(),
        value: Yaml::Map(entries),
    }
}

fn image(part: &Part<'_>) -> Entry {
    let value = Yaml::text(&part.image);
    if part.built {
        return Entry::commented(
            "Built on the machine where this was written: push it to a registry, or load it on each node.",
            "image",
            value,
        );
    }
    Entry::new("image", value)
}

fn grace(part: &Part<'_>) -> Option<Entry> {
    let service = part.service;
    let (grace, why) = match (service.policy.stop_timeout, service.stop_grace_period) {
        (Some(grace), _) => (
            grace,
            "Between the end signal and the kill, from x-rscale: {stop-timeout}.",
        ),
        (None, Some(grace)) => (grace, "Between the end signal and the kill."),
        (None, None) => return None,
    };
    Some(Entry::commented(
        why,
        "stop_grace_period",
        Yaml::text(exact(grace)),
    ))
}

/// What goes along as it is.
fn kept(part: &Part<'_>) -> Vec<Entry> {
    let values = KEPT.iter().filter(|key| **key != "image");
    let mut entries: Vec<Entry> = values
        .filter_map(|key| Some((*key, part.get(key)?)))
        .map(|(key, value)| Entry::new(key, &without_interval(key, value)))
        .collect();
    if let Some(hosts) = part.get("extra_hosts") {
        entries.push(Entry::new("extra_hosts", extra_hosts(hosts)));
    }
    if let Some(ulimits) = part.get("ulimits") {
        entries.push(Entry::new("ulimits", ulimits));
    }
    let plain = secrets(part);
    if !plain.is_empty() {
        for entry in entries
            .iter_mut()
            .filter(|entry| entry.key == "environment")
        {
            entry.comments.push(format!(
                "In plain text: {}. A secret is safer, where the image reads one: {}_FILE: /run/secrets/NAME.",
                quoted_list(&plain),
                plain[0]
            ));
        }
    }
    entries
}

/// `start_interval` came with version 3.12, which 20.10 does not know.
fn without_interval(key: &str, value: &Value) -> Value {
    match value {
        Value::Mapping(entries) if key == "healthcheck" => {
            let mut entries = entries.clone();
            entries.remove("start_interval");
            Value::Mapping(entries)
        }
        _ => value.clone(),
    }
}

/// Compose prints `host=address`; docker 20.10 reads `host:address` only.
fn extra_hosts(value: &Value) -> Yaml {
    match value {
        Value::Sequence(hosts) => Yaml::texts(
            hosts
                .iter()
                .filter_map(Value::as_str)
                .map(|host| host.replacen('=', ":", 1)),
        ),
        other => other.into(),
    }
}

/// The networks by name, with their aliases.
fn networks(part: &Part<'_>, warnings: &mut Vec<Warning>) -> Option<Entry> {
    let Value::Mapping(networks) = part.get("networks")? else {
        return Some(Entry::new("networks", part.get("networks")?));
    };
    let mut fixed = false;
    let entries = networks.iter().filter_map(|(name, how)| {
        let aliases = how.get("aliases").filter(|aliases| !aliases.is_null());
        fixed |= ["ipv4_address", "ipv6_address", "mac_address"]
            .iter()
            .any(|key| how.get(*key).is_some());
        let value = match aliases {
            Some(aliases) => Yaml::map([("aliases", aliases.into())]),
            None => Yaml::Scalar(Value::Null),
        };
        Some(Entry::new(name.as_str()?, value))
    });
    let value = Yaml::Map(entries.collect());
    if !fixed {
        return Some(Entry::new("networks", value));
    }
    warnings.push(Warning::of(
        part.name,
        format!(
            "`{}` has a fixed address, and Swarm chooses addresses",
            part.name
        ),
        format!("reach it by its name: {}", part.name),
    ));
    Some(Entry::commented(
        "Without its fixed address: Swarm chooses addresses.",
        "networks",
        value,
    ))
}

/// The mounts, and what is only on one node.
fn mounts(part: &Part<'_>, warnings: &mut Vec<Warning>) -> Option<Entry> {
    let Value::Sequence(mounts) = part.get("volumes")? else {
        return None;
    };
    let mut entry = Entry::new(
        "volumes",
        Yaml::List(mounts.iter().map(|one| mount(one).into()).collect()),
    );
    let of_kind = |kind: &str| -> Vec<&str> {
        let matching = mounts.iter().filter(|one| match one.as_str() {
            Some(short) => (kind == "bind") == short.starts_with(['/', '.', '~']),
            None => one.get("type").and_then(Value::as_str) == Some(kind),
        });
        let source = matching.filter_map(|one| match one.as_str() {
            Some(short) => short.split_once(':').map(|(source, _)| source),
            None => one.get("source").and_then(Value::as_str),
        });
        source.collect()
    };
    let (binds, volumes) = (of_kind("bind"), of_kind("volume"));
    let name = part.name;
    if !binds.is_empty() {
        entry.comments.push(
            "A path of the node's: it has to be there, with the same content, on each node.".into(),
        );
        warnings.push(Warning::of(
            name,
            format!(
                "`{name}` mounts {} of the node that it runs on",
                quoted_list(&binds)
            ),
            "put it on each node, or make it a config or a volume that nodes share",
        ));
    }
    if !volumes.is_empty() {
        entry.comments.push(
            "A volume is one node's: elsewhere a replica begins with an empty one, unless a driver shares it.".into(),
        );
        warnings.push(Warning::of(
            name,
            format!(
                "`{name}` keeps {} on the node that it runs on; elsewhere it begins with an empty one",
                quoted_list(&volumes)
            ),
            format!("keep it there: services.{name}.deploy.placement.constraints: [node.hostname == NODE]"),
        ));
    }
    Some(entry)
}

/// A mount as version 3.9 spells it.
fn mount(value: &Value) -> Yaml {
    let Value::Mapping(entries) = value else {
        return value.into();
    };
    let kept = entries.iter().filter_map(|(key, value)| {
        let key = key.as_str()?;
        let value = match key {
            "type" | "source" | "target" | "read_only" | "consistency" => value.into(),
            "bind" => Yaml::map([("propagation", Yaml::from(value.get("propagation")?))]),
            "volume" => Yaml::map([("nocopy", Yaml::from(value.get("nocopy")?))]),
            "tmpfs" => Yaml::map([("size", integer(value.get("size")?)?)]),
            _ => return None,
        };
        Some(Entry::new(key, value))
    });
    Yaml::Map(kept.collect())
}

/// A number that Compose may print as text.
fn integer(value: &Value) -> Option<Yaml> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Yaml::number(number))
}

/// Secrets and configs; their modes are numbers.
fn grants(part: &Part<'_>) -> Vec<Entry> {
    let grant = |value: &Value| {
        let Value::Mapping(entries) = value else {
            return Yaml::from(value);
        };
        let entries: Mapping = entries
            .iter()
            .map(|(key, value)| {
                let octal = (key.as_str() == Some("mode"))
                    .then(|| u64::from_str_radix(value.as_str()?.trim_start_matches("0o"), 8).ok())
                    .flatten();
                let value = octal.map_or_else(|| value.clone(), Value::from);
                (key.clone(), value)
            })
            .collect();
        Yaml::from(&Value::Mapping(entries))
    };
    ["configs", "secrets"]
        .into_iter()
        .filter_map(|key| {
            let Value::Sequence(items) = part.get(key)? else {
                return None;
            };
            let items = items.iter().map(|item| grant(item).into()).collect();
            Some(Entry::new(key, Yaml::List(items)))
        })
        .collect()
}

/// The names alone: docker refuses conditions, and Swarm takes no notice of the names.
fn dependencies(part: &Part<'_>, names: &[&str]) -> Option<Entry> {
    let others: Vec<&str> = part
        .service
        .depends_on
        .keys()
        .map(String::as_str)
        .filter(|other| names.contains(other))
        .collect();
    (!others.is_empty()).then(|| {
        Entry::commented(
            "For whoever reads this: Swarm starts everything at once.",
            "depends_on",
            Yaml::texts(others),
        )
    })
}

/// The `x-` keys; what the policies are to Swarm is said above them.
fn extensions(part: &Part<'_>) -> Vec<Entry> {
    let entries = part.resolved.iter().filter_map(|(key, value)| {
        let key = key.as_str().filter(|key| key.starts_with("x-"))?;
        let mut entry = Entry::new(key, value);
        if key == "x-rscale" {
            entry.comments = policy_comments(part);
        }
        Some(entry)
    });
    entries.collect()
}

fn policy_comments(part: &Part<'_>) -> Vec<String> {
    let policy = &part.service.policy;
    let mut comments = vec![
        "Swarm has nothing for these; `rscale --engine swarm` keeps to them when it scales."
            .to_owned(),
    ];
    if policy.max.is_some() || policy.min.is_some() {
        comments.push("`docker service scale` goes beyond min and max without a word.".into());
    }
    if policy.drain.is_some() {
        comments.push(
            "A node that is drained, and an update, stop replicas without the drain command."
                .into(),
        );
    }
    if !policy.refresh.is_empty() {
        comments.push("`refresh` is not needed where a service's name leads to all its replicas (endpoint_mode vip, the usual one).".into());
    }
    comments
}

/// Keys that a stack does not have, by the reason why.
fn left_out(part: &Part<'_>, warnings: &mut Vec<Warning>) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut missed = Vec::new();
    let keys = part.resolved.keys().filter_map(Value::as_str);
    let unknown = keys
        .filter(|key| !KEPT.contains(key) && !TRANSLATED.contains(key))
        .filter(|key| !key.starts_with("x-") && *key != "ulimits");
    for key in unknown.filter(|key| part.get(key).is_some_and(says_something)) {
        let lost = lost(key);
        by_reason.entry(lost.reason).or_default().push(key);
        if lost.matters {
            missed.push(key);
        }
    }
    if let Some(Value::Mapping(check)) = part.get("healthcheck")
        && check.contains_key("start_interval")
    {
        by_reason
            .entry("docker 20.10 does not know it")
            .or_default()
            .push("healthcheck.start_interval");
    }
    if !missed.is_empty() {
        missed.sort_unstable();
        warnings.push(Warning::of(
            part.name,
            format!(
                "{} of `{}` cannot go along",
                quoted_list(&missed),
                part.name
            ),
            "the comments in the file say why, and what can be done instead",
        ));
    }
    let comments = by_reason
        .into_iter()
        .map(|(reason, keys)| format!("Left out: {} ({reason}).", keys.join(", ")));
    comments.collect()
}

/// `privileged: false` and empty lists are what is there anyway.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Sequence(items) => !items.is_empty(),
        Value::Mapping(entries) => !entries.is_empty(),
        _ => true,
    }
}
