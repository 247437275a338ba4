//! Why it failed, in the user's words: known failures of Docker and Compose, each with something to type.

use crate::error::{Error, Exit};
use crate::exec::CommandError;

/// Characters of a command that a message shows.
const COMMAND_WIDTH: usize = 60;

struct Known {
    /// All of these are in what was said, in small letters.
    signs: &'static [&'static str],
    exit: Exit,
    message: &'static str,
    hints: &'static [&'static str],
}

const fn known(
    signs: &'static [&'static str],
    exit: Exit,
    message: &'static str,
    hints: &'static [&'static str],
) -> Known {
    Known {
        signs,
        exit,
        message,
        hints,
    }
}

/// The first match counts, so what is more special stands first. The texts are those of docker 20.10 to
/// 28, Compose 1.29 to 2.40 and Docker Desktop.
const KNOWN: &[Known] = &[
    known(
        &[
            "open //./pipe/",
            "the system cannot find the file specified",
        ],
        Exit::Unusable,
        "Docker Desktop is not running, or the docker context points elsewhere",
        &[
            "start Docker Desktop",
            "docker context use desktop-linux",
            "remove a wrong DOCKER_HOST: [Environment]::SetEnvironmentVariable('DOCKER_HOST', $null, 'User')",
        ],
    ),
    known(
        &["permission denied", "docker", "sock"],
        Exit::Unusable,
        "you may not use the Docker socket",
        &[
            "sudo usermod -aG docker $USER && newgrp docker",
            "or run it as root: sudo -E rscale ...",
        ],
    ),
    known(
        &["cannot connect to the docker daemon"],
        Exit::Unusable,
        "the Docker daemon is not running, or not where it is looked for",
        &[
            "sudo systemctl start docker",
            "see where it is looked for: docker context ls; echo $DOCKER_HOST",
        ],
    ),
    known(
        &["error during connect"],
        Exit::Unusable,
        "the Docker daemon cannot be reached",
        &["see where it is looked for: docker context ls; echo $DOCKER_HOST"],
    ),
    known(
        &["couldn't connect to docker daemon"],
        Exit::Unusable,
        "the Docker daemon is not running, or not where it is looked for",
        &["sudo systemctl start docker"],
    ),
    known(
        &["docker daemon", "is not running"],
        Exit::Unusable,
        "the Docker daemon is not running",
        &["sudo systemctl start docker"],
    ),
    known(
        &["error while fetching server api version"],
        Exit::Unusable,
        "the Docker daemon is not running, or not where it is looked for",
        &["sudo systemctl start docker"],
    ),
    known(
        &["unable to resolve docker endpoint"],
        Exit::Unusable,
        "the docker context does not exist",
        &["docker context ls", "docker context use default"],
    ),
    known(
        &["executable file not found"],
        Exit::Failed,
        "the command of a replica does not exist in its image",
        &[
            "correct `command` or `entrypoint` in the compose file; see them resolved: docker compose config",
        ],
    ),
    known(
        &["exec:", "no such file or directory"],
        Exit::Failed,
        "the command of a replica does not exist in its image",
        &[
            "correct `command` or `entrypoint` in the compose file; see them resolved: docker compose config",
        ],
    ),
    known(
        &["exec:", "permission denied"],
        Exit::Failed,
        "the command of a replica may not be executed",
        &["make it executable in the image: chmod +x"],
    ),
    known(
        &["oci runtime create failed"],
        Exit::Failed,
        "the engine could not start a replica",
        &["leave it there and look at it: rscale --keep ...; docker inspect NAME"],
    ),
    known(
        &["no configuration file provided"],
        Exit::Unusable,
        "there is no compose file here",
        &[
            "name it: rscale -f path/to/compose.yaml ...",
            "or go to the folder that has it",
        ],
    ),
    known(
        &["can't find a suitable configuration file"],
        Exit::Unusable,
        "there is no compose file here",
        &[
            "name it: rscale -f path/to/compose.yaml ...",
            "or go to the folder that has it",
        ],
    ),
    known(
        &["no such file or directory", "yaml"],
        Exit::Unusable,
        "the compose file does not exist",
        &["name one that does: rscale -f path/to/compose.yaml ..."],
    ),
    known(
        &["no such file or directory", ".yml"],
        Exit::Unusable,
        "the compose file does not exist",
        &["name one that does: rscale -f path/to/compose.yaml ..."],
    ),
    known(
        &["env file", "not found"],
        Exit::Unusable,
        "an env_file of the project is missing",
        &["create it, or mark it `required: false` in the compose file"],
    ),
    known(
        &["required variable", "is missing a value"],
        Exit::Unusable,
        "a variable that the compose file requires is not set",
        &["set it in the environment or in .env; see which: docker compose config"],
    ),
    known(
        &["is not a docker command"],
        Exit::Unusable,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["unknown shorthand flag", "docker"],
        Exit::Unusable,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["all ports are allocated"],
        Exit::Failed,
        "every port of the published range is taken",
        &[
            "make the range larger in the compose file, such as ports: [\"8000-8019:80\"]",
            "docker ps --format '{{.Names}} {{.Ports}}'",
        ],
    ),
    known(
        &["port is already allocated"],
        Exit::Failed,
        "a host port is already taken by another container",
        &[
            "see by which: docker ps --format '{{.Names}} {{.Ports}}'",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["address already in use"],
        Exit::Failed,
        "a host port or address is already in use on this machine",
        &[
            "see by what: sudo ss -ltnp",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["ports are not available"],
        Exit::Failed,
        "a host port is already in use on this machine",
        &[
            "see by what: sudo ss -ltnp",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["no space left on device"],
        Exit::Failed,
        "no space is left on the engine's disk",
        &[
            "see what takes it: docker system df",
            "make room: docker system prune",
        ],
    ),
    known(
        &["pull access denied"],
        Exit::Failed,
        "the image does not exist, or the registry wants a login",
        &[
            "docker login",
            "if it is built here: rscale --build ...",
            "docker image ls",
        ],
    ),
    known(
        &["no such image"],
        Exit::Failed,
        "the image does not exist on this engine",
        &[
            "if it is built here: rscale --build ...",
            "if it comes from a registry: rscale --pull always ...",
        ],
    ),
    known(
        &["manifest unknown"],
        Exit::Failed,
        "the registry does not have that image or tag",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["manifest for", "not found"],
        Exit::Failed,
        "the registry does not have that image or tag",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["failed to resolve reference"],
        Exit::Failed,
        "the image cannot be found",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["request canceled while waiting for connection"],
        Exit::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["dial tcp"],
        Exit::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["get \"https://", "/v2/"],
        Exit::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["cannot start a paused container"],
        Exit::Failed,
        "a replica is paused",
        &["docker compose unpause"],
    ),
    known(
        &["is already in use by container"],
        Exit::Failed,
        "a container of that name exists already",
        &[
            "see it: docker ps --all",
            "if it is a leftover: docker rm NAME",
        ],
    ),
    known(
        &["could not be found", "network"],
        Exit::Failed,
        "a network of the project does not exist",
        &[
            "docker network ls",
            "if it is an external one: docker network create NAME",
        ],
    ),
    known(
        &["declared as external, but could not be found"],
        Exit::Failed,
        "an external network or volume does not exist",
        &["docker network ls; docker volume ls"],
    ),
    known(
        &["dependency failed to start"],
        Exit::Failed,
        "a dependency did not become healthy",
        &[
            "see why: docker compose logs --tail 20",
            "scale without it: rscale --no-deps ...",
        ],
    ),
];

/// Turns a command's failure into what the user reads. What the command said is kept as detail.
pub fn explain(error: &CommandError) -> Error {
    if let CommandError::Interrupted { .. } = error {
        return Error::interrupted();
    }
    if let CommandError::NotFound { program } = error {
        return Error::unusable(error.to_string()).hint(match program.as_str() {
            "docker" => "install Docker: https://docs.docker.com/engine/install/",
            _ => "name a Compose that is: rscale --compose-command 'docker compose' ...",
        });
    }
    let said = said(error);
    let small = said.to_lowercase();
    let fits = |known: &&Known| known.signs.iter().all(|sign| small.contains(sign));
    match KNOWN.iter().find(fits) {
        Some(known) => {
            let message = match telling_line(&said, known.signs) {
                Some(line) => format!("{}: {line}", known.message),
                None => known.message.to_owned(),
            };
            Error::new(known.exit, message).hints(known.hints.iter().copied())
        }
        None => Error::failed(in_short(error)).detail(last_lines(&said, 12)),
    }
}

/// As [`explain`], for commands without which nothing can be known: failing, they make the project or
/// engine unusable.
pub fn explain_reading(error: &CommandError) -> Error {
    let mut explained = explain(error);
    if explained.exit == Exit::Failed {
        explained.exit = Exit::Unusable;
    }
    explained
}

/// Whether a removal failed only because what was to be removed is gone, or about to be.
pub fn already_gone(error: &CommandError) -> bool {
    let gone = |line: &str| {
        let line = line.to_lowercase();
        line.contains("no such container") || line.contains("is already in progress")
    };
    let mut lines = error
        .stderr()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    lines.peek().is_some() && lines.all(gone)
}

/// The error with its command cut: formats and ids make it long, and `-vv` logs it whole.
fn in_short(error: &CommandError) -> String {
    let text = error.to_string();
    match text
        .strip_prefix('`')
        .and_then(|rest| rest.rsplit_once('`'))
    {
        Some((command, end)) if command.chars().count() > COMMAND_WIDTH => {
            let start: String = command.chars().take(COMMAND_WIDTH).collect();
            format!("`{start}…`{end}")
        }
        _ => text,
    }
}

fn said(error: &CommandError) -> String {
    match error {
        CommandError::Failed { stdout, stderr, .. } if stderr.trim().is_empty() => stdout.clone(),
        _ => error.stderr().to_owned(),
    }
}

/// The line that holds the first sign: the part of a long output that names the port, the image, the
/// file.
fn telling_line(said: &str, signs: &[&str]) -> Option<String> {
    let line = said
        .lines()
        .find(|line| line.to_lowercase().contains(signs[0]))?
        .trim();
    let line = line
        .trim_start_matches("Error response from daemon: ")
        .trim_start_matches("ERROR: ")
        .trim_start_matches("error: ");
    Some(line.trim_end_matches('.').to_owned())
}

/// The end of a long output, without empty lines.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, already_gone, explain, explain_reading};
    use crate::error::Exit;
    use crate::exec::CommandError;

    fn failed(stderr: &str) -> CommandError {
        CommandError::Failed {
            command: "docker compose up".into(),
            status: "exit status: 1".into(),
            stdout: String::new(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn knows_the_failures_that_users_meet() {
        for (stderr, exit, message) in [
            (
                "Error response from daemon: driver failed programming external connectivity on endpoint web: Bind for 127.0.0.1:39871 failed: port is already allocated",
                Exit::Failed,
                "a host port is already taken by another container",
            ),
            (
                "Error response from daemon: driver failed programming external connectivity: Bind for 0.0.0.0:6005 failed: all ports are allocated",
                Exit::Failed,
                "every port of the published range is taken",
            ),
            (
                "Error response from daemon: No such image: shop-web:latest",
                Exit::Failed,
                "the image does not exist on this engine",
            ),
            (
                "Error response from daemon: pull access denied for nosuch, repository does not exist or may require 'docker login'",
                Exit::Failed,
                "the image does not exist, or the registry wants a login",
            ),
            (
                "write /var/lib/docker/x: no space left on device",
                Exit::Failed,
                "no space is left on the engine's disk",
            ),
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Exit::Unusable,
                "the Docker daemon is not running, or not where it is looked for",
            ),
            (
                "error during connect: Get \"http://%2F%2F.%2Fpipe%2Fdocker_engine/v1.24/containers/json\": open //./pipe/docker_engine: The system cannot find the file specified.",
                Exit::Unusable,
                "Docker Desktop is not running, or the docker context points elsewhere",
            ),
            (
                "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
                Exit::Unusable,
                "you may not use the Docker socket",
            ),
            (
                "Error response from daemon: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/no/such\": stat /no/such: no such file or directory: unknown",
                Exit::Failed,
                "the command of a replica does not exist in its image",
            ),
            (
                "no configuration file provided: not found",
                Exit::Unusable,
                "there is no compose file here",
            ),
            (
                "open /srv/nope.yaml: no such file or directory",
                Exit::Unusable,
                "the compose file does not exist",
            ),
            (
                "Error response from daemon: cannot start a paused container, try unpause instead",
                Exit::Failed,
                "a replica is paused",
            ),
            (
                "Error response from daemon: Conflict. The container name \"/shop-web-2\" is already in use by container \"f00\". You have to remove (or rename) that container",
                Exit::Failed,
                "a container of that name exists already",
            ),
        ] {
            let error = explain(&failed(stderr));
            assert_eq!(error.exit, exit, "{stderr}");
            assert!(
                error.message.starts_with(message),
                "{stderr}: {}",
                error.message
            );
            assert!(!error.hints.is_empty());
            assert!(!error.message.contains('\n'));
        }
    }

    #[test]
    fn the_message_names_what_it_is_about() {
        let error = explain(&failed(
            "noise\nError response from daemon: No such image: shop-web:latest\n",
        ));
        assert_eq!(
            error.message,
            "the image does not exist on this engine: No such image: shop-web:latest"
        );
    }

    #[test]
    fn what_is_unknown_is_shown_as_it_came() {
        let error = explain(&failed("a\n\nsomething odd\n"));
        assert_eq!(
            error.message,
            "`docker compose up` ended with exit status: 1"
        );
        assert_eq!(error.detail.as_deref(), Some("a\nsomething odd"));
        assert_eq!(explain_reading(&failed("odd")).exit, Exit::Unusable);
    }

    #[test]
    fn what_is_gone_needs_no_removal() {
        for (stderr, gone) in [
            (
                "Error response from daemon: removal of container f00 is already in progress",
                true,
            ),
            (
                "Error: No such container: a\nError: No such container: b\n",
                true,
            ),
            (
                "Error: No such container: a\nError: device or resource busy\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(already_gone(&failed(stderr)), gone, "{stderr}");
        }
    }

    #[test]
    fn signs_are_in_small_letters_as_they_are_compared() {
        for known in KNOWN {
            for sign in known.signs {
                assert_eq!(*sign, sign.to_lowercase());
            }
            assert!(!known.hints.is_empty());
        }
    }
}
