//! Which project and which Compose: the options go to Compose as they were typed.

use super::SHOP;
use crate::support::fake::{Answer, Fake, running};

fn compose_calls(calls: &[String]) -> Vec<&str> {
    calls
        .iter()
        .filter_map(|call| call.strip_prefix("compose "))
        .collect()
}

#[test]
fn project_options_are_passed_on_to_every_call_of_compose() {
    let line = "-f a.yaml --file b.yaml -p shop --project-directory /srv/x --profile debug --profile extra --env-file .env.ci";
    let passed = "--file a.yaml --file b.yaml --project-name shop --project-directory /srv/x --profile debug --profile extra \
                  --env-file .env.ci";
    for command in [
        "worker-a=0",
        "scale worker-a=0",
        "scale-all 2 --dry-run",
        "check worker-a=2",
        "status",
    ] {
        for whole in [format!("{line} {command}"), format!("{command} {line}")] {
            let ran = Fake::new(SHOP)
                .containers(running("worker-a", 1))
                .on("^rm", Answer::makes(Vec::new()))
                .line(&whole)
                .output();
            assert_eq!(ran.status, 0, "{whole}: {ran:#?}");
            let calls = compose_calls(&ran.calls);
            assert!(!calls.is_empty());
            for call in calls {
                assert!(call.starts_with(passed), "{whole}: {call}");
            }
        }
    }
}

#[test]
fn the_containers_are_those_of_the_project_named() {
    for (args, name, value) in [
        ("-p store", "LANG", "C"),
        ("", "COMPOSE_PROJECT_NAME", "store"),
    ] {
        let ran = Fake::new(SHOP)
            .on(
                " config",
                Answer::prints("name: store\nservices: {web: {image: app}}\n"),
            )
            .env(name, value)
            .line(&format!("status {args}"))
            .output();
        let listings: Vec<&String> = ran
            .calls
            .iter()
            .filter(|call| call.starts_with("ps "))
            .collect();
        assert_eq!(listings.len(), 1, "it was guessed right: {:?}", ran.calls);
        assert!(
            listings[0].contains("label=com.docker.compose.project=store "),
            "{listings:?}"
        );
    }
}

#[test]
fn a_named_compose_is_called_as_it_was_named() {
    let ran = Fake::new(SHOP)
        .args([
            "--compose-command",
            "docker --context far compose",
            "status",
        ])
        .output();
    assert!(
        ran.calls
            .iter()
            .any(|call| call == "--context far compose --profile * config"),
        "{:?}",
        ran.calls
    );
}

#[test]
fn without_a_name_the_plugin_is_called_directly() {
    let fake = Fake::new(SHOP).env("RSCALE_COMPOSE", "").line("status");
    let plugins = fake
        .project_folder()
        .parent()
        .unwrap()
        .join("home/.docker/cli-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let script = plugins.join("docker-compose");
    std::os::unix::fs::symlink(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fake-docker"),
        script,
    )
    .unwrap();
    let ran = fake
        .on(
            "--profile [*] config",
            Answer::prints("name: shop\nservices: {direct: {image: a}}\n"),
        )
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(
        ran.calls.iter().any(|call| call == "--profile * config"),
        "{:?}",
        ran.calls
    );
    assert!(ran.stdout.contains("direct"), "{ran:#?}");
}

#[test]
fn what_compose_warns_of_is_passed_on_once() {
    let services = "services: {web: {image: app, profiles: [x]}, db: {image: app}}\nx-rscale: {load-test: {tasks: {T: {url: \"http://127.0.0.1:9/\"}}}}";
    let said = "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"The \\\"DB_HOST\\\" variable is not set. \u{1b}[2J\"\n";
    for line in [
        "status",
        "check",
        "db=2",
        "scale-all 2",
        "load-test",
        "status --format json",
        "export swarm",
    ] {
        let config = format!("name: shop\n{services}\n");
        let ran = Fake::new(services)
            .containers(running("db", 1))
            .on(
                "compose --profile ? config",
                Answer::prints(&config).saying(said),
            )
            .on("compose config", Answer::prints(&config).saying(said))
            .line(line)
            .output();
        let warnings = ran.stderr.lines().filter(|line| line.contains("DB_HOST"));
        assert_eq!(
            warnings.collect::<Vec<_>>(),
            ["Compose warns: The \"DB_HOST\" variable is not set. "],
            "{line}: {ran:#?}"
        );
        let quiet = Fake::new(services)
            .on("^compose", Answer::prints(&config).saying(said))
            .line("status -q")
            .output();
        assert_eq!(quiet.stderr, "");
    }
}

/// It "does not exist", and a scale panicked; Compose itself takes it.
#[cfg(target_os = "linux")]
#[test]
fn a_path_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let path = OsStr::from_bytes(b"x\xff/compose.yaml");
    for line in ["worker-a=2 --dry-run", "worker-a=1", "status"] {
        let fake = Fake::new(SHOP)
            .containers(running("worker-a", 1))
            .line(line);
        let output = fake.command().arg("-f").arg(path).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
        let calls = fake.raw_calls();
        let needle = [b"compose --file ", path.as_bytes(), b" "].concat();
        let passed = calls.windows(needle.len()).any(|part| part == needle);
        assert!(passed, "{line}: {}", String::from_utf8_lossy(&calls));
    }
}
