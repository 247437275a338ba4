//! `rscale check`: the preflight alone.

use std::collections::BTreeMap;

use super::selection::known_services;
use super::session::Session;
use crate::cli::CheckArgs;
use crate::error::{Exit, Result};
use crate::exec::host;
use crate::preflight::{self, Finding, Question, Surroundings};
use crate::project::Project;
use crate::project::target::Targets;
use crate::report::{json, text};
use crate::ui::Format;

/// A check as it was asked for.
#[derive(Debug)]
pub struct Request<'a> {
    targets: Targets,
    args: &'a CheckArgs,
}

impl<'a> Request<'a> {
    /// # Errors
    /// Malformed targets.
    pub fn new(args: &'a CheckArgs) -> Result<Self> {
        let targets = Targets::parse(&args.targets, args.policy.force)?;
        Ok(Self { targets, args })
    }
}

/// Checks and prints; exits with 3 when the targets would be refused.
pub async fn run(session: &Session<'_>, request: &Request<'_>) -> Result<Exit> {
    let (reach, ui) = (session.reach(), session.ui);
    let likely = &session.likely_name;
    let (declared, info, replicas) =
        tokio::join!(reach.declared(likely), reach.info(), reach.replicas(likely));
    let declared = declared?;
    let (info, _) = info?;
    known_services(&declared, request.targets.0.keys())?;
    let replicas = if declared.name == *likely {
        replicas?
    } else {
        reach.replicas(&declared.name).await?
    };
    let project = Project::new(declared, replicas);
    let surroundings = Surroundings {
        memory_bytes: info.memory_bytes,
        listening: host::engine_ports(),
    };
    let examine = |wish: &BTreeMap<String, i64>| {
        let question = Question {
            project: &project,
            wish,
            surroundings: &surroundings,
            stop_timeout: request.args.policy.stop_timeout,
            current_replicas: request.args.policy.current_replicas,
        };
        preflight::examine(&question, request.args.policy.force)
    };
    let asked: BTreeMap<String, i64> = request
        .targets
        .0
        .iter()
        .map(|(service, count)| (service.clone(), count.resolve(project.count(service))))
        .collect();
    let findings: Vec<Finding> = if asked.is_empty() {
        let services = project
            .declared
            .services
            .values()
            .filter(|service| project.is_active(service));
        // One service at a time: the question is what a second replica of each would meet.
        let second = |count: u32| i64::from(count.max(1)) + 1;
        services
            .flat_map(|service| {
                examine(&[(service.name.clone(), second(project.count(&service.name)))].into())
            })
            .collect()
    } else {
        examine(&asked)
    };
    let document = json::Check {
        schema: json::SCHEMA,
        project: project.name().to_owned(),
        findings: findings.iter().map(json::FindingItem::from).collect(),
    };
    match ui.format() {
        Format::Json => ui.data(&json::render(&document)),
        Format::Text if findings.is_empty() => ui.data("nothing stands in the way\n"),
        Format::Text => ui.data(&text::findings(&document.findings, ui.paint())),
    }
    // Without targets this is a report, not a question: a database that cannot be doubled is no failure.
    let refused = !asked.is_empty() && preflight::refuses(&findings);
    Ok(if refused { Exit::Refused } else { Exit::Done })
}
