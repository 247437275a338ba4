//! Reading the declared model from what `docker compose config` prints.
//!
//! Compose has done interpolation, overrides, `extends`, `include` and profiles already. Lenient where
//! versions differ (v1 prints short forms that v2 has expanded), strict in `x-rscale`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_yaml::Value;

use super::declared::{
    Condition, Declared, Dependency, Healthcheck, Hook, Mount, Network, Port, Published, Service,
};
use super::nesting;
use super::policy::Policy;
use super::top_level::TopLevel;
use crate::duration;
use crate::error::{Error, Result};

impl Declared {
    /// Reads what `docker compose config` printed. `fallback_name` is for v1, which prints no name.
    ///
    /// # Errors
    /// YAML that is no compose file, or a wrong `x-rscale`.
    pub fn parse(yaml: &str, fallback_name: &str) -> Result<Self> {
        let raw: RawFile = nesting::read(&undoubled(yaml)).map_err(|why| {
            Error::unusable("what Compose printed of the compose file cannot be read")
                .detail(why)
                .hint("see it yourself: docker compose config")
        })?;
        let injected = |grants: &[Value], sources: &BTreeMap<String, Value>| {
            grants.iter().any(|grant| {
                let name = grant.as_str().or_else(|| grant.get("source")?.as_str());
                name.and_then(|name| sources.get(name))
                    .is_some_and(|source| {
                        source.get("environment").is_some() || source.get("content").is_some()
                    })
            })
        };
        let mut services = BTreeMap::new();
        for (name, service) in raw.services {
            let injected_files = injected(&service.secrets, &raw.secrets)
                || injected(&service.configs, &raw.configs);
            let service = Service {
                injected_files,
                ..service.resolve(&name)?
            };
            services.insert(name, service);
        }
        let top = match &raw.x_rscale {
            Some(value) => TopLevel::parse(value, &services)?,
            None => TopLevel::default(),
        };
        Ok(Self {
            name: raw.name.unwrap_or_else(|| fallback_name.to_owned()),
            services,
            task_types: top.task_types,
            engine: top.engine,
            warnings: Vec::new(),
            by_engine: false,
            inactive: BTreeSet::new(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
struct RawFile {
    name: Option<String>,
    #[serde(default)]
    services: BTreeMap<String, RawService>,
    #[serde(default)]
    secrets: BTreeMap<String, Value>,
    #[serde(default)]
    configs: BTreeMap<String, Value>,
    #[serde(rename = "x-rscale")]
    x_rscale: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawService {
    image: Option<String>,
    build: Option<Value>,
    command: Option<Value>,
    entrypoint: Option<Value>,
    environment: Option<Value>,
    scale: Option<u32>,
    deploy: RawDeploy,
    container_name: Option<String>,
    ports: Vec<Value>,
    networks: Option<Value>,
    mac_address: Option<String>,
    network_mode: Option<String>,
    volumes: Vec<Value>,
    depends_on: Option<Value>,
    profiles: Vec<String>,
    stop_grace_period: Option<String>,
    healthcheck: Option<RawHealthcheck>,
    restart: Option<String>,
    mem_limit: Option<Value>,
    pre_start: Vec<Value>,
    post_start: Vec<Value>,
    pre_stop: Vec<RawHook>,
    secrets: Vec<Value>,
    configs: Vec<Value>,
    #[serde(rename = "x-rscale")]
    x_rscale: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawDeploy {
    replicas: Option<u32>,
    resources: RawResources,
    restart_policy: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawResources {
    limits: RawLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLimits {
    memory: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawHook {
    command: Option<Value>,
    user: Option<String>,
    working_dir: Option<String>,
    privileged: bool,
    environment: Option<Value>,
}

impl RawService {
    fn resolve(self, name: &str) -> Result<Service> {
        let policy = match &self.x_rscale {
            Some(value) => Policy::parse(name, value)?,
            None => Policy::default(),
        };
        let memory = self.deploy.resources.limits.memory.or(self.mem_limit);
        let restarts = match self.restart.as_deref() {
            Some(policy) => policy != "no",
            None => self.deploy.restart_policy.is_some(),
        };
        Ok(Service {
            name: name.to_owned(),
            count: self.deploy.replicas.or(self.scale).unwrap_or(1),
            image: self.image,
            builds: self.build.is_some(),
            command: self.command.as_ref().and_then(words),
            entrypoint: self.entrypoint.as_ref().and_then(words),
            environment: self
                .environment
                .as_ref()
                .map(environment)
                .unwrap_or_default()
                .into(),
            container_name: self.container_name,
            ports: self.ports.iter().filter_map(port).collect(),
            networks: self.networks.as_ref().map(networks).unwrap_or_default(),
            mac_address: self.mac_address,
            network_mode: self.network_mode,
            mounts: self.volumes.iter().filter_map(mount).collect(),
            depends_on: self
                .depends_on
                .as_ref()
                .map(dependencies)
                .unwrap_or_default(),
            profiles: self.profiles,
            healthcheck: self.healthcheck.as_ref().and_then(RawHealthcheck::parse),
            stop_grace_period: self
                .stop_grace_period
                .and_then(|text| duration::parse(&text).ok()),
            restarts,
            memory_limit: memory.as_ref().and_then(bytes),
            start_hooks: !self.pre_start.is_empty() || !self.post_start.is_empty(),
            pre_stop: self.pre_stop.into_iter().map(RawHook::resolve).collect(),
            injected_files: false,
            policy,
        })
    }
}

impl RawHook {
    fn resolve(self) -> Hook {
        Hook {
            command: self.command.as_ref().and_then(words).unwrap_or_default(),
            user: self.user,
            working_dir: self.working_dir,
            privileged: self.privileged,
            environment: self
                .environment
                .as_ref()
                .map(environment)
                .unwrap_or_default()
                .into(),
            told: BTreeMap::new(),
        }
    }
}

/// Every Compose doubles every `$` of what `config` prints, in keys too, so that the output can be read again as a
/// compose file: v2 in the finished text (`escapeDollarSign`), v1 in each string.
fn undoubled(yaml: &str) -> Cow<'_, str> {
    if yaml.contains("$$") {
        yaml.replace("$$", "$").into()
    } else {
        yaml.into()
    }
}

/// A scalar as text: YAML numbers and booleans stand for the text they were written as.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A command, as a list (v2) or a line (v1).
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(line) => shlex::split(line),
        Value::Sequence(items) => items.iter().map(scalar).collect(),
        _ => None,
    }
}

/// A mapping (v2) or a list of `KEY=VALUE` (v1).
fn environment(value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Mapping(entries) => entries
            .iter()
            .filter_map(|(key, value)| {
                Some((key.as_str()?.to_owned(), scalar(value).unwrap_or_default()))
            })
            .collect(),
        Value::Sequence(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(|item| {
                let (key, value) = item.split_once('=').unwrap_or((item, ""));
                (key.to_owned(), value.to_owned())
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// A port in long form (v2) or short (`127.0.0.1:8000-8010:80/tcp`, v1).
fn port(value: &Value) -> Option<Port> {
    if let Some(short) = scalar(value) {
        let (rest, protocol) = short.rsplit_once('/').unwrap_or((&short, "tcp"));
        let (rest, target) = rest.rsplit_once(':').unwrap_or(("", rest));
        let (host_ip, host) = match rest.rsplit_once(':') {
            Some((ip, host)) => (Some(ip.to_owned()), host),
            None => (None, rest),
        };
        return Some(Port {
            host_ip,
            published: published(host)?,
            target: target.to_owned(),
            protocol: protocol.to_owned(),
        });
    }
    let host = value.get("published").and_then(scalar).unwrap_or_default();
    Some(Port {
        host_ip: value.get("host_ip").and_then(scalar),
        published: published(&host)?,
        target: value.get("target").and_then(scalar)?,
        protocol: value
            .get("protocol")
            .and_then(scalar)
            .unwrap_or_else(|| "tcp".into()),
    })
}

fn published(host: &str) -> Option<Published> {
    match host.split_once('-') {
        None if matches!(host, "" | "0") => Some(Published::Ephemeral),
        None => host.parse().ok().map(Published::Fixed),
        Some((first, last)) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            Some(if first == last {
                Published::Fixed(first)
            } else {
                Published::Range(first, last)
            })
        }
    }
}

fn networks(value: &Value) -> Vec<Network> {
    match value {
        Value::Mapping(entries) => entries
            .iter()
            .filter_map(|(name, how)| {
                let addresses = ["ipv4_address", "ipv6_address", "mac_address"]
                    .into_iter()
                    .filter_map(|key| how.get(key).and_then(scalar))
                    .collect();
                Some(Network {
                    name: name.as_str()?.to_owned(),
                    addresses,
                })
            })
            .collect(),
        Value::Sequence(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(|name| Network {
                name: name.to_owned(),
                addresses: Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A mount in long form (v2) or short (`data:/data:rw`, v1). A tmpfs is private, so it is left out.
fn mount(value: &Value) -> Option<Mount> {
    if let Some(short) = value.as_str() {
        let mut parts = short.split(':');
        let first = parts.next()?.to_owned();
        return Some(match parts.next() {
            None => Mount {
                target: first,
                ..Mount::default()
            },
            Some(target) => Mount {
                source: first,
                target: target.to_owned(),
                read_only: parts
                    .next()
                    .is_some_and(|mode| mode.split(',').any(|m| m == "ro")),
            },
        });
    }
    match value.get("type").and_then(Value::as_str) {
        Some("volume" | "bind" | "cluster") => Some(Mount {
            source: value.get("source").and_then(scalar).unwrap_or_default(),
            target: value.get("target").and_then(scalar)?,
            read_only: value
                .get("read_only")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        }),
        _ => None,
    }
}

/// A mapping with conditions (v2) or a list of names.
fn dependencies(value: &Value) -> BTreeMap<String, Dependency> {
    match value {
        Value::Mapping(entries) => entries
            .iter()
            .filter_map(|(name, how)| {
                let condition = match how.get("condition").and_then(Value::as_str) {
                    Some("service_healthy") => Condition::Healthy,
                    Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                    _ => Condition::Started,
                };
                let required = how.get("required").and_then(Value::as_bool).unwrap_or(true);
                Some((
                    name.as_str()?.to_owned(),
                    Dependency {
                        condition,
                        required,
                    },
                ))
            })
            .collect(),
        Value::Sequence(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(|name| {
                let started = Dependency {
                    condition: Condition::Started,
                    required: true,
                };
                (name.to_owned(), started)
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// Bytes, plain (`"67108864"`, v2) or with a unit (`64M`, v1). Compose's units are powers of 1024.
fn bytes(value: &Value) -> Option<u64> {
    let text = scalar(value)?.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: f64 = match text[digits.len()..]
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size in bytes fits"
    )]
    (number >= 0.0)
        .then_some((number * factor) as u64)
        .filter(|bytes| *bytes > 0)
}

#[derive(Debug, Deserialize)]
struct RawHealthcheck {
    interval: Option<String>,
    timeout: Option<String>,
    retries: Option<u32>,
    start_period: Option<String>,
    #[serde(default)]
    disable: bool,
}

impl RawHealthcheck {
    /// `None` where it is switched off.
    fn parse(&self) -> Option<Healthcheck> {
        let usual = Healthcheck::default();
        let or = |text: &Option<String>, usual: Duration| {
            let given = text.as_ref().and_then(|text| duration::parse(text).ok());
            // Docker takes 0 for "not said".
            given.filter(|given| !given.is_zero()).unwrap_or(usual)
        };
        (!self.disable).then(|| Healthcheck {
            interval: or(&self.interval, usual.interval),
            timeout: or(&self.timeout, usual.timeout),
            retries: self
                .retries
                .filter(|&count| count > 0)
                .unwrap_or(usual.retries),
            start_period: or(&self.start_period, usual.start_period),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::error::Exit;
    use crate::project::declared::{Condition, Declared, Mount, Published};

    /// What Compose 2.26.1 printed for a file that uses most of what rscale reads.
    const V2: &str = include_str!("../../tests/samples/config-v2.26.yaml");

    #[test]
    fn reads_what_compose_v2_prints() {
        let declared = Declared::parse(V2, "unused").unwrap();
        assert_eq!(declared.name, "x");
        let web = &declared.services["web"];
        assert_eq!(web.count, 2);
        assert_eq!(web.memory_limit, Some(64 << 20));
        assert_eq!(web.stop_grace_period, Some(Duration::from_secs(90)));
        let published: Vec<_> = web.ports.iter().map(|port| port.published).collect();
        assert_eq!(
            published,
            [
                Published::Range(8080, 8090),
                Published::Fixed(9000),
                Published::Ephemeral
            ]
        );
        assert_eq!(web.networks[0].addresses, ["172.30.0.9"]);
        assert_eq!(web.depends_on["db"].condition, Condition::Started);
        assert!(
            web.injected_files,
            "configs with content are copied in by Compose"
        );
        assert!(web.start_hooks);
        assert_eq!((web.policy.min, web.policy.max), (Some(1), Some(4)));
        let db = &declared.services["db"];
        assert!(db.restarts && !web.restarts);
        assert_eq!(
            db.mounts[0],
            Mount {
                source: "data".into(),
                target: "/data".into(),
                read_only: false
            }
        );
        assert!(db.mounts[1].read_only);
        assert!(db.mounts[2].source.is_empty());
        let dbg = &declared.services["dbg"];
        assert_eq!(dbg.profiles, ["debug"]);
        assert_eq!(dbg.network_mode.as_deref(), Some("service:db"));
        assert!(dbg.mac_address.is_some());
    }

    #[test]
    fn reads_the_short_forms_of_v1() {
        let yaml = "
services:
  web:
    command: celery -A app worker
    depends_on: [db]
    environment: [A=b, C]
    mem_limit: 64M
    ports: ['127.0.0.1:8000-8010:80/udp', '9000:90/tcp', 5000/tcp]
    volumes: ['data:/data:rw', '/anon', './x:/x:ro']
    scale: 3
  db: {image: busybox}
";
        let declared = Declared::parse(yaml, "fallback").unwrap();
        assert_eq!(declared.name, "fallback");
        let web = &declared.services["web"];
        assert_eq!(web.count, 3);
        assert_eq!(web.words(), ["celery", "-A", "app", "worker"]);
        assert_eq!(web.environment["A"], "b");
        assert_eq!(web.memory_limit, Some(64 << 20));
        assert_eq!(web.ports[0].published, Published::Range(8000, 8010));
        assert_eq!(web.ports[0].host_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(web.ports[1].published, Published::Fixed(9000));
        assert_eq!(web.ports[2].published, Published::Ephemeral);
        assert!(web.mounts[1].source.is_empty() && web.mounts[2].read_only);
        assert!(web.depends_on.contains_key("db"));
    }

    #[test]
    fn undoes_the_doubled_dollar_of_config() {
        let yaml = "
services:
  a:
    command: [sh, -c, 'echo $$HOME']
    environment: {PASSWORD: 'c$$d', K$$$$Y: v}
    pre_stop: [{command: ['h$$k'], user: 'r$$t', working_dir: '/w$$x', environment: {A: 'b$$$$c'}}]
    volumes: ['/s$$d:/x$$y']
    x-rscale:
      connections: {'k$$k': 1}
      drain: {exec: [sh, -c, 'kill $$(cat /run/pid)']}
      queue: {driver: celery, broker: 'redis://:p$$w@redis', name: 'q$$'}
";
        let declared = Declared::parse(yaml, "p").unwrap();
        let service = &declared.services["a"];
        assert_eq!(service.words(), ["sh", "-c", "echo $HOME"]);
        let environment = [("K$$Y", "v"), ("PASSWORD", "c$d")];
        assert!(
            service
                .environment
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .eq(environment)
        );
        let hook = &service.pre_stop[0];
        assert_eq!(hook.command, ["h$k"]);
        let user = (hook.user.as_deref(), hook.working_dir.as_deref());
        assert_eq!(user, (Some("r$t"), Some("/w$x")));
        assert_eq!(hook.environment["A"], "b$$c");
        assert_eq!(
            (&*service.mounts[0].source, &*service.mounts[0].target),
            ("/s$d", "/x$y")
        );
        let policy = &service.policy;
        assert_eq!(policy.connections["k$k"], 1);
        assert_eq!(
            policy.drain.as_ref().unwrap().exec[2],
            "kill $(cat /run/pid)"
        );
        let queue = policy.queue.as_ref().unwrap();
        assert_eq!(
            (queue.broker.password().as_deref(), &*queue.name),
            (Some("p$w"), "q$")
        );
    }

    #[test]
    fn what_is_no_compose_file_is_one_clear_error() {
        let error = Declared::parse("services: [a, b]", "p").unwrap_err();
        assert_eq!(error.exit(), Exit::Unusable);
        assert!(error.detail.is_some() && !error.hints.is_empty());
    }
}
