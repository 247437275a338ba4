//! `rscale load-test`: what to send, the run, the figures; with `--sweep` that for several counts.

mod files;
mod measuring;
mod request;
mod sweep;
mod work;

use measuring::{Measured, Measurement};
use request::Request;

use super::scale::host_facts;
use super::session::Session;
use super::status::tell_of;
use crate::cli::LoadTestArgs;
use crate::duration;
use crate::error::{Error, Exit, Kind, Result};
use crate::load::pace::Amount;
use crate::load::result::LoadTest;
use crate::load::run::LoadEvent;
use crate::pipeline::remembering::recalled;
use crate::report::{html, json, load_compare, load_text};
use crate::ui::{Format, Ui};

/// Measures and prints.
pub async fn run(session: &Session<'_>, args: &LoadTestArgs) -> Result<Exit> {
    let request = Request::new(args)?;
    // What is wrong with the files is said before anything is sent.
    let before = request.compare.as_deref().map(files::read).transpose()?;
    for file in [&request.save, &request.report].into_iter().flatten() {
        files::check_writable(file)?;
    }
    if !args.sweep.sweep.is_empty() {
        return Box::pin(sweep::run(session, &request, &args.sweep)).await;
    }
    let ui = session.ui;
    let measurement = Measurement::prepare(session.reach(), &session.likely_name, &request).await?;
    ui.notes(&measurement.notes);
    let mut project = measurement.project.clone();
    let host = host_facts(session);
    tell_of(ui, &recalled(session.reach(), &host, &mut project).await);
    let Measured { result, failure } = measurement
        .carry_out(session.reach(), &request, &|event| {
            show(ui, &measurement, event);
        })
        .await?;
    ui.clear_bars();
    let comparison = before.map(|before| load_compare::compare(&before, &result));
    match (ui.format(), &comparison) {
        (Format::Json, Some(comparison)) => ui.data(&json::render(comparison)),
        (Format::Json, None) => ui.data(&json::render(&result)),
        (Format::Text, comparison) => {
            ui.data(&load_text::load_test(&result, ui.paint(), ui.width()));
            if let Some(comparison) = comparison {
                ui.data(&load_compare::text(comparison, ui.paint(), ui.width()));
            }
        }
    }
    // Printed first: a full disk must not lose the result.
    save(&request, &result)?;
    verdict(ui, &result, failure)
}

/// What is about to be sent, and to whom.
fn announce(ui: &Ui, measurement: &Measurement) {
    let plan = &measurement.plan;
    let tasks: Vec<(String, Option<String>)> = plan
        .types
        .iter()
        .map(|task| {
            let queue = task.work.queue().map(|queue| queue.name.clone());
            (task.name.clone(), queue)
        })
        .collect();
    ui.note(&load_text::starting(&amount(measurement), &tasks));
    let counts = LoadTest {
        counts: measurement.counts(),
        ..LoadTest::default()
    };
    if !counts.counts.is_empty() {
        ui.note(&load_text::workers(&counts));
    }
}

/// How much is about to be sent.
fn amount(measurement: &Measurement) -> String {
    match measurement.plan.pace.amount {
        Amount::Tasks(1) => "1 task of each type".to_owned(),
        Amount::Tasks(count) => format!("{count} tasks of each type"),
        Amount::For(time) => format!("{} of tasks of each type", duration::show(time)),
    }
}

/// Shows how far a run is.
fn show(ui: &Ui, measurement: &Measurement, event: LoadEvent) {
    match event {
        LoadEvent::Note(note) => ui.note(&note),
        LoadEvent::Starting => announce(ui, measurement),
        LoadEvent::Progress { warmup, tallies } => {
            let types = &measurement.plan.types;
            for (task, tally) in types.iter().zip(tallies) {
                let total = if warmup {
                    None
                } else {
                    measurement.plan.pace.total()
                };
                ui.load(&task.name, warmup, total, tally);
            }
        }
    }
}

fn save(request: &Request<'_>, result: &LoadTest) -> Result<()> {
    if let Some(file) = &request.save {
        files::write(file, &json::render(result))?;
    }
    if let Some(file) = &request.report {
        files::write(file, &html::load_test(result))?;
    }
    Ok(())
}

/// Exit 5 for thresholds that were missed, also where results are missing (`lost>0` is a threshold as well);
/// an interruption or a broker that cannot be used stays what it is.
fn verdict(ui: &Ui, result: &LoadTest, failure: Option<Error>) -> Result<Exit> {
    for missed in &result.missed_thresholds {
        ui.always(&format!("threshold missed: {missed}"));
    }
    let missed = !result.missed_thresholds.is_empty();
    match failure {
        Some(error) if missed && matches!(error.kind, Kind::Failed | Kind::TimedOut) => {
            ui.error(&error);
            Ok(Exit::Threshold)
        }
        Some(error) => Err(error),
        None if missed => Ok(Exit::Threshold),
        None => Ok(Exit::Done),
    }
}
