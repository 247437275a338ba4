//! What all commands have in common on stdout and stderr: colour, quiet, logging, readers that went away.

use std::process::Stdio;

use super::SHOP;
use crate::support::fake::{Answer, Container, Fake, running};

const ESCAPE: char = '\u{1b}';

fn status() -> Fake {
    Fake::new(SHOP).containers(running("web", 1)).line("status")
}

#[test]
fn piped_output_is_plain_unless_colour_is_wanted() {
    for (args, env, painted) in [
        ("", None, false),
        ("--color auto", None, false),
        ("--color never", None, false),
        ("--color always", None, true),
        // What is typed is the last word.
        ("--color always", Some("1"), true),
        ("", Some("1"), false),
    ] {
        let fake = status().line(args).env("NO_COLOR", env.unwrap_or_default());
        assert_eq!(
            fake.output().stdout.contains(ESCAPE),
            painted,
            "{args} NO_COLOR={env:?}"
        );
        let fake = Fake::new(SHOP)
            .line("web")
            .line(args)
            .env("NO_COLOR", env.unwrap_or_default());
        assert_eq!(
            fake.output().stderr.contains(ESCAPE),
            painted,
            "{args} NO_COLOR={env:?}"
        );
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = status().output().stdout;
    let painted = status().line("--color always").output().stdout;
    let mut stripped = String::new();
    let mut rest = painted.as_str();
    while let Some((before, after)) = rest.split_once(ESCAPE) {
        stripped.push_str(before);
        rest = after.split_once('m').expect("escape sequences end").1;
    }
    stripped.push_str(rest);
    assert_eq!(stripped, plain);
}

#[test]
fn quiet_leaves_results_and_errors() {
    let beat = "services: {beat: {image: app, command: celery -A app beat}}";
    let ran = Fake::new(beat).line("beat=2 --dry-run --force -q").output();
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.starts_with("beat: 0 -> 2\n"));
    let ran = Fake::new(SHOP).line("-q wrker-a=2").output();
    assert!(
        ran.stderr
            .starts_with("error: project `shop` has no service `wrker-a`\n"),
        "{ran:#?}"
    );
}

#[test]
fn v_shows_what_compose_prints_and_vv_every_command() {
    let noisy = || {
        let mut up = Answer::fails("Container shop-worker-a-2  Creating");
        up = up.leaving(running("worker-a", 1));
        Fake::new(SHOP)
            .containers(running("worker-a", 1))
            .on("up --no-start", up)
    };
    assert!(
        noisy()
            .line("worker-a=2 -v")
            .output()
            .stderr
            .starts_with("  | Container shop-worker-a-2  Creating\n")
    );
    let logged = noisy().line("worker-a=2 -vv").output().stderr;
    assert!(
        logged.contains("DEBUG run command=docker compose --profile '*' config\n"),
        "{logged}"
    );
    assert!(
        logged.contains("DEBUG run command=docker compose up --no-start "),
        "{logged}"
    );
    assert!(!noisy().line("worker-a=2").output().stderr.contains("DEBUG"));
}

/// Runs with a pipe whose reading end is closed already.
fn without_reader(fake: &Fake, stream: &str) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = fake.command();
    match stream {
        "stdout" => command.stdout(writer).stderr(Stdio::piped()),
        _ => command.stderr(writer).stdout(Stdio::piped()),
    };
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_reader_of_results_that_went_away_is_quiet_and_keeps_the_exit_code() {
    let refused = "services: {web: {image: app, container_name: only}}";
    for (fake, code) in [
        (status(), 0),
        (status().line("--format json"), 0),
        (Fake::new(SHOP).line("worker-a=2 --dry-run"), 0),
        (Fake::new(refused).line("check web=2"), 3),
        (Fake::new(SHOP).line("--help"), 0),
        (Fake::new(SHOP).line("completions bash"), 0),
        (Fake::new(SHOP).line("man"), 0),
        (Fake::new(SHOP).line("reference cli"), 0),
    ] {
        assert_eq!(
            without_reader(&fake, "stdout"),
            (Some(code), String::new()),
            "{fake:?}"
        );
    }
}

/// What nobody can read is no success: a full disk used to end with 0.
#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let refused = "services: {web: {image: app, container_name: only}}";
    for (fake, code) in [
        (status(), 1),
        (status().line("--format json"), 1),
        (status().line("--watch 1s"), 1),
        (Fake::new(SHOP).line("worker-a=2 --dry-run"), 1),
        // What went wrong before is the more important.
        (Fake::new(refused).line("check web=2"), 3),
        (Fake::new(SHOP).line("--help"), 1),
        (Fake::new(SHOP).line("--version"), 1),
        (Fake::new(SHOP).line("completions bash"), 1),
        (Fake::new(SHOP).line("man"), 1),
        (Fake::new(SHOP).line("reference cli"), 1),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = fake.command().stdout(full.unwrap()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{fake:?}\n{stderr}");
        assert_eq!(
            stderr
                .matches("the result could not be written: No space left")
                .count(),
            1,
            "{fake:?}\n{stderr}"
        );
    }
}

#[test]
fn what_runs_is_finished_without_a_reader() {
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 2))
        .on("rm --force", Answer::makes(running("worker-a", 1)))
        .line("worker-a=1");
    assert_eq!(without_reader(&fake, "stdout"), (Some(0), String::new()));
    assert!(
        fake.calls()
            .iter()
            .any(|call| call == "rm --force worker-a-2-id")
    );
}

/// A log line that could not be written used to panic.
#[test]
fn a_reader_of_stderr_that_went_away_changes_no_exit_code() {
    for (line, code) in [
        ("status -vv", 0),
        ("status", 0),
        ("nosuch=2", 2),
        ("web", 2),
        ("--nonsense", 2),
    ] {
        assert_eq!(
            without_reader(&Fake::new(SHOP).line(line), "stderr").0,
            Some(code),
            "{line}"
        );
    }
}

#[test]
fn json_is_the_only_thing_on_stdout() {
    let crashed = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "exited").exit_code(3)],
    ]
    .concat();
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .log("worker-a-2-id", "no such queue\n")
        .on("^start ", Answer::makes(crashed.clone()))
        .on("rm --force", Answer::makes(running("worker-a", 1)))
        .on(
            "up --no-start",
            Answer::makes(
                [
                    running("worker-a", 1),
                    vec![Container::new("worker-a", 2, "created")],
                ]
                .concat(),
            ),
        )
        .line("worker-a=2 --format json")
        .output();
    assert_eq!(
        (ran.status, ran.json()["outcome"].as_str()),
        (1, Some("rolled_back")),
        "{ran:#?}"
    );
    assert!(
        ran.stderr
            .contains("error: `shop-worker-a-2` exited with code 3\n"),
        "{ran:#?}"
    );
}

#[test]
fn the_version_is_printed() {
    for flag in ["--version", "-V"] {
        let ran = Fake::new(SHOP)
            .line(flag)
            .stdout(concat!("rscale ", env!("CARGO_PKG_VERSION"), "\n"))
            .run();
        assert!(ran.calls.is_empty());
    }
}
