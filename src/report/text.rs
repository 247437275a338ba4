//! Results as text for people: tables, plans, findings, outcomes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, ContentArrangement, Table, presets};

use super::json::{
    Check, FindingItem, LeftAlone, Scale, ScaledService, ServiceState, Status, StatusService,
};
use crate::duration;
use crate::engine::Engine;
use crate::plan::{Plan, Start, Step};
use crate::project::Project;

/// Whether results are painted.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, color: AnsiColor, text: &str) -> String {
        let style = Style::new().fg_color(Some(color.into()));
        if self.0 {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// `1 replica`, `3 replicas`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// `a, b and c`.
pub fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

fn table(width: Option<u16>, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    match width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn print_table(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The table of `rscale status`; `details` adds what stands in the way of a second replica.
pub fn status(
    status: &Status,
    project: &Project,
    details: bool,
    paint: Paint,
    width: Option<u16>,
) -> String {
    if status.services.is_empty() {
        return format!("{}: no services\n", status.project);
    }
    let mut table = table(
        width,
        &[
            "SERVICE", "REPLICAS", "HEALTHY", "STATE", "PORTS", "RESTARTS", "UPTIME",
        ],
    );
    for service in &status.services {
        table.add_row([
            Cell::new(&service.name),
            Cell::new(replicas(service)),
            Cell::new(service.healthy.map_or("-".into(), |healthy| {
                format!("{healthy}/{}", service.running)
            })),
            Cell::new(state(service)),
            Cell::new(ports(service)),
            Cell::new(restarts(service)),
            Cell::new(uptime(project, service)),
        ]);
    }
    // Painted after the layout: escape sequences would count as columns.
    let mut text = print_table(&table);
    if paint.0 {
        text = text
            .lines()
            .map(|line| paint_row(line, paint) + "\n")
            .collect();
    }
    if details {
        for service in &status.services {
            for reason in &service.reasons {
                let _ = writeln!(text, "{}: {reason}", service.name);
            }
        }
    }
    text
}

fn paint_row(line: &str, paint: Paint) -> String {
    for (word, color) in [
        (ServiceState::Ok, AnsiColor::Green),
        (ServiceState::Starting, AnsiColor::Yellow),
        (ServiceState::Degraded, AnsiColor::Red),
        (ServiceState::Stopped, AnsiColor::BrightBlack),
    ] {
        let plain = format!(" {} ", word.as_str());
        if let Some(at) = line.find(&plain) {
            let (before, after) = (&line[..=at], &line[at + plain.len() - 1..]);
            return format!("{before}{}{after}", paint.with(color, word.as_str()));
        }
    }
    line.to_owned()
}

fn replicas(service: &StatusService) -> String {
    let now = format!("{}/{}", service.running, service.replicas);
    match service.declared {
        None => format!("{now} (orphan)"),
        Some(declared) if service.drift => format!("{now} (declared {declared})"),
        Some(_) => now,
    }
}

fn state(service: &StatusService) -> String {
    let mut text = service.state.as_str().to_owned();
    let mut odd: Vec<String> = Vec::new();
    for container in &service.containers {
        let word = match (container.state.as_str(), container.health.as_deref()) {
            ("running", Some("unhealthy")) => "unhealthy",
            ("running", _) => continue,
            (state, _) => state,
        };
        odd.push(format!("{} {word}", container.number));
    }
    if !odd.is_empty() {
        let _ = write!(text, " (#{})", odd.join(", #"));
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
    let known: Option<Vec<u32>> = service
        .containers
        .iter()
        .map(|container| container.restarts)
        .collect();
    known.map_or("?".into(), |restarts| {
        restarts.iter().sum::<u32>().to_string()
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

/// One line per finding, its hint below.
pub fn findings(check: &Check, paint: Paint) -> String {
    let mut text = String::new();
    for FindingItem {
        rule,
        severity,
        message,
        hint,
        ..
    } in &check.findings
    {
        let color = if severity == "error" {
            AnsiColor::Red
        } else {
            AnsiColor::Yellow
        };
        let _ = writeln!(text, "{}[{rule}]: {message}", paint.with(color, severity));
        let _ = writeln!(text, "  hint: {hint}");
    }
    text
}

/// `--dry-run`: the changes, then every step with its commands.
pub fn plan(project: &Project, plan: &Plan, engine: &dyn Engine) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        let note = match (change.is_none(), change.restarted) {
            (true, _) => "  (nothing to do)".to_owned(),
            (false, 0) => String::new(),
            (false, count) => format!(
                "  ({} that does not run is started)",
                plural(count as usize, "replica")
            ),
        };
        let _ = writeln!(
            text,
            "{}: {} -> {}{note}",
            change.service, change.from, change.to
        );
    }
    for (service, count) in &plan.dependencies {
        let _ = writeln!(
            text,
            "{service}: started as a dependency, {}",
            plural(*count as usize, "replica")
        );
    }
    for (number, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(text, "{}. {}", number + 1, describe(step));
        for command in crate::plan::commands(project, step, engine) {
            let _ = writeln!(text, "   $ {command}");
        }
    }
    text
}

fn describe(step: &Step) -> String {
    match step {
        Step::Remove(step) => {
            let victims: Vec<String> = step
                .victims
                .iter()
                .map(|victim| format!("{} ({})", victim.name, victim.reason.as_str()))
                .collect();
            let grace = step.grace.map_or(String::new(), |grace| {
                format!(", grace {}", duration::show(grace))
            });
            format!("remove {}{grace}", list(&victims))
        }
        Step::Create(step) => {
            let counts: Vec<String> = step
                .counts
                .iter()
                .map(|(service, count)| format!("{service} up to {count}"))
                .collect();
            let how = match step.start {
                Start::ByRscale => "create",
                Start::ByCompose => "create and start",
            };
            format!("{how} {}", list(&counts))
        }
        Step::Start(step) => {
            let services: Vec<&String> = step.services.iter().collect();
            format!("start what does not run of {}", list(&services))
        }
        Step::Verify { counts } => {
            let services: Vec<&String> = counts.keys().collect();
            format!("verify every replica of {}", list(&services))
        }
        Step::Pause(time) => format!("pause for {}", duration::show(*time)),
    }
}

/// The outcome of a scale: a line per service, then what was left alone.
pub fn scale(scale: &Scale, paint: Paint) -> String {
    let mut text = String::new();
    let name_width = scale
        .services
        .iter()
        .map(|service| service.name.len())
        .max()
        .unwrap_or(0);
    for service in &scale.services {
        let _ = writeln!(
            text,
            "{:name_width$}  {}",
            service.name,
            line(service, paint)
        );
    }
    text.push_str(&left_alone(&scale.left_alone));
    let untouched = &scale.untouched;
    if !untouched.changed.is_empty() {
        let _ = writeln!(
            text,
            "other services: {} changed meanwhile: {}",
            plural(untouched.changed.len(), "container"),
            list(&untouched.changed)
        );
    } else if untouched.containers > 0 {
        let _ = writeln!(
            text,
            "other services: {} untouched",
            plural(untouched.containers, "container")
        );
    }
    text
}

fn line(service: &ScaledService, paint: Paint) -> String {
    let ScaledService {
        from,
        to,
        running,
        healthy,
        seconds,
        ..
    } = service;
    let now = match healthy {
        Some(healthy) => format!("{running} running, {healthy} healthy"),
        None => format!("{running} running"),
    };
    let took = duration::show(std::time::Duration::from_secs_f64(*seconds));
    match service.outcome.as_str() {
        "scaled" => format!(
            "{from} -> {to}  {} in {took} ({now})",
            paint.with(AnsiColor::Green, "scaled")
        ),
        "unchanged" => format!(
            "{to}  {} ({now})",
            paint.with(AnsiColor::BrightBlack, "unchanged")
        ),
        "rolled_back" => format!(
            "{from} -> {to}  {} ({now})",
            paint.with(AnsiColor::Red, "rolled back")
        ),
        other => format!(
            "{from} -> {to}  {} ({now})",
            paint.with(AnsiColor::Red, other)
        ),
    }
}

/// What `scale-all` did not scale.
pub fn left_alone(items: &[LeftAlone]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "{}  left alone: {}", item.name, item.reason);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{list, plural, ranges};

    #[test]
    fn ports_in_a_row_are_one_range() {
        assert_eq!(ranges(&[8001, 8000, 8002, 8005].into()), "8000-8002,8005");
    }

    #[test]
    fn words_counts_and_lists() {
        assert_eq!(plural(1, "replica"), "1 replica");
        assert_eq!(plural(0, "replica"), "0 replicas");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list(&["a"]), "a");
    }
}
