//! `rscale status`: project, rows, table; again and again with `--watch`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::scale::host_facts;
use super::session::Session;
use crate::cli::StatusArgs;
use crate::error::{Error, Exit, Result};
use crate::exec::host;
use crate::memory::Leftover;
use crate::pipeline::queues::{Depths, depths};
use crate::pipeline::remembering::recalled;
use crate::pipeline::selection::known_services;
use crate::plain::line;
use crate::project::Project;
use crate::report::json::{self, KilledRun, Status, StatusService};
use crate::report::{status, table};
use crate::ui::{Format, Ui};

/// Shows what runs.
pub async fn run(session: &Session<'_>, args: &StatusArgs) -> Result<Exit> {
    let stamps = host::stamps(&session.files);
    let seen = read(session, args).await?;
    session.ui.notes(&seen.project.declared.warnings);
    tell_of(session.ui, &seen.leftovers);
    match args.watch {
        None => {
            session.ui.data(&rendered(session, &seen, args));
            Ok(Exit::Done)
        }
        Some(interval) => {
            let started = Watch {
                session,
                args,
                seen,
                stamps,
                trouble: None,
                last: None,
            };
            watch(started, interval).await
        }
    }
}

/// What there is to show.
struct Seen {
    project: Project,
    queues: Depths,
    /// What runs left that were killed.
    leftovers: Vec<Leftover>,
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
    let leftovers = recalled(reach, &host_facts(session), &mut project).await;
    Ok(Seen {
        project,
        queues,
        leftovers,
    })
}

/// Says what runs left half-done that were killed, and what to do about it.
pub fn tell_of(ui: &Ui, leftovers: &[Leftover]) {
    for leftover in leftovers {
        ui.note(&format!("warning: {leftover}"));
        ui.hint(&leftover.way_out());
    }
}

fn document(session: &Session<'_>, seen: &Seen, args: &StatusArgs) -> Status {
    let engine = session.reach().engine.name();
    let mut status = status::status(&seen.project, engine, &args.services);
    status.killed_runs = seen.leftovers.iter().map(KilledRun::from).collect();
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

/// A status that is looked at again and again. A look that fails does not end it: engines are restarted and files are
/// edited while somebody watches.
struct Watch<'a> {
    session: &'a Session<'a>,
    args: &'a StatusArgs,
    seen: Seen,
    /// When the files last changed that the declared side was read from.
    stamps: Vec<host::Stamp>,
    /// Since when looks fail, and why the last one did.
    trouble: Option<(Timestamp, String)>,
    /// What was printed last, where only changes are.
    last: Option<Status>,
}

/// On a terminal the table stays in place; elsewhere every change is a line (or, with JSON, a document).
async fn watch(mut watch: Watch<'_>, interval: Duration) -> Result<Exit> {
    let (executor, ui) = (watch.session.reach().executor, watch.session.ui);
    loop {
        watch.show();
        if !ui.has_reader() {
            return Ok(Exit::Done);
        }
        executor.pause(interval).await;
        if executor.interrupted() {
            return Ok(Exit::Interrupted);
        }
        let looked = watch.look().await;
        if executor.interrupted() {
            return Ok(Exit::Interrupted);
        }
        watch.note(looked.err());
    }
}

impl Watch<'_> {
    fn show(&mut self) {
        let (session, ui) = (self.session, self.session.ui);
        if ui.is_interactive() {
            let table = rendered(session, &self.seen, self.args);
            let trouble = self
                .trouble
                .as_ref()
                .map_or_else(String::new, |(since, why)| {
                    format!(
                        "as it was before {since:.0}; since then no look succeeds: {}\n",
                        line(why)
                    )
                });
            ui.screen(&format!("{table}{trouble}"));
            return;
        }
        let status = document(session, &self.seen, self.args);
        ui.data(&match ui.format() {
            Format::Json if self.last.as_ref() == Some(&status) => String::new(),
            Format::Json => json::render(&status),
            Format::Text => changes(self.last.as_ref(), &status),
        });
        self.last = Some(status);
    }

    /// Looks again, and reads the file again where it changed.
    async fn look(&mut self) -> Result<()> {
        let reach = self.session.reach();
        let stamps = host::stamps(&self.session.files);
        let declared = if stamps == self.stamps {
            self.seen.project.declared.clone()
        } else {
            let declared = reach.declared(&self.session.likely_name).await?;
            if declared.warnings != self.seen.project.declared.warnings {
                self.session.ui.notes(&declared.warnings);
            }
            declared
        };
        let observed = reach.observed(&declared.name).await?;
        let project = Project::new(declared, observed);
        self.seen = details(self.session, project, self.args).await?;
        self.stamps = stamps;
        Ok(())
    }

    /// Says that looks begin to fail, that they fail for another reason, and that they succeed again.
    fn note(&mut self, error: Option<Error>) {
        let ui = self.session.ui;
        match (error, self.trouble.take()) {
            (None, None) => {}
            (None, Some((since, _))) => {
                if !ui.is_interactive() {
                    ui.note(&format!(
                        "looks succeed again; they failed since {since:.0}"
                    ));
                }
            }
            (Some(error), before) => {
                let is_new = before.as_ref().is_none_or(|(_, why)| *why != error.message);
                let since = before.map_or_else(Timestamp::now, |(since, _)| since);
                if is_new && !ui.is_interactive() {
                    ui.note(&format!(
                        "no look succeeds since {since:.0}, going on: {}",
                        error.message
                    ));
                }
                self.trouble = Some((since, error.message));
            }
        }
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
