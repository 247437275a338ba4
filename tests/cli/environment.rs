//! RSCALE_ variables: every option has one, and they work.

use clap::{Arg, Command, CommandFactory};
use rscale::cli::Cli;

use super::SHOP;
use crate::support::fake::{Answer, Container, Fake, running};

/// Every option of every command, with the command's name.
fn options(command: &Command) -> Vec<(String, Arg)> {
    let own = command.get_arguments().filter(|arg| !arg.is_positional());
    let mut found: Vec<(String, Arg)> = own
        .map(|arg| (command.get_name().to_owned(), arg.clone()))
        .collect();
    for subcommand in command.get_subcommands() {
        found.extend(options(subcommand));
    }
    found
}

#[test]
fn every_option_of_every_command_has_a_variable_of_its_name() {
    let options = options(&Cli::command());
    let mut seen = 0;
    for (command, option) in &options {
        let Some(long) = option.get_long() else {
            panic!("{command}: {option:?} has no long name")
        };
        if matches!(long, "help" | "version") {
            continue;
        }
        let variable = option
            .get_env()
            .unwrap_or_else(|| panic!("{command} --{long} has no variable"));
        // RSCALE_COMPOSE is the one that the contract names otherwise.
        let expected = match long {
            "compose-command" => "RSCALE_COMPOSE".to_owned(),
            _ => format!("RSCALE_{}", long.to_uppercase().replace('-', "_")),
        };
        assert_eq!(
            variable.to_str(),
            Some(expected.as_str()),
            "{command} --{long}"
        );
        seen += 1;
    }
    assert!(seen > 40, "only {seen} options were looked at");
}

#[test]
fn one_option_has_the_same_variable_in_every_command() {
    let mut known = std::collections::BTreeMap::new();
    for (command, option) in options(&Cli::command()) {
        let (Some(variable), Some(long)) = (option.get_env(), option.get_long()) else {
            continue;
        };
        let other = known.insert(variable.to_owned(), long.to_owned());
        assert!(
            other.as_deref().is_none_or(|other| other == long),
            "{command}: {variable:?}"
        );
    }
}

fn plan_with(name: &str, value: &str, line: &str) -> String {
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 4))
        .env("RSCALE_DRY_RUN", "1")
        .env(name, value)
        .line(line)
        .output();
    assert_eq!(ran.status, 0, "{name}={value}: {ran:#?}");
    assert!(ran.changes().is_empty(), "{ran:#?}");
    ran.stdout
}

#[test]
fn a_dry_run_can_be_set_for_every_command_that_scales() {
    for line in [
        "worker-a=5",
        "scale worker-a=5",
        "scale-all 5 --only worker-a",
    ] {
        assert!(
            plan_with("LANG", "C", line).starts_with("worker-a: 4 -> 5\n"),
            "{line}"
        );
    }
}

#[test]
fn a_flag_is_switched_off_with_0_and_false() {
    for value in ["0", "false", "no", "off"] {
        let ran = Fake::new(SHOP)
            .containers(running("worker-a", 1))
            .env("RSCALE_DRY_RUN", value)
            .line("worker-a=0")
            .output();
        assert_eq!(ran.changes().len(), 2, "RSCALE_DRY_RUN={value}: {ran:#?}");
    }
}

#[test]
fn scaling_options_can_be_set() {
    for (name, value, line, sign) in [
        ("RSCALE_STEP", "1", "worker-a=6", "worker-a up to 5\n"),
        (
            "RSCALE_NO_DEPS",
            "1",
            "web=1",
            "--scale web=1 --scale db=0 web",
        ),
        (
            "RSCALE_STOP_TIMEOUT",
            "1m30s",
            "worker-a=3",
            "$ docker stop -t 90 shop-worker-a-4",
        ),
        ("RSCALE_BUILD", "1", "worker-a=5", " --build "),
        ("RSCALE_PULL", "never", "worker-a=5", " --pull never "),
        (
            "RSCALE_ONLY",
            "worker-*,worker-a",
            "scale-all 5",
            "worker-a: 4 -> 5\nworker-b: 0 -> 5\n1.",
        ),
        (
            "RSCALE_EXCEPT",
            "web,d*",
            "scale-all 5",
            "worker-a: 4 -> 5\nworker-b: 0 -> 5\n1.",
        ),
        (
            "RSCALE_FORMAT",
            "json",
            "worker-a=5",
            "\"outcome\": \"planned\"",
        ),
        (
            "RSCALE_FILE",
            "a.yaml",
            "worker-a=5",
            "docker compose --file a.yaml up",
        ),
        (
            "RSCALE_PROJECT_NAME",
            "shop",
            "worker-a=5",
            "docker compose --project-name shop up",
        ),
        (
            "RSCALE_PROJECT_DIRECTORY",
            "/srv/shop",
            "worker-a=5",
            "docker compose --project-directory /srv/shop up",
        ),
        (
            "RSCALE_PROFILE",
            "a,b",
            "worker-a=5",
            "docker compose --profile a --profile b up",
        ),
        (
            "RSCALE_ENV_FILE",
            ".env.test",
            "worker-a=5",
            "docker compose --env-file .env.test up",
        ),
    ] {
        let plan = plan_with(name, value, line);
        assert!(plan.contains(sign), "{name}={value}: {plan}");
        let without = plan_with("LANG", "C", line);
        assert!(
            !without.contains(sign),
            "`{sign}` is there without {name}: {without}"
        );
    }
    assert!(plan_with("RSCALE_FORCE", "1", "worker-a=1001").starts_with("worker-a: 4 -> 1001\n"));
    let waiting = plan_with("LANG", "C", "worker-a=5");
    assert!(
        waiting.contains("verify")
            && !plan_with("RSCALE_NO_WAIT", "1", "worker-a=5").contains("verify")
    );
}

#[test]
fn a_pause_counts_when_there_are_steps() {
    let paused = || {
        Fake::new(SHOP)
            .env("RSCALE_PAUSE", "7s")
            .env("RSCALE_DRY_RUN", "1")
            .line("worker-a=2")
    };
    assert!(!paused().output().stdout.contains("pause"));
    let ran = paused().env("RSCALE_STEP", "1").output();
    assert!(ran.stdout.contains(". pause for 7s\n"), "{ran:#?}");
}

#[test]
fn what_failed_can_be_kept() {
    for (value, removes) in [("1", false), ("0", true)] {
        let half_made = vec![Container::new("worker-a", 1, "created")];
        let ran = Fake::new(SHOP)
            .on(
                "up --no-start",
                Answer::fails("no space left on device").leaving(half_made),
            )
            .on("rm --force", Answer::makes(Vec::new()))
            .env("RSCALE_KEEP", value)
            .line("worker-a=1")
            .output();
        assert_eq!(ran.status, 1);
        assert_eq!(
            ran.changes().iter().any(|call| call.starts_with("rm ")),
            removes,
            "RSCALE_KEEP={value}"
        );
    }
}

#[test]
fn what_is_typed_outweighs_the_variable() {
    assert!(
        plan_with("RSCALE_STOP_TIMEOUT", "90s", "worker-a=3 --stop-timeout 5s")
            .contains("stop -t 5 ")
    );
    assert!(
        plan_with("RSCALE_FORMAT", "json", "worker-a=3 --format text")
            .starts_with("worker-a: 4 -> 3\n")
    );
}

#[test]
fn expected_counts_from_the_environment_refuse() {
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 4))
        .env("RSCALE_CURRENT_REPLICAS", "3")
        .line("worker-a=5")
        .output();
    assert_eq!(ran.status, 3, "{ran:#?}");
}

#[test]
fn times_from_the_environment_are_read() {
    for name in [
        "RSCALE_WAIT_TIMEOUT",
        "RSCALE_STABLE",
        "RSCALE_LOCK_TIMEOUT",
    ] {
        assert!(
            plan_with(name, "3s", "worker-a=5").starts_with("worker-a: 4 -> 5"),
            "{name}"
        );
        let ran = Fake::new(SHOP)
            .env(name, "soon")
            .line("worker-a=5")
            .output();
        assert_eq!((ran.status, ran.calls.len()), (2, 0), "{name}: {ran:#?}");
        assert!(
            ran.stderr.contains("`soon` is not a duration"),
            "{name}: {ran:#?}"
        );
    }
}

#[test]
fn variables_of_one_command_do_not_break_another() {
    for (name, value) in [
        ("RSCALE_PAUSE", "5s"),
        ("RSCALE_STEP", "2"),
        ("RSCALE_KEEP", "1"),
        ("RSCALE_WATCH", "5s"),
        ("RSCALE_ONLY", "web"),
        ("RSCALE_CURRENT_REPLICAS", "2"),
    ] {
        for line in [
            "status",
            "check",
            "worker-a=1 --dry-run",
            "completions bash",
            "man",
        ] {
            // These two belong to the command at hand.
            if (name, line) == ("RSCALE_WATCH", "status")
                || (name == "RSCALE_CURRENT_REPLICAS" && line.starts_with("worker"))
            {
                continue;
            }
            let ran = Fake::new(SHOP).env(name, value).line(line).output();
            assert_eq!(
                ran.status, 0,
                "{name}={value} rscale {line}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn quiet_and_verbose_can_be_set() {
    let fake = || {
        Fake::new(SHOP)
            .containers(running("worker-a", 1))
            .line("web=1 --dry-run")
    };
    assert!(
        fake()
            .env("RSCALE_VERBOSE", "2")
            .output()
            .stderr
            .contains("DEBUG run command=")
    );
    assert!(
        !fake()
            .env("RSCALE_VERBOSE", "1")
            .output()
            .stderr
            .contains("DEBUG")
    );
    let beat = "services: {beat: {image: app, command: celery -A app beat}}";
    let quiet = Fake::new(beat)
        .env("RSCALE_QUIET", "1")
        .line("beat=2 --dry-run --force")
        .output();
    let said = Fake::new(beat).line("beat=2 --dry-run --force").output();
    assert!(
        said.stderr.starts_with("warning[scheduler]: ") && quiet.stderr.is_empty(),
        "{quiet:#?}"
    );
}

#[test]
fn colour_can_be_set() {
    let painted = Fake::new(SHOP)
        .env("RSCALE_COLOR", "always")
        .line("web")
        .output();
    assert!(painted.stderr.contains("\u{1b}["), "{painted:#?}");
}

#[test]
fn where_kubernetes_is_matters_only_there() {
    // A default of the shell is no mistake on another engine; typed, it is.
    let ran = Fake::new(SHOP)
        .containers(running("web", 1))
        .env("RSCALE_NAMESPACE", "shop")
        .line("status")
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    let ran = Fake::new(SHOP).line("status --namespace shop").output();
    assert_eq!(ran.status, 2, "{ran:#?}");
    assert!(
        ran.stderr
            .starts_with("error: `--namespace` is for Kubernetes, and this is compose"),
        "{ran:#?}"
    );
}

#[test]
fn a_variable_that_is_set_to_nothing_counts_as_unset() {
    let variables = [
        "FILE",
        "PROJECT_NAME",
        "PROJECT_DIRECTORY",
        "PROFILE",
        "ENV_FILE",
        "ENGINE",
        "CONTEXT",
        "NAMESPACE",
        "FORMAT",
        "COLOR",
        "WAIT_TIMEOUT",
        "STABLE",
        "STEP",
        "PAUSE",
        "PULL",
        "LOCK_TIMEOUT",
        "CURRENT_REPLICAS",
        "STOP_TIMEOUT",
        "WATCH",
        "OUTPUT",
        "SAVE",
        "COMPARE",
        "REPORT",
        "TASKS",
        "RATE",
        "CELERY",
        "HTTP",
        "SWEEP",
        "SWEEP_MODE",
    ];
    for line in ["web=2 --dry-run", "status", "check", "load-test"] {
        let fake = Fake::new(SHOP).containers(running("db", 1)).line(line);
        let of = |mut command: std::process::Command| {
            let output = command.output().unwrap();
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap(),
            )
        };
        let unset = of(fake.command());
        let mut command = fake.command();
        for name in variables {
            command.env(format!("RSCALE_{name}"), "");
        }
        assert_eq!(of(command), unset, "{line}");
    }
}
