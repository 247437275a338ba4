//! `rscale status`: project, rows, table; again and again with `--watch`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::selection::known_services;
use super::session::Session;
use crate::cli::StatusArgs;
use crate::error::{Exit, Result};
use crate::project::Project;
use crate::report::json::{self, Status, StatusService};
use crate::report::{status, table};
use crate::ui::Format;

/// Shows what runs.
pub async fn run(session: &Session<'_>, args: &StatusArgs) -> Result<Exit> {
    let mut project = read(session, args).await?;
    match args.watch {
        None => {
            print(session, &project, args);
            Ok(Exit::Done)
        }
        Some(interval) => watch(session, &mut project, args, interval).await,
    }
}

async fn read(session: &Session<'_>, args: &StatusArgs) -> Result<Project> {
    let reach = session.reach();
    let mut project = reach.project(&session.likely_name).await?;
    let orphans: Vec<String> = project.orphans().map(|(name, _)| name.to_owned()).collect();
    known_services(
        &project.declared,
        args.services.iter().filter(|name| !orphans.contains(name)),
    )?;
    reach.add_restarts(&mut project).await?;
    Ok(project)
}

fn document(session: &Session<'_>, project: &Project, args: &StatusArgs) -> Status {
    status::status(project, session.reach().engine.name(), &args.services)
}

fn print(session: &Session<'_>, project: &Project, args: &StatusArgs) {
    session.ui.data(&rendered(session, project, args));
}

fn rendered(session: &Session<'_>, project: &Project, args: &StatusArgs) -> String {
    let (ui, status) = (session.ui, document(session, project, args));
    match ui.format() {
        Format::Json => json::render(&status),
        Format::Text => table::status(&status, project, ui.is_verbose(), ui.paint(), ui.width()),
    }
}

/// On a terminal the table stays in place; elsewhere every change is a line (or, with JSON, a document).
async fn watch(
    session: &Session<'_>,
    project: &mut Project,
    args: &StatusArgs,
    interval: Duration,
) -> Result<Exit> {
    let (reach, ui) = (session.reach(), session.ui);
    let mut last = None;
    loop {
        let status = document(session, project, args);
        let text = match (ui.is_interactive(), ui.format()) {
            (true, _) => rendered(session, project, args),
            (false, Format::Json) if last.as_ref() == Some(&status) => String::new(),
            (false, Format::Json) => json::render(&status),
            (false, Format::Text) => changes(last.as_ref(), &status),
        };
        if ui.is_interactive() {
            ui.screen(&text);
        } else {
            ui.data(&text);
        }
        if !ui.has_reader() {
            return Ok(Exit::Done);
        }
        last = Some(status);
        reach.executor.pause(interval).await;
        if reach.executor.interrupted() {
            return Ok(Exit::Interrupted);
        }
        let replicas = match reach.replicas(project.name()).await {
            Err(error) if error.exit == Exit::Interrupted => return Ok(Exit::Interrupted),
            replicas => replicas?,
        };
        *project = Project::new(std::mem::take(&mut project.declared), replicas);
        reach.add_restarts(project).await?;
    }
}

/// A line per service that is not as it was.
fn changes(last: Option<&Status>, now: &Status) -> String {
    let lines = |status: &Status| -> BTreeMap<String, String> {
        let services = status.services.iter();
        services
            .map(|service| (service.name.clone(), change_line(service)))
            .collect()
    };
    let (last, now) = (last.map(lines).unwrap_or_default(), lines(now));
    let new = now
        .iter()
        .filter(|(name, line)| last.get(*name) != Some(line));
    let gone = last.keys().filter(|name| !now.contains_key(*name));
    new.map(|(name, line)| format!("{name}  {line}\n"))
        .chain(gone.map(|name| format!("{name}  gone\n")))
        .collect()
}

fn change_line(service: &StatusService) -> String {
    let healthy = service
        .healthy
        .map_or(String::new(), |healthy| format!(", {healthy} healthy"));
    format!(
        "{}/{} running{healthy}, {}",
        service.running,
        service.replicas,
        service.state.as_str()
    )
}
