//! What the shell's completion offers: the services of the project at hand.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::session::Session;
use crate::cli::{self, Cli, ProjectArgs};
use crate::exec::Executor;
use crate::exec::process::ProcessExecutor;
use crate::plain;
use crate::ui::{Color, Format, Ui};

/// The command line with completers where services are typed; `cli` itself knows nothing of Docker.
pub fn command() -> Command {
    let targets = |arg: Arg| arg.add(ArgValueCompleter::new(service_targets));
    let names = |arg: Arg| arg.add(ArgValueCompleter::new(service_names));
    Cli::command()
        .mut_arg("targets", targets)
        .mut_subcommand("scale", |command| command.mut_arg("targets", targets))
        .mut_subcommand("check", |command| command.mut_arg("targets", targets))
        .mut_subcommand("status", |command| command.mut_arg("services", names))
        .mut_subcommand("scale-all", |command| {
            command.mut_arg("only", names).mut_arg("except", names)
        })
}

/// Services as targets: `wo` gives `worker-a=`.
fn service_targets(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, "=")
}

/// Services by name.
fn service_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, "")
}

fn candidates(typed: &OsStr, suffix: &str) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    services()
        .unwrap_or_default()
        .into_iter()
        .filter(|service| service.starts_with(typed.as_ref()))
        .map(|service| CompletionCandidate::new(format!("{service}{suffix}")))
        .collect()
}

/// Asks Compose for the services of the project that the line being typed names. Completion stays
/// silent when there is no answer.
fn services() -> Option<Vec<String>> {
    let project = project_of(std::env::args_os());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let executor = ProcessExecutor::listening().ok()?;
        let ui = Ui::new(Format::Text, Color::Never, true, 0);
        let session = Session::new(&project, &executor, &ui).await.ok()?;
        let mut services: Vec<String> = if let Some(compose) = &session.file {
            let output = executor.run(&compose.services(), None).await.ok()?;
            output.stdout.lines().map(str::to_owned).collect()
        } else {
            let project = session.reach().project(&session.likely_name).await.ok()?;
            project.deployed.into_keys().collect()
        };
        // Shells print candidates as they come.
        services.retain(|service| !service.chars().any(plain::is_odd));
        services.sort();
        Some(services)
    })
}

/// The project options of the line being typed, which the shell hands over behind `--`.
fn project_of(words: impl Iterator<Item = OsString>) -> ProjectArgs {
    let line = words.skip_while(|word| word != "--").skip(1);
    let matches = cli::command()
        .ignore_errors(true)
        .try_get_matches_from(line);
    matches
        .ok()
        .and_then(|matches| ProjectArgs::from_arg_matches(&matches).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::project_of;

    #[test]
    fn the_line_being_typed_says_which_project() {
        let line = ["rscale", "--", "rscale", "-f", "a.yaml", "-p", "shop", "wo"];
        let project = project_of(line.into_iter().map(Into::into));
        assert_eq!(project.file, [PathBuf::from("a.yaml")]);
        assert_eq!(project.project_name.as_deref(), Some("shop"));
    }
}
