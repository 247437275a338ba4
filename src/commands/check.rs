//! `rscale check`: the preflight alone.

use super::scale::host_facts;
use super::session::{Session, host_reads};
use crate::cli::CheckArgs;
use crate::error::{Exit, Result};
use crate::pipeline::remembering::recalled;
use crate::pipeline::selection::{Wish, known_services};
use crate::pipeline::surroundings::surroundings;
use crate::preflight::{self, Finding, Overview, Question};
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
    let mut project = reach.project(&session.likely_name).await?;
    ui.notes(&project.declared.warnings);
    reach.describe(&mut project).await?;
    known_services(&project.declared, request.targets.0.keys())?;
    let asked: Wish = request
        .targets
        .0
        .iter()
        .map(|(service, count)| (service.clone(), count.resolve(project.count(service))))
        .collect();
    // Without targets, one service at a time: what a second replica of each would meet.
    let questions = if asked.is_empty() {
        one_more_of_each(&project)
    } else {
        vec![asked]
    };
    let all = questions.iter().flat_map(preflight::granted).collect();
    let leftovers = recalled(reach, &host_facts(session), &mut project).await;
    let surroundings = surroundings(reach, &project, &all, host_reads(), leftovers).await?;
    let overview = Overview::new(&project);
    let examine = |wish: &Wish| {
        let question = Question {
            project: &project,
            overview: &overview,
            wish,
            surroundings: &surroundings,
            stop_timeout: request.args.policy.stop_timeout,
            current_replicas: request.args.policy.current_replicas,
        };
        preflight::examine(&question, request.args.policy.force)
    };
    let findings: Vec<Finding> = questions.iter().flat_map(examine).collect();
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
    let refused = !request.targets.0.is_empty() && preflight::refuses(&findings);
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

fn one_more_of_each(project: &Project) -> Vec<Wish> {
    let services = project.declared.services.values();
    services
        .filter(|service| project.is_active(service))
        .map(|service| {
            let second = i64::from(project.count(&service.name).max(1)) + 1;
            [(service.name.clone(), second)].into()
        })
        .collect()
}
