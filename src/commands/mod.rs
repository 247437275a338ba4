//! The subcommands: each file reads as the list of stages that its command goes through.

mod check;
pub mod complete;
mod completions;
mod export;
mod load_test;
mod man;
mod reference;
mod scale;
mod session;
mod status;

use clap::ArgMatches;

use crate::cli::{self, Cli, Command, GeneralArgs};
use crate::error::{Error, Exit};
use crate::exec::process::ProcessExecutor;
use crate::ui::{Color, Format, Ui};
use session::Session;

pub use crate::ui::not_written;

/// Runs what was typed and says how it ended.
pub async fn run(cli: Cli, matches: &ArgMatches) -> Exit {
    let ui = ui_of(&cli.general);
    let outcome = match cli::misplaced(matches) {
        Some(error) => Err(error),
        None => dispatch(cli, &ui).await,
    };
    ui.clear_bars();
    let exit = outcome.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    });
    match (ui.lost(), exit) {
        (None, exit) => exit,
        (Some(error), exit) => {
            ui.error(&error);
            // What went wrong before is the more important.
            if exit == Exit::Done {
                Exit::Failed
            } else {
                exit
            }
        }
    }
}

fn ui_of(args: &GeneralArgs) -> Ui {
    let format = match args.format {
        cli::Format::Text => Format::Text,
        cli::Format::Json => Format::Json,
    };
    let color = match args.color {
        cli::Color::Auto => Color::Auto,
        cli::Color::Always => Color::Always,
        cli::Color::Never => Color::Never,
    };
    Ui::new(format, color, args.quiet, args.verbose)
}

async fn dispatch(cli: Cli, ui: &Ui) -> Result<Exit, Error> {
    // What asks nothing of Docker comes first.
    let command = match cli.command {
        Some(Command::Completions(args)) => return Ok(completions::run(args.shell, ui)),
        Some(Command::Man) => return Ok(man::run(ui)),
        Some(Command::Reference(args)) => return Ok(reference::run(args.what, ui)),
        command => command,
    };
    let note = |note: &str| ui.note(note);
    let executor = ProcessExecutor::listening()
        .map_err(|error| {
            Error::failed(format!("signals cannot be listened for: {error}")).because(error)
        })?
        .noting(&note);
    let session = |project| Session::new(project, &executor, ui);
    match command {
        None => {
            let request = scale::Request::explicit(&cli.targets, &cli.scaling)?;
            scale::run(&session(&cli.project).await?, &request).await
        }
        Some(Command::Scale(args)) => {
            let request = scale::Request::explicit(&args.targets, &args.scaling)?;
            scale::run(&session(&cli.project).await?, &request).await
        }
        Some(Command::ScaleAll(args)) => {
            let request = scale::Request::all(&args)?;
            scale::run(&session(&cli.project).await?, &request).await
        }
        Some(Command::Status(args)) => status::run(&session(&cli.project).await?, &args).await,
        Some(Command::Check(args)) => {
            let request = check::Request::new(&args)?;
            check::run(&session(&cli.project).await?, &request).await
        }
        Some(Command::LoadTest(args)) => load_test::run(&session(&cli.project).await?, &args).await,
        Some(Command::Export(args)) => export::run(&session(&cli.project).await?, &args).await,
        Some(Command::Completions(_) | Command::Man | Command::Reference(_)) => {
            unreachable!("answered above")
        }
    }
}
