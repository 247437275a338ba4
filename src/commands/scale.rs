//! `rscale scale` and `rscale scale-all`: from what was typed to what is printed.

use std::time::Duration;

use super::session::{Session, host_reads};
use crate::apply::{Aftermath, ApplyOptions, Failure};
use crate::cli::{PullPolicy, ScaleAllArgs, ScalingArgs};
use crate::error::{Error, Exit, Result};
use crate::lock;
use crate::memory::{self, Store};
use crate::pipeline::scaling::{self, Scaled, Scaling};
use crate::pipeline::selection::Asked;
use crate::pipeline::surroundings::HostFacts;
use crate::plan::outcome::Outcome;
use crate::plan::{PlanOptions, Pull};
use crate::preflight::Severity;
use crate::project::target::{Count, Targets, check_limit};
use crate::report::json::FindingItem;
use crate::report::{json, text};
use crate::ui::{Format, Ui};

/// A scale as it was asked for.
#[derive(Debug)]
pub struct Request {
    scaling: Scaling,
}

impl Request {
    /// `rscale scale web=3`.
    ///
    /// # Errors
    /// Malformed targets, or none.
    pub fn explicit(targets: &[String], args: &ScalingArgs) -> Result<Self> {
        if targets.is_empty() {
            return Err(Error::usage("nothing to scale")
                .hint("name services and counts: rscale web=3")
                .hint("see what there is: rscale status"));
        }
        if let [word] = targets
            && let Some(command) = misspelt_command(word)
        {
            return Err(
                Error::usage(format!("`{word}` is neither a command nor a target"))
                    .hint(format!("did you mean `rscale {command}`?")),
            );
        }
        let targets = Targets::parse(targets, args.preflight.force)?;
        Ok(Self {
            scaling: scaling_of(Asked::Named(targets), args),
        })
    }

    /// `rscale scale-all 3`.
    ///
    /// # Errors
    /// A malformed count.
    pub fn all(args: &ScaleAllArgs) -> Result<Self> {
        let count: Count = args
            .count
            .parse()
            .map_err(|why| Error::usage(why).hint("rscale scale-all 3"))?;
        check_limit("SERVICE", count, args.scaling.preflight.force)?;
        let asked = Asked::All {
            count,
            only: args.only.clone(),
            except: args.except.clone(),
        };
        Ok(Self {
            scaling: scaling_of(asked, &args.scaling),
        })
    }
}

fn misspelt_command(word: &str) -> Option<&'static str> {
    if word.contains('=') {
        return None;
    }
    let commands = [
        "scale",
        "scale-all",
        "status",
        "check",
        "load-test",
        "export",
        "completions",
        "man",
        "help",
    ];
    let nearest = crate::suggest::nearest(word, commands)?;
    // `web` is a service without a count; `statsu` is a command.
    (strsim::damerau_levenshtein(word, nearest) <= 2).then_some(nearest)
}

fn scaling_of(asked: Asked, args: &ScalingArgs) -> Scaling {
    let preflight = &args.preflight;
    Scaling {
        asked,
        dry_run: args.dry_run,
        force: preflight.force,
        current_replicas: preflight.current_replicas,
        lock_timeout: args.lock_timeout,
        within: None,
        plan: PlanOptions {
            step: args.step,
            pause: args.pause.unwrap_or(Duration::ZERO),
            verify: !args.no_wait,
            no_deps: preflight.no_deps,
            stop_timeout: preflight.stop_timeout,
            build: args.build,
            pull: args.pull.map(|policy| match policy {
                PullPolicy::Always => Pull::Always,
                PullPolicy::Missing => Pull::Missing,
                PullPolicy::Never => Pull::Never,
            }),
        },
        apply: ApplyOptions {
            wait_timeout: args.wait_timeout,
            stable: args.stable,
            keep: args.keep,
            stop_timeout: preflight.stop_timeout,
            force: preflight.force,
        },
    }
}

/// What the machine says, for a scale.
pub fn host_facts(session: &Session<'_>) -> HostFacts {
    HostFacts {
        reads: host_reads(),
        likely_name: session.likely_name.clone(),
        lock_folder: lock::folder(),
        store: memory::place().map(Store::at),
    }
}

/// Scales, prints, and says how it ended.
pub async fn run(session: &Session<'_>, request: &Request) -> Result<Exit> {
    let ui = session.ui;
    let surroundings = host_facts(session);
    let on_event = |event| ui.event(event);
    let on_note = |note: &str| ui.note(note);
    let scaled = scaling::scale(
        session.reach(),
        &request.scaling,
        &surroundings,
        &on_event,
        &on_note,
    )
    .await?;
    ui.clear_bars();
    print(ui, &scaled, session);
    Ok(scaled.exit())
}

fn print(ui: &Ui, scaled: &Scaled, session: &Session<'_>) {
    let document = json::Scale::of(scaled, session.reach().engine.name());
    let (errors, warnings): (Vec<FindingItem>, Vec<FindingItem>) = document
        .findings
        .iter()
        .cloned()
        .partition(|finding| finding.severity == Severity::Error);
    ui.always(&text::findings(&errors, ui.paint_of_stderr()));
    ui.lines(&text::findings(&warnings, ui.paint_of_stderr()));
    if let Some(failure) = scaled.failure() {
        print_failure(ui, failure);
    }
    match ui.format() {
        Format::Json => ui.data(&json::render(&document)),
        Format::Text if scaled.dry_run && !scaled.is_refused() => {
            ui.data(&text::plan(
                &scaled.project,
                &scaled.plan,
                session.reach().engine,
            ));
            ui.data(&text::left_alone(&document.left_alone));
        }
        Format::Text => ui.data(&text::scale(&document, ui.paint())),
    }
    print_late_interruption(ui, scaled);
    if scaled.is_refused()
        && scaled
            .findings
            .iter()
            .any(|finding| finding.policy && finding.severity == Severity::Error)
    {
        ui.hint("what is a matter of policy can be overruled: rscale --force ...");
    }
}

/// Says that Ctrl-C came when all was but done.
fn print_late_interruption(ui: &Ui, scaled: &Scaled) {
    if scaled.exit() == Exit::Interrupted && scaled.outcome() == Outcome::Scaled {
        ui.always("interrupted when all but the end was done: nothing was rolled back\n");
    }
}

fn print_failure(ui: &Ui, failure: &Failure) {
    let mut error = failure.error.clone();
    if let Aftermath::RollbackFailed(why) = &failure.aftermath {
        error = error.hint(format!(
            "the roll-back failed as well ({why}); see what is there: rscale status"
        ));
    }
    ui.error(&error);
    for (name, log) in &failure.logs {
        ui.note(&format!("last lines of {name}:"));
        for line in log.lines() {
            ui.note(&format!("  | {line}"));
        }
    }
}
