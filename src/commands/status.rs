//! `rscale status`: project, rows, table; again and again with `--watch`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::session::Session;
use crate::cli::StatusArgs;
use crate::error::{Exit, Result};
use crate::pipeline::queues::{Depths, depths};
use crate::pipeline::selection::known_services;
use crate::project::Project;
use crate::report::json::{self, Status, StatusService};
use crate::report::{status, table};
use crate::ui::Format;

/// Shows what runs.
pub async fn run(session: &Session<'_>, args: &StatusArgs) -> Result<Exit> {
    let mut seen = read(session, args).await?;
    match args.watch {
        None => {
            session.ui.data(&rendered(session, &seen, args));
            Ok(Exit::Done)
        }
        Some(interval) => watch(session, &mut seen, args, interval).await,
    }
}

/// What there is to show.
struct Seen {
    project: Project,
    queues: Depths,
}

async fn read(session: &Session<'_>, args: &StatusArgs) -> Result<Seen> {
    let reach = session.reach();
    let project = reach.project(&session.likely_name).await?;
    let orphans: Vec<String> = project.orphans().map(|(name, _)| name.to_owned()).collect();
    known_services(
        &project.declared,
        args.services.iter().filter(|name| !orphans.contains(name)),
    )?;
    details(session, project, args).await
}

/// Restarts and queues, at once.
async fn details(session: &Session<'_>, mut project: Project, args: &StatusArgs) -> Result<Seen> {
    let reach = session.reach();
    let wanted = |service: &str| {
        args.services.is_empty() || args.services.iter().any(|name| name == service)
    };
    let asked = project.clone();
    let (restarts, queues) = tokio::join!(
        reach.add_restarts(&mut project),
        depths(reach, &asked, wanted)
    );
    restarts?;
    Ok(Seen { project, queues })
}

fn document(session: &Session<'_>, seen: &Seen, args: &StatusArgs) -> Status {
    let engine = session.reach().engine.name();
    let mut status = status::status(&seen.project, engine, &args.services);
    for service in &mut status.services {
        let said = seen.queues.get(&service.name);
        service.queue = said.map(|(queue, depth)| status::queue(queue, depth));
    }
    status
}

fn rendered(session: &Session<'_>, seen: &Seen, args: &StatusArgs) -> String {
    let (ui, status) = (session.ui, document(session, seen, args));
    match ui.format() {
        Format::Json => json::render(&status),
        Format::Text => {
            let project = &seen.project;
            table::status(&status, project, ui.is_verbose(), ui.paint(), ui.width())
        }
    }
}

/// On a terminal the table stays in place; elsewhere every change is a line (or, with JSON, a document).
async fn watch(
    session: &Session<'_>,
    seen: &mut Seen,
    args: &StatusArgs,
    interval: Duration,
) -> Result<Exit> {
    let (reach, ui) = (session.reach(), session.ui);
    let mut last = None;
    loop {
        let status = document(session, seen, args);
        let text = match (ui.is_interactive(), ui.format()) {
            (true, _) => rendered(session, seen, args),
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
        let observed = match reach.observed(seen.project.name()).await {
            Err(error) if error.is_interrupted() => return Ok(Exit::Interrupted),
            observed => observed?,
        };
        let declared = std::mem::take(&mut seen.project.declared);
        *seen = details(session, Project::new(declared, observed), args).await?;
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
    let queue = service.queue.as_ref();
    let queue = queue.map_or(String::new(), |queue| format!(", {}", table::queue(queue)));
    format!(
        "{}/{} running{healthy}, {}{queue}",
        service.running, service.replicas, service.state
    )
}
