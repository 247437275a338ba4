//! `rscale check`, and what every command says when there is no project or no engine.

use serde_json::json;

use crate::support::engine::{Engine, Project};

const SHOP: &str = "
services:
  web: *app
  edge: {<<: *app, ports: ['80:80']}
  db: {image: 'postgres:16', volumes: ['data:/var/lib/postgresql/data']}
volumes: {data: {}}
";

/// Rules and services of the findings.
fn findings(project: &Project, args: &[&str], status: i32) -> Vec<(String, String, String)> {
    let document = project.json(args).exited(status).document();
    assert_eq!(
        (&document["schema"], &document["project"]),
        (&json!(1), &json!(project.name()))
    );
    let text = |item: &serde_json::Value, key: &str| {
        let text = item[key].as_str().unwrap();
        assert!(!text.is_empty(), "{item:#}");
        text.to_owned()
    };
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .map(|item| {
            // Each says what would happen and what to write.
            text(item, "message");
            text(item, "hint");
            (
                text(item, "rule"),
                text(item, "severity"),
                text(item, "service"),
            )
        })
        .collect()
}

fn finding(rule: &str, severity: &str, service: &str) -> (String, String, String) {
    (rule.into(), severity.into(), service.into())
}

#[test]
fn exits_with_three_when_the_scale_would_be_refused() {
    let Some(project) = Engine::project(SHOP) else {
        return;
    };
    project.compose(&["up", "-d", "web"]);
    assert_eq!(
        findings(&project, &["check", "edge=2", "web=2"], 3),
        [finding("host-port", "error", "edge")]
    );
    assert_eq!(findings(&project, &["check", "web=2"], 0), []);
    assert_eq!(
        findings(&project, &["check", "db=2"], 3),
        [finding("stateful", "error", "db")]
    );
    assert_eq!(
        findings(&project, &["check", "db=2", "--force"], 0),
        [finding("stateful", "warning", "db")]
    );
    // It says what the scale says, and the scale is really refused.
    project.json(&["edge=2", "web=2"]).exited(3);
    project.assert_running(&[("web", 1)]);
}

#[test]
fn without_targets_it_is_a_report() {
    let Some(project) = Engine::project(SHOP) else {
        return;
    };
    assert_eq!(
        findings(&project, &["check"], 0),
        [
            finding("stateful", "error", "db"),
            finding("host-port", "error", "edge")
        ]
    );
    assert_eq!(project.containers(), []);
    let ran = project.rscale(&["check"]).succeeded();
    assert!(
        ran.stdout.contains("host-port") && ran.stdout.contains("hint: "),
        "{ran}"
    );
}

#[test]
fn nothing_in_the_way_is_said_too() {
    let Some(project) = Engine::project("services: {web: *app}") else {
        return;
    };
    let ran = project.rscale(&["check", "web=5"]).succeeded();
    assert!(ran.stdout.contains("nothing stands in the way"), "{ran}");
    assert_eq!(project.containers(), []);
}

/// Every command that asks Docker something.
const COMMANDS: [&[&str]; 4] = [
    &["web=2"],
    &["scale-all", "2"],
    &["status"],
    &["check", "web=2"],
];

#[test]
fn an_engine_that_does_not_answer_is_one_clear_line() {
    let Some(project) = Engine::project(SHOP) else {
        return;
    };
    project.set("DOCKER_HOST", "unix:///nonexistent.sock");
    for args in COMMANDS {
        let ran = project
            .rscale(args)
            .exited(4)
            .says_one_error("the Docker daemon is not running");
        let ran = ran.says("hint: ").says("unix:///nonexistent.sock");
        assert_eq!(ran.stdout, "", "{ran}");
    }
    project.unset("DOCKER_HOST");
}

#[test]
fn a_folder_without_a_compose_file_is_one_clear_line() {
    let Some(project) = Engine::project(SHOP) else {
        return;
    };
    std::fs::remove_file(project.folder().join("compose.yaml")).unwrap();
    for args in COMMANDS {
        let ran = project
            .rscale(args)
            .exited(4)
            .says_one_error("there is no compose file here");
        let ran = ran.says("hint: name it: rscale -f");
        assert_eq!(ran.stdout, "", "{ran}");
    }
    project
        .rscale(&["-f", "nope.yaml", "status"])
        .exited(4)
        .says_one_error("the compose file does not exist");
}

#[test]
fn a_compose_file_that_compose_refuses_is_one_clear_line() {
    let Some(project) = Engine::project("services: {web: {imagee: x}}") else {
        return;
    };
    for args in COMMANDS {
        let ran = project.rscale(args).exited(4).says("imagee");
        assert_eq!(
            ran.stderr
                .lines()
                .filter(|line| line.starts_with("error: "))
                .count(),
            1,
            "{ran}"
        );
    }
}

#[test]
fn a_wrong_policy_names_the_service_and_the_key() {
    let Some(project) = Engine::project("services: {web: {<<: *app, x-rscale: {maximum: 3}}}")
    else {
        return;
    };
    for args in COMMANDS {
        project
            .rscale(args)
            .exited(4)
            .says_one_error("`services.web.x-rscale`: unknown key `maximum`");
    }
    assert_eq!(project.containers(), []);
}

#[test]
fn an_unknown_service_names_the_nearest_one() {
    let Some(project) = Engine::project("services: {web-django: *app, worker: *app}") else {
        return;
    };
    for args in [
        ["web-jango=2"].as_slice(),
        &["check", "web-jango=2"],
        &["status", "web-jango"],
    ] {
        let ran = project
            .rscale(args)
            .exited(2)
            .says("did you mean `web-django`?");
        ran.says("web-django, worker").says_one_error("project `");
    }
    assert_eq!(project.containers(), []);
}
