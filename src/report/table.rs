//! The table of `rscale status`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::AnsiColor;

use super::grid::grid;
use super::json::{ServiceState, Status, StatusContainer, StatusQueue, StatusService};
use super::text::Paint;
use crate::plain::line;
use crate::project::Project;
use crate::project::observed::{Health, State};
use crate::project::workload::DriverName;

const HEADER: [&str; 7] = [
    "SERVICE", "REPLICAS", "HEALTHY", "STATE", "PORTS", "RESTARTS", "UPTIME",
];
/// Replicas of a service that are named for not running; of more only the number is told.
const NAMED_ONE_BY_ONE: usize = 3;
/// Columns that a narrow terminal goes without, first ones first.
const DISPENSABLE: [&str; 4] = ["UPTIME", "RESTARTS", "PORTS", "HEALTHY"];

/// The table, as wide as `width` allows; `details` adds what stands in the way of a second replica.
pub fn status(
    status: &Status,
    project: &Project,
    details: bool,
    paint: Paint,
    width: Option<u16>,
) -> String {
    if status.services.is_empty() {
        return format!("{}: no services\n", line(&status.project));
    }
    let rows: Vec<[String; 7]> = status
        .services
        .iter()
        .map(|service| row(project, service))
        .collect();
    let mut text = grid(&HEADER, &rows, &DISPENSABLE, width);
    if paint.0 {
        // Painted after the layout: escape sequences would count as columns.
        text = text
            .lines()
            .map(|line| paint_row(line, paint) + "\n")
            .collect();
    }
    text.push_str(&queues(status));
    text.push_str(&nodes(status));
    text.push_str(&reasons(status));
    if details {
        for reason in status.services.iter().flat_map(|service| &service.reasons) {
            let _ = writeln!(text, "{}", line(reason));
        }
    }
    text
}

/// The nodes of a cluster with their replicas, and their state where it is not the usual one: in one line.
fn nodes(status: &Status) -> String {
    let nodes = status.nodes.iter().map(|node| match node.state.as_str() {
        "ready" => format!("{} {}", node.name, node.replicas),
        state => format!("{} {} ({state})", node.name, node.replicas),
    });
    let nodes: Vec<String> = nodes.collect();
    match nodes.as_slice() {
        [] => String::new(),
        nodes => line(&format!("replicas by node: {}", nodes.join(", "))).into_owned() + "\n",
    }
}

/// A line per queue below the table.
fn queues(status: &Status) -> String {
    let queues: Vec<(&str, &StatusQueue)> = status
        .services
        .iter()
        .filter_map(|service| Some((service.name.as_str(), service.queue.as_ref()?)))
        .collect();
    let names = queues.iter().map(|(name, _)| name.chars().count());
    let width = names.max().unwrap_or(0);
    queues.iter().fold(String::new(), |mut text, (name, said)| {
        let (name, said) = (line(name), queue(said));
        let _ = writeln!(text, "{name:width$}  {}", line(&said));
        text
    })
}

/// `queue_a: 12 ready, 4 unacknowledged, 2 running, 3 consumers`, in the words of the driver.
pub fn queue(queue: &StatusQueue) -> String {
    if let Some(error) = &queue.error {
        return format!("{}: {error}", queue.name);
    }
    let (ready, unacknowledged, running) = match queue.driver {
        DriverName::Bullmq => ("waiting", "unacknowledged", "active"),
        DriverName::RedisStream => ("lag", "pending", "running"),
        _ => ("ready", "unacknowledged", "running"),
    };
    let consumers = if queue.consumers == Some(1) {
        "consumer"
    } else {
        "consumers"
    };
    let figures = [
        (queue.ready, ready),
        (queue.unacknowledged, unacknowledged),
        (queue.running, running),
        (queue.delayed, "delayed"),
        (queue.failed, "failed"),
        (queue.consumers, consumers),
    ];
    let known: Vec<String> = figures
        .into_iter()
        .filter_map(|(figure, word)| Some(format!("{} {word}", figure?)))
        .collect();
    format!("{}: {}", queue.name, known.join(", "))
}

fn row(project: &Project, service: &StatusService) -> [String; 7] {
    let healthy = service.healthy.map_or("-".into(), |healthy| {
        format!("{healthy}/{}", service.running)
    });
    [
        service.name.clone(),
        replicas(service),
        healthy,
        state(service),
        ports(service),
        restarts(service),
        uptime(project, service),
    ]
}

fn paint_row(line: &str, paint: Paint) -> String {
    for (word, color) in [
        (ServiceState::Ok, AnsiColor::Green),
        (ServiceState::Starting, AnsiColor::Yellow),
        (ServiceState::Degraded, AnsiColor::Red),
        (ServiceState::Stopped, AnsiColor::BrightBlack),
    ] {
        let plain = format!(" {word} ");
        if let Some(at) = line.find(&plain) {
            let (before, after) = (&line[..=at], &line[at + plain.len() - 1..]);
            return format!("{before}{}{after}", paint.with(color, &word.to_string()));
        }
    }
    line.to_owned()
}

fn replicas(service: &StatusService) -> String {
    let wanted = service.desired.unwrap_or(service.replicas);
    let now = format!("{}/{wanted}", service.running);
    match service.declared {
        None => format!("{now} (orphan)"),
        Some(declared) if service.drift => format!("{now} (declared {declared})"),
        Some(_) => now,
    }
}

fn state(service: &StatusService) -> String {
    let mut text = service.state.to_string();
    if service.state == ServiceState::Ok && service.running == 0 {
        return format!("{text} (done)");
    }
    let mut odd: Vec<(u32, String)> = Vec::new();
    for container in service.containers.iter().filter(|one| !one.leaving) {
        let word = match (container.state, container.health) {
            (State::Running, Some(unwell @ Health::Unhealthy)) => unwell.to_string(),
            (State::Running, _) => continue,
            (state, _) => state.to_string(),
        };
        odd.push((container.number, word));
    }
    let named: Vec<String> = if odd.len() <= NAMED_ONE_BY_ONE {
        odd.iter()
            .map(|(number, word)| format!("#{number} {word}"))
            .collect()
    } else {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for (_, word) in odd {
            *counts.entry(word).or_default() += 1;
        }
        counts
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .collect()
    };
    if !named.is_empty() {
        let _ = write!(text, " ({})", named.join(", "));
    }
    text
}

/// Why replicas are not up, where the engine says it: a line per service, for the first of them.
fn reasons(status: &Status) -> String {
    let mut text = String::new();
    for service in &status.services {
        let told = |one: &&StatusContainer| one.reason.is_some() && !one.leaving;
        let mut told = service.containers.iter().filter(told);
        let Some((first, reason)) = told
            .next()
            .and_then(|one| Some((one, one.reason.as_ref()?)))
        else {
            continue;
        };
        let others = match told.count() {
            0 => String::new(),
            1 => " (and 1 other)".to_owned(),
            count => format!(" (and {count} others)"),
        };
        let _ = writeln!(text, "{} {}{others}", line(&first.name), line(reason));
    }
    text
}

/// Published ports, those of all replicas together: `8000-8002->80/tcp`.
fn ports(service: &StatusService) -> String {
    let mut by_target: Vec<(&str, &str, BTreeSet<u16>)> = Vec::new();
    let mut others: Vec<&str> = Vec::new();
    for port in service
        .containers
        .iter()
        .flat_map(|container| &container.ports)
    {
        // The IPv6 twin of an address says nothing new; nor does a port that is not published.
        if port.starts_with(":::") || port.starts_with("[::]") || !port.contains("->") {
            continue;
        }
        let port = port.strip_prefix("0.0.0.0:").unwrap_or(port);
        let parts = port.split_once("->").and_then(|(host, target)| {
            let (address, number) = host.rsplit_once(':').unwrap_or(("", host));
            Some((address, target, number.parse().ok()?))
        });
        let Some((address, target, number)) = parts else {
            if !others.contains(&port) {
                others.push(port);
            }
            continue;
        };
        match by_target
            .iter_mut()
            .find(|(a, t, _)| (*a, *t) == (address, target))
        {
            Some((_, _, numbers)) => {
                numbers.insert(number);
            }
            None => by_target.push((address, target, BTreeSet::from([number]))),
        }
    }
    let merged = by_target.iter().map(|(address, target, numbers)| {
        let colon = if address.is_empty() { "" } else { ":" };
        format!("{address}{colon}{}->{target}", ranges(numbers))
    });
    let shown: Vec<String> = merged
        .chain(others.iter().map(ToString::to_string))
        .collect();
    shown.join(", ")
}

/// `8000-8002,8005`.
fn ranges(numbers: &BTreeSet<u16>) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let words = runs.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    words.collect::<Vec<_>>().join(",")
}

fn restarts(service: &StatusService) -> String {
    let known: Option<Vec<u64>> = service
        .containers
        .iter()
        .map(|container| container.restarts.map(u64::from))
        .collect();
    known.map_or("?".into(), |restarts| {
        restarts.iter().sum::<u64>().to_string()
    })
}

/// The uptimes of the oldest and the youngest replica, as the engine words them.
fn uptime(project: &Project, service: &StatusService) -> String {
    let mut uptimes: Vec<&str> = Vec::new();
    for replica in project.replicas(&service.name) {
        if let Some(uptime) = replica
            .uptime
            .as_deref()
            .filter(|uptime| !uptimes.contains(uptime))
        {
            uptimes.push(uptime);
        }
    }
    match uptimes.as_slice() {
        [] => "-".into(),
        [one] => (*one).to_owned(),
        [first, .., last] => format!("{first} … {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{DISPENSABLE, HEADER, ranges};
    use crate::report::grid::columns;

    #[test]
    fn ports_in_a_row_are_one_range() {
        assert_eq!(ranges(&[8001, 8000, 8002, 8005].into()), "8000-8002,8005");
    }

    #[test]
    fn a_narrow_terminal_keeps_what_matters_most() {
        let row = ["web-django", "3/3", "3/3", "ok", "", "0", "2 minutes"].map(str::to_owned);
        for (width, kept) in [
            (None, vec![0, 1, 2, 3, 4, 5, 6]),
            (Some(100), vec![0, 1, 2, 3, 4, 5, 6]),
            (Some(56), vec![0, 1, 2, 3, 4, 5]),
            (Some(36), vec![0, 1, 2, 3]),
            (Some(20), vec![0, 1, 3]),
        ] {
            assert_eq!(
                columns(&HEADER, std::slice::from_ref(&row), &DISPENSABLE, width),
                kept,
                "{width:?}"
            );
        }
    }
}
