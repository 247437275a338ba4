//! Why it failed, in the user's words: what a command said, turned into one line and something to type.

use super::known::{KNOWN, Known};
use crate::error::{Error, Kind};
use crate::exec::CommandError;

/// Characters of a command that a message shows.
const COMMAND_WIDTH: usize = 60;

/// Turns a command's failure into what the user reads. What the command said is kept as detail.
pub fn explain(error: &CommandError) -> Error {
    if let CommandError::Interrupted { .. } = error {
        return Error::interrupted();
    }
    if let CommandError::NotFound { program } = error {
        let hint = match program.as_str() {
            "docker" => "install Docker: https://docs.docker.com/engine/install/",
            "kubectl" => "install it: https://kubernetes.io/docs/tasks/tools/#kubectl",
            _ => "name a Compose that is: rscale --compose-command 'docker compose' ...",
        };
        return Error::new(Kind::NotInstalled, error.to_string()).hint(hint);
    }
    let said = said(error);
    let small = said.to_lowercase();
    let fits = |known: &&Known| known.signs.iter().all(|sign| small.contains(sign));
    let explained = match KNOWN.iter().find(fits) {
        Some(known) => {
            let message = match telling_line(&said, known.signs) {
                Some(line) => format!("{}: {line}", known.message),
                None => known.message.to_owned(),
            };
            Error::new(known.kind, message).hints(known.hints.iter().copied())
        }
        None => Error::new(kind_of(error), in_short(error)).detail(last_lines(&said, 12)),
    };
    explained.because(error.clone())
}

fn kind_of(error: &CommandError) -> Kind {
    match error {
        CommandError::TimedOut { .. } => Kind::TimedOut,
        _ => Kind::Failed,
    }
}

/// Explains why a command of the user's failed that was run inside a container: what it said is its own,
/// and must not be taken for the engine's.
pub fn explain_inside(error: &CommandError, command: &[String]) -> Error {
    let line = shlex::try_join(command.iter().map(String::as_str)).unwrap_or_default();
    match error {
        CommandError::Failed {
            status,
            stdout,
            stderr,
            ..
        } => Error::failed(format!("`{line}` ended with {status}"))
            .detail(last_lines(&format!("{stdout}{stderr}"), 12))
            .because(error.clone()),
        CommandError::TimedOut {
            timeout, stderr, ..
        } => {
            let limit = crate::duration::show(*timeout);
            Error::new(
                Kind::TimedOut,
                format!("`{line}` did not end within {limit}"),
            )
            .detail(last_lines(stderr, 12))
            .because(error.clone())
        }
        _ => explain(error),
    }
}

/// As [`explain`], for commands without which nothing can be known: failing, they make the project or
/// engine unusable.
pub fn explain_reading(error: &CommandError) -> Error {
    explain(error).of_reading()
}

/// Whether a removal failed only because what was to be removed is gone, or about to be.
pub fn already_gone(error: &CommandError) -> bool {
    let gone = |line: &str| {
        let line = line.to_lowercase();
        line.contains("no such container")
            || line.contains("is already in progress")
            || line.starts_with("error from server (notfound): pods ")
    };
    let mut lines = error
        .stderr()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    lines.peek().is_some() && lines.all(gone)
}

/// Whether a command could not be run in a container because that does not run any more.
pub fn has_ended(error: &CommandError) -> bool {
    let said = error.stderr().to_lowercase();
    let signs = [
        "is not running",
        "no such container",
        "(notfound): pods ",
        "container not found",
        "in a completed pod",
    ];
    said.contains("error") && signs.iter().any(|sign| said.contains(sign))
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
    // client-go logs errors as `E1121 15:45:58.146392   12990 memcache.go:265] "Unhandled Error" err="..."`.
    if let Some((_, logged)) = line.split_once(" err=\"") {
        return Some(logged.trim_end_matches('"').replace("\\\"", "\""));
    }
    let line = line
        .trim_start_matches("Error response from daemon: ")
        .trim_start_matches("ERROR: ")
        .trim_start_matches("Error from server (Forbidden): ")
        .trim_start_matches("Error from server (NotFound): ")
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
    use super::super::known::KNOWN;
    use super::{already_gone, explain, explain_reading};
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
            assert_eq!(error.exit(), exit, "{stderr}");
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
    fn knows_the_failures_of_kubectl() {
        for (sample, exit, message) in [
            (
                "unreachable",
                Exit::Unusable,
                "the Kubernetes API server cannot be reached: The connection to the server 127.0.0.1:9 was refused - did you specify the right host or port?",
            ),
            (
                "unreachable-name",
                Exit::Unusable,
                "the Kubernetes API server cannot be reached: Unable to connect to the server: dial tcp: lookup nosuch.invalid on 192.0.2.53:53: no such host",
            ),
            (
                "unreachable-hang",
                Exit::Unusable,
                "the Kubernetes API server cannot be reached: Unable to connect to the server: context deadline exceeded",
            ),
            (
                "unreachable-hang-cut",
                Exit::Unusable,
                "the Kubernetes API server does not answer: couldn't get current server API group list: Get \"https://127.0.0.1:16599/api?timeout=2s\": context deadline exceeded",
            ),
            (
                "wrong-context",
                Exit::Unusable,
                "kubectl has no such context: Error in configuration: context was not found for specified context: nosuch",
            ),
            (
                "no-kubeconfig",
                Exit::Unusable,
                "kubectl knows no cluster: The connection to the server localhost:8080 was refused - did you specify the right host or port?",
            ),
            (
                "broken-kubeconfig",
                Exit::Unusable,
                "the kubeconfig cannot be read: error loading config file \"kubeconfig\": yaml: line 1: did not find expected ',' or ']'",
            ),
            (
                "bad-ca",
                Exit::Unusable,
                "the Kubernetes API server's certificate is not trusted: Unable to connect to the server: tls: failed to verify certificate: x509: certificate is valid for localhost, kubernetes, kubernetes.default, kubernetes.default.svc, not elsewhere.example",
            ),
            (
                "unauthorized",
                Exit::Unusable,
                "the cluster does not know you: You must be logged in to the server (Unauthorized)",
            ),
            (
                "unknown-certificate-user",
                Exit::Unusable,
                "the kubeconfig does not have that user: auth info \"nosuch\" does not exist",
            ),
            (
                "no-credentials-prompt",
                Exit::Unusable,
                "the kubeconfig has no credentials for the cluster: EOF",
            ),
            (
                "restricted-scale-current",
                Exit::Failed,
                "you may not do that in the cluster: deployments.apps \"secret\" is forbidden: User \"restricted-user\" cannot get resource \"deployments/scale\" in API group \"apps\" in the namespace \"restricted\"",
            ),
            (
                "get-missing-namespace-one",
                Exit::Unusable,
                "the namespace does not exist: namespaces \"nosuch\" not found",
            ),
        ] {
            let file = format!("tests/samples/kubernetes-1.36/errors/{sample}.txt");
            let error = explain(&failed(&std::fs::read_to_string(file).unwrap()));
            assert_eq!((error.exit(), error.message.as_str()), (exit, message));
            assert!(
                error.hints.iter().any(|hint| hint.contains("kube")),
                "{sample}"
            );
        }
        let missing = explain(&CommandError::NotFound {
            program: "kubectl".into(),
        });
        assert_eq!(missing.exit(), Exit::Unusable);
        assert!(missing.hints[0].contains("kubernetes.io"), "{missing:?}");
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
        assert_eq!(explain_reading(&failed("odd")).exit(), Exit::Unusable);
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
            (
                "Error from server (NotFound): pods \"web-648fdd67-hq4lq\" not found",
                true,
            ),
            (
                "Error from server (NotFound): namespaces \"nosuch\" not found",
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
