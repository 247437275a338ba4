//! Reading `docker service ls`, `docker stack ps` and `docker node ls`, each as one JSON object a line.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::project::cluster::{Deployed, Node};
use crate::project::declared::{EngineName, Service};
use crate::project::observed::{Observed, Replica, State};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceLine {
    name: String,
    mode: String,
    replicas: String,
    image: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskLine {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    node: String,
    desired_state: String,
    current_state: String,
    error: String,
    ports: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeLine {
    #[serde(rename = "ID")]
    id: String,
    hostname: String,
    status: String,
    availability: String,
    manager_status: String,
    #[serde(rename = "Self")]
    this_one: bool,
}

/// Reads the three listings of a stack.
///
/// # Errors
/// A line that is not the JSON asked for.
pub fn parse(
    stack: &str,
    services: &str,
    tasks: &str,
    nodes: &str,
) -> Result<Observed, serde_json::Error> {
    let nodes: Vec<Node> = lines(nodes)?.into_iter().map(node).collect();
    let prefix = format!("{stack}_");
    let short = |name: &str| name.strip_prefix(&prefix).unwrap_or(name).to_owned();
    let services: Vec<ServiceLine> = lines(services)?;
    let deployed = services
        .iter()
        .map(|line| deployed(line, short(&line.name)));
    let lines: Vec<TaskLine> = lines(tasks)?;
    let (mut replicas, mut failures): (Vec<Replica>, Vec<Replica>) = (Vec::new(), Vec::new());
    for line in lines {
        let Some((object, _)) = line.name.rsplit_once('.') else {
            continue;
        };
        let service = short(object);
        let down = |node: &&Node| node.name == line.node && !node.ready;
        let lost = nodes.iter().any(|node| down(&node));
        match Fate::of(&line, lost) {
            Fate::Counts => replicas.push(replica(line, service)),
            Fate::Leaves => replicas.push(Replica {
                leaving: true,
                ..replica(line, service)
            }),
            Fate::Failed => failures.push(replica(line, service)),
            Fate::Gone => {}
        }
    }
    // A slot's failures that the swarm remembers are its restarts.
    for replica in &mut replicas {
        let same = failures
            .iter()
            .filter(|failure| failure.name == replica.name);
        replica.restarts = u32::try_from(same.count()).ok();
    }
    Ok(Observed {
        engine: EngineName::Swarm,
        name: None,
        replicas,
        deployed: deployed.collect(),
        failures,
        nodes,
    })
}

fn lines<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, serde_json::Error> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(serde_json::from_str).collect()
}

fn node(line: NodeLine) -> Node {
    let (status, availability) = (line.status.to_lowercase(), line.availability.to_lowercase());
    let ready = status == "ready";
    Node {
        schedulable: ready && availability == "active",
        state: if ready && availability != "active" {
            availability
        } else {
            status
        },
        manager: !line.manager_status.is_empty(),
        id: line.id,
        name: line.hostname,
        ready,
        this_one: line.this_one,
    }
}

fn deployed(line: &ServiceLine, service: String) -> Deployed {
    // `3/3`, `1/3 (max 1 per node)`, `0/2 (2/2 completed)`: those that run, then those wanted.
    let wanted = line.replicas.split('/').nth(1).unwrap_or_default();
    let digits: String = wanted.chars().take_while(char::is_ascii_digit).collect();
    let fixed = match line.mode.as_str() {
        "replicated" => None,
        "global" => Some("runs once on every node (mode: global)".to_owned()),
        mode => Some(format!("is a job ({mode})")),
    };
    Deployed {
        object: line.name.clone(),
        count: digits.parse().unwrap_or(0),
        fixed,
        as_declared: Service {
            image: Some(line.image.clone()),
            restarts: true,
            ..Service::default()
        },
        service,
        ..Deployed::default()
    }
}

/// What a task is to its service.
enum Fate {
    Counts,
    Leaves,
    /// It failed, and another took its slot.
    Failed,
    Gone,
}

impl Fate {
    /// States of tasks: <https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/>.
    fn of(line: &TaskLine, node_lost: bool) -> Self {
        let current = first_word(&line.current_state);
        let ended = matches!(
            current.as_str(),
            "complete" | "failed" | "rejected" | "shutdown" | "orphaned" | "remove"
        );
        let wanted = matches!(
            line.desired_state.as_str(),
            "Running" | "Ready" | "Accepted"
        );
        match (wanted, ended) {
            (true, _) => Self::Counts,
            (false, true) if matches!(current.as_str(), "failed" | "rejected") => Self::Failed,
            // What is on a lost node tells nothing any more.
            (false, false) if !node_lost && line.desired_state != "Complete" => Self::Leaves,
            (false, _) => Self::Gone,
        }
    }
}

fn replica(line: TaskLine, service: String) -> Replica {
    let number = line.name.rsplit_once('.').map(|(_, slot)| slot.to_owned());
    let (word, since) = match line.current_state.split_once(' ') {
        Some((word, since)) => (word.to_lowercase(), Some(since.to_owned())),
        None => (line.current_state.to_lowercase(), None),
    };
    let state = match word.as_str() {
        "running" => State::Running,
        "complete" | "failed" | "shutdown" => State::Exited,
        "rejected" | "orphaned" | "remove" => State::Dead,
        // New, pending, assigned, accepted, ready, preparing, starting.
        _ => State::Created,
    };
    let error = line.error.trim_matches('"');
    let reason = match (state, error) {
        (State::Running, _) => None,
        (_, "") => Some(format!("is {word}")),
        (_, error) => Some(format!("is {word}: {error}")),
    };
    let mut ports: Vec<String> = line
        .ports
        .split(',')
        .filter(|port| !port.is_empty())
        .map(str::to_owned)
        .collect();
    // The client prints each of them twice.
    ports.dedup();
    Replica {
        // A task of a global service has its node's id in place of a number.
        number: number.and_then(|slot| slot.parse().ok()).unwrap_or(0),
        id: line.id,
        name: line.name,
        service,
        state,
        uptime: since
            .filter(|_| state == State::Running)
            .map(|since| since.trim_end_matches(" ago").to_owned()),
        ports,
        node: Some(line.node).filter(|node| !node.is_empty()),
        reason,
        ..Replica::default()
    }
}

fn first_word(state: &str) -> String {
    let word = state.split_whitespace().next().unwrap_or_default();
    word.to_lowercase()
}
