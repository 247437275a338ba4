//! `deploy` of a service: its count, how it is updated and restarted, what it may use.

use std::time::Duration;

use serde_yaml::Value;

use super::ports::wants_node_ports;
use crate::duration::exact;
use crate::export::Warning;
use crate::export::part::Part;
use crate::export::yaml::{Entry, Yaml};
use crate::preflight::{Bare, Rule, obstacles};
use crate::project::Project;

/// What every `update_config` is about, said once.
pub const UPDATES: &str = "update_config is for when the image or the configuration changes, not for rscale. A tenth \
    of the replicas at a time, at least one; the next when these have lasted for 10s; one that fails within that \
    time takes the update back.";
/// How long a new replica is watched before the next is touched; twice docker's own.
const MONITOR: Duration = Duration::from_secs(10);

/// The section.
pub fn deploy(project: &Project, part: &Part<'_>, warnings: &mut Vec<Warning>) -> Vec<Entry> {
    let mut entries = vec![count(part)];
    entries.extend(
        ["endpoint_mode", "labels", "placement"]
            .into_iter()
            .filter_map(|key| Some(Entry::new(key, part.deploy(key)?))),
    );
    entries.extend(resources(part, warnings));
    entries.push(restart(part));
    match part.deploy("update_config") {
        Some(own) => entries.push(Entry::new("update_config", own)),
        None => entries.push(update(project, part)),
    }
    entries.extend(
        part.deploy("rollback_config")
            .map(|own| Entry::new("rollback_config", own)),
    );
    entries
}

fn count(part: &Part<'_>) -> Entry {
    if part.is_global() {
        return Entry::commented(
            "One on each node; it has no count.",
            "mode",
            Yaml::text("global"),
        );
    }
    let mut entry = Entry::new("replicas", Yaml::number(part.count));
    if let Some(max) = part.service.policy.max.filter(|max| *max < part.count) {
        entry
            .comments
            .push(format!("More than max, which is {max}."));
    }
    entry
}

/// Why two replicas must not be there at once, not even for the moment of an update.
fn alone(project: &Project, part: &Part<'_>) -> Option<String> {
    if wants_node_ports(part) {
        return Some("the old one has the node's port".to_owned());
    }
    if part
        .service
        .mounts
        .iter()
        .any(|mount| !mount.read_only && !mount.source.is_empty())
    {
        return Some("both would write to the same volume".to_owned());
    }
    let rules = [Rule::Limits, Rule::Scheduler, Rule::Stateful, Rule::OneShot];
    let found = obstacles(&Bare::new(project), part.name, 2);
    let finding = found.into_iter().find(|one| rules.contains(&one.rule))?;
    Some(match finding.rule {
        Rule::Scheduler => "two schedulers would start the same jobs".to_owned(),
        Rule::Stateful => "it keeps data of its own".to_owned(),
        Rule::OneShot => "it is a job that runs once".to_owned(),
        _ => "x-rscale allows one only".to_owned(),
    })
}

fn update(project: &Project, part: &Part<'_>) -> Entry {
    let order = match alone(project, part) {
        None => Entry::commented(
            "The new replica is up before the old one goes.",
            "order",
            Yaml::text("start-first"),
        ),
        Some(why) => Entry::commented(
            format!("The old replica goes before the new one comes: {why}."),
            "order",
            Yaml::text("stop-first"),
        ),
    };
    let values = vec![
        order,
        Entry::new("parallelism", Yaml::number(part.count.div_ceil(10).max(1))),
        Entry::new("delay", Yaml::text(exact(MONITOR))),
        Entry::new("monitor", Yaml::text(exact(MONITOR))),
        Entry::new("failure_action", Yaml::text("rollback")),
    ];
    Entry::new("update_config", Yaml::Map(values))
}

/// From `deploy.restart_policy`, else from `restart`.
fn restart(part: &Part<'_>) -> Entry {
    if let Some(own) = part.deploy("restart_policy") {
        return Entry::new("restart_policy", own);
    }
    let restart = part.get("restart").and_then(Value::as_str);
    let policy = |condition: &str| vec![("condition", Yaml::text(condition))];
    let (comment, policy) = match (restart, part.waited_for_by) {
        (_, Some(_)) => (
            "A job: once it has ended well it is done. What it needs may come up after it, so it tries again."
                .to_owned(),
            policy("on-failure"),
        ),
        (Some("no"), _) => ("From `restart: no`.".to_owned(), policy("none")),
        (Some(text), _) if text.starts_with("on-failure") => {
            let attempts = text.split_once(':').and_then(|(_, count)| count.parse::<u32>().ok());
            let mut policy = policy("on-failure");
            policy.extend(attempts.map(|count| ("max_attempts", Yaml::number(count))));
            (format!("From `restart: {text}`."), policy)
        }
        (Some(text), _) => (format!("From `restart: {text}`."), policy("any")),
        (None, _) => (
            "Swarm replaces what ends; with Compose, without `restart`, it would stay ended.".to_owned(),
            policy("any"),
        ),
    };
    Entry::commented(comment, "restart_policy", Yaml::map(policy))
}

/// Limits and reservations, those of the service's own keys included.
fn resources(part: &Part<'_>, warnings: &mut Vec<Warning>) -> Option<Entry> {
    let own = |kind: &str, key: &str| part.deploy("resources")?.get(kind)?.get(key);
    let limits = Yaml::Map(section([
        ("cpus", own("limits", "cpus").or_else(|| part.get("cpus"))),
        (
            "memory",
            own("limits", "memory").or_else(|| part.get("mem_limit")),
        ),
        (
            "pids",
            own("limits", "pids").or_else(|| part.get("pids_limit")),
        ),
    ]));
    let mut reservations = section([
        ("cpus", own("reservations", "cpus")),
        (
            "memory",
            own("reservations", "memory").or_else(|| part.get("mem_reservation")),
        ),
    ]);
    if let Some(generic) = own("reservations", "generic_resources") {
        reservations.push(Entry::new("generic_resources", generic));
    }
    if own("reservations", "devices").is_some() {
        warnings.push(Warning::of(
            part.name,
            format!("`{}` reserves devices, and Swarm knows them as generic resources only", part.name),
            "name them on the nodes (dockerd --node-generic-resource) and in deploy.resources.reservations",
        ));
    }
    let sections = [
        ("limits", limits),
        ("reservations", Yaml::Map(reservations)),
    ];
    let filled: Vec<(&str, Yaml)> = sections
        .into_iter()
        .filter(|(_, section)| *section != Yaml::Map(Vec::new()))
        .collect();
    (!filled.is_empty()).then(|| Entry::new("resources", Yaml::map(filled)))
}

/// `cpus` and `memory` have to be text, `pids` a number, whatever Compose prints.
fn section<'v>(values: impl IntoIterator<Item = (&'static str, Option<&'v Value>)>) -> Vec<Entry> {
    let entries = values.into_iter().filter_map(|(key, value)| {
        let text = match value? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        // 0 is no limit.
        if text == "0" {
            return None;
        }
        let value = match key {
            "pids" => Yaml::number(text.parse::<i64>().ok().filter(|count| *count > 0)?),
            _ => Yaml::text(text),
        };
        Some(Entry::new(key, value))
    });
    entries.collect()
}
