//! How a command of the user's is run at a place: on this machine, or in a service.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::exec::{CommandSpec, Environment, OnInterrupt};
use crate::project::observed::Handle;

/// The words before a command and behind its options; made by an [`super::Engine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launcher {
    /// On this machine; the program and its words are missing yet.
    Local(CommandSpec),
    /// In a container: `docker exec`, then options, then the container, then the command.
    Exec(CommandSpec, Handle),
    /// In a container, as the last words of a command that has no option for variables: `env` sets them there.
    ExecEnv(CommandSpec),
    /// In a new container that has a name.
    Run {
        spec: CommandSpec,
        service: String,
        /// Removes containers; their names are missing yet.
        removal: CommandSpec,
    },
}

impl Launcher {
    /// The command; `name` is that of its container where it gets a new one.
    pub fn command(
        &self,
        words: &[String],
        environment: &BTreeMap<String, String>,
        name: &str,
        timeout: Duration,
    ) -> CommandSpec {
        let options = || {
            let pairs = environment.iter();
            pairs.flat_map(|(name, value)| ["--env".into(), format!("{name}={value}").into()])
        };
        let program = words.first();
        let words = words.iter().map(OsString::from);
        let mut command = match self {
            Self::Local(spec) => {
                let mut spec = spec.clone();
                spec.program = program.cloned().unwrap_or_default();
                spec.args = words.skip(1).collect();
                spec.environment = Environment::Inherited;
                spec.env.extend(environment.clone());
                spec
            }
            Self::Exec(spec, container) => {
                let mut spec = spec.clone();
                spec.args.extend(options());
                let mut spec = spec.of(std::slice::from_ref(container));
                spec.args.extend(words);
                spec
            }
            Self::ExecEnv(spec) => {
                let mut spec = spec.clone();
                if !environment.is_empty() {
                    let pairs = environment.iter();
                    spec.args.push("env".into());
                    spec.args
                        .extend(pairs.map(|(name, value)| format!("{name}={value}").into()));
                }
                spec.args.extend(words);
                spec
            }
            Self::Run { spec, service, .. } => {
                let mut spec = spec.clone();
                spec.args.extend(["--name".into(), name.into()]);
                spec.args.extend(options().chain([service.into()]));
                spec.args.extend(words);
                spec
            }
        };
        command.timeout = timeout;
        command.on_interrupt(OnInterrupt::End)
    }

    /// Removes containers of commands that did not end; `None` where there are none.
    pub fn removal(&self, names: &[String]) -> Option<CommandSpec> {
        let Self::Run { removal, .. } = self else {
            return None;
        };
        let mut removal = removal.clone();
        removal.args.extend(names.iter().map(Into::into));
        (!names.is_empty()).then_some(removal)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::Duration;

    use crate::engine::Engine;
    use crate::engine::compose::{Compose, Generation};
    use crate::exec::{CommandSpec, Environment};
    use crate::project::observed::Handle;
    use crate::project::workload::Place;

    fn compose(options: &[&str]) -> Compose {
        Compose {
            command: vec!["docker".into(), "compose".into()],
            generation: Generation::V2,
            project_options: options.iter().map(Into::into).collect(),
        }
    }

    fn command(place: &Place, options: &[&str]) -> CommandSpec {
        let environment = BTreeMap::from([("RSCALE_COUNT".to_owned(), "9".to_owned())]);
        let words = ["./bench".to_owned(), "a b".to_owned()];
        let launcher = compose(options)
            .launcher(place, &Handle::expected("shop-web-1"))
            .unwrap();
        launcher.command(&words, &environment, "load-1", Duration::from_secs(7))
    }

    #[test]
    fn commands_get_their_variables_wherever_they_run() {
        let exec = command(&Place::Exec("web".into()), &["-p", "shop"]);
        assert_eq!(
            exec.to_string(),
            "docker exec --env RSCALE_COUNT=9 shop-web-1 ./bench 'a b'"
        );
        let run = command(&Place::Run("web".into()), &["-p", "shop"]);
        assert_eq!(
            run.to_string(),
            "docker compose -p shop run --rm --no-deps -T --name load-1 --env RSCALE_COUNT=9 web ./bench 'a b'"
        );
        let local = command(&Place::Local, &[]);
        assert_eq!(local.to_string(), "./bench 'a b'");
        assert_eq!((local.env["RSCALE_COUNT"].as_str(), local.cwd), ("9", None));
        // What is measured must not be changed by what suits docker.
        assert_eq!(local.environment, Environment::Inherited);
        for spec in [&exec, &run] {
            assert_eq!(spec.environment, Environment::Client);
        }
        for spec in [exec, run] {
            assert_eq!(spec.timeout, Duration::from_secs(7));
        }
    }

    #[test]
    fn a_local_command_runs_in_the_folder_of_the_project() {
        for (options, folder) in [
            (&["--file", "shop/compose.yaml"][..], Some("shop")),
            (&["--file", "compose.yaml"], None),
            (&["--file", "a/x.yaml", "--file", "b/y.yaml"], Some("a")),
            (
                &["--file", "a/x.yaml", "--project-directory", "b"],
                Some("b"),
            ),
            (&["--project-name", "shop"], None),
        ] {
            let cwd = command(&Place::Local, options).cwd;
            assert_eq!(cwd, folder.map(PathBuf::from), "{options:?}");
        }
    }

    #[test]
    fn only_new_containers_are_removed() {
        let names = ["a".to_owned(), "b".to_owned()];
        let run = compose(&[])
            .launcher(&Place::Run("web".into()), &Handle::default())
            .unwrap();
        assert_eq!(
            run.removal(&names).unwrap().to_string(),
            "docker rm --force --volumes a b"
        );
        assert_eq!(run.removal(&[]), None);
        assert_eq!(
            compose(&[])
                .launcher(&Place::Exec("web".into()), &Handle::expected("shop-web-1"))
                .unwrap()
                .removal(&names),
            None
        );
    }
}
