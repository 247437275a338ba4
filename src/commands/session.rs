//! What every command that asks Docker something shares: which Compose, which project, which executor.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::cli::{self, ProjectArgs};
use crate::engine::Engine;
use crate::engine::cause::explain_reading;
use crate::engine::compose::{Compose, Generation};
use crate::engine::kubernetes::Kubernetes;
use crate::engine::swarm::Swarm;
use crate::error::{Error, Result};
use crate::exec::endpoint::Endpoint;
use crate::exec::{Executor, host};
use crate::gather::Reach;
use crate::pipeline::surroundings::HostReads;
use crate::project::declared::EngineName;
use crate::ui::Ui;

/// One run's surroundings.
pub struct Session<'a> {
    engine: Box<dyn Engine>,
    /// What reads the compose file; `None` where there is none.
    pub file: Option<Compose>,
    pub executor: &'a dyn Executor,
    pub ui: &'a Ui,
    /// The project's name as far as it is known before Compose is asked.
    pub likely_name: String,
    /// The files that say what the project is, as far as they are known without Compose.
    pub files: Vec<PathBuf>,
    endpoint: Endpoint,
}

impl<'a> Session<'a> {
    /// Finds out which engine, and for its compose file which Compose: what was named, the plugin's binary,
    /// `docker-compose` on PATH, `docker compose`.
    ///
    /// # Errors
    /// Compose was named but is none, or its version cannot be asked; options of another engine.
    pub async fn new(
        project: &ProjectArgs,
        executor: &'a dyn Executor,
        ui: &'a Ui,
    ) -> Result<Self> {
        let files = files(project);
        let typed = project.engine.engine.map(|engine| match engine {
            cli::Engine::Compose => EngineName::Compose,
            cli::Engine::Swarm => EngineName::Swarm,
            cli::Engine::Kubernetes => EngineName::Kubernetes,
        });
        let reads_file = !files.is_empty() || typed.unwrap_or_default() == EngineName::Compose;
        let file = if reads_file {
            let named = project.compose_command.as_deref();
            let (command, generation) = find_compose(named, executor).await?;
            Some(Compose {
                command,
                generation,
                project_options: project_options(project),
            })
        } else {
            None
        };
        let likely_name = likely_name(project);
        let name = match (typed, &file) {
            (Some(name), _) => name,
            (None, Some(compose)) => named_in_file(compose, executor, &likely_name, &files).await?,
            (None, None) => EngineName::Compose,
        };
        let options = &project.engine;
        // A variable in the environment is a default, for when the engine is that one.
        let typed_here = |variable: &str, value: &Option<String>| {
            value.is_some() && std::env::var(variable).ok() != *value
        };
        if name != EngineName::Kubernetes
            && let Some((option, ..)) = [
                ("--context", "RSCALE_CONTEXT", &options.context),
                ("--namespace", "RSCALE_NAMESPACE", &options.namespace),
            ]
            .into_iter()
            .find(|(_, variable, value)| typed_here(variable, value))
        {
            return Err(
                Error::usage(format!("`{option}` is for Kubernetes, and this is {name}"))
                    .hint("rscale --engine kubernetes ...")
                    .hint("which docker engine: DOCKER_CONTEXT or DOCKER_HOST"),
            );
        }
        let (context, namespace) = (options.context.clone(), options.namespace.clone());
        let (endpoint, likely_name) = match name {
            EngineName::Compose | EngineName::Swarm => (host::endpoint(), likely_name),
            EngineName::Kubernetes => {
                let at = host::cluster(context.as_deref());
                let namespace = namespace.clone().or(at.namespace);
                let namespace = namespace.unwrap_or_else(|| "default".to_owned());
                let server = at.server.or_else(|| context.clone());
                (
                    Endpoint {
                        address: format!("kubernetes:{}/{namespace}", server.unwrap_or_default()),
                        stamp: None,
                    },
                    // Without a file the namespace is the project.
                    if file.is_some() {
                        likely_name
                    } else {
                        namespace
                    },
                )
            }
        };
        let engine: Box<dyn Engine> = match (name, &file) {
            (EngineName::Compose, Some(compose)) => Box::new(compose.clone()),
            (EngineName::Compose, None) => unreachable!("Compose always reads a file"),
            (EngineName::Swarm, file) => Box::new(Swarm { file: file.clone() }),
            (EngineName::Kubernetes, file) => Box::new(Kubernetes {
                file: file.clone(),
                context,
                namespace,
            }),
        };
        Ok(Self {
            engine,
            file,
            executor,
            ui,
            likely_name,
            files: [files, settings(project)].concat(),
            endpoint,
        })
    }

    pub fn reach(&self) -> Reach<'_> {
        Reach {
            engine: &*self.engine,
            executor: self.executor,
            endpoint: &self.endpoint,
        }
    }
}

/// The files at hand that say what the project is: those that were named, or those that Compose would find. An
/// `.env` that names some stands for them.
fn files(args: &ProjectArgs) -> Vec<PathBuf> {
    if !args.file.is_empty() {
        return args.file.clone();
    }
    if let Some(named) = std::env::var_os("COMPOSE_FILE").filter(|value| !value.is_empty()) {
        return std::env::split_paths(&named).collect();
    }
    let folder = args.project_directory.clone().unwrap_or_default().join(".");
    let settings = folder.join(".env");
    if host::text(&settings).contains("COMPOSE_FILE") {
        return vec![settings];
    }
    host::compose_files(&folder)
}

/// The files that Compose takes variables from.
fn settings(args: &ProjectArgs) -> Vec<PathBuf> {
    if args.env_file.is_empty() {
        let folder = args.project_directory.clone().unwrap_or_default();
        vec![folder.join(".env")]
    } else {
        args.env_file.clone()
    }
}

/// The engine that the compose file names. Compose is asked only where a file's text may name one: that
/// takes longer than everything else that `status` does.
async fn named_in_file(
    compose: &Compose,
    executor: &dyn Executor,
    likely_name: &str,
    files: &[PathBuf],
) -> Result<EngineName> {
    let may_name = |file: &PathBuf| {
        let text = host::text(file);
        text.contains("COMPOSE_FILE") || (text.contains("x-rscale") && text.contains("engine"))
    };
    if !files.iter().any(may_name) {
        return Ok(EngineName::Compose);
    }
    let reach = Reach {
        engine: compose,
        executor,
        endpoint: &Endpoint::default(),
    };
    let declared = reach.declared(likely_name).await?;
    Ok(declared.engine.unwrap_or_default())
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
fn project_options(args: &ProjectArgs) -> Vec<OsString> {
    let mut options = Vec::new();
    let mut push = |flag: &str, value: &OsStr| options.extend([flag.into(), value.to_owned()]);
    for file in &args.file {
        push("--file", file.as_ref());
    }
    if let Some(name) = &args.project_name {
        push("--project-name", name.as_ref());
    }
    if let Some(folder) = &args.project_directory {
        push("--project-directory", folder.as_ref());
    }
    for profile in &args.profile {
        push("--profile", profile.as_ref());
    }
    for file in &args.env_file {
        push("--env-file", file.as_ref());
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
        let options = project_options(&args).join(" ".as_ref());
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
