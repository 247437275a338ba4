//! Failures of docker and Compose, through the whole binary: the cause in the user's words, something to
//! type, the right exit code, and the former state where something had been changed.

use super::SHOP;
use crate::support::fake::{Answer, Container, Fake, running};

const PLUGIN: &[&str] = &[
    "install it: https://docs.docker.com/compose/install/",
    "or name a Compose: rscale --compose-command docker-compose ...",
];
const NO_FILE: &[&str] = &[
    "name it: rscale -f path/to/compose.yaml ...",
    "or go to the folder that has it",
];
const WRONG_FILE: &[&str] = &[
    "name one that does: rscale -f path/to/compose.yaml ...",
    "or correct the `extends` or `include` that names it, perhaps through a variable",
];

#[track_caller]
fn first_line(stderr: &str) -> &str {
    stderr.lines().next().unwrap_or_default()
}

#[track_caller]
fn has_hints(stderr: &str, hints: &[&str]) {
    let got: Vec<&str> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  hint: "))
        .collect();
    assert_eq!(got, hints, "{stderr}");
}

/// What makes the project or the engine unusable: who is asked, what it says, what the user reads.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of failures")]
fn an_unusable_project_or_engine_is_exit_4_with_its_cause() {
    let daemon = "Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?";
    let pipe = "error during connect: this error may indicate that the docker daemon is not running: Get \
                \"http://%2F%2F.%2Fpipe%2Fdocker_engine/v1.24/info\": open //./pipe/docker_engine: The system cannot \
                find the file specified.";
    let denied = "permission denied while trying to connect to the Docker daemon socket at \
                  unix:///var/run/docker.sock: Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info\": dial unix \
                  /var/run/docker.sock: connect: permission denied";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "^ps --all",
            daemon,
            "the Docker daemon is not running, or not where it is looked for",
            &[
                "sudo systemctl start docker",
                "see where it is looked for: docker context ls; echo $DOCKER_HOST",
            ],
        ),
        (
            "^ps --all",
            pipe,
            "Docker Desktop is not running, or the docker context points elsewhere",
            &[
                "start Docker Desktop",
                "docker context use desktop-linux",
                "remove a wrong DOCKER_HOST: [Environment]::SetEnvironmentVariable('DOCKER_HOST', $null, 'User')",
            ],
        ),
        (
            "^ps --all",
            denied,
            "you may not use the Docker socket",
            &[
                "sudo usermod -aG docker $USER && newgrp docker",
                "or run it as root: sudo -E rscale ...",
            ],
        ),
        (
            "^ps --all",
            "error during connect: Get \"http://ssh/v1.24/info\": command [ssh -- host docker system dial-stdio] has \
             exited with exit status 255",
            "the Docker daemon cannot be reached",
            &["see where it is looked for: docker context ls; echo $DOCKER_HOST"],
        ),
        (
            " config",
            "Couldn't connect to Docker daemon at http+docker://localhost - is it running?",
            "the Docker daemon is not running, or not where it is looked for",
            &["sudo systemctl start docker"],
        ),
        (
            " config",
            "The docker daemon on this machine is not running",
            "the Docker daemon is not running",
            &["sudo systemctl start docker"],
        ),
        (
            " config",
            "docker.errors.DockerException: Error while fetching server API version: ('Connection aborted.', \
             FileNotFoundError(2, 'No such file or directory'))",
            "the Docker daemon is not running, or not where it is looked for",
            &["sudo systemctl start docker"],
        ),
        (
            "^ps --all",
            "unable to resolve docker endpoint: context \"gone\": context not found",
            "the docker context does not exist",
            &["docker context ls", "docker context use default"],
        ),
        (
            " config",
            "no configuration file provided: not found",
            "there is no compose file here",
            NO_FILE,
        ),
        (
            " config",
            "ERROR: \n        Can't find a suitable configuration file in this directory or any\n        parent.",
            "there is no compose file here",
            NO_FILE,
        ),
        (
            " config",
            "open /srv/nope.yaml: no such file or directory",
            "the compose file does not exist",
            WRONG_FILE,
        ),
        (
            " config",
            "open /srv/nope.yml: no such file or directory",
            "the compose file does not exist",
            WRONG_FILE,
        ),
        (
            " config",
            "env file /srv/web.env not found: stat /srv/web.env: no such file or directory",
            "an env_file of the project is missing",
            &["create it, or mark it `required: false` in the compose file"],
        ),
        (
            " config",
            "error while interpolating services.web.image: required variable TAG is missing a value: set it",
            "a variable that the compose file requires is not set",
            &["set it in the environment or in .env; see which: docker compose config"],
        ),
        (
            " config",
            "docker: 'compose' is not a docker command.\nSee 'docker --help'",
            "Docker has no Compose plugin",
            PLUGIN,
        ),
        (
            " config",
            "unknown shorthand flag: 'f' in -f\nSee 'docker --help'.",
            "Docker has no Compose plugin",
            PLUGIN,
        ),
        (
            " config",
            "unknown flag: --project-name\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information",
            "Docker has no Compose plugin",
            PLUGIN,
        ),
        (
            " config",
            "docker: unknown command: docker compose\n\nRun 'docker --help' for more information",
            "Docker has no Compose plugin",
            PLUGIN,
        ),
    ];
    std::thread::scope(|scope| {
        for (asked, said, message, hints) in cases {
            scope.spawn(|| is_unusable(asked, said, message, hints));
        }
    });
}

fn is_unusable(asked: &str, said: &str, message: &str, hints: &[&str]) {
    for line in ["web=2", "scale-all 2", "check web=2", "status"] {
        let ran = Fake::new(SHOP)
            .on(asked, Answer::fails(said))
            .line(line)
            .output();
        assert_eq!(ran.status, 4, "{line}, {said}: {ran:#?}");
        let first = first_line(&ran.stderr);
        assert!(
            first.starts_with(&format!("error: {message}")),
            "{line}, {said}: {first}"
        );
        has_hints(&ran.stderr, hints);
        assert!(
            ran.stdout.is_empty() && ran.changes().is_empty(),
            "{ran:#?}"
        );
    }
}

#[test]
fn an_option_that_an_old_compose_does_not_know_is_not_taken_for_no_compose() {
    let said = "unknown flag: --hash\nSee 'docker compose config --help'.";
    let ran = Fake::new(SHOP)
        .on(" config", Answer::fails(said))
        .line("status")
        .output();
    assert!(
        !ran.stderr.contains("plugin") && ran.stderr.contains("unknown flag: --hash"),
        "{ran:#?}"
    );
}

#[test]
fn a_daemon_that_is_down_is_told_by_every_question() {
    let down = Answer::fails(
        "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
    );
    for (asked, line) in [
        ("^ps --all", "status"),
        ("^ps --all", "check web=2"),
        ("^ps --all", "web=2"),
        ("^ps --all", "scale-all 2"),
    ] {
        let ran = Fake::new(SHOP).on(asked, down.clone()).line(line).output();
        assert_eq!(ran.status, 4, "{line}: {ran:#?}");
        assert!(
            ran.stderr
                .starts_with("error: the Docker daemon is not running"),
            "{line}: {ran:#?}"
        );
        assert!(ran.changes().is_empty());
    }
}

#[test]
fn without_docker_it_says_how_to_get_it() {
    for line in ["web=2", "scale-all 2", "check", "check web=2", "status"] {
        Fake::new(SHOP)
            .without_docker()
            .line(line)
            .stderr(
                "error: `docker` is not installed, or not on PATH\n  \
                 hint: install Docker: https://docs.docker.com/engine/install/\n",
            )
            .status(4)
            .run();
    }
}

#[test]
fn a_named_compose_that_is_missing_is_told_by_its_name() {
    Fake::new(SHOP)
        .args(["status", "--compose-command", "nosuch-compose"])
        .stderr(
            "error: `nosuch-compose` is not installed, or not on PATH\n  \
             hint: name a Compose that is: rscale --compose-command 'docker compose' ...\n",
        )
        .status(4)
        .run();
}

#[test]
fn a_broken_service_of_an_inactive_profile_does_not_stand_in_the_way() {
    Fake::new(SHOP)
        .on(
            "--profile [*] config",
            Answer::fails("service \"debug\" has neither an image nor a build context"),
        )
        .containers(running("web", 1))
        .line("check worker-a=2")
        .stdout("nothing stands in the way\n")
        .run();
}

/// Whatever keeps the project or the engine from being read makes it unusable, known or not.
#[test]
fn an_unknown_failure_of_reading_is_exit_4_with_what_was_said() {
    for (asked, lines) in [
        (" config", &["web=2", "scale-all 2", "check", "status"][..]),
        ("^ps --all", &["web=2", "scale-all 2", "check", "status"]),
    ] {
        for line in lines {
            let ran = Fake::new(SHOP)
                .on(asked, Answer::fails("yaml: line 3: something odd"))
                .line(line)
                .output();
            assert_eq!(ran.status, 4, "{asked}, {line}: {ran:#?}");
            let first = first_line(&ran.stderr);
            assert!(first.starts_with("error: `docker "), "{first}");
            assert!(first.ends_with("` ended with exit status: 1"), "{first}");
            let said = "  | yaml: line 3: something odd";
            assert!(ran.stderr.lines().any(|line| line == said), "{ran:#?}");
            assert!(ran.stdout.is_empty() && ran.changes().is_empty());
        }
    }
}

#[test]
fn output_that_cannot_be_read_is_told_as_such() {
    let ran = Fake::new(SHOP)
        .on("^ps --all", Answer::prints("<html>\n"))
        .line("status")
        .output();
    assert_eq!(
        (ran.status, first_line(&ran.stderr)),
        (4, "error: what `docker ps` printed cannot be read")
    );
    let ran = Fake::new("services: [a]").line("status").output();
    assert_eq!(
        (ran.status, first_line(&ran.stderr)),
        (
            4,
            "error: what Compose printed of the compose file cannot be read"
        )
    );
}

/// `up` fails after it created `web-2`: the cause is told, `web-2` is removed again, exit 1.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of failures")]
fn a_failed_up_is_exit_1_with_its_cause_and_rolled_back() {
    let ports: &[&str] = &[
        "see by which: docker ps --format '{{.Names}} {{.Ports}}'",
        "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
    ];
    let listeners: &[&str] = &[
        "see by what: sudo ss -ltnp",
        "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
    ];
    let image: &[&str] = &["correct `image:` in the compose file", "docker image ls"];
    let registry: &[&str] = &["docker image ls", "if it is built here: rscale --build ..."];
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "Error response from daemon: driver failed programming external connectivity on endpoint shop-web-2: Bind \
             for 0.0.0.0:8000 failed: port is already allocated",
            "a host port is already taken by another container",
            ports,
        ),
        (
            "Error response from daemon: driver failed programming external connectivity on endpoint shop-web-2: Bind \
             for 0.0.0.0:8003 failed: all ports are allocated",
            "every port of the published range is taken",
            &[
                "make the range larger in the compose file, such as ports: [\"8000-8019:80\"]",
                "docker ps --format '{{.Names}} {{.Ports}}'",
            ],
        ),
        (
            "Error response from daemon: failed to bind host port for 0.0.0.0:8000: address already in use",
            "a host port or address is already in use on this machine",
            listeners,
        ),
        (
            "Error response from daemon: Ports are not available: exposing port TCP 0.0.0.0:80 -> 0.0.0.0:0",
            "a host port is already in use on this machine",
            listeners,
        ),
        (
            "write /var/lib/docker/tmp/x: no space left on device",
            "no space is left on the engine's disk",
            &[
                "see what takes it: docker system df",
                "make room: docker system prune",
            ],
        ),
        (
            "Error response from daemon: pull access denied for app, repository does not exist or may require 'docker \
             login': denied",
            "the image does not exist, or the registry wants a login",
            &[
                "docker login",
                "if it is built here: rscale --build ...",
                "docker image ls",
            ],
        ),
        (
            "Error response from daemon: No such image: app:latest",
            "the image does not exist on this engine",
            &[
                "if it is built here: rscale --build ...",
                "if it comes from a registry: rscale --pull always ...",
            ],
        ),
        (
            "Error response from daemon: manifest unknown",
            "the registry does not have that image or tag",
            image,
        ),
        (
            "Error response from daemon: manifest for app:9 not found",
            "the registry does not have that image or tag",
            image,
        ),
        (
            "failed to solve: failed to resolve reference \"docker.io/library/app:latest\": not here",
            "the image cannot be found",
            image,
        ),
        (
            "Error response from daemon: net/http: request canceled while waiting for connection (Client.Timeout \
             exceeded)",
            "the image is not here and its registry cannot be reached",
            registry,
        ),
        (
            "Error response from daemon: dial tcp: lookup registry-1.docker.io: no such host",
            "the image is not here and its registry cannot be reached",
            registry,
        ),
        (
            "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": EOF",
            "the image is not here and its registry cannot be reached",
            registry,
        ),
        (
            "Error response from daemon: cannot start a paused container, try unpause instead",
            "a replica is paused",
            &["docker compose unpause"],
        ),
        (
            "Error response from daemon: Conflict. The container name \"/shop-web-2\" is already in use by container \
             \"f00\". You have to remove (or rename) that container to be able to reuse that name.",
            "a container of that name exists already",
            &[
                "see it: docker ps --all",
                "if it is a leftover: docker rm NAME",
            ],
        ),
        (
            "network edge declared as external, but could not be found",
            "a network of the project does not exist",
            &[
                "docker network ls",
                "if it is an external one: docker network create NAME",
            ],
        ),
        (
            "external volume \"data\" not found; volume data declared as external, but could not be found",
            "an external network or volume does not exist",
            &["docker network ls; docker volume ls"],
        ),
        (
            "dependency failed to start: container shop-db-1 is unhealthy",
            "a dependency did not become healthy",
            &[
                "see why: docker compose logs --tail 20",
                "scale without it: rscale --no-deps ...",
            ],
        ),
    ];
    // The engine is given a moment after each, so they go side by side.
    std::thread::scope(|scope| {
        for (said, message, hints) in cases {
            scope.spawn(|| is_rolled_back(said, message, hints));
        }
    });
}

fn is_rolled_back(said: &str, message: &str, hints: &[&str]) {
    let before = [running("db", 1), running("web", 1)].concat();
    let half_made = [before.clone(), vec![Container::new("web", 2, "created")]].concat();
    let ran = Fake::new(SHOP)
        .containers(before.clone())
        .on("up --no-start", Answer::fails(said).leaving(half_made))
        .on("rm --force", Answer::makes(before))
        .line("web=2")
        .output();
    assert_eq!(ran.status, 1, "{said}: {ran:#?}");
    let errors: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{}", ran.stderr);
    assert!(
        errors[0].starts_with(&format!("error: {message}: ")),
        "{said}: {errors:?}"
    );
    has_hints(&ran.stderr, hints);
    assert_eq!(
        ran.stdout,
        "web  1 -> 2  rolled back (1 running)\nother services: 1 container untouched\n"
    );
    assert_eq!(
        ran.changes(),
        [
            "compose up --no-start --no-recreate --scale web=2 --scale db=1 web",
            "rm --force --volumes web-2-id"
        ]
    );
}

#[test]
fn an_unknown_failure_is_shown_as_it_came() {
    let before = running("worker-a", 1);
    let ran = Fake::new(SHOP)
        .containers(before.clone())
        .on(
            "up --no-start",
            Answer::fails("Container shop-worker-a-2  Creating\nsomething odd"),
        )
        .line("worker-a=2")
        .status(1)
        .output();
    assert_eq!(ran.status, 1);
    let error = ran
        .stderr
        .lines()
        .position(|line| line.starts_with("error: `docker compose up --no-start "));
    let lines: Vec<&str> = ran.stderr.lines().skip(error.unwrap_or_default()).collect();
    assert!(
        lines[0].ends_with("` ended with exit status: 1"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..],
        [
            "  | Container shop-worker-a-2  Creating",
            "  | something odd"
        ]
    );
    // Nothing was left behind, so nothing is removed.
    assert_eq!(ran.changes().len(), 1);
}

#[test]
fn wrong_policy_names_the_service_the_key_and_the_nearest_right_one() {
    for (policy, message, hint) in [
        (
            "{mx: 3}",
            "`services.web.x-rscale`: unknown key `mx`",
            "did you mean `max`?",
        ),
        (
            "{max: many}",
            "`services.web.x-rscale.max`: got `many`, wanted a whole number",
            "correct it in the compose file; every key: docs/policy.md",
        ),
        (
            "{stop-timeout: 60}",
            "`services.web.x-rscale.stop-timeout`: got `60`, wanted a duration such as 90s or 1m30s",
            "correct it in the compose file; every key: docs/policy.md",
        ),
    ] {
        for line in ["web=2", "scale-all 2", "check", "status"] {
            let ran = Fake::new(&format!(
                "services: {{web: {{image: app, x-rscale: {policy}}}}}"
            ))
            .line(line)
            .stderr(&format!("error: {message}\n  hint: {hint}\n"))
            .status(4)
            .run();
            assert!(ran.changes().is_empty());
        }
    }
    Fake::new("services: {web: {image: app}}\nx-rscale: {loadtest: {}}")
        .line("status")
        .stderr("error: `x-rscale`: unknown key `loadtest`\n  hint: did you mean `load-test`?\n")
        .status(4)
        .run();
}

/// Nothing was said, or the runtime panicked.
#[cfg(target_os = "linux")]
#[test]
fn too_few_file_descriptors_are_told_in_one_line() {
    for most in [4, 6, 7, 8, 9, 10] {
        let rscale = Fake::new(SHOP).line("status");
        let status = rscale.command();
        let mut command = std::process::Command::new("/bin/sh");
        let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(status.get_program());
        let output = command.args(status.get_args()).output().unwrap();
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).as_ref()
            ),
            (
                Some(1),
                "error: rscale cannot be started: Too many open files (os error 24)\n"
            ),
            "{most}"
        );
    }
}

/// Reading it took minutes, in which no signal was heard.
#[test]
fn what_compose_prints_may_not_be_nested_absurdly_deep() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    Fake::new(&format!("services: {{web: {{image: app}}}}\nx-a: {deep}"))
        .line("status")
        .stderr(
            "error: what Compose printed of the compose file cannot be read\n  \
             | line 3: nested deeper than 1000 levels\n  \
             hint: see it yourself: docker compose config\n",
        )
        .status(4)
        .run();
}
