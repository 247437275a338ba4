//! Reading `docker service ls`, `docker stack ps` and `docker node ls`, each as one JSON object a line.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::project::cluster::{Deployed, Node, PublishedPort};
use crate::project::declared::{EngineName, Service};
use crate::project::observed::{Observed, Replica, State};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceLine {
    name: String,
    mode: String,
    replicas: String,
    image: String,
    ports: String,
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
    let lost = |name: &str| {
        let mut named = nodes.iter().filter(|node| node.name == name).peekable();
        named.peek().is_some() && named.all(|node| !node.ready)
    };
    let (mut replicas, mut failures): (Vec<Replica>, Vec<Replica>) = (Vec::new(), Vec::new());
    for line in lines {
        let Some((object, _)) = line.name.rsplit_once('.') else {
            continue;
        };
        let service = short(object);
        let lost = lost(&line.node);
        match Fate::of(&line, lost) {
            Fate::Counts if lost => replicas.push(Replica {
                state: State::Dead,
                uptime: None,
                reason: Some(format!("is on `{}`, which does not answer", line.node)),
                ..replica(line, service)
            }),
            Fate::Counts => replicas.push(replica(line, service)),
            Fate::Leaves => replicas.push(Replica {
                leaving: true,
                ..replica(line, service)
            }),
            Fate::Failed => failures.push(replica(line, service)),
            Fate::Gone => {}
        }
    }
    // A slot's failures that the swarm remembers are its restarts; they are listed latest first.
    let mut of_slot: BTreeMap<&str, Vec<&Replica>> = BTreeMap::new();
    for failure in &failures {
        of_slot.entry(&failure.name).or_default().push(failure);
    }
    for replica in &mut replicas {
        let failed = of_slot.get(replica.name.as_str());
        replica.restarts =
            Some(failed.map_or(0, |failed| u32::try_from(failed.len()).unwrap_or(u32::MAX)));
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

pub(super) fn lines<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, serde_json::Error> {
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
        ports: line.ports.split(", ").filter_map(port).collect(),
        service,
        ..Deployed::default()
    }
}

/// `*:18001->8000/tcp`; a range of ports is left out, as it is no address of one replica.
pub(super) fn port(text: &str) -> Option<PublishedPort> {
    let (outside, inside) = text.split_once("->")?;
    let (target, protocol) = inside.split_once('/')?;
    Some(PublishedPort {
        protocol: protocol.to_owned(),
        target: target.parse().ok()?,
        published: outside.rsplit_once(':')?.1.parse().ok()?,
        by_node: false,
    })
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
    let error = line.error.trim_matches('"').trim_start_matches("task: ");
    let state_of_it = match word.as_str() {
        "failed" => "failed".to_owned(),
        "rejected" => "was rejected".to_owned(),
        _ => format!("is {word}"),
    };
    let reason = match (state, error) {
        // The latter is on its way: new, pending, assigned, accepted, preparing, ready, starting.
        (State::Running, _) | (State::Created, "") => None,
        (_, "") => Some(state_of_it),
        (_, error) => Some(format!("{state_of_it}: {error}")),
    };
    // The client prints each of them twice.
    let mut ports: Vec<String> = Vec::new();
    for port in line.ports.split(',').filter(|port| !port.is_empty()) {
        if !ports.iter().any(|known| known == port) {
            ports.push(port.to_owned());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{TaskLine, parse, replica};
    use crate::project::observed::{Observed, Replica, State};

    macro_rules! sample {
        ($name:literal) => {
            include_str!(concat!("../../../tests/samples/swarm-20.10/", $name))
        };
    }

    /// Three nodes that take replicas.
    fn ready() -> Observed {
        let tasks = sample!("ready-stack-ps.jsonl");
        let nodes = sample!("ready-node-ls.jsonl");
        parse("shop", sample!("ready-service-ls.jsonl"), tasks, nodes).unwrap()
    }

    /// The same stack with `node2` drained and `node3` dead.
    fn lost() -> Observed {
        let tasks = sample!("lost-stack-ps.jsonl");
        let nodes = sample!("lost-node-ls.jsonl");
        parse("shop", sample!("lost-service-ls.jsonl"), tasks, nodes).unwrap()
    }

    fn of<'o>(observed: &'o Observed, service: &str) -> Vec<&'o Replica> {
        let replicas = observed.replicas.iter();
        replicas.filter(|one| one.service == service).collect()
    }

    fn short(observed: &Observed, service: &str) -> Vec<String> {
        let word = |one: &&Replica| {
            let leaves = if one.leaving { " leaves" } else { "" };
            let node = one.node.as_deref().unwrap_or("-");
            format!("{} {}{leaves} {node}", one.name, one.state)
        };
        of(observed, service).iter().map(word).collect()
    }

    #[test]
    fn services_have_the_counts_that_the_swarm_keeps() {
        let observed = ready();
        let counts: Vec<(&str, &str, u32, bool)> = observed
            .deployed
            .iter()
            .map(|one| {
                let fixed = one.fixed.is_some();
                (one.service.as_str(), one.object.as_str(), one.count, fixed)
            })
            .collect();
        assert_eq!(
            counts,
            [
                ("agent", "shop_agent", 3, true),
                ("crash", "shop_crash", 1, false),
                ("hungry", "shop_hungry", 2, false),
                ("job", "shop_job", 2, true),
                ("missing", "shop_missing", 1, false),
                ("pinned", "shop_pinned", 3, false),
                ("stubborn", "shop_stubborn", 1, false),
                ("web", "shop_web", 2, false),
                ("worker", "shop_worker", 3, false),
            ]
        );
        let web = &observed.deployed[7].ports;
        assert_eq!(
            (web[0].target, web[0].published, web[0].by_node),
            (8000, 18001, false)
        );
    }

    #[test]
    fn tasks_that_are_wanted_count_and_those_told_to_go_leave() {
        let observed = ready();
        assert_eq!(
            short(&observed, "worker"),
            [
                "shop_worker.1 running node3",
                "shop_worker.2 running node1",
                "shop_worker.3 running node2"
            ]
        );
        assert_eq!(
            short(&observed, "stubborn"),
            [
                "shop_stubborn.1 running node2",
                "shop_stubborn.2 running leaves node1"
            ]
        );
        assert_eq!(of(&observed, "worker")[1].number, 2);
        assert!(of(&observed, "job").is_empty(), "what is complete is gone");
    }

    #[test]
    fn tasks_that_wait_say_for_what() {
        let observed = ready();
        let reasons = |service| -> Vec<String> {
            let replicas = of(&observed, service);
            replicas
                .iter()
                .filter_map(|one| one.reason.clone())
                .collect()
        };
        assert_eq!(
            reasons("hungry"),
            ["is pending: no suitable node (insufficient resources on 3 nodes)"; 2]
        );
        assert_eq!(short(&observed, "pinned").len(), 3);
        assert_eq!(reasons("pinned").len(), 2);
        assert_eq!(
            reasons("missing"),
            ["was rejected: No such image: nosuch/image:1"]
        );
        assert!(reasons("crash").is_empty(), "it is on its way");
    }

    #[test]
    fn what_the_scheduler_has_not_looked_at_yet_is_on_its_way() {
        for (state, error, expected) in [
            ("Pending less than a second ago", "", None),
            ("Assigned 1 second ago", "", None),
            (
                "Pending 2 seconds ago",
                "\"no suitable node\"",
                Some("is pending: no suitable node"),
            ),
            ("Rejected 2 seconds ago", "", Some("was rejected")),
        ] {
            let line = TaskLine {
                id: "t1".into(),
                name: "shop_web.1".into(),
                node: String::new(),
                desired_state: "Running".into(),
                current_state: state.into(),
                error: error.into(),
                ports: String::new(),
            };
            assert_eq!(
                replica(line, "web".into()).reason.as_deref(),
                expected,
                "{state}"
            );
        }
    }

    #[test]
    fn failures_are_remembered_by_slot() {
        let observed = lost();
        let crash = of(&observed, "crash");
        assert_eq!((crash.len(), crash[0].restarts), (1, Some(4)));
        assert_eq!(crash[0].state, State::Created);
        let failures = observed.failures.iter();
        let crashed: Vec<&Replica> = failures.filter(|one| one.service == "crash").collect();
        assert_eq!(crashed.len(), 4);
        assert!(crashed.iter().all(|one| one.name == "shop_crash.1"));
        assert_eq!(
            crashed[0].reason.as_deref(),
            Some("failed: non-zero exit (3)")
        );
        assert_eq!(
            of(&observed, "worker")[0].restarts,
            Some(0),
            "a lost task is no failure"
        );
    }

    #[test]
    fn tasks_of_a_lost_node_are_gone_and_those_of_a_drained_one_leave() {
        let observed = lost();
        assert_eq!(
            short(&observed, "web"),
            ["shop_web.1 created -", "shop_web.2 created node1"]
        );
        assert_eq!(
            short(&observed, "stubborn"),
            [
                "shop_stubborn.1 dead node3",
                "shop_stubborn.1 running leaves node2",
                "shop_stubborn.2 running leaves node1"
            ]
        );
        let assigned = of(&observed, "stubborn")[0];
        assert_eq!(
            assigned.reason.as_deref(),
            Some("is on `node3`, which does not answer")
        );
    }

    #[test]
    fn nodes_say_whether_they_take_replicas() {
        let nodes = lost().nodes;
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| {
                (
                    node.name.as_str(),
                    node.state.as_str(),
                    node.ready,
                    node.schedulable,
                )
            })
            .collect();
        assert_eq!(
            nodes,
            [
                ("node1", "ready", true, true),
                ("node2", "drain", true, false),
                ("node3", "down", false, false),
            ]
        );
        assert!(lost().nodes[0].manager && lost().nodes[0].this_one && !lost().nodes[1].manager);
    }

    #[test]
    fn a_port_is_listed_once() {
        let observed = ready();
        assert_eq!(of(&observed, "web")[0].ports, ["*:18000->8000/tcp"]);
    }

    #[test]
    fn nothing_runs_of_an_unknown_stack() {
        let nodes = sample!("ready-node-ls.jsonl");
        let observed = parse("nosuch", "", "", nodes).unwrap();
        assert!(observed.deployed.is_empty() && observed.replicas.is_empty());
        assert!(parse("shop", "nonsense", "", "").is_err());
    }
}
