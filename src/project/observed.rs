//! The observed model: the containers of a project as `docker ps -a` and `docker inspect` show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::{Deployed, Node};
use super::declared::EngineName;
use crate::words::{displayed, read_word};

/// What an engine runs of a project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// What runs it.
    pub engine: EngineName,
    /// The project's name, where the engine tells it.
    pub name: Option<String>,
    pub replicas: Vec<Replica>,
    /// Services with the counts that the engine keeps; empty where it keeps none.
    pub deployed: Vec<Deployed>,
    /// Replicas that failed and were replaced by others, as far as the engine remembers them.
    pub failures: Vec<Replica>,
    pub nodes: Vec<Node>,
}

impl Observed {
    /// Whether there is nothing of the project at all.
    pub fn is_empty(&self) -> bool {
        self.replicas.is_empty() && self.deployed.is_empty() && self.failures.is_empty()
    }

    /// Gives services other names, where there is one for them.
    pub fn rename<'n>(&mut self, other: impl Fn(&str) -> Option<&'n str>) {
        let of_replicas = self.replicas.iter_mut().chain(&mut self.failures);
        let of_replicas = of_replicas.map(|replica| &mut replica.service);
        let of_deployed = self.deployed.iter_mut().map(|one| &mut one.service);
        for name in of_replicas.chain(of_deployed) {
            if let Some(other) = other(name) {
                other.clone_into(name);
            }
        }
    }
}

impl From<Vec<Replica>> for Observed {
    fn from(replicas: Vec<Replica>) -> Self {
        Self {
            replicas,
            ..Self::default()
        }
    }
}

/// One replica of a service: a container, a Swarm task, a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replica {
    pub id: String,
    pub name: String,
    pub service: String,
    /// The number that the engine gave it: Compose and Swarm count from 1, StatefulSets from 0; pods of a Deployment
    /// are numbered from 1 by age. Holes are not refilled.
    pub number: u32,
    pub state: State,
    /// `None` without a healthcheck, or when it does not run.
    pub health: Option<Health>,
    /// The exit code that `docker ps` tells of a container that exited.
    pub exit_code: Option<i32>,
    /// As `docker ps` words it: `3 minutes`.
    pub uptime: Option<String>,
    /// Published ports as `docker ps` words them.
    pub ports: Vec<String>,
    /// The command that really runs, the image's own included.
    pub command: String,
    /// Compose's hash of the service's configuration at creation.
    pub config_hash: String,
    /// Id of the image that it was created from, where Compose noted it.
    pub image_id: String,
    /// Whether the file or the image changed since it was created.
    pub outdated: bool,
    /// How often the engine restarted it; known after an inspection.
    pub restarts: Option<u32>,
    /// How many tasks its worker is at; known after its queue was asked.
    pub running_tasks: Option<u32>,
    /// The machine that it runs on, in a cluster.
    pub node: Option<String>,
    /// Why it is not up, in the engine's own words.
    pub reason: Option<String>,
    /// Whether `reason` will not go away by itself: the image cannot be had, it keeps crashing.
    pub failing: bool,
    /// Whether it has been told to go; the engine does not count it any more.
    pub leaving: bool,
}

/// What a container is told by, and what people call it: another one may get the name, never the id.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Handle {
    pub id: String,
    pub name: String,
}

impl Handle {
    /// Of a container that will have this name.
    pub fn expected(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id: name.clone(),
            name,
        }
    }
}

impl From<&Replica> for Handle {
    fn from(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            name: replica.name.clone(),
        }
    }
}

/// A container's state, as the engine names it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    #[default]
    Dead,
}

impl State {
    /// Reads the engine's word; what is unknown counts as dead, so that it is never believed to run.
    pub fn parse(word: &str) -> Self {
        read_word(word).unwrap_or_default()
    }
}

/// What the healthcheck says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

impl Health {
    pub fn parse(word: &str) -> Option<Self> {
        read_word(word.trim_start_matches("health: "))
    }
}

displayed!(State, Health);

impl Replica {
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Running, and nothing says that it is unwell.
    pub fn is_good(&self) -> bool {
        self.is_running() && self.health != Some(Health::Unhealthy)
    }

    /// Whether starting it can bring it up: it exists and does not run.
    pub fn can_start(&self) -> bool {
        matches!(self.state, State::Created | State::Exited)
    }

    /// Whether no start brings it up as it should be: only another one in its place does.
    pub fn is_useless(&self) -> bool {
        self.is_dead() || (self.can_start() && self.outdated)
    }

    /// The engine could not remove it; only another removal helps.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead | State::Removing)
    }
}

/// `docker ps --format`: one JSON object a line. The labels are asked for one by one, because the
/// joined form cannot be split again where a value has a comma.
pub const LISTING_FORMAT: &str = concat!(
    r#"{"id":{{json .ID}},"name":{{json .Names}},"state":{{json .State}},"status":{{json .Status}},"#,
    r#""ports":{{json .Ports}},"command":{{json .Command}},"#,
    r#""service":{{json (.Label "com.docker.compose.service")}},"#,
    r#""number":{{json (.Label "com.docker.compose.container-number")}},"#,
    r#""oneoff":{{json (.Label "com.docker.compose.oneoff")}},"#,
    r#""config_hash":{{json (.Label "com.docker.compose.config-hash")}},"#,
    r#""image_id":{{json (.Label "com.docker.compose.image")}}}"#
);

#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    name: String,
    state: String,
    status: String,
    ports: String,
    command: String,
    service: String,
    number: String,
    oneoff: String,
    config_hash: String,
    image_id: String,
}

/// Reads a listing in [`LISTING_FORMAT`]; one-off containers are left out.
///
/// # Errors
/// A line that is not the JSON asked for.
pub fn parse_listing(text: &str) -> Result<Vec<Replica>, serde_json::Error> {
    let mut replicas = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line)?;
        if line.oneoff.eq_ignore_ascii_case("true") || line.service.is_empty() {
            continue;
        }
        replicas.push(Replica {
            state: State::parse(&line.state),
            health: health_in(&line.status),
            exit_code: exit_code_in(&line.status),
            uptime: uptime_in(&line.status),
            ports: split_list(&line.ports),
            id: line.id,
            name: line.name.split(',').next().unwrap_or_default().to_owned(),
            service: line.service,
            number: line.number.parse().unwrap_or(0),
            command: line.command.trim_matches('"').to_owned(),
            config_hash: line.config_hash,
            image_id: line.image_id,
            ..Replica::default()
        });
    }
    Ok(replicas)
}

/// `Up 3 minutes (health: starting)` -> starting.
fn health_in(status: &str) -> Option<Health> {
    let (_, rest) = status.rsplit_once('(')?;
    Health::parse(rest.trim_end_matches(')'))
}

/// `Exited (137) 3 minutes ago` -> 137.
fn exit_code_in(status: &str) -> Option<i32> {
    let rest = status.strip_prefix("Exited (")?;
    rest.split(')').next()?.parse().ok()
}

/// `Up 3 minutes (healthy)` -> `3 minutes`.
fn uptime_in(status: &str) -> Option<String> {
    let rest = status.strip_prefix("Up ")?;
    let words = rest.split('(').next()?.trim();
    Some(words.to_owned())
}

fn split_list(text: &str) -> Vec<String> {
    text.split(", ")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// How one replica is, in more detail than a listing tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vitals {
    pub id: String,
    pub state: State,
    pub health: Option<Health>,
    pub exit_code: i32,
    pub out_of_memory: bool,
    /// What the engine said when it could not start it.
    pub error: String,
    pub restarts: u32,
    pub started_at: String,
}

impl Vitals {
    /// As much of it as a listing tells.
    pub fn of(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            state: replica.state,
            health: replica.health,
            exit_code: replica.exit_code.unwrap_or(0),
            out_of_memory: false,
            error: replica.reason.clone().unwrap_or_default(),
            restarts: replica.restarts.unwrap_or(0),
            started_at: String::new(),
        }
    }
}

/// `docker inspect --format` for [`Vitals`]: one JSON object a line. The fields are spelled as in the
/// client's own types (`.ID`): with the API's spelling it falls back to a map, where a missing `Health`
/// is an error.
pub const VITALS_FORMAT: &str = concat!(
    r#"{"id":{{json .ID}},"state":{{json .State.Status}},"exit_code":{{.State.ExitCode}},"#,
    r#""out_of_memory":{{.State.OOMKilled}},"error":{{json .State.Error}},"restarts":{{.RestartCount}},"#,
    r#""started_at":{{json .State.StartedAt}},"#,
    r#""health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}""{{end}}}"#
);

/// `docker stats --format`: the id, and the use of the processor in percent of one core.
pub const USAGE_FORMAT: &str = "{{.ID}} {{.CPUPerc}}";

#[derive(Debug, Deserialize)]
struct VitalsLine {
    id: String,
    state: String,
    exit_code: i32,
    out_of_memory: bool,
    error: String,
    restarts: u32,
    started_at: String,
    health: String,
}

/// Reads an inspection in [`VITALS_FORMAT`].
///
/// # Errors
/// A line that is not the JSON asked for.
pub fn parse_vitals(text: &str) -> Result<Vec<Vitals>, serde_json::Error> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let line: VitalsLine = serde_json::from_str(line)?;
            Ok(Vitals {
                state: State::parse(&line.state),
                health: Health::parse(&line.health),
                id: line.id,
                exit_code: line.exit_code,
                out_of_memory: line.out_of_memory,
                error: line.error,
                restarts: line.restarts,
                started_at: line.started_at,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Health, State, parse_listing, parse_vitals};

    fn line(state: &str, status: &str, oneoff: &str) -> String {
        format!(
            r#"{{"id":"f00","name":"shop-web-2","state":"{state}","status":"{status}","ports":"0.0.0.0:80->80/tcp, :::80->80/tcp","command":"\"sleep 9\"","service":"web","number":"2","oneoff":"{oneoff}","config_hash":"abc","image_id":"sha256:1"}}"#
        )
    }

    #[test]
    fn reads_states_and_health_from_the_listing() {
        for (state, status, expected, health, exit_code, uptime) in [
            (
                "running",
                "Up 3 minutes",
                State::Running,
                None,
                None,
                Some("3 minutes"),
            ),
            (
                "running",
                "Up 1 second (healthy)",
                State::Running,
                Some(Health::Healthy),
                None,
                Some("1 second"),
            ),
            (
                "running",
                "Up 2 hours (health: starting)",
                State::Running,
                Some(Health::Starting),
                None,
                Some("2 hours"),
            ),
            (
                "running",
                "Up About a minute (unhealthy)",
                State::Running,
                Some(Health::Unhealthy),
                None,
                Some("About a minute"),
            ),
            (
                "paused",
                "Up 3 minutes (Paused)",
                State::Paused,
                None,
                None,
                Some("3 minutes"),
            ),
            (
                "exited",
                "Exited (137) 3 minutes ago",
                State::Exited,
                None,
                Some(137),
                None,
            ),
            ("created", "Created", State::Created, None, None, None),
            (
                "restarting",
                "Restarting (1) 4 seconds ago",
                State::Restarting,
                None,
                None,
                None,
            ),
            ("dead", "Dead", State::Dead, None, None, None),
            ("hibernating", "?", State::Dead, None, None, None),
        ] {
            let replica = &parse_listing(&line(state, status, "False")).unwrap()[0];
            assert_eq!(
                (
                    replica.state,
                    replica.health,
                    replica.exit_code,
                    replica.uptime.as_deref()
                ),
                (expected, health, exit_code, uptime),
                "{status}"
            );
            assert_eq!((replica.number, replica.command.as_str()), (2, "sleep 9"));
            assert_eq!(replica.ports, ["0.0.0.0:80->80/tcp", ":::80->80/tcp"]);
        }
    }

    #[test]
    fn one_off_containers_are_no_replicas() {
        let text = [
            line("running", "Up", "True"),
            line("running", "Up", "False"),
        ]
        .join("\n");
        assert_eq!(parse_listing(&text).unwrap().len(), 1);
    }

    #[test]
    fn reads_an_inspection() {
        let text = r#"{"id":"f00","state":"exited","exit_code":3,"out_of_memory":true,"error":"","restarts":2,"started_at":"2026-01-01T00:00:00Z","health":""}"#;
        let vitals = &parse_vitals(text).unwrap()[0];
        assert_eq!(
            (vitals.state, vitals.exit_code, vitals.restarts),
            (State::Exited, 3, 2)
        );
        assert!(vitals.out_of_memory && vitals.health.is_none());
    }
}
