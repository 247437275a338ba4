//! What every command that asks Docker something shares: which Compose, which project, which executor.

use std::path::{Path, PathBuf};

use super::surroundings::HostReads;
use crate::cli::ProjectArgs;
use crate::engine::cause::explain_reading;
use crate::engine::compose::{Compose, Generation};
use crate::error::{Error, Result};
use crate::exec::{Executor, host};
use crate::gather::Reach;
use crate::ui::Ui;

/// One run's surroundings.
pub struct Session<'a> {
    pub engine: Compose,
    pub executor: &'a dyn Executor,
    pub ui: &'a Ui,
    /// The project's name as far as it is known before Compose is asked.
    pub likely_name: String,
}

impl<'a> Session<'a> {
    /// Finds Compose: what was named, the plugin's binary, `docker-compose` on PATH, `docker compose`.
    ///
    /// # Errors
    /// Compose was named but is none, or its version cannot be asked.
    pub async fn new(
        project: &ProjectArgs,
        executor: &'a dyn Executor,
        ui: &'a Ui,
    ) -> Result<Self> {
        let (command, generation) =
            find_compose(project.compose_command.as_deref(), executor).await?;
        Ok(Self {
            engine: Compose {
                command,
                generation,
                project_options: project_options(project),
            },
            executor,
            ui,
            likely_name: likely_name(project),
        })
    }

    pub fn reach(&self) -> Reach<'_> {
        Reach {
            engine: &self.engine,
            executor: self.executor,
        }
    }
}

/// How the machine that rscale runs on is read.
pub fn host_reads() -> HostReads {
    HostReads {
        engine_ports: Some(host::engine_ports),
        configuration: Some(host::configuration),
    }
}

async fn find_compose(
    named: Option<&str>,
    executor: &dyn Executor,
) -> Result<(Vec<String>, Generation)> {
    let command = if let Some(line) = named {
        shlex::split(line)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| {
                Error::usage(format!("`--compose-command {line}` is no command"))
                    .hint("rscale --compose-command 'docker compose' ...")
            })?
    } else {
        if let Some(plugin) = host::compose_plugin() {
            return Ok((vec![plugin.to_string_lossy().into_owned()], Generation::V2));
        }
        match host::on_path("docker-compose") {
            Some(binary) => vec![binary.to_string_lossy().into_owned()],
            None => vec!["docker".into(), "compose".into()],
        }
    };
    // `docker compose` is never v1; anything else is asked.
    if command.iter().any(|word| word == "compose") {
        return Ok((command, Generation::V2));
    }
    let version = executor.run(&Compose::version(&command), None).await;
    let output = version.map_err(|error| explain_reading(&error))?;
    Ok((command, Compose::parse_version(&output.stdout)))
}

/// The project options, spelled for Compose.
fn project_options(args: &ProjectArgs) -> Vec<String> {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut options = Vec::new();
    let mut push = |flag: &str, value: String| options.extend([flag.to_owned(), value]);
    for file in &args.file {
        push("--file", text(file));
    }
    if let Some(name) = &args.project_name {
        push("--project-name", name.clone());
    }
    if let Some(folder) = &args.project_directory {
        push("--project-directory", text(folder));
    }
    for profile in &args.profile {
        push("--profile", profile.clone());
    }
    for file in &args.env_file {
        push("--env-file", text(file));
    }
    options
}

/// The name that the project most likely has, so that its containers can be listed while Compose still
/// reads its file. Compose has the last word.
fn likely_name(args: &ProjectArgs) -> String {
    let from_environment = || {
        std::env::var("COMPOSE_PROJECT_NAME")
            .ok()
            .filter(|name| !name.is_empty())
    };
    args.project_name
        .clone()
        .or_else(from_environment)
        .unwrap_or_else(|| {
            let folder = args.project_directory.clone().or_else(|| {
                let file = args.file.first()?;
                file.parent().map(Path::to_path_buf)
            });
            let folder = std::path::absolute(folder.unwrap_or_default().join("."))
                .or_else(|_| std::env::current_dir());
            let folder = folder.unwrap_or_default();
            normalized(&folder.file_name().unwrap_or_default().to_string_lossy())
        })
}

/// A folder's name as Compose makes a project name of it (compose-go, `loader.NormalizeProjectName`).
fn normalized(name: &str) -> String {
    let name = name.to_lowercase();
    let kept: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{likely_name, normalized, project_options};
    use crate::cli::ProjectArgs;

    #[test]
    fn project_options_are_passed_on() {
        let args = ProjectArgs {
            file: vec![PathBuf::from("a.yaml"), PathBuf::from("b.yaml")],
            project_name: Some("shop".into()),
            profile: vec!["debug".into()],
            ..ProjectArgs::default()
        };
        let options = project_options(&args).join(" ");
        assert_eq!(
            options,
            "--file a.yaml --file b.yaml --project-name shop --profile debug"
        );
    }

    #[test]
    fn names_a_project_as_compose_does() {
        assert_eq!(normalized("_My.Shop-2"), "myshop-2");
        let args = ProjectArgs {
            file: vec![PathBuf::from("/srv/My Shop/compose.yaml")],
            ..ProjectArgs::default()
        };
        assert_eq!(likely_name(&args), "myshop");
    }
}
