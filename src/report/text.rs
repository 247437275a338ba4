//! Results as text for people: tables, plans, findings, outcomes.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::json::{Export, FindingItem, LeftAlone, Scale, ScaledService};
use crate::apply::{Waiting, WaitingFor};
use crate::duration;
use crate::engine::Engine;
use crate::engine::steps::commands;
use crate::phrase::{list, plural};
use crate::plain::line;
use crate::plan::outcome::Outcome;
use crate::plan::{End, Plan, Remove, Start, Step};
use crate::preflight::Severity;
use crate::project::Project;

/// Whether results are painted.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    pub fn with(self, color: AnsiColor, text: &str) -> String {
        let style = Style::new().fg_color(Some(color.into()));
        if self.0 {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// One line per finding, its hint below.
pub fn findings(findings: &[FindingItem], paint: Paint) -> String {
    let mut text = String::new();
    for FindingItem {
        rule,
        severity,
        message,
        hint,
        ..
    } in findings
    {
        let color = if *severity == Severity::Error {
            AnsiColor::Red
        } else {
            AnsiColor::Yellow
        };
        let label = paint.with(color, &severity.to_string());
        let _ = writeln!(text, "{label}[{rule}]: {}", line(message));
        let _ = writeln!(text, "  hint: {}", line(hint));
    }
    text
}

/// A warning without a rule; its hint is printed below it.
pub fn warning(message: &str, paint: Paint) -> String {
    format!(
        "{}: {}",
        paint.with(AnsiColor::Yellow, "warning"),
        line(message)
    )
}

/// What an export wrote, who checked it, and what to type next.
pub fn export(export: &Export, next: &[String]) -> String {
    let mut text = String::new();
    for file in &export.files {
        let _ = writeln!(text, "{}  {} bytes", line(&file.path), file.bytes);
    }
    if let Some(command) = &export.checked_by {
        let _ = writeln!(text, "checked with `{}`", line(command));
    }
    for command in next {
        let _ = writeln!(text, "next: {}", line(command));
    }
    text
}

/// `--dry-run`: the changes, then every step with its commands.
pub fn plan(project: &Project, plan: &Plan, engine: &dyn Engine) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        let note = match (change.is_none(), change.restarted) {
            (true, _) if plan.undrains(&change.service) => {
                "  (drained replicas take work again)".to_owned()
            }
            (true, _) => "  (nothing to do)".to_owned(),
            (false, 0) if change.replaced > 0 => format!(
                "  ({} replaced)",
                plural(change.replaced as usize, "replica")
            ),
            (false, 0) => String::new(),
            (false, count) => format!(
                "  ({} that does not run is started)",
                plural(count as usize, "replica")
            ),
        };
        let _ = writeln!(
            text,
            "{}: {} -> {}{note}",
            line(&change.service),
            change.from,
            change.to
        );
    }
    for (service, count) in &plan.dependencies {
        let _ = writeln!(
            text,
            "{}: started as a dependency, {}",
            line(service),
            plural(*count as usize, "replica")
        );
    }
    for (number, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(text, "{}. {}", number + 1, line(&describe(step)));
        for command in commands(project, step, engine) {
            let _ = writeln!(text, "   $ {command}");
        }
    }
    text
}

/// What a plan does, a line a step.
pub fn steps(plan: &Plan) -> String {
    plan.steps.iter().fold(String::new(), |mut text, step| {
        let _ = writeln!(text, "- {}", line(&describe(step)));
        text
    })
}

fn describe(step: &Step) -> String {
    match step {
        Step::Remove(step) if step.end == End::Stopped => format!("stop {}", leaving(step)),
        Step::Remove(step) => format!("remove {}", leaving(step)),
        Step::SetCounts(step) => {
            let counts: Vec<String> = step
                .counts
                .iter()
                .map(|(service, count)| format!("{service} to {count}"))
                .collect();
            let gone: Vec<String> = step.leaving.iter().map(leaving).collect();
            let gone = match gone.as_slice() {
                [] => String::new(),
                gone => format!(", without {}", list(gone)),
            };
            format!("set {}{gone}", list(&counts))
        }
        Step::Create(step) => {
            let counts: Vec<String> = step
                .counts
                .iter()
                .map(|(service, count)| format!("{service} up to {count}"))
                .collect();
            let how = match step.start {
                Start::ByRscale | Start::ByCompose => "create",
                Start::WithDependencies => "create and start",
            };
            format!("{how} {}", list(&counts))
        }
        Step::Start(step) => {
            let services: Vec<&String> = step.services.keys().collect();
            format!("start what does not run of {}", list(&services))
        }
        Step::Launch { counts } => {
            let services: Vec<&String> = counts.keys().collect();
            format!(
                "have Compose start what does not run of {}",
                list(&services)
            )
        }
        Step::Verify { counts } => {
            let services: Vec<&String> = counts.keys().collect();
            format!("verify every replica of {}", list(&services))
        }
        Step::Refresh(step) => {
            let targets: Vec<String> = step
                .refresh
                .iter()
                .map(|refresh| match &refresh.project {
                    Some(project) => format!("{} of project {project}", refresh.service),
                    None => refresh.service.clone(),
                })
                .collect();
            format!(
                "tell {} of the replicas of {}",
                list(&targets),
                step.service
            )
        }
        Step::Release { ids } => {
            format!("let {} go in its turn again", plural(ids.len(), "replica"))
        }
        Step::Undrain(step) => format!("{}: {} takes work again", step.service, step.replica.name),
        Step::Pause(time) => format!("pause for {}", duration::show(*time)),
    }
}

/// Replicas that go, and how.
fn leaving(step: &Remove) -> String {
    let victims: Vec<String> = step
        .victims
        .iter()
        .map(|victim| format!("{} ({})", victim.name, victim.reason.as_str()))
        .collect();
    let grace = step.grace.map_or(String::new(), |grace| {
        format!(", grace {}", duration::show(grace))
    });
    let drain = step.drain.as_ref().map_or(String::new(), |drain| {
        format!(
            ", drained and left alone for {}",
            duration::show(drain.wait)
        )
    });
    format!("{}{drain}{grace}", list(&victims))
}

/// What a run waits for: `stopping 2 replicas, 12s of up to 30m`.
pub fn waiting(waiting: &Waiting) -> String {
    let replicas = plural(waiting.count, "replica");
    let elapsed = duration::show(Duration::from_secs(waiting.elapsed.as_secs()));
    let limit = waiting.limit.map(duration::show);
    match (waiting.what, limit) {
        (WaitingFor::DrainCommand, Some(limit)) => {
            format!("draining {replicas}, {elapsed} of up to {limit}")
        }
        (WaitingFor::DrainWait, Some(limit)) => {
            format!("{replicas} drained, waiting {elapsed} of {limit}")
        }
        (WaitingFor::End, Some(limit)) => {
            format!("stopping {replicas}, {elapsed} of up to {limit}")
        }
        (_, None) => format!("stopping {replicas}, {elapsed}"),
    }
}

/// The outcome of a scale: a line per service, then what was left alone.
pub fn scale(scale: &Scale, paint: Paint) -> String {
    let mut text = String::new();
    let name_width = scale
        .services
        .iter()
        .map(|service| line(&service.name).chars().count())
        .max()
        .unwrap_or(0);
    for service in &scale.services {
        let _ = writeln!(
            text,
            "{:name_width$}  {}",
            line(&service.name),
            outcome(service, paint)
        );
    }
    text.push_str(&left_alone(&scale.left_alone));
    let Some(untouched) = &scale.untouched else {
        text.push_str("other services: not known whether they are untouched\n");
        return text;
    };
    if !untouched.changed.is_empty() {
        let _ = writeln!(
            text,
            "other services: {} changed meanwhile: {}",
            plural(untouched.changed.len(), "container"),
            line(&list(&untouched.changed))
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

fn outcome(service: &ScaledService, paint: Paint) -> String {
    let ScaledService {
        from,
        to,
        running,
        healthy,
        seconds,
        watched_seconds,
        ..
    } = service;
    let now = match (running, healthy) {
        (None, _) => "what runs is not known".to_owned(),
        (Some(running), Some(healthy)) => format!("{running} running, {healthy} healthy"),
        (Some(running), None) => format!("{running} running"),
    };
    let now = match watched_seconds {
        Some(seconds) => format!(
            "{now}; no healthcheck: watched for {}",
            duration::show(Duration::from_secs_f64(*seconds))
        ),
        None => now,
    };
    let took = duration::show(Duration::from_secs_f64(*seconds));
    match service.outcome {
        Outcome::Scaled => format!(
            "{from} -> {to}  {} in {took} ({now})",
            paint.with(AnsiColor::Green, "scaled")
        ),
        Outcome::Unchanged => format!(
            "{to}  {} ({now})",
            paint.with(AnsiColor::BrightBlack, "unchanged")
        ),
        Outcome::RolledBack => format!(
            "{from} -> {to}  {} ({now})",
            paint.with(AnsiColor::Red, "rolled back")
        ),
        other => format!(
            "{from} -> {to}  {} ({now})",
            paint.with(AnsiColor::Red, &other.to_string())
        ),
    }
}

/// What `scale-all` did not scale.
pub fn left_alone(items: &[LeftAlone]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        let (name, reason) = (line(&item.name), line(&item.reason));
        let _ = writeln!(text, "{name}  left alone: {reason}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{list, plural};

    #[test]
    fn words_counts_and_lists() {
        assert_eq!(plural(1, "replica"), "1 replica");
        assert_eq!(plural(0, "replica"), "0 replicas");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list(&["a"]), "a");
    }
}
