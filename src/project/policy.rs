//! Policy: what `x-rscale` says of a service, read strictly.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_yaml::Value;

use super::place::Place;
use super::queue_section;
use super::workload::Queue;
use crate::error::Result;

/// `x-rscale` of one service; everything is optional.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Fewest replicas.
    pub min: Option<u32>,
    /// Most replicas.
    pub max: Option<u32>,
    /// Overrides what the preflight detects about the service.
    pub scalable: Option<bool>,
    /// Grace for replicas that are removed.
    pub stop_timeout: Option<Duration>,
    /// Run in each replica before it is stopped.
    pub drain: Option<Drain>,
    /// Run in other services after the set of replicas changed.
    pub refresh: Vec<Refresh>,
    /// Connections that one replica holds at other services, by service.
    pub connections: BTreeMap<String, u32>,
    /// Connections that this service takes.
    pub max_connections: Option<u32>,
    /// The queue that the service works on.
    pub queue: Option<Queue>,
}

/// What makes a replica stop taking work, and how long that takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    pub exec: Vec<String>,
    /// How long the replica is left to itself once the command has ended.
    pub wait: Duration,
    /// How long the command may take.
    pub timeout: Duration,
    /// What makes a replica take work again, for when it stays after all.
    pub undo: Option<Vec<String>>,
}

/// A command in another service that makes it see the new set of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    pub service: String,
    /// The project that the service belongs to; `None` is this one.
    pub project: Option<String>,
    pub exec: Vec<String>,
    /// How long the command may take, in each container.
    pub timeout: Duration,
}

/// Time limit of a drain command that has none of its own; it may wait for a job to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Time limit of a refresh command that has none of its own.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);

const KEYS: [&str; 9] = [
    "min",
    "max",
    "scalable",
    "stop-timeout",
    "drain",
    "refresh",
    "connections",
    "max-connections",
    "queue",
];

impl Policy {
    /// Reads `services.SERVICE.x-rscale`.
    ///
    /// # Errors
    /// An unknown key or a wrong type: names the service, the key and, for a key, the nearest right one.
    pub fn parse(service: &str, value: &Value) -> Result<Self> {
        let place = Place(format!("services.{service}.x-rscale"));
        let mut policy = Self::default();
        for (key, value) in place.entries(value, &KEYS)? {
            let place = place.child(key);
            match key {
                "min" => policy.min = Some(place.count(value)?),
                "max" => policy.max = Some(place.count(value)?),
                "scalable" => policy.scalable = Some(place.boolean(value)?),
                "stop-timeout" => policy.stop_timeout = Some(place.duration(value)?),
                "drain" => policy.drain = Some(place.drain(value)?),
                "refresh" => policy.refresh = place.refreshes(value)?,
                "connections" => {
                    for (service, value) in place.any_entries(value)? {
                        let count = place.child(service).count(value)?;
                        policy.connections.insert(service.to_owned(), count);
                    }
                }
                "queue" => policy.queue = Some(queue_section::queue(&place, value)?),
                "max-connections" => policy.max_connections = Some(place.count(value)?),
                _ => unreachable!("entries() lets only KEYS through"),
            }
        }
        if let (Some(min), Some(max)) = (policy.min, policy.max)
            && min > max
        {
            return Err(place.wrong(&format!("min {min} is above max {max}")));
        }
        Ok(policy)
    }
}

impl Place {
    fn drain(&self, value: &Value) -> Result<Drain> {
        let mut exec = None;
        let (mut wait, mut timeout, mut undo) = (Duration::ZERO, DRAIN_TIMEOUT, None);
        for (key, value) in self.entries(value, &["exec", "wait", "timeout", "undo"])? {
            let place = self.child(key);
            match key {
                "exec" => exec = Some(place.command(value)?),
                "wait" => wait = place.duration(value)?,
                "undo" => undo = Some(place.command(value)?),
                _ => timeout = place.duration(value)?,
            }
        }
        Ok(Drain {
            exec: exec.ok_or_else(|| self.wrong("`exec` is missing"))?,
            wait,
            timeout,
            undo,
        })
    }

    fn refreshes(&self, value: &Value) -> Result<Vec<Refresh>> {
        self.items(value)?
            .iter()
            .enumerate()
            .map(|(index, item)| Self(format!("{}[{index}]", self.0)).refresh(item))
            .collect()
    }

    fn refresh(&self, value: &Value) -> Result<Refresh> {
        let (mut service, mut project, mut exec) = (None, None, None);
        let mut timeout = REFRESH_TIMEOUT;
        for (key, value) in self.entries(value, &["service", "project", "exec", "timeout"])? {
            let place = self.child(key);
            match key {
                "service" => service = Some(place.text(value)?),
                "project" => project = Some(place.text(value)?),
                "exec" => exec = Some(place.command(value)?),
                _ => timeout = place.duration(value)?,
            }
        }
        Ok(Refresh {
            service: service.ok_or_else(|| self.wrong("`service` is missing"))?,
            project,
            exec: exec.ok_or_else(|| self.wrong("`exec` is missing"))?,
            timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Policy;

    fn parse(yaml: &str) -> Result<Policy, String> {
        let value = serde_yaml::from_str(yaml).expect("test YAML");
        Policy::parse("web", &value)
            .map_err(|error| format!("{} ({})", error.message, error.hints.join("; ")))
    }

    #[test]
    fn reads_every_key() {
        let policy = parse(
            "{min: 1, max: '10', scalable: true, stop-timeout: 1m30s, drain: {exec: [touch, /tmp/d], wait: 5s}, \
             refresh: [{service: nginx, exec: nginx -s reload}], connections: {db: 5}, max-connections: 100}",
        )
        .unwrap();
        assert_eq!(
            (policy.min, policy.max, policy.scalable),
            (Some(1), Some(10), Some(true))
        );
        assert_eq!(policy.stop_timeout, Some(Duration::from_secs(90)));
        assert_eq!(policy.drain.unwrap().exec, ["touch", "/tmp/d"]);
        assert_eq!(policy.refresh[0].exec, ["nginx", "-s", "reload"]);
        assert_eq!(policy.connections["db"], 5);
        assert_eq!(policy.max_connections, Some(100));
    }

    #[test]
    fn refuses_what_it_does_not_know_and_names_the_place() {
        for (yaml, message) in [
            (
                "{mx: 3}",
                "`services.web.x-rscale`: unknown key `mx` (did you mean `max`?)",
            ),
            (
                "{stop_timeout: 3s}",
                "`services.web.x-rscale`: unknown key `stop_timeout` (did you mean `stop-timeout`?)",
            ),
            (
                "{max: many}",
                "`services.web.x-rscale.max`: got `many`, wanted a whole number (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{max: ''}",
                "`services.web.x-rscale.max`: it is empty, wanted a whole number (correct it in the compose file; every key: docs/policy.md; a variable in it may not be set: ${NAME:-default} has a default)",
            ),
            (
                "{max: -1}",
                "`services.web.x-rscale.max`: got `-1`, wanted a whole number (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{stop-timeout: 60}",
                "`services.web.x-rscale.stop-timeout`: got `60`, wanted a duration such as 90s or 1m30s (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{scalable: maybe}",
                "`services.web.x-rscale.scalable`: got `maybe`, wanted true or false (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{min: 4, max: 2}",
                "`services.web.x-rscale`: min 4 is above max 2 (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{drain: {wait: 5s}}",
                "`services.web.x-rscale.drain`: `exec` is missing (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{refresh: [{exec: [a]}]}",
                "`services.web.x-rscale.refresh[0]`: `service` is missing (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "{connections: {db: lots}}",
                "`services.web.x-rscale.connections.db`: got `lots`, wanted a whole number (correct it in the compose file; every key: docs/policy.md)",
            ),
            (
                "[max]",
                "`services.web.x-rscale`: got a list, wanted a mapping (correct it in the compose file; every key: docs/policy.md)",
            ),
        ] {
            assert_eq!(parse(yaml).unwrap_err(), message);
        }
    }
}
