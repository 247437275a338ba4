//! `refresh`: other containers are told of a set of replicas after it changed, and what happens when they
//! cannot be.

use serde_json::json;

use crate::support::engine::{Engine, Project};

/// A service behind two balancers, which note down what they are told.
const SHOP: &str = "
services:
  web:
    <<: *app
    x-rscale:
      refresh: [{service: front, exec: [sh, -c, 'echo $$RSCALE_PROJECT/$$RSCALE_SERVICE: $$RSCALE_REPLICAS >> /tmp/told']}]
  front: {<<: *app, scale: 2}
";

fn up(yaml: &str) -> Option<Project> {
    let project = Engine::project(yaml)?;
    project.compose(&["up", "-d"]);
    Some(project)
}

/// What a balancer was told, line by line.
fn told(project: &Project, balancer: &str) -> Vec<String> {
    let script = "cat /tmp/told 2>/dev/null || true";
    let text = project.docker(&["exec", balancer, "sh", "-c", script]);
    text.lines().map(str::to_owned).collect()
}

/// The line that tells of the replicas with these numbers.
fn line(project: &Project, numbers: &[u32]) -> String {
    let name = project.name();
    let names: Vec<String> = numbers
        .iter()
        .map(|number| format!("{name}-web-{number}"))
        .collect();
    format!("{name}/web: {}", names.join(" "))
}

#[test]
fn every_balancer_is_told_of_every_change_and_of_nothing_else() {
    let Some(project) = up(SHOP) else { return };
    project.rscale(&["web=3"]).succeeded();
    project.rscale(&["web=3"]).succeeded();
    project.rscale(&["web=1"]).succeeded();
    project.rscale(&["front=3"]).succeeded();
    for number in [1, 2] {
        assert_eq!(
            told(&project, &project.container("front", number)),
            [line(&project, &[1, 2, 3]), line(&project, &[1])]
        );
    }
    assert_eq!(told(&project, &project.container("front", 3)), [""; 0]);
}

#[test]
fn balancers_learn_of_a_replica_that_has_ended_while_another_still_finishes() {
    let yaml = SHOP.replace(
        "    <<: *app\n    x-rscale",
        "    image: busybox:1\n    command: [sh, -c, 'trap \"test ! -e /busy || sleep 6; exit\" TERM; while true; do sleep 0.2; done']\n    \
         stop_grace_period: 30s\n    x-rscale",
    );
    let Some(project) = up(&yaml) else { return };
    project.rscale(&["web=3"]).succeeded();
    project.docker(&["exec", &project.container("web", 3), "touch", "/busy"]);
    project.rscale(&["web=1"]).succeeded();
    let expected: [&[u32]; 3] = [&[1, 2, 3], &[1, 3], &[1]];
    assert_eq!(
        told(&project, &project.container("front", 1)),
        expected.map(|numbers| line(&project, numbers))
    );
}

#[test]
fn a_balancer_of_another_project_is_told_too() {
    let Some(infra) = up("services: {front: *app}") else {
        return;
    };
    let yaml = SHOP.replace(
        "service: front",
        &format!("service: front, project: {}", infra.name()),
    );
    let Some(project) = up(&yaml) else { return };
    project.rscale(&["web=2"]).succeeded();
    assert_eq!(
        told(&infra, &infra.container("front", 1)),
        [line(&project, &[1, 2])]
    );
    assert_eq!(told(&project, &project.container("front", 1)), [""; 0]);
    infra.compose(&["stop"]);
    let ran = project.json(&["web=3"]).exited(3);
    let finding = &ran.document()["findings"][0];
    assert_eq!(finding["rule"], "refresh-target", "{finding:#}");
    let hint = format!("docker compose -p {} start front", infra.name());
    assert_eq!(finding["hint"], hint);
    assert_eq!(project.numbers("web"), [1, 2]);
}

#[test]
fn one_balancer_is_told_of_two_services_one_after_the_other() {
    let told = "x-rscale: {refresh: [{service: front, exec: [sh, -c, 'mkdir /tmp/one || exit 5; sleep 1; rmdir /tmp/one']}]}";
    let yaml =
        format!("services: {{web: {{<<: *app, {told}}}, api: {{<<: *app, {told}}}, front: *app}}");
    let Some(project) = up(&yaml) else { return };
    project.rscale(&["web=3", "api=3"]).succeeded();
    project.rscale(&["web=1", "api=1"]).succeeded();
}

#[test]
fn a_refresh_that_fails_shows_what_it_said_and_leaves_the_replicas() {
    let yaml = SHOP.replace(
        "echo $$RSCALE_PROJECT",
        "echo no such upstream; exit 3; echo $$RSCALE_PROJECT",
    );
    let Some(project) = up(&yaml) else { return };
    let ran = project.json(&["web=2"]).exited(1);
    let document = ran.document();
    assert_eq!(document["outcome"], "failed");
    assert_eq!(document["services"][0]["running"], 2);
    let ran = ran
        .says("the replicas of `web` changed, but `")
        .says("  | no such upstream")
        .says("hint: once it is mended: docker exec --env RSCALE_PROJECT=");
    assert_eq!(ran.stderr.matches("error").count(), 1, "{ran}");
    assert_eq!(project.numbers("web"), [1, 2]);
}

#[test]
fn a_refresh_that_hangs_is_given_up_after_its_timeout() {
    let yaml = SHOP.replace(
        "exec: [sh,",
        "timeout: 2s, exec: [sleep, '60']}, {service: front, exec: [sh,",
    );
    let Some(project) = up(&yaml) else { return };
    project
        .rscale(&["web=2"])
        .exited(1)
        .says("`sleep 60` did not end within 2s");
    // The others are told all the same.
    assert_eq!(
        told(&project, &project.container("front", 2)),
        [line(&project, &[1, 2])]
    );
}

#[test]
fn after_a_roll_back_balancers_know_what_is_left() {
    let yaml = SHOP.replace(
        "    <<: *app\n    x-rscale",
        "    <<: *app\n    environment: {CRASH: '${CRASH:-}'}\n    command: [sh, -c, 'test -z \"$$CRASH\" || { sleep 1; exit 7; }; exec sleep 900']\n    x-rscale",
    );
    let Some(project) = up(&yaml) else { return };
    let before = project.all_ids();
    project.set("CRASH", "1");
    project.rscale(&["web=3"]).exited(1);
    assert_eq!(project.all_ids(), before);
    assert_eq!(
        told(&project, &project.container("front", 1)).last(),
        Some(&line(&project, &[1]))
    );
}

#[test]
fn a_balancer_that_does_not_exist_or_run_is_found_before_anything_changes() {
    let Some(project) = up(SHOP) else { return };
    project.compose(&["stop", "front"]);
    let before = project.all_ids();
    project
        .rscale(&["web=2"])
        .exited(3)
        .says("error[refresh-target]: the refresh of `web` is for `front`, which does not run")
        .says("hint: docker compose up -d front");
    assert_eq!(project.all_ids(), before);
    project
        .rscale(&["web=2", "--force"])
        .succeeded()
        .says("`front` does not run, so it was not told of the replicas of `web`");
    project.compose_file(&SHOP.replace("service: front", "service: fornt"));
    project
        .rscale(&["web=3"])
        .exited(3)
        .says("hint: did you mean `front`?");
    assert_eq!(project.numbers("web"), [1, 2]);
}

#[test]
fn an_nginx_without_a_refresh_is_warned_of_with_the_yaml_to_add() {
    let yaml = "
services:
  web: *app
  front: {image: 'nginx:1', volumes: ['./front.conf:/etc/nginx/conf.d/default.conf:ro']}
";
    let Some(project) = Engine::project(yaml) else {
        return;
    };
    project.write(
        "front.conf",
        "server { listen 80; location / { proxy_pass http://web:8000; } }",
    );
    project.compose(&["up", "-d", "web"]);
    project.compose(&["up", "-d", "front"]);
    let findings = project.json(&["web=2"]).succeeded().document()["findings"].clone();
    let rules: Vec<_> = findings
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["rule"])
        .collect();
    assert_eq!(rules, [&json!("stale-upstream")], "{findings:#}");
    let hint = findings[0]["hint"].as_str().unwrap();
    let policy = hint.strip_prefix("services.web.x-rscale: ").unwrap();
    // What the hint says, written into the file, is all that is needed.
    project.compose_file(&yaml.replace(
        "web: *app",
        &format!("web: {{<<: *app, x-rscale: {policy}}}"),
    ));
    let document = project.json(&["web=3"]).succeeded().document();
    assert_eq!(document["findings"], json!([]));
    let last = document["commands"].as_array().unwrap().last().unwrap();
    assert!(
        last.as_str().unwrap().ends_with("-front-1 nginx -s reload"),
        "{last}"
    );
}
